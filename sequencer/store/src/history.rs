//! State at any settled height, from the last change at or below it.

use alloy_primitives::{B256, U256};
use protocol::state::Account;

use crate::{
    StoreError,
    chain::Inner,
    codec,
    schema::{ACCOUNT_HISTORY, STORAGE_HISTORY, account_history_key, storage_history_key},
};

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
}
