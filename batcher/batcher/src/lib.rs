//! Batches: who proposes them, who signs them, and how they get to L1 and back.
//!
//! ```text
//!  decided blocks ─▶ build ─▶ proposal ─▶ network ─▶ check (every member, against its own blocks) ─▶ record ─▶ sign
//!                                                                                                    │
//!                     L1 ◀─ post ◀─ outbox (durable until final) ◀─ certificate ◀─ gatherer ◀────────┘
//!  L1 ─▶ follower ─▶ derived blocks
//! ```
//!
//! **Invariants.** A member signs a header only if every field of it follows from the member's own decided blocks, and
//! never two headers that claim different hashes for one height, across restarts. A certified batch is kept until its
//! L1 block is final, so that a reorg costs a posting and nothing else.
//!
//! **Absent on purpose.** No execution, no sockets, no L1 polling: blocks, network and L1 come in through [`ports`].

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod build;
mod check;
mod config;
mod durable;
mod follow;
mod gatherer;
mod message;
mod outbox;
mod policy;
pub mod ports;
mod poster;
mod recall;
mod record;
mod shell;
mod state;
mod witness;

pub use build::{BatchPlan, BuildError, DataAvailability, ParentBatch, build_batch, queue_only_header};
pub use check::{Mismatch, check_proposal, contradiction};
pub use config::{AlterProposal, BatcherConfig, BatcherError, BatcherPorts, BatcherStatus};
pub use follow::{BatchPipeline, DerivedBatch, FollowError, L1Follower};
pub use gatherer::{Gatherer, SignatureVerdict};
pub use message::{BatchProposal, BatchSignature};
pub use outbox::{CertifiedBatch, Outbox};
pub use policy::{PolicyParams, Situation, proposes_at, rank_of};
pub use poster::{RegistryPoster, refusal, submit_call};
pub use record::{BatchSignerRecord, RecordError};
pub use shell::Batcher;
pub use state::Gap;
pub use witness::ConflictingHeaders;
