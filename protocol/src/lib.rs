//! The vocabulary of Horae: everything two nodes, or a node and the L1 contracts, must agree on.
//!
//! ```text
//!  genesis ──► params, set of epoch 0
//!  set ──► quorum arithmetic        schedule ──► who leads (height, round)
//!  signing ──► EIP-712 digests      slice / block / batch ──► what is streamed, decided and posted
//!  state ──► the ports between execution and store
//! ```
//!
//! Invariant: pure. No I/O, no clock, no randomness; equal inputs give equal outputs on every machine.
//! Deliberately absent: the EVM, networking, anything asynchronous.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod batch;
pub mod block;
pub mod genesis;
pub mod ids;
pub mod limits;
pub mod schedule;
pub mod set;
pub mod signing;
pub mod slice;
pub mod state;
pub mod tx;

pub use batch::{BatchCertificate, BatchHeader};
pub use block::{Block, BlockAttributes, CommitCertificate, CommitSignature, HeaderExtra, L1Origin};
pub use genesis::Genesis;
pub use ids::{BatchIndex, Epoch, Height, Round, SnapshotId, Weight};
pub use schedule::{Leadership, Schedule};
pub use set::{Member, SequencerSet};
pub use signing::{CompactSignature, Domain};
pub use slice::{Slice, SliceBody};
pub use tx::RecoveredTx;
