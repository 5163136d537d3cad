//! What the batcher is told, what it tells, and why it ends.

use std::path::PathBuf;
use std::sync::Arc;

use derivation::BatchBlock;
use protocol::genesis::Params;
use protocol::{Domain, Height};
use tokio::sync::{mpsc, watch};

use crate::ports::{BatchL1, BatchNetwork, ChainError, ChainReader, Incoming, L1BatchEvent};
use crate::{ConflictingHeaders, DataAvailability, Gap, ParentBatch, RecordError};

/// Changes the blocks of a proposal before its data is committed to: the seam of the devnet's faulty leader.
pub type AlterProposal = fn(&mut Vec<BatchBlock>);

/// How this node batches.
#[derive(Clone, Debug)]
pub struct BatcherConfig {
    /// Protocol parameters.
    pub params: Params,
    /// Signing domain of the network.
    pub domain: Domain,
    /// Where data goes.
    pub da: DataAvailability,
    /// Time until the next in rotation may propose.
    pub post_timeout_ms: u64,
    /// Folder for the signer record and the outbox.
    pub folder: PathBuf,
    /// Newest final batch the node knows; the default before the first.
    pub parent: ParentBatch,
    /// Only in the devnet's faulty binary.
    pub alter_proposal: Option<AlterProposal>,
}

/// The rest of the node.
pub struct BatcherPorts {
    /// Decided chain.
    pub chain: Arc<dyn ChainReader>,
    /// Other sequencers.
    pub network: Arc<dyn BatchNetwork>,
    /// Way to L1; `None` on a node that signs but does not pay for posting.
    pub l1: Option<Arc<dyn BatchL1>>,
    /// Messages of other sequencers.
    pub incoming: mpsc::Receiver<Incoming>,
    /// Batches on L1.
    pub l1_events: mpsc::Receiver<L1BatchEvent>,
    /// Newest decided height.
    pub head: watch::Receiver<Height>,
    /// Takes evidence of members that signed contradicting headers.
    pub evidence: mpsc::Sender<ConflictingHeaders>,
}

/// What the batcher is doing, for RPC and the devnet's view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatcherStatus {
    /// Newest batch on the latest L1 chain.
    pub tip: ParentBatch,
    /// Proposals refused because they differ from our chain.
    pub refused_proposals: u64,
    /// Why the newest of them was refused.
    pub last_refusal: Option<String>,
    /// What L1 said to the newest batch it refused.
    pub last_l1_refusal: Option<String>,
}

/// Why the batcher ends; the node then ends too.
#[derive(Debug, thiserror::Error)]
pub enum BatcherError {
    /// Events of L1 were lost.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// The signer record failed or found a conflict.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The outbox failed.
    #[error("outbox: {0}")]
    Outbox(#[from] std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The key failed.
    #[error(transparent)]
    Sign(#[from] protocol::signing::SignError),
    /// A blocking task stopped.
    #[error("a batch computation stopped unexpectedly")]
    Worker,
    /// A port closed while the node runs.
    #[error("{0} closed")]
    Closed(&'static str),
}
