//! A block under construction: opened with its attributes, fed with transactions one at a time, closed with its roots.

use std::sync::Arc;

use alloy_consensus::{BlockBody, Header, Transaction, proofs};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Bloom, Bytes, Sealed};
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope, OpTxType};
use op_revm::{OpHaltReason, OpTransaction, OpTransactionError};
use protocol::{
    Block, BlockAttributes, RecoveredTx,
    block::timestamp_ms,
    limits::{MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS, MAX_USER_BYTES},
    state::{Account, StateCommitment, StateDiff, StateError, StateReader},
};
use revm::{
    DatabaseCommit,
    context::{TxEnv, result::ExecutionResult},
    context_interface::result::{EVMError, InvalidTransaction},
};

use crate::{
    attributes::L1Attributes,
    env::{self, ChainConfig, Evm, EvmError, ExecutionError},
    header,
    overlay::Overlay,
    precompiles::Precompiles,
    recover::deposit,
};

/// Bytes of a block that are not transactions: header (below 700 bytes), list prefixes, empty lists.
const BLOCK_FRAME_BYTES: usize = 1024;
/// Most bytes RLP puts before one transaction within a block.
const TRANSACTION_PREFIX_BYTES: usize = 4;
/// Version of deposit receipts (OP, since Canyon).
const DEPOSIT_RECEIPT_VERSION: u64 = 1;

/// Which limit of the block a transaction does not fit under any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FullReason {
    /// Its gas limit is above what the block has left.
    #[error("block gas limit reached")]
    Gas,
    /// [`MAX_USER_BYTES`] or [`MAX_BLOCK_BYTES`].
    #[error("block size limit reached")]
    Bytes,
    /// [`MAX_BLOCK_TRANSACTIONS`].
    #[error("block transaction count reached")]
    Count,
}

/// Why a transaction was not added. It left no trace in the block.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Retry in a later block: it does not fit into this one.
    #[error(transparent)]
    Full(#[from] FullReason),
    /// Drop it: invalid in the state the block has reached (a nonce above the account's may be retried).
    #[error("invalid transaction: {0}")]
    Invalid(InvalidTransaction),
    /// Drop it: deposits come from L1 only.
    #[error("deposits are not accepted from users")]
    Deposit,
    /// Halt.
    #[error(transparent)]
    Fatal(#[from] ExecutionError),
}

/// Why a block cannot be opened on these attributes.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Time runs backwards.
    #[error("timestamp {got} ms is before the parent's {parent} ms")]
    TimestampBeforeParent {
        /// Parent's, in milliseconds.
        parent: u64,
        /// The attributes', in milliseconds.
        got: u64,
    },
    /// Height or timestamp does not fit a header.
    #[error("height or timestamp out of range")]
    OutOfRange,
    /// More deposits than a block can hold: let the origin advance by fewer L1 blocks.
    #[error("{count} deposits of {bytes} bytes do not fit into a block")]
    TooManyDeposits {
        /// How many.
        count: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// Halt.
    #[error(transparent)]
    Fatal(#[from] ExecutionError),
}

impl From<StateError> for OpenError {
    fn from(error: StateError) -> Self {
        Self::Fatal(error.into())
    }
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxOutcome {
    /// Its place in the block.
    pub index: usize,
    /// Neither reverted nor halted.
    pub success: bool,
    /// Gas it used.
    pub gas_used: u64,
    /// Return or revert data.
    pub output: Bytes,
}

/// A finished block and everything that follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutedBlock {
    /// Header and transactions.
    pub block: Block,
    /// The header's hash.
    pub hash: B256,
    /// Receipts, one for each transaction.
    pub receipts: Vec<OpReceiptEnvelope>,
    /// Senders, one for each transaction.
    pub senders: Vec<Address>,
    /// What it changed.
    pub diff: StateDiff,
}

/// An open block. Transactions execute as they are pushed, on top of all before them.
///
/// After a fatal error the builder is of no further use.
pub struct BlockBuilder {
    evm: Evm,
    header: Header,
    transactions: Vec<OpTxEnvelope>,
    senders: Vec<Address>,
    receipts: Vec<OpReceiptEnvelope>,
    user_bytes: usize,
    block_bytes: usize,
}

impl core::fmt::Debug for BlockBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlockBuilder")
            .field("number", &self.header.number)
            .field("transactions", &self.transactions.len())
            .field("gas_used", &self.header.gas_used)
            .finish_non_exhaustive()
    }
}

impl BlockBuilder {
    /// Opens the block after `parent`: stores the parent's hash (EIP-2935), then executes the L1 attributes deposit
    /// and the queue deposits. A deposit never fails the block: a failing one keeps its mint, raises its sender's
    /// nonce and uses up its gas. A deposit that asks for more gas than the block has left gets what is left.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn new(
        config: &ChainConfig,
        parent: &Sealed<Header>,
        attributes: &BlockAttributes,
        state: Arc<dyn StateReader>,
    ) -> Result<Self, OpenError> {
        let parent_ms = timestamp_ms(parent);
        if attributes.timestamp_ms < parent_ms {
            return Err(OpenError::TimestampBeforeParent { parent: parent_ms, got: attributes.timestamp_ms });
        }
        let header = header::open_header(parent, attributes, &config.params).ok_or(OpenError::OutOfRange)?;
        let overlay = Overlay::new(state, parent.number, parent.hash(), &config.codes);
        let evm = env::evm(env::cfg_env(config.chain_id), env::block_env(&header), overlay, Precompiles::mainnet(), ());
        let mut builder = Self {
            evm,
            header,
            transactions: Vec::new(),
            senders: Vec::new(),
            receipts: Vec::new(),
            user_bytes: 0,
            block_bytes: BLOCK_FRAME_BYTES,
        };
        builder.store_parent_hash(parent.hash())?;
        builder.push_deposit(deposit(L1Attributes::of(attributes, &config.params).deposit()), attributes)?;
        for queued in &attributes.deposits {
            builder.push_deposit(deposit(queued.clone()), attributes)?;
        }
        Ok(builder)
    }

    /// Executes a user's transaction on top of the block.
    ///
    /// # Errors
    /// See [`PushError`]; the block is as it was before, except after a fatal error.
    pub fn push(&mut self, tx: &RecoveredTx) -> Result<TxOutcome, PushError> {
        if tx.envelope.is_deposit() {
            return Err(PushError::Deposit);
        }
        // What could never fit is invalid rather than to be retried.
        if tx.envelope.gas_limit() > self.header.gas_limit {
            return Err(PushError::Invalid(InvalidTransaction::CallerGasLimitMoreThanBlock));
        }
        if tx.envelope.gas_limit() > self.gas_left() {
            return Err(FullReason::Gas.into());
        }
        let user_bytes = self.user_bytes.saturating_add(tx.encoded.len());
        if user_bytes > MAX_USER_BYTES || self.block_bytes_with(tx) > MAX_BLOCK_BYTES {
            return Err(FullReason::Bytes.into());
        }
        if self.transactions.len() >= MAX_BLOCK_TRANSACTIONS {
            return Err(FullReason::Count.into());
        }
        let result = self.transact(env::user_tx_env(tx)).map_err(|error| match error {
            EVMError::Transaction(OpTransactionError::Base(reason)) => PushError::Invalid(reason),
            other => PushError::Fatal(fatal(other)),
        })?;
        self.user_bytes = user_bytes;
        Ok(self.record(tx.clone(), result, None))
    }

    /// Closes the block: computes its roots and its header.
    ///
    /// # Errors
    /// The state could not be committed to.
    pub fn finish(self, commitment: &dyn StateCommitment) -> Result<ExecutedBlock, ExecutionError> {
        let diff = self.diff();
        let roots = commitment.roots_after(&diff)?;
        let Self { mut header, transactions, senders, receipts, .. } = self;
        header.state_root = roots.state_root;
        header.withdrawals_root = Some(roots.withdrawals_root);
        header.transactions_root = proofs::calculate_transaction_root(&transactions);
        header.receipts_root = proofs::calculate_receipt_root(&receipts);
        header.logs_bloom = receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom());
        let hash = header.hash_slow();
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Withdrawals::default()) };
        Ok(ExecutedBlock { block: Block { header, body }, hash, receipts, senders, diff })
    }

    /// The header as far as it is known: roots and bloom are still empty.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Gas no transaction has used yet.
    #[must_use]
    pub const fn gas_left(&self) -> u64 {
        self.header.gas_limit.saturating_sub(self.header.gas_used)
    }

    /// Transactions so far, deposits first.
    #[must_use]
    pub fn transactions(&self) -> &[OpTxEnvelope] {
        &self.transactions
    }

    /// Senders so far, one for each transaction.
    #[must_use]
    pub fn senders(&self) -> &[Address] {
        &self.senders
    }

    /// Receipts so far, one for each transaction.
    #[must_use]
    pub fn receipts(&self) -> &[OpReceiptEnvelope] {
        &self.receipts
    }

    /// What the block has changed so far (the pending state, on top of the parent's).
    #[must_use]
    pub fn diff(&self) -> StateDiff {
        self.evm.state().diff()
    }

    /// An account as the block has left it so far.
    ///
    /// # Errors
    /// The state could not be read.
    pub fn account(&mut self, address: Address) -> Result<Option<Account>, StateError> {
        self.state().account(address)
    }

    fn state(&mut self) -> &mut Overlay {
        self.evm.state_mut()
    }

    /// EIP-2935: the system contract keeps the last 8191 block hashes. Without its code nothing happens.
    fn store_parent_hash(&mut self, parent: B256) -> Result<(), ExecutionError> {
        let changes = env::parent_hash_changes(&mut self.evm, parent).map_err(fatal)?;
        self.state().commit(changes);
        Ok(())
    }

    fn push_deposit(&mut self, tx: RecoveredTx, attributes: &BlockAttributes) -> Result<(), OpenError> {
        let OpTxEnvelope::Deposit(inner) = &tx.envelope else { return Ok(()) };
        if self.transactions.len() >= MAX_BLOCK_TRANSACTIONS || self.block_bytes_with(&tx) > MAX_BLOCK_BYTES {
            let bytes = attributes.deposits.iter().map(|deposit| deposit.input.len()).sum();
            return Err(OpenError::TooManyDeposits { count: attributes.deposits.len(), bytes });
        }
        let gas_limit = inner.gas_limit.min(self.gas_left());
        let nonce = self.account(tx.sender)?.unwrap_or_default().nonce;
        let tx_env = env::deposit_tx_env(inner, gas_limit);
        let result = self.transact(tx_env).map_err(fatal)?;
        self.record(tx, result, Some(nonce));
        Ok(())
    }

    /// Runs a transaction and keeps its changes; an error leaves no trace, neither changes nor warm addresses.
    fn transact(&mut self, tx: OpTransaction<TxEnv>) -> Result<ExecutionResult<OpHaltReason>, EvmError> {
        let outcome = self.evm.transact_one(tx);
        // Resets the journal in either case.
        let changes = self.evm.finalize();
        if outcome.is_ok() {
            self.state().commit(changes);
        }
        outcome
    }

    fn record(
        &mut self,
        tx: RecoveredTx,
        result: ExecutionResult<OpHaltReason>,
        deposit_nonce: Option<u64>,
    ) -> TxOutcome {
        let gas_used = result.tx_gas_used();
        self.header.gas_used = self.header.gas_used.saturating_add(gas_used);
        self.block_bytes = self.block_bytes_with(&tx);
        let success = result.is_success();
        let output = result.output().cloned().unwrap_or_default();
        let kind: OpTxType = tx.envelope.tx_type();
        let version = deposit_nonce.map(|_| DEPOSIT_RECEIPT_VERSION);
        let logs = result.into_logs();
        let receipt = OpReceiptEnvelope::from_parts(success, self.header.gas_used, &logs, kind, deposit_nonce, version);
        let index = self.transactions.len();
        self.transactions.push(tx.envelope);
        self.senders.push(tx.sender);
        self.receipts.push(receipt);
        TxOutcome { index, success, gas_used, output }
    }

    const fn block_bytes_with(&self, tx: &RecoveredTx) -> usize {
        self.block_bytes.saturating_add(tx.encoded.0.len()).saturating_add(TRANSACTION_PREFIX_BYTES)
    }
}

/// An EVM error that is nobody's transaction's fault.
pub(crate) fn fatal(error: EvmError) -> ExecutionError {
    match error {
        EVMError::Database(error) => ExecutionError::State(error.0),
        other => ExecutionError::Evm(other.to_string()),
    }
}
