//! Blocks executed again with a tracer: known shapes, the receipts' own figures, and bounds.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rpc_types_trace::{
    geth::{
        CallFrame, DefaultFrame, GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions, GethTrace,
        PreStateFrame,
    },
    parity::{Action, Delta, TraceResults, TraceType},
};
use protocol::{RecoveredTx, state::StateReader};
use serde_json::{Value, json};

use super::fixture::*;
use crate::{
    AccountOverride, CALL_GAS_CAP, CallEnvironment, CallError, CallRequest, ExecutedBlock, Interrupt, Overrides,
    Recorded, Recording, Replay, memory::MemoryState, recover_envelope,
};

/// Calls the contract whose address is its input, with 7 wei of its own, and forwards what comes back.
const CALLER: Address = Address::repeat_byte(0xca);
const BOB: Address = Address::repeat_byte(0xb0);

fn geth(options: Value) -> Recording {
    let options: GethDebugTracingOptions = serde_json::from_value(options).unwrap();
    Recording::Geth(Box::new(options))
}

fn parity(types: &[TraceType]) -> Recording {
    Recording::Parity(types.iter().copied().collect())
}

/// A chain, a block on it, and the state below that block.
struct Traced {
    chain: Chain,
    block: ExecutedBlock,
    before: MemoryState,
}

fn traced(transactions: &[RecoveredTx]) -> Traced {
    let mut chain = Chain::new();
    let before = chain.state.clone();
    let block = chain.extend(Vec::new(), transactions);
    Traced { chain, block, before }
}

impl Traced {
    fn replay(&self) -> Replay {
        let state: Arc<dyn StateReader> = Arc::new(self.before.clone());
        Replay::of_block(&self.chain.config, &self.block.block.header, self.block.hash, state, None).unwrap()
    }

    fn transactions(&self) -> Vec<RecoveredTx> {
        let body = self.block.block.body.transactions.iter().cloned();
        body.map(|envelope| recover_envelope(envelope, CHAIN_ID).unwrap()).collect()
    }

    /// The trace of the transaction with this index, after skipping those before.
    fn trace(&self, index: usize, recording: &Recording) -> Recorded {
        let mut replay = self.replay();
        let transactions = self.transactions();
        transactions[..index].iter().for_each(|tx| replay.skip(tx).unwrap());
        replay.trace(&transactions[index], recording).unwrap()
    }

    fn geth(&self, index: usize, options: Value) -> GethTrace {
        let Recorded::Geth(trace) = self.trace(index, &geth(options)) else { panic!("another kind") };
        *trace
    }
}

fn call_frame(trace: GethTrace) -> CallFrame {
    let GethTrace::CallTracer(frame) = trace else { panic!("{trace:?}") };
    frame
}

fn gas_of(block: &ExecutedBlock, index: usize) -> u64 {
    let used = |index: usize| block.receipts[index].cumulative_gas_used();
    used(index) - index.checked_sub(1).map_or(0, used)
}

#[test]
fn a_block_runs_again_as_it_ran() {
    let alice = address_of(&key(1));
    let revert = sign(&key(2), call_tx(0, REVERTER, U256::ZERO, Bytes::from_static(b"no")));
    let traced =
        traced(&[transfer(1, 0, BOB, 5), sign(&key(1), call_tx(1, COUNTER, U256::ZERO, Bytes::new())), revert]);
    let mut replay = traced.replay();
    let all = [TraceType::Trace, TraceType::StateDiff, TraceType::VmTrace];
    for (index, tx) in traced.transactions().iter().enumerate() {
        let Recorded::Parity(results) = replay.trace(tx, &parity(&all)).unwrap() else { panic!() };
        let frame =
            call_frame(traced.geth(index, json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } })));
        assert_eq!(frame.gas_used, U256::from(gas_of(&traced.block, index)), "{index}");
        assert_eq!(frame.from, tx.sender);
        let success = traced.block.receipts[index].status();
        assert_eq!(frame.error.is_none(), success, "{index}: {frame:?}");
        let logs = frame.logs.iter().map(|log| log.data.clone().unwrap()).collect::<Vec<_>>();
        let receipt = traced.block.receipts[index].logs().iter().map(|log| log.data.data.clone()).collect::<Vec<_>>();
        assert_eq!(logs, receipt);
        let TraceResults { trace, vm_trace, state_diff, .. } = *results;
        assert_eq!(trace[0].error.is_none(), success);
        assert!(vm_trace.is_some() && state_diff.is_some());
        if index > 0 {
            let Delta::Changed(nonce) = &state_diff.unwrap().0[&tx.sender].nonce else { panic!("nonce") };
            assert_eq!(nonce.to.to::<u64>(), nonce.from.to::<u64>() + 1);
        }
    }
    assert_eq!(traced.chain.nonce(alice), 2);
}

#[test]
fn prestate_and_its_difference() {
    let alice = address_of(&key(1));
    let traced = traced(&[sign(&key(1), call_tx(0, COUNTER, U256::ZERO, Bytes::new()))]);
    let GethTrace::PreStateTracer(PreStateFrame::Default(pre)) = traced.geth(1, json!({ "tracer": "prestateTracer" }))
    else {
        panic!("another kind")
    };
    assert_eq!(pre.0[&alice].balance, Some(traced.before.accounts[&alice].0.balance));
    assert!(pre.0[&COUNTER].code.is_some());
    assert_eq!(pre.0[&COUNTER].storage.get(&B256::ZERO), Some(&B256::ZERO));
    let config = json!({ "diffMode": true, "disableCode": true });
    let GethTrace::PreStateTracer(PreStateFrame::Diff(diff)) =
        traced.geth(1, json!({ "tracer": "prestateTracer", "tracerConfig": config }))
    else {
        panic!("another kind")
    };
    assert_eq!(diff.post[&alice].nonce, Some(1));
    assert_eq!(diff.post[&alice].balance, Some(traced.chain.balance(alice)));
    assert_eq!(diff.post[&COUNTER].storage[&B256::ZERO], B256::with_last_byte(1));
    assert!(diff.pre[&COUNTER].code.is_none());
    let bare = json!({ "disableStorage": true });
    let GethTrace::PreStateTracer(PreStateFrame::Default(bare)) =
        traced.geth(1, json!({ "tracer": "prestateTracer", "tracerConfig": bare }))
    else {
        panic!("another kind")
    };
    assert!(bare.0[&COUNTER].storage.is_empty());
}

#[test]
fn prestate_leaves_out_who_did_not_exist() {
    let traced = traced(&[transfer(1, 0, BOB, 5)]);
    let prestate = |config: Value| match traced.geth(1, json!({ "tracer": "prestateTracer", "tracerConfig": config })) {
        GethTrace::PreStateTracer(PreStateFrame::Default(accounts)) => (accounts.0.clone(), accounts.0),
        GethTrace::PreStateTracer(PreStateFrame::Diff(diff)) => (diff.pre, diff.post),
        other => panic!("{other:?}"),
    };
    let alice = address_of(&key(1));
    for (config, before, after) in [
        (json!({}), false, false),
        (json!({ "includeEmpty": true }), true, true),
        (json!({ "diffMode": true }), false, true),
    ] {
        let (pre, post) = prestate(config.clone());
        assert!(pre.contains_key(&alice) && post.contains_key(&alice), "{config}");
        assert_eq!((pre.contains_key(&BOB), post.contains_key(&BOB)), (before, after), "{config}");
    }
    let both = json!({ "diffMode": true, "includeEmpty": true });
    let both = geth(json!({ "tracer": "prestateTracer", "tracerConfig": both }));
    let refused = traced.replay().trace(&traced.transactions()[0], &both);
    assert!(matches!(&refused, Err(CallError::Tracer(why)) if why == "cannot use diffMode with includeEmpty"));
}

#[test]
fn struct_logs_and_their_options() {
    let traced = traced(&[sign(&key(1), call_tx(0, COUNTER, U256::ZERO, Bytes::new())), transfer(1, 1, BOB, 5)]);
    let steps = |options| {
        let GethTrace::Default(frame) = traced.geth(1, options) else { panic!("another kind") };
        frame
    };
    let DefaultFrame { gas, failed, struct_logs, .. } = steps(json!({}));
    assert_eq!((gas, failed), (gas_of(&traced.block, 1), false));
    let names: Vec<&str> = struct_logs.iter().map(|step| step.opcode()).collect();
    let want =
        ["PUSH0", "SLOAD", "PUSH1", "ADD", "DUP1", "PUSH0", "SSTORE", "PUSH0", "MSTORE", "PUSH1", "PUSH0", "LOG0"];
    assert_eq!(names[..want.len()], want);
    assert_eq!(struct_logs[0].depth, 1);
    assert!(struct_logs[2].stack.is_some() && struct_logs[2].memory.is_none());
    assert_eq!(struct_logs[1].storage.as_ref().unwrap()[&B256::ZERO], B256::ZERO);
    assert_eq!(struct_logs[6].storage.as_ref().unwrap()[&B256::ZERO], B256::with_last_byte(1));
    let spent: u64 = struct_logs.iter().map(|step| step.gas_cost).sum();
    assert_eq!(spent + 21_000, gas, "all gas of the call is in its steps");
    let bare = steps(json!({ "disableStack": true, "disableStorage": true }));
    assert!(bare.struct_logs[2].stack.is_none() && bare.struct_logs[1].storage.is_none());
    let GethTrace::Default(plain) = traced.geth(2, json!({})) else { panic!() };
    assert_eq!((plain.gas, plain.failed, plain.struct_logs.len()), (21_000, false, 0));
}

#[test]
fn the_other_tracers() {
    let input = [&hex!("a9059cbb")[..], &[0; 64]].concat();
    let traced = traced(&[sign(&key(1), call_tx(0, COUNTER, U256::ZERO, input))]);
    let GethTrace::FourByteTracer(selectors) = traced.geth(1, json!({ "tracer": "4byteTracer" })) else { panic!() };
    assert_eq!(selectors.0, [("0xa9059cbb-64".to_owned(), 1)].into());
    assert!(matches!(traced.geth(1, json!({ "tracer": "noopTracer" })), GethTrace::NoopTracer(_)));
    let GethTrace::FlatCallTracer(flat) = traced.geth(1, json!({ "tracer": "flatCallTracer" })) else { panic!() };
    assert_eq!((flat.len(), flat[0].transaction_position, flat[0].block_hash), (1, Some(1), Some(traced.block.hash)));
    let used = gas_of(&traced.block, 1);
    let flat_gas = flat[0].trace.result.as_ref().map(|output| output.gas_used());
    assert_eq!(flat_gas, Some(used), "the receipt's gas");
    let mux = json!({ "callTracer": null, "4byteTracer": {}, "prestateTracer": { "diffMode": true } });
    let GethTrace::MuxTracer(mux) = traced.geth(1, json!({ "tracer": "muxTracer", "tracerConfig": mux })) else {
        panic!()
    };
    assert_eq!(mux.0.len(), 3);
    let named = GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::CallTracer);
    let frame = call_frame(mux.0[&named].clone());
    let limit = traced.transactions()[1].envelope.gas_limit();
    assert_eq!((frame.gas, frame.gas_used), (U256::from(limit), U256::from(used)), "as callTracer alone");
    for tracer in ["{ step: function() {} }", "nonsense", "stateGasTracer"] {
        let refused = traced.replay().trace(&traced.transactions()[0], &geth(json!({ "tracer": tracer })));
        assert!(matches!(&refused, Err(CallError::Tracer(why)) if why == "tracer not found"), "{tracer}: {refused:?}");
    }
    let wrong = geth(json!({ "tracer": "callTracer", "tracerConfig": { "onlyTopCall": "yes" } }));
    assert!(matches!(traced.replay().trace(&traced.transactions()[0], &wrong), Err(CallError::Tracer(_))));
}

/// An environment with code at [`CALLER`].
fn with_code(code: &str) -> CallEnvironment {
    let chain = Chain::new();
    let mut environment = CallEnvironment::at(&chain.config, &chain.parent, Arc::new(chain.state.clone()));
    let code = Some(Bytes::from(hex::decode(code).unwrap()));
    let balance = Some(ETHER);
    environment.overrides =
        Overrides::from([(CALLER, AccountOverride { code, balance, ..AccountOverride::default() })]);
    environment
}

fn call_of(environment: &CallEnvironment, data: Bytes, recording: &Recording) -> Result<Recorded, CallError> {
    let request = CallRequest { from: BOB, to: Some(CALLER), data, ..CallRequest::default() };
    Replay::of_calls(environment).unwrap().trace_call(&request, recording)
}

/// call(gas, calldataload(0), 7, 0, 0, 0, 0); returndatacopy(0, 0, returndatasize); return(0, returndatasize)
const FORWARD: &str = "5f5f5f5f60075f355af1503d5f5f3e3d5ff3";

#[test]
fn nested_calls_have_their_place() {
    let environment = with_code(FORWARD);
    let input = Bytes::from(B256::left_padding_from(HALTER.as_slice()).to_vec());
    let Recorded::Geth(trace) = call_of(&environment, input.clone(), &geth(json!({ "tracer": "callTracer" }))).unwrap()
    else {
        panic!()
    };
    let frame = call_frame(*trace);
    assert_eq!((frame.typ.as_str(), frame.to, frame.error), ("CALL", Some(CALLER), None));
    let inner = &frame.calls[0];
    assert_eq!((inner.typ.as_str(), inner.from, inner.to), ("CALL", CALLER, Some(HALTER)));
    assert_eq!(inner.value, Some(U256::from(7)));
    assert!(inner.error.as_ref().is_some_and(|error| error.contains("invalid opcode")), "{:?}", inner.error);
    let top = geth(json!({ "tracer": "callTracer", "tracerConfig": { "onlyTopCall": true } }));
    let Recorded::Geth(top) = call_of(&environment, input.clone(), &top).unwrap() else { panic!() };
    assert!(call_frame(*top).calls.is_empty());
    let Recorded::Parity(results) = call_of(&environment, input, &parity(&[TraceType::Trace])).unwrap() else {
        panic!()
    };
    let places: Vec<_> = results.trace.iter().map(|trace| trace.trace_address.clone()).collect();
    assert_eq!(places, [vec![], vec![0]]);
    assert!(matches!(&results.trace[1].action, Action::Call(call) if call.to == HALTER));
}

fn frame_of(code: &str) -> CallFrame {
    let recorded = call_of(&with_code(code), Bytes::new(), &geth(json!({ "tracer": "callTracer" }))).unwrap();
    let Recorded::Geth(trace) = recorded else { panic!("another kind") };
    call_frame(*trace)
}

#[test]
fn frames_stand_in_the_order_of_their_calls() {
    // call(gas, 0xb1, 0, 0, 0, 0, 0); call(gas, 0xb2, …); selfdestruct(0xb3)
    let frame = frame_of("5f5f5f5f5f60b15af1505f5f5f5f5f60b25af15060b3ff");
    let shown: Vec<_> = frame.calls.iter().map(|call| (call.typ.as_str(), call.to.unwrap())).collect();
    let low = Address::with_last_byte;
    assert_eq!(shown, [("CALL", low(0xb1)), ("CALL", low(0xb2)), ("SELFDESTRUCT", low(0xb3))]);
}

#[test]
fn a_contract_can_name_itself_as_its_heir() {
    // selfdestruct(address)
    let frame = frame_of("30ff");
    let end = &frame.calls[0];
    assert_eq!((end.typ.as_str(), end.from, end.to, end.value), ("SELFDESTRUCT", CALLER, Some(CALLER), Some(ETHER)));
    let Recorded::Parity(results) = call_of(&with_code("30ff"), Bytes::new(), &parity(&[TraceType::Trace])).unwrap()
    else {
        panic!("another kind")
    };
    let Action::Selfdestruct(end) = &results.trace[1].action else { panic!("{results:?}") };
    assert_eq!((end.address, end.refund_address, end.balance), (CALLER, CALLER, ETHER));
}

#[test]
fn failures_have_the_words_of_their_tracer() {
    for (code, geths, parity_s) in [
        ("50", "stack underflow (0 <=> 1)", "Stack underflow"),
        ("5f90", "stack underflow (1 <=> 2)", "Stack underflow"),
        // jumpdest; push0; push0; jump
        ("5b5f5f56", "stack limit reached 1024 (1023)", "Out of stack"),
        ("60015f5f3e", "return data out of bounds", "Out of bounds"),
        ("0c", "invalid opcode: opcode 0xc not defined", "Bad instruction"),
        ("fe", "invalid opcode: INVALID", "Bad instruction"),
        ("5f56", "invalid jump destination", "Bad jump destination"),
        ("5f63ffffffff52", "out of gas", "Out of gas"),
        // create(0, 0, 49,153)
        ("6200c0015f5ff0", "out of gas: max initcode size exceeded: code size 49153 limit 49152", "Out of gas"),
    ] {
        let environment = with_code(code);
        let record = |recording: Recording| call_of(&environment, Bytes::new(), &recording).unwrap();
        assert_eq!(frame_of(code).error.as_deref(), Some(geths), "{code}");
        let Recorded::Geth(steps) = record(geth(json!({ "disableStack": true }))) else { panic!() };
        let GethTrace::Default(steps) = *steps else { panic!("another kind") };
        assert_eq!(steps.struct_logs.last().unwrap().error.as_deref(), Some(geths), "{code}");
        assert_eq!(steps.struct_logs.iter().filter(|step| step.error.is_some()).count(), 1, "{code}");
        for (convert, want) in [(false, geths), (true, parity_s)] {
            let config = json!({ "convertParityErrors": convert });
            let flat = record(geth(json!({ "tracer": "flatCallTracer", "tracerConfig": config })));
            let Recorded::Geth(flat) = flat else { panic!() };
            let GethTrace::FlatCallTracer(flat) = *flat else { panic!("another kind") };
            assert_eq!(flat[0].trace.error.as_deref(), Some(want), "{code} {convert}");
        }
        let Recorded::Parity(results) = record(parity(&[TraceType::Trace])) else { panic!() };
        assert_eq!(results.trace[0].error.as_deref(), Some(parity_s), "{code}");
    }
    for (code, want) in [
        // staticcall(gas, COUNTER, 0, 0, 0, 0)
        ("5f5f5f5f60e35afa00", "write protection"),
        // create(0, 27, 5) of what returns 24,577 bytes
        ("646160015ff35f526005601b5ff000", "max code size exceeded"),
        // The same of what returns 0xef.
        ("6760ef5f5360015ff35f52600860185ff000", "invalid code: must not begin with 0xef"),
        // call(gas, 0xb1, 2 ether, 0, 0, 0, 0)
        ("5f5f5f5f671bc16d674ec8000060b15af100", "insufficient balance for transfer"),
        // call(gas, blake2f, 0, 0, 0, 0, 0)
        ("5f5f5f5f5f60095af100", "invalid input length"),
        // call(gas, pairing, 0, 0, 1, 0, 0)
        ("5f5f60015f5f60085af100", "bad elliptic curve pairing size"),
        // call(gas, pointEvaluation, 0, 0, 192, 0, 0)
        ("5f5f60c05f5f600a5af100", "mismatched versioned hash"),
    ] {
        let frame = frame_of(code);
        assert_eq!((frame.error, frame.calls[0].error.as_deref()), (None, Some(want)), "{code}");
        let tree = call_of(&with_code(code), Bytes::new(), &geth(json!({ "tracer": "erc7562Tracer" }))).unwrap();
        let Recorded::Geth(tree) = tree else { panic!("another kind") };
        let GethTrace::Erc7562Tracer(tree) = *tree else { panic!("another kind") };
        assert_eq!((tree.error, tree.calls[0].error.as_deref()), (None, Some(want)), "{code}");
    }
}

#[test]
fn vm_traces_show_what_was_written() {
    let traced = traced(&[sign(&key(1), call_tx(0, COUNTER, U256::ZERO, Bytes::new()))]);
    let Recorded::Parity(results) = traced.trace(1, &parity(&[TraceType::VmTrace])) else { panic!("another kind") };
    let ops = results.vm_trace.unwrap().ops;
    let stored = |name: &str| {
        let step = ops.iter().find(|step| step.op.as_deref() == Some(name)).unwrap();
        step.ex.as_ref().unwrap().store.map(|store| (store.key, store.val))
    };
    assert_eq!((stored("SLOAD"), stored("SSTORE")), (None, Some((U256::ZERO, U256::ONE))));
}

#[test]
fn calls_build_on_each_other() {
    let chain = Chain::new();
    let environment = CallEnvironment::at(&chain.config, &chain.parent, Arc::new(chain.state.clone()));
    let mut replay = Replay::of_calls(&environment).unwrap();
    let request = CallRequest { from: BOB, to: Some(COUNTER), ..CallRequest::default() };
    for count in 1..=3 {
        let recording = geth(json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } }));
        let Recorded::Geth(trace) = replay.trace_call(&request, &recording).unwrap() else { panic!() };
        assert_eq!(call_frame(*trace).logs[0].data, Some(Bytes::from(B256::with_last_byte(count))));
    }
}

#[test]
fn bombs_are_defused() {
    // jumpdest; push0; jump: a loop until the gas is gone.
    let looping = with_code("5b5f56");
    // jumpdest; call(gas, 0xb0…b0, 0, 0, 1 MiB, 0, 0); pop; push0; jump: each call has a megabyte of input.
    let heavy = with_code(&format!("5b5f5f621000005f5f73{}5af1505f56", hex::encode(BOB)));
    // The same with logs of a megabyte: their gas bounds them first, so they may end by themselves.
    for (environment, recording) in [
        (&looping, geth(json!({}))),
        (&looping, geth(json!({ "enableMemory": true }))),
        (&looping, parity(&[TraceType::VmTrace])),
        (&heavy, geth(json!({ "tracer": "callTracer" }))),
        (&heavy, geth(json!({ "tracer": "flatCallTracer" }))),
        (&heavy, parity(&[TraceType::Trace])),
    ] {
        let stopped = call_of(environment, Bytes::new(), &recording);
        assert!(matches!(stopped, Err(CallError::TraceTooLarge)), "{recording:?}");
    }
    // push20 0xc0…00; jumpdest; balance(top); top + 1; jump: touches accounts, the first thousands of which have much code.
    let first = U256::from_be_bytes(Address::repeat_byte(0xc0).into_word().0);
    let address = |index: u32| Address::from_word(B256::from(first.saturating_add(U256::from(index))));
    let mut touching = with_code(&format!("73{}5b803150600101601556", hex::encode(address(0))));
    let code = Some(Bytes::from(vec![0; 24_576]));
    let big = AccountOverride { code, ..AccountOverride::default() };
    touching.overrides.extend((0..4_200).map(|index| (address(index), big.clone())));
    let mux = json!({ "tracer": "muxTracer", "tracerConfig": { "prestateTracer": {} } });
    for recording in [geth(json!({ "tracer": "prestateTracer" })), geth(mux), parity(&[TraceType::StateDiff])] {
        let stopped = call_of(&touching, Bytes::new(), &recording);
        assert!(matches!(stopped, Err(CallError::TraceTooLarge)), "{recording:?}");
    }
    // What records no calls may make as many as it likes.
    for tracer in ["noopTracer", "4byteTracer"] {
        assert!(call_of(&heavy, Bytes::new(), &geth(json!({ "tracer": tracer }))).is_ok(), "{tracer}");
    }
    // What does not record much may run to its end, and a limit makes struct logs small.
    for recording in [geth(json!({ "tracer": "prestateTracer" })), geth(json!({ "limit": 10 }))] {
        assert!(call_of(&looping, Bytes::new(), &recording).is_ok(), "{recording:?}");
    }
    let request = CallRequest { from: BOB, to: Some(CALLER), ..CallRequest::default() };
    let within = |gas: u64, environment: &CallEnvironment, recording: &Recording| {
        let request = CallRequest { gas: Some(gas), ..request.clone() };
        Replay::of_calls(environment).unwrap().trace_call(&request, recording)
    };
    // push0; jumpdest; sload(top); top + 1; jump: each reading shows all the slots that were read before it.
    let reading = with_code("5f5b80545060010160015600");
    // jumpdest; call(gas, 0xd0…d0, 0, 0, 0, 0, 0); pop; push0; jump: the callee's code is in each call.
    let mut calling = with_code(&format!("5b5f5f5f5f5f73{}5af1505f56", "d0".repeat(20)));
    calling.overrides.insert(Address::repeat_byte(0xd0), big);
    // hash(0, 218 MB): there is gas for the words, but not for the memory.
    let hashing = with_code("630d0000005f20");
    // The same to an account without code.
    let siblings = with_code(&format!("5b5f5f5f5f5f73{}5af1505f56", hex::encode(BOB)));
    // staticcall(gas, identity, 0, 64 KiB, 0, 0); pop; jumpdest; push1 12; jump: each instruction shows what came back.
    let returned = with_code("5f5f620100005f60045afa505b600c56");
    let erc7562 = geth(json!({ "tracer": "erc7562Tracer" }));
    for (gas, environment, recording, too_large) in [
        (5_000_000, &reading, geth(json!({})), true),
        (5_000_000, &reading, geth(json!({ "disableStorage": true })), false),
        (1_000_000, &returned, geth(json!({ "enableReturnData": true })), true),
        (1_000_000, &returned, geth(json!({})), false),
        (1_000_000, &calling, parity(&[TraceType::VmTrace]), true),
        (1_000_000, &calling, parity(&[TraceType::Trace]), false),
        (CALL_GAS_CAP, &hashing, erc7562.clone(), true),
        (CALL_GAS_CAP, &with_code("63ffffffff5f20"), erc7562.clone(), false),
        (1_300_000, &siblings, erc7562, true),
        (20_000_000, &siblings, geth(json!({ "tracer": "flatCallTracer" })), false),
        (20_000_000, &siblings, parity(&[TraceType::Trace]), false),
    ] {
        let outcome = within(gas, environment, &recording);
        assert_eq!(matches!(outcome, Err(CallError::TraceTooLarge)), too_large, "{recording:?}");
        assert!(too_large || outcome.is_ok(), "{recording:?}");
    }
    let began = Instant::now();
    let Recorded::Geth(many) = within(0x170_0000, &siblings, &geth(json!({ "tracer": "callTracer" }))).unwrap() else {
        panic!("another kind")
    };
    assert!(call_frame(*many).calls.len() > 180_000);
    assert!(began.elapsed() < Duration::from_secs(30), "siblings are put together in {:?}", began.elapsed());
    let mut hurried = looping.clone();
    hurried.interrupt = Some(Interrupt::Flag(Arc::new(AtomicBool::new(true))));
    let stopped = call_of(&hurried, Bytes::new(), &geth(json!({ "tracer": "callTracer" })));
    assert!(matches!(stopped, Err(CallError::Interrupted)), "{stopped:?}");
}
