//! Bounds of the store's memory and lag. None of them changes what is stored.

use std::num::NonZeroUsize;

/// How much of the past is kept, in blocks behind the head; `None` is all of it. Only final blocks go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// States, for calls, proofs and traces.
    pub state: Option<u64>,
    /// Receipts, with the index of their logs.
    pub receipts: Option<u64>,
    /// Bodies, certificates and the places of transactions; receipts of a block never outlive its body.
    pub bodies: Option<u64>,
}

/// First heights of what can still be asked for; what the genesis block itself has stays in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oldest {
    /// States, for calls and balances.
    pub state: u64,
    /// States that can be proven ([`crate::Store::proof`]).
    pub proofs: u64,
    /// Bodies.
    pub bodies: u64,
    /// Receipts and logs.
    pub receipts: u64,
}

/// Local tuning. The defaults keep RocksDB's buffers and caches together at 48 MiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// All memtables together, bytes.
    pub write_buffer_bytes: usize,
    /// Blocks of files, with their indexes and filters, bytes.
    pub block_cache_bytes: usize,
    /// Open file handles.
    pub max_open_files: i32,
    /// Blocks whose changes are settled into flat state and history together.
    pub settle_blocks: usize,
    /// Blocks whose changes may wait; a commit beyond settles by itself first.
    pub max_unsettled_blocks: usize,
    /// States of the newest blocks that stay in memory for reads and proofs.
    pub recent_states: usize,
    /// Blocks behind the settled ones whose diffs stay on disk, so that full proofs can be made of their states.
    pub proof_window: u64,
    /// What [`crate::Store::prune`] leaves.
    pub retention: Retention,
    /// Open a log that is damaged before its end (what a power cut can leave in writes that were never synced) up to
    /// the damage. What comes after is lost, so the head may be older than one that was acknowledged: the operator
    /// decides, and the missing blocks come from peers or L1.
    pub recover_log: bool,
    /// Decoded headers in memory.
    pub cached_headers: NonZeroUsize,
    /// Decoded blocks, and receipts, in memory.
    pub cached_blocks: NonZeroUsize,
    /// Contract codes in memory.
    pub cached_codes: NonZeroUsize,
}

/// `NonZeroUsize::new` for constants.
const fn count(value: usize) -> NonZeroUsize {
    match NonZeroUsize::new(value) {
        Some(value) => value,
        None => NonZeroUsize::MIN,
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            write_buffer_bytes: 24 << 20,
            block_cache_bytes: 24 << 20,
            max_open_files: 256,
            settle_blocks: 8,
            max_unsettled_blocks: 64,
            recent_states: 16,
            proof_window: 4096,
            retention: Retention::default(),
            recover_log: false,
            cached_headers: count(2048),
            cached_blocks: count(64),
            cached_codes: count(256),
        }
    }
}
