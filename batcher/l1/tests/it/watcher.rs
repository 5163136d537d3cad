use std::time::Duration;

use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::anvil::ReorgOptions;
use l1::{FinalBlocks, L1Error, L1Event, L1Reader, L1Watcher, Tag, WatchConfig};
use protocol::genesis::L1Contracts;
use tokio::sync::watch;

use crate::anvil::Anvil;
use crate::eventually;

fn reader(anvil: &Anvil) -> L1Reader {
    let none = alloy_primitives::Address::repeat_byte(0xee);
    let contracts = L1Contracts {
        chain_id: 31_337,
        metis: none,
        staking: none,
        sequencer_set: none,
        batch_registry: none,
        portal: none,
        ..Default::default()
    };
    L1Reader::new(anvil.client(), contracts)
}

fn config() -> WatchConfig {
    WatchConfig { start: 1, parent: None, poll_interval: Duration::from_millis(30), needed: None }
}

#[tokio::test]
async fn final_blocks_have_no_gap_and_reorgs_stay_above() {
    let anvil = Anvil::start(&["--no-mining"]);
    let provider = anvil.client();
    let provider = provider.provider();
    provider.anvil_mine(Some(10), None).await.unwrap();
    let finals = FinalBlocks::default();
    let (watcher, views, mut events) = L1Watcher::new(reader(&anvil), config(), finals.clone());
    let task = tokio::spawn(watcher.run());
    let view = eventually("first view", || async { *views.borrow() }).await;
    assert_eq!((view.latest.number, view.safe.number, view.finalized.number), (10, 8, 6));
    for position in [view.latest, view.safe, view.finalized] {
        let header = anvil.client().header_by_number(position.number).await.unwrap();
        let expected = (header.origin.hash, header.parent, header.origin.timestamp);
        assert_eq!((position.hash, position.parent, position.timestamp), expected, "block {}", position.number);
    }
    provider.anvil_reorg(ReorgOptions { depth: 3, tx_block_pairs: vec![] }).await.unwrap();
    provider.anvil_mine(Some(5), None).await.unwrap();
    let head = anvil.client().header_at_tag(Tag::Latest).await.unwrap().origin;
    eventually("the new branch", || async { views.borrow().filter(|view| view.latest.hash == head.hash) }).await;
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let L1Event::Final(block) = event {
            seen.push((block.origin.number, block.origin.hash, block.parent));
        }
    }
    // L2 blocks may still name the block before the first reported one as their origin.
    assert_eq!(finals.get(0).map(|block| block.origin.hash), Some(seen[0].2));
    assert_eq!(seen.iter().map(|block| block.0).collect::<Vec<_>>(), (1..=head.number - 4).collect::<Vec<_>>());
    assert!(seen.windows(2).all(|pair| pair[1].2 == pair[0].1), "one chain");
    drop(events);
    assert_eq!(task.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn broken_finality_stops_the_watcher() {
    let anvil = Anvil::start(&["--no-mining"]);
    let client = anvil.client();
    client.provider().anvil_mine(Some(10), None).await.unwrap();
    let (watcher, views, _events) = L1Watcher::new(reader(&anvil), config(), FinalBlocks::default());
    let task = tokio::spawn(watcher.run());
    eventually("first view", || async { *views.borrow() }).await;
    client.provider().anvil_reorg(ReorgOptions { depth: 6, tx_block_pairs: vec![] }).await.unwrap();
    assert!(matches!(task.await.unwrap(), Err(L1Error::FinalityBroken { number: 6, .. })));
    // A node that restarts with what it knew as final finds out at once.
    let parent = Some(alloy_primitives::B256::repeat_byte(1));
    let (watcher, _views, _events) =
        L1Watcher::new(reader(&anvil), WatchConfig { start: 4, parent, ..config() }, FinalBlocks::default());
    assert!(matches!(watcher.run().await, Err(L1Error::FinalityBroken { number: 3, .. })));
}

/// A node far behind, or on a chain that has stood still for long: it works through all of L1, one block's origin after the other.
#[tokio::test]
async fn final_blocks_wait_until_those_before_them_are_used() {
    let anvil = Anvil::start(&["--no-mining"]);
    let last = 100;
    anvil.client().provider().anvil_mine(Some(last + 4), None).await.unwrap();
    let finals = FinalBlocks::of(32);
    let (used, needed) = watch::channel(0);
    let config = WatchConfig { needed: Some(needed), ..config() };
    let (watcher, _views, mut events) = L1Watcher::new(reader(&anvil), config, finals.clone());
    let task = tokio::spawn(watcher.run());
    for origin in 1..=last {
        eventually("the next origin", || async { finals.get(origin) }).await;
        let ahead = finals.newest().unwrap() - used.send_replace(origin);
        assert!(ahead <= 31, "{ahead} blocks ahead of what is needed");
    }
    let mut reported = 0;
    while reported < last {
        let Some(L1Event::Final(block)) = events.recv().await else { continue };
        assert_eq!(block.origin.number, reported + 1);
        reported = block.origin.number;
    }
    drop(events);
    assert_eq!(task.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_watcher_that_waits_ends_with_its_listener() {
    let anvil = Anvil::start(&["--no-mining"]);
    anvil.client().provider().anvil_mine(Some(50), None).await.unwrap();
    let finals = FinalBlocks::of(32);
    let (_used, needed) = watch::channel(0);
    let config = WatchConfig { needed: Some(needed), ..config() };
    let (watcher, _views, events) = L1Watcher::new(reader(&anvil), config, finals.clone());
    let task = tokio::spawn(watcher.run());
    eventually("as far as there is room", || async { finals.get(31) }).await;
    drop(events);
    assert_eq!(task.await.unwrap(), Ok(()));
}
