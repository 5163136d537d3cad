//! Slices from the swarm on a real node: whose are taken, and what becomes of two at one place.

use std::{sync::Arc, time::Duration};

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Bytes, TxKind};
use alloy_rlp::Encodable;
use network::Verdict;
use protocol::{CompactSignature, Height, Round, Slice, SliceBody};
use rpc::RpcConfig;
use tokio::sync::watch;

use super::chain::{COUNTER, Node, account, call_tx, genesis, key, sign, start, until};
use crate::{evidence::Evidence, open::Suspicion};

/// For whatever is awaited here.
const PATIENCE: Duration = Duration::from_secs(10);

/// A slice at a place, signed by account 1, which leads every round of the fixture.
fn slice(height: u64, index: u32, byte: u8) -> Slice {
    signed((height, 0, index), vec![byte; 3].into())
}

fn signed((height, round, index): (u64, u32, u32), data: Bytes) -> Slice {
    let (height, round, body) = (Height(height), Round(round), SliceBody::Data(data));
    let mut slice = Slice { height, round, index, body, signature: CompactSignature([0; 64]) };
    slice.signature = CompactSignature::sign(&key(1), &genesis().domain().digest(&slice.statement())).unwrap();
    slice
}

fn stored(node: &Node) -> Vec<Evidence> {
    let all = node.chain.store().evidence(10).unwrap();
    all.iter().map(|(_, bytes)| Evidence::decode(bytes).unwrap()).collect()
}

/// The stream of a block at height 1 that begins `ms` after its parent and holds one transaction.
fn stream(node: &Node, ms: u64) -> Bytes {
    let time = protocol::block::timestamp_ms(&node.chain.head().header) + ms;
    let mut builder = node.chain.open_block(&node.chain.head(), account(1), time).unwrap();
    let raw = sign(1, call_tx(0, TxKind::Call(COUNTER), 0, [])).encoded_2718();
    builder.push(&execution::recover(&raw, genesis().chain_id).unwrap()).unwrap();
    let mut stream = time.to_be_bytes().to_vec();
    builder.transactions().iter().for_each(|tx| tx.encode(&mut stream));
    stream.into()
}

/// The genesis of the fixture is old, so that later rounds could have begun by its time alone.
#[tokio::test]
async fn a_round_that_never_comes_is_not_shown_instead_of_the_one_that_does() {
    let node = start(RpcConfig::default()).await;
    let judge = |round, data: &Bytes| node.open.on_gossip(account(1), signed((1, round, 0), data.clone()));
    let shown = || node.open.pending().map(|pending| pending.header().timestamp);
    let (real, other) = (stream(&node, 1_000), stream(&node, 9_000));
    assert_eq!(judge(0, &real), Verdict::Accept);
    until(PATIENCE, "the first round is shown", || shown().is_some()).await;
    let real = shown();
    for round in [1, 2, 64, 1_000, 1_001, 1_002, 1_003] {
        assert_eq!(judge(round, &other), Verdict::Ignore, "round {round}");
    }
    // The thread has worked through what came, and nothing took the place of what is shown.
    assert!(!node.open.finish(Default::default(), Bytes::new()).await.unwrap());
    assert_eq!(shown(), real);
    // Consensus says that the next round has come.
    node.open.on_slice(account(1), &signed((1, 1, 0), other));
    until(PATIENCE, "the next round is shown", || shown() != real).await;
}

/// A leader that begins a later round first, while the network is idle, is not shown any more when the first round begins.
#[tokio::test]
async fn the_round_that_began_last_is_shown() {
    let node = start(RpcConfig::default()).await;
    let judge = |round, data: &Bytes| node.open.on_gossip(account(1), signed((1, round, 0), data.clone()));
    let shown = || node.open.pending().map(|pending| pending.header().timestamp);
    assert_eq!(judge(3, &stream(&node, 9_000)), Verdict::Accept);
    until(PATIENCE, "a round is shown", || shown().is_some()).await;
    let before = shown();
    let place = (Height(1), Round(0));
    node.open.open(place, account(1), protocol::block::timestamp_ms(&node.chain.head().header) + 1_000).await.unwrap();
    node.open.fill(place).await.unwrap();
    node.open.streamed(place).await.unwrap();
    until(PATIENCE, "the first round is shown", || shown() != before).await;
}

#[tokio::test]
async fn a_member_that_floods_the_next_height_takes_nobody_s_place() {
    let node = start(RpcConfig::default()).await;
    for index in 0..100 {
        let expected = if index < 32 { Verdict::Accept } else { Verdict::Ignore };
        assert_eq!(node.open.on_gossip(account(1), slice(2, index, 7)), expected);
    }
    // Who leads is seen when the head moves; that these are signed by another does not matter before.
    assert_eq!(node.open.on_gossip(account(2), slice(2, 0, 7)), Verdict::Accept);
    assert_eq!(node.open.on_gossip(account(2), signed((2, 1, 0), Bytes::new())), Verdict::Ignore, "no later round");
}

#[tokio::test]
async fn two_slices_at_one_place_are_kept_as_evidence() {
    let node = start(RpcConfig::default()).await;
    let judge = |slice: &Slice| node.open.on_gossip(account(1), slice.clone());
    let (first, second) = (slice(1, 0, 7), slice(1, 0, 8));
    assert_eq!(node.open.on_gossip(account(2), first.clone()), Verdict::Ignore, "does not lead");
    assert_eq!((judge(&first), judge(&first)), (Verdict::Accept, Verdict::Accept));
    assert!(stored(&node).is_empty());
    // Relayed once, so that all nodes have it; a third at the same place says nothing new.
    assert_eq!((judge(&second), judge(&slice(1, 0, 9))), (Verdict::Accept, Verdict::Ignore));
    until(PATIENCE, "the evidence is stored", || !stored(&node).is_empty()).await;
    let [Evidence::Slices(signer, one, other)] = &stored(&node)[..] else { panic!("{:?}", stored(&node)) };
    assert_eq!((*signer, one.0.height, one.0.index), (account(1), 1, 0));
    assert_ne!(one.0.dataHash, other.0.dataHash);
    // What is stored is what L1 can check.
    for (statement, signature) in [one, other] {
        let digest = genesis().domain().digest(statement);
        assert_eq!(signature.recover(&digest).unwrap(), account(1));
    }
}

/// Whether a former run of ours sent it is for the signer's record to say; two at one place are another machine's.
#[tokio::test]
async fn slices_of_our_own_key_that_we_did_not_send_are_noticed() {
    let node = start(RpcConfig::default()).await;
    let suspicions = node.open.suspicions(account(1));
    node.open.on_sent(account(1), &slice(1, 0, 7));
    assert_eq!(node.open.on_gossip(account(1), slice(1, 0, 7)), Verdict::Accept, "an echo");
    assert_eq!(*suspicions.borrow(), None);
    let place = |is_certain| Some(Suspicion { height: Height(1), round: Round(0), is_certain });
    node.open.on_slice(account(1), &slice(1, 1, 7));
    assert_eq!(*suspicions.borrow(), place(false));
    node.open.on_gossip(account(1), slice(1, 0, 8));
    assert_eq!(*suspicions.borrow(), place(true));
}

#[tokio::test]
async fn slices_that_are_a_block_early_wait_for_the_head() {
    let node = start(RpcConfig::default()).await;
    let (_l1, view) = watch::channel(None);
    let following = tokio::spawn(Arc::clone(&node.open).follow(view));
    // It has to look at the head before that moves.
    tokio::task::yield_now().await;
    let judge = |slice: Slice| node.open.on_gossip(account(1), slice);
    assert_eq!((judge(slice(2, 0, 7)), judge(slice(2, 0, 8))), (Verdict::Accept, Verdict::Accept));
    assert_eq!(judge(slice(3, 0, 7)), Verdict::Ignore, "too far ahead");
    assert!(stored(&node).is_empty());
    node.mine(&[]).await;
    until(PATIENCE, "the evidence is stored", || !stored(&node).is_empty()).await;
    assert!(matches!(&stored(&node)[..], [Evidence::Slices(..)]));
    // The height is decided: what leaders said about it can still be contradicted, by those who said something.
    node.mine(&[]).await;
    assert_eq!(judge(slice(2, 1, 7)), Verdict::Ignore);
    following.abort();
}
