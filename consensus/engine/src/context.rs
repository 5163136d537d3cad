//! Malachite's view of our types.
//!
//! The engine is generic; these are the concrete types we give it. The public key of a signer is its address, because
//! our signatures are recovered, not checked against a key.

use core::fmt;
use std::sync::Arc;

use alloy_primitives::B256;
use malachite::app::types::core::{self as core_types, LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType};
use protocol::{CompactSignature, Leadership};

pub use protocol::{Slice, SliceBody};

/// L2 block number, as the engine counts heights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<protocol::Height> for Height {
    fn from(height: protocol::Height) -> Self {
        Self(height.0)
    }
}

impl From<Height> for protocol::Height {
    fn from(height: Height) -> Self {
        Self(height.0)
    }
}

impl core_types::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// Address of a signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub alloy_primitives::Address);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core_types::Address for Address {}

/// What is voted on: the hash of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockId(pub B256);

impl core_types::Value for BlockId {
    type Id = B256;

    fn id(&self) -> B256 {
        self.0
    }
}

/// A 64-byte EIP-2098 signature.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        CompactSignature(self.0).fmt(f)
    }
}

impl From<CompactSignature> for Signature {
    fn from(signature: CompactSignature) -> Self {
        Self(signature.0)
    }
}

impl From<Signature> for CompactSignature {
    fn from(signature: Signature) -> Self {
        Self(signature.0)
    }
}

/// Why bytes are not a signature or an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wrong length")]
pub struct WrongLength;

/// Recoverable secp256k1 signatures over EIP-712 digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eip712;

impl core_types::SigningScheme for Eip712 {
    type DecodingError = WrongLength;
    type Signature = Signature;
    type PublicKey = Address;
    /// The engine never holds a key: it asks the guarded signer.
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<Signature, WrongLength> {
        bytes.try_into().map(Signature).map_err(|_| WrongLength)
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<Address, WrongLength> {
        let bytes: [u8; 20] = bytes.try_into().map_err(|_| WrongLength)?;
        Ok(Address(bytes.into()))
    }

    fn encode_public_key(address: &Address) -> Vec<u8> {
        address.0.to_vec()
    }
}

/// A member of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validator {
    address: Address,
    weight: u64,
}

impl core_types::Validator<Horae> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &Address {
        &self.address
    }

    fn voting_power(&self) -> u64 {
        self.weight
    }
}

/// Members and leader order of one height. The order is part of the set so that `select_proposer` is a pure function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    inner: Arc<SetInner>,
}

#[derive(Debug, PartialEq, Eq)]
struct SetInner {
    validators: Vec<Validator>,
    /// Positions in `validators`; round `r` is led by entry `r % len`. Never empty.
    leaders: Vec<usize>,
    total: u64,
}

/// A leadership the engine cannot work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeadershipError {
    /// Nobody leads.
    #[error("the leader order is empty")]
    NoLeader,
    /// A leader outside the set.
    #[error("leader {0} is not a member of the set")]
    Stranger(alloy_primitives::Address),
}

impl ValidatorSet {
    /// Builds the engine's set of one height.
    ///
    /// # Errors
    /// The leader order is empty or names a stranger.
    pub fn new(leadership: &Leadership) -> Result<Self, LeadershipError> {
        let members = leadership.set.members();
        let validators = members.iter().map(|m| Validator { address: Address(m.signer), weight: m.weight.0 }).collect();
        let leaders = leadership
            .leaders
            .iter()
            .map(|leader| leadership.set.index_of(*leader).ok_or(LeadershipError::Stranger(*leader)))
            .collect::<Result<Vec<_>, _>>()?;
        if leaders.is_empty() {
            return Err(LeadershipError::NoLeader);
        }
        Ok(Self { inner: Arc::new(SetInner { validators, leaders, total: leadership.set.total().0 }) })
    }

    fn leader(&self, round: Round) -> Option<&Validator> {
        let round = usize::try_from(round.as_u32().unwrap_or(0)).unwrap_or(0);
        let at = round.checked_rem(self.inner.leaders.len())?;
        self.inner.validators.get(*self.inner.leaders.get(at)?)
    }
}

impl core_types::ValidatorSet<Horae> for ValidatorSet {
    fn count(&self) -> usize {
        self.inner.validators.len()
    }

    fn total_voting_power(&self) -> u64 {
        self.inner.total
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        let at = self.inner.validators.binary_search_by(|v| v.address.cmp(address)).ok()?;
        self.inner.validators.get(at)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.inner.validators.get(index)
    }
}

/// A vote. `signer` says whose set entry to check it against; it is not part of the signed digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteType,
    /// Height voted on.
    pub height: Height,
    /// Round voted in, never nil.
    pub round: Round,
    /// Block or nil.
    pub value: NilOrVal<B256>,
    /// Who votes.
    pub signer: Address,
}

impl core_types::Vote<Horae> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<B256> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<B256> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.signer
    }

    fn extension(&self) -> Option<&SignedExtension<Horae>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Horae>> {
        None
    }

    fn extend(self, _: SignedExtension<Horae>) -> Self {
        self
    }
}

/// A proposal of a block hash; the block itself travels in slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Height proposed for.
    pub height: Height,
    /// Round proposed in, never nil.
    pub round: Round,
    /// Block.
    pub value: BlockId,
    /// Round of the proof of lock, nil without one.
    pub pol_round: Round,
    /// Who proposes.
    pub signer: Address,
}

impl core_types::Proposal<Horae> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &BlockId {
        &self.value
    }

    fn take_value(self) -> BlockId {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.signer
    }
}

impl core_types::ProposalPart<Horae> for Slice {
    fn is_first(&self) -> bool {
        self.index == 0
    }

    fn is_last(&self) -> bool {
        matches!(self.body, SliceBody::Last(_))
    }
}

/// The engine's type family.
#[derive(Clone, Copy, Debug)]
pub struct Horae;

impl core_types::Context for Horae {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Slice;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = LinearTimeouts;
    type Value = BlockId;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Eip712;

    #[expect(clippy::expect_used, reason = "ValidatorSet::new refuses an empty leader order and strangers in it")]
    fn select_proposer<'a>(&self, set: &'a ValidatorSet, _: Height, round: Round) -> &'a Validator {
        set.leader(round).expect("a set has a leader for every round")
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: BlockId,
        pol_round: Round,
        signer: Address,
    ) -> Proposal {
        Proposal { height, round, value, pol_round, signer }
    }

    fn new_prevote(&self, height: Height, round: Round, value: NilOrVal<B256>, signer: Address) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, signer }
    }

    fn new_precommit(&self, height: Height, round: Round, value: NilOrVal<B256>, signer: Address) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, signer }
    }
}

/// Turns the engine's certificate into the protocol's.
#[must_use]
pub fn to_protocol(certificate: &core_types::CommitCertificate<Horae>) -> protocol::CommitCertificate {
    protocol::CommitCertificate {
        height: certificate.height.into(),
        round: protocol::Round(certificate.round.as_u32().unwrap_or_default()),
        block_hash: certificate.value_id,
        signatures: certificate
            .commit_signatures
            .iter()
            .map(|entry| protocol::CommitSignature { signer: entry.address.0, signature: entry.signature.into() })
            .collect(),
    }
}

/// Turns a stored certificate back into the engine's, for peers that catch up.
#[must_use]
pub fn from_protocol(certificate: &protocol::CommitCertificate) -> core_types::ExtendedCommitCertificate<Horae> {
    let mut commit_signatures: Vec<_> = certificate
        .signatures
        .iter()
        .map(|entry| {
            core_types::ExtendedCommitSignature::new(Address(entry.signer), Signature(entry.signature.0), None)
        })
        .collect();
    commit_signatures.sort_by_key(|entry| entry.address);
    core_types::ExtendedCommitCertificate {
        height: certificate.height.into(),
        round: Round::new(certificate.round.0),
        value_id: certificate.block_hash,
        commit_signatures,
    }
}
