//! Catching up with peers and with L1, as RPC shows it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use alloy_primitives::{B256, U256};
use jsonrpsee::{
    core::client::{Subscription, SubscriptionClientT},
    rpc_params,
    ws_client::WsClientBuilder,
};
use l1::{BlobPlace, L1Event, L1Position, L1View, SubmittedBatch};
use protocol::BatchHeader;
use rpc::RpcConfig;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::chain::{Node, account, start, until};
use crate::{batches::HeadsKeeper, run::watch_l1};

/// For whatever is awaited here.
const PATIENCE: Duration = Duration::from_secs(10);

async fn next(told: &mut Subscription<Value>) -> Value {
    tokio::time::timeout(Duration::from_secs(10), told.next()).await.expect("nothing is told").unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_learn_when_catching_up_begins_and_ends() {
    let node = start(RpcConfig::default()).await;
    let socket = WsClientBuilder::default().build(format!("ws://{}", node.server.address())).await.unwrap();
    let mut told: Subscription<Value> =
        socket.subscribe("eth_subscribe", rpc_params!["syncing"], "eth_unsubscribe").await.unwrap();
    assert_eq!(next(&mut told).await, false, "how things are");
    node.vitals.look_around(1, 3, 0);
    assert_eq!(node.call("eth_syncing", json!([])).await, false, "a few blocks on the way are nothing");
    node.vitals.look_around(2, 100, 10);
    let begun = next(&mut told).await;
    assert_eq!((&begun["syncing"], &begun["status"]["currentBlock"]), (&json!(true), &json!("0x0")));
    // Going on is no news; where it began stays.
    node.vitals.look_around(2, 120, 50);
    let progress = node.call("eth_syncing", json!([])).await;
    assert_eq!((&progress["startingBlock"], &progress["highestBlock"]), (&json!("0xa"), &json!("0x78")));
    node.vitals.look_around(2, 120, 120);
    assert_eq!(next(&mut told).await, false);
    assert_eq!(node.call("eth_syncing", json!([])).await, false);
}

/// A batch of the block with this hash at height 1, in L1 block 8.
fn batch(last_block: B256) -> SubmittedBatch {
    let header = BatchHeader {
        index: 1,
        parentHash: B256::ZERO,
        firstHeight: 1,
        lastHeight: 1,
        lastBlockHash: last_block,
        stateRoot: B256::ZERO,
        withdrawalsRoot: B256::ZERO,
        blocksRoot: B256::ZERO,
        dataHash: B256::ZERO,
        snapshotId: 1,
        l1OriginNumber: 76,
        l1OriginHash: B256::ZERO,
        depositCount: 0,
        turns: U256::from(1),
    };
    SubmittedBatch {
        header,
        hash: B256::repeat_byte(1),
        bitmap: U256::from(1),
        blobs: false,
        place: BlobPlace { number: 8, timestamp: 96 },
        l1_hash: B256::repeat_byte(8),
        transaction: B256::repeat_byte(2),
    }
}

/// On one thread, so that nothing happens between the steps.
#[tokio::test]
async fn an_l1_block_counts_as_worked_through_when_the_blocks_of_its_batches_are_here() {
    let node = start(RpcConfig::default()).await;
    let store = node.chain.store().clone();
    let (events, inbox) = mpsc::channel(4);
    let (view, views) = watch::channel(None);
    let keeper = HeadsKeeper::new(store.clone());
    let watching = tokio::spawn(watch_l1(node.chain.clone(), keeper, node.vitals.clone(), inbox, views, None, None));
    let position = |number: u8| L1Position {
        number: number.into(),
        hash: B256::repeat_byte(number),
        parent: B256::repeat_byte(number - 1),
        timestamp: 12 * u64::from(number),
    };
    let seen = |number| Some(L1View { latest: position(number), safe: position(5), finalized: position(4) });
    view.send_replace(seen(7));
    until(PATIENCE, "an empty L1 block", || *node.vitals.derived.lock() == Some(position(7))).await;

    let time = protocol::block::timestamp_ms(&node.chain.head().header) + 500;
    let builder = node.chain.open_block(&node.chain.head(), account(1), time).unwrap();
    let built = node.chain.keep(builder.finish(&store).unwrap()).executed.hash;
    events.try_send(L1Event::BatchIncluded(batch(built))).unwrap();
    view.send_replace(seen(8));
    until(PATIENCE, "the batch is noted", || store.last_batch().unwrap().is_some()).await;
    assert_eq!(*node.vitals.derived.lock(), Some(position(7)), "the batch's block is missing");
    assert!(!node.vitals.is_behind_l1(71) && node.vitals.is_behind_l1(72));
    node.chain.commit(built, None).unwrap();
    until(PATIENCE, "the block has come", || *node.vitals.derived.lock() == Some(position(8))).await;
    assert_eq!(store.heads().safe.height, 1);
    watching.abort();
}

/// Three batches of a block each, in L1 blocks 8, 100 and 101; only the first is final.
async fn batches() -> (Node, [SubmittedBatch; 3]) {
    let node = start(RpcConfig::default()).await;
    let store = node.chain.store().clone();
    for _ in 0..3 {
        node.mine(&[]).await;
    }
    let mut parent = B256::ZERO;
    let batches = [(1, 8), (2, 100), (3, 101)].map(|(index, number)| {
        let mut batch = batch(store.block_hash(index).unwrap().unwrap());
        (batch.header.index, batch.header.firstHeight, batch.header.lastHeight) = (index, index, index);
        (batch.header.parentHash, batch.place.number) = (parent, number);
        (batch.hash, batch.l1_hash) = (batch.header.hash(), B256::repeat_byte(number as u8));
        parent = batch.hash;
        batch
    });
    let keeper = HeadsKeeper::new(store);
    for batch in &batches {
        keeper.on_event(&L1Event::BatchIncluded(batch.clone())).unwrap();
    }
    keeper.settle(50).unwrap();
    (node, batches)
}

/// The node starts anew, and finds these blocks on L1.
async fn restarted(node: &Node, on_l1: &[u64]) -> (HeadsKeeper, u64) {
    let keeper = HeadsKeeper::new(node.chain.store().clone());
    let asked = AtomicU64::new(0);
    let hash_at = |number: u64| {
        asked.fetch_add(1, Ordering::Relaxed);
        std::future::ready(on_l1.contains(&number).then(|| B256::repeat_byte(number as u8)))
    };
    keeper.keep_unfinal(hash_at).await.unwrap();
    (keeper, asked.into_inner())
}

fn heads(node: &Node) -> (u64, u64) {
    let heads = node.chain.store().heads();
    (heads.safe.height, heads.finalized.height)
}

#[tokio::test]
async fn safe_stays_over_a_start_while_l1_has_its_batch() {
    let (node, batches) = batches().await;
    assert_eq!(heads(&node), (3, 1));
    let (keeper, asked) = restarted(&node, &[8, 100, 101]).await;
    assert_eq!((heads(&node), asked), ((3, 1), 1), "one question");
    // L1 tells of everything again: nothing moves, before and after.
    keeper.confirm(99).unwrap();
    for batch in &batches {
        keeper.on_event(&L1Event::BatchIncluded(batch.clone())).unwrap();
        keeper.settle(50).unwrap();
        keeper.confirm(batch.place.number).unwrap();
        assert_eq!(heads(&node), (3, 1));
    }
    keeper.settle(100).unwrap();
    assert_eq!(heads(&node), (3, 2));
}

/// L1 dropped the newest batch while the node was down: what L1 has instead comes to the heads, and nothing else.
#[tokio::test]
async fn a_batch_that_l1_dropped_meanwhile_is_not_taken_for_final_after_a_start() {
    let (node, batches) = batches().await;
    let store = node.chain.store().clone();
    let (keeper, _) = restarted(&node, &[8, 100]).await;
    keeper.settle(50).unwrap();
    assert_eq!((heads(&node), store.last_batch().unwrap().unwrap().header.index), ((2, 1), 2), "as far as L1 has them");
    let (keeper, _) = restarted(&node, &[8]).await;
    keeper.settle(200).unwrap();
    assert_eq!((heads(&node), store.last_batch().unwrap().unwrap().header.index), ((1, 1), 1), "the final one stays");
    // Twice is as good as once.
    let (keeper, asked) = restarted(&node, &[]).await;
    assert_eq!((keeper.final_batch().unwrap().index, asked), (1, 0));
    keeper.on_event(&L1Event::BatchIncluded(batches[1].clone())).unwrap();
    keeper.settle(50).unwrap();
    assert_eq!(heads(&node), (2, 1));
}

/// A reorg between the question and the first look at the head: nobody tells of a batch that was dropped before it was seen.
#[tokio::test]
async fn a_batch_that_l1_drops_during_the_start_is_noticed() {
    let (node, batches) = batches().await;
    let (keeper, _) = restarted(&node, &[8, 100, 101]).await;
    keeper.on_event(&L1Event::BatchIncluded(batches[0].clone())).unwrap();
    keeper.confirm(99).unwrap();
    assert_eq!(heads(&node), (3, 1), "L1 is not read so far yet");
    keeper.confirm(100).unwrap();
    assert_eq!(heads(&node), (1, 1));
    // Another batch in the place of a known one.
    let (node, batches) = self::batches().await;
    let (keeper, _) = restarted(&node, &[8, 100, 101]).await;
    let mut other = batches[1].clone();
    other.header.depositCount += 1;
    other.hash = other.header.hash();
    keeper.on_event(&L1Event::BatchIncluded(other)).unwrap();
    keeper.settle(50).unwrap();
    assert_eq!(heads(&node), (2, 1), "what followed the other one is gone");
}
