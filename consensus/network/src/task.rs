//! The network task: owns the swarm and everything known about peers; one loop, no waiting inside it.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes};
use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    identity::{self, Keypair},
    noise, request_response,
    swarm::{DialError, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use protocol::Domain;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::{
    behaviour::{Behaviour, BehaviourEvent, Topics},
    dial::Bootnodes,
    handle::{Command, MessageToken, NetworkEvent, NetworkHandle, PeerInfo, RequestError, Verdict},
    limits::{
        MAX_COMMAND_BYTES, MAX_COMMANDS, MAX_EVENTS, MAX_UNJUDGED_BYTES, MAX_VERDICTS, RESERVED_EVENTS,
        TRANSACTION_FLUSH_BYTES, TRANSACTION_FLUSH_MS,
    },
    message::{DecidedBlock, Topic},
    peers::Peers,
    score::{Offence, Scores},
    status::{HeadStatus, PeerBinding},
};

/// How many peers, and how patient we are with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLimits {
    /// Peers that dialled us; sequencers of the set find room beyond it.
    pub max_inbound: u32,
    /// Connections that we dialled.
    pub max_outbound: u32,
    /// Milliseconds of a ban.
    pub ban_ms: u64,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self { max_inbound: 64, max_outbound: 64, ban_ms: 10 * 60 * 1_000 }
    }
}

/// What a network is started with.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Where to listen, e.g. `/ip4/127.0.0.1/tcp/0`.
    pub listen: Multiaddr,
    /// Whom to dial, again and again until connected; `/p2p/…` at the end is optional.
    pub bootnodes: Vec<Multiaddr>,
    /// Our identity; see [`keypair`].
    pub keypair: Keypair,
    /// Proof of whose node this is, if it is a sequencer's.
    pub binding: Option<PeerBinding>,
    /// Genesis hash.
    pub chain: B256,
    /// Signing domain of the network.
    pub domain: Domain,
    /// Our heads at the start.
    pub heads: HeadStatus,
    /// Members of the sequencer set at the start.
    pub members: BTreeSet<Address>,
    /// Bounds.
    pub limits: PeerLimits,
}

/// Why the network did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {0}: {1}")]
    Listen(Multiaddr, String),
    /// gossipsub refused its settings.
    #[error("gossip settings: {0}")]
    Gossip(String),
    /// A protocol name is not one.
    #[error("protocol name of {0}")]
    Protocol(&'static str),
    /// TCP, noise or yamux could not be set up.
    #[error("transport: {0}")]
    Transport(String),
    /// The bytes are no secp256k1 secret.
    #[error("the network key is not a valid secp256k1 secret")]
    Key,
}

/// Identity from the 32 secret bytes that the node keeps in a file (secp256k1).
///
/// # Errors
/// [`StartError::Key`].
pub fn keypair(mut secret: [u8; 32]) -> Result<Keypair, StartError> {
    // The library wipes the bytes it was given.
    let secret = identity::secp256k1::SecretKey::try_from_bytes(&mut secret).map_err(|_| StartError::Key)?;
    Ok(identity::secp256k1::Keypair::from(secret).into())
}

/// A running network: how to speak to it, and what it says.
pub type Started = (NetworkHandle, mpsc::Receiver<NetworkEvent>);

/// Entry point.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Listens and starts the task. Must be called within a tokio runtime; returns when the listen address is known. The
    /// event channel closes when the task has ended. Boxed, so that the swarm is compiled in this crate alone
    /// (docs/decisions/0009).
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: NetworkConfig) -> BoxFuture<'static, Result<Started, StartError>> {
        Box::pin(Self::launch(config))
    }

    async fn launch(config: NetworkConfig) -> Result<Started, StartError> {
        let mut swarm = build(&config)?;
        let listen = config.listen.clone();
        swarm.listen_on(listen.clone()).map_err(|error| StartError::Listen(listen.clone(), error.to_string()))?;
        let addresses = match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => vec![address],
            SwarmEvent::ListenerClosed { reason, .. } => return Err(StartError::Listen(listen, format!("{reason:?}"))),
            SwarmEvent::ListenerError { error, .. } => return Err(StartError::Listen(listen, error.to_string())),
            _ => Vec::new(),
        };
        let local = *swarm.local_peer_id();
        tracing::info!(peer = %local, ?addresses, "network listens");
        let (commands, command_inbox) = mpsc::channel(MAX_COMMANDS);
        let (verdicts, verdict_inbox) = mpsc::channel(MAX_VERDICTS);
        let (events, event_inbox) = mpsc::channel(MAX_EVENTS);
        let (heads, heads_view) = watch::channel(config.heads);
        let (members, members_view) = watch::channel(Arc::new(config.members));
        let (binding, binding_view) = watch::channel(config.binding);
        let (peers_view, peers) = watch::channel(Arc::default());
        let (addresses_view, addresses) = watch::channel(Arc::new(addresses));
        let task = Task {
            swarm,
            chain: config.chain,
            topics: Topics::new(config.chain),
            domain: config.domain,
            limits: config.limits,
            started: Instant::now(),
            commands: command_inbox,
            verdicts: verdict_inbox,
            events,
            heads: heads_view,
            members: members_view,
            binding: binding_view,
            peers_view,
            addresses_view,
            peers: Peers::default(),
            scores: Scores::new(config.limits.ban_ms),
            bootnodes: Bootnodes::new(config.bootnodes, local),
            unjudged: Arc::new(Semaphore::new(MAX_UNJUDGED_BYTES)),
            waiting: Vec::new(),
            waiting_bytes: 0,
            unsent: VecDeque::new(),
            requests: HashMap::new(),
            replies: FuturesUnordered::new(),
        };
        tokio::spawn(task.run());
        let budget = Arc::new(Semaphore::new(MAX_COMMAND_BYTES));
        let handle = NetworkHandle { local, commands, verdicts, budget, heads, members, binding, peers, addresses };
        Ok((handle, event_inbox))
    }
}

fn build(config: &NetworkConfig) -> Result<Swarm<Behaviour>, StartError> {
    let transport = |error: &dyn std::fmt::Display| StartError::Transport(error.to_string());
    let behaviour = Behaviour::new(config.chain, &config.keypair, &config.limits)?;
    let swarm = SwarmBuilder::with_existing_identity(config.keypair.clone())
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux::Config::default)
        .map_err(|error| transport(&error))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| transport(&error))?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(Duration::from_secs(3_600)))
        .build();
    Ok(swarm)
}

pub(crate) type ReplyChannel = request_response::ResponseChannel<Vec<DecidedBlock>>;
/// Who asked, where the answer goes, and the answer unless the node refused.
pub(crate) type Reply = (PeerId, ReplyChannel, Option<Vec<DecidedBlock>>);
pub(crate) type Answer = oneshot::Sender<Result<Vec<DecidedBlock>, RequestError>>;

pub(crate) struct Task {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) chain: B256,
    pub(crate) topics: Topics,
    pub(crate) domain: Domain,
    pub(crate) limits: PeerLimits,
    started: Instant,
    commands: mpsc::Receiver<Command>,
    verdicts: mpsc::Receiver<(MessageToken, Verdict)>,
    events: mpsc::Sender<NetworkEvent>,
    pub(crate) heads: watch::Receiver<HeadStatus>,
    pub(crate) members: watch::Receiver<Arc<BTreeSet<Address>>>,
    pub(crate) binding: watch::Receiver<Option<PeerBinding>>,
    peers_view: watch::Sender<Arc<Vec<PeerInfo>>>,
    addresses_view: watch::Sender<Arc<Vec<Multiaddr>>>,
    pub(crate) peers: Peers,
    pub(crate) scores: Scores,
    pub(crate) bootnodes: Bootnodes,
    pub(crate) unjudged: Arc<Semaphore>,
    /// Transactions that wait for company.
    pub(crate) waiting: Vec<Bytes>,
    pub(crate) waiting_bytes: usize,
    /// Messages nobody was there to hear.
    pub(crate) unsent: VecDeque<(Topic, Vec<u8>)>,
    pub(crate) requests: HashMap<request_response::OutboundRequestId, (u64, Answer)>,
    pub(crate) replies: FuturesUnordered<BoxFuture<'static, Reply>>,
}

/// Milliseconds between two looks at everything that depends on time.
const TICK_MS: u64 = 100;

impl Task {
    async fn run(mut self) {
        let mut tick = tokio::time::interval(Duration::from_millis(TICK_MS));
        let mut flush = tokio::time::interval(Duration::from_millis(TRANSACTION_FLUSH_MS));
        for timer in [&mut tick, &mut flush] {
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                command = self.commands.recv() => match command {
                    None => break,
                    Some(command) => self.on_command(command),
                },
                Some((token, verdict)) = self.verdicts.recv() => self.on_verdict(&token, verdict),
                Some(reply) = self.replies.next() => self.on_reply(reply),
                _ = tick.tick() => self.on_tick(),
                _ = flush.tick(), if !self.waiting.is_empty() => self.flush_transactions(),
            }
            if self.events.is_closed() {
                break;
            }
        }
        tracing::info!("network ends");
    }

    /// Milliseconds since the start: monotonic, for scores and deadlines.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Unix seconds, for the expiry of bindings.
    pub(crate) fn unix_s() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Transactions(list, _budget) => {
                self.waiting_bytes = list.iter().fold(self.waiting_bytes, |sum, tx| sum.saturating_add(tx.len()));
                self.waiting.extend(list);
                if self.waiting_bytes >= TRANSACTION_FLUSH_BYTES {
                    self.flush_transactions();
                }
            }
            Command::Publish(topic, bytes, _budget) => self.publish(topic, bytes),
            Command::RequestBlocks { peer, from, count, reply } => self.request_blocks(peer, from, count, reply),
            Command::Dial(address) => {
                if let Err(error) = self.swarm.dial(address.clone()) {
                    tracing::debug!(%address, %error, "cannot dial");
                }
            }
            Command::Disconnect(peer) => self.disconnect(peer),
            Command::Blame(peer) => self.punish(peer, Offence::Rejected),
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Status(event)) => self.on_status_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Blocks(event)) => self.on_blocks_event(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, num_established, .. } => {
                if endpoint.is_dialer() {
                    self.bootnodes.connected(connection_id, peer_id, self.now_ms());
                }
                if num_established.get() == 1 {
                    self.on_connected(peer_id, &endpoint);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                tracing::debug!(peer = %peer_id, ?cause, "peer disconnected");
                self.on_disconnected(peer_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                let own = matches!(error, DialError::LocalPeerId { .. });
                let failed = self.bootnodes.failed(connection_id, own, self.now_ms());
                match failed {
                    Some((address, true)) if !own => tracing::info!(%address, %error, "bootnode cannot be reached yet"),
                    _ => tracing::debug!(%error, "dial failed"),
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => self.addresses_view.send_modify(|all| {
                if !all.contains(&address) {
                    Arc::make_mut(all).push(address);
                }
            }),
            SwarmEvent::ListenerClosed { reason, .. } => tracing::warn!(?reason, "listener closed"),
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "listener failed"),
            _ => {}
        }
    }

    fn on_tick(&mut self) {
        let now = self.now_ms();
        for peer in self.scores.pardon(now) {
            self.swarm.behaviour_mut().banned.unblock_peer(peer);
        }
        for address in self.bootnodes.due(now, |peer| self.swarm.is_connected(peer) || self.scores.is_banned(peer)) {
            let options = DialOpts::unknown_peer_id().address(address.clone()).build();
            let id = options.connection_id();
            self.bootnodes.dialling(&address, id);
            if let Err(error) = self.swarm.dial(options) {
                self.bootnodes.failed(id, matches!(error, DialError::LocalPeerId { .. }), now);
            }
        }
        self.greet_peers(now);
        self.publish_peers(now);
    }

    fn publish_peers(&mut self, now: u64) {
        let members = Arc::clone(&self.members.borrow());
        let peers = self.peers.view(&members, |peer| self.scores.points(peer, now));
        metrics::gauge!("horae_network_peers").set(peers.len() as f64);
        self.peers_view.send_if_modified(|old| {
            let changed = **old != peers;
            if changed {
                *old = Arc::new(peers);
            }
            changed
        });
    }

    /// Hands the node a peer or a request: may use the reserved places.
    pub(crate) fn tell(&self, event: NetworkEvent) {
        if self.events.try_send(event).is_err() {
            metrics::counter!("horae_network_dropped_total", "what" => "event").increment(1);
        }
    }

    /// Hands the node gossip, unless only reserved places are left.
    pub(crate) fn tell_gossip(&self, event: NetworkEvent) -> bool {
        self.events.capacity() > RESERVED_EVENTS && self.events.try_send(event).is_ok()
    }
}
