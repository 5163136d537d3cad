//! States of the past against a naive model, while blocks settle, after reopening, after pruning.

use alloy_primitives::U256;
use proptest::prelude::*;
use protocol::{
    Height,
    state::{AccountDiff, StateCommitment, StateDiff, StateReader},
};
use store::{Retention, Store, StoreConfig, StoreError};

use crate::fixture::{Model, address, apply, config, create, genesis_diff, head, next_block, plain, slot};

fn diff() -> impl Strategy<Value = StateDiff> {
    let storage = proptest::collection::btree_map(0_u8..5, 0_u64..3, 0..5);
    let change = (proptest::option::weighted(0.85, (0_u64..4, 0_u64..4)), storage, proptest::bool::weighted(0.15));
    proptest::collection::btree_map(0_u8..6, change, 0..5).prop_map(|accounts| {
        let accounts = accounts.into_iter().map(|(name, (account, storage, storage_wiped))| {
            let storage = storage.into_iter().map(|(key, value)| (slot(key), U256::from(value))).collect();
            let account = account.map(|(nonce, balance)| plain(nonce, balance));
            (address(name), AccountDiff { account, storage, storage_wiped })
        });
        StateDiff { accounts: accounts.collect(), ..StateDiff::default() }
    })
}

fn check(store: &Store, models: &[Model], from: usize) -> Result<(), TestCaseError> {
    for (height, model) in models.iter().enumerate().skip(from) {
        let view = store.state_at(height as u64).unwrap();
        for name in 0..6 {
            let expected = model.get(&address(name));
            prop_assert_eq!(view.account(&address(name)).unwrap(), expected.map(|(account, _)| *account));
            for key in 0..5 {
                let expected = expected.and_then(|(_, storage)| storage.get(&slot(key)).copied()).unwrap_or_default();
                let found = view.storage(&address(name), &slot(key)).unwrap();
                prop_assert_eq!(found, expected, "height {} account {} slot {}", height, name, key);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_height_reads_as_it_was(diffs in proptest::collection::vec(diff(), 1..16), prune in 0.0..1.0_f64) {
        let folder = tempfile::tempdir().unwrap();
        let (store, genesis) = create(folder.path());
        let mut models = vec![Model::new()];
        apply(&mut models[0], &genesis_diff());
        let mut blocks = Vec::new();
        for diff in diffs {
            let block = next_block(&store, diff, &[]);
            let mut model = models.last().unwrap().clone();
            apply(&mut model, &block.diff);
            models.push(model);
            store.commit_block(&block).unwrap();
            blocks.push(block);
        }
        check(&store, &models, 0)?;
        drop(store);
        let store = Store::open(folder.path(), genesis, &config()).unwrap();
        check(&store, &models, 0)?;

        // Proofs exist at every height, and carry the root of that height's header.
        for (height, model) in models.iter().enumerate() {
            let header = store.header(height as u64).unwrap().unwrap();
            let slots = [slot(0), slot(3)];
            let proof = store.proof(height as u64, address(1), &slots).unwrap();
            prop_assert_eq!(proof.account, model.get(&address(1)).map(|(account, _)| *account));
            let leaf = proof.account.map(|account| alloy_rlp::encode(alloy_trie::TrieAccount {
                nonce: account.nonce,
                balance: account.balance,
                storage_root: proof.storage_root,
                code_hash: account.code_hash,
            }));
            let path = |key: &[u8]| alloy_trie::Nibbles::unpack(alloy_primitives::keccak256(key));
            alloy_trie::proof::verify_proof(header.state_root, path(address(1).as_slice()), leaf, &proof.proof).unwrap();
            for storage in &proof.storage {
                let leaf = (!storage.value.is_zero()).then(|| alloy_rlp::encode(storage.value));
                let path = path(storage.slot.as_slice());
                alloy_trie::proof::verify_proof(proof.storage_root, path, leaf, &storage.proof).unwrap();
            }
        }

        let latest = store.heads().latest.height;
        let wanted = (prune * latest as f64) as u64;
        store.set_safe(latest).unwrap();
        store.set_finalized(latest).unwrap();
        drop(store);
        let retention = Retention { state: Some(latest - wanted), ..Retention::default() };
        let store = Store::open(folder.path(), genesis, &StoreConfig { retention, ..config() }).unwrap();
        while !store.prune().unwrap().is_empty() {}
        // Blocks that are not settled yet stay a little longer.
        let from = store.kept_from();
        prop_assert!(from <= wanted && from + 3 >= wanted);
        check(&store, &models, usize::try_from(from).unwrap())?;
        if from > 0 {
            let refused = store.state_at(from - 1).map(|view| view.height());
            prop_assert_eq!(refused, Err(StoreError::Pruned { height: from - 1, kept_from: from }));
        }
    }
}

#[test]
fn candidates_leave_the_head_alone_and_only_one_is_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = create(folder.path());
    let pay = |balance| StateDiff {
        accounts: [(address(3), AccountDiff { account: Some(plain(0, balance)), ..AccountDiff::default() })].into(),
        ..StateDiff::default()
    };
    let before = head(&store).state_root;
    let roots = [1, 2, 3].map(|balance| store.roots_after(&pay(balance)).unwrap().state_root);
    assert_ne!(roots[0], roots[1]);
    assert_eq!(head(&store).state_root, before);
    assert_eq!(store.latest_state().account(&address(3)).unwrap(), None);
    let block = next_block(&store, pay(2), &[]);
    // Another diff under the same header is refused although the header's root is remembered.
    let mut swapped = block.clone();
    swapped.diff = pay(3);
    assert!(matches!(store.commit_block(&swapped), Err(StoreError::WrongRoot { .. })));
    let held = store.latest_state();
    store.commit_block(&block).unwrap();
    assert_eq!(head(&store).state_root, roots[1]);
    assert_eq!(store.latest_state().account(&address(3)).unwrap(), Some(plain(0, 2)));
    assert_eq!(held.account(&address(3)).unwrap(), None, "a view does not move");
    assert_eq!(store.certificate(Height(1)).unwrap(), None);
}

#[test]
fn views_stay_consistent_while_blocks_are_committed() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = create(folder.path());
    const LAST: u64 = 60;
    // Both accounts always hold the height: a reader that sees them differ has seen two states.
    let both = |height: u64| {
        let change = AccountDiff { account: Some(plain(height, 1)), ..AccountDiff::default() };
        StateDiff { accounts: [(address(4), change.clone()), (address(5), change)].into(), ..StateDiff::default() }
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while seen < LAST {
                let view = store.latest_state();
                seen = view.height();
                for view in [view, store.state_at(seen / 2).unwrap()] {
                    let nonce = |name| view.account(&address(name)).unwrap().map(|account| account.nonce);
                    let expected = (view.height() > 0).then_some(view.height());
                    assert_eq!((nonce(4), nonce(5)), (expected, expected));
                }
            }
        });
        for height in 1..=LAST {
            store.commit_block(&next_block(&store, both(height), &[])).unwrap();
        }
        reader.join().unwrap();
    });
}
