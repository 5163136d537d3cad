//! The port to the node: what consensus asks of the chain.

use alloy_primitives::{Address, B256, Bytes};
use async_trait::async_trait;
use protocol::{CommitCertificate, CompactSignature, Height, Leadership, Round, Slice, signing};
use tokio::sync::{mpsc, watch};

/// The chain, as consensus sees it.
///
/// Async methods are called from tasks of their own, never from the engine's loop. Blocks that compete for one height may
/// be validated at the same time, and a slow validation may still run when another block of its height is committed:
/// answer [`Refusal::Unable`] then. The encoded block is RLP whose first item is the Ethereum header; its hash is the block hash.
#[async_trait]
pub trait Application: Send + Sync + 'static {
    /// Height of the last committed block; 0 at genesis.
    fn head(&self) -> Height;

    /// Timestamp of the last committed block in milliseconds since the epoch; anchors the pace.
    fn head_timestamp_ms(&self) -> u64;

    /// First height this node can serve to peers that catch up.
    fn earliest(&self) -> Height {
        Height(1)
    }

    /// Members, weights and leader order of `height`. Asked for the head's successor only.
    ///
    /// # Errors
    /// Any error stops the engine.
    fn leadership(&self, height: Height) -> Result<Leadership, AppError>;

    /// Resolves when `height` should start: transactions wait, or the idle interval is over. Called no earlier than one
    /// block interval after the head's timestamp, and dropped when a leader has begun to stream `height`.
    async fn ready(&self, height: Height);

    /// Builds a block on the head and streams it meanwhile. A height's first leader is asked as soon as the height before
    /// is committed and takes its time until the block is due; see [`Turn::asked`]. Dropped when the turn is over.
    ///
    /// # Errors
    /// [`AppError::Retry`] skips this round; [`AppError::Halt`] stops the engine.
    async fn propose(&self, turn: Turn) -> Result<Built, AppError>;

    /// A slice of the height under vote, signed by the leader of its round, another than we. Executed on arrival, the end of
    /// the block costs only its roots. Each comes once, in any order, and before the block is validated; must not block.
    fn slice(&self, slice: &Slice);

    /// A slice of ours that leaves now; must not block.
    fn sent(&self, slice: &Slice);

    /// Whether these bytes are all of the block that their hash names: its header commits to the rest. Anybody can put another
    /// body under a header, and nothing that is found out about such bytes says anything about the block.
    fn is_whole(&self, block: &Bytes) -> bool;

    /// Decodes, executes and checks a block completely, the state root included.
    ///
    /// # Errors
    /// See [`Refusal`].
    async fn validate(&self, candidate: Candidate) -> Result<(), Refusal>;

    /// Makes the decided block and its certificate durable, atomically. The block was validated in this run.
    ///
    /// # Errors
    /// Any error stops the engine: a decided block that cannot be committed leaves nothing to do.
    async fn commit(&self, certificate: CommitCertificate, block: Bytes) -> Result<(), AppError>;

    /// A committed block with its certificate.
    async fn decided(&self, height: Height) -> Option<(Bytes, CommitCertificate)>;

    /// Keeps evidence of equivocation; it must be durable on return.
    ///
    /// # Errors
    /// Any error stops the engine.
    async fn evidence(&self, evidence: Vec<Evidence>) -> Result<(), AppError>;
}

/// A round that this node leads.
#[derive(Debug)]
pub struct Turn {
    /// Height to build.
    pub height: Height,
    /// Round it is built for.
    pub round: Round,
    /// Becomes true when voters wait for the block: from then on they give up on the round after the propose timeout.
    pub asked: watch::Receiver<bool>,
    /// Takes the stream of [`protocol::slice`] piece by piece; each piece leaves in slices at once. What was streamed
    /// cannot be taken back: a block that begins otherwise has no place in this round.
    pub stream: mpsc::Sender<Bytes>,
}

/// The end of a block built by this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Hash of the block, keccak of its header.
    pub hash: B256,
    /// RLP of the header.
    pub header: Bytes,
}

/// A block to check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Height, always the head's successor.
    pub height: Height,
    /// Leader the header must name. `None` for a block that comes with a certificate: whoever built it, two thirds
    /// checked that.
    pub leader: Option<Address>,
    /// Hash, already checked against the header.
    pub hash: B256,
    /// Encoded block.
    pub block: Bytes,
}

/// The application's failures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    /// Not now; a later round may work.
    #[error("{0}")]
    Retry(String),
    /// Nothing sensible can follow.
    #[error("{0}")]
    Halt(String),
}

/// Why a block gets no vote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The block breaks a rule; everybody honest refuses it.
    #[error("invalid block: {0}")]
    Invalid(String),
    /// This node cannot tell now (for example its L1 view is behind); it abstains.
    #[error("cannot check block: {0}")]
    Unable(String),
    /// Another body under the block's header, see [`Application::is_whole`], which is what the engine asks: nothing follows for
    /// the block.
    #[error("these bytes are not the block that their hash names")]
    Foreign,
}

/// Two statements of one signer that contradict each other, each with its signature over the EIP-712 digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Two votes of one type in one round.
    Votes {
        /// Who signed.
        signer: Address,
        /// First vote.
        first: (signing::Vote, CompactSignature),
        /// Second vote.
        second: (signing::Vote, CompactSignature),
    },
    /// Two proposals in one round.
    Proposals {
        /// Who signed.
        signer: Address,
        /// First proposal.
        first: (signing::Proposal, CompactSignature),
        /// Second proposal.
        second: (signing::Proposal, CompactSignature),
    },
    /// Two slices at one place.
    Slices {
        /// Who signed.
        signer: Address,
        /// First slice.
        first: (signing::Slice, CompactSignature),
        /// Second slice.
        second: (signing::Slice, CompactSignature),
    },
}
