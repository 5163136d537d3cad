//! Honest nodes with one another.

use std::{
    collections::{BTreeSet, HashSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{B256, Bytes};
use k256::ecdsa::SigningKey;
use libp2p::Multiaddr;
use protocol::{Height, signing};
use tokio::{sync::mpsc, time::timeout};

use super::codecs::{domain, key, proposal, signature};
use crate::{
    DecidedBlock, HeadStatus, Keypair, Network, NetworkConfig, NetworkError, NetworkEvent, NetworkHandle, PeerBinding,
    PeerInfo, PeerLimits, RequestError, Verdict, keypair,
};

pub(super) const CHAIN: B256 = B256::repeat_byte(0xc0);
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct Node {
    pub(super) handle: NetworkHandle,
    pub(super) events: mpsc::Receiver<NetworkEvent>,
}

pub(super) fn binding(signer: &SigningKey, identity: &Keypair) -> PeerBinding {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    PeerBinding::sign(&domain(), signer, &identity.public().to_peer_id(), now + 3_600).unwrap()
}

pub(super) fn config(seed: u8, bootnodes: Vec<Multiaddr>) -> NetworkConfig {
    let identity = keypair([seed; 32]).unwrap();
    NetworkConfig {
        listen: "/ip4/127.0.0.1/tcp/0".parse().unwrap(),
        bootnodes,
        binding: Some(binding(&key(seed), &identity)),
        keypair: identity,
        chain: CHAIN,
        domain: domain(),
        heads: HeadStatus { height: Height(u64::from(seed)), hash: B256::repeat_byte(seed), safe: Height(0) },
        members: (1..=3).map(|seed| signing::address_of(&key(seed))).collect(),
        limits: PeerLimits::default(),
    }
}

pub(super) async fn start(config: NetworkConfig) -> Node {
    let (handle, events) = Network::start(config).await.unwrap();
    Node { handle, events }
}

impl Node {
    pub(super) fn address(&self) -> Multiaddr {
        self.handle.listen_addresses()[0].clone()
    }

    /// Waits until the peers are as wanted.
    pub(super) async fn peers_until(&self, what: &str, wanted: impl Fn(&[PeerInfo]) -> bool) {
        let mut peers = self.handle.peers.clone();
        let done = timeout(DEADLINE, peers.wait_for(|peers| wanted(peers))).await.is_ok_and(|peers| peers.is_ok());
        assert!(done, "{what}: {:?}", self.handle.peers());
    }

    /// The first event of a kind; others are passed over (a passed-over message is ignored).
    pub(super) async fn event<T>(&mut self, what: &str, pick: impl Fn(NetworkEvent) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = pick(self.events.recv().await.expect("the task runs")) {
                    return found;
                }
            }
        };
        timeout(DEADLINE, search).await.unwrap_or_else(|_| panic!("{what} did not happen"))
    }

    async fn greeted(&self, count: usize) {
        self.peers_until("greeted", |peers| peers.iter().filter(|peer| peer.heads.is_some()).count() >= count).await;
    }
}

/// A chain 1 – 2 – … – n: gossip has to be relayed.
async fn line(count: u8) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for seed in 1..=count {
        let bootnodes = nodes.last().map(|node| node.address()).into_iter().collect();
        nodes.push(start(config(seed, bootnodes)).await);
    }
    for (i, node) in nodes.iter().enumerate() {
        node.greeted(if i == 0 || i + 1 == nodes.len() { 1 } else { 2 }).await;
    }
    nodes
}

#[tokio::test]
async fn gossip_is_relayed_only_when_accepted() {
    let mut nodes = line(5).await;
    let wanted: HashSet<Bytes> = (0..200u8).map(|i| vec![i; 40].into()).collect();
    nodes[0].handle.publish_transactions(wanted.iter().cloned().collect()).unwrap();
    for node in &mut nodes[1..] {
        let mut seen = HashSet::new();
        while seen.len() < wanted.len() {
            let (token, list) = node
                .event("transactions", |event| match event {
                    NetworkEvent::Transactions { token, transactions } => Some((token, transactions)),
                    _ => None,
                })
                .await;
            seen.extend(list);
            node.handle.report(token, Verdict::Accept).unwrap();
        }
        assert_eq!(seen, wanted);
    }
    // Node 2 withholds its consent to a first block and gives it to a second: only the second reaches node 3.
    let block = |byte: u8| DecidedBlock { block: vec![byte; 100].into(), certificate: vec![byte; 10].into() };
    nodes[0].handle.publish_block(block(1)).unwrap();
    nodes[0].handle.publish_block(block(2)).unwrap();
    let pick = |event| match event {
        NetworkEvent::Block { token, block } => Some((token, block)),
        _ => None,
    };
    for _ in 0..2 {
        let (token, seen) = nodes[1].event("block", pick).await;
        let verdict = if seen == block(1) { Verdict::Ignore } else { Verdict::Accept };
        nodes[1].handle.report(token, verdict).unwrap();
    }
    assert_eq!(nodes[2].event("block", pick).await.1, block(2));
}

#[tokio::test]
async fn batch_messages_come_from_members_only() {
    let mut nodes = line(3).await;
    // Key 9 is in no set; its signature goes nowhere, and the member's behind it arrives.
    nodes[0].handle.publish_signature(signature(1, &key(9))).unwrap();
    nodes[0].handle.publish_signature(signature(1, &key(1))).unwrap();
    nodes[0].handle.publish_proposal(proposal(2, &key(2))).unwrap();
    let (member, leader) = (signing::address_of(&key(1)), signing::address_of(&key(2)));
    for node in &mut nodes[1..] {
        let mut seen = BTreeSet::new();
        while seen.len() < 2 {
            let (token, signer) = node
                .event("batch message", |event| match event {
                    NetworkEvent::BatchSignature { token, signer, .. } => Some((token, signer)),
                    NetworkEvent::BatchProposal { token, signer, .. } => Some((token, signer)),
                    _ => None,
                })
                .await;
            seen.insert(signer);
            node.handle.report(token, Verdict::Accept).unwrap();
        }
        assert_eq!(seen, BTreeSet::from([member, leader]));
    }
    // A new set takes effect without a restart.
    nodes[1].handle.set_members(BTreeSet::from([signing::address_of(&key(9))]));
    nodes[1].peers_until("old members are outsiders", |peers| peers.iter().all(|peer| !peer.member)).await;
    nodes[0].handle.publish_signature(signature(3, &key(9))).unwrap();
    let pick = |event| match event {
        NetworkEvent::BatchSignature { signer, .. } => Some(signer),
        _ => None,
    };
    assert_eq!(nodes[1].event("signature", pick).await, signing::address_of(&key(9)));
}

#[tokio::test]
async fn peers_know_each_others_signer_and_heads() {
    let mut nodes = line(2).await;
    let identified = |event| match event {
        NetworkEvent::PeerIdentified { signer, .. } => Some(signer),
        _ => None,
    };
    assert_eq!(nodes[0].event("identified", identified).await, signing::address_of(&key(2)));
    assert_eq!(nodes[1].event("identified", identified).await, signing::address_of(&key(1)));
    assert!(nodes[0].handle.peers()[0].member);
    let heads = HeadStatus { height: Height(77), hash: B256::repeat_byte(7), safe: Height(70) };
    nodes[0].handle.set_status(heads);
    nodes[1].peers_until("new heads", |peers| peers[0].heads == Some(heads)).await;
    nodes[0].handle.set_binding(None);
    nodes[1].peers_until("binding gone", |peers| peers[0].signer.is_none()).await;
}

/// A sequencer that runs for months, and one whose signer is changed.
#[tokio::test]
async fn a_binding_is_renewed_changed_and_ends_without_a_new_connection() {
    let nodes = line(2).await;
    let (ours, theirs) = (&nodes[0].handle, &nodes[1]);
    let sees = |seed: Option<u8>| {
        let signer = seed.map(|seed| signing::address_of(&key(seed)));
        let is_member = seed.is_some_and(|seed| seed <= 3);
        move |peers: &[PeerInfo]| peers[0].signer == signer && peers[0].member == is_member
    };
    theirs.peers_until("the first binding", sees(Some(1))).await;
    let sign = |seed, seconds: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let expires = now.saturating_add_signed(seconds);
        Some(PeerBinding::sign(&domain(), &key(seed), &ours.local_peer_id(), expires).unwrap())
    };
    ours.set_binding(sign(3, 3_600));
    theirs.peers_until("another signer", sees(Some(3))).await;
    ours.set_binding(sign(3, -1));
    theirs.peers_until("an old one ends it", sees(None)).await;
    ours.set_binding(sign(3, 7_200));
    theirs.peers_until("renewed", sees(Some(3))).await;
    ours.set_binding(sign(9, 3_600));
    theirs.peers_until("a signer outside the set", sees(Some(9))).await;
    assert_eq!(theirs.handle.peers()[0].score, 0, "nothing of it is an offence");
}

#[tokio::test]
async fn blocks_are_served_and_refusals_told() {
    let nodes = line(2).await;
    let [server, client] = <[Node; 2]>::try_from(nodes).ok().unwrap();
    let peer = server.handle.local_peer_id();
    let mut events = server.events;
    let serving = tokio::spawn(async move {
        let mut served = 0;
        while served < 2 {
            if let Some(NetworkEvent::BlocksRequested { from, count, reply, .. }) = events.recv().await {
                served += 1;
                let block = |height| DecidedBlock { block: vec![height as u8; 10].into(), certificate: vec![1].into() };
                // The second request is refused by dropping the reply.
                if from == Height(5) {
                    reply.send((5..5 + count).map(block).collect());
                }
            }
        }
        events
    });
    let blocks = client.handle.request_blocks(peer, Height(5), 1_000).await.unwrap();
    assert_eq!(blocks.len(), 64);
    assert_eq!(blocks[63].block[0], 68);
    let refused = client.handle.request_blocks(peer, Height(6), 1).await;
    assert!(matches!(refused, Err(RequestError::Failed(_))), "{refused:?}");
    // A view that is newer than the refusal shows no offence.
    let heads = HeadStatus { height: Height(99), ..HeadStatus::default() };
    server.handle.set_status(heads);
    client.peers_until("unpunished", |peers| peers.iter().any(|p| p.heads == Some(heads) && p.score == 0)).await;
    let stranger = client.handle.request_blocks(libp2p::PeerId::random(), Height(6), 1).await;
    assert_eq!(stranger, Err(RequestError::NotConnected));
    drop(serving.await.unwrap());
}

#[tokio::test]
async fn another_genesis_parts() {
    let server = start(config(1, vec![])).await;
    let other = NetworkConfig { chain: B256::repeat_byte(0xdd), ..config(2, vec![server.address()]) };
    let mut client = start(other).await;
    let gone = |event| matches!(event, NetworkEvent::PeerDisconnected { .. }).then_some(());
    client.event("disconnect", gone).await;
    server.peers_until("no peers", <[PeerInfo]>::is_empty).await;
    client.peers_until("no peers", <[PeerInfo]>::is_empty).await;
}

#[tokio::test]
async fn a_forged_binding_is_refused_and_an_honest_peer_stays() {
    let mut server = start(config(1, vec![])).await;
    let honest = start(config(2, vec![server.address()])).await;
    server.greeted(1).await;
    // Another peer's binding, word for word.
    let stolen = NetworkConfig { binding: config(2, vec![]).binding, ..config(3, vec![server.address()]) };
    let thief = start(stolen).await;
    let thief_id = thief.handle.local_peer_id();
    let gone = move |event| matches!(event, NetworkEvent::PeerDisconnected { peer } if peer == thief_id).then_some(());
    server.event("thief disconnected", gone).await;
    let honest_id = honest.handle.local_peer_id();
    server.peers_until("honest peer stays", |peers| peers.iter().map(|peer| peer.peer).eq([honest_id])).await;
}

#[tokio::test]
async fn a_node_returns_after_its_bootnode_came_back() {
    let first = start(config(1, vec![])).await;
    let address = first.address();
    let client = start(config(2, vec![address.clone()])).await;
    client.greeted(1).await;
    let Node { handle, mut events } = first;
    drop(handle);
    while timeout(DEADLINE, events.recv()).await.unwrap().is_some() {}
    client.peers_until("bootnode gone", <[PeerInfo]>::is_empty).await;
    let again = start(NetworkConfig { listen: address, ..config(1, vec![]) }).await;
    client.greeted(1).await;
    assert_eq!(again.handle.local_peer_id(), client.handle.peers()[0].peer);
}

#[tokio::test]
async fn messages_wait_for_the_first_peer() {
    let first = start(config(1, vec![])).await;
    first.handle.publish_signature(signature(1, &key(1))).unwrap();
    let mut second = start(config(2, vec![first.address()])).await;
    let pick = |event| match event {
        NetworkEvent::BatchSignature { signature, .. } => Some(signature),
        _ => None,
    };
    assert_eq!(second.event("signature", pick).await, signature(1, &key(1)));
}

#[tokio::test]
async fn the_mailbox_refuses_instead_of_growing() {
    let node = start(config(1, vec![])).await;
    // The task cannot run while this single-threaded test does not wait.
    let large = Bytes::from(vec![1; 100_000]);
    let mut taken = 0u64;
    let refused = loop {
        match node.handle.publish_transactions(vec![large.clone()]) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refused, NetworkError::Overloaded);
    assert_eq!(taken, crate::limits::MAX_COMMAND_BYTES as u64 / 100_000);
    let mut small = 0;
    while node.handle.dial("/ip4/127.0.0.1/tcp/1".parse().unwrap()).is_ok() {
        small += 1;
    }
    assert_eq!(small + taken, crate::limits::MAX_COMMANDS as u64);
    let huge = DecidedBlock { block: vec![1; 3 * 1024 * 1024].into(), certificate: vec![1].into() };
    assert_eq!(node.handle.publish_block(huge), Err(NetworkError::TooLarge));
}

#[tokio::test]
async fn full_nodes_keep_members_and_part_from_others() {
    let limits = PeerLimits { max_inbound: 1, ..PeerLimits::default() };
    let server = start(NetworkConfig { limits, ..config(1, vec![]) }).await;
    let address = server.address();
    let plain = |seed| NetworkConfig { binding: None, ..config(seed, vec![address.clone()]) };
    let first = start(plain(10)).await;
    server.greeted(1).await;
    let mut second = start(plain(11)).await;
    second.event("sent away", |event| matches!(event, NetworkEvent::PeerDisconnected { .. }).then_some(())).await;
    let member = start(config(2, vec![address.clone()])).await;
    let member_id = member.handle.local_peer_id();
    server.peers_until("member is in", |peers| peers.iter().any(|peer| peer.peer == member_id && peer.member)).await;
    assert_eq!(first.handle.peers().len(), 1);
}

#[test]
fn keys_must_be_valid() {
    assert!(keypair([0; 32]).is_err());
    assert_eq!(keypair([7; 32]).unwrap().public(), keypair([7; 32]).unwrap().public());
}
