//! `optimism_`: the op-node methods that explorers and bridges ask, in op-node's own form (decimal numbers).

use alloy_eips::{BlockId, BlockNumHash};
use alloy_primitives::{B256, keccak256};
use protocol::BatchIndex;
use serde_json::{Value, json};

use crate::{
    args::{Args, NumberOrTag, Quantity},
    context::Context,
    error::{RpcError, RpcResult},
    model::L1BlockRef,
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.heavy("optimism_syncStatus", 0, sync_status);
    registry.light("optimism_rollupConfig", 0, rollup_config);
    registry.heavy("optimism_outputAtBlock", 1, output_at_block);
    registry.heavy("optimism_safeHeadAtL1Block", 1, safe_head_at_l1_block);
    registry.light("optimism_version", 0, version);
}

fn version(context: &Context, _: &Args) -> RpcResult<String> {
    Ok(context.backend.identity().client_version)
}

fn l1(block: L1BlockRef) -> Value {
    json!({
        "hash": block.hash,
        "number": block.number,
        "parentHash": block.parent_hash,
        "timestamp": block.timestamp,
    })
}

/// The L1 origin and sequence number that the L1 attributes deposit at the head of a block carries.
fn origin(context: &Context, number: u64) -> RpcResult<Option<(u64, B256, u64)>> {
    let Some(block) = context.backend.block(number)? else { return Ok(None) };
    let input = block.transactions.first().map(|tx| alloy_consensus::Transaction::input(tx.inner()).clone());
    Ok(input.and_then(|input| parse_attributes(&input)))
}

/// Reads the packed call data of `setL1BlockValuesEcotone` and its successors, which share this head:
/// selector, two u32 scalars, u64 sequence number, u64 timestamp, u64 number, base fee, blob base fee, hash.
fn parse_attributes(input: &[u8]) -> Option<(u64, B256, u64)> {
    let word = |from: usize| Some(u64::from_be_bytes(input.get(from..from.checked_add(8)?)?.try_into().ok()?));
    let hash = B256::try_from(input.get(100..132)?).ok()?;
    Some((word(28)?, hash, word(12)?))
}

fn l2(context: &Context, head: BlockNumHash) -> RpcResult<Value> {
    let header = context.known_header(head.number)?;
    let (origin_number, origin_hash, sequence) = origin(context, head.number)?.unwrap_or_else(|| {
        let genesis = context.backend.genesis();
        (genesis.origin.number, genesis.origin.hash, 0)
    });
    Ok(json!({
        "hash": head.hash,
        "number": head.number,
        "parentHash": header.parent_hash,
        "timestamp": header.timestamp,
        "l1origin": { "hash": origin_hash, "number": origin_number },
        "sequenceNumber": sequence,
    }))
}

fn sync_status(context: &Context, _: &Args) -> RpcResult<Value> {
    let heads = context.backend.heads();
    let l1_heads = context.backend.l1_heads();
    let latest = l2(context, heads.latest)?;
    let safe = l2(context, heads.safe)?;
    Ok(json!({
        "current_l1": l1(l1_heads.derived),
        "current_l1_finalized": l1(l1_heads.finalized),
        "head_l1": l1(l1_heads.head),
        "safe_l1": l1(l1_heads.safe),
        "finalized_l1": l1(l1_heads.finalized),
        "unsafe_l2": latest,
        "queued_unsafe_l2": latest,
        "cross_unsafe_l2": latest,
        "pending_safe_l2": safe,
        "local_safe_l2": safe,
        "safe_l2": safe,
        "finalized_l2": l2(context, heads.finalized)?,
    }))
}

/// The last L2 block whose batch was on L1 at a height there, with the L1 block that brought it.
fn safe_head_at_l1_block(context: &Context, args: &Args) -> RpcResult<Value> {
    let height = args.required::<Quantity>(0)?.0;
    let newest = context.backend.latest_batch().map_or(0, |batch| batch.0);
    // Batches reach L1 in the order of their indexes: those up to `low` were there, `high` and later ones were not.
    let (mut low, mut high, mut found) = (0, newest.saturating_add(1), None);
    while high.saturating_sub(low) > 1 {
        let middle = low.midpoint(high);
        let batch = context.backend.batch(BatchIndex(middle))?;
        match batch.and_then(|batch| Some((batch.inclusion?.block, batch.header))) {
            Some((block, header)) if block.number <= height => (low, found) = (middle, Some((block, header))),
            _ => high = middle,
        }
    }
    let (block, header) = found.ok_or(RpcError::NotFound("safe head not found"))?;
    Ok(json!({
        "l1Block": { "hash": block.hash, "number": block.number },
        "safeHead": { "hash": header.lastBlockHash, "number": header.lastHeight },
    }))
}

fn rollup_config(context: &Context, _: &Args) -> RpcResult<Value> {
    let genesis = context.backend.genesis();
    let block = context.known_header(0)?;
    Ok(json!({
        "genesis": {
            "l1": { "hash": genesis.origin.hash, "number": genesis.origin.number },
            "l2": { "hash": block.seal(), "number": 0 },
            "l2_time": genesis.timestamp,
        },
        // op-node counts whole seconds; blocks here are more frequent than that.
        "block_time": genesis.params.block_interval_ms.div_ceil(1000).max(1),
        "l1_chain_id": genesis.l1.chain_id,
        "l2_chain_id": genesis.chain_id,
        "deposit_contract_address": genesis.l1.portal,
        "batch_inbox_address": genesis.l1.batch_registry,
        "l1_system_config_address": genesis.l1.sequencer_set,
        "horae": { "params": genesis.params, "l1": genesis.l1 },
    }))
}

/// The output root: version 0 hash of state root, message passer root and block hash.
fn output_at_block(context: &Context, args: &Args) -> RpcResult<Value> {
    let id = BlockId::Number(args.required::<NumberOrTag>(0)?.0);
    let header = context.header(id)?.ok_or(RpcError::NotFound("header not found"))?;
    let storage_root = header.withdrawals_root.unwrap_or_default();
    let words = [B256::ZERO, header.state_root, storage_root, header.seal()];
    let head = BlockNumHash::new(header.number, header.seal());
    Ok(json!({
        "version": B256::ZERO,
        "outputRoot": keccak256(words.concat()),
        "blockRef": l2(context, head)?,
        "withdrawalStorageRoot": storage_root,
        "stateRoot": header.state_root,
        "syncStatus": sync_status(context, args)?,
    }))
}
