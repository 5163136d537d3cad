//! Composition: opens the parts, joins them with channels, and ends when any of them ends.

use std::{fs, sync::Arc, time::Duration};

use alloy::signers::local::PrivateKeySigner;
use alloy_primitives::{Address, B256, Bytes};
use batcher::{
    AlterProposal, BatchPipeline, Batcher, BatcherError, BatcherPorts, BatcherStatus, L1Follower, RegistryPoster,
    ports::{BatchL1, Incoming, L1BatchEvent},
};
use eyre::WrapErr;
use futures::future::BoxFuture;
use k256::ecdsa::SigningKey;
use l1::{
    BeaconBlobs, ClientConfig, FinalBlocks, L1Client, L1Event, L1Reader, L1View, L1Watcher, SlotClock,
    TransactionSender, WatchConfig,
};
use network::{HeadStatus, Network, NetworkHandle};
use protocol::{Genesis, Height, signing::address_of};
use rpc::{NodeIdentity, RpcServer};
use store::Store;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{broadcast, mpsc, watch},
    task::JoinSet,
};

use crate::{
    backend::{BlockCache, NodeBackend},
    batches::{BatchGossip, ChainView, HeadsKeeper},
    chain::{Chain, ChainError, Head},
    committer::{Announcement, Committer},
    config::{Config, Da, Role},
    database,
    deadline::Watchdog,
    epochs::Epochs,
    evidence::Evidence,
    follower::{Sync, apply_derived},
    keeper::Keeper,
    keys,
    open::OpenBlocks,
    operator::NodeOperator,
    peers::Peers,
    transactions::{MIN_TIP, Transactions},
    vitals::Vitals,
    voting::Voting,
};

mod ending;
mod force;
mod watching;

use ending::PartEnded;
pub use force::{Forced, force_batch};
pub(crate) use watching::watch_l1;

/// Heads and transactions a slow subscriber may lag behind.
const EVENT_BUFFER: usize = 1_024;
/// Messages between tasks.
const QUEUE: usize = 256;
/// Time between looks at what may be pruned.
const PRUNE_INTERVAL: Duration = Duration::from_secs(1);
/// Steps of one look.
const PRUNE_STEPS: usize = 4;

/// Deviations that only the devnet's faulty node has: not reachable by configuration.
#[derive(Clone, Default)]
pub struct Faults {
    /// Changes the blocks of a batch before its data is committed to.
    pub alter_proposal: Option<AlterProposal>,
    /// Signs a second proposal beside an own one.
    pub equivocate: Option<consensus::Equivocate>,
    /// Keeps transactions of this sender out of pool and blocks.
    pub censor: Option<Address>,
    /// Takes no L1 block with queue items for an origin: L2 would have to execute them.
    pub withhold_deposits: bool,
}

/// The parts every role has.
struct Parts {
    config: Config,
    genesis: Arc<Genesis>,
    genesis_hash: B256,
    chain: Arc<Chain>,
    transactions: Arc<Transactions>,
    open: Arc<OpenBlocks>,
    committer: Arc<Committer>,
    vitals: Arc<Vitals>,
    operator: Arc<NodeOperator>,
    reader: L1Reader,
    finals: FinalBlocks,
    l1_view: watch::Receiver<Option<L1View>>,
    /// Pays for what this node does on L1; none on a node that only reads there.
    sender: Option<TransactionSender>,
    tasks: JoinSet<eyre::Result<()>>,
}

/// What flows out of the parts.
struct Flows {
    outgoing: mpsc::Receiver<Bytes>,
    announcements: mpsc::Receiver<Announcement>,
    batch_events: mpsc::Receiver<L1BatchEvent>,
    derived_events: mpsc::Receiver<L1Event>,
}

/// Runs a node until it is told to stop (`Ok`) or a part fails (`Err` with the reason). Boxed, so that the node is compiled in this
/// crate alone, and not again in every binary (docs/decisions/0009).
///
/// # Errors
/// Any part that cannot start or ends by itself.
pub fn run(config: Config, faults: Faults) -> BoxFuture<'static, eyre::Result<()>> {
    Box::pin(run_until_told(config, faults))
}

async fn run_until_told(config: Config, faults: Faults) -> eyre::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let node = async {
        let (mut parts, flows, server) = start(config, &faults).await?;
        tracing::info!(rpc = %server.address(), role = ?parts.config.role, "node started");
        start_keeper(&mut parts)?;
        match parts.config.role {
            Role::Sequencer => sequence(&mut parts, flows, faults).await?,
            Role::Follower => follow(&mut parts, flows).await?,
            Role::L1Follower => follow_l1(&mut parts, flows)?,
        }
        Err(ending::reason(&mut parts.tasks).await)
    };
    tokio::select! {
        ended = node => ended,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn start(config: Config, faults: &Faults) -> eyre::Result<(Parts, Flows, RpcServer)> {
    let genesis = Arc::new(database::genesis(&config)?);
    let signer = match config.role {
        Role::Sequencer => keys::load_signers(&config)?.first().map(address_of),
        Role::Follower | Role::L1Follower => None,
    };
    fs::create_dir_all(&config.data_dir).wrap_err_with(|| format!("data folder {}", config.data_dir.display()))?;
    let (store, genesis_hash) = database::open(&config, &genesis, false)?;
    let client = L1Client::new(&ClientConfig::new(config.l1.url.clone()))?;
    watching::reach_l1(&client, &config.l1.url, genesis.l1.chain_id).await?;
    let sender = sender(&config, &client)?;
    let reader = L1Reader::new(client, genesis.l1.clone());
    let finals = match config.role {
        _ if faults.withhold_deposits => FinalBlocks::blind_to_deposits(),
        Role::L1Follower => FinalBlocks::for_derivation(),
        Role::Sequencer | Role::Follower => FinalBlocks::default(),
    };
    let epochs = Arc::new(Epochs::new(genesis.clone(), store.clone()));
    let chain = Arc::new(Chain::open(genesis.clone(), store.clone(), finals.clone(), epochs.clone())?);
    let (events, _) = broadcast::channel(EVENT_BUFFER);
    let (transactions, outgoing) =
        Transactions::new(chain.clone(), config.pool.limits(), events.clone(), faults.censor);
    if config.pool.journal && config.role != Role::L1Follower {
        let (pool, path) = (transactions.clone(), config.data_dir.join("transactions.journal"));
        let restored = tokio::task::spawn_blocking(move || pool.restore(&path)).await?;
        restored.wrap_err("transaction journal")?;
    }
    let (committer, announcements) = Committer::new(chain.clone(), transactions.clone(), events.clone());
    let keeper = HeadsKeeper::new(store.clone());
    watching::take_up(&chain, &keeper, &reader).await?;

    let mut tasks = JoinSet::new();
    let start = watching::first_l1_block(&chain, &keeper)?;
    let known = chain.head().origin.number;
    let poll_interval = Duration::from_millis(config.l1.poll_interval_ms);
    // Where reading goes on right after the head's origin, L1 must still have that origin.
    let parent = (start == known.saturating_add(1)).then(|| chain.head().origin.hash);
    // From L1 alone, the head moves only after later L1 blocks were read: nothing may wait for it.
    let needed = (config.role != Role::L1Follower).then(|| watch_of(&chain, &mut tasks, |head| head.origin.number));
    let what = WatchConfig { start, parent, poll_interval, needed };
    let (watcher, l1_view, l1_events) = L1Watcher::new(reader.clone(), what, finals.clone());
    tasks.spawn(async move { watcher.run().await.map_err(Into::into) });
    tasks.spawn(prune(store.clone()));
    let tended = transactions.clone();
    tasks.spawn(async move {
        tended.tend().await;
        Ok(())
    });
    let (batch_sender, batch_events) = mpsc::channel(QUEUE);
    let (derived_sender, derived_events) = mpsc::channel(QUEUE);
    let to_batcher = (config.role == Role::Sequencer).then_some(batch_sender);
    let to_derivation = (config.role == Role::L1Follower).then_some(derived_sender);
    let vitals = Arc::new(Vitals::new(events.clone()));
    tasks.spawn(watch_l1(chain.clone(), keeper, vitals.clone(), l1_events, l1_view.clone(), to_batcher, to_derivation));

    let open = OpenBlocks::start(chain.clone(), transactions.clone(), events.clone())?;
    tasks.spawn(open.clone().follow(l1_view.clone()));
    let identity = identity(signer);
    let name = identity.client_version.clone();
    let operator = Arc::new(NodeOperator::new(chain.clone(), config.role, signer, name, genesis_hash));
    let backend = NodeBackend {
        chain: chain.clone(),
        transactions: transactions.clone(),
        open: open.clone(),
        events,
        l1: l1_view.clone(),
        identity,
        vitals: vitals.clone(),
        watchdog: Watchdog::start()?,
        operator: operator.clone(),
        forwards: config.role != Role::L1Follower,
        blocks: BlockCache::default(),
    };
    let server = RpcServer::start(&rpc_config(&config)?, Arc::new(backend)).await?;
    let parts = Parts {
        config,
        genesis,
        genesis_hash,
        chain,
        transactions,
        open,
        committer,
        vitals,
        operator,
        reader,
        finals,
        l1_view,
        sender,
        tasks,
    };
    Ok((parts, Flows { outgoing, announcements, batch_events, derived_events }, server))
}

fn identity(signer: Option<Address>) -> NodeIdentity {
    let client_version =
        format!("horae/v{}/{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    NodeIdentity { client_version, min_priority_fee: MIN_TIP, signer }
}

fn rpc_config(config: &Config) -> eyre::Result<rpc::RpcConfig> {
    let crate::config::RpcConfig {
        listen,
        cors_origins,
        allowed_hosts,
        namespaces,
        ipc,
        max_connections,
        request_timeout_ms,
        max_response_bytes,
        max_log_blocks,
        max_logs,
        max_heavy,
        max_traces,
        clients,
        admin,
    } = config.rpc.clone();
    let admin = match admin.listen {
        Some(listen) => {
            let named = if admin.token_file.as_os_str().is_empty() { "admin.token".into() } else { admin.token_file };
            let token = keys::secret_file(&config.data_dir.join(named)).wrap_err("rpc.admin.token_file")?;
            Some(rpc::AdminConfig { listen, token: rpc::AdminToken(token) })
        }
        None => None,
    };
    Ok(rpc::RpcConfig {
        listen,
        cors_origins,
        allowed_hosts,
        namespaces,
        max_connections,
        request_timeout: Duration::from_millis(request_timeout_ms),
        idle_timeout: rpc::config::IDLE_TIMEOUT,
        max_response_bytes,
        max_log_blocks,
        max_logs,
        max_heavy,
        max_traces,
        client_limits: rpc::ClientLimits {
            connections: clients.connections,
            credits_per_second: clients.credits_per_second,
            method_calls_per_second: clients.method_calls_per_second,
            unlimited: clients.unlimited,
        },
        // An absolute path replaces the folder.
        ipc: (!ipc.as_os_str().is_empty()).then(|| config.data_dir.join(ipc)),
        admin,
    })
}

/// The account that pays on L1, if this node has one.
fn sender(config: &Config, client: &L1Client) -> eyre::Result<Option<TransactionSender>> {
    let payer = match (keys::load_optional(&config.payer)?, config.role) {
        (Some(key), _) => Some(key),
        (None, Role::Sequencer) => Some(keys::load(&config.signer)?),
        (None, Role::Follower | Role::L1Follower) => None,
    };
    let how = config.batcher.sender();
    let spawn = |key| TransactionSender::spawn(client.clone(), PrivateKeySigner::from_signing_key(key), how);
    Ok(payer.map(spawn))
}

/// What `of` says of the newest block, for parts that do not know blocks.
fn watch_of<T: Send + std::marker::Sync + 'static>(
    chain: &Chain,
    tasks: &mut JoinSet<eyre::Result<()>>,
    of: impl Fn(&Head) -> T + Send + 'static,
) -> watch::Receiver<T> {
    let mut head = chain.watch_head();
    let (sender, receiver) = watch::channel(of(&head.borrow_and_update()));
    tasks.spawn(async move {
        loop {
            head.changed().await?;
            sender.send_replace(of(&head.borrow_and_update()));
        }
    });
    receiver
}

/// Drops the past that is not to be kept, a little at a time. Does not end unless the database fails.
async fn prune(store: Store) -> eyre::Result<()> {
    loop {
        tokio::time::sleep(PRUNE_INTERVAL).await;
        let store = store.clone();
        // Some steps a second keep up with any block rate, and catch up when the configuration was changed.
        let work = move || (0..PRUNE_STEPS).try_for_each(|_| store.prune().map(drop));
        tokio::task::spawn_blocking(work).await?.wrap_err("pruning")?;
    }
}

/// Starts our swarm. A sequencer says there who it is once it votes.
async fn start_network(parts: &Parts) -> eyre::Result<(NetworkHandle, mpsc::Receiver<network::NetworkEvent>)> {
    let secret = keys::secret_file(&parts.config.data_dir.join("network.key"))?;
    let keypair = network::keypair(secret)?;
    let domain = parts.genesis.domain();
    let heads = parts.chain.store().heads();
    let listen = parts.config.network.listen.parse().wrap_err("network.listen")?;
    let bootnodes = parts
        .config
        .network
        .peers
        .iter()
        .map(|peer| peer.parse())
        .collect::<Result<_, _>>()
        .wrap_err("network.peers")?;
    let config = network::NetworkConfig {
        listen,
        bootnodes,
        keypair,
        binding: None,
        chain: parts.genesis_hash,
        domain,
        heads: HeadStatus {
            height: Height(heads.latest.height),
            hash: heads.latest.hash,
            safe: Height(heads.safe.height),
        },
        members: parts.genesis.set.members().iter().map(|member| member.signer).collect(),
        limits: network::PeerLimits::default(),
    };
    let (network, events) = Network::start(config).await?;
    parts.operator.attach(network.clone());
    Ok((network, events))
}

fn start_keeper(parts: &mut Parts) -> eyre::Result<()> {
    let Some(sender) = parts.sender.clone() else { return Ok(()) };
    let keys = match parts.config.role {
        Role::Sequencer => keys::load_signers(&parts.config)?,
        Role::Follower | Role::L1Follower => Vec::new(),
    };
    let (l1, view) = (parts.reader.client().clone(), parts.l1_view.clone());
    let keeper = Keeper::new(parts.config.keeper, parts.chain.clone(), l1, sender, &keys, view);
    parts.tasks.spawn(keeper.run());
    Ok(())
}

async fn sequence(parts: &mut Parts, flows: Flows, faults: Faults) -> eyre::Result<()> {
    let keys = keys::load_signers(&parts.config)?;
    let (network, events) = start_network(parts).await?;
    let (batch_messages, incoming) = mpsc::channel(QUEUE);
    let gossip = Arc::new(BatchGossip::new(network.clone()));
    let peers = Peers {
        network: network.clone(),
        chain: parts.chain.clone(),
        transactions: parts.transactions.clone(),
        open: parts.open.clone(),
        vitals: parts.vitals.clone(),
        batches: Some(batch_messages),
        sync: None,
    };
    parts.tasks.spawn(peers.run(events, flows.outgoing, flows.announcements));
    let voting = Voting {
        keys: keys.clone(),
        chain: parts.chain.clone(),
        transactions: parts.transactions.clone(),
        committer: parts.committer.clone(),
        open_blocks: parts.open.clone(),
        l1: parts.l1_view.clone(),
        network,
        data_folder: parts.config.consensus_dir(),
        listen: parts.config.consensus.listen.clone(),
        peers: parts.config.consensus.peers.clone(),
        equivocate: faults.equivocate.clone(),
    };
    start_batcher(parts, keys, gossip, incoming, flows.batch_events, faults)?;
    parts.tasks.spawn(voting.run());
    Ok(())
}

fn start_batcher(
    parts: &mut Parts,
    keys: Vec<SigningKey>,
    gossip: Arc<BatchGossip>,
    incoming: mpsc::Receiver<Incoming>,
    l1_events: mpsc::Receiver<L1BatchEvent>,
    faults: Faults,
) -> eyre::Result<()> {
    let params = parts.genesis.params.clone();
    let config = batcher::BatcherConfig {
        domain: parts.genesis.domain(),
        da: match parts.config.batcher.da {
            Da::Blobs => batcher::DataAvailability::Blobs,
            Da::Calldata => batcher::DataAvailability::Calldata,
        },
        post_timeout_ms: params.batch_interval_ms.saturating_mul(2),
        folder: parts.config.data_dir.join("batches"),
        parent: HeadsKeeper::new(parts.chain.store().clone()).final_batch()?,
        alter_proposal: faults.alter_proposal,
        params,
    };
    let head = watch_of(&parts.chain, &mut parts.tasks, |head| Height(head.header.number));
    let (evidence, mut found) = mpsc::channel(QUEUE);
    let ports = BatcherPorts {
        chain: Arc::new(ChainView(parts.chain.clone())),
        network: gossip,
        l1: parts.sender.clone().map(|sender| -> Arc<dyn BatchL1> {
            Arc::new(RegistryPoster::new(sender, parts.genesis.l1.batch_registry))
        }),
        incoming,
        l1_events,
        head,
        evidence,
    };
    let store = parts.chain.store().clone();
    parts.tasks.spawn(async move {
        while let Some(headers) = found.recv().await {
            let (store, evidence) = (store.clone(), Evidence::Headers(headers));
            tokio::task::spawn_blocking(move || store.put_evidence(&evidence.encode())).await??;
        }
        Err(PartEnded("the batcher").into())
    });
    let (status, _) = watch::channel(BatcherStatus::default());
    if parts.config.batcher.da == Da::Blobs {
        // Loading the trusted setup takes seconds of CPU: better now than when the first batch is due.
        tokio::task::spawn_blocking(l1::warm_up);
    }
    parts.tasks.spawn(async move {
        Batcher::run(config, keys, ports, status).await.map_err(|error| match error {
            BatcherError::Closed(port) => PartEnded(port).into(),
            error => error.into(),
        })
    });
    Ok(())
}

async fn follow(parts: &mut Parts, flows: Flows) -> eyre::Result<()> {
    let (network, events) = start_network(parts).await?;
    let sync = Sync::new(parts.chain.clone(), parts.committer.clone(), parts.open.clone());
    let peers = Peers {
        network,
        chain: parts.chain.clone(),
        transactions: parts.transactions.clone(),
        open: parts.open.clone(),
        vitals: parts.vitals.clone(),
        batches: None,
        sync: Some(sync),
    };
    parts.tasks.spawn(peers.run(events, flows.outgoing, flows.announcements));
    Ok(())
}

fn follow_l1(parts: &mut Parts, flows: Flows) -> eyre::Result<()> {
    let l1 = &parts.config.l1;
    let base = if l1.beacon_url.is_empty() { &l1.url } else { &l1.beacon_url };
    let clock = l1.beacon.map_or(SlotClock::ExecutionNumber, |beacon| SlotClock::Slots {
        genesis: beacon.genesis_time,
        seconds: beacon.slot_seconds,
    });
    let blobs = BeaconBlobs::new(base, clock, Duration::from_secs(10))?;
    let pipeline = BatchPipeline::new(parts.genesis.params.clone(), parts.chain.derivation_tip());
    let parent = HeadsKeeper::new(parts.chain.store().clone()).final_batch()?;
    let follower = L1Follower::new(parts.reader.clone(), blobs, parts.finals.clone(), pipeline, parent);
    let (sender, mut derived) = mpsc::channel(QUEUE);
    parts.tasks.spawn(async move { follower.run(flows.derived_events, sender).await.map_err(Into::into) });
    let (chain, committer, epochs) = (parts.chain.clone(), parts.committer.clone(), parts.chain.epochs().clone());
    parts.tasks.spawn(async move {
        while let Some(batch) = derived.recv().await {
            let batch = Arc::new(batch);
            loop {
                let (chain, committer, batch) = (chain.clone(), committer.clone(), batch.clone());
                let work = tokio::task::spawn_blocking(move || apply_derived(&chain, &committer, &batch));
                let Err(error) = work.await? else { break };
                // The watcher shows a final block a moment before its snapshots are taken in.
                let Some(ChainError::L1Behind(number)) = error.downcast_ref() else { return Err(error) };
                let number = *number;
                epochs.reached(number).await;
            }
        }
        Err(PartEnded("derivation").into())
    });
    // Nobody takes gossip from this role; the queues must not fill unseen.
    let (mut outgoing, mut announcements) = (flows.outgoing, flows.announcements);
    parts.tasks.spawn(async move {
        loop {
            tokio::select! {
                Some(_) = outgoing.recv() => {}
                Some(_) = announcements.recv() => {}
                else => return Ok(()),
            }
        }
    });
    Ok(())
}
