//! What leaders signed for which place, from whatever network it came: two different slices at one place are evidence.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::Address;
use consensus::Evidence;
use protocol::{CompactSignature, Height, Slice, limits::MAX_SLICES, signing};

/// Places remembered; a height has few rounds, a round at most [`MAX_SLICES`].
const MAX_PLACES: usize = 16 * MAX_SLICES as usize;

/// What a slice is to the book.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry {
    /// The first at its place.
    New,
    /// Known already.
    Known,
    /// Another than the one that is known; with evidence, unless this leader was reported for this height before.
    Conflict(Option<Box<Evidence>>),
    /// No room: a flood.
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    places: BTreeMap<(u64, u32, u32), (Address, signing::Slice, CompactSignature)>,
    accused: BTreeSet<(u64, Address)>,
}

impl Book {
    /// Notes a slice that `leader` signed; the caller has checked that it leads the slice's round.
    pub(super) fn note(&mut self, leader: Address, slice: &Slice) -> Entry {
        let (height, round) = (slice.height.0, slice.round.0);
        let statement = slice.statement();
        let Some((_, before, signature)) = self.places.get(&(height, round, slice.index)) else {
            if self.places.len() >= MAX_PLACES {
                return Entry::Full;
            }
            self.places.insert((height, round, slice.index), (leader, statement, slice.signature));
            return Entry::New;
        };
        if *before == statement {
            return Entry::Known;
        }
        let evidence = self.accused.insert((height, leader)).then(|| {
            let first = (before.clone(), *signature);
            Box::new(Evidence::Slices { signer: leader, first, second: (statement, slice.signature) })
        });
        Entry::Conflict(evidence)
    }

    /// Whether something of this leader is noted at the slice's place.
    pub(super) fn knows(&self, leader: Address, slice: &Slice) -> bool {
        let place = (slice.height.0, slice.round.0, slice.index);
        self.places.get(&place).is_some_and(|(noted, ..)| *noted == leader)
    }

    /// Forgets heights before this one.
    pub(super) fn forget_before(&mut self, height: Height) {
        self.places = self.places.split_off(&(height.0, 0, 0));
        self.accused = self.accused.split_off(&(height.0, Address::ZERO));
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;
    use protocol::{Round, SliceBody};

    use super::*;

    fn slice(height: u64, index: u32, byte: u8) -> Slice {
        let body = SliceBody::Data(Bytes::from(vec![byte]));
        Slice { height: Height(height), round: Round(1), index, body, signature: CompactSignature([byte; 64]) }
    }

    #[test]
    fn the_first_contradiction_of_a_leader_at_a_height_is_evidence() {
        let (mut book, leader) = (Book::default(), Address::repeat_byte(7));
        assert_eq!(book.note(leader, &slice(5, 0, 1)), Entry::New);
        assert_eq!(book.note(leader, &slice(5, 0, 1)), Entry::Known);
        assert_eq!(book.note(leader, &slice(5, 1, 2)), Entry::New);
        assert!(book.knows(leader, &slice(5, 1, 9)) && !book.knows(Address::ZERO, &slice(5, 1, 2)));
        let Entry::Conflict(Some(evidence)) = book.note(leader, &slice(5, 1, 3)) else { panic!("no evidence") };
        let side = |byte| (slice(5, 1, byte).statement(), CompactSignature([byte; 64]));
        assert_eq!(*evidence, Evidence::Slices { signer: leader, first: side(2), second: side(3) });
        assert_eq!(book.note(leader, &slice(5, 0, 4)), Entry::Conflict(None));
        let in_round_two = |byte| Slice { round: Round(2), ..slice(5, 0, byte) };
        assert_eq!(book.note(leader, &in_round_two(1)), Entry::New);
        assert_eq!(book.note(leader, &in_round_two(2)), Entry::Conflict(None), "one piece a height is enough");
        let other = Address::repeat_byte(8);
        assert_eq!(book.note(other, &Slice { round: Round(3), ..slice(5, 0, 1) }), Entry::New);
        let conflict = book.note(other, &Slice { round: Round(3), ..slice(5, 0, 2) });
        assert!(matches!(conflict, Entry::Conflict(Some(_))));
        book.forget_before(Height(6));
        assert_eq!(book.note(leader, &slice(6, 1, 3)), Entry::New);
    }

    #[test]
    fn places_are_bounded_and_forgotten_with_their_height() {
        let (mut book, leader) = (Book::default(), Address::repeat_byte(7));
        for index in 0..MAX_PLACES as u32 {
            assert_eq!(book.note(leader, &slice(5, index, 1)), Entry::New);
        }
        assert_eq!(book.note(leader, &slice(6, 0, 1)), Entry::Full);
        book.forget_before(Height(6));
        assert_eq!(book.note(leader, &slice(6, 0, 1)), Entry::New);
    }
}
