//! The node behind the JSON-RPC server's port.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use alloy_consensus::Header;
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::{
    AccessListResult, BlockOverrides, EIP1186AccountProofResponse, EIP1186StorageProof, Filter, TransactionRequest,
    state::{AccountOverride as RpcOverride, StateOverride},
};
use alloy_serde::JsonStorageKey;
use execution::{
    AccountOverride, CALL_GAS_CAP, CallEnvironment, CallError as ExecCallError, Failure, Interrupt, Overrides,
    next_base_fee,
};
use futures::{FutureExt, future::BoxFuture};
use l1::{L1Position, L1View};
use lru::LruCache;
use mempool::Origin;
use parking_lot::Mutex;
use protocol::{
    BatchIndex, CommitCertificate, Epoch, Genesis, Height,
    state::{Account, StateError, StateReader},
};
use rpc::{
    Backend, BackendError, BatchInclusion, BatchRecord, BatchSigners, BatchStatus, BlockRecord, CallError, CallRequest,
    ChainEvent, EpochRecord, Executed, ExecutionWitness, Heads, History, L1BlockRef, L1Heads, LogCandidates,
    NodeIdentity, PoolContent, PoolStatus, PooledTransaction, Reach, ReceiptRecord, SealedHeader, SimulateError,
    SimulateRequest, SimulatedBlock, StorageRange, StorageRangeRequest, SubmitError, SyncProgress, Trace, TraceRequest,
    TransactionPosition,
};
use store::{LogFilter, Store, StoreConfig, StoreError};
use tokio::sync::{broadcast, watch};

use crate::{
    chain::Chain,
    deadline::Watchdog,
    epochs::EpochError,
    open::OpenBlocks,
    operator::NodeOperator,
    pending::PendingBlock,
    transactions::{Transactions, now_ms, shared},
    views,
    vitals::Vitals,
};

/// The backend.
pub struct NodeBackend {
    /// The chain.
    pub chain: Arc<Chain>,
    /// The pool.
    pub transactions: Arc<Transactions>,
    /// Has the pending block.
    pub open: Arc<OpenBlocks>,
    /// Subscribers.
    pub events: broadcast::Sender<ChainEvent>,
    /// Our view of L1.
    pub l1: watch::Receiver<Option<L1View>>,
    /// Constants.
    pub identity: NodeIdentity,
    /// What changes outside the chain.
    pub vitals: Arc<Vitals>,
    /// Stops calls whose time is up.
    pub watchdog: Watchdog,
    /// What operators may do.
    pub operator: Arc<NodeOperator>,
    /// Whether submitted transactions reach the sequencers.
    pub forwards: bool,
    /// Newest blocks asked for.
    pub blocks: BlockCache,
}

/// Decided blocks with their senders, and their receipts, as RPC shows them. Neither ever changes.
pub struct BlockCache {
    blocks: Mutex<LruCache<u64, Arc<BlockRecord>>>,
    receipts: Mutex<LruCache<u64, Arc<Vec<ReceiptRecord>>>>,
}

/// Blocks kept in memory.
const CACHED_BLOCKS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(127);

impl Default for BlockCache {
    fn default() -> Self {
        Self { blocks: Mutex::new(LruCache::new(CACHED_BLOCKS)), receipts: Mutex::new(LruCache::new(CACHED_BLOCKS)) }
    }
}

pub(crate) fn store_error(error: StoreError) -> BackendError {
    match error {
        StoreError::Pruned { height, .. } => BackendError::HistoryUnavailable(height),
        StoreError::PrunedHistory { .. } => BackendError::HistoryPruned,
        StoreError::Unprovable { .. } => BackendError::Unprovable,
        other => BackendError::Internal(other.to_string()),
    }
}

fn state_error(error: StateError) -> BackendError {
    BackendError::Internal(error.to_string())
}

impl NodeBackend {
    pub(crate) fn store(&self) -> &Store {
        self.chain.store()
    }

    /// The pending block, if it has this height.
    fn pending_at(&self, at: u64) -> Option<Arc<PendingBlock>> {
        self.open.pending().filter(|pending| pending.height() == at)
    }

    /// The state after a block. A pending block that is no longer there leaves the head's.
    pub(crate) fn state(&self, at: u64) -> Result<Arc<dyn StateReader>, BackendError> {
        if let Some(pending) = self.pending_at(at) {
            return Ok(pending.state.clone());
        }
        Ok(Arc::new(self.store().state_at(self.decided(at)).map_err(store_error)?))
    }

    /// The height whose state the store has: the head's for the block after it.
    fn decided(&self, at: u64) -> u64 {
        let latest = self.store().heads().latest.height;
        if at == latest.saturating_add(1) { latest } else { at }
    }

    fn decided_block(&self, number: u64) -> Result<Option<Arc<BlockRecord>>, BackendError> {
        if let Some(block) = self.blocks.blocks.lock().get(&number) {
            return Ok(Some(block.clone()));
        }
        let Some(block) = self.store().block(number).map_err(store_error)? else { return Ok(None) };
        let senders = views::senders(self.store(), &block).map_err(store_error)?;
        let record = Arc::new(views::block_record(&block, block.seal(), &senders));
        self.blocks.blocks.lock().put(number, record.clone());
        Ok(Some(record))
    }

    fn decided_receipts(&self, number: u64) -> Result<Option<Arc<Vec<ReceiptRecord>>>, BackendError> {
        if let Some(receipts) = self.blocks.receipts.lock().get(&number) {
            return Ok(Some(receipts.clone()));
        }
        let Some(block) = self.store().block(number).map_err(store_error)? else { return Ok(None) };
        let Some(receipts) = self.store().receipts(number).map_err(store_error)? else { return Ok(None) };
        let records = Arc::new(views::receipt_records(&block, &receipts));
        self.blocks.receipts.lock().put(number, records.clone());
        Ok(Some(records))
    }

    /// The environment of a request: the block itself for calls, the block after the head for what is to be sent (`next`).
    fn environment(&self, request: &CallRequest, next: bool) -> Result<CallEnvironment, CallError> {
        let state = self.state(request.at)?;
        let header = match self.header(request.at)? {
            Some(header) => header,
            // A pending block that is no longer there.
            None if request.at == self.chain.head().header.number.saturating_add(1) => self.chain.head().header,
            None => return Err(BackendError::Internal(format!("no header at {}", request.at)).into()),
        };
        let rules = self.chain.rules();
        let mut environment = if next && request.at == self.store().heads().latest.height {
            // In another second than the last block's: contracts that keep time (Uniswap's oracle) do more work then,
            // and a transaction that comes a block later than estimated must have gas for it.
            let another_second = header.timestamp.saturating_add(1).saturating_mul(1_000);
            CallEnvironment::next(rules, &header, now_ms().max(another_second), state)
        } else {
            CallEnvironment::at(rules, &header, state)
        };
        if let Some(changes) = &request.block_overrides {
            override_block(&mut environment.header, changes);
            environment.blob_base_fee = blob_base_fee(changes);
        }
        environment.overrides = request.state_overrides.as_ref().map(overrides).unwrap_or_default();
        environment.interrupt = Some(match request.brief {
            true => Interrupt::Brief(request.deadline),
            false => self.watchdog.interrupt_at(request.deadline),
        });
        Ok(environment)
    }
}

pub(crate) fn override_block(header: &mut Header, changes: &BlockOverrides) {
    if let Some(number) = changes.number {
        header.number = number.saturating_to();
    }
    if let Some(time) = changes.time {
        header.timestamp = time;
    }
    if let Some(gas_limit) = changes.gas_limit {
        header.gas_limit = gas_limit;
    }
    if let Some(coinbase) = changes.coinbase {
        header.beneficiary = coinbase;
    }
    if let Some(random) = changes.random {
        header.mix_hash = random;
    }
    if let Some(base_fee) = changes.base_fee {
        header.base_fee_per_gas = Some(base_fee.saturating_to());
    }
}

pub(crate) fn blob_base_fee(changes: &BlockOverrides) -> Option<u128> {
    changes.blob_base_fee.map(|price| price.saturating_to())
}

pub(crate) fn overrides(changes: &StateOverride) -> Overrides {
    let one = |(address, change): (&Address, &RpcOverride)| {
        let change = AccountOverride {
            balance: change.balance,
            nonce: change.nonce,
            code: change.code.clone(),
            state: change.state.as_ref().map(|state| state.iter().map(|(slot, value)| (*slot, *value)).collect()),
            state_diff: change
                .state_diff
                .iter()
                .flatten()
                .map(|(slot, value)| (*slot, *value))
                .collect::<BTreeMap<_, _>>(),
            move_precompile_to: change.move_precompile_to,
        };
        (*address, change)
    };
    changes.iter().map(one).collect()
}

pub(crate) fn exec_request(request: &TransactionRequest) -> execution::CallRequest {
    execution::CallRequest {
        from: request.from.unwrap_or_default(),
        to: request.to.and_then(|kind| kind.to().copied()),
        gas: request.gas,
        max_fee_per_gas: request.gas_price.or(request.max_fee_per_gas).unwrap_or_default(),
        // Without a price of the old kind the fee is of the new one, also when only its cap is named.
        max_priority_fee_per_gas: match request.gas_price {
            Some(_) => None,
            None => Some(request.max_priority_fee_per_gas.unwrap_or_default()),
        },
        value: request.value.unwrap_or_default(),
        data: request.input.input().cloned().unwrap_or_default(),
        nonce: request.nonce,
        access_list: request.access_list.clone().unwrap_or_default(),
        authorizations: request.authorization_list.clone().unwrap_or_default(),
    }
}

pub(crate) fn call_error(error: ExecCallError) -> CallError {
    match error {
        ExecCallError::Failed(failure) => failed(failure),
        ExecCallError::Allowance(gas) => CallError::GasAllowance(gas),
        ExecCallError::Interrupted => CallError::Timeout,
        ExecCallError::Invalid(..)
        | ExecCallError::Funds
        | ExecCallError::Override(_)
        | ExecCallError::TraceTooLarge
        | ExecCallError::Tracer(_) => CallError::Rejected(error.to_string()),
        ExecCallError::Fatal(error) => CallError::Backend(BackendError::Internal(error.to_string())),
    }
}

fn failed(failure: Failure) -> CallError {
    match failure {
        Failure::Revert(data) => CallError::Reverted(data),
        other => CallError::Halted(other.to_string()),
    }
}

const fn l1_block(L1Position { number, hash, parent, timestamp }: L1Position) -> L1BlockRef {
    L1BlockRef { number, hash, parent_hash: parent, timestamp }
}

impl Backend for NodeBackend {
    fn operator(&self) -> Option<&dyn rpc::Operator> {
        Some(&*self.operator)
    }

    fn identity(&self) -> NodeIdentity {
        self.identity.clone()
    }

    fn heads(&self) -> Heads {
        let heads = self.store().heads();
        let named = |head: store::Head| BlockNumHash::new(head.height, head.hash);
        Heads {
            earliest: self.store().history_from(),
            latest: named(heads.latest),
            safe: named(heads.safe),
            finalized: named(heads.finalized),
        }
    }

    fn history(&self) -> History {
        let store::Oldest { state, proofs, bodies, receipts } = self.store().oldest();
        let StoreConfig { retention, proof_window, .. } = self.store().config();
        let proof_window = retention.state.map_or(*proof_window, |blocks| blocks.min(*proof_window));
        History {
            state: Reach { from: state, window: retention.state },
            proofs: Reach { from: proofs, window: Some(proof_window) },
            bodies: Reach { from: bodies, window: retention.bodies },
            receipts: Reach { from: receipts, window: retention.receipts },
        }
    }

    fn pending(&self) -> Option<u64> {
        self.open.pending().map(|pending| pending.height())
    }

    fn sync_progress(&self) -> Option<SyncProgress> {
        self.vitals.progress(self.store().heads().latest.height)
    }

    fn peer_count(&self) -> usize {
        self.vitals.peers.load(Ordering::Relaxed)
    }

    fn readiness(&self) -> Result<(), String> {
        let Some(view) = *self.l1.borrow() else { return Err("L1 has not answered yet".to_owned()) };
        // No peer tells a node that follows L1 alone how far the others are.
        if self.sync_progress().is_some() || !self.forwards && self.vitals.is_behind_l1(view.latest.number) {
            return Err("catching up".to_owned());
        }
        Ok(())
    }

    fn events(&self) -> broadcast::Receiver<ChainEvent> {
        self.events.subscribe()
    }

    fn header(&self, number: u64) -> Result<Option<SealedHeader>, BackendError> {
        if let Some(pending) = self.pending_at(number) {
            return Ok(Some(pending.header().clone()));
        }
        Ok(self.store().header(number).map_err(store_error)?.map(|header| header.as_ref().clone()))
    }

    fn block(&self, number: u64) -> Result<Option<Arc<BlockRecord>>, BackendError> {
        match self.pending_at(number) {
            Some(pending) => Ok(Some(pending.block.clone())),
            None => self.decided_block(number),
        }
    }

    fn at_hand(&self, number: u64, receipts: bool) -> Option<usize> {
        if let Some(pending) = self.pending_at(number) {
            return Some(pending.receipts.len());
        }
        let count = self.blocks.blocks.lock().peek(&number).map(|block| block.transactions.len());
        count.filter(|_| !receipts || self.blocks.receipts.lock().contains(&number))
    }

    fn block_number(&self, hash: B256) -> Result<Option<u64>, BackendError> {
        self.store().height_of(&hash).map_err(store_error)
    }

    fn executed(&self, number: u64) -> Result<Option<Executed>, BackendError> {
        if let Some(pending) = self.pending_at(number) {
            return Ok(Some((pending.block.clone(), pending.receipts.clone())));
        }
        let Some(block) = self.decided_block(number)? else { return Ok(None) };
        Ok(self.decided_receipts(number)?.map(|receipts| (block, receipts)))
    }

    fn log_candidates(&self, filter: &Filter, from: u64, to: u64) -> Result<LogCandidates, BackendError> {
        let topics = filter.topics.each_ref().map(|topics| topics.iter().copied().collect());
        let wanted = LogFilter { from, to, addresses: filter.address.iter().copied().collect(), topics };
        let store::LogCandidates { heights, next } = self.store().log_candidates(&wanted).map_err(store_error)?;
        Ok(LogCandidates { heights, next })
    }

    fn transaction_position(&self, hash: B256) -> Result<Option<TransactionPosition>, BackendError> {
        let found = self.store().transaction(&hash).map_err(store_error)?;
        if let Some(location) = found {
            return Ok(Some(TransactionPosition { number: location.height, index: location.index as u64 }));
        }
        let pending = self.open.pending();
        let position = pending.and_then(|pending| Some((pending.height(), pending.position(hash)?)));
        Ok(position.map(|(number, index)| TransactionPosition { number, index: index as u64 }))
    }

    fn account(&self, address: Address, at: u64) -> Result<Option<Account>, BackendError> {
        self.state(at)?.account(&address).map_err(state_error)
    }

    fn code(&self, address: Address, at: u64) -> Result<Bytes, BackendError> {
        let state = self.state(at)?;
        match state.account(&address).map_err(state_error)? {
            Some(account) => state.code(&account.code_hash).map_err(state_error),
            None => Ok(Bytes::new()),
        }
    }

    fn storage(&self, address: Address, slot: B256, at: u64) -> Result<U256, BackendError> {
        self.state(at)?.storage(&address, &slot).map_err(state_error)
    }

    fn proof(&self, address: Address, slots: &[B256], at: u64) -> Result<EIP1186AccountProofResponse, BackendError> {
        // A pending block has no trie yet.
        let proof = self.store().proof(self.decided(at), address, slots).map_err(store_error)?;
        let account = proof.account.unwrap_or_default();
        let slot = |found: store::StorageProof| EIP1186StorageProof {
            key: JsonStorageKey::Hash(found.slot),
            value: found.value,
            proof: found.proof,
        };
        Ok(EIP1186AccountProofResponse {
            address,
            balance: account.balance,
            code_hash: account.code_hash,
            nonce: account.nonce,
            storage_hash: proof.storage_root,
            account_proof: proof.proof,
            storage_proof: proof.storage.into_iter().map(slot).collect(),
        })
    }

    fn call(&self, request: CallRequest) -> Result<Bytes, CallError> {
        let environment = self.environment(&request, false)?;
        let transaction = exec_request(&request.transaction);
        let outcome = execution::call(&environment, &transaction).map_err(|error| match error {
            ExecCallError::Invalid(..) => {
                let gas = transaction.gas.unwrap_or(CALL_GAS_CAP).min(CALL_GAS_CAP);
                CallError::Rejected(format!("err: {error} (supplied gas {gas})"))
            }
            other => call_error(other),
        })?;
        outcome.result.map_err(failed)
    }

    fn estimate_gas(&self, request: CallRequest) -> Result<u64, CallError> {
        let environment = self.environment(&request, true)?;
        let estimate = execution::estimate_gas(&environment, &exec_request(&request.transaction));
        Ok(estimate.map_err(call_error)?.gas)
    }

    fn create_access_list(&self, request: CallRequest) -> Result<AccessListResult, CallError> {
        let environment = self.environment(&request, true)?;
        let made = execution::create_access_list(&environment, &exec_request(&request.transaction));
        let (access_list, outcome) = made.map_err(call_error)?;
        let error = outcome.result.err().map(|failure| failure.to_string());
        Ok(AccessListResult { access_list, gas_used: U256::from(outcome.gas_used), error })
    }

    fn trace(&self, request: TraceRequest) -> Result<Vec<Trace>, CallError> {
        self.replay(request)
    }

    fn witness(&self, number: u64, deadline: Instant) -> Result<ExecutionWitness, CallError> {
        self.record(number, deadline)
    }

    fn storage_range(&self, request: StorageRangeRequest) -> Result<StorageRange, CallError> {
        self.storage_within(request)
    }

    fn simulate(&self, request: SimulateRequest) -> Result<Vec<SimulatedBlock>, SimulateError> {
        self.run_simulation(&request)
    }

    fn next_base_fee(&self) -> u64 {
        next_base_fee(&self.chain.head().header, &self.chain.genesis().params)
    }

    fn submit(&self, raw: Bytes) -> BoxFuture<'_, Result<B256, SubmitError>> {
        if !self.forwards {
            let why = "this node rebuilds the chain from L1 and cannot reach the sequencers: submit to another node";
            return futures::future::ready(Err(SubmitError::Refused(why.to_owned()))).boxed();
        }
        self.transactions.submit(raw, Origin::Local).boxed()
    }

    fn pooled(&self, hash: B256) -> Option<PooledTransaction> {
        self.transactions.with_pool(|pool| pool.get(hash).map(|pooled| pooled.tx.clone()))
    }

    fn pooled_nonce(&self, sender: Address) -> Option<u64> {
        self.transactions.with_pool(|pool| pool.next_nonce(sender))
    }

    fn pool_status(&self) -> PoolStatus {
        let status = self.transactions.with_pool(mempool::Pool::status);
        PoolStatus { pending: status.pending as u64, queued: status.queued as u64 }
    }

    fn pool_content(&self, sender: Option<Address>) -> PoolContent {
        let content = self.transactions.with_pool(|pool| match sender {
            Some(sender) => pool.content_of(sender),
            None => pool.content(),
        });
        PoolContent { pending: shared(content.pending), queued: shared(content.queued) }
    }

    fn genesis(&self) -> Arc<Genesis> {
        self.chain.genesis().clone()
    }

    fn epoch(&self, epoch: Epoch) -> Result<Option<EpochRecord>, BackendError> {
        match self.chain.epochs().get(epoch) {
            Ok(info) => Ok(Some(EpochRecord { set: info.set.clone(), seed: info.seed })),
            Err(EpochError::NotYet(_) | EpochError::L1Behind(_)) => Ok(None),
            Err(EpochError::Store(error)) => Err(store_error(error)),
            Err(error) => Err(BackendError::Internal(error.to_string())),
        }
    }

    fn certificate(&self, height: Height) -> Result<Option<CommitCertificate>, BackendError> {
        self.store().certificate(height).map_err(store_error)
    }

    fn latest_batch(&self) -> Option<BatchIndex> {
        let last = self.store().last_batch().ok().flatten()?;
        Some(BatchIndex(last.header.index))
    }

    fn batch(&self, index: BatchIndex) -> Result<Option<BatchRecord>, BackendError> {
        let Some(found) = self.store().batch(index.0).map_err(store_error)? else { return Ok(None) };
        let finalized = self.store().heads().finalized.height;
        let status = match &found.inclusion {
            None => BatchStatus::Signed,
            Some(_) if found.header.lastHeight <= finalized => BatchStatus::Finalized,
            Some(_) => BatchStatus::Safe,
        };
        let inclusion = found.inclusion.as_ref().map(|inclusion| BatchInclusion {
            transaction: inclusion.transaction,
            block: BlockNumHash::new(inclusion.l1_number, inclusion.l1_hash),
            blobs: inclusion.blobs,
        });
        let epoch = self.chain.genesis().params.epoch_of(Height(found.header.firstHeight));
        let signed_by = found.inclusion.as_ref().and_then(|inclusion| {
            let members = self.chain.epochs().get(epoch).ok()?.set.members().to_vec();
            Some(BatchSigners { members, bitmap: inclusion.bitmap })
        });
        Ok(Some(BatchRecord { header: found.header, signed_by, inclusion, status }))
    }

    fn l1_heads(&self) -> L1Heads {
        let Some(view) = *self.l1.borrow() else { return L1Heads::default() };
        L1Heads {
            head: l1_block(view.latest),
            safe: l1_block(view.safe),
            finalized: l1_block(view.finalized),
            derived: self.vitals.derived.lock().map(l1_block).unwrap_or_default(),
        }
    }
}
