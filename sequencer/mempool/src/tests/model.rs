//! Random histories against a model that keeps one flat list and recomputes everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_consensus::Transaction as _;
use alloy_primitives::B256;
use proptest::prelude::*;

use super::*;
use crate::{
    AccountUpdate, Limits, Origin, Pool, PoolEvent, Pooled, Removal, eviction::EvictionIndex, queue::SenderQueue,
};

#[derive(Clone, Debug)]
enum Step {
    Add { from: u8, nonce: u64, fee_cap: u128, tip: u128 },
    Block { from: u8, up: u64, base_fee: u64 },
    Remove { pick: prop::sample::Index },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fees = (900u128..3_000, 1u128..900);
    let add =
        (1u8..6, 0u64..12, fees).prop_map(|(from, nonce, (fee_cap, tip))| Step::Add { from, nonce, fee_cap, tip });
    let block = (1u8..6, 0u64..3, 800u64..1_500).prop_map(|(from, up, base_fee)| Step::Block { from, up, base_fee });
    let remove = any::<prop::sample::Index>().prop_map(|pick| Step::Remove { pick });
    prop::collection::vec(prop_oneof![8 => add, 1 => block, 1 => remove], 1..120)
}

/// What the pool should hold when nothing is ever evicted: per sender, its transactions by nonce.
#[derive(Default)]
struct Model {
    nonces: HashMap<Address, u64>,
    held: BTreeMap<(Address, u64), RecoveredTx>,
}

impl Model {
    fn nonce(&self, sender: Address) -> u64 {
        self.nonces.get(&sender).copied().unwrap_or_default()
    }

    /// Whether it goes in.
    fn add(&mut self, tx: &RecoveredTx) -> bool {
        let slot = (tx.sender, tx.envelope.nonce());
        if slot.1 < self.nonce(tx.sender) {
            return false;
        }
        if let Some(old) = self.held.get(&slot) {
            let bid =
                |tx: &RecoveredTx| (tx.envelope.max_fee_per_gas(), tx.envelope.max_priority_fee_per_gas().unwrap());
            let ((new_fee, new_tip), (old_fee, old_tip)) = (bid(tx), bid(old));
            let enough = |new: u128, old: u128| new > old && new >= old * 110 / 100;
            if !enough(new_fee, old_fee) || !enough(new_tip, old_tip) {
                return false;
            }
        }
        self.held.insert(slot, tx.clone());
        true
    }

    fn executable(&self) -> BTreeSet<B256> {
        let mut all = BTreeSet::new();
        for from in 1..6 {
            let sender = sender(from);
            let mut nonce = self.nonce(sender);
            while let Some(tx) = self.held.get(&(sender, nonce)) {
                all.insert(tx.hash);
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
            PoolEvent::Dropped { hash, reason: why } if *why == reason => Some(*hash),
            _ => None,
        })
        .collect()
}

/// Runs a history; `model` is compared only when the limits are never reached.
fn run(steps: Vec<Step>, limits: Limits, mut model: Option<Model>) {
    let mut base_fee = 1_000;
    let mut pool = Pool::new(limits, base_fee);
    let mut nonces: HashMap<u8, u64> = HashMap::new();
    for step in steps {
        match step {
            Step::Add { from, nonce, fee_cap, tip } => {
                let account = rich(nonces.get(&from).copied().unwrap_or_default());
                let tx = priced(from, nonce, fee_cap.max(tip), tip);
                let before = worths(&pool, base_fee);
                let taken = pool.add(tx.clone(), &account, &env(), 0, Origin::Remote);
                if let Some(model) = &mut model {
                    assert_eq!(taken.is_ok(), model.add(&tx), "{taken:?}");
                }
                for hash in taken.iter().flat_map(|added| dropped(&added.events, Removal::Evicted)) {
                    if let Some(evicted) = before.get(&hash) {
                        assert!(taken.as_ref().unwrap().pending, "a gapped one pushed an executable one out");
                        let worth = pool.get(tx.hash).unwrap().worth(base_fee);
                        assert!(*evicted < worth, "worth {evicted} made room for {worth}");
                    }
                }
            }
            Step::Block { from, up, base_fee: next } => {
                base_fee = next;
                let nonce = nonces.entry(from).or_default();
                *nonce += up;
                let update = AccountUpdate { address: sender(from), nonce: *nonce, balance: U256::MAX };
                let events = pool.on_block(&[update], base_fee, 0);
                if let Some(model) = &mut model {
                    model.nonces.insert(sender(from), *nonce);
                    let stale: BTreeSet<B256> = model
                        .held
                        .extract_if(.., |(of, at), _| *of == sender(from) && *at < *nonce)
                        .map(|(_, tx)| tx.hash)
                        .collect();
                    assert_eq!(dropped(&events, Removal::NonceUsed).into_iter().collect::<BTreeSet<_>>(), stale);
                }
            }
            Step::Remove { pick } => {
                let content = pool.content();
                let all: Vec<B256> = content.pending.iter().chain(&content.queued).map(Pooled::hash).collect();
                if !all.is_empty() {
                    let hash = all[pick.index(all.len())];
                    assert_eq!(dropped(&pool.remove(hash, Removal::Invalid), Removal::Invalid), [hash]);
                    if let Some(model) = &mut model {
                        model.held.retain(|_, tx| tx.hash != hash);
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
                model.held.values().map(|tx| tx.hash).filter(|h| !executable.contains(h)).collect();
            assert_eq!(hashes(&queued), waiting);
        }
    }
}

proptest! {
    #[test]
    fn without_pressure_the_pool_is_the_model(steps in steps()) {
        run(steps, Limits::default(), Some(Model::default()));
    }

    #[test]
    fn under_pressure_all_bounds_hold(steps in steps(), transactions in 1usize..12, bytes in 200usize..2_000) {
        run(steps, Limits { transactions, bytes, executable: 4, gapped: 2, ..Limits::default() }, None);
    }
}
