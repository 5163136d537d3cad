//! The state an open block has reached, for readers.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use protocol::state::{Account, StateDiff, StateError, StateReader};

/// A state with the changes of one block on top.
#[derive(Clone)]
pub struct PendingState {
    parent: Arc<dyn StateReader>,
    diff: Arc<StateDiff>,
}

impl core::fmt::Debug for PendingState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PendingState").field("accounts", &self.diff.accounts.len()).finish_non_exhaustive()
    }
}

impl PendingState {
    /// The state after `diff` on top of `parent`.
    #[must_use]
    pub const fn new(parent: Arc<dyn StateReader>, diff: Arc<StateDiff>) -> Self {
        Self { parent, diff }
    }
}

impl StateReader for PendingState {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.diff.accounts.get(address) {
            Some(changed) => Ok(changed.account),
            None => self.parent.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &B256) -> Result<U256, StateError> {
        let Some(changed) = self.diff.accounts.get(address) else { return self.parent.storage(address, slot) };
        match changed.storage.get(slot) {
            Some(value) => Ok(*value),
            None if changed.storage_wiped || changed.account.is_none() => Ok(U256::ZERO),
            None => self.parent.storage(address, slot),
        }
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        let Some(changed) = self.diff.accounts.get(address) else { return self.parent.has_storage(address) };
        if changed.account.is_none() || changed.storage_wiped {
            return Ok(changed.storage.values().any(|value| !value.is_zero()));
        }
        Ok(changed.storage.values().any(|value| !value.is_zero()) || self.parent.has_storage(address)?)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        match self.diff.code.get(code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.parent.code(code_hash),
        }
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.parent.block_hash(number)
    }
}
