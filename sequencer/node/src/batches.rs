//! The batcher's ports over the chain, and what L1's batches do to the heads.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use batcher::{
    BatchProposal, BatchSignature, DataAvailability, ParentBatch,
    ports::{BatchMessage, BatchNetwork, ChainBlock, ChainError, ChainReader},
};
use l1::{L1Event, SubmittedBatch};
use network::{DataKind, NetworkHandle};
use parking_lot::Mutex;
use protocol::{Epoch, Height, SequencerSet};
use store::{BatchInclusion, BatchRecord, Store, StoreError};

use crate::{chain::Chain, epochs::EpochError};

/// The chain as the batcher reads it.
pub struct ChainView(pub Arc<Chain>);

fn unavailable(error: impl std::fmt::Display) -> ChainError {
    ChainError(error.to_string())
}

impl ChainReader for ChainView {
    fn head(&self) -> Result<Height, ChainError> {
        Ok(Height(self.0.store().heads().latest.height))
    }

    fn block(&self, height: Height) -> Result<Option<ChainBlock>, ChainError> {
        let block = self.0.store().block(height.0).map_err(unavailable)?;
        Ok(block.and_then(|block| ChainBlock::new(&block)))
    }

    fn set_of(&self, epoch: Epoch) -> Result<Option<SequencerSet>, ChainError> {
        match self.0.epochs().get(epoch) {
            Ok(info) => Ok(Some(info.set.clone())),
            Err(EpochError::NotYet(_) | EpochError::L1Behind(_)) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn next_leaders(&self) -> Result<Vec<Address>, ChainError> {
        let leadership = self.0.epochs().leadership(&self.0.head().header).map_err(unavailable)?;
        Ok(leadership.leaders)
    }
}

/// Follows L1's batches: what is on L1 is `safe`, what is in a final L1 block is `finalized`. Batches whose blocks this
/// node does not have yet wait for them.
pub struct HeadsKeeper {
    store: Store,
    told: Mutex<Told>,
}

/// How far L1 has told in this run what the store had before.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Newest batch kept from the run before that was not final.
    kept: u64,
    /// Newest batch that L1 has told of.
    through: u64,
}

impl HeadsKeeper {
    /// A keeper of the store's heads.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, told: Mutex::default() }
    }

    /// Records an event.
    ///
    /// # Errors
    /// The database failed.
    pub fn on_event(&self, event: &L1Event) -> Result<(), StoreError> {
        match event {
            L1Event::BatchIncluded(batch) => self.put(batch)?,
            L1Event::BatchDropped(batch) => {
                let before = batch.header.index.saturating_sub(1);
                let mut told = self.told.lock();
                *told = Told { kept: told.kept.min(before), through: told.through.min(before) };
                drop(told);
                self.drop_batch(batch)?;
            }
            L1Event::Final(block) => {
                for batch in &block.batches {
                    self.put(batch)?;
                }
            }
        }
        Ok(())
    }

    /// The newest batch on L1 holds the blocks this node has. It does not when a certificate lies, or when nobody posted for so
    /// long that somebody did without one (specification 4.7): then going on would be to decide and sign against L1.
    ///
    /// # Errors
    /// The contradiction, or the database failed.
    pub fn agree(&self) -> eyre::Result<()> {
        let Some(batch) = self.store.last_batch()? else { return Ok(()) };
        let (Some(inclusion), header) = (batch.inclusion, &batch.header) else { return Ok(()) };
        match self.store.block_hash(header.lastHeight)? {
            Some(own) if own != header.lastBlockHash => Err(eyre::eyre!(
                "batch {} on L1 ({}) has {} as block {}, here it is {own}: this node decides and signs no further; \
                 it has to follow L1 in a new data folder, and must keep its records of what it has signed",
                header.index,
                if inclusion.bitmap.is_zero() { "posted without signatures" } else { "certified" },
                header.lastBlockHash,
                header.lastHeight,
            )),
            _ => Ok(()),
        }
    }

    /// Keeps of the batches that were not final those that L1 still has, by the hashes of its blocks: it may have dropped some while
    /// this node was down. The watcher reports all of them again. Called at the start, before it does. Blocks of L1 follow each other,
    /// so that one question is enough for as long as nothing was dropped, and some 16 in any case.
    ///
    /// # Errors
    /// The database failed.
    pub async fn keep_unfinal<F: Future<Output = Option<B256>> + Send>(
        &self,
        hash_at: impl Fn(u64) -> F + Send,
    ) -> Result<(), StoreError> {
        let first = self.final_batch()?.index.saturating_add(1);
        let end = self.store.last_batch()?.map_or(0, |last| last.header.index.saturating_add(1)).max(first);
        let (mut kept, mut gone) = (first, end);
        while kept < gone {
            let asked = if gone == end { end.saturating_sub(1) } else { kept.midpoint(gone) };
            let inclusion = self.store.batch(asked)?.and_then(|batch| batch.inclusion);
            let is_there = match inclusion {
                Some(inclusion) => hash_at(inclusion.l1_number).await == Some(inclusion.l1_hash),
                None => false,
            };
            if is_there {
                kept = asked.saturating_add(1);
            } else {
                gone = asked;
            }
        }
        if kept < end {
            tracing::warn!(first = kept, last = end.saturating_sub(1), "L1 does not have these batches any more");
        }
        self.told.lock().kept = kept.saturating_sub(1);
        self.forget_from(kept)
    }

    /// L1 was read through its block `latest`: what it would have told of by now, and has not, it dropped since the start.
    ///
    /// # Errors
    /// The database failed.
    pub fn confirm(&self, latest: u64) -> Result<(), StoreError> {
        let Told { kept, through } = *self.told.lock();
        let next = through.max(self.final_batch()?.index).saturating_add(1);
        if next > kept {
            return Ok(());
        }
        let inclusion = self.store.batch(next)?.and_then(|batch| batch.inclusion);
        if inclusion.is_none_or(|inclusion| inclusion.l1_number <= latest) {
            tracing::warn!(first = next, "L1 does not have these batches any more");
            self.told.lock().kept = 0;
            self.forget_from(next)?;
        }
        Ok(())
    }

    /// Forgets the batches from `index` on, none of them final.
    fn forget_from(&self, index: u64) -> Result<(), StoreError> {
        self.store.remove_batches_from(index)?;
        let heads = self.store.heads();
        let before = self.store.batch(index.saturating_sub(1))?.map_or(0, |batch| batch.header.lastHeight);
        let target = before.max(heads.finalized.height);
        if target < heads.safe.height {
            self.store.rewind_safe(target)?;
        }
        Ok(())
    }

    /// Moves the heads to what the records and the final L1 block allow. Called after events and after commits.
    ///
    /// # Errors
    /// The database failed.
    pub fn settle(&self, final_l1: u64) -> Result<(), StoreError> {
        let heads = self.store.heads();
        let Some(last) = self.store.last_batch()? else { return Ok(()) };
        // The newest batch whose blocks are here. A node that catches up has many that wait, an L1 that is not final for hours many
        // that do not: neither is gone through.
        let (mut safe, latest) = (heads.safe.height, heads.latest.height);
        let mut index = match self.store.batch_of_height(latest)?.map(|batch| batch.header) {
            Some(header) if header.lastHeight > latest => header.index.saturating_sub(1),
            Some(header) => header.index,
            None => last.header.index,
        };
        while let Some(batch) = self.store.batch(index)?.filter(|batch| batch.header.lastHeight > safe) {
            if batch.inclusion.is_some() && self.is_ours(&batch.header)? {
                safe = batch.header.lastHeight;
            }
            index = index.saturating_sub(1);
        }
        let mut finalized = heads.finalized.height;
        let mut index = self.final_batch()?.index.saturating_add(1);
        while let Some(batch) = self.store.batch(index)? {
            let is_final = batch.inclusion.is_some_and(|inclusion| inclusion.l1_number <= final_l1);
            if !is_final || !self.is_ours(&batch.header)? {
                break;
            }
            finalized = batch.header.lastHeight;
            index = index.saturating_add(1);
        }
        if safe > heads.safe.height {
            self.store.set_safe(safe)?;
        }
        if finalized > heads.finalized.height {
            self.store.set_finalized(finalized)?;
        }
        Ok(())
    }

    /// Whether the blocks of all known batches are here.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_all(&self) -> Result<bool, StoreError> {
        let latest = self.store.heads().latest.height;
        Ok(self.store.last_batch()?.is_none_or(|batch| batch.header.lastHeight <= latest))
    }

    /// Newest final batch, from which the batcher continues.
    ///
    /// # Errors
    /// The database failed.
    pub fn final_batch(&self) -> Result<ParentBatch, StoreError> {
        let finalized = self.store.heads().finalized.height;
        let batch = self.store.batch_of_height(finalized)?;
        Ok(batch
            .filter(|batch| batch.header.lastHeight <= finalized)
            .map_or_else(ParentBatch::default, |batch| ParentBatch::from(&batch.header)))
    }

    /// L1 block that holds the newest final batch.
    ///
    /// # Errors
    /// The database failed.
    pub fn final_inclusion(&self) -> Result<Option<u64>, StoreError> {
        let batch = self.store.batch_of_height(self.store.heads().finalized.height)?;
        Ok(batch.and_then(|batch| batch.inclusion).map(|inclusion| inclusion.l1_number))
    }

    fn put(&self, batch: &SubmittedBatch) -> Result<(), StoreError> {
        let index = batch.header.index;
        // Another one in its place, on a branch that this run has not seen being replaced.
        if self.store.batch(index)?.is_some_and(|known| known.header != batch.header) {
            self.forget_from(index)?;
        }
        let mut told = self.told.lock();
        told.through = told.through.max(index);
        drop(told);
        let inclusion = BatchInclusion {
            l1_number: batch.place.number,
            l1_hash: batch.l1_hash,
            transaction: batch.transaction,
            blobs: batch.blobs,
            bitmap: batch.bitmap,
        };
        self.store.put_batch(&BatchRecord {
            header: batch.header.clone(),
            inclusion: Some(inclusion),
            certificate: None,
        })
    }

    fn drop_batch(&self, batch: &SubmittedBatch) -> Result<(), StoreError> {
        let Some(known) = self.store.batch(batch.header.index)? else { return Ok(()) };
        if known.inclusion.is_none_or(|inclusion| inclusion.l1_hash != batch.l1_hash) {
            return Ok(());
        }
        self.store.remove_batches_from(batch.header.index)?;
        let target = batch.header.firstHeight.saturating_sub(1);
        if target < self.store.heads().safe.height {
            self.store.rewind_safe(target)?;
        }
        Ok(())
    }

    fn is_ours(&self, header: &protocol::BatchHeader) -> Result<bool, StoreError> {
        Ok(self.store.block_hash(header.lastHeight)? == Some(header.lastBlockHash))
    }
}

/// The batcher's way to its peers.
pub struct BatchGossip {
    network: NetworkHandle,
}

impl BatchGossip {
    /// Over the given network.
    #[must_use]
    pub const fn new(network: NetworkHandle) -> Self {
        Self { network }
    }
}

impl BatchNetwork for BatchGossip {
    fn broadcast(&self, message: BatchMessage) {
        let sent = match message {
            BatchMessage::Proposal(proposal) => self.network.publish_proposal(network::BatchProposal {
                header: proposal.header,
                kind: match proposal.da {
                    DataAvailability::Blobs => DataKind::Blobs,
                    DataAvailability::Calldata => DataKind::Calldata,
                },
                channel: proposal.channel,
                signature: proposal.signature,
            }),
            BatchMessage::Signature(BatchSignature { index, batch, signature, .. }) => {
                self.network.publish_signature(network::BatchSignature { index, hash: batch, signature })
            }
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "batch message not sent");
        }
    }
}

/// A proposal from the network in the batcher's form.
#[must_use]
pub fn incoming_proposal(proposal: network::BatchProposal) -> BatchMessage {
    let da = match proposal.kind {
        DataKind::Blobs => DataAvailability::Blobs,
        DataKind::Calldata => DataAvailability::Calldata,
    };
    let network::BatchProposal { header, channel, signature, .. } = proposal;
    BatchMessage::Proposal(Box::new(BatchProposal { header, da, channel, signature }))
}

/// A signature from the network in the batcher's form.
#[must_use]
pub const fn incoming_signature(signature: network::BatchSignature, signer: Address) -> BatchMessage {
    let network::BatchSignature { index, hash, signature } = signature;
    BatchMessage::Signature(BatchSignature { index, batch: hash, signer, signature })
}
