//! Moves the changes of committed blocks into flat state and history, several blocks at a time.
//!
//! Nothing here is synced: a settled run that a crash loses is still there as diffs, because the log loses only its
//! end, and the run and the mark that it is done are one atomic write.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, U256, keccak256};
use protocol::state::{Account, AccountDiff, StateDiff};
use rocksdb::WriteBatch;

use crate::{
    StoreError,
    chain::{Inner, RecentState},
    codec,
    schema::{
        ACCOUNT_HISTORY, ACCOUNTS, DIFFS, META, META_UNSETTLED, STORAGE, STORAGE_HISTORY, account_history_key,
        height_key, storage_history_key, storage_key,
    },
    trie::{AccountLeaf, StateTrie},
};

/// Changed keys of one write at most (but at least one block): bounds its memory to some 20 MiB.
const RUN_KEYS: usize = 50_000;

/// Blocks to settle together.
struct Run {
    first: u64,
    /// State before the first block.
    before: StateTrie,
    blocks: Vec<(Arc<StateDiff>, Arc<RecentState>)>,
}

/// The last value of each key in a run; sorted, since RocksDB takes sorted keys faster.
#[derive(Default)]
struct Flat {
    accounts: BTreeMap<B256, Option<(Address, Account)>>,
    storage: BTreeMap<(B256, B256), Option<(B256, U256)>>,
}

impl Inner {
    /// Settles while enough blocks wait.
    pub(crate) fn settle_due(&self) -> Result<(), StoreError> {
        while self.chain.read().unsettled.len() >= self.config.settle_blocks.max(1) {
            self.settle_run()?;
        }
        Ok(())
    }

    /// Settles everything.
    pub(crate) fn settle_all(&self) -> Result<(), StoreError> {
        while !self.chain.read().unsettled.is_empty() {
            self.settle_run()?;
        }
        Ok(())
    }

    fn settle_run(&self) -> Result<(), StoreError> {
        let _settling = self.settle.lock();
        self.check()?;
        let Some(run) = self.next_run() else { return Ok(()) };
        let written = self.write_run(&run);
        self.note(written)?;
        let settled = run.blocks.len();
        let mut chain = self.chain.write();
        chain.unsettled.drain(..settled);
        chain.next_unsettled = chain.next_unsettled.saturating_add(u64::try_from(settled).unwrap_or(u64::MAX));
        // The state before the next unsettled block stays: a wipe in that block must know what it wipes.
        let keep = chain.unsettled.len().saturating_add(self.config.recent_states.max(1));
        let excess = chain.recent.len().saturating_sub(keep);
        let dropped: Vec<_> = chain.recent.drain(..excess).collect();
        drop(chain);
        // Freed outside the lock: the nodes that only old states hold are many.
        drop(dropped);
        Ok(())
    }

    fn next_run(&self) -> Option<Run> {
        let chain = self.chain.read();
        let first = chain.next_unsettled;
        let oldest = chain.recent.front()?.header.number;
        let mut states = chain.recent.iter();
        let before = match first.checked_sub(1) {
            Some(previous) => {
                let skip = usize::try_from(previous.checked_sub(oldest)?).ok()?;
                states.nth(skip)?.trie.clone()
            }
            None => StateTrie::default(),
        };
        let mut keys = 0_usize;
        let mut blocks = Vec::new();
        for (diff, state) in chain.unsettled.iter().zip(states) {
            let more: usize = diff.accounts.values().map(|change| change.storage.len() + 1).sum();
            if !blocks.is_empty() && keys.saturating_add(more) > RUN_KEYS {
                break;
            }
            keys = keys.saturating_add(more);
            blocks.push((Arc::clone(diff), Arc::clone(state)));
        }
        (!blocks.is_empty()).then_some(Run { first, before, blocks })
    }

    fn write_run(&self, run: &Run) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let mut flat = Flat::default();
        let mut before = &run.before;
        let diffs = self.family(DIFFS)?;
        let mut height = run.first;
        for (diff, state) in &run.blocks {
            for (address, change) in &diff.accounts {
                self.write_change(&mut batch, &mut flat, before, height, address, change)?;
            }
            if let Some(receipts) = self.receipts(height)? {
                self.index_logs(&mut batch, height, &receipts)?;
            }
            // Pruning of states needs to know what they changed, and drops the diffs itself.
            let outdated = height.checked_sub(self.config.proof_window);
            if let Some(outdated) = outdated.filter(|_| self.config.retention.state.is_none()) {
                batch.delete_cf(diffs, height_key(outdated));
            }
            before = &state.trie;
            height = height.saturating_add(1);
        }
        self.write_flat(&mut batch, &flat)?;
        batch.put_cf(self.family(META)?, META_UNSETTLED, height_key(height));
        Ok(self.db.write(batch)?)
    }

    /// One account's change in one block: history at once, flat state collected.
    fn write_change(
        &self,
        batch: &mut WriteBatch,
        flat: &mut Flat,
        before: &StateTrie,
        height: u64,
        address: &Address,
        change: &AccountDiff,
    ) -> Result<(), StoreError> {
        let (accounts, slots) = (self.family(ACCOUNT_HISTORY)?, self.family(STORAGE_HISTORY)?);
        let hashed = keccak256(address);
        let account = change.account.filter(|account| !account.is_empty());
        batch.put_cf(accounts, account_history_key(&hashed, height), codec::encode_account(account.as_ref()));
        flat.accounts.insert(hashed, account.map(|account| (*address, account)));
        let mut written: BTreeMap<B256, Option<(B256, U256)>> = BTreeMap::new();
        if (account.is_none() || change.storage_wiped)
            && let Some(storage) = before.account(&hashed).and_then(AccountLeaf::storage)
        {
            storage.for_each(|slot, _| {
                written.insert(*slot, None);
            });
        }
        if account.is_some() {
            let values = change
                .storage
                .iter()
                .map(|(slot, value)| (keccak256(slot), (!value.is_zero()).then_some((*slot, *value))));
            written.extend(values);
        }
        for (slot, value) in written {
            let after = value.map_or_else(Vec::new, |(_, value)| codec::encode_value(&value));
            batch.put_cf(slots, storage_history_key(&hashed, &slot, height), after);
            flat.storage.insert((hashed, slot), value);
        }
        Ok(())
    }

    fn write_flat(&self, batch: &mut WriteBatch, flat: &Flat) -> Result<(), StoreError> {
        let (accounts, slots) = (self.family(ACCOUNTS)?, self.family(STORAGE)?);
        for (hashed, account) in &flat.accounts {
            match account {
                Some((address, account)) => {
                    batch.put_cf(accounts, hashed, codec::encode_flat_account(address, account));
                }
                None => batch.delete_cf(accounts, hashed),
            }
        }
        for ((hashed, slot), value) in &flat.storage {
            let key = storage_key(hashed, slot);
            match value {
                Some((slot, value)) => batch.put_cf(slots, key, codec::encode_flat_slot(slot, value)),
                None => batch.delete_cf(slots, key),
            }
        }
        Ok(())
    }
}
