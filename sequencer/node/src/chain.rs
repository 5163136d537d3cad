//! The chain as this node sees it: builds, checks and commits blocks on its head. Synchronous; the callers bring threads.

use std::{collections::VecDeque, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Sealed, U256};
use consensus::slices;
use derivation::{DerivationTip, DeriveError, DerivedBlock, FinalL1};
use execution::{
    BlockBuilder, BlockVerifier, ChainConfig, DecodedBlock, ExecutedBlock, ExecutionError, InvalidBlock, L1Attributes,
    OpenError, PushError, VerifyError, decode_block, recover, verify_block,
};
use l1::FinalBlocks;
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use parking_lot::Mutex;
use protocol::{
    Block, BlockAttributes, CommitCertificate, Domain, Genesis, Height, L1Origin, RecoveredTx, Round,
    block::{HeaderExtra, timestamp_ms},
    genesis::Params,
    limits::MAX_CLOCK_DRIFT_MS,
    state::{StateCommitment, StateReader},
};
use store::{CommittedBlock, Store, StoreError};
use tokio::sync::watch;

use crate::epochs::{EpochError, Epochs, attributes_of};

mod ahead;
#[cfg(test)]
mod tests;

use ahead::Ahead;

/// Undecided blocks kept for one height, the newest: one a round, and rounds are few. One that is forgotten is executed again.
const MAX_CANDIDATES: usize = 16;

/// A block that was executed on the head but not decided yet.
#[derive(Debug)]
pub struct Candidate {
    /// The block and what follows from it.
    pub executed: ExecutedBlock,
    /// Its RLP encoding.
    pub encoded: Bytes,
}

/// Why a block was refused or could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The proposer's fault.
    #[error(transparent)]
    Invalid(#[from] InvalidBlock),
    /// It does not extend our head (it may be old, or we may be behind).
    #[error("block {0} does not extend the head")]
    NotNext(Height),
    /// Named leader, time or origin are against the rules.
    #[error("block {height}: {reason}")]
    Rule {
        /// Its height.
        height: Height,
        /// Which rule.
        reason: &'static str,
    },
    /// Our L1 is not as far as the block's origin: retry.
    #[error("L1 block {0} is not final in this node's view")]
    L1Behind(u64),
    /// The decided block is not among the executed ones.
    #[error("block {0} was decided but never executed here")]
    Unknown(B256),
    /// The certificate does not stand.
    #[error("certificate: {0}")]
    Certificate(#[from] protocol::block::CommitError),
    /// Set or schedule not known.
    #[error(transparent)]
    Epoch(#[from] EpochError),
    /// Halt.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Halt.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// Halt: a worker thread panicked.
    #[error("a worker thread stopped unexpectedly")]
    Worker,
}

impl ChainError {
    /// The node must stop: disk or own state failed.
    #[must_use]
    pub const fn must_halt(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Execution(_) | Self::Unknown(_) | Self::Worker)
    }
}

impl From<VerifyError> for ChainError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Invalid(reason) => Self::Invalid(reason),
            VerifyError::Fatal(error) => Self::Execution(error),
        }
    }
}

/// The newest block, as everyone may watch it.
#[derive(Clone, Debug)]
pub struct Head {
    /// Header and hash.
    pub header: Sealed<Header>,
    /// Its L1 origin.
    pub origin: L1Origin,
    /// Its place among the blocks with that origin.
    pub sequence_number: u64,
}

/// Builds, checks and commits.
pub struct Chain {
    genesis: Arc<Genesis>,
    rules: ChainConfig,
    domain: Domain,
    store: Store,
    finals: FinalBlocks,
    epochs: Arc<Epochs>,
    candidates: Mutex<VecDeque<Arc<Candidate>>>,
    /// Held while a block commits, so that commits of different tasks follow each other.
    committing: Mutex<()>,
    head: watch::Sender<Head>,
}

impl Chain {
    /// The chain on an opened store.
    ///
    /// # Errors
    /// The head block cannot be read.
    pub fn open(
        genesis: Arc<Genesis>,
        store: Store,
        finals: FinalBlocks,
        epochs: Arc<Epochs>,
    ) -> Result<Self, ChainError> {
        let head = read_head(&genesis, &store)?;
        Ok(Self {
            rules: ChainConfig::from(genesis.as_ref()),
            domain: genesis.domain(),
            head: watch::Sender::new(head),
            candidates: Mutex::default(),
            committing: Mutex::default(),
            genesis,
            store,
            finals,
            epochs,
        })
    }

    /// The newest block.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    /// Follows the newest block.
    #[must_use]
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Sets and schedules.
    #[must_use]
    pub fn epochs(&self) -> &Arc<Epochs> {
        &self.epochs
    }

    /// The database.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The network's parameters.
    #[must_use]
    pub const fn genesis(&self) -> &Arc<Genesis> {
        &self.genesis
    }

    /// The state transition's rules.
    #[must_use]
    pub const fn rules(&self) -> &ChainConfig {
        &self.rules
    }

    /// L1 blocks this node knows to be final.
    #[must_use]
    pub const fn finals(&self) -> &FinalBlocks {
        &self.finals
    }

    /// Whether the next block has something to carry besides transactions: queue deposits.
    #[must_use]
    pub fn deposits_wait(&self) -> bool {
        let head = self.head();
        let newest = self.finals.newest().unwrap_or(0);
        let first = head.origin.number.saturating_add(1);
        (first..=newest).any(|number| self.finals.get(number).is_some_and(|block| !block.deposits.is_empty()))
    }

    /// Opens the next block with the newest origin whose deposits fit. Its time is never before the head's.
    ///
    /// # Errors
    /// Only failures of our own disk or state.
    pub fn open_block(&self, head: &Head, leader: Address, timestamp_ms: u64) -> Result<BlockBuilder, ChainError> {
        let mut newest = self.newest_origin(head);
        let timestamp_ms = timestamp_ms.max(protocol::block::timestamp_ms(&head.header));
        loop {
            let attributes = self.attributes(head, newest, timestamp_ms, leader)?;
            let state = Arc::new(self.store.latest_state());
            match BlockBuilder::new(&self.rules, &head.header, &attributes, state) {
                Ok(builder) => return Ok(builder),
                Err(OpenError::TooManyDeposits { .. }) if newest > head.origin.number => {
                    newest = newest.saturating_sub(1)
                }
                Err(OpenError::Fatal(error)) => return Err(error.into()),
                Err(error) => return Err(InvalidBlock::Open(error.to_string()).into()),
            }
        }
    }

    /// Number of the newest origin that the block after `head` may have.
    fn newest_origin(&self, head: &Head) -> u64 {
        let most = head.origin.number.saturating_add(self.genesis.params.max_origin_advance);
        self.finals.newest().unwrap_or(head.origin.number).clamp(head.origin.number, most)
    }

    /// What L1 data costs in the next block if we open it now, in wei for a million bytes.
    #[must_use]
    pub fn next_data_rate(&self) -> U256 {
        let head = self.head();
        let origin = self.finals.origin(self.newest_origin(&head)).unwrap_or(head.origin);
        let Params { l1_base_fee_scalar, l1_blob_base_fee_scalar, .. } = self.genesis.params;
        L1Attributes {
            origin,
            sequence_number: 0,
            base_fee_scalar: l1_base_fee_scalar,
            blob_base_fee_scalar: l1_blob_base_fee_scalar,
        }
        .data_rate()
    }

    /// Attributes of the block after `head` with the given origin, from this node's own view of L1.
    fn attributes(
        &self,
        head: &Head,
        origin: u64,
        timestamp_ms: u64,
        leader: Address,
    ) -> Result<BlockAttributes, ChainError> {
        let mut deposits: Vec<_> = self.epoch_deposit(&head.header)?.into_iter().collect();
        if origin == head.origin.number {
            let sequence_number = head.sequence_number.saturating_add(1);
            return Ok(BlockAttributes { timestamp_ms, leader, origin: head.origin, sequence_number, deposits });
        }
        for number in head.origin.number.saturating_add(1)..=origin {
            deposits.extend(self.finals.deposits(number).ok_or(ChainError::L1Behind(number))?);
        }
        let origin = self.finals.origin(origin).ok_or(ChainError::L1Behind(origin))?;
        Ok(BlockAttributes { timestamp_ms, leader, origin, sequence_number: 0, deposits })
    }

    /// The deposit that opens an epoch, if the block after `parent` does.
    fn epoch_deposit(&self, parent: &Header) -> Result<Option<TxDeposit>, ChainError> {
        self.epochs.deposit_after(parent).map_err(|error| match error {
            EpochError::L1Behind(number) => ChainError::L1Behind(number),
            other => other.into(),
        })
    }

    /// Opens the block after the head that `leader` streams: its time, and the attributes deposit it begins with.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn open_verifier(
        &self,
        leader: Address,
        timestamp_ms: u64,
        first: &RecoveredTx,
    ) -> Result<BlockVerifier, ChainError> {
        let head = self.head();
        // The origin's `randao` is in the header, which comes last; only its number is taken from here.
        let claimed = match &first.envelope {
            OpTxEnvelope::Deposit(deposit) => L1Attributes::decode(deposit.inner(), B256::ZERO),
            _ => None,
        };
        let claimed = claimed.ok_or(InvalidBlock::Attributes)?.origin.number;
        let attributes = self.judge(&head, leader, timestamp_ms, claimed)?;
        let state = Arc::new(self.store.latest_state());
        Ok(BlockVerifier::new(&self.rules, &head.header, &attributes, state)?)
    }

    /// Whether `signer` leads `round` of the height after `head`.
    #[must_use]
    pub fn leads(&self, head: &Head, round: Round, signer: Address) -> bool {
        let leadership = self.epochs.leadership(&head.header);
        leadership.is_ok_and(|leadership| leadership.leader(round.0) == Some(signer))
    }

    /// Decodes and executes a proposed block on the head. A block executed before is answered from memory.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn check(
        &self,
        bytes: &Bytes,
        now_ms: Option<u64>,
        known: &dyn Fn(&B256) -> Option<Address>,
    ) -> Result<Arc<Candidate>, ChainError> {
        if let Some(candidate) = slices::block_hash(bytes).and_then(|hash| self.candidate(hash)) {
            // The same header with another body.
            return if candidate.encoded == *bytes { Ok(candidate) } else { Err(InvalidBlock::Malformed.into()) };
        }
        let decoded = decode_block(&self.rules, bytes, known)?;
        let head = self.head();
        let attributes = self.judge_block(&head, &decoded, now_ms)?;
        let state = Arc::new(self.store.latest_state());
        let executed = verify_block(&self.rules, &head.header, &attributes, &decoded, state, &self.store)?;
        Ok(self.keep(executed))
    }

    /// What a block decides about itself (leader, time, origin), held against the rules and our view of L1.
    fn judge_block(
        &self,
        head: &Head,
        block: &DecodedBlock,
        now_ms: Option<u64>,
    ) -> Result<BlockAttributes, ChainError> {
        let height = Height(block.header.number);
        if block.header.parent_hash != head.header.hash() || height != Height(head.header.number).next() {
            return Err(ChainError::NotNext(height));
        }
        let rule = |reason| ChainError::Rule { height, reason };
        let extra = HeaderExtra::decode(&block.header.extra_data).ok_or_else(|| rule("malformed extra data"))?;
        let time = timestamp_ms(&block.header);
        if now_ms.is_some_and(|now| time > now.saturating_add(MAX_CLOCK_DRIFT_MS)) {
            return Err(rule("its timestamp is in the future"));
        }
        let claimed = block.l1_attributes().ok_or(InvalidBlock::Attributes)?.origin.number;
        self.judge(head, extra.leader, time, claimed)
    }

    /// Leader, time and origin of the block after `head`.
    fn judge(
        &self,
        head: &Head,
        leader: Address,
        timestamp_ms: u64,
        claimed: u64,
    ) -> Result<BlockAttributes, ChainError> {
        let height = Height(head.header.number).next();
        let rule = |reason| ChainError::Rule { height, reason };
        if !self.epochs.leadership(&head.header)?.leaders.contains(&leader) {
            return Err(rule("its leader is not a member"));
        }
        let advance = claimed.checked_sub(head.origin.number).ok_or_else(|| rule("its L1 origin goes back"))?;
        if advance > self.genesis.params.max_origin_advance {
            return Err(rule("its L1 origin advances too far"));
        }
        self.attributes(head, claimed, timestamp_ms, leader)
    }

    /// Executes a block derived from L1 on the head.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn apply_derived(&self, derived: &DerivedBlock) -> Result<Arc<Candidate>, ChainError> {
        let head = self.head();
        if derived.height != Height(head.header.number).next() {
            return Err(ChainError::NotNext(derived.height));
        }
        let state = Arc::new(self.store.latest_state());
        let executed = self.execute_derived(&head.header, derived, state, &self.store)?;
        Ok(self.keep(executed))
    }

    /// Executes a derived block on any state.
    fn execute_derived(
        &self,
        parent: &Sealed<Header>,
        derived: &DerivedBlock,
        state: Arc<dyn StateReader>,
        commitment: &dyn StateCommitment,
    ) -> Result<ExecutedBlock, ChainError> {
        let mut attributes = derived.attributes.clone();
        if let Some(deposit) = self.epoch_deposit(parent)? {
            attributes.deposits.insert(0, deposit);
        }
        let mut builder = BlockBuilder::new(&self.rules, parent, &attributes, state).map_err(|error| match error {
            OpenError::Fatal(error) => ChainError::Execution(error),
            other => InvalidBlock::Open(other.to_string()).into(),
        })?;
        for (index, bytes) in derived.transactions.iter().enumerate() {
            let tx =
                recover(bytes, self.rules.chain_id).map_err(|reason| InvalidBlock::Transaction { index, reason })?;
            match builder.push(&tx) {
                Ok(_) => {}
                Err(PushError::Fatal(error)) => return Err(error.into()),
                Err(_) => {
                    return Err(ChainError::Rule {
                        height: derived.height,
                        reason: "a transaction cannot be executed",
                    });
                }
            }
        }
        Ok(builder.finish(commitment)?)
    }

    /// What derived blocks after the head would be. Nothing is kept: they count when L1 has their batch.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn derive_ahead(&self, blocks: &[DerivedBlock]) -> Result<Vec<ExecutedBlock>, ChainError> {
        let mut parent = self.head().header;
        let mut ahead = Ahead::new(self.store.latest_state());
        let mut executed: Vec<ExecutedBlock> = Vec::new();
        for derived in blocks {
            if derived.height != Height(parent.number).next() {
                return Err(ChainError::NotNext(derived.height));
            }
            let block = self.execute_derived(&parent, derived, Arc::new(ahead.clone()), &ahead)?;
            parent = Sealed::new_unchecked(block.block.header.clone(), block.hash);
            ahead.push(&parent, block.diff.clone());
            executed.push(block);
        }
        Ok(executed)
    }

    /// Checks a certificate against the set of the height after the head.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn check_certificate(&self, certificate: &CommitCertificate) -> Result<(), ChainError> {
        let head = self.head();
        if certificate.height != Height(head.header.number).next() {
            return Err(ChainError::NotNext(certificate.height));
        }
        let leadership = self.epochs.leadership(&head.header)?;
        certificate.verify(&self.domain, &leadership.set)?;
        Ok(())
    }

    /// Makes an executed block `latest`, durably. Committing the head again is not an error (a crash can come between the
    /// commit and the engine's note of it).
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn commit(
        &self,
        hash: B256,
        certificate: Option<CommitCertificate>,
    ) -> Result<Option<Arc<Candidate>>, ChainError> {
        let _one_at_a_time = self.committing.lock();
        if self.head.borrow().header.hash() == hash {
            return Ok(None);
        }
        let candidate = self.candidate(hash).ok_or(ChainError::Unknown(hash))?;
        let ExecutedBlock { block, senders, receipts, diff, .. } = candidate.executed.clone();
        self.store.commit_block(&CommittedBlock { block, senders, receipts, diff, certificate })?;
        self.candidates.lock().clear();
        let head = head_of(&self.genesis, &candidate.executed.block, hash)?;
        self.head.send_replace(head);
        Ok(Some(candidate))
    }

    /// An executed, undecided block.
    #[must_use]
    pub fn candidate(&self, hash: B256) -> Option<Arc<Candidate>> {
        self.candidates.lock().iter().find(|candidate| candidate.executed.hash == hash).cloned()
    }

    /// Keeps an executed block until its height is decided.
    pub fn keep(&self, executed: ExecutedBlock) -> Arc<Candidate> {
        let encoded = alloy_rlp::encode(&executed.block).into();
        let hash = executed.hash;
        let candidate = Arc::new(Candidate { executed, encoded });
        let mut candidates = self.candidates.lock();
        candidates.retain(|known| known.executed.hash != hash);
        if candidates.len() >= MAX_CANDIDATES {
            candidates.pop_front();
        }
        candidates.push_back(candidate.clone());
        candidate
    }

    /// Where derivation from L1 goes on after the head.
    #[must_use]
    pub fn derivation_tip(&self) -> DerivationTip {
        let head = self.head();
        DerivationTip {
            height: Height(head.header.number),
            timestamp_ms: timestamp_ms(&head.header),
            origin: head.origin.number,
            sequence_number: head.sequence_number,
        }
    }
}

impl From<DeriveError> for ChainError {
    fn from(error: DeriveError) -> Self {
        match error {
            DeriveError::MissingL1(number) => Self::L1Behind(number),
            DeriveError::Timestamp(height) => Self::Rule { height, reason: "it is older than its parent" },
            DeriveError::Origin(..) => Self::Rule { height: Height(0), reason: "its L1 origin does not follow" },
        }
    }
}

fn read_head(genesis: &Genesis, store: &Store) -> Result<Head, ChainError> {
    let latest = store.heads().latest;
    let block = store.block(latest.height)?.ok_or(StoreError::UnknownHeight(latest.height))?;
    head_of(genesis, &block, latest.hash)
}

fn head_of(genesis: &Genesis, block: &Block, hash: B256) -> Result<Head, ChainError> {
    let header = Sealed::new_unchecked(block.header.clone(), hash);
    if header.number == 0 {
        return Ok(Head { header, origin: genesis.origin, sequence_number: 0 });
    }
    let attributes = attributes_of(block).ok_or(EpochError::NoAttributes(Height(header.number)))?;
    Ok(Head { header, origin: attributes.origin, sequence_number: attributes.sequence_number })
}
