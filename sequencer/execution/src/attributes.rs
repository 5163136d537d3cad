//! The L1 attributes deposit that opens every block, in OP's Jovian form.

use alloy_primitives::{B256, Bytes, TxKind, U256, keccak256};
use op_alloy_consensus::TxDeposit;
use op_revm::{L1BlockInfo, transaction::estimate_tx_compressed_size};
use protocol::{
    BlockAttributes, L1Origin,
    block::{DEPOSITOR, L1_BLOCK},
    genesis::Params,
};

use crate::env::SPEC;

/// `setL1BlockValuesJovian()`.
const SELECTOR: [u8; 4] = [0x3d, 0xb6, 0xbe, 0x2b];
/// Length of the calldata: selector, then the fields packed.
const CALLDATA_BYTES: usize = 178;
/// Gas of the attributes deposit, as on OP chains since Regolith: of no block's gas more is left to users.
pub const ATTRIBUTES_GAS: u64 = 1_000_000;
/// L1 gas of a byte of calldata, which the base fee's scalar refers to.
const CALLDATA_BYTE_GAS: u64 = 16;
/// Domain of attributes deposits within source hashes (queue deposits are in domain 0).
const SOURCE_DOMAIN: u8 = 1;

/// What an L1 attributes deposit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L1Attributes {
    /// The block's L1 origin. `randao` is not part of the calldata: it is the header's `mixHash`.
    pub origin: L1Origin,
    /// Blocks since the origin last changed.
    pub sequence_number: u64,
    /// Scalar of the L1 base fee, per million.
    pub base_fee_scalar: u32,
    /// Scalar of the L1 blob base fee, per million.
    pub blob_base_fee_scalar: u32,
}

impl L1Attributes {
    /// What a block with these attributes must say.
    #[must_use]
    pub fn of(attributes: &BlockAttributes, params: &Params) -> Self {
        Self {
            origin: attributes.origin,
            sequence_number: attributes.sequence_number,
            base_fee_scalar: params.l1_base_fee_scalar,
            blob_base_fee_scalar: params.l1_blob_base_fee_scalar,
        }
    }

    /// The deposit that opens the block.
    #[must_use]
    pub fn deposit(&self) -> TxDeposit {
        TxDeposit {
            source_hash: source_hash(self.origin.hash, self.sequence_number),
            from: DEPOSITOR,
            to: TxKind::Call(L1_BLOCK),
            mint: 0,
            value: U256::ZERO,
            gas_limit: ATTRIBUTES_GAS,
            is_system_transaction: false,
            input: self.calldata(),
        }
    }

    /// Packed calldata: no ABI padding, as OP has it since Ecotone. Batcher hash, operator fee and DA footprint
    /// scalar are zero: Horae's fees are base fee, tip and L1 data fee.
    #[must_use]
    pub fn calldata(&self) -> Bytes {
        let mut data = Vec::with_capacity(CALLDATA_BYTES);
        data.extend_from_slice(&SELECTOR);
        data.extend_from_slice(&self.base_fee_scalar.to_be_bytes());
        data.extend_from_slice(&self.blob_base_fee_scalar.to_be_bytes());
        data.extend_from_slice(&self.sequence_number.to_be_bytes());
        data.extend_from_slice(&self.origin.timestamp.to_be_bytes());
        data.extend_from_slice(&self.origin.number.to_be_bytes());
        data.extend_from_slice(&U256::from(self.origin.base_fee).to_be_bytes::<32>());
        data.extend_from_slice(&U256::from(self.origin.blob_base_fee).to_be_bytes::<32>());
        data.extend_from_slice(self.origin.hash.as_slice());
        data.resize(CALLDATA_BYTES, 0);
        data.into()
    }

    /// Rate of L1 data in wei for a million bytes: a transaction's L1 data fee is this times its [`data_size`] / 10^12.
    #[must_use]
    pub fn data_rate(&self) -> U256 {
        let product = |fee: u64, scalar: u32| U256::from(fee).saturating_mul(U256::from(scalar));
        let calldata =
            product(self.origin.base_fee, self.base_fee_scalar).saturating_mul(U256::from(CALLDATA_BYTE_GAS));
        calldata.saturating_add(product(self.origin.blob_base_fee, self.blob_base_fee_scalar))
    }

    /// Strict inverse of [`Self::deposit`]: `None` unless every field is as this chain writes it. `randao` is taken
    /// from the block's header.
    #[must_use]
    pub fn decode(deposit: &TxDeposit, randao: B256) -> Option<Self> {
        let data: &[u8; CALLDATA_BYTES] = deposit.input.as_ref().try_into().ok()?;
        let word64 = |range: core::ops::Range<usize>| -> Option<u64> {
            U256::try_from_be_slice(data.get(range)?)?.try_into().ok()
        };
        let attributes = Self {
            base_fee_scalar: word64(4..8)?.try_into().ok()?,
            blob_base_fee_scalar: word64(8..12)?.try_into().ok()?,
            sequence_number: word64(12..20)?,
            origin: L1Origin {
                timestamp: word64(20..28)?,
                number: word64(28..36)?,
                base_fee: word64(36..68)?,
                blob_base_fee: word64(68..100)?,
                hash: B256::try_from(data.get(100..132)?).ok()?,
                randao,
            },
        };
        (attributes.deposit() == *deposit).then_some(attributes)
    }
}

fn source_hash(origin_hash: B256, sequence_number: u64) -> B256 {
    let inner = keccak256([origin_hash, B256::from(U256::from(sequence_number))].concat());
    keccak256([B256::with_last_byte(SOURCE_DOMAIN), inner].concat())
}

/// What the L1 data fee counts of an encoded transaction, in millionths of a byte: an estimate of its compressed size.
#[must_use]
pub fn data_size(encoded: &[u8]) -> u64 {
    estimate_tx_compressed_size(encoded)
}

/// L1 data fee in wei of an encoded transaction in a block with these attributes (what op-revm charges).
#[must_use]
pub fn l1_data_fee(attributes: &L1Attributes, encoded: &[u8]) -> U256 {
    let mut info = L1BlockInfo {
        l1_base_fee: U256::from(attributes.origin.base_fee),
        l1_base_fee_scalar: U256::from(attributes.base_fee_scalar),
        l1_blob_base_fee: Some(U256::from(attributes.origin.blob_base_fee)),
        l1_blob_base_fee_scalar: Some(U256::from(attributes.blob_base_fee_scalar)),
        operator_fee_scalar: Some(U256::ZERO),
        operator_fee_constant: Some(U256::ZERO),
        ..L1BlockInfo::default()
    };
    info.calculate_tx_l1_cost(encoded, SPEC)
}

/// L1 gas that an encoded transaction stands for: what OP's receipts show beside the fee.
#[must_use]
pub fn l1_data_gas(encoded: &[u8]) -> U256 {
    L1BlockInfo::default().data_gas(encoded, SPEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> L1Attributes {
        L1Attributes {
            origin: L1Origin {
                number: 7,
                hash: B256::repeat_byte(3),
                timestamp: 1_700_000_000,
                base_fee: 11,
                blob_base_fee: 12,
                randao: B256::repeat_byte(4),
            },
            sequence_number: 2,
            base_fee_scalar: 5,
            blob_base_fee_scalar: 6,
        }
    }

    #[test]
    fn selector_is_op_jovian() {
        assert_eq!(keccak256("setL1BlockValuesJovian()")[..4], SELECTOR);
    }

    #[test]
    fn size_times_rate_is_what_op_revm_charges() {
        let word = |seed: u32| keccak256(seed.to_be_bytes());
        for seed in 0..200_u32 {
            let random = word(seed);
            let origin = L1Origin {
                base_fee: u64::from(random[0]) << (seed % 56),
                blob_base_fee: u64::from(random[1]) << (seed % 50),
                ..sample().origin
            };
            let scalar = |at: usize| u32::from(random[at]) << (seed % 24);
            let attributes =
                L1Attributes { origin, base_fee_scalar: scalar(2), blob_base_fee_scalar: scalar(3), ..sample() };
            let mut encoded = vec![2; usize::from(random[4]) * 9 + 1];
            if random[5] < 128 {
                encoded.iter_mut().skip(1).zip((0..).flat_map(word)).for_each(|(byte, noise)| *byte = noise);
            }
            let fee = attributes.data_rate() * U256::from(data_size(&encoded)) / U256::from(1_000_000_000_000_u64);
            assert_eq!(fee, l1_data_fee(&attributes, &encoded), "{attributes:?}");
        }
    }

    #[test]
    fn round_trip_and_every_altered_byte_refused_or_different() {
        let attributes = sample();
        let deposit = attributes.deposit();
        assert_eq!(L1Attributes::decode(&deposit, attributes.origin.randao), Some(attributes));
        for position in 0..CALLDATA_BYTES {
            let mut data = deposit.input.to_vec();
            data[position] ^= 1;
            let altered = TxDeposit { input: data.into(), ..deposit.clone() };
            assert_ne!(L1Attributes::decode(&altered, attributes.origin.randao), Some(attributes), "byte {position}");
        }
        for altered in [
            TxDeposit { gas_limit: 1, ..deposit.clone() },
            TxDeposit { mint: 1, ..deposit.clone() },
            TxDeposit { from: L1_BLOCK, ..deposit.clone() },
            TxDeposit { input: deposit.input.slice(..177), ..deposit.clone() },
            TxDeposit { source_hash: B256::ZERO, ..deposit },
        ] {
            assert_eq!(L1Attributes::decode(&altered, attributes.origin.randao), None);
        }
    }
}
