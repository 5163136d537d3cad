//! What sequencers say to each other about batches. The network owns the encoding.

use alloy_primitives::{Address, B256, Bytes};
use protocol::{BatchHeader, BatchIndex, CompactSignature, Domain};

use crate::DataAvailability;

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
    /// Index of the batch.
    pub index: BatchIndex,
    /// EIP-712 struct hash of the header.
    pub batch: B256,
    /// Who signs.
    pub signer: Address,
    /// Over the header's digest.
    pub signature: CompactSignature,
}

impl BatchProposal {
    /// The signature the proposal carries, as its `signer`'s.
    #[must_use]
    pub fn own_signature(&self, signer: Address) -> BatchSignature {
        let index = BatchIndex(self.header.index);
        BatchSignature { index, batch: self.header.hash(), signer, signature: self.signature }
    }
}

/// Digest that a batch's signers sign, from the batch's name alone: EIP-712 hashes the struct hash, so a signature can be
/// checked before its proposal arrives.
#[must_use]
pub(crate) fn batch_digest(domain: &Domain, batch: B256) -> B256 {
    alloy_primitives::keccak256([&[0x19, 0x01][..], domain.separator().as_slice(), batch.as_slice()].concat())
}
