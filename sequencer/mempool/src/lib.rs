//! Which user transactions wait, in which order they are worth building, and which are refused.
//!
//! ```text
//!  add ──▶ admission (stateless, then against the account) ──▶ sender queue ──▶ bounds (evict the cheapest tail)
//!                                                               │ executable │ gapped
//!  on_block ──▶ advances nonces, drops what became impossible   ▼            ▼
//!  best ◀── lazy heap over the heads of the executable runs, by effective tip, then arrival
//! ```
//!
//! **Invariant.** A synchronous machine: no clock, no I/O, no task; time and account state are passed in, effects are
//! returned. Executable transactions of a sender are consecutive from its account nonce; their number, the number of
//! gapped ones, the total number and the total bytes never exceed [`Limits`].
//!
//! The L1 data fee is part of what a transaction costs, at the rate of the next block ([`Pool::reprice`]): what its sender
//! can no longer pay when fees or balances move is dropped with its reason.
//!
//! A sender's number of transactions and bytes is bounded too, and a newcomer evicts only what is worth less than itself:
//! one sender's flood takes at most its own share from the others.
//!
//! **Absent on purpose.** Signature recovery (done once at the edge, off any lock), state access, gossip, and
//! persistence: the node keeps a journal of what its own RPC took, and adds that again after a restart.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod admission;
mod best;
mod delegation;
mod error;
mod eviction;
mod pool;
mod queue;
#[cfg(test)]
mod tests;

pub use admission::intrinsic_gas;
pub use admission::{AccountView, Incoming, MAX_AUTHORIZATIONS, MAX_INIT_CODE_BYTES, Origin, PoolEnv, SenderCode};
pub use best::Best;
pub use error::{PoolError, Shortfall};
pub use pool::{AccountUpdate, Added, Limits, Pool, PoolContent, PoolEvent, PoolStatus, ROOMY, Removal};
pub use queue::Pooled;
