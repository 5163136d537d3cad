//! Recorded frames as tracers show them: nested or in a row, and with geth's words for what went wrong.

use std::mem;

use alloy_primitives::map::HashMap;
use alloy_rpc_types_trace::{
    geth::{CallConfig, CallFrame, erc7562::Erc7562Frame},
    parity::TransactionTrace,
};
use revm::interpreter::{InstructionResult, Interpreter, interpreter::EthInterpreter};
use revm_inspectors::tracing::types::CallTraceNode;

use crate::{
    guard::ending,
    words::{self, Instruction},
};

/// Why frames and instructions failed. Noted while they run: the library keeps revm's names only, and geth also tells the
/// instruction and the height of the stack.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Those of frames are asked for in the end; else they are not kept.
    of_frames: bool,
    /// The instruction that runs.
    current: Instruction,
    /// Of the instruction that has just ended its frame.
    last: Option<String>,
    frames: usize,
    /// Numbers of the frames that run, in the order in which they began.
    open: Vec<usize>,
    by_frame: HashMap<usize, String>,
}

impl Faults {
    pub(crate) fn new(of_frames: bool) -> Self {
        Self { of_frames, ..Self::default() }
    }

    pub(crate) fn step(&mut self, interpreter: &Interpreter<EthInterpreter>) {
        self.current = Instruction::next(interpreter);
    }

    pub(crate) fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>) {
        let failed = ending(interpreter).filter(|result| result.is_error());
        self.last = failed.map(|result| words::fault(result, self.current, None));
    }

    pub(crate) fn enter(&mut self) {
        self.open.push(self.frames);
        self.frames = self.frames.saturating_add(1);
        self.last = None;
    }

    /// A frame ends; `refusal` is what a precompile said last.
    pub(crate) fn leave(&mut self, result: InstructionResult, creates: bool, refusal: Option<&str>) {
        let Some(frame) = self.open.pop() else { return };
        if result.is_ok() || !self.of_frames {
            return;
        }
        let fault = match (self.last.take(), result) {
            (Some(fault), _) => fault,
            // No instruction failed: there is no gas to store what the last one returned.
            (None, InstructionResult::OutOfGas) if creates => "contract creation code storage out of gas".to_owned(),
            (None, _) => words::fault(result, Instruction::default(), refusal),
        };
        self.by_frame.insert(frame, fault);
    }

    /// Why the frame with this number failed, if it did; they are numbered as they began.
    pub(crate) fn frame(&self, number: usize) -> Option<String> {
        self.by_frame.get(&number).cloned()
    }

    /// Why the instruction that has just ended failed, if it did.
    pub(crate) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

/// The frames of `callTracer`, each within the one that began it. The library's way to nest them takes time that grows with the
/// square of their number.
pub(crate) fn nested(nodes: &[CallTraceNode], config: CallConfig, faults: &Faults) -> CallFrame {
    let with_log = config.with_log.unwrap_or_default();
    let top_only = config.only_top_call.unwrap_or_default();
    let shown = if top_only { 1 } else { nodes.len() };
    let mut reverted: Vec<bool> = Vec::with_capacity(shown);
    let mut frames: Vec<CallFrame> = Vec::with_capacity(shown);
    for (number, node) in nodes.iter().enumerate().take(shown) {
        let with_parent = node.parent.and_then(|parent| reverted.get(parent)).copied().unwrap_or_default();
        let gone = with_parent || node.trace.is_error();
        reverted.push(gone);
        let mut frame = node.geth_empty_call_frame(with_log && !gone);
        if let Some(fault) = faults.frame(number) {
            frame.error = Some(fault);
        }
        frame.calls.extend(node.geth_selfdestruct_call_trace().filter(|_| !top_only));
        frames.push(frame);
    }
    // A frame stands behind the one that began it: when its turn comes from the end, it has all of its own, the last one first.
    while let Some(mut frame) = frames.pop() {
        frame.calls.reverse();
        let parent = nodes.get(frames.len()).and_then(|node| node.parent);
        match parent.and_then(|parent| frames.get_mut(parent)) {
            Some(parent) => parent.calls.push(frame),
            None => return frame,
        }
    }
    CallFrame::default()
}

/// The frames of OpenEthereum's traces, one behind the other, each with its place: which call of which call. Here, too, the
/// library's way takes time that grows with the square of their number. `explain` may have better words for an error.
pub(crate) fn flat(
    nodes: &[CallTraceNode],
    explain: impl Fn(&CallTraceNode, &str) -> Option<String>,
) -> Vec<TransactionTrace> {
    let mut places = vec![Vec::new(); nodes.len()];
    let mut traces = Vec::with_capacity(nodes.len());
    let mut unordered = false;
    for (number, node) in nodes.iter().enumerate() {
        let place = places.get_mut(number).map(mem::take).unwrap_or_default();
        for (position, child) in node.children.iter().enumerate() {
            if let Some(below) = places.get_mut(*child) {
                below.clone_from(&place);
                below.push(position);
            }
        }
        if node.is_precompile() {
            continue;
        }
        let end = node.parity_selfdestruct_trace([&place[..], &[node.children.len()]].concat());
        let mut trace = node.parity_transaction_trace(place);
        trace.error = trace.error.map(|error| explain(node, &error).unwrap_or(error));
        trace.subtraces = trace.subtraces.saturating_add(usize::from(end.is_some()));
        // A self-destruction comes behind all calls of its frame.
        unordered |= end.is_some();
        traces.push(trace);
        traces.extend(end);
    }
    if unordered {
        traces.sort_by(|one, other| one.trace_address.cmp(&other.trace_address));
    }
    traces
}

/// Puts geth's words into the frames of `erc7562Tracer`.
pub(crate) fn explain(root: &mut Erc7562Frame, faults: &Faults) {
    let mut open = vec![root];
    let mut number = 0_usize;
    while let Some(frame) = open.pop() {
        if let Some(fault) = faults.frame(number) {
            frame.error = Some(fault);
        }
        number = number.saturating_add(1);
        open.extend(frame.calls.iter_mut().rev());
    }
}
