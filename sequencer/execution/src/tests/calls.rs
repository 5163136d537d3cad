//! Simulation: calls, estimates, access lists; and that an estimate is enough for the real block.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, U256};
use op_revm::OpHaltReason;
use revm::context_interface::result::HaltReason;

use super::fixture::*;
use crate::{
    AccountOverride, CALL_GAS_CAP, CallEnvironment, CallError, CallRequest, Failure, Interrupt, InvalidTransaction,
    call, create_access_list, estimate_gas,
};

const BOB: Address = Address::repeat_byte(0xb0);
const STRANGER: Address = Address::repeat_byte(0x57);

fn next(chain: &Chain) -> CallEnvironment {
    let now = protocol::block::timestamp_ms(&chain.parent) + 500;
    CallEnvironment::next(&chain.config, &chain.parent, now, Arc::new(chain.state.clone()))
}

fn to(address: Address) -> CallRequest {
    CallRequest { from: STRANGER, to: Some(address), ..CallRequest::default() }
}

/// Code as an override, to run anything.
fn running(code: &str) -> (CallEnvironment, CallRequest) {
    let mut environment = next(&Chain::new());
    let code = Some(alloy_primitives::hex::decode(code).unwrap().into());
    environment.overrides.insert(BOB, AccountOverride { code, ..AccountOverride::default() });
    (environment, to(BOB))
}

fn word(result: &Result<Bytes, Failure>) -> U256 {
    U256::from_be_slice(result.as_ref().unwrap())
}

#[test]
fn a_call_needs_no_funds_and_leaves_nothing() {
    let chain = Chain::new();
    let environment = next(&chain);
    let outcome = call(&environment, &to(COUNTER)).unwrap();
    assert_eq!(outcome.logs.len(), 1);
    assert_eq!(*outcome.logs[0].data.data, B256::with_last_byte(1)[..]);
    assert_eq!(call(&environment, &to(COUNTER)).unwrap(), outcome);
}

#[test]
fn revert_data_is_kept() {
    let environment = next(&Chain::new());
    let data = Bytes::from_static(b"why not");
    let request = CallRequest { data: data.clone(), ..to(REVERTER) };
    assert_eq!(call(&environment, &request).unwrap().result, Err(Failure::Revert(data.clone())));
    let Err(CallError::Failed(Failure::Revert(kept))) = estimate_gas(&environment, &request) else {
        panic!("estimated")
    };
    assert_eq!(kept, data);
}

#[test]
fn halts_say_why() {
    let environment = next(&Chain::new());
    let reason = OpHaltReason::Base(HaltReason::InvalidFEOpcode);
    let halted = Err(Failure::Halt(reason, "invalid opcode: INVALID".to_owned()));
    assert_eq!(call(&environment, &to(HALTER)).unwrap().result, halted);
}

#[test]
fn value_must_be_there_and_prices_must_be_payable() {
    let environment = next(&Chain::new());
    let gift = CallRequest { value: U256::from(1), ..to(BOB) };
    let poor = call(&environment, &gift);
    assert!(matches!(poor, Err(CallError::Invalid(InvalidTransaction::LackOfFundForMaxFee { .. }, ..))), "{poor:?}");
    let rich = CallRequest { from: address_of(&key(1)), ..gift };
    assert!(call(&environment, &rich).unwrap().result.is_ok());
    let cheap = CallRequest { max_fee_per_gas: 1, gas: Some(21_000), ..rich.clone() };
    let cheap = call(&environment, &cheap);
    assert!(matches!(cheap, Err(CallError::Invalid(InvalidTransaction::GasPriceLessThanBasefee, ..))), "{cheap:?}");
    let fair = CallRequest { max_fee_per_gas: 10 * GWEI, gas: Some(21_000), ..rich };
    assert!(call(&environment, &fair).unwrap().result.is_ok());
}

#[test]
fn gas_is_capped() {
    // GAS; MSTORE; RETURN
    let (environment, request) = running("5a5f5260205ff3");
    let greedy = CallRequest { gas: Some(u64::MAX), ..request };
    assert!(word(&call(&environment, &greedy).unwrap().result) < U256::from(CALL_GAS_CAP));
}

#[test]
fn the_environment_is_the_next_block_s_or_a_past_one_s() {
    let mut chain = Chain::new();
    let first = chain.extend(Vec::new(), &[]);
    // NUMBER; TIMESTAMP; BLOCKHASH(NUMBER - 1)
    for (code, value) in [
        ("435f5260205ff3", U256::from(2)),
        ("425f5260205ff3", U256::from(1_700_000_001)),
        ("60014303405f5260205ff3", U256::from_be_bytes(first.hash.0)),
    ] {
        let code = Some(alloy_primitives::hex::decode(code).unwrap().into());
        let change = AccountOverride { code, ..AccountOverride::default() };
        let mut environment = next(&chain);
        environment.overrides.insert(BOB, change.clone());
        assert_eq!(word(&call(&environment, &to(BOB)).unwrap().result), value);
        let mut past = CallEnvironment::at(&chain.config, &first.block.header, Arc::new(chain.state.clone()));
        past.overrides.insert(BOB, change);
        assert_ne!(word(&call(&past, &to(BOB)).unwrap().result), value);
    }
}

#[test]
fn an_overridden_height_leaves_block_hashes_alone() {
    let mut chain = Chain::new();
    let hashes = [chain.extend(Vec::new(), &[]).hash, chain.extend(Vec::new(), &[]).hash];
    let mut environment = CallEnvironment::at(&chain.config, &chain.parent, Arc::new(chain.state.clone()));
    environment.header.number = 3;
    let mut hash_of = |number: u64| {
        // BLOCKHASH(number)
        let code = Some(alloy_primitives::hex::decode(format!("60{number:02x}405f5260205ff3")).unwrap().into());
        environment.overrides.insert(BOB, AccountOverride { code, ..AccountOverride::default() });
        word(&call(&environment, &to(BOB)).unwrap().result)
    };
    assert_eq!(hash_of(1), U256::from_be_bytes(hashes[0].0));
    // The block that the call is in has no hash yet, whatever number it believes to have, and none after it.
    assert_eq!([hash_of(2), hash_of(3)], [U256::ZERO; 2]);
}

#[test]
fn a_call_without_a_price_sees_no_base_fee() {
    // BASEFEE
    let (environment, request) = running("485f5260205ff3");
    let fee = environment.header.base_fee_per_gas.unwrap();
    assert!(fee > 0);
    assert_eq!(word(&call(&environment, &request).unwrap().result), U256::ZERO);
    let priced = CallRequest { from: address_of(&key(1)), gas: Some(50_000), max_fee_per_gas: 10 * GWEI, ..request };
    assert_eq!(word(&call(&environment, &priced).unwrap().result), U256::from(fee));
}

#[test]
fn estimates_suffice_and_are_tight() {
    let mut chain = Chain::new();
    let alice = address_of(&key(1));
    let environment = next(&chain);
    let transfer = CallRequest { from: alice, value: U256::from(1), ..to(BOB) };
    assert_eq!(estimate_gas(&environment, &transfer).unwrap().gas, 21_000);
    let count = CallRequest { from: alice, ..to(COUNTER) };
    let estimate = estimate_gas(&environment, &count).unwrap().gas;
    let used = call(&environment, &count).unwrap().gas_used;
    assert!(estimate >= used && estimate < used * 12 / 10, "{estimate} for {used}");
    let tx = TxEip1559 { gas_limit: estimate, ..call_tx(0, COUNTER, U256::ZERO, Bytes::new()) };
    assert!(chain.extend(Vec::new(), &[sign(&key(1), tx)]).receipts[1].status());
    let create = CallRequest { from: alice, to: None, data: alloy_primitives::hex!("60015ff3").into(), ..count };
    let estimate = estimate_gas(&environment, &create).unwrap().gas;
    assert!((53_000..60_000).contains(&estimate), "{estimate}");
}

#[test]
fn an_estimate_covers_what_callers_hold_back() {
    // Reverts unless 500,000 gas are left: only the bisection can find that.
    let (environment, request) = running("6207a1205a11600c575f5ffd5b00");
    let estimate = estimate_gas(&environment, &request).unwrap().gas;
    assert!((521_000..531_000).contains(&estimate), "{estimate}");
    let with = |gas| call(&environment, &CallRequest { gas: Some(gas), ..request.clone() }).unwrap().result.is_ok();
    assert!(with(estimate));
    assert!(!with(521_000));
}

#[test]
fn an_estimate_within_the_sender_s_means_says_so() {
    let (mut environment, request) = running("5b5f56");
    let balance = Some(U256::from(100_000 * 2 * GWEI));
    environment.overrides.insert(STRANGER, AccountOverride { balance, ..AccountOverride::default() });
    let priced = CallRequest { max_fee_per_gas: 2 * GWEI, ..request };
    let estimate = estimate_gas(&environment, &priced);
    assert!(matches!(estimate, Err(CallError::Allowance(100_000))), "{estimate:?}");
}

#[test]
fn an_estimate_for_a_poor_sender_says_what_is_missing() {
    let price = 2 * GWEI;
    for (balance, value, price, want) in [
        (0, 0, price, "insufficient funds for transfer".to_owned()),
        (5, 5, price, "insufficient funds for transfer".to_owned()),
        (1_000 * price + 5, 5, price, "gas required exceeds allowance (1000)".to_owned()),
        (0, 1, 0, format!("insufficient funds for gas * price + value: address {STRANGER} have 0 want 1")),
    ] {
        let mut environment = next(&Chain::new());
        let balance = Some(U256::from(balance));
        environment.overrides.insert(STRANGER, AccountOverride { balance, ..AccountOverride::default() });
        let request = CallRequest { value: U256::from(value), max_fee_per_gas: price, ..to(BOB) };
        assert_eq!(estimate_gas(&environment, &request).unwrap_err().to_string(), want);
    }
}

#[test]
fn overrides_change_accounts_for_the_call_only() {
    let chain = Chain::new();
    let mut environment = next(&chain);
    let slots = BTreeMap::from([(B256::ZERO, B256::with_last_byte(41))]);
    for change in [
        AccountOverride { state: Some(slots.clone()), ..AccountOverride::default() },
        AccountOverride { state_diff: slots, ..AccountOverride::default() },
    ] {
        environment.overrides.insert(COUNTER, change);
        let outcome = call(&environment, &to(COUNTER)).unwrap();
        assert_eq!(*outcome.logs[0].data.data, B256::with_last_byte(42)[..]);
    }
}

#[test]
fn an_access_list_names_the_slots_reached() {
    let environment = next(&Chain::new());
    let (list, outcome) = create_access_list(&environment, &to(COUNTER)).unwrap();
    assert!(outcome.result.is_ok());
    let item = list.0.iter().find(|item| item.address == COUNTER).unwrap();
    assert_eq!(item.storage_keys, [B256::ZERO]);
}

#[test]
fn an_interrupt_ends_an_endless_call() {
    // JUMPDEST; PUSH0; JUMP
    let (mut environment, request) = running("5b5f56");
    let unbothered = call(&environment, &CallRequest { gas: Some(1_000_000), ..request.clone() }).unwrap();
    assert!(matches!(unbothered.result, Err(Failure::Halt(..))));
    environment.interrupt = Some(Interrupt::Flag(Arc::new(AtomicBool::new(true))));
    assert!(matches!(call(&environment, &request), Err(CallError::Interrupted)));
    environment.interrupt = Some(Interrupt::Flag(Arc::new(AtomicBool::new(false))));
    let watched = call(&environment, &CallRequest { gas: Some(1_000_000), ..request }).unwrap();
    assert_eq!(watched, unbothered);
}

#[test]
fn a_brief_call_ends_before_it_keeps_others_waiting() {
    let now = Instant::now();
    let (mut endless, request) = running("5b5f56");
    endless.interrupt = Some(Interrupt::Brief(now + Duration::from_millis(1)));
    assert!(matches!(call(&endless, &request), Err(CallError::Interrupted)));
    // PUSH0; PUSH0; PUSH0; PUSH0; PUSH1 precompile; GAS; STATICCALL; PUSH0; MSTORE; PUSH1 32; PUSH0; RETURN
    let calls = |precompile: u8| running(&format!("5f5f5f5f60{precompile:02x}5afa5f5260205ff3"));
    let later = Some(Interrupt::Brief(now + Duration::from_secs(600)));
    for (precompile, brief) in [(2, true), (4, true), (5, false), (8, false), (0x0f, false)] {
        let (mut environment, request) = calls(precompile);
        environment.interrupt = later.clone();
        let outcome = call(&environment, &request);
        match brief {
            true => assert_eq!(word(&outcome.unwrap().result), U256::ONE, "precompile {precompile}"),
            false => assert!(matches!(outcome, Err(CallError::Interrupted)), "precompile {precompile}"),
        }
        let direct = call(&environment, &to(Address::with_last_byte(precompile)));
        assert_eq!(direct.is_ok(), brief, "precompile {precompile} itself");
    }
    let (mut moved, request) = running("00");
    let elsewhere = AccountOverride { move_precompile_to: Some(STRANGER), ..AccountOverride::default() };
    moved.overrides.insert(Address::with_last_byte(8), elsewhere);
    moved.interrupt = later;
    assert!(matches!(call(&moved, &request), Err(CallError::Interrupted)));
}

#[test]
fn a_moved_precompile_answers_in_one_place_only() {
    let identity = Address::with_last_byte(4);
    let mut environment = next(&Chain::new());
    let moved = AccountOverride { move_precompile_to: Some(BOB), ..AccountOverride::default() };
    environment.overrides.insert(identity, moved.clone());
    let ask = |environment: &CallEnvironment, address| {
        let request = CallRequest { data: Bytes::from_static(b"echo"), ..to(address) };
        call(environment, &request).map(|outcome| outcome.result.unwrap())
    };
    assert_eq!(ask(&environment, BOB).unwrap(), Bytes::from_static(b"echo"));
    assert_eq!(ask(&environment, identity).unwrap(), Bytes::new());
    let (list, _) = create_access_list(&environment, &to(BOB)).unwrap();
    assert!(list.is_empty(), "{list:?}");
    environment.overrides = [(STRANGER, moved.clone())].into();
    let refused = ask(&environment, BOB).unwrap_err();
    assert_eq!(refused.to_string(), format!("account {STRANGER} is not a precompile"));
    environment.overrides = [(identity, moved.clone()), (BOB, AccountOverride::default())].into();
    assert_eq!(ask(&environment, BOB).unwrap_err().to_string(), format!("account {BOB} is already overridden"));
    environment.overrides = [(identity, moved.clone()), (Address::with_last_byte(3), moved)].into();
    assert_eq!(ask(&environment, BOB).unwrap_err().to_string(), format!("account {BOB} is already overridden"));
}

#[test]
fn failures_have_geths_names() {
    for (code, want) in [
        ("fe", "invalid opcode: INVALID"),
        ("0c", "invalid opcode: opcode 0xc not defined"),
        ("50", "stack underflow (0 <=> 1)"),
        ("5b5f5f56", "stack limit reached 1024 (1023)"),
        ("5f56", "invalid jump destination"),
        ("60015f5f3e", "return data out of bounds"),
        ("5b5f56", "out of gas"),
        ("5f19516000", "gas uint64 overflow"),
        ("6200c0015f5ff0", "out of gas: max initcode size exceeded: code size 49153 limit 49152"),
    ] {
        let (environment, request) = running(code);
        let failure = call(&environment, &request).unwrap().result.unwrap_err();
        assert_eq!(failure.to_string(), want, "{code}");
    }
    let environment = next(&Chain::new());
    for (number, input, want) in [
        (
            5,
            [vec![0; 30], vec![4, 1], vec![0; 64]].concat(),
            "one or more of base/exponent/modulus length exceeded 1024 bytes",
        ),
        (6, vec![1; 128], "point is not on curve"),
        (8, vec![0; 1], "bad elliptic curve pairing size"),
        (9, vec![0; 212], "invalid input length"),
        (9, vec![2; 213], "invalid final flag"),
        (10, vec![0; 1], "invalid input length"),
        (10, vec![0; 192], "mismatched versioned hash"),
        (11, vec![0; 1], "invalid input length"),
        (11, vec![1; 256], "invalid field element top bytes"),
    ] {
        let request = CallRequest { data: input.into(), ..to(Address::with_last_byte(number)) };
        let failure = call(&environment, &request).unwrap().result.unwrap_err();
        assert_eq!(failure.to_string(), want, "{number}");
    }
    let create = CallRequest { to: None, data: vec![0; 49_153].into(), ..to(BOB) };
    let refused = call(&environment, &create).unwrap_err();
    assert_eq!(refused.to_string(), "max initcode size exceeded: code size 49153 limit 49152");
}
