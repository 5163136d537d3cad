//! The same chain from L1 alone: batches in order, decoded, derived, ready to be executed and compared.

use std::collections::VecDeque;
use std::time::Duration;

use derivation::{BatchBlock, DerivationTip, DeriveError, DerivedBlock, FinalL1};
use l1::{BlobSource, FinalBlocks, L1Error, L1Event, L1Reader, Severity, SubmittedBatch};
use protocol::BatchHeader;
use protocol::genesis::Params;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::ParentBatch;
use crate::recall::Recalled;
use crate::state::{Gap, L1Batches, MAX_UNFINAL};

/// Time until the data of a batch is asked for again; doubles with every attempt, so many times.
const PAYLOAD_RETRY: Duration = Duration::from_secs(1);
/// See [`PAYLOAD_RETRY`].
const MAX_DOUBLINGS: u32 = 5;
/// Batches waiting for their data, or for their L1 origins to be final here. A permissionless batch waits until its own L1 block is
/// final, and all behind it wait with it, however long L1 takes. Some 40 MB.
const MAX_WAITING: usize = MAX_UNFINAL;

/// The blocks of one batch that the node does not have, and the header to compare the last of them with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedBatch {
    /// The certified statement: after execution, the last block must have this hash and these roots.
    pub header: BatchHeader,
    /// The batch before it.
    pub parent: ParentBatch,
    /// Blocks in order. Fewer than the header's range when an L1 reorg brought a batch over heights known before.
    pub blocks: Vec<DerivedBlock>,
}

/// Why following ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Events were lost.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// L1 does not give the data, or contradicts itself.
    #[error(transparent)]
    L1(#[from] L1Error),
    /// A certified batch does not decode: two thirds of the stake signed something invalid.
    #[error("batch {index} is invalid: {reason}")]
    Invalid {
        /// The batch.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// Too many batches wait.
    #[error("{MAX_WAITING} batches wait for final L1 blocks")]
    Waiting,
}

/// Turns decoded batches into derived blocks: pure.
#[derive(Debug)]
pub struct BatchPipeline {
    params: Params,
    tip: DerivationTip,
}

impl BatchPipeline {
    /// A pipeline that continues after the node's newest derived block.
    #[must_use]
    pub const fn new(params: Params, tip: DerivationTip) -> Self {
        Self { params, tip }
    }

    /// Where the next block continues.
    #[must_use]
    pub const fn tip(&self) -> &DerivationTip {
        &self.tip
    }

    /// Derives the blocks of a batch above the tip.
    ///
    /// # Errors
    /// A temporary error leaves the pipeline as it was: ask again when more of L1 is final.
    pub fn derive(
        &mut self,
        header: &BatchHeader,
        parent: &ParentBatch,
        content: &[BatchBlock],
        l1: &dyn FinalL1,
    ) -> Result<DerivedBatch, Result<DeriveError, FollowError>> {
        let invalid = |reason: &str| Err(FollowError::Invalid { index: header.index, reason: reason.into() });
        let span = header.lastHeight.checked_sub(header.firstHeight).and_then(|span| span.checked_add(1));
        if span != u64::try_from(content.len()).ok() {
            return Err(invalid("block count differs from the range"));
        }
        if header.firstHeight > self.tip.height.next().0 {
            return Err(invalid("a batch before it is missing"));
        }
        let known = self.tip.height.next().0.saturating_sub(header.firstHeight);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let mut tip = self.tip;
        let mut blocks = Vec::with_capacity(content.len());
        for block in content.iter().skip(known) {
            match tip.derive(block.clone(), &self.params, l1) {
                Ok(derived) => blocks.push(derived),
                Err(error) if error.is_temporary() => return Err(Ok(error)),
                Err(error) => return Err(invalid(&error.to_string())),
            }
        }
        self.tip = tip;
        Ok(DerivedBatch { header: header.clone(), parent: *parent, blocks })
    }

    /// Derives a permissionless batch, whose blocks follow from the parent and L1.
    ///
    /// # Errors
    /// As [`Self::derive`].
    pub fn derive_queue_only(
        &mut self,
        header: &BatchHeader,
        parent: &ParentBatch,
        l1: &dyn FinalL1,
    ) -> Result<DerivedBatch, Result<DeriveError, FollowError>> {
        if header.firstHeight != self.tip.height.next().0 {
            let reason = "a permissionless batch over heights that are known".into();
            return Err(Err(FollowError::Invalid { index: header.index, reason }));
        }
        let blocks = derivation::queue_only_blocks(&self.tip, header.l1OriginNumber, &self.params, l1).map_err(Ok)?;
        self.derive(header, parent, &blocks, l1)
    }
}

/// Where a batch's blocks come from.
enum Content {
    /// The data posted with it.
    Posted(Vec<BatchBlock>),
    /// The deposit queue: nobody signed it.
    QueueOnly,
}

/// A batch on L1 whose blocks are not derived yet.
struct Waiting {
    batch: SubmittedBatch,
    parent: ParentBatch,
    /// Loaded when all batches before it are derived.
    content: Option<Content>,
}

/// When the first waiting batch's data, which L1 did not give, is asked for again.
#[derive(Default)]
struct Retry {
    attempts: u32,
    at: Option<Instant>,
}

impl Retry {
    fn after_failure(&mut self, header: &BatchHeader, error: &L1Error) {
        let factor = 2_u32.saturating_pow(self.attempts.min(MAX_DOUBLINGS));
        self.attempts = self.attempts.saturating_add(1);
        self.at = Some(Instant::now() + PAYLOAD_RETRY.saturating_mul(factor));
        tracing::warn!(batch = header.index, attempt = self.attempts, %error, "batch data not available");
    }

    fn is_due(&self) -> bool {
        self.at.is_none_or(|at| at <= Instant::now())
    }

    async fn wait(&self) {
        match self.at {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

/// Follows L1 alone.
pub struct L1Follower<S> {
    reader: L1Reader,
    blobs: S,
    finals: FinalBlocks,
    pipeline: BatchPipeline,
    batches: L1Batches,
    waiting: VecDeque<Waiting>,
    retry: Retry,
    recalled: Recalled,
}

impl<S: BlobSource> L1Follower<S> {
    /// A follower that continues after `tip`, whose newest known batch is `parent`.
    pub fn new(reader: L1Reader, blobs: S, finals: FinalBlocks, pipeline: BatchPipeline, parent: ParentBatch) -> Self {
        let (batches, recalled) = (L1Batches::new(parent), Recalled::new(finals.clone()));
        let (waiting, retry) = (VecDeque::new(), Retry::default());
        Self { reader, blobs, finals, pipeline, batches, waiting, retry, recalled }
    }

    /// Takes one event; returns the batches that can be executed now, in order.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub async fn on_event(&mut self, event: &L1Event) -> Result<Vec<DerivedBatch>, FollowError> {
        self.take(event)?;
        self.ready().await
    }

    /// Follows until the events end; hands each batch on. While the data of a batch is not to be had, events are still taken: an L1
    /// reorg may have dropped the batch, and its data with it.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<L1Event>,
        out: mpsc::Sender<DerivedBatch>,
    ) -> Result<(), FollowError> {
        loop {
            for batch in self.ready().await? {
                if out.send(batch).await.is_err() {
                    return Ok(());
                }
            }
            let lacks_data = self.retry.at.is_some();
            tokio::select! {
                event = events.recv(), if !lacks_data || self.waiting.len() < MAX_WAITING => match event {
                    Some(event) => self.take(&event)?,
                    None => return Ok(()),
                },
                () = self.retry.wait() => {}
            }
        }
    }

    /// Notes what an event says of the batches on L1.
    fn take(&mut self, event: &L1Event) -> Result<(), FollowError> {
        match event {
            L1Event::BatchIncluded(batch) => {
                let parent = self.batches.tip();
                self.batches.included(&batch.header)?;
                if batch.header.index > parent.index && batch.header.lastHeight > self.pipeline.tip.height.0 {
                    if self.waiting.len() >= MAX_WAITING {
                        return Err(FollowError::Waiting);
                    }
                    self.waiting.push_back(Waiting { batch: batch.clone(), parent, content: None });
                }
            }
            L1Event::BatchDropped(batch) => self.drop_from(batch),
            L1Event::Final(block) => {
                block.batches.iter().for_each(|batch| self.batches.finalized(&batch.header));
            }
        }
        Ok(())
    }

    /// Forgets a batch that L1 dropped, and those after it, as far as they wait. One that was derived gives no blocks back: two thirds
    /// of the stake certified them, so another batch over the same heights holds the same blocks.
    fn drop_from(&mut self, dropped: &SubmittedBatch) {
        self.batches.dropped(&dropped.header);
        let Some(at) = self.waiting.iter().position(|waiting| waiting.batch.hash == dropped.hash) else { return };
        self.waiting.truncate(at);
        if at == 0 {
            self.retry = Retry::default();
        }
    }

    /// Derives the waiting batches in order, up to one that has to wait longer.
    async fn ready(&mut self) -> Result<Vec<DerivedBatch>, FollowError> {
        let mut derived = Vec::new();
        while let Some(Waiting { batch, parent, content }) = self.waiting.front_mut() {
            let content = match content {
                Some(content) => content,
                None if !self.retry.is_due() => break,
                None => match load(&self.reader, &self.blobs, &self.finals, batch).await {
                    Ok(Some(loaded)) => content.insert(loaded),
                    Ok(None) => break,
                    Err(FollowError::L1(error)) if error.severity() != Severity::Halt => {
                        self.retry.after_failure(&batch.header, &error);
                        break;
                    }
                    Err(error) => return Err(error),
                },
            };
            if !self.retry.is_due() {
                break;
            }
            self.retry = Retry { at: None, ..self.retry };
            let derived_batch = match content {
                Content::Posted(blocks) => self.pipeline.derive(&batch.header, parent, blocks, &self.recalled),
                Content::QueueOnly => self.pipeline.derive_queue_only(&batch.header, parent, &self.recalled),
            };
            match derived_batch {
                Ok(batch) => derived.push(batch),
                Err(Ok(DeriveError::MissingL1(number))) if self.recalled.has_left(number) => {
                    match self.recalled.read(&self.reader, self.pipeline.tip.origin).await {
                        Ok(()) => continue,
                        Err(error) if error.severity() != Severity::Halt => {
                            self.retry.after_failure(&batch.header, &error);
                            break;
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(Ok(temporary)) => {
                    tracing::debug!(batch = batch.header.index, %temporary, "batch waits for L1");
                    break;
                }
                Err(Err(error)) => return Err(error),
            }
            self.waiting.pop_front();
            self.retry = Retry::default();
            self.recalled.forget_before(self.pipeline.tip.origin);
        }
        Ok(derived)
    }
}

/// What a batch holds. `None`: nobody signed it, and the L1 block that holds it is not final, so that another batch may still take its
/// place with other blocks.
async fn load(
    reader: &L1Reader,
    blobs: &dyn BlobSource,
    finals: &FinalBlocks,
    batch: &SubmittedBatch,
) -> Result<Option<Content>, FollowError> {
    if batch.is_permissionless() {
        let is_final = finals.newest() >= Some(batch.place.number);
        return Ok(is_final.then_some(Content::QueueOnly));
    }
    let payload = reader.payload(batch, blobs).await?;
    let decoded = payload.decode().map(Content::Posted).map(Some);
    decoded.map_err(|error| FollowError::Invalid { index: batch.header.index, reason: error.to_string() })
}
