//! 32-byte words and addresses: zeros trimmed, addresses by table, round numbers as mantissa and exponent.

use std::collections::HashMap;

use alloy_primitives::{Address, B256};

use crate::ChannelError;
use crate::cursor::{Cursor, decimal_parts, decimal_value, put_varint};

/// Controls 0..=32: that many low bytes follow, the rest is zero.
const LOW_MAX: u8 = 32;
/// Controls 33..=63: (control − 32) high bytes follow, the rest is zero.
const HIGH_MAX: u8 = 63;
/// The word is an address of the table.
const ADDRESS: u8 = 64;
/// The word is mantissa × 10^exponent.
const DECIMAL: u8 = 65;
/// A multiple of this is worth trying as a decimal.
const DECIMAL_STEP: u128 = 1_000;

/// Every address once, in order of first use, and the stream of references to them.
#[derive(Debug, Default)]
pub(super) struct AddressWriter {
    known: HashMap<Address, usize>,
    pub(super) table: Vec<u8>,
    pub(super) references: Vec<u8>,
}

impl AddressWriter {
    /// Writes a reference: 0 means "the next new one", n the n-th known.
    pub(super) fn put(&mut self, address: Address) {
        let next = self.known.len().saturating_add(1);
        match self.known.entry(address) {
            std::collections::hash_map::Entry::Occupied(known) => {
                put_varint(&mut self.references, *known.get() as u128)
            }
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(next);
                self.table.extend_from_slice(address.as_slice());
                self.references.push(0);
            }
        }
    }
}

/// Reads what [`AddressWriter`] wrote.
#[derive(Debug)]
pub(super) struct AddressReader<'a> {
    pub(super) table: &'a [u8],
    pub(super) references: Cursor<'a>,
    used: usize,
}

impl<'a> AddressReader<'a> {
    pub(super) const fn new(table: &'a [u8], references: Cursor<'a>) -> Self {
        Self { table, references, used: 0 }
    }

    pub(super) fn take(&mut self) -> Result<Address, ChannelError> {
        let unknown = ChannelError::Invalid("address reference");
        let index = match self.references.varint_usize()? {
            0 => {
                self.used = self.used.saturating_add(1);
                self.used
            }
            index if index <= self.used => index,
            _ => return Err(unknown),
        };
        let end = index.checked_mul(20).ok_or(unknown.clone())?;
        let bytes = self.table.get(end.saturating_sub(20)..end).ok_or(unknown)?;
        Ok(Address::from_slice(bytes))
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.references.is_empty() && self.used.checked_mul(20) == Some(self.table.len())
    }
}

/// Streams of words.
#[derive(Debug, Default)]
pub(super) struct WordWriter {
    pub(super) controls: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

impl WordWriter {
    pub(super) fn put(&mut self, word: &B256, addresses: &mut AddressWriter) {
        let low = 32 - word.iter().take_while(|byte| **byte == 0).count();
        let high = 32 - word.iter().rev().take_while(|byte| **byte == 0).count();
        match low {
            17..=20 => {
                self.controls.push(ADDRESS);
                addresses.put(Address::from_word(*word));
            }
            3..=16 if self.put_decimal(word, low) => {}
            _ if high < low && high < 32 => {
                self.controls.push(LOW_MAX.saturating_add(high as u8));
                self.bytes.extend(word.iter().take(high));
            }
            _ => {
                self.controls.push(low as u8);
                self.bytes.extend(word.iter().skip(32 - low));
            }
        }
    }

    /// Writes the word as a decimal if that is shorter than its `low` significant bytes.
    fn put_decimal(&mut self, word: &B256, low: usize) -> bool {
        let value = word.iter().skip(16).fold(0u128, |value, byte| value << 8 | u128::from(*byte));
        if !value.is_multiple_of(DECIMAL_STEP) {
            return false;
        }
        let (mantissa, exponent) = decimal_parts(value);
        let mut encoded = vec![exponent];
        put_varint(&mut encoded, mantissa);
        let shorter = encoded.len() < low;
        if shorter {
            self.controls.push(DECIMAL);
            self.bytes.extend_from_slice(&encoded);
        }
        shorter
    }
}

/// Reads what [`WordWriter`] wrote.
#[derive(Debug)]
pub(super) struct WordReader<'a> {
    pub(super) controls: Cursor<'a>,
    pub(super) bytes: Cursor<'a>,
}

impl WordReader<'_> {
    pub(super) fn take(&mut self, addresses: &mut AddressReader<'_>) -> Result<B256, ChannelError> {
        let mut word = B256::ZERO;
        match self.controls.byte()? {
            low @ 0..=LOW_MAX => {
                let bytes = self.bytes.take(usize::from(low))?;
                word.iter_mut().rev().zip(bytes.iter().rev()).for_each(|(slot, byte)| *slot = *byte);
            }
            high @ 33..=HIGH_MAX => {
                let bytes = self.bytes.take(usize::from(high - LOW_MAX))?;
                word.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = *byte);
            }
            ADDRESS => word = addresses.take()?.into_word(),
            DECIMAL => {
                let exponent = self.bytes.byte()?;
                let value = decimal_value(self.bytes.varint()?, exponent)?;
                word = B256::from(alloy_primitives::U256::from(value));
            }
            _ => return Err(ChannelError::Invalid("word control")),
        }
        Ok(word)
    }
}
