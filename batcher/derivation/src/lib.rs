//! What a batch looks like on L1, in both directions, as pure functions.
//!
//! ```text
//!  blocks ──encode──▶ channel ──frames──▶ blobs | calldata ──▶ L1
//!  blocks ◀─decode─── channel ◀─frames─── blobs | calldata ◀── L1
//!                                 L1 logs ──▶ deposits, L1 attributes (0x7E)
//! ```
//!
//! **Invariant.** Decoding is total: any bytes give blocks or an error, within the bounds of [`limits`], and never a
//! panic. Encoding then decoding returns every transaction byte for byte, because block hashes depend on those bytes.
//!
//! **Absent on purpose.** No I/O, no clock, no execution: deposits and L1 attributes are not part of a channel, since
//! every node rebuilds them from its own L1, and neither are roots, since every node computes them.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod attributes;
mod block;
mod channel;
mod columns;
mod commitments;
mod cursor;
mod deposit;
mod frame;
pub mod limits;
#[cfg(test)]
mod tests;

pub use attributes::{L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK_PREDEPLOY, L1Attributes};
pub use block::BatchBlock;
pub use channel::{ChannelError, decode_channel, encode_channel};
pub use commitments::{blob_data_hash, blocks_root, calldata_data_hash};
pub use deposit::{DEPOSIT_TOPIC, DepositError, decode_deposit, deposit_source_hash};
pub use frame::{BLOB_CAPACITY, Blob, FrameError, blobs_from_channel, channel_from_blobs};
