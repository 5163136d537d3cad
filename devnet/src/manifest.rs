//! `devnet.json`: everything that scripts and pages need to use a running network.

use std::{fs, path::Path};

use alloy::primitives::{Address, B256};
use eyre::{Result, WrapErr};
use protocol::genesis::L1Contracts;
use serde::{Deserialize, Serialize};

/// Name of the file in the data folder.
pub const FILE: &str = "devnet.json";

/// A running network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Data folder.
    pub data_dir: String,
    /// Process that supervises the others; SIGTERM to it stops the network.
    pub supervisor_pid: u32,
    /// Milliseconds from the command to the first L2 block.
    pub startup_ms: u64,
    /// The L1.
    pub l1: L1Entry,
    /// L2 chain id.
    pub chain_id: u64,
    /// L1 contracts.
    pub contracts: L1Contracts,
    /// Key that deployed the contracts and may mint METIS on L1.
    pub deployer: AccountEntry,
    /// Accounts with funds on both chains.
    pub accounts: Vec<AccountEntry>,
    /// The nodes.
    pub nodes: Vec<NodeEntry>,
    /// The staking and network pages, if they were built.
    pub pages: Option<String>,
}

/// The L1 node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct L1Entry {
    /// JSON-RPC and beacon API.
    pub url: String,
    /// JSON-RPC over WebSocket.
    pub ws: String,
    /// Chain id.
    pub chain_id: u64,
    /// Process id.
    pub pid: u32,
    /// Log file.
    pub log: String,
}

/// A funded key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountEntry {
    /// Address.
    pub address: Address,
    /// Key; development only.
    pub private_key: B256,
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeEntry {
    /// Name.
    pub name: String,
    /// `sequencer`, `follower` or `l1-follower`.
    pub role: node::config::Role,
    /// JSON-RPC over HTTP.
    pub rpc: String,
    /// JSON-RPC over WebSocket.
    pub ws: String,
    /// Prometheus metrics.
    pub metrics: String,
    /// Hot key of a sequencer.
    pub signer: Option<Address>,
    /// Stake in whole METIS.
    pub stake: u64,
    /// Process id.
    pub pid: u32,
    /// Log file.
    pub log: String,
    /// Data folder.
    pub data_dir: String,
}

impl Manifest {
    /// Writes the file in one step: readers see all of it or nothing.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let fresh = folder.join(format!("{FILE}.new"));
        fs::write(&fresh, serde_json::to_vec_pretty(self)?).wrap_err("devnet.json")?;
        fs::rename(fresh, folder.join(FILE)).wrap_err("devnet.json")
    }

    /// Reads the file; `None` when no network has been started in this folder.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let Ok(bytes) = fs::read(folder.join(FILE)) else { return Ok(None) };
        Ok(Some(serde_json::from_slice(&bytes).wrap_err("devnet.json is damaged")?))
    }
}
