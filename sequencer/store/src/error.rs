//! What can go wrong, so that a caller can tell a wrong call from a disk it must stop for.

use std::path::PathBuf;

use alloy_primitives::B256;
use protocol::state::StateError;

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another process (or another handle) has the database open.
    #[error("database {0} is in use by another process; stop it or choose another data folder")]
    Locked(PathBuf),
    /// `open` found nothing, or `create` found something.
    #[error("{0}")]
    Placement(String),
    /// The database belongs to another chain or was written by a newer program.
    #[error("{0}")]
    Foreign(String),
    /// Device full. Halt: free space and restart.
    #[error("no space left for the database ({0}): free space and start again; nothing that was acknowledged is lost")]
    NoSpace(String),
    /// The disk failed. Halt.
    #[error("database input/output failed: {0}")]
    Io(String),
    /// Stored data contradicts itself or fails its checksum. Halt: restore or sync again.
    #[error("database is damaged: {0}; restore a copy or sync again from L1")]
    Corrupt(String),
    /// A block that does not extend the head, or whose parts do not fit together.
    #[error("block {height} does not fit: {reason}")]
    Misfit {
        /// Height of the block.
        height: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The diff gives another root than the header claims.
    #[error("block {height} claims root {claimed}, its diff gives {computed}")]
    WrongRoot {
        /// Height of the block.
        height: u64,
        /// Root in the header.
        claimed: B256,
        /// Root of the head state with the diff applied.
        computed: B256,
    },
    /// Nothing is stored at this height.
    #[error("no block at height {0}")]
    UnknownHeight(u64),
    /// The state at this height was dropped.
    #[error("state at height {height} is pruned, kept from {kept_from}")]
    Pruned {
        /// Asked height.
        height: u64,
        /// First height whose state can be read.
        kept_from: u64,
    },
    /// The body or the receipts at this height were dropped.
    #[error("history at height {height} is pruned, kept from {kept_from}")]
    PrunedHistory {
        /// Asked height.
        height: u64,
        /// First height that is kept.
        kept_from: u64,
    },
    /// The state at this height can be read but no longer be proven.
    #[error("no account proof at height {height}: too far behind the head")]
    Unprovable {
        /// Asked height.
        height: u64,
    },
    /// A head was told to go where it cannot.
    #[error("{head} head cannot move from {from} to {to}: {reason}")]
    Head {
        /// `safe` or `finalized`.
        head: &'static str,
        /// Where it is.
        from: u64,
        /// Where it was told to go.
        to: u64,
        /// Why not.
        reason: &'static str,
    },
    /// A query that would return, or cost, more than its bound.
    #[error("query exceeds its bound of {0}")]
    TooLarge(usize),
}

impl StoreError {
    /// Whether the node must stop: the disk or the data cannot be trusted any more.
    #[must_use]
    pub const fn must_halt(&self) -> bool {
        matches!(self, Self::NoSpace(_) | Self::Io(_) | Self::Corrupt(_))
    }
}

/// What the system says when a file cannot grow: ENOSPC, EDQUOT, EFBIG.
const NO_SPACE: [&str; 3] = ["No space left", "quota exceeded", "File too large"];

impl From<rocksdb::Error> for StoreError {
    fn from(error: rocksdb::Error) -> Self {
        let kind = error.kind();
        let text = error.into_string();
        if NO_SPACE.iter().any(|reason| text.contains(reason)) {
            return Self::NoSpace(text);
        }
        match kind {
            rocksdb::ErrorKind::Corruption => Self::Corrupt(text),
            _ => Self::Io(text),
        }
    }
}

impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}
