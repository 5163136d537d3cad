//! From the engine's evidence and our own to the port's.

use malachite::app::types::MisbehaviorEvidence;

use crate::application::Evidence;
use crate::context::{Horae, Slice};
use crate::signing::{signed_proposal, signed_vote};

/// Everything the engine found in one height.
pub(crate) fn from_engine(found: &MisbehaviorEvidence<Horae>) -> Vec<Evidence> {
    let votes = found.votes.iter().flat_map(|(signer, pairs)| {
        pairs.iter().map(|(first, second)| Evidence::Votes {
            signer: signer.0,
            first: (signed_vote(&first.message), first.signature.into()),
            second: (signed_vote(&second.message), second.signature.into()),
        })
    });
    let proposals = found.proposals.iter().flat_map(|(signer, pairs)| {
        pairs.iter().map(|(first, second)| Evidence::Proposals {
            signer: signer.0,
            first: (signed_proposal(&first.message), first.signature.into()),
            second: (signed_proposal(&second.message), second.signature.into()),
        })
    });
    votes.chain(proposals).collect()
}

/// Two different slices of one leader.
pub(crate) fn from_slices(signer: alloy_primitives::Address, first: &Slice, second: &Slice) -> Evidence {
    let side = |slice: &Slice| (slice.statement(), slice.signature);
    Evidence::Slices { signer, first: side(first), second: side(second) }
}
