//! The hashes by which a batch header commits to blocks and data.

use alloy_primitives::{B256, Keccak256, keccak256};

/// `blocksRoot`: keccak256 of the block hashes of the batch, concatenated in order.
pub fn blocks_root(hashes: impl IntoIterator<Item = B256>) -> B256 {
    concatenated(hashes)
}

/// `dataHash` of a batch in blobs: keccak256 of the versioned hashes, concatenated in order.
pub fn blob_data_hash(versioned_hashes: impl IntoIterator<Item = B256>) -> B256 {
    concatenated(versioned_hashes)
}

/// `dataHash` of a batch in calldata: keccak256 of the bytes.
pub fn calldata_data_hash(data: &[u8]) -> B256 {
    keccak256(data)
}

fn concatenated(hashes: impl IntoIterator<Item = B256>) -> B256 {
    let mut hasher = Keccak256::new();
    for hash in hashes {
        hasher.update(hash);
    }
    hasher.finalize()
}
