//! Evidence of equivocation as stored bytes: kind, signer, then both signed statements in ABI form with their signatures.

use alloy_primitives::Bytes;
use alloy_sol_types::SolValue;
use consensus::Evidence;
use protocol::CompactSignature;

const VOTES: u8 = 1;
const PROPOSALS: u8 = 2;
const SLICES: u8 = 3;

fn side<T: SolValue>((statement, signature): &(T, CompactSignature)) -> Vec<u8>
where
    for<'a> <T as SolValue>::SolType: alloy_sol_types::SolType<Token<'a>: alloy_sol_types::abi::TokenSeq<'a>>,
{
    [statement.abi_encode().as_slice(), signature.0.as_slice()].concat()
}

/// Encodes one piece of evidence.
#[must_use]
pub fn encode(evidence: &Evidence) -> Bytes {
    let (kind, signer, sides) = match evidence {
        Evidence::Votes { signer, first, second } => (VOTES, signer, [side(first), side(second)]),
        Evidence::Proposals { signer, first, second } => (PROPOSALS, signer, [side(first), side(second)]),
        Evidence::Slices { signer, first, second } => (SLICES, signer, [side(first), side(second)]),
    };
    let [first, second] = sides;
    [&[kind], signer.as_slice(), &first, &second].concat().into()
}
