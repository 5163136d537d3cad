//! Geth's struct logs: each instruction with what it found.
//!
//! The library has them, too, but knows neither geth's `limit` (bytes of output) nor what geth leaves out of an entry, and it learns
//! of storage from the journal, which does not show a slot that was warm already.

use std::{cell::Cell, collections::BTreeMap, io, rc::Rc};

use alloy_primitives::{Address, B256, U256, hex, map::AddressMap};
use alloy_rpc_types_trace::geth::{DefaultFrame, GethDefaultTracingOptions, StructLog};
use revm::{
    DatabaseRef,
    bytecode::opcode::{self as op, OpCode},
    interpreter::{
        FrameInput, Interpreter, InterpreterAction,
        interpreter::EthInterpreter,
        interpreter_types::{Jumps, LoopControl, ReturnData},
    },
};

use crate::{env::Ctx, session::Transacted};

/// Records instructions until their entries have as many bytes as were asked for.
pub(crate) struct StepLogger {
    options: GethDefaultTracingOptions,
    logs: Vec<StructLog>,
    /// Bytes that entries may still have, if that is limited: the first one beyond is whole (as geth's).
    left: Option<usize>,
    full: Rc<Cell<bool>>,
    /// The instruction that runs has an entry.
    recording: bool,
    /// The slot on which the running instruction works, and what it writes.
    access: Option<(U256, Option<U256>)>,
    /// Slots that recorded instructions accessed, with the value that was read or written last.
    storage: AddressMap<BTreeMap<B256, B256>>,
    /// Gas that the running frame, and below it those that wait for it, will be refunded: revm counts by frame.
    refunds: Vec<i64>,
    refund: i64,
}

impl StepLogger {
    pub(crate) fn new(options: GethDefaultTracingOptions) -> Self {
        // Zero is no limit.
        let limit = options.limit.filter(|limit| *limit > 0);
        Self {
            options,
            logs: Vec::new(),
            left: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            full: Rc::new(Cell::new(false)),
            recording: false,
            access: None,
            storage: AddressMap::default(),
            refunds: Vec::new(),
            refund: 0,
        }
    }

    pub(crate) const fn options(&self) -> &GethDefaultTracingOptions {
        &self.options
    }

    /// Becomes true when no more instructions are recorded.
    pub(crate) fn full(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.full)
    }

    /// Before an instruction.
    pub(crate) fn step(&mut self, interpreter: &Interpreter<EthInterpreter>, depth: usize) {
        self.refund = interpreter.gas.refunded();
        // Without code there is nothing to run; revm runs a stop.
        self.recording = !self.full.get() && !interpreter.bytecode.is_empty();
        if !self.recording {
            return;
        }
        let code = interpreter.bytecode.opcode();
        let stack = &interpreter.stack;
        self.access = match code {
            _ if !self.options.is_storage_enabled() => None,
            op::SLOAD => stack.peek(0).ok().map(|slot| (slot, None)),
            op::SSTORE => stack.peek(0).ok().zip(stack.peek(1).ok().map(Some)),
            _ => None,
        };
        let known = OpCode::new(code).map(|known| known.as_str().into());
        let refund = self.refunds.iter().fold(self.refund, |sum, refund| sum.saturating_add(*refund));
        let mut entry = StructLog {
            pc: u64::try_from(interpreter.bytecode.pc()).unwrap_or(u64::MAX),
            op: known.unwrap_or_else(|| format!("opcode {code:#x} not defined").into()),
            gas: interpreter.gas.remaining(),
            depth: u64::try_from(depth).unwrap_or(u64::MAX),
            refund_counter: u64::try_from(refund).ok().filter(|refund| *refund > 0),
            ..StructLog::default()
        };
        if self.options.is_stack_enabled() {
            entry.stack = Some(stack.data().clone());
        }
        if self.options.is_memory_enabled() {
            let words: Vec<String> = interpreter.memory.context_memory().chunks(32).map(hex::encode_prefixed).collect();
            entry.memory = Some(words).filter(|words| !words.is_empty());
        }
        if self.options.is_return_data_enabled() {
            entry.return_data = Some(interpreter.return_data.buffer().clone()).filter(|data| !data.is_empty());
        }
        self.logs.push(entry);
    }

    /// After it: what it cost, why it failed, and the storage of the contract if it works on that.
    pub(crate) fn step_end(
        &mut self,
        interpreter: &mut Interpreter<EthInterpreter>,
        context: &Ctx,
        fault: Option<&str>,
    ) {
        self.refund = interpreter.gas.refunded();
        let access = self.access.take();
        let Some(entry) = self.logs.last_mut().filter(|_| self.recording) else { return };
        // What a creation is given to run with is no part of its price, as what a call is given is of its own (as geth).
        let given = match interpreter.bytecode.action() {
            Some(InterpreterAction::NewFrame(FrameInput::Create(inputs))) => inputs.gas_limit(),
            _ => 0,
        };
        let left = interpreter.gas.remaining().saturating_add(given);
        entry.gas_cost = entry.gas.saturating_sub(left);
        entry.error = fault.map(str::to_owned);
        if let Some((slot, written)) = access {
            let contract = interpreter.input.target_address;
            let value = written.unwrap_or_else(|| stored(context, contract, slot));
            let slots = self.storage.entry(contract).or_default();
            slots.insert(slot.into(), value.into());
            entry.storage = Some(slots.clone());
        }
        if let Some(left) = self.left {
            let left = left.checked_sub(length(entry));
            self.full.set(left.is_none());
            self.left = left;
        }
    }

    /// A call or creation begins.
    pub(crate) fn enter(&mut self) {
        self.refunds.push(self.refund);
        self.refund = 0;
    }

    /// It has ended; the caller's next instruction knows what became of its refund.
    pub(crate) fn leave(&mut self) {
        self.refund = self.refunds.pop().unwrap_or_default();
    }

    /// What was recorded of a transaction that ended so.
    pub(crate) fn result(&mut self, outcome: &Transacted) -> DefaultFrame {
        let result = &outcome.result;
        DefaultFrame {
            failed: !result.is_success(),
            gas: result.tx_gas_used(),
            return_value: result.output().cloned().unwrap_or_default(),
            struct_logs: std::mem::take(&mut self.logs),
            ..DefaultFrame::default()
        }
    }
}

/// A slot's value as a contract sees it.
fn stored(context: &Ctx, contract: Address, slot: U256) -> U256 {
    let account = context.journaled_state.inner.state.get(&contract);
    match account.and_then(|account| account.storage.get(&slot)) {
        Some(slot) => slot.present_value(),
        // There was no gas to read it.
        None => context.journaled_state.database.storage_ref(contract, slot).unwrap_or_default(),
    }
}

/// Bytes of an entry as JSON.
fn length(entry: &StructLog) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    match serde_json::to_writer(&mut count, entry) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
