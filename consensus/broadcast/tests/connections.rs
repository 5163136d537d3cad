//! Two swarms over loopback that lose one of their two connections.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};
use libp2p_scatter::{Behaviour, Config, Event, Topic};

const LIMIT: Duration = Duration::from_secs(20);

fn swarm() -> Swarm<Behaviour> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| Behaviour::new(Config::default()))
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(LIMIT * 2))
        .build()
}

/// A dialer, a listener, and what has happened at them.
struct Pair {
    dialer: Swarm<Behaviour>,
    listener: Swarm<Behaviour>,
    address: Multiaddr,
    opened: usize,
    closed: usize,
    /// Subscriptions of the dialer that the listener has heard of.
    announced: usize,
    received: Vec<Bytes>,
}

impl Pair {
    async fn new() -> Self {
        let (dialer, mut listener) = (swarm(), swarm());
        listener.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = listener.select_next_some().await {
                break address;
            }
        };
        Self { dialer, listener, address, opened: 0, closed: 0, announced: 0, received: Vec::new() }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let waited = async {
            while !done(self) {
                let event = tokio::select! {
                    event = self.dialer.select_next_some() => event,
                    event = self.listener.select_next_some() => event,
                };
                match event {
                    SwarmEvent::ConnectionEstablished { .. } => self.opened += 1,
                    SwarmEvent::ConnectionClosed { .. } => self.closed += 1,
                    SwarmEvent::Behaviour(Event::Subscribed(peer, _)) if peer == *self.dialer.local_peer_id() => {
                        self.announced += 1;
                    }
                    SwarmEvent::Behaviour(Event::Received(_, _, message)) => self.received.push(message),
                    _ => {}
                }
            }
        };
        assert!(tokio::time::timeout(LIMIT, waited).await.is_ok(), "{what}");
    }

    /// One connection more; its id at the dialer.
    async fn connect(&mut self) -> ConnectionId {
        let dial = DialOpts::peer_id(*self.listener.local_peer_id()).addresses(vec![self.address.clone()]);
        let dial = dial.condition(PeerCondition::Always).build();
        let id = dial.connection_id();
        self.dialer.dial(dial).unwrap();
        let opened = self.opened + 2;
        self.until("a connection", |pair| pair.opened == opened).await;
        id
    }
}

#[tokio::test]
async fn a_subscription_is_announced_again_when_connections_change() {
    let topic = Topic::new(b"votes");
    let mut pair = Pair::new().await;
    pair.dialer.behaviour_mut().subscribe(topic);

    let first = pair.connect().await;
    pair.until("announced at first", |pair| pair.announced == 1).await;
    pair.connect().await;
    pair.until("announced when a second connection opens", |pair| pair.announced == 2).await;
    pair.dialer.close_connection(first);
    pair.until("announced when the first one closes", |pair| pair.closed == 2 && pair.announced == 3).await;

    pair.listener.behaviour_mut().broadcast(&topic, Bytes::from_static(b"a vote"));
    pair.until("the vote", |pair| pair.received == [b"a vote".as_slice()]).await;
}
