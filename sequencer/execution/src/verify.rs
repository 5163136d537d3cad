//! Somebody else's block: decoded, re-executed, compared. Total: any bytes give a block or a reason.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Sealed};
use alloy_rlp::Decodable;
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use protocol::{
    Block, BlockAttributes, RecoveredTx,
    limits::{MAX_BLOCK_BYTES, MAX_BLOCK_TRANSACTIONS},
    state::{StateCommitment, StateReader},
};
use revm::context_interface::result::InvalidTransaction;

use crate::{
    attributes::L1Attributes,
    build::{BlockBuilder, ExecutedBlock, FullReason, OpenError, PushError},
    env::{ChainConfig, ExecutionError},
    header::{HeaderField, check_header},
    recover::{RecoverError, recover_envelope},
};

/// What is wrong with a block. The proposer's fault, never ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBlock {
    /// Longer than [`MAX_BLOCK_BYTES`].
    #[error("block of {0} bytes is above the limit")]
    TooLarge(usize),
    /// Not the canonical encoding of a block.
    #[error("malformed block encoding")]
    Malformed,
    /// More than [`MAX_BLOCK_TRANSACTIONS`].
    #[error("{0} transactions are above the limit")]
    TooManyTransactions(usize),
    /// Ommers, or a withdrawals list that is absent or not empty.
    #[error("block has ommers or withdrawals")]
    Body,
    /// A transaction that no state could accept.
    #[error("transaction {index}: {reason}")]
    Transaction {
        /// Place in the block.
        index: usize,
        /// Why.
        reason: RecoverError,
    },
    /// The first transaction is not the L1 attributes deposit that belongs there.
    #[error("wrong L1 attributes")]
    Attributes,
    /// A queue deposit is missing, altered, added or out of place.
    #[error("wrong deposit at transaction {index}")]
    Deposit {
        /// Place in the block.
        index: usize,
    },
    /// The attributes themselves cannot open a block (timestamp, deposits beyond a block).
    #[error("no block can have these attributes: {0}")]
    Open(String),
    /// A transaction is invalid in the state it meets.
    #[error("transaction {index} ({hash}): {reason}")]
    Execution {
        /// Place in the block.
        index: usize,
        /// The transaction.
        hash: B256,
        /// Why.
        reason: InvalidTransaction,
    },
    /// A transaction exceeds a limit of the block.
    #[error("transaction {index}: {reason}")]
    Limit {
        /// Place in the block.
        index: usize,
        /// Which limit.
        reason: FullReason,
    },
    /// A header field is not what execution gives.
    #[error("wrong header field {0}")]
    Header(HeaderField),
}

/// A block was not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Reject it.
    #[error("invalid block: {0}")]
    Invalid(#[from] InvalidBlock),
    /// Halt.
    #[error(transparent)]
    Fatal(#[from] ExecutionError),
}

/// A block whose structure, size and signatures are checked; nothing is known yet about state and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedBlock {
    /// The header as claimed.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// Transactions with senders.
    pub transactions: Vec<RecoveredTx>,
}

impl DecodedBlock {
    /// What the block says about L1; the caller compares it with its own view. `None` when the first transaction is
    /// not a well-formed attributes deposit, in which case the block is invalid.
    #[must_use]
    pub fn l1_attributes(&self) -> Option<L1Attributes> {
        L1Attributes::decode(as_deposit(self.transactions.first()?)?, self.header.mix_hash)
    }
}

/// Decodes a block from its RLP encoding. `known` may name the sender of a transaction (by hash) that
/// [`recover`](crate::recover()) has checked before, which saves the recovery.
///
/// # Errors
/// Structural reasons of [`InvalidBlock`].
pub fn decode_block(
    config: &ChainConfig,
    bytes: &[u8],
    known: &dyn Fn(&B256) -> Option<Address>,
) -> Result<DecodedBlock, InvalidBlock> {
    if bytes.len() > MAX_BLOCK_BYTES {
        return Err(InvalidBlock::TooLarge(bytes.len()));
    }
    let mut rest = bytes;
    let block = Block::decode(&mut rest).map_err(|_| InvalidBlock::Malformed)?;
    // One block has one encoding: anything that does not come back byte for byte is refused.
    if !rest.is_empty() || alloy_rlp::encode(&block) != bytes {
        return Err(InvalidBlock::Malformed);
    }
    check_block(config, block, known)
}

/// The checks of [`decode_block`] on a block that is decoded already.
fn check_block(
    config: &ChainConfig,
    block: Block,
    known: &dyn Fn(&B256) -> Option<Address>,
) -> Result<DecodedBlock, InvalidBlock> {
    let Block { header, body } = block;
    if body.transactions.len() > MAX_BLOCK_TRANSACTIONS {
        return Err(InvalidBlock::TooManyTransactions(body.transactions.len()));
    }
    if !body.ommers.is_empty() || !body.withdrawals.is_some_and(|list| list.is_empty()) {
        return Err(InvalidBlock::Body);
    }
    let recover = |(index, envelope)| recover_known(config, index, envelope, known);
    let transactions = body.transactions.into_iter().enumerate().map(recover).collect::<Result<_, _>>()?;
    let hash = header.hash_slow();
    Ok(DecodedBlock { header, hash, transactions })
}

fn recover_known(
    config: &ChainConfig,
    index: usize,
    envelope: OpTxEnvelope,
    known: &dyn Fn(&B256) -> Option<Address>,
) -> Result<RecoveredTx, InvalidBlock> {
    let hash = envelope.tx_hash();
    match known(&hash) {
        Some(sender) if !envelope.is_deposit() => {
            let encoded = envelope.encoded_2718().into();
            Ok(RecoveredTx { envelope, sender, hash, encoded })
        }
        _ => recover_envelope(envelope, config.chain_id).map_err(|reason| InvalidBlock::Transaction { index, reason }),
    }
}

/// Decodes one transaction as it stands in a block's RLP, the `index`-th of the block; `known` as in [`decode_block`].
///
/// # Errors
/// Structural reasons of [`InvalidBlock`].
pub fn decode_item(
    config: &ChainConfig,
    index: usize,
    item: &[u8],
    known: &dyn Fn(&B256) -> Option<Address>,
) -> Result<RecoveredTx, InvalidBlock> {
    let mut rest = item;
    let envelope = OpTxEnvelope::decode(&mut rest).map_err(|_| InvalidBlock::Malformed)?;
    if !rest.is_empty() {
        return Err(InvalidBlock::Malformed);
    }
    recover_known(config, index, envelope, known)
}

/// Re-executes a block on its parent's state and compares everything it claims. `attributes` are what the caller
/// expects: its own view of L1, the parent's sequence number, timestamp and leader from the block's header once the
/// caller has judged them.
///
/// # Errors
/// [`VerifyError::Invalid`] when the block is wrong, [`VerifyError::Fatal`] when our own state failed.
pub fn verify_block(
    config: &ChainConfig,
    parent: &Sealed<Header>,
    attributes: &BlockAttributes,
    block: &DecodedBlock,
    state: Arc<dyn StateReader>,
    commitment: &dyn StateCommitment,
) -> Result<ExecutedBlock, VerifyError> {
    // Cheap before dear: the deposits and the header's fixed fields need no execution.
    check_deposits(config, attributes, &block.transactions)?;
    check_fixed_fields(config, parent, attributes, &block.header)?;
    let mut verifier = BlockVerifier::new(config, parent, attributes, state)?;
    block.transactions.iter().try_for_each(|tx| verifier.push(tx))?;
    verifier.finish(&block.header, commitment)
}

/// Somebody else's block while it arrives: opened with the attributes its verifier expects, fed with its transactions
/// (deposits included) one at a time, closed by comparison with the header it claims.
///
/// After an error it is of no further use.
#[derive(Debug)]
pub struct BlockVerifier {
    builder: BlockBuilder,
    /// Transactions that have come.
    count: usize,
}

impl BlockVerifier {
    /// Opens the block after `parent`; `attributes` as in [`verify_block`].
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn new(
        config: &ChainConfig,
        parent: &Sealed<Header>,
        attributes: &BlockAttributes,
        state: Arc<dyn StateReader>,
    ) -> Result<Self, VerifyError> {
        let builder = BlockBuilder::new(config, parent, attributes, state).map_err(|error| match error {
            OpenError::Fatal(error) => VerifyError::Fatal(error),
            other => InvalidBlock::Open(other.to_string()).into(),
        })?;
        Ok(Self { builder, count: 0 })
    }

    /// Takes the block's next transaction: the deposits the block was opened with must come first, the rest is executed.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn push(&mut self, tx: &RecoveredTx) -> Result<(), VerifyError> {
        let index = self.count;
        self.count = index.saturating_add(1);
        if let Some(opened) = self.builder.transactions().get(index) {
            return if *opened == tx.envelope { Ok(()) } else { Err(wrong_deposit(index).into()) };
        }
        self.builder.push(tx).map(drop).map_err(|error| match error {
            PushError::Full(reason) => InvalidBlock::Limit { index, reason }.into(),
            PushError::Invalid(reason) => InvalidBlock::Execution { index, hash: tx.hash, reason }.into(),
            PushError::Deposit => InvalidBlock::Deposit { index }.into(),
            PushError::Fatal(error) => VerifyError::Fatal(error),
        })
    }

    /// The block as far as it has come; it has its deposits from the start, whether they have arrived or not.
    #[must_use]
    pub const fn builder(&self) -> &BlockBuilder {
        &self.builder
    }

    /// Closes the block and compares it with the header it claims.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn finish(self, claimed: &Header, commitment: &dyn StateCommitment) -> Result<ExecutedBlock, VerifyError> {
        if self.count < self.builder.transactions().len() {
            return Err(wrong_deposit(self.count).into());
        }
        let executed = self.builder.finish(commitment)?;
        check_header(&executed.block.header, claimed).map_err(InvalidBlock::Header)?;
        Ok(executed)
    }
}

const fn wrong_deposit(index: usize) -> InvalidBlock {
    if index == 0 { InvalidBlock::Attributes } else { InvalidBlock::Deposit { index } }
}

/// The block's deposits are the attributes deposit and the queue's, in order, before all else.
fn check_deposits(
    config: &ChainConfig,
    attributes: &BlockAttributes,
    transactions: &[RecoveredTx],
) -> Result<(), InvalidBlock> {
    let expected = L1Attributes::of(attributes, &config.params).deposit();
    if transactions.first().and_then(as_deposit) != Some(&expected) {
        return Err(InvalidBlock::Attributes);
    }
    let users = attributes.deposits.len().saturating_add(1);
    for (index, queued) in (1..).zip(&attributes.deposits) {
        if transactions.get(index).and_then(as_deposit) != Some(queued) {
            return Err(InvalidBlock::Deposit { index });
        }
    }
    let mut rest = transactions.iter().enumerate().skip(users);
    match rest.find(|(_, tx)| tx.envelope.is_deposit()) {
        Some((index, _)) => Err(InvalidBlock::Deposit { index }),
        None => Ok(()),
    }
}

/// Fields that follow from parent and attributes alone.
fn check_fixed_fields(
    config: &ChainConfig,
    parent: &Sealed<Header>,
    attributes: &BlockAttributes,
    claimed: &Header,
) -> Result<(), InvalidBlock> {
    let opened = crate::header::open_header(parent, attributes, &config.params)
        .ok_or_else(|| InvalidBlock::Open(OpenError::OutOfRange.to_string()))?;
    let fixed = Header {
        state_root: claimed.state_root,
        transactions_root: claimed.transactions_root,
        receipts_root: claimed.receipts_root,
        logs_bloom: claimed.logs_bloom,
        gas_used: claimed.gas_used,
        withdrawals_root: claimed.withdrawals_root,
        ..opened
    };
    check_header(&fixed, claimed).map_err(InvalidBlock::Header)
}

fn as_deposit(tx: &RecoveredTx) -> Option<&TxDeposit> {
    match &tx.envelope {
        OpTxEnvelope::Deposit(deposit) => Some(deposit.inner()),
        _ => None,
    }
}
