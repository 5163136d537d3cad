//! Log queries: the backend says which blocks may hold wanted logs, the receipts of those tell.

use std::{sync::Arc, time::Instant};

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::Bloom;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    args::Args,
    config::MAX_FILTER_ALTERNATIVES,
    context::Context,
    convert,
    error::{RpcError, RpcResult},
};

/// Most blocks that a brief answer asks the index for, and most transactions of one that it looks at.
const BRIEF_BLOCKS: u64 = 1_024;
const BRIEF_TRANSACTIONS: usize = 512;
/// Most alternatives of a filter that a brief answer looks up in the index.
const BRIEF_ALTERNATIVES: usize = 64;
/// Most alternatives for which a block's Bloom is asked first: each costs a hash there, and looking at the logs costs none.
const BLOOM_ALTERNATIVES: usize = 32;

/// Refuses filters that would cost more than a scan.
pub(crate) fn check(filter: &Filter) -> RpcResult<()> {
    let widest = filter.topics.iter().map(alloy_rpc_types_eth::FilterSet::len).max().unwrap_or(0);
    if filter.address.len() > MAX_FILTER_ALTERNATIVES || widest > MAX_FILTER_ALTERNATIVES {
        return Err(RpcError::InvalidParams(format!(
            "exceed max addresses or topics per search position ({MAX_FILTER_ALTERNATIVES})"
        )));
    }
    Ok(())
}

/// Addresses and topics that a filter names.
fn alternatives(filter: &Filter) -> usize {
    filter.topics.iter().fold(filter.address.len(), |sum, topics| sum.saturating_add(topics.len()))
}

/// A filter that stays, with its part of what all of them may hold.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) filter: Filter,
    _place: OwnedSemaphorePermit,
}

impl Standing {
    pub(crate) fn new(context: &Context, filter: Filter) -> RpcResult<Self> {
        check(&filter)?;
        filter.block_option.ensure_valid_block_range().map_err(|_| no_range())?;
        let weight = u32::try_from(alternatives(&filter)).unwrap_or(u32::MAX);
        let place = Arc::clone(&context.alternatives).try_acquire_many_owned(weight);
        let place = place.map_err(|_| RpcError::Limit("too many log filters installed".to_owned()))?;
        Ok(Self { filter, _place: place })
    }

    /// Whether a block with this Bloom may hold wanted logs.
    pub(crate) fn may_match(&self, bloom: Bloom) -> bool {
        alternatives(&self.filter) > BLOOM_ALTERNATIVES || self.filter.matches_bloom(bloom)
    }
}

/// For heights in the wrong order.
fn no_range() -> RpcError {
    RpcError::InvalidParams("invalid block range params".to_owned())
}

/// The heights a filter covers; `None` when that is no block at all.
fn range(context: &Context, filter: &Filter) -> RpcResult<Option<(u64, u64)>> {
    let latest = context.backend.heads().latest.number;
    match &filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => match context.backend.block_number(*hash)? {
            Some(number) => Ok(Some((number, number))),
            None => Err(RpcError::NotFound("unknown block")),
        },
        FilterBlockOption::Range { from_block, to_block } => {
            let from = context.number_of(from_block.unwrap_or(BlockNumberOrTag::Latest));
            let to = context.number_of(to_block.unwrap_or(BlockNumberOrTag::Latest));
            if from > to && from_block.is_some() && to_block.is_some() {
                return Err(no_range());
            }
            let named = |block: &Option<BlockNumberOrTag>| block.and_then(|block| block.as_number());
            // What is not there yet is an error and not nothing: else a client that is ahead of its node loses logs.
            if named(from_block).max(named(to_block)).is_some_and(|number| number > latest) {
                return Err(RpcError::InvalidParams("block range extends beyond current head block".to_owned()));
            }
            // The pending block counts under its tag only.
            let newest = if *to_block == Some(BlockNumberOrTag::Pending) { to.max(latest) } else { latest };
            let to = to.min(newest);
            Ok((from <= to).then_some((from, to)))
        }
    }
}

/// `eth_getLogs`.
pub(crate) fn query(context: &Context, filter: &Filter, args: &Args) -> RpcResult<Vec<Log>> {
    check(filter)?;
    let Some((from, to)) = range(context, filter)? else { return Ok(Vec::new()) };
    let most = context.max_log_blocks;
    if to.saturating_sub(from) >= most {
        return Err(RpcError::Limit(format!("query exceeds max block range {most}")));
    }
    if args.brief() && (to.saturating_sub(from) > BRIEF_BLOCKS || alternatives(filter) > BRIEF_ALTERNATIVES) {
        return Err(RpcError::Timeout);
    }
    let found = scan(context, filter, from, to, args)?;
    match found.next {
        None => Ok(found.logs),
        Some(next) => Err(RpcError::Limit(format!(
            "query exceeds max results {}, retry with the range {from}-{}",
            context.max_logs,
            next.saturating_sub(1)
        ))),
    }
}

/// What a scan found.
pub(crate) struct Found {
    pub(crate) logs: Vec<Log>,
    /// First height that was not looked at, because the answer is full.
    pub(crate) next: Option<u64>,
}

/// About the length of a log as JSON.
fn weight(log: &Log) -> usize {
    const MEMBERS: usize = 600;
    log.data().data.len().saturating_mul(2).saturating_add(MEMBERS)
}

/// The matching logs of `from..=to`, whatever range the filter itself names, as many as one answer holds. The first block that
/// has any is always there whole, so that a client can get past it.
pub(crate) fn scan(context: &Context, filter: &Filter, from: u64, to: u64, args: &Args) -> RpcResult<Found> {
    let mut found = Found { logs: Vec::new(), next: None };
    let mut room = context.max_response;
    // Indexes know decided blocks; the pending one is looked at in any case.
    let latest = context.backend.heads().latest.number;
    let (decided, heights) = (to.min(latest), Vec::new().into_iter());
    let next = (from <= decided).then_some(from);
    let mut candidates = Candidates { context, filter, to: decided, heights, next };
    let mut pending = (to > latest).then_some(to);
    while let Some(number) = candidates.next(args.deadline())?.or_else(|| pending.take()) {
        context.at_hand(args, number, true, BRIEF_TRANSACTIONS)?;
        let Some((block, receipts)) = context.backend.executed(number)? else { continue };
        let more = convert::block_logs(&block, &receipts, |log| matches(filter, log));
        let left = more.iter().try_fold(room, |room, log| room.checked_sub(weight(log)));
        let fits = left.is_some() && found.logs.len().saturating_add(more.len()) <= context.max_logs;
        if !fits && !found.logs.is_empty() && !more.is_empty() {
            found.next = Some(number);
            break;
        }
        room = left.unwrap_or_default();
        found.logs.extend(more);
    }
    Ok(found)
}

/// The blocks to look at, asked for in portions.
struct Candidates<'a> {
    context: &'a Context,
    filter: &'a Filter,
    to: u64,
    heights: std::vec::IntoIter<u64>,
    /// Where the next portion begins.
    next: Option<u64>,
}

impl Candidates<'_> {
    fn next(&mut self, deadline: Instant) -> RpcResult<Option<u64>> {
        loop {
            if Instant::now() > deadline {
                return Err(RpcError::Timeout);
            }
            if let Some(number) = self.heights.next() {
                return Ok(Some(number));
            }
            let Some(from) = self.next.filter(|from| *from <= self.to) else { return Ok(None) };
            let found = self.context.backend.log_candidates(self.filter, from, self.to)?;
            (self.heights, self.next) = (found.heights.into_iter(), found.next);
        }
    }
}

/// Whether a log has the filter's address and topics.
pub(crate) fn matches(filter: &Filter, log: &alloy_primitives::Log) -> bool {
    filter.matches_address(log.address) && filter.matches_topics(log.topics())
}
