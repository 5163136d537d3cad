//! Dropping the past, a few blocks at a time, by what the blocks themselves say they wrote.
//!
//! What is dropped is refused first, for readers and for a crash in between: a crash leaves at most some dead entries.

use std::collections::BTreeMap;

use alloy_primitives::{B256, keccak256};
use op_alloy_consensus::OpTxEnvelope;
use rocksdb::WriteBatch;

use crate::{
    Oldest, Store, StoreConfig, StoreError,
    chain::{Inner, Kept},
    codec,
    schema::{
        ACCOUNT_HISTORY, BODIES, CERTIFICATES, DIFFS, META, META_BODIES_FROM, META_KEPT_FROM, META_RECEIPTS_FROM,
        RECEIPTS, SENDERS, STORAGE_HISTORY, TRANSACTIONS, account_history_key, height_key, read_u64,
        storage_history_key,
    },
};

/// Blocks of one step.
const STEP: u64 = 64;
/// Deletions of one write.
const RUN: usize = 10_000;
/// Bytes of the height at the end of a history key.
const HEIGHT_BYTES: usize = 8;

/// What a call of [`Store::prune`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Heights whose state went.
    pub states: u64,
    /// Heights whose receipts went.
    pub receipts: u64,
    /// Heights whose bodies went.
    pub bodies: u64,
}

impl Pruned {
    /// Whether nothing was left to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// First heights that are kept.
    pub(crate) fn kept(&self) -> Kept {
        self.inner().chain.read().kept
    }

    /// First height whose state can be read.
    #[must_use]
    pub fn kept_from(&self) -> u64 {
        self.kept().state
    }

    /// First height (genesis apart) whose body and receipts can both be read.
    #[must_use]
    pub fn history_from(&self) -> u64 {
        let kept = self.kept();
        kept.bodies.max(kept.receipts)
    }

    /// What the past has been cut down to so far. Reads memory only.
    #[must_use]
    pub fn oldest(&self) -> Oldest {
        let inner = self.inner();
        let (kept, settled, in_memory) = {
            let chain = inner.chain.read();
            let in_memory = chain.recent.front().map_or(u64::MAX, |state| state.header.number);
            (chain.kept, chain.next_unsettled.saturating_sub(1), in_memory)
        };
        // A state is rewound to through the diffs of the blocks after it.
        let rewound = settled.saturating_sub(inner.config.proof_window).max(inner.diffs_from.saturating_sub(1));
        let proofs = rewound.min(in_memory).max(kept.state);
        Oldest { state: kept.state, proofs, bodies: kept.bodies, receipts: kept.receipts }
    }

    /// What it was opened with.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.inner().config
    }

    /// One step towards what the configured [`crate::Retention`] keeps: some blocks of each kind, final and settled
    /// ones only. Call it again until it reports nothing.
    ///
    /// # Errors
    /// The disk.
    pub fn prune(&self) -> Result<Pruned, StoreError> {
        let inner = self.inner();
        let _pruning = inner.pruning.lock();
        inner.check()?;
        let (heads, kept, settled) = {
            let chain = inner.chain.read();
            (chain.heads, chain.kept, chain.next_unsettled)
        };
        let last = heads.finalized.height.min(settled.saturating_sub(1));
        let target = |blocks: Option<u64>, from: u64, step: u64| {
            let wanted = blocks.map_or(0, |blocks| heads.latest.height.saturating_sub(blocks)).min(last);
            wanted.min(from.saturating_add(step)).max(from)
        };
        let retention = inner.config.retention;
        // A node that kept everything until now has dropped its old diffs: one walk over all history catches up.
        let diff = inner.get(DIFFS, &height_key(kept.state.saturating_add(1)))?;
        let state_step = if diff.is_some() { STEP } else { u64::MAX };
        let goal = Kept {
            state: target(retention.state, kept.state, state_step),
            receipts: target(retention.receipts, kept.receipts, STEP),
            bodies: target(retention.bodies, kept.bodies, STEP),
        };
        // A receipt without its block cannot be shown.
        let goal = Kept { receipts: goal.receipts.max(goal.bodies), ..goal };
        if goal == kept {
            return Ok(Pruned::default());
        }
        inner.note(inner.prune_to(kept, goal))?;
        Ok(Pruned {
            states: goal.state.saturating_sub(kept.state),
            receipts: goal.receipts.saturating_sub(kept.receipts),
            bodies: goal.bodies.saturating_sub(kept.bodies),
        })
    }
}

impl Inner {
    fn prune_to(&self, kept: Kept, goal: Kept) -> Result<(), StoreError> {
        let mut marks = WriteBatch::default();
        let meta = self.family(META)?;
        marks.put_cf(meta, META_KEPT_FROM, height_key(goal.state));
        marks.put_cf(meta, META_RECEIPTS_FROM, height_key(goal.receipts));
        marks.put_cf(meta, META_BODIES_FROM, height_key(goal.bodies));
        self.db.write(marks)?;
        self.chain.write().kept = goal;
        if goal.state > kept.state {
            self.prune_states(kept.state, goal.state)?;
        }
        for height in kept.receipts.max(1)..goal.receipts {
            self.prune_receipts(height)?;
        }
        for height in kept.bodies.max(1)..goal.bodies {
            self.prune_body(height)?;
        }
        Ok(())
    }

    fn prune_receipts(&self, height: u64) -> Result<(), StoreError> {
        let Some(receipts) = self.receipts(height)? else { return Ok(()) };
        let mut batch = WriteBatch::default();
        self.unindex_logs(&mut batch, height, &receipts)?;
        batch.delete_cf(self.family(RECEIPTS)?, height_key(height));
        self.receipts.lock().pop(&height);
        Ok(self.db.write(batch)?)
    }

    fn prune_body(&self, height: u64) -> Result<(), StoreError> {
        let Some(body) = self.get(BODIES, &height_key(height))? else { return Ok(()) };
        let mut batch = WriteBatch::default();
        let transactions = self.family(TRANSACTIONS)?;
        for hash in codec::decode_body(&body)?.transactions.iter().map(OpTxEnvelope::tx_hash) {
            batch.delete_cf(transactions, hash);
        }
        batch.delete_cf(self.family(BODIES)?, height_key(height));
        batch.delete_cf(self.family(SENDERS)?, height_key(height));
        batch.delete_cf(self.family(CERTIFICATES)?, height_key(height));
        self.blocks.lock().pop(&height);
        Ok(self.db.write(batch)?)
    }

    /// Drops what only the states from `kept` up to before `goal` need. Of every key that changed in between, the newest
    /// entry at or before `goal` answers for it from now on.
    fn prune_states(&self, kept: u64, goal: u64) -> Result<(), StoreError> {
        let mut changed: BTreeMap<B256, Slots> = BTreeMap::new();
        for height in kept.saturating_add(1)..=goal {
            let Some(diff) = self.get(DIFFS, &height_key(height))? else {
                return self.prune_all_history(goal);
            };
            for (address, change) in codec::decode_diff(&diff)?.accounts {
                let slots = changed.entry(keccak256(address)).or_default();
                slots.all |= change.storage_wiped || change.account.is_none_or(|account| account.is_empty());
                slots.some.extend(change.storage.keys().map(keccak256));
            }
        }
        let mut batch = WriteBatch::default();
        for (account, slots) in &changed {
            self.supersede(&mut batch, ACCOUNT_HISTORY, &account_history_key(account, 0), HEIGHT_BYTES, goal)?;
            if slots.all {
                let first = storage_history_key(account, &B256::ZERO, 0);
                self.supersede(&mut batch, STORAGE_HISTORY, &first, HEIGHT_BYTES.saturating_add(32), goal)?;
            } else {
                for slot in &slots.some {
                    let first = storage_history_key(account, slot, 0);
                    self.supersede(&mut batch, STORAGE_HISTORY, &first, HEIGHT_BYTES, goal)?;
                }
            }
        }
        let diffs = self.family(DIFFS)?;
        (kept..=goal).for_each(|height| batch.delete_cf(diffs, height_key(height)));
        Ok(self.db.write(batch)?)
    }

    fn prune_all_history(&self, goal: u64) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        self.supersede(&mut batch, ACCOUNT_HISTORY, &[], 0, goal)?;
        self.supersede(&mut batch, STORAGE_HISTORY, &[], 0, goal)?;
        Ok(self.db.write(batch)?)
    }

    /// Drops the entries whose keys begin as `first` does (without its last `open` bytes) and which a newer entry of the
    /// same key at or before `goal` supersedes; also such a newest entry that says "nothing", as no entry does.
    fn supersede(
        &self,
        batch: &mut WriteBatch,
        family: &'static str,
        first: &[u8],
        open: usize,
        goal: u64,
    ) -> Result<(), StoreError> {
        let handle = self.family(family)?;
        let prefix = first.get(..first.len().saturating_sub(open)).unwrap_or_default();
        let mut cursor = self.db.raw_iterator_cf(handle);
        cursor.seek(first);
        // The newest entry so far of the key at hand, and whether it says "nothing".
        let mut newest: Option<(Vec<u8>, bool)> = None;
        while let Some((key, value)) = cursor.item().filter(|(key, _)| key.starts_with(prefix)) {
            let (subject, height) = key
                .split_last_chunk::<HEIGHT_BYTES>()
                .ok_or_else(|| StoreError::Corrupt("a history key is too short".into()))?;
            let same = newest.as_ref().is_some_and(|(old, _)| old.starts_with(subject));
            let counts = read_u64(height)? <= goal;
            if counts || !same {
                let found = counts.then(|| (key.to_vec(), value.is_empty()));
                if let Some((old, nothing)) = std::mem::replace(&mut newest, found)
                    && (same || nothing)
                {
                    batch.delete_cf(handle, old);
                }
            }
            if batch.len() >= RUN {
                self.db.write(std::mem::take(batch))?;
            }
            cursor.next();
        }
        cursor.status()?;
        if let Some((last, true)) = newest {
            batch.delete_cf(handle, last);
        }
        Ok(())
    }
}

/// Which slots of an account changed.
#[derive(Default)]
struct Slots {
    some: std::collections::BTreeSet<B256>,
    all: bool,
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use alloy_consensus::Header;
    use alloy_primitives::{Address, KECCAK256_EMPTY};
    use protocol::{
        Block,
        state::{Account, AccountDiff, StateCommitment as _, StateDiff},
    };

    use super::*;
    use crate::{CommittedBlock, EmptyState, Retention};

    fn block(store: Option<&Store>, nonce: u64) -> CommittedBlock {
        let account = Account { nonce, balance: Default::default(), code_hash: KECCAK256_EMPTY };
        let change = AccountDiff { account: Some(account), ..AccountDiff::default() };
        let diff = StateDiff { accounts: [(Address::ZERO, change)].into(), ..StateDiff::default() };
        let (parent_hash, number, roots) = match store {
            None => (B256::ZERO, 0, EmptyState.roots_after(&diff)),
            Some(store) => (store.heads().latest.hash, nonce, store.roots_after(&diff)),
        };
        let header = Header { number, parent_hash, state_root: roots.unwrap().state_root, ..Header::default() };
        let block = Block::new(header, Default::default());
        CommittedBlock { block, senders: Vec::new(), receipts: Vec::new(), diff, certificate: None }
    }

    /// A node that kept everything is told to keep little: one call walks all history, for long on a large database.
    #[test]
    fn pruning_settling_and_committing_do_not_wait_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let config =
            StoreConfig { settle_blocks: 2, max_unsettled_blocks: 8, proof_window: 4, ..StoreConfig::default() };
        let CommittedBlock { block: genesis, diff, .. } = block(None, 0);
        let store = Store::create(folder.path(), &genesis, &diff, &config).unwrap();
        let commit = |store: &Store, heights: std::ops::RangeInclusive<u64>| {
            for height in heights {
                store.commit_block(&block(Some(store), height)).unwrap();
            }
        };
        commit(&store, 1..=40);
        store.set_safe(40).unwrap();
        store.set_finalized(40).unwrap();
        drop(store);
        let retention = Retention { state: Some(5), ..Retention::default() };
        let store =
            Store::open(folder.path(), genesis.header.hash_slow(), &StoreConfig { retention, ..config }).unwrap();
        let (done, steps) = mpsc::channel();
        {
            let _settling = store.inner().settle.lock();
            let (store, done) = (store.clone(), done.clone());
            std::thread::spawn(move || done.send(store.prune().unwrap().states));
            assert!(steps.recv_timeout(Duration::from_secs(20)).expect("pruning waits for settling") > 20);
        }
        let _pruning = store.inner().pruning.lock();
        let committing = store.clone();
        std::thread::spawn(move || {
            commit(&committing, 41..=80);
            done.send(committing.heads().latest.height)
        });
        assert_eq!(steps.recv_timeout(Duration::from_secs(20)).expect("a commit waits for pruning"), 80);
    }
}
