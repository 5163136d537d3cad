//! What every method gets: the port, the limits, and the few pieces of state the server itself owns.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::Sealed;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use http::Extensions;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{
    Backend,
    args::Args,
    config::{MAX_HEAVY_WAITING, MAX_STANDING_ALTERNATIVES, MAX_TRACES_WAITING, RpcConfig},
    error::{RpcError, RpcResult},
    fees::TipOracle,
    filters::{Filters, PendingRing},
    model::{BlockRecord, Executed, SealedHeader},
};

/// Shared by all methods of one server.
pub(crate) struct Context {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) filters: Mutex<Filters>,
    pub(crate) pending: Mutex<PendingRing>,
    pub(crate) tips: Mutex<TipOracle>,
    pub(crate) timeout: Duration,
    pub(crate) max_log_blocks: u64,
    pub(crate) max_logs: usize,
    /// Bytes of one answer.
    pub(crate) max_response: usize,
    /// What log filters that stay may hold together, in addresses and topics.
    pub(crate) alternatives: Arc<Semaphore>,
    heavy: Lane,
    calls: Lane,
    traces: Lane,
}

/// Kinds of work that do not run on the async threads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Reads much.
    Heavy,
    /// Runs code that the caller chose, as long as it takes: reads do not queue behind it.
    Call,
    /// Executes blocks again: few at a time, so that calls and reads go on beside it.
    Trace,
}

/// How much of one kind of work goes on at once.
struct Lane {
    running: Arc<Semaphore>,
    /// Running and waiting.
    admitted: Arc<Semaphore>,
}

impl Lane {
    fn new(running: usize, waiting: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running.saturating_add(waiting))),
        }
    }
}

/// In a call's extensions: when it must have ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(pub(crate) Instant);

/// Geth's text for a block parameter that names nothing.
const HEADER_NOT_FOUND: RpcError = RpcError::NotFound("header not found");

impl Context {
    pub(crate) fn new(backend: Arc<dyn Backend>, config: &RpcConfig) -> Self {
        Self {
            backend,
            filters: Mutex::new(Filters::default()),
            pending: Mutex::new(PendingRing::default()),
            tips: Mutex::new(TipOracle::default()),
            timeout: config.request_timeout,
            max_log_blocks: config.max_log_blocks.max(1),
            max_logs: config.max_logs,
            max_response: config.max_response(),
            alternatives: Arc::new(Semaphore::new(MAX_STANDING_ALTERNATIVES)),
            heavy: Lane::new(config.max_heavy, MAX_HEAVY_WAITING),
            calls: Lane::new(config.max_heavy, MAX_HEAVY_WAITING),
            traces: Lane::new(config.max_traces, MAX_TRACES_WAITING),
        }
    }

    /// When a request that starts now must have ended: the time its batch leaves it, or the whole of a request's time.
    pub(crate) fn deadline(&self, extensions: &Extensions) -> Instant {
        let now = Instant::now();
        extensions.get::<Deadline>().map_or_else(|| now.checked_add(self.timeout).unwrap_or(now), |deadline| deadline.0)
    }

    /// Runs long work on a blocking thread, within the bounds of its kind. The place is given back when the work ends, not when
    /// its caller stops waiting, so that abandoned requests still count against the bound.
    pub(crate) async fn run<T, F>(self: &Arc<Self>, kind: Work, work: F) -> RpcResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> RpcResult<T> + Send + 'static,
    {
        let lane = match kind {
            Work::Heavy => &self.heavy,
            Work::Call => &self.calls,
            Work::Trace => &self.traces,
        };
        let busy = || RpcError::Limit("server is busy, try again".to_owned());
        let admitted = Arc::clone(&lane.admitted).try_acquire_owned().map_err(|_| busy())?;
        let place = Arc::clone(&lane.running).acquire_owned().await.map_err(|_| busy())?;
        let context = Arc::clone(self);
        let job = tokio::task::spawn_blocking(move || {
            let result = work(&context);
            drop((place, admitted));
            result
        });
        job.await.unwrap_or_else(|why| Err(crate::error::BackendError::Internal(why.to_string()).into()))
    }

    /// The height a tag stands for. `pending` reads as `latest` while no leader is streaming; methods for which the pool
    /// matters (`eth_getTransactionCount`) look at the tag themselves.
    pub(crate) fn number_of(&self, tag: BlockNumberOrTag) -> u64 {
        let heads = self.backend.heads();
        match tag {
            BlockNumberOrTag::Latest => heads.latest.number,
            BlockNumberOrTag::Pending => self.backend.pending().unwrap_or(heads.latest.number),
            BlockNumberOrTag::Safe => heads.safe.number,
            BlockNumberOrTag::Finalized => heads.finalized.number,
            BlockNumberOrTag::Earliest => heads.earliest,
            BlockNumberOrTag::Number(number) => number,
        }
    }

    /// The height of an existing block; `None` when there is no such block.
    pub(crate) fn find(&self, id: BlockId) -> RpcResult<Option<u64>> {
        match id {
            // A height that is not decided has a block under its tag only.
            BlockId::Number(BlockNumberOrTag::Pending) => Ok(Some(self.number_of(BlockNumberOrTag::Pending))),
            BlockId::Number(tag) => {
                let number = self.number_of(tag);
                Ok((number <= self.backend.heads().latest.number).then_some(number))
            }
            BlockId::Hash(hash) => {
                // Every stored block is decided, hence canonical: `requireCanonical` can only fail where a store also
                // keeps undecided blocks, which is what this comparison catches.
                let number = self.backend.block_number(hash.block_hash)?;
                if let (Some(number), Some(true)) = (number, hash.require_canonical) {
                    let header = self.backend.header(number)?;
                    if header.is_none_or(|header| header.seal() != hash.block_hash) {
                        return Err(RpcError::Refused("hash is not currently canonical".to_owned()));
                    }
                }
                Ok(number)
            }
        }
    }

    /// The height whose state a request wants; an error when there is no such block.
    pub(crate) fn state_at(&self, id: BlockId) -> RpcResult<u64> {
        self.find(id)?.ok_or(match id {
            BlockId::Number(_) => HEADER_NOT_FOUND,
            BlockId::Hash(_) => RpcError::NotFound("header for hash not found"),
        })
    }

    /// The block a parameter names.
    pub(crate) fn block(&self, id: BlockId) -> RpcResult<Option<Arc<BlockRecord>>> {
        match self.find(id)? {
            Some(number) => Ok(self.backend.block(number)?),
            None => Ok(None),
        }
    }

    /// Refuses a brief answer about a block that has to be read and decoded first.
    pub(crate) fn at_hand(&self, args: &Args, number: u64, receipts: bool, most: usize) -> RpcResult<()> {
        let there = |count: usize| count <= most;
        if args.brief() && !self.backend.at_hand(number, receipts).is_some_and(there) {
            return Err(RpcError::Timeout);
        }
        Ok(())
    }

    /// A block together with its receipts.
    pub(crate) fn block_and_receipts(&self, args: &Args, id: BlockId) -> RpcResult<Option<Executed>> {
        let Some(number) = self.find(id)? else { return Ok(None) };
        self.at_hand(args, number, true, usize::MAX)?;
        Ok(self.backend.executed(number)?)
    }

    /// The header a parameter names.
    pub(crate) fn header(&self, id: BlockId) -> RpcResult<Option<SealedHeader>> {
        match self.find(id)? {
            Some(number) => Ok(self.backend.header(number)?),
            None => Ok(None),
        }
    }

    /// The header of a height that must exist.
    pub(crate) fn known_header(&self, number: u64) -> RpcResult<Sealed<alloy_consensus::Header>> {
        self.backend.header(number)?.ok_or(HEADER_NOT_FOUND)
    }

    /// The decided block of a transaction, with receipts, and the transaction's index in it.
    pub(crate) fn decided(&self, args: &Args, hash: B256) -> RpcResult<Option<(Executed, usize)>> {
        Ok(self.executed(args, hash)?.filter(|((block, _), _)| !block.hash().is_zero()))
    }

    /// The decided or pending block of a transaction, with receipts, and the transaction's index in it.
    pub(crate) fn executed(&self, args: &Args, hash: B256) -> RpcResult<Option<(Executed, usize)>> {
        let Some(position) = self.backend.transaction_position(hash)? else { return Ok(None) };
        self.at_hand(args, position.number, true, usize::MAX)?;
        let index = usize::try_from(position.index).unwrap_or(usize::MAX);
        let Some((block, receipts)) = self.backend.executed(position.number)? else { return Ok(None) };
        // Between two looks a pending block may have given way to another.
        let is_there = block.transactions.get(index).is_some_and(|tx| tx.tx_hash() == hash) && index < receipts.len();
        Ok(is_there.then_some(((block, receipts), index)))
    }
}
