//! Canonical RLP of every message the engine sends or logs.
//!
//! Decoding is strict: unknown tags, trailing bytes, lengths beyond a named bound and rounds no honest node reaches are
//! errors, so that hostile bytes cost a comparison and nothing else.

mod wire;

use alloy_rlp::{Decodable, Encodable};
use bytes::Bytes;
use malachite::app::consensus::LivenessMsg;
use malachite::app::streaming::StreamMessage;
use malachite::app::types::codec::{Codec, HasEncodedLen};
use malachite::app::types::core::{PolkaCertificate, ValidatorProof};
use malachite::app::types::sync::{Request, Response, Status};
use malachite::app::types::{ProposedValue, SignedConsensusMsg};
use protocol::limits::{MAX_BLOCK_BYTES, MAX_SLICE_BYTES};

use crate::context::{Horae, Slice};

/// Decided blocks in one answer to a peer that catches up.
pub const MAX_SYNC_BATCH: usize = 16;
/// Bytes of one answer to a peer that catches up.
pub const MAX_SYNC_BYTES: usize = 4 * MAX_BLOCK_BYTES;
/// Bytes of a vote, proposal, certificate or request.
const MAX_SMALL_BYTES: usize = 64 * 1024;
/// Bytes of a slice with its envelope.
pub const MAX_SLICE_MESSAGE_BYTES: usize = MAX_SLICE_BYTES + 1024;
/// No honest node gets this far in one height; the engine adds to rounds unchecked.
pub const MAX_ROUND: u32 = 1_000_000;

/// The engine's codec.
#[derive(Clone, Copy, Debug, Default)]
pub struct RlpCodec;

/// Why bytes are not a message, or a message has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Not the RLP of this message.
    #[error("malformed: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// More bytes than the message needs.
    #[error("trailing bytes")]
    Trailing,
    /// Longer than its bound.
    #[error("{0} bytes exceed the bound of {1}")]
    TooLong(usize, usize),
    /// A tag, round, hash or list length out of range.
    #[error("{0} out of range")]
    Range(&'static str),
}

/// Decodes a wire struct that fills `bytes` entirely.
fn strict<T: Decodable>(bytes: &Bytes, bound: usize) -> Result<T, CodecError> {
    if bytes.len() > bound {
        return Err(CodecError::TooLong(bytes.len(), bound));
    }
    let mut rest = bytes.as_ref();
    let value = T::decode(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(CodecError::Trailing) }
}

fn encode<T: Encodable>(value: &T) -> Bytes {
    let mut out = Vec::with_capacity(value.length());
    value.encode(&mut out);
    out.into()
}

impl Codec<SignedConsensusMsg<Horae>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<SignedConsensusMsg<Horae>, CodecError> {
        strict::<wire::Consensus>(&bytes, MAX_SMALL_BYTES)?.try_into()
    }

    fn encode(&self, msg: &SignedConsensusMsg<Horae>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Consensus::try_from(msg)?))
    }
}

impl Codec<LivenessMsg<Horae>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<LivenessMsg<Horae>, CodecError> {
        strict::<wire::Liveness>(&bytes, MAX_SMALL_BYTES)?.try_into()
    }

    fn encode(&self, msg: &LivenessMsg<Horae>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Liveness::try_from(msg)?))
    }
}

impl Codec<ProposedValue<Horae>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<ProposedValue<Horae>, CodecError> {
        strict::<wire::Proposed>(&bytes, MAX_SMALL_BYTES)?.try_into()
    }

    fn encode(&self, msg: &ProposedValue<Horae>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Proposed::try_from(msg)?))
    }
}

impl Codec<PolkaCertificate<Horae>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<PolkaCertificate<Horae>, CodecError> {
        strict::<wire::Polka>(&bytes, MAX_SMALL_BYTES)?.try_into()
    }

    fn encode(&self, msg: &PolkaCertificate<Horae>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Polka::try_from(msg)?))
    }
}

impl Codec<Slice> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<Slice, CodecError> {
        wire::slice(&bytes, MAX_SLICE_MESSAGE_BYTES)
    }

    fn encode(&self, slice: &Slice) -> Result<Bytes, CodecError> {
        Ok(encode(slice))
    }
}

impl Codec<StreamMessage<Slice>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<StreamMessage<Slice>, CodecError> {
        strict::<wire::Stream>(&bytes, MAX_SLICE_MESSAGE_BYTES)?.try_into()
    }

    fn encode(&self, msg: &StreamMessage<Slice>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Stream::from(msg)))
    }
}

impl Codec<ValidatorProof<Horae>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<ValidatorProof<Horae>, CodecError> {
        strict::<wire::Proof>(&bytes, MAX_SMALL_BYTES)?.try_into()
    }

    fn encode(&self, proof: &ValidatorProof<Horae>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::Proof::from(proof)))
    }
}

impl Codec<Status<Horae>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<Status<Horae>, CodecError> {
        strict::<wire::StatusWire>(&bytes, MAX_SMALL_BYTES)?.try_into()
    }

    fn encode(&self, status: &Status<Horae>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::StatusWire::from(status)))
    }
}

impl Codec<Request<Horae>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<Request<Horae>, CodecError> {
        Ok(strict::<wire::RequestWire>(&bytes, MAX_SMALL_BYTES)?.into())
    }

    fn encode(&self, request: &Request<Horae>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::RequestWire::from(request)))
    }
}

impl Codec<Response<Horae>> for RlpCodec {
    type Error = CodecError;

    fn decode(&self, bytes: Bytes) -> Result<Response<Horae>, CodecError> {
        strict::<wire::ResponseWire>(&bytes, MAX_SYNC_BYTES)?.try_into()
    }

    fn encode(&self, response: &Response<Horae>) -> Result<Bytes, CodecError> {
        Ok(encode(&wire::ResponseWire::try_from(response)?))
    }
}

impl HasEncodedLen<Response<Horae>> for RlpCodec {
    fn encoded_len(&self, response: &Response<Horae>) -> Result<usize, CodecError> {
        Ok(wire::ResponseWire::try_from(response)?.length())
    }
}

#[cfg(test)]
mod tests;
