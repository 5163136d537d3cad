//! Finding one account's transfers in busy blocks: through the index, and by the headers' blooms as the peer in the same
//! run; and what the index costs on disk and while settling. `HORAE_BENCH_BLOCKS` sets another length.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::{hint::black_box, time::Instant};

use alloy_consensus::{BlockBody, Header, Receipt, ReceiptWithBloom};
use alloy_primitives::{Address, B256, Bloom, Log, LogData, U256, keccak256};
use criterion::{Criterion, criterion_group, criterion_main};
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope, TxDeposit};
use protocol::{Block, state::StateDiff};
use store::{CommittedBlock, LogFilter, Store, StoreConfig};

/// Token transfers in a block.
const TRANSFERS: u64 = 300;
/// Accounts that transfer.
const ACCOUNTS: u64 = 100_000;
/// `Transfer(address,address,uint256)`, as every token has it.
const TRANSFER: B256 = B256::repeat_byte(0xdd);

fn header() -> Header {
    Header {
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(alloy_trie::EMPTY_ROOT_HASH),
        state_root: alloy_trie::EMPTY_ROOT_HASH,
        ..Header::default()
    }
}

fn account(number: u64) -> B256 {
    Address::from_word(keccak256(number.to_be_bytes())).into_word()
}

fn random(height: u64, index: u64) -> u64 {
    let word = keccak256([height.to_be_bytes(), index.to_be_bytes()].concat());
    U256::from_be_bytes(word.0).wrapping_rem(U256::from(ACCOUNTS)).to()
}

fn block(parent: &Header, hash: B256) -> CommittedBlock {
    let number = parent.number + 1;
    let (mut transactions, mut receipts, mut bloom) = (Vec::new(), Vec::new(), Bloom::ZERO);
    for index in 0..TRANSFERS {
        let topics = vec![TRANSFER, account(random(number, 2 * index)), account(random(number, 2 * index + 1))];
        let data = B256::from(U256::from(number * index)).to_vec().into();
        let logs = vec![Log { address: Address::with_last_byte(1), data: LogData::new_unchecked(topics, data) }];
        let logs_bloom = alloy_primitives::logs_bloom(&logs);
        bloom.accrue_bloom(&logs_bloom);
        let receipt = Receipt { status: true.into(), cumulative_gas_used: 50_000 * (index + 1), logs };
        receipts.push(OpReceiptEnvelope::Eip1559(ReceiptWithBloom { receipt, logs_bloom }));
        let source_hash = keccak256([number.to_be_bytes(), index.to_be_bytes()].concat());
        transactions.push(OpTxEnvelope::from(TxDeposit { source_hash, ..TxDeposit::default() }));
    }
    let header = Header { parent_hash: hash, number, logs_bloom: bloom, timestamp: number, ..header() };
    let senders = vec![Address::ZERO; transactions.len()];
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Default::default()) };
    let block = Block::new(header, body);
    CommittedBlock { block, senders, receipts, diff: StateDiff::default(), certificate: None }
}

/// What a node without an index does.
fn by_blooms(store: &Store, filter: &LogFilter) -> usize {
    let mut found = 0;
    for height in filter.from..=filter.to.min(store.heads().latest.height) {
        if filter.may_match(&store.header(height).unwrap().unwrap().logs_bloom) {
            let receipts = store.receipts(height).unwrap().unwrap();
            found += receipts.iter().flat_map(|receipt| receipt.logs()).filter(|log| filter.matches(log)).count();
        }
    }
    found
}

fn benches(criterion: &mut Criterion) {
    let blocks = std::env::var("HORAE_BENCH_BLOCKS").map_or(1_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let genesis = Block::new(header(), BlockBody { withdrawals: Some(Default::default()), ..BlockBody::default() });
    let store = Store::create(folder.path(), &genesis, &StateDiff::default(), &StoreConfig::default()).unwrap();
    let start = Instant::now();
    for _ in 0..blocks {
        let parent = store.header(store.heads().latest.height).unwrap().unwrap();
        store.commit_block(&block(&parent, parent.hash())).unwrap();
    }
    println!("{blocks} blocks of {TRANSFERS} transfers committed in {:?}", start.elapsed());
    store.compact().unwrap();
    for family in store.stats().unwrap().families {
        if matches!(family.name, "log_index" | "receipts" | "bodies" | "transactions" | "headers") {
            println!("{}: {} entries, {} bytes", family.name, family.entries, family.bytes);
        }
    }
    let wanted = account(random(blocks / 2, 1));
    let one = LogFilter {
        from: 0,
        to: u64::MAX,
        addresses: vec![Address::with_last_byte(1)],
        topics: [vec![TRANSFER], vec![], vec![wanted], vec![]],
    };
    assert_eq!(store.logs(&one, usize::MAX).unwrap().len(), by_blooms(&store, &one));
    criterion.bench_function("one account's transfers, by the index", |bencher| {
        bencher.iter(|| black_box(store.logs(&one, usize::MAX).unwrap()));
    });
    criterion.bench_function("one account's transfers, by blooms", |bencher| {
        bencher.iter(|| black_box(by_blooms(&store, &one)));
    });
}

criterion_group! {
    name = logs;
    config = Criterion::default().sample_size(10);
    targets = benches
}
criterion_main!(logs);
