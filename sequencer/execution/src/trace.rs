//! Traces: decided blocks executed again, and calls, with an inspector that records.
//!
//! What may be recorded in one request is bounded in bytes, because a transaction that costs little gas can make a trace
//! of many gigabytes (a loop that calls with a megabyte of input).

use std::sync::Arc;

use alloy_consensus::{Header, Transaction as _};
use alloy_primitives::{Address, B256, Log, U256, map::HashSet};
use alloy_rpc_types_trace::{
    geth::{
        GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions, GethDefaultTracingOptions, GethTrace,
    },
    parity::{TraceResults, TraceType},
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
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter, interpreter::EthInterpreter},
};
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TracingInspector, TracingInspectorConfig, TransactionContext,
};

use crate::{
    call::{CALL_GAS_CAP, CallEnvironment, CallError, CallRequest, Overrides},
    env::{self, ChainConfig, Ctx},
    overlay::Overlay,
    session::{Guard, Interrupt, Session, StepCost, Transacted},
};

/// Bytes that one request may record; its answer is of the same order.
pub const MAX_RECORDED_BYTES: usize = 96 * 1024 * 1024;
/// Bytes counted for a recorded instruction besides stack and memory.
const STEP_BYTES: usize = 200;

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
            let mut guard = self.session.guard(usize::MAX, StepCost::default());
            let outcome = self.session.transact(rules, env, &mut guard, |evm, tx| evm.inspect_one_tx(tx));
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
                let outcome = self.run(rules, tx.clone(), tracer.cost(), &mut tracer)?;
                if shows_state(options) {
                    self.charge_state(&outcome)?;
                }
                let block = self.session.block_env();
                let trace = tracer.result(context, &tx, &block, &outcome, self.session.overlay()?)?;
                self.keep(outcome)?;
                Ok(Recorded::Geth(Box::new(trace)))
            }
            Recording::Parity(types) => {
                let mut tracer = TracingInspector::new(TracingInspectorConfig::from_parity_config(types));
                let steps = types.contains(&TraceType::VmTrace);
                let cost = StepCost {
                    entry: if steps { STEP_BYTES } else { 0 },
                    stack: false,
                    memory: steps,
                    most: u64::MAX,
                    quiet: false,
                };
                let outcome = self.run(rules, tx, cost, &mut tracer)?;
                if types.contains(&TraceType::StateDiff) {
                    self.charge_state(&outcome)?;
                }
                let builder = tracer.with_transaction_gas_used(outcome.result.tx_gas_used()).into_parity_builder();
                let overlay = self.session.overlay()?;
                let results = builder
                    .into_trace_results_with_state(&outcome, types, &*overlay)
                    .map_err(|error| CallError::Fatal(error.0.into()))?;
                self.keep(outcome)?;
                Ok(Recorded::Parity(Box::new(results)))
            }
        }
    }

    fn run<I: Inspector<Ctx>>(
        &mut self,
        rules: CfgEnv<OpSpecId>,
        tx: OpTransaction<TxEnv>,
        cost: StepCost,
        tracer: &mut I,
    ) -> Result<Transacted, CallError> {
        let mut guard: Guard = self.session.guard(self.left, cost);
        let outcome = self.session.transact(rules, tx, (&mut guard, tracer), |evm, tx| evm.inspect_one_tx(tx));
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

/// Whether a trace shows the accounts that were touched.
fn shows_state(options: &GethDebugTracingOptions) -> bool {
    let Some(GethDebugTracerType::BuiltInTracer(tracer)) = &options.tracer else { return false };
    match tracer {
        GethDebugBuiltInTracerType::PreStateTracer => true,
        GethDebugBuiltInTracerType::MuxTracer => options.tracer_config.0.get("prestateTracer").is_some(),
        _ => false,
    }
}

/// Geth's tracers.
enum GethTracer {
    Named(Box<DebugInspector>),
    Steps(Box<StructLogger>),
}

fn tracer_error(error: DebugInspectorError) -> CallError {
    CallError::Tracer(match error {
        // Geth's words for a name that is none of its tracers.
        DebugInspectorError::JsTracerNotEnabled | DebugInspectorError::UnsupportedTracer => {
            "tracer not found".to_owned()
        }
        other => other.to_string(),
    })
}

impl GethTracer {
    fn new(options: &GethDebugTracingOptions) -> Result<Self, CallError> {
        match &options.tracer {
            None => Ok(Self::Steps(Box::new(StructLogger::new(options.config)))),
            Some(_) => {
                let inspector = DebugInspector::new(lenient(options.clone())).map_err(tracer_error)?;
                Ok(Self::Named(Box::new(inspector)))
            }
        }
    }

    fn cost(&self) -> StepCost {
        match self {
            Self::Named(inspector) => match inspector.as_ref() {
                DebugInspector::Erc7562Tracer(..) => {
                    StepCost { entry: STEP_BYTES, stack: true, memory: true, most: u64::MAX, quiet: false }
                }
                DebugInspector::FourByte(..) | DebugInspector::Noop(..) => {
                    StepCost { quiet: true, ..StepCost::default() }
                }
                _ => StepCost::default(),
            },
            Self::Steps(logger) => StepCost {
                entry: STEP_BYTES,
                stack: logger.options.is_stack_enabled(),
                memory: logger.options.is_memory_enabled(),
                most: logger.left,
                quiet: false,
            },
        }
    }

    fn result(
        &mut self,
        context: TransactionContext,
        tx: &OpTransaction<TxEnv>,
        block: &revm::context::BlockEnv,
        outcome: &Transacted,
        state: &mut Overlay,
    ) -> Result<GethTrace, CallError> {
        match self {
            Self::Named(inspector) => {
                inspector.get_result(Some(context), tx, block, outcome, state).map_err(|error| match error {
                    DebugInspectorError::Database(error) => CallError::Fatal(error.0.into()),
                    other => CallError::Tracer(other.to_string()),
                })
            }
            Self::Steps(logger) => {
                let output = outcome.result.output().cloned().unwrap_or_default();
                let gas_used = outcome.result.tx_gas_used();
                let mut frame = logger.inner.geth_builder().geth_traces(gas_used, output, logger.options);
                // Without a frame (a plain transfer) the builder knows neither gas nor outcome.
                frame.gas = gas_used;
                frame.failed = !outcome.result.is_success();
                Ok(frame.into())
            }
        }
    }
}

/// Geth accepts a missing configuration for every member of a mux, the library only for some.
fn lenient(mut options: GethDebugTracingOptions) -> GethDebugTracingOptions {
    let mux = GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::MuxTracer);
    if options.tracer.as_ref() == Some(&mux)
        && let Some(members) = options.tracer_config.0.as_object_mut()
    {
        for (name, config) in members {
            let unconfigured = matches!(name.as_str(), "4byteTracer" | "noopTracer");
            if unconfigured {
                *config = serde_json::Value::Null;
            } else if config.is_null() {
                *config = serde_json::json!({});
            }
        }
    }
    options
}

impl Inspector<Ctx> for GethTracer {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        match self {
            Self::Named(inspector) => inspector.initialize_interp(interpreter, context),
            Self::Steps(logger) => logger.inner.initialize_interp(interpreter, context),
        }
    }

    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        match self {
            Self::Named(inspector) => inspector.step(interpreter, context),
            Self::Steps(logger) => logger.step(interpreter, context),
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        match self {
            Self::Named(inspector) => inspector.step_end(interpreter, context),
            Self::Steps(logger) => logger.step_end(interpreter, context),
        }
    }

    fn log(&mut self, context: &mut Ctx, log: Log) {
        match self {
            Self::Named(inspector) => inspector.log(context, log),
            Self::Steps(logger) => logger.inner.log(context, log),
        }
    }

    fn log_full(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx, log: Log) {
        match self {
            Self::Named(inspector) => inspector.log_full(interpreter, context, log),
            Self::Steps(logger) => logger.inner.log_full(interpreter, context, log),
        }
    }

    fn call(&mut self, context: &mut Ctx, inputs: &mut CallInputs) -> Option<CallOutcome> {
        match self {
            Self::Named(inspector) => inspector.call(context, inputs),
            Self::Steps(logger) => logger.inner.call(context, inputs),
        }
    }

    fn call_end(&mut self, context: &mut Ctx, inputs: &CallInputs, outcome: &mut CallOutcome) {
        match self {
            Self::Named(inspector) => inspector.call_end(context, inputs, outcome),
            Self::Steps(logger) => logger.inner.call_end(context, inputs, outcome),
        }
    }

    fn create(&mut self, context: &mut Ctx, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        match self {
            Self::Named(inspector) => inspector.create(context, inputs),
            Self::Steps(logger) => logger.inner.create(context, inputs),
        }
    }

    fn create_end(&mut self, context: &mut Ctx, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        match self {
            Self::Named(inspector) => inspector.create_end(context, inputs, outcome),
            Self::Steps(logger) => logger.inner.create_end(context, inputs, outcome),
        }
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        match self {
            Self::Named(inspector) => Inspector::<Ctx>::selfdestruct(inspector.as_mut(), contract, target, value),
            Self::Steps(logger) => Inspector::<Ctx>::selfdestruct(&mut logger.inner, contract, target, value),
        }
    }
}

/// Struct logs with geth's `limit`: from there on the execution goes on unrecorded.
struct StructLogger {
    inner: TracingInspector,
    options: GethDefaultTracingOptions,
    left: u64,
    recording: bool,
}

impl StructLogger {
    fn new(options: GethDefaultTracingOptions) -> Self {
        let left = options.limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        let config = TracingInspectorConfig {
            record_memory_snapshots: options.is_memory_enabled(),
            ..TracingInspectorConfig::from_geth_config(&options)
        };
        Self { inner: TracingInspector::new(config), options, left, recording: false }
    }

    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        self.recording = self.left > 0;
        if self.recording {
            self.left = self.left.saturating_sub(1);
            self.inner.step(interpreter, context);
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        // Paired with the step before it: without sub-calls in between, since those end before their caller's step does.
        if self.recording {
            self.inner.step_end(interpreter, context);
        }
    }
}
