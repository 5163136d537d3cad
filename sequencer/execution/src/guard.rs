//! What stands before every inspector: it ends executions in time, and counts what is recorded of them.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use alloy_primitives::{
    Address, Bytes, Log, U256,
    map::{AddressMap, HashSet},
};
use revm::{
    Inspector,
    bytecode::opcode as op,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Gas, InstructionResult, Interpreter, InterpreterAction,
        InterpreterResult,
        interpreter::EthInterpreter,
        interpreter_types::{Jumps, LoopControl, ReturnData},
    },
};

use crate::{
    call::{CALL_STIPEND, CallError},
    env::Ctx,
    words::Instruction,
};

/// Instructions between two looks at the interrupt flag.
const FLAG_PERIOD: u32 = 1_024;
/// Instructions between two looks at the clock.
const CLOCK_PERIOD: u32 = 64;
/// Input with which the oldest precompiles (signatures, hashes, identity) still answer within microseconds, in bytes.
const BRIEF_INPUT: usize = 4_096;
/// Bytes counted for a recorded call frame besides its data.
const FRAME_BYTES: usize = 512;
/// Bytes counted for a recorded log besides its data.
const LOG_BYTES: usize = 192;
/// Bytes of a stack word.
const WORD_BYTES: usize = 32;
/// How many times itself recorded stack and memory take until they are answered: each word becomes a text of its own.
const SHOWN: usize = 4;
/// How many times itself a long text of bytes takes: two digits a byte.
const DIGITS: usize = 2;
/// Bytes counted for a storage slot each time it is shown: key and value, as words and as texts.
const SHOWN_SLOT_BYTES: usize = 256;
/// Bytes counted for a frame's place in the tree, for each level above it.
const PLACE_BYTES: usize = 32;
/// Gas of hashing a word.
const HASHED_WORD_GAS: u64 = 6;

/// What ends an execution early, with [`CallError::Interrupted`].
#[derive(Clone, Debug)]
pub enum Interrupt {
    /// Somebody raises the flag: a time limit.
    Flag(Arc<AtomicBool>),
    /// This moment comes, or code that no clock can stop is about to run (most precompiles): for executions on threads on which
    /// others wait.
    Brief(Instant),
}

impl Interrupt {
    /// Whether it is time to stop.
    pub(crate) fn raised(&self) -> bool {
        match self {
            Self::Flag(flag) => flag.load(Ordering::Relaxed),
            Self::Brief(until) => Instant::now() >= *until,
        }
    }
}

/// What recording counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordingCost {
    /// Inspectors that record calls and logs.
    pub(crate) recorders: usize,
    /// Bytes of a frame on top of what every frame counts.
    pub(crate) frame: usize,
    /// Each frame shows its place in the tree.
    pub(crate) places: bool,
    /// Each frame shows the code that it runs.
    pub(crate) code: bool,
    /// Bytes of an instruction; zero when instructions are not recorded.
    pub(crate) entry: usize,
    /// The stack is recorded, too.
    pub(crate) stack: bool,
    /// The memory is recorded, too.
    pub(crate) memory: bool,
    /// Each access to storage shows all of the contract's slots that were accessed so far.
    pub(crate) storage: bool,
    /// Each instruction shows what the last call returned.
    pub(crate) returned: bool,
    /// Each hash shows what was hashed, also one that failed.
    pub(crate) hashes: bool,
}

impl RecordingCost {
    /// Nothing is recorded.
    pub(crate) const NONE: Self = Self {
        recorders: 0,
        frame: 0,
        places: false,
        code: false,
        entry: 0,
        stack: false,
        memory: false,
        storage: false,
        returned: false,
        hashes: false,
    };
    /// Calls and logs are recorded.
    pub(crate) const CALLS: Self = Self { recorders: 1, ..Self::NONE };

    /// What two inspectors record together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            recorders: self.recorders.saturating_add(other.recorders),
            frame: self.frame.saturating_add(other.frame),
            places: self.places || other.places,
            code: self.code || other.code,
            entry: self.entry.saturating_add(other.entry),
            stack: self.stack || other.stack,
            memory: self.memory || other.memory,
            storage: self.storage || other.storage,
            returned: self.returned || other.returned,
            hashes: self.hashes || other.hashes,
        }
    }
}

/// Why an execution was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Interrupted,
    TooLarge,
}

/// Ends an execution when it is interrupted or when more would be recorded than allowed.
#[derive(Debug)]
pub(crate) struct Guard {
    interrupt: Option<Interrupt>,
    countdown: u32,
    left: usize,
    cost: RecordingCost,
    /// No more instructions are recorded.
    full: Rc<Cell<bool>>,
    stop: Option<Stop>,
    /// The instruction that began last.
    last: Instruction,
    /// Calls and creations seen, the transaction's own included.
    frames: usize,
    /// Gas spent before the last storage write of the transaction's own frame, with that frame's limit.
    write: Option<(u64, u64)>,
    /// Slots that recorded instructions accessed, by contract.
    slots: AddressMap<HashSet<U256>>,
}

impl Guard {
    /// Lets `bytes` be recorded.
    pub(crate) fn new(interrupt: Option<Interrupt>, bytes: usize, cost: RecordingCost) -> Self {
        Self {
            interrupt,
            countdown: CLOCK_PERIOD,
            left: bytes,
            cost,
            full: Rc::default(),
            stop: None,
            last: Instruction::default(),
            frames: 0,
            write: None,
            slots: AddressMap::default(),
        }
    }

    /// Counts instructions until this becomes true.
    pub(crate) fn until(self, full: Rc<Cell<bool>>) -> Self {
        Self { full, ..self }
    }

    /// The instruction that ended the execution, if one did.
    pub(crate) const fn last(&self) -> Instruction {
        self.last
    }

    /// Bytes that may still be recorded.
    pub(crate) const fn left(&self) -> usize {
        self.left
    }

    /// The least gas limit with which an execution that had `limit` reaches its storage writes, each of which must leave more
    /// than a stipend (EIP-2200); `None` after inner calls, which make that harder to tell.
    pub(crate) fn least_for_writes(&self, limit: u64) -> Option<u64> {
        if self.frames > 1 {
            return None;
        }
        let Some((spent, frame)) = self.write else { return Some(0) };
        Some(limit.saturating_sub(frame).saturating_add(spent).saturating_add(CALL_STIPEND).saturating_add(1))
    }

    /// An error when the execution was ended.
    pub(crate) const fn verdict(&self) -> Result<(), CallError> {
        match self.stop {
            None => Ok(()),
            Some(Stop::Interrupted) => Err(CallError::Interrupted),
            Some(Stop::TooLarge) => Err(CallError::TraceTooLarge),
        }
    }

    /// Looks whether it is time to stop, if it is time to look.
    fn look(&mut self, opcode: u8) {
        self.countdown = self.countdown.saturating_sub(1);
        let (period, now) = match &self.interrupt {
            None => return,
            Some(Interrupt::Flag(_)) => (FLAG_PERIOD, false),
            Some(Interrupt::Brief(_)) => (CLOCK_PERIOD, works_on_memory(opcode)),
        };
        if self.countdown > 0 && !now {
            return;
        }
        self.countdown = period;
        if self.interrupt.as_ref().is_some_and(Interrupt::raised) {
            self.stop = Some(Stop::Interrupted);
        }
    }

    /// For a call or a creation with `data`.
    fn charge_frame(&mut self, data: usize, depth: usize) {
        self.frames = self.frames.saturating_add(1);
        let place = if self.cost.places { depth.saturating_mul(PLACE_BYTES) } else { 0 };
        self.charge_shared(FRAME_BYTES.saturating_add(data));
        self.charge(self.cost.frame.saturating_add(place));
    }

    /// For what each inspector that records calls and logs keeps.
    fn charge_shared(&mut self, bytes: usize) {
        self.charge(bytes.saturating_mul(self.cost.recorders));
    }

    fn charge(&mut self, bytes: usize) {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.stop = self.stop.or(Some(Stop::TooLarge)),
        }
    }

    /// For an instruction, before it runs.
    fn charge_step(&mut self, opcode: u8, interpreter: &Interpreter<EthInterpreter>) {
        let cost = self.cost;
        let mut shown = 0_usize;
        if cost.stack {
            shown = shown.saturating_add(interpreter.stack.len().saturating_mul(WORD_BYTES));
        }
        if cost.memory {
            shown = shown.saturating_add(interpreter.memory.len());
        }
        if cost.hashes && opcode == op::KECCAK256 {
            shown = shown.saturating_add(hashed(interpreter));
        }
        let mut bytes = cost.entry.saturating_add(shown.saturating_mul(SHOWN));
        if cost.returned {
            bytes = bytes.saturating_add(interpreter.return_data.buffer().len().saturating_mul(DIGITS));
        }
        if cost.storage
            && matches!(opcode, op::SLOAD | op::SSTORE)
            && let Ok(slot) = interpreter.stack.peek(0)
        {
            let slots = self.slots.entry(interpreter.input.target_address).or_default();
            slots.insert(slot);
            bytes = bytes.saturating_add(slots.len().saturating_mul(SHOWN_SLOT_BYTES));
        }
        self.charge(bytes);
    }

    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>) {
        let opcode = interpreter.bytecode.opcode();
        self.last = Instruction::next(interpreter);
        self.look(opcode);
        if opcode == op::SSTORE {
            self.write = Some((interpreter.gas.total_gas_spent(), interpreter.gas.limit()));
        }
        if self.cost.entry > 0 && !self.full.get() {
            self.charge_step(opcode, interpreter);
        }
        if self.stop.is_some() {
            interpreter.halt(InstructionResult::OutOfGas);
        }
    }

    fn call(&mut self, depth: usize, inputs: &CallInputs) -> Option<CallOutcome> {
        self.charge_frame(inputs.input.len(), depth);
        if self.cost.code {
            self.charge(inputs.known_bytecode.1.len().saturating_mul(DIGITS));
        }
        if !matches!(self.interrupt, Some(Interrupt::Brief(_))) || !may_be_long(inputs) {
            return None;
        }
        self.stop = Some(Stop::Interrupted);
        let gas = Gas::new(inputs.gas_limit);
        let result = InterpreterResult { result: InstructionResult::OutOfGas, output: Bytes::new(), gas };
        Some(CallOutcome::new(result, inputs.return_memory_offset.clone()))
    }
}

/// Instructions whose work grows with the memory they name: one may take as long as many others.
const fn works_on_memory(opcode: u8) -> bool {
    matches!(
        opcode,
        op::KECCAK256 | op::CALLDATACOPY | op::CODECOPY | op::EXTCODECOPY | op::RETURNDATACOPY | op::MCOPY | op::LOG0
            ..=op::LOG4 | op::CREATE | op::CREATE2
    )
}

/// Bytes that a hash which is about to begin is recorded with. One whose words cost more gas than is left is not recorded; one
/// that fails because memory costs more is, at its full length.
fn hashed(interpreter: &Interpreter<EthInterpreter>) -> usize {
    let length = interpreter.stack.peek(1).ok().and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
    let gas = length.div_ceil(32).saturating_mul(HASHED_WORD_GAS);
    if gas > interpreter.gas.remaining() { 0 } else { usize::try_from(length).unwrap_or(usize::MAX) }
}

/// Whether a call may go to a precompile that works long. Where precompiles can be, nothing else is.
fn may_be_long(inputs: &CallInputs) -> bool {
    let (high, low) = inputs.bytecode_address.split_at(18);
    let quick = matches!(low, [0, 1..=4]) && inputs.input.len() <= BRIEF_INPUT;
    high.iter().all(|byte| *byte == 0) && !quick
}

/// Contract, target and balance of a self-destruction.
type Destruction = (Address, Address, U256);

/// A guard before an inspector, so that an instruction is counted before it is kept.
///
/// The inspector hears of self-destructions from here: revm takes their parties from the journal's last entry, and since Cancun
/// a contract that names itself leaves none.
pub(crate) struct Guarded<'a, I> {
    guard: &'a mut Guard,
    inner: I,
    destruction: Option<Destruction>,
}

impl<'a, I> Guarded<'a, I> {
    pub(crate) const fn new(guard: &'a mut Guard, inner: I) -> Self {
        Self { guard, inner, destruction: None }
    }
}

/// What an instruction will destroy if it succeeds.
fn destruction(interpreter: &Interpreter<EthInterpreter>, context: &Ctx) -> Option<Destruction> {
    if interpreter.bytecode.opcode() != op::SELFDESTRUCT {
        return None;
    }
    let contract = interpreter.input.target_address;
    let target = Address::from_word(interpreter.stack.peek(0).ok()?.into());
    let balance = context.journaled_state.inner.state.get(&contract)?.info.balance;
    Some((contract, target, balance))
}

/// Why the instruction that has just run ended its frame.
pub(crate) fn ending(interpreter: &mut Interpreter<EthInterpreter>) -> Option<InstructionResult> {
    interpreter.bytecode.action().as_ref().and_then(InterpreterAction::instruction_result)
}

impl<I: Inspector<Ctx>> Inspector<Ctx> for Guarded<'_, I> {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        self.inner.initialize_interp(interpreter, context);
    }

    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        self.guard.step(interpreter);
        self.destruction = destruction(interpreter, context);
        self.inner.step(interpreter, context);
    }

    fn step_end(&mut self, interpreter: &mut Interpreter<EthInterpreter>, context: &mut Ctx) {
        self.inner.step_end(interpreter, context);
        if let Some((contract, target, balance)) = self.destruction.take()
            && ending(interpreter) == Some(InstructionResult::SelfDestruct)
        {
            self.inner.selfdestruct(contract, target, balance);
        }
    }

    fn log(&mut self, context: &mut Ctx, log: Log) {
        self.guard.charge_shared(LOG_BYTES.saturating_add(log.data.data.len()));
        self.inner.log(context, log);
    }

    fn call(&mut self, context: &mut Ctx, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let ended = self.guard.call(context.journaled_state.inner.depth, inputs);
        let answered = self.inner.call(context, inputs);
        ended.or(answered)
    }

    fn call_end(&mut self, context: &mut Ctx, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.guard.charge_shared(outcome.result.output.len());
        self.inner.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut Ctx, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.guard.charge_frame(inputs.init_code().len(), context.journaled_state.inner.depth);
        self.inner.create(context, inputs)
    }

    fn create_end(&mut self, context: &mut Ctx, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.guard.charge_shared(outcome.result.output.len());
        self.inner.create_end(context, inputs, outcome);
    }
}
