//! The only way to the signing key: every statement passes the record first.

use std::sync::Arc;

use alloy_primitives::B256;
use async_trait::async_trait;
use k256::ecdsa::SigningKey;
use malachite::Signer;
use malachite::app::types::core::{SignedMessage, ValidatorProof, VoteExtensionScope, VoteType};
use malachite_signing::Error;
use parking_lot::Mutex;
use protocol::signing::{SignError, address_of};
use protocol::{CompactSignature, Domain, Height, Round, slice};

use crate::context::{Address, Horae, Proposal, Slice, SliceBody, Vote};
use crate::record::{RecordError, Signed, SignerRecord, Step};
use crate::signing::{hash_of, proposal_digest, validator_proof_digest, vote_digest};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The record refuses or failed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The key failed.
    #[error(transparent)]
    Key(#[from] SignError),
    /// Vote extensions do not exist here.
    #[error("vote extensions are not signed")]
    Extension,
    /// The runtime is shutting down.
    #[error("the signing task was cancelled")]
    Cancelled,
}

struct Inner {
    key: SigningKey,
    domain: Domain,
    record: Mutex<SignerRecord>,
}

/// Signs votes, proposals and slices, each place once.
#[derive(Clone)]
pub struct GuardedSigner {
    inner: Arc<Inner>,
    address: alloy_primitives::Address,
}

impl core::fmt::Debug for GuardedSigner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GuardedSigner").field("address", &self.address).finish_non_exhaustive()
    }
}

impl GuardedSigner {
    /// Guards `key` with its record.
    #[must_use]
    pub fn new(key: SigningKey, domain: Domain, record: SignerRecord) -> Self {
        let address = address_of(&key);
        Self { inner: Arc::new(Inner { key, domain, record: Mutex::new(record) }), address }
    }

    /// Address of the key.
    #[must_use]
    pub const fn address(&self) -> alloy_primitives::Address {
        self.address
    }

    /// Whether slices may have been signed for a place, by this run or one before it.
    #[must_use]
    pub fn has_slices(&self, height: u64, round: u32) -> bool {
        self.inner.record.lock().has_slices(height, round)
    }

    /// Whether slices of this key at a place can only be another machine's.
    #[must_use]
    pub fn excludes_slices(&self, height: u64, round: u32) -> bool {
        self.inner.record.lock().excludes_slices(height, round)
    }

    async fn admit_and_sign(
        &self,
        height: u64,
        statement: Signed,
        digest: B256,
    ) -> Result<CompactSignature, SignerError> {
        let inner = Arc::clone(&self.inner);
        // The record is flushed to disk: milliseconds that must not block the runtime's workers.
        let signed = tokio::task::spawn_blocking(move || {
            inner.record.lock().admit(height, statement)?;
            Ok(CompactSignature::sign(&inner.key, &digest)?)
        });
        signed.await.map_err(|_| SignerError::Cancelled)?
    }

    /// Reserves a place for slices and returns what signs them, each index once. Blocking: flushes the record.
    ///
    /// # Errors
    /// The record refuses (the place was reserved before, or is past), or the disk failed.
    pub fn reserve_slices(&self, height: Height, round: Round) -> Result<SliceSigner, SignerError> {
        self.inner.record.lock().reserve_slices(height.0, round.0)?;
        Ok(SliceSigner { inner: Arc::clone(&self.inner), height, round, next: 0 })
    }
}

/// Signs the slices of one reserved place, in order.
pub struct SliceSigner {
    inner: Arc<Inner>,
    height: Height,
    round: Round,
    next: u32,
}

impl SliceSigner {
    /// Signs the next slice.
    ///
    /// # Errors
    /// The key failed.
    pub fn sign(&mut self, body: SliceBody) -> Result<Slice, SignerError> {
        let Self { inner, height, round, next: index } = &*self;
        let (height, round, index) = (*height, *round, *index);
        let digest = inner.domain.digest(&slice::statement(height, round, index, &body));
        let signature = CompactSignature::sign(&inner.key, &digest)?;
        self.next = index.saturating_add(1);
        Ok(Slice { height, round, index, body, signature })
    }

    /// Slices signed so far.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.next
    }
}

fn engine_error(error: SignerError) -> Error {
    tracing::error!(%error, "signing refused");
    Error::from_source(error)
}

#[async_trait]
impl Signer<Horae> for GuardedSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Horae, Vote>, Error> {
        let statement = vote_statement(&vote);
        let digest = vote_digest(&self.inner.domain, &vote);
        let signature = self.admit_and_sign(vote.height.0, statement, digest).await.map_err(engine_error)?;
        Ok(SignedMessage::new(vote, signature.into()))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Horae, Proposal>, Error> {
        let statement = proposal_statement(&proposal);
        let digest = proposal_digest(&self.inner.domain, &proposal);
        let signature = self.admit_and_sign(proposal.height.0, statement, digest).await.map_err(engine_error)?;
        Ok(SignedMessage::new(proposal, signature.into()))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Horae>,
        (): (),
    ) -> Result<SignedMessage<Horae, ()>, Error> {
        Err(engine_error(SignerError::Extension))
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<Horae>, Error> {
        let digest = validator_proof_digest(&public_key, &peer_id);
        let signature = CompactSignature::sign(&self.inner.key, &digest).map_err(|e| engine_error(e.into()))?;
        Ok(ValidatorProof::new(public_key, peer_id, signature.into()))
    }
}

/// What the record keeps of a vote.
#[must_use]
pub fn vote_statement(vote: &Vote) -> Signed {
    Signed {
        round: vote.round.as_u32().unwrap_or_default(),
        step: match vote.kind {
            VoteType::Prevote => Step::Prevote,
            VoteType::Precommit => Step::Precommit,
        },
        pol_round: -1,
        block_hash: hash_of(&vote.value),
    }
}

/// What the record keeps of a proposal.
#[must_use]
pub fn proposal_statement(proposal: &Proposal) -> Signed {
    Signed {
        round: proposal.round.as_u32().unwrap_or_default(),
        step: Step::Proposal,
        pol_round: proposal.pol_round.as_i64(),
        block_hash: proposal.value.0,
    }
}

/// The engine's address type for a signer.
impl From<&GuardedSigner> for Address {
    fn from(signer: &GuardedSigner) -> Self {
        Self(signer.address)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Bytes;
    use malachite::Verifier as _;
    use malachite::app::types::core::{Context as _, NilOrVal, Round};

    use super::*;
    use crate::context::{BlockId, Height};
    use crate::signing::RecoveringVerifier;

    fn signer() -> (GuardedSigner, Domain, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_slice(&[9; 32]).unwrap();
        let domain = Domain::new(900, alloy_primitives::Address::repeat_byte(0x55));
        let record = SignerRecord::open(&folder.path().join("record"), address_of(&key)).unwrap();
        (GuardedSigner::new(key, domain.clone(), record), domain, folder)
    }

    #[tokio::test]
    async fn what_is_signed_verifies_for_its_signer_alone() {
        let (signer, domain, _folder) = signer();
        let verifier = RecoveringVerifier::new(domain);
        let own = Address::from(&signer);
        let stranger = Address(alloy_primitives::Address::repeat_byte(1));
        let proposal = Horae.new_proposal(Height(3), Round::new(1), BlockId(B256::repeat_byte(4)), Round::new(0), own);
        let proposal = signer.sign_proposal(proposal).await.unwrap();
        let vote = Horae.new_precommit(Height(3), Round::new(1), NilOrVal::Nil, own);
        let vote = signer.sign_vote(vote).await.unwrap();
        let proof = signer.sign_validator_proof(own.0.to_vec(), vec![1, 2, 3]).await.unwrap();
        for (who, expected) in [(own, true), (stranger, false)] {
            let is_valid = verifier.verify_signed_vote(&vote.message, &vote.signature, &who).await.unwrap().is_valid();
            assert_eq!(is_valid, expected);
            let verdict = verifier.verify_signed_proposal(&proposal.message, &proposal.signature, &who).await.unwrap();
            assert_eq!(verdict.is_valid(), expected);
            let proof = ValidatorProof::new(who.0.to_vec(), proof.peer_id.clone(), proof.signature);
            assert_eq!(verifier.verify_validator_proof(&proof).await.unwrap().is_valid(), expected);
        }
    }

    #[tokio::test]
    async fn the_same_again_gets_the_same_signature_and_anything_else_none() {
        let (signer, _, _folder) = signer();
        let own = Address::from(&signer);
        let vote = |byte| Horae.new_prevote(Height(3), Round::new(0), NilOrVal::Val(B256::repeat_byte(byte)), own);
        let first = signer.sign_vote(vote(1)).await.unwrap();
        assert_eq!(signer.sign_vote(vote(1)).await.unwrap(), first);
        signer.sign_vote(vote(2)).await.unwrap_err();
    }

    #[test]
    fn a_place_has_one_signer_of_slices_and_that_one_signs_each_index_once() {
        let (signer, domain, _folder) = signer();
        let place = (protocol::Height(4), protocol::Round(0));
        let mut slices = signer.reserve_slices(place.0, place.1).unwrap();
        for index in 0..3 {
            let slice = slices.sign(SliceBody::Data(Bytes::from(vec![7; 10]))).unwrap();
            assert_eq!((slice.height, slice.round, slice.index), (place.0, place.1, index));
            assert_eq!(slice.signer(&domain), Some(signer.address()));
        }
        let again = signer.reserve_slices(place.0, place.1);
        assert!(matches!(again, Err(SignerError::Record(RecordError::Conflict { .. }))));
    }
}
