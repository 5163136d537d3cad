//! Remembers what each member has signed about batches, and notices when it contradicts itself (specification 1.5).

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::{Address, B256};
use protocol::batch::blocks_root;
use protocol::{BatchHeader, CompactSignature};

/// Signed headers remembered of one member. It signs a handful before one of them is final.
const MAX_PER_SIGNER: usize = 16;
/// Headers remembered by name, for signatures that carry nothing else.
const MAX_HEADERS: usize = 64;

/// Two headers of one signer that claim different hashes or roots for one height: what L1 needs to punish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictingHeaders {
    /// Who signed both.
    pub signer: Address,
    /// The header that ends first.
    pub first: (BatchHeader, CompactSignature),
    /// The other.
    pub second: (BatchHeader, CompactSignature),
    /// Where the first ends inside the second's range: the block hashes that the second's `blocksRoot` commits to.
    pub block_hashes: Vec<B256>,
}

/// What members have signed.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    headers: VecDeque<(B256, BatchHeader)>,
    signed: BTreeMap<Address, VecDeque<(B256, CompactSignature)>>,
}

impl Witness {
    /// A header that a member signed; its own signatures and those of others refer to it by hash.
    pub(crate) fn heard(&mut self, header: &BatchHeader) {
        let hash = header.hash();
        if self.headers.iter().any(|(known, _)| *known == hash) {
            return;
        }
        if self.headers.len() >= MAX_HEADERS {
            self.headers.pop_front();
        }
        self.headers.push_back((hash, header.clone()));
    }

    fn header(&self, hash: &B256) -> Option<&BatchHeader> {
        self.headers.iter().find(|(known, _)| known == hash).map(|(_, header)| header)
    }

    /// A member's signature, checked by the caller, under a batch's hash. `own` gives the node's own block hashes of a range.
    /// A signature whose header has not been heard is remembered and counts once it has.
    pub(crate) fn saw(
        &mut self,
        signer: Address,
        hash: B256,
        signature: CompactSignature,
        own: impl Fn(u64, u64) -> Option<Vec<B256>>,
    ) -> Option<ConflictingHeaders> {
        let found = self.header(&hash).cloned().and_then(|header| {
            let before = self.signed.get(&signer)?.iter().filter(|(known, _)| *known != hash);
            before.filter_map(|(known, other)| Some((self.header(known)?, *other))).find_map(|(other, theirs)| {
                let (first, second) = match other.lastHeight <= header.lastHeight {
                    true => ((other.clone(), theirs), (header.clone(), signature)),
                    false => ((header.clone(), signature), (other.clone(), theirs)),
                };
                let block_hashes = contradiction(&first.0, &second.0, &own)?;
                Some(ConflictingHeaders { signer, first, second, block_hashes })
            })
        });
        let signed = self.signed.entry(signer).or_default();
        if !signed.iter().any(|(known, _)| *known == hash) {
            if signed.len() >= MAX_PER_SIGNER {
                signed.pop_front();
            }
            signed.push_back((hash, signature));
        }
        found
    }

    /// Members whose signatures under this hash came before the header.
    pub(crate) fn signers_of(&self, hash: B256) -> Vec<(Address, CompactSignature)> {
        let of = |(signer, signed): (&Address, &VecDeque<(B256, CompactSignature)>)| {
            signed.iter().find(|(known, _)| *known == hash).map(|(_, signature)| (*signer, *signature))
        };
        self.signed.iter().filter_map(of).collect()
    }

    /// Forgets signers that are no members any more.
    pub(crate) fn keep_members(&mut self, is_member: impl Fn(&Address) -> bool) {
        self.signed.retain(|signer, _| is_member(signer));
    }
}

/// Whether two headers, `a` ending no later than `b`, claim different things for one height; with the block hashes of `b` where
/// they are needed to show it. What this node cannot open, because `b` is not about its own blocks, it cannot show.
fn contradiction(a: &BatchHeader, b: &BatchHeader, own: impl Fn(u64, u64) -> Option<Vec<B256>>) -> Option<Vec<B256>> {
    if a.lastHeight == b.lastHeight {
        let same_end =
            a.lastBlockHash == b.lastBlockHash && a.stateRoot == b.stateRoot && a.withdrawalsRoot == b.withdrawalsRoot;
        let same_blocks = a.firstHeight != b.firstHeight || a.blocksRoot == b.blocksRoot;
        return (!same_end || !same_blocks).then(Vec::new);
    }
    let offset = a.lastHeight.checked_sub(b.firstHeight)?;
    let hashes = own(b.firstHeight, b.lastHeight).filter(|hashes| blocks_root(hashes) == b.blocksRoot)?;
    let there = hashes.get(usize::try_from(offset).ok()?)?;
    (*there != a.lastBlockHash).then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(height: u64, fork: u8) -> B256 {
        let mut hash = B256::with_last_byte(height as u8);
        hash.0[0] = fork;
        hash
    }

    /// Heights `first..=last`, of which those from `forked` on are of another chain.
    fn header(first: u64, last: u64, forked: u64) -> BatchHeader {
        let hashes: Vec<B256> = (first..=last).map(|height| hash(height, u8::from(height >= forked))).collect();
        BatchHeader {
            index: 1,
            firstHeight: first,
            lastHeight: last,
            lastBlockHash: *hashes.last().unwrap(),
            blocksRoot: blocks_root(&hashes),
            ..Default::default()
        }
    }

    fn own(first: u64, last: u64) -> Option<Vec<B256>> {
        (last < 30).then(|| (first..=last).map(|height| hash(height, 0)).collect())
    }

    #[test]
    fn only_what_contradicts_is_evidence() {
        let honest = u64::MAX;
        let check = |a: BatchHeader, b: BatchHeader, expected: Option<usize>| {
            for (one, other) in [(&a, &b), (&b, &a)] {
                let (signer, mut witness) = (Address::repeat_byte(1), Witness::default());
                witness.heard(one);
                witness.heard(other);
                assert_eq!(witness.saw(signer, one.hash(), CompactSignature([1; 64]), own), None);
                let found = witness.saw(signer, other.hash(), CompactSignature([2; 64]), own);
                assert_eq!(found.as_ref().map(|found| found.block_hashes.len()), expected, "{one:?} {other:?}");
                assert!(found.is_none_or(|found| found.first.0.lastHeight <= found.second.0.lastHeight));
            }
        };
        // Other ranges over the same blocks, and the same blocks in other data, are honest.
        check(header(1, 9, honest), header(1, 7, honest), None);
        check(header(1, 9, honest), BatchHeader { dataHash: hash(1, 1), ..header(1, 9, honest) }, None);
        check(header(1, 9, honest), header(10, 12, honest), None);
        check(header(1, 9, honest), header(1, 9, 9), Some(0));
        check(header(1, 9, honest), BatchHeader { stateRoot: hash(1, 1), ..header(1, 9, honest) }, Some(0));
        check(header(1, 9, honest), BatchHeader { blocksRoot: hash(1, 1), ..header(1, 9, honest) }, Some(0));
        check(header(1, 9, honest), header(1, 7, 7), Some(9));
        check(header(5, 9, honest), header(3, 7, 7), Some(5));
        // The longer one is not about our blocks, or not about decided ones: L1 could not be shown where they differ.
        check(header(1, 9, 7), header(1, 7, honest), None);
        check(header(1, 40, honest), header(1, 7, 7), None);
    }

    #[test]
    fn signatures_before_their_header_count_and_signers_are_kept_apart() {
        let (one, other) = (header(1, 9, u64::MAX), header(1, 9, 9));
        let (signer, stranger) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let mut witness = Witness::default();
        witness.heard(&one);
        assert_eq!(witness.saw(signer, one.hash(), CompactSignature([1; 64]), own), None);
        assert_eq!(witness.saw(stranger, other.hash(), CompactSignature([2; 64]), own), None);
        assert_eq!(witness.saw(signer, other.hash(), CompactSignature([2; 64]), own), None, "not heard yet");
        witness.heard(&other);
        let late = witness.signers_of(other.hash());
        assert_eq!(late.len(), 2);
        let found: Vec<_> =
            late.into_iter().filter_map(|(who, what)| witness.saw(who, other.hash(), what, own)).collect();
        assert_eq!(found.iter().map(|found| found.signer).collect::<Vec<_>>(), [signer]);
        witness.keep_members(|who| *who == stranger);
        assert_eq!(witness.signers_of(one.hash()), []);
    }

    #[test]
    fn memory_stays_bounded() {
        let mut witness = Witness::default();
        for last in 1..200 {
            let header = header(1, last, u64::MAX);
            witness.heard(&header);
            witness.saw(Address::ZERO, header.hash(), CompactSignature([1; 64]), own);
        }
        assert_eq!((witness.headers.len(), witness.signed[&Address::ZERO].len()), (MAX_HEADERS, MAX_PER_SIGNER));
    }
}
