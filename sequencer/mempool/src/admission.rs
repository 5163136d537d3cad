//! Checks of a single transaction, in geth's order so that a transaction with several faults gets the expected text.

use alloy_consensus::{Transaction as _, Typed2718 as _};
use alloy_primitives::{Address, U256};
use op_alloy_consensus::OpTxEnvelope;
use protocol::{
    RecoveredTx,
    limits::{MAX_TRANSACTION_BYTES, MAX_TRANSACTION_GAS},
};

use crate::{PoolError, Shortfall, delegation::authorities};

/// EIP-3860: bytes of init code.
pub const MAX_INIT_CODE_BYTES: usize = 49_152;
/// EIP-7702 authorizations of one transaction; recovering each costs about 50 µs.
pub const MAX_AUTHORIZATIONS: usize = 64;

const BASE_GAS: u64 = 21_000;
const CREATE_GAS: u64 = 32_000;
/// Gas of a calldata token: a zero byte is one token, another byte four (EIP-7623).
const TOKEN_GAS: u64 = 4;
const TOKENS_PER_NONZERO: u64 = 4;
const FLOOR_TOKEN_GAS: u64 = 10;
const INIT_CODE_WORD_GAS: u64 = 2;
const ACCESS_ADDRESS_GAS: u64 = 2_400;
const ACCESS_SLOT_GAS: u64 = 1_900;
const AUTHORIZATION_GAS: u64 = 25_000;

/// Who handed the transaction in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Our own RPC: kept longer behind a nonce gap, and over restarts (by the node).
    Local,
    /// A peer.
    Remote,
}

/// What kind of code the sender has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SenderCode {
    /// None.
    #[default]
    Empty,
    /// An EIP-7702 delegation designator.
    Delegated,
    /// Anything else; such an account cannot send (EIP-3607).
    Contract,
}

impl SenderCode {
    /// Classifies an account's code.
    #[must_use]
    pub fn of(code: &[u8]) -> Self {
        match code {
            [] => Self::Empty,
            [0xef, 0x01, 0x00, address @ ..] if address.len() == 20 => Self::Delegated,
            _ => Self::Contract,
        }
    }
}

/// The sender at `latest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountView {
    /// Next nonce.
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Its code.
    pub code: SenderCode,
}

/// What admission depends on besides the transaction and its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolEnv {
    /// L2 chain id.
    pub chain_id: u64,
    /// The lowest base fee there can be (genesis), in wei: a fee cap below it can never be included.
    pub min_base_fee: u64,
    /// Gas limit of a block.
    pub block_gas_limit: u64,
    /// Smallest priority fee per gas this node accepts, in wei.
    pub min_tip: u128,
}

/// A transaction on its way in.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub(crate) tx: RecoveredTx,
    pub(crate) data_size: u64,
    /// The accounts it delegates; none before they were recovered, which is dear.
    pub(crate) authorities: Option<Vec<Address>>,
}

impl Incoming {
    /// `data_size`: what the L1 data fee counts of the transaction, in millionths of a byte.
    #[must_use]
    pub fn new(tx: RecoveredTx, data_size: u64) -> Self {
        let authorities = tx.envelope.authorization_list().is_none().then(Vec::new);
        Self { tx, data_size, authorities }
    }

    /// Whether [`crate::Pool::add`] finds everything at hand. If not, [`crate::Pool::check`] comes first and then
    /// [`Self::recover_authorities`].
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.authorities.is_some()
    }

    /// Recovers the accounts that the transaction delegates, some 50 µs each: not under the pool's lock.
    pub fn recover_authorities(&mut self) {
        self.authorities = Some(authorities(&self.tx.envelope));
    }

    /// Who sent it.
    #[must_use]
    pub const fn sender(&self) -> Address {
        self.tx.sender
    }
}

/// Sizes are in millionths of a byte, rates are for a million bytes (OP, since Fjord).
const DATA_UNIT: u64 = 1_000_000_000_000;

/// L1 data fee in wei, as execution charges it.
pub(crate) fn data_fee(data_size: u64, data_rate: U256) -> U256 {
    data_rate.saturating_mul(U256::from(data_size)) / U256::from(DATA_UNIT)
}

/// Intrinsic gas and EIP-7623 floor of a transaction.
#[must_use]
pub fn intrinsic_gas(envelope: &OpTxEnvelope) -> (u64, u64) {
    let input = envelope.input();
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let nonzeros = (input.len() as u64).saturating_sub(zeros);
    let tokens = zeros.saturating_add(nonzeros.saturating_mul(TOKENS_PER_NONZERO));
    let mut gas = BASE_GAS.saturating_add(tokens.saturating_mul(TOKEN_GAS));
    if envelope.is_create() {
        let words = (input.len() as u64).div_ceil(32);
        gas = gas.saturating_add(CREATE_GAS).saturating_add(words.saturating_mul(INIT_CODE_WORD_GAS));
    }
    if let Some(list) = envelope.access_list() {
        let slots: usize = list.0.iter().map(|item| item.storage_keys.len()).sum();
        gas = gas
            .saturating_add((list.0.len() as u64).saturating_mul(ACCESS_ADDRESS_GAS))
            .saturating_add((slots as u64).saturating_mul(ACCESS_SLOT_GAS));
    }
    let authorizations = envelope.authorization_list().map_or(0, <[_]>::len) as u64;
    gas = gas.saturating_add(authorizations.saturating_mul(AUTHORIZATION_GAS));
    (gas, BASE_GAS.saturating_add(tokens.saturating_mul(FLOOR_TOKEN_GAS)))
}

/// The transaction's priority fee cap; a legacy transaction offers its whole gas price.
pub(crate) fn tip_cap(envelope: &OpTxEnvelope) -> u128 {
    envelope.max_priority_fee_per_gas().unwrap_or_else(|| envelope.max_fee_per_gas())
}

/// The most the transaction can cost on L2: gas at the fee cap, and value. Execution counts the gas in 128 bits and refuses
/// what exceeds them, so that nobody can afford it.
pub(crate) fn max_cost(envelope: &OpTxEnvelope) -> U256 {
    let gas = u128::from(envelope.gas_limit()).checked_mul(envelope.max_fee_per_gas());
    gas.map_or(U256::MAX, |gas| U256::from(gas).saturating_add(envelope.value()))
}

/// Checks that need no state.
pub(crate) fn check_transaction(tx: &RecoveredTx, env: &PoolEnv) -> Result<(), PoolError> {
    let envelope = &tx.envelope;
    if !matches!(envelope.ty(), 0 | 1 | 2 | 4) {
        return Err(PoolError::UnsupportedType);
    }
    if tx.encoded.len() > MAX_TRANSACTION_BYTES {
        return Err(PoolError::Oversized { size: tx.encoded.len(), limit: MAX_TRANSACTION_BYTES });
    }
    if envelope.is_create() && envelope.input().len() > MAX_INIT_CODE_BYTES {
        return Err(PoolError::InitCodeTooLarge { size: envelope.input().len(), limit: MAX_INIT_CODE_BYTES });
    }
    check_chain(envelope, env)?;
    let gas = envelope.gas_limit();
    if gas > MAX_TRANSACTION_GAS {
        return Err(PoolError::GasLimitTooHigh { cap: MAX_TRANSACTION_GAS, gas });
    }
    if gas > env.block_gas_limit {
        return Err(PoolError::ExceedsBlockGas);
    }
    if tip_cap(envelope) > envelope.max_fee_per_gas() {
        return Err(PoolError::TipAboveFeeCap);
    }
    if envelope.nonce() == u64::MAX {
        return Err(PoolError::NonceMax);
    }
    let (needed, floor) = intrinsic_gas(envelope);
    if gas < needed {
        return Err(PoolError::IntrinsicGas { gas, needed });
    }
    if gas < floor {
        return Err(PoolError::FloorDataGas { gas, needed: floor });
    }
    check_price(envelope, env)?;
    check_authorizations(envelope)
}

fn check_chain(envelope: &OpTxEnvelope, env: &PoolEnv) -> Result<(), PoolError> {
    // A legacy transaction without a chain id (EIP-155) is valid on every chain; RPC decides whether to take it.
    match envelope.chain_id() {
        Some(have) if have != env.chain_id => Err(PoolError::WrongChain { have, want: env.chain_id }),
        _ => Ok(()),
    }
}

fn check_price(envelope: &OpTxEnvelope, env: &PoolEnv) -> Result<(), PoolError> {
    let (tip, fee_cap) = (tip_cap(envelope), envelope.max_fee_per_gas());
    if tip < env.min_tip {
        return Err(PoolError::Underpriced { what: "gas tip cap", have: tip, needed: env.min_tip });
    }
    let needed = u128::from(env.min_base_fee);
    if fee_cap < needed {
        return Err(PoolError::Underpriced { what: "gas fee cap", have: fee_cap, needed });
    }
    Ok(())
}

fn check_authorizations(envelope: &OpTxEnvelope) -> Result<(), PoolError> {
    match envelope.authorization_list().map(<[_]>::len) {
        Some(0) => Err(PoolError::EmptyAuthorizations),
        Some(count) if count > MAX_AUTHORIZATIONS => {
            Err(PoolError::TooManyAuthorizations { count, limit: MAX_AUTHORIZATIONS })
        }
        _ => Ok(()),
    }
}

/// What stands against the sender's balance, L1 data fees included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expense {
    /// The most the transaction can cost.
    pub(crate) cost: U256,
    /// The most the account's pooled transactions can cost.
    pub(crate) pooled: U256,
    /// The part of that which the transaction would free.
    pub(crate) replaced: Option<U256>,
}

/// Checks against the sender's account.
pub(crate) fn check_account(tx: &RecoveredTx, account: &AccountView, expense: &Expense) -> Result<(), PoolError> {
    if account.code == SenderCode::Contract {
        return Err(PoolError::SenderNotEoa(tx.sender));
    }
    let nonce = tx.envelope.nonce();
    if nonce < account.nonce {
        return Err(PoolError::NonceTooLow { next: account.nonce, nonce });
    }
    let balance = account.balance;
    let Expense { cost, pooled, replaced } = *expense;
    // A cost that saturated is above every balance.
    if cost > balance || cost == U256::MAX {
        let shortfall = Shortfall { balance, pooled: U256::ZERO, cost, bumped: false };
        return Err(PoolError::InsufficientFunds(shortfall));
    }
    let kept = pooled.saturating_sub(replaced.unwrap_or_default());
    if kept.saturating_add(cost) > balance {
        let cost = cost.saturating_sub(replaced.unwrap_or_default());
        let shortfall = Shortfall { balance, pooled, cost, bumped: replaced.is_some() };
        return Err(PoolError::InsufficientFunds(shortfall));
    }
    Ok(())
}
