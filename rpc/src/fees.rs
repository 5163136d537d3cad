//! Fee suggestions and fee history, computed from decided blocks.

use std::time::Instant;

use alloy_consensus::{Transaction as _, TxReceipt};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::B256;
use alloy_rpc_types_eth::FeeHistory;

use crate::{
    config::{MAX_FEE_HISTORY_BLOCKS, MAX_REWARD_PERCENTILES},
    context::Context,
    convert,
    error::{RpcError, RpcResult},
    model::{BlockRecord, ReceiptRecord},
};

/// Blocks looked at for a suggestion (geth's figure).
const SAMPLE_BLOCKS: u64 = 20;
/// Lowest tips taken per block (geth's figure).
const SAMPLES_PER_BLOCK: usize = 3;
/// Percentile of the samples that is suggested (geth's figure).
const SAMPLE_PERCENTILE: usize = 60;
/// No suggestion goes above this (geth's figure, 500 gwei).
const MAX_SUGGESTION: u128 = 500_000_000_000;

/// Remembers the suggestion for the head it was computed at.
#[derive(Debug, Default)]
pub(crate) struct TipOracle {
    at: B256,
    tip: u128,
}

/// The suggestion, if it has been asked for since the head moved.
pub(crate) fn known_tip(context: &Context) -> Option<u128> {
    let oracle = context.tips.lock();
    (oracle.at == context.backend.heads().latest.hash).then_some(oracle.tip)
}

/// The suggested priority fee: the 60th percentile of the lowest tips that recent blocks accepted, never below what the
/// pool admits. Empty blocks say that the minimum suffices.
pub(crate) fn suggest_tip(context: &Context) -> RpcResult<u128> {
    if let Some(tip) = known_tip(context) {
        return Ok(tip);
    }
    let head = context.backend.heads().latest;
    let floor = context.backend.identity().min_priority_fee;
    let mut samples = Vec::new();
    let oldest = head.number.saturating_sub(SAMPLE_BLOCKS.saturating_sub(1));
    for number in oldest..=head.number {
        let Some(block) = context.backend.block(number)? else { continue };
        let mut tips = block_tips(&block);
        tips.sort_unstable();
        if tips.is_empty() {
            samples.push(floor);
        }
        samples.extend(tips.into_iter().take(SAMPLES_PER_BLOCK));
    }
    samples.sort_unstable();
    let index = samples.len().saturating_sub(1).saturating_mul(SAMPLE_PERCENTILE).checked_div(100).unwrap_or(0);
    let tip = samples.get(index).copied().unwrap_or(floor).clamp(floor, MAX_SUGGESTION.max(floor));
    *context.tips.lock() = TipOracle { at: head.hash, tip };
    Ok(tip)
}

fn block_tips(block: &BlockRecord) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let paying = block.transactions.iter().filter(|tx| !convert::is_deposit(tx));
    paying.map(|tx| tx.effective_tip_per_gas(base_fee).unwrap_or_default()).collect()
}

/// `eth_feeHistory` for `count` blocks that end with `newest`; with percentiles, whole blocks are read until `deadline`.
pub(crate) fn history(
    context: &Context,
    count: u64,
    newest: BlockNumberOrTag,
    percentiles: &[f64],
    deadline: Instant,
) -> RpcResult<FeeHistory> {
    check_percentiles(percentiles)?;
    let heads = context.backend.heads();
    let newest = match newest {
        // Fees are known up to the head; what follows it is the last entry anyway.
        BlockNumberOrTag::Pending => heads.latest.number,
        newest => context.number_of(newest),
    };
    if newest > heads.latest.number {
        return Err(RpcError::Refused(format!(
            "request beyond head block: requested {newest}, head {}",
            heads.latest.number
        )));
    }
    let count = count.min(MAX_FEE_HISTORY_BLOCKS).min(newest.saturating_sub(heads.earliest).saturating_add(1));
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let oldest = newest.saturating_add(1).saturating_sub(count);
    let mut answer = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
    let mut rewards = Vec::new();
    for number in oldest..=newest {
        let header = context.known_header(number)?;
        answer.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
        answer.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
        answer.base_fee_per_blob_gas.push(1);
        answer.blob_gas_used_ratio.push(0.0);
        if !percentiles.is_empty() {
            if Instant::now() > deadline {
                return Err(RpcError::Timeout);
            }
            rewards.push(match context.backend.executed(number)? {
                Some((block, receipts)) => block_rewards(&block, &receipts, percentiles),
                None => vec![0; percentiles.len()],
            });
        }
    }
    let next = if newest == heads.latest.number {
        context.backend.next_base_fee()
    } else {
        context.known_header(newest.saturating_add(1))?.base_fee_per_gas.unwrap_or_default()
    };
    answer.base_fee_per_gas.push(next.into());
    answer.base_fee_per_blob_gas.push(1);
    answer.reward = (!percentiles.is_empty()).then_some(rewards);
    Ok(answer)
}

fn check_percentiles(percentiles: &[f64]) -> RpcResult<()> {
    if percentiles.len() > MAX_REWARD_PERCENTILES {
        return Err(RpcError::Refused(format!(
            "invalid reward percentile: over the query limit {MAX_REWARD_PERCENTILES}"
        )));
    }
    if let Some(wrong) = percentiles.iter().find(|percentile| !(0.0..=100.0).contains(*percentile)) {
        return Err(RpcError::Refused(format!("invalid reward percentile: {wrong:.6}")));
    }
    for (index, pair) in percentiles.windows(2).enumerate() {
        if let [before, after] = pair
            && after <= before
        {
            let next = index.saturating_add(1);
            let text = format!("invalid reward percentile: #{index}:{before:.6} >= #{next}:{after:.6}");
            return Err(RpcError::Refused(text));
        }
    }
    Ok(())
}

// The answer's JSON has floating point numbers; nothing that two nodes must agree on follows from them.
#[allow(clippy::cast_precision_loss)]
fn ratio(used: u64, limit: u64) -> f64 {
    if limit == 0 { 0.0 } else { used as f64 / limit as f64 }
}

/// Tips at the given percentiles of a block's gas, over its paying transactions (geth's rule).
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn block_rewards(block: &BlockRecord, receipts: &[ReceiptRecord], percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut previous = 0_u64;
    let mut paid: Vec<(u128, u64)> = Vec::new();
    for (tx, entry) in block.transactions.iter().zip(receipts) {
        let cumulative = entry.receipt.cumulative_gas_used();
        let gas = cumulative.saturating_sub(previous);
        previous = cumulative;
        if !convert::is_deposit(tx) {
            paid.push((tx.effective_tip_per_gas(base_fee).unwrap_or_default(), gas));
        }
    }
    paid.sort_unstable();
    let total: u64 = paid.iter().map(|(_, gas)| *gas).sum();
    let tip_at = |percentile: &f64| {
        let threshold = (total as f64 * percentile / 100.0) as u64;
        let mut sum = 0_u64;
        let reached = paid.iter().find(|(_, gas)| {
            sum = sum.saturating_add(*gas);
            sum >= threshold
        });
        reached.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(tip_at).collect()
}
