//! Consensus: Malachite's engine with our types, our signatures and our application loop.
//!
//! ```text
//!   node ──implements──► Application (port)
//!                            ▲ calls, each in a task of its own
//!   Malachite ──AppMsg──► driver ──ReceivedProposedValue──► Malachite
//!       │                    │ slices, both ways     │
//!       │ sign               ▼                       ▼
//!       └────► GuardedSigner ─► SignerRecord   ProposalLog   (both flushed before anything leaves)
//! ```
//!
//! Invariant: a signature leaves this process only after the record that forbids a conflicting one is on disk; slices
//! leave while the block is built, once their (height, round) is reserved for good, and the last one after the block is on
//! disk; a block is voted for only after the application executed it and it is on disk.
//! Deliberately absent: what a block contains, who is in the set, and any network besides the engine's own.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

extern crate arc_malachitebft_app_channel as malachite;
extern crate arc_malachitebft_signing as malachite_signing;
extern crate arc_malachitebft_sync as malachite_sync;

pub mod application;
pub mod codec;
pub mod context;
mod driver;
mod engine;
mod evidence;
mod lock;
mod proposal_log;
pub mod record;
pub mod signer;
pub mod signing;
pub mod slices;
pub mod witness;

pub use application::{AppError, Application, Built, Candidate, Evidence, Refusal, Turn};
pub use driver::DriverError;
pub use engine::{
    Config, EngineError, Equivocate, Handle, Stopped, Timing, export_record, import_record, peer_id, start,
};
pub use lock::LockError;
pub use record::{Interchange, RecordError, SignerRecord};
