//! Peers that send what no honest node would.

use std::time::Duration;

use libp2p::PeerId;
use tokio::time::timeout;

use super::{
    codecs::{key, signature},
    swarms::{CHAIN, Node, config, start},
};
use crate::{
    BAN_POINTS, Gossip, HeadStatus, NetworkEvent, Status, Topic, Verdict,
    limits::{MAX_EVENTS, PEER_MESSAGES, RESERVED_EVENTS},
    message::DecidedBlock,
};

/// Two connected nodes; the second one misbehaves through its own handle.
async fn pair() -> (Node, Node) {
    let victim = start(config(1, vec![])).await;
    let hostile = start(config(2, vec![victim.address()])).await;
    victim.peers_until("hostile peer greeted", |peers| peers.iter().any(|peer| peer.heads.is_some())).await;
    hostile.peers_until("victim greeted", |peers| peers.iter().any(|peer| peer.heads.is_some())).await;
    (victim, hostile)
}

async fn banned(victim: &mut Node, hostile: PeerId) {
    let gone = move |event| matches!(event, NetworkEvent::PeerDisconnected { peer } if peer == hostile).then_some(());
    victim.event("hostile peer disconnected", gone).await;
    victim.peers_until("hostile peer gone", |peers| peers.is_empty()).await;
}

/// The victim still serves an honest newcomer.
async fn still_serves(victim: &mut Node) {
    let honest = start(config(3, vec![victim.address()])).await;
    let id = honest.handle.local_peer_id();
    victim.peers_until("honest peer greeted", |peers| peers.iter().any(|p| p.peer == id && p.heads.is_some())).await;
    honest.handle.publish_signature(signature(9, &key(3))).unwrap();
    let pick = |event| matches!(event, NetworkEvent::BatchSignature { .. }).then_some(());
    victim.event("honest message", pick).await;
}

#[tokio::test]
async fn rejected_messages_lower_the_score_and_end_in_a_ban() {
    let (mut victim, hostile) = pair().await;
    let id = hostile.handle.local_peer_id();
    let block = |byte| DecidedBlock { block: vec![byte; 9].into(), certificate: vec![1].into() };
    let pick = |event| match event {
        NetworkEvent::Block { token, .. } => Some(token),
        _ => None,
    };
    hostile.handle.publish_block(block(0)).unwrap();
    let token = victim.event("block", pick).await;
    victim.handle.report(token, Verdict::Reject).unwrap();
    victim.peers_until("scored down", |peers| peers.iter().any(|p| p.score < 0 && p.score > BAN_POINTS)).await;
    // Five rejections reach the ban unless a second passes between them, in which a point comes back: then one more.
    for byte in 1..=4 {
        hostile.handle.publish_block(block(byte)).unwrap();
        let token = victim.event("block", pick).await;
        victim.handle.report(token, Verdict::Reject).unwrap();
    }
    if !victim.handle.peers().is_empty() {
        hostile.handle.publish_block(block(5)).unwrap();
        let search = victim.event("block or end", |event| match event {
            NetworkEvent::Block { token, .. } => Some(Some(token)),
            NetworkEvent::PeerDisconnected { .. } => Some(None),
            _ => None,
        });
        if let Some(token) = search.await {
            victim.handle.report(token, Verdict::Reject).unwrap();
        }
    }
    victim.peers_until("hostile peer gone", |peers| peers.iter().all(|peer| peer.peer != id)).await;
    still_serves(&mut victim).await;
}

#[tokio::test]
async fn garbage_on_every_topic_is_scored_and_never_reaches_the_node() {
    for topic in Topic::ALL {
        let (mut victim, hostile) = pair().await;
        for byte in 0..8u8 {
            hostile.handle.publish_raw(topic, vec![byte | 0xf0; 64]).unwrap();
        }
        banned(&mut victim, hostile.handle.local_peer_id()).await;
        while let Ok(event) = victim.events.try_recv() {
            assert!(!matches!(event, NetworkEvent::Transactions { .. } | NetworkEvent::Block { .. }), "{event:?}");
        }
        still_serves(&mut victim).await;
    }
}

#[tokio::test]
async fn oversized_messages_are_no_messages() {
    let (mut victim, hostile) = pair().await;
    // Within the overhead allowance of gossipsub, beyond our own limit: refused by our decoder, five times banned.
    for byte in 0..5u8 {
        hostile.handle.publish_raw(Topic::Transactions, vec![byte; Topic::Transactions.max_bytes() + 100]).unwrap();
    }
    banned(&mut victim, hostile.handle.local_peer_id()).await;
    still_serves(&mut victim).await;
}

#[tokio::test]
async fn a_flood_is_bounded_and_does_not_hide_an_honest_peer() {
    let (mut victim, hostile) = pair().await;
    // The victim's node does not read its events meanwhile.
    let flood = PEER_MESSAGES.0 * 2;
    let mut sent = 0u64;
    while sent < flood {
        let message = Gossip::Transactions(vec![sent.to_be_bytes().to_vec().into()]).encode().unwrap();
        if hostile.handle.publish_raw(Topic::Transactions, message).is_ok() {
            sent += 1;
        } else {
            tokio::task::yield_now().await;
        }
    }
    let full = || victim.events.len() >= MAX_EVENTS - RESERVED_EVENTS;
    let filled = timeout(Duration::from_secs(20), async {
        while !full() {
            tokio::task::yield_now().await;
        }
    });
    filled.await.unwrap();
    let honest = start(config(3, vec![victim.address()])).await;
    let id = honest.handle.local_peer_id();
    victim.peers_until("honest peer greeted", |peers| peers.iter().any(|p| p.peer == id && p.heads.is_some())).await;
    assert!(victim.events.len() <= MAX_EVENTS);
    let identified =
        move |event| matches!(event, NetworkEvent::PeerIdentified { peer, .. } if peer == id).then_some(());
    victim.event("honest peer identified", identified).await;
}

/// A bare libp2p peer that opens our request protocols and writes what it likes.
mod raw {
    use super::*;
    use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
    use libp2p::{
        Multiaddr, StreamProtocol, SwarmBuilder, noise, request_response, request_response::ProtocolSupport,
        swarm::SwarmEvent, tcp, yamux,
    };
    use std::io;

    /// Writes the given bytes as the request and reads whatever comes.
    #[derive(Clone)]
    pub(super) struct Garbage;

    #[async_trait::async_trait]
    impl request_response::Codec for Garbage {
        type Protocol = StreamProtocol;
        type Request = Vec<u8>;
        type Response = Vec<u8>;

        async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
        where
            T: futures::AsyncRead + Unpin + Send,
        {
            let mut bytes = Vec::new();
            io.take(1_000_000).read_to_end(&mut bytes).await?;
            Ok(bytes)
        }

        async fn read_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
        where
            T: futures::AsyncRead + Unpin + Send,
        {
            self.read_request(protocol, io).await
        }

        async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
        where
            T: futures::AsyncWrite + Unpin + Send,
        {
            io.write_all(&bytes).await
        }

        async fn write_response<T>(&mut self, protocol: &StreamProtocol, io: &mut T, bytes: Vec<u8>) -> io::Result<()>
        where
            T: futures::AsyncWrite + Unpin + Send,
        {
            self.write_request(protocol, io, bytes).await
        }
    }

    /// Sends requests until the victim closes the connection.
    pub(super) async fn attack(victim: Multiaddr, protocol: String, requests: Vec<Vec<u8>>) {
        let protocol = StreamProtocol::try_from_owned(protocol).unwrap();
        let mut swarm = SwarmBuilder::with_existing_identity(crate::keypair([0x77; 32]).unwrap())
            .with_tokio()
            .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| {
                // The first is the one it requests with; it listens on the status protocol, or the victim would leave.
                let status = StreamProtocol::new("/horae/status/1");
                let support = [protocol, status].map(|protocol| (protocol, ProtocolSupport::Full));
                request_response::Behaviour::with_codec(Garbage, support, request_response::Config::default())
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        swarm.dial(victim).unwrap();
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                    for request in &requests {
                        swarm.behaviour_mut().send_request(&peer_id, request.clone());
                    }
                }
                // It greets as it should, so that nothing but its requests can be held against it.
                SwarmEvent::Behaviour(request_response::Event::Message {
                    message: request_response::Message::Request { channel, .. },
                    ..
                }) => {
                    let status = Status { genesis: CHAIN, heads: HeadStatus::default(), binding: None };
                    let _gone = swarm.behaviour_mut().send_response(channel, alloy_rlp::encode(status));
                }
                SwarmEvent::ConnectionClosed { .. } => return,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn garbage_on_request_protocols_ends_in_a_ban() {
    let tag = "c0".repeat(8);
    for protocol in ["/horae/status/1".to_owned(), format!("/horae/{tag}/blocks/1")] {
        for garbage in [vec![0xff; 40], vec![], vec![0xc0; 100_000]] {
            let mut victim = start(config(1, vec![])).await;
            let attack = raw::attack(victim.address(), protocol.clone(), vec![garbage; 8]);
            timeout(Duration::from_secs(20), attack).await.expect("the attacker is banned");
            victim.peers_until("attacker gone", |peers| peers.is_empty()).await;
            still_serves(&mut victim).await;
        }
    }
}
