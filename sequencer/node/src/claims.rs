//! How far peers say they are, and whose word counts. Anybody can claim any height: a peer that is asked for the next block and
//! does not have it is doubted until it has given one. One that gives blocks too slowly is left for others.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use network::{PeerId, PeerInfo};
use parking_lot::Mutex;

/// How long a peer that failed is not asked again.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer may take so long, however little it holds.
const PROMPT: Duration = Duration::from_secs(2);
/// Bytes a second of an answer that takes longer.
const LEAST_RATE: u64 = 64 * 1024;
/// How long others are asked instead of a slow peer.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// What a peer's answers have made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It did not have what it claims, and is not asked before then.
    Doubted(Instant),
    /// Until then others are asked first, and its claims count only if nobody else has any.
    Slow(Instant),
}

/// Whom we doubt, and from when on they may be asked again. Written by whoever asks for blocks, read by whoever counts claims.
#[derive(Debug, Default)]
pub struct Claims {
    standings: Mutex<BTreeMap<PeerId, Standing>>,
}

impl Claims {
    /// The best height of peers whose word counts; 0 without any.
    #[must_use]
    pub fn highest(&self, peers: &[PeerInfo]) -> u64 {
        let standings = self.standings.lock();
        let best = |counts: &dyn Fn(Option<&Standing>) -> bool| {
            let heard = peers.iter().filter(|info| counts(standings.get(&info.peer)));
            heard.filter_map(|info| info.heads).map(|heads| heads.height.0).max()
        };
        let trusted = best(&|standing| standing.is_none());
        trusted.or_else(|| best(&|standing| matches!(standing, Some(Standing::Slow(_))))).unwrap_or(0)
    }

    /// Whom to ask for the block at `height`: the best of those that never failed, or else of the slow ones, or else of those whose
    /// time is over.
    #[must_use]
    pub fn whom(&self, peers: &[PeerInfo], height: u64, now: Instant) -> Option<PeerId> {
        let mut standings = self.standings.lock();
        standings.retain(|peer, standing| match standing {
            Standing::Doubted(until) => *until > now || peers.iter().any(|info| info.peer == *peer),
            Standing::Slow(until) => *until > now,
        });
        let claims = peers.iter().filter_map(|info| info.heads.map(|heads| (heads.height.0, info.peer)));
        let able = claims.filter(|(claimed, _)| *claimed >= height).filter_map(|(claimed, peer)| {
            let rank = match standings.get(&peer) {
                None => 2,
                Some(Standing::Slow(_)) => 1,
                Some(Standing::Doubted(until)) if *until <= now => 0,
                Some(Standing::Doubted(_)) => return None,
            };
            Some((rank, claimed, peer))
        });
        able.max_by_key(|(rank, claimed, _)| (*rank, *claimed)).map(|(.., peer)| peer)
    }

    /// A peer did not give what it claims to have.
    pub fn doubt(&self, peer: PeerId, now: Instant) {
        tracing::debug!(%peer, "the peer does not have the blocks that it claims");
        self.standings.lock().insert(peer, Standing::Doubted(now.checked_add(PATIENCE).unwrap_or(now)));
    }

    /// A peer gave what it claims to have: so many bytes, in this time.
    pub fn trust(&self, peer: PeerId, bytes: usize, took: Duration, now: Instant) {
        let least = u128::from(LEAST_RATE).saturating_mul(took.as_millis()) / 1_000;
        if took > PROMPT && (bytes as u128) < least {
            tracing::debug!(%peer, bytes, ?took, "the peer is slow");
            self.standings.lock().insert(peer, Standing::Slow(now.checked_add(SLOW_FOR).unwrap_or(now)));
        } else {
            self.standings.lock().remove(&peer);
        }
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
        claims.trust(liar, 1, PROMPT, later);
        assert_eq!(claims.highest(&peers), u64::MAX);
        claims.doubt(short, now);
        assert_eq!(claims.whom(&peers[2..], 8, now), Some(long));
        assert_eq!(claims.highest(&peers[1..]), 9, "a new connection is no new name");
        assert_eq!(claims.whom(&peers[2..], 8, now + PATIENCE), Some(long));
        assert!(claims.standings.lock().is_empty(), "who has left is forgotten");
    }

    #[test]
    fn a_peer_that_serves_slowly_is_left_for_others_and_its_claims_with_it() {
        let (claims, now) = (Claims::default(), Instant::now());
        let peers = [peer(u64::MAX), peer(9)];
        let [slow, other] = [peers[0].peer, peers[1].peer];
        claims.trust(slow, 2 * LEAST_RATE as usize, PROMPT, now);
        claims.trust(slow, 10 * LEAST_RATE as usize, Duration::from_secs(10), now);
        assert_eq!(claims.whom(&peers, 5, now), Some(slow), "a large answer takes its time");
        claims.trust(slow, LEAST_RATE as usize, PROMPT + Duration::from_millis(1), now);
        assert_eq!((claims.whom(&peers, 5, now), claims.highest(&peers)), (Some(other), 9));
        // Nobody else: better than nothing.
        assert_eq!((claims.whom(&peers, 10, now), claims.highest(&peers[..1])), (Some(slow), u64::MAX));
        claims.doubt(other, now);
        assert_eq!((claims.whom(&peers, 5, now), claims.highest(&peers)), (Some(slow), u64::MAX));
        claims.trust(other, 1, PROMPT, now);
        assert_eq!(claims.whom(&peers, 5, now + SLOW_FOR), Some(slow), "it has another chance");
        assert!(claims.standings.lock().is_empty());
    }
}
