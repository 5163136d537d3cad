//! The chain behind consensus' port: what the engine asks, answered by the chain on worker threads.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, Bytes};
use async_trait::async_trait;
use consensus::{AppError, Application, Built, Candidate, Evidence, Refusal};
use l1::L1View;
use parking_lot::Mutex;
use protocol::{CommitCertificate, Height, Leadership, Round, block::timestamp_ms};
use tokio::sync::{mpsc, watch};

use crate::{
    chain::{Chain, ChainError},
    committer::Committer,
    evidence,
    transactions::{Transactions, now_ms},
};

/// Longest wait for our own L1 view to reach a proposed block's origin.
const L1_PATIENCE: Duration = Duration::from_millis(300);

/// What the engine talks to.
pub struct Sequencing {
    /// The chain.
    pub chain: Arc<Chain>,
    /// The pool.
    pub transactions: Arc<Transactions>,
    /// Commits and tells everyone.
    pub committer: Arc<Committer>,
    /// Our view of L1; wakes waiting validations.
    pub l1: watch::Receiver<Option<L1View>>,
    /// Who we are.
    pub signer: Address,
    /// Tells the node that it must end, with the reason.
    pub fatal: mpsc::Sender<String>,
    /// Held while a block commits; false once this engine has been stopped, after which it commits nothing more.
    pub open: Arc<Mutex<bool>>,
}

fn halt(error: impl std::fmt::Display) -> AppError {
    AppError::Halt(error.to_string())
}

fn retry_or_halt(error: ChainError) -> AppError {
    if error.must_halt() { AppError::Halt(error.to_string()) } else { AppError::Retry(error.to_string()) }
}

/// Runs synchronous work of the chain on a worker thread.
async fn off_loop<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

impl Sequencing {
    async fn check(&self, block: &Bytes) -> Result<(), ChainError> {
        let patience = tokio::time::Instant::now() + L1_PATIENCE;
        let mut l1 = self.l1.clone();
        loop {
            l1.mark_unchanged();
            let (chain, transactions, bytes) = (self.chain.clone(), self.transactions.clone(), block.clone());
            let known = move |hash: &_| transactions.sender_of(hash);
            let checked = off_loop(move || chain.check(&bytes, Some(now_ms()), &known).map(drop)).await;
            match checked {
                Some(Err(ChainError::L1Behind(number))) => {
                    if !matches!(tokio::time::timeout_at(patience, l1.changed()).await, Ok(Ok(()))) {
                        return Err(ChainError::L1Behind(number));
                    }
                }
                Some(result) => return result,
                None => return Err(ChainError::Worker),
            }
        }
    }
}

#[async_trait]
impl Application for Sequencing {
    fn head(&self) -> Height {
        Height(self.chain.head().header.number)
    }

    fn head_timestamp_ms(&self) -> u64 {
        timestamp_ms(&self.chain.head().header)
    }

    fn leadership(&self, _height: Height) -> Result<Leadership, AppError> {
        self.chain.epochs().leadership(&self.chain.head().header).map_err(halt)
    }

    async fn ready(&self, _height: Height) {
        let idle = self.chain.genesis().params.idle_interval_ms;
        let due = self.head_timestamp_ms().saturating_add(idle);
        let mut l1 = self.l1.clone();
        loop {
            let arrival = self.transactions.arrival();
            let left = due.saturating_sub(now_ms());
            if left == 0 || self.transactions.has_executable() || self.chain.deposits_wait() {
                return;
            }
            tokio::select! {
                () = arrival => {}
                _ = l1.changed() => {}
                () = tokio::time::sleep(Duration::from_millis(left)) => {}
            }
        }
    }

    async fn propose(&self, _height: Height, _round: Round, _deadline: Instant) -> Result<Built, AppError> {
        let (chain, best, signer) = (self.chain.clone(), self.transactions.best(), self.signer);
        let built = off_loop(move || chain.build(signer, now_ms(), best)).await;
        let (candidate, invalid) = built.ok_or_else(|| halt("block builder stopped"))?.map_err(retry_or_halt)?;
        self.transactions.drop_invalid(&invalid);
        Ok(Built { hash: candidate.executed.hash, block: candidate.encoded.clone() })
    }

    async fn validate(&self, candidate: Candidate) -> Result<(), Refusal> {
        match self.check(&candidate.block).await {
            Ok(()) => {}
            Err(error) if error.must_halt() => {
                // A full channel means that the node is ending already.
                let _ = self.fatal.try_send(error.to_string());
                return Err(Refusal::Unable(error.to_string()));
            }
            Err(error @ (ChainError::L1Behind(_) | ChainError::NotNext(_) | ChainError::Epoch(_))) => {
                return Err(Refusal::Unable(error.to_string()));
            }
            Err(error) => return Err(Refusal::Invalid(error.to_string())),
        }
        let leader =
            self.chain.candidate(candidate.hash).map(|known| protocol::block::leader(&known.executed.block.header));
        match candidate.leader {
            Some(expected) if leader != Some(expected) => {
                Err(Refusal::Invalid("the block names another leader".to_owned()))
            }
            _ => Ok(()),
        }
    }

    async fn commit(&self, certificate: CommitCertificate, block: Bytes) -> Result<(), AppError> {
        let (committer, open) = (self.committer.clone(), self.open.clone());
        let work = move || {
            let open = open.lock();
            if *open { committer.commit_decided(&block, certificate).map_err(halt) } else { Err(halt("stopped")) }
        };
        off_loop(work).await.ok_or_else(|| halt("commit worker stopped"))?
    }

    async fn decided(&self, height: Height) -> Option<(Bytes, CommitCertificate)> {
        let store = self.chain.store().clone();
        off_loop(move || {
            let certificate = store.certificate(height).ok()??;
            let block = store.block(height.0).ok()??;
            Some((Bytes::from(alloy_rlp::encode(block.inner())), certificate))
        })
        .await?
    }

    async fn evidence(&self, found: Vec<Evidence>) -> Result<(), AppError> {
        let store = self.chain.store().clone();
        let mut found = found.into_iter().map(evidence::Evidence::from);
        let keep = move || found.try_for_each(|one| store.put_evidence(&one.encode()).map(drop));
        off_loop(keep).await.ok_or_else(|| halt("evidence worker stopped"))?.map_err(halt)
    }
}
