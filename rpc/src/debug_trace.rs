//! `debug_trace…`: transactions and calls executed again under geth's tracers.

use std::time::{Duration, Instant};

use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::{
    GethDebugTracerType, GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace,
};
use serde::Serialize;

use crate::{
    args::{Args, BlockArg, BytesArg, HashArg, NumberOrTag},
    config::TRACE_TIMEOUT,
    context::Context,
    error::{BackendError, CallError, RpcError, RpcResult},
    eth,
    model::{CallState, Trace, TraceRequest, TraceTarget, Tracer},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.trace("debug_traceTransaction", 2, transaction);
    registry.trace("debug_traceCall", 3, call);
    registry.trace("debug_traceBlockByNumber", 2, block_by_number);
    registry.trace("debug_traceBlockByHash", 2, block_by_hash);
    registry.trace("debug_traceBlock", 2, block);
}

/// Geth's refusal for block 0, which nothing executed.
pub(crate) const GENESIS: RpcError = RpcError::NotFound("genesis is not traceable");

/// A transaction's trace within a block's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OfBlock {
    tx_hash: B256,
    result: GethTrace,
}

fn options(args: &Args) -> RpcResult<GethDebugTracingOptions> {
    Ok(args.optional::<GethDebugTracingOptions>(1)?.unwrap_or_default())
}

/// A tracer and when it must have ended: geth's five seconds unless the client names another time, and never more than
/// the request has.
fn prepare(args: &Args, mut options: GethDebugTracingOptions) -> RpcResult<(Tracer, Instant)> {
    if options.tracer == Some(GethDebugTracerType::JsTracer(String::new())) {
        options.tracer = None;
    }
    let wait = match &options.timeout {
        None => TRACE_TIMEOUT,
        Some(text) => duration(text)
            .ok_or_else(|| RpcError::Refused(format!("time: invalid duration {:?}", text.get(..32).unwrap_or(text))))?,
    };
    let end = Instant::now().checked_add(wait).unwrap_or(args.deadline()).min(args.deadline());
    Ok((Tracer::Geth(Box::new(options)), end))
}

/// Go's notation: decimal numbers with units, e.g. `1m30s`, `300ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

pub(crate) fn geth(context: &Context, request: TraceRequest) -> RpcResult<Vec<GethTrace>> {
    let traces = context.backend.trace(request).map_err(|why| match why {
        // When the whole request's time is up, the server says so in its own words.
        CallError::Timeout => RpcError::TraceTimeout,
        other => other.into(),
    })?;
    let geth = |trace| match trace {
        Trace::Geth(trace) => Ok(*trace),
        Trace::Parity(_) => Err(BackendError::Internal("a trace of the wrong kind".to_owned()).into()),
    };
    traces.into_iter().map(geth).collect()
}

/// The place of a decided transaction that can be traced.
pub(crate) fn place(context: &Context, hash: B256) -> RpcResult<Option<TraceTarget>> {
    let Some(position) = context.backend.transaction_position(hash)? else { return Ok(None) };
    if position.number == 0 {
        return Err(GENESIS);
    }
    let index = usize::try_from(position.index).ok();
    Ok(Some(TraceTarget::Block { number: position.number, index }))
}

fn transaction(context: &Context, args: &Args) -> RpcResult<GethTrace> {
    let hash = args.required::<HashArg>(0)?.0;
    let (tracer, deadline) = prepare(args, options(args)?)?;
    let target = place(context, hash)?.ok_or(RpcError::NotFound("transaction not found"))?;
    let mut traces = geth(context, TraceRequest { target, tracer, deadline })?;
    traces.pop().ok_or_else(|| BackendError::Internal("no trace".to_owned()).into())
}

fn of_block(context: &Context, args: &Args, id: BlockId) -> RpcResult<Vec<OfBlock>> {
    let (tracer, deadline) = prepare(args, options(args)?)?;
    let block = context.block(id)?.ok_or_else(|| {
        RpcError::Refused(match id {
            BlockId::Number(BlockNumberOrTag::Number(number)) => format!("block #{number} not found"),
            BlockId::Number(tag) => format!("block {tag} not found"),
            BlockId::Hash(hash) => format!("block {} not found", hash.block_hash),
        })
    })?;
    if block.number() == 0 {
        return Err(GENESIS);
    }
    let target = TraceTarget::Block { number: block.number(), index: None };
    let traces = geth(context, TraceRequest { target, tracer, deadline })?;
    let hashes = block.transactions.iter().map(|tx| tx.tx_hash());
    Ok(hashes.zip(traces).map(|(tx_hash, result)| OfBlock { tx_hash, result }).collect())
}

fn block_by_number(context: &Context, args: &Args) -> RpcResult<Vec<OfBlock>> {
    of_block(context, args, args.required::<NumberOrTag>(0)?.0.into())
}

fn block_by_hash(context: &Context, args: &Args) -> RpcResult<Vec<OfBlock>> {
    of_block(context, args, BlockId::hash(args.required::<HashArg>(0)?.0))
}

/// A block by its RLP; its parent must be known.
fn block(context: &Context, args: &Args) -> RpcResult<Vec<OfBlock>> {
    let bytes: Bytes = args.required::<BytesArg>(0)?.0;
    let (tracer, deadline) = prepare(args, options(args)?)?;
    let mut rest = bytes.as_ref();
    let block = protocol::Block::decode(&mut rest)
        .map_err(|why| RpcError::Refused(format!("could not decode block: {why}")))?;
    if block.header.number == 0 {
        return Err(GENESIS);
    }
    let hashes: Vec<B256> = block.body.transactions.iter().map(|tx| tx.tx_hash()).collect();
    let target = TraceTarget::Body(Box::new(block));
    let traces = geth(context, TraceRequest { target, tracer, deadline })?;
    Ok(hashes.into_iter().zip(traces).map(|(tx_hash, result)| OfBlock { tx_hash, result }).collect())
}

fn call(context: &Context, args: &Args) -> RpcResult<GethTrace> {
    let transaction: TransactionRequest = eth::transaction(context, args)?;
    let id = args.required::<BlockArg>(1)?.0;
    let options = args.optional::<GethDebugTracingCallOptions>(2)?.unwrap_or_default();
    let (tracer, deadline) = prepare(args, options.tracing_options)?;
    let on = CallState {
        at: context.state_at(id)?,
        before: options.tx_index.map(|index| usize::try_from(index).unwrap_or(usize::MAX)),
        state_overrides: eth::state_overrides(options.state_overrides)?,
        block_overrides: eth::block_overrides(options.block_overrides)?,
    };
    let target = TraceTarget::Calls { calls: vec![transaction], on };
    let mut traces = geth(context, TraceRequest { target, tracer, deadline })?;
    traces.pop().ok_or_else(|| BackendError::Internal("no trace".to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, millis) in [("5s", 5_000), ("300ms", 300), ("2m", 120_000), ("1m30s", 90_000), ("1.5s", 1_500)] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5x", "-1s", "1e9h", "1s2", "99999999999999999999h", "1..s", "٣s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
