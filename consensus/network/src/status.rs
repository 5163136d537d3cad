//! What two peers tell each other about themselves, and how a peer is tied to a signer.

use std::io;

use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use k256::ecdsa::SigningKey;
use libp2p::PeerId;
use protocol::{
    CompactSignature, Domain, Height,
    signing::{self, SignError},
};

/// The heads of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct HeadStatus {
    /// Height of `latest`.
    pub height: Height,
    /// Hash of `latest`.
    pub hash: B256,
    /// Height of `safe`.
    pub safe: Height,
}

/// A signer's statement that a peer id is its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct PeerBinding {
    /// Who signed.
    pub signer: Address,
    /// Unix seconds.
    pub expires: u64,
    /// Over [`PeerBinding::digest`].
    pub signature: CompactSignature,
}

/// Why a binding does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// The signature is not the named signer's for this peer and network.
    #[error("signature is not the named signer's")]
    Forged,
    /// Too old.
    #[error("expired")]
    Expired,
}

impl PeerBinding {
    /// The digest a signer signs (for keys that are held elsewhere).
    #[must_use]
    pub fn digest(domain: &Domain, peer: &PeerId, expires: u64) -> B256 {
        domain.digest(&signing::PeerBinding { peerIdHash: keccak256(peer.to_bytes()), expires })
    }

    /// Binds a peer to the key's address.
    ///
    /// # Errors
    /// The key could not sign.
    pub fn sign(domain: &Domain, key: &SigningKey, peer: &PeerId, expires: u64) -> Result<Self, SignError> {
        let signature = CompactSignature::sign(key, &Self::digest(domain, peer, expires))?;
        Ok(Self { signer: signing::address_of(key), expires, signature })
    }

    /// Checks that the binding is the named signer's, for this peer, and not expired.
    ///
    /// # Errors
    /// See [`BindingError`].
    pub fn verify(&self, domain: &Domain, peer: &PeerId, now_s: u64) -> Result<Address, BindingError> {
        if self.signature.recover(&Self::digest(domain, peer, self.expires)) != Ok(self.signer) {
            return Err(BindingError::Forged);
        }
        if self.expires <= now_s { Err(BindingError::Expired) } else { Ok(self.signer) }
    }
}

/// Request and answer of the status protocol.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
#[rlp(trailing)]
pub struct Status {
    /// Genesis hash: peers of another network part at once.
    pub genesis: B256,
    /// Heads.
    pub heads: HeadStatus,
    /// Who the node signs as, if anyone.
    pub binding: Option<PeerBinding>,
}

/// A request for consecutive decided blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct BlocksRequest {
    /// First height.
    pub from: Height,
    /// How many, 1..=64.
    pub count: u64,
}

pub(crate) fn invalid(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
