//! Candidates for the next height, and the one write that makes a block the head.

use std::sync::Arc;

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{Address, B256, keccak256};
use alloy_rlp::{Decodable, Encodable};
use op_alloy_consensus::OpReceiptEnvelope;
use protocol::{
    Block, CommitCertificate,
    state::{Roots, StateCommitment, StateDiff, StateError},
};
use rocksdb::{DB, WriteBatch};

use crate::{
    Head, Store, StoreError,
    chain::{RecentState, encode_head, family, synced},
    codec,
    schema::{
        BODIES, CERTIFICATES, CODE, DIFFS, HEADERS, HEIGHTS, META, META_LATEST, RECEIPTS, SENDERS, TRANSACTIONS,
        height_key,
    },
    trie::StateTrie,
};

/// A decided block with everything that follows from executing it.
#[derive(Clone, Debug)]
pub struct CommittedBlock {
    /// Header and transactions.
    pub block: Block,
    /// Of each transaction, in order: recovering them costs more than all else when a block is read.
    pub senders: Vec<Address>,
    /// One for each transaction, in order.
    pub receipts: Vec<OpReceiptEnvelope>,
    /// What the block changed in its parent's state.
    pub diff: StateDiff,
    /// The certificate that decided it; `None` for a block that was derived from L1.
    pub certificate: Option<CommitCertificate>,
}

/// The state after a diff on top of the head, not committed. Cheap: it shares all unchanged nodes with the head.
#[derive(Debug)]
pub struct Candidate {
    parent: B256,
    /// Of the diff, so that another diff is never committed under this candidate's trie.
    fingerprint: u64,
    roots: Roots,
    trie: StateTrie,
}

impl Candidate {
    /// Roots of the state.
    #[must_use]
    pub const fn roots(&self) -> Roots {
        self.roots
    }
}

/// Hash of a diff within this process.
fn fingerprint(diff: &StateDiff) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for (address, change) in &diff.accounts {
        address.hash(&mut hasher);
        change.account.map(|account| (account.nonce, account.balance, account.code_hash)).hash(&mut hasher);
        change.storage_wiped.hash(&mut hasher);
        change.storage.hash(&mut hasher);
    }
    hasher.finish()
}

/// The state before genesis, which holds nothing: what the genesis block's roots are computed over.
#[derive(Clone, Copy, Debug)]
pub struct EmptyState;

impl StateCommitment for EmptyState {
    fn roots_after(&self, diff: &StateDiff) -> Result<Roots, StateError> {
        Ok(StateTrie::default().with(diff).roots())
    }
}

impl StateCommitment for Store {
    fn roots_after(&self, diff: &StateDiff) -> Result<Roots, StateError> {
        Ok(self.candidate(diff).roots())
    }
}

impl Store {
    /// The head state with `diff` on top. Remembered, so that committing the block computes nothing again.
    #[must_use]
    pub fn candidate(&self, diff: &StateDiff) -> Arc<Candidate> {
        let head = self.head_state();
        let trie = head.trie.with(diff);
        let roots = trie.roots();
        let candidate = Arc::new(Candidate { parent: head.header.hash(), fingerprint: fingerprint(diff), roots, trie });
        self.inner().candidates.lock().put((candidate.parent, roots.state_root), Arc::clone(&candidate));
        candidate
    }

    /// Makes a block the head: one atomic write, one sync. When this returns, the block survives any crash.
    ///
    /// Uses the remembered [`Candidate`] with the header's state root, or computes it.
    ///
    /// # Errors
    /// [`StoreError::Misfit`] and [`StoreError::WrongRoot`] for a block that does not follow from the head; nothing is
    /// changed then. Errors of the disk ([`StoreError::must_halt`]) leave the store unwritable.
    pub fn commit_block(&self, committed: &CommittedBlock) -> Result<Head, StoreError> {
        let inner = self.inner();
        let _committing = inner.commit.lock();
        inner.check()?;
        let parent = self.head_state();
        let header = &committed.block.header;
        let hash = header.hash_slow();
        check_fit(&parent.header, committed, hash)?;
        let candidate = self.candidate_for(&committed.diff, header, parent.header.hash());
        check_roots(&candidate, header)?;

        let mut batch = WriteBatch::default();
        write_block(&inner.db, &mut batch, committed, hash)?;
        inner.note(inner.db.write_opt(batch, &synced()).map_err(StoreError::from))?;

        let head = Head { height: header.number, hash };
        self.adopt(committed, head, candidate.trie.clone());
        if inner.chain.read().unsettled.len() > inner.config.max_unsettled_blocks {
            inner.settle_due()?;
        }
        self.wake_settler();
        Ok(head)
    }

    fn candidate_for(&self, diff: &StateDiff, header: &Header, parent: B256) -> Arc<Candidate> {
        let known = self.inner().candidates.lock().pop(&(parent, header.state_root));
        known.filter(|known| known.fingerprint == fingerprint(diff)).unwrap_or_else(|| self.candidate(diff))
    }

    /// Publishes a block that is durable.
    fn adopt(&self, committed: &CommittedBlock, head: Head, trie: StateTrie) {
        let inner = self.inner();
        let header = Arc::new(Sealed::new_unchecked(committed.block.header.clone(), head.hash));
        inner.headers.lock().put(head.height, Arc::clone(&header));
        let block = Arc::new(Sealed::new_unchecked(committed.block.clone(), head.hash));
        inner.blocks.lock().put(head.height, block);
        inner.receipts.lock().put(head.height, Arc::new(committed.receipts.clone()));
        inner.candidates.lock().clear();
        let mut chain = inner.chain.write();
        chain.recent.push_back(Arc::new(RecentState { header, trie }));
        chain.unsettled.push_back(Arc::new(committed.diff.clone()));
        chain.heads.latest = head;
    }
}

fn check_fit(parent: &Sealed<Header>, committed: &CommittedBlock, hash: B256) -> Result<(), StoreError> {
    let header = &committed.block.header;
    let misfit = |reason| Err(StoreError::Misfit { height: header.number, reason });
    if header.number != parent.number.saturating_add(1) {
        return misfit("its height is not the next one");
    }
    if header.parent_hash != parent.hash() {
        return misfit("its parent is not the head");
    }
    check_parts(committed)?;
    match &committed.certificate {
        Some(certificate) if certificate.height.0 != header.number || certificate.block_hash != hash => {
            misfit("its certificate is for another block")
        }
        _ => Ok(()),
    }
}

/// What must hold for any block, genesis too.
pub(crate) fn check_parts(committed: &CommittedBlock) -> Result<(), StoreError> {
    let misfit = |reason| Err(StoreError::Misfit { height: committed.block.header.number, reason });
    if committed.receipts.len() != committed.block.body.transactions.len() {
        return misfit("receipts and transactions differ in number");
    }
    if committed.senders.len() != committed.block.body.transactions.len() {
        return misfit("senders and transactions differ in number");
    }
    let mut header = Vec::with_capacity(640);
    committed.block.header.encode(&mut header);
    // RLP cannot skip an optional field before a present one: such a header would be lost with its encoding.
    if Header::decode(&mut header.as_slice()).as_ref() != Ok(&committed.block.header) {
        return misfit("its header does not survive encoding");
    }
    if committed.diff.code.iter().any(|(hash, code)| keccak256(code) != *hash) {
        return misfit("a code is not what its hash says");
    }
    Ok(())
}

fn check_roots(candidate: &Candidate, header: &Header) -> Result<(), StoreError> {
    let roots = candidate.roots;
    let wrong = |claimed, computed| Err(StoreError::WrongRoot { height: header.number, claimed, computed });
    if roots.state_root != header.state_root {
        return wrong(header.state_root, roots.state_root);
    }
    match header.withdrawals_root {
        Some(claimed) if claimed != roots.withdrawals_root => wrong(claimed, roots.withdrawals_root),
        _ => Ok(()),
    }
}

/// Puts a block and all that belongs to it into `batch`, the head too.
pub(crate) fn write_block(
    db: &DB,
    batch: &mut WriteBatch,
    committed: &CommittedBlock,
    hash: B256,
) -> Result<(), StoreError> {
    let CommittedBlock { block, senders, receipts, diff, certificate } = committed;
    let height = block.header.number;
    let key = height_key(height);
    batch.put_cf(family(db, HEADERS)?, key, codec::encode_header(&block.header, &hash));
    batch.put_cf(family(db, BODIES)?, key, encode(&block.body));
    batch.put_cf(family(db, SENDERS)?, key, codec::encode_senders(senders));
    batch.put_cf(family(db, HEIGHTS)?, hash, key);
    batch.put_cf(family(db, RECEIPTS)?, key, codec::encode_receipts(receipts));
    batch.put_cf(family(db, DIFFS)?, key, codec::encode_diff(diff));
    if let Some(certificate) = certificate {
        batch.put_cf(family(db, CERTIFICATES)?, key, encode(certificate));
    }
    let transactions = family(db, TRANSACTIONS)?;
    for (index, transaction) in (0_u32..).zip(&block.body.transactions) {
        let mut location = [0; 12];
        let (head, tail) = location.split_at_mut(8);
        head.copy_from_slice(&key);
        tail.copy_from_slice(&index.to_be_bytes());
        batch.put_cf(transactions, transaction.tx_hash(), location);
    }
    let codes = family(db, CODE)?;
    for (code_hash, code) in &diff.code {
        batch.put_cf(codes, code_hash, code);
    }
    batch.put_cf(family(db, META)?, META_LATEST, encode_head(&Head { height, hash }));
    Ok(())
}

fn encode(value: &impl Encodable) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.length());
    value.encode(&mut out);
    out
}
