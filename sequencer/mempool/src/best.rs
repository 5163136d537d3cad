//! Transactions in the order a builder wants them.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap},
    sync::Arc,
};

use alloy_primitives::Address;
use protocol::RecoveredTx;

use crate::{Pooled, queue::SenderQueue};

/// A snapshot of the executable transactions, best first: by effective tip, then by arrival, each sender's in nonce
/// order. Taking it costs one reference count and one heap slot per sender; the pool may change meanwhile.
#[derive(Debug)]
pub struct Best {
    base_fee: u64,
    heads: BinaryHeap<Head>,
    /// The sender whose transaction was returned last: its next one enters the heap only when it was not refused.
    last: Option<Head>,
}

#[derive(Debug)]
struct Head {
    tip: u128,
    sequence: Reverse<u64>,
    run: Arc<Vec<Pooled>>,
    slot: usize,
}

impl Head {
    fn at(run: Arc<Vec<Pooled>>, slot: usize, base_fee: u64) -> Option<Self> {
        let tx = run.get(slot)?;
        let (tip, sequence) = (tx.effective_tip(base_fee)?, Reverse(tx.sequence));
        Some(Self { tip, sequence, run, slot })
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.tip, self.sequence).cmp(&(other.tip, other.sequence))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl Best {
    pub(crate) fn new<'a>(
        senders: impl Iterator<Item = (&'a Address, &'a SenderQueue)>,
        base_fee: u64,
        executed: &HashMap<Address, u64>,
    ) -> Self {
        let heads: Vec<Head> = senders
            .filter_map(|(sender, queue)| {
                let first = executed.get(sender).map_or(0, |next| next.saturating_sub(queue.nonce));
                Head::at(Arc::clone(&queue.run), usize::try_from(first).ok()?, base_fee)
            })
            .collect();
        Self { base_fee, heads: heads.into(), last: None }
    }

    /// Leaves out the remaining transactions of the sender whose transaction was returned last: call it when that one
    /// did not go into the block, since the others cannot go either.
    pub fn skip_sender(&mut self) {
        self.last = None;
    }

    /// Next transaction with its pool record.
    pub fn next_pooled(&mut self) -> Option<Pooled> {
        if let Some(Head { run, slot, .. }) = self.last.take() {
            self.heads.extend(Head::at(run, slot.saturating_add(1), self.base_fee));
        }
        let head = self.heads.pop()?;
        let tx = head.run.get(head.slot).cloned();
        self.last = Some(head);
        tx
    }
}

impl Iterator for Best {
    type Item = Arc<RecoveredTx>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_pooled().map(|pooled| pooled.tx)
    }
}
