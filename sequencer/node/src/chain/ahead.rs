//! The state after blocks that are executed ahead of the head and kept by nobody.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Sealed, U256};
use execution::PendingState;
use protocol::state::{Account, Roots, StateCommitment, StateDiff, StateError, StateReader};
use std::sync::Arc;
use store::StateView;

/// The head's state, the changes of the blocks ahead of it, and their hashes.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    head: StateView,
    changes: StateDiff,
    state: PendingState,
    hashes: BTreeMap<u64, B256>,
}

impl Ahead {
    pub(super) fn new(head: StateView) -> Self {
        let state = PendingState::new(Arc::new(head.clone()), Arc::default());
        Self { head, changes: StateDiff::default(), state, hashes: BTreeMap::new() }
    }

    /// Puts an executed block on top.
    pub(super) fn push(&mut self, block: &Sealed<Header>, diff: StateDiff) {
        self.hashes.insert(block.number, block.hash());
        self.changes.append(diff);
        self.state = PendingState::new(Arc::new(self.head.clone()), Arc::new(self.changes.clone()));
    }
}

impl StateReader for Ahead {
    fn account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: &B256) -> Result<U256, StateError> {
        self.state.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StateError> {
        self.state.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytes, StateError> {
        self.state.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.hashes.get(&number).map_or_else(|| self.head.block_hash(number), |hash| Ok(*hash))
    }
}

impl StateCommitment for Ahead {
    fn roots_after(&self, diff: &StateDiff) -> Result<Roots, StateError> {
        let mut changes = self.changes.clone();
        changes.append(diff.clone());
        self.head.roots_after(&changes).ok_or_else(|| StateError("the head's trie is not in memory".into()))
    }
}
