//! The one port of this crate: everything the server asks of the node.
//!
//! All methods but [`Backend::submit`] are synchronous and may read from disk. The server calls the ones marked
//! *light* directly on its async threads, so they must return within microseconds; the others run on blocking threads
//! behind a bounded semaphore, except for first tries: [`CallRequest::brief`], and blocks that [`Backend::at_hand`] has. No
//! method may wait for consensus or for the network.

use std::{sync::Arc, time::Instant};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::{AccessListResult, EIP1186AccountProofResponse, Filter};
use futures::future::BoxFuture;
use protocol::{BatchIndex, CommitCertificate, Epoch, Genesis, Height, state::Account};
use tokio::sync::broadcast;

use crate::{
    admin::Operator,
    error::{BackendError, CallError, SimulateError, SubmitError},
    model::{
        BatchRecord, BlockRecord, CallRequest, ChainEvent, EpochRecord, Executed, ExecutionWitness, Heads, History,
        L1Heads, LogCandidates, NodeIdentity, PoolContent, PoolStatus, PooledTransaction, SealedHeader,
        SimulateRequest, SimulatedBlock, StorageRange, StorageRangeRequest, SyncProgress, Trace, TraceRequest,
        TransactionPosition,
    },
};

/// Headers whose blooms one answer looks at.
const MAX_BLOOMS: u64 = 1_024;

/// What the node implements over its store, its executor and its pool.
///
/// Blocks are asked by number or hash only: tags and EIP-1898 objects are resolved by the server from
/// [`Backend::heads`]. `latest` never reorgs, so a block that was returned once stays the answer for its number.
pub trait Backend: Send + Sync + 'static {
    // Identity and progress.

    /// *Light.* The constants of this node; those of the network are in [`Backend::genesis`].
    fn identity(&self) -> NodeIdentity;
    /// *Light.* The four heads as of now; must be a snapshot that is consistent in itself.
    fn heads(&self) -> Heads;
    /// *Light.* How far back the node can answer.
    fn history(&self) -> History;
    /// *Light.* Height of the pending block, the head's successor, while its leader is streaming it; then the methods below
    /// that take a height answer for it too, with a zero block hash and without roots.
    fn pending(&self) -> Option<u64>;
    /// *Light.* `Some` while the node is catching up with the network.
    fn sync_progress(&self) -> Option<SyncProgress>;
    /// *Light.* Connected peers, for `net_peerCount`.
    fn peer_count(&self) -> usize;
    /// *Light.* `Err` with one line a human understands when the node should not get traffic (`/readyz` answers 503).
    fn readiness(&self) -> Result<(), String>;
    /// *Light.* What operators may do; none on a node that cannot be operated.
    fn operator(&self) -> Option<&dyn Operator> {
        None
    }
    /// Subscribes to new heads, pooled transactions and sync changes. The sender's capacity bounds the lag; a
    /// subscriber that lags re-reads missed heads from the store.
    fn events(&self) -> broadcast::Receiver<ChainEvent>;

    // Chain.

    /// The header at a height; `None` above `latest` and below pruned history.
    fn header(&self, number: u64) -> Result<Option<SealedHeader>, BackendError>;
    /// The block at a height, with senders.
    fn block(&self, number: u64) -> Result<Option<Arc<BlockRecord>>, BackendError>;
    /// *Light.* Number of the block's transactions if it is in memory, with its receipts if those are wanted: reading it is light
    /// then.
    fn at_hand(&self, number: u64, receipts: bool) -> Option<usize>;
    /// The height of a decided block.
    fn block_number(&self, hash: B256) -> Result<Option<u64>, BackendError>;
    /// The block at a height and its receipts, one per transaction, in order. They belong together, also at the pending height,
    /// where the block asked for next may be another one.
    fn executed(&self, number: u64) -> Result<Option<Executed>, BackendError>;
    /// Heights of `from..=to` whose blocks may hold logs of the filter, ascending; bounded, so it may stop early. Without
    /// an index of its own a backend gets by with the headers' blooms.
    fn log_candidates(&self, filter: &Filter, from: u64, to: u64) -> Result<LogCandidates, BackendError> {
        let last = to.min(from.saturating_add(MAX_BLOOMS));
        let mut heights = Vec::new();
        for number in from..=last {
            if self.header(number)?.is_some_and(|header| filter.matches_bloom(header.logs_bloom)) {
                heights.push(number);
            }
        }
        Ok(LogCandidates { heights, next: last.checked_add(1).filter(|next| *next <= to) })
    }
    /// Where a decided transaction is, or one in the pending block.
    fn transaction_position(&self, hash: B256) -> Result<Option<TransactionPosition>, BackendError>;

    // State after the block at the given height.

    /// Nonce, balance and code hash; `None` when the account does not exist.
    fn account(&self, address: Address, at: u64) -> Result<Option<Account>, BackendError>;
    /// The account's code, empty when it has none.
    fn code(&self, address: Address, at: u64) -> Result<Bytes, BackendError>;
    /// One storage word, zero when unset.
    fn storage(&self, address: Address, slot: B256, at: u64) -> Result<U256, BackendError>;
    /// EIP-1186 proof against the block's state root; at the pending height against the head's. `storage_proof` has one entry per slot, in the order asked; the
    /// server overwrites the entries' `key` with what the client sent.
    fn proof(&self, address: Address, slots: &[B256], at: u64) -> Result<EIP1186AccountProofResponse, BackendError>;

    // Execution. The environment is the block *after* `at` when `at` is the latest head, so that estimates hold there.

    /// Runs a message call; the gas cap, EVM memory limit and `request.deadline` are the backend's to enforce.
    fn call(&self, request: CallRequest) -> Result<Bytes, CallError>;
    /// The smallest gas limit with which the transaction succeeds, including the call-data floor.
    fn estimate_gas(&self, request: CallRequest) -> Result<u64, CallError>;
    /// EIP-2930 list of the touched accounts and slots and the gas used with it.
    fn create_access_list(&self, request: CallRequest) -> Result<AccessListResult, CallError>;

    /// Executes transactions again, or calls, and records them: one entry for each. The bounds on gas, memory and time
    /// are the backend's to enforce.
    fn trace(&self, request: TraceRequest) -> Result<Vec<Trace>, CallError>;
    /// Executes a decided block again and records what somebody without the state needs to do the same. Only for states whose
    /// trie can be had ([`BackendError::Unprovable`] otherwise); `deadline` as for a trace.
    fn witness(&self, number: u64, deadline: Instant) -> Result<ExecutionWitness, CallError>;
    /// A part of an account's storage within a block, which is executed again up to there.
    fn storage_range(&self, request: StorageRangeRequest) -> Result<StorageRange, CallError>;
    /// Runs made-up blocks on top of a decided one.
    fn simulate(&self, request: SimulateRequest) -> Result<Vec<SimulatedBlock>, SimulateError>;

    // Fees.

    /// *Light.* Base fee of the block that will follow `latest`, in wei.
    fn next_base_fee(&self) -> u64;

    // Pool.

    /// Decodes, recovers, checks and pools a signed transaction (EIP-2718 bytes), and gossips it.
    fn submit(&self, raw: Bytes) -> BoxFuture<'_, Result<B256, SubmitError>>;
    /// *Light.* A pooled transaction by hash.
    fn pooled(&self, hash: B256) -> Option<PooledTransaction>;
    /// *Light.* The nonce after the sender's executable pooled transactions; `None` when the pool has none of them.
    fn pooled_nonce(&self, sender: Address) -> Option<u64>;
    /// *Light.* Number of executable and of waiting transactions.
    fn pool_status(&self) -> PoolStatus;
    /// Pooled transactions, of one sender or of all.
    fn pool_content(&self, sender: Option<Address>) -> PoolContent;

    // Horae.

    /// *Light.* The network's birth certificate: ids, contracts, parameters.
    fn genesis(&self) -> Arc<Genesis>;
    /// The set and seed of an epoch; `None` while they are not known yet.
    fn epoch(&self, epoch: Epoch) -> Result<Option<EpochRecord>, BackendError>;
    /// The commit certificate of a decided block; `None` for genesis and for blocks known from L1 alone.
    fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, BackendError>;
    /// *Light.* The newest batch this node knows, `None` before the first.
    fn latest_batch(&self) -> Option<BatchIndex>;
    /// A batch that this node has signed or seen on L1.
    fn batch(&self, index: BatchIndex) -> Result<Option<BatchRecord>, BackendError>;
    /// *Light.* The node's view of L1.
    fn l1_heads(&self) -> L1Heads;
}
