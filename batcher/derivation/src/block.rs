//! The part of an L2 block that only its batch can tell.

use alloy_primitives::{Address, Bytes};

/// What a batch carries of one block. Everything else in the block follows from L1 and from execution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchBlock {
    /// Milliseconds since the Unix epoch; never below the previous block's.
    pub timestamp_ms: u64,
    /// Signer address of the leader that built the block.
    pub leader: Address,
    /// Number of the block's L1 origin; never below the previous block's.
    pub l1_origin: u64,
    /// User transactions as EIP-2718 bytes, without the deposits at the head of the block.
    pub transactions: Vec<Bytes>,
}
