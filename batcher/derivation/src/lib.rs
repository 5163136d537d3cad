//! What a batch looks like on L1, in both directions, as pure functions.
//!
//! ```text
//!  blocks ──encode──▶ channel ──frames──▶ blobs | calldata ──▶ L1
//!  blocks ◀─decode─── channel ◀─frames─── blobs | calldata ◀── L1
//!  attributes of each block ◀─derive─ blocks, final L1 blocks and their deposits (0x7E)
//! ```
//!
//! **Invariant.** Decoding is total: any bytes give blocks or an error, within the bounds of [`limits`], and never a
//! panic. Encoding then decoding returns every transaction byte for byte, because block hashes depend on those bytes.
//!
//! **Absent on purpose.** No I/O, no clock, no execution: deposits are not part of a channel, since every
//! node reads them from its own L1, and neither are roots, since every node computes them.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

// The benchmark's traffic is also the size test's, and names this crate from outside.
#[cfg(test)]
extern crate self as derivation;

mod block;
mod channel;
mod columns;
mod cursor;
mod deposit;
mod derive;
mod frame;
pub mod limits;
#[cfg(test)]
mod tests;

pub use block::BatchBlock;
pub use channel::{ChannelError, decode_channel, encode_channel};
pub use deposit::{DEPOSIT_TOPIC, DepositError, decode_deposit, deposit_source_hash};
pub use derive::{
    DerivationTip, DeriveError, DerivedBlock, FinalL1, batch_block, calldata_hash, queue_only_blocks, queue_only_hash,
};
pub use frame::{BLOB_CAPACITY, Blob, FrameError, blobs_from_channel, channel_from_blobs};
