//! From bytes to a checked transaction: the edge where senders are recovered, once.

use alloy_consensus::{Transaction, crypto::secp256k1, transaction::SignableTransaction};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, Sealable, Signature};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use protocol::{RecoveredTx, limits::MAX_TRANSACTION_BYTES};

use crate::env::DEPOSIT_TYPE;

/// Why bytes are not a transaction this chain takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Longer than [`MAX_TRANSACTION_BYTES`].
    #[error("transaction of {0} bytes is above the limit of {MAX_TRANSACTION_BYTES}")]
    TooLarge(usize),
    /// Not the encoding of a transaction, or followed by further bytes, or not canonical.
    #[error("malformed transaction encoding")]
    Malformed,
    /// A type this chain does not take (3 blobs, 0x7D, 0x7E from outside a block, unknown).
    #[error("transaction type {0:#04x} is not supported")]
    UnsupportedType(u8),
    /// Signed for another chain.
    #[error("chain id {got} does not match {expected}")]
    WrongChain {
        /// In the transaction.
        got: u64,
        /// This chain.
        expected: u64,
    },
    /// Signature with s above half the curve order, or no key recovers from it.
    #[error("invalid signature")]
    BadSignature,
    /// Type 4 without authorizations.
    #[error("empty authorization list")]
    EmptyAuthorizations,
}

/// Decodes and recovers a user's transaction (types 0, 1, 2, 4; type 0 also without replay protection).
///
/// # Errors
/// See [`RecoverError`].
pub fn recover(bytes: &[u8], chain_id: u64) -> Result<RecoveredTx, RecoverError> {
    let envelope = decode(bytes)?;
    if envelope.is_deposit() {
        return Err(RecoverError::UnsupportedType(DEPOSIT_TYPE));
    }
    let sender = check(&envelope, chain_id)?;
    Ok(RecoveredTx { hash: envelope.tx_hash(), envelope, sender, encoded: Bytes::copy_from_slice(bytes) })
}

/// Decodes and recovers a transaction as it stands in a block, where type 0x7E is allowed too.
///
/// # Errors
/// See [`RecoverError`].
pub fn recover_with_deposits(bytes: &[u8], chain_id: u64) -> Result<RecoveredTx, RecoverError> {
    if bytes.first() != Some(&DEPOSIT_TYPE) {
        return recover(bytes, chain_id);
    }
    match decode_unbounded(bytes)? {
        OpTxEnvelope::Deposit(tx) => Ok(deposit(tx.into_inner())),
        _ => Err(RecoverError::Malformed),
    }
}

/// Recovers a decoded transaction of a block (deposits included).
///
/// # Errors
/// See [`RecoverError`].
pub fn recover_envelope(envelope: OpTxEnvelope, chain_id: u64) -> Result<RecoveredTx, RecoverError> {
    if let OpTxEnvelope::Deposit(tx) = envelope {
        return Ok(deposit(tx.into_inner()));
    }
    let length = envelope.encode_2718_len();
    if length > MAX_TRANSACTION_BYTES {
        return Err(RecoverError::TooLarge(length));
    }
    let sender = check(&envelope, chain_id)?;
    let encoded = envelope.encoded_2718().into();
    Ok(RecoveredTx { hash: envelope.tx_hash(), envelope, sender, encoded })
}

/// A deposit as a transaction of a block. Its sender was checked on L1.
#[must_use]
pub fn deposit(tx: TxDeposit) -> RecoveredTx {
    let sender = tx.from;
    let sealed = tx.seal_slow();
    let hash = sealed.hash();
    let envelope = OpTxEnvelope::Deposit(sealed);
    let encoded = envelope.encoded_2718().into();
    RecoveredTx { envelope, sender, hash, encoded }
}

fn decode(bytes: &[u8]) -> Result<OpTxEnvelope, RecoverError> {
    if bytes.len() > MAX_TRANSACTION_BYTES {
        return Err(RecoverError::TooLarge(bytes.len()));
    }
    match bytes.first() {
        None => return Err(RecoverError::Malformed),
        Some(1 | 2 | 4) => {}
        Some(first) if *first >= 0xc0 => {}
        Some(first) => return Err(RecoverError::UnsupportedType(*first)),
    }
    decode_unbounded(bytes)
}

fn decode_unbounded(bytes: &[u8]) -> Result<OpTxEnvelope, RecoverError> {
    let mut rest = bytes;
    let envelope = OpTxEnvelope::decode_2718(&mut rest).map_err(|_| RecoverError::Malformed)?;
    // The encoding must come back byte for byte: hash, L1 fee and batch all speak of these bytes.
    if !rest.is_empty() || envelope.encoded_2718() != bytes {
        return Err(RecoverError::Malformed);
    }
    Ok(envelope)
}

/// Checks what the signature and the envelope must satisfy in any state; returns the sender.
fn check(envelope: &OpTxEnvelope, chain_id: u64) -> Result<Address, RecoverError> {
    match envelope.chain_id() {
        Some(got) if got != chain_id => return Err(RecoverError::WrongChain { got, expected: chain_id }),
        None if !envelope.is_legacy() => return Err(RecoverError::Malformed),
        _ => {}
    }
    let (signature, hash) = match envelope {
        OpTxEnvelope::Legacy(tx) => (tx.signature(), tx.tx().signature_hash()),
        OpTxEnvelope::Eip2930(tx) => (tx.signature(), tx.tx().signature_hash()),
        OpTxEnvelope::Eip1559(tx) => (tx.signature(), tx.tx().signature_hash()),
        OpTxEnvelope::Eip7702(tx) if tx.tx().authorization_list.is_empty() => {
            return Err(RecoverError::EmptyAuthorizations);
        }
        OpTxEnvelope::Eip7702(tx) => (tx.signature(), tx.tx().signature_hash()),
        OpTxEnvelope::Deposit(_) | OpTxEnvelope::PostExec(_) => {
            return Err(RecoverError::UnsupportedType(envelope.tx_type() as u8));
        }
    };
    recover_signer(signature, hash)
}

/// libsecp256k1 behind alloy's feature `secp256k1`; refuses high s (EIP-2).
pub(crate) fn recover_signer(signature: &Signature, hash: B256) -> Result<Address, RecoverError> {
    secp256k1::recover_signer(signature, hash).map_err(|_| RecoverError::BadSignature)
}
