//! `eth_simulateV1`: made-up blocks on each other.

use std::sync::{Arc, atomic::AtomicBool};

use alloy_primitives::{Address, B256, Bytes, U256, address, hex};

use super::fixture::*;
use crate::{
    AccountOverride, CallError, CallRequest, Failure, Interrupt, Overrides, SimulateError, SimulateOptions,
    SimulatedBlock, SimulatedBlockRequest, simulate,
};

const BOB: Address = Address::repeat_byte(0xb0);
const CODE: Address = Address::repeat_byte(0xc0);
const EMITTER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");

fn run(
    chain: &Chain,
    blocks: &[SimulatedBlockRequest],
    options: SimulateOptions,
) -> Result<Vec<SimulatedBlock>, SimulateError> {
    simulate(&chain.config, &chain.parent, Arc::new(chain.state.clone()), &chain.state, blocks, options, None)
}

fn block(calls: Vec<CallRequest>) -> SimulatedBlockRequest {
    SimulatedBlockRequest { calls, ..SimulatedBlockRequest::default() }
}

fn code(text: &str) -> Overrides {
    let code = Some(hex::decode(text).unwrap().into());
    Overrides::from([(CODE, AccountOverride { code, ..AccountOverride::default() })])
}

fn word(block: &SimulatedBlock, call: usize) -> U256 {
    U256::from_be_slice(block.outcomes[call].result.as_ref().unwrap())
}

#[test]
fn blocks_see_the_ones_before() {
    let chain = Chain::new();
    let count = CallRequest { from: BOB, to: Some(COUNTER), ..CallRequest::default() };
    // blockhash(number - 1)
    let hash = CallRequest { from: BOB, to: Some(CODE), ..CallRequest::default() };
    let second = SimulatedBlockRequest {
        number: Some(3),
        overrides: code("60014303405f5260205ff3"),
        ..block(vec![count.clone(), hash])
    };
    let done = run(&chain, &[block(vec![count.clone(), count]), second], SimulateOptions::default()).unwrap();
    assert_eq!(done.len(), 3, "the gap is filled");
    let (first, gap, second) = (&done[0], &done[1], &done[2]);
    assert_eq!(first.outcomes[1].logs[0].data.data, Bytes::from(B256::with_last_byte(2)));
    assert_eq!(second.outcomes[0].logs[0].data.data, Bytes::from(B256::with_last_byte(3)));
    assert_eq!(B256::from(word(second, 1)), gap.hash);
    assert_eq!(second.block.header.parent_hash, gap.hash);
    assert_eq!(gap.block.header.parent_hash, first.hash);
    assert_eq!(first.block.header.gas_used, first.outcomes.iter().map(|outcome| outcome.gas_used).sum::<u64>());
    assert_ne!(first.block.header.state_root, second.block.header.state_root);
    assert_eq!(first.block.header.base_fee_per_gas, Some(0));
}

#[test]
fn the_root_is_that_of_the_real_block() {
    let mut chain = Chain::new();
    let alice = address_of(&key(1));
    let before = chain.clone();
    chain.extend(Vec::new(), &[]);
    // An empty block changes the history contract only, as a simulated one does; the attributes deposit is left out there.
    let empty = run(&before, &[block(Vec::new())], SimulateOptions::default()).unwrap();
    assert_ne!(empty[0].block.header.state_root, before.parent.state_root);
    let gift = CallRequest { from: alice, to: Some(BOB), value: U256::from(5), ..CallRequest::default() };
    let paid = run(&before, &[block(vec![gift])], SimulateOptions::default()).unwrap();
    assert_ne!(paid[0].block.header.state_root, empty[0].block.header.state_root);
    let storage = AccountOverride { state_diff: [(B256::ZERO, B256::with_last_byte(9))].into(), ..Default::default() };
    let written = SimulatedBlockRequest { overrides: [(COUNTER, storage)].into(), ..block(Vec::new()) };
    let written = run(&before, &[written], SimulateOptions::default()).unwrap();
    assert_ne!(written[0].block.header.state_root, empty[0].block.header.state_root, "overrides are in the root");
}

#[test]
fn native_transfers_can_be_logs() {
    let chain = Chain::new();
    let alice = address_of(&key(1));
    let options = SimulateOptions { trace_transfers: true, ..SimulateOptions::default() };
    // call(gas, 0xb0…b0, 7 wei); log0; then the same in a frame that reverts.
    let pay = |tail: &str| format!("5f5f5f5f600773{}5af1505f5fa0{tail}", hex::encode(BOB));
    let rich = |text: &str| {
        let mut overrides = code(text);
        overrides.get_mut(&CODE).unwrap().balance = Some(ETHER);
        overrides
    };
    let call = CallRequest { from: alice, to: Some(CODE), value: U256::from(3), ..CallRequest::default() };
    let good = SimulatedBlockRequest { overrides: rich(&pay("00")), ..block(vec![call.clone()]) };
    let bad = SimulatedBlockRequest { overrides: rich(&pay("5f5ffd")), ..block(vec![call]) };
    let done = run(&chain, &[good, bad], options).unwrap();
    let emitters: Vec<_> = done[0].outcomes[0].logs.iter().map(|log| log.address).collect();
    assert_eq!(emitters, [EMITTER, EMITTER, CODE], "outer transfer, inner transfer, the contract's own log");
    assert_eq!(done[0].outcomes[0].logs[1].data.data, Bytes::from(B256::with_last_byte(7)));
    assert_eq!(done[1].outcomes[0].result, Err(Failure::Revert(Bytes::new())));
    assert!(done[1].outcomes[0].logs.is_empty());
}

#[test]
fn a_contract_s_end_is_a_transfer_to_whom_it_names() {
    let chain = Chain::new();
    // selfdestruct(address)
    let mut overrides = code("30ff");
    overrides.get_mut(&CODE).unwrap().balance = Some(ETHER);
    let alice = address_of(&key(1));
    let call = CallRequest { from: alice, to: Some(CODE), value: U256::from(3), ..CallRequest::default() };
    let request = SimulatedBlockRequest { overrides, ..block(vec![call]) };
    let options = SimulateOptions { trace_transfers: true, ..SimulateOptions::default() };
    let done = run(&chain, &[request], options).unwrap();
    let logs = done[0].outcomes[0].logs.iter();
    let shown: Vec<_> = logs.map(|log| (log.data.topics()[1], log.data.topics()[2])).collect();
    assert_eq!(shown, [(alice.into_word(), CODE.into_word()), (CODE.into_word(), CODE.into_word())]);
    assert_eq!(*done[0].outcomes[0].logs[1].data.data, B256::from(ETHER + U256::from(3))[..]);
}

#[test]
fn a_failing_frame_takes_its_transfer_back() {
    let chain = Chain::new();
    // call(gas, REVERTER, 7 wei, 1 byte of input); stop
    let text = format!("5f5f60015f600773{}5af15000", hex::encode(REVERTER));
    let mut overrides = code(&text);
    overrides.get_mut(&CODE).unwrap().balance = Some(ETHER);
    let call = CallRequest { from: BOB, to: Some(CODE), ..CallRequest::default() };
    let request = SimulatedBlockRequest { overrides, ..block(vec![call]) };
    let options = SimulateOptions { trace_transfers: true, ..SimulateOptions::default() };
    let done = run(&chain, &[request], options).unwrap();
    assert!(done[0].outcomes[0].result.is_ok());
    assert!(done[0].outcomes[0].logs.is_empty());
}

#[test]
fn validation_refuses_what_a_block_would() {
    let chain = Chain::new();
    let alice = address_of(&key(1));
    let strict = SimulateOptions { validation: true, ..SimulateOptions::default() };
    let fair = CallRequest {
        from: alice,
        to: Some(BOB),
        value: U256::from(1),
        gas: Some(21_000),
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: Some(1),
        ..CallRequest::default()
    };
    let done = run(&chain, &[block(vec![fair.clone(), fair.clone()])], strict).unwrap();
    assert!(done[0].outcomes.iter().all(|outcome| outcome.result.is_ok()));
    assert!(done[0].block.header.base_fee_per_gas.unwrap() > 0);
    let limit = chain.config.params.gas_limit;
    for (call, code) in [
        (CallRequest { nonce: Some(1), ..fair.clone() }, -38011),
        (CallRequest { max_fee_per_gas: 1, ..fair.clone() }, -38012),
        (CallRequest { gas: Some(20_000), ..fair.clone() }, -38013),
        (CallRequest { from: BOB, ..fair.clone() }, -38014),
        (CallRequest { gas: Some(limit + 1), ..fair.clone() }, -38015),
    ] {
        let refused = run(&chain, &[block(vec![call])], strict);
        assert!(
            matches!(&refused, Err(SimulateError::Invalid { code: got, .. }) if *got == code),
            "{code}: {refused:?}"
        );
    }
    let again = CallRequest { nonce: Some(0), ..fair.clone() };
    let refused = run(&chain, &[block(vec![fair.clone(), again.clone()])], strict);
    assert!(matches!(refused, Err(SimulateError::Invalid { code: -38010, .. })));
    assert!(
        run(&chain, &[block(vec![fair.clone(), again])], SimulateOptions::default()).is_ok(),
        "without validation it runs"
    );
    let rich = AccountOverride { balance: Some(ETHER), ..AccountOverride::default() };
    let contract = CallRequest { from: COUNTER, ..fair };
    let contract = SimulatedBlockRequest { overrides: [(COUNTER, rich)].into(), ..block(vec![contract]) };
    assert!(run(&chain, &[contract], strict).is_ok(), "senders may have code, as with geth");
}

#[test]
fn time_that_is_up_ends_blocks_without_calls() {
    let chain = Chain::new();
    let (blocks, options) = ([block(Vec::new())], SimulateOptions::default());
    for (raised, ends) in [(false, false), (true, true)] {
        let interrupt = Some(Interrupt::Flag(Arc::new(AtomicBool::new(raised))));
        let state = Arc::new(chain.state.clone());
        let done = simulate(&chain.config, &chain.parent, state, &chain.state, &blocks, options, interrupt);
        assert_eq!(matches!(done, Err(SimulateError::Call(CallError::Interrupted))), ends, "{raised}");
    }
}

#[test]
fn all_calls_together_have_one_gas_budget() {
    let chain = Chain::new();
    let burn = CallRequest { from: BOB, to: Some(HALTER), ..CallRequest::default() };
    let blocks: Vec<_> = (0..10).map(|_| block(vec![burn.clone()])).collect();
    let refused = run(&chain, &blocks, SimulateOptions::default());
    assert!(matches!(refused, Err(SimulateError::Invalid { code: -38026, .. })), "{refused:?}");
}
