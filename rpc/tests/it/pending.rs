//! What a leader has streamed of the next block, and what becomes of it.

use alloy_consensus::{TxEip1559, transaction::Recovered};
use alloy_primitives::{B256, TxKind};
use op_alloy_consensus::OpTxEnvelope;
use serde_json::{Value, json};

use crate::{
    chain::{CHAIN_ID, TOKEN, sign, signer, transfer},
    client::serve,
    node::pooled,
};

/// A call that logs.
fn token_call(nonce: u64) -> Recovered<OpTxEnvelope> {
    let to = TxKind::Call(TOKEN);
    sign(
        TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 50_000,
            to,
            max_fee_per_gas: 3_000_000_000,
            ..TxEip1559::default()
        },
        2,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_block_is_pending_until_it_is_decided() {
    let served = serve().await;
    let users = vec![token_call(50), transfer(51, 4)];
    let (block, _) = served.node.stream(users.clone());
    let (number, hash) = ("0x5", users[0].tx_hash());
    let shown = served.call("eth_getBlockByNumber", json!(["pending", true])).await;
    assert_eq!((&shown["number"], &shown["hash"]), (&json!(number), &json!(B256::ZERO)));
    assert_eq!(shown["transactions"].as_array().unwrap().len(), block.transactions.len());
    // Only the tag names it.
    assert_eq!(served.call("eth_blockNumber", json!([])).await, "0x4");
    assert_eq!(served.call("eth_getBlockByNumber", json!([number, true])).await, Value::Null);
    assert_eq!(served.call("eth_getBlockByHash", json!([B256::ZERO, true])).await, Value::Null);
    assert_eq!(served.error("eth_getBalance", json!([signer(1), number])).await, (-32000, "header not found".into()));
    // The test node's nonce is 5 + height.
    assert_eq!(served.call("eth_getTransactionCount", json!([signer(1), "pending"])).await, "0xa");
    assert_eq!(served.call("eth_getTransactionCount", json!([signer(1), "latest"])).await, "0x9");
    // Who does not ask for it gets no provisional answer: clients read `latest` after a receipt.
    assert_eq!(served.call("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    assert_eq!(served.call("eth_getTransactionReceipt", json!([hash, "latest"])).await, Value::Null);
    assert_eq!(served.call("eth_getTransactionByHash", json!([hash])).await["blockHash"], Value::Null);
    let receipt = served.call("eth_getTransactionReceipt", json!([hash, "pending"])).await;
    assert_eq!(receipt["blockTag"], "pending");
    assert_eq!((&receipt["blockNumber"], &receipt["blockHash"]), (&json!(number), &json!(B256::ZERO)));
    assert_eq!(receipt["status"], "0x1");
    let logs = async |to: &str| {
        let filter = json!({ "fromBlock": "0x4", "toBlock": to, "address": TOKEN });
        served.call("eth_getLogs", json!([filter])).await.as_array().unwrap().len()
    };
    let (pending, latest) = (logs("pending").await, logs("latest").await);
    assert!(pending > latest, "{pending} logs with the pending block, {latest} without");
    // The pending block counts under its tag only: its height is not there yet.
    let early = json!([{ "fromBlock": "0x4", "toBlock": number, "address": TOKEN }]);
    assert_eq!(
        served.error("eth_getLogs", early).await,
        (-32602, "block range extends beyond current head block".to_owned())
    );
    assert_eq!(served.call("eth_feeHistory", json!(["0x1", "pending", []])).await["oldestBlock"], "0x4");

    // Another round, another block: what was there is gone.
    served.node.stream(vec![transfer(77, 2)]);
    assert_eq!(served.call("eth_getTransactionReceipt", json!([hash, "pending"])).await, Value::Null);
    let decided = served.node.append(users);
    let receipt = served.call("eth_getTransactionReceipt", json!([hash, "pending"])).await;
    assert_eq!((&receipt["blockTag"], &receipt["blockHash"]), (&json!("latest"), &json!(decided.0.hash())));
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_name_how_far_their_block_has_come() {
    let served = serve().await;
    for (number, tag) in [(1, "finalized"), (2, "finalized"), (3, "safe"), (4, "latest")] {
        let hash = served.node.block(number).0.transactions[0].tx_hash();
        assert_eq!(served.call("eth_getTransactionReceipt", json!([hash])).await["blockTag"], tag, "block {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_send_returns_with_the_slice() {
    let served = serve().await;
    let sent = transfer(98, 4);
    let raw = pooled(sent.clone()).encoded.clone();
    let node = served.node.clone();
    let mut events = node.events.subscribe();
    let leader = tokio::spawn(async move {
        // The slice follows the pool.
        while !matches!(events.recv().await.unwrap(), rpc::ChainEvent::Pending(_)) {}
        node.stream(vec![sent]);
    });
    let receipt = served.call("eth_sendRawTransactionSync", json!([raw])).await;
    assert_eq!((&receipt["blockTag"], &receipt["blockNumber"]), (&json!("pending"), &json!("0x5")));
    leader.await.unwrap();
}
