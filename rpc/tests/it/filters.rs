//! Log queries and polled filters over the wire (expiry and bounds with injected time are tested beside the code).

use alloy_primitives::B256;
use rpc::RpcConfig;
use serde_json::{Value, json};

use crate::{
    chain::{TOKEN, TRANSFER, distinct, every_type, signer, transfer},
    client::{config, serve, serve_with},
    node::pooled,
};

fn count(value: &Value) -> usize {
    value.as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn log_queries() {
    let served = serve().await;
    let hash = served.node.block(1).0.hash();
    let from = signer(1).into_word();
    for (filter, want) in [
        (json!({}), 0),
        (json!({ "fromBlock": "0x0" }), 6),
        (json!({ "fromBlock": "earliest", "toBlock": "latest" }), 6),
        (json!({ "fromBlock": "0x2", "toBlock": "latest" }), 0),
        (json!({ "blockHash": hash }), 6),
        (json!({ "blockHash": hash, "address": TOKEN }), 6),
        (json!({ "blockHash": hash, "address": [TOKEN, signer(2)] }), 6),
        (json!({ "blockHash": hash, "address": signer(2) }), 0),
        (json!({ "blockHash": hash, "address": [] }), 6),
        (json!({ "blockHash": hash, "topics": [TRANSFER, null, signer(9).into_word()] }), 6),
        (json!({ "blockHash": hash, "topics": [[TRANSFER, B256::ZERO], from] }), 6),
        (json!({ "blockHash": hash, "topics": [null, signer(2).into_word()] }), 0),
        (json!({ "blockHash": hash, "topics": [null, null, null, null] }), 6),
        (json!({ "blockHash": hash, "topics": [] }), 6),
        // What the specification does not name is left out, as geth does.
        (json!({ "blockHash": hash, "address": TOKEN, "limit": 1 }), 6),
    ] {
        assert_eq!(count(&served.call("eth_getLogs", json!([filter])).await), want, "{filter}");
    }
    for (filter, code) in [
        (json!({ "blockHash": B256::ZERO }), -32000),
        (json!({ "fromBlock": "0x2", "toBlock": "0x1" }), -32602),
        (json!({ "fromBlock": "0x1", "toBlock": "0xffffffffffffffff" }), -32602),
        (json!({ "fromBlock": "0x63", "toBlock": "0x64" }), -32602),
        (json!({ "blockHash": hash, "fromBlock": "0x1" }), -32602),
        (json!({ "topics": [null, null, null, null, null] }), -32602),
        (json!({ "address": vec![TOKEN; 3], "topics": [distinct(1_001)] }), -32602),
    ] {
        assert_eq!(served.error("eth_getLogs", json!([filter])).await.0, code, "{filter}");
    }
    let reversed = served.error("eth_newFilter", json!([{ "fromBlock": "0x2", "toBlock": "0x1" }])).await;
    assert_eq!(reversed, (-32602, "invalid block range params".to_owned()), "it would never have news");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_queries_are_bounded() {
    let served = serve_with(RpcConfig { max_logs: 5, max_log_blocks: 6, ..config() }).await;
    let query = |from: &str, to: &str| json!([{ "fromBlock": from, "toBlock": to }]);
    assert_eq!(count(&served.call("eth_getLogs", query("0x1", "0x1")).await), 6, "one block is answered whole");
    assert_eq!(count(&served.call("eth_getLogs", query("0x0", "0x2")).await), 6, "and nothing is left out");
    let log = || vec![every_type()[1].clone()];
    let polled = served.call("eth_newFilter", json!([{}])).await;
    for _ in 0..3 {
        served.node.append(log());
    }
    let many = served.error("eth_getLogs", query("0x1", "0x5")).await;
    assert_eq!(many, (-32005, "query exceeds max results 5, retry with the range 1-4".to_owned()));
    // A poll gets what fits, and the rest with the next one.
    for want in [4, 2, 0] {
        assert_eq!(count(&served.call("eth_getFilterChanges", json!([polled])).await), want);
    }
    for _ in 0..3 {
        served.node.append(Vec::new());
    }
    assert_eq!(count(&served.call("eth_getLogs", query("0x8", "0xa")).await), 0);
    let wide = served.error("eth_getLogs", query("0x4", "0xa")).await;
    assert_eq!(wide, (-32005, "query exceeds max block range 6".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_bounded_by_what_an_answer_holds() {
    let served = serve_with(RpcConfig { max_response_bytes: 4_000, ..config() }).await;
    served.node.append(vec![every_type()[1].clone()]);
    let error = served.error("eth_getLogs", json!([{ "fromBlock": "0x1", "toBlock": "0x5" }])).await;
    assert!(error.1.ends_with("retry with the range 1-4"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn standing_filters_are_bounded_together() {
    let served = serve().await;
    let topics = distinct(1_000);
    let wide = json!([{ "topics": [topics, topics, topics, topics] }]);
    let mut ids = Vec::new();
    for _ in 0..rpc::config::MAX_STANDING_ALTERNATIVES / 4_000 {
        ids.push(served.call("eth_newFilter", wide.clone()).await);
    }
    assert_eq!(
        served.error("eth_newFilter", wide.clone()).await,
        (-32005, "too many log filters installed".to_owned())
    );
    served.call("eth_newBlockFilter", json!([])).await;
    served.call("eth_uninstallFilter", json!([ids[0]])).await;
    served.call("eth_newFilter", wide).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_answers_each_thing_once() {
    let served = serve().await;
    let logs = served.call("eth_newFilter", json!([{ "address": TOKEN }])).await;
    let blocks = served.call("eth_newBlockFilter", json!([])).await;
    let pending = served.call("eth_newPendingTransactionFilter", json!([])).await;
    let full = served.call("eth_newPendingTransactionFilter", json!([true])).await;
    for id in [&logs, &blocks, &pending, &full] {
        assert_eq!(served.call("eth_getFilterChanges", json!([id])).await, json!([]));
    }
    let first = served.node.append(vec![every_type()[1].clone()]);
    let second = served.node.append(vec![]);
    assert_eq!(served.call("eth_getFilterChanges", json!([blocks])).await, json!([first.0.hash(), second.0.hash()]));
    let changes = served.call("eth_getFilterChanges", json!([logs])).await;
    assert_eq!(count(&changes), 2);
    assert_eq!(changes[1]["logIndex"], "0x1");
    for id in [&logs, &blocks] {
        assert_eq!(served.call("eth_getFilterChanges", json!([id])).await, json!([]));
    }
    let tx = pooled(transfer(31, 2));
    served.call("eth_sendRawTransaction", json!([tx.encoded])).await;
    // The ring is filled by a task: wait for it, with a deadline.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let mut seen = Value::Null;
    while count_or_zero(&seen) == 0 && std::time::Instant::now() < deadline {
        seen = served.call("eth_getFilterChanges", json!([pending])).await;
    }
    assert_eq!(seen, json!([tx.hash]));
    let whole = served.call("eth_getFilterChanges", json!([full])).await;
    assert_eq!(whole[0]["hash"], json!(tx.hash));
    assert_eq!(served.call("eth_getFilterChanges", json!([pending])).await, json!([]));
}

fn count_or_zero(value: &Value) -> usize {
    value.as_array().map_or(0, Vec::len)
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_go_away() {
    let served = serve().await;
    let id = served.call("eth_newFilter", json!([{ "fromBlock": "0x0", "address": TOKEN }])).await;
    assert_eq!(count(&served.call("eth_getFilterLogs", json!([id])).await), 6);
    let blocks = served.call("eth_newBlockFilter", json!([])).await;
    assert_eq!(served.error("eth_getFilterLogs", json!([blocks])).await.1, "filter not found");
    assert_eq!(served.call("eth_uninstallFilter", json!([id])).await, true);
    assert_eq!(served.call("eth_uninstallFilter", json!([id])).await, false);
    for method in ["eth_getFilterChanges", "eth_getFilterLogs"] {
        assert_eq!(served.error(method, json!([id])).await, (-32000, "filter not found".into()));
    }
}
