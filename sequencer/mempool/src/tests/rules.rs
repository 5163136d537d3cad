//! Each refusal with its text, and what blocks do.

use alloy_consensus::{SignableTransaction as _, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{B256, Sealable as _, Signature, TxKind, U256};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use protocol::signing::address_of;

use super::*;
use crate::{AccountUpdate, MAX_AUTHORIZATIONS, Origin, PoolError, PoolEvent, ROOMY, Removal, intrinsic_gas};

fn pool() -> Pool {
    pool_of(Limits::default())
}

fn add(pool: &mut Pool, tx: RecoveredTx, account: AccountView) -> Result<crate::Added, PoolError> {
    pool.add(incoming(tx), &account, &env(), 0, Origin::Remote)
}

fn dropped(hash: B256, reason: Removal) -> PoolEvent {
    PoolEvent::Dropped { hash, origin: Origin::Remote, reason }
}

fn refused(tx: RecoveredTx, account: AccountView) -> String {
    let mut pool = pool();
    let error = add(&mut pool, tx, account).unwrap_err();
    assert_eq!(pool.status(), crate::PoolStatus::default());
    error.to_string()
}

#[test]
fn single_transactions_are_refused_with_geths_words() {
    let tx = |change: &dyn Fn(&mut TxEip1559)| {
        let mut tx = transfer();
        change(&mut tx);
        eip1559(tx, 1)
    };
    let cases: Vec<(RecoveredTx, &str)> = vec![
        (tx(&|tx| tx.chain_id = 1), "invalid chain id for signer: have 1 want 42"),
        (tx(&|tx| tx.input = vec![0; 131_072].into()), "oversized data: transaction size 131187, limit 131072"),
        (
            tx(&|tx| (tx.to, tx.input) = (TxKind::Create, vec![0; 49_153].into())),
            "max initcode size exceeded: code size 49153, limit 49152",
        ),
        (tx(&|tx| tx.gas_limit = 16_777_217), "transaction gas limit too high (cap: 16777216, tx: 16777217)"),
        (tx(&|tx| tx.max_priority_fee_per_gas = 11 * GWEI), "max priority fee per gas higher than max fee per gas"),
        (tx(&|tx| tx.nonce = u64::MAX), "nonce has max value"),
        (tx(&|tx| tx.gas_limit = 20_999), "intrinsic gas too low: gas 20999, minimum needed 21000"),
        (
            tx(&|tx| (tx.gas_limit, tx.input) = (37_000, vec![1; 1_000].into())),
            "insufficient gas for floor data gas cost: gas 37000, minimum needed 61000",
        ),
        (tx(&|tx| tx.max_priority_fee_per_gas = 0), "transaction underpriced: gas tip cap 0, minimum needed 1"),
        (
            tx(&|tx| (tx.max_fee_per_gas, tx.max_priority_fee_per_gas) = (99, 1)),
            "transaction underpriced: gas fee cap 99, minimum needed 100",
        ),
    ];
    for (tx, text) in cases {
        assert_eq!(refused(tx, rich(0)), text);
    }
    let mut small = env();
    small.block_gas_limit = 20_000;
    let error = pool().add(incoming(eip1559(transfer(), 1)), &rich(0), &small, 0, Origin::Local).unwrap_err();
    assert_eq!(error.to_string(), "exceeds block gas limit");
    let deposit = OpTxEnvelope::Deposit(TxDeposit::default().seal_slow());
    assert_eq!(refused(recovered(deposit, sender(1)), rich(0)), "transaction type not supported");
}

#[test]
fn accounts_must_have_nonce_balance_and_no_code() {
    let at = |nonce| eip1559(TxEip1559 { nonce, value: U256::from(5), ..transfer() }, 1);
    assert_eq!(refused(at(3), rich(5)), "nonce too low: next nonce 5, tx nonce 3");
    let cost = 21_000 * 10 * GWEI + 5 + 7;
    let account = |balance: u128| AccountView { balance: U256::from(balance), ..AccountView::default() };
    assert_eq!(
        refused(at(0), account(cost - 1)),
        format!("insufficient funds for gas * price + value: balance {}, tx cost {cost}, overshot 1", cost - 1)
    );
    let mut pool = pool();
    add(&mut pool, at(0), account(cost)).unwrap();
    assert_eq!(
        add(&mut pool, at(1), account(cost + 1)).unwrap_err().to_string(),
        format!(
            "insufficient funds for gas * price + value: balance {}, queued cost {cost}, tx cost {cost}, overshot {}",
            cost + 1,
            cost - 1
        )
    );
    let contract = AccountView { code: SenderCode::of(&[0x60]), ..rich(0) };
    assert!(refused(at(0), contract).starts_with("sender not an eoa: address 0x0101"));
    assert_eq!(SenderCode::of(&[&[0xef, 1, 0][..], &[7; 20]].concat()), SenderCode::Delegated);
    assert_eq!(SenderCode::of(&[0xef, 1, 0]), SenderCode::Contract);
}

#[test]
fn intrinsic_gas_counts_every_part() {
    let gas = |tx: RecoveredTx| intrinsic_gas(&tx.envelope);
    assert_eq!(gas(eip1559(transfer(), 1)), (21_000, 21_000));
    let data = TxEip1559 { input: vec![0, 0, 1].into(), ..transfer() };
    assert_eq!(gas(eip1559(data.clone(), 1)), (21_000 + 24, 21_000 + 60));
    let create = TxEip1559 { to: TxKind::Create, input: vec![1; 33].into(), ..transfer() };
    assert_eq!(gas(eip1559(create, 1)).0, 21_000 + 32_000 + 33 * 16 + 4);
    let item = AccessListItem { address: sender(1), storage_keys: vec![B256::ZERO; 2] };
    let listed = TxEip1559 { access_list: AccessList(vec![item]), ..data };
    assert_eq!(gas(eip1559(listed, 1)).0, 21_000 + 24 + 2_400 + 2 * 1_900);
    assert_eq!(gas(set_code(1, 0, &[key(3), key(4)])).0, 21_000 + 50_000);
    let legacy = TxLegacy { gas_limit: 21_000, ..TxLegacy::default() };
    assert_eq!(gas(recovered(legacy.into_signed(Signature::test_signature()), sender(1))), (53_000, 21_000));
}

#[test]
fn replacements_need_ten_percent_in_both_fees() {
    let cases = [
        ((1_100, 110), true),
        ((1_099, 110), false),
        ((1_100, 109), false),
        ((1_000, 100), false),
        ((2_000, 100), false),
        ((1_000, 200), false),
    ];
    for ((fee_cap, tip), accepted) in cases {
        let mut pool = pool();
        let old = add(&mut pool, priced(1, 0, 1_000, 100), rich(0)).unwrap();
        let new = add(&mut pool, eip1559(with_value(fee_cap, tip), 1), rich(0));
        if accepted {
            let new = new.unwrap();
            assert_eq!(new.replaced, Some(old.hash));
            assert!(new.events.contains(&dropped(old.hash, Removal::Replaced)));
            assert!(!pool.contains(old.hash) && pool.contains(new.hash));
        } else {
            assert_eq!(new.unwrap_err().to_string(), "replacement transaction underpriced");
            assert!(pool.contains(old.hash));
        }
        assert_eq!(pool.status().pending, 1);
    }
}

fn with_value(max_fee_per_gas: u128, max_priority_fee_per_gas: u128) -> TxEip1559 {
    TxEip1559 { max_fee_per_gas, max_priority_fee_per_gas, value: U256::from(1), ..transfer() }
}

#[test]
fn the_same_transaction_is_known() {
    let mut pool = pool();
    add(&mut pool, priced(1, 0, 1_000, 1), rich(0)).unwrap();
    assert_eq!(add(&mut pool, priced(1, 0, 1_000, 1), rich(0)).unwrap_err().to_string(), "already known");
}

#[test]
fn gaps_wait_and_close() {
    let mut pool = pool();
    assert!(!add(&mut pool, priced(1, 7, 5_000, 1), rich(5)).unwrap().pending);
    assert_eq!(pool.next_nonce(sender(1)), None);
    assert!(add(&mut pool, priced(1, 5, 5_000, 1), rich(5)).unwrap().pending);
    assert_eq!(pool.next_nonce(sender(1)), Some(6));
    let closing = add(&mut pool, priced(1, 6, 5_000, 1), rich(5)).unwrap();
    assert_eq!(closing.events.len(), 2, "itself and the one that waited");
    assert_eq!(pool.next_nonce(sender(1)), Some(8));
    assert_eq!(pool.best(0).map(|tx| alloy_consensus::Transaction::nonce(&tx.envelope)).collect::<Vec<_>>(), [5, 6, 7]);
}

#[test]
fn shares_of_an_account_are_bounded() {
    let mut pool = pool_of(Limits { transactions: 129, ..Limits::default() });
    for nonce in 0..64 {
        add(&mut pool, priced(1, nonce, 5_000, 1), rich(0)).unwrap();
    }
    let text = |result: Result<crate::Added, PoolError>| result.unwrap_err().to_string();
    assert_eq!(text(add(&mut pool, priced(1, 64, 5_000, 1), rich(0))), "account limit exceeded: pending 64");
    for nonce in 100..164 {
        add(&mut pool, priced(1, nonce, 5_000, 1), rich(0)).unwrap();
    }
    assert_eq!(text(add(&mut pool, priced(1, 99, 5_000, 1), rich(0))), "account limit exceeded: queued 64");
    add(&mut pool, priced(2, 0, 5_000, 1), rich(0)).unwrap();
    // Tearing a gap at the start leaves no more waiting than allowed.
    let first = pool.content_of(sender(1)).pending[0].hash();
    pool.remove(first, Removal::Invalid);
    assert_eq!((pool.status().pending, pool.status().queued), (1, 64));
}

#[test]
fn bytes_of_an_account_are_bounded() {
    let data = |nonce, fee_cap, size: usize| {
        let input = vec![0; size].into();
        let (max_fee_per_gas, max_priority_fee_per_gas) = (fee_cap, 10 * fee_cap / 100);
        let gas_limit = 2_000_000;
        eip1559(TxEip1559 { nonce, input, gas_limit, max_fee_per_gas, max_priority_fee_per_gas, ..transfer() }, 1)
    };
    let mut pool = pool_of(Limits { account_bytes: 200_000, ..Limits::default() });
    add(&mut pool, data(0, 5_000, 90_000), rich(0)).unwrap();
    add(&mut pool, data(5, 5_000, 90_000), rich(0)).unwrap();
    let refused = add(&mut pool, data(1, 5_000, 30_000), rich(0)).unwrap_err().to_string();
    assert_eq!(refused, "account limit exceeded: bytes 200000");
    // A replacement counts by what it adds, in the run and behind a gap.
    assert!(add(&mut pool, data(0, 6_000, 120_000), rich(0)).is_err());
    add(&mut pool, data(0, 6_000, 100_000), rich(0)).unwrap();
    add(&mut pool, data(5, 6_000, 1_000), rich(0)).unwrap();
    add(&mut pool, data(1, 5_000, 90_000), rich(0)).unwrap();
    add(&mut pool, priced(2, 0, 5_000, 1), rich(0)).unwrap();
    // What leaves makes room again.
    pool.on_block(&[AccountUpdate { address: sender(1), nonce: 1, balance: U256::MAX, is_delegated: false }], 1_000, 0);
    add(&mut pool, data(2, 5_000, 100_000), rich(1)).unwrap();
}

#[test]
fn one_senders_flood_leaves_the_others_their_place() {
    let limits = Limits { transactions: 400, ..Limits::default() };
    let mut pool = pool_of(limits);
    for from in 0..100 {
        for nonce in 0..4 {
            add(&mut pool, priced(from, nonce, 50_000, 10), rich(0)).unwrap();
        }
    }
    // Pays a thousand times as much and never stops.
    for nonce in 0..2_000 {
        let _ = add(&mut pool, priced(200, nonce, 500_000, 10_000), rich(0));
        let _ = add(&mut pool, priced(200, 5_000 - nonce, 500_000, 10_000), rich(0));
    }
    let flood = pool.content_of(sender(200));
    assert_eq!(flood.pending.len(), limits.executable);
    // While there is room it may have more, but of a small pool no more than half.
    for (limits, most) in [(limits, 200), (Limits::default(), 64 * ROOMY)] {
        let mut pool = pool_of(limits);
        for nonce in 0..2_000 {
            let _ = add(&mut pool, priced(200, nonce, 500_000, 10), rich(0));
        }
        assert_eq!(pool.status().pending, most);
    }
}

#[test]
fn a_full_pool_evicts_the_cheapest_tail() {
    let mut pool = pool_of(Limits { transactions: 4, ..Limits::default() });
    // The high bid of sender 1 hides behind its low one and is worth no more.
    let low = add(&mut pool, priced(1, 0, 50_000, 10), rich(0)).unwrap().hash;
    let hidden = add(&mut pool, priced(1, 1, 50_000, 900), rich(0)).unwrap().hash;
    add(&mut pool, priced(2, 0, 50_000, 20), rich(0)).unwrap();
    add(&mut pool, priced(3, 0, 50_000, 30), rich(0)).unwrap();
    let refused = add(&mut pool, priced(4, 0, 50_000, 10), rich(0)).unwrap_err().to_string();
    assert_eq!(refused, "transaction underpriced: txpool is full, effective gas tip 10, minimum needed 11");
    assert_eq!(add(&mut pool, priced(4, 9, 50_000, 800), rich(0)).unwrap_err().to_string(), "txpool is full");
    let added = add(&mut pool, priced(4, 0, 50_000, 15), rich(0)).unwrap();
    assert!(added.events.contains(&dropped(hidden, Removal::Evicted)));
    assert!(pool.contains(low));
    assert_eq!(pool.status().pending, 4);
    // A fee cap below the base fee is worth less than any tip.
    let mut pool = pool_of(Limits { transactions: 1, ..Limits::default() });
    let stuck = add(&mut pool, priced(1, 0, 900, 800), rich(0)).unwrap().hash;
    let added = add(&mut pool, priced(2, 0, 50_000, 1), rich(0)).unwrap();
    assert!(added.events.contains(&dropped(stuck, Removal::Evicted)));
}

#[test]
fn waiting_transactions_go_first_and_bytes_count() {
    let mut pool = pool_of(Limits { bytes: 1_000, ..Limits::default() });
    let waiting = add(&mut pool, priced(1, 9, 50_000, 40_000), rich(0)).unwrap().hash;
    let data = |from, tip, size: usize| {
        let input = vec![0; size].into();
        eip1559(TxEip1559 { input, gas_limit: 60_000, max_priority_fee_per_gas: tip, ..transfer() }, from)
    };
    add(&mut pool, data(2, 50, 500), rich(0)).unwrap();
    let added = add(&mut pool, data(3, 1, 200), rich(0)).unwrap();
    assert_eq!(added.events[0], dropped(waiting, Removal::Evicted));
    // Too little can be freed from cheaper ones: nothing is.
    assert!(add(&mut pool, data(4, 40, 700), rich(0)).is_err());
    assert_eq!(pool.status().pending, 2);
    add(&mut pool, data(4, 60, 700), rich(0)).unwrap();
    assert_eq!(pool.status().pending, 1);
    assert!(pool.status().bytes <= 1_000);
}

#[test]
fn blocks_use_nonces_and_drop_the_unaffordable() {
    let mut pool = pool();
    let hashes: Vec<B256> =
        (0..4).map(|nonce| add(&mut pool, priced(1, nonce, 5_000, 1), rich(0)).unwrap().hash).collect();
    let update = |nonce, balance: u64| AccountUpdate {
        address: sender(1),
        nonce,
        balance: U256::from(balance),
        is_delegated: false,
    };
    let events = pool.on_block(&[update(1, u64::MAX)], 2_000, 0);
    assert_eq!(events, [dropped(hashes[0], Removal::NonceUsed)]);
    assert_eq!(pool.next_nonce(sender(1)), Some(4));
    // A nonce in the middle of what is pooled; then a balance that covers nothing.
    pool.on_block(&[update(2, u64::MAX)], 2_000, 0);
    let events = pool.on_block(&[update(2, 21_000 * 5_000)], 2_000, 0);
    assert_eq!(events.len(), 2);
    assert_eq!(pool.status(), crate::PoolStatus::default());
    // An older view of the account does not bring a used nonce back while the pool knows better.
    add(&mut pool, priced(1, 5, 5_000, 1), rich(5)).unwrap();
    let stale = add(&mut pool, priced(1, 4, 5_000, 1), rich(4)).unwrap_err();
    assert_eq!(stale, PoolError::NonceTooLow { next: 5, nonce: 4 });
}

#[test]
fn a_newer_view_of_the_account_advances_its_queue() {
    let mut pool = pool();
    let old = add(&mut pool, priced(1, 0, 5_000, 1), rich(0)).unwrap().hash;
    let waiting = add(&mut pool, priced(1, 2, 5_000, 1), rich(0)).unwrap().hash;
    let added = add(&mut pool, priced(1, 3, 5_000, 1), rich(2)).unwrap();
    assert!(added.pending);
    assert!(added.events.contains(&dropped(old, Removal::NonceUsed)));
    let announced =
        |hash| added.events.iter().any(|e| matches!(e, PoolEvent::Executable { tx, .. } if tx.hash == hash));
    assert!(announced(waiting) && announced(added.hash));
    assert_eq!((pool.status().pending, pool.status().queued), (2, 0));
}

#[test]
fn waiting_ones_expire() {
    let limits = Limits { gapped_lifetime_ms: 100, local_gapped_lifetime_ms: 200, ..Limits::default() };
    let mut pool = pool_of(limits);
    let peers = pool.add(incoming(priced(1, 9, 5_000, 1)), &rich(0), &env(), 50, Origin::Remote).unwrap().hash;
    let own = pool.add(incoming(priced(2, 9, 5_000, 1)), &rich(0), &env(), 50, Origin::Local).unwrap().hash;
    assert!(pool.on_block(&[], 1_000, 150).is_empty());
    assert_eq!(pool.on_block(&[], 1_000, 151), [dropped(peers, Removal::Expired)]);
    assert!(pool.contains(own));
    assert!(pool.on_block(&[], 1_000, 250).is_empty());
    let events = pool.on_block(&[], 1_000, 251);
    assert_eq!(events, [PoolEvent::Dropped { hash: own, origin: Origin::Local, reason: Removal::Expired }]);
}

#[test]
fn best_skips_a_sender_whose_transaction_failed_and_resumes_a_block() {
    let mut pool = pool();
    for (from, nonce, tip) in [(1, 0, 30), (1, 1, 90), (2, 0, 20), (2, 1, 10), (3, 0, 20)] {
        add(&mut pool, priced(from, nonce, 50_000, tip), rich(0)).unwrap();
    }
    let order = |best: crate::Best| -> Vec<(u8, u64)> {
        best.map(|tx| (tx.sender[0], alloy_consensus::Transaction::nonce(&tx.envelope))).collect()
    };
    assert_eq!(order(pool.best(1_000)), [(1, 0), (1, 1), (2, 0), (3, 0), (2, 1)]);
    let mut best = pool.best(1_000);
    assert_eq!(best.next().unwrap().sender, sender(1));
    best.skip_sender();
    assert_eq!(order(best), [(2, 0), (3, 0), (2, 1)]);
    let executed = [(sender(1), 1), (sender(2), 2)].into();
    assert_eq!(order(pool.best_after(1_000, &executed)), [(1, 1), (3, 0)]);
    assert!(order(pool.best(50_001)).is_empty(), "nobody pays that base fee");
    // A snapshot does not change with the pool.
    let snapshot = pool.best(1_000);
    pool.on_block(&[AccountUpdate { address: sender(1), nonce: 2, balance: U256::MAX, is_delegated: false }], 1_000, 0);
    assert_eq!(order(snapshot).len(), 5);
    assert_eq!(order(pool.best(1_000)).len(), 3);
}

fn key(byte: u8) -> k256::ecdsa::SigningKey {
    k256::ecdsa::SigningKey::from_slice(&[byte; 32]).unwrap()
}

fn set_code(from: u8, nonce: u64, authorities: &[k256::ecdsa::SigningKey]) -> RecoveredTx {
    let authorize = |key: &k256::ecdsa::SigningKey| {
        let tuple = Authorization { chain_id: U256::from(CHAIN), address: sender(0xdd), nonce: 0 };
        let hash = tuple.signature_hash();
        let (signature, id) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
        tuple.into_signed(Signature::from((signature, id)))
    };
    let tx = TxEip7702 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 5_000_000,
        max_fee_per_gas: 5_000,
        max_priority_fee_per_gas: 10,
        to: sender(0xee),
        authorization_list: authorities.iter().map(authorize).collect(),
        ..TxEip7702::default()
    };
    recovered(tx.into_signed(Signature::test_signature()), sender(from))
}

#[test]
fn authorization_lists_are_neither_empty_nor_long() {
    assert_eq!(refused(set_code(1, 0, &[]), rich(0)), "set code tx must have at least one authorization tuple");
    let many = vec![key(1); MAX_AUTHORIZATIONS + 1];
    assert_eq!(refused(set_code(1, 0, &many), rich(0)), "too many authorization tuples: 65, limit 64");
}

#[test]
fn delegated_accounts_have_one_in_flight() {
    let delegated = AccountView { code: SenderCode::Delegated, ..rich(3) };
    let mut pool = pool();
    let text = |result: Result<crate::Added, PoolError>| result.unwrap_err().to_string();
    assert_eq!(text(add(&mut pool, priced(1, 4, 5_000, 1), delegated)), "gapped-nonce tx from delegated accounts");
    add(&mut pool, priced(1, 3, 5_000, 1), delegated).unwrap();
    assert_eq!(
        text(add(&mut pool, priced(1, 4, 5_000, 1), delegated)),
        "in-flight transaction limit reached for delegated accounts"
    );
    add(&mut pool, priced(1, 3, 5_500, 2), delegated).unwrap();
}

#[test]
fn pooled_authorizations_bind_their_authorities() {
    let authority = address_of(&key(3));
    let from_authority = |nonce| {
        let tx = TxEip1559 { nonce, ..transfer() };
        recovered(tx.into_signed(Signature::test_signature()), authority)
    };
    let mut pool = pool();
    let added = add(&mut pool, set_code(1, 0, &[key(3)]), rich(0)).unwrap();
    add(&mut pool, from_authority(0), rich(0)).unwrap();
    assert_eq!(add(&mut pool, from_authority(1), rich(0)).unwrap_err(), PoolError::InFlightLimit);
    pool.remove(added.hash, Removal::Invalid);
    add(&mut pool, from_authority(1), rich(0)).unwrap();
    let reserved = add(&mut pool, set_code(1, 0, &[key(3)]), rich(0)).unwrap_err();
    assert_eq!(reserved.to_string(), "authority already reserved");
}
