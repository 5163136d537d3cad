//! `eth_simulateV1`: blocks that nobody built, with calls, each on top of the one before.

use std::{cmp::Ordering, sync::Arc};

use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, SignableTransaction, TxEip1559, TxEip2930, TxEip7702,
    TxLegacy, proofs,
};
use alloy_eips::{eip4895::Withdrawals, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{Address, B256, Bloom, Log, LogData, Sealed, Signature, TxKind, U256, address, b256};
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope};
use protocol::{
    Block,
    block::FEE_VAULT,
    state::{StateCommitment, StateReader},
};
use revm::{
    DatabaseCommit, Inspector,
    context_interface::result::InvalidTransaction,
    inspector::NoOpInspector,
    interpreter::{CallInputs, CallOutcome as FrameOutcome, CreateInputs, CreateOutcome},
};

use crate::{
    call::{CALL_GAS_CAP, CallError, CallOutcome, CallRequest, Overrides, outcome_of},
    env::{ChainConfig, Ctx},
    guard::{Guarded, Interrupt, RecordingCost},
    header::next_base_fee,
    overlay::Overlay,
    session::Session,
    words::{self, Asked},
};

/// Blocks of one simulation, those filled in between included (geth's figure).
pub const MAX_SIMULATED_BLOCKS: u64 = 256;
/// Bytes of logs, inputs and outputs that one simulation may produce.
const MAX_SIMULATED_BYTES: usize = 32 * 1024 * 1024;
/// Who seems to emit the logs of native transfers (execution-apis).
const TRANSFER_EMITTER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// One block to simulate; what is absent follows from the block before.
#[derive(Clone, Debug, Default)]
pub struct SimulatedBlockRequest {
    /// Height.
    pub number: Option<u64>,
    /// Timestamp in seconds.
    pub time: Option<u64>,
    /// Gas limit.
    pub gas_limit: Option<u64>,
    /// Beneficiary.
    pub beneficiary: Option<Address>,
    /// RANDAO.
    pub randao: Option<B256>,
    /// Base fee in wei.
    pub base_fee: Option<u64>,
    /// What `BLOBBASEFEE` gives instead of the floor, in wei.
    pub blob_base_fee: Option<u128>,
    /// Changes of accounts before the first call.
    pub overrides: Overrides,
    /// The calls.
    pub calls: Vec<CallRequest>,
}

/// How strictly calls are taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimulateOptions {
    /// Nonces, base fee and funds are checked as in a block; not whether senders have code (as geth).
    pub validation: bool,
    /// Native transfers appear as logs.
    pub trace_transfers: bool,
}

/// A simulated block.
#[derive(Clone, Debug)]
pub struct SimulatedBlock {
    /// Header and unsigned transactions.
    pub block: Block,
    /// Its hash.
    pub hash: B256,
    /// Senders, one for each transaction.
    pub senders: Vec<Address>,
    /// What each call did.
    pub outcomes: Vec<CallOutcome>,
}

/// A simulation that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The request breaks a rule; code and text are those of the execution API.
    #[error("{message}")]
    Invalid {
        /// JSON-RPC code.
        code: i32,
        /// What is wrong.
        message: String,
    },
    /// Time, memory or our own failure.
    #[error(transparent)]
    Call(#[from] CallError),
}

fn invalid<T>(code: i32, message: impl Into<String>) -> Result<T, SimulateError> {
    Err(SimulateError::Invalid { code, message: message.into() })
}

/// Runs the blocks on the state after `base`.
///
/// # Errors
/// See [`SimulateError`].
pub fn simulate(
    config: &ChainConfig,
    base: &Sealed<Header>,
    state: Arc<dyn StateReader>,
    commitment: &dyn StateCommitment,
    blocks: &[SimulatedBlockRequest],
    options: SimulateOptions,
    interrupt: Option<Interrupt>,
) -> Result<Vec<SimulatedBlock>, SimulateError> {
    let blocks = arrange(base, blocks)?;
    let overlay = Overlay::new(state, base.number, base.hash(), &config.codes);
    let session = Session::new(config.chain_id, base.inner().clone(), overlay, interrupt);
    let mut simulation =
        Simulation { config, session, commitment, options, gas_left: CALL_GAS_CAP, bytes_left: MAX_SIMULATED_BYTES };
    let mut done: Vec<SimulatedBlock> = Vec::new();
    for block in &blocks {
        let parent = match done.last() {
            Some(previous) => Sealed::new_unchecked(previous.block.header.clone(), previous.hash),
            None => base.clone(),
        };
        done.push(simulation.block(&parent, block)?);
    }
    Ok(done)
}

/// Numbers and times of all blocks, with empty ones in the gaps.
fn arrange(base: &Header, blocks: &[SimulatedBlockRequest]) -> Result<Vec<SimulatedBlockRequest>, SimulateError> {
    let (mut number, mut time) = (base.number, base.timestamp);
    let mut arranged = Vec::new();
    for block in blocks {
        let wanted = block.number.unwrap_or_else(|| number.saturating_add(1));
        if wanted <= number {
            return invalid(-38020, format!("block numbers must be in order: {wanted} <= {number}"));
        }
        if wanted.saturating_sub(base.number) > MAX_SIMULATED_BLOCKS {
            return invalid(-38026, "too many blocks");
        }
        while number.saturating_add(1) < wanted {
            (number, time) = (number.saturating_add(1), time.saturating_add(1));
            let (number, time) = (Some(number), Some(time));
            arranged.push(SimulatedBlockRequest { number, time, ..SimulatedBlockRequest::default() });
        }
        let at = block.time.unwrap_or_else(|| time.saturating_add(1));
        if at < time {
            return invalid(-38021, format!("block timestamps must be in order: {at} <= {time}"));
        }
        (number, time) = (wanted, at);
        arranged.push(SimulatedBlockRequest { number: Some(number), time: Some(time), ..block.clone() });
    }
    Ok(arranged)
}

struct Simulation<'a> {
    config: &'a ChainConfig,
    session: Session,
    commitment: &'a dyn StateCommitment,
    options: SimulateOptions,
    /// Gas all calls together may still use.
    gas_left: u64,
    bytes_left: usize,
}

impl Simulation<'_> {
    fn block(
        &mut self,
        parent: &Sealed<Header>,
        request: &SimulatedBlockRequest,
    ) -> Result<SimulatedBlock, SimulateError> {
        // Every block hashes all that the ones before changed, also one without calls.
        self.session.check_time()?;
        self.session.header = self.open(parent, request);
        self.session.overlay().map_err(CallError::from)?.set_block_hash(parent.number, parent.hash());
        self.session.blob_base_fee = request.blob_base_fee;
        self.session.set_overrides(&request.overrides)?;
        self.session.store_parent_hash(parent.hash())?;
        let (mut transactions, mut receipts, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        for call in &request.calls {
            let (transaction, outcome) = self.call(call)?;
            self.session.header.gas_used = self.session.header.gas_used.saturating_add(outcome.gas_used);
            let (used, kind) = (self.session.header.gas_used, transaction.tx_type());
            receipts.push(OpReceiptEnvelope::from_parts(outcome.result.is_ok(), used, &outcome.logs, kind, None, None));
            transactions.push(transaction);
            outcomes.push(outcome);
        }
        let diff = self.session.overlay().map_err(CallError::from)?.diff();
        let roots = self.commitment.roots_after(&diff).map_err(CallError::from)?;
        let header = &mut self.session.header;
        header.state_root = roots.state_root;
        header.withdrawals_root = Some(roots.withdrawals_root);
        header.transactions_root = proofs::calculate_transaction_root(&transactions);
        header.receipts_root = proofs::calculate_receipt_root(&receipts);
        header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom());
        let (hash, header) = (header.hash_slow(), header.clone());
        let senders = request.calls.iter().map(|call| call.from).collect();
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Withdrawals::default()) };
        Ok(SimulatedBlock { block: Block { header, body }, hash, senders, outcomes })
    }

    fn open(&self, parent: &Sealed<Header>, request: &SimulatedBlockRequest) -> Header {
        let free = if self.options.validation { next_base_fee(parent, &self.config.params) } else { 0 };
        Header {
            parent_hash: parent.hash(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: request.beneficiary.unwrap_or(FEE_VAULT),
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            number: request.number.unwrap_or_default(),
            gas_limit: request.gas_limit.unwrap_or(parent.gas_limit),
            timestamp: request.time.unwrap_or_default(),
            mix_hash: request.randao.unwrap_or_default(),
            base_fee_per_gas: Some(request.base_fee.unwrap_or(free)),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }

    fn call(&mut self, call: &CallRequest) -> Result<(OpTxEnvelope, CallOutcome), SimulateError> {
        let header = &self.session.header;
        let free = header.gas_limit.saturating_sub(header.gas_used);
        let gas = call.gas.unwrap_or(free);
        if gas > free {
            let (used, limit) = (header.gas_used, header.gas_limit);
            return invalid(-38015, format!("block gas limit reached: {used} + {gas} > {limit}"));
        }
        if self.gas_left == 0 {
            return invalid(-38026, format!("the calls used up the gas that one request may use ({CALL_GAS_CAP})"));
        }
        let gas = gas.min(self.gas_left);
        let env = self.session.tx_env(call, gas).map_err(CallError::from)?;
        if let Some(reason) = self.wrong_nonce(call)? {
            return refused(&reason, &words::invalid(&reason, Asked::of(&env.base, 0)), gas);
        }
        let transaction = unsigned(call, env.base.nonce, gas, self.config.chain_id);
        let mut rules = self.session.call_rules(call.max_fee_per_gas > 0);
        if self.options.validation {
            rules.disable_nonce_check = false;
            rules.disable_base_fee = false;
        }
        let mut guard = self.session.guard(self.bytes_left, RecordingCost::CALLS);
        let outcome = if self.options.trace_transfers {
            let inspector = Guarded::new(&mut guard, TransferLogs::default());
            self.session.transact(rules, env, inspector, |evm, tx| evm.inspect_one_tx(tx))
        } else {
            let inspector = Guarded::new(&mut guard, NoOpInspector);
            self.session.transact(rules, env, inspector, |evm, tx| evm.inspect_one_tx(tx))
        };
        guard.verdict()?;
        self.bytes_left = guard.left();
        let outcome = match outcome {
            Err(CallError::Invalid(reason, text)) => return refused(&reason, &text, gas),
            other => other?,
        };
        self.session.overlay().map_err(CallError::from)?.commit(outcome.state);
        let outcome = outcome_of(outcome.result, &guard);
        self.gas_left = self.gas_left.saturating_sub(outcome.gas_used);
        Ok((transaction, outcome))
    }

    /// Of several things that are wrong with a call geth names the nonce first, revm the price.
    fn wrong_nonce(&mut self, call: &CallRequest) -> Result<Option<InvalidTransaction>, CallError> {
        let Some(tx) = call.nonce.filter(|_| self.options.validation) else { return Ok(None) };
        let state = self.session.overlay()?.account(call.from)?.unwrap_or_default().nonce;
        Ok(match tx.cmp(&state) {
            Ordering::Less => Some(InvalidTransaction::NonceTooLow { tx, state }),
            Ordering::Greater => Some(InvalidTransaction::NonceTooHigh { tx, state }),
            Ordering::Equal => None,
        })
    }
}

/// Geth's form of a transaction that cannot be executed.
fn refused<T>(reason: &InvalidTransaction, text: &str, gas: u64) -> Result<T, SimulateError> {
    invalid(code_of(reason), format!("err: {text} (supplied gas {gas})"))
}

/// The execution API's codes for transactions that cannot be executed.
const fn code_of(reason: &InvalidTransaction) -> i32 {
    match reason {
        InvalidTransaction::NonceTooLow { .. } => -38010,
        InvalidTransaction::NonceTooHigh { .. } => -38011,
        InvalidTransaction::GasPriceLessThanBasefee => -38012,
        InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
        | InvalidTransaction::GasFloorMoreThanGasLimit { .. } => -38013,
        InvalidTransaction::LackOfFundForMaxFee { .. } => -38014,
        InvalidTransaction::CreateInitCodeSizeLimit => -38025,
        _ => -32603,
    }
}

/// A call as the transaction it would be, without a signature.
fn unsigned(call: &CallRequest, nonce: u64, gas_limit: u64, chain_id: u64) -> OpTxEnvelope {
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    let CallRequest { value, data: input, access_list, .. } = call.clone();
    let to = call.to.map_or(TxKind::Create, TxKind::Call);
    let max_fee_per_gas = call.max_fee_per_gas;
    let tip = call.max_priority_fee_per_gas;
    if let (false, Some(to)) = (call.authorizations.is_empty(), call.to) {
        let authorization_list = call.authorizations.clone();
        let max_priority_fee_per_gas = tip.unwrap_or_default();
        return TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            authorization_list,
            input,
        }
        .into_signed(signature)
        .into();
    }
    match tip {
        None if max_fee_per_gas > 0 && access_list.0.is_empty() => {
            TxLegacy { chain_id: Some(chain_id), nonce, gas_price: max_fee_per_gas, gas_limit, to, value, input }
                .into_signed(signature)
                .into()
        }
        None if max_fee_per_gas > 0 => {
            TxEip2930 { chain_id, nonce, gas_price: max_fee_per_gas, gas_limit, to, value, access_list, input }
                .into_signed(signature)
                .into()
        }
        tip => {
            let max_priority_fee_per_gas = tip.unwrap_or_default();
            TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            }
            .into_signed(signature)
            .into()
        }
    }
}

/// Puts a log where a native transfer happens, and takes it back when the frame fails.
#[derive(Debug, Default)]
struct TransferLogs {
    /// For each open frame, the number of logs before it.
    frames: Vec<usize>,
    /// Transfers by `SELFDESTRUCT`, until a context to log in is at hand.
    destroyed: Vec<(Address, Address, U256)>,
}

fn put(context: &mut Ctx, from: Address, to: Address, value: U256) {
    if value.is_zero() {
        return;
    }
    let topics = vec![TRANSFER, from.into_word(), to.into_word()];
    let data = LogData::new_unchecked(topics, B256::from(value).into());
    context.journaled_state.inner.logs.push(Log { address: TRANSFER_EMITTER, data });
}

impl TransferLogs {
    fn enter(&mut self, context: &mut Ctx, transfer: Option<(Address, Address, U256)>) {
        self.frames.push(context.journaled_state.inner.logs.len());
        if let Some((from, to, value)) = transfer {
            put(context, from, to, value);
        }
    }

    fn leave(&mut self, context: &mut Ctx, success: bool) {
        let destroyed = std::mem::take(&mut self.destroyed);
        let before = self.frames.pop();
        if success {
            destroyed.into_iter().for_each(|(from, to, value)| put(context, from, to, value));
        } else if let Some(before) = before {
            context.journaled_state.inner.logs.truncate(before);
        }
    }
}

impl Inspector<Ctx> for TransferLogs {
    fn call(&mut self, context: &mut Ctx, inputs: &mut CallInputs) -> Option<FrameOutcome> {
        let transfer = inputs.transfer_value().map(|value| (inputs.transfer_from(), inputs.transfer_to(), value));
        self.enter(context, transfer);
        None
    }

    fn call_end(&mut self, context: &mut Ctx, _: &CallInputs, outcome: &mut FrameOutcome) {
        self.leave(context, outcome.result.is_ok());
    }

    fn create(&mut self, context: &mut Ctx, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let nonce = context.journaled_state.inner.state.get(&inputs.caller()).map_or(0, |account| account.info.nonce);
        let transfer = (inputs.caller(), inputs.created_address(nonce), inputs.value());
        self.enter(context, Some(transfer));
        None
    }

    fn create_end(&mut self, context: &mut Ctx, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(context, outcome.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.destroyed.push((contract, target, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_and_order_is_kept() {
        let base = Header { number: 10, timestamp: 100, ..Header::default() };
        let at = |number, time| SimulatedBlockRequest { number, time, ..SimulatedBlockRequest::default() };
        let arranged = arrange(&base, &[at(None, None), at(Some(14), Some(200)), at(None, Some(200))]).unwrap();
        let places: Vec<_> = arranged.iter().map(|block| (block.number.unwrap(), block.time.unwrap())).collect();
        assert_eq!(places, [(11, 101), (12, 102), (13, 103), (14, 200), (15, 200)]);
        for (blocks, code) in [
            (vec![at(Some(10), None)], -38020),
            (vec![at(Some(12), None), at(Some(12), None)], -38020),
            (vec![at(None, Some(99))], -38021),
            (vec![at(Some(13), Some(101))], -38021),
            (vec![at(Some(10 + MAX_SIMULATED_BLOCKS + 1), None)], -38026),
        ] {
            let refused = arrange(&base, &blocks);
            assert!(matches!(refused, Err(SimulateError::Invalid { code: got, .. }) if got == code), "{refused:?}");
        }
    }
}
