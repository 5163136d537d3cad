//! What the database holds, for operators.

use rocksdb::properties;

use crate::{Heads, Store, StoreError, schema::ALL};

/// One column family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyStats {
    /// Its name.
    pub name: &'static str,
    /// Entries, as RocksDB estimates them.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
}

/// The database at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Latest, safe, finalized.
    pub heads: Heads,
    /// First heights of which the state, the receipts, the body are kept.
    pub kept_from: [u64; 3],
    /// All families.
    pub families: Vec<FamilyStats>,
}

impl Store {
    /// Numbers of the database; entries that are still in memory count, their bytes do not.
    ///
    /// # Errors
    /// The disk.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let inner = self.inner();
        let family = |name: &'static str| {
            let handle = inner.family(name)?;
            let number = |property| Ok::<_, StoreError>(inner.db.property_int_value_cf(handle, property)?.unwrap_or(0));
            let entries = number(properties::ESTIMATE_NUM_KEYS)?;
            let bytes = number(properties::TOTAL_SST_FILES_SIZE)?;
            Ok(FamilyStats { name, entries, bytes })
        };
        let kept = self.kept();
        Ok(Stats {
            heads: self.heads(),
            kept_from: [kept.state, kept.receipts, kept.bodies],
            families: ALL.into_iter().map(family).collect::<Result<_, StoreError>>()?,
        })
    }

    /// Gives back the space of what was dropped: rewrites all files once.
    ///
    /// # Errors
    /// The disk.
    pub fn compact(&self) -> Result<(), StoreError> {
        let inner = self.inner();
        inner.check()?;
        for name in ALL {
            let handle = inner.family(name)?;
            inner.note(inner.db.flush_cf(handle).map_err(StoreError::from))?;
            inner.db.compact_range_cf(handle, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }
}
