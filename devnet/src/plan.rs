//! What a network consists of: which nodes with which keys, on which ports, in which folders.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
};

use alloy::signers::local::PrivateKeySigner;
use eyre::{Result, WrapErr, ensure, eyre};
use node::config::{self, Config, Da, Role};
use protocol::genesis::Params;
use serde::{Deserialize, Serialize};

use crate::{foundation, keys};

/// Most sequencers: L1's largest set.
pub const MAX_SEQUENCERS: usize = 32;
/// Most followers.
pub const MAX_FOLLOWERS: usize = 8;
/// First port that wallets and scripts expect, for the L1.
const L1_PORT: u16 = 8545;
/// Port of the pages.
const PAGES_PORT: u16 = 8550;
/// First JSON-RPC port of the nodes.
const RPC_PORT: u16 = 8560;
/// Ports tried when the wished ones are taken; below the range that systems give to outgoing connections.
const OTHER_PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What the user chose. It cannot change while the data folder lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Staked sequencers.
    pub sequencers: usize,
    /// Followers: the first by peers and certificates, the second from L1 alone, and so on in turns.
    pub followers: usize,
    /// Where batches put their data.
    pub da: Da,
}

impl Default for Shape {
    fn default() -> Self {
        Self { sequencers: 4, followers: 2, da: Da::Blobs }
    }
}

/// One node.
#[derive(Clone, Debug)]
pub struct NodePlan {
    /// `sequencer-0`, `follower-0`, `l1-follower-0`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Hot key of a sequencer.
    pub signer: Option<PrivateKeySigner>,
    /// The key that follows it.
    pub next_signer: Option<PrivateKeySigner>,
    /// Stake in whole METIS.
    pub stake: u64,
    /// JSON-RPC port.
    pub rpc: u16,
    /// Metrics port.
    pub metrics: u16,
    /// Consensus port.
    pub consensus: u16,
    /// Port of transactions and batch signatures.
    pub network: u16,
    /// Fault it was started with.
    pub faulty: Option<String>,
}

impl NodePlan {
    /// JSON-RPC over HTTP.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rpc)
    }
}

/// The whole network.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked for.
    pub shape: Shape,
    /// Data folder.
    pub folder: PathBuf,
    /// L1 port.
    pub l1: u16,
    /// Port of the pages.
    pub pages: u16,
    /// Whether people will use it: its operators get names, its accounts METIS on L1, its reward stream funds.
    pub furnished: bool,
    /// All nodes, those staked in genesis first.
    pub nodes: Vec<NodePlan>,
    /// Parameters of a network that is founded.
    pub params: Params,
    ports: Ports,
}

/// Stakes differ, and with four or more sequencers none reaches a third: any one may fail.
fn stake_of(index: usize) -> u64 {
    let step = u64::try_from(index % 4).unwrap_or_default();
    40_000 - step * 5_000
}

impl Plan {
    /// Plans a network. `wished` asks for the well-known ports; without it the ports are out of other networks' way.
    ///
    /// # Errors
    /// The shape is out of range or no ports are free.
    pub fn new(shape: Shape, folder: PathBuf, wished: bool) -> Result<Self> {
        ensure!((1..=MAX_SEQUENCERS).contains(&shape.sequencers), "--sequencers must be 1 to {MAX_SEQUENCERS}");
        ensure!(shape.followers <= MAX_FOLLOWERS, "--followers must be at most {MAX_FOLLOWERS}");
        let mut ports = Ports::new(wished);
        let (l1, pages) = (ports.take(L1_PORT)?, ports.take(PAGES_PORT)?);
        let mut nodes = Vec::new();
        for index in 0..shape.sequencers.saturating_add(shape.followers) {
            let (role, name) = role_of(&shape, index);
            let sequencer = role == Role::Sequencer;
            let wish = RPC_PORT.saturating_add(u16::try_from(index).unwrap_or_default());
            nodes.push(NodePlan {
                signer: if sequencer { Some(keys::derived(&name)?) } else { None },
                next_signer: None,
                stake: if sequencer { stake_of(index) } else { 0 },
                rpc: ports.take(wish)?,
                metrics: ports.take(wish.saturating_add(100))?,
                consensus: ports.take(wish.saturating_add(200))?,
                network: ports.take(wish.saturating_add(300))?,
                faulty: None,
                name,
                role,
            });
        }
        Ok(Self { shape, folder, l1, pages, furnished: wished, nodes, params: foundation::params(), ports })
    }

    /// Adds a sequencer that has no stake yet; returns its name.
    ///
    /// # Errors
    /// No ports are free.
    pub fn add_sequencer(&mut self) -> Result<String> {
        let name = format!("sequencer-{}", self.sequencers().count());
        let mut port = || self.ports.take(RPC_PORT);
        let (rpc, metrics, consensus, network) = (port()?, port()?, port()?, port()?);
        self.nodes.push(NodePlan {
            name: name.clone(),
            role: Role::Sequencer,
            signer: Some(keys::derived(&name)?),
            next_signer: None,
            stake: 0,
            rpc,
            metrics,
            consensus,
            network,
            faulty: None,
        });
        Ok(name)
    }

    /// Writes the configuration of somebody who has nothing but L1, the genesis file and a key that pays on L1.
    ///
    /// # Errors
    /// No ports are free, or the folder cannot be written.
    pub fn write_poster(&mut self, name: &str, payer: &PrivateKeySigner) -> Result<PathBuf> {
        let mut port = || self.ports.take(RPC_PORT);
        let (rpc, metrics, consensus, network) = (port()?, port()?, port()?, port()?);
        let node = NodePlan {
            name: name.to_owned(),
            role: Role::L1Follower,
            signer: None,
            next_signer: None,
            stake: 0,
            rpc,
            metrics,
            consensus,
            network,
            faulty: None,
        };
        let file = self.write_node(&node)?;
        let key = self.node_folder(&node).join("payer.key");
        write_private(&key, &alloy_primitives::hex::encode(payer.to_bytes()))?;
        let mut config = Config::load(Some(&file), &[])?;
        config.payer.key_file = Some(key);
        fs::write(&file, config.to_toml()?).wrap_err("configuration file")?;
        Ok(file)
    }

    /// L1 JSON-RPC.
    #[must_use]
    pub fn l1_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.l1)
    }

    /// The sequencers.
    pub fn sequencers(&self) -> impl Iterator<Item = &NodePlan> {
        self.nodes.iter().filter(|node| node.role == Role::Sequencer)
    }

    /// Genesis file.
    #[must_use]
    pub fn genesis_file(&self) -> PathBuf {
        self.folder.join("genesis.json")
    }

    /// Folder of a node.
    #[must_use]
    pub fn node_folder(&self, node: &NodePlan) -> PathBuf {
        self.folder.join("nodes").join(&node.name)
    }

    /// Log file of a process.
    #[must_use]
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{name}.log"))
    }

    /// Writes a node's configuration and key; returns the configuration file.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write_node(&self, node: &NodePlan) -> Result<PathBuf> {
        let folder = self.node_folder(node);
        fs::create_dir_all(&folder).wrap_err_with(|| format!("cannot make {}", folder.display()))?;
        let key = |key: &Option<PrivateKeySigner>, name: &str| -> Result<config::SignerConfig> {
            let Some(key) = key else { return Ok(config::SignerConfig::default()) };
            let path = folder.join(name);
            write_private(&path, &alloy_primitives::hex::encode(key.to_bytes()))?;
            Ok(config::SignerConfig { key_file: Some(path), ..Default::default() })
        };
        let keys = (key(&node.signer, "signer.key")?, key(&node.next_signer, "next-signer.key")?);
        let file = folder.join("horae.toml");
        fs::write(&file, self.config(node, &folder, keys)?.to_toml()?).wrap_err("configuration file")?;
        Ok(file)
    }

    fn config(
        &self,
        node: &NodePlan,
        folder: &Path,
        (signer, next_signer): (config::SignerConfig, config::SignerConfig),
    ) -> Result<Config> {
        let others = || self.sequencers().filter(|other| other.name != node.name);
        let address = |port: u16| format!("/ip4/127.0.0.1/tcp/{port}");
        // A follower of L1 knows nobody: what it says comes from L1 alone.
        let meets_peers = node.role != Role::L1Follower;
        let peers = |port: fn(&NodePlan) -> u16, wanted: bool| -> Vec<String> {
            if wanted { others().map(|other| address(port(other))).collect() } else { Vec::new() }
        };
        let listen = |port: u16| format!("127.0.0.1:{port}").parse().wrap_err("listen address");
        Ok(Config {
            role: node.role,
            data_dir: folder.join("data"),
            genesis: self.genesis_file(),
            signer,
            next_signer,
            l1: config::L1Config { url: self.l1_url(), poll_interval_ms: 200, ..Default::default() },
            consensus: config::ConsensusConfig {
                listen: address(node.consensus),
                peers: peers(|other| other.consensus, node.role == Role::Sequencer),
            },
            network: config::NetworkConfig {
                listen: address(node.network),
                peers: peers(|other| other.network, meets_peers),
            },
            rpc: config::RpcConfig {
                listen: listen(node.rpc)?,
                cors_origins: vec!["*".to_owned()],
                ..Default::default()
            },
            batcher: config::BatcherConfig {
                da: self.shape.da,
                resubmit_after_ms: 5_000,
                ..config::BatcherConfig::default()
            },
            keeper: config::KeeperConfig {
                interval_ms: 1_000,
                stagger_ms: 3_000,
                settle_every_s: 20,
                gas_per_hour: 1_000_000_000,
                ..Default::default()
            },
            metrics: config::MetricsConfig { listen: Some(listen(node.metrics)?) },
            ..Config::default()
        })
    }
}

fn role_of(shape: &Shape, index: usize) -> (Role, String) {
    match index.checked_sub(shape.sequencers) {
        None => (Role::Sequencer, format!("sequencer-{index}")),
        Some(follower) if follower % 2 == 0 => (Role::Follower, format!("follower-{}", follower / 2)),
        Some(follower) => (Role::L1Follower, format!("l1-follower-{}", follower / 2)),
    }
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .wrap_err_with(|| format!("cannot write {}", path.display()))
}

/// Hands out free ports, none twice.
#[derive(Clone, Debug)]
struct Ports {
    wished: bool,
    next: u16,
    taken: BTreeSet<u16>,
}

impl Ports {
    fn new(wished: bool) -> Self {
        // Networks started side by side begin at different places.
        let spread = u16::try_from(std::process::id() % 11_000).unwrap_or_default();
        Self { wished, next: OTHER_PORTS.start.saturating_add(spread), taken: BTreeSet::new() }
    }

    fn take(&mut self, wish: u16) -> Result<u16> {
        let wish = self.wished.then_some(wish);
        let others = (self.next..OTHER_PORTS.end).chain(OTHER_PORTS.start..self.next);
        let free = |port: &u16| !self.taken.contains(port) && TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let port = wish.into_iter().chain(others).find(free).ok_or_else(|| eyre!("no free port on 127.0.0.1"))?;
        self.taken.insert(port);
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_distinct_ports_roles_and_tolerates_one_failure() {
        let plan = Plan::new(Shape::default(), "nowhere".into(), false).unwrap();
        let names: Vec<&str> = plan.nodes.iter().map(|node| node.name.as_str()).collect();
        let sequencers = ["sequencer-0", "sequencer-1", "sequencer-2", "sequencer-3"];
        assert_eq!(names, [&sequencers[..], &["follower-0", "l1-follower-0"]].concat());
        let ports: BTreeSet<u16> =
            plan.nodes.iter().flat_map(|node| [node.rpc, node.metrics, node.consensus, node.network]).collect();
        assert_eq!(ports.len(), plan.nodes.len() * 4);
        for count in 4..=MAX_SEQUENCERS {
            let total: u64 = (0..count).map(stake_of).sum();
            assert!((0..count).all(|index| (total - stake_of(index)) * 3 > total * 2), "{count} sequencers");
        }
    }

    #[test]
    fn the_l1_follower_knows_no_peer_and_configurations_load() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::new(Shape::default(), folder.path().to_owned(), false).unwrap();
        for node in &plan.nodes {
            let file = plan.write_node(node).unwrap();
            let config = Config::load(Some(&file), &[]).unwrap();
            assert_eq!(config.role, node.role);
            let expected = match node.role {
                Role::Sequencer => (3, 3, true),
                Role::Follower => (0, 4, false),
                Role::L1Follower => (0, 0, false),
            };
            let found = (config.consensus.peers.len(), config.network.peers.len(), config.signer.key_file.is_some());
            assert_eq!(found, expected, "{}", node.name);
        }
    }

    #[test]
    fn shapes_out_of_range_are_refused() {
        for (sequencers, followers) in [(0, 0), (33, 0), (4, 9)] {
            let shape = Shape { sequencers, followers, da: Da::Blobs };
            assert!(Plan::new(shape, "nowhere".into(), false).is_err(), "{sequencers} {followers}");
        }
    }
}
