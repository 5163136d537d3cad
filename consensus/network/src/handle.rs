//! The node's side: how it speaks to the network task, and what it hears.

use std::{collections::BTreeSet, sync::Arc};

use alloy_primitives::{Address, Bytes};
use libp2p::{Multiaddr, PeerId, gossipsub::MessageId};
use protocol::{Height, Slice};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::{
    limits::MAX_BLOCKS_PER_REQUEST,
    message::{BatchProposal, BatchSignature, DecidedBlock, Gossip, Topic},
    status::{HeadStatus, PeerBinding},
};

/// What the network tells the node.
#[derive(Debug)]
pub enum NetworkEvent {
    /// Transactions from a peer; to be judged.
    Transactions {
        /// For [`NetworkHandle::report`].
        token: MessageToken,
        /// EIP-2718 bytes, at least one.
        transactions: Vec<Bytes>,
    },
    /// A member of the set proposes a batch; to be judged.
    BatchProposal {
        /// For [`NetworkHandle::report`].
        token: MessageToken,
        /// The proposal; its signature has been checked.
        proposal: Box<BatchProposal>,
        /// The member.
        signer: Address,
    },
    /// A member of the set signed a batch; to be judged.
    BatchSignature {
        /// For [`NetworkHandle::report`].
        token: MessageToken,
        /// The signature, which has been checked.
        signature: BatchSignature,
        /// The member.
        signer: Address,
    },
    /// A decided block; to be judged (its certificate has not been looked at).
    Block {
        /// For [`NetworkHandle::report`].
        token: MessageToken,
        /// The block.
        block: DecidedBlock,
    },
    /// A slice that a member of the set signed; to be judged (whether that member leads has not been looked at).
    Slice {
        /// For [`NetworkHandle::report`].
        token: MessageToken,
        /// The slice; its signature has been checked.
        slice: Box<Slice>,
        /// The member.
        signer: Address,
    },
    /// A peer asks for decided blocks; dropping the reply refuses.
    BlocksRequested {
        /// Who asks.
        peer: PeerId,
        /// First height.
        from: Height,
        /// 1..=64.
        count: u64,
        /// Where the answer goes.
        reply: BlocksReply,
    },
    /// A peer proved that it belongs to a signer (in the set or not).
    PeerIdentified {
        /// The peer.
        peer: PeerId,
        /// Its signer.
        signer: Address,
    },
    /// A peer's heads changed.
    PeerStatus {
        /// The peer.
        peer: PeerId,
        /// Its heads, as it claims.
        heads: HeadStatus,
    },
    /// The last connection to a peer is gone.
    PeerDisconnected {
        /// The peer.
        peer: PeerId,
    },
}

/// What the node thinks of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid: forward it.
    Accept,
    /// Not to be forwarded, and nobody's fault: known, too old, too new, no room.
    Ignore,
    /// Invalid whatever the state: the peer that sent it should have known.
    Reject,
}

/// Names a message until it is judged. Dropping it counts as [`Verdict::Ignore`].
#[derive(Debug)]
pub struct MessageToken {
    pub(crate) id: MessageId,
    pub(crate) peer: PeerId,
    pub(crate) topic: Topic,
    /// Share of the bytes that may be unjudged at a time.
    pub(crate) _budget: OwnedSemaphorePermit,
}

impl MessageToken {
    /// The peer that sent or forwarded the message.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        self.peer
    }
}

/// Where the answer to [`NetworkEvent::BlocksRequested`] goes.
#[derive(Debug)]
pub struct BlocksReply(pub(crate) oneshot::Sender<Vec<DecidedBlock>>);

impl BlocksReply {
    /// Answers with consecutive blocks from the asked height on; fewer than asked, or none, is fine. Blocks beyond the size
    /// of an answer are left out.
    pub fn send(self, blocks: Vec<DecidedBlock>) {
        // The asker may be gone; then nobody needs the answer.
        let _gone = self.0.send(blocks);
    }
}

/// Why a call was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The mailbox is full: try later.
    #[error("the network task is overloaded")]
    Overloaded,
    /// The message exceeds its limits: do not try again.
    #[error("the message is too large")]
    TooLarge,
    /// The task has ended.
    #[error("the network task has ended")]
    Stopped,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The task did not take it.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// No such peer now.
    #[error("not connected to the peer")]
    NotConnected,
    /// No answer in time.
    #[error("the peer did not answer in time")]
    Timeout,
    /// The peer refused, left, or answered with garbage.
    #[error("the peer failed: {0}")]
    Failed(String),
}

/// A connected peer, for RPC and for choosing whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its id.
    pub peer: PeerId,
    /// Its address as we see it.
    pub address: Multiaddr,
    /// Whether it dialled us.
    pub inbound: bool,
    /// The signer it proved to belong to.
    pub signer: Option<Address>,
    /// Whether that signer is in the sequencer set.
    pub member: bool,
    /// Its heads; `None` until it has told its genesis.
    pub heads: Option<HeadStatus>,
    /// Points, from 0 down to the ban.
    pub score: i64,
    /// What it says it runs.
    pub agent: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Command {
    Transactions(Vec<Bytes>, OwnedSemaphorePermit),
    Publish(Topic, Vec<u8>, OwnedSemaphorePermit),
    RequestBlocks {
        peer: PeerId,
        from: Height,
        count: u64,
        reply: oneshot::Sender<Result<Vec<DecidedBlock>, RequestError>>,
    },
    Dial(Multiaddr),
    Disconnect(PeerId),
    Blame(PeerId),
}

/// Cheap to clone; no call waits for the network except [`NetworkHandle::request_blocks`]. With the last one the network ends, and then
/// its event channel.
#[derive(Clone, Debug)]
pub struct NetworkHandle {
    pub(crate) local: PeerId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) verdicts: mpsc::Sender<(MessageToken, Verdict)>,
    pub(crate) budget: Arc<Semaphore>,
    pub(crate) heads: watch::Sender<HeadStatus>,
    pub(crate) members: watch::Sender<Arc<BTreeSet<Address>>>,
    pub(crate) binding: watch::Sender<Option<PeerBinding>>,
    pub(crate) peers: watch::Receiver<Arc<Vec<PeerInfo>>>,
    pub(crate) addresses: watch::Receiver<Arc<Vec<Multiaddr>>>,
}

impl NetworkHandle {
    /// Our peer id.
    #[must_use]
    pub const fn local_peer_id(&self) -> PeerId {
        self.local
    }

    /// The addresses we listen on, without `/p2p/`.
    #[must_use]
    pub fn listen_addresses(&self) -> Arc<Vec<Multiaddr>> {
        Arc::clone(&self.addresses.borrow())
    }

    /// Connected peers as of a moment ago.
    #[must_use]
    pub fn peers(&self) -> Arc<Vec<PeerInfo>> {
        Arc::clone(&self.peers.borrow())
    }

    /// Gossips transactions; they travel several to a message.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn publish_transactions(&self, transactions: Vec<Bytes>) -> Result<(), NetworkError> {
        let size = transactions.iter().map(|transaction| transaction.len()).sum();
        let permit = self.permit(size)?;
        self.send(Command::Transactions(transactions, permit))
    }

    /// Gossips a batch proposal.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn publish_proposal(&self, proposal: BatchProposal) -> Result<(), NetworkError> {
        self.publish(&Gossip::Proposal(Box::new(proposal)))
    }

    /// Gossips a batch signature.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn publish_signature(&self, signature: BatchSignature) -> Result<(), NetworkError> {
        self.publish(&Gossip::Signature(signature))
    }

    /// Gossips a decided block.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn publish_block(&self, block: DecidedBlock) -> Result<(), NetworkError> {
        self.publish(&Gossip::Block(block))
    }

    /// Gossips a slice of ours.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn publish_slice(&self, slice: Slice) -> Result<(), NetworkError> {
        self.publish(&Gossip::Slice(Box::new(slice)))
    }

    /// Judges a message. Only an accepted message is forwarded; a rejected one costs its sender points.
    ///
    /// # Errors
    /// See [`NetworkError`]; the message then counts as ignored.
    pub fn report(&self, token: MessageToken, verdict: Verdict) -> Result<(), NetworkError> {
        self.verdicts.try_send((token, verdict)).map_err(|error| refused(&error))
    }

    /// Sets the signers whose batch messages and slices are taken, and whose nodes find room when we are full.
    pub fn set_members(&self, members: BTreeSet<Address>) {
        self.members.send_replace(Arc::new(members));
    }

    /// Sets what we tell others about our heads.
    pub fn set_status(&self, heads: HeadStatus) {
        self.heads.send_replace(heads);
    }

    /// Renews the binding of this node to its signer (or ends it).
    pub fn set_binding(&self, binding: Option<PeerBinding>) {
        self.binding.send_replace(binding);
    }

    /// Asks a peer for up to `count` (at most 64) consecutive decided blocks. Nothing about them has been checked.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub async fn request_blocks(
        &self,
        peer: PeerId,
        from: Height,
        count: u64,
    ) -> Result<Vec<DecidedBlock>, RequestError> {
        let (reply, answer) = oneshot::channel();
        let count = count.clamp(1, MAX_BLOCKS_PER_REQUEST);
        self.send(Command::RequestBlocks { peer, from, count, reply })?;
        answer.await.unwrap_or(Err(RequestError::Network(NetworkError::Stopped)))
    }

    /// An answer of this peer to a request holds what no honest node gives: it costs points, as a rejected message does.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn blame(&self, peer: PeerId) -> Result<(), NetworkError> {
        self.send(Command::Blame(peer))
    }

    /// Dials an address once.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn dial(&self, address: Multiaddr) -> Result<(), NetworkError> {
        self.send(Command::Dial(address))
    }

    /// Closes the connections to a peer.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn disconnect(&self, peer: PeerId) -> Result<(), NetworkError> {
        self.send(Command::Disconnect(peer))
    }

    pub(crate) fn publish(&self, message: &Gossip) -> Result<(), NetworkError> {
        let bytes = message.encode().ok_or(NetworkError::TooLarge)?;
        self.publish_raw(message.topic(), bytes)
    }

    pub(crate) fn publish_raw(&self, topic: Topic, bytes: Vec<u8>) -> Result<(), NetworkError> {
        let permit = self.permit(bytes.len())?;
        self.send(Command::Publish(topic, bytes, permit))
    }

    fn permit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, NetworkError> {
        let bytes = u32::try_from(bytes).map_err(|_| NetworkError::TooLarge)?;
        Arc::clone(&self.budget).try_acquire_many_owned(bytes).map_err(|_| NetworkError::Overloaded)
    }

    fn send(&self, command: Command) -> Result<(), NetworkError> {
        self.commands.try_send(command).map_err(|error| refused(&error))
    }
}

fn refused<T>(error: &mpsc::error::TrySendError<T>) -> NetworkError {
    match error {
        mpsc::error::TrySendError::Full(_) => NetworkError::Overloaded,
        mpsc::error::TrySendError::Closed(_) => NetworkError::Stopped,
    }
}
