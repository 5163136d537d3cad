//! The sequencer set: who may vote and sign, with which weight, as frozen by an L1 snapshot.

use alloy_primitives::{Address, B256, keccak256};
use serde::{Deserialize, Serialize};

use crate::{SnapshotId, Weight, limits::MAX_MEMBERS};

/// One member of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Address of the hot key that signs.
    pub signer: Address,
    /// Voting weight in whole METIS, never zero.
    pub weight: Weight,
}

impl Member {
    /// The 32-byte word L1 hashes: `uint160(signer) << 96 | uint96(weight)`.
    #[must_use]
    pub fn to_word(self) -> B256 {
        let mut word = [0u8; 32];
        let (signer, weight) = word.split_at_mut(20);
        signer.copy_from_slice(self.signer.as_slice());
        // The weight is a u64, so the upper four bytes of its uint96 stay zero.
        if let Some(tail) = weight.last_chunk_mut::<8>() {
            *tail = self.weight.0.to_be_bytes();
        }
        B256::from(word)
    }

    /// Reads a member word; `None` when the weight exceeds 64 bits.
    #[must_use]
    pub fn from_word(word: B256) -> Option<Self> {
        let (signer, weight) = word.0.split_at(20);
        let (high, low) = weight.split_at(4);
        if high.iter().any(|byte| *byte != 0) {
            return None;
        }
        let low: [u8; 8] = low.try_into().ok()?;
        Some(Self { signer: Address::from_slice(signer), weight: Weight(u64::from_be_bytes(low)) })
    }
}

/// Members in strictly ascending signer order, with their snapshot number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawSet")]
pub struct SequencerSet {
    /// Number of the L1 snapshot that froze this set.
    pub snapshot: SnapshotId,
    members: Vec<Member>,
    #[serde(skip_serializing)]
    total: Weight,
}

#[derive(Deserialize)]
struct RawSet {
    snapshot: SnapshotId,
    members: Vec<Member>,
}

impl TryFrom<RawSet> for SequencerSet {
    type Error = SetError;
    fn try_from(raw: RawSet) -> Result<Self, SetError> {
        Self::new(raw.snapshot, raw.members)
    }
}

/// Why a list of members is not a sequencer set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// A set needs a member.
    #[error("a sequencer set must not be empty")]
    Empty,
    /// More than [`MAX_MEMBERS`].
    #[error("{0} members exceed the maximum of {MAX_MEMBERS}")]
    TooMany(usize),
    /// Signers must ascend strictly.
    #[error("signer {0} is out of order or doubled")]
    Unordered(Address),
    /// A member without weight.
    #[error("signer {0} has no weight")]
    Weightless(Address),
    /// Three times the total must fit 64 bits (quorum arithmetic, here and in the engine).
    #[error("the total weight is out of range")]
    Overflow,
    /// A word L1 would not have produced.
    #[error("member word {0} is malformed")]
    Word(B256),
}

impl SequencerSet {
    /// Checks and builds a set.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn new(snapshot: SnapshotId, members: Vec<Member>) -> Result<Self, SetError> {
        if members.is_empty() {
            return Err(SetError::Empty);
        }
        if members.len() > MAX_MEMBERS {
            return Err(SetError::TooMany(members.len()));
        }
        let mut previous: Option<Address> = None;
        let mut total: u64 = 0;
        for member in &members {
            if previous.is_some_and(|before| before >= member.signer) {
                return Err(SetError::Unordered(member.signer));
            }
            if member.weight.0 == 0 {
                return Err(SetError::Weightless(member.signer));
            }
            previous = Some(member.signer);
            total = total.checked_add(member.weight.0).ok_or(SetError::Overflow)?;
        }
        total.checked_mul(3).ok_or(SetError::Overflow)?;
        Ok(Self { snapshot, members, total: Weight(total) })
    }

    /// Builds a set from the words of an L1 `SnapshotTaken` event.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn from_words(snapshot: SnapshotId, words: &[B256]) -> Result<Self, SetError> {
        let members =
            words.iter().map(|word| Member::from_word(*word).ok_or(SetError::Word(*word))).collect::<Result<_, _>>()?;
        Self::new(snapshot, members)
    }

    /// The words L1 checks certificates against.
    #[must_use]
    pub fn words(&self) -> Vec<B256> {
        self.members.iter().map(|member| member.to_word()).collect()
    }

    /// `keccak256(abi.encodePacked(words))`, the one hash L1 stores per snapshot.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let mut bytes = Vec::with_capacity(self.members.len().saturating_mul(32));
        for member in &self.members {
            bytes.extend_from_slice(member.to_word().as_slice());
        }
        keccak256(bytes)
    }

    /// The members, ascending by signer.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Sum of all weights.
    #[must_use]
    pub const fn total(&self) -> Weight {
        self.total
    }

    /// Position of a signer (its bit in a certificate's bitmap).
    #[must_use]
    pub fn index_of(&self, signer: Address) -> Option<usize> {
        self.members.binary_search_by(|member| member.signer.cmp(&signer)).ok()
    }

    /// Weight of a signer, `None` for strangers.
    #[must_use]
    pub fn weight_of(&self, signer: Address) -> Option<Weight> {
        self.index_of(signer).and_then(|index| self.members.get(index)).map(|member| member.weight)
    }

    /// Whether `signed` is more than two thirds of the total (DESIGN §3.1).
    #[must_use]
    pub const fn is_quorum(&self, signed: Weight) -> bool {
        // 128 bits, so that no weight a caller sums up can overflow.
        (signed.0 as u128) * 3 > (self.total.0 as u128) * 2
    }

    /// Whether `signed` is more than one third: at least one honest member is among the signers.
    #[must_use]
    pub const fn has_honest(&self, signed: Weight) -> bool {
        (signed.0 as u128) * 3 > self.total.0 as u128
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(byte: u8, weight: u64) -> Member {
        Member { signer: Address::repeat_byte(byte), weight: Weight(weight) }
    }

    #[test]
    fn words_round_trip_and_refuse_wide_weights() {
        let set = SequencerSet::new(SnapshotId(7), vec![member(1, 20_000), member(2, 100_000)]).unwrap();
        assert_eq!(SequencerSet::from_words(SnapshotId(7), &set.words()).unwrap(), set);
        let mut word = member(1, 1).to_word();
        word.0[20] = 1;
        assert_eq!(Member::from_word(word), None);
    }

    #[test]
    fn a_set_is_ordered_weighted_and_bounded() {
        let check = |members, expected| assert_eq!(SequencerSet::new(SnapshotId(1), members), Err(expected));
        check(vec![], SetError::Empty);
        check(vec![member(2, 1), member(1, 1)], SetError::Unordered(Address::repeat_byte(1)));
        check(vec![member(1, 1), member(1, 1)], SetError::Unordered(Address::repeat_byte(1)));
        check(vec![member(1, 0)], SetError::Weightless(Address::repeat_byte(1)));
        check(vec![member(1, u64::MAX / 2)], SetError::Overflow);
        let many = (0..33).map(|byte| member(byte, 1)).collect::<Vec<_>>();
        check(many, SetError::TooMany(33));
    }

    #[test]
    fn quorum_is_strictly_more_than_two_thirds() {
        let set = SequencerSet::new(SnapshotId(1), (1..=3).map(|byte| member(byte, 10)).collect()).unwrap();
        assert!(!set.is_quorum(Weight(20)));
        assert!(set.is_quorum(Weight(21)));
        assert!(!set.has_honest(Weight(10)));
        assert!(set.has_honest(Weight(11)));
    }
}
