//! Digests of the engine's messages, and their verification by recovery.

use alloy_primitives::{B256, keccak256};
use async_trait::async_trait;
use malachite::Verifier;
use malachite::app::types::core::{NilOrVal, ValidatorProof, VoteExtensionScope, VoteType};
use malachite_signing::{Error, VerificationResult};
use protocol::{CompactSignature, Domain, signing};

use crate::context::{Address, Horae, Proposal, Signature, Vote};
use crate::witness::Witness;

/// Digest of a vote; nil votes carry the zero hash.
#[must_use]
pub fn vote_digest(domain: &Domain, vote: &Vote) -> B256 {
    domain.digest(&signed_vote(vote))
}

/// The EIP-712 struct of a vote.
#[must_use]
pub fn signed_vote(vote: &Vote) -> signing::Vote {
    signing::Vote {
        voteType: match vote.kind {
            VoteType::Prevote => 0,
            VoteType::Precommit => 1,
        },
        height: vote.height.0,
        round: vote.round.as_u32().unwrap_or_default(),
        blockHash: hash_of(&vote.value),
    }
}

/// Digest of a proposal.
#[must_use]
pub fn proposal_digest(domain: &Domain, proposal: &Proposal) -> B256 {
    domain.digest(&signed_proposal(proposal))
}

/// The EIP-712 struct of a proposal.
#[must_use]
pub fn signed_proposal(proposal: &Proposal) -> signing::Proposal {
    signing::Proposal {
        height: proposal.height.0,
        round: proposal.round.as_u32().unwrap_or_default(),
        polRound: proposal.pol_round.as_i64(),
        blockHash: proposal.value.0,
    }
}

/// Digest that binds a libp2p peer to a signer for the engine's own handshake. Its preimage starts with "PoV", an
/// EIP-712 digest's with 0x1901, so neither can be taken for the other.
#[must_use]
pub fn validator_proof_digest(public_key: &[u8], peer_id: &[u8]) -> B256 {
    keccak256(ValidatorProof::<Horae>::signing_bytes(public_key, peer_id))
}

/// The hash a vote's digest carries.
#[must_use]
pub const fn hash_of(value: &NilOrVal<B256>) -> B256 {
    match value {
        NilOrVal::Nil => B256::ZERO,
        NilOrVal::Val(hash) => *hash,
    }
}

/// Verifies by recovering the signer's address.
#[derive(Clone, Debug)]
pub struct RecoveringVerifier {
    domain: Domain,
    witness: Witness,
}

impl RecoveringVerifier {
    /// A verifier of one network's messages.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self { domain, witness: Witness::default() }
    }

    /// The proposals it has seen.
    #[must_use]
    pub fn witness(&self) -> Witness {
        self.witness.clone()
    }
}

fn check(digest: &B256, signature: &Signature, signer: &Address) -> VerificationResult {
    VerificationResult::from_bool(CompactSignature::from(*signature).recover(digest) == Ok(signer.0))
}

#[async_trait]
impl Verifier<Horae> for RecoveringVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        signer: &Address,
    ) -> Result<VerificationResult, Error> {
        let result = check(&vote_digest(&self.domain, vote), signature, signer);
        if result.is_valid() {
            self.witness.voted(signer.0, &signed_vote(vote));
        }
        Ok(result)
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Signature,
        signer: &Address,
    ) -> Result<VerificationResult, Error> {
        let result = check(&proposal_digest(&self.domain, proposal), signature, signer);
        if result.is_valid() {
            self.witness.saw(signer.0, signed_proposal(proposal), (*signature).into());
        }
        Ok(result)
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Horae>,
        (): &(),
        _: &Signature,
        _: &Address,
    ) -> Result<VerificationResult, Error> {
        // Horae has no vote extensions: a vote that carries one is wrong.
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(&self, proof: &ValidatorProof<Horae>) -> Result<VerificationResult, Error> {
        let Ok(signer) = proof.decoded_public_key() else {
            return Ok(VerificationResult::Invalid);
        };
        Ok(check(&validator_proof_digest(&proof.public_key, &proof.peer_id), &proof.signature, &signer))
    }
}
