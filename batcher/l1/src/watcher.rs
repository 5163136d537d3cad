//! Follows L1: polls the heads, finds reorgs by parent hash, publishes heads and events.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::B256;
use futures::future::BoxFuture;
use protocol::L1Origin;
use tokio::sync::{mpsc, watch};

use crate::window::{Relation, Window};
use crate::{FinalBlock, FinalBlocks, L1Client, L1Error, L1Header, L1Reader, Severity, SubmittedBatch, Tag};

/// Blocks taken from one look at the head. A head further away is approached in steps.
const MAX_BRANCH: u64 = 64;
/// Events waiting for the node; when it is slower than L1, the watcher waits.
const EVENT_QUEUE: usize = 256;

/// An L1 block and its place in the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1Position {
    /// Block number.
    pub number: u64,
    /// Block hash.
    pub hash: B256,
    /// Hash of the block before it.
    pub parent: B256,
    /// Seconds since the epoch.
    pub timestamp: u64,
}

impl L1Position {
    pub(crate) const fn new(origin: &L1Origin, parent: B256) -> Self {
        Self { number: origin.number, hash: origin.hash, parent, timestamp: origin.timestamp }
    }
}

/// The heads of L1 as this node has processed them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct L1View {
    /// Newest block whose batches have been reported.
    pub latest: L1Position,
    /// L1's own `safe` block.
    pub safe: L1Position,
    /// Newest block reported by [`L1Event::Final`].
    pub finalized: L1Position,
}

/// What happened on L1, in the order of its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum L1Event {
    /// A batch is in a block of the latest chain.
    BatchIncluded(SubmittedBatch),
    /// A reorg removed a batch that was reported.
    BatchDropped(SubmittedBatch),
    /// The next final block. Numbers have no gap.
    Final(Arc<FinalBlock>),
}

/// What to watch.
#[derive(Clone, Debug)]
pub struct WatchConfig {
    /// First block to report as final, at least 1. The block before it is taken for final: an origin L2 already has.
    pub start: u64,
    /// Hash of the block before it, if the node has seen it: L1 must still have it.
    pub parent: Option<B256>,
    /// Time between looks at the head.
    pub poll_interval: Duration,
    /// Origin of the node's newest block, from which its next blocks go on: the watcher reports no final block so far ahead that the
    /// cache would lose what they need. `None`: it waits for nothing but the events' queue.
    pub needed: Option<watch::Receiver<u64>>,
}

/// The task that follows L1.
#[derive(Debug)]
pub struct L1Watcher {
    reader: L1Reader,
    config: WatchConfig,
    finals: FinalBlocks,
    view: watch::Sender<Option<L1View>>,
    events: mpsc::Sender<L1Event>,
}

impl L1Watcher {
    /// A watcher, what it publishes (`None` before the first look), and its events.
    pub fn new(
        reader: L1Reader,
        config: WatchConfig,
        finals: FinalBlocks,
    ) -> (Self, watch::Receiver<Option<L1View>>, mpsc::Receiver<L1Event>) {
        let (view, views) = watch::channel(None);
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        (Self { reader, config, finals, view, events }, views, receiver)
    }

    /// Follows L1 until the node drops the event queue (`Ok`) or L1 contradicts what was final (`Err`). An L1 that does
    /// not answer is waited for. Boxed, so that it is compiled in this crate alone (docs/decisions/0009).
    pub fn run(self) -> BoxFuture<'static, Result<(), L1Error>> {
        Box::pin(self.watch())
    }

    async fn watch(self) -> Result<(), L1Error> {
        let mut interval = tokio::time::interval(self.config.poll_interval);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut stand, mut window) = (None, None);
        loop {
            tokio::select! {
                () = self.events.closed() => return Ok(()),
                _ = interval.tick() => {}
            }
            match self.poll(&mut stand, &mut window).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.severity() == Severity::Halt => return Err(error),
                Err(error) => tracing::warn!(%error, "L1 not followed for now"),
            }
        }
    }

    const fn client(&self) -> &L1Client {
        self.reader.client()
    }

    /// One look at L1. `false` when nobody listens any more.
    async fn poll(&self, stand: &mut Option<L1Position>, window: &mut Option<Window>) -> Result<bool, L1Error> {
        let window = match window {
            Some(window) => window,
            None => {
                let Some(caught_up) = self.catch_up(stand).await? else {
                    return Ok(false);
                };
                window.insert(caught_up)
            }
        };
        let head = self.client().header_at_tag(Tag::Latest).await?;
        let known = self.view.borrow().is_some_and(|view| view.latest.hash == head.origin.hash);
        if known {
            // Tags move with the head only.
            return Ok(true);
        }
        if !self.follow(window, head).await? {
            return Ok(false);
        }
        let safe = self.client().header_at_tag(Tag::Safe).await?;
        let mut finalized = self.client().header_at_tag(Tag::Finalized).await?.origin;
        let tip = window.tip().number;
        if finalized.number > tip {
            // We are behind: what L1 has at our tip is final, too.
            finalized = self.client().header_by_number(tip).await?.origin;
        }
        for block in window.finalize(finalized.number, finalized.hash) {
            if !self.report_final(block).await {
                return Ok(false);
            }
        }
        self.publish(window, L1Position::new(&safe.origin, safe.parent));
        Ok(true)
    }

    /// Reports all blocks that are final already, and stands on the newest of them. As this may take as long as the node's own
    /// catching up, it goes on where an L1 that did not answer has stopped it.
    async fn catch_up(&self, reported: &mut Option<L1Position>) -> Result<Option<Window>, L1Error> {
        let mut stand = match *reported {
            Some(stand) => stand,
            None => self.before_start().await?,
        };
        loop {
            *reported = Some(stand);
            let next = stand.number.saturating_add(1);
            let finalized = self.client().header_at_tag(Tag::Finalized).await?.origin;
            if next > finalized.number {
                return Ok(Some(Window::new(stand)));
            }
            for block in self.reader.final_blocks(next, finalized.number).await? {
                check_final(stand.number, Some(stand.hash), block.parent)?;
                stand = L1Position::new(&block.origin, block.parent);
                for batch in &block.batches {
                    if self.events.send(L1Event::BatchIncluded(batch.clone())).await.is_err() {
                        return Ok(None);
                    }
                }
                if !self.report_final(Arc::new(block)).await {
                    return Ok(None);
                }
            }
        }
    }

    /// The block before the first to report. It is known to be final, and the origin of blocks that L2 derives next: it
    /// goes to the cache without an event.
    async fn before_start(&self) -> Result<L1Position, L1Error> {
        let number = self.config.start.saturating_sub(1);
        let header = self.client().header_by_number(number).await?;
        check_final(number, self.config.parent, header.origin.hash)?;
        self.finals.insert(Arc::new(self.reader.block(&header).await?));
        Ok(L1Position::new(&header.origin, header.parent))
    }

    /// Brings the window to `head`, through the blocks between, and reports the batches that came and went.
    async fn follow(&self, window: &mut Window, head: L1Header) -> Result<bool, L1Error> {
        // A full window grows no more until L1 finalises something; it follows reorgs.
        let step = window.tip().number.saturating_add(MAX_BRANCH.min(window.room()));
        let mut target = if head.origin.number > step { self.client().header_by_number(step).await? } else { head };
        let mut branch = Vec::new();
        loop {
            match window.relate(target.origin.number, target.origin.hash, target.parent)? {
                Relation::Known => break,
                Relation::Attaches => {
                    branch.push(target);
                    break;
                }
                Relation::NeedsParent => {
                    let parent = self.client().header_by_hash(target.parent).await?;
                    branch.push(std::mem::replace(&mut target, parent));
                }
            }
        }
        for header in branch.iter().rev() {
            // All requests come first: the window changes only together with the reports.
            let block = Arc::new(self.reader.block(header).await?);
            let replaced = window.attach(block.clone());
            if !replaced.is_empty() {
                let from = replaced.last().map(|block| block.origin.number);
                tracing::warn!(from, blocks = replaced.len(), "L1 reorg");
                metrics::counter!("horae_l1_reorgs_total").increment(1);
            }
            let dropped = replaced.iter().flat_map(|old| old.batches.iter().rev().cloned()).map(L1Event::BatchDropped);
            let included = block.batches.iter().cloned().map(L1Event::BatchIncluded);
            for event in dropped.chain(included) {
                if self.events.send(event).await.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Waits until the cache can take a final block without losing one that is still needed. `false` when nobody listens any
    /// more.
    async fn make_room(&self, number: u64) -> bool {
        let Some(mut needed) = self.config.needed.clone() else { return true };
        let reach = self.finals.reach();
        tokio::select! {
            () = self.events.closed() => false,
            room = needed.wait_for(|needed| number <= needed.saturating_add(reach)) => room.is_ok(),
        }
    }

    async fn report_final(&self, block: Arc<FinalBlock>) -> bool {
        if !self.make_room(block.origin.number).await {
            return false;
        }
        metrics::gauge!("horae_l1_finalized").set(block.origin.number as f64);
        self.finals.insert(block.clone());
        self.events.send(L1Event::Final(block)).await.is_ok()
    }

    fn publish(&self, window: &Window, safe: L1Position) {
        let view = L1View { latest: window.tip(), safe, finalized: window.anchor() };
        metrics::gauge!("horae_l1_latest").set(view.latest.number as f64);
        self.view.send_replace(Some(view));
    }
}

fn check_final(number: u64, expected: Option<B256>, found: B256) -> Result<(), L1Error> {
    match expected {
        Some(expected) if expected != found => Err(L1Error::FinalityBroken { number, expected, found }),
        _ => Ok(()),
    }
}
