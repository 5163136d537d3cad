//! Blocks, transactions and receipts.

use alloy_eips::{BlockId, BlockNumberOrTag, Encodable2718};
use alloy_primitives::{B256, Bytes, U64};
use alloy_rpc_types_eth::Header;
use op_alloy_rpc_types::{OpTransactionReceipt, Transaction};
use serde::Serialize;

use crate::{
    args::{Args, BlockArg, HashArg, NumberOrTag, Quantity},
    context::{Context, Work},
    convert::{self, PooledView, RpcBlock},
    error::RpcResult,
    model::Executed,
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.light("eth_blockNumber", 0, block_number);
    registry.brief("eth_getBlockByNumber", 2, block_by_number, Work::Heavy);
    registry.brief("eth_getBlockByHash", 2, block_by_hash, Work::Heavy);
    registry.light("eth_getHeaderByNumber", 1, header_by_number);
    registry.light("eth_getHeaderByHash", 1, header_by_hash);
    registry.brief("eth_getBlockReceipts", 1, block_receipts, Work::Heavy);
    registry.one("eth_getBlockTransactionCountByNumber", 1, count_by_number);
    registry.one("eth_getBlockTransactionCountByHash", 1, count_by_hash);
    registry.light("eth_getUncleCountByBlockNumber", 1, uncles_by_number);
    registry.light("eth_getUncleCountByBlockHash", 1, uncles_by_hash);
    registry.light("eth_getUncleByBlockNumberAndIndex", 2, uncle_by_number);
    registry.light("eth_getUncleByBlockHashAndIndex", 2, uncle_by_hash);
    registry.one("eth_getTransactionByHash", 1, transaction_by_hash);
    registry.one("eth_getTransactionByBlockNumberAndIndex", 2, transaction_by_number);
    registry.one("eth_getTransactionByBlockHashAndIndex", 2, transaction_by_block_hash);
    registry.one("eth_getTransactionReceipt", 2, transaction_receipt);
    registry.one("eth_getRawTransactionByHash", 1, raw_transaction);
    registry.one("eth_getRawTransactionByBlockNumberAndIndex", 2, raw_by_number);
    registry.one("eth_getRawTransactionByBlockHashAndIndex", 2, raw_by_block_hash);
}

fn number(args: &Args) -> RpcResult<BlockId> {
    Ok(args.required::<NumberOrTag>(0)?.0.into())
}

fn hash(args: &Args) -> RpcResult<BlockId> {
    Ok(BlockId::hash(args.required::<HashArg>(0)?.0))
}

fn block_number(context: &Context, _: &Args) -> RpcResult<U64> {
    Ok(U64::from(context.backend.heads().latest.number))
}

/// Most transactions of a block, and most of them in full, that a brief answer shows.
const BRIEF_HASHES: usize = 2_048;
const BRIEF_TRANSACTIONS: usize = 64;

/// The height a parameter names; when only a brief answer is wanted, of a block that has one.
fn height(context: &Context, args: &Args, id: BlockId, full: bool) -> RpcResult<Option<u64>> {
    let Some(number) = context.find(id)? else { return Ok(None) };
    let most = if full { BRIEF_TRANSACTIONS } else { BRIEF_HASHES };
    context.at_hand(args, number, full, most)?;
    Ok(Some(number))
}

fn block(context: &Context, args: &Args, id: BlockId) -> RpcResult<Option<RpcBlock>> {
    let full: bool = args.required(1)?;
    let Some(number) = height(context, args, id, full)? else { return Ok(None) };
    if full {
        let found = context.backend.executed(number)?;
        return Ok(found.map(|(block, receipts)| convert::block(&block, Some(receipts.as_slice()))));
    }
    Ok(context.backend.block(number)?.map(|block| convert::block(&block, None)))
}

fn block_by_number(context: &Context, args: &Args) -> RpcResult<Option<RpcBlock>> {
    block(context, args, number(args)?)
}

fn block_by_hash(context: &Context, args: &Args) -> RpcResult<Option<RpcBlock>> {
    block(context, args, hash(args)?)
}

fn header_by_number(context: &Context, args: &Args) -> RpcResult<Option<Header>> {
    Ok(context.header(number(args)?)?.as_ref().map(convert::header))
}

fn header_by_hash(context: &Context, args: &Args) -> RpcResult<Option<Header>> {
    Ok(context.header(hash(args)?)?.as_ref().map(convert::header))
}

fn block_receipts(context: &Context, args: &Args) -> RpcResult<Option<Vec<OpTransactionReceipt>>> {
    let id = args.required::<BlockArg>(0)?.0;
    let Some(number) = height(context, args, id, true)? else { return Ok(None) };
    Ok(context.backend.executed(number)?.map(|(block, receipts)| convert::block_receipts(&block, &receipts)))
}

fn count(context: &Context, args: &Args, id: BlockId) -> RpcResult<Option<U64>> {
    let Some(number) = context.find(id)? else { return Ok(None) };
    context.at_hand(args, number, false, usize::MAX)?;
    Ok(context.backend.block(number)?.map(|block| U64::from(block.transactions.len())))
}

fn count_by_number(context: &Context, args: &Args) -> RpcResult<Option<U64>> {
    count(context, args, number(args)?)
}

fn count_by_hash(context: &Context, args: &Args) -> RpcResult<Option<U64>> {
    count(context, args, hash(args)?)
}

/// There are no uncles: zero for every block that exists.
fn uncles_by_number(context: &Context, args: &Args) -> RpcResult<Option<U64>> {
    Ok(context.find(number(args)?)?.map(|_| U64::ZERO))
}

fn uncles_by_hash(context: &Context, args: &Args) -> RpcResult<Option<U64>> {
    Ok(context.find(hash(args)?)?.map(|_| U64::ZERO))
}

fn uncle_by_number(_: &Context, args: &Args) -> RpcResult<Option<Header>> {
    number(args)?;
    args.required::<Quantity>(1)?;
    Ok(None)
}

fn uncle_by_hash(_: &Context, args: &Args) -> RpcResult<Option<Header>> {
    hash(args)?;
    args.required::<Quantity>(1)?;
    Ok(None)
}

/// A transaction, decided or not.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
enum AnyTransaction {
    Decided(Transaction),
    Pooled(PooledView),
}

fn transaction_by_hash(context: &Context, args: &Args) -> RpcResult<Option<AnyTransaction>> {
    let hash = args.required::<HashArg>(0)?.0;
    if let Some(((block, receipts), index)) = context.decided(args, hash)? {
        return Ok(convert::transaction(&block, &receipts, index).map(AnyTransaction::Decided));
    }
    if let Some(pooled) = context.backend.pooled(hash) {
        return Ok(Some(AnyTransaction::Pooled(convert::pooled(&pooled))));
    }
    // In a slice that came before the transaction itself.
    let pending = context.executed(args, hash)?.and_then(|((block, _), index)| block.transactions.get(index).cloned());
    Ok(pending.map(|transaction| AnyTransaction::Pooled(convert::unplaced(transaction))))
}

fn indexed(context: &Context, id: BlockId, args: &Args) -> RpcResult<Option<(Executed, usize)>> {
    let index = usize::try_from(args.required::<Quantity>(1)?.0).unwrap_or(usize::MAX);
    Ok(context.block_and_receipts(args, id)?.map(|found| (found, index)))
}

fn transaction_by_number(context: &Context, args: &Args) -> RpcResult<Option<Transaction>> {
    let found = indexed(context, number(args)?, args)?;
    Ok(found.and_then(|((block, receipts), index)| convert::transaction(&block, &receipts, index)))
}

fn transaction_by_block_hash(context: &Context, args: &Args) -> RpcResult<Option<Transaction>> {
    let found = indexed(context, hash(args)?, args)?;
    Ok(found.and_then(|((block, receipts), index)| convert::transaction(&block, &receipts, index)))
}

/// A receipt that names how far its block has come.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaggedReceipt {
    /// The receipt. In the pending block its block hash is zero, as flashblock clients know it; status, gas and logs are
    /// what execution gave, but the block may still be another one.
    #[serde(flatten)]
    receipt: OpTransactionReceipt,
    /// The strongest of `pending`, `latest`, `safe` and `finalized` that covers its block.
    block_tag: &'static str,
}

/// The receipt of a decided transaction, or of one that is executed already in the pending block.
pub(super) fn tagged_receipt(
    context: &Context,
    args: &Args,
    hash: B256,
    pending: bool,
) -> RpcResult<Option<TaggedReceipt>> {
    let found = if pending { context.executed(args, hash)? } else { context.decided(args, hash)? };
    let Some(((block, receipts), index)) = found else { return Ok(None) };
    let heads = context.backend.heads();
    let block_tag = match block.number() {
        number if number <= heads.finalized.number => "finalized",
        number if number <= heads.safe.number => "safe",
        _ if block.hash().is_zero() => "pending",
        _ => "latest",
    };
    Ok(convert::receipt(&block, &receipts, index).map(|receipt| TaggedReceipt { receipt, block_tag }))
}

/// Of decided transactions, as everywhere: clients read `latest` right after. With the tag `pending` as second argument, also
/// of executed ones.
fn transaction_receipt(context: &Context, args: &Args) -> RpcResult<Option<TaggedReceipt>> {
    let pending = args.optional::<NumberOrTag>(1)?.is_some_and(|tag| tag.0 == BlockNumberOrTag::Pending);
    tagged_receipt(context, args, args.required::<HashArg>(0)?.0, pending)
}

/// The EIP-2718 bytes of a transaction in a block or in the pool.
pub(crate) fn raw_transaction(context: &Context, args: &Args) -> RpcResult<Option<Bytes>> {
    let hash = args.required::<HashArg>(0)?.0;
    if let Some(((block, _), index)) = context.executed(args, hash)? {
        return Ok(raw(&block, index));
    }
    Ok(context.backend.pooled(hash).map(|pooled| pooled.envelope.encoded_2718().into()))
}

fn raw(block: &crate::model::BlockRecord, index: usize) -> Option<Bytes> {
    block.transactions.get(index).map(|tx| tx.inner().encoded_2718().into())
}

fn raw_by_number(context: &Context, args: &Args) -> RpcResult<Option<Bytes>> {
    let found = indexed(context, number(args)?, args)?;
    Ok(found.and_then(|((block, _), index)| raw(&block, index)))
}

fn raw_by_block_hash(context: &Context, args: &Args) -> RpcResult<Option<Bytes>> {
    let found = indexed(context, hash(args)?, args)?;
    Ok(found.and_then(|((block, _), index)| raw(&block, index)))
}
