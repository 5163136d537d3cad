//! When a duty is attempted, and what may be spent: pure functions of the time given.

use std::collections::BTreeMap;

use alloy::primitives::B256;

use super::Duty;

/// Failed attempts after which the wait no longer doubles.
const MAX_DOUBLINGS: u32 = 6;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;

#[derive(Clone, Copy, Debug)]
struct Entry {
    since_ms: u64,
    attempts: u32,
    not_before_ms: u64,
}

/// The duties that were due at the last look, since when, and how often they were tried.
#[derive(Debug)]
pub(crate) struct Agenda {
    retry_ms: u64,
    entries: BTreeMap<(Duty, B256), Entry>,
}

impl Agenda {
    /// An empty agenda; the first retry comes after `retry_ms`.
    pub(crate) const fn new(retry_ms: u64) -> Self {
        Self { retry_ms, entries: BTreeMap::new() }
    }

    /// Forgets everything that is not due any more.
    pub(crate) fn keep(&mut self, due: impl Iterator<Item = (Duty, B256)>) {
        let due: Vec<_> = due.collect();
        self.entries.retain(|key, _| due.contains(key));
    }

    /// Whether a due duty is ours to attempt now: `wait_ms` after it was first seen, and not right after a failure.
    pub(crate) fn is_ready(&mut self, duty: Duty, key: B256, now_ms: u64, wait_ms: u64) -> bool {
        let fresh = Entry { since_ms: now_ms, attempts: 0, not_before_ms: 0 };
        let entry = self.entries.entry((duty, key)).or_insert(fresh);
        now_ms >= entry.since_ms.saturating_add(wait_ms) && now_ms >= entry.not_before_ms
    }

    /// An attempt is over. If the duty is still due at the next look it did not help: the wait doubles.
    pub(crate) fn failed(&mut self, duty: Duty, key: B256, now_ms: u64) {
        if let Some(entry) = self.entries.get_mut(&(duty, key)) {
            let wait = self.retry_ms.saturating_mul(1 << entry.attempts.min(MAX_DOUBLINGS));
            entry.not_before_ms = now_ms.saturating_add(wait);
            entry.attempts = entry.attempts.saturating_add(1);
        }
    }
}

/// Gas that may be spent: an hour's worth at first, refilled evenly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    per_hour: u64,
    left: u64,
    at_ms: u64,
}

impl Budget {
    /// A full budget.
    pub(crate) const fn new(per_hour: u64, now_ms: u64) -> Self {
        Self { per_hour, left: per_hour, at_ms: now_ms }
    }

    /// Takes gas if there is as much.
    pub(crate) fn take(&mut self, gas: u64, now_ms: u64) -> bool {
        let passed = u128::from(now_ms.saturating_sub(self.at_ms).min(HOUR_MS));
        let refill = passed.saturating_mul(u128::from(self.per_hour)).checked_div(u128::from(HOUR_MS));
        let refill = refill.and_then(|gas| u64::try_from(gas).ok()).unwrap_or(0);
        if refill > 0 {
            self.left = self.left.saturating_add(refill).min(self.per_hour);
            self.at_ms = now_ms;
        }
        match self.left.checked_sub(gas) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: B256 = B256::repeat_byte(1);

    #[test]
    fn a_duty_waits_for_its_turn_and_longer_after_each_failure() {
        let mut agenda = Agenda::new(100);
        assert!(!agenda.is_ready(Duty::Snapshot, KEY, 1_000, 50));
        assert!(!agenda.is_ready(Duty::Snapshot, KEY, 1_049, 50));
        assert!(agenda.is_ready(Duty::Snapshot, KEY, 1_050, 50));
        let mut now = 1_050;
        for wait in [100, 200, 400, 800, 1_600, 3_200, 6_400, 6_400] {
            agenda.failed(Duty::Snapshot, KEY, now);
            assert!(!agenda.is_ready(Duty::Snapshot, KEY, now + wait - 1, 50));
            now += wait;
            assert!(agenda.is_ready(Duty::Snapshot, KEY, now, 50));
        }
        // Another duty of that name is its own.
        assert!(!agenda.is_ready(Duty::Settle, KEY, now, 50));
        // Done, and due again later: it starts anew.
        agenda.keep([(Duty::Settle, KEY)].into_iter());
        assert!(!agenda.is_ready(Duty::Snapshot, KEY, now, 50));
    }

    #[test]
    fn the_budget_refills_evenly_and_never_beyond_an_hour() {
        let mut budget = Budget::new(3_600, 0);
        assert!(budget.take(3_600, 0));
        assert!(!budget.take(1, 0));
        assert!(budget.take(10, 10_000));
        assert!(!budget.take(1, 10_999));
        assert!(budget.take(1, 11_000));
        assert!(!budget.take(3_601, u64::MAX));
        assert!(budget.take(3_600, u64::MAX));
        // Looks too short to refill a unit of gas add up.
        let mut slow = Budget::new(1, 0);
        assert!(slow.take(1, 0));
        assert!((1..HOUR_MS).step_by(10_000).all(|now| !slow.take(1, now)));
        assert!(slow.take(1, HOUR_MS));
    }
}
