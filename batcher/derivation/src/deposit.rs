//! Items of the L1 deposit queue as L2 deposit transactions (OP Stack specification, "Deposits").

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, b256, keccak256};
use op_alloy_consensus::TxDeposit;

/// `TransactionDeposited(address,address,uint256,bytes)`.
pub const DEPOSIT_TOPIC: B256 = b256!("b3813568d9991fc951961fcb4c784893574240a28925604d09fc577c55bb7c32");

/// Source-hash domain of user deposits.
const USER_DOMAIN: B256 = B256::ZERO;
/// `opaqueData` before the call data: mint, value, gas limit, creation flag.
const FIXED_BYTES: usize = 32 + 32 + 8 + 1;
/// ABI head of one dynamic `bytes`: offset and length.
const ABI_HEAD: usize = 64;

/// Why a log is not an item of the deposit queue. The queue contract emits none of these: the caller halts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DepositError {
    /// Other topics than the event's.
    #[error("not a TransactionDeposited event")]
    Event,
    /// A deposit version this node does not know.
    #[error("unknown deposit version")]
    Version,
    /// The event data is not one ABI-encoded `bytes` with the packed fields.
    #[error("malformed deposit data")]
    Data,
}

/// Decodes a `TransactionDeposited` log. `log_index` counts all logs of the L1 block.
pub fn decode_deposit(topics: &[B256], data: &[u8], l1_block: B256, log_index: u64) -> Result<TxDeposit, DepositError> {
    let [topic, from, to, version] = topics else {
        return Err(DepositError::Event);
    };
    if *topic != DEPOSIT_TOPIC {
        return Err(DepositError::Event);
    }
    if !version.is_zero() {
        return Err(DepositError::Version);
    }
    let opaque = abi_bytes(data).ok_or(DepositError::Data)?;
    let (fixed, input) = opaque.split_first_chunk::<FIXED_BYTES>().ok_or(DepositError::Data)?;
    let [mint @ .., _, _, _, _, _, _, _, _, _] = fixed;
    let (mint, value) = mint.split_at(32);
    let [.., g0, g1, g2, g3, g4, g5, g6, g7, creates] = *fixed;
    let to = match creates {
        0 => TxKind::Call(address(to).ok_or(DepositError::Data)?),
        1 => TxKind::Create,
        _ => return Err(DepositError::Data),
    };
    Ok(TxDeposit {
        source_hash: deposit_source_hash(l1_block, log_index),
        from: address(from).ok_or(DepositError::Data)?,
        to,
        mint: u128::try_from(U256::from_be_slice(mint)).map_err(|_| DepositError::Data)?,
        value: U256::from_be_slice(value),
        gas_limit: u64::from_be_bytes([g0, g1, g2, g3, g4, g5, g6, g7]),
        is_system_transaction: false,
        input: Bytes::copy_from_slice(input),
    })
}

/// The identity of a user deposit, `keccak256(0 ++ keccak256(l1Block ++ uint256(logIndex)))`: where on L1 it was made.
pub fn deposit_source_hash(l1_block: B256, log_index: u64) -> B256 {
    let place = keccak256([l1_block, B256::from(U256::from(log_index))].concat());
    keccak256([USER_DOMAIN, place].concat())
}

fn address(topic: &B256) -> Option<Address> {
    topic.iter().take(12).all(|byte| *byte == 0).then(|| Address::from_word(*topic))
}

/// The content of a single ABI-encoded `bytes` argument.
fn abi_bytes(data: &[u8]) -> Option<&[u8]> {
    let (head, tail) = data.split_at_checked(ABI_HEAD)?;
    let (offset, length) = head.split_at(32);
    if U256::from_be_slice(offset) != U256::from(32) {
        return None;
    }
    tail.get(..usize::try_from(U256::from_be_slice(length)).ok()?)
}
