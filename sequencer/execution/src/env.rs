//! The EVM every part of this crate runs: its rules, its block and its transactions, from ours.

use alloy_consensus::{Header, Transaction};
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_primitives::{Address, B256, Bytes, U256};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use op_revm::{L1BlockInfo, OpSpecId, OpTransaction, transaction::deposit::DepositTransactionParts};
use protocol::{
    RecoveredTx,
    genesis::{Genesis, Params},
    state::StateError,
};
use revm::{
    Context, Journal,
    context::{BlockEnv, CfgEnv, FrameStack, TxEnv},
    context_interface::{block::BlobExcessGasAndPrice, either::Either, result::EVMError},
    handler::instructions::EthInstructions,
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
    state::EvmState,
};

use crate::{
    code::CodeCache,
    collision::StorageAware,
    overlay::{Overlay, ReadError},
    precompiles::Precompiles,
};

/// The rules of every block: op-revm's name for Osaka on an OP chain.
pub(crate) const SPEC: OpSpecId = OpSpecId::KARST;

/// EIP-2718 type byte of a deposit.
pub(crate) const DEPOSIT_TYPE: u8 = 0x7E;

/// What of the genesis file the state transition needs, and what its executions share.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// L2 chain id.
    pub chain_id: u64,
    /// Protocol parameters.
    pub params: Params,
    /// Contracts' code, ready to run.
    pub codes: CodeCache,
}

impl From<&Genesis> for ChainConfig {
    fn from(genesis: &Genesis) -> Self {
        Self { chain_id: genesis.chain_id, params: genesis.params.clone(), codes: CodeCache::default() }
    }
}

/// Execution cannot go on: our own disk or our own bug, never a sender's or peer's fault. Halt.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// The state could not be read or committed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The genesis file gives this account storage but neither code nor nonce, a state that no transaction can make and
    /// in which EIP-7610 would matter.
    #[error("genesis account {0} has storage but neither code nor nonce")]
    Genesis(Address),
    /// The EVM reported something that valid use cannot cause.
    #[error("EVM failed: {0}")]
    Evm(String),
}

pub(crate) type Ctx = Context<BlockEnv, OpTransaction<TxEnv>, CfgEnv<OpSpecId>, Overlay, Journal<Overlay>, L1BlockInfo>;
pub(crate) type OpEvm<I> = op_revm::OpEvm<Ctx, I, EthInstructions<EthInterpreter, Ctx>, Precompiles>;
pub(crate) type Evm<I = ()> = StorageAware<OpEvm<I>>;
pub(crate) type EvmError = EVMError<ReadError, op_revm::OpTransactionError>;

/// Configuration of blocks; calls switch off some checks on top.
pub(crate) fn cfg_env(chain_id: u64) -> CfgEnv<OpSpecId> {
    CfgEnv::new_with_spec(SPEC).with_chain_id(chain_id).enable_tx_chain_id_check()
}

/// The EVM over a state.
pub(crate) fn evm<I>(
    cfg: CfgEnv<OpSpecId>,
    block: BlockEnv,
    state: Overlay,
    precompiles: Precompiles,
    inspector: I,
) -> Evm<I> {
    let ctx = Ctx::new(state, SPEC).with_block(block).with_cfg(cfg);
    StorageAware(op_revm::OpEvm(revm::context::Evm {
        ctx,
        inspector,
        instruction: EthInstructions::new_mainnet_with_spec(SpecId::OSAKA),
        precompiles,
        frame_stack: FrameStack::new_prealloc(8),
    }))
}

/// What storing the parent's hash changes (EIP-2935: a contract keeps the last 8191). Without its code, nothing.
pub(crate) fn parent_hash_changes(evm: &mut Evm, parent: B256) -> Result<EvmState, EvmError> {
    let outcome = evm.system_call_one(HISTORY_STORAGE_ADDRESS, Bytes::from(parent));
    let mut changes = evm.finalize();
    outcome?;
    // Only the contract's storage counts: system address and beneficiary were merely named.
    changes.retain(|address, _| *address == HISTORY_STORAGE_ADDRESS);
    Ok(changes)
}

/// The EVM's view of a header.
pub(crate) fn block_env(header: &Header) -> BlockEnv {
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        difficulty: U256::ZERO,
        prevrandao: Some(header.mix_hash),
        // No blobs on L2: BLOBBASEFEE is at its floor.
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 }),
        slot_num: 0,
    }
}

/// A signed transaction for the EVM.
pub(crate) fn user_tx_env(tx: &RecoveredTx) -> OpTransaction<TxEnv> {
    OpTransaction {
        base: base_tx_env(&tx.envelope, tx.sender),
        enveloped_tx: Some(tx.encoded.clone()),
        deposit: DepositTransactionParts::default(),
    }
}

fn base_tx_env(tx: &OpTxEnvelope, caller: Address) -> TxEnv {
    TxEnv {
        tx_type: tx.tx_type() as u8,
        caller,
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        blob_hashes: Vec::new(),
        max_fee_per_blob_gas: 0,
        authorization_list: tx.authorization_list().unwrap_or_default().iter().cloned().map(Either::Left).collect(),
    }
}

/// A deposit for the EVM, with the gas the block can still give it.
pub(crate) fn deposit_tx_env(tx: &TxDeposit, gas_limit: u64) -> OpTransaction<TxEnv> {
    OpTransaction {
        base: TxEnv {
            tx_type: DEPOSIT_TYPE,
            caller: tx.from,
            gas_limit,
            gas_price: 0,
            gas_priority_fee: None,
            kind: tx.to,
            value: tx.value,
            data: tx.input.clone(),
            nonce: 0,
            chain_id: None,
            access_list: Default::default(),
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: Vec::new(),
        },
        enveloped_tx: None,
        deposit: DepositTransactionParts {
            source_hash: tx.source_hash,
            mint: Some(tx.mint),
            is_system_transaction: tx.is_system_transaction,
        },
    }
}
