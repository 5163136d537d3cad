//! What changes outside the chain and concerns RPC: peers, catching up, how far L1 is worked through.

use std::sync::atomic::{AtomicUsize, Ordering};

use l1::L1Position;
use parking_lot::Mutex;
use rpc::{ChainEvent, SyncProgress};
use tokio::sync::broadcast;

/// Blocks behind the best peer from which on the node counts as catching up.
pub const SYNCING_FROM: u64 = 4;

/// L1 blocks that a node which follows L1 alone may have left to work through: a batch takes a moment, and needs its blocks' origins.
const L1_LAG: u64 = 64;

/// Written by the tasks that learn it, read by RPC.
pub struct Vitals {
    /// Connected peers.
    pub peers: AtomicUsize,
    /// L1 block up to which all batches have been read and their blocks are here; none before the first.
    pub derived: Mutex<Option<L1Position>>,
    sync: Mutex<Sync>,
    events: broadcast::Sender<ChainEvent>,
}

#[derive(Default)]
struct Sync {
    /// Best height heard of from peers.
    highest: u64,
    /// Our height when catching up began; none while we keep up.
    starting: Option<u64>,
}

impl Vitals {
    /// Knows of nothing yet; subscribers learn by `events` when catching up begins and ends.
    #[must_use]
    pub fn new(events: broadcast::Sender<ChainEvent>) -> Self {
        Self { peers: AtomicUsize::default(), derived: Mutex::default(), sync: Mutex::default(), events }
    }

    /// Notes how many peers there are, the best height they tell, and our own height.
    pub fn look_around(&self, peers: usize, highest: u64, own: u64) {
        self.peers.store(peers, Ordering::Relaxed);
        let is_behind = highest.saturating_sub(own) >= SYNCING_FROM;
        let has_changed = {
            let mut sync = self.sync.lock();
            sync.highest = highest;
            let was_behind = sync.starting.is_some();
            sync.starting = is_behind.then(|| sync.starting.unwrap_or(own));
            was_behind != is_behind
        };
        if has_changed {
            // Without subscribers nobody hears it.
            let _ = self.events.send(ChainEvent::Sync(self.progress(own)));
        }
    }

    /// Whether L1 holds more, up to its block `latest`, than what has been worked through.
    #[must_use]
    pub fn is_behind_l1(&self, latest: u64) -> bool {
        let derived = self.derived.lock().map_or(0, |derived| derived.number);
        latest.saturating_sub(derived) > L1_LAG
    }

    /// How far catching up has come with our head at `own`; none while we keep up.
    #[must_use]
    pub fn progress(&self, own: u64) -> Option<SyncProgress> {
        let sync = self.sync.lock();
        let starting = sync.starting?;
        Some(SyncProgress { starting, current: own, highest: sync.highest.max(own) })
    }
}
