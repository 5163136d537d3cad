//! Finding logs: the index, or the newest headers' blooms, say where to look.

use alloy_primitives::{Address, B256, Bloom, BloomInput, Log};

use crate::{Store, StoreError};

/// Positions at which a filter may ask for topics.
const TOPICS: usize = 4;

/// Which logs are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// First height.
    pub from: u64,
    /// Last height; heights beyond latest are left out.
    pub to: u64,
    /// Any of these; empty asks for nothing in particular.
    pub addresses: Vec<Address>,
    /// For each position any of these; empty asks for nothing in particular.
    pub topics: [Vec<B256>; TOPICS],
}

/// A log and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLog {
    /// Height of its block.
    pub height: u64,
    /// Hash of its block.
    pub block_hash: B256,
    /// Timestamp of its block, seconds.
    pub timestamp: u64,
    /// Hash of its transaction.
    pub transaction_hash: B256,
    /// Position of the transaction in the block.
    pub transaction_index: usize,
    /// Position of the log in the block.
    pub log_index: usize,
    /// The log itself.
    pub log: Log,
}

impl LogFilter {
    /// Whether a block with this bloom may hold a wanted log.
    #[must_use]
    pub fn may_match(&self, bloom: &Bloom) -> bool {
        let any = |mut inputs: std::slice::Iter<'_, B256>| inputs.any(|topic| has(bloom, topic.as_slice()));
        let addressed =
            self.addresses.is_empty() || self.addresses.iter().any(|address| has(bloom, address.as_slice()));
        addressed && self.topics.iter().all(|wanted| wanted.is_empty() || any(wanted.iter()))
    }

    /// Whether anything in particular is wanted.
    pub(crate) fn is_selective(&self) -> bool {
        !self.addresses.is_empty() || self.topics.iter().any(|wanted| !wanted.is_empty())
    }

    /// Whether a log is wanted.
    #[must_use]
    pub fn matches(&self, log: &Log) -> bool {
        let addressed = self.addresses.is_empty() || self.addresses.contains(&log.address);
        let mut wanted = self.topics.iter().enumerate();
        addressed
            && wanted.all(|(at, wanted)| {
                wanted.is_empty() || log.topics().get(at).is_some_and(|topic| wanted.contains(topic))
            })
    }
}

fn has(bloom: &Bloom, input: &[u8]) -> bool {
    bloom.contains_input(BloomInput::Raw(input))
}

impl Store {
    /// The wanted logs in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] when there are more; [`StoreError::PrunedHistory`]; the disk.
    pub fn logs(&self, filter: &LogFilter, limit: usize) -> Result<Vec<FoundLog>, StoreError> {
        let mut found = Vec::new();
        let mut from = Some(filter.from);
        while let Some(start) = from {
            let candidates = self.log_candidates(&LogFilter { from: start, ..filter.clone() })?;
            for height in candidates.heights {
                self.logs_of(height, filter, limit, &mut found)?;
            }
            from = candidates.next;
        }
        Ok(found)
    }

    fn logs_of(
        &self,
        height: u64,
        filter: &LogFilter,
        limit: usize,
        found: &mut Vec<FoundLog>,
    ) -> Result<(), StoreError> {
        let (Some(block), Some(receipts)) = (self.block(height)?, self.receipts(height)?) else { return Ok(()) };
        let mut log_index = 0;
        for (transaction_index, (transaction, receipt)) in
            block.body.transactions.iter().zip(receipts.iter()).enumerate()
        {
            for log in receipt.logs() {
                if filter.matches(log) {
                    if found.len() >= limit {
                        return Err(StoreError::TooLarge(limit));
                    }
                    found.push(FoundLog {
                        height,
                        block_hash: block.hash(),
                        timestamp: block.header.timestamp,
                        transaction_hash: transaction.tx_hash(),
                        transaction_index,
                        log_index,
                        log: log.clone(),
                    });
                }
                log_index += 1;
            }
        }
        Ok(())
    }
}
