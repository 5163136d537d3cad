//! Reads at `pending` while a leader streams the next block.

use std::time::{Duration, Instant};

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Bytes, TxKind};
use protocol::{Height, Round};
use rpc::RpcConfig;
use serde_json::json;

use super::chain::{COUNTER, account, call_tx, sign, start};

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_trie_answers_from_the_head() {
    let node = start(RpcConfig::default()).await;
    node.mine(&[sign(1, call_tx(0, TxKind::Call(COUNTER), 0, []))]).await;
    let waiting = Bytes::from(sign(1, call_tx(1, TxKind::Call(COUNTER), 0, [])).encoded_2718());
    node.call("eth_sendRawTransaction", json!([waiting])).await;
    let place = (Height(2), Round(0));
    let time = protocol::block::timestamp_ms(&node.chain.head().header) + 500;
    node.open.open(place, account(1), time).await.unwrap();
    node.open.fill(place).await.unwrap();
    node.open.streamed(place).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while node.open.pending().is_none() {
        assert!(Instant::now() < deadline, "the streamed block is not shown");
        tokio::task::yield_now().await;
    }
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
