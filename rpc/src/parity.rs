//! `trace_`: OpenEthereum's traces, as explorers and analysts ask for them.

use alloy_eips::BlockId;
use alloy_primitives::{B256, map::HashSet};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use alloy_rpc_types_trace::{
    filter::TraceFilter,
    parity::{
        Action, LocalizedTransactionTrace, TraceOutput, TraceResults, TraceResultsWithTransactionHash, TraceType,
        TransactionTrace,
    },
};

use crate::{
    args::{Args, BlockArg, BytesArg, HashArg, Quantity},
    config::{MAX_TRACE_BLOCKS, MAX_TRACE_CALLS},
    context::Context,
    debug_trace::{self, GENESIS},
    error::{BackendError, RpcError, RpcResult},
    eth,
    model::{BlockRecord, CallState, Trace, TraceRequest, TraceTarget, Tracer},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.trace("trace_transaction", 1, transaction);
    registry.trace("trace_block", 1, block);
    registry.trace("trace_get", 2, get);
    registry.trace("trace_filter", 1, filter);
    registry.trace("trace_call", 5, call);
    registry.trace("trace_callMany", 2, call_many);
    registry.trace("trace_rawTransaction", 3, raw_transaction);
    registry.trace("trace_replayTransaction", 2, replay_transaction);
    registry.trace("trace_replayBlockTransactions", 2, replay_block);
}

type Types = HashSet<TraceType>;

fn run(context: &Context, args: &Args, target: TraceTarget, types: Types) -> RpcResult<Vec<TraceResults>> {
    let request = TraceRequest { target, tracer: Tracer::Parity(types), deadline: args.deadline() };
    let parity = |trace| match trace {
        Trace::Parity(results) => Ok(*results),
        Trace::Geth(_) => Err(BackendError::Internal("a trace of the wrong kind".to_owned()).into()),
    };
    context.backend.trace(request)?.into_iter().map(parity).collect()
}

fn one(mut traces: Vec<TraceResults>) -> RpcResult<TraceResults> {
    traces.pop().ok_or_else(|| BackendError::Internal("no trace".to_owned()).into())
}

fn calls_only() -> Types {
    [TraceType::Trace].into_iter().collect()
}

/// Traces with their place in the chain.
fn localize(block: &BlockRecord, index: usize, traces: Vec<TransactionTrace>) -> Vec<LocalizedTransactionTrace> {
    let hash = block.transactions.get(index).map(|tx| tx.tx_hash());
    let position = u64::try_from(index).ok();
    let (number, block_hash) = (block.number(), block.hash());
    let place = |trace| LocalizedTransactionTrace {
        trace,
        block_hash: Some(block_hash),
        block_number: Some(number),
        transaction_hash: hash,
        transaction_position: position,
    };
    traces.into_iter().map(place).collect()
}

/// The calls of a decided transaction; `None` when there is no such transaction.
pub(crate) fn of_transaction(
    context: &Context,
    args: &Args,
    hash: B256,
) -> RpcResult<Option<Vec<LocalizedTransactionTrace>>> {
    let Some(target) = debug_trace::place(context, hash)? else { return Ok(None) };
    let TraceTarget::Block { number, index: Some(index) } = target else { return Ok(None) };
    let Some(block) = context.block(BlockId::number(number))? else { return Ok(None) };
    let results = one(run(context, args, target, calls_only())?)?;
    Ok(Some(localize(&block, index, results.trace)))
}

/// The calls of all transactions of a block; none for genesis, which nothing executed.
pub(crate) fn of_block(
    context: &Context,
    args: &Args,
    block: &BlockRecord,
) -> RpcResult<Vec<LocalizedTransactionTrace>> {
    if block.number() == 0 {
        return Ok(Vec::new());
    }
    let target = TraceTarget::Block { number: block.number(), index: None };
    let results = run(context, args, target, calls_only())?;
    Ok(results.into_iter().enumerate().flat_map(|(index, found)| localize(block, index, found.trace)).collect())
}

fn transaction(context: &Context, args: &Args) -> RpcResult<Option<Vec<LocalizedTransactionTrace>>> {
    of_transaction(context, args, args.required::<HashArg>(0)?.0)
}

fn block(context: &Context, args: &Args) -> RpcResult<Option<Vec<LocalizedTransactionTrace>>> {
    let id = args.required::<BlockArg>(0)?.0;
    let Some(block) = context.block(id)? else { return Ok(None) };
    Ok(Some(of_block(context, args, &block)?))
}

/// One trace of a transaction by its position in the list; as in other clients, only one index makes sense.
fn get(context: &Context, args: &Args) -> RpcResult<Option<LocalizedTransactionTrace>> {
    let hash = args.required::<HashArg>(0)?.0;
    let indexes = args.required::<Vec<Quantity>>(1)?;
    let [index] = indexes.as_slice() else { return Ok(None) };
    let index = usize::try_from(index.0).unwrap_or(usize::MAX);
    Ok(of_transaction(context, args, hash)?.and_then(|traces| traces.into_iter().nth(index)))
}

fn filter(context: &Context, args: &Args) -> RpcResult<Vec<LocalizedTransactionTrace>> {
    let filter = args.required::<TraceFilter>(0)?;
    let heads = context.backend.heads();
    let to = filter.to_block.unwrap_or(heads.latest.number).min(heads.latest.number);
    let from = filter.from_block.unwrap_or(0).max(heads.earliest);
    if filter.from_block.is_some_and(|from| filter.to_block.is_some_and(|to| from > to)) {
        return Err(RpcError::InvalidParams("invalid parameters: fromBlock cannot be greater than toBlock".to_owned()));
    }
    if from > to {
        return Ok(Vec::new());
    }
    if to.saturating_sub(from) >= MAX_TRACE_BLOCKS {
        return Err(RpcError::Limit(format!("block range greater than max allowed {MAX_TRACE_BLOCKS}")));
    }
    let matcher = filter.matcher();
    let skip = usize::try_from(filter.after.unwrap_or(0)).unwrap_or(usize::MAX);
    let count = filter.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let wanted = skip.saturating_add(count);
    let (mut found, mut seen, mut room) = (Vec::new(), 0_usize, context.max_response);
    for number in from..=to {
        let Some(block) = context.block(BlockId::number(number))? else { continue };
        for entry in of_block(context, args, &block)?.into_iter().filter(|entry| matcher.matches(&entry.trace)) {
            seen = seen.saturating_add(1);
            if seen > skip && seen <= wanted {
                room = room.checked_sub(weight(&entry.trace)).ok_or_else(|| {
                    RpcError::Limit(format!("traces of more than {} bytes, narrow the range", context.max_response))
                })?;
                found.push(entry);
            }
        }
        if seen >= wanted {
            break;
        }
    }
    Ok(found)
}

/// About the length of a trace as JSON.
fn weight(trace: &TransactionTrace) -> usize {
    const MEMBERS: usize = 600;
    let input = match &trace.action {
        Action::Call(call) => call.input.len(),
        Action::Create(create) => create.init.len(),
        Action::Selfdestruct(_) | Action::Reward(_) => 0,
    };
    let output = match &trace.result {
        Some(TraceOutput::Call(call)) => call.output.len(),
        Some(TraceOutput::Create(create)) => create.code.len(),
        None => 0,
    };
    input.saturating_add(output).saturating_mul(2).saturating_add(MEMBERS)
}

fn call(context: &Context, args: &Args) -> RpcResult<TraceResults> {
    let transaction = eth::transaction(context, args)?;
    let types = args.required::<Types>(1)?;
    let on = CallState {
        at: context.state_at(args.block_or_latest(2)?)?,
        before: None,
        state_overrides: eth::state_overrides(args.optional::<StateOverride>(3)?)?,
        block_overrides: args.optional::<BlockOverrides>(4)?.map(Box::new),
    };
    one(run(context, args, TraceTarget::Calls { calls: vec![transaction], on }, types)?)
}

/// Each call on the state the one before left. All are recorded alike; what a call did not ask for is left out after.
fn call_many(context: &Context, args: &Args) -> RpcResult<Vec<TraceResults>> {
    let wanted = args.required::<Vec<(TransactionRequest, Types)>>(0)?;
    if wanted.len() > MAX_TRACE_CALLS {
        return Err(RpcError::Limit(format!("too many calls (max {MAX_TRACE_CALLS})")));
    }
    for (transaction, _) in &wanted {
        eth::check_transaction(context, transaction)?;
    }
    let at = context.state_at(args.block_or_latest(1)?)?;
    let (calls, types): (Vec<_>, Vec<_>) = wanted.into_iter().unzip();
    let all: Types = types.iter().flatten().copied().collect();
    let on = CallState { at, ..CallState::default() };
    let mut results = run(context, args, TraceTarget::Calls { calls, on }, all)?;
    for (result, types) in results.iter_mut().zip(&types) {
        if !types.contains(&TraceType::Trace) {
            result.trace.clear();
        }
        if !types.contains(&TraceType::VmTrace) {
            result.vm_trace = None;
        }
        if !types.contains(&TraceType::StateDiff) {
            result.state_diff = None;
        }
    }
    Ok(results)
}

fn raw_transaction(context: &Context, args: &Args) -> RpcResult<TraceResults> {
    let raw = args.required::<BytesArg>(0)?.0;
    let types = args.required::<Types>(1)?;
    let at = context.state_at(args.block_or_latest(2)?)?;
    one(run(context, args, TraceTarget::Signed { raw, at }, types)?)
}

fn replay_transaction(context: &Context, args: &Args) -> RpcResult<TraceResults> {
    let hash = args.required::<HashArg>(0)?.0;
    let types = args.required::<Types>(1)?;
    let target = debug_trace::place(context, hash)?.ok_or(RpcError::NotFound("transaction not found"))?;
    one(run(context, args, target, types)?)
}

fn replay_block(context: &Context, args: &Args) -> RpcResult<Option<Vec<TraceResultsWithTransactionHash>>> {
    let id = args.required::<BlockArg>(0)?.0;
    let types = args.required::<Types>(1)?;
    let Some(block) = context.block(id)? else { return Ok(None) };
    if block.number() == 0 {
        return Err(GENESIS);
    }
    let target = TraceTarget::Block { number: block.number(), index: None };
    let hashes = block.transactions.iter().map(|tx| tx.tx_hash());
    let results = run(context, args, target, types)?.into_iter().zip(hashes);
    let named = |(full_trace, transaction_hash)| TraceResultsWithTransactionHash { full_trace, transaction_hash };
    Ok(Some(results.map(named).collect()))
}
