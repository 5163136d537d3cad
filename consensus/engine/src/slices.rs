//! Cutting a block into slices, and putting slices of one leader back together.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, keccak256};
use protocol::limits::{MAX_BLOCK_BYTES, MAX_SLICE_BYTES};

use crate::context::{Slice, SliceBody};

/// Slices of one block, the last one included. A leader that streams every 100 ms sends far fewer.
pub const MAX_SLICES: u32 = 256;

/// Cuts an encoded block; the last slice names the block.
#[must_use]
pub fn cut(block_hash: B256, block: &Bytes) -> Vec<SliceBody> {
    let length = block.len();
    let mut bodies: Vec<SliceBody> = (0..length)
        .step_by(MAX_SLICE_BYTES)
        .map(|from| SliceBody::Data(block.slice(from..from.saturating_add(MAX_SLICE_BYTES).min(length))))
        .collect();
    bodies.push(SliceBody::Last { block_hash, block_bytes: u32::try_from(length).unwrap_or(u32::MAX) });
    bodies
}

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
    /// More are needed, or this one was known.
    Incomplete,
    /// The block is whole.
    Complete(Box<Assembled>),
    /// The leader signed two different slices for one place: evidence.
    Conflict(Box<(Slice, Slice)>),
    /// Out of bounds, or the pieces do not make the named block; the assembly takes no more.
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
    /// Adds a slice.
    pub fn add(&mut self, slice: Slice) -> Step {
        if let Some(before) = self.slices.get(&slice.index) {
            return if before.body == slice.body {
                Step::Incomplete
            } else {
                Step::Conflict(Box::new((before.clone(), slice)))
            };
        }
        if self.closed {
            return Step::Incomplete;
        }
        match &slice.body {
            SliceBody::Data(data) => self.bytes = self.bytes.saturating_add(data.len()),
            SliceBody::Last { .. } if self.last.is_some() => return self.close(),
            SliceBody::Last { .. } => self.last = Some(slice.index),
        }
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
        let mut block = Vec::with_capacity(self.bytes);
        let mut named = None;
        for slice in self.slices.values() {
            match &slice.body {
                SliceBody::Data(data) => block.extend_from_slice(data),
                SliceBody::Last { block_hash, block_bytes } => named = Some((*block_hash, *block_bytes)),
            }
        }
        match (named, block_hash(&block)) {
            (Some((hash, bytes)), Some(actual)) if hash == actual && usize::try_from(bytes) == Ok(block.len()) => {
                let slices = self.slices.values().cloned().collect();
                Step::Complete(Box::new(Assembled { hash, block: block.into(), slices }))
            }
            _ => Step::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Signature;

    /// An RLP list whose first item is a list: a header with `tag`, then `filler` bytes.
    pub(crate) fn block(tag: u8, filler: usize) -> Bytes {
        let mut body = vec![0xc1, tag & 0x7f];
        alloy_rlp::Encodable::encode(&vec![7u8; filler].as_slice(), &mut body);
        let mut out = Vec::new();
        alloy_rlp::Header { list: true, payload_length: body.len() }.encode(&mut out);
        out.extend_from_slice(&body);
        out.into()
    }

    fn slices(block: &Bytes) -> Vec<Slice> {
        let hash = block_hash(block).unwrap();
        (0..)
            .zip(cut(hash, block))
            .map(|(index, body)| Slice { height: 1, round: 0, index, body, signature: Signature([0; 64]) })
            .collect()
    }

    #[test]
    fn a_block_survives_cutting_in_any_order() {
        for size in [1, MAX_SLICE_BYTES, 3 * MAX_SLICE_BYTES + 17] {
            let block = block(1, size);
            let mut pieces = slices(&block);
            pieces.reverse();
            let mut assembly = Assembly::default();
            let (end, rest) = pieces.split_last().unwrap();
            for piece in rest {
                assert_eq!(assembly.add(piece.clone()), Step::Incomplete);
            }
            let Step::Complete(whole) = assembly.add(end.clone()) else { panic!("not complete") };
            assert_eq!((whole.block, whole.slices.len()), (block, pieces.len()));
        }
    }

    #[test]
    fn two_slices_at_one_place_are_evidence_even_after_the_end() {
        let pieces = slices(&block(1, 10));
        let mut assembly = Assembly::default();
        for piece in &pieces {
            assembly.add(piece.clone());
        }
        let other = Slice { body: SliceBody::Data(Bytes::from_static(b"other")), ..pieces[0].clone() };
        assert!(matches!(assembly.add(other), Step::Conflict(_)));
    }

    #[test]
    fn wrong_names_and_floods_break_the_assembly() {
        let mut pieces = slices(&block(1, 10));
        if let SliceBody::Last { block_hash, .. } = &mut pieces[1].body {
            *block_hash = B256::repeat_byte(9);
        }
        let mut assembly = Assembly::default();
        assembly.add(pieces[0].clone());
        assert_eq!(assembly.add(pieces[1].clone()), Step::Broken);

        let data = Bytes::from(vec![0; MAX_SLICE_BYTES]);
        let mut assembly = Assembly::default();
        let broken = (0..=17).any(|index| {
            let body = SliceBody::Data(data.clone());
            let slice = Slice { height: 1, round: 0, index, body, signature: Signature([0; 64]) };
            assembly.add(slice) == Step::Broken
        });
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
