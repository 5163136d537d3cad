//! What the batcher knows: the batches on L1, the proposals under way, and what to do next. Synchronous and pure.

use std::collections::VecDeque;

use protocol::BatchHeader;

use crate::{BatchProposal, ParentBatch};

/// Batches on L1 that are not final: one in each L1 block for nine days in which L1 finalises nothing. Some 6 MB.
pub(crate) const MAX_UNFINAL: usize = 65_536;
/// Proposals put aside because this node is behind.
const MAX_DEFERRED: usize = 2;

/// L1 told of batches out of order: events were lost between watcher and batcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch {found} on L1 does not follow batch {tip}")]
pub struct Gap {
    /// Newest batch known.
    pub tip: u64,
    /// Batch L1 reported.
    pub found: u64,
}

/// The batches on the latest L1 chain: one final batch and what follows it.
#[derive(Debug)]
pub(crate) struct L1Batches {
    base: ParentBatch,
    above: VecDeque<ParentBatch>,
}

impl L1Batches {
    pub(crate) const fn new(base: ParentBatch) -> Self {
        Self { base, above: VecDeque::new() }
    }

    /// Newest batch on L1.
    pub(crate) fn tip(&self) -> ParentBatch {
        self.above.back().copied().unwrap_or(self.base)
    }

    /// A batch appeared. A batch at or below the tip was told before (a watcher starts a little early).
    pub(crate) fn included(&mut self, header: &BatchHeader) -> Result<(), Gap> {
        let tip = self.tip();
        if header.index <= tip.index {
            return Ok(());
        }
        if header.index != tip.index.saturating_add(1)
            || header.parentHash != tip.hash
            || self.above.len() >= MAX_UNFINAL
        {
            return Err(Gap { tip: tip.index, found: header.index });
        }
        self.above.push_back(ParentBatch::from(header));
        Ok(())
    }

    /// A reorg took a batch, and with it all that followed.
    pub(crate) fn dropped(&mut self, header: &BatchHeader) {
        let hash = header.hash();
        if let Some(at) = self.above.iter().position(|batch| batch.hash == hash) {
            self.above.truncate(at);
        }
    }

    /// A batch became final.
    pub(crate) fn finalized(&mut self, header: &BatchHeader) {
        while let Some(batch) = self.above.pop_front_if(|batch| batch.index <= header.index) {
            self.base = batch;
        }
    }
}

/// Proposals that may become valid when this node catches up.
#[derive(Debug, Default)]
pub(crate) struct Deferred(VecDeque<BatchProposal>);

impl Deferred {
    /// Puts a proposal aside; the oldest leaves when there are too many.
    pub(crate) fn put(&mut self, proposal: BatchProposal) {
        if self.0.contains(&proposal) {
            return;
        }
        if self.0.len() >= MAX_DEFERRED {
            self.0.pop_front();
        }
        self.0.push_back(proposal);
    }

    /// All that may follow `parent` or a later batch; those that cannot any more are forgotten.
    pub(crate) fn take(&mut self, parent: &ParentBatch) -> Vec<BatchProposal> {
        self.0.drain(..).filter(|proposal| proposal.header.index > parent.index).collect()
    }
}

/// When proposals for the next batch were seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LastProposal(Option<(u64, u64)>);

impl LastProposal {
    /// A valid proposal for a batch index at a time.
    pub(crate) fn saw(&mut self, index: u64, now_ms: u64) {
        self.0 = Some((index, now_ms));
    }

    /// Time of the newest one for this index.
    pub(crate) fn time_of(&self, index: u64) -> Option<u64> {
        self.0.filter(|(seen, _)| *seen == index).map(|(_, time)| time)
    }
}
