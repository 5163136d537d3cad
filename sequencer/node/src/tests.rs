//! The node behind its JSON-RPC server, on a real store with executed blocks.

mod chain;
mod schema;
mod tracing;
