//! The store through its public face, on a real disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod blocks;
mod crash;
mod damage;
mod fixture;
mod full_disk;
mod history;
mod pruning;
