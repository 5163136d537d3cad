//! Slices from the swarm on a real node: whose are taken, and what becomes of two at one place.

use std::sync::Arc;

use alloy_primitives::Bytes;
use network::Verdict;
use protocol::{CompactSignature, Height, Round, Slice, SliceBody};
use rpc::RpcConfig;
use tokio::sync::watch;

use super::chain::{Node, account, genesis, key, start};
use crate::evidence::Evidence;

/// A slice at a place, signed by account 1, which leads every round of the fixture.
fn slice(height: u64, index: u32, byte: u8) -> Slice {
    let body = SliceBody::Data(Bytes::from(vec![byte; 3]));
    let mut slice =
        Slice { height: Height(height), round: Round(0), index, body, signature: CompactSignature([0; 64]) };
    slice.signature = CompactSignature::sign(&key(1), &genesis().domain().digest(&slice.statement())).unwrap();
    slice
}

fn stored(node: &Node) -> Vec<Evidence> {
    let all = node.chain.store().evidence(10).unwrap();
    all.iter().map(|(_, bytes)| Evidence::decode(bytes).unwrap()).collect()
}

#[tokio::test]
async fn two_slices_at_one_place_are_kept_as_evidence() {
    let node = start(RpcConfig::default()).await;
    let judge = |slice: &Slice| node.open.on_gossip(account(1), slice.clone()).unwrap();
    let (first, second) = (slice(1, 0, 7), slice(1, 0, 8));
    assert_eq!(node.open.on_gossip(account(2), first.clone()).unwrap(), Verdict::Reject, "does not lead");
    assert_eq!((judge(&first), judge(&first)), (Verdict::Accept, Verdict::Accept));
    assert!(stored(&node).is_empty());
    // Relayed once, so that all nodes have it; a third at the same place says nothing new.
    assert_eq!((judge(&second), judge(&slice(1, 0, 9))), (Verdict::Accept, Verdict::Ignore));
    let [Evidence::Slices(signer, one, other)] = &stored(&node)[..] else { panic!("{:?}", stored(&node)) };
    assert_eq!((*signer, one.0.height, one.0.index), (account(1), 1, 0));
    assert_ne!(one.0.dataHash, other.0.dataHash);
    // What is stored is what L1 can check.
    for (statement, signature) in [one, other] {
        let digest = genesis().domain().digest(statement);
        assert_eq!(signature.recover(&digest).unwrap(), account(1));
    }
}

#[tokio::test]
async fn slices_that_are_a_block_early_wait_for_the_head() {
    let node = start(RpcConfig::default()).await;
    let (_l1, view) = watch::channel(None);
    let following = tokio::spawn(Arc::clone(&node.open).follow(view));
    // It has to look at the head before that moves.
    tokio::task::yield_now().await;
    let judge = |slice: Slice| node.open.on_gossip(account(1), slice).unwrap();
    assert_eq!((judge(slice(2, 0, 7)), judge(slice(2, 0, 8))), (Verdict::Accept, Verdict::Accept));
    assert_eq!(judge(slice(3, 0, 7)), Verdict::Ignore, "too far ahead");
    assert!(stored(&node).is_empty());
    node.mine(&[]).await;
    for _ in 0..1_000 {
        if !stored(&node).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(matches!(&stored(&node)[..], [Evidence::Slices(..)]));
    // The height is decided: what leaders said about it can still be contradicted, by those who said something.
    node.mine(&[]).await;
    assert_eq!(judge(slice(2, 1, 7)), Verdict::Ignore);
    following.abort();
}
