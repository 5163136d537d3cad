//! `debug_`: the raw bytes of what is stored; traces are in [`crate::debug_trace`].

use alloy_eips::{BlockId, Encodable2718};
use alloy_primitives::Bytes;

use crate::{
    args::{Args, BlockArg, HashArg},
    context::Context,
    convert,
    debug_trace::GENESIS,
    error::{RpcError, RpcResult},
    model::ExecutionWitness,
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("debug_getRawHeader", 1, raw_header);
    registry.heavy("debug_getRawBlock", 1, raw_block);
    registry.heavy("debug_getRawReceipts", 1, raw_receipts);
    registry.light("debug_getRawTransaction", 1, raw_transaction);
    registry.light("debug_getBadBlocks", 0, |_: &Context, _: &Args| Ok(Vec::<Bytes>::new()));
    registry.trace("debug_executionWitness", 1, witness);
    // Reth's name for it, and geth's.
    registry.trace("debug_executionWitnessByBlockHash", 1, witness_by_hash);
    registry.trace("debug_executionWitnessByHash", 1, witness_by_hash);
    crate::debug_trace::register(registry);
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
    let (_, receipts) = context.block_and_receipts(id)?.ok_or(BLOCK_NOT_FOUND)?;
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
