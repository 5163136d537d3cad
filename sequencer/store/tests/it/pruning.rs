//! Logs through the index against looking at everything, and what pruning drops and keeps.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Log, U256};
use proptest::{collection::vec, prelude::*};
use protocol::state::{AccountDiff, StateDiff, StateReader};
use rocksdb::{DB, IteratorMode, Options};
use store::{CommittedBlock, LogFilter, Retention, Store, StoreConfig, StoreError};

use crate::fixture::{Model, address, apply, config, create, genesis_diff, log, next_block, plain, slot};

fn logs() -> impl Strategy<Value = Vec<Vec<Log>>> {
    let one = (0_u8..4, vec(0_u8..4, 0..4)).prop_map(|(emitter, topics)| log(emitter, &topics));
    vec(vec(one, 0..3), 0..3)
}

fn filter(last: u64) -> impl Strategy<Value = LogFilter> {
    let topics = || vec((0_u8..5).prop_map(B256::repeat_byte), 0..3);
    let range = (0..=last, 0..=last + 2);
    (range, vec((0_u8..5).prop_map(address), 0..3), [topics(), topics(), topics(), topics()]).prop_map(
        |((from, to), addresses, topics)| {
            // Topic 4 of a filter is rare in the logs: let most filters find something.
            let topics = if from % 2 == 0 { [topics[0].clone(), vec![], vec![], vec![]] } else { topics };
            LogFilter { from, to, addresses, topics }
        },
    )
}

/// Height, transaction, log index and log of everything wanted, by looking at everything.
fn naive(blocks: &[CommittedBlock], filter: &LogFilter) -> Vec<(u64, usize, usize, Log)> {
    let mut found = Vec::new();
    for (height, block) in (1_u64..).zip(blocks) {
        let mut index = 0;
        for (transaction, receipt) in block.receipts.iter().enumerate() {
            for log in receipt.logs() {
                if (filter.from..=filter.to).contains(&height) && filter.matches(log) {
                    found.push((height, transaction, index, log.clone()));
                }
                index += 1;
            }
        }
    }
    found
}

fn found(store: &Store, filter: &LogFilter) -> Vec<(u64, usize, usize, Log)> {
    let logs = store.logs(filter, usize::MAX).unwrap();
    logs.into_iter().map(|log| (log.height, log.transaction_index, log.log_index, log.log)).collect()
}

/// A few accounts and slots change in each block, come and go.
fn diff(height: u64, noise: u8) -> StateDiff {
    let gone = noise.is_multiple_of(7);
    let storage = (0..noise % 4).map(|key| (slot(key), U256::from((height + u64::from(key)) % 3))).collect();
    let change = AccountDiff {
        account: (!gone).then(|| plain(height, 1)),
        storage: if gone { Default::default() } else { storage },
        storage_wiped: noise.is_multiple_of(5),
    };
    StateDiff { accounts: [(address(noise % 6), change)].into(), ..StateDiff::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_index_finds_what_looking_at_everything_finds(
        blocks in vec(logs(), 1..30), filters in vec(filter(30), 12), reopen in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, genesis) = create(folder.path());
        let mut committed = Vec::new();
        for (height, logs) in (1_u64..).zip(blocks) {
            let block = next_block(&store, diff(height, 1), &logs);
            store.commit_block(&block).unwrap();
            committed.push(block);
        }
        if reopen {
            drop(store);
            store = Store::open(folder.path(), genesis, &config()).unwrap();
        }
        for filter in filters {
            prop_assert_eq!(found(&store, &filter), naive(&committed, &filter), "{:?}", filter);
        }
    }

    #[test]
    fn pruning_keeps_what_it_must_and_drops_the_rest(
        noise in vec((any::<u8>(), logs()), 12..60),
        state in 1_u64..20, receipts in 1_u64..10, more_bodies in 0_u64..10,
        archive_first in any::<bool>(),
    ) {
        let bodies = receipts + more_bodies;
        let retention = Retention { state: Some(state), receipts: Some(receipts), bodies: Some(bodies) };
        let pruned = StoreConfig { retention, proof_window: 8, ..config() };
        let folder = tempfile::tempdir().unwrap();
        let (store, genesis) = create(folder.path());
        drop(store);
        // A node that kept everything before is reconfigured half-way.
        let first = if archive_first { StoreConfig { proof_window: 8, ..config() } } else { pruned.clone() };
        let mut store = Store::open(folder.path(), genesis, &first).unwrap();
        let mut models = vec![Model::new()];
        apply(&mut models[0], &genesis_diff());
        let mut blocks = Vec::new();
        let half = noise.len() / 2;
        for (index, (noise, logs)) in noise.into_iter().enumerate() {
            if index == half {
                drop(store);
                store = Store::open(folder.path(), genesis, &pruned).unwrap();
            }
            let block = next_block(&store, diff(index as u64 + 1, noise), &logs);
            let mut model = models.last().unwrap().clone();
            apply(&mut model, &block.diff);
            models.push(model);
            let head = store.commit_block(&block).unwrap();
            blocks.push(block);
            store.set_safe(head.height).unwrap();
            store.set_finalized(head.height).unwrap();
            if index >= half || !archive_first {
                while !store.prune().unwrap().is_empty() {}
            }
        }
        drop(store);
        let store = Store::open(folder.path(), genesis, &pruned).unwrap();
        while !store.prune().unwrap().is_empty() {}
        let latest = blocks.len() as u64;
        // Blocks that are not settled yet may stay a little longer.
        let [from, receipts_from, bodies_from] = store.stats().unwrap().kept_from;
        prop_assert!(from <= latest - state.min(latest) && from + 4 >= latest.saturating_sub(state));
        prop_assert!(bodies_from <= receipts_from && receipts_from + 4 >= latest.saturating_sub(receipts));
        check_states(&store, &models, from);
        check_blocks(&store, &blocks, receipts_from, bodies_from);
        drop(store);
        check_raw(folder.path(), from, receipts_from, bodies_from);
    }
}

fn check_states(store: &Store, models: &[Model], from: u64) {
    for (height, model) in (0_u64..).zip(models) {
        if height < from {
            assert_eq!(
                store.state_at(height).map(|view| view.height()),
                Err(StoreError::Pruned { height, kept_from: from })
            );
            continue;
        }
        let view = store.state_at(height).unwrap();
        for name in 0..6 {
            let expected = model.get(&address(name));
            assert_eq!(view.account(&address(name)).unwrap(), expected.map(|(account, _)| *account), "{height} {name}");
            for key in 0..4 {
                let expected = expected.and_then(|(_, storage)| storage.get(&slot(key)).copied()).unwrap_or_default();
                assert_eq!(view.storage(&address(name), &slot(key)).unwrap(), expected, "{height} {name} {key}");
            }
        }
        // Within the window, states can be proven too; the store compares the root with the header's.
        let oldest = store.oldest();
        let window_from = (models.len() as u64).saturating_sub(7).max(from);
        assert!(oldest.state == from && oldest.proofs <= window_from, "{oldest:?}");
        let proof = store.proof(height, address(1), &[slot(0)]).map(drop);
        let expected = if height < oldest.proofs { Err(StoreError::Unprovable { height }) } else { Ok(()) };
        assert_eq!(proof, expected, "{oldest:?}");
    }
}

fn check_blocks(store: &Store, blocks: &[CommittedBlock], receipts_from: u64, bodies_from: u64) {
    for (height, block) in (1_u64..).zip(blocks) {
        let pruned = |kept_from| StoreError::PrunedHistory { height, kept_from };
        assert_eq!(store.header(height).unwrap().unwrap().inner(), &block.block.header, "headers stay");
        if height < bodies_from {
            assert_eq!(store.block(height).map(drop), Err(pruned(bodies_from)));
        } else {
            assert_eq!(store.block(height).unwrap().unwrap().inner(), &block.block);
            assert_eq!(store.senders(&block.block).unwrap().as_ref(), Some(&block.senders));
        }
        if height < receipts_from {
            assert_eq!(store.receipts(height).map(drop), Err(pruned(receipts_from)));
        } else {
            assert_eq!(*store.receipts(height).unwrap().unwrap(), block.receipts);
        }
        for transaction in &block.block.body.transactions {
            let known = store.transaction(&transaction.tx_hash()).unwrap();
            assert_eq!(known.map(|place| place.height), (height >= bodies_from).then_some(height));
        }
    }
    assert!(store.block(0).unwrap().is_some(), "genesis stays");
    for emitter in 0..4 {
        let wanted =
            LogFilter { from: receipts_from, to: u64::MAX, addresses: vec![address(emitter)], ..Default::default() };
        assert_eq!(found(store, &wanted), naive(blocks, &wanted));
        if receipts_from > 0 {
            let early = LogFilter { from: receipts_from - 1, ..wanted };
            let refused = StoreError::PrunedHistory { height: receipts_from - 1, kept_from: receipts_from };
            assert_eq!(store.logs(&early, 10), Err(refused));
        }
    }
}

/// Nothing is left on disk that no kept height needs.
fn check_raw(path: &std::path::Path, state: u64, receipts: u64, bodies: u64) {
    let options = Options::default();
    let db = DB::open_cf_for_read_only(&options, path, DB::list_cf(&options, path).unwrap(), false).unwrap();
    let entries = |family: &str| -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = db.iterator_cf(db.cf_handle(family).unwrap(), IteratorMode::Start);
        entries.map(|entry| entry.unwrap()).map(|(key, value)| (key.into(), value.into())).collect()
    };
    let height = |key: &[u8]| u64::from_be_bytes(*key.last_chunk().unwrap());
    for family in ["account_history", "storage_history"] {
        let mut old: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for (key, value) in entries(family).into_iter().filter(|(key, _)| height(key) <= state) {
            if state > 0 {
                assert!(!value.is_empty(), "{family}: an entry that says nothing");
            }
            *old.entry(key[..key.len() - 8].to_vec()).or_default() += 1;
        }
        assert!(state == 0 || old.values().all(|count| *count == 1), "{family}: superseded entries are left");
    }
    assert!(entries("log_index").iter().all(|(key, _)| height(key) >= receipts));
    assert!(entries("receipts").iter().all(|(key, _)| height(key) >= receipts || height(key) == 0));
    for family in ["bodies", "senders"] {
        assert!(entries(family).iter().all(|(key, _)| height(key) >= bodies || height(key) == 0), "{family}");
    }
    let located = |value: &[u8]| u64::from_be_bytes(*value.first_chunk().unwrap());
    assert!(entries("transactions").iter().all(|(_, value)| located(value) >= bodies));
}
