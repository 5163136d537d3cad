//! Log queries: the backend says which blocks may hold wanted logs, the receipts of those tell.

use std::time::Instant;

use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};

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
                return Err(RpcError::InvalidParams("invalid block range params".to_owned()));
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
    if args.brief() && to.saturating_sub(from) > BRIEF_BLOCKS {
        return Err(RpcError::Timeout);
    }
    scan(context, filter, from, to, args)
}

/// The matching logs of `from..=to`, whatever range the filter itself names.
pub(crate) fn scan(context: &Context, filter: &Filter, from: u64, to: u64, args: &Args) -> RpcResult<Vec<Log>> {
    let mut found = Vec::new();
    // Indexes know decided blocks; the pending one is looked at in any case.
    let latest = context.backend.heads().latest.number;
    let (decided, heights) = (to.min(latest), Vec::new().into_iter());
    let next = (from <= decided).then_some(from);
    let mut candidates = Candidates { context, filter, to: decided, heights, next };
    let mut pending = (to > latest).then_some(to);
    while let Some(number) = candidates.next(args.deadline())?.or_else(|| pending.take()) {
        if args.brief() && context.backend.at_hand(number, true).is_none_or(|count| count > BRIEF_TRANSACTIONS) {
            return Err(RpcError::Timeout);
        }
        let (Some(block), Some(receipts)) = (context.backend.block(number)?, context.backend.receipts(number)?) else {
            continue;
        };
        found.extend(convert::block_logs(&block, &receipts, |log| matches(filter, log)));
        // One block may always be answered whole, so that a client can get past it.
        let most = context.max_logs;
        if found.len() > most && from != to {
            return Err(RpcError::Limit(format!(
                "query exceeds max results {most}, retry with the range {from}-{}",
                number.saturating_sub(1).max(from)
            )));
        }
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
