//! What sequencers say to each other about batches.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolValue;
use derivation::limits::MAX_CHANNEL_BYTES;
use protocol::{BatchHeader, CompactSignature, Domain};

use crate::DataAvailability;

/// ABI words of a batch header.
const HEADER_BYTES: usize = 13 * 32;
const SIGNATURE_BYTES: usize = 64;
const SENT_BYTES: usize = 8;
/// Bytes of the largest message: a proposal with a full set of blobs.
pub const MAX_MESSAGE_BYTES: usize = SENT_BYTES + 2 + HEADER_BYTES + SIGNATURE_BYTES + MAX_CHANNEL_BYTES;

const PROPOSAL: u8 = 1;
const SIGNATURE: u8 = 2;
const BLOBS: u8 = 0;
const CALLDATA: u8 = 1;

/// A batch that asks for signatures. The proposer signs first, so a stranger cannot make members check blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchProposal {
    /// What is to be signed.
    pub header: BatchHeader,
    /// Where the data will be.
    pub da: DataAvailability,
    /// The channel; blobs follow from it.
    pub channel: Bytes,
    /// The proposer's own signature of the header.
    pub signature: CompactSignature,
}

/// A member's signature of a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSignature {
    /// EIP-712 struct hash of the header.
    pub batch: B256,
    /// Who signs.
    pub signer: Address,
    /// Over the header's digest.
    pub signature: CompactSignature,
}

/// One network message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchMessage {
    /// A proposal.
    Proposal(BatchProposal),
    /// A signature.
    Signature(BatchSignature),
}

/// The bytes are no batch message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed batch message")]
pub struct MessageError;

impl BatchMessage {
    /// Bytes for the wire. The time of sending makes each sending a new message to a network that drops repetitions, so
    /// that a lost message can be sent again; readers ignore it.
    #[must_use]
    pub fn encode(&self, sent_ms: u64) -> Bytes {
        let sent = sent_ms.to_be_bytes();
        match self {
            Self::Proposal(BatchProposal { header, da, channel, signature }) => {
                let da = match da {
                    DataAvailability::Blobs => BLOBS,
                    DataAvailability::Calldata => CALLDATA,
                };
                [&sent[..], &[PROPOSAL, da], &header.abi_encode(), &signature.0, channel].concat().into()
            }
            Self::Signature(BatchSignature { batch, signer, signature }) => {
                [&sent[..], &[SIGNATURE], batch.as_slice(), signer.as_slice(), &signature.0].concat().into()
            }
        }
    }

    /// Strict inverse of [`Self::encode`].
    ///
    /// # Errors
    /// See [`MessageError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(MessageError);
        }
        let (_, unique) = bytes.split_first_chunk::<SENT_BYTES>().ok_or(MessageError)?;
        let (kind, rest) = unique.split_first().ok_or(MessageError)?;
        match *kind {
            PROPOSAL => decode_proposal(rest).ok_or(MessageError).map(Self::Proposal),
            SIGNATURE => decode_signature(rest).ok_or(MessageError).map(Self::Signature),
            _ => Err(MessageError),
        }
    }
}

fn decode_proposal(bytes: &[u8]) -> Option<BatchProposal> {
    let (da, rest) = bytes.split_first()?;
    let da = match *da {
        BLOBS => DataAvailability::Blobs,
        CALLDATA => DataAvailability::Calldata,
        _ => return None,
    };
    let (header, rest) = rest.split_at_checked(HEADER_BYTES)?;
    let (signature, channel) = rest.split_first_chunk::<SIGNATURE_BYTES>()?;
    Some(BatchProposal {
        header: BatchHeader::abi_decode_validate(header).ok()?,
        da,
        channel: Bytes::copy_from_slice(channel),
        signature: CompactSignature(*signature),
    })
}

fn decode_signature(bytes: &[u8]) -> Option<BatchSignature> {
    let (batch, rest) = bytes.split_first_chunk::<32>()?;
    let (signer, signature) = rest.split_first_chunk::<20>()?;
    let signature: [u8; SIGNATURE_BYTES] = signature.try_into().ok()?;
    Some(BatchSignature { batch: batch.into(), signer: signer.into(), signature: CompactSignature(signature) })
}

/// Digest that a batch's signers sign, from the batch's name alone: EIP-712 hashes the struct hash, so a signature can be
/// checked before its proposal arrives.
#[must_use]
pub(crate) fn batch_digest(domain: &Domain, batch: B256) -> B256 {
    alloy_primitives::keccak256([&[0x19, 0x01][..], domain.separator().as_slice(), batch.as_slice()].concat())
}
