//! A whole state in memory, with its roots computed from scratch: for genesis tools, tests and benches.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unhashed, storage_root_unhashed},
};
use protocol::{
    block::MESSAGE_PASSER,
    state::{Account, Roots, StateCommitment, StateDiff, StateError, StateReader},
};

/// A state held in maps. Both ports on it: it is what a store must agree with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    /// Accounts with their storage.
    pub accounts: BTreeMap<Address, (Account, BTreeMap<B256, U256>)>,
    /// Code by hash.
    pub code: BTreeMap<B256, Bytes>,
    /// Block hashes by number.
    pub block_hashes: BTreeMap<u64, B256>,
}

impl MemoryState {
    /// Applies a block's changes.
    pub fn apply(&mut self, diff: &StateDiff) {
        self.code.extend(diff.code.iter().map(|(hash, code)| (*hash, code.clone())));
        for (address, change) in &diff.accounts {
            let Some(account) = change.account else {
                self.accounts.remove(address);
                continue;
            };
            let (old, storage) = self.accounts.entry(*address).or_default();
            *old = account;
            if change.storage_wiped {
                storage.clear();
            }
            for (slot, value) in &change.storage {
                if value.is_zero() {
                    storage.remove(slot);
                } else {
                    storage.insert(*slot, *value);
                }
            }
        }
    }

    /// Roots of the state as it is.
    #[must_use]
    pub fn roots(&self) -> Roots {
        let storage_root =
            |storage: &BTreeMap<B256, U256>| storage_root_unhashed(storage.iter().map(|(slot, value)| (*slot, *value)));
        let accounts = self.accounts.iter().map(|(address, (account, storage))| {
            let Account { nonce, balance, code_hash } = *account;
            (*address, TrieAccount { nonce, balance, storage_root: storage_root(storage), code_hash })
        });
        Roots {
            state_root: state_root_unhashed(accounts),
            withdrawals_root: storage_root(self.accounts.get(&MESSAGE_PASSER).map_or(&BTreeMap::new(), |(_, s)| s)),
        }
    }
}

impl StateReader for MemoryState {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        Ok(self.accounts.get(address).map(|(account, _)| *account))
    }

    fn storage(&self, address: &Address, slot: &B256) -> Result<U256, StateError> {
        Ok(self.accounts.get(address).and_then(|(_, storage)| storage.get(slot)).copied().unwrap_or_default())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        Ok(self.accounts.get(address).is_some_and(|(_, storage)| storage.values().any(|value| !value.is_zero())))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        self.code.get(code_hash).cloned().ok_or_else(|| StateError(format!("no code {code_hash}")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        Ok(self.block_hashes.get(&number).copied().unwrap_or_default())
    }
}

impl StateCommitment for MemoryState {
    fn roots_after(&self, diff: &StateDiff) -> Result<Roots, StateError> {
        let mut after = self.clone();
        after.apply(diff);
        Ok(after.roots())
    }
}
