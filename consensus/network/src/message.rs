//! What is gossiped, and its one encoding. Decoding is strict and total: hostile bytes give `None` within the limits.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable, Header, RlpDecodable, RlpEncodable};
use alloy_sol_types::SolValue as _;
use protocol::{
    BatchHeader, BatchIndex, CompactSignature, Domain, Slice, limits::MAX_BLOCK_BYTES, limits::MAX_TRANSACTION_BYTES,
};

use crate::limits::{
    MAX_BATCH_MESSAGE, MAX_BLOCK_MESSAGE, MAX_CERTIFICATE_BYTES, MAX_SLICE_MESSAGE, MAX_TRANSACTIONS_MESSAGE,
    MAX_TRANSACTIONS_PER_MESSAGE,
};

/// A decided block with its certificate, both RLP encoded and not looked into here.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct DecidedBlock {
    /// RLP of a `protocol::Block`.
    pub block: Bytes,
    /// RLP of a `protocol::CommitCertificate`.
    pub certificate: Bytes,
}

impl DecidedBlock {
    pub(crate) fn is_bounded(&self) -> bool {
        (1..=MAX_BLOCK_BYTES).contains(&self.block.len())
            && (1..=MAX_CERTIFICATE_BYTES).contains(&self.certificate.len())
    }
}

/// Where a batch's channel goes on L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// EIP-4844 blobs.
    Blobs,
    /// Calldata of the transaction.
    Calldata,
}

/// A batch that its leader asks the others to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchProposal {
    /// The statement.
    pub header: BatchHeader,
    /// Where the channel goes.
    pub kind: DataKind,
    /// The compressed channel; blobs follow from it.
    pub channel: Bytes,
    /// The leader's own signature over the header.
    pub signature: CompactSignature,
}

/// A signature over a batch header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSignature {
    /// Index of the batch.
    pub index: BatchIndex,
    /// `BatchHeader::hash`, the EIP-712 struct hash.
    pub hash: B256,
    /// Over the EIP-712 digest of the header.
    pub signature: CompactSignature,
}

impl BatchProposal {
    /// Who signed the header, `None` when nobody did.
    #[must_use]
    pub fn signer(&self, domain: &Domain) -> Option<Address> {
        signer(domain, self.header.hash(), &self.signature)
    }
}

impl BatchSignature {
    /// Who signed, `None` when nobody did.
    #[must_use]
    pub fn signer(&self, domain: &Domain) -> Option<Address> {
        signer(domain, self.hash, &self.signature)
    }
}

fn signer(domain: &Domain, struct_hash: B256, signature: &CompactSignature) -> Option<Address> {
    let mut preimage = [0u8; 66];
    let (prefix, words) = preimage.split_at_mut(2);
    let (separator, hash) = words.split_at_mut(32);
    prefix.copy_from_slice(&[0x19, 0x01]);
    separator.copy_from_slice(domain.separator().as_slice());
    hash.copy_from_slice(struct_hash.as_slice());
    signature.recover(&keccak256(preimage)).ok()
}

/// The topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Users' transactions.
    Transactions,
    /// Batch proposals and signatures.
    Batches,
    /// Decided blocks.
    Blocks,
    /// Slices of the block a leader is building.
    Slices,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Transactions, Self::Batches, Self::Blocks, Self::Slices];

    /// As in topic names, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Batches => "batches",
            Self::Blocks => "blocks",
            Self::Slices => "slices",
        }
    }

    /// Bytes of a message.
    #[must_use]
    pub const fn max_bytes(self) -> usize {
        match self {
            Self::Transactions => MAX_TRANSACTIONS_MESSAGE,
            Self::Batches => MAX_BATCH_MESSAGE,
            Self::Blocks => MAX_BLOCK_MESSAGE,
            Self::Slices => MAX_SLICE_MESSAGE,
        }
    }
}

/// A gossip message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gossip {
    /// EIP-2718 encoded transactions, at least one.
    Transactions(Vec<Bytes>),
    /// A batch to sign.
    Proposal(Box<BatchProposal>),
    /// A signature over a batch.
    Signature(BatchSignature),
    /// A decided block.
    Block(DecidedBlock),
    /// A slice.
    Slice(Box<Slice>),
}

const PROPOSAL: u8 = 0;
const SIGNATURE: u8 = 1;

#[derive(RlpEncodable, RlpDecodable)]
struct ProposalFields {
    header: Bytes,
    kind: u8,
    channel: Bytes,
    signature: CompactSignature,
}

#[derive(RlpEncodable, RlpDecodable)]
struct SignatureFields {
    index: BatchIndex,
    hash: B256,
    signature: CompactSignature,
}

impl Gossip {
    /// The topic it belongs to.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        match self {
            Self::Transactions(_) => Topic::Transactions,
            Self::Proposal(_) | Self::Signature(_) => Topic::Batches,
            Self::Block(_) => Topic::Blocks,
            Self::Slice(_) => Topic::Slices,
        }
    }

    /// Encodes the message; `None` when it exceeds its limits.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Self::Transactions(list) => list.encode(&mut out),
            Self::Proposal(proposal) => {
                out.push(PROPOSAL);
                let kind = match proposal.kind {
                    DataKind::Blobs => 0,
                    DataKind::Calldata => 1,
                };
                let header = proposal.header.abi_encode().into();
                let channel = proposal.channel.clone();
                ProposalFields { header, kind, channel, signature: proposal.signature }.encode(&mut out);
            }
            Self::Signature(BatchSignature { index, hash, signature }) => {
                out.push(SIGNATURE);
                SignatureFields { index: *index, hash: *hash, signature: *signature }.encode(&mut out);
            }
            Self::Block(block) => block.encode(&mut out),
            Self::Slice(slice) => slice.encode(&mut out),
        }
        (out.len() <= self.topic().max_bytes()).then_some(out)
    }

    /// Strict inverse of [`Self::encode`].
    #[must_use]
    pub fn decode(topic: Topic, bytes: &[u8]) -> Option<Self> {
        if bytes.len() > topic.max_bytes() {
            return None;
        }
        match topic {
            Topic::Transactions => decode_transactions(bytes).map(Self::Transactions),
            Topic::Batches => match bytes.split_first()? {
                (&PROPOSAL, rest) => decode_proposal(rest).map(|proposal| Self::Proposal(Box::new(proposal))),
                (&SIGNATURE, rest) => {
                    let SignatureFields { index, hash, signature } = alloy_rlp::decode_exact(rest).ok()?;
                    Some(Self::Signature(BatchSignature { index, hash, signature }))
                }
                _ => None,
            },
            Topic::Blocks => {
                let block: DecidedBlock = alloy_rlp::decode_exact(bytes).ok()?;
                block.is_bounded().then_some(Self::Block(block))
            }
            Topic::Slices => Some(Self::Slice(Box::new(alloy_rlp::decode_exact(bytes).ok()?))),
        }
    }
}

fn decode_transactions(mut bytes: &[u8]) -> Option<Vec<Bytes>> {
    let header = Header::decode(&mut bytes).ok()?;
    if !header.list || header.payload_length != bytes.len() || bytes.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    while !bytes.is_empty() {
        let transaction = Bytes::decode(&mut bytes).ok()?;
        if transaction.is_empty() || transaction.len() > MAX_TRANSACTION_BYTES {
            return None;
        }
        list.push(transaction);
        if list.len() > MAX_TRANSACTIONS_PER_MESSAGE {
            return None;
        }
    }
    Some(list)
}

fn decode_proposal(bytes: &[u8]) -> Option<BatchProposal> {
    let fields: ProposalFields = alloy_rlp::decode_exact(bytes).ok()?;
    let header = BatchHeader::abi_decode_validate(&fields.header).ok()?;
    // One header has one encoding: trailing words would give one message many ids.
    if header.abi_encode() != fields.header.as_ref() || fields.channel.is_empty() {
        return None;
    }
    let kind = match fields.kind {
        0 => DataKind::Blobs,
        1 => DataKind::Calldata,
        _ => return None,
    };
    Some(BatchProposal { header, kind, channel: fields.channel, signature: fields.signature })
}

/// Splits transactions into messages that keep the limits; those too large for any message are left out.
pub(crate) fn pack_transactions(list: Vec<Bytes>) -> Vec<Vec<Bytes>> {
    let mut messages = Vec::new();
    let (mut current, mut size) = (Vec::new(), 0usize);
    for transaction in list.into_iter().filter(|tx| (1..=MAX_TRANSACTION_BYTES).contains(&tx.len())) {
        let length = transaction.length();
        let full = size.saturating_add(length) > MAX_TRANSACTIONS_MESSAGE - LIST_HEADER;
        if !current.is_empty() && (full || current.len() >= MAX_TRANSACTIONS_PER_MESSAGE) {
            messages.push(std::mem::take(&mut current));
            size = 0;
        }
        size = size.saturating_add(length);
        current.push(transaction);
    }
    if !current.is_empty() {
        messages.push(current);
    }
    messages
}

/// Bytes of the longest RLP list header.
const LIST_HEADER: usize = 9;
