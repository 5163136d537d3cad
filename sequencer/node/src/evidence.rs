//! Evidence of equivocation as stored bytes: kind, signer, then both signed statements in ABI form with their signatures, and
//! for batch headers the block hashes that open the second one.
//!
//! The sides are in a fixed order, so that the same two statements are the same bytes whichever was seen first.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolValue;
use batcher::ConflictingHeaders;
use protocol::{BatchHeader, CompactSignature, signing};

const VOTES: u8 = 1;
const PROPOSALS: u8 = 2;
const SLICES: u8 = 3;
const HEADERS: u8 = 4;

/// Bytes of an ABI word.
const WORD: usize = 32;
/// Bytes of a signature.
const SIGNATURE: usize = 64;

/// A statement with its signature.
pub type Signed<T> = (T, CompactSignature);

/// Two statements of one signer that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq)]
// Rare and short-lived: an indirection would only complicate its readers.
#[allow(clippy::large_enum_variant)]
pub enum Evidence {
    /// Two votes of one type in one round.
    Votes(Address, Signed<signing::Vote>, Signed<signing::Vote>),
    /// Two proposals in one round.
    Proposals(Address, Signed<signing::Proposal>, Signed<signing::Proposal>),
    /// Two slices at one place.
    Slices(Address, Signed<signing::Slice>, Signed<signing::Slice>),
    /// Two batch headers about one height.
    Headers(ConflictingHeaders),
}

impl From<consensus::Evidence> for Evidence {
    fn from(found: consensus::Evidence) -> Self {
        match found {
            consensus::Evidence::Votes { signer, first, second } => Self::Votes(signer, first, second),
            consensus::Evidence::Proposals { signer, first, second } => Self::Proposals(signer, first, second),
            consensus::Evidence::Slices { signer, first, second } => Self::Slices(signer, first, second),
        }
    }
}

impl Evidence {
    /// Who signed both.
    #[must_use]
    pub const fn signer(&self) -> Address {
        match self {
            Self::Votes(signer, ..) | Self::Proposals(signer, ..) | Self::Slices(signer, ..) => *signer,
            Self::Headers(found) => found.signer,
        }
    }

    /// The height the statements are about; of batch headers, the one that L1 dates them by.
    #[must_use]
    pub const fn height(&self) -> u64 {
        match self {
            Self::Votes(_, (vote, _), _) => vote.height,
            Self::Proposals(_, (proposal, _), _) => proposal.height,
            Self::Slices(_, (slice, _), _) => slice.height,
            Self::Headers(found) => found.first.0.lastHeight,
        }
    }

    /// What kind of statement, for logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Votes(..) => "votes",
            Self::Proposals(..) => "proposals",
            Self::Slices(..) => "slices",
            Self::Headers(_) => "batch headers",
        }
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, mut sides, opening) = match self {
            Self::Votes(_, first, second) => (VOTES, [side(first), side(second)], Vec::new()),
            Self::Proposals(_, first, second) => (PROPOSALS, [side(first), side(second)], Vec::new()),
            Self::Slices(_, first, second) => (SLICES, [side(first), side(second)], Vec::new()),
            Self::Headers(found) => {
                let hashes = found.block_hashes.iter().flat_map(|hash| hash.0).collect();
                (HEADERS, [side(&found.first), side(&found.second)], hashes)
            }
        };
        // Headers have an order of their own: the first ends first.
        let ordered = matches!(self, Self::Headers(found) if found.first.0.lastHeight < found.second.0.lastHeight);
        if !ordered {
            sides.sort_unstable();
        }
        let [first, second] = sides;
        [&[kind], self.signer().as_slice(), &first, &second, &opening].concat().into()
    }

    /// Reads the stored form; `None` if it is not one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (signer, rest) = rest.split_first_chunk::<20>()?;
        let signer = Address::from(signer);
        match *kind {
            VOTES => both::<signing::Vote>(rest).map(|(first, second, _)| Self::Votes(signer, first, second)),
            PROPOSALS => {
                both::<signing::Proposal>(rest).map(|(first, second, _)| Self::Proposals(signer, first, second))
            }
            SLICES => both::<signing::Slice>(rest).map(|(first, second, _)| Self::Slices(signer, first, second)),
            HEADERS => {
                let (first, second, opening) = both::<BatchHeader>(rest)?;
                let block_hashes = opening.chunks(WORD).map(|hash| B256::try_from(hash).ok()).collect::<Option<_>>()?;
                Some(Self::Headers(ConflictingHeaders { signer, first, second, block_hashes }))
            }
            _ => None,
        }
    }
}

/// Statements are structs of static fields: their ABI form is their words.
fn side<T: SolValue>((statement, signature): &Signed<T>) -> Vec<u8> {
    [statement.abi_encode().as_slice(), signature.0.as_slice()].concat()
}

fn both<T>(bytes: &[u8]) -> Option<(Signed<T>, Signed<T>, &[u8])>
where
    T: SolValue + From<<T::SolType as alloy_sol_types::SolType>::RustType>,
{
    let length = <T::SolType as alloy_sol_types::SolType>::ENCODED_SIZE?;
    let one = |bytes: &[u8]| -> Option<Signed<T>> {
        let (statement, signature) = bytes.split_at_checked(length)?;
        Some((T::abi_decode(statement).ok()?, CompactSignature(signature.try_into().ok()?)))
    };
    let (first, rest) = bytes.split_at_checked(length.checked_add(SIGNATURE)?)?;
    let (second, rest) = rest.split_at_checked(first.len())?;
    Some((one(first)?, one(second)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(byte: u8) -> CompactSignature {
        CompactSignature([byte; 64])
    }

    fn all() -> Vec<Evidence> {
        let signer = Address::repeat_byte(9);
        let vote = |byte| signing::Vote { voteType: 1, height: 7, round: 2, blockHash: B256::repeat_byte(byte) };
        let proposal =
            |byte| signing::Proposal { height: 7, round: 2, polRound: -1, blockHash: B256::repeat_byte(byte) };
        let slice = |byte| signing::Slice { height: 7, round: 2, index: 3, dataHash: B256::repeat_byte(byte) };
        let header = |last| BatchHeader { index: 4, lastHeight: last, ..Default::default() };
        vec![
            Evidence::Votes(signer, (vote(1), signature(1)), (vote(2), signature(2))),
            Evidence::Proposals(signer, (proposal(1), signature(1)), (proposal(2), signature(2))),
            Evidence::Slices(signer, (slice(1), signature(1)), (slice(2), signature(2))),
            Evidence::Headers(ConflictingHeaders {
                signer,
                first: (header(7), signature(2)),
                second: (header(9), signature(1)),
                block_hashes: vec![B256::repeat_byte(5), B256::repeat_byte(6)],
            }),
        ]
    }

    #[test]
    fn what_is_stored_is_read_again() {
        for evidence in all() {
            assert_eq!(Evidence::decode(&evidence.encode()), Some(evidence.clone()));
            assert_eq!((evidence.signer(), evidence.height()), (Address::repeat_byte(9), 7));
            let bytes = evidence.encode();
            for cut in 0..bytes.len() {
                let shorter = Evidence::decode(&bytes[..cut]);
                assert!(shorter.is_none_or(|shorter| shorter != evidence), "{} bytes", cut);
            }
        }
        assert_eq!(Evidence::decode(&[]), None);
    }

    #[test]
    fn the_order_in_which_statements_were_seen_does_not_matter() {
        let [Evidence::Votes(signer, first, second), ..] = &all()[..] else { panic!("votes first") };
        let swapped = Evidence::Votes(*signer, second.clone(), first.clone());
        assert_eq!(swapped.encode(), all()[0].encode());
    }
}
