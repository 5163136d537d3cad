//! Open blocks: ours while we lead, other leaders' as their slices arrive, and the pending block that both make.
//!
//! ```text
//!  propose ─ open, fill, seal ─► ┌────────────┐ ─► candidates of the chain
//!  engine, swarm ─► book ─► ─ ─► │ one thread │ ─► pending block ─► RPC
//!  validate, follow ─ finish ──► └────────────┘
//! ```

mod arriving;
mod book;
mod rounds;
mod worker;

use std::{collections::BTreeMap, sync::Arc, thread::JoinHandle};

use alloy_primitives::{Address, B256, Bytes};
use l1::L1View;
use network::Verdict;
use parking_lot::Mutex;
use protocol::{Height, Round, Slice, block::timestamp_ms, limits::MAX_BLOCK_BYTES};
use rpc::ChainEvent;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    chain::{Candidate, Chain, ChainError, Head},
    evidence,
    pending::PendingBlock,
    transactions::{Transactions, now_ms},
};
use book::{Book, Entry};
use rounds::Rounds;
use worker::{Job, Place, State, Worker};

/// Jobs that wait for the thread; a slice beyond is lost, which costs its block a second execution.
const MAX_JOBS: usize = 256;
/// Slices of one member that wait for the head to move, and their bytes: a whole block, so that nobody takes another's place.
const MAX_EARLY: usize = 32;
const MAX_EARLY_BYTES: usize = MAX_BLOCK_BYTES;
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

/// A slice of our own key that this run did not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// Its height.
    pub height: Height,
    /// Its round.
    pub round: Round,
    /// There is another one at its place: no former run of ours can have sent both.
    pub is_certain: bool,
}

/// The way to the thread.
pub struct OpenBlocks {
    chain: Arc<Chain>,
    /// Dropped before `_thread`, which it ends.
    jobs: mpsc::Sender<Job>,
    _thread: Joined,
    book: Mutex<Book>,
    rounds: Mutex<Rounds>,
    /// Slices of the height after the next one, by the member that signed them.
    early: Mutex<BTreeMap<Address, Vec<Slice>>>,
    /// Why evidence could not be stored.
    failure: watch::Sender<Option<String>>,
    /// Whose slices we send.
    own: Mutex<Option<Address>>,
    suspicion: watch::Sender<Option<Suspicion>>,
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
            rounds: Mutex::default(),
            early: Mutex::default(),
            failure: watch::Sender::default(),
            own: Mutex::default(),
            suspicion: watch::Sender::default(),
            pending,
        }))
    }

    /// Keeps the open blocks on the head and on our view of L1. Ends with an error when the thread has ended or evidence
    /// cannot be stored.
    pub async fn follow(self: Arc<Self>, mut l1: watch::Receiver<Option<L1View>>) -> eyre::Result<()> {
        let mut head = self.chain.watch_head();
        let mut failure = self.failure.subscribe();
        loop {
            tokio::select! {
                changed = head.changed() => changed?,
                changed = l1.changed() => changed?,
                failed = failure.wait_for(Option::is_some) => {
                    return Err(eyre::eyre!("evidence: {}", failed?.clone().unwrap_or_default()));
                }
            }
            let next = head.borrow_and_update().header.number.saturating_add(1);
            self.book.lock().forget_before(Height(next.saturating_sub(REMEMBERED_HEIGHTS)));
            self.jobs.send(Job::Moved).await.map_err(|_| eyre::eyre!("the open blocks' thread ended"))?;
            let early = std::mem::take(&mut *self.early.lock());
            for (signer, slices) in early {
                for slice in slices.into_iter().filter(|slice| slice.height.0 >= next) {
                    // Relayed when it came.
                    self.on_gossip(signer, slice);
                }
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

    /// Takes a slice of a round that consensus has come to, by the leader of that round.
    pub fn on_slice(&self, leader: Address, slice: &Slice) {
        self.rounds.lock().saw((slice.height, slice.round), now_ms());
        if self.hear(leader, slice) == Entry::New {
            // A full mailbox drops: the block is executed as a whole then.
            let _ = self.jobs.try_send(Job::Slice { leader, slice: slice.clone() });
        }
    }

    /// Notes a slice of ours on its way out.
    pub fn on_sent(&self, leader: Address, slice: &Slice) {
        self.note(leader, slice);
    }

    /// Judges a slice from the swarm, which a member signed. Whether that member leads and whether its round has begun depends
    /// on our state, so an honest peer may send what we have no use for.
    pub fn on_gossip(&self, signer: Address, slice: Slice) -> Verdict {
        let head = self.chain.head();
        let next = head.header.number.saturating_add(1);
        let height = slice.height.0;
        if height == next.saturating_add(1) {
            return self.keep_early(signer, slice);
        }
        let is_past = height < next && height >= next.saturating_sub(REMEMBERED_HEIGHTS);
        let is_heard = if height == next {
            self.chain.leads(&head, slice.round, signer) && self.has_begun(&head, &slice)
        } else {
            is_past && self.book.lock().knows(signer, &slice)
        };
        if !is_heard {
            return Verdict::Ignore;
        }
        match self.hear(signer, &slice) {
            Entry::New => {
                let _ = self.jobs.try_send(Job::Slice { leader: signer, slice });
                Verdict::Accept
            }
            // The contradiction has to reach the others too, once.
            Entry::Known | Entry::Conflict(Some(_)) => Verdict::Accept,
            Entry::Conflict(None) | Entry::Full => Verdict::Ignore,
        }
    }

    /// Our head is a moment behind; who leads is seen when it moves. A later round does not come within that moment.
    fn keep_early(&self, signer: Address, slice: Slice) -> Verdict {
        let mut early = self.early.lock();
        let kept = early.entry(signer).or_default();
        let bytes: usize = kept.iter().map(|slice| slice.body.bytes().len()).sum();
        let fits = kept.len() < MAX_EARLY && bytes.saturating_add(slice.body.bytes().len()) <= MAX_EARLY_BYTES;
        if slice.round.0 > 0 || !fits {
            return Verdict::Ignore;
        }
        kept.push(slice);
        Verdict::Accept
    }

    fn has_begun(&self, head: &Head, slice: &Slice) -> bool {
        let timeout_ms = self.chain.genesis().params.propose_timeout_ms;
        self.rounds.lock().begin((slice.height, slice.round), timestamp_ms(&head.header), timeout_ms, now_ms())
    }

    /// Says whose slices we send from now on; shows those of that key that others send.
    pub fn suspicions(&self, own: Address) -> watch::Receiver<Option<Suspicion>> {
        *self.own.lock() = Some(own);
        self.suspicion.send_replace(None);
        self.suspicion.subscribe()
    }

    fn hear(&self, leader: Address, slice: &Slice) -> Entry {
        let entry = self.note(leader, slice);
        if entry == Entry::New {
            self.suspect(leader, slice, false);
        }
        entry
    }

    fn suspect(&self, leader: Address, slice: &Slice, is_certain: bool) {
        if *self.own.lock() == Some(leader) {
            let Slice { height, round, .. } = *slice;
            self.suspicion.send_replace(Some(Suspicion { height, round, is_certain }));
        }
    }

    fn note(&self, leader: Address, slice: &Slice) -> Entry {
        let entry = self.book.lock().note(leader, slice);
        if let Entry::Conflict(Some(found)) = &entry {
            tracing::warn!(%leader, height = %slice.height, round = %slice.round, "two slices at one place");
            self.suspect(leader, slice, true);
            let evidence = evidence::Evidence::from(found.as_ref().clone()).encode();
            let (store, failure) = (self.chain.store().clone(), self.failure.clone());
            tokio::task::spawn_blocking(move || {
                if let Err(error) = store.put_evidence(&evidence) {
                    failure.send_replace(Some(error.to_string()));
                }
            });
        }
        entry
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
