//! Blocks to columns.

use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{B256, Bytes, Signature};

use super::words::{AddressWriter, WordWriter};
use super::{STREAMS, is_abi_shaped, kind};
use crate::cursor::{DecimalColumn, put_varint};
use crate::limits::{MAX_BLOCKS, MAX_DECODED_BYTES, MAX_TRANSACTION_BYTES, MAX_TRANSACTIONS};
use crate::{BatchBlock, ChannelError};

/// The two parts of a channel before compression.
pub(crate) struct Encoded {
    pub(crate) signatures: Vec<u8>,
    pub(crate) columns: Vec<u8>,
}

/// One growing stream per column.
#[derive(Default)]
pub(super) struct Writer {
    chain_id: u64,
    blocks: Vec<u8>,
    kinds: Vec<u8>,
    pub(super) nonces: Vec<u8>,
    gas_limits: Vec<u8>,
    max_fees: DecimalColumn,
    priority_fees: DecimalColumn,
    values: DecimalColumn,
    data_lengths: Vec<u8>,
    selectors: Vec<u8>,
    pub(super) words: WordWriter,
    data: Vec<u8>,
    pub(super) counts: Vec<u8>,
    pub(super) addresses: AddressWriter,
    pub(super) authorization_chains: DecimalColumn,
    pub(super) parities: Vec<u8>,
    pub(super) signatures: Vec<u8>,
}

pub(crate) fn encode(blocks: &[BatchBlock]) -> Result<Encoded, ChannelError> {
    check_limits(blocks)?;
    let mut writer = Writer::default();
    let envelopes: Vec<Vec<Option<TxEnvelope>>> =
        blocks.iter().map(|block| block.transactions.iter().map(columnar).collect()).collect();
    // One chain id for the whole batch: the first that any transaction names.
    let mut named = envelopes.iter().flatten().flatten().filter_map(Transaction::chain_id);
    writer.chain_id = named.next().unwrap_or_default();
    writer.put_blocks(blocks)?;
    for (block, envelopes) in blocks.iter().zip(&envelopes) {
        for (bytes, envelope) in block.transactions.iter().zip(envelopes) {
            match envelope {
                Some(envelope) if envelope.chain_id().is_none_or(|id| id == writer.chain_id) => writer.put(envelope),
                _ => writer.put_raw(bytes),
            }
        }
    }
    Ok(writer.finish())
}

fn check_limits(blocks: &[BatchBlock]) -> Result<(), ChannelError> {
    let transactions = || blocks.iter().flat_map(|block| &block.transactions);
    if blocks.len() > MAX_BLOCKS {
        return Err(ChannelError::Limit("blocks"));
    }
    if transactions().count() > MAX_TRANSACTIONS {
        return Err(ChannelError::Limit("transactions"));
    }
    if transactions().any(|bytes| bytes.len() > MAX_TRANSACTION_BYTES) {
        return Err(ChannelError::Limit("transaction bytes"));
    }
    if transactions().map(|bytes| bytes.len()).sum::<usize>() > MAX_DECODED_BYTES {
        return Err(ChannelError::Limit("decoded bytes"));
    }
    Ok(())
}

/// The transaction as fields, if writing them again gives the same bytes and the signature packs into 64 bytes.
fn columnar(bytes: &Bytes) -> Option<TxEnvelope> {
    let envelope = TxEnvelope::decode_2718_exact(bytes).ok()?;
    let packs = !envelope.signature().s().bit(255) && !envelope.is_eip4844();
    (packs && envelope.encoded_2718().as_slice() == bytes.as_ref()).then_some(envelope)
}

impl Writer {
    fn put_blocks(&mut self, blocks: &[BatchBlock]) -> Result<(), ChannelError> {
        put_varint(&mut self.blocks, u128::from(self.chain_id));
        put_varint(&mut self.blocks, blocks.len() as u128);
        let (mut time, mut origin) = (0, 0);
        for (index, block) in blocks.iter().enumerate() {
            let order = ChannelError::Order(index);
            let elapsed = block.timestamp_ms.checked_sub(time).ok_or(order.clone())?;
            let advance = block.l1_origin.checked_sub(origin).ok_or(order)?;
            put_varint(&mut self.blocks, u128::from(elapsed));
            put_varint(&mut self.blocks, u128::from(advance));
            put_varint(&mut self.blocks, block.transactions.len() as u128);
            self.addresses.put(block.leader);
            (time, origin) = (block.timestamp_ms, block.l1_origin);
        }
        Ok(())
    }

    fn put_raw(&mut self, bytes: &Bytes) {
        self.kinds.push(kind::RAW);
        put_varint(&mut self.data_lengths, bytes.len() as u128);
        self.data.extend_from_slice(bytes);
    }

    fn put(&mut self, envelope: &TxEnvelope) {
        let kind = match envelope {
            TxEnvelope::Legacy(tx) if tx.tx().chain_id.is_none() => kind::LEGACY_UNPROTECTED,
            TxEnvelope::Legacy(_) => kind::LEGACY,
            TxEnvelope::Eip2930(_) => kind::ACCESS_LIST,
            TxEnvelope::Eip1559(_) | TxEnvelope::Eip4844(_) => kind::DYNAMIC_FEE,
            TxEnvelope::Eip7702(_) => kind::SET_CODE,
        };
        let create = if envelope.is_create() { kind::CREATE } else { 0 };
        self.kinds.push(kind | create);
        put_varint(&mut self.nonces, u128::from(envelope.nonce()));
        put_varint(&mut self.gas_limits, u128::from(envelope.gas_limit()));
        self.max_fees.put_u128(envelope.max_fee_per_gas());
        if let Some(tip) = envelope.max_priority_fee_per_gas() {
            self.priority_fees.put_u128(tip);
        }
        self.values.put(envelope.value());
        if let Some(to) = envelope.to() {
            self.addresses.put(to);
        }
        self.put_data(envelope.is_create(), envelope.input());
        if let Some(list) = envelope.access_list() {
            self.put_access_list(list);
        }
        if let Some(list) = envelope.authorization_list() {
            self.put_authorizations(list);
        }
        self.put_signature(envelope.signature());
    }

    fn put_data(&mut self, creates: bool, input: &Bytes) {
        put_varint(&mut self.data_lengths, input.len() as u128);
        if !is_abi_shaped(creates, input.len()) {
            return self.data.extend_from_slice(input);
        }
        let (selector, words) = input.split_at(4);
        self.selectors.extend_from_slice(selector);
        for word in words.chunks_exact(32) {
            self.words.put(&B256::from_slice(word), &mut self.addresses);
        }
    }

    /// 64 bytes: the parity takes the top bit of `s`, as in EIP-2098. `columnar` checked that the bit is free.
    fn put_signature(&mut self, signature: &Signature) {
        let mut s = signature.s();
        s.set_bit(255, signature.v());
        self.signatures.extend_from_slice(&signature.r().to_be_bytes::<32>());
        self.signatures.extend_from_slice(&s.to_be_bytes::<32>());
    }

    fn finish(self) -> Encoded {
        let streams: [&[u8]; STREAMS] = [
            &self.blocks,
            &self.kinds,
            &self.nonces,
            &self.gas_limits,
            &self.max_fees.exponents,
            &self.max_fees.mantissas,
            &self.priority_fees.exponents,
            &self.priority_fees.mantissas,
            &self.values.exponents,
            &self.values.mantissas,
            &self.data_lengths,
            &self.selectors,
            &self.words.controls,
            &self.words.bytes,
            &self.data,
            &self.counts,
            &self.addresses.references,
            &self.addresses.table,
            &authorization_stream(&self.authorization_chains, &self.parities),
        ];
        let mut columns = Vec::new();
        for stream in streams {
            put_varint(&mut columns, stream.len() as u128);
            columns.extend_from_slice(stream);
        }
        Encoded { signatures: self.signatures, columns }
    }
}

/// Authorizations are rare: their small columns share one stream.
fn authorization_stream(chains: &DecimalColumn, parities: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for part in [&chains.exponents, &chains.mantissas, parities] {
        put_varint(&mut stream, part.len() as u128);
        stream.extend_from_slice(part);
    }
    stream
}
