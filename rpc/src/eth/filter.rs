//! Logs and polled filters.

use std::{sync::Arc, time::Instant};

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use serde::Serialize;

use crate::{
    args::Args,
    config::MAX_BLOCK_HASHES,
    context::{Context, Work},
    convert,
    error::{RpcError, RpcResult},
    filters::{self, FilterKind},
    logs::{self, Found, Standing},
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.brief("eth_getLogs", 1, get_logs, Work::Heavy);
    registry.light("eth_newFilter", 1, new_filter);
    registry.light("eth_newBlockFilter", 0, new_block_filter);
    registry.light("eth_newPendingTransactionFilter", 1, new_pending_filter);
    registry.light("eth_uninstallFilter", 1, uninstall);
    registry.heavy("eth_getFilterChanges", 1, changes);
    registry.heavy("eth_getFilterLogs", 1, filter_logs);
}

/// What a poll answers.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum Changes {
    Hashes(Vec<B256>),
    Logs(Vec<Log>),
    Transactions(Vec<convert::PooledView>),
}

fn get_logs(context: &Context, args: &Args) -> RpcResult<Vec<Log>> {
    logs::query(context, &args.filter(0)?, args)
}

fn install(context: &Context, kind: FilterKind) -> RpcResult<String> {
    let id: u128 = rand::random();
    context.filters.lock().install(id, kind, Instant::now())?;
    Ok(format!("{id:#x}"))
}

fn next_height(context: &Context) -> u64 {
    context.backend.heads().latest.number.saturating_add(1)
}

fn new_filter(context: &Context, args: &Args) -> RpcResult<String> {
    let filter = Arc::new(Standing::new(context, args.filter(0)?)?);
    install(context, FilterKind::Logs { filter, next: next_height(context) })
}

fn new_block_filter(context: &Context, _: &Args) -> RpcResult<String> {
    install(context, FilterKind::Blocks { next: next_height(context) })
}

fn new_pending_filter(context: &Context, args: &Args) -> RpcResult<String> {
    let full = args.optional(0)?.unwrap_or(false);
    let next = context.pending.lock().next();
    install(context, FilterKind::Pending { next, full })
}

/// The filter that is asked for; `None` for a text that never was the id of one.
fn id(args: &Args) -> RpcResult<Option<u128>> {
    Ok(filters::parse_id(&args.required::<String>(0)?))
}

const NOT_FOUND: RpcError = RpcError::NotFound("filter not found");

fn uninstall(context: &Context, args: &Args) -> RpcResult<bool> {
    Ok(id(args)?.is_some_and(|id| context.filters.lock().remove(id)))
}

/// Takes what is new and moves the cursor in one step, so that two polls never answer the same block.
fn changes(context: &Context, args: &Args) -> RpcResult<Changes> {
    let id = id(args)?.ok_or(NOT_FOUND)?;
    let latest = context.backend.heads().latest.number;
    let (filter, from, to) = {
        let mut filters = context.filters.lock();
        match filters.get(id, Instant::now()).ok_or(NOT_FOUND)? {
            FilterKind::Pending { next, full } => {
                let ring = context.pending.lock();
                let entries = ring.since(*next);
                *next = ring.next();
                return Ok(if *full {
                    Changes::Transactions(entries.iter().map(|entry| convert::pooled(entry)).collect())
                } else {
                    Changes::Hashes(filters::hashes(&entries))
                });
            }
            FilterKind::Blocks { next } => {
                let from = *next;
                let to = latest.min(from.saturating_add(MAX_BLOCK_HASHES.saturating_sub(1)));
                *next = to.saturating_add(1).max(from);
                (None, from, to)
            }
            FilterKind::Logs { filter, next } => {
                let from = *next;
                let to = latest.min(from.saturating_add(context.max_log_blocks.saturating_sub(1)));
                *next = to.saturating_add(1).max(from);
                (Some(filter.clone()), from, to)
            }
        }
    };
    let answer = match filter {
        None => block_hashes(context, from, to).map(Changes::Hashes),
        Some(filter) => new_logs(context, &filter.filter, from, to, args).map(|found| {
            // The answer is full: the rest comes with the next poll.
            if let Some(next) = found.next {
                rewind(context, id, next);
            }
            Changes::Logs(found.logs)
        }),
    };
    if answer.is_err() {
        rewind(context, id, from);
    }
    answer
}

/// Puts the cursor back to what a poll did not answer, so that the next one does not miss anything.
fn rewind(context: &Context, id: u128, from: u64) {
    let mut filters = context.filters.lock();
    if let Some(FilterKind::Blocks { next } | FilterKind::Logs { next, .. }) = filters.get(id, Instant::now()) {
        *next = from.min(*next);
    }
}

fn block_hashes(context: &Context, from: u64, to: u64) -> RpcResult<Vec<B256>> {
    let mut hashes = Vec::new();
    for number in from..=to {
        hashes.extend(context.backend.header(number)?.map(|header| header.seal()));
    }
    Ok(hashes)
}

/// New logs of a filter; the numbers in its own range still bound it.
fn new_logs(context: &Context, filter: &Filter, from: u64, to: u64, args: &Args) -> RpcResult<Found> {
    const NOTHING: Found = Found { logs: Vec::new(), next: None };
    let (mut from, mut to) = (from, to);
    if let FilterBlockOption::Range { from_block, to_block } = filter.block_option {
        if let Some(BlockNumberOrTag::Number(first)) = from_block {
            from = from.max(first);
        }
        if let Some(BlockNumberOrTag::Number(last)) = to_block {
            to = to.min(last);
        }
    } else {
        // A filter on one past block has no news.
        return Ok(NOTHING);
    }
    if from > to {
        return Ok(NOTHING);
    }
    logs::scan(context, filter, from, to, args)
}

fn filter_logs(context: &Context, args: &Args) -> RpcResult<Vec<Log>> {
    let id = id(args)?.ok_or(NOT_FOUND)?;
    let filter = match context.filters.lock().get(id, Instant::now()) {
        Some(FilterKind::Logs { filter, .. }) => filter.clone(),
        _ => return Err(NOT_FOUND),
    };
    // A filter on a block that has been pruned since is an error of the store, not an empty answer.
    if let FilterBlockOption::AtBlockHash(hash) = filter.filter.block_option {
        context.state_at(BlockId::hash(hash))?;
    }
    logs::query(context, &filter.filter, args)
}
