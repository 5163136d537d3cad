//! Installed filters. Pure: the caller passes the time and the heads.
//!
//! Block and log filters keep a cursor into the chain instead of a buffer, so an idle filter costs a few words; pending
//! filters keep a cursor into one ring shared by all.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use alloy_primitives::B256;

use crate::{
    config::{FILTER_EXPIRY, MAX_FILTERS, PENDING_RING},
    error::{RpcError, RpcResult},
    logs::Standing,
    model::PooledTransaction,
};

/// What a filter watches, and how far it has been read.
#[derive(Debug)]
pub(crate) enum FilterKind {
    /// Hashes of new blocks from this height on.
    Blocks {
        /// Next height to report.
        next: u64,
    },
    /// Logs of new blocks.
    Logs {
        /// What to look for; the range of the filter is what `eth_getFilterLogs` answers.
        filter: Arc<Standing>,
        /// Next height to report.
        next: u64,
    },
    /// Pooled transactions.
    Pending {
        /// Next position in the ring.
        next: u64,
        /// Whole transactions instead of hashes.
        full: bool,
    },
}

#[derive(Debug)]
struct Installed {
    kind: FilterKind,
    polled: Instant,
}

/// All installed filters, by id.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    installed: HashMap<u128, Installed>,
}

impl Filters {
    /// Installs a filter under an id that the caller drew at random (ids are the only secret between clients).
    pub(crate) fn install(&mut self, id: u128, kind: FilterKind, now: Instant) -> RpcResult<()> {
        if self.installed.len() >= MAX_FILTERS {
            self.sweep(now);
        }
        if self.installed.len() >= MAX_FILTERS {
            return Err(RpcError::Limit(format!("too many filters installed (limit {MAX_FILTERS})")));
        }
        self.installed.insert(id, Installed { kind, polled: now });
        Ok(())
    }

    /// Removes every filter that has not been polled for [`FILTER_EXPIRY`].
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.installed.retain(|_, filter| now.saturating_duration_since(filter.polled) < FILTER_EXPIRY);
    }

    /// The filter, which this access keeps alive; an expired one is gone.
    pub(crate) fn get(&mut self, id: u128, now: Instant) -> Option<&mut FilterKind> {
        let expired =
            self.installed.get(&id).is_some_and(|filter| now.saturating_duration_since(filter.polled) >= FILTER_EXPIRY);
        if expired {
            self.installed.remove(&id);
        }
        let filter = self.installed.get_mut(&id)?;
        filter.polled = now;
        Some(&mut filter.kind)
    }

    /// Whether there was such a filter.
    pub(crate) fn remove(&mut self, id: u128) -> bool {
        self.installed.remove(&id).is_some()
    }

    /// Number of installed filters.
    pub(crate) fn len(&self) -> usize {
        self.installed.len()
    }
}

/// The newest pooled transactions, numbered from 0.
#[derive(Debug, Default)]
pub(crate) struct PendingRing {
    entries: VecDeque<PooledTransaction>,
    /// Number of the entry at the front.
    first: u64,
}

impl PendingRing {
    /// Appends, dropping the oldest when full.
    pub(crate) fn push(&mut self, transaction: PooledTransaction) {
        if self.entries.len() >= PENDING_RING {
            self.entries.pop_front();
            self.first = self.first.saturating_add(1);
        }
        self.entries.push_back(transaction);
    }

    /// Number the next entry will get.
    pub(crate) fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.entries.len()).unwrap_or(u64::MAX))
    }

    /// The entries from a number on that are still there.
    pub(crate) fn since(&self, number: u64) -> Vec<PooledTransaction> {
        let skip = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).cloned().collect()
    }
}

/// Parses a filter id as clients got it.
pub(crate) fn parse_id(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x")?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u128::from_str_radix(digits, 16).ok()).flatten()
}

/// The hash form of pending entries.
pub(crate) fn hashes(entries: &[PooledTransaction]) -> Vec<B256> {
    entries.iter().map(|entry| entry.hash).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn blocks(next: u64) -> FilterKind {
        FilterKind::Blocks { next }
    }

    #[test]
    fn a_filter_lives_as_long_as_it_is_polled() {
        let start = Instant::now();
        let mut filters = Filters::default();
        filters.install(7, blocks(1), start).unwrap();
        let almost = FILTER_EXPIRY - Duration::from_millis(1);
        assert!(filters.get(7, start + almost).is_some());
        assert!(filters.get(7, start + almost + almost).is_some(), "the first poll renewed it");
        assert!(filters.get(7, start + almost + almost + FILTER_EXPIRY).is_none());
        assert_eq!(filters.len(), 0);
        assert!(!filters.remove(7));
    }

    #[test]
    fn the_number_of_filters_is_bounded_and_expired_ones_make_room() {
        let start = Instant::now();
        let mut filters = Filters::default();
        for id in 0..MAX_FILTERS {
            filters.install(u128::try_from(id).unwrap(), blocks(0), start).unwrap();
        }
        assert!(matches!(filters.install(u128::MAX, blocks(0), start), Err(RpcError::Limit(_))));
        assert!(filters.get(5, start + FILTER_EXPIRY / 2).is_some());
        filters.install(u128::MAX, blocks(0), start + FILTER_EXPIRY).unwrap();
        assert_eq!(filters.len(), 2, "the polled one and the new one");
    }

    #[test]
    fn ids_parse_strictly() {
        assert_eq!(parse_id("0x1f"), Some(31));
        assert_eq!(parse_id(&format!("{:#x}", u128::MAX)), Some(u128::MAX));
        for text in ["", "0x", "1f", "0xzz", "0x+1", "0x1ffffffffffffffffffffffffffffffff"] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }

    #[test]
    fn the_ring_forgets_the_oldest_and_keeps_numbers() {
        let entry = |byte: u8| {
            Arc::new(protocol::RecoveredTx {
                envelope: op_alloy_consensus::TxDeposit::default().into(),
                sender: alloy_primitives::Address::ZERO,
                hash: B256::repeat_byte(byte),
                encoded: alloy_primitives::Bytes::new(),
            })
        };
        let mut ring = PendingRing::default();
        for _ in 0..PENDING_RING {
            ring.push(entry(1));
        }
        let cursor = ring.next();
        ring.push(entry(2));
        ring.push(entry(3));
        assert_eq!(hashes(&ring.since(cursor)), vec![B256::repeat_byte(2), B256::repeat_byte(3)]);
        assert_eq!(ring.since(0).len(), PENDING_RING, "a reader that slept gets what is left");
        assert!(ring.since(ring.next()).is_empty());
    }
}
