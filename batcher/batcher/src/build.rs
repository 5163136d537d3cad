//! From decided blocks to a batch header and its channel.

use alloy_primitives::{B256, Bytes};
use derivation::limits::{MAX_BLOCKS, MAX_CALLDATA_CHANNEL, MAX_CHANNEL_BYTES};
use derivation::{BatchBlock, ChannelError};
use l1::{BatchPayload, L1Error};
use protocol::genesis::Params;
use protocol::{BatchHeader, Height, SequencerSet, batch::blocks_root, batch::turns_served, block};

use crate::ports::{ChainBlock, ChainError, ChainReader};

/// Where a batch's data goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataAvailability {
    /// EIP-4844 blobs.
    #[default]
    Blobs,
    /// The transaction's calldata.
    Calldata,
}

impl DataAvailability {
    /// Bytes of the largest channel.
    #[must_use]
    pub const fn capacity(self) -> usize {
        match self {
            Self::Blobs => MAX_CHANNEL_BYTES,
            Self::Calldata => MAX_CALLDATA_CHANNEL,
        }
    }

    /// A channel in the form in which L1 carries it.
    ///
    /// # Errors
    /// The channel is empty or too large.
    pub fn payload(self, channel: &Bytes) -> Result<BatchPayload, derivation::FrameError> {
        match self {
            Self::Blobs => derivation::blobs_from_channel(channel).map(BatchPayload::Blobs),
            Self::Calldata => Ok(BatchPayload::Calldata(channel.clone())),
        }
    }
}

/// The batch that the next one follows: what of its header the next header depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParentBatch {
    /// Its index, 0 before the first batch.
    pub index: u64,
    /// Its EIP-712 struct hash, zero before the first.
    pub hash: B256,
    /// Its last height, 0 before the first.
    pub last_height: u64,
    /// Deposits executed up to there.
    pub deposit_count: u64,
}

impl From<&BatchHeader> for ParentBatch {
    fn from(header: &BatchHeader) -> Self {
        Self {
            index: header.index,
            hash: header.hash(),
            last_height: header.lastHeight,
            deposit_count: header.depositCount,
        }
    }
}

/// A batch before anyone signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// What is to be signed.
    pub header: BatchHeader,
    /// The encoded blocks.
    pub channel: Bytes,
    /// Hashes of the blocks, in order.
    pub hashes: Vec<B256>,
}

/// Why no batch can be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// No decided block waits.
    #[error("no block to post")]
    Nothing,
    /// The set of the blocks' epoch is not known.
    #[error("sequencer set of block {0} is not known")]
    Set(Height),
    /// A single block exceeds a batch. Block limits exclude it.
    #[error("block {0} alone exceeds a batch")]
    TooLarge(Height),
    /// A decided block that is missing or not of our form.
    #[error("decided block {0} is missing")]
    Missing(Height),
    /// The store failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The blobs could not be committed to.
    #[error(transparent)]
    Kzg(#[from] L1Error),
    /// The blocks violate an encoding rule.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

/// A block's part in a channel.
#[must_use]
pub(crate) fn batch_block(block: &ChainBlock) -> BatchBlock {
    let timestamp_ms = block::timestamp_ms(&block.header);
    let leader = block::leader(&block.header);
    derivation::batch_block(timestamp_ms, leader, block.origin_number, block.transactions.iter().cloned())
}

/// Builds the batch that follows `parent`: as many decided blocks of one epoch as fit.
///
/// `alter` is the faulty devnet leader's hook, applied before the header commits to the data.
///
/// # Errors
/// See [`BuildError`].
pub fn build_batch(
    chain: &dyn ChainReader,
    params: &Params,
    parent: &ParentBatch,
    da: DataAvailability,
    alter: Option<fn(&mut Vec<BatchBlock>)>,
) -> Result<BatchPlan, BuildError> {
    let first = Height(parent.last_height).next();
    let epoch = params.epoch_of(first);
    let set = chain.set_of(epoch)?.ok_or(BuildError::Set(first))?;
    let last = chain.head()?.min(params.last_height(epoch));
    let mut blocks = load(chain, first, last, da.capacity())?;
    let mut content: Vec<BatchBlock> = blocks.iter().map(batch_block).collect();
    if let Some(alter) = alter {
        alter(&mut content);
    }
    // Halving ends: a single block fits by the block limits, or is reported.
    let channel: Bytes = loop {
        match derivation::encode_channel(&content) {
            Ok(channel) if channel.len() <= da.capacity() => break channel.into(),
            Ok(_) | Err(ChannelError::Limit(_)) if content.len() > 1 => {
                let half = content.len().div_ceil(2);
                content.truncate(half);
                blocks.truncate(half);
            }
            Ok(_) => return Err(BuildError::TooLarge(first)),
            Err(error) => return Err(error.into()),
        }
    };
    let payload = da.payload(&channel).map_err(|_| BuildError::TooLarge(first))?;
    let header = header(parent, &blocks, params, &set, payload.data_hash()?).ok_or(BuildError::Nothing)?;
    Ok(BatchPlan { header, channel, hashes: blocks.iter().map(|block| block.hash).collect() })
}

/// Loads blocks until their transactions, before compression, are twice what fits: more cannot, since signatures do not
/// compress.
fn load(chain: &dyn ChainReader, first: Height, last: Height, capacity: usize) -> Result<Vec<ChainBlock>, BuildError> {
    let mut blocks = Vec::new();
    let mut bytes = 0usize;
    for number in (first.0..=last.0).take(MAX_BLOCKS) {
        let height = Height(number);
        let block = chain.block(height)?.ok_or(BuildError::Missing(height))?;
        bytes = bytes.saturating_add(block.transactions.iter().map(|tx| tx.len()).sum());
        blocks.push(block);
        if bytes > capacity.saturating_mul(4) {
            break;
        }
    }
    if blocks.is_empty() { Err(BuildError::Nothing) } else { Ok(blocks) }
}

/// The header of a permissionless batch of these blocks, which are [`derivation::queue_only_blocks`] executed (specification
/// 4.7). `None` without blocks.
#[must_use]
pub fn queue_only_header(
    parent: &ParentBatch,
    blocks: &[ChainBlock],
    params: &Params,
    set: &SequencerSet,
) -> Option<BatchHeader> {
    header(parent, blocks, params, set, derivation::queue_only_hash())
}

/// The one header that describes these blocks of one epoch, whose set is `set`, after this parent. `None` without blocks.
#[must_use]
pub(crate) fn header(
    parent: &ParentBatch,
    blocks: &[ChainBlock],
    params: &Params,
    set: &SequencerSet,
    data_hash: B256,
) -> Option<BatchHeader> {
    let (first, last) = (blocks.first()?, blocks.last()?);
    let hashes: Vec<B256> = blocks.iter().map(|block| block.hash).collect();
    let deposits: u64 = blocks.iter().map(|block| block.deposits).sum();
    let leaders = blocks.iter().map(|block| (Height(block.header.number), block::leader(&block.header)));
    Some(BatchHeader {
        index: parent.index.saturating_add(1),
        parentHash: parent.hash,
        firstHeight: first.header.number,
        lastHeight: last.header.number,
        lastBlockHash: last.hash,
        stateRoot: last.header.state_root,
        withdrawalsRoot: last.header.withdrawals_root.unwrap_or_default(),
        blocksRoot: blocks_root(&hashes),
        dataHash: data_hash,
        snapshotId: set.snapshot.0,
        l1OriginNumber: last.origin_number,
        l1OriginHash: last.origin_hash,
        depositCount: parent.deposit_count.saturating_add(deposits),
        turns: turns_served(params, set, leaders),
    })
}
