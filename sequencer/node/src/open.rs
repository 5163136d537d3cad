//! Open blocks: ours while we lead, other leaders' as their slices arrive, and the pending block that both make.
//!
//! ```text
//!  propose ─ open, fill, seal ─► ┌────────────┐ ─► candidates of the chain
//!  engine, swarm ─► book ─► ─ ─► │ one thread │ ─► pending block ─► RPC
//!  validate, follow ─ finish ──► └────────────┘
//! ```

mod arriving;
mod book;
mod worker;

use std::{sync::Arc, thread::JoinHandle};

use alloy_primitives::{Address, B256, Bytes};
use l1::L1View;
use network::Verdict;
use parking_lot::Mutex;
use protocol::{Height, Slice};
use rpc::ChainEvent;
use store::StoreError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    chain::{Candidate, Chain, ChainError},
    evidence,
    pending::PendingBlock,
    transactions::Transactions,
};
use book::{Book, Entry};
use worker::{Job, Place, State, Worker};

/// Jobs that wait for the thread; a slice beyond is lost, which costs its block a second execution.
const MAX_JOBS: usize = 256;
/// Slices that wait for the head to move; 128 KiB each at most.
const MAX_EARLY: usize = 64;
/// Heights behind the head whose slices can still be contradicted.
const REMEMBERED_HEIGHTS: u64 = 2;

/// A thread that is waited for: it holds the database, which must be closed before the process ends.
struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // A thread that panicked has said so.
        drop(self.0.take().map(JoinHandle::join));
    }
}

/// The way to the thread.
pub struct OpenBlocks {
    chain: Arc<Chain>,
    /// Dropped before `_thread`, which it ends.
    jobs: mpsc::Sender<Job>,
    _thread: Joined,
    book: Mutex<Book>,
    /// Slices of the height after the next one, by whom.
    early: Mutex<Vec<(Address, Slice)>>,
    pending: watch::Receiver<Option<Arc<PendingBlock>>>,
}

impl OpenBlocks {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        chain: Arc<Chain>,
        transactions: Arc<Transactions>,
        events: broadcast::Sender<ChainEvent>,
    ) -> std::io::Result<Arc<Self>> {
        let (jobs, inbox) = mpsc::channel(MAX_JOBS);
        let (shown, pending) = watch::channel(None);
        let on = chain.clone();
        let work = move || {
            let state = State::default();
            Worker { chain: on, transactions, pending: shown, events, state }.run(inbox);
        };
        let thread = std::thread::Builder::new().name("open-blocks".to_owned()).spawn(work)?;
        Ok(Arc::new(Self {
            chain,
            jobs,
            _thread: Joined(Some(thread)),
            book: Mutex::default(),
            early: Mutex::default(),
            pending,
        }))
    }

    /// Keeps the open blocks on the head and on our view of L1. Ends with an error when the thread has ended.
    pub async fn follow(self: Arc<Self>, mut l1: watch::Receiver<Option<L1View>>) -> eyre::Result<()> {
        let mut head = self.chain.watch_head();
        loop {
            tokio::select! {
                changed = head.changed() => changed?,
                changed = l1.changed() => changed?,
            }
            let next = head.borrow_and_update().header.number.saturating_add(1);
            self.book.lock().forget_before(Height(next.saturating_sub(REMEMBERED_HEIGHTS)));
            self.jobs.send(Job::Moved).await.map_err(|_| eyre::eyre!("the open blocks' thread ended"))?;
            let early = std::mem::take(&mut *self.early.lock());
            for (signer, slice) in early.into_iter().filter(|(_, slice)| slice.height.0 >= next) {
                // Relayed when it came.
                self.on_gossip(signer, slice)?;
            }
        }
    }

    /// The pending block on top of the head, if its leader has begun it.
    #[must_use]
    pub fn pending(&self) -> Option<Arc<PendingBlock>> {
        let pending = self.pending.borrow().clone()?;
        // The store's head is the first to move: a block that it has is decided, whoever has yet to hear of it.
        (pending.height() == self.chain.store().heads().latest.height.saturating_add(1)).then_some(pending)
    }

    /// Takes a slice whose leader consensus has checked.
    ///
    /// # Errors
    /// Evidence could not be stored.
    pub fn on_slice(&self, leader: Address, slice: &Slice) -> Result<(), StoreError> {
        if self.note(leader, slice)? == Entry::New {
            // A full mailbox drops: the block is executed as a whole then.
            let _ = self.jobs.try_send(Job::Slice { leader, slice: slice.clone() });
        }
        Ok(())
    }

    /// Notes a slice of ours on its way out.
    ///
    /// # Errors
    /// See [`Self::on_slice`].
    pub fn on_sent(&self, leader: Address, slice: &Slice) -> Result<(), StoreError> {
        self.note(leader, slice).map(drop)
    }

    /// Judges a slice from the swarm, which a member signed.
    ///
    /// # Errors
    /// See [`Self::on_slice`].
    pub fn on_gossip(&self, signer: Address, slice: Slice) -> Result<Verdict, StoreError> {
        let next = self.chain.head().header.number.saturating_add(1);
        let height = slice.height.0;
        if height == next.saturating_add(1) {
            // Our head is a moment behind; who leads is seen when it moves.
            let mut early = self.early.lock();
            if early.len() >= MAX_EARLY {
                return Ok(Verdict::Ignore);
            }
            early.push((signer, slice));
            return Ok(Verdict::Accept);
        }
        let is_past = height < next && height >= next.saturating_sub(REMEMBERED_HEIGHTS);
        if height != next && !is_past {
            return Ok(Verdict::Ignore);
        }
        if height == next && !self.chain.leads(slice.height, slice.round, signer) {
            return Ok(Verdict::Reject);
        }
        if is_past && !self.book.lock().knows(signer, &slice) {
            return Ok(Verdict::Ignore);
        }
        match self.note(signer, &slice)? {
            Entry::New => {
                let _ = self.jobs.try_send(Job::Slice { leader: signer, slice });
                Ok(Verdict::Accept)
            }
            // The contradiction has to reach the others too, once.
            Entry::Known | Entry::Conflict(Some(_)) => Ok(Verdict::Accept),
            Entry::Conflict(None) | Entry::Full => Ok(Verdict::Ignore),
        }
    }

    fn note(&self, leader: Address, slice: &Slice) -> Result<Entry, StoreError> {
        let entry = self.book.lock().note(leader, slice);
        if let Entry::Conflict(Some(found)) = &entry {
            tracing::warn!(%leader, height = %slice.height, round = %slice.round, "two slices at one place");
            self.chain.store().put_evidence(&evidence::Evidence::from(found.as_ref().clone()).encode())?;
        }
        Ok(entry)
    }

    /// Opens our block of a round, signed by `leader`.
    ///
    /// # Errors
    /// See [`ChainError`]; so for all below.
    pub async fn open(&self, place: Place, leader: Address, timestamp_ms: u64) -> Result<(), ChainError> {
        self.ask(|reply| Job::Open { place, leader, timestamp_ms, reply }).await?
    }

    /// Executes what the pool has got; returns the next bytes of the stream.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn fill(&self, place: Place) -> Result<Bytes, ChainError> {
        self.ask(|reply| Job::Fill { place, reply }).await?
    }

    /// What was filled is out: shows it as pending.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn streamed(&self, place: Place) -> Result<(), ChainError> {
        self.jobs.send(Job::Streamed { place }).await.map_err(|_| ChainError::Worker)
    }

    /// Closes our block.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn seal(&self, place: Place) -> Result<Arc<Candidate>, ChainError> {
        self.ask(|reply| Job::Seal { place, reply }).await?
    }

    /// Whether the slices of a block were executed and give exactly these bytes; the block is then among the chain's
    /// candidates, and otherwise has to be checked as a whole.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn finish(&self, hash: B256, block: Bytes) -> Result<bool, ChainError> {
        self.ask(|reply| Job::Finish { hash, block, reply }).await
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, ChainError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| ChainError::Worker)?;
        answer.await.map_err(|_| ChainError::Worker)
    }
}
