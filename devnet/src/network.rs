//! A running network: founded or restarted, its processes by name.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use alloy::signers::local::PrivateKeySigner;
use eyre::{Result, WrapErr, bail, ensure, eyre};
use l1::{ClientConfig, L1Client};
use node::config::{Da, Role};
use protocol::Genesis;
use tokio::process::Command;

use crate::{
    anvil,
    client::Rpc,
    foundation, keys,
    manifest::{AccountEntry, L1Entry, Manifest, NodeEntry},
    pages::{self, Pages},
    plan::{NodePlan, Plan, Shape},
    process::Process,
    wait::until,
};

/// Time the network has to make its first block.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that is about to happen.
const LOOK: Duration = Duration::from_millis(50);
/// Name of the file that remembers the shape.
const SHAPE_FILE: &str = "shape.json";

/// A network and its processes. Dropping it kills them.
#[derive(Debug)]
pub struct Network {
    /// What it consists of.
    pub plan: Plan,
    /// Its birth certificate.
    pub genesis: Genesis,
    /// From the start to the first L2 block.
    pub startup: Duration,
    l1: Option<Process>,
    nodes: BTreeMap<String, Process>,
    pages: Option<Pages>,
}

impl Network {
    /// Founds the network, or restarts the one that lives in the folder, and waits for its first block.
    ///
    /// # Errors
    /// Something does not start; the message says what to do.
    pub async fn start(plan: Plan) -> Result<Self> {
        let begin = Instant::now();
        fs::create_dir_all(plan.folder.join("logs"))
            .wrap_err_with(|| format!("cannot write {}", plan.folder.display()))?;
        check_shape(&plan)?;
        let l1 = anvil::start(&plan.folder, plan.l1, &plan.log_file("l1")).await?;
        let genesis = match fs::read_to_string(plan.genesis_file()) {
            Ok(json) => Genesis::from_json(&json)?,
            Err(_) => {
                let genesis = foundation::found(&plan).await?;
                fs::write(plan.genesis_file(), serde_json::to_vec_pretty(&genesis)?).wrap_err("genesis.json")?;
                genesis
            }
        };
        let mut network =
            Self { plan, genesis, startup: Duration::ZERO, l1: Some(l1), nodes: BTreeMap::new(), pages: None };
        network.start_nodes()?;
        network.wait_first_block().await?;
        network.startup = begin.elapsed();
        network.wait_ready().await?;
        Ok(network)
    }

    /// Starts every node that does not run.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn start_nodes(&mut self) -> Result<()> {
        for name in self.names() {
            if !self.nodes.contains_key(&name) {
                self.start_node(&name)?;
            }
        }
        Ok(())
    }

    /// Starts one node.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start_node(&mut self, name: &str) -> Result<()> {
        let node = self.node(name)?;
        let file = self.plan.write_node(node)?;
        let mut command = Command::new(std::env::current_exe().wrap_err("own path")?);
        command.args(["node", "--parent", &std::process::id().to_string(), "--config"]).arg(file);
        if let Some(fault) = &node.faulty {
            command.args(["--faulty", fault]);
        }
        let process = Process::spawn(name, command, &self.plan.log_file(name))?;
        self.nodes.insert(name.to_owned(), process);
        Ok(())
    }

    /// Starts the L1 again after [`Network::kill_all`].
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start_l1(&mut self) -> Result<()> {
        self.l1 = Some(anvil::start(&self.plan.folder, self.plan.l1, &self.plan.log_file("l1")).await?);
        Ok(())
    }

    /// SIGKILL for one node.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill_node(&mut self, name: &str) -> Result<()> {
        let process = self.nodes.remove(name).ok_or_else(|| eyre!("{name} does not run"))?;
        process.kill().await;
        Ok(())
    }

    /// Asks one node to end, and waits for it.
    ///
    /// # Errors
    /// It does not run, or had to be killed.
    pub async fn stop_node(&mut self, name: &str) -> Result<()> {
        let process = self.nodes.remove(name).ok_or_else(|| eyre!("{name} does not run"))?;
        ensure!(process.stop().await, "{name} did not stop when asked");
        Ok(())
    }

    /// SIGKILL for everything, the L1 included.
    pub async fn kill_all(&mut self) {
        let all = std::mem::take(&mut self.nodes).into_values().chain(self.l1.take());
        let mut killing = tokio::task::JoinSet::new();
        all.for_each(|process| drop(killing.spawn(process.kill())));
        killing.join_all().await;
    }

    /// Stops everything: nodes first, then the L1 they talk to. Names those that had to be killed.
    pub async fn stop(mut self) -> Vec<String> {
        let mut stopping = tokio::task::JoinSet::new();
        for (name, process) in std::mem::take(&mut self.nodes) {
            stopping.spawn(async move { (!process.stop().await).then_some(name) });
        }
        let mut killed: Vec<String> = stopping.join_all().await.into_iter().flatten().collect();
        if let Some(l1) = self.l1.take()
            && !l1.stop().await
        {
            killed.push("l1".to_owned());
        }
        killed
    }

    /// Processes that ended by themselves since the last look, with their last words.
    pub fn ended(&mut self) -> Vec<(String, String)> {
        let mut gone = Vec::new();
        for (name, process) in &mut self.nodes {
            if let Some(status) = process.ended() {
                gone.push((name.clone(), format!("{status}: {}", process.last_words())));
            }
        }
        gone.iter().for_each(|(name, _)| drop(self.nodes.remove(name)));
        if let Some(status) = self.l1.as_mut().and_then(Process::ended) {
            self.l1 = None;
            gone.push(("l1".to_owned(), status.to_string()));
        }
        gone
    }

    /// Serves the pages; false when they were never built.
    ///
    /// # Errors
    /// Their files or their port cannot be had.
    pub async fn serve_pages(&mut self) -> Result<bool> {
        self.pages = pages::serve(self).await?;
        Ok(self.pages.is_some())
    }

    /// Names of all nodes, sequencers first.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.plan.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// A node by name.
    ///
    /// # Errors
    /// There is none.
    pub fn node(&self, name: &str) -> Result<&NodePlan> {
        self.plan.nodes.iter().find(|node| node.name == name).ok_or_else(|| eyre!("there is no node {name}"))
    }

    /// Process id of a running node.
    #[must_use]
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.nodes.get(name).map(Process::pid)
    }

    /// Client of a node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn rpc(&self, name: &str) -> Result<Rpc> {
        Rpc::new(&self.node(name)?.rpc_url())
    }

    /// Clients of all nodes of a role.
    ///
    /// # Errors
    /// Never in practice: the URLs are ours.
    pub fn rpcs(&self, role: Role) -> Result<Vec<Rpc>> {
        self.plan.nodes.iter().filter(|node| node.role == role).map(|node| Rpc::new(&node.rpc_url())).collect()
    }

    /// Client of the L1.
    ///
    /// # Errors
    /// Never in practice: the URL is ours.
    pub fn l1(&self) -> Result<L1Client> {
        Ok(L1Client::new(&ClientConfig::new(self.plan.l1_url()))?)
    }

    async fn wait_first_block(&mut self) -> Result<()> {
        let first = self.rpcs(Role::Sequencer)?.into_iter().next().ok_or_else(|| eyre!("no sequencer"))?;
        self.wait_for("the first block", async |_| first.height().await.is_ok_and(|height| height >= 1)).await
    }

    /// Waits until every node that hears of blocks has one, and the followers of L1, whose first block needs a batch on
    /// L1, answer.
    ///
    /// # Errors
    /// Not in time, or a process ended.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let nodes = self.plan.nodes.clone();
        for node in nodes {
            let rpc = Rpc::new(&node.rpc_url())?;
            let least = if node.role == Role::L1Follower { 0 } else { 1 };
            let what = format!("block {least} at {}", node.name);
            self.wait_for(&what, async |_| rpc.height().await.is_ok_and(|height| height >= least)).await?;
        }
        Ok(())
    }

    /// Waits for a condition while watching that no process ends.
    ///
    /// # Errors
    /// The patience is over or a process ended.
    pub async fn wait_for(&mut self, what: &str, mut holds: impl AsyncFnMut(&Self) -> bool) -> Result<()> {
        let outcome = until(START_PATIENCE, LOOK, async || {
            if let Some((name, words)) = self.ended().into_iter().next() {
                return Some(Err(eyre!("{name} ended: {words}")));
            }
            holds(self).await.then_some(Ok(()))
        });
        outcome.await.unwrap_or_else(|| {
            Err(eyre!("waited in vain for {what}; logs: {}", self.plan.folder.join("logs").display()))
        })
    }

    /// What `devnet.json` says.
    ///
    /// # Errors
    /// A process does not run.
    pub fn manifest(&self) -> Result<Manifest> {
        let l1 = self.l1.as_ref().ok_or_else(|| eyre!("the L1 does not run"))?;
        let entry = |node: &NodePlan| -> Result<NodeEntry> {
            Ok(NodeEntry {
                name: node.name.clone(),
                role: node.role,
                rpc: node.rpc_url(),
                ws: format!("ws://127.0.0.1:{}", node.rpc),
                metrics: format!("http://127.0.0.1:{}/metrics", node.metrics),
                signer: node.signer.as_ref().map(PrivateKeySigner::address),
                stake: node.stake,
                pid: self.pid(&node.name).ok_or_else(|| eyre!("{} does not run", node.name))?,
                log: self.plan.log_file(&node.name).display().to_string(),
                data_dir: self.plan.node_folder(node).join("data").display().to_string(),
            })
        };
        let account = |key: &PrivateKeySigner| AccountEntry { address: key.address(), private_key: key.to_bytes() };
        Ok(Manifest {
            data_dir: self.plan.folder.display().to_string(),
            supervisor_pid: std::process::id(),
            startup_ms: u64::try_from(self.startup.as_millis())?,
            l1: L1Entry {
                url: self.plan.l1_url(),
                ws: format!("ws://127.0.0.1:{}", self.plan.l1),
                chain_id: anvil::L1_CHAIN_ID,
                pid: l1.pid(),
                log: l1.log.display().to_string(),
            },
            chain_id: self.genesis.chain_id,
            contracts: self.genesis.l1.clone(),
            deployer: account(&keys::derived("deployer")?),
            accounts: keys::accounts()?.iter().map(account).collect(),
            nodes: self.plan.nodes.iter().map(entry).collect::<Result<_>>()?,
            pages: self.pages.as_ref().map(|pages| pages.url.clone()),
        })
    }
}

/// A data folder keeps the shape it was founded with.
fn check_shape(plan: &Plan) -> Result<()> {
    let file = plan.folder.join(SHAPE_FILE);
    let founded = plan.genesis_file().exists();
    if let (true, Ok(text)) = (founded, fs::read_to_string(&file)) {
        let old: Shape = serde_json::from_str(&text).wrap_err("shape.json is damaged: use --fresh")?;
        ensure!(
            old == plan.shape,
            "the network in {} has {} sequencers, {} followers and batches in {}: ask for the same, or use --fresh",
            plan.folder.display(),
            old.sequencers,
            old.followers,
            match old.da {
                Da::Blobs => "blobs",
                Da::Calldata => "calldata",
            }
        );
        return Ok(());
    }
    // An L1 without a genesis is the rest of a start that did not finish.
    clear(&plan.folder)?;
    fs::create_dir_all(plan.folder.join("logs")).wrap_err("data folder")?;
    fs::write(&file, serde_json::to_vec(&plan.shape)?).wrap_err("shape.json")
}

/// Removes a network's files, and nothing else that may lie in the folder.
///
/// # Errors
/// Something cannot be removed.
pub fn clear(folder: &Path) -> Result<()> {
    for name in ["logs", "nodes", "genesis.json", "l1.json", "l1.previous.json", "devnet.json", SHAPE_FILE] {
        let path = folder.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Err(_) => continue,
            Ok(data) if data.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
        };
        if let Err(error) = removed {
            bail!("cannot remove {}: {error}", path.display());
        }
    }
    Ok(())
}
