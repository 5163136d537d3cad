//! JSON-RPC for wallets, libraries, explorers and operators, over HTTP and WebSocket on one port.
//!
//! ```text
//!   client ─► http (hosts, CORS, /healthz, /readyz) ─► jsonrpsee (framing, body and connection limits)
//!                 ─► middleware (time limit, batch limit, metrics, geth's error texts)
//!                       ─► registry ─► eth, net, web3, txpool, debug, horae, optimism, rpc
//!                                         │  args in, convert/views out
//!                                         ▼
//!                                 Backend (the one port; the node implements it)
//! ```
//!
//! Invariant: whatever a client sends, the answer is well-formed, bounded in size, work and time, and the server lives.
//! Invariant: this crate decides nothing about the chain; it resolves names, asks the [`Backend`], and formats.
//!
//! Deliberately absent: user keys (`eth_sign…`, `eth_sendTransaction`), the engine API, mining, and tracing, which will
//! come as its own namespace over the same port.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod args;
mod backend;
pub mod config;
mod context;
pub mod convert;
mod debug;
pub mod error;
mod eth;
mod fees;
mod filters;
mod horae;
mod http;
mod logs;
mod middleware;
pub mod model;
mod modules;
mod net;
mod optimism;
mod registry;
mod server;
mod txpool;
pub mod views;
mod web3;

pub use backend::Backend;
pub use config::RpcConfig;
pub use error::{BackendError, CallError, SubmitError};
pub use model::{
    BatchInclusion, BatchRecord, BatchSigners, BatchStatus, BlockRecord, CallRequest, ChainEvent, EpochRecord, Heads,
    L1BlockRef, L1Heads, LogCandidates, NewHead, NodeIdentity, PoolContent, PoolStatus, PooledTransaction,
    ReceiptRecord, RecoveredTransaction, SealedHeader, SyncProgress, TransactionPosition,
};
pub use server::{RpcServer, StartError};
