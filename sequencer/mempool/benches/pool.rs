//! Adding to and walking a pool of 10,000 transactions.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{collections::HashMap, hint::black_box};

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Address, Signature, TxKind, U256, keccak256};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use mempool::{AccountUpdate, AccountView, Incoming, Limits, Origin, Pool, PoolEnv, SenderCode};
use op_alloy_consensus::OpTxEnvelope;
use protocol::RecoveredTx;

const SENDERS: u64 = 2_500;
const POOLED: u64 = 10_000;
const BASE_FEE: u64 = 1_000;
/// A transfer's share of L1 data, in millionths of a byte.
const DATA_SIZE: u64 = 100_000_000;

fn sender(id: u64) -> Address {
    Address::from_word(keccak256(id.to_be_bytes()))
}

fn transaction(id: u64, nonce: u64, tip: u64) -> RecoveredTx {
    let tx = TxEip1559 {
        chain_id: 42,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000,
        max_priority_fee_per_gas: u128::from(tip),
        to: TxKind::Call(Address::ZERO),
        ..TxEip1559::default()
    };
    let envelope: OpTxEnvelope = tx.into_signed(Signature::test_signature()).into();
    let encoded = envelope.encoded_2718();
    let hash = keccak256([&encoded[..], sender(id).as_slice()].concat());
    RecoveredTx { envelope, sender: sender(id), hash, encoded: encoded.into() }
}

/// Pseudo-random tips, the same in every run.
fn tip(id: u64, nonce: u64) -> u64 {
    1 + id.wrapping_mul(7_919).wrapping_add(nonce.wrapping_mul(104_729)) % 10_007
}

fn add(pool: &mut Pool, tx: RecoveredTx) {
    let account = AccountView { nonce: 0, balance: U256::MAX, code: SenderCode::Empty };
    let env = PoolEnv { chain_id: 42, min_base_fee: 1, block_gas_limit: 30_000_000, min_tip: 1 };
    pool.add(Incoming::new(tx, DATA_SIZE), &account, &env, 0, Origin::Remote).unwrap();
}

fn transactions() -> Vec<RecoveredTx> {
    let per_sender = POOLED / SENDERS;
    (0..per_sender).flat_map(|nonce| (0..SENDERS).map(move |id| transaction(id, nonce, tip(id, nonce)))).collect()
}

fn filled(limits: Limits) -> Pool {
    let mut pool = Pool::new(limits, BASE_FEE);
    for tx in transactions() {
        add(&mut pool, tx);
    }
    pool
}

fn benches(criterion: &mut Criterion) {
    let all = transactions();
    criterion.bench_function("fill with 10,000", |bencher| {
        bencher.iter_batched(
            || all.clone(),
            |all| {
                let mut pool = Pool::new(Limits::default(), BASE_FEE);
                for tx in all {
                    add(&mut pool, tx);
                }
                pool
            },
            BatchSize::LargeInput,
        );
    });
    let mut full = filled(Limits::default());
    let mut next = SENDERS;
    criterion.bench_function("add to a full pool, evicting", |bencher| {
        bencher.iter_batched(
            || {
                next += 1;
                transaction(next, 0, 20_000 + next)
            },
            |tx| add(&mut full, tx),
            BatchSize::SmallInput,
        );
    });
    let pool = filled(Limits::default());
    criterion.bench_function("take a snapshot of 2,500 senders", |bencher| {
        bencher.iter(|| black_box(pool.best(BASE_FEE)));
    });
    criterion.bench_function("snapshot and walk 1,000", |bencher| {
        bencher.iter(|| pool.best_after(BASE_FEE, &HashMap::new()).take(1_000).count());
    });
    criterion.bench_function("snapshot and walk 10,000", |bencher| {
        bencher.iter(|| assert_eq!(pool.best(BASE_FEE).count() as u64, POOLED));
    });
    let updates: Vec<AccountUpdate> = (0..1_000)
        .map(|id| AccountUpdate { address: sender(id), nonce: 1, balance: U256::MAX, is_delegated: false })
        .collect();
    criterion.bench_function("block with 1,000 senders, new base fee", |bencher| {
        bencher.iter_batched(
            || filled(Limits::default()),
            |mut pool| (pool.on_block(&updates, BASE_FEE + 1, 0), pool),
            BatchSize::LargeInput,
        );
    });
}

fn fees(criterion: &mut Criterion) {
    let mut pool = filled(Limits::default());
    let mut rate = 0_u64;
    criterion.bench_function("L1 data rate rises", |bencher| {
        bencher.iter(|| {
            rate += 1;
            assert!(pool.reprice(U256::from(rate)).is_empty());
        });
    });
}

criterion_group! {
    name = pool;
    config = Criterion::default().sample_size(20);
    targets = benches, fees
}
criterion_main!(pool);
