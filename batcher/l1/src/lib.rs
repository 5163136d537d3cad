//! The node's edge to L1: what L1 says, checked, and what we say to it, delivered.
//!
//! ```text
//!            ┌── L1Watcher ──▶ L1View (heads), L1Event (batches, final blocks) ──▶ node
//!  L1 RPC ◀──┤── L1Reader  ──▶ origins, deposits, snapshots, batches of any final range; payloads
//!            ├── BlobSource ─▶ blobs, verified against their versioned hashes
//!            └── TransactionSender ◀── batches to post, one nonce at a time
//! ```
//!
//! **Invariants.** What leaves this crate as final belongs to one chain, block after block; a contradiction to it is an
//! error, never a second version. Reorgs are found by parent hash. A blob is passed on only after its commitment matched.
//!
//! **Absent on purpose.** No protocol decision: what a batch means, who posts it and when is the batcher's matter.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod blobs;
mod client;
pub mod contracts;
pub mod deploy;
mod error;
mod events;
mod kzg;
mod reader;
mod sender;
mod watcher;
mod window;

pub use blobs::{BeaconBlobs, BlobPlace, BlobSource, SlotClock};
pub use client::{ClientConfig, L1Client, L1Header, Tag};
pub use error::{L1Error, Severity};
pub use events::{FinalBlock, Snapshot, SubmittedBatch};
pub use kzg::{sidecar, versioned_hashes, warm_up};
pub use reader::{BatchPayload, FinalBlocks, L1Reader};
pub use sender::{L1Call, SendError, SenderConfig, TransactionSender};
pub use watcher::{L1Event, L1Position, L1View, L1Watcher, WatchConfig};
