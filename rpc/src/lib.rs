//! JSON-RPC for wallets, libraries, explorers and operators, over HTTP and WebSocket on one port, over a Unix socket, and on a port
//! for operators.
//!
//! ```text
//!   client ─► door (TCP, clients' connections) or ipc (Unix socket)
//!                 ─► http (hosts, CORS, token, /healthz, /readyz), for WebSockets and the Unix socket line (messages both ways)
//!                 ─► ids, calls (calls and batches of a message)
//!                 ─► middleware (clients' budgets, time limit, batch limit, metrics, geth's error texts)
//!                       ─► registry ─► eth, net, web3, txpool, debug, trace, ots, horae, optimism, rpc, admin
//!                                         │  args in, convert/views out
//!                                         ▼
//!                                 Backend (the one port; the node implements it)
//! ```
//!
//! Invariant: whatever a client sends, the answer is well-formed, bounded in size, work and time, and the server lives.
//! Invariant: this crate decides nothing about the chain; it resolves names, asks the [`Backend`], and formats.
//!
//! Deliberately absent: user keys (`eth_sign…`, `eth_sendTransaction`), the engine API, mining, and tracers in JavaScript.
//! `docs/rpc.md` has every method, with its differences to geth.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod admin;
mod args;
mod backend;
mod calls;
mod clients;
pub mod config;
mod context;
pub mod convert;
mod debug;
mod debug_trace;
mod door;
pub mod error;
mod eth;
mod fees;
mod filters;
mod horae;
mod http;
mod ids;
mod ipc;
mod line;
mod logs;
mod middleware;
pub mod model;
mod modules;
mod net;
mod optimism;
mod otterscan;
mod parity;
mod registry;
mod server;
mod txpool;
pub mod views;
mod web3;
mod websocket;

pub use admin::{OperatedNode, Operator, Peer};
pub use backend::Backend;
pub use config::{AdminConfig, AdminToken, ClientLimits, RpcConfig};
pub use error::{BackendError, CallError, SimulateError, SubmitError};
pub use model::{
    BatchInclusion, BatchRecord, BatchSigners, BatchStatus, BlockRecord, CallRequest, CallState, ChainEvent,
    EpochRecord, Executed, ExecutionWitness, Heads, History, L1BlockRef, L1Heads, LogCandidates, NewHead, NodeIdentity,
    PoolContent, PoolStatus, PooledTransaction, Reach, ReceiptRecord, RecoveredTransaction, SealedHeader,
    SimulateRequest, SimulatedBlock, StorageRange, StorageRangeRequest, SyncProgress, Trace, TraceRequest, TraceTarget,
    Tracer, TransactionPosition,
};
pub use server::{RpcServer, StartError};
