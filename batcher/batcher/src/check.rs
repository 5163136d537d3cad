//! The check before a signature: every field of a header must follow from the member's own decided blocks.

use alloy_primitives::{B256, Bytes};
use derivation::limits::MAX_BLOCKS;
use protocol::genesis::Params;
use protocol::{BatchHeader, Height};

use crate::build::{batch_block, header as expected_header};
use crate::ports::{ChainBlock, ChainError, ChainReader};
use crate::{DataAvailability, ParentBatch};

/// Why a proposal is not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It does not follow the newest batch this node sees on L1; that may still change.
    #[error("batch {index} does not follow batch {parent}")]
    Parent {
        /// Of the proposal.
        index: u64,
        /// Newest on L1.
        parent: u64,
    },
    /// Its blocks are not all decided here yet.
    #[error("block {0} is not decided here")]
    NotDecided(Height),
    /// The range is empty, too long or crosses an epoch.
    #[error("heights {0} to {1} are no batch")]
    Range(Height, Height),
    /// The data is damaged.
    #[error("the data does not decode")]
    Data,
    /// The data holds another number of blocks than the range.
    #[error("{0} blocks in the data")]
    Count(usize),
    /// A block in the data is not the decided one.
    #[error("block {0} differs from the decided one")]
    Block(Height),
    /// A header field is not what the blocks give.
    #[error("field {0} is wrong")]
    Field(&'static str),
    /// The store failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Commitments could not be computed.
    #[error("commitments: {0}")]
    Kzg(String),
}

impl Mismatch {
    /// Whether this node may only be behind: the proposal is then worth another look, and its author is not at fault.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Parent { .. } | Self::NotDecided(_) | Self::Chain(_) | Self::Kzg(_))
    }
}

/// Compares a proposal with the node's own chain; returns the hashes of its blocks, for the signer's record.
///
/// Blocks for hundreds of milliseconds: commitments of blobs are computed anew.
///
/// # Errors
/// See [`Mismatch`].
pub fn check_proposal(
    header: &BatchHeader,
    da: DataAvailability,
    channel: &Bytes,
    parent: &ParentBatch,
    params: &Params,
    chain: &dyn ChainReader,
) -> Result<Vec<B256>, Mismatch> {
    if header.index != parent.index.saturating_add(1) || header.parentHash != parent.hash {
        return Err(Mismatch::Parent { index: header.index, parent: parent.index });
    }
    let blocks = own_blocks(header, parent, params, chain)?;
    let content = derivation::decode_channel(channel).map_err(|_| Mismatch::Data)?;
    if content.len() != blocks.len() {
        return Err(Mismatch::Count(content.len()));
    }
    for (own, theirs) in blocks.iter().zip(&content) {
        if batch_block(own) != *theirs {
            return Err(Mismatch::Block(Height(own.header.number)));
        }
    }
    if channel.len() > da.capacity() {
        return Err(Mismatch::Data);
    }
    let payload = da.payload(channel).map_err(|_| Mismatch::Data)?;
    let data_hash = payload.data_hash().map_err(|error| Mismatch::Kzg(error.to_string()))?;
    let first = Height(header.firstHeight);
    let set = chain.set_of(params.epoch_of(first))?.ok_or(Mismatch::NotDecided(first))?;
    let expected = expected_header(parent, &blocks, params, &set, data_hash).ok_or(Mismatch::Count(0))?;
    match first_difference(header, &expected) {
        Some(field) => Err(Mismatch::Field(field)),
        None => Ok(blocks.iter().map(|block| block.hash).collect()),
    }
}

/// What of a batch on L1 contradicts the node's own chain, by field; `None` if nothing does, or if the node does not have the
/// blocks yet. The data are not looked at.
///
/// # Errors
/// The store failed.
pub fn contradiction(
    header: &BatchHeader,
    parent: &ParentBatch,
    params: &Params,
    chain: &dyn ChainReader,
) -> Result<Option<&'static str>, ChainError> {
    let blocks = match own_blocks(header, parent, params, chain) {
        Ok(blocks) => blocks,
        Err(Mismatch::Chain(error)) => return Err(error),
        Err(Mismatch::NotDecided(_)) => return Ok(None),
        Err(_) => return Ok(Some("lastHeight")),
    };
    let Some(set) = chain.set_of(params.epoch_of(Height(header.firstHeight)))? else { return Ok(None) };
    let expected = expected_header(parent, &blocks, params, &set, header.dataHash);
    Ok(expected.and_then(|expected| first_difference(header, &expected)))
}

fn own_blocks(
    header: &BatchHeader,
    parent: &ParentBatch,
    params: &Params,
    chain: &dyn ChainReader,
) -> Result<Vec<ChainBlock>, Mismatch> {
    let (first, last) = (Height(header.firstHeight), Height(header.lastHeight));
    let count = last.0.checked_sub(first.0).map(|span| span.saturating_add(1));
    let fits = count.is_some_and(|count| count <= MAX_BLOCKS as u64);
    let one_epoch = params.epoch_of(first) == params.epoch_of(last);
    if !fits || !one_epoch || first != Height(parent.last_height).next() {
        return Err(Mismatch::Range(first, last));
    }
    let block = |number| chain.block(Height(number))?.ok_or(Mismatch::NotDecided(Height(number)));
    // The newest first: a node that is behind says so at once.
    block(last.0)?;
    (first.0..=last.0).map(block).collect()
}

/// Name of the first field that differs. Naming fields one by one makes the compiler tell when the header gains one.
fn first_difference(ours: &BatchHeader, theirs: &BatchHeader) -> Option<&'static str> {
    let BatchHeader {
        index,
        parentHash,
        firstHeight,
        lastHeight,
        lastBlockHash,
        stateRoot,
        withdrawalsRoot,
        blocksRoot,
        dataHash,
        snapshotId,
        l1OriginNumber,
        l1OriginHash,
        depositCount,
        turns,
    } = theirs;
    [
        ("index", ours.index == *index),
        ("parentHash", ours.parentHash == *parentHash),
        ("firstHeight", ours.firstHeight == *firstHeight),
        ("lastHeight", ours.lastHeight == *lastHeight),
        ("lastBlockHash", ours.lastBlockHash == *lastBlockHash),
        ("stateRoot", ours.stateRoot == *stateRoot),
        ("withdrawalsRoot", ours.withdrawalsRoot == *withdrawalsRoot),
        ("blocksRoot", ours.blocksRoot == *blocksRoot),
        ("dataHash", ours.dataHash == *dataHash),
        ("snapshotId", ours.snapshotId == *snapshotId),
        ("l1OriginNumber", ours.l1OriginNumber == *l1OriginNumber),
        ("l1OriginHash", ours.l1OriginHash == *l1OriginHash),
        ("depositCount", ours.depositCount == *depositCount),
        ("turns", ours.turns == *turns),
    ]
    .into_iter()
    .find_map(|(name, equal)| (!equal).then_some(name))
}
