//! What is on the wire: plain RLP structs, converted to and from the engine's types with every range checked.

use alloy_primitives::{Address as SignerAddress, B256, Bytes};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use malachite::app::consensus::LivenessMsg;
use malachite::app::streaming::{StreamContent, StreamId, StreamMessage};
use malachite::app::types::core::{
    ExtendedCommitCertificate, ExtendedCommitSignature, NilOrVal, PolkaCertificate, PolkaSignature, Round,
    RoundCertificate, RoundCertificateType, RoundSignature, SignedMessage, SignedProposal, SignedVote, ValidatorProof,
    Validity, VoteType,
};
use malachite::app::types::sync::{RawDecidedValue, Request, Response, Status};
use malachite::app::types::{PeerId, ProposedValue, SignedConsensusMsg};
use malachite_sync::{ValueRequest, ValueResponse};
use protocol::CompactSignature;
use protocol::limits::{MAX_BLOCK_BYTES, MAX_MEMBERS};

use super::{CodecError, MAX_ROUND, MAX_SYNC_BATCH};
use crate::context::{Address, BlockId, Height, Horae, Proposal, Signature, Slice, Vote};
use crate::signing::hash_of;

/// Bytes of a stream id, peer id or public key.
const MAX_ID_BYTES: usize = 128;
/// A round certificate may hold a prevote and a precommit of each member.
const MAX_ROUND_SIGNATURES: usize = 2 * MAX_MEMBERS;

fn bounded(len: usize, bound: usize, what: &'static str) -> Result<(), CodecError> {
    if len > bound { Err(CodecError::Range(what)) } else { Ok(()) }
}

fn round(value: u32) -> Result<Round, CodecError> {
    if value > MAX_ROUND { Err(CodecError::Range("round")) } else { Ok(Round::new(value)) }
}

fn defined(round: Round) -> Result<u32, CodecError> {
    round.as_u32().ok_or(CodecError::Range("round"))
}

/// 0 is nil, `r + 1` is round `r`.
fn optional_round(value: u32) -> Result<Round, CodecError> {
    value.checked_sub(1).map_or(Ok(Round::Nil), round)
}

fn from_optional(round: Round) -> u32 {
    round.as_u32().map_or(0, |round| round.saturating_add(1))
}

/// The zero hash stands for nil in digests, so no block may have it.
fn block(hash: B256) -> Result<B256, CodecError> {
    if hash.is_zero() { Err(CodecError::Range("block hash")) } else { Ok(hash) }
}

const fn kind(tag: u8) -> Result<VoteType, CodecError> {
    match tag {
        0 => Ok(VoteType::Prevote),
        1 => Ok(VoteType::Precommit),
        _ => Err(CodecError::Range("vote type")),
    }
}

const fn kind_tag(kind: VoteType) -> u8 {
    match kind {
        VoteType::Prevote => 0,
        VoteType::Precommit => 1,
    }
}

const fn signature(signature: CompactSignature) -> Signature {
    Signature(signature.0)
}

const fn compact(signature: Signature) -> CompactSignature {
    CompactSignature(signature.0)
}

/// Tag 0 prevote, 1 precommit, 2 proposal.
#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct Consensus {
    tag: u8,
    height: u64,
    round: u32,
    pol_round: u32,
    hash: B256,
    signer: SignerAddress,
    signature: CompactSignature,
}

const PROPOSAL_TAG: u8 = 2;

impl TryFrom<&SignedVote<Horae>> for Consensus {
    type Error = CodecError;

    fn try_from(signed: &SignedVote<Horae>) -> Result<Self, CodecError> {
        let vote = &signed.message;
        Ok(Self {
            tag: kind_tag(vote.kind),
            height: vote.height.0,
            round: defined(vote.round)?,
            pol_round: 0,
            hash: hash_of(&vote.value),
            signer: vote.signer.0,
            signature: compact(signed.signature),
        })
    }
}

impl TryFrom<&SignedConsensusMsg<Horae>> for Consensus {
    type Error = CodecError;

    fn try_from(msg: &SignedConsensusMsg<Horae>) -> Result<Self, CodecError> {
        match msg {
            SignedConsensusMsg::Vote(signed) => signed.try_into(),
            SignedConsensusMsg::Proposal(signed) => Ok(Self {
                tag: PROPOSAL_TAG,
                height: signed.message.height.0,
                round: defined(signed.message.round)?,
                pol_round: from_optional(signed.message.pol_round),
                hash: signed.message.value.0,
                signer: signed.message.signer.0,
                signature: compact(signed.signature),
            }),
        }
    }
}

impl TryFrom<Consensus> for SignedVote<Horae> {
    type Error = CodecError;

    fn try_from(wire: Consensus) -> Result<Self, CodecError> {
        if wire.pol_round != 0 {
            return Err(CodecError::Range("proof-of-lock round of a vote"));
        }
        let vote = Vote {
            kind: kind(wire.tag)?,
            height: Height(wire.height),
            round: round(wire.round)?,
            value: nil_or(wire.hash),
            signer: Address(wire.signer),
        };
        Ok(SignedMessage::new(vote, signature(wire.signature)))
    }
}

fn nil_or(hash: B256) -> NilOrVal<B256> {
    if hash.is_zero() { NilOrVal::Nil } else { NilOrVal::Val(hash) }
}

impl TryFrom<Consensus> for SignedConsensusMsg<Horae> {
    type Error = CodecError;

    fn try_from(wire: Consensus) -> Result<Self, CodecError> {
        if wire.tag != PROPOSAL_TAG {
            return wire.try_into().map(Self::Vote);
        }
        let proposal = Proposal {
            height: Height(wire.height),
            round: round(wire.round)?,
            value: BlockId(block(wire.hash)?),
            pol_round: optional_round(wire.pol_round)?,
            signer: Address(wire.signer),
        };
        Ok(Self::Proposal(SignedProposal::new(proposal, signature(wire.signature))))
    }
}

#[derive(RlpEncodable, RlpDecodable)]
struct Entry {
    signer: SignerAddress,
    signature: CompactSignature,
}

#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct Polka {
    height: u64,
    round: u32,
    hash: B256,
    signatures: Vec<Entry>,
}

impl TryFrom<&PolkaCertificate<Horae>> for Polka {
    type Error = CodecError;

    fn try_from(certificate: &PolkaCertificate<Horae>) -> Result<Self, CodecError> {
        Ok(Self {
            height: certificate.height.0,
            round: defined(certificate.round)?,
            hash: certificate.value_id,
            signatures: certificate
                .polka_signatures
                .iter()
                .map(|entry| Entry { signer: entry.address.0, signature: compact(entry.signature) })
                .collect(),
        })
    }
}

impl TryFrom<Polka> for PolkaCertificate<Horae> {
    type Error = CodecError;

    fn try_from(wire: Polka) -> Result<Self, CodecError> {
        bounded(wire.signatures.len(), MAX_MEMBERS, "number of signatures")?;
        Ok(Self {
            height: Height(wire.height),
            round: round(wire.round)?,
            value_id: block(wire.hash)?,
            polka_signatures: wire
                .signatures
                .into_iter()
                .map(|entry| PolkaSignature::new(Address(entry.signer), signature(entry.signature)))
                .collect(),
        })
    }
}

#[derive(RlpEncodable, RlpDecodable)]
struct RoundEntry {
    kind: u8,
    hash: B256,
    signer: SignerAddress,
    signature: CompactSignature,
}

#[derive(RlpEncodable, RlpDecodable)]
struct RoundWire {
    height: u64,
    round: u32,
    /// 0 skip, 1 precommit.
    kind: u8,
    signatures: Vec<RoundEntry>,
}

impl TryFrom<&RoundCertificate<Horae>> for RoundWire {
    type Error = CodecError;

    fn try_from(certificate: &RoundCertificate<Horae>) -> Result<Self, CodecError> {
        Ok(Self {
            height: certificate.height.0,
            round: defined(certificate.round)?,
            kind: match certificate.cert_type {
                RoundCertificateType::Skip => 0,
                RoundCertificateType::Precommit => 1,
            },
            signatures: certificate
                .round_signatures
                .iter()
                .map(|entry| RoundEntry {
                    kind: kind_tag(entry.vote_type),
                    hash: hash_of(&entry.value_id),
                    signer: entry.address.0,
                    signature: compact(entry.signature),
                })
                .collect(),
        })
    }
}

impl TryFrom<RoundWire> for RoundCertificate<Horae> {
    type Error = CodecError;

    fn try_from(wire: RoundWire) -> Result<Self, CodecError> {
        bounded(wire.signatures.len(), MAX_ROUND_SIGNATURES, "number of signatures")?;
        Ok(Self {
            height: Height(wire.height),
            round: round(wire.round)?,
            cert_type: match wire.kind {
                0 => RoundCertificateType::Skip,
                1 => RoundCertificateType::Precommit,
                _ => return Err(CodecError::Range("certificate type")),
            },
            round_signatures: wire
                .signatures
                .into_iter()
                .map(|entry| {
                    Ok(RoundSignature::new(
                        kind(entry.kind)?,
                        nil_or(entry.hash),
                        Address(entry.signer),
                        signature(entry.signature),
                    ))
                })
                .collect::<Result<_, CodecError>>()?,
        })
    }
}

/// Tag 0 vote, 1 polka certificate, 2 round certificate; `body` is the RLP of it.
#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct Liveness {
    tag: u8,
    body: Bytes,
}

impl TryFrom<&LivenessMsg<Horae>> for Liveness {
    type Error = CodecError;

    fn try_from(msg: &LivenessMsg<Horae>) -> Result<Self, CodecError> {
        let (tag, body) = match msg {
            LivenessMsg::Vote(vote) => (0, super::encode(&Consensus::try_from(vote)?)),
            LivenessMsg::PolkaCertificate(polka) => (1, super::encode(&Polka::try_from(polka)?)),
            LivenessMsg::SkipRoundCertificate(round) => (2, super::encode(&RoundWire::try_from(round)?)),
        };
        Ok(Self { tag, body: body.into() })
    }
}

impl TryFrom<Liveness> for LivenessMsg<Horae> {
    type Error = CodecError;

    fn try_from(wire: Liveness) -> Result<Self, CodecError> {
        let body = &wire.body.0;
        match wire.tag {
            0 => super::strict::<Consensus>(body, usize::MAX)?.try_into().map(Self::Vote),
            1 => super::strict::<Polka>(body, usize::MAX)?.try_into().map(Self::PolkaCertificate),
            2 => super::strict::<RoundWire>(body, usize::MAX)?.try_into().map(Self::SkipRoundCertificate),
            _ => Err(CodecError::Range("liveness tag")),
        }
    }
}

#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct Proposed {
    height: u64,
    round: u32,
    valid_round: u32,
    proposer: SignerAddress,
    hash: B256,
    valid: bool,
}

impl TryFrom<&ProposedValue<Horae>> for Proposed {
    type Error = CodecError;

    fn try_from(value: &ProposedValue<Horae>) -> Result<Self, CodecError> {
        Ok(Self {
            height: value.height.0,
            round: defined(value.round)?,
            valid_round: from_optional(value.valid_round),
            proposer: value.proposer.0,
            hash: value.value.0,
            valid: value.validity.is_valid(),
        })
    }
}

impl TryFrom<Proposed> for ProposedValue<Horae> {
    type Error = CodecError;

    fn try_from(wire: Proposed) -> Result<Self, CodecError> {
        Ok(Self {
            height: Height(wire.height),
            round: round(wire.round)?,
            valid_round: optional_round(wire.valid_round)?,
            proposer: Address(wire.proposer),
            value: BlockId(block(wire.hash)?),
            validity: Validity::from_bool(wire.valid),
        })
    }
}

/// A slice as it stands, with a round that an honest node can reach.
pub(super) fn slice(bytes: &bytes::Bytes, bound: usize) -> Result<Slice, CodecError> {
    let slice = super::strict::<Slice>(bytes, bound)?;
    round(slice.round.0)?;
    Ok(slice)
}

/// Tag 0 data, 1 end of stream (then `body` is empty).
#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct Stream {
    id: Bytes,
    sequence: u64,
    tag: u8,
    body: Bytes,
}

impl From<&StreamMessage<Slice>> for Stream {
    fn from(msg: &StreamMessage<Slice>) -> Self {
        let (tag, body) = match &msg.content {
            StreamContent::Data(slice) => (0, super::encode(slice).into()),
            StreamContent::Fin => (1, Bytes::new()),
        };
        Self { id: msg.stream_id.to_bytes().into(), sequence: msg.sequence, tag, body }
    }
}

impl TryFrom<Stream> for StreamMessage<Slice> {
    type Error = CodecError;

    fn try_from(wire: Stream) -> Result<Self, CodecError> {
        bounded(wire.id.len(), MAX_ID_BYTES, "stream id length")?;
        let content = match wire.tag {
            0 => StreamContent::Data(slice(&wire.body.0, usize::MAX)?),
            1 if wire.body.is_empty() => StreamContent::Fin,
            _ => return Err(CodecError::Range("stream tag")),
        };
        Ok(Self::new(StreamId::new(wire.id.0), wire.sequence, content))
    }
}

#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct Proof {
    public_key: Bytes,
    peer_id: Bytes,
    signature: CompactSignature,
}

impl From<&ValidatorProof<Horae>> for Proof {
    fn from(proof: &ValidatorProof<Horae>) -> Self {
        Self {
            public_key: proof.public_key.clone().into(),
            peer_id: proof.peer_id.clone().into(),
            signature: compact(proof.signature),
        }
    }
}

impl TryFrom<Proof> for ValidatorProof<Horae> {
    type Error = CodecError;

    fn try_from(wire: Proof) -> Result<Self, CodecError> {
        bounded(wire.public_key.len(), MAX_ID_BYTES, "public key length")?;
        bounded(wire.peer_id.len(), MAX_ID_BYTES, "peer id length")?;
        Ok(Self::new(wire.public_key.to_vec(), wire.peer_id.to_vec(), signature(wire.signature)))
    }
}

#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct StatusWire {
    peer_id: Bytes,
    tip: u64,
    history_min: u64,
}

impl From<&Status<Horae>> for StatusWire {
    fn from(status: &Status<Horae>) -> Self {
        Self {
            peer_id: status.peer_id.to_bytes().into(),
            tip: status.tip_height.0,
            history_min: status.history_min_height.0,
        }
    }
}

impl TryFrom<StatusWire> for Status<Horae> {
    type Error = CodecError;

    fn try_from(wire: StatusWire) -> Result<Self, CodecError> {
        bounded(wire.peer_id.len(), MAX_ID_BYTES, "peer id length")?;
        Ok(Self {
            peer_id: PeerId::from_bytes(&wire.peer_id).map_err(|_| CodecError::Range("peer id"))?,
            tip_height: Height(wire.tip),
            history_min_height: Height(wire.history_min),
        })
    }
}

#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct RequestWire {
    first: u64,
    last: u64,
}

impl From<&Request<Horae>> for RequestWire {
    fn from(request: &Request<Horae>) -> Self {
        let Request::ValueRequest(request) = request;
        Self { first: request.range.start().0, last: request.range.end().0 }
    }
}

impl From<RequestWire> for Request<Horae> {
    fn from(wire: RequestWire) -> Self {
        Self::ValueRequest(ValueRequest::new(Height(wire.first)..=Height(wire.last)))
    }
}

#[derive(RlpEncodable, RlpDecodable)]
struct Decided {
    block: Bytes,
    height: u64,
    round: u32,
    hash: B256,
    signatures: Vec<Entry>,
}

#[derive(RlpEncodable, RlpDecodable)]
pub(super) struct ResponseWire {
    start: u64,
    values: Vec<Decided>,
}

impl TryFrom<&Response<Horae>> for ResponseWire {
    type Error = CodecError;

    fn try_from(response: &Response<Horae>) -> Result<Self, CodecError> {
        let Response::ValueResponse(response) = response;
        let values = response
            .values
            .iter()
            .map(|value| {
                Ok(Decided {
                    block: value.value_bytes.clone().into(),
                    height: value.certificate.height.0,
                    round: defined(value.certificate.round)?,
                    hash: value.certificate.value_id,
                    signatures: value
                        .certificate
                        .commit_signatures
                        .iter()
                        .map(|entry| Entry { signer: entry.address.0, signature: compact(entry.signature) })
                        .collect(),
                })
            })
            .collect::<Result<_, CodecError>>()?;
        Ok(Self { start: response.start_height.0, values })
    }
}

impl TryFrom<Decided> for RawDecidedValue<Horae> {
    type Error = CodecError;

    fn try_from(wire: Decided) -> Result<Self, CodecError> {
        bounded(wire.signatures.len(), MAX_MEMBERS, "number of signatures")?;
        bounded(wire.block.len(), MAX_BLOCK_BYTES, "block length")?;
        let certificate = ExtendedCommitCertificate {
            height: Height(wire.height),
            round: round(wire.round)?,
            value_id: block(wire.hash)?,
            commit_signatures: wire
                .signatures
                .into_iter()
                .map(|entry| ExtendedCommitSignature::new(Address(entry.signer), signature(entry.signature), None))
                .collect(),
        };
        Ok(Self::new(wire.block.0, certificate))
    }
}

impl TryFrom<ResponseWire> for Response<Horae> {
    type Error = CodecError;

    fn try_from(wire: ResponseWire) -> Result<Self, CodecError> {
        bounded(wire.values.len(), MAX_SYNC_BATCH, "number of blocks")?;
        let values = wire.values.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Self::ValueResponse(ValueResponse::new(Height(wire.start), values)))
    }
}
