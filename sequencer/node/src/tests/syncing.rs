//! Catching up, as RPC shows it.

use jsonrpsee::{
    core::client::{Subscription, SubscriptionClientT},
    rpc_params,
    ws_client::WsClientBuilder,
};
use rpc::RpcConfig;
use serde_json::{Value, json};

use super::chain::start;

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_learn_when_catching_up_begins_and_ends() {
    let node = start(RpcConfig::default()).await;
    let socket = WsClientBuilder::default().build(format!("ws://{}", node.server.address())).await.unwrap();
    let mut told: Subscription<Value> =
        socket.subscribe("eth_subscribe", rpc_params!["syncing"], "eth_unsubscribe").await.unwrap();
    assert_eq!(told.next().await.unwrap().unwrap(), false, "how things are");
    node.vitals.look_around(1, 3, 0);
    assert_eq!(node.call("eth_syncing", json!([])).await, false, "a few blocks on the way are nothing");
    node.vitals.look_around(2, 100, 10);
    let begun = told.next().await.unwrap().unwrap();
    assert_eq!((&begun["syncing"], &begun["status"]["currentBlock"]), (&json!(true), &json!("0x0")));
    // Going on is no news; where it began stays.
    node.vitals.look_around(2, 120, 50);
    let progress = node.call("eth_syncing", json!([])).await;
    assert_eq!((&progress["startingBlock"], &progress["highestBlock"]), (&json!("0xa"), &json!("0x78")));
    node.vitals.look_around(2, 120, 120);
    assert_eq!(told.next().await.unwrap().unwrap(), false);
    assert_eq!(node.call("eth_syncing", json!([])).await, false);
}
