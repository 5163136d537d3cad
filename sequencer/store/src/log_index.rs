//! Which blocks may hold a wanted log: for every address and topic the heights at which it was logged.
//!
//! A term is what a filter can ask for: the emitter, or a topic at its position. Its key keeps the last bytes of the
//! value, where addresses, numbers and hashes alike differ; two values with the same end only make a block be looked at
//! in vain. A query walks the sorted heights of its terms side by side and leaps over what one of them lacks, so its cost
//! follows the rarest term and not the range.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use op_alloy_consensus::OpReceiptEnvelope;
use rocksdb::{DBRawIterator, ReadOptions, WriteBatch};

use crate::{
    LogFilter, Store, StoreError,
    chain::Inner,
    schema::{LOG_INDEX, read_u64},
};

/// Kind of the term, then the end of its value.
const TERM_BYTES: usize = 12;
const HEIGHT_BYTES: usize = 8;
/// Candidates of one answer.
const MAX_CANDIDATES: usize = 256;
/// Heights that one answer looks at, candidates or not; a look costs some microseconds.
const MAX_STEPS: usize = 4_096;

type Term = [u8; TERM_BYTES];
type Key = [u8; TERM_BYTES + HEIGHT_BYTES];

/// Heights that may hold wanted logs, ascending, and where to go on (`None`: nothing is left).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogCandidates {
    /// The heights.
    pub heights: Vec<u64>,
    /// First height that was not looked at.
    pub next: Option<u64>,
}

fn term(kind: u8, value: &[u8]) -> Term {
    let mut term = [kind; TERM_BYTES];
    if let (Some(end), Some(room)) = (value.last_chunk::<{ TERM_BYTES - 1 }>(), term.last_chunk_mut()) {
        *room = *end;
    }
    term
}

fn address_term(address: &Address) -> Term {
    term(0, address.as_slice())
}

fn topic_term(position: usize, topic: &B256) -> Term {
    term(u8::try_from(position.saturating_add(1)).unwrap_or(u8::MAX), topic.as_slice())
}

fn key(term: &Term, height: u64) -> Key {
    let mut key = [0; TERM_BYTES + HEIGHT_BYTES];
    let (head, tail) = key.split_at_mut(TERM_BYTES);
    head.copy_from_slice(term);
    tail.copy_from_slice(&height.to_be_bytes());
    key
}

fn terms(receipts: &[OpReceiptEnvelope]) -> BTreeSet<Term> {
    let mut all = BTreeSet::new();
    for log in receipts.iter().flat_map(|receipt| receipt.logs()) {
        all.insert(address_term(&log.address));
        all.extend(log.topics().iter().enumerate().map(|(position, topic)| topic_term(position, topic)));
    }
    all
}

impl Inner {
    /// Notes what a block logged.
    pub(crate) fn index_logs(
        &self,
        batch: &mut WriteBatch,
        height: u64,
        receipts: &[OpReceiptEnvelope],
    ) -> Result<(), StoreError> {
        let family = self.family(LOG_INDEX)?;
        terms(receipts).iter().for_each(|term| batch.put_cf(family, key(term, height), []));
        Ok(())
    }

    /// Takes back [`Self::index_logs`].
    pub(crate) fn unindex_logs(
        &self,
        batch: &mut WriteBatch,
        height: u64,
        receipts: &[OpReceiptEnvelope],
    ) -> Result<(), StoreError> {
        let family = self.family(LOG_INDEX)?;
        terms(receipts).iter().for_each(|term| batch.delete_cf(family, key(term, height)));
        Ok(())
    }

    /// The heights of any of some terms, on one cursor.
    fn any_of(&self, terms: BTreeSet<Term>) -> Result<AnyOf<'_>, StoreError> {
        let options = ReadOptions::default();
        let cursor = self.db.raw_iterator_cf_opt(self.family(LOG_INDEX)?, options);
        Ok(AnyOf { cursor, next: terms.into_iter().map(|term| (term, Some(0), false)).collect() })
    }
}

/// A union of terms. `next` has each term's first height at or after the last one asked for; the flag tells whether the
/// height was read yet or is only a lower bound.
struct AnyOf<'a> {
    cursor: DBRawIterator<'a>,
    next: Vec<(Term, Option<u64>, bool)>,
}

impl AnyOf<'_> {
    /// First height from `from` on.
    fn seek(&mut self, from: u64) -> Result<Option<u64>, StoreError> {
        let mut first: Option<u64> = None;
        for (term, next, known) in &mut self.next {
            if next.is_some_and(|height| height < from || !*known) {
                self.cursor.seek(key(term, from));
                self.cursor.status()?;
                let found = self.cursor.key().and_then(|found| found.strip_prefix(term.as_slice()));
                (*next, *known) = (found.map(read_u64).transpose()?, true);
            }
            if let Some(height) = *next {
                first = Some(first.map_or(height, |least| least.min(height)));
            }
        }
        Ok(first)
    }
}

impl Store {
    /// Heights within the filter's range whose blocks may hold wanted logs. Bounded work: an answer may stop early and say
    /// where to go on.
    ///
    /// # Errors
    /// [`StoreError::PrunedHistory`] when the range begins before the kept receipts; the disk.
    pub fn log_candidates(&self, filter: &LogFilter) -> Result<LogCandidates, StoreError> {
        let (settled, latest, kept) = {
            let chain = self.inner().chain.read();
            (chain.next_unsettled, chain.heads.latest.height, chain.kept.receipts)
        };
        let last = filter.to.min(latest);
        if filter.from > last {
            return Ok(LogCandidates::default());
        }
        if filter.from < kept {
            return Err(StoreError::PrunedHistory { height: filter.from, kept_from: kept });
        }
        let mut found = LogCandidates { heights: Vec::new(), next: Some(filter.from) };
        if filter.from < settled && filter.is_selective() {
            self.walk_index(filter, settled.saturating_sub(1).min(last), &mut found)?;
        } else {
            self.walk_blooms(filter, last, &mut found)?;
        }
        found.next = found.next.filter(|next| *next <= last);
        Ok(found)
    }

    /// Settled heights up to `last`, by the index.
    fn walk_index(&self, filter: &LogFilter, last: u64, found: &mut LogCandidates) -> Result<(), StoreError> {
        let inner = self.inner();
        let mut dimensions = Vec::new();
        if !filter.addresses.is_empty() {
            dimensions.push(inner.any_of(filter.addresses.iter().map(address_term).collect())?);
        }
        for (position, wanted) in filter.topics.iter().enumerate().filter(|(_, wanted)| !wanted.is_empty()) {
            dimensions.push(inner.any_of(wanted.iter().map(|topic| topic_term(position, topic)).collect())?);
        }
        let mut at = filter.from;
        for _ in 0..MAX_STEPS {
            found.next = Some(at);
            if at > last || found.heights.len() >= MAX_CANDIDATES {
                return Ok(());
            }
            let mut reached = Some(at);
            for dimension in &mut dimensions {
                let Some(height) = reached else { break };
                reached = dimension.seek(height)?;
            }
            at = match reached {
                // All of them have this height.
                Some(height) if height == at => {
                    found.heights.push(at);
                    at.saturating_add(1)
                }
                Some(height) => height,
                None => last.saturating_add(1),
            };
        }
        found.next = Some(at);
        Ok(())
    }

    /// Heights by their headers' blooms: those not in the index yet, and all of them when anything is wanted.
    fn walk_blooms(&self, filter: &LogFilter, last: u64, found: &mut LogCandidates) -> Result<(), StoreError> {
        for (height, _) in (filter.from..=last).zip(0..MAX_STEPS) {
            found.next = Some(height);
            if found.heights.len() >= MAX_CANDIDATES {
                return Ok(());
            }
            let Some(header) = self.header(height)? else { continue };
            if !header.logs_bloom.is_zero() && filter.may_match(&header.logs_bloom) {
                found.heights.push(height);
            }
            found.next = Some(height.saturating_add(1));
        }
        Ok(())
    }
}
