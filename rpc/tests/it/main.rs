//! The server over real sockets, with an in-memory node behind the port.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
#![allow(unreachable_pub, reason = "the modules of a test binary have no outside")]

mod bad_input;
mod chain;
mod client;
mod discover;
mod doors;
mod filters;
mod methods;
mod node;
mod pending;
mod schema;
mod sockets;
mod subscriptions;
mod transport;
