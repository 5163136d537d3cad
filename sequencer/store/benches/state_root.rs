//! State root after 1,000 of a million accounts changed, against rebuilding with `HashBuilder` in the same run, and
//! the latency of committing a block. `HORAE_BENCH_ACCOUNTS` sets another size.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::{collections::BTreeMap, hint::black_box, time::Instant};

use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount};
use criterion::{Criterion, criterion_group, criterion_main};
use protocol::{
    Block,
    state::{Account, AccountDiff, StateDiff},
};
use store::{CommittedBlock, Store, StoreConfig, StoreError};

const CHANGED: u64 = 1_000;

fn address(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn diff(indexes: impl Iterator<Item = u64>, balance: u64) -> StateDiff {
    let accounts = indexes.map(|index| {
        let account = Account { nonce: 1, balance: U256::from(balance), code_hash: KECCAK256_EMPTY };
        (address(index), AccountDiff { account: Some(account), ..AccountDiff::default() })
    });
    StateDiff { accounts: accounts.collect(), ..StateDiff::default() }
}

fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4 / 1024
}

fn create(path: &std::path::Path, accounts: u64) -> (Store, B256) {
    let state = diff(0..accounts, 1);
    let mut genesis =
        Block::new(Header::default(), BlockBody { withdrawals: Some(Default::default()), ..Default::default() });
    let refused = Store::create(path, &genesis, &state, &StoreConfig::default());
    let Err(StoreError::WrongRoot { computed, .. }) = refused else { panic!("an unset root must be refused") };
    genesis.header.state_root = computed;
    let hash = genesis.header.hash_slow();
    (Store::create(path, &genesis, &state, &StoreConfig::default()).unwrap(), hash)
}

fn commit(store: &Store, state: StateDiff) -> std::time::Duration {
    let parent = store.header(store.heads().latest.height).unwrap().unwrap();
    let roots = store.candidate(&state).roots();
    let header = Header {
        parent_hash: parent.hash(),
        number: parent.number + 1,
        state_root: roots.state_root,
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(roots.withdrawals_root),
        ..Header::default()
    };
    let block = Block::new(header, BlockBody { withdrawals: Some(Default::default()), ..Default::default() });
    let committed = CommittedBlock { block, senders: Vec::new(), receipts: Vec::new(), diff: state, certificate: None };
    let start = Instant::now();
    store.commit_block(&committed).unwrap();
    start.elapsed()
}

fn hash_builder(leaves: &BTreeMap<B256, Vec<u8>>) -> B256 {
    let mut builder = HashBuilder::default();
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    builder.root()
}

fn state_root(criterion: &mut Criterion) {
    let accounts: u64 = std::env::var("HORAE_BENCH_ACCOUNTS").map_or(1_000_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (store, hash) = create(folder.path(), accounts);
    drop(store);
    let before = resident_mib();
    let start = Instant::now();
    let store = Store::open(folder.path(), hash, &StoreConfig::default()).unwrap();
    println!("open with {accounts} accounts: {:?}, resident {before} -> {} MiB", start.elapsed(), resident_mib());

    let step = accounts / CHANGED;
    let mut latencies: Vec<_> = (0..200)
        .map(|round| commit(&store, diff((0..CHANGED).map(|index| index * step + round % step), 2 + round)))
        .collect();
    latencies.sort();
    println!("commit of {CHANGED} accounts: p50 {:?} p99 {:?} (root known, one sync)", latencies[100], latencies[198]);

    let mut group = criterion.benchmark_group("1000 changed accounts");
    group.sample_size(10);
    let mut balance = 1_000;
    group.bench_function("incremental", |bencher| {
        bencher.iter_with_setup(
            || {
                balance += 1;
                diff((0..CHANGED).map(|index| index * step + balance % step), balance)
            },
            |changed| black_box(store.candidate(&changed).roots()),
        );
    });
    let leaf =
        TrieAccount { nonce: 1, balance: U256::from(1), storage_root: EMPTY_ROOT_HASH, code_hash: KECCAK256_EMPTY };
    let leaf = alloy_rlp::encode(leaf);
    let leaves: BTreeMap<_, _> = (0..accounts).map(|index| (keccak256(address(index)), leaf.clone())).collect();
    group.bench_function("HashBuilder rebuild", |bencher| bencher.iter(|| black_box(hash_builder(&leaves))));
    group.finish();
}

criterion_group!(benches, state_root);
criterion_main!(benches);
