//! Configuration of one node: one TOML file, overridden by `HORAE_…` variables, overridden by `--set key=value`.
//!
//! Nothing here is consensus: what nodes must agree on is in the genesis file or on L1. Secrets are files.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::U256;
use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use l1::SenderConfig;
use mempool::Limits;
use protocol::genesis::Params;
use serde::{Deserialize, Serialize};
use store::{Retention, StoreConfig};

/// Wei in a gwei.
const WEI_PER_GWEI: u64 = 1_000_000_000;

/// Everything an operator can set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What this node does.
    pub role: Role,
    /// Folder for everything the node keeps.
    pub data_dir: PathBuf,
    /// Genesis file of the network.
    pub genesis: PathBuf,
    /// The hot key; needed by sequencers only.
    pub signer: SignerConfig,
    /// The hot key that follows it: give both from before the signer is changed on L1 until the old one has left the set.
    pub next_signer: SignerConfig,
    /// Pays for what this node does on L1. None: a sequencer's signer pays, a follower does nothing there.
    pub payer: SignerConfig,
    /// The L1 node this node trusts: its own.
    pub l1: L1Config,
    /// Consensus between sequencers.
    pub consensus: ConsensusConfig,
    /// Transactions, batch signatures, decided blocks.
    pub network: NetworkConfig,
    /// Transactions that wait.
    pub pool: PoolConfig,
    /// How much of the past is kept.
    pub history: HistoryConfig,
    /// JSON-RPC.
    pub rpc: RpcConfig,
    /// Posting of batches.
    pub batcher: BatcherConfig,
    /// What this node does on L1 for everybody, if it has an account there.
    pub keeper: KeeperConfig,
    /// Prometheus metrics.
    pub metrics: MetricsConfig,
    /// Log output.
    pub log: LogConfig,
}

/// What a node does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Votes and leads when its signer is in the set; follows otherwise.
    Sequencer,
    /// Follows decided blocks and their certificates from peers.
    #[default]
    Follower,
    /// Rebuilds the chain from L1 alone.
    L1Follower,
}

/// Where the hot key is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignerConfig {
    /// File with the key as 64 hex digits.
    pub key_file: Option<PathBuf>,
    /// Web3 secret storage (V3) keystore.
    pub keystore: Option<PathBuf>,
    /// File with the keystore's password.
    pub password_file: Option<PathBuf>,
}

/// The L1 node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct L1Config {
    /// JSON-RPC endpoint.
    pub url: String,
    /// Beacon API endpoint for blobs; the JSON-RPC endpoint's host when empty.
    pub beacon_url: String,
    /// Milliseconds between looks at L1's heads.
    pub poll_interval_ms: u64,
    /// Slot clock of the beacon chain; none: blobs are asked for by execution block number, as anvil does it.
    pub beacon: Option<BeaconClock>,
}

/// How L1 time maps to beacon slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeaconClock {
    /// Unix time of slot 0, in seconds.
    pub genesis_time: u64,
    /// Seconds of a slot.
    pub slot_seconds: u64,
}

/// The consensus engine's network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsensusConfig {
    /// Multiaddress to listen on.
    pub listen: String,
    /// Multiaddresses of the other sequencers' engines.
    pub peers: Vec<String>,
}

/// Our own peer-to-peer network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Multiaddress to listen on.
    pub listen: String,
    /// Multiaddresses of peers to stay connected with.
    pub peers: Vec<String>,
}

/// The transaction pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoolConfig {
    /// Transactions in total.
    pub transactions: usize,
    /// Encoded bytes in total.
    pub bytes: usize,
    /// Executable transactions of one sender.
    pub account_transactions: usize,
    /// Encoded bytes of one sender.
    pub account_bytes: usize,
    /// Whether what our own RPC took survives a restart.
    pub journal: bool,
}

impl Default for PoolConfig {
    fn default() -> Self {
        let Limits { transactions, bytes, executable, account_bytes, .. } = Limits::default();
        Self { transactions, bytes, account_transactions: executable, account_bytes, journal: true }
    }
}

impl PoolConfig {
    /// The pool's bounds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let Self { transactions, bytes, account_transactions: executable, account_bytes, journal: _ } = *self;
        Limits { transactions, bytes, executable, account_bytes, ..Limits::default() }
    }
}

/// How many blocks behind the head something is kept; 0 keeps it for ever. Only final blocks go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// States, for calls, proofs and traces.
    pub state_blocks: u64,
    /// Receipts and logs; at most as many as bodies.
    pub receipt_blocks: u64,
    /// Transactions, and the certificates that peers ask for.
    pub body_blocks: u64,
    /// States that `eth_getProof` can prove; an older one must be wound back block by block.
    pub proof_blocks: u64,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        let proof_blocks = StoreConfig::default().proof_window;
        Self { state_blocks: 0, receipt_blocks: 0, body_blocks: 0, proof_blocks }
    }
}

impl HistoryConfig {
    /// The store's configuration for a network with these parameters.
    ///
    /// # Errors
    /// Less is kept than the node itself needs.
    pub fn store(&self, params: &Params) -> Result<StoreConfig, ConfigError> {
        let Self { state_blocks, receipt_blocks, body_blocks, proof_blocks } = *self;
        let some = |blocks: u64| (blocks > 0).then_some(blocks);
        // An epoch's set follows from a block two epochs back.
        let least = params.epoch_blocks.saturating_mul(4);
        if some(body_blocks).is_some_and(|blocks| blocks < least) {
            let text = format!("history.body_blocks must be 0 (all) or at least {least}, four epochs");
            return Err(ConfigError::Value(text));
        }
        if body_blocks > 0 && (receipt_blocks == 0 || receipt_blocks > body_blocks) {
            let text = "history.receipt_blocks must not exceed history.body_blocks: a receipt needs its block";
            return Err(ConfigError::Value(text.to_owned()));
        }
        let retention =
            Retention { state: some(state_blocks), receipts: some(receipt_blocks), bodies: some(body_blocks) };
        Ok(StoreConfig { retention, proof_window: proof_blocks, ..StoreConfig::default() })
    }
}

/// The JSON-RPC server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RpcConfig {
    /// Address for HTTP and WebSocket.
    pub listen: SocketAddr,
    /// Origins of web pages that may call; `*` allows all.
    pub cors_origins: Vec<String>,
    /// Host names by which the server may be addressed, beside IP addresses and `localhost`; `*` allows all.
    pub allowed_hosts: Vec<String>,
    /// Namespaces served.
    pub namespaces: Vec<String>,
    /// Unix socket, in the data folder unless absolute; empty: none.
    pub ipc: PathBuf,
    /// Running HTTP requests and open WebSocket connections.
    pub max_connections: u32,
    /// Milliseconds for a request or a batch.
    pub request_timeout_ms: u64,
    /// Largest answer in bytes, a whole batch's included; at most 160 MiB.
    pub max_response_bytes: u32,
    /// Blocks that one log query may span.
    pub max_log_blocks: u64,
    /// Logs in one answer.
    pub max_logs: usize,
    /// Calls, and as many other requests that read much, at the same time.
    pub max_heavy: usize,
    /// Traces at the same time; each may hold 100 MB.
    pub max_traces: usize,
    /// What one client address may ask.
    pub clients: ClientsConfig,
    /// The port of operators.
    pub admin: AdminConfig,
}

/// What one client address may ask of JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientsConfig {
    /// Open connections; 0: any number.
    pub connections: u32,
    /// Credits a second; a call costs 1, one that reads much or executes 10, a trace 100. 0: any number.
    pub credits_per_second: u32,
    /// Addresses without limits, e.g. a reverse proxy's.
    pub unlimited: Vec<IpAddr>,
    /// Calls a second by method, e.g. `eth_getLogs = 5`.
    pub method_calls_per_second: BTreeMap<String, u32>,
}

/// JSON-RPC for operators, on a port of its own: every namespace and `admin`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Address for HTTP and WebSocket; none switches it off.
    pub listen: Option<SocketAddr>,
    /// File with the bearer token as 64 hex digits, made when it is missing; `admin.token` in the data folder when empty.
    pub token_file: PathBuf,
}

/// The batcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatcherConfig {
    /// Where batches put their data.
    pub da: Da,
    /// Milliseconds without inclusion after which a posting's fees rise; three L1 blocks.
    pub resubmit_after_ms: u64,
    /// Most that one transaction on L1 may cost, in gwei; duties' transactions as well. One ether.
    pub max_cost_gwei: u64,
}

impl Default for BatcherConfig {
    fn default() -> Self {
        Self { da: Da::default(), resubmit_after_ms: 36_000, max_cost_gwei: 1_000_000_000 }
    }
}

impl BatcherConfig {
    /// How transactions are delivered to L1.
    #[must_use]
    pub fn sender(&self) -> SenderConfig {
        SenderConfig {
            resubmit_after: Duration::from_millis(self.resubmit_after_ms),
            spending_cap: U256::from(self.max_cost_gwei).saturating_mul(U256::from(WEI_PER_GWEI)),
            ..SenderConfig::default()
        }
    }
}

/// Duties on L1 that anyone may do. All nodes with an account there look for them; normally one of them acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeeperConfig {
    /// Shows evidence of equivocation to the slashing contract, executes cases, collects own bounties.
    pub evidence: bool,
    /// Takes snapshots of the sequencer set.
    pub snapshots: bool,
    /// Publishes outputs of batches with new withdrawals.
    pub outputs: bool,
    /// Settles rewards.
    pub rewards: bool,
    /// Milliseconds between two looks at what is due; an L1 block.
    pub interval_ms: u64,
    /// Milliseconds each member gives the one before it.
    pub stagger_ms: u64,
    /// Seconds between two settlements of rewards.
    pub settle_every_s: u64,
    /// Most L1 gas spent on duties in an hour.
    pub gas_per_hour: u64,
}

impl Default for KeeperConfig {
    fn default() -> Self {
        Self {
            evidence: true,
            snapshots: true,
            outputs: true,
            rewards: true,
            interval_ms: 12_000,
            stagger_ms: 36_000,
            settle_every_s: 3_600,
            gas_per_hour: 10_000_000,
        }
    }
}

/// Data availability of batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Da {
    /// EIP-4844 blobs.
    #[default]
    Blobs,
    /// Calldata.
    Calldata,
}

/// Metrics and health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Address of the Prometheus endpoint; none switches it off.
    pub listen: Option<SocketAddr>,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// Filter as in `RUST_LOG`.
    pub filter: String,
    /// One JSON object a line instead of text.
    pub json: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            role: Role::default(),
            data_dir: "data".into(),
            genesis: "genesis.json".into(),
            signer: SignerConfig::default(),
            next_signer: SignerConfig::default(),
            payer: SignerConfig::default(),
            l1: L1Config::default(),
            consensus: ConsensusConfig::default(),
            network: NetworkConfig::default(),
            pool: PoolConfig::default(),
            history: HistoryConfig::default(),
            rpc: RpcConfig::default(),
            batcher: BatcherConfig::default(),
            keeper: KeeperConfig::default(),
            metrics: MetricsConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for L1Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8545".to_owned(),
            beacon_url: String::new(),
            poll_interval_ms: 1_000,
            beacon: None,
        }
    }
}

impl Default for ConsensusConfig {
    fn default() -> Self {
        Self { listen: "/ip4/127.0.0.1/tcp/26656".to_owned(), peers: Vec::new() }
    }
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { listen: "/ip4/127.0.0.1/tcp/26657".to_owned(), peers: Vec::new() }
    }
}

impl Default for RpcConfig {
    fn default() -> Self {
        let rpc::RpcConfig {
            listen,
            cors_origins,
            allowed_hosts,
            namespaces,
            max_connections,
            request_timeout,
            max_response_bytes,
            max_log_blocks,
            max_logs,
            max_heavy,
            max_traces,
            idle_timeout: _,
            client_limits: _,
            ipc: _,
            admin: _,
        } = rpc::RpcConfig::default();
        Self {
            listen,
            cors_origins,
            allowed_hosts,
            namespaces,
            ipc: "horae.ipc".into(),
            max_connections,
            request_timeout_ms: u64::try_from(request_timeout.as_millis()).unwrap_or(u64::MAX),
            max_response_bytes,
            max_log_blocks,
            max_logs,
            max_heavy,
            max_traces,
            clients: ClientsConfig::default(),
            admin: AdminConfig::default(),
        }
    }
}

impl Default for ClientsConfig {
    fn default() -> Self {
        let rpc::ClientLimits { connections, credits_per_second, method_calls_per_second, unlimited } =
            rpc::ClientLimits::default();
        Self { connections, credits_per_second, unlimited, method_calls_per_second }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), json: false }
    }
}

/// The configuration could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is missing.
    #[error("configuration file {0} does not exist")]
    Missing(PathBuf),
    /// A value is unknown, of the wrong type or missing.
    #[error("configuration: {0}")]
    Value(String),
}

impl Config {
    /// Reads the file (if one is named), then `HORAE_L1__URL`-like variables, then `l1.url=…`-like settings.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(file: Option<&Path>, settings: &[String]) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            if !path.is_file() {
                return Err(ConfigError::Missing(path.to_owned()));
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        // `HORAE_CONFIG_FILE` names the file (the command line's option) and is no key.
        figment = figment.merge(Env::prefixed("HORAE_").ignore(&["config_file"]).split("__"));
        for setting in settings {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| ConfigError::Value(format!("`--set {setting}` is not of the form key=value")))?;
            let typed: figment::value::Value = value.parse().unwrap_or_else(|_| value.into());
            figment = figment.merge(Serialized::default(key, typed));
        }
        figment.extract().map_err(|errors: figment::Error| {
            let lines = errors.into_iter().map(|error| format!("{}: {}", error.path.join("."), error.kind));
            ConfigError::Value(lines.collect::<Vec<_>>().join("; "))
        })
    }

    /// Folder of the consensus engine's files.
    #[must_use]
    pub fn consensus_dir(&self) -> PathBuf {
        self.data_dir.join("consensus")
    }

    /// The merged result as TOML.
    ///
    /// # Errors
    /// A value has no TOML form.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(|error| ConfigError::Value(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_is_the_default() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("horae.example.toml");
        assert_eq!(std::fs::read_to_string(example).unwrap(), Config::default().to_toml().unwrap());
    }

    #[test]
    fn history_that_the_node_needs_cannot_be_pruned() {
        let store = |state_blocks, receipt_blocks, body_blocks| {
            let config = HistoryConfig { state_blocks, receipt_blocks, body_blocks, ..HistoryConfig::default() };
            config.store(&Params { epoch_blocks: 100, ..Params::default() }).map(|config| config.retention)
        };
        assert_eq!(store(0, 0, 0).unwrap(), Retention::default());
        let all = Retention { state: Some(1), receipts: Some(400), bodies: Some(400) };
        assert_eq!(store(1, 400, 400).unwrap(), all);
        for (receipts, bodies) in [(399, 399), (0, 400), (401, 400)] {
            assert!(store(0, receipts, bodies).is_err(), "{receipts} {bodies}");
        }
    }

    #[test]
    fn what_a_transaction_on_l1_may_cost_is_the_operator_s_to_say() {
        assert_eq!(BatcherConfig::default().sender().spending_cap, U256::from(10).pow(U256::from(18)));
        let config = Config::load(None, &["batcher.max_cost_gwei=5".to_owned()]).unwrap();
        assert_eq!(config.batcher.sender().spending_cap, U256::from(5_000_000_000_u64));
        let all = BatcherConfig { max_cost_gwei: u64::MAX, ..BatcherConfig::default() };
        assert!(all.sender().spending_cap > U256::from(u64::MAX));
    }

    #[test]
    fn settings_override_and_unknown_keys_are_refused() {
        let set = |settings: &[&str]| Config::load(None, &settings.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let config = set(&["l1.url=http://127.0.0.1:1", "role=l1-follower", "l1.poll_interval_ms=50"]).unwrap();
        assert_eq!(config.l1.url, "http://127.0.0.1:1");
        assert_eq!(config.role, Role::L1Follower);
        assert_eq!(config.l1.poll_interval_ms, 50);
        for wrong in ["l1.ulr=x", "role=king", "l1.poll_interval_ms=soon", "nothing"] {
            assert!(set(&[wrong]).is_err(), "{wrong}");
        }
        assert!(matches!(Config::load(Some(Path::new("nowhere.toml")), &[]), Err(ConfigError::Missing(_))));
    }

    /// In a process of its own: variables belong to the whole process.
    #[test]
    fn the_variable_that_names_the_file_is_no_key() {
        const VARIABLE: &str = "HORAE_CONFIG_FILE";
        if std::env::var_os(VARIABLE).is_some() {
            let url = Config::load(None, &[]).unwrap().l1.url;
            assert_eq!(url, "http://127.0.0.1:1", "the others are read");
            return;
        }
        let name = "config::tests::the_variable_that_names_the_file_is_no_key";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(VARIABLE, "horae.toml")
            .env("HORAE_L1__URL", "http://127.0.0.1:1")
            .output();
        let child = child.unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    }
}
