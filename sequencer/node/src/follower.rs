//! Following without voting: decided blocks from peers, each executed and its certificate checked; or the chain from L1.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_rlp::Decodable;
use batcher::{DerivedBatch, contradiction};
use network::{
    DecidedBlock, NetworkError, NetworkHandle, PeerId, RequestError, Verdict, limits::MAX_BLOCKS_PER_REQUEST,
};
use protocol::{CommitCertificate, Height};
use tokio::sync::Notify;

use crate::{
    batches::ChainView,
    chain::{Chain, ChainError},
    claims::Claims,
    committer::Committer,
    epochs::EpochError,
    open::OpenBlocks,
    vitals::SYNCING_FROM,
};

/// Longest time between two looks at what peers claim.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What a peer's answer was worth.
enum Answer {
    /// It has the next block.
    Good,
    /// It does not.
    Bad,
    /// It gave a block that no honest peer gives.
    Wrong,
    /// Nothing to hold against it: ours is not as far, or busy.
    Unclear,
}

/// Catches up with peers.
pub struct Sync {
    chain: Arc<Chain>,
    committer: Arc<Committer>,
    open: Arc<OpenBlocks>,
    /// Shows that there may be something to catch up with.
    news: Notify,
    /// One block is applied at a time: an announced one, or one of those asked for.
    applying: tokio::sync::Mutex<()>,
}

impl Sync {
    /// A follower of decided blocks.
    #[must_use]
    pub fn new(chain: Arc<Chain>, committer: Arc<Committer>, open: Arc<OpenBlocks>) -> Arc<Self> {
        Arc::new(Self { chain, committer, open, news: Notify::new(), applying: tokio::sync::Mutex::default() })
    }

    /// Catches up whenever there is something to catch up with.
    ///
    /// # Errors
    /// Failures of our own disk or state.
    pub async fn run(self: Arc<Self>, network: NetworkHandle, claims: Arc<Claims>) -> Result<(), ChainError> {
        loop {
            self.catch_up(&network, &claims).await?;
            // The time: whom we doubt is asked again when its time is over.
            let _ = tokio::time::timeout(LOOK_INTERVAL, self.news.notified()).await;
        }
    }

    /// A peer has told something new.
    pub fn wake(&self) {
        self.news.notify_one();
    }

    /// Takes an announced block. A peer that sends a wrong one is rejected; our own failures end the node.
    ///
    /// # Errors
    /// Failures of our own disk or state.
    pub async fn on_announced(&self, decided: &DecidedBlock) -> Result<Verdict, ChainError> {
        let Ok(certificate) = CommitCertificate::decode(&mut decided.certificate.as_ref()) else {
            return Ok(Verdict::Reject);
        };
        let next = next_of(&self.chain);
        if certificate.height.0 < next {
            return Ok(Verdict::Ignore);
        }
        if certificate.height.0 > next {
            self.wake();
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

    /// Asks peers for what is missing, one after the other until none has more.
    async fn catch_up(&self, network: &NetworkHandle, claims: &Claims) -> Result<(), ChainError> {
        loop {
            let next = next_of(&self.chain);
            let Some(peer) = claims.whom(&network.peers(), next, Instant::now()) else { return Ok(()) };
            let begin = Instant::now();
            let asked = ask(network, peer, next, MAX_BLOCKS_PER_REQUEST).await;
            let took = begin.elapsed();
            let (answer, bytes) = match asked {
                Ok(blocks) => (self.apply_all(&blocks, next).await?, bytes_of(&blocks)),
                Err(answer) => (answer, 0),
            };
            match answer {
                Answer::Good => claims.trust(peer, bytes, took, Instant::now()),
                Answer::Bad => claims.doubt(peer, Instant::now()),
                Answer::Wrong => {
                    claims.doubt(peer, Instant::now());
                    // Without a place in its mailbox the network has worse to judge.
                    let _ = network.blame(peer);
                }
                Answer::Unclear => return Ok(()),
            }
        }
    }

    /// Applies blocks from `next` on.
    async fn apply_all(&self, blocks: &[DecidedBlock], next: u64) -> Result<Answer, ChainError> {
        let mut answer = Answer::Bad;
        for decided in blocks {
            match self.apply(decided).await {
                Ok(()) => answer = Answer::Good,
                Err(error) if error.must_halt() => return Err(error),
                Err(ChainError::L1Behind(_) | ChainError::Epoch(_)) => return Ok(Answer::Unclear),
                Err(ChainError::NotNext(_)) => {
                    // An announced block may have come in between.
                    let is_beside = matches!(answer, Answer::Bad) && next_of(&self.chain) > next;
                    return Ok(if is_beside { Answer::Unclear } else { answer });
                }
                Err(error) => {
                    tracing::warn!(%error, "a peer sent a wrong block");
                    return Ok(Answer::Wrong);
                }
            }
        }
        Ok(answer)
    }

    /// Checks certificate, execution and root, then commits.
    async fn apply(&self, decided: &DecidedBlock) -> Result<(), ChainError> {
        let _one_at_a_time = self.applying.lock().await;
        if let Some(hash) = consensus::slices::block_hash(&decided.block) {
            // Executed already if its slices came; otherwise below.
            self.open.finish(hash, decided.block.clone()).await?;
        }
        let (chain, committer, decided) = (self.chain.clone(), self.committer.clone(), decided.clone());
        let work = move || {
            let certificate = CommitCertificate::decode(&mut decided.certificate.as_ref())
                .map_err(|_| execution::InvalidBlock::Malformed)?;
            chain.check_certificate(&certificate)?;
            let candidate = chain.check(&decided.block, None, &|_| None).map_err(|error| match error {
                // Waited for, if it is true.
                ChainError::L1Behind(_) if !is_certified(&decided.block, &certificate) => {
                    execution::InvalidBlock::Malformed.into()
                }
                other => other,
            })?;
            if candidate.executed.hash != certificate.block_hash {
                return Err(execution::InvalidBlock::Malformed.into());
            }
            committer.commit_decided(&decided.block, certificate)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| ChainError::Worker)?
    }
}

/// Whether these bytes are the block that the certificate is about.
fn is_certified(block: &[u8], certificate: &CommitCertificate) -> bool {
    consensus::slices::block_hash(block) == Some(certificate.block_hash) && protocol::block::is_whole(block)
}

fn next_of(chain: &Chain) -> u64 {
    chain.head().header.number.saturating_add(1)
}

/// Asks a peer for blocks from `next` on; there is at least one in the answer.
async fn ask(network: &NetworkHandle, peer: PeerId, next: u64, count: u64) -> Result<Vec<DecidedBlock>, Answer> {
    match network.request_blocks(peer, Height(next), count).await {
        Ok(blocks) if blocks.is_empty() => Err(Answer::Bad),
        Ok(blocks) => Ok(blocks),
        Err(RequestError::Network(NetworkError::Overloaded | NetworkError::Stopped)) => Err(Answer::Unclear),
        Err(error) => {
            tracing::debug!(%peer, %error, "no blocks from peer");
            Err(Answer::Bad)
        }
    }
}

fn bytes_of(blocks: &[DecidedBlock]) -> usize {
    blocks.iter().map(|decided| decided.block.len().saturating_add(decided.certificate.len())).sum()
}

/// Holds peers to what they claim on a node that gets its blocks from consensus: who is far ahead shows a certificate for a block
/// there.
///
/// # Errors
/// Failures of our own disk.
pub async fn audit(chain: Arc<Chain>, network: NetworkHandle, claims: Arc<Claims>) -> Result<(), ChainError> {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        loop {
            let far = chain.head().header.number.saturating_add(SYNCING_FROM);
            let Some(peer) = claims.whom(&network.peers(), far, Instant::now()) else { break };
            let begin = Instant::now();
            let (answer, bytes) = match ask(&network, peer, far, 1).await {
                Ok(blocks) => (judge(&chain, blocks.first(), far)?, bytes_of(&blocks)),
                Err(answer) => (answer, 0),
            };
            match answer {
                Answer::Good => claims.trust(peer, bytes, begin.elapsed(), Instant::now()),
                Answer::Bad | Answer::Wrong => {
                    claims.doubt(peer, Instant::now());
                    continue;
                }
                Answer::Unclear => {}
            }
            break;
        }
    }
}

/// Whether a block was decided at `height`, by its certificate.
fn judge(chain: &Chain, decided: Option<&DecidedBlock>, height: u64) -> Result<Answer, ChainError> {
    let certificate = decided.and_then(|decided| CommitCertificate::decode(&mut decided.certificate.as_ref()).ok());
    let Some(certificate) = certificate.filter(|certificate| certificate.height.0 == height) else {
        return Ok(Answer::Bad);
    };
    match chain.epochs().get(chain.genesis().params.epoch_of(certificate.height)) {
        Ok(info) => {
            let verified = certificate.verify(&chain.genesis().domain(), &info.set);
            Ok(if verified.is_ok() { Answer::Good } else { Answer::Bad })
        }
        Err(EpochError::Store(error)) => Err(error.into()),
        // Too far ahead for us to know the set.
        Err(_) => Ok(Answer::Unclear),
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
