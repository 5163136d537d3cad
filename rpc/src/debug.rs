//! `debug_`: the raw bytes of what is stored; traces are in [`crate::debug_trace`].

use alloy_eips::Encodable2718;
use alloy_primitives::Bytes;

use crate::{
    args::{Args, BlockArg, HashArg},
    context::Context,
    convert,
    error::{RpcError, RpcResult},
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("debug_getRawHeader", 1, raw_header);
    registry.heavy("debug_getRawBlock", 1, raw_block);
    registry.heavy("debug_getRawReceipts", 1, raw_receipts);
    registry.light("debug_getRawTransaction", 1, raw_transaction);
    registry.light("debug_getBadBlocks", 0, |_: &Context, _: &Args| Ok(Vec::<Bytes>::new()));
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

/// Each receipt in its consensus form, bloom included.
fn raw_receipts(context: &Context, args: &Args) -> RpcResult<Vec<Bytes>> {
    let id = args.required::<BlockArg>(0)?.0;
    let (_, receipts) = context.block_and_receipts(id)?.ok_or(BLOCK_NOT_FOUND)?;
    Ok(receipts
        .iter()
        .map(|entry| {
            let logs_bloom = alloy_consensus::TxReceipt::bloom(&entry.receipt);
            let with_bloom = alloy_consensus::ReceiptWithBloom { receipt: entry.receipt.clone(), logs_bloom };
            with_bloom.encoded_2718().into()
        })
        .collect())
}

/// Empty bytes for an unknown transaction, as geth answers.
fn raw_transaction(context: &Context, args: &Args) -> RpcResult<Bytes> {
    args.required::<HashArg>(0)?;
    Ok(crate::eth::raw_transaction(context, args)?.unwrap_or_default())
}
