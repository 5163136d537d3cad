//! Checks of a single transaction, in geth's order so that a transaction with several faults gets the expected text.

use alloy_consensus::{Transaction as _, Typed2718 as _};
use alloy_primitives::U256;
use op_alloy_consensus::OpTxEnvelope;
use protocol::{
    RecoveredTx,
    limits::{MAX_TRANSACTION_BYTES, MAX_TRANSACTION_GAS},
};

use crate::{PoolError, Shortfall};

/// EIP-3860: bytes of init code.
pub const MAX_INIT_CODE_BYTES: usize = 49_152;
/// EIP-7702 authorizations of one transaction; recovering each costs about 50 µs under the pool's lock.
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
    /// Base fee of the next block, in wei.
    pub base_fee: u64,
    /// The lowest base fee there can be (genesis), in wei: a fee cap below it can never be included.
    pub min_base_fee: u64,
    /// Gas limit of a block.
    pub block_gas_limit: u64,
    /// Smallest priority fee per gas this node accepts, in wei.
    pub min_tip: u128,
    /// Estimate of this transaction's L1 data fee, in wei.
    pub l1_data_fee: U256,
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

/// The most the transaction can cost: gas at the fee cap, value, L1 data fee.
pub(crate) fn max_cost(envelope: &OpTxEnvelope, l1_data_fee: U256) -> U256 {
    U256::from(envelope.gas_limit())
        .saturating_mul(U256::from(envelope.max_fee_per_gas()))
        .saturating_add(envelope.value())
        .saturating_add(l1_data_fee)
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

/// Checks against the sender's account. `pooled` is what the account's pooled transactions cost at most; `replaced`
/// the part of it that this transaction would free.
pub(crate) fn check_account(
    tx: &RecoveredTx,
    account: &AccountView,
    cost: U256,
    pooled: U256,
    replaced: Option<U256>,
) -> Result<(), PoolError> {
    if account.code == SenderCode::Contract {
        return Err(PoolError::SenderNotEoa(tx.sender));
    }
    let nonce = tx.envelope.nonce();
    if nonce < account.nonce {
        return Err(PoolError::NonceTooLow { next: account.nonce, nonce });
    }
    let balance = account.balance;
    if cost > balance {
        let shortfall = Shortfall { balance, pooled: U256::ZERO, cost, bumped: false };
        return Err(PoolError::InsufficientFunds(shortfall));
    }
    let added = cost.saturating_sub(replaced.unwrap_or_default());
    if pooled.saturating_add(added) > balance {
        let shortfall = Shortfall { balance, pooled, cost: added, bumped: replaced.is_some() };
        return Err(PoolError::InsufficientFunds(shortfall));
    }
    Ok(())
}
