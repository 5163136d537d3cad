//! Every served method of the official execution API, held against its official schema.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use serde_json::{Value, json};

use crate::{
    chain::{TOKEN, TRANSFER, signer},
    client::{Served, serve},
    node::pooled,
};

/// What this server does not serve; the reasons are in `docs/rpc.md`, which `discover.rs` holds to the methods served.
fn not_served(name: &str) -> bool {
    const REST: [&str; 6] = [
        "debug_getRawBlockAccessList",
        "eth_getBlockAccessList",
        "eth_sendTransaction",
        "eth_sign",
        "eth_signTransaction",
        "testing_buildBlockV1",
    ];
    name.starts_with("engine_") || REST.contains(&name)
}

/// Need blocks that were executed: the node's tests check their answers.
const EXECUTED: [&str; 4] =
    ["debug_traceBlockByHash", "debug_traceBlockByNumber", "debug_traceTransaction", "eth_simulateV1"];

/// Members that every OP-compatible chain adds, and ours; the schema forbids unknown ones.
const L2_MEMBERS: [&str; 13] = [
    "l1GasPrice",
    "l1GasUsed",
    "l1Fee",
    "l1FeeScalar",
    "l1BaseFeeScalar",
    "l1BlobBaseFee",
    "l1BlobBaseFeeScalar",
    "operatorFeeScalar",
    "operatorFeeConstant",
    "daFootprintGasScalar",
    "depositNonce",
    "depositReceiptVersion",
    "blockTag",
];

/// The answer as an L1 client would give it: without L2 members and without deposits.
fn as_l1(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().filter(|item| item["type"] != "0x7e").map(as_l1).collect()),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(name, _)| !L2_MEMBERS.contains(&name.as_str()))
                .map(|(name, member)| (name.clone(), as_l1(member)))
                .collect(),
        ),
        plain => plain.clone(),
    }
}

fn specification() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/openrpc.json");
    let text = std::fs::read_to_string(path).unwrap_or_else(|why| {
        panic!("{path}: {why}; the OpenRPC document of the Ethereum execution API belongs there")
    });
    serde_json::from_str(&text).unwrap()
}

/// Calls whose answers between them show every shape.
async fn calls(served: &Served) -> Vec<(&'static str, Value)> {
    let (block, _) = served.node.block(1);
    let hash = block.hash();
    let missing = B256::repeat_byte(0xff);
    let filter = served.call("eth_newFilter", json!([{ "address": TOKEN }])).await;
    let blocks = served.call("eth_newBlockFilter", json!([])).await;
    let pending = served.call("eth_newPendingTransactionFilter", json!([])).await;
    fill_pending(served).await;
    served.node.append(vec![crate::chain::every_type()[1].clone()]);
    let doomed = served.call("eth_newBlockFilter", json!([])).await;
    let raw = pooled(crate::chain::transfer(99, 4)).encoded.clone();
    let request = json!({ "from": signer(1), "to": TOKEN, "value": "0x1", "input": "0x1234" });
    let delegating = json!({ "from": signer(1), "to": TOKEN, "authorizationList": block_authorizations(served).await });
    let mut calls = vec![
        ("debug_getBadBlocks", json!([])),
        ("debug_getRawBlock", json!(["0x1"])),
        ("debug_getRawHeader", json!(["latest"])),
        ("debug_getRawReceipts", json!(["0x1"])),
        ("eth_accounts", json!([])),
        ("eth_baseFee", json!([])),
        ("eth_blobBaseFee", json!([])),
        ("eth_blockNumber", json!([])),
        ("eth_call", json!([request, "latest"])),
        ("eth_capabilities", json!([])),
        ("eth_chainId", json!([])),
        ("eth_coinbase", json!([])),
        ("eth_config", json!([])),
        ("eth_createAccessList", json!([request, "latest"])),
        ("eth_estimateGas", json!([request])),
        ("eth_feeHistory", json!(["0x4", "latest", [10.0, 50.0, 90.0]])),
        ("eth_feeHistory", json!(["0x400", "0x2", []])),
        ("eth_fillTransaction", json!([request])),
        ("eth_fillTransaction", json!([{ "from": signer(1), "to": TOKEN, "gasPrice": "0x2540be400" }])),
        ("eth_fillTransaction", json!([{ "from": signer(1), "input": "0x00", "accessList": [], "gasPrice": "0x1" }])),
        ("eth_fillTransaction", json!([delegating])),
        ("eth_gasPrice", json!([])),
        ("eth_getBalance", json!([signer(1), "latest"])),
        ("eth_getBlockByHash", json!([hash, true])),
        ("eth_getBlockByHash", json!([missing, true])),
        ("eth_getBlockReceipts", json!(["0x1"])),
        ("eth_getBlockReceipts", json!([hash])),
        ("eth_getBlockReceipts", json!(["0xffff"])),
        ("eth_getBlockTransactionCountByHash", json!([hash])),
        ("eth_getBlockTransactionCountByHash", json!([missing])),
        ("eth_getBlockTransactionCountByNumber", json!(["0x1"])),
        ("eth_getCode", json!([TOKEN, "latest"])),
        ("eth_getCode", json!([signer(1), "latest"])),
        ("eth_getFilterChanges", json!([filter])),
        ("eth_getFilterChanges", json!([blocks])),
        ("eth_getFilterChanges", json!([pending])),
        ("eth_getFilterLogs", json!([filter])),
        ("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "latest", "topics": [TRANSFER] }])),
        ("eth_getLogs", json!([{ "blockHash": hash }])),
        ("eth_getProof", json!([TOKEN, ["0x0", B256::ZERO], "latest"])),
        ("eth_getStorageAt", json!([TOKEN, "0x0", "latest"])),
        ("eth_getStorageValues", json!([{ TOKEN.to_string(): ["0x1", B256::ZERO] }, "latest"])),
        ("eth_getTransactionByHash", json!([missing])),
        ("eth_getTransactionCount", json!([signer(1), "pending"])),
        ("eth_getTransactionReceipt", json!([missing])),
        ("eth_maxPriorityFeePerGas", json!([])),
        ("eth_newBlockFilter", json!([])),
        ("eth_newFilter", json!([{ "fromBlock": "0x1" }])),
        ("eth_newPendingTransactionFilter", json!([])),
        ("eth_sendRawTransaction", json!([raw])),
        ("eth_syncing", json!([])),
        ("eth_uninstallFilter", json!([doomed])),
        ("net_version", json!([])),
        ("txpool_content", json!([])),
        ("txpool_contentFrom", json!([signer(4)])),
        ("txpool_contentFrom", json!([signer(1)])),
        ("txpool_status", json!([])),
    ];
    for tag in ["earliest", "finalized", "safe", "latest", "pending", "0x1", "0xffff"] {
        calls.push(("eth_getBlockByNumber", json!([tag, true])));
        calls.push(("eth_getBlockByNumber", json!([tag, false])));
    }
    for (index, tx) in block.transactions.iter().enumerate().skip(1) {
        let at = format!("{index:#x}");
        calls.push(("eth_getTransactionByHash", json!([tx.tx_hash()])));
        calls.push(("eth_getTransactionReceipt", json!([tx.tx_hash()])));
        calls.push(("debug_getRawTransaction", json!([tx.tx_hash()])));
        calls.push(("eth_getTransactionByBlockHashAndIndex", json!([hash, at])));
        calls.push(("eth_getTransactionByBlockNumberAndIndex", json!(["0x1", at])));
    }
    // The pending block has everything a decided one has, provisional or not.
    let streamed = crate::chain::transfer(97, 2);
    let hash = streamed.tx_hash();
    served.node.stream(vec![streamed]);
    calls.push(("eth_getTransactionReceipt", json!([hash, "pending"])));
    calls.push(("eth_getBlockReceipts", json!(["pending"])));
    calls.push(("eth_getLogs", json!([{ "fromBlock": "latest", "toBlock": "pending" }])));
    calls
}

/// The authorizations that the first block carries.
async fn block_authorizations(served: &Served) -> Value {
    let block = served.call("eth_getBlockByNumber", json!(["0x1", true])).await;
    let transactions = block["transactions"].as_array().unwrap();
    let delegating = transactions.iter().find(|tx| tx["type"] == "0x4").unwrap();
    delegating["authorizationList"].clone()
}

/// Sends a transaction and waits until filters see it: the schema cannot tell one empty list from another.
async fn fill_pending(served: &Served) {
    let probe = served.call("eth_newPendingTransactionFilter", json!([])).await;
    served.call("eth_sendRawTransaction", json!([pooled(crate::chain::transfer(98, 4)).encoded])).await;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while served.call("eth_getFilterChanges", json!([probe])).await == json!([]) {
        assert!(std::time::Instant::now() < deadline, "the pending transaction never reached the filter");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_fit_the_official_schema() {
    let specification = specification();
    let methods: BTreeMap<&str, &Value> = specification["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|method| (method["name"].as_str().unwrap(), &method["result"]["schema"]))
        .collect();
    let served = serve().await;
    let mut seen = BTreeSet::new();
    let mut broken = Vec::new();
    for (name, params) in calls(&served).await {
        let mut answer = as_l1(&served.call(name, params.clone()).await);
        // The one difference, on purpose: docs/rpc.md says why.
        if name == "eth_fillTransaction" && answer["tx"].get("gasPrice").is_none() {
            answer["tx"]["gasPrice"] = answer["tx"]["maxFeePerGas"].clone();
        }
        let validator = jsonschema::validator_for(methods[name]).unwrap();
        if let Err(why) = validator.validate(&answer) {
            broken.push(format!("{name} {params}: {why}\n{answer}"));
        }
        seen.insert(name);
    }
    // The document has no pending form of this answer; the pool's own entries are one.
    let entry = &methods["txpool_content"]["properties"]["pending"]["additionalProperties"]["additionalProperties"];
    let pooled_hash = served.node.pool.lock()[0].hash;
    let waiting = served.call("eth_getTransactionByHash", json!([pooled_hash])).await;
    if let Err(why) = jsonschema::validator_for(entry).unwrap().validate(&waiting) {
        broken.push(format!("pooled transaction: {why}\n{waiting}"));
    }
    *served.node.syncing.lock() = Some(rpc::SyncProgress { starting: 0, current: 4, highest: 100 });
    let syncing = served.call("eth_syncing", json!([])).await;
    assert_eq!(syncing["highestBlock"], "0x64");
    if let Err(why) = jsonschema::validator_for(methods["eth_syncing"]).unwrap().validate(&syncing) {
        broken.push(format!("eth_syncing: {why}\n{syncing}"));
    }
    assert!(broken.is_empty(), "{} answers break the schema:\n{}", broken.len(), broken.join("\n"));
    // Every method of the document is either held against it above or refused on purpose.
    for name in methods.keys().filter(|name| !EXECUTED.contains(name)) {
        assert_ne!(seen.contains(name), not_served(name), "{name}");
        if not_served(name) {
            let (code, text) = served.error(name, json!([])).await;
            assert_eq!(code, -32601, "{name}: {text}");
        }
    }
    assert!(seen.len() >= 45, "only {} methods checked", seen.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_check_can_fail() {
    let specification = specification();
    let methods = specification["methods"].as_array().unwrap();
    let schema = methods.iter().find(|method| method["name"] == "eth_getBlockByNumber").unwrap();
    let validator = jsonschema::validator_for(&schema["result"]["schema"]).unwrap();
    let served = serve().await;
    let mut block = served.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert!(validator.is_valid(&block));
    block["number"] = json!("0x01");
    assert!(!validator.is_valid(&block));
}
