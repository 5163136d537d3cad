//! A throw-away state on which transactions run one after the other: calls, traces, simulations.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Log, TxKind, U256, keccak256};
use op_revm::{L1BlockInfo, OpHaltReason, OpSpecId, OpTransaction, OpTransactionError};
use protocol::state::StateError;
use revm::{
    DatabaseCommit, Inspector,
    bytecode::opcode as op,
    context::{BlockEnv, CfgEnv, TxEnv, result::ExecutionResult},
    context_interface::{
        either::Either,
        result::{EVMError, ResultAndState},
    },
    interpreter::{
        CallInputs, CallOutcome as FrameOutcome, CreateInputs, CreateOutcome, Gas, InstructionResult, Interpreter,
        InterpreterResult, interpreter::EthInterpreter, interpreter_types::Jumps,
    },
    state::Bytecode,
};

use crate::{
    build::fatal,
    call::{AccountOverride, CALL_STIPEND, CallEnvironment, CallError, CallRequest, Overrides},
    env::{self, Ctx, EvmError, ExecutionError},
    overlay::Overlay,
    precompiles::Precompiles,
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

/// What one transaction did: its result and the changes it made, which are not in the session's state yet.
pub(crate) type Transacted = ResultAndState<OpHaltReason>;

/// What ends an execution early, with [`CallError::Interrupted`].
#[derive(Clone, Debug)]
pub enum Interrupt {
    /// Somebody raises the flag: a time limit.
    Flag(Arc<AtomicBool>),
    /// This moment comes, or code that no clock can stop is about to run (most precompiles): for executions on threads on which
    /// others wait.
    Brief(Instant),
}

/// Rules, block environment and state of a request.
pub(crate) struct Session {
    chain_id: u64,
    /// The block the transactions believe to be in.
    pub(crate) header: Header,
    overlay: Option<Overlay>,
    precompiles: Precompiles,
    /// What `BLOBBASEFEE` gives instead of the floor, in wei.
    pub(crate) blob_base_fee: Option<u128>,
    interrupt: Option<Interrupt>,
}

impl Session {
    /// On a state as it is.
    pub(crate) fn new(chain_id: u64, header: Header, overlay: Overlay, interrupt: Option<Interrupt>) -> Self {
        Self {
            chain_id,
            header,
            overlay: Some(overlay),
            precompiles: Precompiles::mainnet(),
            blob_base_fee: None,
            interrupt,
        }
    }

    /// In a call's environment, with its overrides.
    pub(crate) fn of_call(environment: &CallEnvironment) -> Result<Self, CallError> {
        let moves = environment.overrides.values().any(|change| change.move_precompile_to.is_some());
        if moves && matches!(environment.interrupt, Some(Interrupt::Brief(_))) {
            // No address says any more what takes long.
            return Err(CallError::Interrupted);
        }
        let header = environment.header.clone();
        let (parent, codes) = (header.number.saturating_sub(1), &environment.config.codes);
        let overlay = Overlay::new(environment.state.clone(), parent, header.parent_hash, codes);
        let interrupt = environment.interrupt.clone();
        let mut session = Self::new(environment.config.chain_id, header, overlay, interrupt);
        session.blob_base_fee = environment.blob_base_fee;
        session.set_overrides(&environment.overrides)?;
        Ok(session)
    }

    /// Puts accounts in place of what is there. Precompiles that earlier overrides moved are back in their places.
    pub(crate) fn set_overrides(&mut self, overrides: &Overrides) -> Result<(), CallError> {
        self.precompiles = Precompiles::overridden(overrides)?;
        let overlay = self.overlay()?;
        for (address, change) in overrides {
            override_account(overlay, *address, change)?;
        }
        Ok(())
    }

    /// The state as the transactions left it so far.
    pub(crate) fn overlay(&mut self) -> Result<&mut Overlay, ExecutionError> {
        self.overlay.as_mut().ok_or_else(|| ExecutionError::Evm("session used after a failure".into()))
    }

    /// The block as the EVM sees it.
    pub(crate) fn block_env(&self) -> BlockEnv {
        let mut block = env::block_env(&self.header);
        if let (Some(price), Some(blobs)) = (self.blob_base_fee, &mut block.blob_excess_gas_and_price) {
            blobs.blob_gasprice = price;
        }
        block
    }

    /// The rules of blocks.
    pub(crate) fn block_rules(&self) -> CfgEnv<OpSpecId> {
        env::cfg_env(self.chain_id)
    }

    /// The rules of simulated calls: nonce, sender code and block gas limit are not checked, the base fee only where a
    /// price is named.
    pub(crate) fn call_rules(&self, priced: bool) -> CfgEnv<OpSpecId> {
        let mut cfg = env::cfg_env(self.chain_id);
        cfg.tx_chain_id_check = false;
        cfg.disable_nonce_check = true;
        cfg.disable_eip3607 = true;
        cfg.disable_block_gas_limit = true;
        cfg.disable_base_fee = !priced;
        cfg.tx_gas_limit_cap = Some(u64::MAX);
        cfg
    }

    /// A guard that lets `bytes` be recorded.
    pub(crate) fn guard(&self, bytes: usize, cost: StepCost) -> Guard {
        Guard {
            interrupt: self.interrupt.clone(),
            countdown: CLOCK_PERIOD,
            left: bytes,
            cost,
            stop: None,
            frames: 0,
            write: None,
        }
    }

    /// Whether something can end executions early.
    pub(crate) const fn interruptible(&self) -> bool {
        self.interrupt.is_some()
    }

    /// Runs a transaction with an inspector. Its changes are returned, not applied.
    pub(crate) fn transact<I>(
        &mut self,
        cfg: CfgEnv<OpSpecId>,
        tx: OpTransaction<TxEnv>,
        inspector: I,
        run: impl FnOnce(&mut env::Evm<I>, OpTransaction<TxEnv>) -> Result<ExecutionResult<OpHaltReason>, EvmError>,
    ) -> Result<Transacted, CallError> {
        let Some(overlay) = self.overlay.take() else {
            return Err(ExecutionError::Evm("session used after a failure".into()).into());
        };
        let sender = tx.base.caller;
        let pays_l1 = tx.enveloped_tx.as_ref().is_some_and(|encoded| !encoded.is_empty());
        let mut evm = env::evm(cfg, self.block_env(), overlay, self.precompiles.clone(), inspector);
        if !pays_l1 {
            // Neither does a deposit: the fee's parameters need not be read.
            evm.set_l1_fee(free_of_l1_fee(&self.header));
        }
        let outcome = run(&mut evm, tx);
        let state = evm.finalize();
        self.overlay = Some(evm.into_state());
        match outcome {
            Ok(result) => Ok(Transacted { result, state }),
            Err(EVMError::Transaction(OpTransactionError::Base(reason))) => Err(CallError::Invalid(reason, sender)),
            Err(other) => Err(fatal(other).into()),
        }
    }

    /// What the protocol does before a block's first transaction.
    pub(crate) fn store_parent_hash(&mut self, parent: B256) -> Result<(), CallError> {
        let Some(overlay) = self.overlay.take() else {
            return Err(ExecutionError::Evm("session used after a failure".into()).into());
        };
        let mut evm = env::evm(self.block_rules(), env::block_env(&self.header), overlay, Precompiles::mainnet(), ());
        let changes = env::parent_hash_changes(&mut evm, parent).map_err(fatal)?;
        let mut overlay = evm.into_state();
        overlay.commit(changes);
        self.overlay = Some(overlay);
        Ok(())
    }

    /// A request as a transaction for the EVM.
    pub(crate) fn tx_env(
        &mut self,
        request: &CallRequest,
        gas_limit: u64,
    ) -> Result<OpTransaction<TxEnv>, ExecutionError> {
        let chain_id = self.chain_id;
        let nonce = match request.nonce {
            Some(nonce) => nonce,
            None => self.overlay()?.account(request.from)?.unwrap_or_default().nonce,
        };
        let tx_type = match (request.authorizations.is_empty(), request.max_priority_fee_per_gas) {
            (false, _) => 4,
            (true, Some(_)) => 2,
            (true, None) => 1,
        };
        Ok(OpTransaction {
            base: TxEnv {
                tx_type,
                caller: request.from,
                gas_limit,
                gas_price: request.max_fee_per_gas,
                gas_priority_fee: request.max_priority_fee_per_gas,
                kind: request.to.map_or(TxKind::Create, TxKind::Call),
                value: request.value,
                data: request.data.clone(),
                nonce,
                chain_id: Some(chain_id),
                access_list: request.access_list.clone(),
                blob_hashes: Vec::new(),
                max_fee_per_blob_gas: 0,
                authorization_list: request.authorizations.iter().cloned().map(Either::Left).collect(),
            },
            // Empty bytes: a simulated call pays no L1 fee.
            enveloped_tx: Some(Bytes::new()),
            deposit: Default::default(),
        })
    }
}

/// The L1 fee's parameters when nobody pays one.
fn free_of_l1_fee(header: &Header) -> L1BlockInfo {
    L1BlockInfo {
        l2_block: Some(U256::from(header.number)),
        operator_fee_scalar: Some(U256::ZERO),
        operator_fee_constant: Some(U256::ZERO),
        ..L1BlockInfo::default()
    }
}

fn override_account(overlay: &mut Overlay, address: Address, change: &AccountOverride) -> Result<(), StateError> {
    let mut account = overlay.account(address)?.unwrap_or_default();
    account.balance = change.balance.unwrap_or(account.balance);
    account.nonce = change.nonce.unwrap_or(account.nonce);
    if let Some(code) = &change.code {
        account.code_hash = keccak256(code);
        let code = Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code.clone()));
        overlay.set_code(account.code_hash, code);
    }
    overlay.set_account(address, account)?;
    if let Some(state) = &change.state {
        overlay.wipe_storage(address)?;
        set_slots(overlay, address, state)?;
    }
    set_slots(overlay, address, &change.state_diff)
}

fn set_slots(overlay: &mut Overlay, address: Address, slots: &BTreeMap<B256, B256>) -> Result<(), StateError> {
    for (slot, value) in slots {
        overlay.set_slot(address, U256::from_be_bytes(slot.0), U256::from_be_bytes(value.0))?;
    }
    Ok(())
}

/// What a recorded instruction counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StepCost {
    /// Bytes of an entry; zero when instructions are not recorded.
    pub(crate) entry: usize,
    /// The stack is recorded, too.
    pub(crate) stack: bool,
    /// The memory is recorded, too.
    pub(crate) memory: bool,
    /// Instructions that are recorded; later ones only run.
    pub(crate) most: u64,
    /// Neither calls nor logs are recorded.
    pub(crate) quiet: bool,
}

/// Why an execution was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Interrupted,
    TooLarge,
}

/// Ends an execution when the flag is raised or when more would be recorded than allowed. Stands before the inspector
/// that records, so that an instruction is counted before it is kept.
#[derive(Debug)]
pub(crate) struct Guard {
    interrupt: Option<Interrupt>,
    countdown: u32,
    left: usize,
    cost: StepCost,
    stop: Option<Stop>,
    /// Calls and creations seen, the transaction's own included.
    frames: usize,
    /// Gas spent before the last storage write of the transaction's own frame, with that frame's limit.
    write: Option<(u64, u64)>,
}

impl Guard {
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
        let stop = match &self.interrupt {
            None => return,
            Some(Interrupt::Flag(flag)) if self.countdown == 0 => {
                self.countdown = FLAG_PERIOD;
                flag.load(Ordering::Relaxed)
            }
            Some(Interrupt::Brief(until)) if self.countdown == 0 || works_on_memory(opcode) => {
                self.countdown = CLOCK_PERIOD;
                Instant::now() >= *until
            }
            Some(_) => return,
        };
        if stop {
            self.stop = Some(Stop::Interrupted);
        }
    }

    /// For what belongs to a call, a creation or a log.
    fn charge_frame(&mut self, bytes: usize) {
        if !self.cost.quiet {
            self.charge(bytes);
        }
    }

    fn charge(&mut self, bytes: usize) {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.stop = self.stop.or(Some(Stop::TooLarge)),
        }
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

/// Whether a call may go to a precompile that works long. Where precompiles can be, nothing else is.
fn may_be_long(inputs: &CallInputs) -> bool {
    let (high, low) = inputs.bytecode_address.split_at(18);
    let quick = matches!(low, [0, 1..=4]) && inputs.input.len() <= BRIEF_INPUT;
    high.iter().all(|byte| *byte == 0) && !quick
}

impl Inspector<Ctx> for Guard {
    fn step(&mut self, interpreter: &mut Interpreter<EthInterpreter>, _: &mut Ctx) {
        let opcode = interpreter.bytecode.opcode();
        self.look(opcode);
        if opcode == op::SSTORE {
            self.write = Some((interpreter.gas.total_gas_spent(), interpreter.gas.limit()));
        }
        if self.cost.entry > 0 && self.cost.most > 0 {
            self.cost.most = self.cost.most.saturating_sub(1);
            let stack = if self.cost.stack { interpreter.stack.len().saturating_mul(WORD_BYTES) } else { 0 };
            let memory = if self.cost.memory { interpreter.memory.len() } else { 0 };
            self.charge(self.cost.entry.saturating_add(stack.saturating_add(memory).saturating_mul(SHOWN)));
        }
        if self.stop.is_some() {
            interpreter.halt(InstructionResult::OutOfGas);
        }
    }

    fn log(&mut self, _: &mut Ctx, log: Log) {
        self.charge_frame(LOG_BYTES.saturating_add(log.data.data.len()));
    }

    fn call(&mut self, _: &mut Ctx, inputs: &mut CallInputs) -> Option<FrameOutcome> {
        self.frames = self.frames.saturating_add(1);
        self.charge_frame(FRAME_BYTES.saturating_add(inputs.input.len()));
        if !matches!(self.interrupt, Some(Interrupt::Brief(_))) || !may_be_long(inputs) {
            return None;
        }
        self.stop = Some(Stop::Interrupted);
        let gas = Gas::new(inputs.gas_limit);
        let result = InterpreterResult { result: InstructionResult::OutOfGas, output: Bytes::new(), gas };
        Some(FrameOutcome::new(result, inputs.return_memory_offset.clone()))
    }

    fn call_end(&mut self, _: &mut Ctx, _: &CallInputs, outcome: &mut FrameOutcome) {
        self.charge_frame(outcome.result.output.len());
    }

    fn create(&mut self, _: &mut Ctx, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.frames = self.frames.saturating_add(1);
        self.charge_frame(FRAME_BYTES.saturating_add(inputs.init_code().len()));
        None
    }

    fn create_end(&mut self, _: &mut Ctx, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.charge_frame(outcome.result.output.len());
    }
}
