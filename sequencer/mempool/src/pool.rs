//! The pool: all sender queues, their bounds, and what blocks do to them.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256, map::HashMap};
use protocol::RecoveredTx;

use crate::{
    AccountView, Best, Incoming, Origin, PoolEnv, PoolError, Pooled, SenderCode,
    admission::{Expense, check_account, check_transaction},
    delegation::{Delegations, check_authorities},
    eviction::{Claim, EvictionIndex},
    queue::SenderQueue,
};

/// How many times its share a sender may have while half of the pool is free: scripts send hundreds at a time.
pub const ROOMY: usize = 16;

/// Bounds of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions in total.
    pub transactions: usize,
    /// Encoded bytes in total.
    pub bytes: usize,
    /// Executable transactions a sender may add, and [`ROOMY`] times as many while the pool is less than half full; gapped ones that
    /// become executable may exceed it by [`Self::gapped`].
    pub executable: usize,
    /// Gapped transactions of a sender.
    pub gapped: usize,
    /// Encoded bytes of a sender's transactions.
    pub account_bytes: usize,
    /// Milliseconds after which a peer's gapped transaction is dropped.
    pub gapped_lifetime_ms: u64,
    /// The same for one that our own RPC took.
    pub local_gapped_lifetime_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 10_000,
            bytes: 64 * 1024 * 1024,
            executable: 64,
            gapped: 64,
            account_bytes: 1024 * 1024,
            gapped_lifetime_ms: 3 * 3_600 * 1_000,
            local_gapped_lifetime_ms: 24 * 3_600 * 1_000,
        }
    }
}

/// An account after a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountUpdate {
    /// The account.
    pub address: Address,
    /// Its next nonce.
    pub nonce: u64,
    /// Its balance in wei.
    pub balance: U256,
    /// Whether it is delegated, by EIP-7702.
    pub is_delegated: bool,
}

/// Why a transaction left the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// A block used its nonce (with this transaction or another).
    NonceUsed,
    /// A better paying one took its nonce.
    Replaced,
    /// It was the cheapest in a full pool, or one too many behind a gap.
    Evicted,
    /// It waited too long behind a gap.
    Expired,
    /// The account's balance is below its cost: the one sank, or the L1 data fee rose.
    Unaffordable,
    /// The builder found that it cannot be executed.
    Invalid,
}

impl Removal {
    /// The reason in one word, for counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonceUsed => "nonce_used",
            Self::Replaced => "replaced",
            Self::Evicted => "evicted",
            Self::Expired => "expired",
            Self::Unaffordable => "unaffordable",
            Self::Invalid => "invalid",
        }
    }
}

/// What a call changed, for subscribers and gossip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolEvent {
    /// Became executable: announce it, and build it.
    Executable {
        /// The transaction.
        tx: Arc<RecoveredTx>,
        /// Who had handed it in.
        origin: Origin,
    },
    /// Left the pool.
    Dropped {
        /// Its hash.
        hash: B256,
        /// Who had handed it in.
        origin: Origin,
        /// Why.
        reason: Removal,
    },
}

/// Outcome of an accepted [`Pool::add`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// Hash of the added transaction.
    pub hash: B256,
    /// The transaction it replaced.
    pub replaced: Option<B256>,
    /// Executable (`true`) or waiting behind a nonce gap.
    pub pending: bool,
    /// Everything that changed, this transaction included when it is executable.
    pub events: Vec<PoolEvent>,
}

/// Numbers of transactions and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Executable.
    pub pending: usize,
    /// Waiting behind a nonce gap.
    pub queued: usize,
    /// Encoded bytes of all.
    pub bytes: usize,
    /// Senders.
    pub senders: usize,
}

/// All transactions, by sender and nonce.
#[derive(Clone, Debug, Default)]
pub struct PoolContent {
    /// Executable.
    pub pending: Vec<Pooled>,
    /// Waiting behind a nonce gap.
    pub queued: Vec<Pooled>,
}

/// A sender's queue after its nonce was raised, with what that made stale and how many it made executable.
struct Advanced {
    queue: SenderQueue,
    stale: Vec<Pooled>,
    promoted: usize,
}

/// A transaction that may come in, and what that takes.
struct Judged {
    pooled: Pooled,
    account: AccountView,
    advanced: Option<Advanced>,
    victims: Vec<(Address, u64)>,
}

/// The transaction pool. Not synchronised: the owner puts it behind a lock; no call holds it for longer than tens of
/// microseconds, except [`Pool::on_block`] with a changed base fee (a few milliseconds for a full pool).
#[derive(Debug)]
pub struct Pool {
    limits: Limits,
    base_fee: u64,
    data_rate: U256,
    senders: HashMap<Address, SenderQueue>,
    by_hash: HashMap<B256, (Address, u64)>,
    index: EvictionIndex,
    delegations: Delegations,
    bytes: usize,
    sequence: u64,
}

impl Pool {
    /// An empty pool; `base_fee` is that of the next block, in wei. L1 data is free until [`Self::reprice`].
    #[must_use]
    pub fn new(limits: Limits, base_fee: u64) -> Self {
        Self {
            limits,
            base_fee,
            data_rate: U256::ZERO,
            senders: HashMap::default(),
            by_hash: HashMap::default(),
            index: EvictionIndex::default(),
            delegations: Delegations::default(),
            bytes: 0,
            sequence: 0,
        }
    }

    /// Whether the pool would take a transaction whose authorities are not recovered yet, as far as that does not depend on them.
    ///
    /// # Errors
    /// What [`Self::add`] refuses it for.
    pub fn check(&self, incoming: &Incoming, account: &AccountView, env: &PoolEnv) -> Result<(), PoolError> {
        let incoming = Incoming { authorities: Some(Vec::new()), ..incoming.clone() };
        self.judge(incoming, account, env, 0, Origin::Remote).map(drop)
    }

    /// Checks a transaction and takes it in. `account` is its sender at `latest`.
    ///
    /// # Errors
    /// Refused; the pool is unchanged.
    pub fn add(
        &mut self,
        incoming: Incoming,
        account: &AccountView,
        env: &PoolEnv,
        now_ms: u64,
        origin: Origin,
    ) -> Result<Added, PoolError> {
        self.judge(incoming, account, env, now_ms, origin).map(|judged| self.commit(judged))
    }

    fn judge(
        &self,
        incoming: Incoming,
        account: &AccountView,
        env: &PoolEnv,
        now_ms: u64,
        origin: Origin,
    ) -> Result<Judged, PoolError> {
        let tx = &incoming.tx;
        if self.by_hash.contains_key(&tx.hash) {
            return Err(PoolError::AlreadyKnown);
        }
        check_transaction(tx, env)?;
        let sender = tx.sender;
        let advanced = self.advanced(sender, account);
        let queue = advanced.as_ref().map(|advanced| &advanced.queue).or_else(|| self.senders.get(&sender));
        // The block that the pool has seen may be newer than the caller's view.
        let account = AccountView { nonce: queue.map_or(account.nonce, |queue| queue.nonce), ..*account };
        let pooled = Pooled::new(incoming, self.sequence, now_ms, origin);
        let nonce = pooled.nonce;
        let old = queue.and_then(|queue| queue.get(nonce));
        let expense = Expense {
            cost: pooled.total_cost(self.data_rate),
            pooled: queue.map_or(U256::ZERO, |queue| queue.total_cost(self.data_rate)),
            replaced: old.map(|old| old.total_cost(self.data_rate)),
        };
        check_account(&pooled.tx, &account, &expense)?;
        self.delegations.check_sender(sender, nonce, &account, queue)?;
        let executable = queue.map_or(nonce <= account.nonce, |queue| queue.takes(nonce));
        match old {
            Some(old) if !pooled.outbids(old) => return Err(PoolError::ReplacementUnderpriced),
            Some(_) => {}
            None => self.check_share(queue, executable)?,
        }
        self.check_bytes(&pooled, queue, old)?;
        check_authorities(&pooled.authorities, &self.senders)?;
        let victims = self.make_room(&pooled, queue, old, executable)?;
        Ok(Judged { pooled, account, advanced, victims })
    }

    /// The executable transactions, best first.
    #[must_use]
    pub fn best(&self, base_fee: u64) -> Best {
        self.best_after(base_fee, &std::collections::HashMap::new())
    }

    /// As [`Pool::best`], for a block that is already under way: `executed` has the next nonce of each sender with
    /// transactions in it.
    #[must_use]
    pub fn best_after(&self, base_fee: u64, executed: &std::collections::HashMap<Address, u64>) -> Best {
        Best::new(self.senders.iter(), base_fee, executed)
    }

    /// A block was decided: `accounts` are those whose nonce, balance or code it changed (unpooled ones are skipped), `base_fee`
    /// is that of the block after it.
    pub fn on_block(&mut self, accounts: &[AccountUpdate], base_fee: u64, now_ms: u64) -> Vec<PoolEvent> {
        let mut events = Vec::new();
        for account in accounts {
            self.apply(account, &mut events);
        }
        if base_fee != self.base_fee {
            self.base_fee = base_fee;
            self.index.rebuild(&self.senders, base_fee);
        }
        self.expire(now_ms, &mut events);
        events
    }

    /// L1 data costs this in the next block, in wei for a million bytes: drops what its sender cannot pay any more.
    pub fn reprice(&mut self, data_rate: U256) -> Vec<PoolEvent> {
        let mut events = Vec::new();
        if data_rate > self.data_rate {
            let dear: Vec<(Address, Vec<u64>)> =
                self.senders.iter().map(|(sender, queue)| (*sender, queue.unaffordable(data_rate))).collect();
            for (sender, nonces) in dear.into_iter().filter(|(_, nonces)| !nonces.is_empty()) {
                self.drop_unaffordable(sender, nonces, &mut events);
            }
        }
        self.data_rate = data_rate;
        events
    }

    /// Takes out one transaction; those behind it wait for its nonce.
    pub fn remove(&mut self, hash: B256, reason: Removal) -> Vec<PoolEvent> {
        let mut events = Vec::new();
        if let Some((sender, nonce)) = self.by_hash.get(&hash).copied() {
            self.take(sender, nonce, reason, &mut events);
            self.settle(sender, &mut events);
        }
        events
    }

    /// A pooled transaction.
    #[must_use]
    pub fn get(&self, hash: B256) -> Option<&Pooled> {
        let (sender, nonce) = self.by_hash.get(&hash)?;
        self.senders.get(sender)?.get(*nonce)
    }

    /// Whether a transaction is pooled.
    #[must_use]
    pub fn contains(&self, hash: B256) -> bool {
        self.by_hash.contains_key(&hash)
    }

    /// The nonce after the sender's executable transactions; `None` when it has none.
    #[must_use]
    pub fn next_nonce(&self, sender: Address) -> Option<u64> {
        self.senders.get(&sender).filter(|queue| !queue.run.is_empty()).map(SenderQueue::next_nonce)
    }

    /// Numbers.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        PoolStatus {
            pending: self.index.executable,
            queued: self.index.waiting,
            bytes: self.bytes,
            senders: self.senders.len(),
        }
    }

    /// Everything, by sender and nonce.
    #[must_use]
    pub fn content(&self) -> PoolContent {
        let mut senders: Vec<&Address> = self.senders.keys().collect();
        senders.sort_unstable();
        let mut all = PoolContent::default();
        for sender in senders {
            let PoolContent { pending, queued } = self.content_of(*sender);
            all.pending.extend(pending);
            all.queued.extend(queued);
        }
        all
    }

    /// One sender's, by nonce.
    #[must_use]
    pub fn content_of(&self, sender: Address) -> PoolContent {
        self.senders.get(&sender).map_or_else(PoolContent::default, |queue| PoolContent {
            pending: queue.run.to_vec(),
            queued: queue.gapped.values().cloned().collect(),
        })
    }

    /// A copy of the sender's queue at a nonce that the pool has not heard of yet.
    fn advanced(&self, sender: Address, account: &AccountView) -> Option<Advanced> {
        let mut queue = self.senders.get(&sender).filter(|queue| queue.nonce < account.nonce)?.clone();
        let stale = queue.advance(account.nonce);
        queue.restrict(account.code == SenderCode::Delegated);
        let promoted = queue.promote();
        Some(Advanced { queue, stale, promoted })
    }

    fn check_share(&self, queue: Option<&SenderQueue>, executable: bool) -> Result<(), PoolError> {
        let Some(queue) = queue else { return Ok(()) };
        let (kind, held, limit) = if executable {
            let roomy = self.index.executable.saturating_add(self.index.waiting) < self.limits.transactions / 2;
            let share = self.limits.executable;
            ("pending", queue.run.len(), if roomy { share.saturating_mul(ROOMY) } else { share })
        } else {
            ("queued", queue.gapped.len(), self.limits.gapped)
        };
        if held >= limit { Err(PoolError::AccountLimit { kind, limit }) } else { Ok(()) }
    }

    fn check_bytes(&self, tx: &Pooled, queue: Option<&SenderQueue>, old: Option<&Pooled>) -> Result<(), PoolError> {
        let kept = queue.map_or(0, |queue| queue.bytes).saturating_sub(old.map_or(0, Pooled::size));
        let limit = self.limits.account_bytes;
        let fits = kept.saturating_add(tx.size()) <= limit;
        if fits { Ok(()) } else { Err(PoolError::AccountLimit { kind: "bytes", limit }) }
    }

    /// Transactions that must go for this one.
    fn make_room(
        &self,
        tx: &Pooled,
        queue: Option<&SenderQueue>,
        old: Option<&Pooled>,
        executable: bool,
    ) -> Result<Vec<(Address, u64)>, PoolError> {
        let kept = self.by_hash.len().saturating_sub(usize::from(old.is_some()));
        let bytes = self.bytes.saturating_sub(old.map_or(0, Pooled::size)).saturating_add(tx.size());
        let count = kept.saturating_add(1).saturating_sub(self.limits.transactions);
        let bytes = bytes.saturating_sub(self.limits.bytes);
        if count == 0 && bytes == 0 {
            return Ok(Vec::new());
        }
        let before = queue.into_iter().flat_map(SenderQueue::iter).filter(|other| other.nonce < tx.nonce);
        let worth = before.map(|other| other.worth(self.base_fee)).fold(tx.worth(self.base_fee), i128::min);
        let claim = Claim { sender: tx.tx.sender, executable, worth, count, bytes };
        self.index.victims(&claim, &self.senders, self.base_fee).ok_or_else(|| {
            if !executable {
                return PoolError::Full;
            }
            let needed = self.index.cheapest().saturating_add(1);
            PoolError::Underpriced {
                what: "txpool is full, effective gas tip",
                have: u128::try_from(worth).unwrap_or_default(),
                needed: u128::try_from(needed).unwrap_or_default(),
            }
        })
    }

    fn commit(&mut self, Judged { pooled, account, advanced, victims }: Judged) -> Added {
        let (hash, sender, nonce) = (pooled.hash(), pooled.tx.sender, pooled.nonce);
        let mut events = Vec::new();
        if let Some(Advanced { queue, stale, promoted }) = advanced {
            announce_last(&queue, promoted, &mut events);
            self.senders.insert(sender, queue);
            for tx in &stale {
                self.forget(tx, Removal::NonceUsed, &mut events);
            }
        }
        for (sender, nonce) in victims {
            self.take(sender, nonce, Removal::Evicted, &mut events);
            self.settle(sender, &mut events);
        }
        self.sequence = self.sequence.saturating_add(1);
        self.bytes = self.bytes.saturating_add(pooled.size());
        self.by_hash.insert(hash, (sender, nonce));
        self.delegations.add(&pooled.authorities);
        let queue = self.senders.entry(sender).or_insert_with(|| SenderQueue::new(account.nonce));
        queue.balance = account.balance;
        // The caller's view may be older than the block that delegated it; the next block says otherwise.
        queue.restrict(queue.is_single || account.code == SenderCode::Delegated);
        let done = queue.insert(pooled);
        if done.executable {
            let slot = usize::try_from(nonce.saturating_sub(queue.nonce)).unwrap_or(usize::MAX);
            let fresh = queue.run.iter().skip(slot).take(done.promoted.saturating_add(1));
            events.extend(fresh.map(executable));
        }
        let replaced = done.replaced.map(|old| {
            self.forget(&old, Removal::Replaced, &mut events);
            old.hash()
        });
        self.settle(sender, &mut events);
        Added { hash, replaced, pending: done.executable, events }
    }

    fn apply(&mut self, account: &AccountUpdate, events: &mut Vec<PoolEvent>) {
        let sender = account.address;
        let Some(queue) = self.senders.get_mut(&sender) else { return };
        let stale = queue.advance(account.nonce);
        queue.restrict(account.is_delegated);
        let promoted = queue.promote();
        announce_last(queue, promoted, events);
        queue.balance = account.balance;
        let dear = queue.unaffordable(self.data_rate);
        for tx in &stale {
            self.forget(tx, Removal::NonceUsed, events);
        }
        self.drop_unaffordable(sender, dear, events);
    }

    fn drop_unaffordable(&mut self, sender: Address, nonces: Vec<u64>, events: &mut Vec<PoolEvent>) {
        for nonce in nonces {
            self.take(sender, nonce, Removal::Unaffordable, events);
        }
        self.settle(sender, events);
    }

    fn expire(&mut self, now_ms: u64, events: &mut Vec<PoolEvent>) {
        let limits = self.limits;
        let oldest = |origin| match origin {
            Origin::Remote => now_ms.saturating_sub(limits.gapped_lifetime_ms),
            Origin::Local => now_ms.saturating_sub(limits.local_gapped_lifetime_ms),
        };
        for sender in self.index.gapped_senders() {
            let Some(queue) = self.senders.get(&sender) else { continue };
            let old = queue.gapped.values().filter(|tx| tx.added_ms < oldest(tx.origin));
            let old: Vec<u64> = old.map(|tx| tx.nonce).collect();
            if old.is_empty() {
                continue;
            }
            for nonce in old {
                self.take(sender, nonce, Removal::Expired, events);
            }
            self.settle(sender, events);
        }
    }

    /// Takes a transaction out of its queue; [`Self::settle`] must follow.
    fn take(&mut self, sender: Address, nonce: u64, reason: Removal, events: &mut Vec<PoolEvent>) {
        if let Some(tx) = self.senders.get_mut(&sender).and_then(|queue| queue.remove(nonce)) {
            self.forget(&tx, reason, events);
        }
    }

    fn forget(&mut self, tx: &Pooled, reason: Removal, events: &mut Vec<PoolEvent>) {
        self.by_hash.remove(&tx.hash());
        self.bytes = self.bytes.saturating_sub(tx.size());
        self.delegations.remove(&tx.authorities);
        events.push(PoolEvent::Dropped { hash: tx.hash(), origin: tx.origin, reason });
    }

    /// Restores the bounds and the index after a sender's queue changed.
    fn settle(&mut self, sender: Address, events: &mut Vec<PoolEvent>) {
        // A removal in the middle turns what was behind it into gapped ones, which may be too many.
        while let Some(nonce) = self.excess_gapped(sender) {
            self.take(sender, nonce, Removal::Evicted, events);
        }
        let queue = self.senders.get(&sender);
        if queue.is_some_and(SenderQueue::is_empty) {
            self.senders.remove(&sender);
        }
        self.index.update(sender, self.senders.get(&sender), self.base_fee);
    }

    fn excess_gapped(&self, sender: Address) -> Option<u64> {
        let gapped = &self.senders.get(&sender)?.gapped;
        if gapped.len() > self.limits.gapped { gapped.keys().next_back().copied() } else { None }
    }
}

#[cfg(test)]
impl Pool {
    pub(crate) fn queues(&self) -> &HashMap<Address, SenderQueue> {
        &self.senders
    }

    pub(crate) fn index(&self) -> &EvictionIndex {
        &self.index
    }
}

fn executable(pooled: &Pooled) -> PoolEvent {
    PoolEvent::Executable { tx: Arc::clone(&pooled.tx), origin: pooled.origin }
}

/// Announces the newest part of a run.
fn announce_last(queue: &SenderQueue, count: usize, events: &mut Vec<PoolEvent>) {
    let fresh = queue.run.iter().skip(queue.run.len().saturating_sub(count));
    events.extend(fresh.map(executable));
}
