//! What goes to the engine's actors past the channel interface.

use malachite::EngineHandle;
use malachite::app::engine::consensus::{ConsensusRef, Msg as EngineMsg};
use malachite::app::engine::network::{Msg as NetworkActorMsg, NetworkRef};
use malachite::app::types::core::{Round, SignedMessage, ValueOrigin};
use malachite::app::types::{ProposedValue, SignedConsensusMsg};
use protocol::{CompactSignature, signing};

use super::DriverError;
use crate::context::{Address, BlockId, Height, Horae, Proposal};

/// Sends values straight to the engine's consensus actor: the channel interface can only return a value in the reply to
/// the slice that completed it, which would keep the engine's mailbox shut while the block executes.
pub(crate) struct ConsensusPort {
    consensus: ConsensusRef<Horae>,
    /// For statements that the engine would not make.
    network: Option<NetworkRef<Horae>>,
}

impl ConsensusPort {
    /// Finds the actor among the engine's children.
    pub(crate) fn of(engine: &EngineHandle) -> Option<Self> {
        let children = engine.actor.get_cell().get_children();
        let consensus = children.iter().find(|cell| cell.is_message_type_of::<EngineMsg<Horae>>() == Some(true))?;
        let network = children.iter().find(|cell| cell.is_message_type_of::<NetworkActorMsg<Horae>>() == Some(true));
        Some(Self { consensus: consensus.clone().into(), network: network.cloned().map(Into::into) })
    }

    pub(super) fn received(&self, value: ProposedValue<Horae>) -> Result<(), DriverError> {
        self.consensus
            .cast(EngineMsg::ReceivedProposedValue(value, ValueOrigin::Consensus))
            .map_err(|_| DriverError::EngineGone)
    }

    /// The faulty leader's second proposal for a place, to all.
    pub(super) fn contradict(&self, (proposal, signature): (signing::Proposal, CompactSignature), signer: Address) {
        let proposal = Proposal {
            height: Height(proposal.height),
            round: Round::new(proposal.round),
            value: BlockId(proposal.blockHash),
            pol_round: u32::try_from(proposal.polRound).map_or(Round::Nil, Round::new),
            signer,
        };
        let message = SignedConsensusMsg::Proposal(SignedMessage::new(proposal, signature.into()));
        if let Some(network) = &self.network {
            // An engine that is gone tells nobody.
            let _ = network.cast(NetworkActorMsg::PublishConsensusMsg(message));
        }
    }
}
