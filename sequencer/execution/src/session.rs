//! A throw-away state on which transactions run one after the other: calls, traces, simulations.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use op_revm::{L1BlockInfo, OpHaltReason, OpSpecId, OpTransaction, OpTransactionError};
use protocol::state::StateError;
use revm::{
    DatabaseCommit,
    context::{BlockEnv, CfgEnv, TxEnv, result::ExecutionResult},
    context_interface::{
        either::Either,
        result::{EVMError, ResultAndState},
    },
    state::Bytecode,
};

use crate::{
    build::fatal,
    call::{AccountOverride, CallEnvironment, CallError, CallRequest, Overrides},
    env::{self, EvmError, ExecutionError},
    guard::{Guard, Interrupt, RecordingCost},
    overlay::Overlay,
    precompiles::Precompiles,
    words::{self, Asked},
};

/// What one transaction did: its result and the changes it made, which are not in the session's state yet.
pub(crate) type Transacted = ResultAndState<OpHaltReason>;

/// Rules, block environment and state of a request.
pub(crate) struct Session {
    chain_id: u64,
    /// The block the transactions believe to be in.
    pub(crate) header: Header,
    overlay: Option<Overlay>,
    precompiles: Precompiles,
    /// What `BLOBBASEFEE` gives instead of the floor, in wei.
    pub(crate) blob_base_fee: Option<u128>,
    /// To calls that name no price, `BASEFEE` gives zero: contracts that compare the two never see a price below it (as geth).
    pub(crate) free_calls: bool,
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
            free_calls: false,
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
        let BlockNumHash { number, hash } = environment.parent;
        let overlay = Overlay::new(environment.state.clone(), number, hash, &environment.config.codes);
        let (header, interrupt) = (environment.header.clone(), environment.interrupt.clone());
        let mut session = Self::new(environment.config.chain_id, header, overlay, interrupt);
        session.blob_base_fee = environment.blob_base_fee;
        session.free_calls = true;
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
    pub(crate) fn guard(&self, bytes: usize, cost: RecordingCost) -> Guard {
        Guard::new(self.interrupt.clone(), bytes, cost)
    }

    /// An error when the time is up: for work that consists of many short steps.
    pub(crate) fn check_time(&self) -> Result<(), CallError> {
        match &self.interrupt {
            Some(interrupt) if interrupt.raised() => Err(CallError::Interrupted),
            _ => Ok(()),
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
        // Inspectors look at the clock between instructions, of which a transfer has none.
        self.check_time()?;
        let Some(overlay) = self.overlay.take() else {
            return Err(ExecutionError::Evm("session used after a failure".into()).into());
        };
        let pays_l1 = tx.enveloped_tx.as_ref().is_some_and(|encoded| !encoded.is_empty());
        let mut block = self.block_env();
        if self.free_calls && cfg.disable_base_fee {
            block.basefee = 0;
        }
        let asked = Asked::of(&tx.base, block.basefee);
        let mut evm = env::evm(cfg, block, overlay, self.precompiles.clone(), inspector);
        if !pays_l1 {
            // Neither does a deposit: the fee's parameters need not be read.
            evm.set_l1_fee(free_of_l1_fee(&self.header));
        }
        let outcome = run(&mut evm, tx);
        let state = evm.finalize();
        self.overlay = Some(evm.into_state());
        match outcome {
            Ok(result) => Ok(Transacted { result, state }),
            Err(EVMError::Transaction(OpTransactionError::Base(reason))) => {
                let text = words::invalid(&reason, asked);
                Err(CallError::Invalid(reason, text))
            }
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
