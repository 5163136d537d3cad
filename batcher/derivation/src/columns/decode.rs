//! Columns to blocks.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Bytes, Signature, TxKind, U256};

use super::words::{AddressReader, WordReader};
use super::{STREAMS, is_abi_shaped, kind};
use crate::cursor::{Cursor, DecimalCursor};
use crate::limits::{MAX_BLOCKS, MAX_DECODED_BYTES, MAX_TRANSACTION_BYTES, MAX_TRANSACTIONS};
use crate::{BatchBlock, ChannelError};

/// Bytes of a transaction beyond its data and lists, charged before it is built.
const ENVELOPE_BYTES: usize = 160;

/// One cursor per column, and what may still be decoded.
pub(super) struct Reader<'a> {
    budget: usize,
    chain_id: u64,
    kinds: Cursor<'a>,
    pub(super) nonces: Cursor<'a>,
    gas_limits: Cursor<'a>,
    max_fees: DecimalCursor<'a>,
    priority_fees: DecimalCursor<'a>,
    values: DecimalCursor<'a>,
    data_lengths: Cursor<'a>,
    selectors: Cursor<'a>,
    pub(super) words: WordReader<'a>,
    data: Cursor<'a>,
    counts: Cursor<'a>,
    pub(super) addresses: AddressReader<'a>,
    pub(super) authorization_chains: DecimalCursor<'a>,
    pub(super) parities: Cursor<'a>,
    pub(super) signatures: Cursor<'a>,
}

/// A block before its transactions are read.
struct Outline {
    block: BatchBlock,
    transactions: usize,
}

pub(crate) fn decode(signatures: &[u8], columns: &[u8]) -> Result<Vec<BatchBlock>, ChannelError> {
    let (mut blocks, mut reader) = open(signatures, columns)?;
    let outlines = reader.outlines(&mut blocks)?;
    let mut decoded = Vec::with_capacity(outlines.len());
    for Outline { mut block, transactions } in outlines {
        for _ in 0..transactions {
            block.transactions.push(reader.transaction()?);
        }
        decoded.push(block);
    }
    if reader.is_exhausted() && blocks.is_empty() { Ok(decoded) } else { Err(ChannelError::Trailing) }
}

fn streams<'a, const N: usize>(cursor: &mut Cursor<'a>) -> Result<[Cursor<'a>; N], ChannelError> {
    let mut streams = [Cursor::default(); N];
    for stream in &mut streams {
        let length = cursor.varint_usize()?;
        *stream = Cursor::new(cursor.take(length)?);
    }
    if cursor.is_empty() { Ok(streams) } else { Err(ChannelError::Trailing) }
}

fn open<'a>(signatures: &'a [u8], columns: &'a [u8]) -> Result<(Cursor<'a>, Reader<'a>), ChannelError> {
    let [
        blocks,
        kinds,
        nonces,
        gas_limits,
        fee_exponents,
        fee_mantissas,
        tip_exponents,
        tip_mantissas,
        value_exponents,
        value_mantissas,
        data_lengths,
        selectors,
        controls,
        bytes,
        data,
        counts,
        references,
        table,
        mut authorizations,
    ] = streams::<STREAMS>(&mut Cursor::new(columns))?;
    let [chain_exponents, chain_mantissas, parities] = streams::<3>(&mut authorizations)?;
    let reader = Reader {
        budget: MAX_DECODED_BYTES,
        chain_id: 0,
        kinds,
        nonces,
        gas_limits,
        max_fees: DecimalCursor { exponents: fee_exponents, mantissas: fee_mantissas },
        priority_fees: DecimalCursor { exponents: tip_exponents, mantissas: tip_mantissas },
        values: DecimalCursor { exponents: value_exponents, mantissas: value_mantissas },
        data_lengths,
        selectors,
        words: WordReader { controls, bytes },
        data,
        counts,
        addresses: AddressReader::new(table.rest(), references),
        authorization_chains: DecimalCursor { exponents: chain_exponents, mantissas: chain_mantissas },
        parities,
        signatures: Cursor::new(signatures),
    };
    Ok((blocks, reader))
}

impl Reader<'_> {
    fn outlines(&mut self, blocks: &mut Cursor<'_>) -> Result<Vec<Outline>, ChannelError> {
        self.chain_id = blocks.varint_u64()?;
        let count = blocks.varint_usize()?;
        if count > MAX_BLOCKS {
            return Err(ChannelError::Limit("blocks"));
        }
        let (mut time, mut origin, mut total) = (0u64, 0u64, 0usize);
        let mut outlines = Vec::new();
        for index in 0..count {
            let order = ChannelError::Order(index);
            time = time.checked_add(blocks.varint_u64()?).ok_or(order.clone())?;
            origin = origin.checked_add(blocks.varint_u64()?).ok_or(order)?;
            let transactions = blocks.varint_usize()?;
            total = total.saturating_add(transactions);
            if total > MAX_TRANSACTIONS {
                return Err(ChannelError::Limit("transactions"));
            }
            let leader = self.addresses.take()?;
            let block = BatchBlock { timestamp_ms: time, leader, l1_origin: origin, transactions: Vec::new() };
            outlines.push(Outline { block, transactions });
        }
        Ok(outlines)
    }

    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), ChannelError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(ChannelError::Limit("decoded bytes"))?;
        Ok(())
    }

    pub(super) fn count(&mut self) -> Result<usize, ChannelError> {
        Ok(self.counts.varint_usize()?)
    }

    fn transaction(&mut self) -> Result<Bytes, ChannelError> {
        let kind = self.kinds.byte()?;
        let creates = kind & kind::CREATE != 0;
        match kind & !kind::CREATE {
            kind::RAW if !creates => {
                let length = self.data_length()?;
                Ok(Bytes::copy_from_slice(self.data.take(length)?))
            }
            kind @ kind::LEGACY..=kind::SET_CODE => self.columnar(kind, creates),
            _ => Err(ChannelError::Invalid("transaction kind")),
        }
    }

    fn columnar(&mut self, kind: u8, creates: bool) -> Result<Bytes, ChannelError> {
        self.charge(ENVELOPE_BYTES)?;
        let nonce = self.nonces.varint_u64()?;
        let gas_limit = self.gas_limits.varint_u64()?;
        let fee = self.max_fees.take_u128()?;
        let tip = if kind >= kind::DYNAMIC_FEE { self.priority_fees.take_u128()? } else { 0 };
        let value = self.values.take()?;
        let to = if creates { TxKind::Create } else { TxKind::Call(self.addresses.take()?) };
        let input = self.input(creates)?;
        let access_list = if kind >= kind::ACCESS_LIST { self.access_list()? } else { Default::default() };
        let chain_id = self.chain_id;
        let envelope: TxEnvelope = match kind {
            kind::ACCESS_LIST => {
                let tx = TxEip2930 { chain_id, nonce, gas_price: fee, gas_limit, to, value, access_list, input };
                tx.into_signed(self.signature()?).into()
            }
            kind::DYNAMIC_FEE => {
                let (max_fee_per_gas, max_priority_fee_per_gas) = (fee, tip);
                let tx = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                };
                tx.into_signed(self.signature()?).into()
            }
            kind::SET_CODE => {
                let to = to.into_to().ok_or(ChannelError::Invalid("set-code creation"))?;
                let authorization_list = self.authorizations()?;
                let (max_fee_per_gas, max_priority_fee_per_gas) = (fee, tip);
                let tx = TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    authorization_list,
                    input,
                };
                tx.into_signed(self.signature()?).into()
            }
            _ => {
                let chain_id = (kind == kind::LEGACY).then_some(chain_id);
                let tx = TxLegacy { chain_id, nonce, gas_price: fee, gas_limit, to, value, input };
                tx.into_signed(self.signature()?).into()
            }
        };
        let bytes = envelope.encoded_2718();
        if bytes.len() > MAX_TRANSACTION_BYTES {
            return Err(ChannelError::Limit("transaction bytes"));
        }
        Ok(bytes.into())
    }

    fn data_length(&mut self) -> Result<usize, ChannelError> {
        let length = self.data_lengths.varint_usize()?;
        if length > MAX_TRANSACTION_BYTES {
            return Err(ChannelError::Limit("transaction bytes"));
        }
        self.charge(length)?;
        Ok(length)
    }

    fn input(&mut self, creates: bool) -> Result<Bytes, ChannelError> {
        let length = self.data_length()?;
        if !is_abi_shaped(creates, length) {
            return Ok(Bytes::copy_from_slice(self.data.take(length)?));
        }
        let mut input = Vec::with_capacity(length);
        input.extend_from_slice(self.selectors.take(4)?);
        while input.len() < length {
            input.extend_from_slice(self.words.take(&mut self.addresses)?.as_slice());
        }
        Ok(input.into())
    }

    fn signature(&mut self) -> Result<Signature, ChannelError> {
        let r = U256::from_be_slice(self.signatures.take(32)?);
        let mut s = U256::from_be_slice(self.signatures.take(32)?);
        let parity = s.bit(255);
        s.set_bit(255, false);
        Ok(Signature::new(r, s, parity))
    }

    fn is_exhausted(&self) -> bool {
        let decimals = [&self.max_fees, &self.priority_fees, &self.values, &self.authorization_chains];
        let cursors = [
            &self.kinds,
            &self.nonces,
            &self.gas_limits,
            &self.data_lengths,
            &self.selectors,
            &self.words.controls,
            &self.words.bytes,
            &self.data,
            &self.counts,
            &self.parities,
            &self.signatures,
        ];
        cursors.iter().all(|cursor| cursor.is_empty())
            && decimals.iter().all(|column| column.exponents.is_empty() && column.mantissas.is_empty())
            && self.addresses.is_exhausted()
    }
}
