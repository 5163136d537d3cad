//! Tests over whole blocks, each on a small chain in memory.

mod blocks;
mod calls;
mod deposits;
mod fixture;
mod hostile;
mod recovery;
mod simulations;
mod steps;
mod traces;
