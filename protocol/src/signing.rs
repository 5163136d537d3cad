//! Signing domains and digests (EIP-712), and the one way signatures are made and recovered here.
//!
//! No digest contains its signer's address, so one digest serves all signers and L1 can `ecrecover` each of them.

use alloy_primitives::{Address, B256, Signature, U256};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};
use k256::ecdsa::SigningKey;

use crate::SequencerSet;
pub use crate::batch::BatchHeader;

sol! {
    /// A Tendermint vote; `voteType` 0 prevote, 1 precommit; a nil vote has the zero hash.
    #[derive(Debug, PartialEq, Eq)]
    struct Vote { uint8 voteType; uint64 height; uint32 round; bytes32 blockHash; }

    /// A Tendermint proposal; `polRound` −1 without proof of lock.
    #[derive(Debug, PartialEq, Eq)]
    struct Proposal { uint64 height; uint32 round; int64 polRound; bytes32 blockHash; }

    /// A piece of a leader's block; `dataHash` is the keccak of its tag byte and its bytes.
    #[derive(Debug, PartialEq, Eq)]
    struct Slice { uint64 height; uint32 round; uint32 index; bytes32 dataHash; }

    /// Ties a libp2p peer (keccak of its peer id's bytes) to a signer until `expires` (unix seconds).
    #[derive(Debug, PartialEq, Eq)]
    struct PeerBinding { bytes32 peerIdHash; uint64 expires; }
}

/// Everything signed in one network: bound to the L1 chain and to the staking contract whose stake answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    inner: Eip712Domain,
    separator: B256,
}

impl Domain {
    /// The domain of a network.
    #[must_use]
    pub fn new(l1_chain_id: u64, staking: Address) -> Self {
        let inner = eip712_domain! {
            name: "Horae",
            version: "1",
            chain_id: l1_chain_id,
            verifying_contract: staking,
        };
        let separator = inner.hash_struct();
        Self { inner, separator }
    }

    /// EIP-712 domain separator.
    #[must_use]
    pub const fn separator(&self) -> B256 {
        self.separator
    }

    /// EIP-712 digest of any of the structs above.
    #[must_use]
    pub fn digest<T: SolStruct>(&self, message: &T) -> B256 {
        message.eip712_signing_hash(&self.inner)
    }
}

/// A 64-byte EIP-2098 signature (`r`, `yParity << 255 | s`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompactSignature(pub [u8; 64]);

impl core::fmt::Debug for CompactSignature {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "0x{}", alloy_primitives::hex::encode(self.0))
    }
}

impl alloy_rlp::Encodable for CompactSignature {
    fn encode(&self, out: &mut dyn alloy_rlp::BufMut) {
        self.0.encode(out);
    }
    fn length(&self) -> usize {
        self.0.length()
    }
}

impl alloy_rlp::Decodable for CompactSignature {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        Ok(Self(<[u8; 64]>::decode(buf)?))
    }
}

/// Why a signature names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is malformed, has a high s, or recovers to no key")]
pub struct RecoverError;

/// The key could not sign (out-of-range nonce or scalar; does not happen with a valid key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing key failed")]
pub struct SignError;

impl CompactSignature {
    /// Signs a digest (RFC 6979, low s).
    ///
    /// # Errors
    /// The key failed; see [`SignError`].
    pub fn sign(key: &SigningKey, digest: &B256) -> Result<Self, SignError> {
        let (signature, id) = key.sign_prehash_recoverable(digest.as_slice()).map_err(|_| SignError)?;
        Ok(Self(Signature::from((signature, id)).as_erc2098()))
    }

    /// Address that signed `digest`. High-s signatures are refused, as L1 does, so that a signature has one form.
    ///
    /// # Errors
    /// See [`RecoverError`].
    pub fn recover(&self, digest: &B256) -> Result<Address, RecoverError> {
        let signature = Signature::from_erc2098(&self.0);
        alloy_consensus::crypto::secp256k1::recover_signer(&signature, *digest).map_err(|_| RecoverError)
    }
}

/// Address of a signing key.
#[must_use]
pub fn address_of(key: &SigningKey) -> Address {
    Address::from_public_key(key.verifying_key())
}

/// The key among `keys` whose address is a member of the set, with that address. A set names at most one signer of an
/// operator.
#[must_use]
pub fn member_key<'a>(keys: &'a [SigningKey], set: &SequencerSet) -> Option<(Address, &'a SigningKey)> {
    keys.iter().map(|key| (address_of(key), key)).find(|(signer, _)| set.index_of(*signer).is_some())
}

/// Order of secp256k1 halved: signatures with a larger `s` are refused.
pub const SECP256K1_HALF_ORDER: U256 =
    alloy_primitives::uint!(0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0_U256);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        let mut bytes = [0u8; 32];
        bytes[31] = byte;
        SigningKey::from_slice(&bytes).unwrap()
    }

    #[test]
    fn signatures_recover_only_for_their_digest_and_domain() {
        let domain = Domain::new(900, Address::repeat_byte(0x55));
        let vote = Vote { voteType: 1, height: 7, round: 0, blockHash: B256::repeat_byte(3) };
        let digest = domain.digest(&vote);
        let signature = CompactSignature::sign(&key(1), &digest).unwrap();
        assert_eq!(signature.recover(&digest).unwrap(), address_of(&key(1)));
        let other = Domain::new(901, Address::repeat_byte(0x55)).digest(&vote);
        assert_ne!(signature.recover(&other).ok(), Some(address_of(&key(1))));
    }

    #[test]
    fn a_high_s_is_refused() {
        let domain = Domain::new(900, Address::repeat_byte(0x55));
        let digest = domain.digest(&PeerBinding { peerIdHash: B256::ZERO, expires: 1 });
        let signature = CompactSignature::sign(&key(2), &digest).unwrap();
        let mut bytes = signature.0;
        let order = SECP256K1_HALF_ORDER * U256::from(2) + U256::from(1);
        let s: U256 = U256::from_be_slice(&bytes[32..]) & (U256::MAX >> 1);
        let high: U256 = order - s;
        bytes[32..].copy_from_slice(&high.to_be_bytes::<32>());
        assert_ne!(CompactSignature(bytes).recover(&digest).ok(), Some(address_of(&key(2))));
    }
}
