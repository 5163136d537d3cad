//! EIP-7610: no contract is created at an address that has storage, even if it has neither code nor nonce.
//!
//! revm compares code and nonce. Since EIP-161 no transaction can leave storage without a nonce, and our genesis refuses
//! such accounts, so the rule never bites on this chain; the specification's state tests know it.

use op_revm::{L1BlockInfo, OpHaltReason, OpTransaction, handler::OpHandler};
use revm::{
    Inspector, SystemCallEvm,
    context::{ContextError, ContextSetters, ContextTr, FrameStack, JournalTr, TxEnv, result::ExecutionResult},
    handler::{
        CreateFrame, EthFrame, EvmTr, FrameData, FrameInitOrResult, FrameResult, Handler, ItemOrResult,
        evm::{ContextDbError, FrameInitResult},
    },
    inspector::{InspectorEvmTr, InspectorHandler},
    interpreter::{
        CreateOutcome, Gas, InstructionResult, InterpreterResult, interpreter::EthInterpreter,
        interpreter_action::FrameInit,
    },
    primitives::{Address, Bytes},
};

use crate::{
    env::{Ctx, EvmError, OpEvm},
    overlay::{Overlay, ReadError},
};

type Frame = EthFrame<EthInterpreter>;

/// An EVM with that rule; everything else is the inner one's.
pub(crate) struct StorageAware<E>(pub(crate) E);

impl<E: EvmTr<Frame = Frame, Context: ContextTr<Db = Overlay>>> StorageAware<E> {
    /// Takes back a creation that has just begun where there is storage. The caller's raised nonce and the warm address
    /// stay, and all gas is gone, as in every other collision.
    fn collision(&mut self) -> Result<Option<FrameResult>, ContextDbError<E::Context>> {
        let (context, _, _, frames) = self.0.all_mut();
        let frame = frames.get();
        let FrameData::Create(CreateFrame { created_address }) = frame.data else { return Ok(None) };
        let occupied = context.db_mut().has_storage(created_address);
        if !occupied.map_err(|error| ContextError::Db(ReadError(error)))? {
            return Ok(None);
        }
        let gas = frame.interpreter.gas;
        let (result, output) = (InstructionResult::CreateCollision, Bytes::new());
        let gas = Gas::new_with_regular_gas_and_reservoir(gas.limit(), gas.reservoir());
        context.journal_mut().checkpoint_revert(frame.checkpoint);
        frames.pop();
        let result = InterpreterResult { result, output, gas };
        Ok(Some(FrameResult::Create(CreateOutcome { result, address: None })))
    }
}

impl<E: EvmTr<Frame = Frame, Context: ContextTr<Db = Overlay>>> EvmTr for StorageAware<E> {
    type Context = E::Context;
    type Instructions = E::Instructions;
    type Precompiles = E::Precompiles;
    type Frame = Frame;

    fn all(&self) -> (&E::Context, &E::Instructions, &E::Precompiles, &FrameStack<Frame>) {
        self.0.all()
    }

    fn all_mut(&mut self) -> (&mut E::Context, &mut E::Instructions, &mut E::Precompiles, &mut FrameStack<Frame>) {
        self.0.all_mut()
    }

    fn frame_init(&mut self, init: FrameInit) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Self::Context>> {
        if let ItemOrResult::Result(result) = self.0.frame_init(init)? {
            return Ok(ItemOrResult::Result(result));
        }
        match self.collision()? {
            Some(result) => Ok(ItemOrResult::Result(result)),
            None => Ok(ItemOrResult::Item(self.0.frame_stack().get())),
        }
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<Self::Context>> {
        self.0.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: FrameResult,
    ) -> Result<Option<FrameResult>, ContextDbError<Self::Context>> {
        self.0.frame_return_result(result)
    }
}

impl<E> InspectorEvmTr for StorageAware<E>
where
    E: InspectorEvmTr + EvmTr<Frame = Frame, Context: ContextTr<Db = Overlay>>,
{
    type Inspector = E::Inspector;

    fn all_inspector(
        &self,
    ) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Frame>, &Self::Inspector) {
        self.0.all_inspector()
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (
        &mut Self::Context,
        &mut Self::Instructions,
        &mut Self::Precompiles,
        &mut FrameStack<Frame>,
        &mut Self::Inspector,
    ) {
        self.0.all_mut_inspector()
    }
}

impl<I> StorageAware<OpEvm<I>> {
    /// The state it works on.
    pub(crate) fn state(&self) -> &Overlay {
        &self.0.0.ctx.journaled_state.database
    }

    /// The state it works on, for changes between transactions.
    pub(crate) fn state_mut(&mut self) -> &mut Overlay {
        &mut self.0.0.ctx.journaled_state.database
    }

    /// Puts the L1 fee's parameters in place of what the state has.
    pub(crate) fn set_l1_fee(&mut self, parameters: L1BlockInfo) {
        self.0.0.ctx.chain = parameters;
    }

    /// Gives the state back.
    pub(crate) fn into_state(self) -> Overlay {
        self.0.0.ctx.journaled_state.database
    }

    /// Runs a transaction; [`Self::finalize`] must follow.
    pub(crate) fn transact_one(&mut self, tx: OpTransaction<TxEnv>) -> Result<ExecutionResult<OpHaltReason>, EvmError> {
        self.0.0.ctx.set_tx(tx);
        OpHandler::<Self, EvmError, Frame>::new().run(self)
    }

    /// The same under the inspector's eyes.
    pub(crate) fn inspect_one_tx(&mut self, tx: OpTransaction<TxEnv>) -> Result<ExecutionResult<OpHaltReason>, EvmError>
    where
        I: Inspector<Ctx, EthInterpreter>,
    {
        self.0.0.ctx.set_tx(tx);
        OpHandler::<Self, EvmError, Frame>::new().inspect_run(self)
    }

    /// Calls a contract in the protocol's own name.
    pub(crate) fn system_call_one(
        &mut self,
        contract: Address,
        data: Bytes,
    ) -> Result<ExecutionResult<OpHaltReason>, EvmError> {
        self.0.system_call_one(contract, data)
    }

    /// Takes out what the transactions changed.
    pub(crate) fn finalize(&mut self) -> revm::state::EvmState {
        self.0.0.ctx.journaled_state.finalize()
    }
}
