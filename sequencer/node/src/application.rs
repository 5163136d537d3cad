//! The chain behind consensus' port: what the engine asks, answered by the chain on worker threads.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use consensus::{AppError, Application, Built, Candidate, Evidence, Refusal, Turn};
use l1::L1View;
use network::NetworkHandle;
use parking_lot::Mutex;
use protocol::{CommitCertificate, Height, Leadership, Round, Slice, block::timestamp_ms, limits::MAX_SLICES};
use tokio::sync::{mpsc, watch};

use crate::{
    chain::{Chain, ChainError},
    committer::Committer,
    evidence,
    open::OpenBlocks,
    transactions::{Transactions, now_ms},
};

/// Longest wait for our own L1 view to reach a proposed block's origin.
const L1_PATIENCE: Duration = Duration::from_millis(300);

/// Least time between two looks into the pool for an open block: what comes in between is executed in one go.
const FILL_PERIOD: Duration = Duration::from_millis(10);
/// Slices streamed before the block is due; room is left for a block of the largest size.
const MAX_STREAMED: u32 = MAX_SLICES / 2;

/// What the engine talks to.
pub struct Sequencing {
    /// The chain.
    pub chain: Arc<Chain>,
    /// The pool.
    pub transactions: Arc<Transactions>,
    /// Commits and tells everyone.
    pub committer: Arc<Committer>,
    /// Blocks under construction, ours and others'.
    pub open_blocks: Arc<OpenBlocks>,
    /// Takes our slices to the followers.
    pub network: NetworkHandle,
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
    async fn check(&self, hash: B256, block: &Bytes) -> Result<(), ChainError> {
        let patience = tokio::time::Instant::now() + L1_PATIENCE;
        let started = std::time::Instant::now();
        if self.open_blocks.finish(hash, block.clone()).await? {
            metrics::counter!("horae_blocks_checked_total", "how" => "slices").increment(1);
            metrics::histogram!("horae_block_check_seconds").record(started.elapsed().as_secs_f64());
            return Ok(());
        }
        metrics::counter!("horae_blocks_checked_total", "how" => "whole").increment(1);
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

impl Sequencing {
    /// Timestamp of the block that is opened now, and how long it stays open: until one interval after the head's. A head
    /// from the future (clock drift) is waited for no longer than an interval, so that the drift fades.
    fn due(&self) -> (u64, Duration) {
        let (now, head) = (now_ms(), self.head_timestamp_ms());
        let interval = self.chain.genesis().params.block_interval_ms;
        let due = head.saturating_add(interval).min(now.saturating_add(interval)).max(now);
        (due.max(head), Duration::from_millis(due.saturating_sub(now)))
    }

    /// Fills our open block until `seal_at` and streams it: what arrives is executed at once, and leaves with the next slice.
    async fn stream(
        &self,
        place: (Height, Round),
        stream: &mpsc::Sender<Bytes>,
        seal_at: tokio::time::Instant,
    ) -> Result<(), AppError> {
        let interval = Duration::from_millis(self.chain.genesis().params.slice_interval_ms);
        let (mut waiting, mut slices) = (Vec::new(), 0);
        let mut next_slice = tokio::time::Instant::now();
        loop {
            // Listen before filling: nothing falls between two looks.
            let arrival = self.transactions.arrival();
            waiting.extend_from_slice(&self.open_blocks.fill(place).await.map_err(retry_or_halt)?);
            let filled = tokio::time::Instant::now();
            let is_last = filled >= seal_at;
            if !waiting.is_empty() && (is_last || filled >= next_slice && slices < MAX_STREAMED) {
                let piece = std::mem::take(&mut waiting).into();
                stream.send(piece).await.map_err(|_| AppError::Retry("the turn is over".to_owned()))?;
                self.open_blocks.streamed(place).await.map_err(retry_or_halt)?;
                (slices, next_slice) = (slices.saturating_add(1), filled + interval);
            }
            if is_last {
                return Ok(());
            }
            let due = if waiting.is_empty() || slices >= MAX_STREAMED { seal_at } else { next_slice.min(seal_at) };
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = async { arrival.await; tokio::time::sleep_until(filled + FILL_PERIOD).await } => {}
            }
        }
    }

    fn leader_of(&self, slice: &Slice) -> Option<Address> {
        let leadership = self.chain.epochs().leadership(&self.chain.head().header).ok()?;
        leadership.leader(slice.round.0).filter(|_| leadership.height == slice.height)
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

    fn earliest(&self) -> Height {
        // Genesis has no certificate to show.
        Height(self.chain.store().oldest().bodies.max(1))
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

    async fn propose(&self, turn: Turn) -> Result<Built, AppError> {
        let Turn { height, round, mut asked, stream } = turn;
        let place = (height, round);
        if round.0 == 0 {
            tokio::select! {
                () = self.ready(height) => {}
                _ = asked.wait_for(|asked| *asked) => {}
            }
        }
        let (timestamp_ms, wait) = self.due();
        let seal_at = tokio::time::Instant::now() + wait;
        self.open_blocks.open(place, self.signer, timestamp_ms).await.map_err(retry_or_halt)?;
        self.stream(place, &stream, seal_at).await?;
        let started = std::time::Instant::now();
        let candidate = self.open_blocks.seal(place).await.map_err(retry_or_halt)?;
        metrics::histogram!("horae_block_seal_seconds").record(started.elapsed().as_secs_f64());
        let header = alloy_rlp::encode(&candidate.executed.block.header).into();
        Ok(Built { hash: candidate.executed.hash, header })
    }

    fn slice(&self, slice: &Slice) {
        if let Some(leader) = self.leader_of(slice) {
            self.open_blocks.on_slice(leader, slice);
        }
    }

    fn sent(&self, slice: &Slice) {
        self.open_blocks.on_sent(self.signer, slice);
        if let Err(error) = self.network.publish_slice(slice.clone()) {
            tracing::debug!(%error, "slice not sent to followers");
        }
    }

    fn is_whole(&self, block: &Bytes) -> bool {
        protocol::block::is_whole(block)
    }

    async fn validate(&self, candidate: Candidate) -> Result<(), Refusal> {
        match self.check(candidate.hash, &candidate.block).await {
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
