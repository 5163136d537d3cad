//! From a decoded batch and final L1 blocks to everything a block's execution needs.

use alloy_primitives::{Address, B256, Bytes};
use op_alloy_consensus::TxDeposit;
use protocol::genesis::Params;
use protocol::{BlockAttributes, Height, L1Origin};

use crate::BatchBlock;
use crate::limits::MAX_BLOCKS;

/// Final L1 blocks, as far as the node has seen them. Implemented by the L1 reader's cache and by maps in tests.
pub trait FinalL1 {
    /// The block as L2 refers to it; `None` when it is not final or not loaded yet.
    fn origin(&self, number: u64) -> Option<L1Origin>;
    /// Queue items of the block in order; `None` under the same conditions.
    fn deposits(&self, number: u64) -> Option<Vec<TxDeposit>>;
}

/// What of the parent block decides how the next one derives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DerivationTip {
    /// Parent height.
    pub height: Height,
    /// Parent timestamp in milliseconds.
    pub timestamp_ms: u64,
    /// Number of the parent's L1 origin.
    pub origin: u64,
    /// Parent's position among the blocks with its origin.
    pub sequence_number: u64,
}

/// A block ready to be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedBlock {
    /// Its height.
    pub height: Height,
    /// Everything but the user transactions. The deposit that opens an epoch is still missing: its sets follow from the
    /// blocks before, which whoever executes this one has.
    pub attributes: BlockAttributes,
    /// User transactions as EIP-2718 bytes.
    pub transactions: Vec<Bytes>,
}

/// Why a batch's blocks do not follow from their parent and L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// An L1 block is not final or not loaded: retry when it is.
    #[error("L1 block {0} is not known to be final")]
    MissingL1(u64),
    /// The origin goes back or advances by more than the limit: the batch is invalid.
    #[error("L1 origin {0} does not follow {1}")]
    Origin(u64, u64),
    /// The timestamp lies before the parent's: the batch is invalid.
    #[error("block {0} is older than its parent")]
    Timestamp(Height),
}

impl DeriveError {
    /// Whether waiting for L1 can help.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::MissingL1(_))
    }
}

impl DerivationTip {
    /// The genesis block's tip.
    pub const fn genesis(timestamp_s: u64, origin: u64) -> Self {
        Self { height: Height(0), timestamp_ms: timestamp_s.saturating_mul(1_000), origin, sequence_number: 0 }
    }

    /// Derives one block and moves the tip onto it. On error the tip stays.
    pub fn derive(
        &mut self,
        block: BatchBlock,
        params: &Params,
        l1: &dyn FinalL1,
    ) -> Result<DerivedBlock, DeriveError> {
        let height = self.height.next();
        if block.timestamp_ms < self.timestamp_ms {
            return Err(DeriveError::Timestamp(height));
        }
        let advance = block.l1_origin.checked_sub(self.origin);
        if advance.is_none_or(|advance| advance > params.max_origin_advance) {
            return Err(DeriveError::Origin(block.l1_origin, self.origin));
        }
        let origin = l1.origin(block.l1_origin).ok_or(DeriveError::MissingL1(block.l1_origin))?;
        let mut deposits = Vec::new();
        for number in self.origin.saturating_add(1)..=block.l1_origin {
            deposits.extend(l1.deposits(number).ok_or(DeriveError::MissingL1(number))?);
        }
        let sequence_number = if advance == Some(0) { self.sequence_number.saturating_add(1) } else { 0 };
        let BatchBlock { timestamp_ms, leader, l1_origin, transactions } = block;
        *self = Self { height, timestamp_ms, origin: l1_origin, sequence_number };
        let attributes = BlockAttributes { timestamp_ms, leader, origin, sequence_number, deposits };
        Ok(DerivedBlock { height, attributes, transactions })
    }
}

/// The part of an executed block that its batch carries.
///
/// `transactions` are all transactions of the block as EIP-2718 bytes; leading deposits are left out, since every node
/// finds them on L1.
pub fn batch_block(
    timestamp_ms: u64,
    leader: Address,
    l1_origin: u64,
    transactions: impl IntoIterator<Item = Bytes>,
) -> BatchBlock {
    let user = transactions.into_iter().skip_while(|bytes| bytes.first() == Some(&DEPOSIT_TYPE));
    BatchBlock { timestamp_ms, leader, l1_origin, transactions: user.collect() }
}

/// Blocks of a permissionless batch that follows `tip` and ends at `last_origin` (specification 4.7): queue items alone, so
/// that they need no data.
///
/// # Errors
/// [`DeriveError::MissingL1`].
pub fn queue_only_blocks(
    tip: &DerivationTip,
    last_origin: u64,
    params: &Params,
    l1: &dyn FinalL1,
) -> Result<Vec<BatchBlock>, DeriveError> {
    let (mut origin, mut timestamp_ms) = (tip.origin, tip.timestamp_ms);
    let mut blocks = Vec::new();
    // L1 refuses longer batches; one block more than allowed shows as a wrong count.
    while origin < last_origin && blocks.len() <= MAX_BLOCKS {
        origin = origin.saturating_add(params.max_origin_advance).min(last_origin);
        let seconds = l1.origin(origin).ok_or(DeriveError::MissingL1(origin))?.timestamp;
        timestamp_ms = timestamp_ms.max(seconds.saturating_mul(1_000));
        blocks.push(BatchBlock { timestamp_ms, leader: Address::ZERO, l1_origin: origin, transactions: Vec::new() });
    }
    Ok(blocks)
}

/// EIP-2718 type byte of deposit transactions.
const DEPOSIT_TYPE: u8 = 0x7e;

/// What stands in place of a permissionless batch's data: the version byte that says "the queue's items and nothing else".
const QUEUE_ONLY: [u8; 1] = [2];

/// `dataHash` of a permissionless batch.
pub fn queue_only_hash() -> B256 {
    calldata_hash(&QUEUE_ONLY)
}

/// `calldataHash`, the `dataHash` of a batch posted as calldata.
pub fn calldata_hash(data: &[u8]) -> B256 {
    alloy_primitives::keccak256(data)
}
