//! Every method of the official execution API, answered by a real node, held against the official schema.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use alloy_primitives::B256;
use rpc::RpcConfig;
use serde_json::{Value, json};

use super::chain::{COUNTED, COUNTER, Node, REVERTER, account, call_tx, every_type, sign, start};

/// Members that OP-compatible chains add, and ours; the schema forbids unknown ones.
const L2_MEMBERS: [&str; 10] = [
    "l1GasPrice",
    "l1GasUsed",
    "l1Fee",
    "l1FeeScalar",
    "l1BaseFeeScalar",
    "l1BlobBaseFee",
    "l1BlobBaseFeeScalar",
    "depositNonce",
    "depositReceiptVersion",
    "blockTag",
];

/// The answer as an L1 client would give it: without L2 members and without deposits.
fn as_l1(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().filter(|item| item["type"] != "0x7e").map(as_l1).collect()),
        Value::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !L2_MEMBERS.contains(&name.as_str()));
            Value::Object(kept.map(|(name, member)| (name.clone(), as_l1(member))).collect())
        }
        plain => plain.clone(),
    }
}

fn document(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// Name and result schema of each method of the execution API.
fn official() -> BTreeMap<String, Value> {
    let document: Value = serde_json::from_str(&document("../shared/data/openrpc.json")).unwrap();
    let methods = document["methods"].as_array().unwrap();
    let named = |method: &Value| (method["name"].as_str().unwrap().to_owned(), method["result"]["schema"].clone());
    methods.iter().map(named).collect()
}

/// Calls whose answers between them show every shape.
async fn calls(node: &Node) -> Vec<(&'static str, Value)> {
    let filter = node.call("eth_newFilter", json!([{ "fromBlock": "0x0", "address": COUNTER }])).await;
    let blocks = node.call("eth_newBlockFilter", json!([])).await;
    let pending = node.call("eth_newPendingTransactionFilter", json!([])).await;
    node.mine(&every_type()).await;
    node.mine(&[]).await;
    let doomed = node.call("eth_newBlockFilter", json!([])).await;
    let block = node.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    let (hash, hashes) = (block["hash"].clone(), block["transactions"].as_array().unwrap().clone());
    assert_eq!(hashes.len(), 8, "two deposits and one transaction of every kind");
    let missing = B256::repeat_byte(0xff);
    let raw_block = node.call("debug_getRawBlock", json!(["0x1"])).await;
    let waiting = sign(2, call_tx(0, alloy_primitives::TxKind::Call(COUNTER), 0, Vec::new()));
    let raw = alloy_primitives::Bytes::from(alloy_eips::Encodable2718::encoded_2718(&waiting));
    let request = json!({ "from": account(1), "to": COUNTER, "input": "0x1234" });
    let override_of = json!({ COUNTER.to_string(): { "code": "0x60015f5260205ff3" } });
    let simulated = json!({
        "blockStateCalls": [
            { "calls": [request, { "from": account(1), "to": REVERTER, "input": "0x01" }, { "from": account(1), "to": COUNTER, "gas": "0x5300" }] },
            { "blockOverrides": { "number": "0x9", "time": "0x6553f200" }, "stateOverrides": override_of, "calls": [request] },
        ],
        "traceTransfers": true,
    });
    let mut full = simulated.clone();
    full["returnFullTransactions"] = json!(true);
    let mut calls = vec![
        ("debug_getBadBlocks", json!([])),
        ("debug_getRawBlock", json!(["0x1"])),
        ("debug_getRawHeader", json!(["latest"])),
        ("debug_getRawReceipts", json!(["0x1"])),
        ("debug_traceBlockByNumber", json!(["0x1"])),
        ("debug_traceBlockByNumber", json!(["latest", { "tracer": "callTracer" }])),
        ("debug_traceBlockByHash", json!([hash, { "enableMemory": true, "enableReturnData": true }])),
        ("debug_traceBlock", json!([raw_block])),
        ("eth_accounts", json!([])),
        ("eth_baseFee", json!([])),
        ("eth_blobBaseFee", json!([])),
        ("eth_blockNumber", json!([])),
        ("eth_call", json!([request, "latest"])),
        ("eth_call", json!([request, { "blockHash": hash }, override_of, { "number": "0x7" }])),
        ("eth_capabilities", json!([])),
        ("eth_chainId", json!([])),
        ("eth_coinbase", json!([])),
        ("eth_config", json!([])),
        ("eth_createAccessList", json!([request, "latest"])),
        ("eth_estimateGas", json!([request])),
        ("eth_feeHistory", json!(["0x4", "latest", [10.0, 50.0, 90.0]])),
        ("eth_fillTransaction", json!([request])),
        ("eth_fillTransaction", json!([{ "from": account(1), "to": COUNTER, "gasPrice": "0x2540be400" }])),
        ("eth_gasPrice", json!([])),
        ("eth_getBalance", json!([account(1), "latest"])),
        ("eth_getBlockByHash", json!([hash, true])),
        ("eth_getBlockByHash", json!([missing, true])),
        ("eth_getBlockReceipts", json!(["0x1"])),
        ("eth_getBlockReceipts", json!([{ "blockHash": hash }])),
        ("eth_getBlockTransactionCountByHash", json!([hash])),
        ("eth_getBlockTransactionCountByNumber", json!(["0x1"])),
        ("eth_getCode", json!([COUNTER, "safe"])),
        ("eth_getFilterChanges", json!([filter])),
        ("eth_getFilterChanges", json!([blocks])),
        ("eth_getFilterChanges", json!([pending])),
        ("eth_getFilterLogs", json!([filter])),
        ("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "latest", "topics": [COUNTED] }])),
        ("eth_getLogs", json!([{ "blockHash": hash }])),
        ("eth_getProof", json!([COUNTER, ["0x0", B256::with_last_byte(5)], "latest"])),
        ("eth_getProof", json!([missing.to_string()[..42].to_owned(), [], "0x1"])),
        ("eth_getStorageAt", json!([COUNTER, "0x0", "latest"])),
        ("eth_getStorageValues", json!([{ COUNTER.to_string(): ["0x0"] }, "latest"])),
        ("eth_getTransactionByHash", json!([missing])),
        ("eth_getTransactionCount", json!([account(1), "pending"])),
        ("eth_getTransactionReceipt", json!([missing])),
        ("eth_maxPriorityFeePerGas", json!([])),
        ("eth_newBlockFilter", json!([])),
        ("eth_newFilter", json!([{ "fromBlock": "0x1" }])),
        ("eth_newPendingTransactionFilter", json!([])),
        ("eth_sendRawTransaction", json!([raw])),
        ("eth_simulateV1", json!([simulated, "latest"])),
        ("eth_simulateV1", json!([full, "0x1"])),
        ("eth_syncing", json!([])),
        ("eth_uninstallFilter", json!([doomed])),
        ("net_version", json!([])),
        ("txpool_content", json!([])),
        ("txpool_contentFrom", json!([account(2)])),
        ("txpool_status", json!([])),
    ];
    for tag in ["earliest", "finalized", "safe", "latest", "pending", "0x1", "0xffff"] {
        calls.push(("eth_getBlockByNumber", json!([tag, true])));
    }
    for (index, hash_of) in hashes.iter().enumerate() {
        // The first two are deposits, which the schema does not know.
        if index > 1 {
            calls.push(("eth_getTransactionByHash", json!([hash_of])));
            calls.push(("eth_getTransactionReceipt", json!([hash_of])));
            calls.push(("eth_getTransactionByBlockHashAndIndex", json!([hash, format!("{index:#x}")])));
            calls.push(("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", format!("{index:#x}")])));
        }
        calls.push(("debug_getRawTransaction", json!([hash_of])));
        calls.push(("debug_traceTransaction", json!([hash_of, { "enableMemory": true, "limit": 100 }])));
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn every_official_method_is_answered_as_the_schema_says_or_is_left_out_with_a_reason() {
    let node = start(RpcConfig::default()).await;
    let official = official();
    let guide = document("docs/rpc.md");
    let mut seen = BTreeSet::new();
    let mut broken = Vec::new();
    for (name, params) in calls(&node).await {
        let mut answer = as_l1(&node.call(name, params.clone()).await);
        // The one difference, on purpose: docs/rpc.md says why.
        if name == "eth_fillTransaction" && answer["tx"].get("gasPrice").is_none() {
            answer["tx"]["gasPrice"] = answer["tx"]["maxFeePerGas"].clone();
        }
        seen.insert(name);
        let Some(schema) = official.get(name) else { continue };
        if let Err(why) = jsonschema::validator_for(schema).unwrap().validate(&answer) {
            broken.push(format!("{name} {params}: {why}\n{answer}"));
        }
    }
    assert!(broken.is_empty(), "{} answers break the schema:\n{}", broken.len(), broken.join("\n"));
    for name in official.keys().filter(|name| !seen.contains(name.as_str())) {
        let refused = node.try_call(name, json!([])).await;
        assert_eq!(refused.map_err(|error| error.0), Err(-32601), "{name} is served and must be checked here");
        let family = name.split_once('_').map_or("", |(family, _)| family);
        let reason = |row: &str| row.starts_with(&format!("| `{name}`")) || row.starts_with(&format!("| `{family}_*`"));
        assert!(
            guide.lines().any(|row| reason(row) && row.contains("| no |")),
            "docs/rpc.md gives no reason for {name}"
        );
    }
    assert!(seen.len() >= 50, "only {} methods checked", seen.len());
}
