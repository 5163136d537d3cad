//! Turns: who leads which height and round (DESIGN §3.2).
//!
//! The schedule of an epoch is a function of its set and its seed. A leader that rescued a turn keeps the rest of it: the
//! base leader inside a turn is whoever built the parent block, read from the parent's header.

use alloy_primitives::{Address, B256, keccak256};

use crate::{Epoch, Height, Member, SequencerSet, genesis::Params};

/// The turns of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The epoch it belongs to.
    pub epoch: Epoch,
    first: Height,
    turn_blocks: u64,
    /// Leader of each turn, in order.
    turns: Vec<Address>,
    /// All members in the order in which they step in for a failed leader.
    rotation: Vec<Address>,
}

/// Leaders of one height: round `r` is led by `leaders[r % len]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The height.
    pub height: Height,
    /// Whose votes count, with weights.
    pub set: SequencerSet,
    /// Never empty; every member once, base leader first.
    pub leaders: Vec<Address>,
}

impl Leadership {
    /// Who proposes in `round`.
    #[must_use]
    pub fn leader(&self, round: u32) -> Option<Address> {
        let len = self.leaders.len().max(1);
        let index = usize::try_from(round).unwrap_or(usize::MAX).checked_rem(len)?;
        self.leaders.get(index).copied()
    }
}

impl Schedule {
    /// Draws the turns of `epoch`: each turn's leader independently, with probability proportional to weight, from
    /// `keccak256(seed ‖ epoch ‖ turn)`.
    #[must_use]
    pub fn new(params: &Params, epoch: Epoch, set: &SequencerSet, seed: B256) -> Self {
        let turns_per_epoch = params.epoch_blocks.div_ceil(params.turn_blocks.max(1));
        let turns = (0..turns_per_epoch).filter_map(|turn| draw(set.members(), &seed, epoch, turn)).collect();
        Self {
            epoch,
            first: params.first_height(epoch),
            turn_blocks: params.turn_blocks.max(1),
            turns,
            rotation: rotation(set, &seed, epoch),
        }
    }

    /// Leader of each turn of the epoch, in order.
    #[must_use]
    pub fn turns(&self) -> &[Address] {
        &self.turns
    }

    /// Index of the turn `height` lies in, and whether it is the turn's first height.
    #[must_use]
    pub fn turn_at(&self, height: Height) -> Option<(usize, bool)> {
        let offset = height.0.checked_sub(self.first.0)?;
        let turn = usize::try_from(offset.checked_div(self.turn_blocks)?).ok()?;
        (turn < self.turns.len()).then_some((turn, offset.checked_rem(self.turn_blocks)? == 0))
    }

    /// Scheduled leader of `height`, before any rescue.
    #[must_use]
    pub fn scheduled(&self, height: Height) -> Option<Address> {
        self.turn_at(height).and_then(|(turn, _)| self.turns.get(turn)).copied()
    }

    /// Leaders of `height` in round order, given who built its parent. `None` outside the epoch.
    ///
    /// The base leader is the scheduled one at the first height of a turn, the parent's leader inside it (if still a
    /// member). Later rounds follow the epoch's rotation from the base on.
    #[must_use]
    pub fn leaders(&self, height: Height, parent_leader: Address) -> Option<Vec<Address>> {
        let (turn, starts) = self.turn_at(height)?;
        let scheduled = *self.turns.get(turn)?;
        let base = if starts || !self.rotation.contains(&parent_leader) { scheduled } else { parent_leader };
        let at = self.rotation.iter().position(|signer| *signer == base)?;
        let mut leaders = self.rotation.clone();
        leaders.rotate_left(at);
        Some(leaders)
    }
}

fn draw(members: &[Member], seed: &B256, epoch: Epoch, turn: u64) -> Option<Address> {
    let mut input = [0u8; 48];
    let (head, tail) = input.split_at_mut(32);
    head.copy_from_slice(seed.as_slice());
    let (epoch_bytes, turn_bytes) = tail.split_at_mut(8);
    epoch_bytes.copy_from_slice(&epoch.0.to_be_bytes());
    turn_bytes.copy_from_slice(&turn.to_be_bytes());
    let total: u128 = members.iter().map(|member| u128::from(member.weight.0)).sum();
    let random = u128::from_be_bytes(*keccak256(input).first_chunk::<16>()?);
    // 128 random bits against at most 69 bits of weight: the modulo bias is below 2^-59.
    let mut point = random.checked_rem(total)?;
    for member in members {
        let weight = u128::from(member.weight.0);
        if point < weight {
            return Some(member.signer);
        }
        point = point.checked_sub(weight)?;
    }
    None
}

/// All members, ordered by `keccak256(seed ‖ epoch ‖ signer)`.
fn rotation(set: &SequencerSet, seed: &B256, epoch: Epoch) -> Vec<Address> {
    let mut keyed: Vec<(B256, Address)> = set
        .members()
        .iter()
        .map(|member| {
            let mut input = Vec::with_capacity(60);
            input.extend_from_slice(seed.as_slice());
            input.extend_from_slice(&epoch.0.to_be_bytes());
            input.extend_from_slice(member.signer.as_slice());
            (keccak256(input), member.signer)
        })
        .collect();
    keyed.sort_unstable();
    keyed.into_iter().map(|(_, signer)| signer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SnapshotId, Weight};

    fn schedule(weights: &[u64]) -> (Params, SequencerSet, Schedule) {
        let members = weights
            .iter()
            .zip(1u8..)
            .map(|(weight, byte)| Member { signer: Address::repeat_byte(byte), weight: Weight(*weight) })
            .collect();
        let set = SequencerSet::new(SnapshotId(1), members).unwrap();
        let params = Params { epoch_blocks: 100, turn_blocks: 10, ..Params::default() };
        let schedule = Schedule::new(&params, Epoch(3), &set, B256::repeat_byte(9));
        (params, set, schedule)
    }

    #[test]
    fn a_rescuer_keeps_the_turn_until_it_ends() {
        let (params, _, schedule) = schedule(&[1, 1, 1, 1]);
        let first = params.first_height(Epoch(3));
        let scheduled = schedule.scheduled(first).unwrap();
        let opening = schedule.leaders(first, Address::ZERO).unwrap();
        assert_eq!(opening[0], scheduled);
        let rescuer = opening[1];
        assert_eq!(schedule.leaders(first.next(), rescuer).unwrap()[0], rescuer);
        let next_turn = Height(first.0 + 10);
        assert_eq!(schedule.leaders(next_turn, rescuer).unwrap()[0], schedule.turns()[1]);
    }

    #[test]
    fn every_member_appears_once_whoever_leads() {
        let (params, set, schedule) = schedule(&[5, 1, 1, 90]);
        for offset in 0..params.epoch_blocks {
            let leaders =
                schedule.leaders(Height(params.first_height(Epoch(3)).0 + offset), Address::repeat_byte(1)).unwrap();
            let mut sorted = leaders.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, set.members().iter().map(|m| m.signer).collect::<Vec<_>>());
        }
        assert_eq!(schedule.leaders(Height(params.first_height(Epoch(4)).0), Address::ZERO), None);
    }

    #[test]
    fn turns_follow_weight() {
        let members =
            [(1u8, 30u64), (2, 70)].map(|(b, w)| Member { signer: Address::repeat_byte(b), weight: Weight(w) });
        let heavy = (0..10_000)
            .filter(|turn| draw(&members, &B256::repeat_byte(4), Epoch(0), *turn) == Some(members[1].signer))
            .count();
        assert!((6_700..7_300).contains(&heavy), "{heavy} of 10,000 turns for 70 % of the weight");
    }
}
