//! Geth's tracers: the library's, each with what geth does otherwise.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Log, U256};
use alloy_rpc_types_trace::{
    geth::{
        CallConfig, CallFrame, DefaultFrame, GethDebugBuiltInTracerType, GethDebugTracerConfig, GethDebugTracerType,
        GethDebugTracingOptions, GethTrace, PreStateFrame, call::FlatCallFrame, mux::MuxFrame,
    },
    parity::{LocalizedTransactionTrace, TransactionTrace},
};
use op_revm::OpTransaction;
use revm::{
    DatabaseRef, Inspector,
    context::{BlockEnv, Transaction, TxEnv},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter, interpreter::EthInterpreter},
};
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TracingInspector, TracingInspectorConfig, TransactionContext,
    types::CallTraceNode,
};
use serde_json::Value;

use crate::{
    call::CallError,
    env::Ctx,
    frames::{self, Faults},
    guard::RecordingCost,
    overlay::Overlay,
    session::Transacted,
    trace::STEP_BYTES,
    words,
};

/// Bytes counted for a frame of `erc7562Tracer` besides what every frame counts: the library takes time that grows with the square
/// of their number, so that there may be no more than ten thousand.
const NESTED_FRAME_BYTES: usize = 10_240;

/// Tracers that watch one transaction: several under `muxTracer`, else one.
pub(crate) struct GethTracer {
    members: Vec<Member>,
    /// The names of `muxTracer`'s members.
    names: Option<Vec<GethDebugTracerType>>,
    /// Instructions that are still recorded (geth's `limit` of struct logs); later ones only run.
    left: u64,
    recording: bool,
    faults: Faults,
}

/// One of the library's tracers, with options that it does not know.
struct Member {
    inspector: DebugInspector,
    /// `prestateTracer` shows accounts that did not exist.
    include_empty: bool,
    /// `flatCallTracer` has OpenEthereum's words for errors instead of geth's.
    parity_errors: bool,
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
    pub(crate) fn new(options: &GethDebugTracingOptions) -> Result<Self, CallError> {
        match &options.tracer {
            None => Ok(Self::of(vec![Member::of_steps(options)], None, options.config.limit)),
            Some(GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::MuxTracer)) => {
                let config = options.tracer_config.clone().into_mux_config();
                let config = config.map_err(|_| tracer_error(DebugInspectorError::InvalidTracerConfig))?;
                let member = |(name, config): (&GethDebugTracerType, &Option<_>)| {
                    Member::new(name.clone(), config.clone().unwrap_or_default())
                };
                let members = config.0.iter().map(member).collect::<Result<_, _>>()?;
                Ok(Self::of(members, Some(config.0.into_keys().collect()), None))
            }
            Some(name) => {
                let member = Member::new(name.clone(), options.tracer_config.clone())?;
                Ok(Self::of(vec![member], None, None))
            }
        }
    }

    fn of(members: Vec<Member>, names: Option<Vec<GethDebugTracerType>>, limit: Option<u64>) -> Self {
        let any = |shows: fn(&Member) -> bool| members.iter().any(shows);
        let faults = Faults::new(any(Member::shows_frames), any(Member::shows_steps));
        // Zero is no limit.
        let left = limit.filter(|limit| *limit > 0).unwrap_or(u64::MAX);
        Self { members, names, left, recording: false, faults }
    }

    /// What all of them record.
    pub(crate) fn cost(&self) -> RecordingCost {
        let cost = self.members.iter().map(Member::cost).fold(RecordingCost::NONE, RecordingCost::and);
        RecordingCost { most: self.left, ..cost }
    }

    /// Whether accounts that were touched are shown.
    pub(crate) fn shows_state(&self) -> bool {
        self.members.iter().any(|member| matches!(member.inspector, DebugInspector::PreStateTracer(..)))
    }

    /// What they make of the transaction, whose changes are not in the state yet.
    pub(crate) fn result(
        &mut self,
        context: TransactionContext,
        tx: &OpTransaction<TxEnv>,
        block: &BlockEnv,
        outcome: &Transacted,
        state: &mut Overlay,
    ) -> Result<GethTrace, CallError> {
        let mut traces = Vec::new();
        for member in &mut self.members {
            traces.push(member.result(context, tx, block, outcome, state, &self.faults)?);
        }
        match self.names.take() {
            Some(names) => Ok(GethTrace::MuxTracer(MuxFrame(names.into_iter().zip(traces).collect()))),
            None => traces.pop().ok_or_else(|| tracer_error(DebugInspectorError::UnsupportedTracer)),
        }
    }
}

impl Member {
    fn new(name: GethDebugTracerType, config: GethDebugTracerConfig) -> Result<Self, CallError> {
        if name == GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::MuxTracer) {
            return Err(CallError::Tracer("muxTracer cannot be within another".to_owned()));
        }
        let flag = |name: &str| config.0.get(name).and_then(Value::as_bool).unwrap_or_default();
        let (include_empty, parity_errors) = (flag("includeEmpty"), flag("convertParityErrors"));
        if include_empty && flag("diffMode") {
            return Err(CallError::Tracer("cannot use diffMode with includeEmpty".to_owned()));
        }
        let options = GethDebugTracingOptions { tracer: Some(name), tracer_config: config, ..Default::default() };
        Ok(Self { inspector: DebugInspector::new(options).map_err(tracer_error)?, include_empty, parity_errors })
    }

    /// Struct logs.
    fn of_steps(options: &GethDebugTracingOptions) -> Self {
        let options = options.config;
        let config = TracingInspectorConfig {
            record_memory_snapshots: options.is_memory_enabled(),
            ..TracingInspectorConfig::from_geth_config(&options)
        };
        let inspector = DebugInspector::Default(TracingInspector::new(config), options);
        Self { inspector, include_empty: false, parity_errors: false }
    }

    const fn shows_frames(&self) -> bool {
        use DebugInspector::{CallTracer, Erc7562Tracer, FlatCallTracer};
        matches!(self.inspector, CallTracer(..) | FlatCallTracer(..) | Erc7562Tracer(..))
    }

    const fn shows_steps(&self) -> bool {
        matches!(self.inspector, DebugInspector::Default(..))
    }

    fn cost(&self) -> RecordingCost {
        match &self.inspector {
            DebugInspector::FourByte(..) | DebugInspector::Noop(..) => RecordingCost::NONE,
            DebugInspector::FlatCallTracer(..) => RecordingCost { places: true, ..RecordingCost::CALLS },
            DebugInspector::Erc7562Tracer(..) => RecordingCost {
                frame: NESTED_FRAME_BYTES,
                entry: STEP_BYTES,
                stack: true,
                memory: true,
                hashes: true,
                ..RecordingCost::CALLS
            },
            DebugInspector::Default(_, options) => RecordingCost {
                entry: STEP_BYTES,
                stack: options.is_stack_enabled(),
                memory: options.is_memory_enabled(),
                storage: options.is_storage_enabled(),
                returned: options.is_return_data_enabled(),
                ..RecordingCost::CALLS
            },
            _ => RecordingCost::CALLS,
        }
    }

    fn result(
        &mut self,
        context: TransactionContext,
        tx: &OpTransaction<TxEnv>,
        block: &BlockEnv,
        outcome: &Transacted,
        state: &mut Overlay,
        faults: &Faults,
    ) -> Result<GethTrace, CallError> {
        let gas_used = outcome.result.tx_gas_used();
        match &mut self.inspector {
            DebugInspector::CallTracer(inspector, config) => {
                inspector.set_transaction_gas_limit(tx.gas_limit());
                inspector.set_transaction_caller(tx.caller());
                return Ok(call_frame(inspector.traces().nodes(), *config, gas_used, faults).into());
            }
            DebugInspector::FlatCallTracer(inspector) => {
                inspector.set_transaction_gas_limit(tx.gas_limit());
                inspector.set_transaction_caller(tx.caller());
                inspector.set_transaction_gas_used(gas_used);
                let traces = frames::flat(inspector.traces().nodes(), |node, error| match self.parity_errors {
                    true => words::parity(error).map(str::to_owned),
                    false => faults.frame(node.idx),
                });
                return Ok(GethTrace::FlatCallTracer(localized(traces, context, block)));
            }
            _ => {}
        }
        let trace = self.inspector.get_result(Some(context), tx, block, outcome, state);
        let mut trace = trace.map_err(|error| match error {
            DebugInspectorError::Database(error) => CallError::Fatal(error.0.into()),
            other => CallError::Tracer(other.to_string()),
        })?;
        match &mut trace {
            GethTrace::Default(frame) => complete(frame, outcome, faults),
            GethTrace::Erc7562Tracer(frame) => frames::explain(frame, faults),
            GethTrace::PreStateTracer(frame) if !self.include_empty => drop_empty(frame, state)?,
            _ => {}
        }
        Ok(trace)
    }
}

/// The transaction's own frame has the receipt's gas, which knows of refunds.
fn call_frame(nodes: &[CallTraceNode], config: CallConfig, gas_used: u64, faults: &Faults) -> CallFrame {
    let mut frame = frames::nested(nodes, config, faults);
    frame.gas_used = U256::from(gas_used);
    frame
}

fn localized(traces: Vec<TransactionTrace>, context: TransactionContext, block: &BlockEnv) -> FlatCallFrame {
    let place = |trace| LocalizedTransactionTrace {
        trace,
        block_hash: context.block_hash,
        block_number: Some(block.number.saturating_to()),
        transaction_hash: context.tx_hash,
        transaction_position: context.tx_index.and_then(|index| u64::try_from(index).ok()),
    };
    traces.into_iter().map(place).collect()
}

/// Without a frame (a plain transfer) the library knows neither gas nor outcome.
fn complete(frame: &mut DefaultFrame, outcome: &Transacted, faults: &Faults) {
    frame.gas = outcome.result.tx_gas_used();
    frame.failed = !outcome.result.is_success();
    let failed = frame.struct_logs.iter_mut().filter_map(|step| step.error.as_mut());
    for (error, fault) in failed.zip(faults.steps()) {
        error.clone_from(fault);
    }
}

/// Takes accounts away that did not exist before the transaction.
fn drop_empty(frame: &mut PreStateFrame, state: &Overlay) -> Result<(), CallError> {
    let before = match frame {
        PreStateFrame::Default(accounts) => &mut accounts.0,
        PreStateFrame::Diff(difference) => &mut difference.pre,
    };
    let mut kept = BTreeMap::new();
    for (address, account) in std::mem::take(before) {
        let info = state.basic_ref(address).map_err(|error| CallError::Fatal(error.0.into()))?;
        if info.is_some_and(|info| !info.is_empty()) {
            kept.insert(address, account);
        }
    }
    *before = kept;
    Ok(())
}

impl Inspector<Ctx> for GethTracer {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        self.members.iter_mut().for_each(|member| member.inspector.initialize_interp(interpreter, context));
    }

    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        self.faults.step(interpreter);
        self.recording = self.left > 0;
        if self.recording {
            self.left = self.left.saturating_sub(1);
            self.members.iter_mut().for_each(|member| member.inspector.step(interpreter, context));
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        self.faults.step_end(interpreter, self.recording);
        // Paired with the step before it: without sub-calls in between, since those end before their caller's step does.
        if self.recording {
            self.members.iter_mut().for_each(|member| member.inspector.step_end(interpreter, context));
        }
    }

    fn log(&mut self, context: &mut Ctx, log: Log) {
        self.members.iter_mut().for_each(|member| member.inspector.log(context, log.clone()));
    }

    fn call(&mut self, context: &mut Ctx, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.faults.enter();
        self.members.iter_mut().find_map(|member| member.inspector.call(context, inputs))
    }

    fn call_end(&mut self, context: &mut Ctx, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.faults.leave(outcome.result.result, false);
        self.members.iter_mut().for_each(|member| member.inspector.call_end(context, inputs, outcome));
    }

    fn create(&mut self, context: &mut Ctx, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.faults.enter();
        self.members.iter_mut().find_map(|member| member.inspector.create(context, inputs))
    }

    fn create_end(&mut self, context: &mut Ctx, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.faults.leave(outcome.result.result, true);
        self.members.iter_mut().for_each(|member| member.inspector.create_end(context, inputs, outcome));
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        for member in &mut self.members {
            Inspector::<Ctx>::selfdestruct(&mut member.inspector, contract, target, value);
        }
    }
}
