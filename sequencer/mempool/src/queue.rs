//! The transactions of one sender.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, U256};
use protocol::RecoveredTx;

use crate::{
    Origin,
    admission::{Incoming, data_fee, max_cost, tip_cap},
};

/// A pooled transaction with what the pool needs of it at hand.
#[derive(Clone, Debug)]
pub struct Pooled {
    /// The transaction.
    pub tx: Arc<RecoveredTx>,
    /// Its nonce.
    pub nonce: u64,
    /// Fee cap per gas, in wei.
    pub fee_cap: u128,
    /// Priority fee cap per gas, in wei.
    pub tip_cap: u128,
    /// The most it can cost on L2, in wei; the L1 data fee comes on top.
    pub cost: U256,
    /// What the L1 data fee counts of it, in millionths of a byte.
    pub data_size: u64,
    /// Order of arrival.
    pub sequence: u64,
    /// When it was added, milliseconds since the epoch.
    pub added_ms: u64,
    /// Who handed it in.
    pub origin: Origin,
    /// Accounts whose delegation it sets.
    pub(crate) authorities: Arc<[Address]>,
}

impl Pooled {
    pub(crate) fn new(incoming: Incoming, sequence: u64, added_ms: u64, origin: Origin) -> Self {
        let Incoming { tx, data_size, authorities } = incoming;
        let envelope = &tx.envelope;
        Self {
            nonce: envelope.nonce(),
            fee_cap: envelope.max_fee_per_gas(),
            tip_cap: tip_cap(envelope),
            cost: max_cost(envelope),
            data_size,
            sequence,
            added_ms,
            origin,
            authorities: authorities.unwrap_or_else(|| crate::delegation::authorities(envelope)).into(),
            tx: Arc::new(tx),
        }
    }

    /// Hash of the transaction.
    #[must_use]
    pub fn hash(&self) -> B256 {
        self.tx.hash
    }

    /// Encoded bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.tx.encoded.len()
    }

    /// The most it can cost in all, in wei, when L1 data has this rate.
    #[must_use]
    pub fn total_cost(&self, data_rate: U256) -> U256 {
        self.cost.saturating_add(data_fee(self.data_size, data_rate))
    }

    /// What the block builder earns per gas; `None` while the fee cap is below the base fee.
    #[must_use]
    pub fn effective_tip(&self, base_fee: u64) -> Option<u128> {
        self.fee_cap.checked_sub(u128::from(base_fee)).map(|room| room.min(self.tip_cap))
    }

    /// Like [`Self::effective_tip`], but negative below the base fee: the order of eviction.
    pub(crate) fn worth(&self, base_fee: u64) -> i128 {
        let fee_cap = i128::try_from(self.fee_cap).unwrap_or(i128::MAX);
        let tip_cap = i128::try_from(self.tip_cap).unwrap_or(i128::MAX);
        fee_cap.saturating_sub(i128::from(base_fee)).min(tip_cap)
    }

    /// Whether this one outbids `old` by 10 % in both fees.
    pub(crate) fn outbids(&self, old: &Self) -> bool {
        let enough = |new: u128, old: u128| {
            let threshold = U256::from(old) * U256::from(100 + REPLACEMENT_PERCENT) / U256::from(100);
            new > old && U256::from(new) >= threshold
        };
        enough(self.fee_cap, old.fee_cap) && enough(self.tip_cap, old.tip_cap)
    }
}

/// Both fees of a replacement must exceed the old ones by this much.
const REPLACEMENT_PERCENT: u64 = 10;

/// What became of an inserted transaction.
#[derive(Debug, Default)]
pub(crate) struct Inserted {
    pub(crate) replaced: Option<Pooled>,
    /// Whether it is executable.
    pub(crate) executable: bool,
    /// Gapped ones that became executable with it.
    pub(crate) promoted: usize,
}

/// `run[i]` has nonce `nonce + i`; gapped ones are above `nonce + run.len()`, or from there on if only one may be executable.
#[derive(Clone, Debug, Default)]
pub(crate) struct SenderQueue {
    /// Account nonce.
    pub(crate) nonce: u64,
    /// Account balance in wei.
    pub(crate) balance: U256,
    /// The account is delegated: at most one is executable at a time.
    pub(crate) is_single: bool,
    /// Executable transactions. Shared with snapshots; copied when changed while one is out.
    pub(crate) run: Arc<Vec<Pooled>>,
    pub(crate) gapped: BTreeMap<u64, Pooled>,
    /// Sum of the costs of all, L1 data fees apart.
    pub(crate) cost: U256,
    /// Sum of what the L1 data fee counts of all.
    pub(crate) data_size: u64,
    /// Encoded bytes of all.
    pub(crate) bytes: usize,
}

impl SenderQueue {
    pub(crate) fn new(nonce: u64) -> Self {
        Self { nonce, ..Self::default() }
    }

    /// The most all of them can cost: of their L1 data fees together, rounded once.
    pub(crate) fn total_cost(&self, data_rate: U256) -> U256 {
        self.cost.saturating_add(data_fee(self.data_size, data_rate))
    }

    /// Nonces of those that cost more than the account has.
    pub(crate) fn unaffordable(&self, data_rate: U256) -> Vec<u64> {
        if self.total_cost(data_rate) <= self.balance {
            return Vec::new();
        }
        self.iter().filter(|tx| tx.total_cost(data_rate) > self.balance).map(|tx| tx.nonce).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.run.is_empty() && self.gapped.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.run.len().saturating_add(self.gapped.len())
    }

    /// The nonce after the executable ones.
    pub(crate) fn next_nonce(&self) -> u64 {
        self.nonce.saturating_add(self.run.len() as u64)
    }

    fn slot(&self, nonce: u64) -> Option<usize> {
        nonce.checked_sub(self.nonce).and_then(|offset| usize::try_from(offset).ok())
    }

    pub(crate) fn get(&self, nonce: u64) -> Option<&Pooled> {
        self.slot(nonce).and_then(|slot| self.run.get(slot)).or_else(|| self.gapped.get(&nonce))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Pooled> {
        self.run.iter().chain(self.gapped.values())
    }

    /// Puts a transaction in its place; its nonce must not be below the account's.
    pub(crate) fn insert(&mut self, tx: Pooled) -> Inserted {
        let nonce = tx.nonce;
        self.cost = self.cost.saturating_add(tx.cost);
        self.data_size = self.data_size.saturating_add(tx.data_size);
        self.bytes = self.bytes.saturating_add(tx.size());
        let mut done = Inserted::default();
        let slot = self.slot(nonce);
        if let Some(old) =
            slot.filter(|slot| *slot < self.run.len()).and_then(|slot| Arc::make_mut(&mut self.run).get_mut(slot))
        {
            done.replaced = Some(std::mem::replace(old, tx));
            done.executable = true;
        } else if self.takes(nonce) {
            Arc::make_mut(&mut self.run).push(tx);
            done.executable = true;
            done.promoted = self.promote();
        } else {
            done.replaced = self.gapped.insert(nonce, tx);
        }
        if let Some(old) = &done.replaced {
            self.forget(old);
        }
        done
    }

    /// Whether a newcomer with this nonce would be executable.
    pub(crate) fn takes(&self, nonce: u64) -> bool {
        let next = self.next_nonce();
        nonce < next || nonce == next && (!self.is_single || self.run.is_empty())
    }

    /// Says whether only one may be executable. Those behind the first wait in that case.
    pub(crate) fn restrict(&mut self, is_single: bool) {
        self.is_single = is_single;
        if is_single && self.run.len() > 1 {
            let waiting = Arc::make_mut(&mut self.run).split_off(1);
            self.gapped.extend(waiting.into_iter().map(|tx| (tx.nonce, tx)));
        }
    }

    /// Moves gapped transactions whose gap closed into the run, as many as may be executable; returns how many.
    pub(crate) fn promote(&mut self) -> usize {
        let mut moved: usize = 0;
        while self.takes(self.next_nonce())
            && let Some(tx) = self.gapped.remove(&self.next_nonce())
        {
            Arc::make_mut(&mut self.run).push(tx);
            moved = moved.saturating_add(1);
        }
        moved
    }

    /// Takes one out; those behind it in the run become gapped.
    pub(crate) fn remove(&mut self, nonce: u64) -> Option<Pooled> {
        let removed = match self.slot(nonce).filter(|slot| *slot < self.run.len()) {
            Some(slot) => {
                let run = Arc::make_mut(&mut self.run);
                let tail = run.split_off(slot.saturating_add(1));
                let removed = run.pop();
                self.gapped.extend(tail.into_iter().map(|tx| (tx.nonce, tx)));
                removed
            }
            None => self.gapped.remove(&nonce),
        };
        if let Some(tx) = &removed {
            self.forget(tx);
        }
        removed
    }

    /// Takes a transaction that is gone out of the sums.
    fn forget(&mut self, tx: &Pooled) {
        self.cost = self.cost.saturating_sub(tx.cost);
        self.data_size = self.data_size.saturating_sub(tx.data_size);
        self.bytes = self.bytes.saturating_sub(tx.size());
    }

    /// Raises the account nonce: returns what it made stale. Nonces never sink, since `latest` never reorgs.
    pub(crate) fn advance(&mut self, nonce: u64) -> Vec<Pooled> {
        if nonce <= self.nonce {
            return Vec::new();
        }
        let stale_run = self.slot(nonce).unwrap_or(usize::MAX).min(self.run.len());
        let mut stale: Vec<Pooled> =
            if stale_run == 0 { Vec::new() } else { Arc::make_mut(&mut self.run).drain(..stale_run).collect() };
        let kept = self.gapped.split_off(&nonce);
        stale.extend(std::mem::replace(&mut self.gapped, kept).into_values());
        for tx in &stale {
            self.forget(tx);
        }
        self.nonce = nonce;
        stale
    }
}
