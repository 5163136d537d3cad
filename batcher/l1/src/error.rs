//! What can go wrong at the edge to L1, and what the caller should do about it.

use alloy::transports::{RpcError, TransportErrorKind};
use alloy_primitives::{B256, Bytes};

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// L1 is slow or away: try again later.
    Retry,
    /// This request will not succeed: drop it.
    Reject,
    /// L1 contradicts itself or us: stop the node.
    Halt,
}

/// An L1 request that did not give a usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum L1Error {
    /// No answer within the timeout, after all attempts.
    #[error("L1 does not answer {0}: {1}")]
    Unavailable(&'static str, String),
    /// The L1 node refused the request.
    #[error("L1 refuses {request}: {message} ({code})")]
    Refused {
        /// JSON-RPC method.
        request: &'static str,
        /// JSON-RPC error code.
        code: i64,
        /// The node's text.
        message: String,
        /// Revert data, if any.
        data: Option<Bytes>,
    },
    /// The L1 node does not have what it should have (a lagging or pruned node).
    #[error("L1 has no {0} {1}")]
    Missing(&'static str, String),
    /// The answer is not what the method or our contracts produce.
    #[error("L1 answer to {0} is malformed")]
    Malformed(&'static str),
    /// A block that was final is gone. Deriving on would contradict decided blocks.
    #[error("final L1 block {number} changed: expected {expected}, found {found}")]
    FinalityBroken {
        /// Block number.
        number: u64,
        /// Hash that was final.
        expected: B256,
        /// Hash there now.
        found: B256,
    },
    /// A blob does not match the hash it was asked by.
    #[error("blob {0} does not match its versioned hash")]
    WrongBlob(B256),
    /// The polynomial commitment library refused.
    #[error("KZG: {0}")]
    Kzg(String),
    /// The URL is not one.
    #[error("{0} is not an http(s) URL")]
    Url(String),
    /// The L1 is another chain than the genesis names.
    #[error("L1 has chain id {found}, the genesis names {expected}")]
    WrongChain {
        /// From genesis.
        expected: u64,
        /// From L1.
        found: u64,
    },
}

impl L1Error {
    /// What to do about it.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Unavailable(..) | Self::Missing(..) | Self::WrongBlob(_) => Severity::Retry,
            Self::Refused { .. } | Self::Kzg(_) => Severity::Reject,
            Self::Malformed(_) | Self::FinalityBroken { .. } | Self::Url(_) | Self::WrongChain { .. } => Severity::Halt,
        }
    }

    /// Translates a transport error; the flag says whether the same request may be tried again.
    pub(crate) fn classify(request: &'static str, error: RpcError<TransportErrorKind>) -> (Self, bool) {
        match error {
            RpcError::ErrorResp(payload) => {
                let data = payload.as_revert_data();
                let message = payload.message.to_string();
                (Self::Refused { request, code: payload.code, message, data }, false)
            }
            RpcError::Transport(kind) => (Self::Unavailable(request, kind.to_string()), true),
            RpcError::NullResp => (Self::Missing(request, String::new()), true),
            _ => (Self::Malformed(request), false),
        }
    }
}
