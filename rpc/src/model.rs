//! Values that pass through the [`Backend`](crate::Backend) port.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use alloy_consensus::{Header, Sealed, transaction::Recovered};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bloom, Bytes, U256, map::HashSet};
use alloy_rpc_types_eth::{
    BlockOverrides, TransactionRequest,
    simulate::{SimCallResult, SimulatePayload},
    state::StateOverride,
};
use alloy_rpc_types_trace::{
    geth::{GethDebugTracingOptions, GethTrace},
    parity::{TraceResults, TraceType},
};
use op_alloy_consensus::{OpReceipt, OpTxEnvelope};
use op_alloy_rpc_types::L1BlockInfo;
use protocol::{BatchHeader, Member, RecoveredTx, SequencerSet};

/// A header together with its hash.
pub type SealedHeader = Sealed<Header>;
/// A transaction together with its recovered sender.
pub type RecoveredTransaction = Recovered<OpTxEnvelope>;

/// Constants of a running node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    /// As `web3_clientVersion` answers, e.g. `horae/v0.1.0-abcdef12/linux-x86_64/rust1.95`.
    pub client_version: String,
    /// The least priority fee the pool admits, in wei; the floor of every fee suggestion.
    pub min_priority_fee: u128,
    /// Signer of this node; `None` on a follower.
    pub signer: Option<Address>,
}

/// The four heads of the node at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// Height of the lowest block that is kept with its receipts; its state may be gone, see [`History`].
    pub earliest: u64,
    /// Committed by certificate.
    pub latest: BlockNumHash,
    /// Its batch is on L1.
    pub safe: BlockNumHash,
    /// That L1 block is final.
    pub finalized: BlockNumHash,
}

/// How far one kind of data reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reach {
    /// Lowest height that has it.
    pub from: u64,
    /// Blocks behind the head beyond which it is dropped; `None`: never.
    pub window: Option<u64>,
}

/// How much of the past the node can still answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// States, for balances, calls and traces.
    pub state: Reach,
    /// States that can be proven.
    pub proofs: Reach,
    /// Bodies.
    pub bodies: Reach,
    /// Receipts and logs.
    pub receipts: Reach,
}

/// A decided block.
#[derive(Debug, Clone)]
pub struct BlockRecord {
    /// Header and hash.
    pub header: SealedHeader,
    /// Transactions in order, with senders.
    pub transactions: Vec<RecoveredTransaction>,
}

/// Blocks that may hold wanted logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogCandidates {
    /// Their heights, ascending.
    pub heights: Vec<u64>,
    /// First height that was not looked at; `None` at the end of the range.
    pub next: Option<u64>,
}

/// What execution recorded about one transaction.
#[derive(Debug, Clone)]
pub struct ReceiptRecord {
    /// The consensus receipt: type, status, cumulative gas, logs, deposit nonce.
    pub receipt: OpReceipt,
    /// Bloom of its logs: four hashes a log are too dear to make for every reader.
    pub logs_bloom: Bloom,
    /// The L1 data fee and its inputs; all `None` for deposits.
    pub l1: L1BlockInfo,
}

/// A block and its receipts, one per transaction, in order.
pub type Executed = (Arc<BlockRecord>, Arc<Vec<ReceiptRecord>>);

/// A transaction's place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionPosition {
    /// Height of its block.
    pub number: u64,
    /// Index in the block.
    pub index: u64,
}

/// A call, estimate or access-list request, with every default resolved but those of the transaction itself.
#[derive(Debug, Clone)]
pub struct CallRequest {
    /// The transaction as the client wrote it.
    pub transaction: TransactionRequest,
    /// The height whose state is used.
    pub at: u64,
    /// Replacements of account state, if any.
    pub state_overrides: Option<StateOverride>,
    /// Replacements in the block environment, if any.
    pub block_overrides: Option<Box<BlockOverrides>>,
    /// The moment at which execution must stop with [`CallError::Timeout`](crate::CallError::Timeout).
    pub deadline: Instant,
    /// Runs on a thread where others wait: the deadline is near, and what cannot be stopped in time must not begin.
    pub brief: bool,
}

/// Where calls to be traced run.
#[derive(Debug, Clone, Default)]
pub struct CallState {
    /// The height whose state and environment are used.
    pub at: u64,
    /// Within that block: on the state before its transaction with this index.
    pub before: Option<usize>,
    /// Replacements of account state, if any.
    pub state_overrides: Option<StateOverride>,
    /// Replacements in the block environment, if any.
    pub block_overrides: Option<Box<BlockOverrides>>,
}

/// What is to be traced.
#[derive(Debug, Clone)]
pub enum TraceTarget {
    /// Transactions of a decided block: all, or the one with this index.
    Block {
        /// Height.
        number: u64,
        /// Index in the block.
        index: Option<usize>,
    },
    /// All transactions of a block that somebody sent, on the state of its parent.
    Body(Box<protocol::Block>),
    /// Calls, each on the state that the one before left.
    Calls {
        /// The transactions as the client wrote them.
        calls: Vec<TransactionRequest>,
        /// Where they run.
        on: CallState,
    },
    /// A signed transaction (EIP-2718 bytes), on the state after a block.
    Signed {
        /// The bytes.
        raw: Bytes,
        /// The height.
        at: u64,
    },
}

/// How a trace looks.
#[derive(Debug, Clone)]
pub enum Tracer {
    /// As `debug_trace…` of geth.
    Geth(Box<GethDebugTracingOptions>),
    /// As `trace_…` of OpenEthereum.
    Parity(HashSet<TraceType>),
}

/// A trace to be made.
#[derive(Debug, Clone)]
pub struct TraceRequest {
    /// Of what.
    pub target: TraceTarget,
    /// How.
    pub tracer: Tracer,
    /// The moment at which execution must stop with [`CallError::Timeout`](crate::CallError::Timeout).
    pub deadline: Instant,
}

/// Which storage `debug_storageRangeAt` wants.
#[derive(Debug, Clone, Copy)]
pub struct StorageRangeRequest {
    /// Height of a decided block.
    pub number: u64,
    /// Before its transaction with this index.
    pub before: usize,
    /// Whose storage.
    pub address: Address,
    /// Hash of a slot's key, from which on.
    pub from: B256,
    /// Most slots.
    pub most: usize,
    /// The moment at which execution must stop.
    pub deadline: Instant,
}

/// A part of an account's storage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StorageRange {
    /// Values by the hash of the slot's key, with the key where the node knows it.
    pub slots: BTreeMap<B256, (Option<B256>, U256)>,
    /// Hash from which to go on.
    pub next: Option<B256>,
}

/// A trace of one transaction.
#[derive(Debug, Clone)]
pub enum Trace {
    /// For [`Tracer::Geth`].
    Geth(Box<GethTrace>),
    /// For [`Tracer::Parity`].
    Parity(Box<TraceResults>),
}

/// What a block needs to be executed by somebody who has no state, in reth's form of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ExecutionWitness {
    /// RLP of the trie nodes, accounts' and storages', that execution and the new roots need.
    pub state: Vec<Bytes>,
    /// Codes of contracts that existed before the block and were looked at.
    pub codes: Vec<Bytes>,
    /// What was looked at: each address with the slots of its account behind it.
    pub keys: Vec<Bytes>,
    /// RLP of headers, ascending: from the oldest whose hash was asked for to the parent.
    pub headers: Vec<Bytes>,
}

/// An `eth_simulateV1` request with its block resolved.
#[derive(Debug, Clone)]
pub struct SimulateRequest {
    /// What the client wrote.
    pub payload: SimulatePayload,
    /// The height on which the first block stands.
    pub at: u64,
    /// The moment at which execution must stop.
    pub deadline: Instant,
}

/// A simulated block.
#[derive(Debug, Clone)]
pub struct SimulatedBlock {
    /// Header and unsigned transactions with their senders.
    pub block: BlockRecord,
    /// What each call did; the places of logs are filled in by the server.
    pub calls: Vec<SimCallResult>,
}

/// Progress of a node that is catching up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncProgress {
    /// Height at which catching up began.
    pub starting: u64,
    /// Height reached.
    pub current: u64,
    /// Best height known.
    pub highest: u64,
}

/// Pool sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStatus {
    /// Executable now.
    pub pending: u64,
    /// Waiting for a nonce gap or for a lower base fee.
    pub queued: u64,
}

/// A pooled transaction, shared with the pool.
pub type PooledTransaction = Arc<RecoveredTx>;

/// Transactions of the pool.
#[derive(Debug, Clone, Default)]
pub struct PoolContent {
    /// Executable now.
    pub pending: Vec<PooledTransaction>,
    /// Waiting.
    pub queued: Vec<PooledTransaction>,
}

/// What decides who votes and who leads in an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// Members and weights.
    pub set: SequencerSet,
    /// Seed of the schedule.
    pub seed: B256,
}

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BatchStatus {
    /// Signed, not yet seen on L1.
    Signed,
    /// In an L1 block.
    Safe,
    /// In a final L1 block.
    Finalized,
}

/// The L1 transaction that carried a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchInclusion {
    /// L1 transaction.
    pub transaction: B256,
    /// L1 block.
    pub block: BlockNumHash,
    /// Whether the data are in blobs (else in call data).
    pub blobs: bool,
}

/// Whose signatures L1 accepted for a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSigners {
    /// The set of the batch's epoch.
    pub members: Vec<Member>,
    /// Bit i: member i has signed.
    pub bitmap: U256,
}

/// A batch as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRecord {
    /// What was signed.
    pub header: BatchHeader,
    /// Who signed it, once that is known.
    pub signed_by: Option<BatchSigners>,
    /// Where it is on L1, once it is there.
    pub inclusion: Option<BatchInclusion>,
    /// How far it has come.
    pub status: BatchStatus,
}

/// The node's view of L1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct L1Heads {
    /// Newest L1 block seen.
    pub head: L1BlockRef,
    /// Newest safe L1 block.
    pub safe: L1BlockRef,
    /// Newest final L1 block.
    pub finalized: L1BlockRef,
    /// The L1 block up to which all batches have been read and their blocks are here; zero before the first.
    pub derived: L1BlockRef,
}

/// An L1 block by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct L1BlockRef {
    /// Number.
    pub number: u64,
    /// Hash.
    pub hash: B256,
    /// Hash of its parent.
    pub parent_hash: B256,
    /// Timestamp in seconds.
    pub timestamp: u64,
}

/// A decided block with its receipts.
#[derive(Debug, Clone)]
pub struct NewHead {
    /// The block.
    pub block: Arc<BlockRecord>,
    /// Its receipts.
    pub receipts: Arc<Vec<ReceiptRecord>>,
}

/// What happens on the chain, as subscribers and filters see it.
#[derive(Debug, Clone)]
pub enum ChainEvent {
    /// `latest` moved by one block. Sent after the block can be read back, in order of height.
    Head(NewHead),
    /// A transaction became executable in the pool.
    Pending(PooledTransaction),
    /// The pending block has grown, or another took its place; see [`Backend::pending`](crate::Backend::pending).
    PendingBlock,
    /// The node started (`Some`) or stopped (`None`) catching up.
    Sync(Option<SyncProgress>),
}

impl BlockRecord {
    /// Height of the block.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// Hash of the block.
    pub fn hash(&self) -> B256 {
        self.header.seal()
    }
}
