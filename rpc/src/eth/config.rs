//! `eth_config` (EIP-7910): which rules apply.

use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_primitives::{Address, B256, U64, hex};
use serde_json::{Map, Value, json};

use crate::{
    args::Args,
    context::Context,
    error::{BackendError, RpcResult},
    registry::Registry,
};

pub(super) fn register(registry: &mut Registry) {
    registry.light("eth_config", 0, config);
}

/// Precompiles of Osaka under the names of EIP-7910, with the last two bytes of their addresses.
const PRECOMPILES: [(&str, u16); 18] = [
    ("BLAKE2F", 0x09),
    ("BLS12_G1ADD", 0x0b),
    ("BLS12_G1MSM", 0x0c),
    ("BLS12_G2ADD", 0x0d),
    ("BLS12_G2MSM", 0x0e),
    ("BLS12_MAP_FP2_TO_G2", 0x11),
    ("BLS12_MAP_FP_TO_G1", 0x10),
    ("BLS12_PAIRING_CHECK", 0x0f),
    ("BN254_ADD", 0x06),
    ("BN254_MUL", 0x07),
    ("BN254_PAIRING", 0x08),
    ("ECREC", 0x01),
    ("ID", 0x04),
    ("KZG_POINT_EVALUATION", 0x0a),
    ("MODEXP", 0x05),
    ("P256VERIFY", 0x100),
    ("RIPEMD160", 0x03),
    ("SHA256", 0x02),
];
/// Osaka's fraction; with room for no blobs it never matters.
const BLOB_FRACTION: u64 = 5_007_716;

/// One fork, in force since genesis; none is scheduled after it.
fn config(context: &Context, _: &Args) -> RpcResult<Value> {
    let genesis = context.backend.genesis();
    let first = context.backend.header(0)?;
    let first = first.ok_or_else(|| BackendError::Internal("no genesis header".to_owned()))?;
    let precompiles: Map<String, Value> = PRECOMPILES
        .iter()
        .map(|(name, last)| {
            let mut address = Address::ZERO;
            let [high, low] = last.to_be_bytes();
            let [.., second, first] = &mut address.0.0;
            (*second, *first) = (high, low);
            ((*name).to_owned(), json!(address))
        })
        .collect();
    let current = json!({
        // EIP-7910: of a fork that is in force since genesis.
        "activationTime": 0,
        "blobSchedule": { "baseFeeUpdateFraction": BLOB_FRACTION, "max": 0, "target": 0 },
        "chainId": U64::from(genesis.chain_id),
        "forkId": hex::encode_prefixed(fork_hash(first.seal()).to_be_bytes()),
        "precompiles": precompiles,
        "systemContracts": { "HISTORY_STORAGE_ADDRESS": HISTORY_STORAGE_ADDRESS },
    });
    Ok(json!({ "current": current, "next": null, "last": null }))
}

/// FORK_HASH of EIP-6122 without forks after genesis: CRC-32 (IEEE) of the genesis hash.
fn fork_hash(genesis: B256) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !genesis.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::b256;

    use super::*;

    #[test]
    fn the_fork_hash_is_that_of_eip_2124() {
        let mainnet = b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
        assert_eq!(fork_hash(mainnet), 0xfc64_ec04, "the EIP's value for Frontier");
    }
}
