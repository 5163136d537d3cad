//! At the border of a balance: what the pool and the block count must be the same, and when fees move, what no block would
//! take must leave the pool with its reason.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::{Transaction as _, TxEip4844};
use execution::{L1Attributes, l1_data_fee};
use l1::FinalBlock;
use mempool::intrinsic_gas;
use op_alloy_consensus::OpTxEnvelope;
use protocol::{Height, Round};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::open::OpenBlocks;

/// Keys 10 to 209 send one transaction each.
const SENDERS: std::ops::Range<u8> = 10..210;

/// A transaction of any kind with any data, mostly with gas around what it needs at least.
fn draft(random: &mut StdRng, from: u8) -> Draft {
    let mut draft = Draft {
        kind: [0, 1, 2, 4][random.random_range(0..4)],
        from,
        fee_cap: random.random_range(GWEI..100 * GWEI),
        value: U256::from(random.random_range(0..1_000_000_000_000_u64)),
        slots: random.random_range(0..3),
        authorizations: random.random_range(1..4),
        ..Draft::default()
    };
    draft.tip = random.random_range(1..=draft.fee_cap);
    draft.create = draft.kind != 4 && random.random_range(0..5) == 0;
    draft.input = vec![0x5b; random.random_range(0..3_000)];
    if random.random_bool(0.5) {
        random.fill(draft.input.as_mut_slice());
    }
    if draft.create {
        // Stops at once, so that only the balance decides.
        draft.input.insert(0, 0);
    }
    let (needed, floor) = intrinsic_gas(&recover_raw(&draft.raw(), CHAIN).unwrap().envelope);
    draft.gas = needed.max(floor) + [0, 0, 1, 30_000][random.random_range(0..4)];
    draft.gas -= u64::from(random.random_range(0..20) == 0);
    draft
}

fn origin(random: &mut StdRng, number: u64) -> L1Origin {
    L1Origin {
        number,
        base_fee: random.random_range(0..100_000_000_000),
        blob_base_fee: random.random_range(0..10_000_000_000),
        ..L1Origin::default()
    }
}

fn attributes(node: &Node, origin: L1Origin) -> L1Attributes {
    let params = &node.chain.genesis().params;
    L1Attributes {
        origin,
        sequence_number: 0,
        base_fee_scalar: params.l1_base_fee_scalar,
        blob_base_fee_scalar: params.l1_blob_base_fee_scalar,
    }
}

/// What a transaction costs at most, counted apart from the pool and from the block.
fn most(raw: &Bytes, attributes: &L1Attributes) -> U256 {
    let envelope: OpTxEnvelope = recover_raw(raw, CHAIN).unwrap().envelope;
    let gas = U256::from(envelope.gas_limit()) * U256::from(envelope.max_fee_per_gas());
    gas + envelope.value() + l1_data_fee(attributes, raw)
}

/// Senders with one transaction each and a balance about as large as it costs when `origin` is the L1 block.
fn bordering(random: &mut StdRng) -> (Node, BTreeMap<u8, Bytes>) {
    let mut genesis = genesis();
    genesis.origin = origin(random, 9);
    genesis.params.l1_base_fee_scalar = random.random_range(0..100_000);
    genesis.params.l1_blob_base_fee_scalar = random.random_range(0..5_000_000);
    let scalars = (genesis.params.l1_base_fee_scalar, genesis.params.l1_blob_base_fee_scalar);
    let attributes = L1Attributes {
        origin: genesis.origin,
        sequence_number: 0,
        base_fee_scalar: scalars.0,
        blob_base_fee_scalar: scalars.1,
    };
    let mut sent = BTreeMap::new();
    for from in SENDERS {
        let raw = draft(random, from).raw();
        let (cost, data) = (most(&raw, &attributes), l1_data_fee(&attributes, &raw));
        let balance = match random.random_range(0..8) {
            0 => cost - U256::from(1),
            1 => cost + U256::from(1),
            2 => cost - data,
            3 => cost - data / U256::from(2),
            4 => cost + data,
            5 => cost * U256::from(random.random_range(0..200_u64)) / U256::from(100),
            _ => cost,
        };
        let account = GenesisAccount { nonce: NONCE, balance, ..GenesisAccount::default() };
        genesis.alloc.insert(address_of(&key(from)), account);
        sent.insert(from, raw);
    }
    (Node::of(genesis), sent)
}

#[test]
fn at_the_border_of_a_balance_pool_and_block_agree() {
    let mut random = StdRng::seed_from_u64(7);
    let (mut taken, mut refused, mut by_data_fee) = (0, 0, 0);
    for _ in 0..6 {
        let (node, sent) = bordering(&mut random);
        let here = attributes(&node, node.chain.head().origin);
        for raw in sent.values() {
            let pooled = node.pool().admit(raw, Origin::Remote, 0);
            let built = included(&node, raw);
            assert_eq!(pooled.is_ok(), built.is_ok(), "pool {pooled:?}, block {built:?}");
            match pooled {
                Ok(_) => taken += 1,
                Err(SubmitError::InsufficientFunds(_)) => {
                    refused += 1;
                    let sender = recover_raw(raw, CHAIN).unwrap().sender;
                    let balance = node.pool().account(sender).unwrap().balance;
                    by_data_fee += usize::from(balance >= most(raw, &here) - l1_data_fee(&here, raw));
                }
                Err(_) => {}
            }
        }
    }
    assert!(taken > 400 && refused > 300 && by_data_fee > 200, "{taken} {refused} {by_data_fee}");
}

#[test]
fn what_a_moved_data_fee_makes_impossible_leaves_the_pool_with_that_reason() {
    let mut random = StdRng::seed_from_u64(8);
    let (mut left, mut stayed) = (0, 0);
    for round in 0..6 {
        let (node, sent) = bordering(&mut random);
        let pool = node.pool();
        let admitted: BTreeSet<B256> = sent.values().filter_map(|raw| pool.admit(raw, Origin::Local, 0).ok()).collect();
        let number = node.chain.head().origin.number + 1;
        let next = origin(&mut random, number);
        let block = FinalBlock {
            origin: next,
            parent: node.chain.head().origin.hash,
            deposits: Vec::new(),
            snapshots: Vec::new(),
            batches: Vec::new(),
        };
        node.chain.finals().insert(Arc::new(block));
        assert_eq!(node.chain.next_data_rate(), attributes(&node, next).data_rate());
        // Whatever comes next tells the pool.
        let unrelated = pool.admit(&Draft::default().raw(), Origin::Remote, 0).unwrap();
        for raw in sent.values().filter(|raw| admitted.contains(&recover_raw(raw, CHAIN).unwrap().hash)) {
            let hash = recover_raw(raw, CHAIN).unwrap().hash;
            let (pooled, built) = (pool.with_pool(|pool| pool.contains(hash)), included(&node, raw));
            assert_eq!(pooled, built.is_ok(), "round {round}: {built:?}");
            if let Err(reason) = built {
                assert!(reason.contains("lack of funds"), "{reason}");
                left += 1;
            } else {
                stayed += 1;
            }
        }
        assert!(pool.with_pool(|pool| pool.contains(unrelated)));
    }
    assert!(left > 50 && stayed > 50, "{left} left, {stayed} stayed");
}

/// A delegated account that anyone can empty, and one who does.
#[tokio::test]
async fn a_sender_drained_in_the_block_loses_its_transaction_and_holds_up_nobody() {
    let mut genesis = genesis();
    // Sends its whole balance to the caller.
    let drain = vec![0x5f, 0x5f, 0x5f, 0x5f, 0x47, 0x33, 0x5a, 0xf1, 0x00];
    let code = GenesisAccount { nonce: 1, code: drain.into(), ..GenesisAccount::default() };
    genesis.alloc.insert(Address::repeat_byte(0x77), code);
    let rich = GenesisAccount { nonce: NONCE, balance: U256::from(BALANCE), ..GenesisAccount::default() };
    for from in [10, 11, 12] {
        genesis.alloc.insert(address_of(&key(from)), rich.clone());
    }
    let node = Node::of(genesis);
    let pool = node.pool();
    let submit = async |draft: Draft| pool.submit(draft.raw(), Origin::Local).await.unwrap();
    let victim = submit(Draft { from: 3, tip: 1, ..Draft::default() }).await;
    let to = address_of(&key(3));
    let drained = submit(Draft { from: 10, to, tip: 9 * GWEI, value: U256::ZERO, ..Draft::default() }).await;
    let others = [
        submit(Draft { from: 11, ..Draft::default() }).await,
        submit(Draft { from: 12, tip: 1, ..Draft::default() }).await,
    ];
    let blocks = OpenBlocks::start(node.chain.clone(), pool.clone(), broadcast::channel(8).0).unwrap();
    let place = (Height(1), Round(0));
    blocks.open(place, Address::repeat_byte(1), 1_700_000_000_500).await.unwrap();
    blocks.fill(place).await.unwrap();
    let built = blocks.seal(place).await.unwrap();
    let all = built.executed.block.body.transactions.iter();
    let users: Vec<B256> = all.filter(|tx| !tx.is_deposit()).map(OpTxEnvelope::tx_hash).collect();
    assert_eq!(users, [drained, others[0], others[1]]);
    assert!(!pool.with_pool(|pool| pool.contains(victim)), "it is not tried again and again");
    assert_eq!(pool.with_pool(Pool::status).pending, 3);
}

#[test]
fn rules_that_are_the_pool_s_own_are_named() {
    let node = Node::new();
    let refusal = |draft: &Draft| match node.pool().admit(&draft.raw(), Origin::Local, 0) {
        Err(SubmitError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let tipless = Draft { tip: 0, ..Draft::default() };
    assert_eq!(refusal(&tipless), "transaction underpriced: gas tip cap 0, minimum needed 1");
    let crowded = Draft { kind: 4, authorizations: 65, gas: 3_000_000, ..Draft::default() };
    assert_eq!(refusal(&crowded), "too many authorization tuples: 65, limit 64");
    for draft in [tipless, crowded] {
        assert_eq!(included(&node, &draft.raw()), Ok(()));
    }
}

#[test]
fn blobs_are_for_l1() {
    let node = Node::new();
    let tx = TxEip4844 { chain_id: CHAIN, nonce: NONCE, gas_limit: 21_000, ..TxEip4844::default() };
    let signature = sign(&key(1), tx.signature_hash());
    let raw: Bytes = alloy_consensus::TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into();
    let refused = node.pool().admit(&raw, Origin::Local, 0);
    assert!(matches!(&refused, Err(SubmitError::Malformed(text)) if text == "transaction type not supported"));
    assert!(included(&node, &raw).unwrap_err().contains("0x03"));
}
