//! Traces, replays, Otterscan's questions and simulations over RPC, on executed blocks.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alloy_primitives::{B256, TxKind, keccak256};
use rpc::RpcConfig;
use serde_json::{Value, json};

use super::chain::{COUNTER, FORWARDER, INIT, Node, REVERTER, SETTER, account, call_tx, every_type, sign, start};

/// A node with one block of every kind of transaction, and the hashes of that block's transactions: the deposits of the L1
/// attributes and of the epoch's sets, then the users'.
async fn traced() -> (Node, Vec<Value>) {
    let node = start(RpcConfig::default()).await;
    node.mine(&every_type()).await;
    let block = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let hashes = block["transactions"].as_array().unwrap().clone();
    (node, hashes)
}

fn address(value: &Value) -> String {
    value.as_str().unwrap().to_lowercase()
}

fn lower(address: alloy_primitives::Address) -> String {
    address.to_string().to_lowercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_agree_with_receipts_also_in_old_blocks() {
    let (node, hashes) = traced().await;
    // Old enough that the state comes from history and not from memory.
    for _ in 0..40 {
        node.mine(&[]).await;
    }
    let whole = node.call("debug_traceBlockByNumber", json!(["0x1", { "tracer": "callTracer" }])).await;
    for (index, hash) in hashes.iter().enumerate() {
        let receipt = node.call("eth_getTransactionReceipt", json!([hash])).await;
        let config = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
        let call = node.call("debug_traceTransaction", json!([hash, config])).await;
        assert_eq!(call["gasUsed"], receipt["gasUsed"], "{index}");
        assert_eq!(call.get("error").is_none(), receipt["status"] == "0x1", "{index}: {call}");
        assert_eq!((&whole[index]["txHash"], &whole[index]["result"]["gasUsed"]), (hash, &receipt["gasUsed"]));
        let steps = node.call("debug_traceTransaction", json!([hash])).await;
        assert_eq!(json!(format!("{:#x}", steps["gas"].as_u64().unwrap())), receipt["gasUsed"]);
        assert_eq!(steps["failed"], json!(receipt["status"] != "0x1"));
        let parity = node.call("trace_transaction", json!([hash])).await;
        assert_eq!((&parity[0]["transactionHash"], &parity[0]["blockNumber"]), (hash, &json!(1)));
    }
    // The counter's slot before and after its first call of the block.
    let config = json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } });
    let diff = node.call("debug_traceTransaction", json!([hashes[3], config])).await;
    assert_eq!(diff["post"][lower(COUNTER)]["storage"][B256::ZERO.to_string()], json!(B256::with_last_byte(1)));
    let forwarded = node.call("debug_traceTransaction", json!([hashes[6], { "tracer": "callTracer" }])).await;
    assert_eq!(address(&forwarded["calls"][0]["to"]), lower(COUNTER));
    assert_eq!(forwarded["calls"][0]["value"], "0x7");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_traced_where_and_as_asked() {
    let (node, _) = traced().await;
    let call = json!({ "from": account(1), "to": COUNTER });
    let logged = |trace: &Value| trace["logs"][0]["data"].as_str().unwrap().ends_with('4');
    let config = json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } });
    let after = node.call("debug_traceCall", json!([call, "latest", config])).await;
    assert_eq!(after["logs"][0]["data"], json!(B256::with_last_byte(4)), "three calls counted in the block");
    let mut within = config.clone();
    within["txIndex"] = json!("0x4");
    let within = node.call("debug_traceCall", json!([call, "latest", within])).await;
    assert_eq!(within["logs"][0]["data"], json!(B256::with_last_byte(2)), "one call counted before index 4");
    let mut changed = config.clone();
    changed["stateOverrides"] =
        json!({ COUNTER.to_string(): { "stateDiff": { B256::ZERO.to_string(): B256::with_last_byte(3) } } });
    let changed = node.call("debug_traceCall", json!([call, "latest", changed])).await;
    assert!(logged(&changed), "{changed}");
    let mut moved = json!({ "tracer": "callTracer", "blockOverrides": { "number": "0x99" } });
    moved["stateOverrides"] = json!({ COUNTER.to_string(): { "code": "0x435f5260205ff3" } });
    let moved = node.call("debug_traceCall", json!([call, "latest", moved])).await;
    assert_eq!(moved["output"], json!(B256::with_last_byte(0x99)));
    let block = node.call("eth_getBlockByNumber", json!(["latest", false])).await;
    // BLOCKHASH(1) in a block that seems to follow: to the block itself its hash is unknown.
    let mut hash = json!({ "tracer": "callTracer", "blockOverrides": { "number": "0x2" } });
    hash["stateOverrides"] = json!({ COUNTER.to_string(): { "code": "0x6001405f5260205ff3" } });
    let hash = node.call("debug_traceCall", json!([call, "latest", hash])).await;
    assert_eq!(hash["output"], json!(B256::ZERO));
    let outside = format!("transaction index 8 out of range for block {}", block["hash"].as_str().unwrap());
    for (method, params, want) in [
        ("debug_traceCall", json!([call, "latest", { "txIndex": "0x8" }]), outside.as_str()),
        ("debug_traceTransaction", json!([B256::ZERO]), "transaction not found"),
        ("debug_traceBlockByNumber", json!(["0x0"]), "genesis is not traceable"),
        ("debug_traceBlockByNumber", json!(["0xff"]), "block #255 not found"),
        ("debug_traceCall", json!([call, "latest", { "tracer": "{result: function() {}}" }]), "tracer not found"),
        ("debug_traceCall", json!([call, "latest", { "timeout": "soon" }]), "time: invalid duration \"soon\""),
        ("debug_traceBlock", json!(["0xc0"]), "could not decode block: input too short"),
    ] {
        let (code, text, _) = node.try_call(method, params.clone()).await.unwrap_err();
        assert_eq!((code, text.as_str()), (-32000, want), "{method} {params}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parity_style_traces() {
    let (node, hashes) = traced().await;
    let all = json!(["trace", "vmTrace", "stateDiff"]);
    let block = node.call("trace_block", json!(["latest"])).await;
    assert_eq!(block.as_array().unwrap().len(), 9, "eight transactions and one inner call");
    let replayed = node.call("trace_replayBlockTransactions", json!(["latest", all])).await;
    assert_eq!(replayed.as_array().unwrap().len(), 8);
    assert_eq!(replayed[6]["transactionHash"], hashes[6]);
    let one = node.call("trace_replayTransaction", json!([hashes[6], all])).await;
    assert_eq!(one["trace"], replayed[6]["trace"]);
    assert_eq!(one["stateDiff"], replayed[6]["stateDiff"]);
    let sender = lower(account(1));
    assert_eq!(one["stateDiff"][&sender]["nonce"]["*"], json!({ "from": "0x4", "to": "0x5" }));
    assert_eq!(node.call("trace_get", json!([hashes[6], ["0x1"]])).await["traceAddress"], json!([0]));
    assert_eq!(node.call("trace_get", json!([hashes[6], ["0x9"]])).await, Value::Null);
    let filter = json!({ "fromBlock": "0x1", "toBlock": "0x1", "fromAddress": [FORWARDER] });
    let found = node.call("trace_filter", json!([filter])).await;
    assert_eq!((found.as_array().unwrap().len(), &found[0]["traceAddress"]), (1, &json!([0])));
    let paged = json!({ "fromBlock": "0x1", "after": 2, "count": 3 });
    assert_eq!(node.call("trace_filter", json!([paged])).await.as_array().unwrap().len(), 3);
    let backwards = json!({ "fromBlock": "0x2", "toBlock": "0x1" });
    assert_eq!(node.try_call("trace_filter", json!([backwards])).await.unwrap_err().0, -32602);
    let call = json!({ "from": account(1), "to": COUNTER });
    let traced = node.call("trace_call", json!([call, ["trace"], "latest"])).await;
    assert_eq!((&traced["vmTrace"], traced["trace"].as_array().unwrap().len()), (&Value::Null, 1));
    let many = node.call("trace_callMany", json!([[[call, ["trace"]], [call, ["stateDiff"]]], "latest"])).await;
    assert_eq!((&many[1]["trace"], &many[0]["stateDiff"]), (&json!([]), &Value::Null));
    let slot = &many[1]["stateDiff"][lower(COUNTER)]["storage"][B256::ZERO.to_string()]["*"];
    assert_eq!(slot["to"], json!(B256::with_last_byte(5)), "the second call stands on the first");
    let signed = sign(2, call_tx(0, TxKind::Call(COUNTER), 0, Vec::new()));
    let raw = alloy_primitives::Bytes::from(alloy_eips::Encodable2718::encoded_2718(&signed));
    let traced = node.call("trace_rawTransaction", json!([raw, ["trace"]])).await;
    assert_eq!(address(&traced["trace"][0]["action"]["from"]), lower(account(2)));
    assert_eq!(node.call("eth_getTransactionCount", json!([account(2), "pending"])).await, "0x0", "only looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn otterscan_gets_its_answers() {
    let (node, hashes) = traced().await;
    assert_eq!(node.call("ots_getApiLevel", json!([])).await, 8);
    assert_eq!(node.call("ots_hasCode", json!([COUNTER, "latest"])).await, true);
    assert_eq!(node.call("ots_hasCode", json!([account(1), "latest"])).await, false);
    assert_eq!(node.call("ots_getHeaderByNumber", json!(["0x1"])).await["number"], "0x1");
    let details = node.call("ots_getBlockDetails", json!(["0x1"])).await;
    assert_eq!((&details["block"]["transactionCount"], &details["issuance"]["issuance"]), (&json!(8), &json!("0x0")));
    assert_ne!(details["totalFees"], "0x0");
    let by_hash = node.call("ots_getBlockDetailsByHash", json!([details["block"]["hash"]])).await;
    assert_eq!(by_hash, details);
    let page = node.call("ots_getBlockTransactions", json!(["0x1", 0, 3])).await;
    assert_eq!(page["fullblock"]["transactions"].as_array().unwrap().len(), 3);
    assert_eq!((&page["receipts"][2]["transactionHash"], &page["receipts"][2]["logs"]), (&hashes[7], &Value::Null));
    let inner = node.call("ots_getInternalOperations", json!([hashes[6]])).await;
    assert_eq!((&inner[0]["type"], &inner[0]["value"]), (&json!(0), &json!("0x7")));
    assert_eq!(node.call("ots_getTransactionError", json!([hashes[2]])).await, "0x");
    assert_eq!(node.call("ots_getTransactionError", json!([hashes[7]])).await.as_str().unwrap().len(), 10);
    let entries = node.call("ots_traceTransaction", json!([hashes[6]])).await;
    assert_eq!((&entries[1]["type"], &entries[1]["depth"]), (&json!("CALL"), &json!(1)));
    let found = node.call("ots_getTransactionBySenderAndNonce", json!([account(1), 3])).await;
    assert_eq!(found, hashes[5]);
    assert_eq!(node.call("ots_getTransactionBySenderAndNonce", json!([account(1), 9])).await, Value::Null);
    let created = account(1).create(0);
    let creator = node.call("ots_getContractCreator", json!([created])).await;
    assert_eq!((&creator["hash"], address(&creator["creator"])), (&hashes[2], lower(account(1))));
    assert_eq!(node.call("ots_getContractCreator", json!([COUNTER])).await, Value::Null, "part of genesis");
    assert_eq!(
        node.call("ots_getContractCreator", json!([account(5)])).await,
        Value::Null,
        "a delegation is no contract"
    );
    node.mine(&[sign(1, call_tx(6, TxKind::Call(COUNTER), 0, Vec::new()))]).await;
    let before = node.call("ots_searchTransactionsBefore", json!([COUNTER, 0, 1])).await;
    assert_eq!((&before["firstPage"], &before["lastPage"]), (&json!(true), &json!(false)));
    assert_eq!((before["txs"].as_array().unwrap().len(), &before["txs"][0]["blockNumber"]), (1, &json!("0x2")));
    let rest = node.call("ots_searchTransactionsBefore", json!([COUNTER, 2, 10])).await;
    assert_eq!((rest["txs"].as_array().unwrap().len(), &rest["lastPage"]), (3, &json!(true)), "{rest}");
    let after = node.call("ots_searchTransactionsAfter", json!([created, 0, 10])).await;
    assert_eq!((&after["txs"][0]["hash"], &after["lastPage"]), (&hashes[2], &json!(true)));
    // Named by its log alone.
    let through = call_tx(7, TxKind::Call(FORWARDER), 0, B256::left_padding_from(COUNTER.as_slice()).to_vec());
    node.mine(&[sign(1, through)]).await;
    let logged = node.call("ots_searchTransactionsBefore", json!([COUNTER, 0, 1])).await;
    assert_eq!(logged["txs"][0]["blockNumber"], "0x3");
}

#[tokio::test(flavor = "multi_thread")]
async fn simulations_over_rpc() {
    let (node, _) = traced().await;
    let count = json!({ "from": account(3), "to": COUNTER });
    let create = json!({ "from": account(3), "input": alloy_primitives::Bytes::from(INIT) });
    let fail = json!({ "from": account(3), "to": REVERTER, "input": "0xdead" });
    let payload = json!({ "blockStateCalls": [{ "calls": [count, create, fail] }, { "calls": [count] }] });
    let blocks = node.call("eth_simulateV1", json!([payload, "latest"])).await;
    let calls = &blocks[0]["calls"];
    assert_eq!((&calls[0]["status"], &calls[2]["status"]), (&json!("0x1"), &json!("0x0")));
    assert_eq!((&calls[2]["error"]["code"], &calls[2]["error"]["data"]), (&json!(3), &json!("0xdead")));
    let log = &blocks[1]["calls"][0]["logs"][0];
    assert_eq!((&log["blockHash"], &log["data"]), (&blocks[1]["hash"], &json!(B256::with_last_byte(5))));
    assert_eq!(
        (&log["transactionHash"], &blocks[1]["parentHash"]),
        (&blocks[1]["transactions"][0], &blocks[0]["hash"])
    );
    for (payload, code) in [
        (json!({ "blockStateCalls": [] }), -32602),
        (json!({ "blockStateCalls": [{ "blockOverrides": { "number": "0x1" } }] }), -38020),
        (json!({ "blockStateCalls": [{ "blockOverrides": { "number": "0xffff" } }] }), -38026),
        (
            json!({ "blockStateCalls": [{ "calls": [{ "from": account(3), "nonce": "0x9" }] }], "validation": true }),
            -38011,
        ),
    ] {
        let (got, text, _) = node.try_call("eth_simulateV1", json!([payload, "latest"])).await.unwrap_err();
        assert_eq!(got, code, "{payload}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_loops_and_trace_bombs_end() {
    let config = RpcConfig { request_timeout: Duration::from_secs(2), ..RpcConfig::default() };
    let node = start(config).await;
    node.mine(&[]).await;
    let looping = json!({ COUNTER.to_string(): { "code": "0x5b5f56" } });
    // jumpdest; call(gas, 0xb0…, 0, 0, 1 MiB, 0, 0); pop; jump back
    let heavy =
        json!({ COUNTER.to_string(): { "code": format!("0x5b5f5f621000005f5f73{}5af1505f56", "b0".repeat(20)) } });
    let call = json!({ "from": account(1), "to": COUNTER });
    let began = Instant::now();
    let simulation = |overrides: &Value| {
        let calls = vec![call.clone(); 20];
        json!([{ "blockStateCalls": [{ "stateOverrides": overrides, "calls": calls }] }, "latest"])
    };
    for (method, params) in [
        ("eth_call", json!([call, "latest", looping])),
        ("eth_estimateGas", json!([call, "latest", looping])),
        ("debug_traceCall", json!([call, "latest", { "stateOverrides": looping }])),
        ("debug_traceCall", json!([call, "latest", { "stateOverrides": heavy, "tracer": "callTracer" }])),
        ("debug_traceCall", json!([call, "latest", { "stateOverrides": heavy, "tracer": "flatCallTracer" }])),
        ("trace_call", json!([call, ["vmTrace"], "latest", looping])),
        ("trace_call", json!([call, ["trace"], "latest", heavy])),
        ("eth_simulateV1", simulation(&looping)),
        ("eth_simulateV1", simulation(&heavy)),
    ] {
        match node.try_call(method, params.clone()).await {
            // A call that burns its gas is a failed call, not an error of the server.
            Ok(answer) => assert_eq!(method, "eth_simulateV1", "{method}: {answer}"),
            Err((code, text, _)) => {
                // −38013: the first call left the block no gas for the second.
                assert!(matches!(code, -32000 | -32002 | -38013 | -38026), "{method}: {code} {text}")
            }
        }
        assert_eq!(node.call("eth_blockNumber", json!([])).await, "0x1");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let steps = json!({ "stateOverrides": looping, "limit": 5, "timeout": "60s" });
    let limited = node.try_call("debug_traceCall", json!([call, "latest", steps])).await;
    match limited {
        // Bytes: the first entry is beyond them.
        Ok(limited) => assert_eq!(limited["structLogs"].as_array().unwrap().len(), 1),
        Err((code, text, _)) => assert_eq!((code, text.as_str()), (-32000, "execution timeout")),
    }
}

/// Storage of a contract in the middle of a block, page by page.
#[tokio::test(flavor = "multi_thread")]
async fn storage_within_a_block() {
    let node = start(RpcConfig::default()).await;
    let word = |number: u8| B256::with_last_byte(number);
    let setting = |nonce, pairs: &[(u8, u8)]| {
        let words: Vec<u8> = pairs.iter().flat_map(|(slot, value)| [word(*slot).0, word(*value).0]).flatten().collect();
        sign(1, call_tx(nonce, TxKind::Call(SETTER), 0, words))
    };
    node.mine(&[setting(0, &[(1, 11), (2, 12), (3, 13), (4, 14)])]).await;
    node.mine(&[setting(1, &[(2, 0), (3, 23), (9, 19)]), setting(2, &[(5, 15)])]).await;
    let range = async |block: Value, index: u64, start: B256, most: u64| {
        node.call("debug_storageRangeAt", json!([block, index, SETTER, start, most])).await
    };
    let shown = |range: &Value| -> BTreeMap<B256, B256> {
        let slots = range["storage"].as_object().unwrap().iter();
        slots.map(|(hash, slot)| (hash.parse().unwrap(), slot["value"].as_str().unwrap().parse().unwrap())).collect()
    };
    let wanted = |pairs: &[(u8, u8)]| -> BTreeMap<B256, B256> {
        pairs.iter().map(|(slot, value)| (keccak256(word(*slot)), word(*value))).collect()
    };
    let before = range(json!("0x2"), 1, B256::ZERO, 100).await;
    assert_eq!(shown(&before), wanted(&[(1, 11), (2, 12), (3, 13), (4, 14)]));
    assert_eq!(before["nextKey"], Value::Null);
    let between = range(json!("latest"), 2, B256::ZERO, 100).await;
    let middle = wanted(&[(1, 11), (3, 23), (4, 14), (9, 19)]);
    assert_eq!(shown(&between), middle);
    let key = |slot: u8| between["storage"][keccak256(word(slot)).to_string()]["key"].clone();
    assert_eq!((key(9), key(1)), (json!(word(9)), Value::Null), "known to the block, known by its hash");
    let (mut paged, mut next) = (BTreeMap::new(), json!(B256::ZERO));
    while let Some(start) = next.as_str() {
        let page = range(json!("0x2"), 2, start.parse().unwrap(), 1).await;
        assert_eq!(shown(&page).len(), 1);
        paged.extend(shown(&page));
        next = page["nextKey"].clone();
    }
    assert_eq!(paged, middle);
    let nothing = node.call("debug_storageRangeAt", json!(["0x2", 2, account(3), "0x", 10])).await;
    assert_eq!(nothing, json!({ "storage": {}, "nextKey": null }));
    for (params, code) in [
        (json!(["0x2", 3, SETTER, "0x", 10]), -32000),
        (json!(["0x0", 0, SETTER, "0x", 10]), -32000),
        (json!(["0x9", 0, SETTER, "0x", 10]), -32000),
        (json!(["0x2", 0, SETTER, "0x"]), -32602),
    ] {
        assert_eq!(node.try_call("debug_storageRangeAt", params.clone()).await.unwrap_err().0, code, "{params}");
    }
}
