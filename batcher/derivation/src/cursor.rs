//! Reading and writing the primitive values of a column.

use alloy_primitives::U256;

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// The column ends before its last value.
    #[error("unexpected end of column")]
    Truncated,
    /// A number does not fit its type, or carries padding.
    #[error("malformed number")]
    Number,
}

/// Most groups of seven bits a `u128` needs.
const MAX_VARINT_BYTES: u32 = 19;
/// Exponent byte that announces a number too wide for mantissa and exponent.
const WIDE: u8 = 0xff;

/// A forward reader over one column.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What has not been read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], CursorError> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(CursorError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, CursorError> {
        let (head, rest) = self.0.split_first().ok_or(CursorError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    /// Little-endian groups of seven bits. A zero last group is refused, so each number has one encoding.
    pub(crate) fn varint(&mut self) -> Result<u128, CursorError> {
        let mut value = 0u128;
        for group in 0..MAX_VARINT_BYTES {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            let shift = group * 7;
            let shifted = bits << shift;
            if shifted >> shift != bits {
                return Err(CursorError::Number);
            }
            value |= shifted;
            if byte & 0x80 == 0 {
                let padded = byte == 0 && group != 0;
                return if padded { Err(CursorError::Number) } else { Ok(value) };
            }
        }
        Err(CursorError::Number)
    }

    pub(crate) fn varint_u64(&mut self) -> Result<u64, CursorError> {
        u64::try_from(self.varint()?).map_err(|_| CursorError::Number)
    }

    pub(crate) fn varint_usize(&mut self) -> Result<usize, CursorError> {
        usize::try_from(self.varint()?).map_err(|_| CursorError::Number)
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Splits a number into mantissa and power of ten. People and wallets write round decimal numbers, so the mantissa is short.
pub(crate) fn decimal_parts(mut value: u128) -> (u128, u8) {
    let mut exponent = 0u8;
    if value == 0 {
        return (0, 0);
    }
    for (power, step) in [(100_000_000u128, 8u8), (10_000, 4), (100, 2), (10, 1)] {
        while value.is_multiple_of(power) {
            value /= power;
            exponent = exponent.saturating_add(step);
        }
    }
    (value, exponent)
}

/// Mantissa times power of ten, refusing overflow.
pub(crate) fn decimal_value(mantissa: u128, exponent: u8) -> Result<u128, CursorError> {
    let power = 10u128.checked_pow(u32::from(exponent)).ok_or(CursorError::Number)?;
    mantissa.checked_mul(power).ok_or(CursorError::Number)
}

/// A pair of columns for amounts: exponents compress well apart from mantissas.
#[derive(Debug, Default)]
pub(crate) struct DecimalColumn {
    pub(crate) exponents: Vec<u8>,
    pub(crate) mantissas: Vec<u8>,
}

impl DecimalColumn {
    pub(crate) fn put(&mut self, value: U256) {
        match u128::try_from(value) {
            Ok(narrow) => {
                let (mantissa, exponent) = decimal_parts(narrow);
                self.exponents.push(exponent);
                put_varint(&mut self.mantissas, mantissa);
            }
            Err(_) => {
                self.exponents.push(WIDE);
                self.mantissas.extend_from_slice(&value.to_be_bytes::<32>());
            }
        }
    }

    pub(crate) fn put_u128(&mut self, value: u128) {
        self.put(U256::from(value));
    }
}

/// Reads what [`DecimalColumn`] wrote.
#[derive(Debug, Default)]
pub(crate) struct DecimalCursor<'a> {
    pub(crate) exponents: Cursor<'a>,
    pub(crate) mantissas: Cursor<'a>,
}

impl DecimalCursor<'_> {
    pub(crate) fn take(&mut self) -> Result<U256, CursorError> {
        match self.exponents.byte()? {
            WIDE => Ok(U256::from_be_slice(self.mantissas.take(32)?)),
            exponent => Ok(U256::from(decimal_value(self.mantissas.varint()?, exponent)?)),
        }
    }

    pub(crate) fn take_u128(&mut self) -> Result<u128, CursorError> {
        u128::try_from(self.take()?).map_err(|_| CursorError::Number)
    }
}
