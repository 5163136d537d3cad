//! What is posted to L1 and what is signed for it (DESIGN §3.6).

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolStruct, sol};

use crate::{
    SequencerSet, Weight,
    limits::MAX_MEMBERS,
    signing::{CompactSignature, Domain},
};

sol! {
    /// The statement every signer of a batch answers for. Field meanings: `docs/specification/batches.md`.
    #[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct BatchHeader {
        uint64 index;
        bytes32 parentHash;
        uint64 firstHeight;
        uint64 lastHeight;
        bytes32 lastBlockHash;
        bytes32 stateRoot;
        bytes32 withdrawalsRoot;
        bytes32 blocksRoot;
        bytes32 dataHash;
        uint64 snapshotId;
        uint64 l1OriginNumber;
        bytes32 l1OriginHash;
        uint64 depositCount;
    }
}

impl BatchHeader {
    /// EIP-712 struct hash: the name of this batch on L1 and the next batch's `parentHash`.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.eip712_hash_struct()
    }
}

/// `keccak256` of the concatenated block hashes of a batch, in order.
#[must_use]
pub fn blocks_root(hashes: &[B256]) -> B256 {
    keccak256(hashes.iter().flat_map(|hash| hash.0).collect::<Vec<u8>>())
}

/// `keccak256` of the concatenated EIP-4844 versioned hashes of a batch's blobs, in order.
#[must_use]
pub fn blobs_hash(versioned_hashes: &[B256]) -> B256 {
    blocks_root(versioned_hashes)
}

/// Signatures over a batch header with more than two thirds of the weight, in the form L1 checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchCertificate {
    /// Member words of the set, ascending.
    pub members: Vec<B256>,
    /// Bit i: member i has signed.
    pub bitmap: U256,
    /// 64-byte signatures, concatenated in member order.
    pub signatures: Bytes,
}

/// Why a certificate does not stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The member words are not those of the set.
    #[error("the certificate was made for another set")]
    WrongSet,
    /// Bits beyond the set, or a count that differs from the signatures.
    #[error("bitmap and signatures do not fit together")]
    Malformed,
    /// A signature does not recover to its member.
    #[error("signature of member {0} is wrong")]
    WrongSigner(usize),
    /// Two thirds or less.
    #[error("signed weight {0} is not more than two thirds of {1}")]
    NoQuorum(Weight, Weight),
}

impl BatchCertificate {
    /// Packs gathered signatures; `signatures[i]` belongs to member `i`.
    #[must_use]
    pub fn assemble(set: &SequencerSet, signatures: &[(usize, CompactSignature)]) -> Self {
        let mut sorted = signatures.to_vec();
        sorted.sort_unstable_by_key(|(index, _)| *index);
        sorted.dedup_by_key(|(index, _)| *index);
        let mut bitmap = U256::ZERO;
        let mut packed = Vec::with_capacity(sorted.len().saturating_mul(64));
        for (index, signature) in sorted {
            bitmap.set_bit(index, true);
            packed.extend_from_slice(&signature.0);
        }
        Self { members: set.words(), bitmap, signatures: packed.into() }
    }

    /// Checks the certificate as L1 does; returns the signed weight.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn verify(
        &self,
        domain: &Domain,
        header: &BatchHeader,
        set: &SequencerSet,
    ) -> Result<Weight, CertificateError> {
        if self.members != set.words() {
            return Err(CertificateError::WrongSet);
        }
        let count = self.bitmap.count_ones();
        if self.bitmap.bit_len() > set.members().len().min(MAX_MEMBERS)
            || self.signatures.len() != count.saturating_mul(64)
        {
            return Err(CertificateError::Malformed);
        }
        let digest = domain.digest(header);
        let mut signed: u64 = 0;
        let signers = set.members().iter().enumerate().filter(|(index, _)| self.bitmap.bit(*index));
        for ((index, member), chunk) in signers.zip(self.signatures.chunks_exact(64)) {
            let bytes: [u8; 64] = chunk.try_into().map_err(|_| CertificateError::Malformed)?;
            if CompactSignature(bytes).recover(&digest) != Ok(member.signer) {
                return Err(CertificateError::WrongSigner(index));
            }
            // Cannot overflow: the members are distinct and the set's total fits 64 bits.
            signed = signed.saturating_add(member.weight.0);
        }
        if !set.is_quorum(Weight(signed)) {
            return Err(CertificateError::NoQuorum(Weight(signed), set.total()));
        }
        Ok(Weight(signed))
    }
}
