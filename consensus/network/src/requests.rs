//! Requests and answers of both protocols.

use std::io;

use libp2p::{
    PeerId,
    request_response::{self, InboundFailure, Message, OutboundFailure},
};
use protocol::Height;
use tokio::sync::oneshot;

use crate::{
    handle::{BlocksReply, NetworkError, NetworkEvent, RequestError},
    limits::{MAX_OPEN_REPLIES, MAX_OPEN_REPLIES_PER_PEER, MAX_OPEN_REQUESTS},
    message::DecidedBlock,
    score::Offence,
    status::{BlocksRequest, Status},
    task::{Answer, Reply, ReplyChannel, Task},
};

impl Task {
    pub(crate) fn on_status_event(&mut self, event: request_response::Event<Option<Status>, Status>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request: None, .. } => self.punish(peer, Offence::Malformed),
                Message::Request { request: Some(request), channel, .. } => {
                    // Fails only when the asker is gone. A peer of another network gets the answer, too, so that its
                    // log says why we part.
                    let own = self.own_status();
                    let _gone = self.swarm.behaviour_mut().status.send_response(channel, own);
                    self.on_status(peer, &request);
                }
                Message::Response { response, .. } => self.on_status(peer, &response),
            },
            request_response::Event::OutboundFailure { peer, error, .. } => {
                if matches!(error, OutboundFailure::UnsupportedProtocols) {
                    tracing::info!(%peer, "peer does not speak our protocol: disconnected");
                    self.disconnect(peer);
                }
                self.on_outbound_failure(peer, &error);
            }
            request_response::Event::InboundFailure { peer, error, .. } => self.on_inbound_failure(peer, &error),
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    pub(crate) fn on_blocks_event(&mut self, event: request_response::Event<Option<BlocksRequest>, Vec<DecidedBlock>>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request: None, .. } => self.punish(peer, Offence::Malformed),
                Message::Request { request: Some(request), channel, .. } => {
                    self.on_blocks_request(peer, request, channel);
                }
                Message::Response { request_id, response } => {
                    let Some((count, answer)) = self.requests.remove(&request_id) else { return };
                    let result = if response.len() as u64 > count {
                        self.punish(peer, Offence::Malformed);
                        Err(RequestError::Failed("more blocks than asked for".to_owned()))
                    } else {
                        Ok(response)
                    };
                    // The caller may have stopped waiting.
                    let _gone = answer.send(result);
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                self.on_outbound_failure(peer, &error);
                if let Some((_, answer)) = self.requests.remove(&request_id) {
                    let error = match error {
                        OutboundFailure::Timeout => RequestError::Timeout,
                        OutboundFailure::DialFailure => RequestError::NotConnected,
                        other => RequestError::Failed(other.to_string()),
                    };
                    let _gone = answer.send(Err(error));
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => self.on_inbound_failure(peer, &error),
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    pub(crate) fn request_blocks(&mut self, peer: PeerId, from: Height, count: u64, answer: Answer) {
        let refusal = if !self.swarm.is_connected(&peer) {
            RequestError::NotConnected
        } else if self.requests.len() >= MAX_OPEN_REQUESTS {
            RequestError::Network(NetworkError::Overloaded)
        } else {
            let request = Some(BlocksRequest { from, count });
            let id = self.swarm.behaviour_mut().blocks.send_request(&peer, request);
            self.requests.insert(id, (count, answer));
            return;
        };
        let _gone = answer.send(Err(refusal));
    }

    fn on_blocks_request(&mut self, id: PeerId, request: BlocksRequest, channel: ReplyChannel) {
        let Some(peer) = self.peers.all.get_mut(&id) else { return };
        if peer.open_replies >= MAX_OPEN_REPLIES_PER_PEER || self.replies.len() >= MAX_OPEN_REPLIES {
            // Dropping the channel tells the asker that it failed.
            drop(channel);
            self.punish(id, Offence::Flood);
            return;
        }
        peer.open_replies = peer.open_replies.saturating_add(1);
        let (reply, answer) = oneshot::channel();
        self.replies.push(Box::pin(async move { (id, channel, answer.await.ok()) }));
        let BlocksRequest { from, count } = request;
        self.tell(NetworkEvent::BlocksRequested { peer: id, from, count, reply: BlocksReply(reply) });
    }

    pub(crate) fn on_reply(&mut self, (id, channel, blocks): Reply) {
        if let Some(peer) = self.peers.all.get_mut(&id) {
            peer.open_replies = peer.open_replies.saturating_sub(1);
        }
        if let Some(blocks) = blocks {
            // Fails only when the asker is gone.
            let _gone = self.swarm.behaviour_mut().blocks.send_response(channel, blocks);
        }
    }

    fn on_outbound_failure(&mut self, peer: PeerId, error: &OutboundFailure) {
        if let OutboundFailure::Io(error) = error {
            self.on_io(peer, error);
        }
    }

    fn on_inbound_failure(&mut self, peer: PeerId, error: &InboundFailure) {
        if let InboundFailure::Io(error) = error {
            self.on_io(peer, error);
        }
    }

    /// Bytes that are no message are the peer's fault, a broken connection is nobody's.
    fn on_io(&mut self, peer: PeerId, error: &io::Error) {
        if error.kind() == io::ErrorKind::InvalidData {
            tracing::debug!(%peer, %error, "malformed request or answer");
            self.punish(peer, Offence::Malformed);
        }
    }
}
