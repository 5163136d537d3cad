//! What we think of peers. Pure: time is passed in, in milliseconds of any monotonic clock.
//!
//! Points only sink by misbehaviour and recover with time; at the bottom a peer is banned for a while. Scores survive a
//! reconnect, so that leaving does not wash anything off.

use std::{collections::HashMap, num::NonZeroUsize};

use libp2p::PeerId;
use lru::LruCache;

use crate::limits::{MAX_BANS, MAX_SCORES};

/// At this many points or fewer a peer is banned.
pub const BAN_POINTS: i64 = -100;
/// Milliseconds in which a peer recovers one point.
const RECOVERY_MS: u64 = 1_000;

/// What a peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// Bytes that are no message of the protocol.
    Malformed,
    /// A well-formed message that the node judged invalid.
    Rejected,
    /// More than its share of messages, requests or bytes.
    Flood,
    /// A batch message of nobody in the sequencer set: may be an honest lag, so it is cheap.
    Outsider,
    /// A binding that is not the named signer's.
    ForgedBinding,
    /// Another network: not evil, but pointless.
    WrongGenesis,
}

impl Offence {
    /// Points it costs.
    #[must_use]
    pub const fn points(self) -> i64 {
        match self {
            Self::Malformed => 25,
            Self::Rejected => 20,
            Self::Flood | Self::Outsider => 1,
            Self::ForgedBinding | Self::WrongGenesis => 100,
        }
    }

    /// As in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Rejected => "rejected",
            Self::Flood => "flood",
            Self::Outsider => "outsider",
            Self::ForgedBinding => "forged_binding",
            Self::WrongGenesis => "wrong_genesis",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Score {
    points: i64,
    updated_ms: u64,
}

impl Score {
    fn at(self, now_ms: u64) -> i64 {
        let recovered = now_ms.saturating_sub(self.updated_ms) / RECOVERY_MS;
        self.points.saturating_add(i64::try_from(recovered).unwrap_or(i64::MAX)).min(0)
    }
}

/// Scores and bans of all peers.
#[derive(Debug)]
pub struct Scores {
    scores: LruCache<PeerId, Score>,
    bans: HashMap<PeerId, u64>,
    ban_ms: u64,
}

impl Scores {
    /// Nobody is known; bans last `ban_ms`.
    #[must_use]
    pub fn new(ban_ms: u64) -> Self {
        let capacity = NonZeroUsize::new(MAX_SCORES).unwrap_or(NonZeroUsize::MIN);
        Self { scores: LruCache::new(capacity), bans: HashMap::new(), ban_ms }
    }

    /// Points of a peer, at most 0.
    #[must_use]
    pub fn points(&self, peer: &PeerId, now_ms: u64) -> i64 {
        self.scores.peek(peer).map_or(0, |score| score.at(now_ms))
    }

    /// Takes points off; `true` when the peer is banned by it.
    pub fn punish(&mut self, peer: PeerId, offence: Offence, now_ms: u64) -> bool {
        let points = self.points(&peer, now_ms).saturating_sub(offence.points());
        // The part of a second that has run towards the next point is kept, or a steady trickle would never recover.
        let updated_ms = self
            .scores
            .peek(&peer)
            .map_or(now_ms, |score| now_ms.saturating_sub(now_ms.saturating_sub(score.updated_ms) % RECOVERY_MS));
        self.scores.put(peer, Score { points, updated_ms });
        if points > BAN_POINTS {
            return false;
        }
        if self.bans.len() >= MAX_BANS
            && let Some(first) = self.bans.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer)
        {
            self.bans.remove(&first);
        }
        self.scores.pop(&peer);
        self.bans.insert(peer, now_ms.saturating_add(self.ban_ms)).is_none()
    }

    /// Whether a peer is banned.
    #[must_use]
    pub fn is_banned(&self, peer: &PeerId) -> bool {
        self.bans.contains_key(peer)
    }

    /// Ends bans whose time is over and returns their peers.
    pub fn pardon(&mut self, now_ms: u64) -> Vec<PeerId> {
        let over: Vec<PeerId> =
            self.bans.iter().filter(|(_, until)| **until <= now_ms).map(|(peer, _)| *peer).collect();
        for peer in &over {
            self.bans.remove(peer);
        }
        over
    }
}

/// A bucket that fills steadily: how much a peer may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    level: u64,
    capacity: u64,
    per_second: u64,
    updated_ms: u64,
}

impl Bucket {
    pub(crate) fn new((capacity, per_second): (u64, u64), now_ms: u64) -> Self {
        Self { level: capacity, capacity, per_second, updated_ms: now_ms }
    }

    /// Takes out `amount`, or nothing when there is not enough.
    pub(crate) fn take(&mut self, amount: u64, now_ms: u64) -> bool {
        let gained = now_ms.saturating_sub(self.updated_ms).saturating_mul(self.per_second) / 1_000;
        if gained > 0 {
            self.level = self.level.saturating_add(gained).min(self.capacity);
            self.updated_ms = now_ms;
        }
        match self.level.checked_sub(amount) {
            Some(level) => {
                self.level = level;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_sink_recover_and_end_in_a_ban_that_ends() {
        let (mut scores, peer) = (Scores::new(60_000), PeerId::random());
        for _ in 0..3 {
            assert!(!scores.punish(peer, Offence::Malformed, 0));
        }
        assert_eq!(scores.points(&peer, 0), -75);
        assert_eq!(scores.points(&peer, 5_999), -70);
        assert_eq!(scores.points(&peer, 500_000), 0);
        assert!(scores.punish(peer, Offence::Malformed, 999));
        assert!(scores.is_banned(&peer));
        assert_eq!(scores.pardon(60_998), vec![]);
        assert_eq!(scores.pardon(60_999), vec![peer]);
        assert!(!scores.is_banned(&peer));
        assert_eq!(scores.points(&peer, 60_999), 0);
    }

    #[test]
    fn bans_are_bounded_and_the_oldest_goes() {
        let mut scores = Scores::new(1_000);
        let first = PeerId::random();
        scores.punish(first, Offence::ForgedBinding, 0);
        for ms in 0..MAX_BANS as u64 {
            scores.punish(PeerId::random(), Offence::ForgedBinding, ms + 1);
        }
        assert!(!scores.is_banned(&first));
        assert_eq!(scores.bans.len(), MAX_BANS);
    }

    #[test]
    fn a_bucket_bounds_bursts_and_rate() {
        let mut bucket = Bucket::new((10, 5), 0);
        assert!(bucket.take(10, 0));
        assert!(!bucket.take(1, 100));
        assert!(bucket.take(5, 1_100));
        assert!(!bucket.take(11, 1_000_000));
        assert!(bucket.take(10, 1_000_000));
    }
}
