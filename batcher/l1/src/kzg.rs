//! Commitments and cell proofs of blobs (EIP-4844, EIP-7594).

use alloy::eips::eip4844::{Blob, c_kzg, kzg_to_versioned_hash};
use alloy::eips::eip7594::BlobTransactionSidecarEip7594;
use alloy_primitives::B256;

use crate::L1Error;

/// Window of c-kzg's precomputed tables. Zero keeps the process small; tables (window 8) cost 96 MiB and only speed up
/// cell proofs, which a node makes for one batch in minutes.
const PRECOMPUTE: u64 = 0;

/// The trusted setup, loaded on first use: it costs over a CPU second, and most processes never touch a blob.
fn settings() -> &'static c_kzg::KzgSettings {
    c_kzg::ethereum_kzg_settings(PRECOMPUTE)
}

/// Loads the trusted setup now, from a thread that may block, so that the first batch does not wait for it.
pub fn warm_up() {
    settings();
}

/// Versioned hashes of blobs. Blocks for tens of milliseconds a blob.
pub fn versioned_hashes(blobs: &[Blob]) -> Result<Vec<B256>, L1Error> {
    blobs.iter().map(versioned_hash).collect()
}

fn versioned_hash(blob: &Blob) -> Result<B256, L1Error> {
    let blob = c_kzg::Blob::from_bytes(blob.as_slice()).map_err(failed)?;
    let commitment = settings().blob_to_kzg_commitment(&blob).map_err(failed)?;
    Ok(kzg_to_versioned_hash(commitment.to_bytes().as_slice()))
}

/// Blobs with commitments and cell proofs, as an L1 node wants them. Blocks for hundreds of milliseconds a blob.
pub fn sidecar(blobs: Vec<Blob>) -> Result<BlobTransactionSidecarEip7594, L1Error> {
    BlobTransactionSidecarEip7594::try_from_blobs_with_settings(blobs, settings()).map_err(failed)
}

fn failed(error: c_kzg::Error) -> L1Error {
    L1Error::Kzg(format!("{error:?}"))
}
