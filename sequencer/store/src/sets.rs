//! Sequencer sets that L1 has frozen, as far as L1 was read. What a set holds is for the node to say.

use alloy_primitives::Bytes;
use rocksdb::{IteratorMode, WriteBatch};

use crate::{
    Store, StoreError,
    schema::{META, META_SETS_THROUGH, RECORDS, height_key, read_u64},
};

/// Sets kept; with one an epoch this is months, and nobody asks for older ones.
pub const MAX_SETS: usize = 16_384;

impl Store {
    /// Keeps the sets of final L1 blocks, each under its block, and notes that L1 was read through `through`. A crash loses the
    /// newest calls at most; they are then made again.
    ///
    /// # Errors
    /// The disk.
    pub fn put_sets(&self, sets: &[(u64, Bytes)], through: u64) -> Result<(), StoreError> {
        let inner = self.inner();
        inner.check()?;
        let (records, meta) = (inner.family(RECORDS)?, inner.family(META)?);
        let mut write = WriteBatch::default();
        for (number, set) in sets {
            write.put_cf(records, height_key(*number), set);
        }
        if self.sets_through()?.is_none_or(|before| before < through) {
            write.put_cf(meta, META_SETS_THROUGH, height_key(through));
        }
        inner.note(inner.db.write(write).map_err(StoreError::from))?;
        if sets.is_empty() { Ok(()) } else { self.drop_oldest_sets() }
    }

    /// L1 block through which all sets are here; `None` before the first call of [`Self::put_sets`].
    ///
    /// # Errors
    /// The disk.
    pub fn sets_through(&self) -> Result<Option<u64>, StoreError> {
        self.inner().get(META, META_SETS_THROUGH)?.map(|bytes| read_u64(&bytes)).transpose()
    }

    /// All sets, by L1 block.
    ///
    /// # Errors
    /// The disk.
    pub fn sets(&self) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let inner = self.inner();
        let entries = inner.db.iterator_cf(inner.family(RECORDS)?, IteratorMode::Start);
        entries
            .map(|entry| {
                let (number, set) = entry?;
                Ok((read_u64(&number)?, Bytes::from(set)))
            })
            .collect()
    }

    fn drop_oldest_sets(&self) -> Result<(), StoreError> {
        let inner = self.inner();
        let records = inner.family(RECORDS)?;
        let from_newest = inner.db.iterator_cf(records, IteratorMode::End);
        let mut write = WriteBatch::default();
        for entry in from_newest.skip(MAX_SETS) {
            write.delete_cf(records, entry?.0);
        }
        if write.is_empty() { Ok(()) } else { inner.note(inner.db.write(write).map_err(StoreError::from)) }
    }
}
