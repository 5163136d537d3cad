//! When to dial which bootnode. Pure: time is passed in, in milliseconds.

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol, swarm::ConnectionId};

/// Milliseconds until the first new attempt; doubles with each failure.
const FIRST_BACKOFF_MS: u64 = 250;
/// Milliseconds between attempts at most: short, because a sequencer that is back must be found at once.
const MAX_BACKOFF_MS: u64 = 8_000;

#[derive(Debug)]
struct Bootnode {
    address: Multiaddr,
    peer: Option<PeerId>,
    attempt: Option<ConnectionId>,
    failures: u32,
    next_ms: u64,
    /// Ourselves: never dialled again.
    own: bool,
}

/// The bootnodes and their state.
#[derive(Debug)]
pub(crate) struct Bootnodes {
    nodes: Vec<Bootnode>,
}

impl Bootnodes {
    pub(crate) fn new(addresses: Vec<Multiaddr>, own: PeerId) -> Self {
        let nodes = addresses
            .into_iter()
            .map(|address| {
                let peer = address.iter().find_map(|part| match part {
                    Protocol::P2p(peer) => Some(peer),
                    _ => None,
                });
                Bootnode { address, peer, attempt: None, failures: 0, next_ms: 0, own: peer == Some(own) }
            })
            .collect();
        Self { nodes }
    }

    /// Addresses to dial now: those without a connection or an attempt whose backoff is over. The caller answers each
    /// with [`Self::dialling`].
    pub(crate) fn due(&self, now_ms: u64, is_connected: impl Fn(&PeerId) -> bool) -> Vec<Multiaddr> {
        self.nodes
            .iter()
            .filter(|node| !node.own && node.attempt.is_none() && node.next_ms <= now_ms)
            .filter(|node| !node.peer.is_some_and(|peer| is_connected(&peer)))
            .map(|node| node.address.clone())
            .collect()
    }

    /// An attempt has begun.
    pub(crate) fn dialling(&mut self, address: &Multiaddr, id: ConnectionId) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.address == *address) {
            node.attempt = Some(id);
        }
    }

    /// An attempt succeeded: from now on we know whose address it is.
    pub(crate) fn connected(&mut self, id: ConnectionId, peer: PeerId, now_ms: u64) {
        if let Some(node) = self.attempt(id) {
            (node.attempt, node.failures, node.peer) = (None, 0, Some(peer));
            node.next_ms = now_ms.saturating_add(FIRST_BACKOFF_MS);
        }
    }

    /// An attempt failed; `own` when we reached ourselves. Returns whether it was the first failure in a row.
    pub(crate) fn failed(&mut self, id: ConnectionId, own: bool, now_ms: u64) -> Option<(Multiaddr, bool)> {
        let node = self.attempt(id)?;
        node.attempt = None;
        node.own |= own;
        let backoff = FIRST_BACKOFF_MS.saturating_mul(1u64.checked_shl(node.failures).unwrap_or(u64::MAX));
        node.next_ms = now_ms.saturating_add(backoff.min(MAX_BACKOFF_MS));
        let first = node.failures == 0;
        node.failures = node.failures.saturating_add(1);
        Some((node.address.clone(), first))
    }

    fn attempt(&mut self, id: ConnectionId) -> Option<&mut Bootnode> {
        self.nodes.iter_mut().find(|node| node.attempt == Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_and_stops_while_connected() {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let mut bootnodes = Bootnodes::new(vec![address.clone()], PeerId::random());
        let nobody = |_: &PeerId| false;
        let mut now = 0;
        for (attempt, backoff) in [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000].into_iter().enumerate() {
            let id = ConnectionId::new_unchecked(attempt);
            assert_eq!(bootnodes.due(now, nobody), vec![address.clone()]);
            bootnodes.dialling(&address, id);
            assert!(bootnodes.due(now, nobody).is_empty(), "one attempt at a time");
            assert_eq!(bootnodes.failed(id, false, now), Some((address.clone(), attempt == 0)));
            assert!(bootnodes.due(now + backoff - 1, nobody).is_empty());
            now += backoff;
        }
        let (id, peer) = (ConnectionId::new_unchecked(99), PeerId::random());
        bootnodes.dialling(&address, id);
        bootnodes.connected(id, peer, now);
        assert!(bootnodes.due(now + 10_000, |other| *other == peer).is_empty());
        assert_eq!(bootnodes.due(now + 10_000, nobody), vec![address]);
    }

    #[test]
    fn never_dials_itself() {
        let own = PeerId::random();
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/1/p2p/{own}").parse().unwrap();
        assert!(Bootnodes::new(vec![address], own).due(0, |_| false).is_empty());
    }
}
