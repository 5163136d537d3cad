//! What a transaction costs on one core: executing it in a block, and recovering its sender.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a bench may panic")]

use std::{collections::BTreeMap, hint::black_box, sync::Arc, time::Duration};

use alloy_consensus::{Header, SignableTransaction, TxEip1559, crypto::secp256k1};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Sealed, Signature, TxKind, U256, hex, keccak256};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use execution::{BlockBuilder, ChainConfig, CodeCache, memory::MemoryState, recover};
use k256::ecdsa::{SigningKey, VerifyingKey};
use op_alloy_consensus::OpTxEnvelope;
use protocol::{
    BlockAttributes, L1Origin, RecoveredTx,
    genesis::Params,
    state::{Account, Roots, StateCommitment, StateDiff, StateError},
};

const CHAIN_ID: u64 = 59_902;
const SENDERS: u64 = 100;
const TRANSACTIONS: u64 = 1_000;
const TOKEN: Address = Address::repeat_byte(0x20);
/// An ERC-20's transfer without its dispatch: two hashed balances read and written, one event.
const TOKEN_CODE: [u8; 84] = hex!(
    "335f525f60205260405f208054602435900390556004355f5260405f20805460243501905560"
    "24355f52600435337fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef60205fa300"
);

/// Roots are the store's work, measured there.
struct NoRoots;

impl StateCommitment for NoRoots {
    fn roots_after(&self, _diff: &StateDiff) -> Result<Roots, StateError> {
        Ok(Roots { state_root: B256::ZERO, withdrawals_root: B256::ZERO })
    }
}

fn key(index: u64) -> SigningKey {
    SigningKey::from_slice(keccak256(index.to_be_bytes()).as_slice()).expect("a valid key")
}

fn sign(key: &SigningKey, tx: TxEip1559) -> RecoveredTx {
    let (signature, parity) = key.sign_prehash_recoverable(tx.signature_hash().as_slice()).expect("signs");
    let signature = Signature::from_signature_and_parity(signature, parity.is_y_odd());
    let envelope = OpTxEnvelope::Eip1559(tx.into_signed(signature));
    recover(&envelope.encoded_2718(), CHAIN_ID).expect("valid")
}

fn transactions(make: impl Fn(u64) -> (Address, U256, Bytes)) -> Vec<RecoveredTx> {
    let keys: Vec<_> = (0..SENDERS).map(key).collect();
    let sign_one = |index: u64| {
        let (to, value, input) = make(index);
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: index / SENDERS,
            gas_limit: 100_000,
            max_fee_per_gas: 10_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value,
            input,
            ..TxEip1559::default()
        };
        sign(&keys[(index % SENDERS) as usize], tx)
    };
    (0..TRANSACTIONS).map(sign_one).collect()
}

fn state() -> MemoryState {
    let mut state = MemoryState::default();
    let rich = Account { balance: U256::from(10).pow(U256::from(24)), ..Account::default() };
    for index in 0..SENDERS {
        state.accounts.insert(Address::from_public_key(key(index).verifying_key()), (rich, BTreeMap::new()));
    }
    let code = Bytes::from_static(&TOKEN_CODE);
    let token = Account { nonce: 1, code_hash: keccak256(&code), ..Account::default() };
    state.code.insert(token.code_hash, code);
    state.accounts.insert(TOKEN, (token, BTreeMap::new()));
    state
}

fn blocks(criterion: &mut Criterion) {
    let params = Params { gas_limit: 1_000_000_000, ..Params::default() };
    let parent = Header { gas_limit: params.gas_limit, base_fee_per_gas: Some(1_000_000_000), ..Header::default() };
    let parent = Sealed::new(parent);
    let config = ChainConfig { chain_id: CHAIN_ID, params, codes: CodeCache::default() };
    let attributes = BlockAttributes {
        timestamp_ms: 1_000,
        leader: Address::ZERO,
        origin: L1Origin::default(),
        sequence_number: 0,
        deposits: Vec::new(),
    };
    let state = Arc::new(state());
    let fresh = |index: u64| Address::from_word(keccak256(index.to_be_bytes()));
    let cases = [
        ("transfers", transactions(|index| (fresh(index), U256::from(1), Bytes::new()))),
        (
            "token transfers",
            transactions(|index| {
                let amount = B256::with_last_byte(1);
                let data = [&hex!("a9059cbb")[..], fresh(index).into_word().as_slice(), amount.as_slice()].concat();
                (TOKEN, U256::ZERO, data.into())
            }),
        ),
    ];
    let open = || BlockBuilder::new(&config, &parent, &attributes, state.clone()).expect("opens");
    let mut group = criterion.benchmark_group("block of 1000");
    group.throughput(Throughput::Elements(TRANSACTIONS)).sample_size(20).measurement_time(Duration::from_secs(4));
    for (name, transactions) in &cases {
        let push_all = |mut builder: BlockBuilder| {
            for tx in transactions {
                let outcome = builder.push(tx).expect("valid");
                assert!(outcome.success);
            }
            builder
        };
        group.bench_function(format!("{name}, execute"), |bench| {
            bench.iter_batched(open, push_all, BatchSize::LargeInput);
        });
        group.bench_function(format!("{name}, close without state root"), |bench| {
            bench.iter_batched(|| push_all(open()), |builder| builder.finish(&NoRoots), BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn recovery(criterion: &mut Criterion) {
    let hash = keccak256("message");
    let (pair, parity) = key(1).sign_prehash_recoverable(hash.as_slice()).expect("signs");
    let signature = Signature::from_signature_and_parity(pair, parity.is_y_odd());
    let mut group = criterion.benchmark_group("recover a sender");
    group.bench_function("libsecp256k1", |bench| {
        bench.iter(|| secp256k1::recover_signer(black_box(&signature), black_box(hash)).expect("recovers"));
    });
    // Not through alloy, whose own choice of library follows the features of the whole build.
    group.bench_function("k256", |bench| {
        bench.iter(|| {
            let key = VerifyingKey::recover_from_prehash(black_box(hash.as_slice()), &pair, parity).expect("recovers");
            Address::from_public_key(&key)
        });
    });
    group.finish();
}

criterion_group!(benches, blocks, recovery);
criterion_main!(benches);
