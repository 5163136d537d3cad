//! What we know of connected peers, and how they come and go.

use std::collections::{BTreeSet, HashMap};

use alloy_primitives::Address;
use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, identify};

use crate::{
    handle::{NetworkEvent, PeerInfo},
    limits::{PEER_BYTES, PEER_MESSAGES, STATUS_DEADLINE_MS, STATUS_INTERVAL_MS},
    score::{Bucket, Offence},
    status::{BindingError, HeadStatus, PeerBinding, Status},
    task::Task,
};

/// Characters of a peer's agent string that are kept.
const MAX_AGENT_CHARS: usize = 64;

#[derive(Debug)]
pub(crate) struct Peer {
    address: Multiaddr,
    inbound: bool,
    /// The binding that was verified last; a peer that repeats it costs no recovery.
    binding: Option<PeerBinding>,
    heads: Option<HeadStatus>,
    agent: Option<String>,
    since_ms: u64,
    asked_ms: Option<u64>,
    pub(crate) messages: Bucket,
    pub(crate) bytes: Bucket,
    pub(crate) open_replies: usize,
}

/// Connected peers.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    pub(crate) all: HashMap<PeerId, Peer>,
}

impl Peers {
    pub(crate) fn view(&self, members: &BTreeSet<Address>, score: impl Fn(&PeerId) -> i64) -> Vec<PeerInfo> {
        let mut view: Vec<PeerInfo> = self
            .all
            .iter()
            .map(|(id, peer)| PeerInfo {
                peer: *id,
                address: peer.address.clone(),
                inbound: peer.inbound,
                signer: peer.signer(),
                member: peer.signer().is_some_and(|signer| members.contains(&signer)),
                heads: peer.heads,
                score: score(id),
                agent: peer.agent.clone(),
            })
            .collect();
        view.sort_unstable_by_key(|info| info.peer);
        view
    }

    /// Peers that dialled us, are greeted, and belong to no member.
    fn inbound_outsiders(&self, members: &BTreeSet<Address>) -> usize {
        let outsider = |peer: &&Peer| {
            peer.inbound && peer.heads.is_some() && !peer.signer().is_some_and(|signer| members.contains(&signer))
        };
        self.all.values().filter(outsider).count()
    }
}

impl Peer {
    fn signer(&self) -> Option<Address> {
        self.binding.map(|binding| binding.signer)
    }
}

impl Task {
    pub(crate) fn on_connected(&mut self, id: PeerId, endpoint: &ConnectedPoint) {
        let now = self.now_ms();
        let peer = Peer {
            address: endpoint.get_remote_address().clone(),
            inbound: endpoint.is_listener(),
            binding: None,
            heads: None,
            agent: None,
            since_ms: now,
            asked_ms: None,
            messages: Bucket::new(PEER_MESSAGES, now),
            bytes: Bucket::new(PEER_BYTES, now),
            open_replies: 0,
        };
        tracing::debug!(peer = %id, address = %peer.address, inbound = peer.inbound, "peer connected");
        self.peers.all.insert(id, peer);
        let points = self.scores.points(&id, now);
        self.swarm.behaviour_mut().gossip.set_application_score(&id, points as f64);
        self.ask_status(id, now);
    }

    pub(crate) fn on_disconnected(&mut self, id: PeerId) {
        self.peers.all.remove(&id);
        self.tell(NetworkEvent::PeerDisconnected { peer: id });
    }

    pub(crate) fn disconnect(&mut self, id: PeerId) {
        // Fails only when there is no connection any more.
        let _gone = self.swarm.disconnect_peer_id(id);
    }

    pub(crate) fn on_identify(&mut self, event: identify::Event) {
        if let identify::Event::Received { peer_id, info, .. } = event
            && let Some(peer) = self.peers.all.get_mut(&peer_id)
        {
            let printable = info.agent_version.chars().filter(|c| !c.is_control());
            peer.agent = Some(printable.take(MAX_AGENT_CHARS).collect());
        }
    }

    /// Asks peers for their heads now and then, and parts from those that never told their genesis.
    pub(crate) fn greet_peers(&mut self, now: u64) {
        let mut silent = Vec::new();
        let mut due = Vec::new();
        for (id, peer) in &self.peers.all {
            if peer.heads.is_none() && now.saturating_sub(peer.since_ms) > STATUS_DEADLINE_MS {
                silent.push(*id);
            } else if peer.asked_ms.is_none_or(|asked| now.saturating_sub(asked) >= STATUS_INTERVAL_MS) {
                due.push(*id);
            }
        }
        for id in silent {
            tracing::info!(peer = %id, "peer did not tell its genesis in time: disconnected");
            self.disconnect(id);
        }
        for id in due {
            self.ask_status(id, now);
        }
    }

    fn ask_status(&mut self, id: PeerId, now: u64) {
        let status = self.own_status();
        if let Some(peer) = self.peers.all.get_mut(&id) {
            peer.asked_ms = Some(now);
            self.swarm.behaviour_mut().status.send_request(&id, Some(status));
        }
    }

    pub(crate) fn own_status(&self) -> Status {
        Status { genesis: self.chain, heads: *self.heads.borrow(), binding: *self.binding.borrow() }
    }

    /// A peer told about itself.
    pub(crate) fn on_status(&mut self, id: PeerId, status: &Status) {
        let Some(peer) = self.peers.all.get(&id) else { return };
        if status.genesis != self.chain {
            tracing::warn!(
                peer = %id, address = %peer.address, theirs = %status.genesis, ours = %self.chain,
                "peer is on another network (its genesis hash differs): disconnected"
            );
            self.punish(id, Offence::WrongGenesis);
            return;
        }
        if status.binding != peer.binding && !self.on_binding(id, status.binding) {
            return;
        }
        let members = self.members.borrow().clone();
        let Some(peer) = self.peers.all.get_mut(&id) else { return };
        let (fresh, changed) = (peer.heads.is_none(), peer.heads != Some(status.heads));
        peer.heads = Some(status.heads);
        let member = peer.signer().is_some_and(|signer| members.contains(&signer));
        let full = self.peers.inbound_outsiders(&members) > self.limits.max_inbound as usize;
        if fresh && full && !member {
            tracing::debug!(peer = %id, "no room for another peer");
            self.disconnect(id);
            return;
        }
        if changed {
            self.tell(NetworkEvent::PeerStatus { peer: id, heads: status.heads });
        }
    }

    /// Takes a new binding of a peer; `false` when it was forged.
    fn on_binding(&mut self, id: PeerId, binding: Option<PeerBinding>) -> bool {
        let verified = binding.map(|binding| binding.verify(&self.domain, &id, Self::unix_s()));
        if let Some(Err(BindingError::Forged)) = verified {
            tracing::warn!(peer = %id, "peer shows a binding that its signer did not sign");
            self.punish(id, Offence::ForgedBinding);
            return false;
        }
        let valid = binding.filter(|_| matches!(verified, Some(Ok(_))));
        let Some(peer) = self.peers.all.get_mut(&id) else { return false };
        let before = peer.signer();
        peer.binding = valid;
        if let Some(signer) = peer.signer().filter(|signer| Some(*signer) != before) {
            tracing::info!(peer = %id, %signer, "peer identified");
            self.tell(NetworkEvent::PeerIdentified { peer: id, signer });
        }
        true
    }

    /// Takes points off a peer; parts from it when it has none left.
    pub(crate) fn punish(&mut self, id: PeerId, offence: Offence) {
        metrics::counter!("horae_network_rejected_total", "reason" => offence.name()).increment(1);
        let now = self.now_ms();
        if self.scores.punish(id, offence, now) {
            tracing::warn!(peer = %id, reason = offence.name(), seconds = self.limits.ban_ms / 1_000, "peer banned");
            // Closes its connections, too.
            self.swarm.behaviour_mut().banned.block_peer(id);
            return;
        }
        let points = self.scores.points(&id, now);
        self.swarm.behaviour_mut().gossip.set_application_score(&id, points as f64);
        tracing::debug!(peer = %id, reason = offence.name(), points, "peer scored down");
    }
}
