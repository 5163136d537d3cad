//! The ports between execution and store, and the values that cross them.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};

/// An account as the state trie knows it, without its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent (or contracts created).
    pub nonce: u64,
    /// Balance in wei of the native currency (METIS).
    pub balance: U256,
    /// Keccak of the code; [`KECCAK256_EMPTY`] without code.
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl Account {
    /// Empty in the sense of EIP-161: such an account does not exist in the trie.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK256_EMPTY
    }
}

/// What a block changed in one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountDiff {
    /// The account after the block, `None` when it no longer exists.
    pub account: Option<Account>,
    /// Slots (unhashed, big-endian) with their values after the block; zero deletes.
    pub storage: BTreeMap<B256, U256>,
    /// All storage from before the block is gone (only `storage` remains).
    pub storage_wiped: bool,
}

/// Everything a block changed. Ordered, so that it encodes and hashes the same everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// Changed accounts.
    pub accounts: BTreeMap<Address, AccountDiff>,
    /// New code by its keccak.
    pub code: BTreeMap<B256, Bytes>,
}

impl StateDiff {
    /// Puts the changes of a later block on top.
    pub fn append(&mut self, later: Self) {
        for (address, change) in later.accounts {
            let entry = self.accounts.entry(address).or_default();
            // What a deleted account had stored does not come back with it.
            if change.storage_wiped || change.account.is_none() {
                entry.storage.clear();
                entry.storage_wiped = true;
            }
            entry.account = change.account;
            entry.storage.extend(change.storage);
        }
        self.code.extend(later.code);
    }
}

/// The two roots an L2 header carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roots {
    /// Root of the account trie.
    pub state_root: B256,
    /// Storage root of the L2-to-L1 message passer (the header's `withdrawalsRoot`).
    pub withdrawals_root: B256,
}

/// The state could not be read: disk or consistency failure, never a peer's fault.
#[derive(Debug, thiserror::Error)]
#[error("state unavailable: {0}")]
pub struct StateError(pub String);

/// Reads one fixed state. Implemented by the store (head, any kept height) and by maps in tests.
pub trait StateReader: Send + Sync {
    /// The account, `None` when it does not exist.
    ///
    /// # Errors
    /// The backing store failed.
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError>;

    /// A storage slot, zero when never written.
    ///
    /// # Errors
    /// The backing store failed.
    fn storage(&self, address: &Address, slot: &B256) -> Result<U256, StateError>;

    /// Whether an account that has neither code nor nonce has storage (EIP-7610). Of other accounts the answer may be a yes
    /// although the newest block has cleared their last slot.
    ///
    /// # Errors
    /// The backing store failed.
    fn has_storage(&self, address: &Address) -> Result<bool, StateError>;

    /// Code by its keccak; an unknown hash is an error, the empty hash is empty code.
    ///
    /// # Errors
    /// The backing store failed or lacks the code.
    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError>;

    /// Hash of the block at `number`, zero where there is none.
    ///
    /// # Errors
    /// The backing store failed.
    fn block_hash(&self, number: u64) -> Result<B256, StateError>;
}

/// Computes the roots of the head state with a diff on top, without changing the head.
pub trait StateCommitment: Send + Sync {
    /// Roots after `diff`.
    ///
    /// # Errors
    /// The backing store failed.
    fn roots_after(&self, diff: &StateDiff) -> Result<Roots, StateError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(storage: &[(u8, u64)], storage_wiped: bool, exists: bool) -> StateDiff {
        let storage = storage.iter().map(|(slot, value)| (B256::with_last_byte(*slot), U256::from(*value))).collect();
        let change = AccountDiff { account: exists.then(Account::default), storage, storage_wiped };
        StateDiff { accounts: [(Address::ZERO, change)].into(), code: BTreeMap::new() }
    }

    #[test]
    fn later_changes_cover_earlier_ones() {
        let cases: [(&[StateDiff], StateDiff); 4] = [
            (
                &[change(&[(1, 1), (2, 2)], false, true), change(&[(2, 0)], false, true)],
                change(&[(1, 1), (2, 0)], false, true),
            ),
            (&[change(&[(1, 1)], false, true), change(&[(2, 2)], true, true)], change(&[(2, 2)], true, true)),
            (&[change(&[(1, 1)], false, true), change(&[], false, false)], change(&[], true, false)),
            (&[change(&[], false, false), change(&[(3, 3)], false, true)], change(&[(3, 3)], true, true)),
        ];
        for (changes, expected) in cases {
            let mut together = StateDiff::default();
            changes.iter().for_each(|change| together.append(change.clone()));
            assert_eq!(together, expected);
        }
    }
}
