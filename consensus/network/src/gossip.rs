//! Gossip in and out.

use std::{collections::VecDeque, sync::Arc};

use libp2p::{
    PeerId,
    gossipsub::{self, MessageAcceptance, MessageId, PublishError},
};

use crate::{
    behaviour::ident,
    handle::{MessageToken, NetworkEvent, Verdict},
    limits::{MAX_UNSENT, MAX_UNSENT_BYTES},
    message::{Gossip, Topic, pack_transactions},
    score::Offence,
    task::Task,
};

/// Why a message does not reach the node.
enum Refusal {
    /// Worthless: not forwarded, its sender scored down.
    Reject(Offence),
    /// Not forwarded; a small offence at most.
    Ignore(Option<Offence>),
}

impl Task {
    pub(crate) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let Some(topic) = self.topics.topic(&message.topic) else { return };
                metrics::counter!("horae_network_messages_total", "direction" => "in", "topic" => topic.name())
                    .increment(1);
                metrics::counter!("horae_network_bytes_total", "direction" => "in", "topic" => topic.name())
                    .increment(message.data.len() as u64);
                if let Err(refusal) = self.receive(topic, propagation_source, &message_id, &message.data) {
                    self.refuse(&message_id, propagation_source, refusal);
                }
            }
            gossipsub::Event::Subscribed { topic, .. } => {
                if let Some(topic) = self.topics.topic(&topic) {
                    self.send_unsent(topic);
                }
            }
            gossipsub::Event::SlowPeer { peer_id, failed_messages } => {
                tracing::debug!(peer = %peer_id, ?failed_messages, "peer is slow");
            }
            gossipsub::Event::GossipsubNotSupported { peer_id } => {
                tracing::debug!(peer = %peer_id, "peer has no gossipsub");
            }
            gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    fn receive(&mut self, topic: Topic, peer: PeerId, id: &MessageId, data: &[u8]) -> Result<(), Refusal> {
        let now = self.now_ms();
        // A peer that is already gone is not ours to judge any more.
        let known = self.peers.all.get_mut(&peer).ok_or(Refusal::Ignore(None))?;
        if !known.messages.take(1, now) || !known.bytes.take(data.len() as u64, now) {
            return Err(Refusal::Ignore(Some(Offence::Flood)));
        }
        let message = Gossip::decode(topic, data).ok_or(Refusal::Reject(Offence::Malformed))?;
        let signer = match &message {
            Gossip::Proposal(proposal) => Some(proposal.signer(&self.domain)),
            Gossip::Signature(signature) => Some(signature.signer(&self.domain)),
            Gossip::Slice(slice) => Some(slice.signer(&self.domain)),
            Gossip::Transactions(_) | Gossip::Block(_) => None,
        };
        let signer = match signer {
            // A signature of nobody cannot be an honest mistake.
            Some(None) => return Err(Refusal::Reject(Offence::Malformed)),
            Some(Some(signer)) if !self.members.borrow().contains(&signer) => {
                return Err(Refusal::Ignore(Some(Offence::Outsider)));
            }
            Some(Some(signer)) => signer,
            None => alloy_primitives::Address::ZERO,
        };
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let overloaded = Refusal::Ignore(None);
        let Ok(budget) = Arc::clone(&self.unjudged).try_acquire_many_owned(size) else {
            metrics::counter!("horae_network_dropped_total", "what" => "gossip").increment(1);
            return Err(overloaded);
        };
        let token = MessageToken { id: id.clone(), peer, topic, _budget: budget };
        let event = match message {
            Gossip::Transactions(transactions) => NetworkEvent::Transactions { token, transactions },
            Gossip::Proposal(proposal) => NetworkEvent::BatchProposal { token, proposal, signer },
            Gossip::Signature(signature) => NetworkEvent::BatchSignature { token, signature, signer },
            Gossip::Block(block) => NetworkEvent::Block { token, block },
            Gossip::Slice(slice) => NetworkEvent::Slice { token, slice, signer },
        };
        if self.tell_gossip(event) {
            return Ok(());
        }
        metrics::counter!("horae_network_dropped_total", "what" => "gossip").increment(1);
        Err(overloaded)
    }

    fn refuse(&mut self, id: &MessageId, peer: PeerId, refusal: Refusal) {
        let (acceptance, offence) = match refusal {
            Refusal::Reject(offence) => (MessageAcceptance::Reject, Some(offence)),
            Refusal::Ignore(offence) => (MessageAcceptance::Ignore, offence),
        };
        self.swarm.behaviour_mut().gossip.report_message_validation_result(id, &peer, acceptance);
        if let Some(offence) = offence {
            self.punish(peer, offence);
        }
    }

    pub(crate) fn on_verdict(&mut self, token: &MessageToken, verdict: Verdict) {
        let acceptance = match verdict {
            Verdict::Accept => MessageAcceptance::Accept,
            Verdict::Ignore => MessageAcceptance::Ignore,
            Verdict::Reject => MessageAcceptance::Reject,
        };
        self.swarm.behaviour_mut().gossip.report_message_validation_result(&token.id, &token.peer, acceptance);
        if verdict == Verdict::Reject {
            tracing::debug!(peer = %token.peer, topic = token.topic.name(), "message rejected by the node");
            self.punish(token.peer, Offence::Rejected);
        }
    }

    pub(crate) fn flush_transactions(&mut self) {
        self.waiting_bytes = 0;
        for list in pack_transactions(std::mem::take(&mut self.waiting)) {
            match Gossip::Transactions(list).encode() {
                Some(bytes) => self.publish(Topic::Transactions, bytes),
                None => tracing::warn!("packed transactions exceed a message"),
            }
        }
    }

    pub(crate) fn publish(&mut self, topic: Topic, bytes: Vec<u8>) {
        let size = bytes.len() as u64;
        match self.swarm.behaviour_mut().gossip.publish(ident(self.chain, topic), bytes.clone()) {
            Ok(_) => {
                metrics::counter!("horae_network_messages_total", "direction" => "out", "topic" => topic.name())
                    .increment(1);
                metrics::counter!("horae_network_bytes_total", "direction" => "out", "topic" => topic.name())
                    .increment(size);
            }
            // A slice is of use now or never.
            Err(PublishError::NoPeersSubscribedToTopic) if topic == Topic::Slices => {}
            Err(PublishError::NoPeersSubscribedToTopic) => self.keep_unsent(topic, bytes),
            // The network has it already: as good as sent.
            Err(PublishError::Duplicate) => {}
            Err(error) => {
                metrics::counter!("horae_network_dropped_total", "what" => "publish").increment(1);
                tracing::debug!(topic = topic.name(), %error, "message not published");
            }
        }
    }

    /// Keeps the newest messages for the first peer that wants them.
    fn keep_unsent(&mut self, topic: Topic, bytes: Vec<u8>) {
        self.unsent.push_back((topic, bytes));
        let mut total: usize = self.unsent.iter().map(|(_, bytes)| bytes.len()).sum();
        while self.unsent.len() > MAX_UNSENT || total > MAX_UNSENT_BYTES {
            let Some((_, dropped)) = self.unsent.pop_front() else { break };
            total = total.saturating_sub(dropped.len());
        }
    }

    fn send_unsent(&mut self, topic: Topic) {
        let (now, later): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.unsent).into_iter().partition(|(of, _)| *of == topic);
        self.unsent = later;
        for (topic, bytes) in now {
            self.publish(topic, bytes);
        }
    }
}
