//! What one sender may rely on, whatever others do.

use alloy_consensus::{SignableTransaction as _, Transaction as _, TxEip7702};
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{B256, Signature};
use protocol::signing::address_of;

use super::*;
use crate::{AccountUpdate, Added, Origin, PoolError, PoolEvent, Removal};

fn add(pool: &mut Pool, tx: RecoveredTx, account: AccountView) -> Result<Added, PoolError> {
    pool.add(incoming(tx), &account, &env(), 0, Origin::Remote)
}

fn unaffordable(hash: B256) -> PoolEvent {
    PoolEvent::Dropped { hash, origin: Origin::Remote, reason: Removal::Unaffordable }
}

/// Wei a byte of L1 data.
fn rate(wei: u64) -> U256 {
    U256::from(wei) * U256::from(1_000_000)
}

#[test]
fn a_risen_data_fee_drops_what_cannot_be_paid_and_parks_what_follows() {
    let mut pool = pool_of(Limits::default());
    let account = |balance: u128| AccountView { balance: U256::from(balance), ..AccountView::default() };
    let cost = 21_000 * 5_000;
    let value = 1_000_000;
    let dear = eip1559(
        TxEip1559 { value: U256::from(value), max_fee_per_gas: 5_000, max_priority_fee_per_gas: 1, ..transfer() },
        1,
    );
    let dear = add(&mut pool, dear, account(2 * cost + value + 2 * 7)).unwrap().hash;
    let after = add(&mut pool, priced(1, 1, 5_000, 1), account(2 * cost + value + 2 * 7)).unwrap().hash;
    let other = add(&mut pool, priced(2, 0, 5_000, 1), account(cost + 7 * 20)).unwrap().hash;
    // Each can be paid by itself.
    assert!(pool.reprice(rate(20)).is_empty());
    // A fall and a rise back to where it was change nothing either.
    assert!(pool.reprice(rate(1)).is_empty());
    assert!(pool.reprice(rate(20)).is_empty());
    assert_eq!(pool.reprice(rate(21)), [unaffordable(other)]);
    let most = u64::try_from((cost + 14) / 7).unwrap();
    assert!(pool.reprice(rate(most)).is_empty());
    assert_eq!(pool.reprice(rate(most + 1)), [unaffordable(dear)]);
    assert_eq!((pool.status().pending, pool.status().queued), (0, 1));
    assert_eq!(pool.content_of(sender(1)).queued[0].hash(), after);
    // A block that makes the sender rich brings nothing back; a new transaction does.
    pool.on_block(&[AccountUpdate { address: sender(1), nonce: 0, balance: U256::MAX, is_delegated: false }], 1_000, 0);
    assert!(add(&mut pool, priced(1, 0, 5_000, 1), rich(0)).unwrap().pending);
    assert_eq!(pool.next_nonce(sender(1)), Some(2));
}

#[test]
fn a_replacement_is_judged_by_what_it_leaves_to_pay() {
    let mut pool = pool_of(Limits::default());
    let balance = U256::from(21_000 * 5_000 + 1_000 + 7 * 3);
    let account = AccountView { balance, ..AccountView::default() };
    let with_value = |value: u64, fee: u128, tip| {
        let value = U256::from(value);
        eip1559(TxEip1559 { value, max_fee_per_gas: fee, max_priority_fee_per_gas: tip, ..transfer() }, 1)
    };
    add(&mut pool, with_value(60_000_000, 2_000, 10), account).unwrap();
    let refused = add(&mut pool, with_value(0, 5_001, 20), account).unwrap_err();
    assert!(
        matches!(refused, PoolError::InsufficientFunds(shortfall) if shortfall.cost == U256::from(21_000 * 5_001 + 7))
    );
    add(&mut pool, with_value(1_000, 5_000, 20), account).unwrap();
    assert_eq!(pool.status().pending, 1);
}

#[test]
fn gas_that_execution_cannot_count_is_nobody_s_to_pay() {
    let mut pool = pool_of(Limits::default());
    let tx = priced(1, 0, u128::MAX / 20_999, 1);
    let account = AccountView { balance: U256::MAX, ..AccountView::default() };
    assert!(matches!(add(&mut pool, tx, account), Err(PoolError::InsufficientFunds(_))));
    add(&mut pool, priced(1, 0, u128::MAX / 21_000, 1), account).unwrap();
}

#[test]
fn floods_at_the_same_price_leave_a_modest_sender_its_place() {
    let limits = Limits { transactions: 500, bytes: 60_000, ..Limits::default() };
    let mut pool = pool_of(limits);
    let modest: Vec<B256> =
        (0..3).map(|nonce| add(&mut pool, priced(0, nonce, 50_000, 10), rich(0)).unwrap().hash).collect();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..20_u64 {
        for from in 1..=250 {
            // Small ones, large ones, and ones that wait behind a gap.
            let tx = TxEip1559 {
                nonce: round + u64::from(from % 3),
                input: vec![0; usize::from(from) * 8].into(),
                gas_limit: 100_000,
                max_fee_per_gas: 50_000,
                max_priority_fee_per_gas: 10,
                ..transfer()
            };
            match add(&mut pool, eip1559(tx, from), rich(0)) {
                Ok(_) => taken += 1,
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains("txpool is full") || text.contains("limit exceeded"), "{text}");
                    refused += 1;
                }
            }
        }
    }
    assert!(taken > 50 && refused > 1_000, "{taken} taken, {refused} refused");
    assert!(modest.iter().all(|hash| pool.contains(*hash)));
    let kept: Vec<B256> = pool.content_of(sender(0)).pending.iter().map(crate::Pooled::hash).collect();
    assert_eq!(kept, modest, "all of them executable");
}

#[test]
fn of_equal_tips_the_earlier_goes_first_and_a_replacement_queues_anew() {
    let mut pool = pool_of(Limits::default());
    for from in [4, 2, 3, 1] {
        add(&mut pool, priced(from, 0, 50_000, 100), rich(0)).unwrap();
    }
    let order = |pool: &Pool| pool.best(1_000).map(|tx| tx.sender[0]).collect::<Vec<u8>>();
    assert_eq!(order(&pool), [4, 2, 3, 1]);
    // At this base fee the caps decide: what is left of each is the same, and so is their order.
    assert_eq!(pool.best(49_950).map(|tx| tx.sender[0]).collect::<Vec<u8>>(), [4, 2, 3, 1]);
    add(&mut pool, priced(2, 0, 55_000, 110), rich(0)).unwrap();
    assert_eq!(order(&pool), [2, 4, 3, 1]);
    for from in [4, 3, 1] {
        add(&mut pool, priced(from, 0, 55_000, 110), rich(0)).unwrap();
    }
    assert_eq!(order(&pool), [2, 4, 3, 1]);
}

fn key(byte: u8) -> k256::ecdsa::SigningKey {
    k256::ecdsa::SigningKey::from_slice(&[byte; 32]).unwrap()
}

/// A transaction by `from` that delegates the accounts of `authorities`.
fn set_code(from: Address, nonce: u64, fee: u128, authorities: &[u8]) -> RecoveredTx {
    let authorize = |byte: &u8| {
        let tuple = Authorization { chain_id: U256::from(CHAIN), address: sender(0xdd), nonce: 0 };
        let (signature, id) = key(*byte).sign_prehash_recoverable(tuple.signature_hash().as_slice()).unwrap();
        tuple.into_signed(Signature::from((signature, id)))
    };
    let tx = TxEip7702 {
        chain_id: CHAIN,
        nonce,
        gas_limit: 5_000_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: fee / 10,
        to: sender(0xee),
        authorization_list: authorities.iter().map(authorize).collect(),
        ..TxEip7702::default()
    };
    recovered(tx.into_signed(Signature::test_signature()), from)
}

fn plain(from: Address, nonce: u64, fee: u128) -> RecoveredTx {
    let tx = TxEip1559 { nonce, max_fee_per_gas: fee, max_priority_fee_per_gas: fee / 10, ..transfer() };
    recovered(tx.into_signed(Signature::test_signature()), from)
}

#[test]
fn whoever_delegates_itself_has_at_most_one_other_in_flight() {
    let own = address_of(&key(3));
    let mut pool = pool_of(Limits::default());
    add(&mut pool, plain(own, 0, 5_000), rich(0)).unwrap();
    add(&mut pool, plain(own, 1, 5_000), rich(0)).unwrap();
    // Neither behind them nor in the place of the first, which would leave the second to whoever drains the account.
    for nonce in [2, 0] {
        let refused = add(&mut pool, set_code(own, nonce, 6_000, &[3]), rich(0)).unwrap_err();
        assert_eq!(refused, PoolError::AuthorityReserved, "nonce {nonce}");
    }
    pool.on_block(&[AccountUpdate { address: own, nonce: 1, balance: rich(0).balance, is_delegated: false }], 1_000, 0);
    add(&mut pool, set_code(own, 2, 6_000, &[3]), rich(1)).unwrap();
    assert_eq!(add(&mut pool, plain(own, 3, 5_000), rich(1)).unwrap_err(), PoolError::InFlightLimit);
    // What is in flight may be replaced.
    add(&mut pool, plain(own, 1, 6_000), rich(1)).unwrap();
    add(&mut pool, plain(own, 2, 7_000), rich(1)).unwrap();
    // Without its authorization it may go on.
    add(&mut pool, plain(own, 3, 5_000), rich(1)).unwrap();
}

#[test]
fn an_old_gap_does_not_lock_a_delegated_account() {
    let mut pool = pool_of(Limits::default());
    add(&mut pool, priced(1, 9, 5_000, 1), rich(3)).unwrap();
    let delegated = AccountView { code: SenderCode::Delegated, ..rich(3) };
    assert_eq!(add(&mut pool, priced(1, 4, 5_000, 1), delegated).unwrap_err(), PoolError::OutOfOrderFromDelegated);
    add(&mut pool, priced(1, 3, 5_000, 1), delegated).unwrap();
    assert_eq!(add(&mut pool, priced(1, 4, 5_000, 1), delegated).unwrap_err(), PoolError::InFlightLimit);
    assert_eq!(add(&mut pool, priced(1, 9, 9_000, 900), delegated).unwrap_err(), PoolError::InFlightLimit);
    assert_eq!(pool.best(1_000).map(|tx| tx.envelope.nonce()).collect::<Vec<_>>(), [3]);
}

#[test]
fn what_was_parked_before_an_account_was_delegated_does_not_come_in_with_one_more() {
    let mut pool = pool_of(Limits::default());
    for nonce in [4, 5, 6] {
        add(&mut pool, priced(1, nonce, 5_000, 1), rich(3)).unwrap();
    }
    // A block of another node has delegated the account meanwhile.
    let delegated = AccountView { code: SenderCode::Delegated, ..rich(3) };
    assert_eq!(add(&mut pool, priced(1, 3, 5_000, 1), delegated).unwrap_err(), PoolError::InFlightLimit);
    assert_eq!(pool.status().pending, 0);
    assert_eq!(add(&mut pool, priced(1, 3, 5_000, 1), rich(3)).unwrap().events.len(), 4);
}

#[test]
fn a_block_makes_one_parked_transaction_of_a_delegated_account_executable_at_a_time() {
    let update = |nonce, is_delegated| AccountUpdate { address: sender(1), nonce, balance: U256::MAX, is_delegated };
    let best = |pool: &Pool| pool.best(1_000).map(|tx| tx.envelope.nonce()).collect::<Vec<_>>();
    let mut pool = pool_of(Limits::default());
    for nonce in [4, 5, 6, 8] {
        add(&mut pool, priced(1, nonce, 5_000, 1), rich(3)).unwrap();
    }
    // Another leader's block delegates the account and uses the nonce before them.
    let events = pool.on_block(&[update(4, true)], 1_000, 0);
    assert_eq!((best(&pool), events.len()), (vec![4], 1));
    assert_eq!((pool.status().pending, pool.status().queued), (1, 3));
    let delegated = AccountView { code: SenderCode::Delegated, ..rich(4) };
    for nonce in [5, 7] {
        assert_eq!(add(&mut pool, priced(1, nonce, 9_000, 90), delegated).unwrap_err(), PoolError::InFlightLimit);
    }
    // A view from before that block changes nothing.
    add(&mut pool, priced(1, 4, 9_000, 90), rich(4)).unwrap();
    assert_eq!(best(&pool), [4]);
    pool.on_block(&[update(5, true)], 1_000, 0);
    assert_eq!(best(&pool), [5]);
    // The builder could not execute it: the next has to wait for its nonce.
    pool.remove(pool.content_of(sender(1)).pending[0].hash(), Removal::Invalid);
    assert_eq!((best(&pool), pool.status().queued), (vec![], 2));
    add(&mut pool, priced(1, 5, 5_000, 1), delegated).unwrap_err();
    let events = pool.on_block(&[update(6, false)], 1_000, 0);
    assert_eq!((best(&pool), events.len()), (vec![6], 1), "delegated no more");
}

#[test]
fn a_block_that_delegates_an_account_leaves_one_of_its_transactions_executable() {
    let mut pool = pool_of(Limits::default());
    for nonce in 0..4 {
        add(&mut pool, priced(1, nonce, 5_000, 1), rich(0)).unwrap();
    }
    let update = |nonce, is_delegated| AccountUpdate { address: sender(1), nonce, balance: U256::MAX, is_delegated };
    pool.on_block(&[update(1, true)], 1_000, 0);
    assert_eq!((pool.best(1_000).count(), pool.status().pending, pool.status().queued), (1, 1, 2));
    pool.on_block(&[update(1, false)], 1_000, 0);
    assert_eq!((pool.best(1_000).count(), pool.status().pending), (3, 3));
}

#[test]
fn what_is_refused_anyway_is_refused_before_its_authorities_are_recovered() {
    let mut pool = pool_of(Limits::default());
    add(&mut pool, plain(sender(2), 0, 5_000), rich(0)).unwrap();
    let mut set_code = incoming(set_code(sender(1), 0, 5_000, &[3, 4]));
    let poor = AccountView::default();
    let elsewhere = PoolEnv { chain_id: CHAIN + 1, ..env() };
    assert!(matches!(pool.check(&set_code, &poor, &env()), Err(PoolError::InsufficientFunds(_))));
    assert!(matches!(pool.check(&set_code, &rich(0), &elsewhere), Err(PoolError::WrongChain { .. })));
    assert!(matches!(pool.check(&set_code, &rich(1), &env()), Err(PoolError::NonceTooLow { .. })));
    assert_eq!(pool.check(&set_code, &rich(0), &env()), Ok(()));
    assert!(!set_code.is_complete(), "nothing is recovered yet");
    set_code.recover_authorities();
    assert!(set_code.is_complete() && pool.status().pending == 1);
    pool.add(set_code, &rich(0), &env(), 0, Origin::Remote).unwrap();
    let authority = address_of(&key(3));
    assert_eq!(add(&mut pool, plain(authority, 1, 5_000), rich(0)).unwrap_err(), PoolError::OutOfOrderFromDelegated);
}

#[test]
fn a_pending_authorization_counts_until_its_last_transaction_is_gone() {
    let authority = address_of(&key(3));
    let mut pool = pool_of(Limits::default());
    let first = add(&mut pool, set_code(sender(1), 0, 5_000, &[3, 4]), rich(0)).unwrap().hash;
    let second = add(&mut pool, set_code(sender(2), 0, 5_000, &[3, 3]), rich(0)).unwrap().hash;
    assert_eq!(add(&mut pool, plain(authority, 1, 5_000), rich(0)).unwrap_err(), PoolError::OutOfOrderFromDelegated);
    add(&mut pool, plain(authority, 0, 5_000), rich(0)).unwrap();
    for gone in [first, second] {
        assert_eq!(add(&mut pool, plain(authority, 1, 5_000), rich(0)).unwrap_err(), PoolError::InFlightLimit);
        pool.remove(gone, Removal::Invalid);
    }
    add(&mut pool, plain(authority, 1, 5_000), rich(0)).unwrap();
}
