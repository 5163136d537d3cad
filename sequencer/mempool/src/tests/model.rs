//! Random histories against a model that keeps one flat list and recomputes everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_consensus::Transaction as _;
use alloy_primitives::B256;
use proptest::prelude::*;

use super::*;
use crate::{AccountUpdate, Origin, PoolEvent, Pooled, Removal, eviction::EvictionIndex, queue::SenderQueue};

#[derive(Clone, Debug)]
enum Step {
    Add {
        from: u8,
        nonce: u64,
        fee_cap: u128,
        tip: u128,
        local: bool,
    },
    /// `covers`: the fee cap up to which the account can still pay a transaction.
    Block {
        from: u8,
        up: u64,
        base_fee: u64,
        covers: Option<u128>,
        wait_ms: u64,
    },
    Remove {
        pick: prop::sample::Index,
    },
    /// L1 data costs this from now on, in wei a byte.
    Reprice {
        rate: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fees = (900u128..3_000, 1u128..900);
    let add = (1u8..6, 0u64..12, fees, any::<bool>()).prop_map(|(from, nonce, (fee_cap, tip), local)| Step::Add {
        from,
        nonce,
        fee_cap,
        tip,
        local,
    });
    let covers = prop_oneof![3 => Just(None), 1 => (900u128..3_000).prop_map(Some)];
    let block = (1u8..6, 0u64..3, 800u64..1_500, covers, 0u64..60)
        .prop_map(|(from, up, base_fee, covers, wait_ms)| Step::Block { from, up, base_fee, covers, wait_ms });
    let remove = any::<prop::sample::Index>().prop_map(|pick| Step::Remove { pick });
    // Seven bytes at the highest rate cost more than the cheapest transaction's gas.
    let reprice = (0u64..6_000_000).prop_map(|rate| Step::Reprice { rate });
    prop::collection::vec(prop_oneof![8 => add, 2 => block, 1 => remove, 1 => reprice], 1..120)
}

/// Lifetimes behind a gap, in milliseconds, of peers' transactions and of our own.
const LIFETIMES: [u64; 2] = [100, 200];

struct Held {
    tx: RecoveredTx,
    added_ms: u64,
    local: bool,
}

/// What the pool should hold when nothing is ever evicted: per sender, its transactions by nonce.
struct Model {
    nonces: HashMap<Address, u64>,
    balances: HashMap<Address, U256>,
    held: BTreeMap<(Address, u64), Held>,
    /// Wei a byte of L1 data.
    rate: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self { nonces: HashMap::new(), balances: HashMap::new(), held: BTreeMap::new(), rate: 1 }
    }
}

impl Model {
    fn nonce(&self, sender: Address) -> u64 {
        self.nonces.get(&sender).copied().unwrap_or_default()
    }

    fn balance(&self, sender: Address) -> U256 {
        self.balances.get(&sender).copied().unwrap_or(rich(0).balance)
    }

    fn cost(&self, tx: &RecoveredTx) -> U256 {
        U256::from(21_000 * tx.envelope.max_fee_per_gas() + u128::from(7 * self.rate))
    }

    /// Whether it goes in.
    fn add(&mut self, tx: &RecoveredTx, added_ms: u64, local: bool) -> bool {
        let slot = (tx.sender, tx.envelope.nonce());
        if slot.1 < self.nonce(tx.sender) {
            return false;
        }
        let others = self.held.iter().filter(|(at, _)| at.0 == slot.0 && **at != slot);
        let costs: U256 = others.map(|(_, held)| self.cost(&held.tx)).sum();
        if costs + self.cost(tx) > self.balance(tx.sender) {
            return false;
        }
        if let Some(old) = self.held.get(&slot) {
            let bid =
                |tx: &RecoveredTx| (tx.envelope.max_fee_per_gas(), tx.envelope.max_priority_fee_per_gas().unwrap());
            let ((new_fee, new_tip), (old_fee, old_tip)) = (bid(tx), bid(&old.tx));
            let enough = |new: u128, old: u128| new > old && new >= old * 110 / 100;
            if !enough(new_fee, old_fee) || !enough(new_tip, old_tip) {
                return false;
            }
        }
        self.held.insert(slot, Held { tx: tx.clone(), added_ms, local });
        true
    }

    /// What a block takes out, by reason.
    fn block(&mut self, from: Address, nonce: u64, balance: U256, now_ms: u64) -> [BTreeSet<B256>; 3] {
        self.nonces.insert(from, nonce);
        self.balances.insert(from, balance);
        let rate = self.rate;
        let mut take = |gone: &dyn Fn(&(Address, u64), &Held) -> bool| -> BTreeSet<B256> {
            self.held.extract_if(.., |slot, held| gone(slot, held)).map(|(_, held)| held.tx.hash).collect()
        };
        let stale = take(&|slot, _| slot.0 == from && slot.1 < nonce);
        let cost = |held: &Held| U256::from(21_000 * held.tx.envelope.max_fee_per_gas() + u128::from(7 * rate));
        let dear = take(&|slot, held| slot.0 == from && cost(held) > balance);
        let executable = self.executable();
        let old = |held: &Held| held.added_ms < now_ms.saturating_sub(LIFETIMES[usize::from(held.local)]);
        let gone = self.held.extract_if(.., |_, held| old(held) && !executable.contains(&held.tx.hash));
        [stale, dear, gone.map(|(_, held)| held.tx.hash).collect()]
    }

    /// What its sender can pay no longer.
    fn reprice(&mut self, rate: u64) -> BTreeSet<B256> {
        self.rate = rate;
        let dear = |((sender, _), held): (&(Address, u64), &Held)| {
            (self.cost(&held.tx) > self.balance(*sender)).then_some(held.tx.hash)
        };
        let dear: BTreeSet<B256> = self.held.iter().filter_map(dear).collect();
        self.held.retain(|_, held| !dear.contains(&held.tx.hash));
        dear
    }

    fn executable(&self) -> BTreeSet<B256> {
        let mut all = BTreeSet::new();
        for from in 1..6 {
            let sender = sender(from);
            let mut nonce = self.nonce(sender);
            while let Some(held) = self.held.get(&(sender, nonce)) {
                all.insert(held.tx.hash);
                nonce += 1;
            }
        }
        all
    }
}

/// Everything that must always hold; returns all pooled transactions.
fn check(pool: &Pool, limits: &Limits, base_fee: u64) -> (Vec<Pooled>, Vec<Pooled>) {
    let content = pool.content();
    let (pending, queued) = (content.pending, content.queued);
    let status = pool.status();
    assert_eq!((status.pending, status.queued), (pending.len(), queued.len()));
    let all: Vec<&Pooled> = pending.iter().chain(&queued).collect();
    assert_eq!(status.bytes, all.iter().map(|tx| tx.size()).sum::<usize>());
    assert!(all.len() <= limits.transactions && status.bytes <= limits.bytes);
    for tx in &all {
        assert_eq!(pool.get(tx.hash()).map(Pooled::hash), Some(tx.hash()));
    }
    for (sender, queue) in pool.queues() {
        assert!(!queue.is_empty());
        assert!(
            queue.run.iter().enumerate().all(|(i, tx)| tx.nonce == queue.nonce + i as u64 && tx.tx.sender == *sender)
        );
        assert!(queue.gapped.iter().all(|(nonce, tx)| *nonce > queue.next_nonce() && tx.nonce == *nonce));
        assert!(queue.gapped.len() <= limits.gapped);
        assert_eq!(queue.cost, queue.iter().map(|tx| tx.cost).sum::<U256>());
        assert_eq!(queue.data_size, queue.iter().map(|tx| tx.data_size).sum::<u64>());
        assert_eq!(queue.bytes, queue.iter().map(Pooled::size).sum::<usize>());
        assert!(queue.bytes <= limits.account_bytes);
    }
    let mut fresh = EvictionIndex::default();
    fresh.rebuild(pool.queues(), base_fee);
    assert_eq!(&fresh, pool.index());
    check_best(pool, base_fee);
    (pending, queued)
}

/// The lazy heap against picking the best head again and again.
fn check_best(pool: &Pool, base_fee: u64) {
    let mut slots: BTreeMap<Address, (&SenderQueue, usize)> =
        pool.queues().iter().map(|(sender, queue)| (*sender, (queue, 0))).collect();
    let mut naive = Vec::new();
    loop {
        let head = |(queue, slot): &(&SenderQueue, usize)| {
            let tx = queue.run.get(*slot)?;
            Some((tx.effective_tip(base_fee)?, std::cmp::Reverse(tx.sequence), tx.hash()))
        };
        let best = slots.iter().filter_map(|(sender, at)| head(at).map(|head| (head, *sender))).max();
        let Some(((_, _, hash), sender)) = best else { break };
        naive.push(hash);
        slots.entry(sender).and_modify(|(_, slot)| *slot += 1);
    }
    let lazy: Vec<B256> = pool.best(base_fee).map(|tx| tx.hash).collect();
    assert_eq!(lazy, naive);
}

/// What each executable transaction is worth: no more than those before it.
fn worths(pool: &Pool, base_fee: u64) -> HashMap<B256, i128> {
    let mut worths = HashMap::new();
    for queue in pool.queues().values() {
        let mut least = i128::MAX;
        for tx in queue.run.iter() {
            least = least.min(tx.worth(base_fee));
            worths.insert(tx.hash(), least);
        }
    }
    worths
}

fn dropped(events: &[PoolEvent], reason: Removal) -> Vec<B256> {
    events
        .iter()
        .filter_map(|event| match event {
            PoolEvent::Dropped { hash, reason: why, .. } if *why == reason => Some(*hash),
            _ => None,
        })
        .collect()
}

/// Runs a history; `model` is compared only when the limits are never reached.
fn run(steps: Vec<Step>, limits: Limits, mut model: Option<Model>) {
    let (mut base_fee, mut now_ms) = (1_000, 0);
    let mut pool = pool_of(limits);
    let mut accounts: HashMap<u8, AccountView> = HashMap::new();
    for step in steps {
        match step {
            Step::Add { from, nonce, fee_cap, tip, local } => {
                let account = *accounts.entry(from).or_insert_with(|| rich(0));
                let tx = priced(from, nonce, fee_cap.max(tip), tip);
                let before = worths(&pool, base_fee);
                let origin = if local { Origin::Local } else { Origin::Remote };
                let taken = pool.add(incoming(tx.clone()), &account, &env(), now_ms, origin);
                if let Some(model) = &mut model {
                    assert_eq!(taken.is_ok(), model.add(&tx, now_ms, local), "{taken:?}");
                }
                for hash in taken.iter().flat_map(|added| dropped(&added.events, Removal::Evicted)) {
                    if let Some(evicted) = before.get(&hash) {
                        assert!(taken.as_ref().unwrap().pending, "a gapped one pushed an executable one out");
                        let worth = pool.get(tx.hash).unwrap().worth(base_fee);
                        assert!(*evicted < worth, "worth {evicted} made room for {worth}");
                    }
                }
            }
            Step::Block { from, up, base_fee: next, covers, wait_ms } => {
                base_fee = next;
                now_ms += wait_ms;
                let account = accounts.entry(from).or_insert_with(|| rich(0));
                account.nonce += up;
                account.balance = covers.map_or(rich(0).balance, |fee_cap| U256::from(21_000 * fee_cap + 7));
                let AccountView { nonce, balance, .. } = *account;
                let update = AccountUpdate { address: sender(from), nonce, balance, is_delegated: false };
                let events = pool.on_block(&[update], base_fee, now_ms);
                if let Some(model) = &mut model {
                    let expected = model.block(sender(from), nonce, balance, now_ms);
                    let found = [Removal::NonceUsed, Removal::Unaffordable, Removal::Expired]
                        .map(|reason| dropped(&events, reason).into_iter().collect::<BTreeSet<_>>());
                    assert_eq!(found, expected);
                }
            }
            Step::Reprice { rate } => {
                let events = pool.reprice(U256::from(rate) * U256::from(1_000_000));
                if let Some(model) = &mut model {
                    let found: BTreeSet<B256> = dropped(&events, Removal::Unaffordable).into_iter().collect();
                    assert_eq!(found, model.reprice(rate));
                }
            }
            Step::Remove { pick } => {
                let content = pool.content();
                let all: Vec<B256> = content.pending.iter().chain(&content.queued).map(Pooled::hash).collect();
                if !all.is_empty() {
                    let hash = all[pick.index(all.len())];
                    assert_eq!(dropped(&pool.remove(hash, Removal::Invalid), Removal::Invalid), [hash]);
                    if let Some(model) = &mut model {
                        model.held.retain(|_, held| held.tx.hash != hash);
                    }
                }
            }
        }
        let (pending, queued) = check(&pool, &limits, base_fee);
        if let Some(model) = &model {
            let hashes = |txs: &[Pooled]| txs.iter().map(Pooled::hash).collect::<BTreeSet<_>>();
            let executable = model.executable();
            assert_eq!(hashes(&pending), executable);
            let waiting: BTreeSet<B256> =
                model.held.values().map(|held| held.tx.hash).filter(|h| !executable.contains(h)).collect();
            assert_eq!(hashes(&queued), waiting);
        }
    }
}

proptest! {
    #[test]
    fn without_pressure_the_pool_is_the_model(steps in steps()) {
        let [gapped_lifetime_ms, local_gapped_lifetime_ms] = LIFETIMES;
        let limits = Limits { gapped_lifetime_ms, local_gapped_lifetime_ms, ..Limits::default() };
        run(steps, limits, Some(Model::default()));
    }

    #[test]
    fn under_pressure_all_bounds_hold(
        steps in steps(), transactions in 1usize..12, bytes in 200usize..2_000, account_bytes in 200usize..600,
    ) {
        let limits = Limits { transactions, bytes, executable: 4, gapped: 2, account_bytes, ..Limits::default() };
        run(steps, limits, None);
    }
}
