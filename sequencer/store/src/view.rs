//! One fixed state, for reading while others commit.

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use protocol::state::{Account, Roots, StateDiff, StateError, StateReader};

use crate::{Store, StoreError, chain::RecentState, trie::AccountLeaf};

/// The state after one block. Recent states are read from memory, older ones from history; neither changes under
/// the reader.
#[derive(Clone, Debug)]
pub struct StateView {
    store: Store,
    height: u64,
    recent: Option<Arc<RecentState>>,
}

impl Store {
    /// The state after the head block.
    #[must_use]
    pub fn latest_state(&self) -> StateView {
        let recent = self.head_state();
        StateView { store: self.clone(), height: recent.header.number, recent: Some(recent) }
    }

    /// The state after the block at `height`.
    ///
    /// # Errors
    /// [`StoreError::UnknownHeight`], [`StoreError::Pruned`].
    pub fn state_at(&self, height: u64) -> Result<StateView, StoreError> {
        let recent = {
            let chain = self.inner().chain.read();
            if height > chain.heads.latest.height {
                return Err(StoreError::UnknownHeight(height));
            }
            if height < chain.kept.state {
                return Err(StoreError::Pruned { height, kept_from: chain.kept.state });
            }
            let oldest = chain.recent.front().map_or(u64::MAX, |state| state.header.number);
            let offset = height.checked_sub(oldest).and_then(|offset| usize::try_from(offset).ok());
            offset.and_then(|offset| chain.recent.get(offset)).cloned()
        };
        Ok(StateView { store: self.clone(), height, recent })
    }
}

impl StateView {
    /// Height of the block after which this is the state.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// The state in memory, for a height near the head.
    pub(crate) fn recent(&self) -> Option<&RecentState> {
        self.recent.as_deref()
    }

    /// Roots of this state with `diff` on top; `None` for a state that is no longer in memory.
    #[must_use]
    pub fn roots_after(&self, diff: &StateDiff) -> Option<Roots> {
        self.recent.as_ref().map(|recent| recent.trie.with(diff).roots())
    }

    /// Refuses when pruning has overtaken a view of history.
    fn check(&self) -> Result<(), StoreError> {
        let kept_from = self.store.kept_from();
        if self.height < kept_from { Err(StoreError::Pruned { height: self.height, kept_from }) } else { Ok(()) }
    }

    /// An account's slots by the hashes of their keys, ascending, from a hash on, at most `limit`. Of a state that is no longer in
    /// memory the account's whole storage is read for it.
    ///
    /// # Errors
    /// [`StoreError::Pruned`]; the disk.
    pub fn storage_from(&self, address: &Address, from: &B256, limit: usize) -> Result<Vec<(B256, U256)>, StoreError> {
        let hashed = keccak256(address);
        if let Some(recent) = &self.recent {
            let storage = recent.trie.account(&hashed).and_then(AccountLeaf::storage);
            return Ok(storage.map(|storage| storage.range(from, limit)).unwrap_or_default());
        }
        let storage = self.store.inner().storage_at(&hashed, self.height)?;
        self.check()?;
        Ok(storage.range(from, limit))
    }

    fn read_account(&self, address: &Address) -> Result<Option<Account>, StoreError> {
        let hashed = keccak256(address);
        if let Some(recent) = &self.recent {
            return Ok(recent.trie.account(&hashed).map(AccountLeaf::account));
        }
        let account = self.store.inner().account_at(&hashed, self.height)?;
        // After the read, so that nothing was dropped while it ran.
        self.check()?;
        Ok(account)
    }

    fn read_slot(&self, address: &Address, slot: &B256) -> Result<U256, StoreError> {
        let (account, hashed) = (keccak256(address), keccak256(slot));
        if let Some(recent) = &self.recent {
            let storage = recent.trie.account(&account).and_then(AccountLeaf::storage);
            return Ok(storage.and_then(|storage| storage.get(&hashed)).copied().unwrap_or_default());
        }
        let value = self.store.inner().slot_at(&account, &hashed, self.height)?;
        self.check()?;
        Ok(value)
    }

    fn occupied(&self, address: &Address) -> Result<bool, StoreError> {
        let hashed = keccak256(address);
        if let Some(recent) = &self.recent {
            let storage = recent.trie.account(&hashed).and_then(AccountLeaf::storage);
            return Ok(storage.is_some_and(|storage| !storage.is_empty()));
        }
        let storage = self.store.inner().storage_at(&hashed, self.height)?;
        self.check()?;
        Ok(!storage.is_empty())
    }
}

impl StateReader for StateView {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.read_account(address)?)
    }

    fn storage(&self, address: &Address, slot: &B256) -> Result<U256, StateError> {
        Ok(self.read_slot(address, slot)?)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        Ok(self.occupied(address)?)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        self.store.code(code_hash)?.ok_or_else(|| StateError(format!("code {code_hash} is missing")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        if number > self.height {
            return Ok(B256::ZERO);
        }
        Ok(self.store.block_hash(number)?.unwrap_or_default())
    }
}
