//! Which rounds of the next height can have begun. A member leads rounds without end, and could otherwise stream one that
//! never comes and so be heard instead of the leader of the round that is.

use std::collections::BTreeMap;

use protocol::{Height, Round};

/// Highest round heard of from the swarm; a height that needs more shows nothing as pending.
const MAX_ROUND: u32 = 64;

/// Rounds of one height and when, in milliseconds since the epoch, something of theirs was heard first.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    height: u64,
    seen: BTreeMap<u32, u64>,
}

impl Rounds {
    /// Whether a round can have begun by now, and notes that it has. Each round before it took its propose timeout, from the
    /// head's timestamp on and from when the last of them was heard of.
    pub(super) fn begin(&mut self, place: (Height, Round), head_ms: u64, timeout_ms: u64, now_ms: u64) -> bool {
        let round = place.1.0;
        if round > MAX_ROUND || !self.enter(place.0) {
            return false;
        }
        if !self.seen.contains_key(&round) {
            let (before, since) = self.seen.range(..round).next_back().map_or((0, head_ms), |(at, ms)| (*at, *ms));
            let passed = u64::from(round.saturating_sub(before)).saturating_mul(timeout_ms);
            if round > 0 && now_ms < since.saturating_add(passed) {
                return false;
            }
            self.seen.insert(round, now_ms);
        }
        true
    }

    /// Notes a round that consensus has come to.
    pub(super) fn saw(&mut self, place: (Height, Round), now_ms: u64) {
        if self.enter(place.0) {
            self.seen.entry(place.1.0).or_insert(now_ms);
        }
    }

    /// Whether the height is the newest one.
    fn enter(&mut self, height: Height) -> bool {
        if height.0 > self.height {
            *self = Self { height: height.0, seen: BTreeMap::new() };
        }
        height.0 == self.height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_takes_its_timeout() {
        let mut rounds = Rounds::default();
        let mut begin = |height, round, now| rounds.begin((Height(height), Round(round)), 10_000, 600, now);
        assert!(!begin(5, 1, 10_599) && !begin(5, MAX_ROUND + 1, u64::MAX));
        // Nobody was heard of: the leaders before it may be away.
        assert!(begin(5, 2, 11_200) && begin(5, 2, 0));
        // An idle network: round 0 comes when there is something to execute, and has its time.
        assert!(begin(5, 0, 14_000));
        assert!(!begin(5, 1, 14_599) && begin(5, 1, 14_600));
        assert!(!begin(5, 4, 12_399) && begin(5, 4, 12_400));
        assert!(begin(6, 0, 0) && !begin(5, 0, 0), "the height before is over");
        rounds.saw((Height(6), Round(9)), 0);
        assert!(rounds.begin((Height(6), Round(9)), 10_000, 600, 0), "consensus says so");
    }
}
