//! Putting slices of one leader back together.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, keccak256};
use protocol::limits::{MAX_BLOCK_BYTES, MAX_SLICES};
use protocol::slice;

use crate::context::{Slice, SliceBody};

/// Hash of an RLP encoded block: keccak of its first item, the header. `None` if that is not a list within a list.
#[must_use]
pub fn block_hash(block: &[u8]) -> Option<B256> {
    let mut body = block;
    let outer = alloy_rlp::Header::decode(&mut body).ok()?;
    if !outer.list || outer.payload_length != body.len() {
        return None;
    }
    let header = body;
    let mut rest = header;
    let inner = alloy_rlp::Header::decode(&mut rest).ok()?;
    if !inner.list {
        return None;
    }
    let length = header.len().checked_sub(rest.len())?.checked_add(inner.payload_length)?;
    header.get(..length).map(keccak256)
}

/// Hash and RLP of the block that all slices of a place make, in order.
pub(crate) fn join<'a>(slices: impl IntoIterator<Item = &'a Slice>) -> Option<(B256, Bytes)> {
    let (mut stream, mut header) = (Vec::new(), None);
    for slice in slices {
        match &slice.body {
            SliceBody::Data(data) => stream.extend_from_slice(data),
            SliceBody::Last(last) => header = Some(last),
        }
    }
    slice::assemble(&stream, header?)
}

/// A block put together from its leader's slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// Hash of the block, checked against its header.
    pub hash: B256,
    /// Encoded block.
    pub block: Bytes,
    /// Its slices in order, for relaying.
    pub slices: Vec<Slice>,
}

/// What a slice did to an assembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was known, or comes too late.
    Known,
    /// More are needed.
    Incomplete,
    /// The block is whole.
    Complete(Box<Assembled>),
    /// The leader signed two different slices for one place: evidence.
    Conflict(Box<(Slice, Slice)>),
    /// Out of bounds, or the pieces do not make a block; the assembly takes no more.
    Broken,
}

/// Slices of one (height, round), all with the signature of its leader checked by the caller.
#[derive(Debug, Default)]
pub struct Assembly {
    slices: BTreeMap<u32, Slice>,
    bytes: usize,
    last: Option<u32>,
    closed: bool,
}

impl Assembly {
    /// What has come, in order.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.values()
    }

    /// Adds a slice.
    pub fn add(&mut self, slice: Slice) -> Step {
        if let Some(before) = self.slices.get(&slice.index) {
            return if before.body == slice.body {
                Step::Known
            } else {
                Step::Conflict(Box::new((before.clone(), slice)))
            };
        }
        if self.closed {
            return Step::Known;
        }
        if matches!(slice.body, SliceBody::Last(_)) && self.last.replace(slice.index).is_some() {
            return self.close();
        }
        self.bytes = self.bytes.saturating_add(slice.body.bytes().len());
        let index = slice.index;
        self.slices.insert(index, slice);
        let beyond_last = self.last.is_some_and(|last| self.slices.last_key_value().is_some_and(|(at, _)| *at > last));
        if index >= MAX_SLICES || self.bytes > MAX_BLOCK_BYTES || beyond_last {
            return self.close();
        }
        let complete = self.last.is_some_and(|last| self.slices.len() == last as usize + 1);
        if complete { self.finish() } else { Step::Incomplete }
    }

    fn close(&mut self) -> Step {
        self.closed = true;
        Step::Broken
    }

    fn finish(&mut self) -> Step {
        self.closed = true;
        match join(self.slices.values()) {
            Some((hash, block)) => {
                let slices = self.slices.values().cloned().collect();
                Step::Complete(Box::new(Assembled { hash, block, slices }))
            }
            None => Step::Broken,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::limits::MAX_SLICE_BYTES;
    use protocol::{CompactSignature, Height, Round};

    use super::*;

    /// Bodies of a block's slices: a header with `tag`, and one transaction of `filler` bytes.
    pub(crate) fn bodies(tag: u8, filler: usize) -> Vec<SliceBody> {
        let mut stream = 7u64.to_be_bytes().to_vec();
        alloy_rlp::Encodable::encode(&vec![7u8; filler].as_slice(), &mut stream);
        let data = stream.chunks(MAX_SLICE_BYTES).map(|bytes| SliceBody::Data(Bytes::copy_from_slice(bytes)));
        data.chain([SliceBody::Last(vec![0xc1, tag & 0x7f].into())]).collect()
    }

    /// The same as slices, with a signature of nobody.
    pub(crate) fn signed(height: u64, round: u32, tag: u8, filler: usize) -> Vec<Slice> {
        let (height, round, signature) = (Height(height), Round(round), CompactSignature([3; 64]));
        (0..).zip(bodies(tag, filler)).map(|(index, body)| Slice { height, round, index, body, signature }).collect()
    }

    #[test]
    fn a_block_survives_cutting_in_any_order() {
        for size in [1, MAX_SLICE_BYTES, 3 * MAX_SLICE_BYTES + 17] {
            let mut pieces = signed(1, 0, 1, size);
            let expected = join(&pieces).unwrap();
            assert_eq!(block_hash(&expected.1), Some(expected.0));
            pieces.reverse();
            let mut assembly = Assembly::default();
            let (end, rest) = pieces.split_last().unwrap();
            for piece in rest {
                assert_eq!(assembly.add(piece.clone()), Step::Incomplete);
            }
            let Step::Complete(whole) = assembly.add(end.clone()) else { panic!("not complete") };
            assert_eq!(((whole.hash, whole.block), whole.slices.len()), (expected, pieces.len()));
            assert_eq!(assembly.add(end.clone()), Step::Known);
        }
    }

    #[test]
    fn two_slices_at_one_place_are_evidence_even_after_the_end() {
        let pieces = signed(1, 0, 1, 10);
        let mut assembly = Assembly::default();
        for piece in &pieces {
            assembly.add(piece.clone());
        }
        let other = Slice { body: SliceBody::Data(Bytes::from_static(b"other")), ..pieces[0].clone() };
        assert!(matches!(assembly.add(other), Step::Conflict(_)));
        let other = Slice { body: SliceBody::Data(pieces[1].body.bytes().clone()), ..pieces[1].clone() };
        assert!(matches!(assembly.add(other), Step::Conflict(_)), "an end is not data of the same bytes");
    }

    #[test]
    fn ends_that_are_no_header_and_floods_break_the_assembly() {
        let mut pieces = signed(1, 0, 1, 10);
        pieces[1].body = SliceBody::Last(vec![0xc2, 1].into());
        let mut assembly = Assembly::default();
        assembly.add(pieces[0].clone());
        assert_eq!(assembly.add(pieces[1].clone()), Step::Broken);

        let mut assembly = Assembly::default();
        assembly.add(pieces[1].clone());
        assert_eq!(assembly.add(Slice { index: 2, ..pieces[1].clone() }), Step::Broken, "two ends");

        let body = SliceBody::Data(Bytes::from(vec![0; MAX_SLICE_BYTES]));
        let mut assembly = Assembly::default();
        let broken = (0..=17)
            .any(|index| assembly.add(Slice { index, body: body.clone(), ..pieces[0].clone() }) == Step::Broken);
        assert!(broken, "more bytes than a block may have must be refused");
    }

    #[test]
    fn a_hash_needs_a_header_list() {
        assert_eq!(block_hash(&[]), None);
        assert_eq!(block_hash(&[0xc1, 0x01]), None);
        assert_eq!(block_hash(&[0xc1, 0xc5]), None);
        assert_eq!(block_hash(&[0xc1, 0xc0]), Some(keccak256([0xc0])));
    }
}
