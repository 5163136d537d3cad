//! Reading a block of transfers that is not in memory together with its senders: as they are stored, and recovered from the
//! signatures as the peer in the same run.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{hint::black_box, num::NonZeroUsize};

use alloy_consensus::{
    BlockBody, Header, Receipt, ReceiptWithBloom, SignableTransaction, TxEip1559, transaction::SignerRecoverable,
};
use alloy_primitives::{Address, Bloom, Signature, TxKind, U256, keccak256};
use criterion::{Criterion, criterion_group, criterion_main};
use k256::ecdsa::SigningKey;
use op_alloy_consensus::{OpReceiptEnvelope, OpTxEnvelope};
use protocol::{Block, state::StateDiff};
use store::{CommittedBlock, Store, StoreConfig};

/// Transfers in a block, each of a sender of its own.
const TRANSFERS: u64 = 300;

fn header() -> Header {
    Header {
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(alloy_trie::EMPTY_ROOT_HASH),
        state_root: alloy_trie::EMPTY_ROOT_HASH,
        ..Header::default()
    }
}

fn transfer(index: u64) -> (OpTxEnvelope, Address) {
    let key = SigningKey::from_slice(keccak256(index.to_be_bytes()).as_slice()).unwrap();
    let tx = TxEip1559 {
        chain_id: 59_902,
        nonce: index,
        gas_limit: 21_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::from_word(keccak256(index.to_le_bytes()))),
        value: U256::from(10).pow(U256::from(18)),
        ..TxEip1559::default()
    };
    let (signature, parity) = key.sign_prehash_recoverable(tx.signature_hash().as_slice()).unwrap();
    let signature = Signature::from_signature_and_parity(signature, parity.is_y_odd());
    (OpTxEnvelope::Eip1559(tx.into_signed(signature)), Address::from_public_key(key.verifying_key()))
}

fn commit(store: &Store) {
    let parent = store.header(store.heads().latest.height).unwrap().unwrap();
    let number = parent.number + 1;
    let (transactions, senders) = (0..TRANSFERS).map(|index| transfer(number * TRANSFERS + index)).unzip();
    let receipt = |index: u64| {
        let receipt = Receipt { status: true.into(), cumulative_gas_used: 21_000 * (index + 1), logs: Vec::new() };
        OpReceiptEnvelope::Eip1559(ReceiptWithBloom { receipt, logs_bloom: Bloom::ZERO })
    };
    let header = Header { parent_hash: parent.hash(), number, timestamp: number, ..header() };
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Default::default()) };
    let block = Block::new(header, body);
    let receipts = (0..TRANSFERS).map(receipt).collect();
    let committed = CommittedBlock { block, senders, receipts, diff: StateDiff::default(), certificate: None };
    store.commit_block(&committed).unwrap();
}

fn senders(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let genesis = Block::new(header(), BlockBody { withdrawals: Some(Default::default()), ..BlockBody::default() });
    // One block in memory: of two read in turn, each comes from the database.
    let config = StoreConfig { cached_blocks: NonZeroUsize::MIN, ..StoreConfig::default() };
    let store = Store::create(folder.path(), &genesis, &StateDiff::default(), &config).unwrap();
    (0..3).for_each(|_| commit(&store));
    store.compact().unwrap();
    let mut heights = [1, 2].into_iter().cycle();
    let mut next = || store.block(heights.next().unwrap()).unwrap().unwrap();
    let mut group = criterion.benchmark_group("a block of 300 transfers");
    group.sample_size(20);
    group.bench_function("alone", |bencher| bencher.iter(|| black_box(next())));
    group.bench_function("with stored senders", |bencher| {
        bencher.iter(|| {
            let block = next();
            black_box(store.senders(&block).unwrap().unwrap())
        });
    });
    group.bench_function("with recovered senders", |bencher| {
        bencher.iter(|| {
            let block = next();
            let recover = |tx: &OpTxEnvelope| tx.recover_signer().unwrap();
            black_box(block.body.transactions.iter().map(recover).collect::<Vec<_>>())
        });
    });
    group.finish();
}

criterion_group!(benches, senders);
criterion_main!(benches);
