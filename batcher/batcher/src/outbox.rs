//! Certified batches, kept on disk until they are final on L1: what a reorg drops is posted again as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolValue;
use protocol::{BatchCertificate, BatchHeader};

use crate::{DataAvailability, durable};

/// Batches kept at once. Mainnet finality is a few batches away; beyond the bound, when L1 finalises nothing for hours, what lies
/// deepest in it leaves. Should a reorg reach so deep, it is built and signed anew: its blocks are decided.
const MAX_KEPT: usize = 64;
const EXTENSION: &str = "batch";

/// A batch that L1 will accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedBatch {
    /// What was signed.
    pub header: BatchHeader,
    /// Where its data goes.
    pub da: DataAvailability,
    /// Its data.
    pub channel: Bytes,
    /// Signatures with more than two thirds of the weight.
    pub certificate: BatchCertificate,
}

/// The folder of certified batches.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    batches: BTreeMap<(u64, B256), CertifiedBatch>,
}

impl Outbox {
    /// Opens the folder and reads what is in it.
    ///
    /// # Errors
    /// The folder is unreadable, or a file in it is damaged.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        let mut batches = BTreeMap::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            let bytes = durable::read(&path)?.unwrap_or_default();
            let batch = CertifiedBatch::decode(&bytes)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display())))?;
            batches.insert((batch.header.index, batch.header.hash()), batch);
        }
        Ok(Self { folder, batches })
    }

    /// Keeps a batch. Above the bound the oldest leaves for it, or, after a deep reorg, the newest.
    ///
    /// # Errors
    /// A file could not be written or removed.
    pub fn put(&mut self, batch: CertifiedBatch) -> io::Result<()> {
        let key = (batch.header.index, batch.header.hash());
        if self.batches.contains_key(&key) {
            return Ok(());
        }
        durable::replace(&self.path(key), &batch.encode())?;
        self.batches.insert(key, batch);
        while self.batches.len() > MAX_KEPT {
            let ends = [self.batches.first_key_value(), self.batches.last_key_value()];
            let Some(leaves) = ends.into_iter().flatten().map(|(at, _)| *at).find(|at| at.0 != key.0) else { break };
            self.remove(leaves)?;
        }
        Ok(())
    }

    /// A batch that may follow `parent` now.
    #[must_use]
    pub fn following(&self, parent: &crate::ParentBatch) -> Option<&CertifiedBatch> {
        let index = parent.index.checked_add(1)?;
        let candidates = self.batches.range((index, B256::ZERO)..=(index, B256::repeat_byte(0xff)));
        candidates.map(|(_, batch)| batch).find(|batch| batch.header.parentHash == parent.hash)
    }

    /// Forgets one batch that L1 refused.
    ///
    /// # Errors
    /// The file could not be removed.
    pub fn forget(&mut self, header: &BatchHeader) -> io::Result<()> {
        self.remove((header.index, header.hash()))
    }

    /// Forgets all batches up to an index that is final on L1.
    ///
    /// # Errors
    /// A file could not be removed.
    pub fn forget_through(&mut self, index: u64) -> io::Result<()> {
        let done: Vec<_> = self.batches.range(..=(index, B256::repeat_byte(0xff))).map(|(key, _)| *key).collect();
        done.into_iter().try_for_each(|key| self.remove(key))
    }

    fn remove(&mut self, key: (u64, B256)) -> io::Result<()> {
        if self.batches.remove(&key).is_some() {
            durable::remove(&self.path(key))?;
        }
        Ok(())
    }

    fn path(&self, (index, hash): (u64, B256)) -> PathBuf {
        self.folder.join(format!("{index}-{hash}.{EXTENSION}"))
    }
}

type Stored = (BatchHeader, bool, Bytes, Vec<B256>, U256, Bytes);

impl CertifiedBatch {
    fn encode(&self) -> Vec<u8> {
        let BatchCertificate { members, bitmap, signatures } = self.certificate.clone();
        let calldata = self.da == DataAvailability::Calldata;
        let stored: Stored = (self.header.clone(), calldata, self.channel.clone(), members, bitmap, signatures);
        stored.abi_encode()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, calldata, channel, members, bitmap, signatures) = Stored::abi_decode(bytes).ok()?;
        let da = if calldata { DataAvailability::Calldata } else { DataAvailability::Blobs };
        Some(Self { header, da, channel, certificate: BatchCertificate { members, bitmap, signatures } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ParentBatch;

    fn batch(index: u64, parent: B256) -> CertifiedBatch {
        CertifiedBatch {
            header: BatchHeader { index, parentHash: parent, ..BatchHeader::default() },
            da: DataAvailability::Calldata,
            channel: vec![1, 2, 3].into(),
            certificate: BatchCertificate {
                members: vec![B256::repeat_byte(1)],
                bitmap: U256::from(1),
                signatures: vec![7; 64].into(),
            },
        }
    }

    #[test]
    fn the_newest_batch_finds_room_however_long_l1_is_not_final() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(folder.path()).unwrap();
        let mut parent = B256::ZERO;
        let batches = (1..=2 * MAX_KEPT as u64).map(|index| {
            let batch = batch(index, parent);
            parent = batch.header.hash();
            batch
        });
        let batches: Vec<_> = batches.collect();
        for batch in &batches {
            outbox.put(batch.clone()).unwrap();
            assert!(outbox.batches.contains_key(&(batch.header.index, batch.header.hash())));
        }
        let mut outbox = Outbox::open(folder.path()).unwrap();
        assert_eq!(outbox.batches.len(), MAX_KEPT);
        assert_eq!(outbox.following(&ParentBatch::from(&batches[MAX_KEPT - 1].header)), Some(&batches[MAX_KEPT]));
        // L1 has taken nearly all back.
        outbox.put(batches[0].clone()).unwrap();
        assert_eq!(outbox.following(&ParentBatch::default()), Some(&batches[0]));
        assert_eq!(outbox.batches.len(), MAX_KEPT);
    }

    #[test]
    fn batches_survive_a_restart_until_final() {
        let folder = tempfile::tempdir().unwrap();
        let first = batch(1, B256::ZERO);
        let second = batch(2, first.header.hash());
        let mut outbox = Outbox::open(folder.path()).unwrap();
        outbox.put(first.clone()).unwrap();
        outbox.put(second.clone()).unwrap();
        let mut outbox = Outbox::open(folder.path()).unwrap();
        assert_eq!(outbox.following(&ParentBatch::default()), Some(&first));
        assert_eq!(outbox.following(&ParentBatch::from(&first.header)), Some(&second));
        assert_eq!(outbox.following(&ParentBatch::from(&second.header)), None);
        outbox.forget_through(1).unwrap();
        let mut outbox = Outbox::open(folder.path()).unwrap();
        assert_eq!(outbox.following(&ParentBatch::default()), None);
        outbox.forget(&second.header).unwrap();
        assert_eq!(Outbox::open(folder.path()).unwrap().batches.len(), 0);
    }
}
