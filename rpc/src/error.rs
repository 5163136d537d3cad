//! Errors of the port and how clients see them.

use alloy_primitives::{B256, Bytes, U64, U256, hex};
use jsonrpsee::types::ErrorObjectOwned;

/// JSON-RPC code of a request that is not valid JSON-RPC.
pub const INVALID_REQUEST: i32 = -32600;
/// JSON-RPC code of an unknown method.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// JSON-RPC code of unusable parameters.
pub const INVALID_PARAMS: i32 = -32602;
/// JSON-RPC code of a failure that is the node's own.
pub const INTERNAL: i32 = -32603;
/// Code of every refusal without a code of its own.
pub const SERVER_ERROR: i32 = -32000;
/// Code of a request that took too long, as geth uses it.
pub const TIMEOUT: i32 = -32002;
/// Code of an answer that would be larger than the limit, as geth uses it.
pub const RESPONSE_TOO_LARGE: i32 = -32003;
/// Code of a request that met a limit of this server (EIP-1474 "limit exceeded").
pub const LIMIT_EXCEEDED: i32 = -32005;
/// Code of a question about a block whose body or receipts are pruned, as geth uses it (EIP-4444).
pub const HISTORY_PRUNED: i32 = 4444;
/// Code of a reverted execution; `data` carries the revert output.
pub const REVERTED: i32 = 3;
/// EIP-7966: accepted, but no receipt in time; `data` carries the hash.
pub const SYNC_TIMEOUT: i32 = 4;
/// EIP-7966: pooled, but not executable as things are; `data` carries the hash.
pub const SYNC_QUEUED: i32 = 5;
/// EIP-7966: pooled behind a nonce gap, so no receipt can come; `data` carries the nonce that is missing.
pub const SYNC_NONCE_GAP: i32 = 6;

/// Reads that fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The body or the receipts of a block are pruned.
    #[error("pruned history unavailable")]
    HistoryPruned,
    /// The state of that height is pruned.
    #[error("missing trie node: historical state at block {0} is not available")]
    HistoryUnavailable(u64),
    /// The state of that height can be read, but its trie is too far behind the head to be proven.
    #[error("distance to target block exceeds maximum proof window")]
    Unprovable,
    /// The store failed; the text is for the log and the client sees only "internal error".
    #[error("{0}")]
    Internal(String),
}

/// Executions that fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The code reverted with this output.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// The code stopped exceptionally, e.g. `out of gas`, `invalid opcode: INVALID`.
    #[error("{0}")]
    Halted(String),
    /// The transaction cannot be executed at all, e.g. `insufficient funds for gas * price + value: ...`.
    #[error("{0}")]
    Rejected(String),
    /// No limit up to the allowance makes the transaction succeed.
    #[error("gas required exceeds allowance ({0})")]
    GasAllowance(u64),
    /// The deadline passed.
    #[error("execution aborted (timeout)")]
    Timeout,
    /// The state could not be read.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Simulations that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// The request breaks a rule of the execution API.
    #[error("{message}")]
    Invalid {
        /// Its code, -38xxx.
        code: i32,
        /// What is wrong.
        message: String,
    },
    /// As any execution.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a submitted transaction was not pooled. Texts are geth's, since wallets match on them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Not a decodable EIP-2718 transaction of a supported type.
    #[error("{0}")]
    Malformed(String),
    /// Signature invalid or high-s.
    #[error("invalid sender")]
    InvalidSender,
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {have} want {want}")]
    WrongChain {
        /// Chain id in the transaction.
        have: u64,
        /// Ours.
        want: u64,
    },
    /// The nonce is used up.
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow {
        /// The account's next nonce.
        next: u64,
        /// The transaction's nonce.
        nonce: u64,
    },
    /// Too far ahead of the account's nonce to be kept.
    #[error("nonce too high")]
    NonceTooHigh,
    /// The fee is below the pool's minimum.
    #[error("transaction underpriced")]
    Underpriced,
    /// A pooled transaction with this nonce pays too much to be replaced.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// Already pooled.
    #[error("already known")]
    AlreadyKnown,
    /// The balance does not cover value, gas and the L1 data fee; the text has the figures.
    #[error("insufficient funds for gas * price + value{0}")]
    InsufficientFunds(String),
    /// Larger than the pool admits.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The pool is full.
    #[error("txpool is full")]
    PoolFull,
    /// Any other rule, with geth's text, e.g. `intrinsic gas too low: gas 20000, minimum needed 21000`.
    #[error("{0}")]
    Refused(String),
}

/// An answer that is an error, before it gets its JSON form.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RpcError {
    /// Wrong or missing parameters.
    #[error("{0}")]
    InvalidParams(String),
    /// The block named by the request does not exist.
    #[error("{0}")]
    NotFound(&'static str),
    /// A limit of this server was met.
    #[error("{0}")]
    Limit(String),
    /// A trace took longer than the time it was given.
    #[error("execution timeout")]
    TraceTimeout,
    /// The request's time is up.
    #[error("request timed out")]
    Timeout,
    /// Plain refusal, code −32000.
    #[error("{0}")]
    Refused(String),
    /// EIP-7966 timeout.
    #[error("the transaction was added to the pool but not included within {millis} ms")]
    SyncTimeout {
        /// The transaction, which may still be included.
        hash: B256,
        /// The time waited.
        millis: u64,
    },
    /// EIP-7966: the transaction waits for a lower base fee or for funds.
    #[error("the transaction is queued: it cannot be executed as things are")]
    SyncQueued(B256),
    /// EIP-7966: the transaction waits for the one of its sender with this nonce.
    #[error("the transaction is queued: the one with nonce {0} is missing")]
    SyncNonceGap(u64),
    /// Failed execution.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Refused with a code of its own.
    #[error("{message}")]
    Coded {
        /// JSON-RPC code.
        code: i32,
        /// What is wrong.
        message: String,
    },
    /// Failed submission.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Failed read.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Result of every method of this crate.
pub type RpcResult<T> = Result<T, RpcError>;

impl RpcError {
    /// For the argument at a position, worded as geth does.
    pub(crate) fn argument(index: usize, why: impl std::fmt::Display) -> Self {
        Self::InvalidParams(format!("invalid argument {index}: {why}"))
    }
}

impl From<SimulateError> for RpcError {
    fn from(error: SimulateError) -> Self {
        match error {
            SimulateError::Invalid { code, message } => Self::Coded { code, message },
            SimulateError::Call(error) => error.into(),
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        let text = error.to_string();
        match error {
            RpcError::InvalidParams(_) => plain(INVALID_PARAMS, text),
            RpcError::NotFound(_) | RpcError::Refused(_) | RpcError::TraceTimeout => plain(SERVER_ERROR, text),
            RpcError::Limit(_) => plain(LIMIT_EXCEEDED, text),
            RpcError::Timeout => plain(TIMEOUT, text),
            RpcError::Coded { code, .. } => plain(code, text),
            RpcError::SyncTimeout { hash, .. } => Self::owned(SYNC_TIMEOUT, text, Some(hash)),
            RpcError::SyncQueued(hash) => Self::owned(SYNC_QUEUED, text, Some(hash)),
            RpcError::SyncNonceGap(expected) => Self::owned(SYNC_NONCE_GAP, text, Some(U64::from(expected))),
            RpcError::Call(CallError::Reverted(output)) => reverted(&output),
            RpcError::Call(CallError::Backend(backend)) | RpcError::Backend(backend) => unavailable(backend),
            RpcError::Call(_) | RpcError::Submit(_) => plain(SERVER_ERROR, text),
        }
    }
}

fn plain(code: i32, text: String) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, text, None::<()>)
}

/// Store failures are the operator's business: the client learns that, the log learns why.
fn unavailable(error: BackendError) -> ErrorObjectOwned {
    match error {
        BackendError::HistoryUnavailable(_) | BackendError::Unprovable => plain(SERVER_ERROR, error.to_string()),
        BackendError::HistoryPruned => plain(HISTORY_PRUNED, error.to_string()),
        BackendError::Internal(why) => {
            tracing::error!(%why, "backend failed to answer");
            plain(INTERNAL, "internal error".to_owned())
        }
    }
}

/// Selector of `Error(string)`.
const ERROR_SELECTOR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
/// Selector of `Panic(uint256)`.
const PANIC_SELECTOR: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];

/// Code 3, the reason in the message when the output is `Error(string)` or `Panic(uint256)`, the output in `data`.
fn reverted(output: &Bytes) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(REVERTED, revert_message(output), Some(hex::encode_prefixed(output)))
}

/// What clients are told of a revert with this output.
#[must_use]
pub fn revert_message(output: &[u8]) -> String {
    match revert_reason(output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

/// The reason in a revert's output, when it is `Error(string)` or `Panic(uint256)`.
pub(crate) fn revert_reason(output: &[u8]) -> Option<String> {
    let (selector, body) = output.split_at_checked(4)?;
    if selector == ERROR_SELECTOR {
        let length = usize::try_from(u64::from_be_bytes(body.get(56..64)?.try_into().ok()?)).ok()?;
        let text = body.get(64..)?.get(..length)?;
        return String::from_utf8(text.to_vec()).ok();
    }
    if selector == PANIC_SELECTOR {
        let code = U256::from_be_slice(body.get(..32)?);
        let why = match u8::try_from(code).unwrap_or(u8::MAX) {
            0x00 => "generic panic",
            0x01 => "assert(false)",
            0x11 => "arithmetic underflow or overflow",
            0x12 => "division or modulo by zero",
            0x21 => "enum overflow",
            0x22 => "invalid encoded storage byte array accessed",
            0x31 => "out-of-bounds array access; popping on an empty array",
            0x32 => "out-of-bounds access of an array or bytesN",
            0x41 => "out of memory",
            0x51 => "uninitialized function",
            _ => return Some(format!("unknown panic code: {code:#x}")),
        };
        return Some(why.to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_have_names() {
        let panic = |code: U256| revert_reason(&[PANIC_SELECTOR.as_slice(), &code.to_be_bytes::<32>()].concat());
        for (code, why) in [
            (0x00, "generic panic"),
            (0x01, "assert(false)"),
            (0x12, "division or modulo by zero"),
            (0xff, "unknown panic code: 0xff"),
            (0x101, "unknown panic code: 0x101"),
        ] {
            assert_eq!(panic(U256::from(code)).as_deref(), Some(why), "{code:#x}");
        }
        assert_eq!(revert_reason(&PANIC_SELECTOR), None);
    }
}
