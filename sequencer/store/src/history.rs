//! State at any settled height, from the last change at or below it.

use alloy_primitives::{B256, U256};
use protocol::state::Account;
use rocksdb::WriteBatch;

use crate::{
    Store, StoreError,
    chain::Inner,
    codec,
    schema::{
        ACCOUNT_HISTORY, META, META_KEPT_FROM, STORAGE_HISTORY, account_history_key, height_key, read_u64,
        storage_history_key,
    },
};

/// Deletions of one write while pruning.
const PRUNE_RUN: usize = 10_000;
/// Bytes of the height at the end of a history key.
const HEIGHT_BYTES: usize = 8;

impl Inner {
    pub(crate) fn account_at(&self, hashed: &B256, height: u64) -> Result<Option<Account>, StoreError> {
        let key = account_history_key(hashed, height);
        self.last_change(ACCOUNT_HISTORY, &key)?.map_or(Ok(None), |value| codec::decode_account(&value))
    }

    pub(crate) fn slot_at(&self, account: &B256, slot: &B256, height: u64) -> Result<U256, StoreError> {
        let key = storage_history_key(account, slot, height);
        self.last_change(STORAGE_HISTORY, &key)?.map_or(Ok(U256::ZERO), |value| codec::decode_value(&value))
    }

    /// The value of the greatest key at or below `key` that differs from it in the height only.
    fn last_change(&self, family: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut cursor = self.db.raw_iterator_cf(self.family(family)?);
        cursor.seek_for_prev(key);
        cursor.status()?;
        let subject = key.split_at_checked(key.len().saturating_sub(HEIGHT_BYTES)).map(|(subject, _)| subject);
        let found = cursor
            .item()
            .filter(|(found, _)| found.len() == key.len() && subject.is_some_and(|subject| found.starts_with(subject)));
        Ok(found.map(|(_, value)| value.to_vec()))
    }

    fn prune(&self, family: &'static str, before: u64) -> Result<u64, StoreError> {
        let handle = self.family(family)?;
        let mut cursor = self.db.raw_iterator_cf(handle);
        let mut batch = WriteBatch::default();
        let mut dropped = 0_u64;
        // The newest entry at or below `before` answers for it, so an entry goes when a newer such one follows.
        let mut candidate: Option<Vec<u8>> = None;
        cursor.seek_to_first();
        while let Some((key, _)) = cursor.item() {
            let (subject, height) = key
                .split_last_chunk::<HEIGHT_BYTES>()
                .ok_or_else(|| StoreError::Corrupt("a history key is too short".into()))?;
            if read_u64(height)? <= before {
                let same = candidate.as_ref().is_some_and(|old| old.len() == key.len() && old.starts_with(subject));
                if let Some(old) = candidate.replace(key.to_vec()).filter(|_| same) {
                    batch.delete_cf(handle, old);
                    dropped = dropped.saturating_add(1);
                }
            }
            if batch.len() >= PRUNE_RUN {
                self.db.write(std::mem::take(&mut batch))?;
            }
            cursor.next();
        }
        cursor.status()?;
        self.db.write(batch)?;
        Ok(dropped)
    }
}

impl Store {
    /// Drops what is needed only for states before `height`; states from `height` on stay readable. Returns the number
    /// of entries dropped. Walks all history: not for the hot path.
    ///
    /// # Errors
    /// Beyond the finalized head; the disk.
    pub fn prune_history_before(&self, height: u64) -> Result<u64, StoreError> {
        let inner = self.inner();
        let finalized = self.heads().finalized.height;
        if height > finalized {
            return Err(StoreError::Head {
                head: "pruned",
                from: self.kept_from(),
                to: height,
                reason: "only final states may go",
            });
        }
        let _settling = inner.settle.lock();
        inner.check()?;
        if height <= self.kept_from() {
            return Ok(0);
        }
        // Refuse the old states first, for readers and for a crash in between.
        self.put(META, META_KEPT_FROM, &height_key(height), false)?;
        inner.chain.write().kept_from = height;
        let dropped = inner
            .prune(ACCOUNT_HISTORY, height)
            .and_then(|accounts| inner.prune(STORAGE_HISTORY, height).map(|slots| accounts.saturating_add(slots)));
        inner.note(dropped)
    }

    /// First height whose state can be read.
    #[must_use]
    pub fn kept_from(&self) -> u64 {
        self.inner().chain.read().kept_from
    }
}
