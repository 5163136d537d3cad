//! Every bound of this crate.

use protocol::limits::{MAX_BLOCK_BYTES, MAX_SLICE_BYTES, MAX_TRANSACTION_BYTES};

/// Bytes of one gossip message of transactions.
pub const MAX_TRANSACTIONS_MESSAGE: usize = 2 * MAX_TRANSACTION_BYTES;
/// Transactions in one gossip message.
pub const MAX_TRANSACTIONS_PER_MESSAGE: usize = 2_048;
/// Bytes of one gossip message about batches; six blobs hold 786,432 bytes.
pub const MAX_BATCH_MESSAGE: usize = 1024 * 1024;
/// Bytes of an RLP encoded commit certificate: 32 signatures of about 90 bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 4 * 1024;
/// Bytes of one gossip message with a decided block.
pub const MAX_BLOCK_MESSAGE: usize = MAX_BLOCK_BYTES + MAX_CERTIFICATE_BYTES + 64;
/// Bytes of one gossip message with a slice.
pub const MAX_SLICE_MESSAGE: usize = MAX_SLICE_BYTES + 256;
/// Bytes that gossipsub adds to a message.
pub const GOSSIP_OVERHEAD: usize = 1024;
/// Bytes of a status request or response.
pub const MAX_STATUS_BYTES: u64 = 512;
/// Bytes of a request for blocks.
pub const MAX_BLOCKS_REQUEST_BYTES: u64 = 32;
/// Blocks in one answer.
pub const MAX_BLOCKS_PER_REQUEST: u64 = 64;
/// Bytes of one answer with blocks.
pub const MAX_BLOCKS_RESPONSE_BYTES: u64 = 8 * 1024 * 1024;
/// Seconds until a request without an answer has failed.
pub const REQUEST_TIMEOUT_S: u64 = 10;
/// Requests for blocks that may wait for an answer from others.
pub const MAX_OPEN_REQUESTS: usize = 64;
/// Requests for blocks from others that may wait for our node's answer.
pub const MAX_OPEN_REPLIES: usize = 32;
/// The same for one peer.
pub const MAX_OPEN_REPLIES_PER_PEER: usize = 4;

/// Commands waiting for the network task.
pub const MAX_COMMANDS: usize = 1_024;
/// Payload bytes in those commands.
pub const MAX_COMMAND_BYTES: usize = 32 * 1024 * 1024;
/// Verdicts waiting for the network task.
pub const MAX_VERDICTS: usize = 4_096;
/// Events waiting for the node.
pub const MAX_EVENTS: usize = 1_024;
/// Of these, places that gossip may not take, so that a flood does not hide peers and requests.
pub const RESERVED_EVENTS: usize = 128;
/// Payload bytes of gossip that was handed to the node and not judged yet.
pub const MAX_UNJUDGED_BYTES: usize = 64 * 1024 * 1024;

/// Milliseconds that transactions wait for company in a message.
pub const TRANSACTION_FLUSH_MS: u64 = 10;
/// Bytes of waiting transactions that are sent at once.
pub const TRANSACTION_FLUSH_BYTES: usize = 64 * 1024;
/// Messages kept for the first subscriber while there is none.
pub const MAX_UNSENT: usize = 128;
/// Bytes of such messages.
pub const MAX_UNSENT_BYTES: usize = 4 * 1024 * 1024;
/// Messages queued for one connection.
pub const MAX_CONNECTION_QUEUE: usize = 512;

/// Gossip messages a peer may send at once, and each second.
pub const PEER_MESSAGES: (u64, u64) = (2_048, 1_024);
/// Gossip bytes a peer may send at once, and each second.
pub const PEER_BYTES: (u64, u64) = (24 * 1024 * 1024, 8 * 1024 * 1024);
/// Connections to one peer: both may have dialled at the same time, twice.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Connections beyond the inbound maximum, kept for sequencers until they have said who they are.
pub const RESERVED_CONNECTIONS: u32 = protocol::limits::MAX_MEMBERS as u32;
/// Connections being negotiated in each direction.
pub const MAX_PENDING_CONNECTIONS: u32 = 64;
/// Milliseconds a peer has to tell its genesis.
pub const STATUS_DEADLINE_MS: u64 = 10_000;
/// Milliseconds between two questions for a peer's heads.
pub const STATUS_INTERVAL_MS: u64 = 2_000;
/// Bans remembered.
pub const MAX_BANS: usize = 1_024;
/// Scores remembered.
pub const MAX_SCORES: usize = 1_024;
