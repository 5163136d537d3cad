//! A follower of L1 whose L1 does not give what it announced.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::{B256, U256};
use batcher::ports::ChainBlock;
use batcher::{BatchPipeline, L1Follower, ParentBatch, queue_only_header};
use derivation::DerivationTip;
use l1::{
    BeaconBlobs, BlobPlace, ClientConfig, FinalBlock, FinalBlocks, L1Client, L1Event, L1Reader, SlotClock,
    SubmittedBatch,
};
use protocol::{BatchHeader, Height, L1Origin};
use tokio::sync::mpsc;

use crate::fixture::{MemoryChain, keys, params, set_of};

/// An L1 block, 12 seconds after the one before it.
fn l1_block(number: u64, batches: Vec<SubmittedBatch>) -> Arc<FinalBlock> {
    let origin =
        L1Origin { number, hash: B256::with_last_byte(number as u8), timestamp: 12 * number, ..Default::default() };
    let parent = B256::with_last_byte(number as u8 - 1);
    Arc::new(FinalBlock { origin, parent, deposits: Vec::new(), snapshots: Vec::new(), batches })
}

fn submitted(header: BatchHeader, bitmap: u64, number: u64) -> SubmittedBatch {
    let hash = header.hash();
    SubmittedBatch {
        header,
        hash,
        bitmap: U256::from(bitmap),
        blobs: false,
        place: BlobPlace { number, timestamp: 12 * number },
        l1_hash: B256::with_last_byte(number as u8),
        transaction: B256::repeat_byte(1),
    }
}

/// L1 drops a batch before its data was read, and somebody posts the queue instead: the follower goes on, and takes the second batch,
/// which nobody signed, when nothing can take its place any more.
#[tokio::test]
async fn a_dropped_batch_without_data_is_not_waited_for() {
    let (set, params) = (set_of(&keys(4), &[1; 4]), params());
    // Nobody listens there any more: no transaction of L1 can be read.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let client = L1Client::new(&ClientConfig::new(url.clone())).unwrap();
    let blobs = BeaconBlobs::new(&url, SlotClock::ExecutionNumber, Duration::from_secs(1)).unwrap();
    let finals = FinalBlocks::for_derivation();
    let tip = DerivationTip { height: Height(0), timestamp_ms: 0, origin: 10, sequence_number: 0 };
    let follower = L1Follower::new(
        L1Reader::new(client, Default::default()),
        blobs,
        finals.clone(),
        BatchPipeline::new(params.clone(), tip),
        ParentBatch::default(),
    );
    let (events, received) = mpsc::channel(16);
    let (sender, mut derived) = mpsc::channel(16);
    let running = tokio::spawn(follower.run(received, sender));
    let final_block = async |number, batches| {
        let block = l1_block(number, batches);
        finals.insert(block.clone());
        events.send(L1Event::Final(block)).await.unwrap();
    };
    final_block(10, vec![]).await;
    final_block(11, vec![]).await;

    let chain = MemoryChain::new(params.clone(), set.clone());
    chain.push(132_000, l1_block(11, vec![]).origin, vec![], 0);
    let block: ChainBlock = batcher::ports::ChainReader::block(chain.as_ref(), Height(1)).unwrap().unwrap();
    let forced = queue_only_header(&ParentBatch::default(), &[block], &params, &set).unwrap();
    let lost = submitted(BatchHeader { lastBlockHash: B256::repeat_byte(9), ..forced.clone() }, 7, 12);
    let forced = submitted(forced, 0, 12);
    for event in
        [L1Event::BatchIncluded(lost.clone()), L1Event::BatchDropped(lost), L1Event::BatchIncluded(forced.clone())]
    {
        events.send(event).await.unwrap();
    }
    // As long as one failed attempt to read the lost batch takes, and longer.
    let early = tokio::time::timeout(Duration::from_secs(2), derived.recv()).await;
    assert!(early.is_err(), "taken before its L1 block was final: {early:?}");
    final_block(12, vec![forced.clone()]).await;
    let batch = tokio::time::timeout(Duration::from_secs(20), derived.recv()).await.expect("derived in time").unwrap();
    assert_eq!((batch.header, batch.blocks.len()), (forced.header, 1));
    drop(events);
    running.await.unwrap().unwrap();
}
