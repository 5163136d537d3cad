//! Who has to go when the pool is full.
//!
//! Only tails go, so that eviction never tears a gap. A transaction is worth no more than the cheapest one before it in
//! its run, because it cannot be built earlier: a high bid behind a low one does not protect the low one. Gapped
//! transactions go before executable ones, and never push one out.

use std::{cmp::Reverse, collections::BTreeSet};

use alloy_primitives::{Address, map::HashMap};

use crate::queue::{Pooled, SenderQueue};

/// Worth of a sender's cheapest, arrival of its tail (later goes first), sender.
type Rank = (i128, Reverse<u64>, Address);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    run: Option<Rank>,
    gapped: Option<Rank>,
    run_len: usize,
    gapped_len: usize,
}

impl Entry {
    fn new(sender: Address, queue: &SenderQueue, base_fee: u64) -> Self {
        Self {
            run: rank(sender, queue.run.iter(), base_fee),
            gapped: rank(sender, queue.gapped.values(), base_fee),
            run_len: queue.run.len(),
            gapped_len: queue.gapped.len(),
        }
    }
}

/// Senders by what evicting from them would cost; also counts transactions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EvictionIndex {
    entries: HashMap<Address, Entry>,
    runs: BTreeSet<Rank>,
    gapped: BTreeSet<Rank>,
    pub(crate) executable: usize,
    pub(crate) waiting: usize,
}

/// What a newcomer brings and what must be freed for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) sender: Address,
    pub(crate) executable: bool,
    pub(crate) worth: i128,
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

fn rank<'a>(sender: Address, txs: impl Iterator<Item = &'a Pooled>, base_fee: u64) -> Option<Rank> {
    let mut worst: Option<(i128, u64)> = None;
    for tx in txs {
        let worth = tx.worth(base_fee);
        worst = Some((worst.map_or(worth, |(least, _)| least.min(worth)), tx.sequence));
    }
    worst.map(|(worth, sequence)| (worth, Reverse(sequence), sender))
}

impl EvictionIndex {
    /// Brings the index up to date after a sender's queue changed (`None`: it is gone).
    pub(crate) fn update(&mut self, sender: Address, queue: Option<&SenderQueue>, base_fee: u64) {
        if let Some(old) = self.entries.remove(&sender) {
            old.run.map(|rank| self.runs.remove(&rank));
            old.gapped.map(|rank| self.gapped.remove(&rank));
            self.executable = self.executable.saturating_sub(old.run_len);
            self.waiting = self.waiting.saturating_sub(old.gapped_len);
        }
        let Some(queue) = queue else { return };
        let entry = Entry::new(sender, queue, base_fee);
        self.runs.extend(entry.run);
        self.gapped.extend(entry.gapped);
        self.executable = self.executable.saturating_add(entry.run_len);
        self.waiting = self.waiting.saturating_add(entry.gapped_len);
        self.entries.insert(sender, entry);
    }

    /// Ranks depend on the base fee: all of them are made again when it changes.
    pub(crate) fn rebuild(&mut self, senders: &HashMap<Address, SenderQueue>, base_fee: u64) {
        let entries = senders.iter().map(|(sender, queue)| (*sender, Entry::new(*sender, queue, base_fee)));
        self.entries = entries.collect();
        // Collecting sorts once and builds the trees from the bottom, which is several times faster than inserting.
        self.runs = self.entries.values().filter_map(|entry| entry.run).collect();
        self.gapped = self.entries.values().filter_map(|entry| entry.gapped).collect();
        self.executable = self.entries.values().map(|entry| entry.run_len).sum();
        self.waiting = self.entries.values().map(|entry| entry.gapped_len).sum();
    }

    /// What the cheapest executable transaction is worth.
    pub(crate) fn cheapest(&self) -> i128 {
        self.runs.first().map_or(0, |(worth, _, _)| *worth)
    }

    /// Senders with gapped transactions.
    pub(crate) fn gapped_senders(&self) -> Vec<Address> {
        self.gapped.iter().map(|(_, _, sender)| *sender).collect()
    }

    /// Transactions to evict for a claim, tails first, all worth less than the newcomer; `None` when that cannot be had.
    pub(crate) fn victims(
        &self,
        claim: &Claim,
        senders: &HashMap<Address, SenderQueue>,
        base_fee: u64,
    ) -> Option<Vec<(Address, u64)>> {
        let mut freed = Freed { victims: Vec::new(), bytes: 0, claim: *claim };
        for (worth, _, sender) in &self.gapped {
            if freed.enough() || (!claim.executable && *worth >= claim.worth) {
                break;
            }
            let Some(queue) = senders.get(sender).filter(|_| *sender != claim.sender) else { continue };
            for tx in queue.gapped.values().rev() {
                let cheaper = claim.executable || tx.worth(base_fee) < claim.worth;
                if freed.enough() || !cheaper {
                    break;
                }
                freed.take(*sender, tx);
            }
        }
        if claim.executable {
            for (worth, _, sender) in &self.runs {
                if freed.enough() || *worth >= claim.worth {
                    break;
                }
                let Some(queue) = senders.get(sender).filter(|_| *sender != claim.sender) else { continue };
                freed.take_tail(*sender, &queue.run, base_fee);
            }
        }
        freed.enough().then_some(freed.victims)
    }
}

struct Freed {
    victims: Vec<(Address, u64)>,
    bytes: usize,
    claim: Claim,
}

impl Freed {
    fn enough(&self) -> bool {
        self.victims.len() >= self.claim.count && self.bytes >= self.claim.bytes
    }

    fn take(&mut self, sender: Address, tx: &Pooled) {
        self.victims.push((sender, tx.nonce));
        self.bytes = self.bytes.saturating_add(tx.size());
    }

    fn take_tail(&mut self, sender: Address, run: &[Pooled], base_fee: u64) {
        let mut least = i128::MAX;
        let first_cheap = run.iter().position(|tx| {
            least = least.min(tx.worth(base_fee));
            least < self.claim.worth
        });
        // From the first cheap one on, everything is worth less than the newcomer.
        for tx in run.iter().skip(first_cheap.unwrap_or(run.len())).rev() {
            if self.enough() {
                break;
            }
            self.take(sender, tx);
        }
    }
}
