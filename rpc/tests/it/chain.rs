//! Blocks made by hand: real headers, real signatures, one transaction of every type.

use std::sync::{Arc, LazyLock};

use alloy_consensus::{
    Header, Receipt, Sealable, SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy, TxReceipt,
    proofs::{calculate_receipt_root, calculate_transaction_root},
    transaction::Recovered,
};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, Signature, TxKind, U256, address, b256, keccak256};
use k256::ecdsa::SigningKey;
use op_alloy_consensus::{OpDepositReceipt, OpReceipt, OpTxEnvelope, TxDeposit};
use op_alloy_rpc_types::L1BlockInfo;
use protocol::HeaderExtra;
use rpc::{BlockRecord, ReceiptRecord};

pub const CHAIN_ID: u64 = 9_007_199_254_740_993;
pub const TOKEN: Address = address!("00000000000000000000000000000000000070c3");
pub const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
pub const BASE_FEE: u64 = 1_000_000_000;
pub const L1_HASH: B256 = B256::repeat_byte(0x11);

pub fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(keccak256([number]).as_slice()).unwrap()
}

/// Addresses of the first keys: deriving one costs more than most calls that ask for it.
static SIGNERS: LazyLock<Vec<Address>> = LazyLock::new(|| (0..16).map(derive).collect());

fn derive(number: u8) -> Address {
    Address::from_public_key(key(number).verifying_key())
}

pub fn signer(number: u8) -> Address {
    SIGNERS.get(usize::from(number)).copied().unwrap_or_else(|| derive(number))
}

pub fn sign<T: SignableTransaction<Signature>>(tx: T, number: u8) -> Recovered<OpTxEnvelope>
where
    OpTxEnvelope: From<alloy_consensus::Signed<T>>,
{
    let signature = key(number).sign_prehash_recoverable(tx.signature_hash().as_slice()).unwrap();
    Recovered::new_unchecked(tx.into_signed(signature.into()).into(), signer(number))
}

pub fn transfer(nonce: u64, sender: u8) -> Recovered<OpTxEnvelope> {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 100_000_000,
        to: TxKind::Call(signer(9)),
        value: U256::from(7),
        ..TxEip1559::default()
    };
    sign(tx, sender)
}

/// The first block's transactions: all types, a creation, and one without chain id (pre EIP-155).
pub fn every_type() -> Vec<Recovered<OpTxEnvelope>> {
    let access_list =
        AccessList(vec![AccessListItem { address: TOKEN, storage_keys: vec![B256::ZERO, B256::with_last_byte(1)] }]);
    let legacy = TxLegacy {
        chain_id: None,
        nonce: 0,
        gas_price: 2_000_000_000,
        gas_limit: 100_000,
        to: TxKind::Create,
        value: U256::ZERO,
        input: Bytes::from_static(&[0x60, 0x00]),
    };
    let legacy_155 = TxLegacy { chain_id: Some(CHAIN_ID), nonce: 1, to: TxKind::Call(TOKEN), ..legacy.clone() };
    let listed = TxEip2930 {
        chain_id: CHAIN_ID,
        nonce: 2,
        gas_price: 2_000_000_000,
        gas_limit: 60_000,
        to: TxKind::Call(TOKEN),
        access_list,
        ..TxEip2930::default()
    };
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: TOKEN, nonce: 0 };
    let signature: Signature =
        key(2).sign_prehash_recoverable(authorization.signature_hash().as_slice()).unwrap().into();
    let delegating = TxEip7702 {
        chain_id: CHAIN_ID,
        nonce: 4,
        gas_limit: 90_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 200_000_000,
        to: TOKEN,
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    vec![sign(legacy, 1), sign(legacy_155, 1), sign(listed, 1), transfer(3, 1), sign(delegating, 1)]
}

/// So many different words.
pub fn distinct(count: u64) -> Vec<B256> {
    (0..count).map(|number| B256::from(U256::from(number))).collect()
}

/// The L1 attributes deposit, in the packed form that `optimism_` methods read.
pub fn attributes(number: u64) -> Recovered<OpTxEnvelope> {
    let mut input = vec![0x44, 0x0a, 0x5e, 0x20];
    input.extend([0; 8]);
    input.extend(number.to_be_bytes());
    input.extend(1_700_000_000_u64.to_be_bytes());
    input.extend(77_u64.to_be_bytes());
    input.extend([0; 64]);
    input.extend(L1_HASH);
    input.extend([0; 32]);
    let deposit = TxDeposit {
        source_hash: keccak256(number.to_be_bytes()),
        from: protocol::block::DEPOSITOR,
        to: TxKind::Call(protocol::block::L1_BLOCK),
        gas_limit: 1_000_000,
        input: input.into(),
        ..TxDeposit::default()
    };
    Recovered::new_unchecked(deposit.into(), protocol::block::DEPOSITOR)
}

/// Two logs for a call to the token, none for anything else; every call of sender 3 fails.
fn execute(tx: &Recovered<OpTxEnvelope>, cumulative_gas_used: u64, height: u64) -> ReceiptRecord {
    use alloy_consensus::Transaction as _;
    let success = tx.signer() != signer(3);
    let log = |value: u64| {
        let topics = vec![TRANSFER, tx.signer().into_word(), signer(9).into_word()];
        Log::new_unchecked(TOKEN, topics, B256::from(U256::from(value)).into())
    };
    let logs = if tx.to() == Some(TOKEN) && success { vec![log(height), log(tx.nonce())] } else { Vec::new() };
    let inner = Receipt { status: success.into(), cumulative_gas_used, logs };
    let receipt = match tx.inner() {
        OpTxEnvelope::Legacy(_) => OpReceipt::Legacy(inner),
        OpTxEnvelope::Eip2930(_) => OpReceipt::Eip2930(inner),
        OpTxEnvelope::Eip1559(_) => OpReceipt::Eip1559(inner),
        OpTxEnvelope::Eip7702(_) => OpReceipt::Eip7702(inner),
        OpTxEnvelope::PostExec(_) => OpReceipt::PostExec(inner),
        OpTxEnvelope::Deposit(_) => {
            let deposit = OpDepositReceipt { inner, deposit_nonce: Some(height), deposit_receipt_version: Some(1) };
            return recorded(OpReceipt::Deposit(deposit), L1BlockInfo::default());
        }
    };
    let l1 = L1BlockInfo {
        l1_gas_price: Some(30_000_000_000),
        l1_fee: Some(123_456),
        l1_base_fee_scalar: Some(1_368),
        l1_blob_base_fee: Some(1),
        l1_blob_base_fee_scalar: Some(810_949),
        ..L1BlockInfo::default()
    };
    recorded(receipt, l1)
}

fn recorded(receipt: OpReceipt, l1: L1BlockInfo) -> ReceiptRecord {
    ReceiptRecord { logs_bloom: receipt.bloom(), receipt, l1 }
}

pub type Made = (Arc<BlockRecord>, Arc<Vec<ReceiptRecord>>);

/// The block after `parent` with these user transactions.
pub fn make(parent: Option<&BlockRecord>, users: Vec<Recovered<OpTxEnvelope>>) -> Made {
    let number = parent.map_or(0, |parent| parent.number() + 1);
    let mut transactions = if number == 0 { Vec::new() } else { vec![attributes(number)] };
    transactions.extend(users);
    let receipts: Vec<ReceiptRecord> =
        transactions.iter().enumerate().map(|(index, tx)| execute(tx, 21_000 * (index as u64 + 1), number)).collect();
    let with_bloom: Vec<_> = receipts
        .iter()
        .map(|entry| alloy_consensus::ReceiptWithBloom {
            receipt: entry.receipt.clone(),
            logs_bloom: entry.receipt.bloom(),
        })
        .collect();
    let plain: Vec<OpTxEnvelope> = transactions.iter().map(|tx| tx.inner().clone()).collect();
    let header = Header {
        parent_hash: parent.map_or(B256::ZERO, BlockRecord::hash),
        number,
        timestamp: 1_700_000_000 + number / 2,
        gas_limit: 30_000_000,
        gas_used: receipts.last().map_or(0, |entry| entry.receipt.cumulative_gas_used()),
        base_fee_per_gas: Some(BASE_FEE),
        beneficiary: protocol::block::FEE_VAULT,
        transactions_root: calculate_transaction_root(&plain),
        receipts_root: calculate_receipt_root(&with_bloom),
        logs_bloom: with_bloom.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.logs_bloom),
        state_root: keccak256(number.to_be_bytes()),
        withdrawals_root: Some(keccak256([number as u8])),
        requests_hash: Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
        parent_beacon_block_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        extra_data: HeaderExtra { millis: (number % 2 * 500) as u16, leader: signer(1) }.encode(),
        ..Header::default()
    };
    (Arc::new(BlockRecord { header: header.seal_slow(), transactions }), Arc::new(receipts))
}
