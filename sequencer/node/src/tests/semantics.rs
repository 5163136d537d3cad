//! Where clients tell one node from another: errors and their texts, overrides, ranges. The wanted answers are geth's.

use alloy_primitives::{Address, B256, Bytes, U256, address};
use rpc::RpcConfig;
use serde_json::{Value, json};

use super::chain::{BURNER, COUNTED, COUNTER, INIT, Node, REVERTER, account, every_type, sign, start};

const IDENTITY: Address = address!("0000000000000000000000000000000000000004");
const HASH160: Address = address!("0000000000000000000000000000000000000003");
const ELSEWHERE: Address = address!("00000000000000000000000000000000000000ee");
/// Has nothing.
const BROKE: Address = address!("00000000000000000000000000000000000000bb");

async fn refused(node: &Node, method: &str, params: Value) -> (i64, String) {
    match node.try_call(method, params.clone()).await {
        Ok(answer) => panic!("{method} {params}: {answer}"),
        Err((code, text, _)) => (code, text),
    }
}

async fn grown() -> Node {
    let node = start(RpcConfig::default()).await;
    node.mine(&every_type()).await;
    node
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_fail_in_geths_words() {
    let node = grown().await;
    let code = |code: &str| json!({ ELSEWHERE.to_string(): { "code": code } });
    let there = json!({ "from": account(1), "to": ELSEWHERE });
    let poor = format!("insufficient funds for gas * price + value: address {BROKE} have 0 want 1");
    let cases = [
        ("eth_call", json!([there, "latest", code("0xfe")]), "invalid opcode: INVALID"),
        ("eth_call", json!([there, "latest", code("0x50")]), "stack underflow (0 <=> 1)"),
        ("eth_call", json!([there, "latest", code("0x5f56")]), "invalid jump destination"),
        ("eth_call", json!([{ "to": BURNER, "gas": "0x186a0" }, "latest"]), "out of gas"),
        (
            "eth_call",
            json!([{ "from": account(1), "input": "0x60ef5f5360015ff3" }]),
            "invalid code: must not begin with 0xef",
        ),
        ("eth_estimateGas", json!([there, "latest", code("0xfe")]), "invalid opcode: INVALID"),
        ("eth_estimateGas", json!([{ "to": BURNER }]), "gas required exceeds allowance (16777216)"),
        ("eth_estimateGas", json!([{ "to": BURNER, "gas": "0x186a0" }]), "gas required exceeds allowance (100000)"),
        (
            "eth_call",
            json!([{ "from": BROKE, "to": ELSEWHERE, "value": "0x1" }]),
            &format!("err: {poor} (supplied gas 50000000)"),
        ),
        ("eth_estimateGas", json!([{ "from": BROKE, "to": ELSEWHERE, "value": "0x1" }]), &poor),
        (
            "eth_estimateGas",
            json!([{ "from": BROKE, "to": ELSEWHERE, "maxFeePerGas": "0x77359400" }]),
            "insufficient funds for transfer",
        ),
        (
            "eth_call",
            json!([{ "from": account(1), "to": ELSEWHERE, "gas": "0x5207" }]),
            "err: intrinsic gas too low: have 20999, want 21000 (supplied gas 20999)",
        ),
        (
            "debug_traceCall",
            json!([{ "from": BROKE, "to": ELSEWHERE, "value": "0x1" }, "latest"]),
            &format!("tracing failed: {poor}"),
        ),
        (
            "eth_call",
            json!([there, "latest", {}, { "beaconRoot": B256::ZERO }]),
            "block override \"beaconRoot\" is not supported for this RPC method",
        ),
        ("eth_getBalance", json!([BROKE, "0xff"]), "header not found"),
        ("eth_getBalance", json!([BROKE, B256::ZERO]), "header for hash not found"),
        (
            "eth_call",
            json!([there, { "blockHash": B256::ZERO, "requireCanonical": true }]),
            "header for hash not found",
        ),
    ];
    for (method, params, want) in cases {
        let (got_code, text) = refused(&node, method, params.clone()).await;
        assert_eq!((got_code, text.as_str()), (-32000, want), "{method} {params}");
    }
    let reason = "0x08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000026e6f000000000000000000000000000000000000000000000000000000000000";
    let revert = json!({ "from": account(1), "to": REVERTER, "input": reason });
    for method in ["eth_call", "eth_estimateGas"] {
        let failed = node.try_call(method, json!([revert])).await.unwrap_err();
        assert_eq!(failed, (3, "execution reverted: no".to_owned(), json!(reason)), "{method}");
    }
    let payload = json!({ "blockStateCalls": [{ "calls": [revert, { "to": BURNER, "gas": "0x186a0" }] }] });
    let simulated = node.call("eth_simulateV1", json!([payload, "latest"])).await;
    let error = &simulated[0]["calls"][0]["error"];
    assert_eq!((&error["code"], &error["message"]), (&json!(3), &json!("execution reverted: no")));
    let error = &simulated[0]["calls"][1]["error"];
    assert_eq!((&error["code"], &error["message"]), (&json!(-32015), &json!("vm execution error: out of gas")));
}

/// A cap alone is a fee of the new kind, as geth has it: a call pays the base fee, and a simulated transaction says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_capped_fee_is_no_price() {
    let node = grown().await;
    let head = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let base_fee: U256 = head["baseFeePerGas"].as_str().unwrap().parse().unwrap();
    let gwei = U256::from(1_000_000_000);
    // gasprice
    let code = json!({ ELSEWHERE.to_string(): { "code": "0x3a5f5260205ff3" } });
    let cap = U256::from(10) * gwei;
    for (fees, want) in [
        (json!({}), U256::ZERO),
        (json!({ "maxFeePerGas": cap }), base_fee),
        (json!({ "maxFeePerGas": cap, "maxPriorityFeePerGas": gwei }), base_fee + gwei),
        (json!({ "gasPrice": cap }), cap),
    ] {
        let mut request = fees.clone();
        request["from"] = json!(account(1));
        request["to"] = json!(ELSEWHERE);
        request["gas"] = json!("0x186a0");
        let paid = node.call("eth_call", json!([request, "latest", code])).await;
        assert_eq!(paid.as_str().unwrap().parse::<B256>().unwrap(), B256::from(want), "{fees}");
        let payload = json!({ "blockStateCalls": [{ "calls": [request] }], "returnFullTransactions": true });
        let simulated = node.call("eth_simulateV1", json!([payload])).await;
        let kind = if fees.get("gasPrice").is_some() { "0x0" } else { "0x2" };
        assert_eq!(simulated[0]["transactions"][0]["type"], kind, "{fees}");
    }
    let low = json!({ "from": account(1), "to": ELSEWHERE, "maxFeePerGas": "0x1", "gas": "0x186a0" });
    let (code, text) = refused(&node, "eth_call", json!([low])).await;
    let why = "max fee per gas less than block base fee";
    let want =
        format!("err: {why}: address {}, maxFeePerGas: 1, baseFee: {base_fee} (supplied gas 100000)", account(1));
    assert_eq!((code, text), (-32000, want));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_blocks_are_overridden_for_a_call() {
    let node = grown().await;
    let call = |to: Address, overrides: Value, block: Value| json!([{ "from": BROKE, "to": to, "input": "0x1234" }, "latest", overrides, block]);
    let code = |code: &str| json!({ ELSEWHERE.to_string(): { "code": code } });
    let slot = |slot: u64| B256::from(U256::from(slot)).to_string();
    let word = |value: u64| json!(B256::from(U256::from(value)));
    // Reads slots 0 and 1 of the counter's code place and gives their sum.
    let sum = "0x5f54600154015f5260205ff3";
    let cases = [
        // The counter's slot 0 is 3: `stateDiff` keeps what it does not name, `state` does not.
        (
            COUNTER,
            json!({ COUNTER.to_string(): { "code": sum, "stateDiff": { slot(1): word(9) } } }),
            json!({}),
            word(12),
        ),
        (COUNTER, json!({ COUNTER.to_string(): { "code": sum, "state": { slot(1): word(9) } } }), json!({}), word(9)),
        // balance(this), number, timestamp, gaslimit, basefee, coinbase, prevrandao, chain id
        (
            ELSEWHERE,
            json!({ ELSEWHERE.to_string(): { "code": "0x475f5260205ff3", "balance": "0x7b" } }),
            json!({}),
            word(123),
        ),
        (ELSEWHERE, code("0x435f5260205ff3"), json!({ "number": "0x63" }), word(99)),
        (ELSEWHERE, code("0x425f5260205ff3"), json!({ "time": "0x63" }), word(99)),
        (ELSEWHERE, code("0x455f5260205ff3"), json!({ "gasLimit": "0x63" }), word(99)),
        (ELSEWHERE, code("0x485f5260205ff3"), json!({ "baseFeePerGas": "0x63" }), word(0)),
        (ELSEWHERE, code("0x4a5f5260205ff3"), json!({ "blobBaseFee": "0x63" }), word(99)),
        (ELSEWHERE, code("0x4a5f5260205ff3"), json!({}), word(1)),
        (ELSEWHERE, code("0x415f5260205ff3"), json!({ "feeRecipient": BROKE }), json!(BROKE.into_word())),
        (ELSEWHERE, code("0x445f5260205ff3"), json!({ "prevRandao": COUNTED }), json!(COUNTED)),
        // A precompile moved, one that lost its place, and one that is overridden without a new place.
        (
            ELSEWHERE,
            json!({ IDENTITY.to_string(): { "movePrecompileToAddress": ELSEWHERE } }),
            json!({}),
            json!("0x1234"),
        ),
        (IDENTITY, json!({ IDENTITY.to_string(): { "movePrecompileToAddress": ELSEWHERE } }), json!({}), json!("0x")),
        (IDENTITY, json!({ IDENTITY.to_string(): { "code": "0x60075f5260205ff3" } }), json!({}), word(7)),
        (
            HASH160,
            json!({ IDENTITY.to_string(): { "movePrecompileToAddress": HASH160, "code": "0x00" } }),
            json!({}),
            json!("0x1234"),
        ),
        (IDENTITY, json!({}), json!({}), json!("0x1234")),
    ];
    for (to, overrides, block, want) in cases {
        let params = call(to, overrides, block);
        assert_eq!(node.call("eth_call", params.clone()).await, want, "{params}");
    }
    let moved = |from: Address, to: Address| json!({ from.to_string(): { "movePrecompileToAddress": to } });
    let both = json!({
        IDENTITY.to_string(): { "movePrecompileToAddress": ELSEWHERE },
        ELSEWHERE.to_string(): { "balance": "0x1" },
    });
    let diff = json!({ COUNTER.to_string(): { "state": {}, "stateDiff": {} } });
    for (overrides, want) in [
        (moved(COUNTER, ELSEWHERE), format!("account {COUNTER} is not a precompile")),
        (moved(IDENTITY, IDENTITY), format!("account {IDENTITY} is already overridden")),
        (both, format!("account {ELSEWHERE} is already overridden")),
        (diff, format!("account {COUNTER} has both 'state' and 'stateDiff'")),
    ] {
        let params = call(ELSEWHERE, overrides, json!({}));
        assert_eq!(refused(&node, "eth_call", params.clone()).await, (-32000, want), "{params}");
    }
    // In a simulation a move holds for its block only.
    let echo = json!({ "from": BROKE, "to": ELSEWHERE, "input": "0x1234" });
    let payload = json!({ "blockStateCalls": [
        { "stateOverrides": moved(IDENTITY, ELSEWHERE), "calls": [echo] },
        { "calls": [echo] },
    ] });
    let simulated = node.call("eth_simulateV1", json!([payload, "latest"])).await;
    let output = |block: usize| simulated[block]["calls"][0]["returnData"].clone();
    assert_eq!((output(0), output(1)), (json!("0x1234"), json!("0x")));
    // Traces take the same overrides.
    let config = json!({ "tracer": "callTracer", "stateOverrides": moved(IDENTITY, ELSEWHERE) });
    let traced = node.call("debug_traceCall", json!([echo, "latest", config])).await;
    assert_eq!(traced["output"], "0x1234");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_asked_for_in_every_shape() {
    let node = grown().await;
    node.mine(&[]).await;
    let block = node.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    let other = B256::repeat_byte(0x78);
    for (filter, count) in [
        (json!({}), 0),
        // Three calls of the counter, and one of the account that delegates to it.
        (json!({ "fromBlock": "0x1" }), 4),
        (json!({ "fromBlock": "0x1", "address": account(5) }), 1),
        (json!({ "fromBlock": "0x0", "toBlock": "latest" }), 4),
        (json!({ "fromBlock": "earliest", "toBlock": "pending" }), 4),
        (json!({ "fromBlock": "0x1", "toBlock": null, "address": null, "topics": null }), 4),
        (json!({ "fromBlock": "0x1", "address": [] }), 4),
        (json!({ "fromBlock": "0x1", "address": COUNTER }), 3),
        (json!({ "fromBlock": "0x1", "address": [BROKE, COUNTER] }), 3),
        (json!({ "fromBlock": "0x1", "address": [BROKE] }), 0),
        (json!({ "fromBlock": "0x1", "topics": [] }), 4),
        (json!({ "fromBlock": "0x1", "topics": [null] }), 4),
        (json!({ "fromBlock": "0x1", "topics": [[]] }), 4),
        (json!({ "fromBlock": "0x1", "topics": [[null, other]] }), 4),
        (json!({ "fromBlock": "0x1", "topics": [[other, COUNTED]] }), 4),
        (json!({ "fromBlock": "0x1", "topics": [other] }), 0),
        (json!({ "fromBlock": "0x1", "topics": [COUNTED, other] }), 0),
        (json!({ "blockHash": block["hash"] }), 4),
        (json!({ "blockHash": block["hash"], "address": BROKE }), 0),
        (json!({ "fromBlock": "0x2", "toBlock": "0x2" }), 0),
    ] {
        let found = node.call("eth_getLogs", json!([filter])).await;
        let found = found.as_array().unwrap();
        assert_eq!(found.len(), count, "{filter}");
        assert!(found.iter().all(|log| log["blockTimestamp"] == block["timestamp"] && log["removed"] == false));
    }
    let five = json!([COUNTED, COUNTED, COUNTED, COUNTED, COUNTED]);
    for (filter, code, text) in [
        (json!({ "fromBlock": "0x2", "toBlock": "0x1" }), -32602, "invalid block range params"),
        (json!({ "fromBlock": "latest", "toBlock": "0x1" }), -32602, "invalid block range params"),
        (json!({ "fromBlock": "0x1", "toBlock": "0x3" }), -32602, "block range extends beyond current head block"),
        (json!({ "fromBlock": "0x10" }), -32602, "block range extends beyond current head block"),
        (json!({ "blockHash": other }), -32000, "unknown block"),
        (
            json!({ "blockHash": other, "fromBlock": "0x1" }),
            -32602,
            "invalid argument 0: cannot specify both blockHash and fromBlock/toBlock, choose one or the other",
        ),
        (json!({ "topics": five }), -32602, "invalid argument 0: exceeded maximum topics len"),
    ] {
        assert_eq!(refused(&node, "eth_getLogs", json!([filter])).await, (code, text.to_owned()), "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn estimates_suffice_and_lists_are_honest() {
    let node = grown().await;
    let create = json!({ "from": account(2), "input": Bytes::from(INIT) });
    let cases = [
        ("a transfer", json!({ "from": account(2), "to": BROKE, "value": "0x1" }), Some(21_000)),
        ("a call", json!({ "from": account(2), "to": COUNTER }), None),
        ("a creation", create, None),
        ("with a price", json!({ "from": account(2), "to": COUNTER, "maxFeePerGas": "0x2540be400" }), None),
        ("named data", json!({ "from": account(2), "to": COUNTER, "data": "0x1234", "input": "0x1234" }), None),
    ];
    for (what, request, exact) in cases {
        let gas = node.call("eth_estimateGas", json!([request, "latest"])).await;
        let gas = u64::from_str_radix(gas.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        assert!(exact.is_none_or(|exact| gas == exact), "{what}: {gas}");
        let mut limited = request.clone();
        limited["gas"] = json!(format!("{gas:#x}"));
        node.call("eth_call", json!([limited])).await;
    }
    let listed = node.call("eth_createAccessList", json!([{ "from": account(2), "to": COUNTER }, "latest"])).await;
    assert_eq!(listed["accessList"][0]["storageKeys"], json!([B256::ZERO]));
    assert!(listed.get("error").is_none());
    let failed = json!({ "from": account(2), "to": REVERTER, "input": "0x01" });
    let failed = node.call("eth_createAccessList", json!([failed, "latest"])).await;
    assert_eq!(failed["error"], "execution reverted");
    // Proofs take slot keys as they are written elsewhere.
    for key in ["0x0", "0x00", "0x", &B256::ZERO.to_string()] {
        let proof = node.call("eth_getProof", json!([COUNTER, [key], "latest"])).await;
        assert_eq!(proof["storageProof"][0]["value"], "0x3", "{key}");
    }
    let waiting = sign(2, super::chain::call_tx(0, alloy_primitives::TxKind::Call(COUNTER), 0, Vec::new()));
    let raw = Bytes::from(alloy_eips::Encodable2718::encoded_2718(&waiting));
    let sent = node.call("eth_sendRawTransaction", json!([raw])).await;
    assert_eq!(sent, json!(waiting.tx_hash()));
    assert_eq!(node.call("eth_getTransactionCount", json!([account(2), "pending"])).await, "0x1");
    assert_eq!(node.call("eth_getTransactionCount", json!([account(2), "latest"])).await, "0x0");
    assert_eq!(refused(&node, "eth_sendRawTransaction", json!([raw])).await, (-32000, "already known".to_owned()));
}
