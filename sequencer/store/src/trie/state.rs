//! The state trie: accounts, and under each contract the trie of its storage.

use std::sync::Arc;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use protocol::{
    block::MESSAGE_PASSER,
    state::{Account, AccountDiff, Roots, StateDiff},
};
use rayon::prelude::*;

use super::{Trie, node::Value};

/// From this many changed keys on, several threads are worth their hand-over.
const PARALLEL_KEYS: usize = 128;

/// An account in the trie. Most accounts are no contracts and pay for none of a contract's fields.
#[derive(Clone, Debug)]
pub(crate) struct AccountLeaf {
    nonce: u64,
    balance: U256,
    contract: Option<Arc<Contract>>,
}

#[derive(Clone, Debug)]
struct Contract {
    code_hash: B256,
    storage: Trie<U256>,
}

impl PartialEq for AccountLeaf {
    fn eq(&self, other: &Self) -> bool {
        self.nonce == other.nonce
            && self.balance == other.balance
            && match (&self.contract, &other.contract) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            }
    }
}

impl AccountLeaf {
    pub(crate) fn new(account: &Account, storage: Trie<U256>) -> Self {
        let plain = account.code_hash == KECCAK256_EMPTY && storage.is_empty();
        let contract = (!plain).then(|| Arc::new(Contract { code_hash: account.code_hash, storage }));
        Self { nonce: account.nonce, balance: account.balance, contract }
    }

    pub(crate) fn account(&self) -> Account {
        let code_hash = self.contract.as_ref().map_or(KECCAK256_EMPTY, |contract| contract.code_hash);
        Account { nonce: self.nonce, balance: self.balance, code_hash }
    }

    pub(crate) fn storage(&self) -> Option<&Trie<U256>> {
        self.contract.as_ref().map(|contract| &contract.storage)
    }

    pub(crate) fn storage_root(&self) -> B256 {
        self.storage().map_or(EMPTY_ROOT_HASH, Trie::root)
    }
}

impl Value for AccountLeaf {
    fn encode_leaf(&self, out: &mut Vec<u8>) {
        let Account { nonce, balance, code_hash } = self.account();
        TrieAccount { nonce, balance, storage_root: self.storage_root(), code_hash }.encode(out);
    }
}

/// All accounts of one state, by hashed address.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateTrie {
    pub(super) accounts: Trie<AccountLeaf>,
}

impl StateTrie {
    pub(crate) fn account(&self, hashed: &B256) -> Option<&AccountLeaf> {
        self.accounts.get(hashed)
    }

    /// Adds an account that was read from disk with its whole storage.
    pub(crate) fn load(&mut self, hashed: B256, account: &Account, storage: Trie<U256>) {
        self.accounts.insert(hashed, AccountLeaf::new(account, storage));
    }

    pub(crate) fn unload(&mut self, hashed: &B256) {
        self.accounts.remove(hashed);
    }

    /// The state after `diff`, with all hashes known; `self` stays what it is.
    pub(crate) fn with(&self, diff: &StateDiff) -> Self {
        let keys: usize = diff.accounts.values().map(|account| account.storage.len() + 1).sum();
        let parallel = keys >= PARALLEL_KEYS;
        let change = |(address, change): (&Address, &AccountDiff)| {
            let hashed = keccak256(address);
            let leaf = self.changed(&hashed, change);
            // The storage root is taken here, where accounts are spread over threads.
            leaf.iter().for_each(|leaf| {
                leaf.storage_root();
            });
            (hashed, leaf)
        };
        let leaves: Vec<(B256, Option<AccountLeaf>)> = if parallel {
            diff.accounts.par_iter().map(change).collect()
        } else {
            diff.accounts.iter().map(change).collect()
        };
        let mut next = self.clone();
        for (hashed, leaf) in leaves {
            match leaf {
                Some(leaf) => next.accounts.insert(hashed, leaf),
                None => next.accounts.remove(&hashed),
            }
        }
        if parallel {
            next.accounts.root_parallel()
        } else {
            next.accounts.root()
        };
        next
    }

    /// The account's leaf after its change; `None` when it is gone or empty (EIP-161).
    fn changed(&self, hashed: &B256, change: &AccountDiff) -> Option<AccountLeaf> {
        let account = change.account.filter(|account| !account.is_empty())?;
        let old = self.account(hashed);
        // An account that did not exist has no storage to keep.
        let mut storage = match old {
            Some(leaf) if !change.storage_wiped => leaf.storage().cloned().unwrap_or_default(),
            _ => Trie::default(),
        };
        if change.storage.is_empty()
            && !change.storage_wiped
            && let Some(old) = old
            && old.account().code_hash == account.code_hash
        {
            return Some(AccountLeaf {
                nonce: account.nonce,
                balance: account.balance,
                contract: old.contract.clone(),
            });
        }
        for (slot, value) in &change.storage {
            if value.is_zero() {
                storage.remove(&keccak256(slot));
            } else {
                storage.insert(keccak256(slot), *value);
            }
        }
        Some(AccountLeaf::new(&account, storage))
    }

    /// Hashes what has not been hashed, on several threads.
    pub(crate) fn hash(&self) {
        self.accounts.root_parallel();
    }

    pub(crate) fn roots(&self) -> Roots {
        let passer = self.account(&keccak256(MESSAGE_PASSER));
        Roots {
            state_root: self.accounts.root(),
            withdrawals_root: passer.map_or(EMPTY_ROOT_HASH, AccountLeaf::storage_root),
        }
    }
}
