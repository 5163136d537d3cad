//! The node's own peer-to-peer swarm: transactions, batch proposals and signatures, slices and decided blocks for followers.
//!
//! ```text
//!   node ── NetworkHandle ──▶ mailbox ──▶ ┌──────────────┐ ──▶ gossipsub: transactions, batches, blocks, slices
//!        ── verdicts ───────────────────▶ │ network task │ ──▶ status: genesis, heads, binding of peer to signer
//!        ◀── NetworkEvent ── bounded ──── └──────────────┘ ──▶ blocks: decided blocks by height
//! ```
//!
//! **Invariant.** Nothing a peer sends grows memory without a bound of [`limits`], panics, or reaches the node before it
//! was decoded; gossip is forwarded only after the node accepted it; batch messages and slices reach the node only when a
//! member of the sequencer set signed them. Misbehaviour is a score, in the end a ban, and nothing else.
//!
//! **Absent on purpose.** Execution, and any judgement that needs state: the node gives it as a [`Verdict`]. Consensus
//! messages, which travel on the engine's own swarm. Peer discovery: bootnodes are configured.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod behaviour;
mod dial;
mod gossip;
mod handle;
pub mod limits;
mod message;
mod peers;
mod requests;
mod score;
mod status;
mod task;
#[cfg(test)]
mod tests;
mod wire;

pub use handle::{
    BlocksReply, MessageToken, NetworkError, NetworkEvent, NetworkHandle, PeerInfo, RequestError, Verdict,
};
pub use libp2p::{Multiaddr, PeerId, identity::Keypair};
pub use message::{BatchProposal, BatchSignature, DataKind, DecidedBlock, Gossip, Topic};
pub use score::{BAN_POINTS, Offence, Scores};
pub use status::{BindingError, BlocksRequest, HeadStatus, PeerBinding, Status};
pub use task::{Network, NetworkConfig, PeerLimits, StartError, keypair};
