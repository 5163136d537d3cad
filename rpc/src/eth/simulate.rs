//! `eth_simulateV1`: blocks that nobody built.

use alloy_primitives::TxHash;
use alloy_rpc_types_eth::{
    Log,
    simulate::{SimulatePayload, SimulatedBlock as SimulatedBlockView},
};

use crate::{
    args::Args,
    config::MAX_TRACE_CALLS,
    context::Context,
    convert::{self, RpcBlock},
    error::{RpcError, RpcResult},
    eth,
    model::{SimulateRequest, SimulatedBlock},
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.trace("eth_simulateV1", 2, simulate);
}

/// The execution API's code for limits of the client.
const CLIENT_LIMIT: i32 = -38026;

fn simulate(context: &Context, args: &Args) -> RpcResult<Vec<SimulatedBlockView<RpcBlock>>> {
    let payload = args.required::<SimulatePayload>(0)?;
    let at = context.state_at(args.block_or_latest(1)?)?;
    if payload.block_state_calls.is_empty() {
        return Err(RpcError::InvalidParams("empty input".to_owned()));
    }
    let calls: usize = payload.block_state_calls.iter().map(|block| block.calls.len()).sum();
    if calls > MAX_TRACE_CALLS {
        return Err(RpcError::Coded { code: CLIENT_LIMIT, message: format!("too many calls (max {MAX_TRACE_CALLS})") });
    }
    for block in &payload.block_state_calls {
        eth::state_overrides(block.state_overrides.clone())?;
        for call in &block.calls {
            eth::check_transaction(context, call)?;
        }
    }
    let full = payload.return_full_transactions;
    let request = SimulateRequest { payload, at, deadline: args.deadline() };
    let blocks = context.backend.simulate(request)?;
    Ok(blocks.into_iter().map(|block| view(block, full)).collect())
}

/// Fills in where the logs are, which is known only now that the block has a hash.
fn view(simulated: SimulatedBlock, full: bool) -> SimulatedBlockView<RpcBlock> {
    let SimulatedBlock { block, mut calls } = simulated;
    let hashes: Vec<TxHash> = block.transactions.iter().map(|tx| tx.tx_hash()).collect();
    let mut log_index = 0_u64;
    for (index, (call, hash)) in (0_u64..).zip(calls.iter_mut().zip(hashes)) {
        for log in &mut call.logs {
            *log = Log {
                inner: std::mem::take(&mut log.inner),
                block_hash: Some(block.hash()),
                block_number: Some(block.number()),
                block_timestamp: Some(block.header.timestamp),
                transaction_hash: Some(hash),
                transaction_index: Some(index),
                log_index: Some(log_index),
                removed: false,
            };
            log_index = log_index.saturating_add(1);
        }
    }
    // No deposits here, so no receipts are needed to show them.
    let receipts = full.then_some(&[][..]);
    SimulatedBlockView { inner: convert::block(&block, receipts), calls }
}
