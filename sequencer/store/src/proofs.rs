//! Merkle proofs against the states of the past.
//!
//! States near the head have their tries in memory. An older trie is the oldest of those with everything changed since
//! set back to what it was: diffs name the keys, history has the values.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use protocol::state::StateDiff;
use rocksdb::{Direction, IteratorMode};

use crate::{
    AccountProof, Store, StoreError,
    chain::{Inner, RecentState},
    codec,
    schema::{DIFFS, STORAGE_HISTORY, height_key, read_u64, storage_history_key},
    trie::{AccountLeaf, StateTrie, Trie, Viewed},
};

/// What happened to an account between two heights.
#[derive(Default)]
struct Touched {
    slots: BTreeSet<B256>,
    /// Storage was dropped as a whole at some point.
    wiped: bool,
}

impl Store {
    /// Proof of an account and some of its slots (EIP-1186) against the state root at `height`.
    ///
    /// # Errors
    /// [`StoreError::UnknownHeight`], [`StoreError::Pruned`], [`StoreError::Unprovable`] beyond the proof window; the
    /// disk.
    pub fn proof(&self, height: u64, address: Address, slots: &[B256]) -> Result<AccountProof, StoreError> {
        Ok(self.trie_at(height)?.prove(address, slots))
    }

    /// The trie nodes of the state at `height`, as RLP, without which a block that looks at `viewed` and changes `diff` on
    /// top of that state cannot be executed, its own state root included.
    ///
    /// # Errors
    /// As [`Self::proof`].
    pub fn witness(&self, height: u64, viewed: &Viewed, diff: &StateDiff) -> Result<Vec<Bytes>, StoreError> {
        Ok(self.trie_at(height)?.witness(viewed, diff))
    }

    fn trie_at(&self, height: u64) -> Result<StateTrie, StoreError> {
        match self.state_at(height)?.recent() {
            Some(recent) => Ok(recent.trie.clone()),
            None => self.rewound(height),
        }
    }

    /// The trie at a settled height.
    fn rewound(&self, height: u64) -> Result<StateTrie, StoreError> {
        let inner = self.inner();
        let oldest = {
            let chain = inner.chain.read();
            chain.recent.front().map(Arc::clone).ok_or(StoreError::UnknownHeight(height))?
        };
        let mut trie = oldest.trie.clone();
        for (address, touched) in inner.touched(height, &oldest)? {
            let hashed = keccak256(address);
            let Some(account) = inner.account_at(&hashed, height)? else {
                trie.unload(&hashed);
                continue;
            };
            let storage = if touched.wiped {
                inner.storage_at(&hashed, height)?
            } else {
                let storage = trie.account(&hashed).and_then(AccountLeaf::storage).cloned();
                inner.set_back(&hashed, storage.unwrap_or_default(), &touched.slots, height)?
            };
            trie.load(hashed, &account, storage);
        }
        let header = self.header(height)?.ok_or(StoreError::UnknownHeight(height))?;
        if trie.roots().state_root != header.state_root {
            return Err(StoreError::Corrupt(format!("the state rewound to height {height} has another root")));
        }
        Ok(trie)
    }
}

impl Inner {
    /// What the blocks after `height` up to `newest` changed.
    fn touched(&self, height: u64, newest: &RecentState) -> Result<BTreeMap<Address, Touched>, StoreError> {
        if newest.header.number.saturating_sub(height) > self.config.proof_window {
            return Err(StoreError::Unprovable { height });
        }
        let mut touched: BTreeMap<Address, Touched> = BTreeMap::new();
        for changed in height.saturating_add(1)..=newest.header.number {
            let diff = self.get(DIFFS, &height_key(changed))?.ok_or(StoreError::Unprovable { height })?;
            for (address, change) in codec::decode_diff(&diff)?.accounts {
                let entry = touched.entry(address).or_default();
                entry.slots.extend(change.storage.keys());
                entry.wiped |= change.storage_wiped || change.account.is_none_or(|account| account.is_empty());
            }
        }
        Ok(touched)
    }

    fn set_back(
        &self,
        account: &B256,
        mut storage: Trie<U256>,
        slots: &BTreeSet<B256>,
        height: u64,
    ) -> Result<Trie<U256>, StoreError> {
        for slot in slots {
            let hashed = keccak256(slot);
            let value = self.slot_at(account, &hashed, height)?;
            if value.is_zero() {
                storage.remove(&hashed);
            } else {
                storage.insert(hashed, value);
            }
        }
        Ok(storage)
    }

    /// The whole storage of one account after the block at `height`.
    pub(crate) fn storage_at(&self, account: &B256, height: u64) -> Result<Trie<U256>, StoreError> {
        let from = storage_history_key(account, &B256::ZERO, 0);
        let mode = IteratorMode::From(&from, Direction::Forward);
        let mut storage = Trie::default();
        for entry in self.db.iterator_cf(self.family(STORAGE_HISTORY)?, mode) {
            let (key, value) = entry?;
            let Some(rest) = key.strip_prefix(account.as_slice()) else { break };
            let (slot, changed) =
                rest.split_first_chunk::<32>().ok_or_else(|| StoreError::Corrupt("a history key is short".into()))?;
            // Ascending heights: the last one that is not too late stays.
            if read_u64(changed)? <= height {
                let slot = B256::from(*slot);
                let value = codec::decode_value(&value)?;
                if value.is_zero() { storage.remove(&slot) } else { storage.insert(slot, value) }
            }
        }
        Ok(storage)
    }
}
