//! When a batch is proposed, and by whom: pure functions of the time given.

use alloy_primitives::Address;

/// Times of the policy, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyParams {
    /// Age of the oldest unposted block at which a batch is due.
    pub interval_ms: u64,
    /// Time a proposer has until its batch is seen on L1; then the next in rotation may propose.
    pub post_timeout_ms: u64,
}

/// What waits to be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Timestamp of the oldest block that is not in a batch on L1.
    pub oldest_ms: u64,
    /// The waiting blocks fill all blobs, or their epoch has ended: nothing is gained by waiting.
    pub complete: bool,
    /// When the newest valid proposal for this batch index was seen, if any.
    pub proposed_ms: Option<u64>,
}

/// Position of a member among the leaders of the next height: 0 holds the turn. `None` for strangers.
#[must_use]
pub fn rank_of(leaders: &[Address], member: Address) -> Option<usize> {
    leaders.iter().position(|leader| *leader == member)
}

/// Earliest time at which the member of this rank proposes: each rank gives the ones before it one timeout.
#[must_use]
pub fn proposes_at(params: &PolicyParams, situation: &Situation, rank: usize) -> u64 {
    let due =
        if situation.complete { situation.oldest_ms } else { situation.oldest_ms.saturating_add(params.interval_ms) };
    // A proposal under way gets its time before anyone, its author included, makes another.
    let free = situation.proposed_ms.map_or(0, |seen| seen.saturating_add(params.post_timeout_ms));
    let patience = params.post_timeout_ms.saturating_mul(u64::try_from(rank).unwrap_or(u64::MAX));
    due.max(free).saturating_add(patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: PolicyParams = PolicyParams { interval_ms: 5_000, post_timeout_ms: 3_000 };

    #[test]
    fn proposal_times() {
        let check = |complete, proposed_ms, rank, expected| {
            let situation = Situation { oldest_ms: 10_000, complete, proposed_ms };
            assert_eq!(proposes_at(&PARAMS, &situation, rank), expected);
        };
        check(false, None, 0, 15_000);
        check(false, None, 1, 18_000);
        check(true, None, 0, 10_000);
        check(true, None, 3, 19_000);
        // A proposal seen at 16 s blocks everyone until 19 s, then ranks follow each other.
        check(false, Some(16_000), 0, 19_000);
        check(false, Some(16_000), 1, 22_000);
        check(false, Some(1_000), 0, 15_000);
        check(false, None, usize::MAX, u64::MAX);
    }

    #[test]
    fn rank_is_the_place_in_rotation() {
        let leaders = [1u8, 2, 3].map(Address::repeat_byte);
        assert_eq!(rank_of(&leaders, leaders[2]), Some(2));
        assert_eq!(rank_of(&leaders, Address::ZERO), None);
    }
}
