//! The trie against alloy's `HashBuilder`, which shares no code with it.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount, proof::verify_proof};
use proptest::prelude::*;
use protocol::state::{Account, AccountDiff, StateDiff};

use super::{StateTrie, Trie};

fn oracle(leaves: impl IntoIterator<Item = (B256, Vec<u8>)>) -> B256 {
    let sorted: BTreeMap<_, _> = leaves.into_iter().collect();
    let mut builder = HashBuilder::default();
    for (key, value) in sorted {
        builder.add_leaf(Nibbles::unpack(key), &value);
    }
    builder.root()
}

fn storage_oracle(map: &BTreeMap<B256, U256>) -> B256 {
    oracle(map.iter().map(|(key, value)| (*key, alloy_rlp::encode(value))))
}

/// Keys that share long prefixes: zeros but for a few bytes. Deep ones give nodes below 32 bytes.
fn key() -> impl Strategy<Value = B256> {
    let close = proptest::collection::vec((0_usize..32, prop_oneof![0_u8..4, any::<u8>()]), 0..3).prop_map(|bytes| {
        let mut key = B256::ZERO;
        bytes.into_iter().for_each(|(at, byte)| key.0[at] = byte);
        key
    });
    let last = (any::<u8>(), 0_u8..4).prop_map(|(a, b)| {
        let mut key = B256::repeat_byte(0x11);
        key.0[31] = a;
        key.0[30] = b;
        key
    });
    prop_oneof![close, last, any::<[u8; 32]>().prop_map(B256::from)]
}

fn value() -> impl Strategy<Value = U256> {
    prop_oneof![
        3 => Just(U256::ZERO),
        3 => (1_u64..200).prop_map(U256::from),
        2 => any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ]
}

fn apply(trie: &mut Trie<U256>, model: &mut BTreeMap<B256, U256>, key: B256, value: U256) {
    if value.is_zero() {
        trie.remove(&key);
        model.remove(&key);
    } else {
        trie.insert(key, value);
        model.insert(key, value);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn roots_and_proofs_are_those_of_the_hash_builder(
        rounds in proptest::collection::vec(proptest::collection::vec((key(), value()), 0..24), 1..6),
        absent in proptest::collection::vec(key(), 4),
    ) {
        let (mut trie, mut model) = (Trie::default(), BTreeMap::new());
        for round in rounds {
            let (before, before_root) = (trie.clone(), storage_oracle(&model));
            for (key, value) in round {
                apply(&mut trie, &mut model, key, value);
            }
            prop_assert_eq!(trie.root_parallel(), storage_oracle(&model));
            // The clone never notices.
            prop_assert_eq!(before.root(), before_root);
        }
        let mut seen = Vec::new();
        trie.for_each(|key, value| seen.push((*key, *value)));
        prop_assert_eq!(seen, model.clone().into_iter().collect::<Vec<_>>());
        let root = trie.root();
        for key in model.keys().chain(&absent) {
            prop_assert_eq!(trie.get(key), model.get(key));
            let expected = model.get(key).map(alloy_rlp::encode);
            let proof = trie.prove(key);
            prop_assert!(verify_proof(root, Nibbles::unpack(key), expected.clone(), &proof).is_ok());
            // The same proof shows nothing else.
            let other = Some(alloy_rlp::encode(U256::from(0xdead_beef_u64)));
            prop_assert!(verify_proof(root, Nibbles::unpack(key), other, &proof).is_err());
        }
        for key in model.keys() {
            trie.remove(key);
        }
        prop_assert!(trie.is_empty());
        prop_assert_eq!(trie.root(), EMPTY_ROOT_HASH);
    }

    #[test]
    fn the_state_root_is_that_of_the_hash_builder(
        diffs in proptest::collection::vec(proptest::collection::btree_map(0_u8..12, change(), 0..8), 1..8),
    ) {
        let mut trie = StateTrie::default();
        let mut model: BTreeMap<Address, (Account, BTreeMap<B256, U256>)> = BTreeMap::new();
        for accounts in diffs {
            let accounts = accounts.into_iter().map(|(name, change)| (Address::repeat_byte(name), change));
            let diff = StateDiff { accounts: accounts.collect(), ..StateDiff::default() };
            trie = trie.with(&diff);
            for (address, change) in diff.accounts {
                let Some(account) = change.account.filter(|account| !account.is_empty()) else {
                    model.remove(&address);
                    continue;
                };
                let entry = model.entry(address).or_default();
                entry.0 = account;
                if change.storage_wiped {
                    entry.1.clear();
                }
                entry.1.extend(change.storage);
                entry.1.retain(|_, value| !value.is_zero());
            }
            let leaves = model.iter().map(|(address, (account, storage))| {
                let hashed = storage.iter().map(|(slot, value)| (keccak256(slot), *value)).collect();
                let Account { nonce, balance, code_hash } = *account;
                let leaf = TrieAccount { nonce, balance, storage_root: storage_oracle(&hashed), code_hash };
                (keccak256(address), alloy_rlp::encode(leaf))
            });
            prop_assert_eq!(trie.roots().state_root, oracle(leaves));
        }
    }
}

proptest! {
    #[test]
    fn a_range_begins_where_it_is_told_and_ends_at_its_limit(
        entries in proptest::collection::btree_map(key(), 1_u64..9, 0..40),
        from in key(),
        limit in 0_usize..12,
    ) {
        let mut trie = Trie::default();
        entries.iter().for_each(|(key, value)| trie.insert(*key, U256::from(*value)));
        for from in entries.keys().copied().chain([from]) {
            let wanted: Vec<_> = entries.range(from..).take(limit).map(|(key, value)| (*key, U256::from(*value))).collect();
            prop_assert_eq!(trie.range(&from, limit), wanted);
        }
    }
}

fn change() -> impl Strategy<Value = AccountDiff> {
    let account = (0_u64..3, 0_u64..3, any::<bool>()).prop_map(|(nonce, balance, code)| Account {
        nonce,
        balance: U256::from(balance),
        code_hash: if code { keccak256(b"code") } else { KECCAK256_EMPTY },
    });
    let slot = (0_u8..6, prop_oneof![Just(U256::ZERO), (1_u64..9).prop_map(U256::from)]);
    let storage = proptest::collection::vec(slot, 0..6);
    (proptest::option::weighted(0.8, account), storage, proptest::bool::weighted(0.1)).prop_map(
        |(account, storage, storage_wiped)| AccountDiff {
            account,
            storage: storage.into_iter().map(|(slot, value)| (B256::with_last_byte(slot), value)).collect(),
            storage_wiped,
        },
    )
}

#[test]
fn large_changes_hash_the_same_on_several_threads() {
    let accounts = (0..2_000_u64).map(|index| {
        let storage = (0..index % 7).map(|slot| (B256::from(U256::from(slot)), U256::from(index + 1))).collect();
        let account = Account { nonce: index + 1, balance: U256::from(index), code_hash: KECCAK256_EMPTY };
        (
            Address::from_word(keccak256(index.to_be_bytes())),
            AccountDiff { account: Some(account), storage, storage_wiped: false },
        )
    });
    let whole = StateDiff { accounts: accounts.collect(), ..StateDiff::default() };
    let at_once = StateTrie::default().with(&whole).roots();
    let one_by_one = whole.accounts.iter().fold(StateTrie::default(), |trie, (address, change)| {
        trie.with(&StateDiff { accounts: [(*address, change.clone())].into(), ..StateDiff::default() })
    });
    assert_eq!(at_once, one_by_one.roots());
}
