//! `ots_`: what the Otterscan explorer asks besides `eth_`.

use std::time::Instant;

use alloy_consensus::Transaction as _;
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use alloy_rpc_types_eth::{BlockTransactions, Header};
use alloy_rpc_types_trace::{
    geth::{CallFrame, GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions, GethTrace},
    otterscan::{ContractCreator, InternalOperation, OperationType, TraceEntry},
    parity::Action,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    args::{AddressArg, Args, HashArg, LenientQuantity, NumberOrTag},
    config::{MAX_PAGE, MAX_SEARCH_BLOCKS},
    context::Context,
    convert, debug_trace,
    error::{BackendError, RpcError, RpcResult},
    model::{BlockRecord, Executed, TraceRequest, Tracer},
    parity,
    registry::Registry,
};

pub(crate) fn register(registry: &mut Registry) {
    registry.light("ots_getApiLevel", 0, |_: &Context, _: &Args| Ok(API_LEVEL));
    registry.light("ots_hasCode", 2, has_code);
    registry.light("ots_getHeaderByNumber", 1, header);
    registry.heavy("ots_getBlockDetails", 1, details_by_number);
    registry.heavy("ots_getBlockDetailsByHash", 1, details_by_hash);
    registry.heavy("ots_getBlockTransactions", 3, block_transactions);
    registry.heavy("ots_searchTransactionsBefore", 3, search_before);
    registry.heavy("ots_searchTransactionsAfter", 3, search_after);
    registry.heavy("ots_getTransactionBySenderAndNonce", 2, by_sender_and_nonce);
    registry.trace("ots_getContractCreator", 1, contract_creator);
    registry.trace("ots_getInternalOperations", 1, internal_operations);
    registry.trace("ots_getTransactionError", 1, transaction_error);
    registry.trace("ots_traceTransaction", 1, trace_transaction);
}

/// The version of the interface that Otterscan 2 speaks.
const API_LEVEL: u64 = 8;
/// `0x`, a selector: what is shown of a transaction's input in lists.
const SHOWN_INPUT: usize = 2 + 8;
/// Prefix of a delegation (EIP-7702), which is no contract.
const DELEGATION: [u8; 3] = [0xef, 0x01, 0x00];

fn has_code(context: &Context, args: &Args) -> RpcResult<bool> {
    let address = args.required::<AddressArg>(0)?.0;
    let at = context.state_at(args.block_or_latest(1)?)?;
    Ok(!context.backend.code(address, at)?.is_empty())
}

fn header(context: &Context, args: &Args) -> RpcResult<Option<Header>> {
    let id = BlockId::Number(args.required::<NumberOrTag>(0)?.0);
    Ok(context.header(id)?.as_ref().map(convert::header))
}

fn details_by_number(context: &Context, args: &Args) -> RpcResult<Option<Value>> {
    details(context, args, BlockId::Number(args.required::<NumberOrTag>(0)?.0))
}

fn details_by_hash(context: &Context, args: &Args) -> RpcResult<Option<Value>> {
    details(context, args, BlockId::hash(args.required::<HashArg>(0)?.0))
}

fn value<T: Serialize>(value: T) -> RpcResult<Value> {
    serde_json::to_value(value).map_err(|why| BackendError::Internal(why.to_string()).into())
}

fn details(context: &Context, args: &Args, id: BlockId) -> RpcResult<Option<Value>> {
    let Some((block, receipts)) = context.block_and_receipts(args, id)? else { return Ok(None) };
    let mut shown = value(convert::block(&block, None))?;
    if let Some(members) = shown.as_object_mut() {
        members.remove("transactions");
        members.insert("transactionCount".to_owned(), json!(block.transactions.len()));
        members.insert("logsBloom".to_owned(), Value::Null);
    }
    let fees: U256 = convert::block_receipts(&block, &receipts)
        .iter()
        .map(|receipt| U256::from(receipt.inner.gas_used) * U256::from(receipt.inner.effective_gas_price))
        .fold(U256::ZERO, U256::saturating_add);
    // Nothing is issued: METIS comes from L1.
    let issuance = json!({ "blockReward": "0x0", "uncleReward": "0x0", "issuance": "0x0" });
    Ok(Some(json!({ "block": shown, "issuance": issuance, "totalFees": fees })))
}

fn page_size(args: &Args, index: usize) -> RpcResult<usize> {
    // Otterscan sends plain numbers here.
    let size = args.required::<LenientQuantity>(index)?.0;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > MAX_PAGE {
        return Err(RpcError::InvalidParams(format!("page size is too large (max {MAX_PAGE})")));
    }
    Ok(size)
}

/// A receipt as lists show it: without logs, with the time.
fn brief_receipt((block, receipts): &Executed, index: usize) -> RpcResult<Value> {
    let mut receipt = value(convert::receipt(block, receipts, index))?;
    if let Some(members) = receipt.as_object_mut() {
        members.insert("logs".to_owned(), Value::Null);
        members.insert("logsBloom".to_owned(), Value::Null);
        members.insert("timestamp".to_owned(), json!(block.header.timestamp));
    }
    Ok(receipt)
}

fn brief_transaction((block, receipts): &Executed, index: usize) -> RpcResult<Value> {
    let mut transaction = value(convert::transaction(block, receipts, index))?;
    if let Some(Value::String(input)) = transaction.get_mut("input") {
        input.truncate(SHOWN_INPUT);
    }
    Ok(transaction)
}

/// One page of a block's transactions; page 0 has the last ones.
fn block_transactions(context: &Context, args: &Args) -> RpcResult<Option<Value>> {
    let id = BlockId::Number(args.required::<NumberOrTag>(0)?.0);
    let page = usize::try_from(args.required::<LenientQuantity>(1)?.0).unwrap_or(usize::MAX);
    let size = page_size(args, 2)?;
    let Some(found) = context.block_and_receipts(args, id)? else { return Ok(None) };
    let count = found.0.transactions.len();
    let end = count.saturating_sub(page.saturating_mul(size));
    let shown = end.saturating_sub(size)..end;
    let transactions = shown.clone().map(|index| brief_transaction(&found, index)).collect::<RpcResult<Vec<_>>>()?;
    let receipts = shown.map(|index| brief_receipt(&found, index)).collect::<RpcResult<Vec<_>>>()?;
    let mut block = convert::block(&found.0, None);
    block.transactions = BlockTransactions::Hashes(Vec::new());
    let mut fullblock = value(block)?;
    if let Some(members) = fullblock.as_object_mut() {
        members.insert("transactions".to_owned(), Value::Array(transactions));
        members.insert("transactionCount".to_owned(), json!(count));
        members.insert("logsBloom".to_owned(), Value::Null);
    }
    Ok(Some(json!({ "fullblock": fullblock, "receipts": receipts })))
}

/// Whether a transaction names the address: as sender, receiver, created contract, or emitter of a log.
fn concerns((block, receipts): &Executed, index: usize, address: Address) -> bool {
    let Some(tx) = block.transactions.get(index) else { return false };
    let logged = receipts
        .get(index)
        .is_some_and(|entry| alloy_consensus::TxReceipt::logs(&entry.receipt).iter().any(|log| log.address == address));
    let created = || {
        tx.kind().is_create()
            && convert::receipt(block, receipts, index)
                .is_some_and(|receipt| receipt.inner.contract_address == Some(address))
    };
    tx.signer() == address || tx.to() == Some(address) || logged || created()
}

/// One page, and whether the search came to its end.
struct Page {
    hits: Vec<(Executed, usize)>,
    ended: bool,
}

/// Whether some transaction of a block may name the address; tells without the receipts, by the header's bloom.
fn may_concern(block: &BlockRecord, address: Address) -> bool {
    // The bloom is looked at last: it costs a hash.
    block.transactions.iter().any(|tx| tx.signer() == address || tx.to() == Some(address) || tx.kind().is_create())
        || block.header.logs_bloom.contains_input(alloy_primitives::BloomInput::Raw(address.as_slice()))
}

/// Looks at the blocks in the order given until a page is full; a block is never split between pages.
fn search(
    context: &Context,
    address: Address,
    size: usize,
    blocks: impl Iterator<Item = u64>,
    deadline: Instant,
) -> RpcResult<Page> {
    let mut page = Page { hits: Vec::new(), ended: true };
    let (mut looked, mut last) = (0_u64, None);
    for number in blocks {
        if page.hits.len() >= size || looked >= MAX_SEARCH_BLOCKS || Instant::now() > deadline {
            page.ended = false;
            break;
        }
        looked = looked.saturating_add(1);
        last = Some(number);
        let Some(block) = context.backend.block(number)? else { continue };
        if !may_concern(&block, address) {
            continue;
        }
        let Some(found) = context.backend.executed(number)? else { continue };
        // Newest first within a block, too.
        for index in (0..found.0.transactions.len()).rev() {
            if concerns(&found, index, address) {
                page.hits.push((found.clone(), index));
            }
        }
    }
    match last {
        Some(last) if !page.ended && page.hits.is_empty() => Err(RpcError::Limit(format!(
            "no transaction of this address within {looked} blocks, search stopped; go on from block {last}"
        ))),
        _ => Ok(page),
    }
}

fn page_json(page: &Page, first: bool, last: bool) -> RpcResult<Value> {
    let hits = &page.hits;
    let txs = hits.iter().map(|(found, index)| value(convert::transaction(&found.0, &found.1, *index)));
    let receipts = hits.iter().map(|(found, index)| brief_receipt(found, *index));
    Ok(json!({
        "txs": txs.collect::<RpcResult<Vec<_>>>()?,
        "receipts": receipts.collect::<RpcResult<Vec<_>>>()?,
        "firstPage": first,
        "lastPage": last,
    }))
}

/// Newest first, below a block; 0 stands for the newest.
fn search_before(context: &Context, args: &Args) -> RpcResult<Value> {
    let address = args.required::<AddressArg>(0)?.0;
    let before = args.required::<LenientQuantity>(1)?.0;
    let size = page_size(args, 2)?;
    let heads = context.backend.heads();
    let end = if before == 0 { heads.latest.number.saturating_add(1) } else { before };
    let end = end.min(heads.latest.number.saturating_add(1));
    let page = search(context, address, size, (heads.earliest..end).rev(), args.deadline())?;
    page_json(&page, before == 0, page.ended)
}

/// Above a block; 0 stands for the oldest. The answer is newest first.
fn search_after(context: &Context, args: &Args) -> RpcResult<Value> {
    let address = args.required::<AddressArg>(0)?.0;
    let after = args.required::<LenientQuantity>(1)?.0;
    let size = page_size(args, 2)?;
    let heads = context.backend.heads();
    let start = if after == 0 { heads.earliest } else { after.saturating_add(1) };
    let mut page = search(context, address, size, start..=heads.latest.number, args.deadline())?;
    page.hits.sort_by_key(|(found, index)| std::cmp::Reverse((found.0.number(), *index)));
    page_json(&page, page.ended, after == 0)
}

/// Since when something holds, as far as the kept states tell.
struct Since {
    height: u64,
    /// It is the first kept state, not genesis: it may have held before.
    at_least: bool,
}

impl Since {
    /// What a height before it would have to tell.
    fn unknown(&self) -> RpcError {
        BackendError::HistoryUnavailable(self.height.saturating_sub(1)).into()
    }
}

/// The first kept state at which `reached` holds, if it holds at `latest`; `reached` must stay true once it is.
fn first_height(context: &Context, reached: impl Fn(u64) -> RpcResult<bool>) -> RpcResult<Option<Since>> {
    let oldest = context.backend.history().state.from;
    let (mut low, mut high) = (oldest, context.backend.heads().latest.number);
    if !reached(high)? {
        return Ok(None);
    }
    while low < high {
        let middle = low.midpoint(high);
        if reached(middle)? {
            high = middle;
        } else {
            low = middle.saturating_add(1);
        }
    }
    Ok(Some(Since { height: high, at_least: high == oldest && oldest > 0 }))
}

fn by_sender_and_nonce(context: &Context, args: &Args) -> RpcResult<Option<B256>> {
    let sender = args.required::<AddressArg>(0)?.0;
    let nonce = args.required::<LenientQuantity>(1)?.0;
    let used = |at| Ok(context.backend.account(sender, at)?.unwrap_or_default().nonce > nonce);
    let Some(since) = first_height(context, used)? else { return Ok(None) };
    let Some(block) = context.block(BlockId::number(since.height))? else { return Ok(None) };
    let found =
        block.transactions.iter().find(|tx| tx.signer() == sender && tx.nonce() == nonce && !convert::is_deposit(tx));
    match found {
        None if since.at_least => Err(since.unknown()),
        found => Ok(found.map(|tx| tx.tx_hash())),
    }
}

fn contract_creator(context: &Context, args: &Args) -> RpcResult<Option<ContractCreator>> {
    let address = args.required::<AddressArg>(0)?.0;
    let latest = context.backend.heads().latest.number;
    if context.backend.code(address, latest)?.starts_with(&DELEGATION) {
        return Ok(None);
    }
    let has_code =
        |at| Ok(context.backend.account(address, at)?.is_some_and(|account| account.code_hash != KECCAK256_EMPTY));
    let Some(since) = first_height(context, has_code)? else { return Ok(None) };
    if since.at_least {
        // Its block cannot be executed again without the state before it either.
        return Err(since.unknown());
    }
    let Some(block) = context.block(BlockId::number(since.height))? else { return Ok(None) };
    for entry in parity::of_block(context, args, &block)? {
        let created = entry.trace.result.as_ref().and_then(|output| output.created_contract());
        if let (Some(hash), Action::Create(create), true) =
            (entry.transaction_hash, &entry.trace.action, created == Some(address))
        {
            return Ok(Some(ContractCreator { hash, creator: create.from }));
        }
    }
    // Part of genesis.
    Ok(None)
}

/// Native transfers, creations and self-destructs below the transaction itself.
fn internal_operations(context: &Context, args: &Args) -> RpcResult<Option<Vec<InternalOperation>>> {
    let Some(frame) = frames(context, args)? else { return Ok(None) };
    let mut operations = Vec::new();
    walk(&frame, 0, &mut |frame, depth| {
        let kind = match frame.typ.as_str() {
            "CALL" if frame.value.is_some_and(|value| !value.is_zero()) => OperationType::OpTransfer,
            "SELFDESTRUCT" => OperationType::OpSelfDestruct,
            "CREATE" => OperationType::OpCreate,
            "CREATE2" => OperationType::OpCreate2,
            _ => return,
        };
        if depth > 0 {
            operations.push(InternalOperation {
                r#type: kind,
                from: frame.from,
                to: frame.to.unwrap_or_default(),
                value: frame.value.unwrap_or_default(),
            });
        }
    });
    Ok(Some(operations))
}

/// The output of a transaction that failed; empty when it succeeded.
fn transaction_error(context: &Context, args: &Args) -> RpcResult<Option<Bytes>> {
    let Some(frame) = frames(context, args)? else { return Ok(None) };
    Ok(Some(frame.error.and(frame.output).unwrap_or_default()))
}

fn trace_transaction(context: &Context, args: &Args) -> RpcResult<Option<Vec<TraceEntry>>> {
    let Some(frame) = frames(context, args)? else { return Ok(None) };
    let mut entries = Vec::new();
    walk(&frame, 0, &mut |frame, depth| {
        let valueless = matches!(frame.typ.as_str(), "DELEGATECALL" | "STATICCALL");
        entries.push(TraceEntry {
            r#type: frame.typ.clone(),
            depth,
            from: frame.from,
            to: frame.to.unwrap_or_default(),
            value: frame.value.filter(|_| !valueless),
            input: frame.input.clone(),
            output: frame.output.clone().unwrap_or_default(),
        });
    });
    Ok(Some(entries))
}

/// The call tree of the transaction in the first parameter.
fn frames(context: &Context, args: &Args) -> RpcResult<Option<CallFrame>> {
    let hash = args.required::<HashArg>(0)?.0;
    let Some(target) = debug_trace::place(context, hash)? else { return Ok(None) };
    let tracer = GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::CallTracer);
    let options = GethDebugTracingOptions::default().with_tracer(tracer);
    let request = TraceRequest { target, tracer: Tracer::Geth(Box::new(options)), deadline: args.deadline() };
    match debug_trace::geth(context, request)?.pop() {
        Some(GethTrace::CallTracer(frame)) => Ok(Some(frame)),
        _ => Err(BackendError::Internal("a trace of the wrong kind".to_owned()).into()),
    }
}

/// Frames in the order of execution. Without recursion: calls nest up to 1,024 deep.
fn walk(root: &CallFrame, depth: u32, visit: &mut impl FnMut(&CallFrame, u32)) {
    let mut open = vec![(root, depth)];
    while let Some((frame, depth)) = open.pop() {
        visit(frame, depth);
        open.extend(frame.calls.iter().rev().map(|call| (call, depth.saturating_add(1))));
    }
}
