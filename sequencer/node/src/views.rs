//! From stored blocks to what JSON-RPC shows.

use alloy_consensus::transaction::{Recovered, SignerRecoverable};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Sealed};
use execution::{L1Attributes, l1_data_fee, l1_data_gas};
use op_alloy_consensus::{OpReceipt, OpReceiptEnvelope, OpTxEnvelope};
use op_alloy_rpc_types::L1BlockInfo;
use protocol::Block;
use rpc::{BlockRecord, ReceiptRecord};
use store::{Store, StoreError};

use crate::epochs::attributes_of;

/// Senders of a stored block's transactions, in order: as stored, or recovered (some 100 µs each) where an older program stored
/// the block without them.
///
/// # Errors
/// The disk; a transaction without a valid signature, which no stored block has.
pub fn senders(store: &Store, block: &Block) -> Result<Vec<Address>, StoreError> {
    if let Some(senders) = store.senders(block)? {
        return Ok(senders);
    }
    let unsigned = |_| StoreError::Corrupt(format!("block {} has an unsigned transaction", block.header.number));
    block.body.transactions.iter().map(|tx| tx.recover_signer().map_err(unsigned)).collect()
}

/// A block with senders.
#[must_use]
pub fn block_record(block: &Block, hash: B256, senders: &[Address]) -> BlockRecord {
    let transactions = block.body.transactions.iter().zip(senders);
    BlockRecord {
        header: Sealed::new_unchecked(block.header.clone(), hash),
        transactions: transactions.map(|(tx, sender)| Recovered::new_unchecked(tx.clone(), *sender)).collect(),
    }
}

/// Receipts with the L1 fee fields that OP-aware clients read.
#[must_use]
pub fn receipt_records(block: &Block, receipts: &[OpReceiptEnvelope]) -> Vec<ReceiptRecord> {
    let attributes = attributes_of(block);
    let pairs = block.body.transactions.iter().zip(receipts);
    pairs.map(|(tx, receipt)| receipt_record(attributes.as_ref(), tx, receipt)).collect()
}

/// One receipt of a block with these L1 attributes.
#[must_use]
pub fn receipt_record(
    attributes: Option<&L1Attributes>,
    tx: &OpTxEnvelope,
    receipt: &OpReceiptEnvelope,
) -> ReceiptRecord {
    let l1 = attributes.filter(|_| !tx.is_deposit()).map(|attributes| {
        let encoded = tx.encoded_2718();
        L1BlockInfo {
            l1_gas_price: Some(attributes.origin.base_fee.into()),
            l1_gas_used: Some(l1_data_gas(&encoded).saturating_to()),
            l1_fee: Some(l1_data_fee(attributes, &encoded).saturating_to()),
            l1_base_fee_scalar: Some(attributes.base_fee_scalar.into()),
            l1_blob_base_fee: Some(attributes.origin.blob_base_fee.into()),
            l1_blob_base_fee_scalar: Some(attributes.blob_base_fee_scalar.into()),
            ..L1BlockInfo::default()
        }
    });
    ReceiptRecord {
        receipt: OpReceipt::from(receipt.clone()),
        logs_bloom: *receipt.logs_bloom(),
        l1: l1.unwrap_or_default(),
    }
}
