//! Hard bounds of a batch. A decoder refuses whatever exceeds them, so hostile bytes cost bounded memory and time.

use protocol::limits;

/// Blocks in one batch: 5 minutes of 500 ms blocks are 600.
pub const MAX_BLOCKS: usize = limits::MAX_BATCH_BLOCKS as usize;
/// Transactions in one batch.
pub const MAX_TRANSACTIONS: usize = 131_072;
/// Bytes of one EIP-2718 transaction; deposits, which may be larger, do not travel in batches.
pub const MAX_TRANSACTION_BYTES: usize = limits::MAX_TRANSACTION_BYTES;
/// Bytes of all columns after decompression.
pub const MAX_COLUMN_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of all decoded transactions. Trimmed words expand 32-fold, so columns alone do not bound memory.
pub const MAX_DECODED_BYTES: usize = 32 * 1024 * 1024;
/// Blobs of one L1 transaction (EIP-7594 allows six).
pub const MAX_BLOBS: usize = limits::MAX_BATCH_BLOBS;
/// Bytes of a channel posted as calldata: L1 nodes refuse transactions above 128 KiB, and certificate and header need room.
pub const MAX_CALLDATA_CHANNEL: usize = 120 * 1024;
/// Bytes of a channel in any form.
pub const MAX_CHANNEL_BYTES: usize = MAX_BLOBS * crate::frame::BLOB_CAPACITY;
