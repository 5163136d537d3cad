//! A follower among peers on real swarms.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use batcher::ports::{self, BatchMessage, Incoming};
use network::{DecidedBlock, HeadStatus, Multiaddr, Network, NetworkConfig, NetworkEvent, NetworkHandle, PeerLimits};
use protocol::{BatchHeader, BatchIndex, CommitCertificate, CompactSignature, Height, Round, block::CommitSignature};
use rpc::RpcConfig;
use tokio::sync::{mpsc, watch};

use super::chain::{Node, account, genesis, key, start, until};
use crate::{chain::Candidate, epochs::attributes_of, follower::Sync, peers::Peers};

/// For whatever is awaited here.
const PATIENCE: Duration = Duration::from_secs(20);

/// An empty block, `ms` after the head.
fn build(node: &Node, ms: u64) -> Arc<Candidate> {
    let time = protocol::block::timestamp_ms(&node.chain.head().header) + ms;
    let builder = node.chain.open_block(&node.chain.head(), account(1), time).unwrap();
    node.chain.keep(builder.finish(node.chain.store()).unwrap())
}

/// Commits a block with a certificate.
fn decide(node: &Node, block: &Candidate) {
    let height = Height(block.executed.block.header.number);
    let mut certificate =
        CommitCertificate { height, round: Round(0), block_hash: block.executed.hash, signatures: Vec::new() };
    let signature = CompactSignature::sign(&key(1), &certificate.digest(&genesis().domain())).unwrap();
    certificate.signatures.push(CommitSignature { signer: account(1), signature });
    node.committer.commit_decided(&block.encoded, certificate).unwrap();
}

async fn swarm(
    seed: u8,
    bootnodes: Vec<Multiaddr>,
    heads: HeadStatus,
) -> (NetworkHandle, mpsc::Receiver<NetworkEvent>) {
    let config = NetworkConfig {
        listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
        bootnodes,
        keypair: network::keypair([seed; 32]).unwrap(),
        binding: None,
        chain: B256::repeat_byte(0xc0),
        domain: genesis().domain(),
        heads,
        members: [account(1)].into(),
        limits: PeerLimits::default(),
    };
    Network::start(config).await.unwrap()
}

fn serve(node: &Node, swarm: (NetworkHandle, mpsc::Receiver<NetworkEvent>), sync: Option<Arc<Sync>>) {
    serve_batches(node, swarm, sync, None);
}

fn serve_batches(
    node: &Node,
    (network, events): (NetworkHandle, mpsc::Receiver<NetworkEvent>),
    sync: Option<Arc<Sync>>,
    batches: Option<mpsc::Sender<Incoming>>,
) {
    let peers = Peers {
        network,
        chain: node.chain.clone(),
        transactions: node.transactions.clone(),
        open: node.open.clone(),
        vitals: node.vitals.clone(),
        batches,
        sync,
    };
    tokio::spawn(async move {
        // Nothing goes out; the senders stay.
        let ((_raw, outgoing), (_blocks, announcements)) = (mpsc::channel(1), mpsc::channel(1));
        peers.run(events, outgoing, announcements).await
    });
}

/// Claims every height and answers with these blocks; tells that it was asked.
async fn liar(seed: u8, blocks: Vec<DecidedBlock>) -> (NetworkHandle, watch::Receiver<bool>) {
    let (asked, told) = watch::channel(false);
    let heads = HeadStatus { height: Height(u64::MAX), ..HeadStatus::default() };
    let (handle, mut events) = swarm(seed, Vec::new(), heads).await;
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let NetworkEvent::BlocksRequested { reply, .. } = event {
                reply.send(blocks.clone());
                asked.send_replace(true);
            }
        }
    });
    (handle, told)
}

fn address(handle: &NetworkHandle) -> Multiaddr {
    handle.listen_addresses()[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_claims_what_it_does_not_have_stops_nobody() {
    let honest = start(RpcConfig::default()).await;
    let follower = start(RpcConfig::default()).await;
    let (liar, asked) = liar(3, Vec::new()).await;
    let ours = swarm(2, vec![address(&liar)], HeadStatus::default()).await;
    let sync = Sync::new(follower.chain.clone(), follower.committer.clone(), follower.open.clone());
    let handle = ours.0.clone();
    serve(&follower, ours, Some(sync));
    until(PATIENCE, "the liar is asked", || *asked.borrow()).await;
    (0..3).for_each(|_| decide(&honest, &build(&honest, 500)));
    let theirs = swarm(1, vec![address(&handle)], HeadStatus::default()).await;
    serve(&honest, theirs, None);
    until(PATIENCE, "the follower has what there is", || follower.chain.head().header.number == 3).await;
    assert_eq!(follower.chain.head().header.hash(), honest.chain.head().header.hash());
    until(PATIENCE, "nobody is behind", || follower.vitals.progress(3).is_none()).await;
    (0..2).for_each(|_| decide(&honest, &build(&honest, 500)));
    until(PATIENCE, "the follower goes on", || follower.chain.head().header.number == 5).await;
}

/// A true certificate with another body, whose L1 origin nobody has seen: nothing to wait for.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_body_under_a_true_certificate_stops_nobody() {
    let (honest, follower) = (start(RpcConfig::default()).await, start(RpcConfig::default()).await);
    let block = build(&honest, 500);
    decide(&honest, &block);
    let mut forged = block.executed.block.clone();
    let mut attributes = attributes_of(&forged).unwrap();
    attributes.origin.number += 1;
    forged.body.transactions[0] = attributes.deposit().into();
    let certificate = honest.chain.store().certificate(Height(1)).unwrap().unwrap();
    let forged =
        DecidedBlock { block: alloy_rlp::encode(&forged).into(), certificate: alloy_rlp::encode(&certificate).into() };
    let (liar, asked) = liar(8, vec![forged]).await;
    let ours = swarm(7, vec![address(&liar)], HeadStatus::default()).await;
    let handle = ours.0.clone();
    let sync = Sync::new(follower.chain.clone(), follower.committer.clone(), follower.open.clone());
    serve(&follower, ours, Some(sync));
    until(PATIENCE, "the liar is asked", || *asked.borrow()).await;
    until(PATIENCE, "the liar is doubted", || follower.vitals.progress(0).is_none()).await;
    until(PATIENCE, "the liar is blamed", || handle.peers().iter().any(|peer| peer.score < 0)).await;
    let theirs = swarm(9, vec![address(&handle)], HeadStatus::default()).await;
    serve(&honest, theirs, None);
    until(PATIENCE, "the follower has what there is", || follower.chain.head().header.number == 1).await;
}

/// Followers forward what a member signed without an opinion: the peer that sent it is not to blame for what a sequencer thinks of it,
/// and what is of no use goes no further.
#[tokio::test(flavor = "multi_thread")]
async fn batch_messages_that_are_bad_or_ignored_go_no_further_and_cost_their_sender_nothing() {
    let sequencer = start(RpcConfig::default()).await;
    let sender = swarm(11, Vec::new(), HeadStatus::default()).await;
    let ours = swarm(12, vec![address(&sender.0)], HeadStatus::default()).await;
    let mut behind = swarm(13, vec![address(&ours.0)], HeadStatus::default()).await;
    let (batches, mut incoming) = mpsc::channel(8);
    let handle = ours.0.clone();
    serve_batches(&sequencer, ours, None, Some(batches));
    let greeted =
        |handle: &NetworkHandle, count| handle.peers().iter().filter(|peer| peer.heads.is_some()).count() >= count;
    until(PATIENCE, "all know each other", || greeted(&handle, 2) && greeted(&behind.0, 1)).await;
    for (index, verdict) in [(1, ports::Verdict::Bad), (2, ports::Verdict::Ignored), (3, ports::Verdict::Good)] {
        let header = BatchHeader { index, ..BatchHeader::default() };
        let (hash, digest) = (header.hash(), genesis().domain().digest(&header));
        let signature = CompactSignature::sign(&key(1), &digest).unwrap();
        let message = network::BatchSignature { index: BatchIndex(index), hash, signature };
        sender.0.publish_signature(message).unwrap();
        let taken = tokio::time::timeout(PATIENCE, incoming.recv()).await.expect("a message in time").unwrap();
        let BatchMessage::Signature(taken_message) = &taken.message else { panic!("a signature was sent") };
        assert_eq!((taken_message.batch, taken_message.signer), (hash, account(1)));
        (taken.judge)(verdict);
    }
    let arrived = async {
        loop {
            if let Some(NetworkEvent::BatchSignature { signature, .. }) = behind.1.recv().await {
                return signature.index.0;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, arrived).await.expect("the good one is forwarded"), 3);
    assert!(handle.peers().iter().all(|peer| peer.score == 0));
}

/// A sequencer gets its blocks from consensus, and is ready or not by what peers can show.
#[tokio::test(flavor = "multi_thread")]
async fn a_sequencer_does_not_believe_a_height_without_a_certificate() {
    let (sequencer, ahead) = (start(RpcConfig::default()).await, start(RpcConfig::default()).await);
    let (liar, asked) = liar(6, Vec::new()).await;
    let ours = swarm(5, vec![address(&liar)], HeadStatus::default()).await;
    let handle = ours.0.clone();
    serve(&sequencer, ours, None);
    until(PATIENCE, "the liar is asked", || *asked.borrow()).await;
    until(PATIENCE, "the liar is doubted", || sequencer.vitals.progress(0).is_none()).await;
    (0..5).for_each(|_| decide(&ahead, &build(&ahead, 500)));
    let theirs = swarm(4, vec![address(&handle)], HeadStatus::default()).await;
    serve(&ahead, theirs, None);
    until(PATIENCE, "it knows that it is behind", || {
        sequencer.vitals.progress(0).is_some_and(|sync| sync.highest == 5)
    })
    .await;
}

#[tokio::test]
async fn a_block_that_is_decided_after_many_rounds_is_executed_again() {
    let node = start(RpcConfig::default()).await;
    let first = build(&node, 500);
    (1..40).for_each(|round| drop(build(&node, 500 + round)));
    assert!(node.chain.candidate(first.executed.hash).is_none(), "it is forgotten");
    decide(&node, &first);
    assert_eq!(node.chain.head().header.hash(), first.executed.hash);
}
