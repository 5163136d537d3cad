//! `debug_`: the raw bytes of what is stored, and storage within a block; traces are in [`crate::debug_trace`].

use std::collections::BTreeMap;

use alloy_eips::{BlockId, Encodable2718};
use alloy_primitives::{B256, Bytes, U256};
use serde::Serialize;

use crate::{
    args::{AddressArg, Args, BlockArg, BytesArg, HashArg, LenientQuantity},
    context::Context,
    convert,
    debug_trace::GENESIS,
    error::{RpcError, RpcResult},
    model::{ExecutionWitness, StorageRangeRequest},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("debug_getRawHeader", 1, raw_header);
    registry.heavy("debug_getRawBlock", 1, raw_block);
    registry.heavy("debug_getRawReceipts", 1, raw_receipts);
    registry.one("debug_getRawTransaction", 1, raw_transaction);
    registry.light("debug_getBadBlocks", 0, |_: &Context, _: &Args| Ok(Vec::<Bytes>::new()));
    registry.trace("debug_executionWitness", 1, witness);
    // Reth's name for it, and geth's.
    registry.trace("debug_executionWitnessByBlockHash", 1, witness_by_hash);
    registry.trace("debug_executionWitnessByHash", 1, witness_by_hash);
    registry.trace("debug_storageRangeAt", 5, storage_range_at);
    crate::debug_trace::register(registry);
}

/// Most slots in one answer.
const MAX_SLOTS: u64 = 1_024;

/// A slot as geth shows it: the key is `null` where only its hash is known.
#[derive(Serialize)]
struct Slot {
    key: Option<B256>,
    value: B256,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StorageRangeResult {
    storage: BTreeMap<B256, Slot>,
    next_key: Option<B256>,
}

fn storage_range_at(context: &Context, args: &Args) -> RpcResult<StorageRangeResult> {
    let id = args.required::<BlockArg>(0)?.0;
    let index = args.required::<LenientQuantity>(1)?.0;
    let address = args.required::<AddressArg>(2)?.0;
    let start = args.required::<BytesArg>(3)?.0;
    let most = args.required::<LenientQuantity>(4)?.0.min(MAX_SLOTS);
    let block = context.block(id)?.filter(|block| !block.hash().is_zero()).ok_or(BLOCK_NOT_FOUND)?;
    if block.number() == 0 {
        return Err(GENESIS);
    }
    let before = usize::try_from(index).ok().filter(|index| *index < block.transactions.len());
    let before = before.ok_or_else(|| {
        RpcError::Refused(format!("transaction index {index} out of range for block {}", block.hash()))
    })?;
    let request = StorageRangeRequest {
        number: block.number(),
        before,
        address,
        // A shorter start is the beginning of a hash.
        from: B256::right_padding_from(start.get(..32).unwrap_or(&start)),
        most: usize::try_from(most).unwrap_or_default(),
        deadline: args.deadline(),
    };
    let range = context.backend.storage_range(request)?;
    let slot = |(hash, (key, value)): (B256, (Option<B256>, U256))| (hash, Slot { key, value: value.into() });
    Ok(StorageRangeResult { storage: range.slots.into_iter().map(slot).collect(), next_key: range.next })
}

const HEADER_NOT_FOUND: RpcError = RpcError::NotFound("header not found");
const BLOCK_NOT_FOUND: RpcError = RpcError::NotFound("block not found");

fn raw_header(context: &Context, args: &Args) -> RpcResult<Bytes> {
    let id = args.required::<BlockArg>(0)?.0;
    let header = context.header(id)?.ok_or(HEADER_NOT_FOUND)?;
    Ok(alloy_rlp::encode(header.inner()).into())
}

fn raw_block(context: &Context, args: &Args) -> RpcResult<Bytes> {
    let id = args.required::<BlockArg>(0)?.0;
    let block = context.block(id)?.ok_or(BLOCK_NOT_FOUND)?;
    Ok(convert::encode_block(&block).into())
}

/// Of decided blocks: the pending one has no root to arrive at.
fn witness_of(context: &Context, args: &Args, id: BlockId) -> RpcResult<ExecutionWitness> {
    let block = context.header(id)?.filter(|header| !header.seal().is_zero()).ok_or(BLOCK_NOT_FOUND)?;
    if block.number == 0 {
        return Err(GENESIS);
    }
    Ok(context.backend.witness(block.number, args.deadline())?)
}

fn witness(context: &Context, args: &Args) -> RpcResult<ExecutionWitness> {
    witness_of(context, args, args.required::<BlockArg>(0)?.0)
}

fn witness_by_hash(context: &Context, args: &Args) -> RpcResult<ExecutionWitness> {
    witness_of(context, args, BlockId::hash(args.required::<HashArg>(0)?.0))
}

/// Each receipt in its consensus form, bloom included.
fn raw_receipts(context: &Context, args: &Args) -> RpcResult<Vec<Bytes>> {
    let id = args.required::<BlockArg>(0)?.0;
    let (_, receipts) = context.block_and_receipts(args, id)?.ok_or(BLOCK_NOT_FOUND)?;
    Ok(receipts
        .iter()
        .map(|entry| {
            let with_bloom =
                alloy_consensus::ReceiptWithBloom { receipt: entry.receipt.clone(), logs_bloom: entry.logs_bloom };
            with_bloom.encoded_2718().into()
        })
        .collect())
}

/// Empty bytes for an unknown transaction, as geth answers.
fn raw_transaction(context: &Context, args: &Args) -> RpcResult<Bytes> {
    args.required::<HashArg>(0)?;
    Ok(crate::eth::raw_transaction(context, args)?.unwrap_or_default())
}
