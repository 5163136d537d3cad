//! How far peers say they are, and whose word counts. Anybody can claim any height: a peer that is asked for the next block and
//! does not have it is doubted until it has given one.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use network::{PeerId, PeerInfo};
use parking_lot::Mutex;

/// How long a peer that failed is not asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom we doubt, and from when on they may be asked again. Written by whoever asks for blocks, read by whoever counts claims.
#[derive(Debug, Default)]
pub struct Claims {
    doubted: Mutex<BTreeMap<PeerId, Instant>>,
}

impl Claims {
    /// The best height of peers whose word counts; 0 without any.
    #[must_use]
    pub fn highest(&self, peers: &[PeerInfo]) -> u64 {
        let doubted = self.doubted.lock();
        let trusted = peers.iter().filter(|info| !doubted.contains_key(&info.peer));
        trusted.filter_map(|info| info.heads).map(|heads| heads.height.0).max().unwrap_or(0)
    }

    /// Whom to ask for the block at `height`: the best of those that never failed, or of those whose time is over.
    #[must_use]
    pub fn whom(&self, peers: &[PeerInfo], height: u64, now: Instant) -> Option<PeerId> {
        let mut doubted = self.doubted.lock();
        doubted.retain(|peer, until| *until > now || peers.iter().any(|info| info.peer == *peer));
        let claims = peers.iter().filter_map(|info| info.heads.map(|heads| (heads.height.0, info.peer)));
        let able =
            claims.filter(|(claimed, peer)| *claimed >= height && doubted.get(peer).is_none_or(|until| *until <= now));
        able.max_by_key(|(claimed, peer)| (!doubted.contains_key(peer), *claimed)).map(|(_, peer)| peer)
    }

    /// A peer did not give what it claims to have.
    pub fn doubt(&self, peer: PeerId, now: Instant) {
        tracing::debug!(%peer, "the peer does not have the blocks that it claims");
        self.doubted.lock().insert(peer, now.checked_add(PATIENCE).unwrap_or(now));
    }

    /// A peer gave what it claims to have.
    pub fn trust(&self, peer: PeerId) {
        self.doubted.lock().remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use network::HeadStatus;
    use protocol::Height;

    use super::*;

    fn peer(height: u64) -> PeerInfo {
        PeerInfo {
            peer: PeerId::random(),
            address: "/ip4/127.0.0.1/tcp/1".parse().unwrap(),
            inbound: false,
            signer: None,
            member: false,
            heads: Some(HeadStatus { height: Height(height), ..HeadStatus::default() }),
            score: 0,
            agent: None,
        }
    }

    #[test]
    fn a_claim_counts_until_it_proves_empty_and_again_when_it_is_made_good() {
        let (claims, now) = (Claims::default(), Instant::now());
        let peers = [peer(u64::MAX), peer(7), peer(9)];
        let [liar, short, long] = [&peers[0].peer, &peers[1].peer, &peers[2].peer].map(|id| *id);
        assert_eq!((claims.whom(&peers, 8, now), claims.highest(&peers)), (Some(liar), u64::MAX));
        claims.doubt(liar, now);
        assert_eq!((claims.whom(&peers, 8, now), claims.highest(&peers)), (Some(long), 9));
        // Its time is over: asked again when nobody else has the block, and not believed before it gives one.
        let later = now + PATIENCE;
        assert_eq!(claims.whom(&peers, 8, later), Some(long));
        assert_eq!((claims.whom(&peers, 10, now), claims.whom(&peers, 10, later)), (None, Some(liar)));
        assert_eq!(claims.highest(&peers), 9);
        claims.trust(liar);
        assert_eq!(claims.highest(&peers), u64::MAX);
        claims.doubt(short, now);
        assert_eq!(claims.whom(&peers[2..], 8, now), Some(long));
        assert_eq!(claims.highest(&peers[1..]), 9, "a new connection is no new name");
        assert_eq!(claims.whom(&peers[2..], 8, now + PATIENCE), Some(long));
        assert!(claims.doubted.lock().is_empty(), "who has left is forgotten");
    }
}
