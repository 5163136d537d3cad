//! Named maxima that are part of the protocol: a block or message beyond them is invalid everywhere.

/// Members of a sequencer set (a certificate's bitmap and gas are sized for it).
pub const MAX_MEMBERS: usize = 32;
/// Bytes of one EIP-2718 encoded transaction (as geth's pool, 128 KiB).
pub const MAX_TRANSACTION_BYTES: usize = 131_072;
/// Bytes of one RLP encoded block, deposits included.
pub const MAX_BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of user transactions a builder puts into one block; the rest of the block bound is left to deposits.
pub const MAX_USER_BYTES: usize = 1024 * 1024;
/// Transactions in one block.
pub const MAX_BLOCK_TRANSACTIONS: usize = 20_000;
/// Bytes of one slice.
pub const MAX_SLICE_BYTES: usize = 128 * 1024;
/// Slices of one block, the last one included.
pub const MAX_SLICES: u32 = 256;
/// Bytes of an RLP encoded header; ours stay below 700.
pub const MAX_HEADER_BYTES: usize = 1024;
/// Blobs of one batch transaction (EIP-7594 caps a transaction at six).
pub const MAX_BATCH_BLOBS: usize = 6;
/// Blocks in one batch.
pub const MAX_BATCH_BLOCKS: u64 = 4_096;
/// EIP-7825 cap on a transaction's gas limit, 2^24.
pub const MAX_TRANSACTION_GAS: u64 = 16_777_216;
/// Milliseconds a block's timestamp may lie ahead of the voter's clock.
pub const MAX_CLOCK_DRIFT_MS: u64 = 2_000;
