//! Struct logs, entry by entry: what geth shows, and how much of it a limit leaves.

use std::sync::Arc;

use alloy_eips::eip2930::{AccessList, AccessListItem};
use alloy_primitives::{Address, B256, U256, hex};
use alloy_rpc_types_trace::geth::{DefaultFrame, GethTrace, StructLog};
use serde_json::{Value, json};

use super::fixture::*;
use crate::{AccountOverride, CallEnvironment, CallRequest, Overrides, Recorded, Recording, Replay};

/// Runs the code under test.
const CALLER: Address = Address::repeat_byte(0xca);
const LOW: Address = Address::with_last_byte(0xb1);

/// The steps of code at [`CALLER`], whose slot 0 is 7 and warm; at [`LOW`] is `push0; stop`.
fn steps(code: &str, options: Value) -> DefaultFrame {
    let chain = Chain::new();
    let mut environment = CallEnvironment::at(&chain.config, &chain.parent, Arc::new(chain.state.clone()));
    let with =
        |code: &str| AccountOverride { code: Some(hex::decode(code).unwrap().into()), ..AccountOverride::default() };
    let stored = [(B256::ZERO, B256::with_last_byte(7))].into();
    environment.overrides =
        Overrides::from([(CALLER, AccountOverride { state_diff: stored, ..with(code) }), (LOW, with("5f00"))]);
    let access_list = AccessList(vec![AccessListItem { address: CALLER, storage_keys: vec![B256::ZERO] }]);
    let request = CallRequest { to: Some(CALLER), gas: Some(500_000), access_list, ..CallRequest::default() };
    let recording = Recording::Geth(Box::new(serde_json::from_value(options).unwrap()));
    let recorded = Replay::of_calls(&environment).unwrap().trace_call(&request, &recording).unwrap();
    let Recorded::Geth(trace) = recorded else { panic!("another kind") };
    let GethTrace::Default(frame) = *trace else { panic!("another kind") };
    frame
}

/// mstore(0, sload(0)); keccak256(0, 32); stop
const WORK: &str = "5f545f5260205f2000";

#[test]
fn a_limit_counts_bytes_of_entries() {
    for options in [json!({}), json!({ "enableMemory": true }), json!({ "disableStack": true, "disableStorage": true })]
    {
        let all = steps(WORK, options.clone()).struct_logs;
        let sizes: Vec<usize> = all.iter().map(|entry| serde_json::to_string(entry).unwrap().len()).collect();
        let sum: usize = sizes.iter().sum();
        for limit in [1, sizes[0] - 1, sizes[0], sizes[0] + 1, sum / 2, sum - 1, sum, usize::MAX, 0] {
            let mut options = options.clone();
            options["limit"] = json!(limit);
            let limited = steps(WORK, options);
            // Geth records as long as what it has is not beyond the limit.
            let (mut have, mut want) = (0, 0);
            while want < sizes.len() && (limit == 0 || have <= limit) {
                have += sizes[want];
                want += 1;
            }
            assert_eq!(limited.struct_logs, all[..want], "{limit}");
            assert!(!limited.failed, "execution went on");
        }
    }
}

#[test]
fn entries_are_geths_byte_for_byte() {
    let options = json!({ "enableMemory": true, "enableReturnData": true });
    let frame = steps(WORK, options);
    let word = |last: u8| B256::with_last_byte(last);
    let gas = frame.struct_logs[0].gas;
    let want = [
        json!({ "pc": 0, "op": "PUSH0", "gas": gas, "gasCost": 2, "depth": 1, "stack": [] }),
        json!({ "pc": 1, "op": "SLOAD", "gas": gas - 2, "gasCost": 100, "depth": 1, "stack": ["0x0"], "storage": { word(0).to_string(): word(7) } }),
        json!({ "pc": 2, "op": "PUSH0", "gas": gas - 102, "gasCost": 2, "depth": 1, "stack": ["0x7"] }),
        json!({ "pc": 3, "op": "MSTORE", "gas": gas - 104, "gasCost": 6, "depth": 1, "stack": ["0x7", "0x0"] }),
        json!({ "pc": 4, "op": "PUSH1", "gas": gas - 110, "gasCost": 3, "depth": 1, "stack": [], "memory": [word(7)] }),
    ];
    for (entry, want) in frame.struct_logs.iter().zip(want) {
        assert_eq!(serde_json::to_value(entry).unwrap(), want);
    }
    // 0x0c
    let undefined = steps("0c", json!({})).struct_logs;
    assert_eq!(undefined[0].op, "opcode 0xc not defined");
}

#[test]
fn refunds_are_the_transactions() {
    // sstore(0, 0); call(gas, LOW, 0, 0, 0, 0, 0); stop
    let entries = steps("5f5f555f5f5f5f5f60b15af100", json!({})).struct_logs;
    let shown = |entry: &StructLog| (entry.depth, entry.refund_counter);
    assert_eq!(shown(&entries[2]), (1, None), "before the slot is emptied");
    assert_eq!(shown(&entries[3]), (1, Some(4_800)));
    let inner = entries.iter().find(|entry| entry.depth == 2).unwrap();
    assert_eq!(shown(inner), (2, Some(4_800)));
    assert_eq!(shown(entries.last().unwrap()), (1, Some(4_800)));
}

#[test]
fn a_creation_costs_what_it_costs_itself() {
    // create(0, 0, 0); stop
    let entries = steps("5f5f5ff000", json!({})).struct_logs;
    assert_eq!((entries[3].op.as_ref(), entries[3].gas_cost), ("CREATE", 32_000));
    assert_eq!((entries.len(), entries[4].op.as_ref(), entries[4].depth), (5, "STOP", 1), "no code, no step");
    // call(gas, LOW, 0, 0, 0, 0, 0): a cold account, and all but a 64th part of the gas.
    let entries = steps("5f5f5f5f5f60b15af100", json!({})).struct_logs;
    let call = entries.iter().find(|entry| entry.op == "CALL").unwrap();
    let left = call.gas - 2_600;
    assert_eq!(call.gas_cost, 2_600 + left - left / 64);
    assert_eq!(call.stack.as_ref().unwrap()[5], U256::from(0xb1));
}
