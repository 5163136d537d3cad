//! Final L1 blocks that have left the memory, read again: a batch after a long silence goes back further than the memory does.

use std::collections::BTreeMap;

use derivation::FinalL1;
use l1::{FinalBlock, FinalBlocks, L1Error, L1Reader};
use op_alloy_consensus::TxDeposit;
use protocol::L1Origin;

/// What is in memory, and what was read again for the batch that is next: at most the L1 blocks that one batch can advance by, which
/// are its bound.
#[derive(Debug)]
pub(crate) struct Recalled {
    finals: FinalBlocks,
    blocks: BTreeMap<u64, FinalBlock>,
}

impl Recalled {
    pub(crate) const fn new(finals: FinalBlocks) -> Self {
        Self { finals, blocks: BTreeMap::new() }
    }

    /// Whether a block has been in memory, and is no more.
    pub(crate) fn has_left(&self, number: u64) -> bool {
        self.finals.oldest().is_some_and(|oldest| number < oldest)
    }

    /// Reads the next blocks from `first` on that are not here, as many as one request gives.
    pub(crate) async fn read(&mut self, reader: &L1Reader, first: u64) -> Result<(), L1Error> {
        let from = self.blocks.last_key_value().map_or(first, |(number, _)| number.saturating_add(1).max(first));
        let Some(oldest) = self.finals.oldest().and_then(|number| self.finals.get(number)) else { return Ok(()) };
        let to = oldest.origin.number.saturating_sub(1);
        if from > to {
            return Err(L1Error::Missing("final block", first.to_string()));
        }
        let read = reader.final_blocks(from, to).await?;
        // One chain, from what was read before to what is in memory.
        for block in &read {
            let before = self.blocks.get(&block.origin.number.saturating_sub(1)).map(|before| before.origin);
            follows(before, block.origin.number, block.parent)?;
            self.blocks.insert(block.origin.number, block.clone());
        }
        let last = self.blocks.get(&to).map(|last| last.origin);
        follows(last, oldest.origin.number, oldest.parent)
    }

    /// Forgets what no later block names.
    pub(crate) fn forget_before(&mut self, number: u64) {
        self.blocks = self.blocks.split_off(&number);
    }
}

fn follows(before: Option<L1Origin>, number: u64, parent: alloy_primitives::B256) -> Result<(), L1Error> {
    match before {
        Some(before) if before.hash != parent => {
            Err(L1Error::FinalityBroken { number: number.saturating_sub(1), expected: before.hash, found: parent })
        }
        _ => Ok(()),
    }
}

impl FinalL1 for Recalled {
    fn origin(&self, number: u64) -> Option<L1Origin> {
        self.finals.origin(number).or_else(|| self.blocks.get(&number).map(|block| block.origin))
    }

    fn deposits(&self, number: u64) -> Option<Vec<TxDeposit>> {
        self.finals.deposits(number).or_else(|| self.blocks.get(&number).map(|block| block.deposits.clone()))
    }
}
