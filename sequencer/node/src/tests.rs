//! The node behind its JSON-RPC server, on a real store with executed blocks.

mod chain;
mod fees;
mod schema;
mod semantics;
mod senders;
mod sparse;
mod tracing;
mod witness;
