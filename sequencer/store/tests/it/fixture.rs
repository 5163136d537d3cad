//! Chains of small blocks that follow from a seed, and the naive model of their states.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{BlockBody, Header, Receipt, ReceiptWithBloom};
use alloy_primitives::{Address, B256, Bloom, Bytes, KECCAK256_EMPTY, Log, LogData, Sealed, TxKind, U256, keccak256};
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope, TxDeposit};
use protocol::{
    Block,
    state::{Account, AccountDiff, StateDiff},
};
use store::{CommittedBlock, Store, StoreConfig};

/// Settles often and flushes early, so that a few blocks pass through everything.
pub(crate) fn config() -> StoreConfig {
    StoreConfig { settle_blocks: 3, recent_states: 2, write_buffer_bytes: 1 << 20, ..StoreConfig::default() }
}

pub(crate) fn address(name: u8) -> Address {
    Address::repeat_byte(name)
}

pub(crate) fn slot(name: u8) -> B256 {
    B256::with_last_byte(name)
}

pub(crate) fn plain(nonce: u64, balance: u64) -> Account {
    Account { nonce, balance: U256::from(balance), code_hash: KECCAK256_EMPTY }
}

pub(crate) fn genesis_diff() -> StateDiff {
    let code = Bytes::from_static(b"\x60\x00");
    let contract = Account { code_hash: keccak256(&code), ..plain(1, 0) };
    let storage = (0..4).map(|name| (slot(name), U256::from(name + 1))).collect();
    let accounts = [
        (address(0), AccountDiff { account: Some(plain(0, 1000)), ..AccountDiff::default() }),
        (address(1), AccountDiff { account: Some(contract), storage, storage_wiped: false }),
    ];
    StateDiff { accounts: accounts.into(), code: [(contract.code_hash, code)].into() }
}

/// Genesis of a chain; the tag makes chains differ.
pub(crate) fn genesis(diff: &StateDiff, tag: u8) -> Block {
    let mut block = Block::new(
        Header { extra_data: Bytes::from(vec![tag]), ..full_header() },
        BlockBody { transactions: Vec::new(), ommers: Vec::new(), withdrawals: Some(Default::default()) },
    );
    // The only way to a root from outside is a store's refusal or candidate; a scratch store has neither yet.
    let scratch = tempfile::tempdir().unwrap();
    match Store::create(scratch.path(), &block, diff, &config()) {
        Err(store::StoreError::WrongRoot { computed, .. }) => block.header.state_root = computed,
        other => panic!("an unset root must be refused, got {other:?}"),
    }
    block
}

pub(crate) fn create(path: &std::path::Path) -> (Store, B256) {
    let diff = genesis_diff();
    let block = genesis(&diff, 0);
    (Store::create(path, &block, &diff, &config()).unwrap(), block.header.hash_slow())
}

/// A header with every field of the present fork: RLP cannot skip one before another.
fn full_header() -> Header {
    Header {
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(alloy_trie::EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(alloy_consensus::constants::EMPTY_WITHDRAWALS),
        ..Header::default()
    }
}

/// The head block's header.
pub(crate) fn head(store: &Store) -> Arc<Sealed<Header>> {
    store.header(store.heads().latest.height).unwrap().unwrap()
}

/// The next block with this diff: one deposit transaction for each of `logs`, which it emits.
pub(crate) fn next_block(store: &Store, diff: StateDiff, logs: &[Vec<Log>]) -> CommittedBlock {
    let parent = head(store);
    let roots = store.candidate(&diff).roots();
    let mut transactions = Vec::new();
    let mut senders = Vec::new();
    let mut receipts = Vec::new();
    let mut block_bloom = Bloom::ZERO;
    for (index, logs) in logs.iter().enumerate() {
        let source_hash = keccak256([&parent.hash()[..], &[u8::try_from(index).unwrap()]].concat());
        transactions.push(OpTxEnvelope::from(TxDeposit {
            source_hash,
            to: TxKind::Call(address(9)),
            ..TxDeposit::default()
        }));
        // Not what the transaction itself says: it must come from where it was stored.
        senders.push(Address::from_word(source_hash));
        let logs_bloom = alloy_primitives::logs_bloom(logs);
        block_bloom.accrue_bloom(&logs_bloom);
        let cumulative_gas_used = 21_000 * (index as u64 + 1) + index as u64;
        let receipt = Receipt { status: true.into(), cumulative_gas_used, logs: logs.clone() };
        receipts.push(OpReceiptEnvelope::Eip1559(ReceiptWithBloom { receipt, logs_bloom }));
    }
    let header = Header {
        parent_hash: parent.hash(),
        number: parent.number + 1,
        state_root: roots.state_root,
        withdrawals_root: Some(roots.withdrawals_root),
        logs_bloom: block_bloom,
        timestamp: 1_000 + parent.number,
        ..full_header()
    };
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Default::default()) };
    CommittedBlock { block: Block::new(header, body), senders, receipts, diff, certificate: None }
}

pub(crate) fn log(emitter: u8, topics: &[u8]) -> Log {
    let topics = topics.iter().map(|topic| B256::repeat_byte(*topic)).collect();
    Log { address: address(emitter), data: LogData::new_unchecked(topics, Bytes::from_static(b"data")) }
}

/// One state, kept naively.
pub(crate) type Model = BTreeMap<Address, (Account, BTreeMap<B256, U256>)>;

pub(crate) fn apply(model: &mut Model, diff: &StateDiff) {
    for (address, change) in &diff.accounts {
        let Some(account) = change.account.filter(|account| !account.is_empty()) else {
            model.remove(address);
            continue;
        };
        let entry = model.entry(*address).or_default();
        entry.0 = account;
        if change.storage_wiped {
            entry.1.clear();
        }
        entry.1.extend(change.storage.iter().map(|(slot, value)| (*slot, *value)));
    }
}

/// A change that follows from the height alone, so that a parent and a child process agree on it.
pub(crate) fn diff_of(height: u64) -> StateDiff {
    let noise = keccak256(height.to_be_bytes());
    let mut diff = StateDiff::default();
    for (index, byte) in noise.iter().take(6).enumerate() {
        let name = byte % 10;
        let mut change = AccountDiff { account: Some(plain(height, u64::from(*byte) + 1)), ..AccountDiff::default() };
        for storage in noise.iter().skip(index * 3).take(4) {
            change.storage.insert(slot(storage % 8), U256::from(storage / 64));
        }
        change.storage_wiped = noise.0[31 - index].is_multiple_of(16);
        if noise.0[20 + index].is_multiple_of(11) {
            change = AccountDiff::default();
        }
        diff.accounts.insert(address(name), change);
    }
    diff
}
