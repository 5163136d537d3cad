//! The thread that owns open blocks: an EVM stays on the thread that made it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes};
use alloy_rlp::Encodable;
use execution::{BlockBuilder, InvalidTransaction, PushError};
use mempool::Removal;
use protocol::{Height, Round, Slice, limits::MAX_CLOCK_DRIFT_MS};
use rpc::ChainEvent;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::arriving::Arriving;
use crate::{
    chain::{Candidate, Chain, ChainError},
    pending::{PendingBlock, View},
    transactions::{Transactions, now_ms},
};

/// Rounds of one height whose slices are executed at the same time, one a leader; the last to begin are kept.
const MAX_OPEN: usize = 4;

/// A turn of ours. Jobs name it, because one may still come from a turn that is over.
pub(super) type Place = (Height, Round);

/// What the thread is asked to do.
pub(super) enum Job {
    /// Opens our block with this timestamp; one that is open is given up.
    Open { place: Place, leader: Address, timestamp_ms: u64, reply: oneshot::Sender<Result<(), ChainError>> },
    /// Executes what the pool has got since the last time; answers with the stream's next bytes.
    Fill { place: Place, reply: oneshot::Sender<Result<Bytes, ChainError>> },
    /// What was filled has been streamed: it is pending from now on.
    Streamed { place: Place },
    /// Closes our block.
    Seal { place: Place, reply: oneshot::Sender<Result<Arc<Candidate>, ChainError>> },
    /// A slice of another leader, which leads its round.
    Slice { leader: Address, slice: Slice },
    /// A whole block: answers whether its slices were executed and give exactly this.
    Finish { hash: B256, block: Bytes, reply: oneshot::Sender<bool> },
    /// The head or our view of L1 moved.
    Moved,
}

/// The block we build.
struct Own {
    round: Round,
    /// As of an arriving block.
    order: u32,
    timestamp_ms: u64,
    builder: BlockBuilder,
    /// Next nonces of the senders in it.
    executed: HashMap<Address, u64>,
    /// Transactions given out as stream.
    given: usize,
    view: View,
}

pub(super) struct Worker {
    pub(super) chain: Arc<Chain>,
    pub(super) transactions: Arc<Transactions>,
    pub(super) pending: watch::Sender<Option<Arc<PendingBlock>>>,
    pub(super) events: broadcast::Sender<ChainEvent>,
    pub(super) state: State,
}

/// What is open. All of it is of one height.
#[derive(Default)]
pub(super) struct State {
    height: u64,
    own: Option<Own>,
    arriving: BTreeMap<u32, Arriving>,
    /// Rounds that have begun here.
    begun: u32,
    /// Place in that order of the round that is shown as pending.
    shown: u32,
}

impl State {
    fn own(&mut self, (height, round): Place) -> Option<&mut Own> {
        self.own.as_mut().filter(|own| self.height == height.0 && own.round == round)
    }

    fn begin(&mut self) -> u32 {
        self.begun = self.begun.saturating_add(1);
        self.begun
    }
}

impl Worker {
    /// Works until nobody asks any more, or until our own disk or state fails.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            self.enter();
            if let Err(error) = self.work(job) {
                tracing::error!(%error, "open blocks end");
                return;
            }
        }
    }

    /// Forgets the height before when the head has moved.
    fn enter(&mut self) {
        let height = self.chain.head().header.number.saturating_add(1);
        if height != self.state.height {
            self.state = State { height, ..State::default() };
            self.pending.send_replace(None);
        }
    }

    /// An error here is one of our own disk or state; what others caused is part of the answer.
    fn work(&mut self, job: Job) -> Result<(), ChainError> {
        // Whoever asked may be gone: a turn that is over.
        match job {
            Job::Open { place, leader, timestamp_ms, reply } => {
                let _gone = reply.send(self.open(place, leader, timestamp_ms));
            }
            Job::Fill { place, reply } => {
                let _gone = reply.send(self.fill(place));
            }
            Job::Streamed { place } => self.streamed(place),
            Job::Seal { place, reply } => {
                let _gone = reply.send(self.seal(place));
            }
            Job::Slice { leader, slice } => self.slice(leader, slice)?,
            Job::Finish { hash, block, reply } => {
                let _gone = reply.send(self.finish(hash, &block)?);
            }
            Job::Moved => self.moved()?,
        }
        Ok(())
    }

    fn open(&mut self, place: Place, leader: Address, timestamp_ms: u64) -> Result<(), ChainError> {
        let (height, round) = place;
        let is_over = self.state.own.as_ref().is_some_and(|own| own.round > round);
        if height.0 != self.state.height || is_over {
            return Err(ChainError::NotNext(height));
        }
        self.state.own = None;
        let builder = self.chain.open_block(&self.chain.head(), leader, timestamp_ms)?;
        let timestamp_ms = protocol::block::timestamp_ms(builder.header());
        let (order, executed) = (self.state.begin(), HashMap::new());
        let own = Own { round, order, timestamp_ms, builder, executed, given: 0, view: View::default() };
        self.state.own = Some(own);
        Ok(())
    }

    fn fill(&mut self, place: Place) -> Result<Bytes, ChainError> {
        let own = self.state.own(place).ok_or(ChainError::NotNext(place.0))?;
        let base_fee = own.builder.header().base_fee_per_gas.unwrap_or_default();
        let mut best = self.transactions.best_after(base_fee, &own.executed);
        let mut refused = Vec::new();
        while let Some(pooled) = best.next_pooled() {
            match own.builder.push(&pooled.tx) {
                Ok(_) => {
                    let nonce = alloy_consensus::Transaction::nonce(&pooled.tx.envelope);
                    own.executed.insert(pooled.tx.sender, nonce.saturating_add(1));
                }
                // What does not fit keeps its place in the pool, and so does everything after it of that sender.
                Err(PushError::Full(_) | PushError::Deposit) => best.skip_sender(),
                Err(PushError::Invalid(reason)) => {
                    if let Some(removal) = removal(&reason) {
                        tracing::info!(hash = %pooled.tx.hash, %reason, "a pooled transaction cannot be executed");
                        refused.push((pooled.tx.hash, removal));
                    }
                    best.skip_sender();
                }
                Err(PushError::Fatal(error)) => return Err(error.into()),
            }
        }
        let mut stream = Vec::new();
        if own.given == 0 {
            stream.extend_from_slice(&own.timestamp_ms.to_be_bytes());
        }
        for tx in own.builder.transactions().iter().skip(own.given) {
            tx.encode(&mut stream);
        }
        own.given = own.builder.transactions().len();
        // What a new head made of these transactions is for the block after it to say.
        if !refused.is_empty() && self.chain.head().header.hash() == own.builder.header().parent_hash {
            self.transactions.drop_refused(&refused);
        }
        Ok(stream.into())
    }

    fn streamed(&mut self, place: Place) {
        let Some(own) = self.state.own(place) else { return };
        let parent = Arc::new(self.chain.store().latest_state());
        let (order, pending) = (own.order, own.view.show(&own.builder, own.given, parent));
        self.show(order, pending);
    }

    fn seal(&mut self, place: Place) -> Result<Arc<Candidate>, ChainError> {
        let own = self.state.own(place).is_some().then(|| self.state.own.take()).flatten();
        let own = own.ok_or(ChainError::NotNext(place.0))?;
        let executed = own.builder.finish(self.chain.store())?;
        Ok(self.chain.keep(executed))
    }

    fn slice(&mut self, leader: Address, slice: Slice) -> Result<(), ChainError> {
        let round = slice.round.0;
        if slice.height.0 != self.state.height {
            return Ok(());
        }
        if !self.state.arriving.contains_key(&round) && !self.make_room(leader, round) {
            return Ok(());
        }
        let order = self.state.begun;
        let one = self.state.arriving.entry(round).or_insert_with(|| Arriving::new(leader, order));
        if one.take(slice, &self.chain, &self.transactions)? {
            self.grown(round);
        }
        Ok(())
    }

    /// Begins a round; `false` when a later one of its leader is open. A leader that begins many crowds out only itself.
    fn make_room(&mut self, leader: Address, round: u32) -> bool {
        let arriving = &mut self.state.arriving;
        let of_leader = arriving.iter().find(|(_, one)| one.leader == leader).map(|(at, _)| *at);
        if of_leader.is_some_and(|at| at > round) {
            return false;
        }
        let oldest = || arriving.iter().min_by_key(|(_, one)| one.order).map(|(at, _)| *at);
        let leaves = of_leader.or_else(|| (arriving.len() >= MAX_OPEN).then(oldest).flatten());
        leaves.and_then(|at| arriving.remove(&at));
        self.state.begin();
        true
    }

    fn grown(&mut self, round: u32) {
        let Some(one) = self.state.arriving.get_mut(&round) else { return };
        let order = one.order;
        if let Some(pending) = one.show(&self.chain) {
            self.show(order, pending);
        }
    }

    /// Shows an open block as pending, unless one that began after it is shown.
    fn show(&mut self, order: u32, pending: PendingBlock) {
        if order < self.state.shown {
            return;
        }
        self.state.shown = order;
        self.pending.send_replace(Some(Arc::new(pending)));
        // Fails when nobody listens.
        let _ = self.events.send(ChainEvent::PendingBlock);
    }

    fn finish(&mut self, hash: B256, block: &Bytes) -> Result<bool, ChainError> {
        let Some(round) = self.state.arriving.iter().find(|(_, one)| one.is(&hash)).map(|(round, _)| *round) else {
            return Ok(false);
        };
        let Some(mut one) = self.state.arriving.remove(&round) else { return Ok(false) };
        one.advance(&self.chain, &self.transactions)?;
        Ok(one.finish(block, now_ms().saturating_add(MAX_CLOCK_DRIFT_MS), &self.chain)?.is_some())
    }

    fn moved(&mut self) -> Result<(), ChainError> {
        let mut grown = Vec::new();
        for (round, one) in &mut self.state.arriving {
            if one.advance(&self.chain, &self.transactions)? {
                grown.push(*round);
            }
        }
        grown.into_iter().for_each(|round| self.grown(round));
        Ok(())
    }
}

/// Why a transaction that an open block refused leaves the pool; `None` when it stays: its nonce is a matter of what the
/// pool has heard of last.
const fn removal(reason: &InvalidTransaction) -> Option<Removal> {
    match reason {
        InvalidTransaction::NonceTooHigh { .. } | InvalidTransaction::NonceTooLow { .. } => None,
        InvalidTransaction::LackOfFundForMaxFee { .. } => Some(Removal::Unaffordable),
        _ => Some(Removal::Invalid),
    }
}
