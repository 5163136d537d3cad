//! Starting, watching and stopping the engine.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::keccak256;
use futures::future::BoxFuture;
use k256::ecdsa::SigningKey;
use malachite::app::config::{
    ConsensusConfig, DiscoveryConfig, NodeConfig, P2pConfig, PubSubProtocol, ValuePayload, ValueSyncConfig,
};
use malachite::app::consensus::Input;
use malachite::app::engine::consensus::Msg as EngineMsg;
use malachite::app::engine::wal::decode_entry;
use malachite::app::net::Multiaddr;
use malachite::app::types::Keypair;
use malachite::app::types::codec::Codec as _;
use malachite::app::types::core::LinearTimeouts;
use malachite::app::wal::Log;
use malachite::{
    Channels, ConsensusContext, EngineHandle, NetworkContext, NetworkIdentity, RequestContext, Signer as _,
    SyncContext, WalContext, start_engine,
};
use protocol::{CompactSignature, Domain};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::application::Application;
use crate::codec::{MAX_SLICE_MESSAGE_BYTES, MAX_SYNC_BATCH, MAX_SYNC_BYTES, RlpCodec};
use crate::context::{Address, Horae};
use crate::driver::{self, Driver, DriverError};
use crate::lock::{FolderLock, LockError};
use crate::proposal_log::ProposalLog;
use crate::record::{Interchange, LoggedStatements, RecordError, SignerRecord};
use crate::signer::{GuardedSigner, proposal_statement, vote_statement};
use crate::signing::RecoveringVerifier;

/// Requests that may wait for the engine.
const REQUEST_QUEUE: usize = 16;
/// Connections from one address: a whole devnet lives on 127.0.0.1.
const MAX_CONNECTIONS_PER_IP: usize = 256;
/// Sync requests in flight.
const PARALLEL_SYNC_REQUESTS: usize = 4;
/// How long a peer may take to answer a sync request.
const SYNC_REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// How much longer each further round waits, as a share of the first.
const ROUND_GROWTH: u32 = 2;
/// Longest timeout, however many rounds fail.
const MAX_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a graceful stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at whether the log is closed.
const STOP_POLL: Duration = Duration::from_millis(5);
/// File names in the data folder, beside one record for each key that has signed here.
const WAL_FILE: &str = "consensus.wal";
const PROPOSALS_FILE: &str = "proposals.log";

/// How to run one engine.
#[derive(Clone)]
pub struct Config {
    /// Folder of the engine's files; locked while it runs.
    pub data_folder: PathBuf,
    /// Multiaddress to listen on, for example `/ip4/127.0.0.1/tcp/26656`.
    pub listen: Multiaddr,
    /// Multiaddresses of the other sequencers.
    pub peers: Vec<Multiaddr>,
    /// Name in logs.
    pub moniker: String,
    /// Key that signs.
    pub key: SigningKey,
    /// Signing domain of the network.
    pub domain: Domain,
    /// Pace.
    pub timing: Timing,
    /// Only in the devnet's faulty binary.
    pub equivocate: Option<Equivocate>,
}

/// Given a proposal this node makes, a second one for the same place with its signature: the seam of the devnet's faulty
/// leader, who brings the key. The engine's own key never signs twice.
pub type Equivocate =
    Arc<dyn Fn(&protocol::signing::Proposal) -> Option<(protocol::signing::Proposal, CompactSignature)> + Send + Sync>;

/// The pace of consensus, from genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between the timestamps of consecutive blocks.
    pub block_interval: Duration,
    /// A voter waits so long for a proposal.
    pub propose_timeout: Duration,
    /// A voter waits so long for further votes.
    pub vote_timeout: Duration,
}

impl From<&protocol::genesis::Params> for Timing {
    fn from(params: &protocol::genesis::Params) -> Self {
        Self {
            block_interval: Duration::from_millis(params.block_interval_ms),
            propose_timeout: Duration::from_millis(params.propose_timeout_ms),
            vote_timeout: Duration::from_millis(params.vote_timeout_ms),
        }
    }
}

impl Timing {
    pub(crate) fn timeouts(&self) -> LinearTimeouts {
        LinearTimeouts {
            propose: self.propose_timeout,
            propose_delta: self.propose_timeout / ROUND_GROWTH,
            prevote: self.vote_timeout,
            prevote_delta: self.vote_timeout / ROUND_GROWTH,
            precommit: self.vote_timeout,
            precommit_delta: self.vote_timeout / ROUND_GROWTH,
            rebroadcast: self.propose_timeout + self.vote_timeout * 2,
            max_timeout: MAX_TIMEOUT,
        }
    }
}

/// Why the engine does not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The signer's record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file of the data folder.
    #[error("consensus data folder: {0}")]
    Io(#[from] std::io::Error),
    /// The listen address or the engine's own start.
    #[error("consensus engine: {0}")]
    Engine(String),
    /// The application loop.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// How an engine ended.
#[derive(Debug)]
pub enum Stopped {
    /// As asked.
    Requested,
    /// By itself; the node must exit.
    Failed(EngineError),
}

/// A running engine. Dropping it stops the engine.
#[derive(Debug)]
pub struct Handle {
    stop: watch::Sender<bool>,
    task: JoinHandle<Stopped>,
    signer: GuardedSigner,
}

impl Handle {
    /// Resolves when the engine has ended, with the reason.
    pub async fn stopped(&mut self) -> Stopped {
        match (&mut self.task).await {
            Ok(stopped) => stopped,
            Err(error) => Stopped::Failed(EngineError::Engine(error.to_string())),
        }
    }

    /// Tells of a height and round whether slices that its key signed there can only be another machine's.
    pub fn excluded_slices(&self) -> impl Fn(protocol::Height, protocol::Round) -> bool + use<> {
        let signer = self.signer.clone();
        move |height, round| signer.excludes_slices(height.0, round.0)
    }

    /// Stops the engine and waits until its port, files and lock are free.
    pub async fn stop(mut self) -> Stopped {
        self.stop.send_replace(true);
        self.stopped().await
    }
}

/// libp2p peer id of the engine that signs with `key`. Peers learn by the engine's handshake which signer it is.
#[must_use]
pub fn peer_id(key: &SigningKey) -> Option<String> {
    Some(network_keypair(key)?.public().to_peer_id().to_string())
}

/// The network key follows from the signing key, so that there is one secret to keep.
fn network_keypair(key: &SigningKey) -> Option<Keypair> {
    let mut seed = b"horae consensus network identity v1".to_vec();
    seed.extend_from_slice(&key.to_bytes());
    Keypair::ed25519_from_bytes(keccak256(seed).0).ok()
}

struct MalachiteConfig {
    moniker: String,
    consensus: ConsensusConfig,
    sync: ValueSyncConfig,
}

impl NodeConfig for MalachiteConfig {
    fn moniker(&self) -> &str {
        &self.moniker
    }
    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }
    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }
    fn value_sync(&self) -> &ValueSyncConfig {
        &self.sync
    }
    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.sync
    }
}

fn byte_size<T: std::str::FromStr>(bytes: usize) -> Result<T, EngineError> {
    format!("{bytes} B").parse().map_err(|_| EngineError::Engine("byte size".into()))
}

fn malachite_config(config: &Config) -> Result<MalachiteConfig, EngineError> {
    let discovery = DiscoveryConfig {
        enabled: false,
        max_connections_per_ip: MAX_CONNECTIONS_PER_IP,
        ip_throttle_duration: Duration::ZERO,
        ..DiscoveryConfig::default()
    };
    let p2p = P2pConfig {
        listen_addr: config.listen.clone(),
        persistent_peers: config.peers.clone(),
        discovery,
        protocol: PubSubProtocol::Broadcast,
        pubsub_max_size: byte_size(MAX_SLICE_MESSAGE_BYTES + 1024)?,
        rpc_max_size: byte_size(MAX_SYNC_BYTES + 1024)?,
        ..P2pConfig::default()
    };
    let consensus =
        ConsensusConfig { enabled: true, p2p, value_payload: ValuePayload::ProposalAndParts, ..Default::default() };
    let sync = ValueSyncConfig {
        enabled: true,
        // Zero means: tell peers at every decision. The default of ten seconds never catches up with 500 ms blocks.
        status_update_interval: Duration::ZERO,
        request_timeout: SYNC_REQUEST_TIMEOUT,
        max_response_size: byte_size(MAX_SYNC_BYTES)?,
        parallel_requests: PARALLEL_SYNC_REQUESTS,
        batch_size: MAX_SYNC_BATCH,
        ..ValueSyncConfig::default()
    };
    Ok(MalachiteConfig { moniker: config.moniker.clone(), consensus, sync })
}

/// This signer's statements in the engine's log. Reading stops at the first damaged entry, as the engine's replay does.
fn read_log(path: &Path, signer: alloy_primitives::Address) -> Result<LoggedStatements, EngineError> {
    if !path.exists() {
        return Ok(LoggedStatements::default());
    }
    let mut log = Log::open(path)?;
    let mut found = LoggedStatements { height: log.sequence(), signed: Vec::new() };
    for entry in log.iter()?.map_while(Result::ok) {
        match decode_entry::<Horae, _, _>(&RlpCodec, entry.as_slice()) {
            Ok(Input::Vote(vote)) if vote.message.signer.0 == signer => {
                found.signed.push(vote_statement(&vote.message));
            }
            Ok(Input::Proposal(proposal)) if proposal.message.signer.0 == signer => {
                found.signed.push(proposal_statement(&proposal.message));
            }
            _ => {}
        }
    }
    Ok(found)
}

fn record_of(data_folder: &Path, signer: alloy_primitives::Address) -> Result<SignerRecord, RecordError> {
    SignerRecord::open(&data_folder.join(format!("{signer}.record")), signer)
}

/// What a signer has signed last in a data folder that no engine uses, for another machine.
///
/// # Errors
/// The folder is in use, or its record cannot be read.
pub fn export_record(data_folder: &Path, signer: alloy_primitives::Address) -> Result<Interchange, EngineError> {
    let _lock = FolderLock::take(data_folder)?;
    Ok(record_of(data_folder, signer)?.export())
}

/// Adds an export to what the record of its signer says in a data folder that no engine uses.
///
/// # Errors
/// The folder is in use, or the record contradicts the export, is newer or cannot be read.
pub fn import_record(data_folder: &Path, export: &Interchange) -> Result<(), EngineError> {
    let _lock = FolderLock::take(data_folder)?;
    Ok(record_of(data_folder, export.signer)?.import(export)?)
}

/// Opens the record and compares it with the log and the committed head.
fn open_record(config: &Config, head: u64) -> Result<SignerRecord, EngineError> {
    let signer = protocol::signing::address_of(&config.key);
    let mut record = record_of(&config.data_folder, signer)?;
    let log = read_log(&config.data_folder.join(WAL_FILE), signer)?;
    record.reconcile(head, &log)?;
    Ok(record)
}

async fn start_malachite(
    config: &Config,
    signer: &GuardedSigner,
    verifier: RecoveringVerifier,
) -> Result<(Channels<Horae>, EngineHandle), EngineError> {
    let failed = |error: &dyn std::fmt::Display| EngineError::Engine(error.to_string());
    let keypair = network_keypair(&config.key).ok_or_else(|| EngineError::Engine("network key".into()))?;
    let address = Address::from(signer);
    let peer = keypair.public().to_peer_id().to_bytes();
    let proof = signer.sign_validator_proof(address.0.to_vec(), peer).await.map_err(|e| failed(&e))?;
    let proof = RlpCodec.encode(&proof).map_err(|e| failed(&e))?;
    let identity = NetworkIdentity::new_validator(config.moniker.clone(), keypair, address.to_string(), proof);
    let verifier = Box::new(verifier);
    start_engine(
        Horae,
        malachite_config(config)?,
        WalContext::new(config.data_folder.join(WAL_FILE), RlpCodec),
        NetworkContext::new(identity, RlpCodec),
        ConsensusContext::new_validator(address, verifier, Box::new(signer.clone())),
        SyncContext::new(RlpCodec),
        RequestContext::new(REQUEST_QUEUE),
    )
    .await
    .map_err(|e| failed(&format!("{e:#}")))
}

/// Starts an engine. Boxed, so that the engine is compiled in this crate alone (docs/decisions/0009).
///
/// # Errors
/// The data folder is in use, the signer's record forbids it, or the engine cannot start. Each is one clear line.
pub fn start(config: Config, application: Arc<dyn Application>) -> BoxFuture<'static, Result<Handle, EngineError>> {
    Box::pin(launch(config, application))
}

async fn launch(config: Config, application: Arc<dyn Application>) -> Result<Handle, EngineError> {
    if !config.listen.iter().any(|part| matches!(part.tag(), "tcp" | "udp")) {
        return Err(EngineError::Engine(format!("{} is not an address to listen on", config.listen)));
    }
    let lock = FolderLock::take(&config.data_folder)?;
    let wal = config.data_folder.join(WAL_FILE);
    let record = open_record(&config, application.head().0)?;
    let (proposals, undecided) = ProposalLog::open(&config.data_folder.join(PROPOSALS_FILE))?;
    let signer = GuardedSigner::new(config.key.clone(), config.domain.clone(), record);
    let verifier = RecoveringVerifier::new(config.domain.clone());
    let witness = verifier.witness();
    let (channels, engine) = start_malachite(&config, &signer, verifier).await?;
    let consensus = driver::ConsensusPort::of(&engine)
        .ok_or_else(|| EngineError::Engine("the engine has no consensus actor".into()))?;
    let parts = driver::Parts {
        application,
        signer: signer.clone(),
        proposals,
        domain: config.domain,
        timing: config.timing,
        witness,
        equivocate: config.equivocate,
    };
    let driver = Driver::new(parts, consensus, channels.network, channels.net_requests, undecided);
    let (stop, stopping) = watch::channel(false);
    let task = tokio::spawn(supervise(driver, channels.consensus, engine, stopping, lock, wal));
    Ok(Handle { stop, task, signer })
}

/// Runs until the loop or the engine ends or a stop is asked for; then ends the rest.
async fn supervise(
    driver: Driver,
    messages: tokio::sync::mpsc::Receiver<malachite::AppMsg<Horae>>,
    mut engine: EngineHandle,
    mut stopping: watch::Receiver<bool>,
    lock: FolderLock,
    wal: PathBuf,
) -> Stopped {
    let stopped = tokio::select! {
        result = driver.run(messages) => match result {
            Ok(never) => match never {},
            Err(error) => Stopped::Failed(error.into()),
        },
        _ = &mut engine.handle => Stopped::Failed(EngineError::Engine("the engine ended; its log says why".into())),
        // An error means that the handle was dropped, which asks for a stop as well.
        _ = stopping.wait_for(|stop| *stop) => Stopped::Requested,
    };
    // The consensus actor first, between two of its messages: one that finds its log gone hangs for safety's sake.
    let children = engine.actor.get_cell().get_children();
    let (consensus, others): (Vec<_>, Vec<_>) =
        children.into_iter().partition(|cell| cell.is_message_type_of::<EngineMsg<Horae>>() == Some(true));
    for child in consensus.into_iter().chain(others) {
        if child.stop_and_wait(None, Some(STOP_TIMEOUT)).await.is_err() {
            child.kill();
        }
    }
    if engine.actor.stop_and_wait(None, Some(STOP_TIMEOUT)).await.is_err() {
        engine.actor.kill();
    }
    // The log is written by a thread of its own that may be flushing still; it holds a lock on the file until then.
    let deadline = Instant::now() + STOP_TIMEOUT;
    while Log::open(&wal).is_err() && Instant::now() < deadline {
        tokio::time::sleep(STOP_POLL).await;
    }
    drop(lock);
    stopped
}
