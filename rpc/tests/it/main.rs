//! The server over real sockets, with an in-memory node behind the port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod bad_input;
mod chain;
mod client;
mod filters;
mod methods;
mod node;
mod schema;
mod subscriptions;
mod transport;
