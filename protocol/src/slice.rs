//! The signed pieces in which a leader streams its block while it builds it (specification, section 3.9).
//!
//! The data slices of one (height, round), joined in order, are one stream: the block's timestamp, then its transactions
//! as they stand in the block's RLP. The last slice carries what is known at the end only: the header.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{BufMut, Decodable, Encodable, Header, RlpDecodable, RlpEncodable};

use crate::{
    Height, Round,
    limits::{MAX_BLOCK_BYTES, MAX_HEADER_BYTES, MAX_SLICE_BYTES},
    signing::{self, CompactSignature, Domain},
};

/// Bytes of a stream before its transactions: the timestamp in milliseconds, big-endian.
pub const STREAM_PREFIX: usize = 8;
/// RLP of the empty lists that close a block: no ommers, no withdrawals.
const TAIL: [u8; 2] = [alloy_rlp::EMPTY_LIST_CODE; 2];

/// A signed slice. The signature binds (height, round, index, content) to the leader of that round; relaying it in a
/// later round needs no new signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Height of the block.
    pub height: Height,
    /// Round whose leader builds the block.
    pub round: Round,
    /// Position, from 0, without gaps.
    pub index: u32,
    /// What it carries.
    pub body: SliceBody,
    /// Of the leader, over the EIP-712 digest of [`Slice::statement`].
    pub signature: CompactSignature,
}

/// Content of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceBody {
    /// The next bytes of the stream.
    Data(Bytes),
    /// The end: RLP of the header.
    Last(Bytes),
}

impl SliceBody {
    /// First byte of what is hashed, so that no data can pass for an end.
    const fn tag(&self) -> u8 {
        match self {
            Self::Data(_) => 0,
            Self::Last(_) => 1,
        }
    }

    /// The bytes it carries.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Data(bytes) | Self::Last(bytes) => bytes,
        }
    }

    /// What the signature names: keccak of tag (0 data, 1 last) and bytes.
    #[must_use]
    pub fn hash(&self) -> B256 {
        keccak256([&[self.tag()], self.bytes().as_ref()].concat())
    }

    const fn is_bounded(&self) -> bool {
        match self {
            Self::Data(bytes) => bytes.0.len() <= MAX_SLICE_BYTES,
            Self::Last(bytes) => bytes.0.len() <= MAX_HEADER_BYTES,
        }
    }
}

/// The EIP-712 struct a leader signs.
#[must_use]
pub fn statement(height: Height, round: Round, index: u32, body: &SliceBody) -> signing::Slice {
    signing::Slice { height: height.0, round: round.0, index, dataHash: body.hash() }
}

impl Slice {
    /// The EIP-712 struct its leader signed.
    #[must_use]
    pub fn statement(&self) -> signing::Slice {
        statement(self.height, self.round, self.index, &self.body)
    }

    /// Who signed it, if its signature is well-formed.
    #[must_use]
    pub fn signer(&self, domain: &Domain) -> Option<Address> {
        self.signature.recover(&domain.digest(&self.statement())).ok()
    }
}

#[derive(RlpEncodable, RlpDecodable)]
struct Wire {
    height: Height,
    round: Round,
    index: u32,
    tag: u8,
    bytes: Bytes,
    signature: CompactSignature,
}

impl Slice {
    fn wire(&self) -> Wire {
        let Self { height, round, index, signature, .. } = *self;
        Wire { height, round, index, tag: self.body.tag(), bytes: self.body.bytes().clone(), signature }
    }
}

impl Encodable for Slice {
    fn encode(&self, out: &mut dyn BufMut) {
        self.wire().encode(out);
    }

    fn length(&self) -> usize {
        self.wire().length()
    }
}

impl Decodable for Slice {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let Wire { height, round, index, tag, bytes, signature } = Wire::decode(buf)?;
        let body = match tag {
            0 => SliceBody::Data(bytes),
            1 => SliceBody::Last(bytes),
            _ => return Err(alloy_rlp::Error::Custom("slice tag")),
        };
        if !body.is_bounded() {
            return Err(alloy_rlp::Error::Custom("slice length"));
        }
        Ok(Self { height, round, index, body, signature })
    }
}

/// Hash and RLP of the block that a stream and a header make. `None` if the stream has no timestamp, the header is not
/// one RLP list, or the block exceeds [`MAX_BLOCK_BYTES`]. Nothing else is checked: it may still be no valid block.
#[must_use]
pub fn assemble(stream: &[u8], header: &[u8]) -> Option<(B256, Bytes)> {
    let transactions = stream.get(STREAM_PREFIX..)?;
    let mut rest = header;
    let outer = Header::decode(&mut rest).ok()?;
    if !outer.list || outer.payload_length != rest.len() {
        return None;
    }
    let list = Header { list: true, payload_length: transactions.len() };
    let payload_length = header.len().checked_add(list.length_with_payload())?.checked_add(TAIL.len())?;
    let whole = Header { list: true, payload_length };
    if whole.length_with_payload() > MAX_BLOCK_BYTES {
        return None;
    }
    let mut block = Vec::with_capacity(whole.length_with_payload());
    whole.encode(&mut block);
    block.extend_from_slice(header);
    list.encode(&mut block);
    block.extend_from_slice(transactions);
    block.extend_from_slice(&TAIL);
    Some((keccak256(header), block.into()))
}

/// A stream as it arrives: timestamp first, then one RLP item after the other.
#[derive(Clone, Debug, Default)]
pub struct StreamReader {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were given out.
    read: usize,
    started: bool,
}

/// The bytes are no stream of RLP items, or an item cannot fit a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed slice stream")]
pub struct MalformedStream;

impl StreamReader {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The timestamp in milliseconds, once; `None` while it is incomplete, and after it was read.
    pub fn timestamp_ms(&mut self) -> Option<u64> {
        if self.started {
            return None;
        }
        let (bytes, _) = self.buffer.get(self.read..)?.split_first_chunk::<STREAM_PREFIX>()?;
        self.read = self.read.saturating_add(STREAM_PREFIX);
        self.started = true;
        Some(u64::from_be_bytes(*bytes))
    }

    /// The next whole item after the timestamp; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`MalformedStream`]; nothing sensible can follow.
    pub fn item(&mut self) -> Result<Option<&[u8]>, MalformedStream> {
        if !self.started {
            return Ok(None);
        }
        let rest = self.buffer.get(self.read..).unwrap_or_default();
        let mut payload = rest;
        let header = match Header::decode(&mut payload) {
            Ok(header) => header,
            // A length that cannot be right is an error at once; one that is merely longer than what has come is not.
            Err(alloy_rlp::Error::InputTooShort) => return self.longer(rest.len(), rest_length(rest)),
            Err(_) => return Err(MalformedStream),
        };
        let prefix = rest.len().saturating_sub(payload.len());
        let length = prefix.saturating_add(header.payload_length);
        let from = self.read;
        self.read = from.saturating_add(length);
        Ok(self.buffer.get(from..self.read))
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.started && self.read == self.buffer.len()
    }

    fn longer(&self, have: usize, wanted: Option<usize>) -> Result<Option<&[u8]>, MalformedStream> {
        let impossible = have > MAX_BLOCK_BYTES || wanted.is_some_and(|wanted| wanted > MAX_BLOCK_BYTES);
        if impossible { Err(MalformedStream) } else { Ok(None) }
    }
}

/// Length that the first byte of an incomplete item announces, as far as it has come.
fn rest_length(bytes: &[u8]) -> Option<usize> {
    let (first, rest) = bytes.split_first()?;
    let digits = usize::from(match first {
        0xb8..=0xbf => first.checked_sub(0xb7)?,
        0xf8..=0xff => first.checked_sub(0xf7)?,
        _ => return None,
    });
    let length =
        rest.get(..digits)?.iter().try_fold(0usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)));
    Some(length.unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;
    use proptest::prelude::*;

    use super::*;
    use crate::signing::address_of;

    fn body() -> impl Strategy<Value = SliceBody> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600).prop_map(|data| SliceBody::Data(data.into())),
            prop::collection::vec(any::<u8>(), 0..600).prop_map(|data| SliceBody::Last(data.into())),
        ]
    }

    fn slice() -> impl Strategy<Value = Slice> {
        (any::<u64>(), any::<u32>(), any::<u32>(), body(), any::<[u8; 64]>()).prop_map(
            |(height, round, index, body, signature)| Slice {
                height: Height(height),
                round: Round(round),
                index,
                body,
                signature: CompactSignature(signature),
            },
        )
    }

    /// An RLP list or string of `filler` bytes.
    fn item(list: bool, filler: usize) -> Vec<u8> {
        let mut out = Vec::new();
        if list {
            Header { list, payload_length: filler }.encode(&mut out);
            out.extend(vec![1; filler]);
        } else {
            vec![0x77; filler].as_slice().encode(&mut out);
        }
        out
    }

    proptest! {
        #[test]
        fn slices_round_trip(slice in slice()) {
            let bytes = alloy_rlp::encode(&slice);
            prop_assert_eq!(alloy_rlp::decode_exact::<Slice>(&bytes), Ok(slice));
        }

        #[test]
        fn hostile_bytes_are_errors_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(slice) = alloy_rlp::decode_exact::<Slice>(&bytes) {
                prop_assert_eq!(alloy_rlp::encode(&slice), bytes.clone());
            }
            let mut reader = StreamReader::default();
            reader.push(&bytes);
            reader.timestamp_ms();
            while let Ok(Some(item)) = reader.item() {
                prop_assert!(!item.is_empty());
            }
        }

        #[test]
        fn a_stream_gives_its_items_however_it_is_cut(
            items in prop::collection::vec((any::<bool>(), 0..3_000usize), 0..12),
            cuts in prop::collection::vec(1..700usize, 1..60),
        ) {
            let items: Vec<Vec<u8>> = items.into_iter().map(|(list, filler)| item(list, filler)).collect();
            let stream = [&7u64.to_be_bytes()[..], &items.concat()].concat();
            let (mut reader, mut rest, mut found, mut time) = (StreamReader::default(), &stream[..], vec![], None);
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                reader.push(now);
                time = time.or(reader.timestamp_ms());
                while let Some(item) = reader.item().unwrap() {
                    found.push(item.to_vec());
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!((found, time), (items, Some(7)));
            prop_assert!(reader.is_empty());
        }
    }

    #[test]
    fn only_the_same_content_has_the_same_hash() {
        let data = Bytes::from_static(&[0xc1, 0x05]);
        assert_ne!(SliceBody::Data(data.clone()).hash(), SliceBody::Last(data.clone()).hash());
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let domain = Domain::new(900, Address::ZERO);
        let body = SliceBody::Data(data);
        let digest = domain.digest(&statement(Height(3), Round(1), 2, &body));
        let signature = CompactSignature::sign(&key, &digest).unwrap();
        let slice = Slice { height: Height(3), round: Round(1), index: 2, body, signature };
        assert_eq!(slice.signer(&domain), Some(address_of(&key)));
        assert_ne!(Slice { index: 3, ..slice }.signer(&domain), Some(address_of(&key)));
    }

    #[test]
    fn lengths_have_bounds() {
        let slice =
            |body| Slice { height: Height(1), round: Round(0), index: 0, body, signature: CompactSignature([1; 64]) };
        for body in [
            SliceBody::Data(vec![0; MAX_SLICE_BYTES + 1].into()),
            SliceBody::Last(vec![0; MAX_HEADER_BYTES + 1].into()),
        ] {
            assert!(alloy_rlp::decode_exact::<Slice>(alloy_rlp::encode(slice(body))).is_err());
        }
        let mut reader = StreamReader::default();
        reader.push(&[0; 8]);
        reader.timestamp_ms().unwrap();
        reader.push(&[0xfa, 0xff, 0xff]);
        assert_eq!(reader.item(), Ok(None));
        reader.push(&[0xff]);
        assert_eq!(reader.item(), Err(MalformedStream));
    }

    #[test]
    fn a_block_is_header_transactions_and_two_empty_lists() {
        let (header, items) = (item(true, 600), [item(true, 90), item(false, 300)]);
        let stream = [&9u64.to_be_bytes()[..], &items.concat()].concat();
        let (hash, block) = assemble(&stream, &header).unwrap();
        assert_eq!(hash, keccak256(&header));
        let mut body = block.as_ref();
        let outer = Header::decode(&mut body).unwrap();
        assert_eq!(outer.payload_length, body.len());
        assert!(body.starts_with(&header) && body.ends_with(&[0xc0, 0xc0]));
        assert_eq!(assemble(&stream[..7], &header), None);
        assert_eq!(assemble(&stream, &header[1..]), None);
        assert_eq!(assemble(&vec![0; MAX_BLOCK_BYTES], &header), None);
    }
}
