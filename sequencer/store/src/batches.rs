//! Batches and evidence.

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use protocol::{BatchCertificate, BatchHeader};
use rocksdb::{Direction, IteratorMode, WriteBatch};

use crate::{
    Store, StoreError, codec,
    schema::{BATCH_HEIGHTS, BATCHES, EVIDENCE, height_key, read_u64},
};

/// Where on L1 a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct BatchInclusion {
    /// L1 block number.
    pub l1_number: u64,
    /// L1 block hash.
    pub l1_hash: B256,
    /// Transaction that carried it.
    pub transaction: B256,
    /// Whether its data are in blobs (else in calldata).
    pub blobs: bool,
    /// Bit i: member i of the set has signed.
    pub bitmap: U256,
}

/// What a node knows of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRecord {
    /// The signed header.
    pub header: BatchHeader,
    /// `None` until seen on L1, and again after a reorg dropped it.
    pub inclusion: Option<BatchInclusion>,
    /// The signatures, when the node has gathered or seen them.
    pub certificate: Option<BatchCertificate>,
}

impl Store {
    /// Stores a batch under its index, in place of what was there.
    ///
    /// # Errors
    /// The disk.
    pub fn put_batch(&self, batch: &BatchRecord) -> Result<(), StoreError> {
        let inner = self.inner();
        let _writing = inner.commit.lock();
        inner.check()?;
        let (batches, heights) = (inner.family(BATCHES)?, inner.family(BATCH_HEIGHTS)?);
        let mut write = WriteBatch::default();
        if let Some(old) = self.batch(batch.header.index)? {
            write.delete_cf(heights, height_key(old.header.lastHeight));
        }
        write.put_cf(batches, height_key(batch.header.index), codec::encode_batch(batch));
        write.put_cf(heights, height_key(batch.header.lastHeight), height_key(batch.header.index));
        inner.note(inner.db.write(write).map_err(StoreError::from))
    }

    /// The batch with an index (from 1).
    ///
    /// # Errors
    /// The disk.
    pub fn batch(&self, index: u64) -> Result<Option<BatchRecord>, StoreError> {
        self.inner().get(BATCHES, &height_key(index))?.map(|bytes| codec::decode_batch(&bytes)).transpose()
    }

    /// The batch that contains a height.
    ///
    /// # Errors
    /// The disk.
    pub fn batch_of_height(&self, height: u64) -> Result<Option<BatchRecord>, StoreError> {
        let inner = self.inner();
        let from = height_key(height);
        let mode = IteratorMode::From(&from, Direction::Forward);
        let Some(entry) = inner.db.iterator_cf(inner.family(BATCH_HEIGHTS)?, mode).next() else { return Ok(None) };
        let batch = self.batch(read_u64(&entry?.1)?)?;
        Ok(batch.filter(|batch| batch.header.firstHeight <= height))
    }

    /// The batch with the greatest index.
    ///
    /// # Errors
    /// The disk.
    pub fn last_batch(&self) -> Result<Option<BatchRecord>, StoreError> {
        let inner = self.inner();
        let last = inner.db.iterator_cf(inner.family(BATCHES)?, IteratorMode::End).next();
        last.map(|entry| codec::decode_batch(&entry?.1)).transpose()
    }

    /// Forgets the batches from `index` on (an L1 reorg put others in their place).
    ///
    /// # Errors
    /// The disk.
    pub fn remove_batches_from(&self, index: u64) -> Result<(), StoreError> {
        let inner = self.inner();
        let _writing = inner.commit.lock();
        inner.check()?;
        let (batches, heights) = (inner.family(BATCHES)?, inner.family(BATCH_HEIGHTS)?);
        let mut write = WriteBatch::default();
        let from = height_key(index);
        for entry in inner.db.iterator_cf(batches, IteratorMode::From(&from, Direction::Forward)) {
            let (key, value) = entry?;
            write.delete_cf(heights, height_key(codec::decode_batch(&value)?.header.lastHeight));
            write.delete_cf(batches, key);
        }
        inner.note(inner.db.write(write).map_err(StoreError::from))
    }

    /// Keeps evidence of misbehaviour; durable when this returns. The same evidence twice is one.
    ///
    /// # Errors
    /// The disk.
    pub fn put_evidence(&self, evidence: &[u8]) -> Result<B256, StoreError> {
        let id = keccak256(evidence);
        self.put(EVIDENCE, id.as_slice(), evidence, true)?;
        Ok(id)
    }

    /// Evidence not yet removed, at most `limit` pieces, with their ids.
    ///
    /// # Errors
    /// The disk.
    pub fn evidence(&self, limit: usize) -> Result<Vec<(B256, Bytes)>, StoreError> {
        let inner = self.inner();
        let entries = inner.db.iterator_cf(inner.family(EVIDENCE)?, IteratorMode::Start).take(limit);
        entries
            .map(|entry| {
                let (id, evidence) = entry?;
                let id = B256::try_from(&*id).map_err(|_| StoreError::Corrupt("an evidence id is malformed".into()))?;
                Ok((id, Bytes::from(evidence)))
            })
            .collect()
    }

    /// Forgets evidence that L1 has judged.
    ///
    /// # Errors
    /// The disk.
    pub fn remove_evidence(&self, id: &B256) -> Result<(), StoreError> {
        let inner = self.inner();
        inner.check()?;
        inner.note(inner.db.delete_cf(inner.family(EVIDENCE)?, id).map_err(StoreError::from))
    }
}
