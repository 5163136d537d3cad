//! The libp2p protocols of the swarm and their settings.

use std::{collections::HashMap, collections::HashSet, time::Duration};

use alloy_primitives::{B256, hex, keccak256};
use libp2p::{
    StreamProtocol, allow_block_list,
    connection_limits::{self, ConnectionLimits},
    gossipsub, identify,
    identity::Keypair,
    ping,
    request_response::{self, ProtocolSupport},
    swarm::NetworkBehaviour,
};

use crate::{
    limits::{
        GOSSIP_OVERHEAD, MAX_BLOCK_MESSAGE, MAX_CONNECTION_QUEUE, MAX_CONNECTIONS_PER_PEER, MAX_OPEN_REPLIES_PER_PEER,
        MAX_PENDING_CONNECTIONS, REQUEST_TIMEOUT_S, RESERVED_CONNECTIONS,
    },
    message::Topic,
    score::BAN_POINTS,
    task::{PeerLimits, StartError},
    wire::{BlocksCodec, StatusCodec},
};

type Gossipsub = gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::WhitelistSubscriptionFilter>;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(crate) gossip: Gossipsub,
    pub(crate) status: request_response::Behaviour<StatusCodec>,
    pub(crate) blocks: request_response::Behaviour<BlocksCodec>,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
}

/// Topic names and hashes of one network: they contain the start of the genesis hash.
#[derive(Clone, Debug)]
pub(crate) struct Topics(HashMap<gossipsub::TopicHash, Topic>);

impl Topics {
    pub(crate) fn new(chain: B256) -> Self {
        Self(Topic::ALL.iter().map(|topic| (ident(chain, *topic).hash(), *topic)).collect())
    }

    pub(crate) fn topic(&self, hash: &gossipsub::TopicHash) -> Option<Topic> {
        self.0.get(hash).copied()
    }

    fn hashes(&self) -> HashSet<gossipsub::TopicHash> {
        self.0.keys().cloned().collect()
    }
}

pub(crate) fn ident(chain: B256, topic: Topic) -> gossipsub::IdentTopic {
    gossipsub::IdentTopic::new(format!("/horae/{}/{}/1", tag(chain), topic.name()))
}

fn tag(chain: B256) -> String {
    hex::encode(chain.0.first_chunk::<8>().unwrap_or(&[0; 8]))
}

impl Behaviour {
    pub(crate) fn new(chain: B256, keypair: &Keypair, limits: &PeerLimits) -> Result<Self, StartError> {
        let timeout = Duration::from_secs(REQUEST_TIMEOUT_S);
        let requests = request_response::Config::default()
            .with_request_timeout(timeout)
            .with_max_concurrent_streams(4 * MAX_OPEN_REPLIES_PER_PEER);
        let blocks = StreamProtocol::try_from_owned(format!("/horae/{}/blocks/1", tag(chain)))
            .map_err(|_| StartError::Protocol("blocks"))?;
        let identify = identify::Config::new("/horae/1".to_owned(), keypair.public())
            .with_agent_version(concat!("horae/", env!("CARGO_PKG_VERSION")).to_owned());
        Ok(Self {
            limits: connection_limits::Behaviour::new(
                ConnectionLimits::default()
                    .with_max_pending_incoming(Some(MAX_PENDING_CONNECTIONS))
                    .with_max_pending_outgoing(Some(MAX_PENDING_CONNECTIONS))
                    .with_max_established_incoming(Some(limits.max_inbound.saturating_add(RESERVED_CONNECTIONS)))
                    .with_max_established_outgoing(Some(limits.max_outbound))
                    .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER)),
            ),
            banned: allow_block_list::Behaviour::default(),
            gossip: gossip(chain)?,
            // The status protocol is not tagged with the chain: it is how a peer of another network is recognised.
            status: request_response::Behaviour::with_codec(
                StatusCodec,
                [(StreamProtocol::new("/horae/status/1"), ProtocolSupport::Full)],
                requests.clone(),
            ),
            blocks: request_response::Behaviour::with_codec(BlocksCodec, [(blocks, ProtocolSupport::Full)], requests),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new()),
        })
    }
}

fn gossip(chain: B256) -> Result<Gossipsub, StartError> {
    let topics = Topics::new(chain);
    let mut builder = gossipsub::ConfigBuilder::default();
    builder
        .heartbeat_interval(Duration::from_millis(500))
        // Small networks: whoever publishes sends to everybody that listens, the mesh relays.
        .flood_publish(true)
        // Nothing is forwarded before the node has judged it.
        .validate_messages()
        // Messages carry no author: transactions, batches and blocks are authentic by the signatures inside them, which
        // saves a signature and its check per message.
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        // By content, so that a copy of a message is recognised whoever made it.
        .message_id_fn(|message| gossipsub::MessageId::new(keccak256(&message.data).as_slice()))
        .duplicate_cache_time(Duration::from_secs(30))
        .connection_handler_queue_len(MAX_CONNECTION_QUEUE)
        .max_transmit_size(MAX_BLOCK_MESSAGE + GOSSIP_OVERHEAD);
    for topic in Topic::ALL {
        builder.set_topic_max_transmit_size(ident(chain, topic).hash(), topic.max_bytes() + GOSSIP_OVERHEAD);
    }
    let config = builder.build().map_err(|error| StartError::Gossip(error.to_string()))?;
    let mut gossip = Gossipsub::new_with_subscription_filter(
        gossipsub::MessageAuthenticity::Anonymous,
        config,
        gossipsub::WhitelistSubscriptionFilter(topics.hashes()),
    )
    .map_err(|error| StartError::Gossip(error.to_owned()))?;
    gossip.with_peer_score(score_params(chain), thresholds()).map_err(StartError::Gossip)?;
    for topic in Topic::ALL {
        gossip.subscribe(&ident(chain, topic)).map_err(|error| StartError::Gossip(error.to_string()))?;
    }
    Ok(gossip)
}

/// gossipsub's own score decides about the mesh; our points enter it one to one.
fn score_params(chain: B256) -> gossipsub::PeerScoreParams {
    let topic = gossipsub::TopicScoreParams {
        // Topics may be silent for long: nobody is blamed for delivering nothing.
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // Counts squared: 1 invalid message costs 5, 4 cost 80.
        invalid_message_deliveries_weight: -5.0,
        invalid_message_deliveries_decay: 0.9,
        ..gossipsub::TopicScoreParams::default()
    };
    gossipsub::PeerScoreParams {
        topics: Topic::ALL.iter().map(|name| (ident(chain, *name).hash(), topic.clone())).collect(),
        app_specific_weight: 1.0,
        // Many sequencers may run behind one address; the number of connections is bounded elsewhere.
        ip_colocation_factor_weight: 0.0,
        ..gossipsub::PeerScoreParams::default()
    }
}

fn thresholds() -> gossipsub::PeerScoreThresholds {
    let ban = BAN_POINTS as f64;
    gossipsub::PeerScoreThresholds {
        gossip_threshold: ban * 0.4,
        publish_threshold: ban * 0.6,
        graylist_threshold: ban * 1.5,
        ..gossipsub::PeerScoreThresholds::default()
    }
}
