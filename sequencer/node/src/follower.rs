//! Following without voting: decided blocks from peers, each executed and its certificate checked; or the chain from L1.

use std::sync::Arc;

use alloy_rlp::Decodable;
use batcher::{DerivedBatch, contradiction};
use network::{DecidedBlock, NetworkHandle, Verdict, limits::MAX_BLOCKS_PER_REQUEST};
use protocol::{CommitCertificate, Height};

use crate::{
    batches::ChainView,
    chain::{Chain, ChainError},
    committer::Committer,
    open::OpenBlocks,
};

/// Catches up with peers.
pub struct Sync {
    chain: Arc<Chain>,
    committer: Arc<Committer>,
    open: Arc<OpenBlocks>,
}

impl Sync {
    /// A follower of decided blocks.
    #[must_use]
    pub const fn new(chain: Arc<Chain>, committer: Arc<Committer>, open: Arc<OpenBlocks>) -> Self {
        Self { chain, committer, open }
    }

    /// Takes an announced block. A peer that sends a wrong one is rejected; our own failures end the node.
    ///
    /// # Errors
    /// Failures of our own disk or state.
    pub async fn on_announced(
        &mut self,
        decided: &DecidedBlock,
        network: &NetworkHandle,
    ) -> Result<Verdict, ChainError> {
        let Ok(certificate) = CommitCertificate::decode(&mut decided.certificate.as_ref()) else {
            return Ok(Verdict::Reject);
        };
        let next = self.next();
        if certificate.height.0 < next {
            return Ok(Verdict::Ignore);
        }
        if certificate.height.0 > next {
            self.catch_up(network).await?;
            return Ok(Verdict::Ignore);
        }
        match self.apply(decided).await {
            Ok(()) => Ok(Verdict::Accept),
            Err(error) if error.must_halt() => Err(error),
            Err(ChainError::L1Behind(_) | ChainError::Epoch(_) | ChainError::NotNext(_)) => Ok(Verdict::Ignore),
            Err(error) => {
                tracing::warn!(height = next, %error, "refused a decided block from a peer");
                Ok(Verdict::Reject)
            }
        }
    }

    /// Asks the best peer for what is missing.
    ///
    /// # Errors
    /// Failures of our own disk or state.
    pub async fn catch_up(&mut self, network: &NetworkHandle) -> Result<(), ChainError> {
        loop {
            let next = self.next();
            let peers = network.peers();
            let best = peers.iter().filter_map(|info| info.heads.map(|heads| (heads.height.0, info.peer))).max();
            let Some((_, peer)) = best.filter(|(height, _)| *height >= next) else {
                return Ok(());
            };
            let blocks = match network.request_blocks(peer, Height(next), MAX_BLOCKS_PER_REQUEST).await {
                Ok(blocks) if !blocks.is_empty() => blocks,
                Ok(_) => return Ok(()),
                Err(error) => {
                    tracing::debug!(%peer, %error, "no blocks from peer");
                    return Ok(());
                }
            };
            for decided in &blocks {
                match self.apply(decided).await {
                    Ok(()) => {}
                    Err(error) if error.must_halt() => return Err(error),
                    Err(ChainError::L1Behind(_) | ChainError::Epoch(_) | ChainError::NotNext(_)) => return Ok(()),
                    Err(error) => {
                        tracing::warn!(%peer, %error, "peer sent a wrong block");
                        let _ = network.disconnect(peer);
                        return Ok(());
                    }
                }
            }
        }
    }

    fn next(&self) -> u64 {
        self.chain.head().header.number.saturating_add(1)
    }

    /// Checks certificate, execution and root, then commits.
    async fn apply(&self, decided: &DecidedBlock) -> Result<(), ChainError> {
        if let Some(hash) = consensus::slices::block_hash(&decided.block) {
            // Executed already if its slices came; otherwise below.
            self.open.finish(hash, decided.block.clone()).await?;
        }
        let (chain, committer, decided) = (self.chain.clone(), self.committer.clone(), decided.clone());
        let work = move || {
            let certificate = CommitCertificate::decode(&mut decided.certificate.as_ref())
                .map_err(|_| execution::InvalidBlock::Malformed)?;
            chain.check_certificate(&certificate)?;
            let candidate = chain.check(&decided.block, None, &|_| None)?;
            if candidate.executed.hash != certificate.block_hash {
                return Err(execution::InvalidBlock::Malformed.into());
            }
            committer.commit_decided(&decided.block, certificate)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ChainError::Worker)?
    }
}

/// Executes what was derived from L1; the result must be the block that two thirds of the stake certified.
///
/// # Errors
/// A contradiction between L1 data and certificate (reported, never followed), or our own failure.
pub fn apply_derived(chain: &Arc<Chain>, committer: &Committer, batch: &DerivedBatch) -> eyre::Result<()> {
    for block in &batch.blocks {
        if block.height.0 <= chain.head().header.number {
            continue;
        }
        let candidate = chain.apply_derived(block)?;
        if block.height.0 == batch.header.lastHeight && candidate.executed.hash != batch.header.lastBlockHash {
            return Err(ChainError::Rule {
                height: block.height,
                reason: "it differs from the certified batch header",
            }
            .into());
        }
        committer.commit(candidate.executed.hash, None)?;
    }
    let own = ChainView(chain.clone());
    match contradiction(&batch.header, &batch.parent, &chain.genesis().params, &own)? {
        Some(field) => {
            Err(eyre::eyre!("batch {}: {field} of its header is not what its blocks give", batch.header.index))
        }
        None => Ok(()),
    }
}
