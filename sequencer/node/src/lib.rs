//! The node: joins the rooms of the house into one process.
//!
//! ```text
//!  rpc ─► backend ─► transactions (pool) ─► application ─► consensus
//!                          ▲ gossip              │ build, check        ▲ slices, both ways
//!  peers (network) ────────┘                   open ─► chain ─► committer ─► store, subscribers, peers
//!                                                 └──► pending ─► rpc
//!  l1 events ─► epochs (sets, turns), heads (safe, finalized), batcher, derivation
//! ```
//!
//! Invariant: only the committer makes a block `latest`; a task that ends by itself ends the process with its reason.
//! Deliberately absent: protocol rules, which live in the crates below.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod application;
mod backend;
mod batches;
pub mod chain;
mod claims;
mod committer;
pub mod config;
pub mod database;
mod deadline;
pub mod epochs;
mod evidence;
mod follower;
mod journal;
mod keeper;
pub mod keys;
mod open;
mod operator;
mod peers;
mod pending;
mod replay;
mod run;
pub mod telemetry;
#[cfg(test)]
mod tests;
mod transactions;
mod views;
mod vitals;
mod voting;
mod witness;

pub use consensus::Equivocate;
pub use run::{Faults, Forced, force_batch, run};
