//! The L1 attributes deposit at the head of each L2 block (OP Stack specification, "L1 attributes", Jovian form).

use alloy_primitives::{Address, B256, Bytes, U256, address};
use op_alloy_consensus::TxDeposit;

use crate::deposit::source_hash;

/// Sender of the attributes deposit.
pub const L1_ATTRIBUTES_DEPOSITOR: Address = address!("DeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001");
/// Predeploy that receives the attributes.
pub const L1_BLOCK_PREDEPLOY: Address = address!("4200000000000000000000000000000000000015");

/// Source-hash domain of attributes deposits.
const ATTRIBUTES_DOMAIN: B256 = B256::with_last_byte(1);
/// `setL1BlockValuesJovian()`.
const JOVIAN_SELECTOR: [u8; 4] = [0x3d, 0xb6, 0xbe, 0x2b];
/// Gas of the attributes deposit since Regolith.
const ATTRIBUTES_GAS: u64 = 1_000_000;

/// What a block says about its L1 origin, and the fee parameters in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Attributes {
    /// L1 origin number.
    pub number: u64,
    /// L1 origin timestamp, in seconds.
    pub timestamp: u64,
    /// L1 origin hash.
    pub hash: B256,
    /// Base fee of the L1 origin, in wei.
    pub base_fee: u64,
    /// Blob base fee of the L1 origin, in wei.
    pub blob_base_fee: u128,
    /// Position of the block among those with this origin, from 0.
    pub sequence_number: u64,
    /// Scalar of the L1 base fee.
    pub base_fee_scalar: u32,
    /// Scalar of the L1 blob base fee.
    pub blob_base_fee_scalar: u32,
    /// Scalar of the operator fee.
    pub operator_fee_scalar: u32,
    /// Constant part of the operator fee.
    pub operator_fee_constant: u64,
    /// Gas a byte of data availability counts for.
    pub da_footprint_gas_scalar: u16,
}

impl L1Attributes {
    /// The deposit transaction that carries these attributes.
    pub fn to_deposit(&self) -> TxDeposit {
        TxDeposit {
            source_hash: source_hash(ATTRIBUTES_DOMAIN, self.hash, self.sequence_number),
            from: L1_ATTRIBUTES_DEPOSITOR,
            to: L1_BLOCK_PREDEPLOY.into(),
            mint: 0,
            value: U256::ZERO,
            gas_limit: ATTRIBUTES_GAS,
            is_system_transaction: false,
            input: self.calldata(),
        }
    }

    /// Tightly packed arguments of `setL1BlockValuesJovian()`. The batcher hash is zero: certificates authenticate batches.
    fn calldata(&self) -> Bytes {
        let mut data = Vec::with_capacity(178);
        data.extend_from_slice(&JOVIAN_SELECTOR);
        data.extend_from_slice(&self.base_fee_scalar.to_be_bytes());
        data.extend_from_slice(&self.blob_base_fee_scalar.to_be_bytes());
        data.extend_from_slice(&self.sequence_number.to_be_bytes());
        data.extend_from_slice(&self.timestamp.to_be_bytes());
        data.extend_from_slice(&self.number.to_be_bytes());
        data.extend_from_slice(&U256::from(self.base_fee).to_be_bytes::<32>());
        data.extend_from_slice(&U256::from(self.blob_base_fee).to_be_bytes::<32>());
        data.extend_from_slice(self.hash.as_slice());
        data.extend_from_slice(B256::ZERO.as_slice());
        data.extend_from_slice(&self.operator_fee_scalar.to_be_bytes());
        data.extend_from_slice(&self.operator_fee_constant.to_be_bytes());
        data.extend_from_slice(&self.da_footprint_gas_scalar.to_be_bytes());
        data.into()
    }
}
