//! What the batcher needs from the rest of the node.

use alloy_consensus::Header;
use alloy_consensus::transaction::Transaction as _;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes};
use derivation::DerivationTip;
use op_alloy_consensus::OpTxEnvelope;
use protocol::{BatchHeader, Block, Epoch, Height, SequencerSet, block};

use crate::{BatchProposal, BatchSignature, CertifiedBatch};

/// A decided block as the batcher sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainBlock {
    /// Block hash.
    pub hash: B256,
    /// Ethereum header.
    pub header: Header,
    /// Number of its L1 origin.
    pub origin_number: u64,
    /// Hash of its L1 origin.
    pub origin_hash: B256,
    /// Its position among the blocks with this origin, from 0.
    pub sequence_number: u64,
    /// All transactions as EIP-2718 bytes, deposits included.
    pub transactions: Vec<Bytes>,
    /// How many of them are items of the L1 deposit queue.
    pub deposits: u64,
}

/// Place of the sequence number in the attributes calldata: selector and two scalars come first.
const SEQUENCE_AT: usize = 12;
/// Place of the L1 block number in the attributes calldata: selector, two scalars, sequence number, timestamp.
const NUMBER_AT: usize = 28;
/// Place of the L1 block hash: number, base fee, blob base fee further on.
const HASH_AT: usize = 100;

impl ChainBlock {
    /// Reads a block; the L1 origin comes from its attributes deposit. `None` if the block does not begin with one.
    #[must_use]
    pub fn new(block: &Block) -> Option<Self> {
        let attributes = match block.body.transactions.first()? {
            OpTxEnvelope::Deposit(deposit) => deposit.input(),
            _ => return None,
        };
        let word = |at: usize| attributes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_be_bytes);
        let hash = attributes.get(HASH_AT..HASH_AT.checked_add(32)?)?;
        Some(Self {
            hash: block.header.hash_slow(),
            header: block.header.clone(),
            origin_number: word(NUMBER_AT)?,
            sequence_number: word(SEQUENCE_AT)?,
            origin_hash: B256::from_slice(hash),
            transactions: block.body.transactions.iter().map(|tx| tx.encoded_2718().into()).collect(),
            deposits: u64::try_from(block::queue_items(block)).ok()?,
        })
    }
}

impl ChainBlock {
    /// Where derivation continues after this block.
    #[must_use]
    pub fn derivation_tip(&self) -> DerivationTip {
        DerivationTip {
            height: Height(self.header.number),
            timestamp_ms: block::timestamp_ms(&self.header),
            origin: self.origin_number,
            sequence_number: self.sequence_number,
        }
    }
}

/// The node's own storage cannot answer: disk or consistency failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("chain unavailable: {0}")]
pub struct ChainError(pub String);

/// The node's decided chain. Implemented by the store.
pub trait ChainReader: Send + Sync {
    /// Newest decided height.
    fn head(&self) -> Result<Height, ChainError>;
    /// A decided block; `None` above the head.
    fn block(&self, height: Height) -> Result<Option<ChainBlock>, ChainError>;
    /// The sequencer set of an epoch; `None` when not known yet.
    fn set_of(&self, epoch: Epoch) -> Result<Option<SequencerSet>, ChainError>;
    /// Leaders of the next height, in round order.
    fn next_leaders(&self) -> Result<Vec<Address>, ChainError>;
}

/// What a peer's message was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid and new, or valid and late.
    Good,
    /// Honest peers may send this, but it is of no use here.
    Ignored,
    /// No honest peer sends this.
    Bad,
}

/// A message from the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchMessage {
    /// A proposal.
    Proposal(Box<BatchProposal>),
    /// A signature.
    Signature(BatchSignature),
}

/// A message with the way to say what it was worth. Not saying counts as [`Verdict::Ignored`].
pub struct Incoming {
    /// The message.
    pub message: BatchMessage,
    /// Tells the network.
    pub judge: Box<dyn FnOnce(Verdict) + Send>,
}

/// The way to the other sequencers. Returns at once; a full queue drops.
pub trait BatchNetwork: Send + Sync {
    /// Sends a message to all sequencers.
    fn broadcast(&self, message: BatchMessage);
}

/// Why L1 did not take a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The registry refuses this batch: another one took its place, or it is wrong.
    #[error("registry refuses the batch: {0}")]
    Refused(String),
    /// Not delivered; the same batch may be tried again.
    #[error("batch not delivered: {0}")]
    Temporary(String),
}

/// The way to L1. Returns when the batch is in a block of the latest L1 chain.
#[async_trait::async_trait]
pub trait BatchL1: Send + Sync {
    /// Posts a certified batch.
    async fn submit(&self, batch: &CertifiedBatch) -> Result<(), SubmitError>;
}

impl L1BatchEvent {
    /// The part of an L1 event that concerns batches.
    #[must_use]
    pub fn of(event: &l1::L1Event) -> Vec<Self> {
        match event {
            l1::L1Event::BatchIncluded(batch) => vec![Self::Included(batch.header.clone())],
            l1::L1Event::BatchDropped(batch) => vec![Self::Dropped(batch.header.clone())],
            l1::L1Event::Final(block) => block.batches.iter().map(|batch| Self::Final(batch.header.clone())).collect(),
        }
    }
}

/// What the L1 watcher saw of batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum L1BatchEvent {
    /// In a block of the latest L1 chain.
    Included(BatchHeader),
    /// Removed by an L1 reorg.
    Dropped(BatchHeader),
    /// In a final L1 block.
    Final(BatchHeader),
}
