//! From stored blocks, transactions and receipts to the JSON types clients read.

use alloy_consensus::{
    Transaction as _, TxReceipt, Typed2718,
    transaction::{Recovered, TransactionInfo, TransactionMeta},
};
use alloy_primitives::{Address, U256};
use alloy_rlp::{Encodable, Header as RlpHeader};
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Log, TransactionReceipt, Withdrawals};
use op_alloy_consensus::{
    OpReceipt, OpTxEnvelope,
    transaction::{OpDepositInfo, OpTransactionInfo},
};
use op_alloy_rpc_types::{OpTransactionReceipt, Transaction};
use serde::Serialize;

use crate::model::{BlockRecord, ReceiptRecord, RecoveredTransaction, SealedHeader};

/// A block as `eth_getBlockBy…` answers.
pub type RpcBlock = Block<Transaction, Header>;

/// A header without the size of its block.
pub fn header(header: &SealedHeader) -> Header {
    Header::from_sealed(header.clone())
}

/// A block with transaction hashes, or with whole transactions when `receipts` are given (deposits show the nonce that
/// only their receipt knows).
pub fn block(record: &BlockRecord, receipts: Option<&[ReceiptRecord]>) -> RpcBlock {
    let transactions = match receipts {
        None => BlockTransactions::Hashes(record.transactions.iter().map(|tx| tx.tx_hash()).collect()),
        Some(receipts) => BlockTransactions::Full(
            (0..record.transactions.len()).filter_map(|index| transaction(record, receipts, index)).collect(),
        ),
    };
    let mut header = header(&record.header);
    header.size = Some(U256::from(encoded_length(record)));
    Block { header, uncles: Vec::new(), transactions, withdrawals: Some(Withdrawals::default()) }
}

/// A decided transaction; `None` when the index is past the block's end.
pub fn transaction(record: &BlockRecord, receipts: &[ReceiptRecord], index: usize) -> Option<Transaction> {
    let inner = record.transactions.get(index)?.clone();
    let info = TransactionInfo {
        hash: Some(inner.tx_hash()),
        index: u64::try_from(index).ok(),
        block_hash: Some(record.hash()),
        block_number: Some(record.number()),
        base_fee: record.header.base_fee_per_gas,
        block_timestamp: Some(record.header.timestamp),
    };
    let deposit_meta = match receipts.get(index).map(|record| &record.receipt) {
        Some(OpReceipt::Deposit(deposit)) => OpDepositInfo {
            deposit_nonce: deposit.deposit_nonce,
            deposit_receipt_version: deposit.deposit_receipt_version,
        },
        _ => OpDepositInfo::default(),
    };
    Some(Transaction::from_transaction(inner, OpTransactionInfo::new(info, deposit_meta)))
}

/// A transaction that is in no block: everything about a block is there, and `null`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PooledView {
    /// The transaction.
    #[serde(flatten)]
    pub transaction: Transaction,
    /// Always `null`; the library leaves this member out, the execution API demands it.
    pub block_timestamp: Option<()>,
}

/// A pooled transaction.
pub fn pooled(transaction: &protocol::RecoveredTx) -> PooledView {
    unplaced(Recovered::new_unchecked(transaction.envelope.clone(), transaction.sender))
}

/// A transaction without a decided block.
pub fn unplaced(transaction: RecoveredTransaction) -> PooledView {
    let transaction = Transaction::from_transaction(transaction, OpTransactionInfo::default());
    PooledView { transaction, block_timestamp: None }
}

/// The receipt of one transaction; `None` when the index is past the block's end.
pub fn receipt(record: &BlockRecord, receipts: &[ReceiptRecord], index: usize) -> Option<OpTransactionReceipt> {
    let before = receipts.get(..index)?;
    let previous_gas = before.last().map_or(0, |previous| previous.receipt.cumulative_gas_used());
    let previous_logs = before.iter().map(|previous| previous.receipt.logs().len()).sum();
    build_receipt(record, receipts, index, previous_gas, previous_logs)
}

/// All receipts of a block, in order.
pub fn block_receipts(record: &BlockRecord, receipts: &[ReceiptRecord]) -> Vec<OpTransactionReceipt> {
    let (mut gas, mut logs) = (0, 0_usize);
    let mut all = Vec::with_capacity(receipts.len());
    for (index, entry) in receipts.iter().enumerate() {
        all.extend(build_receipt(record, receipts, index, gas, logs));
        gas = entry.receipt.cumulative_gas_used();
        logs = logs.saturating_add(entry.receipt.logs().len());
    }
    all
}

fn build_receipt(
    record: &BlockRecord,
    receipts: &[ReceiptRecord],
    index: usize,
    previous_gas: u64,
    previous_logs: usize,
) -> Option<OpTransactionReceipt> {
    let tx = record.transactions.get(index)?;
    let entry = receipts.get(index)?;
    let meta = meta(record, tx, index);
    let gas_used = entry.receipt.cumulative_gas_used().saturating_sub(previous_gas);
    let effective_gas_price = match tx.inner() {
        OpTxEnvelope::Deposit(_) => 0,
        signed => signed.effective_gas_price(record.header.base_fee_per_gas),
    };
    let contract_address = tx.kind().is_create().then(|| tx.signer().create(creation_nonce(tx, &entry.receipt)));
    let mut logs = Log::collect_for_receipt(previous_logs, meta, entry.receipt.logs().iter().cloned()).into_iter();
    let receipt = entry.receipt.clone().map_logs(|_| logs.next().unwrap_or_default());
    let inner = TransactionReceipt {
        inner: alloy_consensus::ReceiptWithBloom { receipt, logs_bloom: entry.logs_bloom },
        transaction_hash: meta.tx_hash,
        transaction_index: Some(meta.index),
        block_hash: Some(meta.block_hash),
        block_number: Some(meta.block_number),
        gas_used,
        effective_gas_price,
        blob_gas_used: None,
        blob_gas_price: None,
        from: tx.signer(),
        to: tx.to(),
        contract_address,
    };
    Some(OpTransactionReceipt { inner, l1_block_info: entry.l1, op_gas_refund: None })
}

/// A deposit has no nonce of its own: the contract it creates follows from the sender's nonce at execution.
fn creation_nonce(tx: &RecoveredTransaction, receipt: &OpReceipt) -> u64 {
    match receipt {
        OpReceipt::Deposit(deposit) => deposit.deposit_nonce.unwrap_or_default(),
        _ => tx.nonce(),
    }
}

fn meta(record: &BlockRecord, tx: &RecoveredTransaction, index: usize) -> TransactionMeta {
    TransactionMeta {
        tx_hash: tx.tx_hash(),
        index: u64::try_from(index).unwrap_or(u64::MAX),
        block_hash: record.hash(),
        block_number: record.number(),
        base_fee: record.header.base_fee_per_gas,
        excess_blob_gas: record.header.excess_blob_gas,
        timestamp: record.header.timestamp,
    }
}

/// Every log of a block that `wanted` accepts, with its position.
pub fn block_logs(
    record: &BlockRecord,
    receipts: &[ReceiptRecord],
    mut wanted: impl FnMut(&alloy_primitives::Log) -> bool,
) -> Vec<Log> {
    let mut found = Vec::new();
    let mut log_index = 0_u64;
    for (index, (tx, entry)) in record.transactions.iter().zip(receipts).enumerate() {
        let meta = meta(record, tx, index);
        for log in entry.receipt.logs() {
            if wanted(log) {
                found.push(Log {
                    inner: log.clone(),
                    block_hash: Some(meta.block_hash),
                    block_number: Some(meta.block_number),
                    block_timestamp: Some(meta.timestamp),
                    transaction_hash: Some(meta.tx_hash),
                    transaction_index: Some(meta.index),
                    log_index: Some(log_index),
                    removed: false,
                });
            }
            log_index = log_index.saturating_add(1);
        }
    }
    found
}

/// RLP of the empty ommers list and of the empty withdrawals list.
const EMPTY_LIST: u8 = alloy_rlp::EMPTY_LIST_CODE;

fn transactions_length(record: &BlockRecord) -> usize {
    record.transactions.iter().map(|tx| tx.inner().length()).sum()
}

fn payload_length(record: &BlockRecord) -> usize {
    let list = RlpHeader { list: true, payload_length: transactions_length(record) };
    // Header, transactions, ommers and withdrawals.
    [record.header.inner().length(), list.length_with_payload(), 1, 1].iter().sum()
}

/// Size of the block's RLP, without building it.
fn encoded_length(record: &BlockRecord) -> usize {
    RlpHeader { list: true, payload_length: payload_length(record) }.length_with_payload()
}

/// The block's RLP, as it would travel between Ethereum nodes.
pub fn encode_block(record: &BlockRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_length(record));
    RlpHeader { list: true, payload_length: payload_length(record) }.encode(&mut out);
    record.header.inner().encode(&mut out);
    RlpHeader { list: true, payload_length: transactions_length(record) }.encode(&mut out);
    for tx in &record.transactions {
        tx.inner().encode(&mut out);
    }
    out.extend([EMPTY_LIST, EMPTY_LIST]);
    out
}

/// The one-line form of `txpool_inspect`.
pub fn summary(transaction: &protocol::RecoveredTx) -> String {
    let tx = &transaction.envelope;
    let to = tx.to().map_or_else(|| "contract creation".to_owned(), |to: Address| to.to_string());
    format!("{to}: {} wei + {} gas × {} wei", tx.value(), tx.gas_limit(), tx.max_fee_per_gas())
}

/// Whether a transaction is a deposit, which pays no fees.
pub(crate) fn is_deposit(tx: &RecoveredTransaction) -> bool {
    tx.ty() == op_alloy_consensus::DEPOSIT_TX_TYPE_ID
}
