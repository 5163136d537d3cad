//! The header a block must have, and which field of a claimed one differs.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_eips::{eip1559::BaseFeeParams, eip7685::EMPTY_REQUESTS_HASH};
use alloy_primitives::{B64, B256, Bloom, Sealed, U256};
use protocol::{BlockAttributes, HeaderExtra, block::FEE_VAULT, genesis::Params};

/// A field of a header, by its JSON-RPC name.
pub type HeaderField = &'static str;

/// Base fee in wei of the block after `parent` (EIP-1559 with genesis parameters and floor).
#[must_use]
pub fn next_base_fee(parent: &Header, params: &Params) -> u64 {
    let rule = BaseFeeParams::new(params.base_fee_denominator.into(), params.elasticity.into());
    let parent_fee = parent.base_fee_per_gas.unwrap_or(params.initial_base_fee);
    rule.next_block_base_fee(parent.gas_used, parent.gas_limit, parent_fee).max(params.min_base_fee)
}

/// The header as far as it is known before execution: roots, bloom and gas used are still empty.
pub(crate) fn open_header(parent: &Sealed<Header>, attributes: &BlockAttributes, params: &Params) -> Option<Header> {
    let millis = u16::try_from(attributes.timestamp_ms.checked_rem(1000)?).ok()?;
    Some(Header {
        parent_hash: parent.hash(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: FEE_VAULT,
        state_root: B256::ZERO,
        transactions_root: B256::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: Bloom::ZERO,
        difficulty: U256::ZERO,
        number: parent.number.checked_add(1)?,
        gas_limit: params.gas_limit,
        gas_used: 0,
        timestamp: attributes.timestamp_ms.checked_div(1000)?,
        extra_data: HeaderExtra { millis, leader: attributes.leader }.encode(),
        mix_hash: attributes.origin.randao,
        nonce: B64::ZERO,
        base_fee_per_gas: Some(next_base_fee(parent, params)),
        withdrawals_root: None,
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(EMPTY_REQUESTS_HASH),
        ..Header::default()
    })
}

/// Compares a claimed header with the one execution gave.
///
/// # Errors
/// The name of the first field that differs.
pub fn check_header(executed: &Header, claimed: &Header) -> Result<(), HeaderField> {
    let Header {
        parent_hash,
        ommers_hash,
        beneficiary,
        state_root,
        transactions_root,
        receipts_root,
        logs_bloom,
        difficulty,
        number,
        gas_limit,
        gas_used,
        timestamp,
        extra_data,
        mix_hash,
        nonce,
        base_fee_per_gas,
        withdrawals_root,
        blob_gas_used,
        excess_blob_gas,
        parent_beacon_block_root,
        requests_hash,
        ..
    } = executed;
    let fields = [
        ("parentHash", *parent_hash == claimed.parent_hash),
        ("number", *number == claimed.number),
        ("timestamp", *timestamp == claimed.timestamp),
        ("extraData", *extra_data == claimed.extra_data),
        ("miner", *beneficiary == claimed.beneficiary),
        ("mixHash", *mix_hash == claimed.mix_hash),
        ("gasLimit", *gas_limit == claimed.gas_limit),
        ("baseFeePerGas", *base_fee_per_gas == claimed.base_fee_per_gas),
        ("sha3Uncles", *ommers_hash == claimed.ommers_hash),
        ("difficulty", *difficulty == claimed.difficulty),
        ("nonce", *nonce == claimed.nonce),
        ("blobGasUsed", *blob_gas_used == claimed.blob_gas_used),
        ("excessBlobGas", *excess_blob_gas == claimed.excess_blob_gas),
        ("parentBeaconBlockRoot", *parent_beacon_block_root == claimed.parent_beacon_block_root),
        ("requestsHash", *requests_hash == claimed.requests_hash),
        ("transactionsRoot", *transactions_root == claimed.transactions_root),
        ("gasUsed", *gas_used == claimed.gas_used),
        ("receiptsRoot", *receipts_root == claimed.receipts_root),
        ("logsBloom", *logs_bloom == claimed.logs_bloom),
        ("withdrawalsRoot", *withdrawals_root == claimed.withdrawals_root),
        ("stateRoot", *state_root == claimed.state_root),
    ];
    match fields.into_iter().find(|(_, equal)| !equal) {
        Some((field, _)) => Err(field),
        // A field this list does not know of yet (a later fork's) may still differ.
        None if executed != claimed => Err("unknown field"),
        None => Ok(()),
    }
}
