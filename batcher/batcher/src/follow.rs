//! The same chain from L1 alone: batches in order, decoded, derived, ready to be executed and compared.

use derivation::{BatchBlock, DerivationTip, DeriveError, DerivedBlock, FinalL1};
use l1::{BlobSource, FinalBlocks, L1Error, L1Event, L1Reader, Severity, SubmittedBatch};
use protocol::BatchHeader;
use protocol::genesis::Params;
use tokio::sync::mpsc;

use crate::ParentBatch;
use crate::state::{Gap, L1Batches};

/// Attempts to load a payload before the follower gives up with the reason.
const MAX_PAYLOAD_ATTEMPTS: u32 = 10;
/// Time between attempts.
const PAYLOAD_RETRY: std::time::Duration = std::time::Duration::from_secs(1);
/// Batches waiting for their L1 origins to be final here.
const MAX_WAITING: usize = 64;

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
    /// Too many batches wait for final L1 blocks.
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

/// Follows L1 alone.
pub struct L1Follower<S> {
    reader: L1Reader,
    blobs: S,
    finals: FinalBlocks,
    pipeline: BatchPipeline,
    batches: L1Batches,
    waiting: Vec<(BatchHeader, ParentBatch, Content)>,
}

impl<S: BlobSource> L1Follower<S> {
    /// A follower that continues after `tip`, whose newest known batch is `parent`.
    pub const fn new(
        reader: L1Reader,
        blobs: S,
        finals: FinalBlocks,
        pipeline: BatchPipeline,
        parent: ParentBatch,
    ) -> Self {
        Self { reader, blobs, finals, pipeline, batches: L1Batches::new(parent), waiting: Vec::new() }
    }

    /// Takes one event; returns the batches that can be executed now, in order.
    ///
    /// A dropped batch gives no blocks back: two thirds of the stake certified them, so another batch over the same
    /// heights holds the same blocks.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub async fn on_event(&mut self, event: &L1Event) -> Result<Vec<DerivedBatch>, FollowError> {
        match event {
            L1Event::BatchIncluded(batch) => {
                let parent = self.batches.tip();
                self.batches.included(&batch.header)?;
                if batch.header.index <= parent.index || batch.header.lastHeight <= self.pipeline.tip.height.0 {
                    return Ok(Vec::new());
                }
                if self.waiting.len() >= MAX_WAITING {
                    return Err(FollowError::Waiting);
                }
                let content = self.load(batch).await?;
                self.waiting.push((batch.header.clone(), parent, content));
            }
            L1Event::BatchDropped(batch) => self.batches.dropped(&batch.header),
            L1Event::Final(block) => {
                block.batches.iter().for_each(|batch| self.batches.finalized(&batch.header));
            }
        }
        self.drain()
    }

    /// Follows until the events end; hands each batch on.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub async fn run(
        mut self,
        mut events: mpsc::Receiver<L1Event>,
        out: mpsc::Sender<DerivedBatch>,
    ) -> Result<(), FollowError> {
        while let Some(event) = events.recv().await {
            for batch in self.on_event(&event).await? {
                if out.send(batch).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn load(&self, batch: &SubmittedBatch) -> Result<Content, FollowError> {
        if batch.is_permissionless() {
            return Ok(Content::QueueOnly);
        }
        let mut attempt = 1;
        let payload = loop {
            match self.reader.payload(batch, &self.blobs).await {
                Ok(payload) => break payload,
                Err(error) if error.severity() == Severity::Retry && attempt < MAX_PAYLOAD_ATTEMPTS => {
                    tracing::warn!(batch = batch.header.index, attempt, %error, "batch data not available");
                    tokio::time::sleep(PAYLOAD_RETRY).await;
                    attempt = attempt.saturating_add(1);
                }
                Err(error) => return Err(error.into()),
            }
        };
        let decoded = payload.decode().map(Content::Posted);
        decoded.map_err(|error| FollowError::Invalid { index: batch.header.index, reason: error.to_string() })
    }

    fn drain(&mut self) -> Result<Vec<DerivedBatch>, FollowError> {
        let mut derived = Vec::new();
        while let Some((header, parent, content)) = self.waiting.first() {
            let derived_batch = match content {
                Content::Posted(blocks) => self.pipeline.derive(header, parent, blocks, &self.finals),
                Content::QueueOnly => self.pipeline.derive_queue_only(header, parent, &self.finals),
            };
            match derived_batch {
                Ok(batch) => derived.push(batch),
                Err(Ok(temporary)) => {
                    tracing::debug!(batch = header.index, %temporary, "batch waits for L1");
                    break;
                }
                Err(Err(error)) => return Err(error),
            }
            self.waiting.remove(0);
        }
        Ok(derived)
    }
}
