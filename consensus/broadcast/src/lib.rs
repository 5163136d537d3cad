//! What the consensus engine takes for libp2p-scatter 0.3: version 0.5 of it in the older one's shape, with subscriptions that do not
//! get lost (docs/decisions/0010).
//!
//! Two engines that dial each other at the same time have two connections for a moment. Either version announces subscriptions on the
//! first one only; when that one closes first, the peer never sends a vote again. Here every change of connections announces anew.

use std::collections::BTreeSet;
use std::task::{Context, Poll};

use bytes::Bytes;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, ToSwarm};
use libp2p::{Multiaddr, PeerId};
use prometheus_client::registry::Registry;
pub use scatter::{Event, Topic};

/// Limits of the protocol.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Largest payload of a message, in bytes.
    pub max_buf_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_buf_size: scatter::Config::default().max_message_size }
    }
}

impl From<Config> for scatter::Config {
    fn from(config: Config) -> Self {
        Self::default().max_message_size(config.max_buf_size)
    }
}

/// Sends messages on topics to all connected peers that subscribed to them.
#[derive(Debug)]
pub struct Behaviour {
    inner: scatter::Behaviour,
    subscribed: BTreeSet<Topic>,
}

impl Behaviour {
    /// A behaviour without subscriptions.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { inner: scatter::Behaviour::new(config.into()), subscribed: BTreeSet::new() }
    }

    /// A behaviour that counts its messages.
    pub fn new_with_metrics(config: Config, registry: &mut Registry) -> Self {
        Self { inner: scatter::Behaviour::new_with_metrics(config.into(), registry), subscribed: BTreeSet::new() }
    }

    /// Our topics.
    pub fn subscribed(&self) -> impl Iterator<Item = &Topic> + '_ {
        self.subscribed.iter()
    }

    /// Peers that want this topic.
    pub fn peers(&self, topic: &Topic) -> impl Iterator<Item = PeerId> + '_ {
        self.inner.peers(*topic)
    }

    /// Tells all peers, now and when they connect, that we want this topic.
    pub fn subscribe(&mut self, topic: Topic) {
        self.subscribed.insert(topic);
        self.inner.subscribe(topic);
    }

    /// Takes a subscription back.
    pub fn unsubscribe(&mut self, topic: &Topic) {
        self.subscribed.remove(topic);
        self.inner.unsubscribe(*topic);
    }

    /// Sends a message to all peers that want its topic. One that is too large goes to nobody: the engine checks sizes before.
    pub fn broadcast(&mut self, topic: &Topic, message: Bytes) {
        let _ = self.inner.broadcast(*topic, message);
    }

    /// A peer with one connection more, or less, may not have received what the other connection carried.
    fn announce(&mut self, peer: &PeerId) {
        for topic in &self.subscribed {
            self.inner.announce(peer, *topic);
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = <scatter::Behaviour as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        let changed = match &event {
            FromSwarm::ConnectionEstablished(one) if one.other_established > 0 => Some(one.peer_id),
            FromSwarm::ConnectionClosed(one) if one.remaining_established > 0 => Some(one.peer_id),
            _ => None,
        };
        self.inner.on_swarm_event(event);
        if let Some(peer) = changed {
            self.announce(&peer);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: libp2p::swarm::THandlerOutEvent<Self>,
    ) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        self.inner.poll(context)
    }
}
