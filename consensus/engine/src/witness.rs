//! What passed the verifier: a leader's second proposal for a round, whatever became of the first; and who precommits what, because a
//! block from a peer's history reaches the loop without the certificate that the engine verified before.
//!
//! The engine reports two proposals of one round only if the first was still waiting for its block, or had it, when the second came.
//! If the block was executed in between, the second completes it and the contradiction passes unseen. Every proposal
//! passes the verifier, so the verifier remembers them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use alloy_primitives::{Address, B256};
use parking_lot::Mutex;
use protocol::{CompactSignature, SequencerSet, Weight, signing};

use crate::application::Evidence;

/// Rounds remembered of a height; the engine itself looks only a few ahead.
const MAX_ROUNDS: usize = 256;
/// Pieces of evidence kept between two heights.
const MAX_FOUND: usize = 32;
/// Signers whose precommits are remembered, and blocks of each, the newest.
const MAX_SIGNERS: usize = 64;
const MAX_PRECOMMITS: usize = 8;

/// `voteType` of a precommit.
const PRECOMMIT: u8 = 1;

type Signed = (signing::Proposal, CompactSignature);

#[derive(Debug, Default)]
struct Inner {
    height: u64,
    seen: BTreeMap<(u32, Address), Signed>,
    found: Vec<Evidence>,
    /// Height of the precommits.
    voting: u64,
    precommits: BTreeMap<Address, VecDeque<B256>>,
}

/// The proposals of one height, shared between the verifier and the loop.
#[derive(Clone, Debug, Default)]
pub struct Witness(Arc<Mutex<Inner>>);

impl Witness {
    /// A proposal whose signature was checked.
    pub fn saw(&self, signer: Address, proposal: signing::Proposal, signature: CompactSignature) {
        let mut inner = self.0.lock();
        if proposal.height != inner.height {
            inner.height = proposal.height;
            inner.seen.clear();
        }
        let place = (proposal.round, signer);
        match inner.seen.get(&place).cloned() {
            Some(first) if first.0.blockHash != proposal.blockHash => {
                let evidence = Evidence::Proposals { signer, first, second: (proposal, signature) };
                if inner.found.len() < MAX_FOUND && !inner.found.contains(&evidence) {
                    tracing::warn!(%signer, round = place.0, "two proposals in one round");
                    inner.found.push(evidence);
                }
            }
            Some(_) => {}
            None if inner.seen.len() < MAX_ROUNDS => {
                inner.seen.insert(place, (proposal, signature));
            }
            None => {}
        }
    }

    /// A height begins.
    pub fn enter(&self, height: u64) {
        let mut inner = self.0.lock();
        inner.voting = height;
        inner.precommits.clear();
    }

    /// A vote whose signature was checked, alone or in a certificate.
    pub fn voted(&self, signer: Address, vote: &signing::Vote) {
        let mut inner = self.0.lock();
        if vote.voteType != PRECOMMIT || vote.blockHash.is_zero() || vote.height != inner.voting {
            return;
        }
        if inner.precommits.len() >= MAX_SIGNERS && !inner.precommits.contains_key(&signer) {
            return;
        }
        // A signer that votes for many blocks forgets only its own.
        let hashes = inner.precommits.entry(signer).or_default();
        hashes.retain(|hash| *hash != vote.blockHash);
        if hashes.len() >= MAX_PRECOMMITS {
            hashes.pop_front();
        }
        hashes.push_back(vote.blockHash);
    }

    /// Whether two thirds of the weight have precommitted a block of this height.
    #[must_use]
    pub fn is_certified(&self, hash: B256, set: &SequencerSet) -> bool {
        let inner = self.0.lock();
        let voters = inner.precommits.iter().filter(|(_, hashes)| hashes.contains(&hash));
        let weights = voters.filter_map(|(signer, _)| set.weight_of(*signer));
        set.is_quorum(Weight(weights.fold(0, |sum, weight| sum.saturating_add(weight.0))))
    }

    /// What was found since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Evidence> {
        std::mem::take(&mut self.0.lock().found)
    }
}

#[cfg(test)]
mod tests {
    use protocol::{Member, SnapshotId};

    use super::*;

    fn proposal(height: u64, round: u32, byte: u8) -> signing::Proposal {
        signing::Proposal { height, round, polRound: -1, blockHash: B256::repeat_byte(byte) }
    }

    #[test]
    fn a_second_proposal_of_a_round_is_evidence_once() {
        let (witness, leader, other) = (Witness::default(), Address::repeat_byte(1), Address::repeat_byte(2));
        let signature = CompactSignature([7; 64]);
        for (signer, proposal) in [
            (leader, proposal(5, 0, 1)),
            (leader, proposal(5, 0, 1)),
            (leader, proposal(5, 1, 2)),
            (other, proposal(5, 0, 2)),
            (leader, proposal(6, 0, 2)),
        ] {
            witness.saw(signer, proposal, signature);
        }
        assert_eq!(witness.take(), []);
        witness.saw(leader, proposal(6, 0, 3), signature);
        witness.saw(leader, proposal(6, 0, 3), signature);
        let first = (proposal(6, 0, 2), signature);
        let second = (proposal(6, 0, 3), signature);
        assert_eq!(witness.take(), [Evidence::Proposals { signer: leader, first, second }]);
        assert_eq!(witness.take(), []);
    }

    #[test]
    fn a_block_is_certified_by_two_thirds_of_the_weight_at_this_height() {
        let members: Vec<Address> = (1..=4).map(Address::repeat_byte).collect();
        let set = members.iter().map(|signer| Member { signer: *signer, weight: Weight(1) }).collect();
        let set = SequencerSet::new(SnapshotId(1), set).unwrap();
        let (witness, block) = (Witness::default(), B256::repeat_byte(9));
        let vote = |height, kind, hash| signing::Vote { voteType: kind, height, round: 0, blockHash: hash };
        witness.enter(5);
        for signer in &members {
            witness.voted(*signer, &vote(5, 0, block));
            witness.voted(*signer, &vote(4, PRECOMMIT, block));
        }
        witness.voted(Address::repeat_byte(7), &vote(5, PRECOMMIT, block));
        for signer in &members[..2] {
            witness.voted(*signer, &vote(5, PRECOMMIT, block));
        }
        assert!(!witness.is_certified(block, &set));
        // One that votes for everything takes nobody's place.
        for byte in 10..50 {
            witness.voted(members[3], &vote(5, PRECOMMIT, B256::repeat_byte(byte)));
        }
        witness.voted(members[2], &vote(5, PRECOMMIT, block));
        assert!(witness.is_certified(block, &set) && !witness.is_certified(B256::repeat_byte(49), &set));
        assert!(witness.0.lock().precommits.values().all(|hashes| hashes.len() <= MAX_PRECOMMITS));
        witness.enter(6);
        assert!(!witness.is_certified(block, &set));
    }

    #[test]
    fn memory_stays_bounded() {
        let witness = Witness::default();
        for round in 0..10_000 {
            witness.saw(Address::ZERO, proposal(1, round, 1), CompactSignature([0; 64]));
            witness.saw(Address::ZERO, proposal(1, round, 2), CompactSignature([0; 64]));
        }
        let seen = witness.0.lock().seen.len();
        assert_eq!((seen, witness.take().len()), (MAX_ROUNDS, MAX_FOUND));
    }
}
