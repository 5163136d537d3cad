//! Batches over an in-memory chain, and all the way through a real L1.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../../../l1/tests/it/anvil.rs"]
mod anvil;
mod checking;
mod fixture;
mod following;
mod gathering;
mod network;
mod on_l1;
