//! Geth's tracers: the library's, each with what geth does otherwise, and struct logs.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use alloy_primitives::{Address, Log, U256};
use alloy_rpc_types_trace::{
    geth::{
        CallConfig, CallFrame, GethDebugBuiltInTracerType, GethDebugTracerConfig, GethDebugTracerType,
        GethDebugTracingOptions, GethTrace, PreStateFrame, call::FlatCallFrame, mux::MuxFrame,
    },
    parity::{LocalizedTransactionTrace, TransactionTrace},
};
use op_revm::OpTransaction;
use revm::{
    DatabaseRef, Inspector,
    context::{BlockEnv, Transaction, TxEnv},
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, InstructionResult, Interpreter,
        interpreter::EthInterpreter,
    },
};
use revm_inspectors::tracing::{DebugInspector, DebugInspectorError, TransactionContext, types::CallTraceNode};
use serde_json::Value;

use crate::{
    call::CallError,
    env::Ctx,
    frames::{self, Faults},
    guard::RecordingCost,
    overlay::Overlay,
    session::Transacted,
    steps::StepLogger,
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
    /// Struct logs, which have no name: then there are no members.
    steps: Option<StepLogger>,
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
            None => {
                let steps = Some(StepLogger::new(options.config));
                Ok(Self { members: Vec::new(), names: None, steps, faults: Faults::default() })
            }
            Some(GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::MuxTracer)) => {
                let config = options.tracer_config.clone().into_mux_config();
                let config = config.map_err(|_| tracer_error(DebugInspectorError::InvalidTracerConfig))?;
                let member = |(name, config): (&GethDebugTracerType, &Option<_>)| {
                    Member::new(name.clone(), config.clone().unwrap_or_default())
                };
                let members = config.0.iter().map(member).collect::<Result<_, _>>()?;
                Ok(Self::of(members, Some(config.0.into_keys().collect())))
            }
            Some(name) => {
                let member = Member::new(name.clone(), options.tracer_config.clone())?;
                Ok(Self::of(vec![member], None))
            }
        }
    }

    fn of(members: Vec<Member>, names: Option<Vec<GethDebugTracerType>>) -> Self {
        let faults = Faults::new(members.iter().any(Member::shows_frames));
        Self { members, names, steps: None, faults }
    }

    /// What all of them record.
    pub(crate) fn cost(&self) -> RecordingCost {
        let steps = self.steps.as_ref().map_or(RecordingCost::NONE, |steps| {
            let options = steps.options();
            RecordingCost {
                entry: STEP_BYTES,
                stack: options.is_stack_enabled(),
                memory: options.is_memory_enabled(),
                storage: options.is_storage_enabled(),
                returned: options.is_return_data_enabled(),
                ..RecordingCost::NONE
            }
        });
        self.members.iter().map(Member::cost).fold(steps, RecordingCost::and)
    }

    /// Becomes true when no more instructions are recorded.
    pub(crate) fn full(&self) -> Rc<Cell<bool>> {
        self.steps.as_ref().map(StepLogger::full).unwrap_or_default()
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
        if let Some(steps) = &mut self.steps {
            return Ok(GethTrace::Default(steps.result(outcome)));
        }
        let mut traces = Vec::new();
        for member in &mut self.members {
            traces.push(member.result(context, tx, block, outcome, state, &self.faults)?);
        }
        match self.names.take() {
            Some(names) => Ok(GethTrace::MuxTracer(MuxFrame(names.into_iter().zip(traces).collect()))),
            None => traces.pop().ok_or_else(|| tracer_error(DebugInspectorError::UnsupportedTracer)),
        }
    }

    fn enter(&mut self) {
        self.faults.enter();
        self.steps.iter_mut().for_each(StepLogger::enter);
    }

    fn leave(&mut self, context: &Ctx, result: InstructionResult, creates: bool) {
        self.faults.leave(result, creates, context.local.precompile_error_message.as_deref());
        self.steps.iter_mut().for_each(StepLogger::leave);
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

    const fn shows_frames(&self) -> bool {
        use DebugInspector::{CallTracer, Erc7562Tracer, FlatCallTracer};
        matches!(self.inspector, CallTracer(..) | FlatCallTracer(..) | Erc7562Tracer(..))
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
        if let Some(steps) = &mut self.steps {
            steps.step(interpreter, context.journaled_state.inner.depth);
        }
        self.members.iter_mut().for_each(|member| member.inspector.step(interpreter, context));
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        self.faults.step_end(interpreter);
        if let Some(steps) = &mut self.steps {
            steps.step_end(interpreter, context, self.faults.last());
        }
        self.members.iter_mut().for_each(|member| member.inspector.step_end(interpreter, context));
    }

    fn log(&mut self, context: &mut Ctx, log: Log) {
        self.members.iter_mut().for_each(|member| member.inspector.log(context, log.clone()));
    }

    fn call(&mut self, context: &mut Ctx, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.enter();
        self.members.iter_mut().find_map(|member| member.inspector.call(context, inputs))
    }

    fn call_end(&mut self, context: &mut Ctx, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(context, outcome.result.result, false);
        self.members.iter_mut().for_each(|member| member.inspector.call_end(context, inputs, outcome));
    }

    fn create(&mut self, context: &mut Ctx, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.enter();
        self.members.iter_mut().find_map(|member| member.inspector.create(context, inputs))
    }

    fn create_end(&mut self, context: &mut Ctx, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.leave(context, outcome.result.result, true);
        self.members.iter_mut().for_each(|member| member.inspector.create_end(context, inputs, outcome));
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        for member in &mut self.members {
            Inspector::<Ctx>::selfdestruct(&mut member.inspector, contract, target, value);
        }
    }
}
