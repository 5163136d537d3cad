//! The one place where a block becomes `latest`: store first, then pool, subscribers and peers.

use std::sync::Arc;

use alloy_primitives::{B256, Bytes};
use protocol::CommitCertificate;
use rpc::{ChainEvent, NewHead};
use tokio::sync::{broadcast, mpsc};

use crate::{
    chain::{Candidate, Chain, ChainError},
    transactions::Transactions,
    views,
};

/// Decided blocks waiting to be sent to followers; a follower that misses one asks for it.
const ANNOUNCEMENTS: usize = 64;

/// A decided block for followers.
#[derive(Clone, Debug)]
pub struct Announcement {
    /// RLP of the block.
    pub block: Bytes,
    /// Its certificate.
    pub certificate: CommitCertificate,
}

/// Commits and tells everyone.
pub struct Committer {
    chain: Arc<Chain>,
    transactions: Arc<Transactions>,
    events: broadcast::Sender<ChainEvent>,
    announcements: mpsc::Sender<Announcement>,
}

impl Committer {
    /// A committer; the receiver yields blocks to announce to followers.
    #[must_use]
    pub fn new(
        chain: Arc<Chain>,
        transactions: Arc<Transactions>,
        events: broadcast::Sender<ChainEvent>,
    ) -> (Arc<Self>, mpsc::Receiver<Announcement>) {
        let (announcements, receiver) = mpsc::channel(ANNOUNCEMENTS);
        (Arc::new(Self { chain, transactions, events, announcements }), receiver)
    }

    /// Commits a block that consensus decided.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn commit_decided(&self, block: &Bytes, certificate: CommitCertificate) -> Result<(), ChainError> {
        let hash = certificate.block_hash;
        if self.chain.head().header.hash() != hash && self.chain.candidate(hash).is_none() {
            // Many rounds of one height push out what was executed first.
            self.chain.check(block, None, &|hash| self.transactions.sender_of(hash))?;
        }
        if self.commit(certificate.block_hash, Some(certificate.clone()))? {
            // A full queue drops: followers ask for what they miss.
            let _ = self.announcements.try_send(Announcement { block: block.clone(), certificate });
        }
        Ok(())
    }

    /// Commits an executed block; `false` when it was the head already.
    ///
    /// # Errors
    /// See [`ChainError`].
    pub fn commit(&self, hash: B256, certificate: Option<CommitCertificate>) -> Result<bool, ChainError> {
        let round = certificate.as_ref().map(|certificate| certificate.round.0);
        let Some(candidate) = self.chain.commit(hash, certificate)? else {
            return Ok(false);
        };
        self.transactions.on_block(&candidate).map_err(execution::ExecutionError::from)?;
        self.publish(&candidate);
        let header = &candidate.executed.block.header;
        metrics::gauge!("horae_latest_height").set(header.number as f64);
        metrics::counter!("horae_transactions_total")
            .increment(candidate.executed.block.body.transactions.len() as u64);
        tracing::info!(
            height = header.number, round, %hash, leader = %protocol::block::leader(header),
            transactions = candidate.executed.block.body.transactions.len(), gas = header.gas_used, "block committed"
        );
        Ok(true)
    }

    fn publish(&self, candidate: &Candidate) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let executed = &candidate.executed;
        let block = Arc::new(views::block_record(&executed.block, executed.hash, &executed.senders));
        let receipts = Arc::new(views::receipt_records(&executed.block, &executed.receipts));
        let _ = self.events.send(ChainEvent::Head(NewHead { block, receipts }));
    }
}
