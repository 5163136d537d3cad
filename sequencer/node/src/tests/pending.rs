//! Reads at `pending` while a leader streams the next block, and while it becomes the head.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, TxKind};
use protocol::{Height, Round};
use rpc::RpcConfig;
use serde_json::{Value, json};

use super::chain::{COUNTER, Node, account, call_tx, sign, start};

/// Streams the block after the head with one more call of account 1, and waits until it is shown.
async fn stream(node: &Node, nonce: u64) -> Value {
    let waiting = Bytes::from(sign(1, call_tx(nonce, TxKind::Call(COUNTER), 0, [])).encoded_2718());
    let hash = node.call("eth_sendRawTransaction", json!([waiting])).await;
    let place = (Height(node.chain.head().header.number + 1), Round(0));
    let time = protocol::block::timestamp_ms(&node.chain.head().header) + 500;
    node.open.open(place, account(1), time).await.unwrap();
    node.open.fill(place).await.unwrap();
    node.open.streamed(place).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while node.open.pending().is_none() {
        assert!(Instant::now() < deadline, "the streamed block is not shown");
        tokio::task::yield_now().await;
    }
    hash
}

/// Decides the block that the leader has streamed.
async fn decide(node: &Node) {
    let place = (Height(node.chain.head().header.number + 1), Round(0));
    let hash = node.open.seal(place).await.unwrap().executed.hash;
    assert!(node.committer.commit(hash, None).unwrap());
}

/// Receipts of one answer are of one block, each in its place, and that block is the one they name if it is decided.
async fn assert_together(node: &Node, receipts: &[Value]) {
    let of = |name: &str| receipts.iter().map(|receipt| receipt[name].clone()).collect::<Vec<_>>();
    let places: Vec<Value> = (0..receipts.len()).map(|index| json!(format!("{index:#x}"))).collect();
    assert_eq!(of("transactionIndex"), places);
    let [hash, number] = ["blockHash", "blockNumber"].map(|name| receipts[0][name].clone());
    assert!(
        of("blockHash").iter().all(|other| *other == hash) && of("blockNumber").iter().all(|other| *other == number)
    );
    if hash != json!(B256::ZERO) {
        let block = node.call("eth_getBlockByHash", json!([hash, false])).await;
        assert_eq!((&block["number"], &block["transactions"]), (&number, &json!(of("transactionHash"))));
        assert_eq!(Some(&block["gasUsed"]), of("cumulativeGasUsed").last());
    }
}

/// A transaction that was shown in the pending block stays visible, with a receipt of the block that it is in, while that block is
/// decided and the next one begins.
#[tokio::test(flavor = "multi_thread")]
async fn receipts_belong_to_their_blocks_while_the_head_moves() {
    const BLOCKS: u64 = 30;
    let node = start(RpcConfig::default()).await;
    node.mine(&[sign(1, call_tx(0, TxKind::Call(COUNTER), 0, []))]).await;
    let done = AtomicBool::new(false);
    let shown = parking_lot::Mutex::new(Value::Null);
    let lead = async {
        for nonce in 1..=BLOCKS {
            let hash = stream(&node, nonce).await;
            *shown.lock() = hash;
            decide(&node).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let watch = async || {
        let mut seen = 0;
        while !done.load(Ordering::Relaxed) {
            for tag in ["pending", "latest"] {
                let receipts = node.call("eth_getBlockReceipts", json!([tag])).await;
                assert_together(&node, receipts.as_array().unwrap()).await;
            }
            let hash = shown.lock().clone();
            if hash.is_null() {
                continue;
            }
            let receipt = node.call("eth_getTransactionReceipt", json!([hash, "pending"])).await;
            assert_eq!(receipt["transactionHash"], hash, "{receipt}");
            let is_pending = receipt["blockHash"] == json!(B256::ZERO);
            assert_eq!(is_pending, receipt["blockTag"] == "pending", "{receipt}");
            if !is_pending {
                let place = json!([receipt["blockHash"], receipt["transactionIndex"]]);
                let found = node.call("eth_getTransactionByBlockHashAndIndex", place).await;
                assert_eq!((&found["hash"], &found["blockNumber"]), (&hash, &receipt["blockNumber"]));
            }
            seen += 1;
        }
        assert!(seen > 0);
    };
    tokio::join!(lead, watch(), watch(), watch());
    assert_eq!(node.call("eth_blockNumber", json!([])).await, format!("{:#x}", BLOCKS + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_trie_answers_from_the_head() {
    let node = start(RpcConfig::default()).await;
    node.mine(&[sign(1, call_tx(0, TxKind::Call(COUNTER), 0, []))]).await;
    stream(&node, 1).await;
    assert_eq!(node.call("eth_getStorageAt", json!([COUNTER, "0x0", "pending"])).await, format!("0x{:064x}", 2));
    let proof = node.call("eth_getProof", json!([COUNTER, ["0x0"], "pending"])).await;
    assert_eq!(proof["storageProof"][0]["value"], "0x1", "of the head");
    assert_eq!(proof, node.call("eth_getProof", json!([COUNTER, ["0x0"], "latest"])).await);
    let request = json!({ "from": account(1), "to": COUNTER });
    for (method, params) in [
        ("eth_call", json!([request, "pending"])),
        ("eth_estimateGas", json!([request, "pending"])),
        ("eth_createAccessList", json!([request, "pending"])),
        ("eth_simulateV1", json!([{ "blockStateCalls": [{ "calls": [request] }] }, "pending"])),
        ("debug_traceCall", json!([request, "pending"])),
        ("trace_call", json!([request, ["trace"], "pending"])),
        ("ots_hasCode", json!([COUNTER, "pending"])),
    ] {
        node.call(method, params).await;
    }
    // It has no root to arrive at.
    let refused = node.try_call("debug_executionWitness", json!(["pending"])).await;
    assert_eq!(refused.unwrap_err().0, -32000);
}
