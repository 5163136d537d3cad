//! Deposits: whatever they do, the block stands and their mint is kept.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use op_alloy_consensus::TxDeposit;
use protocol::genesis::Params;

use super::fixture::*;
use crate::PushError;

const DEPOSITOR: Address = Address::repeat_byte(0xd0);
const BOB: Address = Address::repeat_byte(0xb0);

fn queued(to: TxKind, mint: u64, value: u64) -> TxDeposit {
    TxDeposit {
        source_hash: B256::repeat_byte(9),
        from: DEPOSITOR,
        to,
        mint: mint.into(),
        value: U256::from(value),
        gas_limit: 100_000,
        is_system_transaction: false,
        input: Bytes::new(),
    }
}

#[test]
fn a_deposit_mints_and_transfers() {
    let mut chain = Chain::new();
    let executed = chain.extend(vec![queued(TxKind::Call(BOB), 100, 70)], &[transfer(1, 0, BOB, 1)]);
    assert!(executed.receipts[1].status());
    assert_eq!(executed.receipts[1].deposit_nonce(), Some(0));
    assert_eq!(chain.balance(DEPOSITOR), U256::from(30));
    assert_eq!(chain.balance(BOB), U256::from(71));
    assert_eq!(chain.nonce(DEPOSITOR), 1);
    assert_eq!(executed.senders[1], DEPOSITOR);
    let gas = executed.receipts[1].cumulative_gas_used() - executed.receipts[0].cumulative_gas_used();
    assert_eq!(gas, 21_000);
}

#[test]
fn a_deposit_creates_a_contract() {
    let mut chain = Chain::new();
    let input = Bytes::from_static(&alloy_primitives::hex!("60015ff3"));
    let executed = chain.extend(vec![TxDeposit { input, ..queued(TxKind::Create, 5, 5) }], &[]);
    assert!(executed.receipts[1].status());
    assert_eq!(chain.balance(DEPOSITOR.create(0)), U256::from(5));
    assert_eq!(chain.nonce(DEPOSITOR), 1);
}

#[test]
fn a_failing_deposit_keeps_its_mint_raises_the_nonce_and_pays_gas() {
    let call = |address, gas_limit| TxDeposit { gas_limit, ..queued(TxKind::Call(address), 100, 0) };
    let whole = |gas| (gas, true);
    let cases = [
        ("revert", call(REVERTER, 100_000), (100_000, false)),
        ("halt", call(HALTER, 100_000), whole(100_000)),
        ("value above balance", queued(TxKind::Call(BOB), 100, 101), whole(100_000)),
        ("below intrinsic gas", call(BOB, 20_000), whole(20_000)),
        ("system transaction", TxDeposit { is_system_transaction: true, ..call(BOB, 50_000) }, whole(50_000)),
        ("no source hash", TxDeposit { source_hash: B256::ZERO, ..call(HALTER, 60_000) }, whole(60_000)),
        (
            "failing creation",
            TxDeposit { input: Bytes::from([0xfe]), ..queued(TxKind::Create, 100, 0) },
            whole(100_000),
        ),
        ("greatest value", TxDeposit { value: U256::MAX, ..call(BOB, 70_000) }, whole(70_000)),
    ];
    for (name, deposit, (limit, uses_all)) in cases {
        let mut chain = Chain::new();
        let executed = chain.extend(vec![deposit], &[transfer(1, 0, BOB, 1)]);
        let receipts = &executed.receipts;
        assert!(!receipts[1].status(), "{name}");
        assert!(receipts[2].status(), "{name}: what follows executes");
        assert_eq!(chain.balance(DEPOSITOR), U256::from(100), "{name}");
        assert_eq!(chain.nonce(DEPOSITOR), 1, "{name}");
        let gas = receipts[1].cumulative_gas_used() - receipts[0].cumulative_gas_used();
        assert_eq!(gas == limit, uses_all, "{name}: {gas}");
    }
}

#[test]
fn the_greatest_mint_does_not_overflow() {
    let mut chain = Chain::new();
    let deposit = TxDeposit { mint: u128::MAX, ..queued(TxKind::Call(BOB), 0, 0) };
    chain.extend(vec![deposit.clone(), deposit], &[]);
    assert_eq!(chain.balance(DEPOSITOR), U256::from(u128::MAX) * U256::from(2));
}

#[test]
fn deposits_beyond_the_block_s_gas_get_what_is_left() {
    let mut chain = Chain::with_params(Params { gas_limit: 5_000_000, ..Params::default() });
    let greedy = TxDeposit { gas_limit: 4_000_000, ..queued(TxKind::Call(HALTER), 100, 0) };
    let executed = chain.extend(vec![greedy.clone(), greedy.clone(), greedy], &[]);
    assert_eq!(executed.block.header.gas_used, 5_000_000);
    assert_eq!(chain.balance(DEPOSITOR), U256::from(300));
    assert_eq!(chain.nonce(DEPOSITOR), 3);
}

#[test]
fn users_cannot_push_deposits() {
    let chain = Chain::new();
    let mut builder = chain.open(Vec::new());
    let forged = crate::deposit(queued(TxKind::Call(BOB), 100, 0));
    assert!(matches!(builder.push(&forged), Err(PushError::Deposit)));
}
