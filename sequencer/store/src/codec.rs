//! Encodings of values. Decoding failures are damage: nothing here comes from outside.

use alloy_consensus::{BlockBody, Header, Sealed};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{Decodable, Encodable, RlpDecodable, RlpEncodable};
use alloy_sol_types::SolValue;
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope};
use protocol::{
    BatchCertificate, BatchHeader,
    state::{Account, AccountDiff, StateDiff},
};

use crate::{BatchInclusion, BatchRecord, StoreError};

#[derive(RlpEncodable, RlpDecodable)]
struct StoredAccount {
    nonce: u64,
    balance: U256,
    code_hash: B256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredSlot {
    slot: B256,
    value: U256,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredChange {
    address: Address,
    /// None or one.
    account: Vec<StoredAccount>,
    wiped: bool,
    storage: Vec<StoredSlot>,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredCertificate {
    members: Vec<B256>,
    bitmap: U256,
    signatures: Bytes,
}

#[derive(RlpEncodable, RlpDecodable)]
struct StoredBatch {
    header: Bytes,
    /// None or one.
    inclusion: Vec<BatchInclusion>,
    /// None or one.
    certificate: Vec<StoredCertificate>,
}

impl From<&Account> for StoredAccount {
    fn from(account: &Account) -> Self {
        Self { nonce: account.nonce, balance: account.balance, code_hash: account.code_hash }
    }
}

impl From<StoredAccount> for Account {
    fn from(account: StoredAccount) -> Self {
        Self { nonce: account.nonce, balance: account.balance, code_hash: account.code_hash }
    }
}

/// Decodes a whole value; trailing bytes are damage too.
pub(crate) fn decode<T: Decodable>(mut bytes: &[u8], what: &str) -> Result<T, StoreError> {
    let value = T::decode(&mut bytes).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))?;
    if bytes.is_empty() { Ok(value) } else { Err(StoreError::Corrupt(format!("{what}: trailing bytes"))) }
}

fn cut<'a>(bytes: &'a [u8], at: usize, what: &str) -> Result<(&'a [u8], &'a [u8]), StoreError> {
    bytes.split_at_checked(at).ok_or_else(|| StoreError::Corrupt(format!("{what}: too short")))
}

pub(crate) fn encode_header(header: &Header, hash: &B256) -> Vec<u8> {
    let mut out = hash.to_vec();
    header.encode(&mut out);
    out
}

/// The stored hash is taken for granted: checksums guard the value, and `open` checks the head.
pub(crate) fn decode_header(bytes: &[u8]) -> Result<Sealed<Header>, StoreError> {
    let (hash, header) = cut(bytes, 32, "header")?;
    Ok(Sealed::new_unchecked(decode(header, "header")?, B256::from_slice(hash)))
}

pub(crate) fn decode_body(bytes: &[u8]) -> Result<BlockBody<OpTxEnvelope>, StoreError> {
    decode(bytes, "body")
}

pub(crate) fn encode_senders(senders: &[Address]) -> Vec<u8> {
    senders.iter().flat_map(|sender| sender.0.0).collect()
}

pub(crate) fn decode_senders(bytes: &[u8]) -> Result<Vec<Address>, StoreError> {
    let (senders, rest) = bytes.as_chunks::<20>();
    if !rest.is_empty() {
        return Err(StoreError::Corrupt("senders: a part of an address".into()));
    }
    Ok(senders.iter().map(Address::from).collect())
}

pub(crate) fn encode_receipts(receipts: &[OpReceiptEnvelope]) -> Vec<u8> {
    let encoded: Vec<Bytes> = receipts.iter().map(|receipt| receipt.encoded_2718().into()).collect();
    alloy_rlp::encode(encoded)
}

pub(crate) fn decode_receipts(bytes: &[u8]) -> Result<Vec<OpReceiptEnvelope>, StoreError> {
    let encoded: Vec<Bytes> = decode(bytes, "receipts")?;
    encoded
        .iter()
        .map(|receipt| OpReceiptEnvelope::decode_2718_exact(receipt))
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::Corrupt(format!("receipt: {error}")))
}

/// History form: empty for an account that does not exist.
pub(crate) fn encode_account(account: Option<&Account>) -> Vec<u8> {
    account.map_or_else(Vec::new, |account| alloy_rlp::encode(StoredAccount::from(account)))
}

pub(crate) fn decode_account(bytes: &[u8]) -> Result<Option<Account>, StoreError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    decode::<StoredAccount>(bytes, "account").map(|account| Some(account.into()))
}

/// Flat form: with the address, since keys are hashes.
pub(crate) fn encode_flat_account(address: &Address, account: &Account) -> Vec<u8> {
    let mut out = address.to_vec();
    StoredAccount::from(account).encode(&mut out);
    out
}

pub(crate) fn decode_flat_account(bytes: &[u8]) -> Result<(Address, Account), StoreError> {
    let (address, account) = cut(bytes, 20, "account")?;
    Ok((Address::from_slice(address), decode::<StoredAccount>(account, "account")?.into()))
}

/// History form of a slot; zero is empty.
pub(crate) fn encode_value(value: &U256) -> Vec<u8> {
    value.to_be_bytes_trimmed_vec()
}

pub(crate) fn decode_value(bytes: &[u8]) -> Result<U256, StoreError> {
    U256::try_from_be_slice(bytes).ok_or_else(|| StoreError::Corrupt("a slot exceeds 32 bytes".into()))
}

pub(crate) fn encode_flat_slot(slot: &B256, value: &U256) -> Vec<u8> {
    let mut out = slot.to_vec();
    out.extend_from_slice(&encode_value(value));
    out
}

pub(crate) fn decode_flat_slot(bytes: &[u8]) -> Result<(B256, U256), StoreError> {
    let (slot, value) = cut(bytes, 32, "slot")?;
    Ok((B256::from_slice(slot), decode_value(value)?))
}

/// Everything but the code, which is stored by its hash.
pub(crate) fn encode_diff(diff: &StateDiff) -> Vec<u8> {
    let changes: Vec<StoredChange> = diff
        .accounts
        .iter()
        .map(|(address, change)| StoredChange {
            address: *address,
            account: change.account.iter().map(StoredAccount::from).collect(),
            wiped: change.storage_wiped,
            storage: change.storage.iter().map(|(slot, value)| StoredSlot { slot: *slot, value: *value }).collect(),
        })
        .collect();
    alloy_rlp::encode(changes)
}

pub(crate) fn decode_diff(bytes: &[u8]) -> Result<StateDiff, StoreError> {
    let changes: Vec<StoredChange> = decode(bytes, "diff")?;
    let accounts = changes
        .into_iter()
        .map(|change| {
            let storage = change.storage.into_iter().map(|slot| (slot.slot, slot.value)).collect();
            let account = change.account.into_iter().next().map(Account::from);
            (change.address, AccountDiff { account, storage, storage_wiped: change.wiped })
        })
        .collect();
    Ok(StateDiff { accounts, ..StateDiff::default() })
}

pub(crate) fn encode_batch(batch: &BatchRecord) -> Vec<u8> {
    let certificate = batch.certificate.iter().map(|certificate| StoredCertificate {
        members: certificate.members.clone(),
        bitmap: certificate.bitmap,
        signatures: certificate.signatures.clone(),
    });
    alloy_rlp::encode(StoredBatch {
        header: batch.header.abi_encode().into(),
        inclusion: batch.inclusion.iter().copied().collect(),
        certificate: certificate.collect(),
    })
}

pub(crate) fn decode_batch(bytes: &[u8]) -> Result<BatchRecord, StoreError> {
    let stored: StoredBatch = decode(bytes, "batch")?;
    let header = BatchHeader::abi_decode(&stored.header).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let certificate = stored.certificate.into_iter().next().map(|certificate| BatchCertificate {
        members: certificate.members,
        bitmap: certificate.bitmap,
        signatures: certificate.signatures,
    });
    Ok(BatchRecord { header, inclusion: stored.inclusion.into_iter().next(), certificate })
}
