//! A node that keeps only a part of the past: what it says it has, and what it answers.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, TxKind};
use rpc::RpcConfig;
use serde_json::{Value, json};
use store::{Retention, StoreConfig};

use super::chain::{COUNTER, INIT, Node, account, call_tx, genesis, sign, start_with};

const STATES: u64 = 12;
const PROOFS: u64 = 5;
const BODIES: u64 = 20;
const LAST: u64 = 40;

/// A block for each nonce of account 1: creations at heights 10 and 35, calls that count otherwise.
async fn grown(retention: Retention) -> (Node, [Address; 2]) {
    let storage =
        StoreConfig { settle_blocks: 1, recent_states: 1, proof_window: PROOFS, retention, ..StoreConfig::default() };
    let node = start_with(RpcConfig::default(), genesis(), storage).await;
    for height in 1..=LAST {
        let tx = match height {
            10 | 35 => call_tx(height - 1, TxKind::Create, 0, INIT),
            _ => call_tx(height - 1, TxKind::Call(COUNTER), 0, []),
        };
        assert_eq!(node.mine(&[sign(1, tx)]).await, height);
    }
    let store = node.chain.store();
    store.set_safe(LAST).unwrap();
    store.set_finalized(LAST).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let kept = |blocks: Option<u64>| blocks.map_or(0, |blocks| LAST - blocks);
    loop {
        store.prune().unwrap();
        let oldest = store.oldest();
        // A thread settles the newest blocks.
        if oldest.state == kept(retention.state)
            && oldest.bodies == kept(retention.bodies)
            && oldest.proofs >= LAST - PROOFS
        {
            break;
        }
        assert!(Instant::now() < deadline, "{oldest:?}");
        tokio::task::yield_now().await;
    }
    let created = [9, 34].map(|nonce| account(1).create(nonce));
    (node, created)
}

async fn error(node: &Node, method: &str, params: Value) -> (i64, String) {
    let (code, text, _) = node.try_call(method, params).await.unwrap_err();
    (code, text)
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}

fn missing(height: u64) -> (i64, String) {
    (-32000, format!("missing trie node: historical state at block {height} is not available"))
}

fn window(oldest: u64, blocks: u64) -> Value {
    let strategy = json!({ "type": "window", "retentionBlocks": hex(blocks) });
    json!({ "disabled": false, "oldestBlock": hex(oldest), "deleteStrategy": strategy })
}

#[tokio::test(flavor = "multi_thread")]
async fn pruned_states_are_refused_and_the_capabilities_say_so() {
    let retention = Retention { state: Some(STATES), receipts: Some(BODIES), bodies: Some(BODIES) };
    let (node, [early, late]) = grown(retention).await;
    let (state, proofs, bodies) = (LAST - STATES, LAST - PROOFS, LAST - BODIES);
    let told = node.call("eth_capabilities", json!([])).await;
    for part in ["blocks", "tx", "receipts", "logs"] {
        assert_eq!(told[part], window(bodies, BODIES), "{part}");
    }
    assert_eq!(told["state"], window(state, STATES));
    assert_eq!(told["stateproofs"], window(proofs, PROOFS));
    for (height, is_kept) in [(0, false), (state - 1, false), (state, true), (LAST, true)] {
        let (balance, call) = (json!([account(1), hex(height)]), json!([{ "to": COUNTER }, hex(height)]));
        if is_kept {
            node.call("eth_getBalance", balance).await;
            node.call("eth_call", call).await;
        } else {
            assert_eq!(error(&node, "eth_getBalance", balance).await, missing(height));
            assert_eq!(error(&node, "eth_call", call).await, missing(height));
        }
    }
    let proof = |height| json!([COUNTER, ["0x0"], hex(height)]);
    node.call("eth_getProof", proof(proofs)).await;
    let beyond = (-32000, "distance to target block exceeds maximum proof window".to_owned());
    assert_eq!(error(&node, "eth_getProof", proof(proofs - 1)).await, beyond);
    assert_eq!(error(&node, "eth_getProof", proof(state - 1)).await, missing(state - 1));

    // The oldest block whose body is there, and nothing before it but the genesis block.
    let oldest = node.call("eth_getBlockByNumber", json!(["earliest", false])).await;
    assert_eq!(oldest["number"], hex(bodies));
    assert_eq!(oldest, node.call("eth_getBlockByNumber", json!([hex(bodies), false])).await);
    let receipts = node.call("eth_getBlockReceipts", json!(["earliest"])).await;
    assert_eq!(receipts[0]["blockHash"], oldest["hash"]);
    let range = json!([{ "fromBlock": "earliest", "toBlock": "latest" }]);
    let logs = node.call("eth_getLogs", range).await;
    let heights: Vec<&Value> = logs.as_array().unwrap().iter().map(|log| &log["blockNumber"]).collect();
    assert_eq!(heights.len() as u64, LAST - bodies, "one a block, but for the one that creates");
    assert_eq!(heights[0], &oldest["number"]);
    for method in ["eth_getBlockByNumber", "eth_getBlockReceipts"] {
        let params =
            if method == "eth_getBlockByNumber" { json!([hex(bodies - 1), false]) } else { json!([hex(bodies - 1)]) };
        assert_eq!(error(&node, method, params).await.0, 4444, "{method}");
    }
    assert_eq!(node.call("eth_getBlockByNumber", json!(["0x0", false])).await["number"], "0x0");
    assert_eq!(error(&node, "eth_getBalance", json!([account(1), "earliest"])).await, missing(bodies));

    // What the kept states tell is told.
    let found = node.call("ots_getTransactionBySenderAndNonce", json!([account(1), 34])).await;
    let block = node.call("eth_getBlockByNumber", json!([hex(35), false])).await;
    assert_eq!(Some(&found), block["transactions"].as_array().unwrap().last());
    let first = node.call("eth_getBlockByNumber", json!([hex(state), false])).await;
    let found = node.call("ots_getTransactionBySenderAndNonce", json!([account(1), state - 1])).await;
    assert_eq!(Some(&found), first["transactions"].as_array().unwrap().last(), "in the first block that has a state");
    assert_eq!(node.call("ots_getTransactionBySenderAndNonce", json!([account(1), LAST])).await, Value::Null);
    let before = error(&node, "ots_getTransactionBySenderAndNonce", json!([account(1), state - 2])).await;
    assert_eq!(before, missing(state - 1));
    assert_eq!(node.call("ots_getContractCreator", json!([late])).await["creator"], json!(account(1)));
    assert_eq!(error(&node, "ots_getContractCreator", json!([early])).await, missing(state - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_has_everything_but_old_proofs() {
    let (node, created) = grown(Retention::default()).await;
    let told = node.call("eth_capabilities", json!([])).await;
    for part in ["blocks", "tx", "receipts", "logs", "state"] {
        assert_eq!(told[part], json!({ "disabled": false, "oldestBlock": "0x0" }), "{part}");
    }
    assert_eq!(told["stateproofs"], window(LAST - PROOFS, PROOFS));
    assert_eq!(node.call("eth_getStorageAt", json!([COUNTER, "0x0", "0x5"])).await, format!("0x{:064x}", 5));
    assert_eq!(error(&node, "eth_getProof", json!([COUNTER, [], "0x5"])).await.0, -32000);
    for contract in created {
        assert_eq!(node.call("ots_getContractCreator", json!([contract])).await["creator"], json!(account(1)));
    }
}
