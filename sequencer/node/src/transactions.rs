//! From raw bytes to the pool: senders are recovered on worker threads before any lock is taken, once per transaction.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, keccak256};
use execution::{ATTRIBUTES_GAS, RecoverError, data_size, next_base_fee, recover};
use mempool::{
    AccountUpdate, AccountView, Added, Best, Incoming, Limits, Origin, Pool, PoolEnv, PoolError, PoolEvent, Pooled,
    Removal, SenderCode,
};
use parking_lot::Mutex;
use protocol::{
    RecoveredTx,
    state::{StateError, StateReader},
};
use rpc::{ChainEvent, SubmitError};
use tokio::sync::{Notify, Semaphore, broadcast, futures::Notified, mpsc};

use crate::{
    chain::{Candidate, Chain},
    journal::{Entry, Journal},
};

#[cfg(test)]
mod tests;

/// Smallest tip the pool takes, in wei.
pub const MIN_TIP: u128 = 1;
/// Submissions of our own RPC that wait for a worker or are being judged; more are refused.
const MAX_LOCAL: usize = 4_096;
/// The same of peers. Theirs are apart, so that no peer can shut out our users.
const MAX_REMOTE: usize = 4_096;
/// Transactions waiting to be gossiped; beyond, peers get them from others or not at all.
const GOSSIP_QUEUE: usize = 8_192;

/// Time within which a journaled transaction reaches the disk.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// Milliseconds after which a transaction of our own RPC that waits still is announced once more. The network drops repetitions within
/// half a minute.
const REPEAT_MS: u64 = 35_000;
/// Announcements of one such round.
const MAX_REPEATED: usize = 1_000;

/// Milliseconds since the epoch.
#[must_use]
pub fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// The pool with its ways in and out.
pub struct Transactions {
    chain: Arc<Chain>,
    pool: Mutex<Pool>,
    /// Blocks that the pool has been told of.
    blocks: AtomicU64,
    events: broadcast::Sender<ChainEvent>,
    gossip: mpsc::Sender<Bytes>,
    arrivals: Notify,
    local: Arc<Semaphore>,
    remote: Arc<Semaphore>,
    /// Messages of peers whose transactions are judged at the same time: one core is left for everything else.
    judging: Arc<Semaphore>,
    /// Only in the devnet's faulty binary: whose transactions are dropped.
    censored: Option<Address>,
    /// None: transactions of our own RPC do not survive a restart.
    journal: Mutex<Option<Journal>>,
}

impl Transactions {
    /// An empty pool on the chain's head; the receiver yields what is to be gossiped.
    #[must_use]
    pub fn new(
        chain: Arc<Chain>,
        limits: Limits,
        events: broadcast::Sender<ChainEvent>,
        censored: Option<Address>,
    ) -> (Arc<Self>, mpsc::Receiver<Bytes>) {
        let (gossip, outgoing) = mpsc::channel(GOSSIP_QUEUE);
        let base_fee = next_base_fee(&chain.head().header, &chain.genesis().params);
        let pool = Mutex::new(Pool::new(limits, base_fee));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let [local, remote, judging] =
            [MAX_LOCAL, MAX_REMOTE, cores.saturating_sub(1).max(1)].map(|places| Arc::new(Semaphore::new(places)));
        let (blocks, arrivals, journal) = (AtomicU64::new(0), Notify::new(), Mutex::default());
        let this = Self { chain, pool, blocks, events, gossip, arrivals, local, remote, judging, censored, journal };
        (Arc::new(this), outgoing)
    }

    /// Takes in again what the journal at `path` holds, as far as it is still valid, and goes on writing there.
    ///
    /// # Errors
    /// The disk.
    pub fn restore(&self, path: &Path) -> io::Result<()> {
        let (mut journal, entries) = Journal::open(path)?;
        let read = entries.len();
        let kept: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| {
                let taken = self.admit(&entry.raw, Origin::Local, entry.arrived_ms);
                taken
                    .inspect_err(|reason| tracing::info!(%reason, "a journaled transaction is not taken again"))
                    .is_ok()
            })
            .collect();
        if read > 0 {
            tracing::info!(read, kept = kept.len(), "transactions of this node's RPC read back");
            journal.rewrite(kept)?;
        }
        *self.journal.lock() = Some(journal);
        Ok(())
    }

    /// Decodes, recovers, checks and pools a transaction; announces it when it is executable.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(self: &Arc<Self>, raw: Bytes, origin: Origin) -> Result<B256, SubmitError> {
        let places = match origin {
            Origin::Local => &self.local,
            Origin::Remote => &self.remote,
        };
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| SubmitError::PoolFull)?;
        let this = self.clone();
        let work = move || {
            // Until the work is done, whoever waits for it: work whose caller is gone stays in the worker's queue.
            let _place = place;
            let arrived_ms = now_ms();
            let hash = this.admit(&raw, origin, arrived_ms)?;
            if origin == Origin::Local {
                this.note(Entry { arrived_ms, raw });
            }
            Ok(hash)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|_| Err(SubmitError::Refused("transaction worker stopped".to_owned())))
    }

    /// The same for what a peer sent in one message: one after the other, on one worker.
    pub async fn submit_all(self: &Arc<Self>, raw: Vec<Bytes>) -> Vec<Result<B256, SubmitError>> {
        let acquire = |count| Arc::clone(&self.remote).try_acquire_many_owned(count).ok();
        let Some(places) = u32::try_from(raw.len()).ok().and_then(acquire) else {
            return vec![Err(SubmitError::PoolFull)];
        };
        // Never closed.
        let Ok(turn) = Arc::clone(&self.judging).acquire_owned().await else { return Vec::new() };
        let this = self.clone();
        let work = move || {
            let _held = (places, turn);
            let arrived_ms = now_ms();
            raw.iter().map(|one| this.admit(one, Origin::Remote, arrived_ms)).collect()
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
    }

    fn admit(&self, raw: &[u8], origin: Origin, arrived_ms: u64) -> Result<B256, SubmitError> {
        // What is known already comes again and again; its hash costs a fiftieth of its sender.
        if self.pool.lock().contains(keccak256(raw)) {
            count_refusal(PoolError::AlreadyKnown.name(), origin);
            return Err(SubmitError::AlreadyKnown);
        }
        let tx = recover(raw, self.chain.rules().chain_id).map_err(|error| {
            count_refusal("malformed", origin);
            recover_error(error)
        })?;
        let hash = tx.hash;
        if self.censored == Some(tx.sender) {
            return Ok(hash);
        }
        let size = data_size(&tx.encoded);
        let judged = self.add(Incoming::new(tx, size), origin, arrived_ms);
        let (added, mut events) = judged.map_err(|error| SubmitError::Refused(error.to_string()))?;
        let verdict = match added {
            Ok(added) => {
                metrics::counter!("horae_pool_added_total", "origin" => origin_name(origin)).increment(1);
                events.extend(added.events);
                Ok(hash)
            }
            Err(error) => {
                count_refusal(error.name(), origin);
                Err(pool_error(error))
            }
        };
        self.announce(events);
        verdict
    }

    /// Judges a transaction by the state and the fees of the next block; also returns what a rise of the L1 data fee made
    /// the pool drop.
    fn add(
        &self,
        mut incoming: Incoming,
        origin: Origin,
        arrived_ms: u64,
    ) -> Result<(Result<Added, PoolError>, Vec<PoolEvent>), StateError> {
        let rules = self.chain.rules();
        let env = PoolEnv {
            chain_id: rules.chain_id,
            min_base_fee: rules.params.min_base_fee,
            // What the attributes deposit may use is never left to a user.
            block_gas_limit: rules.params.gas_limit.saturating_sub(ATTRIBUTES_GAS),
            min_tip: MIN_TIP,
        };
        let mut dropped = Vec::new();
        loop {
            let seen = self.blocks.load(Ordering::Acquire);
            let account = self.account(incoming.sender())?;
            let mut pool = self.pool.lock();
            // An account as it was before a block that the pool has seen would be taken for newer than that block.
            if self.blocks.load(Ordering::Acquire) != seen {
                continue;
            }
            dropped.extend(pool.reprice(self.chain.next_data_rate()));
            if incoming.is_complete() {
                return Ok((pool.add(incoming, &account, &env, arrived_ms, origin), dropped));
            }
            // What is refused anyway is refused before its authorities are recovered, and they are recovered off the lock.
            if let Err(refusal) = pool.check(&incoming, &account, &env) {
                return Ok((Err(refusal), dropped));
            }
            drop(pool);
            incoming.recover_authorities();
        }
    }

    /// Writes a transaction of our own RPC into the journal.
    fn note(&self, entry: Entry) {
        let mut journal = self.journal.lock();
        let Some(open) = journal.as_mut() else { return };
        let mut written = open.append(&entry);
        if written.is_ok() && open.wants_rotation() {
            written = open.rewrite(self.local());
        }
        metrics::gauge!("horae_pool_journal_bytes").set(open.bytes() as f64);
        if let Err(error) = written {
            // The transaction is pooled and gossiped; only its surviving a restart is at stake.
            metrics::counter!("horae_pool_journal_errors_total").increment(1);
            tracing::error!(%error, "the transaction journal cannot be written");
        }
    }

    /// Pooled transactions of our own RPC, by arrival.
    fn local(&self) -> Vec<Entry> {
        let content = self.pool.lock().content();
        let mut local: Vec<Pooled> = content.pending.into_iter().chain(content.queued).collect();
        local.retain(|pooled| pooled.origin == Origin::Local);
        local.sort_unstable_by_key(|pooled| pooled.sequence);
        let entry = |pooled: Pooled| Entry { arrived_ms: pooled.added_ms, raw: pooled.tx.encoded.clone() };
        local.into_iter().map(entry).collect()
    }

    /// Syncs the journal, and tells peers again of our own transactions that no block has taken yet: whoever was not
    /// there when they were first announced gets them too. Does not end.
    pub async fn tend(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SYNC_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut announced_ms = now_ms();
        loop {
            tick.tick().await;
            let now = now_ms();
            let repeat = now.saturating_sub(announced_ms) >= REPEAT_MS;
            if repeat {
                announced_ms = now;
            }
            let this = self.clone();
            let work = move || {
                this.gauge();
                this.sync();
                if repeat {
                    this.repeat(now.saturating_sub(REPEAT_MS));
                }
            };
            if tokio::task::spawn_blocking(work).await.is_err() {
                tracing::error!("the journal's worker stopped");
            }
        }
    }

    fn sync(&self) {
        let synced = self.journal.lock().as_mut().map_or(Ok(()), Journal::sync);
        if let Err(error) = synced {
            metrics::counter!("horae_pool_journal_errors_total").increment(1);
            tracing::error!(%error, "the transaction journal cannot be synced");
        }
    }

    fn repeat(&self, before_ms: u64) {
        let pending = self.pool.lock().content().pending;
        let waiting = pending.iter().filter(|tx| tx.origin == Origin::Local && tx.added_ms <= before_ms);
        for tx in waiting.take(MAX_REPEATED) {
            let _ = self.gossip.try_send(tx.tx.encoded.clone());
        }
    }

    fn account(&self, address: Address) -> Result<AccountView, StateError> {
        view_of(&self.chain.store().latest_state(), &address)
    }

    /// Tells everybody what happened. Peers are told of what our own RPC took: what came from a peer is passed on in the
    /// message it came in.
    fn announce(&self, events: Vec<PoolEvent>) {
        for event in events {
            match event {
                PoolEvent::Executable { tx, origin } => {
                    if origin == Origin::Local {
                        // A full queue drops: gossip is best effort, our own pool keeps the transaction.
                        let _ = self.gossip.try_send(tx.encoded.clone());
                    }
                    let _ = self.events.send(ChainEvent::Pending(tx));
                    self.arrivals.notify_waiters();
                }
                PoolEvent::Dropped { hash, origin, reason } => {
                    metrics::counter!("horae_pool_dropped_total", "reason" => reason.name()).increment(1);
                    if origin == Origin::Local && reason != Removal::NonceUsed {
                        tracing::info!(%hash, reason = reason.name(), "a transaction of this node's RPC left the pool");
                    }
                }
            }
        }
    }

    /// Tells how full the pool is.
    fn gauge(&self) {
        let status = self.pool.lock().status();
        metrics::gauge!("horae_pool_transactions", "state" => "pending").set(status.pending as f64);
        metrics::gauge!("horae_pool_transactions", "state" => "queued").set(status.queued as f64);
        metrics::gauge!("horae_pool_bytes").set(status.bytes as f64);
        metrics::gauge!("horae_pool_senders").set(status.senders as f64);
    }

    /// Adapts the pool to a committed block.
    ///
    /// # Errors
    /// The state could not be read.
    pub fn on_block(&self, candidate: &Candidate) -> Result<(), StateError> {
        let state = self.chain.store().latest_state();
        let touched = candidate.executed.diff.accounts.keys();
        let accounts: Vec<AccountUpdate> = touched
            .map(|address| {
                let AccountView { nonce, balance, code } = view_of(&state, address)?;
                Ok(AccountUpdate { address: *address, nonce, balance, is_delegated: code == SenderCode::Delegated })
            })
            .collect::<Result<_, StateError>>()?;
        let base_fee = next_base_fee(&candidate.executed.block.header, &self.chain.genesis().params);
        let events = {
            let mut pool = self.pool.lock();
            let mut events = pool.on_block(&accounts, base_fee, now_ms());
            events.extend(pool.reprice(self.chain.next_data_rate()));
            self.blocks.fetch_add(1, Ordering::Release);
            events
        };
        self.announce(events);
        self.gauge();
        Ok(())
    }

    /// Executable transactions by effective tip, then arrival.
    #[must_use]
    pub fn best(&self) -> Best {
        let base_fee = next_base_fee(&self.chain.head().header, &self.chain.genesis().params);
        self.pool.lock().best(base_fee)
    }

    /// The same for a block under way with this base fee: `executed` has the next nonce of each sender with transactions in
    /// it.
    #[must_use]
    pub fn best_after(&self, base_fee: u64, executed: &HashMap<Address, u64>) -> Best {
        self.pool.lock().best_after(base_fee, executed)
    }

    /// Whether anything can be executed in the next block.
    #[must_use]
    pub fn has_executable(&self) -> bool {
        self.best().next_pooled().is_some()
    }

    /// Resolves at the next arrival of an executable transaction; arrivals count from this call on, not from the first
    /// poll.
    pub fn arrival(&self) -> Notified<'_> {
        self.arrivals.notified()
    }

    /// Drops what the builder could not execute in the state it met.
    pub fn drop_refused(&self, refused: &[(B256, Removal)]) {
        let mut events = Vec::new();
        {
            let mut pool = self.pool.lock();
            for (hash, reason) in refused {
                events.extend(pool.remove(*hash, *reason));
            }
        }
        self.announce(events);
    }

    /// Sender of a pooled transaction: saves its recovery when it comes back in a block.
    #[must_use]
    pub fn sender_of(&self, hash: &B256) -> Option<Address> {
        self.pool.lock().get(*hash).map(|pooled| pooled.tx.sender)
    }

    /// Looks at the pool.
    pub fn with_pool<T>(&self, look: impl FnOnce(&Pool) -> T) -> T {
        look(&self.pool.lock())
    }
}

/// The transactions of a list of pooled ones.
#[must_use]
pub fn shared(pooled: Vec<Pooled>) -> Vec<Arc<RecoveredTx>> {
    pooled.into_iter().map(|pooled| pooled.tx).collect()
}

const fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Local => "local",
        Origin::Remote => "remote",
    }
}

/// An account with the kind of code it has.
fn view_of(state: &impl StateReader, address: &Address) -> Result<AccountView, StateError> {
    let account = state.account(address)?.unwrap_or_default();
    let code = match account.code_hash {
        KECCAK256_EMPTY => SenderCode::Empty,
        hash => SenderCode::of(&state.code(&hash)?),
    };
    Ok(AccountView { nonce: account.nonce, balance: account.balance, code })
}

fn count_refusal(reason: &'static str, origin: Origin) {
    metrics::counter!("horae_pool_refused_total", "reason" => reason, "origin" => origin_name(origin)).increment(1);
}

fn recover_error(error: RecoverError) -> SubmitError {
    match error {
        RecoverError::TooLarge(size) => SubmitError::Oversized { size, limit: protocol::limits::MAX_TRANSACTION_BYTES },
        RecoverError::WrongChain { got, expected } => SubmitError::WrongChain { have: got, want: expected },
        RecoverError::BadSignature => SubmitError::InvalidSender,
        RecoverError::UnsupportedType(_) => SubmitError::Malformed("transaction type not supported".to_owned()),
        RecoverError::EmptyAuthorizations => {
            SubmitError::Refused("set code tx must have at least one authorization tuple".to_owned())
        }
        RecoverError::Malformed => SubmitError::Malformed(error.to_string()),
    }
}

fn pool_error(error: PoolError) -> SubmitError {
    match error {
        PoolError::AlreadyKnown => SubmitError::AlreadyKnown,
        PoolError::NonceTooLow { next, nonce } => SubmitError::NonceTooLow { next, nonce },
        PoolError::ReplacementUnderpriced => SubmitError::ReplacementUnderpriced,
        PoolError::Full => SubmitError::PoolFull,
        PoolError::WrongChain { have, want } => SubmitError::WrongChain { have, want },
        PoolError::Oversized { size, limit } => SubmitError::Oversized { size, limit },
        PoolError::InsufficientFunds(shortfall) => SubmitError::InsufficientFunds(format!(": {shortfall}")),
        PoolError::UnsupportedType => SubmitError::Malformed(error.to_string()),
        other => SubmitError::Refused(other.to_string()),
    }
}
