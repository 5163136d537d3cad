//! The node behind its JSON-RPC server, on a real store with executed blocks.

mod chain;
mod fees;
mod following;
mod leaving;
mod pending;
mod pruned;
mod schema;
mod semantics;
mod senders;
mod slices;
mod sparse;
mod syncing;
mod tracing;
mod witness;
