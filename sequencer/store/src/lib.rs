//! What a node knows for good: blocks, receipts, certificates, state with its history, batches, evidence.
//!
//! ```text
//!  commit_block ──► one synced write: block, receipts, certificate, diff, head ──► latest
//!       │                                                                    │
//!       ▼ memory                                                             ▼ a thread, every few blocks, unsynced
//!  tries of the newest states (roots, proofs, reads at the head)     flat state + history (reads at any height)
//! ```
//!
//! Invariant: a block is `latest` exactly when its write is durable; whatever instant the process dies at, opening
//! again gives a state whose root is the one in the head's header, or an error, never another state.
//!
//! Logs are found through an index from addresses and topics to heights, written when blocks settle. What
//! [`Retention`] does not keep is dropped a few blocks at a time; asking for it is an error of its own.
//!
//! Flat state is keyed by hashed address and slot: streaming it in key order rebuilds the tries, whose leaves are in
//! the same order. Blocks after the settled height are replayed from their diffs.
//!
//! Deliberately absent: execution, consensus rules, anything asynchronous. `latest` never goes back.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod batches;
mod blocks;
mod chain;
mod codec;
mod commit;
mod config;
mod error;
mod history;
mod log_index;
mod logs;
mod open;
mod proofs;
mod prune;
mod schema;
mod sets;
mod settle;
mod stats;
mod trie;
mod view;

pub use batches::{BatchInclusion, BatchRecord};
pub use blocks::{TransactionLocation, TransactionReceipt};
pub use chain::{Head, Heads, Store};
pub use commit::{Candidate, CommittedBlock, EmptyState};
pub use config::{Oldest, Retention, StoreConfig};
pub use error::StoreError;
pub use log_index::LogCandidates;
pub use logs::{FoundLog, LogFilter};
pub use prune::Pruned;
pub use sets::MAX_SETS;
pub use stats::{FamilyStats, Stats};
pub use trie::{AccountProof, StorageProof, Viewed};
pub use view::StateView;
