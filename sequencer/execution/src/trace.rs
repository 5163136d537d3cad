//! Traces: decided blocks executed again, and calls, with an inspector that records.
//!
//! What may be recorded in one request is bounded in bytes, because a transaction that costs little gas can make a trace
//! of many gigabytes (a loop that calls with a megabyte of input).

use std::sync::Arc;

use alloy_consensus::{Header, Transaction as _};
use alloy_primitives::{Address, B256, U256, map::HashSet};
use alloy_rpc_types_trace::{
    geth::{GethDebugTracingOptions, GethTrace},
    parity::{TraceResults, TraceType, VmTrace},
};
use op_alloy_consensus::OpTxEnvelope;
use op_revm::{OpSpecId, OpTransaction};
use protocol::{
    RecoveredTx,
    state::{StateDiff, StateReader},
};
use revm::{
    DatabaseCommit, DatabaseRef, Inspector,
    context::{CfgEnv, TxEnv},
    inspector::NoOpInspector,
};
use revm_inspectors::tracing::{TracingInspector, TracingInspectorConfig, TransactionContext, types::CallTraceNode};

use crate::{
    call::{CALL_GAS_CAP, CallEnvironment, CallError, CallRequest, Overrides},
    env::{self, ChainConfig, Ctx},
    frames,
    geth::GethTracer,
    guard::{Guard, Guarded, Interrupt, RecordingCost},
    overlay::Overlay,
    session::{Session, Transacted},
    words,
};

/// Bytes that one request may record; its answer is of the same order.
pub const MAX_RECORDED_BYTES: usize = 96 * 1024 * 1024;
/// Bytes counted for a recorded instruction besides stack and memory.
pub(crate) const STEP_BYTES: usize = 200;

/// Bytes counted for an account of which a trace shows the state, besides its code, and for one of its slots.
const ACCOUNT_BYTES: usize = 200;
const SLOT_BYTES: usize = 100;

/// What to record of each transaction.
#[derive(Clone, Debug)]
pub enum Recording {
    /// As geth's `debug_trace…`: a named tracer, or struct logs.
    Geth(Box<GethDebugTracingOptions>),
    /// As OpenEthereum's `trace_…`.
    Parity(HashSet<TraceType>),
}

/// What was recorded of a transaction.
#[derive(Clone, Debug)]
pub enum Recorded {
    /// For [`Recording::Geth`].
    Geth(Box<GethTrace>),
    /// For [`Recording::Parity`].
    Parity(Box<TraceResults>),
}

/// Transactions executed one after the other on a throw-away state.
pub struct Replay {
    session: Session,
    /// The block, `None` for calls.
    block: Option<B256>,
    gas_used: u64,
    index: usize,
    /// Bytes that may still be recorded.
    left: usize,
}

impl core::fmt::Debug for Replay {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Replay").field("block", &self.block).field("index", &self.index).finish_non_exhaustive()
    }
}

impl Replay {
    /// Opens a block again, on the state after its parent.
    ///
    /// # Errors
    /// [`CallError::Fatal`].
    pub fn of_block(
        config: &ChainConfig,
        header: &Header,
        hash: B256,
        state: Arc<dyn StateReader>,
        interrupt: Option<Interrupt>,
    ) -> Result<Self, CallError> {
        let overlay = Overlay::new(state, header.number.saturating_sub(1), header.parent_hash, &config.codes);
        let mut session = Session::new(config.chain_id, header.clone(), overlay, interrupt);
        session.store_parent_hash(header.parent_hash)?;
        Ok(Self { session, block: Some(hash), gas_used: 0, index: 0, left: MAX_RECORDED_BYTES })
    }

    /// For calls in an environment, each on the state that the one before left.
    ///
    /// # Errors
    /// [`CallError::Fatal`].
    pub fn of_calls(environment: &CallEnvironment) -> Result<Self, CallError> {
        let session = Session::of_call(environment)?;
        Ok(Self { session, block: None, gas_used: 0, index: 0, left: MAX_RECORDED_BYTES })
    }

    /// From here on, calls with these overrides instead of the block's transactions.
    ///
    /// # Errors
    /// [`CallError::Fatal`].
    pub fn turn_to_calls(
        &mut self,
        header: Header,
        blob_base_fee: Option<u128>,
        overrides: &Overrides,
    ) -> Result<(), CallError> {
        self.block = None;
        self.session.header = header;
        self.session.blob_base_fee = blob_base_fee;
        self.session.free_calls = true;
        self.session.set_overrides(overrides)
    }

    /// Executes a transaction of the block without recording.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn skip(&mut self, tx: &RecoveredTx) -> Result<(), CallError> {
        let env = self.block_tx(tx);
        let rules = self.session.block_rules();
        let outcome = if self.session.interruptible() {
            let mut guard = self.session.guard(usize::MAX, RecordingCost::NONE);
            let inspector = Guarded::new(&mut guard, NoOpInspector);
            let outcome = self.session.transact(rules, env, inspector, |evm, tx| evm.inspect_one_tx(tx));
            guard.verdict()?;
            outcome?
        } else {
            self.session.transact(rules, env, (), |evm, tx| evm.transact_one(tx))?
        };
        self.keep(outcome)
    }

    /// Executes a transaction of the block, or a signed one on the state reached, and records.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn trace(&mut self, tx: &RecoveredTx, recording: &Recording) -> Result<Recorded, CallError> {
        let env = self.block_tx(tx);
        let rules = self.session.block_rules();
        let context = TransactionContext { block_hash: self.block, tx_index: Some(self.index), tx_hash: Some(tx.hash) };
        self.record(rules, env, context, recording)
    }

    /// Runs a call and records.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn trace_call(&mut self, request: &CallRequest, recording: &Recording) -> Result<Recorded, CallError> {
        let gas = request.gas.unwrap_or(CALL_GAS_CAP).min(CALL_GAS_CAP);
        let env = self.session.tx_env(request, gas)?;
        let rules = self.session.call_rules(request.max_fee_per_gas > 0);
        self.record(rules, env, TransactionContext::default(), recording)
    }

    /// What the transactions have changed so far.
    ///
    /// # Errors
    /// [`CallError::Fatal`].
    pub fn changes(&mut self) -> Result<StateDiff, CallError> {
        Ok(self.session.overlay()?.diff())
    }

    /// What the transactions did to an account's storage so far: whether it was emptied, and the slots that were read or written
    /// since, with their values.
    ///
    /// # Errors
    /// [`CallError::Fatal`].
    pub fn storage_changes(&mut self, address: &Address) -> Result<(bool, Vec<(U256, U256)>), CallError> {
        Ok(self.session.overlay()?.storage_changes(address))
    }

    fn block_tx(&self, tx: &RecoveredTx) -> OpTransaction<TxEnv> {
        match &tx.envelope {
            OpTxEnvelope::Deposit(deposit) => {
                let left = self.session.header.gas_limit.saturating_sub(self.gas_used);
                env::deposit_tx_env(deposit, deposit.gas_limit().min(left))
            }
            _ => env::user_tx_env(tx),
        }
    }

    fn record(
        &mut self,
        rules: CfgEnv<OpSpecId>,
        tx: OpTransaction<TxEnv>,
        context: TransactionContext,
        recording: &Recording,
    ) -> Result<Recorded, CallError> {
        match recording {
            Recording::Geth(options) => {
                let mut tracer = GethTracer::new(options)?;
                let guard = self.session.guard(self.left, tracer.cost()).until(tracer.full());
                let outcome = self.run(rules, tx.clone(), guard, &mut tracer)?;
                if tracer.shows_state() {
                    self.charge_state(&outcome)?;
                }
                let block = self.session.block_env();
                let trace = tracer.result(context, &tx, &block, &outcome, self.session.overlay()?)?;
                self.keep(outcome)?;
                Ok(Recorded::Geth(Box::new(trace)))
            }
            Recording::Parity(types) => {
                let results = self.record_parity(rules, tx, types)?;
                Ok(Recorded::Parity(Box::new(results)))
            }
        }
    }

    fn record_parity(
        &mut self,
        rules: CfgEnv<OpSpecId>,
        tx: OpTransaction<TxEnv>,
        types: &HashSet<TraceType>,
    ) -> Result<TraceResults, CallError> {
        let (calls, steps) = (types.contains(&TraceType::Trace), types.contains(&TraceType::VmTrace));
        let config = TracingInspectorConfig::from_parity_config(types).set_state_diffs(steps);
        let mut tracer = TracingInspector::new(config);
        let cost = RecordingCost {
            places: calls,
            code: steps,
            entry: if steps { STEP_BYTES } else { 0 },
            memory: steps,
            ..RecordingCost::CALLS
        };
        let outcome = self.run(rules, tx, self.session.guard(self.left, cost), &mut tracer)?;
        if types.contains(&TraceType::StateDiff) {
            self.charge_state(&outcome)?;
        }
        tracer.set_transaction_gas_used(outcome.result.tx_gas_used());
        let explain = |_: &CallTraceNode, error: &str| words::parity(error).map(str::to_owned);
        let trace = if calls { frames::flat(tracer.traces().nodes(), explain) } else { Vec::new() };
        let rest = types.iter().copied().filter(|kind| *kind != TraceType::Trace).collect();
        let overlay = self.session.overlay()?;
        let results = tracer.into_parity_builder().into_trace_results_with_state(&outcome, &rest, &*overlay);
        let mut results = results.map_err(|error| CallError::Fatal(error.0.into()))?;
        results.trace = trace;
        if let Some(steps) = &mut results.vm_trace {
            keep_writes(steps);
        }
        self.keep(outcome)?;
        Ok(results)
    }

    fn run<I: Inspector<Ctx>>(
        &mut self,
        rules: CfgEnv<OpSpecId>,
        tx: OpTransaction<TxEnv>,
        mut guard: Guard,
        tracer: &mut I,
    ) -> Result<Transacted, CallError> {
        let inspector = Guarded::new(&mut guard, tracer);
        let outcome = self.session.transact(rules, tx, inspector, |evm, tx| evm.inspect_one_tx(tx));
        guard.verdict()?;
        self.left = guard.left();
        outcome
    }

    /// Counts the accounts that were touched, with their code: little gas reaches much of it.
    fn charge_state(&mut self, outcome: &Transacted) -> Result<(), CallError> {
        for account in outcome.state.values() {
            let code = match &account.info.code {
                Some(code) => code.len(),
                None => {
                    let overlay = self.session.overlay()?;
                    let code = overlay.code_by_hash_ref(account.info.code_hash);
                    code.map_err(|error| CallError::Fatal(error.0.into()))?.len()
                }
            };
            let bytes = account.storage.len().saturating_mul(SLOT_BYTES).saturating_add(code);
            let left = self.left.checked_sub(bytes.saturating_add(ACCOUNT_BYTES));
            self.left = left.ok_or(CallError::TraceTooLarge)?;
        }
        Ok(())
    }

    fn keep(&mut self, outcome: Transacted) -> Result<(), CallError> {
        self.gas_used = self.gas_used.saturating_add(outcome.result.tx_gas_used());
        self.index = self.index.saturating_add(1);
        self.session.overlay()?.commit(outcome.state);
        Ok(())
    }
}

/// Leaves writes alone in `store`: the library has the first reading of a slot there, too.
fn keep_writes(trace: &mut VmTrace) {
    let mut open = vec![trace];
    while let Some(trace) = open.pop() {
        for step in &mut trace.ops {
            if let Some(executed) = step.ex.as_mut().filter(|_| step.op.as_deref() == Some("SLOAD")) {
                executed.store = None;
            }
            open.extend(step.sub.as_mut());
        }
    }
}
