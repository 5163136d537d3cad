//! Limits and options of the server. Every limit has a name and a default here.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use alloy_primitives::hex;
use subtle::ConstantTimeEq;

/// Port that wallets expect.
pub const DEFAULT_PORT: u16 = 8545;
/// Largest request body in bytes (geth's figure).
pub const MAX_REQUEST_BYTES: u32 = 5 * 1024 * 1024;
/// Default for the largest response in bytes, a whole batch included.
pub const MAX_RESPONSE_BYTES: u32 = 25 * 1024 * 1024;
/// The most that `max_response_bytes` may be configured to.
pub const RESPONSE_BYTES_CEILING: u32 = 160 * 1024 * 1024;
/// Calls in one batch.
pub const MAX_BATCH_ITEMS: usize = 1_000;
/// Above this many items a batch is refused before its items are even parsed; between the two limits the answer has
/// geth's code and text.
pub(crate) const BATCH_PARSE_LIMIT: u32 = 20_000;
/// Running HTTP requests of a port, and as many open WebSocket connections.
pub const MAX_CONNECTIONS: u32 = 500;
/// Connections of one address.
pub const MAX_CLIENT_CONNECTIONS: u32 = 100;
/// Connections to the Unix socket.
pub const MAX_IPC_CONNECTIONS: usize = 64;
/// Addresses whose use is remembered.
pub const MAX_KNOWN_CLIENTS: usize = 16_384;
/// Default for the time in which a request's head must arrive after the request before it (geth's figure for idle connections).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// Time in which a request's body must arrive.
pub const REQUEST_BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Subscriptions of one WebSocket connection.
pub const MAX_SUBSCRIPTIONS_PER_CONNECTION: u32 = 1_024;
/// Calls and batches of one WebSocket, or of one connection to the Unix socket, whose answers are not written yet.
pub const MAX_LINE_CALLS: usize = 64;
/// Room for their answers, in answers of the largest size: beyond, calls are refused.
pub const LINE_ANSWERS: usize = 2;
/// Unsent messages of one such connection's subscriptions before back-pressure.
pub(crate) const WS_BUFFER: usize = 1_024;
/// Installed filters of all clients together.
pub const MAX_FILTERS: usize = 10_000;
/// Addresses and topics that all installed filters and log subscriptions hold together, some 64 bytes each.
pub const MAX_STANDING_ALTERNATIVES: usize = 1_000_000;
/// A filter that nobody polls for this long is removed.
pub const FILTER_EXPIRY: Duration = Duration::from_secs(300);
/// Default for logs in one answer.
pub const MAX_LOGS: usize = 20_000;
/// Default for blocks that one log query may span.
pub const MAX_LOG_BLOCKS: u64 = 100_000;
/// Addresses, and alternatives per topic, in one log filter.
pub const MAX_FILTER_ALTERNATIVES: usize = 1_000;
/// Block hashes that one poll of a block filter returns; the rest follows with the next poll.
pub const MAX_BLOCK_HASHES: u64 = 10_000;
/// Pending hashes remembered for filters.
pub const PENDING_RING: usize = 16_384;
/// Time for one request, and for one batch.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Heavy requests that run at the same time.
pub const MAX_HEAVY: usize = 8;
/// Heavy requests that wait for a place; above this, the server answers that it is busy.
pub const MAX_HEAVY_WAITING: usize = 512;
/// Traces that run at the same time: each may hold a hundred megabytes.
pub const MAX_TRACES: usize = 2;
/// Traces that wait for a place.
pub const MAX_TRACES_WAITING: usize = 64;
/// Time for a trace that names none (geth's figure).
pub const TRACE_TIMEOUT: Duration = Duration::from_secs(5);
/// Blocks that one trace filter may span (reth's figure).
pub const MAX_TRACE_BLOCKS: u64 = 100;
/// Calls in one `trace_callMany` or `eth_simulateV1`.
pub const MAX_TRACE_CALLS: usize = 1_000;
/// Blocks that one search for an address's transactions looks at. Reading one of 300 transfers from disk takes some
/// 0.1 ms (bench `senders` of the store).
pub const MAX_SEARCH_BLOCKS: u64 = 100_000;
/// Transactions on one page of a search or of a block's transactions.
pub const MAX_PAGE: usize = 1_000;
/// Storage slots in one proof.
pub const MAX_PROOF_SLOTS: usize = 1_024;
/// Blocks in one fee history (geth's figure).
pub const MAX_FEE_HISTORY_BLOCKS: u64 = 1_024;
/// Percentiles in one fee history (geth's figure).
pub const MAX_REWARD_PERCENTILES: usize = 100;
/// Batches in one `horae_batches` answer.
pub const MAX_BATCHES: u64 = 256;
/// Default wait of `eth_sendRawTransactionSync`; EIP-7966 recommends 2 s.
pub const SYNC_SEND_DEFAULT: Duration = Duration::from_secs(2);
/// Longest wait of `eth_sendRawTransactionSync`.
pub const SYNC_SEND_MAX: Duration = Duration::from_secs(20);
/// Transactions of one receipt subscription (geth's figure).
pub const MAX_RECEIPT_HASHES: usize = 200;
/// Missed heads that a lagging subscription re-reads before it is closed.
pub const MAX_HEAD_BACKFILL: u64 = 1_024;

/// Options of the server.
#[derive(Debug, Clone)]
pub struct RpcConfig {
    /// Address for HTTP and WebSocket; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Origins of web pages that may call; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Host names by which the server may be addressed; IP addresses and `localhost` always may, `*` allows all. This
    /// stops web pages that rebind their own name to this machine.
    pub allowed_hosts: Vec<String>,
    /// Namespaces served, e.g. `eth`; see [`NAMESPACES`].
    pub namespaces: Vec<String>,
    /// Largest response in bytes, at most [`RESPONSE_BYTES_CEILING`].
    pub max_response_bytes: u32,
    /// HTTP requests that run, and as many open WebSocket connections.
    pub max_connections: u32,
    /// Time for one request.
    pub request_timeout: Duration,
    /// Time in which the head of a request must have arrived after the request before it.
    pub idle_timeout: Duration,
    /// Blocks that one log query may span.
    pub max_log_blocks: u64,
    /// Logs in one answer.
    pub max_logs: usize,
    /// Heavy requests that run at the same time.
    pub max_heavy: usize,
    /// Traces that run at the same time.
    pub max_traces: usize,
    /// What one address may ask of the public port.
    pub client_limits: ClientLimits,
    /// Unix socket that serves all namespaces and [`ADMIN`] to this user; none: no IPC.
    pub ipc: Option<PathBuf>,
    /// Second port, for operators; none: there is none.
    pub admin: Option<AdminConfig>,
}

/// What one client address may use. Calls cost credits: 1 if they answer from memory, 10 if they read much or execute, 100 if they
/// execute blocks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLimits {
    /// Open connections; 0: any number.
    pub connections: u32,
    /// Credits a second, with a burst of two seconds' worth; 0: any number.
    pub credits_per_second: u32,
    /// Calls a second by method, e.g. `eth_getLogs`.
    pub method_calls_per_second: BTreeMap<String, u32>,
    /// Addresses without limits: where a reverse proxy, which has its own, calls from.
    pub unlimited: Vec<IpAddr>,
}

/// The operators' port: all namespaces and [`ADMIN`].
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Address for HTTP and WebSocket; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What every request must show.
    pub token: AdminToken,
}

/// 32 secret bytes, shown as `Authorization: Bearer <64 hex digits>`.
#[derive(Clone)]
pub struct AdminToken(pub [u8; 32]);

impl AdminToken {
    /// Whether this text is the token; takes the same time whatever it is.
    pub(crate) fn is(&self, text: &str) -> bool {
        let mut shown = [0; 32];
        hex::decode_to_slice(text, &mut shown).is_ok() && bool::from(shown.ct_eq(&self.0))
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

/// The namespace of operators, never on the public port.
pub const ADMIN: &str = "admin";

/// All namespaces of the public port.
pub const NAMESPACES: [&str; 10] =
    ["eth", "net", "web3", "txpool", "debug", "trace", "ots", "horae", "optimism", "rpc"];

impl RpcConfig {
    /// Bytes of one answer.
    pub(crate) fn max_response(&self) -> usize {
        usize::try_from(self.max_response_bytes.min(RESPONSE_BYTES_CEILING)).unwrap_or(usize::MAX)
    }
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DEFAULT_PORT),
            cors_origins: Vec::new(),
            allowed_hosts: vec!["localhost".to_owned()],
            namespaces: NAMESPACES.iter().map(|name| (*name).to_owned()).collect(),
            max_response_bytes: MAX_RESPONSE_BYTES,
            max_connections: MAX_CONNECTIONS,
            request_timeout: REQUEST_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            max_log_blocks: MAX_LOG_BLOCKS,
            max_logs: MAX_LOGS,
            max_heavy: MAX_HEAVY,
            max_traces: MAX_TRACES,
            client_limits: ClientLimits::default(),
            ipc: None,
            admin: None,
        }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connections: MAX_CLIENT_CONNECTIONS,
            credits_per_second: 0,
            method_calls_per_second: BTreeMap::new(),
            unlimited: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        }
    }
}
