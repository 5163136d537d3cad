//! A leader's second proposal for a round, whatever became of the first.
//!
//! The engine reports two proposals of one round only if the first was still waiting for its block, or had it, when the second came.
//! If the block was executed in between, the second completes it and the contradiction passes unseen. Every proposal
//! passes the verifier, so the verifier remembers them.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::Address;
use parking_lot::Mutex;
use protocol::{CompactSignature, signing};

use crate::application::Evidence;

/// Rounds remembered of a height; the engine itself looks only a few ahead.
const MAX_ROUNDS: usize = 256;
/// Pieces of evidence kept between two heights.
const MAX_FOUND: usize = 32;

type Signed = (signing::Proposal, CompactSignature);

#[derive(Debug, Default)]
struct Inner {
    height: u64,
    seen: BTreeMap<(u32, Address), Signed>,
    found: Vec<Evidence>,
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

    /// What was found since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Evidence> {
        std::mem::take(&mut self.0.lock().found)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;

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
