//! What this signer has promised about blocks on L1, durable before each signature leaves the machine.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use alloy_primitives::B256;
use protocol::{BatchHeader, Height};

use crate::durable;

/// Heights remembered: three days of two blocks a second. Beyond, L1 finality is broken and nothing is signed. The file then has 21 MB,
/// and is written for each batch.
const MAX_CLAIMS: usize = 524_288;
/// Bytes of one remembered height.
const CLAIM_BYTES: usize = 40;

/// Why a header is not signed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// An earlier signature claims another hash for this height. Signing would be slashable.
    #[error("already signed block {height} as {signed}, not {asked}")]
    Conflict {
        /// The contested height.
        height: Height,
        /// Signed before.
        signed: B256,
        /// In the new header.
        asked: B256,
    },
    /// The hashes are not those of the header's range.
    #[error("hashes do not fit the header")]
    Range,
    /// More heights than may be open.
    #[error("too many signed blocks are not final on L1")]
    Full,
    /// The record could not be made durable, so nothing may be signed.
    #[error("signer record: {0}")]
    Io(#[from] io::Error),
}

/// The record: height to block hash, for every height in a signed header that is not final on L1.
///
/// Two headers conflict only if they claim different hashes for one height; other ranges over the same blocks are fine.
#[derive(Debug)]
pub struct BatchSignerRecord {
    path: PathBuf,
    claims: BTreeMap<u64, B256>,
}

impl BatchSignerRecord {
    /// Opens the record, empty if the file does not exist.
    ///
    /// # Errors
    /// The file is unreadable or damaged.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RecordError> {
        let path = path.into();
        let bytes = durable::read(&path)?.unwrap_or_default();
        let mut claims = BTreeMap::new();
        for claim in bytes.chunks(CLAIM_BYTES) {
            let damaged = || io::Error::new(io::ErrorKind::InvalidData, "claim of wrong length");
            let (height, hash) = claim.split_first_chunk::<8>().ok_or_else(damaged)?;
            let hash: [u8; 32] = hash.try_into().map_err(|_| damaged())?;
            claims.insert(u64::from_be_bytes(*height), B256::from(hash));
        }
        Ok(Self { path, claims })
    }

    /// Promises the blocks of a header. After `Ok` the promise is on disk and the header may be signed.
    ///
    /// # Errors
    /// See [`RecordError`]; nothing is changed then.
    pub fn promise(&mut self, header: &BatchHeader, hashes: &[B256]) -> Result<(), RecordError> {
        let range = header.firstHeight..=header.lastHeight;
        let span = header.lastHeight.checked_sub(header.firstHeight).and_then(|span| span.checked_add(1));
        if span != u64::try_from(hashes.len()).ok() || hashes.last() != Some(&header.lastBlockHash) {
            return Err(RecordError::Range);
        }
        for (height, asked) in range.clone().zip(hashes) {
            match self.claims.get(&height) {
                Some(signed) if signed != asked => {
                    return Err(RecordError::Conflict { height: Height(height), signed: *signed, asked: *asked });
                }
                _ => {}
            }
        }
        let mut claims = self.claims.clone();
        claims.extend(range.zip(hashes.iter().copied()));
        if claims.len() > MAX_CLAIMS {
            return Err(RecordError::Full);
        }
        if claims.len() != self.claims.len() {
            self.store(claims)?;
        }
        Ok(())
    }

    /// Whether this header's blocks have been promised.
    #[must_use]
    pub fn has_promised(&self, header: &BatchHeader) -> bool {
        let ends = self.claims.get(&header.lastHeight) == Some(&header.lastBlockHash);
        ends && self.claims.contains_key(&header.firstHeight)
    }

    /// Forgets heights whose batch is final on L1: nothing signed for them can matter again.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn forget_through(&mut self, height: Height) -> Result<(), RecordError> {
        let Some(above) = height.0.checked_add(1) else { return Ok(()) };
        let mut claims = self.claims.clone();
        let kept = claims.split_off(&above);
        if kept.len() != self.claims.len() {
            self.store(kept)?;
        }
        Ok(())
    }

    fn store(&mut self, claims: BTreeMap<u64, B256>) -> Result<(), RecordError> {
        let mut bytes = Vec::with_capacity(claims.len().saturating_mul(CLAIM_BYTES));
        for (height, hash) in &claims {
            bytes.extend_from_slice(&height.to_be_bytes());
            bytes.extend_from_slice(hash.as_slice());
        }
        durable::replace(&self.path, &bytes)?;
        self.claims = claims;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(first: u64, hashes: &[B256]) -> BatchHeader {
        BatchHeader {
            firstHeight: first,
            lastHeight: first + hashes.len() as u64 - 1,
            lastBlockHash: *hashes.last().unwrap(),
            ..BatchHeader::default()
        }
    }

    fn hash(height: u64, fork: u8) -> B256 {
        let mut hash = B256::with_last_byte(height as u8);
        hash.0[0] = fork;
        hash
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        /// Against a naive model: every promise ever made, in a list; and a restart after each step.
        #[test]
        fn never_two_hashes_for_a_height(steps in prop::collection::vec((1u64..30, 1u64..6, 0u8..3, prop::option::of(0u64..3)), 1..12)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("record");
            let mut promised: Vec<(u64, B256)> = Vec::new();
            for (first, count, fork, odd) in steps {
                let hashes: Vec<B256> = (0..count)
                    .map(|at| hash(first + at, if odd == Some(at) { fork } else { 0 }))
                    .collect();
                let claims: Vec<_> = (first..).zip(hashes.iter().copied()).collect();
                let conflicts = claims.iter().any(|(h, x)| promised.iter().any(|(g, y)| h == g && x != y));
                let result = BatchSignerRecord::open(&path).unwrap().promise(&header(first, &hashes), &hashes);
                prop_assert_eq!(result.is_err(), conflicts);
                if !conflicts {
                    promised.extend(claims);
                }
            }
        }
    }

    #[test]
    fn damage_is_reported_and_finality_forgets() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let hashes = [hash(1, 0), hash(2, 0)];
        let mut record = BatchSignerRecord::open(&path).unwrap();
        record.promise(&header(1, &hashes), &hashes).unwrap();
        record.forget_through(Height(1)).unwrap();
        let other = [hash(1, 1)];
        record.promise(&header(1, &other), &other).unwrap();
        let other = [hash(2, 1)];
        assert!(matches!(
            record.promise(&header(2, &other), &other),
            Err(RecordError::Conflict { height: Height(2), .. })
        ));
        assert!(matches!(record.promise(&header(3, &hashes), &hashes[..1]), Err(RecordError::Range)));
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(BatchSignerRecord::open(&path), Err(RecordError::Io(_))));
    }
}
