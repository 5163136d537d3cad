//! `eth_subscribe` with jsonrpsee's own client.

use std::time::Duration;

use alloy_primitives::B256;
use jsonrpsee::{
    core::client::{ClientT, Error, Subscription, SubscriptionClientT},
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use serde_json::{Value, json};

use crate::{
    chain::{TOKEN, distinct, every_type, transfer},
    client::{Served, serve},
    node::pooled,
};

async fn connect(served: &Served) -> WsClient {
    WsClientBuilder::default().build(format!("ws://{}", served.address())).await.unwrap()
}

async fn subscribe(client: &WsClient, params: Vec<Value>) -> Subscription<Value> {
    let mut list = jsonrpsee::core::params::ArrayParams::new();
    for param in params {
        list.insert(param).unwrap();
    }
    client.subscribe("eth_subscribe", list, "eth_unsubscribe").await.unwrap()
}

async fn next(subscription: &mut Subscription<Value>) -> Value {
    tokio::time::timeout(Duration::from_secs(10), subscription.next()).await.expect("no message").unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_arrive_in_order() {
    let served = serve().await;
    let client = connect(&served).await;
    let mut heads = subscribe(&client, vec![json!("newHeads")]).await;
    for _ in 0..3 {
        let (block, _) = served.node.append(vec![]);
        let head = next(&mut heads).await;
        assert_eq!(head["hash"], json!(block.hash()));
        assert_eq!(head["number"], json!(format!("{:#x}", block.number())));
        assert!(head.get("transactions").is_none());
    }
    heads.unsubscribe().await.unwrap();
    served.assert_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_beyond_the_event_channel_loses_no_head() {
    let served = serve().await;
    let client = connect(&served).await;
    let mut heads = subscribe(&client, vec![json!("newHeads")]).await;
    // The test node's channel holds 16 events; the rest is re-read from the store.
    for _ in 0..200 {
        served.node.append(vec![]);
    }
    for number in 5..205 {
        assert_eq!(next(&mut heads).await["number"], json!(format!("{number:#x}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_filtered() {
    let served = serve().await;
    let client = connect(&served).await;
    let mut matching = subscribe(&client, vec![json!("logs"), json!({ "address": TOKEN })]).await;
    let mut other = subscribe(&client, vec![json!("logs"), json!({ "topics": [B256::ZERO] })]).await;
    let mut heads = subscribe(&client, vec![json!("newHeads")]).await;
    let (block, _) = served.node.append(vec![transfer(50, 2), every_type()[1].clone()]);
    for index in ["0x0", "0x1"] {
        let log = next(&mut matching).await;
        assert_eq!(log["logIndex"], index);
        assert_eq!(log["transactionHash"], json!(block.transactions[2].tx_hash()));
        assert_eq!(log["removed"], false);
        assert!(log["blockTimestamp"].is_string());
    }
    next(&mut heads).await;
    let silent = tokio::time::timeout(Duration::from_millis(50), other.next()).await;
    assert!(silent.is_err(), "a log that does not match was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_transactions_as_hash_or_whole() {
    let served = serve().await;
    let client = connect(&served).await;
    let mut hashes = subscribe(&client, vec![json!("newPendingTransactions")]).await;
    let mut whole = subscribe(&client, vec![json!("newPendingTransactions"), json!(true)]).await;
    let tx = pooled(transfer(60, 2));
    let sent: Value = client.request("eth_sendRawTransaction", rpc_params![&tx.encoded]).await.unwrap();
    assert_eq!(sent, json!(tx.hash));
    assert_eq!(next(&mut hashes).await, json!(tx.hash));
    let body = next(&mut whole).await;
    assert_eq!((&body["hash"], &body["blockHash"]), (&json!(tx.hash), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_block_or_of_some_of_its_transactions() {
    let served = serve().await;
    let client = connect(&served).await;
    let transactions = every_type();
    let hashes: Vec<B256> = transactions.iter().map(|tx| tx.tx_hash()).collect();
    let mut all = subscribe(&client, vec![json!("transactionReceipts")]).await;
    let one = json!({ "transactionHashes": [hashes[2]] });
    let mut one = subscribe(&client, vec![json!("transactionReceipts"), one]).await;
    let (block, _) = served.node.append(vec![]);
    let (other, _) = served.node.append(transactions);
    assert_eq!(next(&mut all).await[0]["blockHash"], json!(block.hash()), "its L1 attributes");
    let whole = next(&mut all).await;
    assert_eq!(whole, served.call("eth_getBlockReceipts", json!([other.hash()])).await);
    let found = next(&mut one).await;
    assert_eq!((&found[0]["transactionHash"], &found[1]), (&json!(hashes[2]), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn syncing_tells_changes() {
    let served = serve().await;
    let client = connect(&served).await;
    let mut syncing = subscribe(&client, vec![json!("syncing")]).await;
    assert_eq!(next(&mut syncing).await, false);
    let progress = rpc::SyncProgress { starting: 0, current: 4, highest: 9 };
    *served.node.syncing.lock() = Some(progress);
    served.node.events.send(rpc::ChainEvent::Sync(Some(progress))).unwrap();
    let told = next(&mut syncing).await;
    assert_eq!((&told["syncing"], &told["status"]["highestBlock"]), (&json!(true), &json!("0x9")));
    *served.node.syncing.lock() = None;
    served.node.events.send(rpc::ChainEvent::Sync(None)).unwrap();
    assert_eq!(next(&mut syncing).await, false);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_and_limits() {
    let served = serve().await;
    let client = connect(&served).await;
    for (params, code) in [
        (json!(["newBlocks"]), -32601),
        (json!([]), -32602),
        (json!([7]), -32602),
        (json!(["logs", { "address": "0x1" }]), -32602),
        (json!(["newHeads", 1, 2]), -32602),
        (json!(["transactionReceipts", { "transactionHashes": ["0x1"] }]), -32602),
        (json!(["transactionReceipts", { "transactionHashes": distinct(201) }]), -32602),
    ] {
        let mut list = jsonrpsee::core::params::ArrayParams::new();
        for param in params.as_array().unwrap() {
            list.insert(param).unwrap();
        }
        let refused = client.subscribe::<Value, _>("eth_subscribe", list, "eth_unsubscribe").await;
        let Err(Error::Call(error)) = refused else { panic!("{params} was accepted") };
        assert_eq!(error.code(), code, "{params}: {error:?}");
    }
    // Over HTTP there is nowhere to send notifications to.
    let (code, text) = served.error("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!((code, text.as_str()), (-32601, "notifications not supported"));
    let mut held = Vec::new();
    for _ in 0..rpc::config::MAX_SUBSCRIPTIONS_PER_CONNECTION {
        held.push(subscribe(&client, vec![json!("newPendingTransactions")]).await);
    }
    let one_more = client.subscribe::<Value, _>("eth_subscribe", rpc_params!["newHeads"], "eth_unsubscribe").await;
    assert!(matches!(one_more, Err(Error::Call(_))), "{one_more:?}");
    served.assert_alive().await;
}
