//! Where blobs come from. An execution node forgets them; a beacon node keeps them for weeks.

use std::time::Duration;

use alloy::eips::eip4844::Blob;
use alloy::transports::http::reqwest;
use alloy_primitives::B256;
use serde::Deserialize;

use crate::{L1Error, versioned_hashes};

/// Bytes of one blob in JSON, with room for its envelope.
const MAX_JSON_BYTES_PER_BLOB: usize = 2 * 131_072 + 1_024;
/// Blobs of one L1 block, with room for forks to come. A block may hold copies of a blob, and the source gives them all.
const MAX_BLOBS_PER_BLOCK: usize = 64;
/// Bytes around the blobs of a beacon answer.
const MAX_JSON_OVERHEAD: usize = 4_096;

/// Bytes of the largest beacon answer.
const MAX_ANSWER_BYTES: usize = MAX_BLOBS_PER_BLOCK * MAX_JSON_BYTES_PER_BLOB + MAX_JSON_OVERHEAD;

/// The L1 block that carries blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobPlace {
    /// Execution block number.
    pub number: u64,
    /// Execution block timestamp, in seconds.
    pub timestamp: u64,
}

/// A port to whatever keeps blobs: a beacon node, an archive.
#[async_trait::async_trait]
pub trait BlobSource: Send + Sync {
    /// The blobs with these versioned hashes, in this order, each verified against its hash.
    async fn blobs(&self, place: BlobPlace, hashes: &[B256]) -> Result<Vec<Blob>, L1Error>;
}

/// How a block is named to the beacon API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotClock {
    /// By slot, from the chain's genesis time: every real beacon node.
    Slots {
        /// Beacon genesis time, in seconds.
        genesis: u64,
        /// Seconds of a slot, 12 on mainnet.
        seconds: u64,
    },
    /// By execution block number: anvil.
    ExecutionNumber,
}

impl SlotClock {
    fn block_id(self, place: BlobPlace) -> Option<u64> {
        match self {
            Self::ExecutionNumber => Some(place.number),
            Self::Slots { genesis, seconds } => place.timestamp.checked_sub(genesis)?.checked_div(seconds),
        }
    }
}

/// Blobs from the beacon API, `GET /eth/v1/beacon/blobs/{block}`.
#[derive(Clone, Debug)]
pub struct BeaconBlobs {
    client: reqwest::Client,
    base: String,
    clock: SlotClock,
}

#[derive(Deserialize)]
struct BlobsAnswer {
    data: Vec<Blob>,
}

impl BeaconBlobs {
    /// A source at a beacon node's base URL (anvil's own URL on a devnet).
    pub fn new(base: &str, clock: SlotClock, timeout: Duration) -> Result<Self, L1Error> {
        let client = reqwest::Client::builder().timeout(timeout).build().map_err(|_| L1Error::Url(base.into()))?;
        Ok(Self { client, base: base.trim_end_matches('/').into(), clock })
    }

    async fn fetch(&self, url: &str, limit: usize) -> Result<Vec<u8>, L1Error> {
        let failed = |error: reqwest::Error| L1Error::Unavailable("beacon blobs", error.without_url().to_string());
        let mut response = self.client.get(url).send().await.and_then(|r| r.error_for_status()).map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(L1Error::Malformed("beacon blobs"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[async_trait::async_trait]
impl BlobSource for BeaconBlobs {
    async fn blobs(&self, place: BlobPlace, hashes: &[B256]) -> Result<Vec<Blob>, L1Error> {
        let block = self.clock.block_id(place).ok_or(L1Error::Malformed("slot of blobs"))?;
        let wanted = hashes.iter().map(B256::to_string).collect::<Vec<_>>().join(",");
        let url = format!("{}/eth/v1/beacon/blobs/{block}?versioned_hashes={wanted}", self.base);
        let body = self.fetch(&url, MAX_ANSWER_BYTES).await?;
        let answer: BlobsAnswer = serde_json::from_slice(&body).map_err(|_| L1Error::Malformed("beacon blobs"))?;
        let hashes = hashes.to_vec();
        let checked = tokio::task::spawn_blocking(move || in_order(answer.data, &hashes)).await;
        checked.map_err(|_| L1Error::Kzg("verification stopped".into()))?
    }
}

/// Sorts an answer by what its blobs really are; the API promises no order, and a source promises nothing.
fn in_order(mut blobs: Vec<Blob>, hashes: &[B256]) -> Result<Vec<Blob>, L1Error> {
    // Copies cost a commitment each.
    blobs.sort_unstable();
    blobs.dedup();
    let found = versioned_hashes(&blobs)?;
    let pick = |hash: &B256| {
        let at = found.iter().position(|other| other == hash).ok_or(L1Error::WrongBlob(*hash))?;
        blobs.get(at).copied().ok_or(L1Error::WrongBlob(*hash))
    };
    hashes.iter().map(pick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_ordered_and_checked_by_commitment() {
        let blobs: Vec<Blob> =
            [1u8, 2].iter().map(|byte| derivation::blobs_from_channel(&[*byte]).unwrap()[0]).collect();
        let hashes = versioned_hashes(&blobs).unwrap();
        let reversed = in_order(blobs.clone(), &[hashes[1], hashes[0]]).unwrap();
        assert_eq!(reversed, [blobs[1], blobs[0]]);
        assert_eq!(in_order(vec![blobs[0]], &hashes), Err(L1Error::WrongBlob(hashes[1])));
        let copied = in_order([blobs.clone(), blobs.clone()].concat(), &hashes).unwrap();
        assert_eq!(copied, blobs, "a block may hold a blob twice");
    }

    #[test]
    fn slots_follow_from_time() {
        let clock = SlotClock::Slots { genesis: 1_606_824_023, seconds: 12 };
        let at = |timestamp| clock.block_id(BlobPlace { number: 7, timestamp });
        assert_eq!((at(1_606_824_023), at(1_606_824_035), at(0)), (Some(0), Some(1), None));
        assert_eq!(SlotClock::ExecutionNumber.block_id(BlobPlace { number: 7, timestamp: 0 }), Some(7));
    }
}
