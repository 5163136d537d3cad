//! Scenarios: each on its own network in a temporary folder, bounded in time, leaving no process behind.

mod alloy_client;
mod apps;
mod bad_batch;
mod censored;
mod clients;
mod equivocation;
mod hostile;
mod l1_reorg;
mod leader_down;
mod pages;
mod pending;
mod restart_all;
mod smoke;
mod stake_lifecycle;
mod withdraw;

use std::{collections::BTreeMap, time::Duration};

use alloy::primitives::B256;
use clap::ValueEnum;
use eyre::{Result, WrapErr, eyre};
use node::config::Role;
use protocol::genesis::Params;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    client::Rpc,
    fact::Facts,
    foundation,
    network::Network,
    plan::{Plan, Shape},
};

/// Most a scenario may take, start and all.
const DEADLINE: Duration = Duration::from_secs(110);
/// The same where stake has to unbond.
const LONG_DEADLINE: Duration = Duration::from_secs(480);
/// The same where many scripts run.
const SCRIPTS_DEADLINE: Duration = Duration::from_secs(600);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// The scenarios.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Scenario {
    /// The whole path: 500 mixed transactions, batches, followers, a deposit, balances.
    Smoke,
    /// The leader is killed in mid-turn and comes back.
    LeaderDown,
    /// Everything is killed at once and started again.
    RestartAll,
    /// A leader proposes a batch with an altered block.
    BadBatch,
    /// L1 drops the block that carried a batch.
    L1Reorg,
    /// Receipts from slices: how soon they are there, and that blocks keep what they say.
    Pending,
    /// A fifth operator joins, leads, is delegated to, changes its signer, exits and claims.
    StakeLifecycle,
    /// A leader signs two proposals for one height, and pays for it.
    Equivocation,
    /// Ethers, viem, web3.py, cast, Hardhat and alloy, each with its own script.
    Clients,
    /// Applications from their published bytecode: Uniswap, Safe, Multicall3, Permit2, EntryPoint.
    Apps,
    /// Hundreds of malformed and hostile requests.
    Hostile,
    /// Sequencers drop a user's transactions, then the deposit queue too; in the end anyone posts it.
    Censored,
    /// The staking and network pages in a browser, with a wallet of the test's own.
    Pages,
    /// METIS and an ERC-20 to L2 and back with viem's OP Stack actions.
    Withdraw,
}

impl Scenario {
    const fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::LeaderDown => "leader-down",
            Self::RestartAll => "restart-all",
            Self::BadBatch => "bad-batch",
            Self::L1Reorg => "l1-reorg",
            Self::Pending => "pending",
            Self::StakeLifecycle => "stake-lifecycle",
            Self::Equivocation => "equivocation",
            Self::Clients => "clients",
            Self::Apps => "apps",
            Self::Hostile => "hostile",
            Self::Censored => "censored",
            Self::Pages => "pages",
            Self::Withdraw => "withdraw",
        }
    }

    /// Most it may take, start and all.
    const fn deadline(self) -> Duration {
        match self {
            Self::StakeLifecycle => LONG_DEADLINE,
            Self::Equivocation => Duration::from_secs(200),
            Self::Censored => Duration::from_secs(300),
            Self::Clients | Self::Apps | Self::Hostile | Self::Pages | Self::Withdraw => SCRIPTS_DEADLINE,
            _ => DEADLINE,
        }
    }

    /// Parameters of its network: sets change within seconds where a scenario is about that.
    fn params(self) -> Params {
        match self {
            Self::StakeLifecycle | Self::Equivocation => {
                Params { epoch_blocks: 20, turn_blocks: 1, ..foundation::params() }
            }
            // Many turns pass in a short time, and all that happens lies in one epoch.
            Self::Censored => Params { epoch_blocks: 800, turn_blocks: 4, ..foundation::params() },
            _ => foundation::params(),
        }
    }

    /// Fault that its sequencers start with.
    fn fault(self) -> Result<Option<String>> {
        Ok(match self {
            Self::Censored => Some(censored::fault()?),
            _ => None,
        })
    }

    async fn play(self, network: &mut Network, facts: &mut Facts) -> Result<()> {
        match self {
            Self::Smoke => smoke::play(network, facts).await,
            Self::LeaderDown => leader_down::play(network, facts).await,
            Self::RestartAll => restart_all::play(network, facts).await,
            Self::BadBatch => bad_batch::play(network, facts).await,
            Self::L1Reorg => l1_reorg::play(network, facts).await,
            Self::Pending => pending::play(network, facts).await,
            Self::StakeLifecycle => stake_lifecycle::play(network, facts).await,
            Self::Equivocation => equivocation::play(network, facts).await,
            Self::Clients => clients::play(network, facts).await,
            Self::Apps => apps::play(network, facts).await,
            Self::Hostile => hostile::play(network, facts).await,
            Self::Censored => censored::play(network, facts).await,
            Self::Pages => pages::play(network, facts).await,
            Self::Withdraw => withdraw::play(network, facts).await,
        }
    }
}

/// Runs a scenario; true when all facts hold. The folder stays when they do not, or when it is wanted.
///
/// # Errors
/// The network does not start.
pub async fn check(scenario: Scenario, keep: bool) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("horae-devnet-").tempdir().wrap_err("temporary folder")?;
    let mut facts = Facts::new(scenario.name());
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut plan = Plan::new(Shape::default(), folder.path().to_owned(), false)?;
    plan.params = scenario.params();
    plan.furnished = matches!(scenario, Scenario::Pages);
    let fault = scenario.fault()?;
    plan.nodes.iter_mut().filter(|node| node.role == Role::Sequencer).for_each(|node| node.faulty.clone_from(&fault));
    let mut network = None;
    let outcome = {
        let work = async {
            let network = network.insert(Network::start(plan).await?);
            facts.at_most("startup_seconds", network.startup.as_secs_f64(), 10.0);
            scenario.play(network, &mut facts).await
        };
        tokio::select! {
            outcome = tokio::time::timeout(scenario.deadline(), work) => {
                outcome.unwrap_or_else(|_| Err(eyre!("not finished after {} s", scenario.deadline().as_secs())))
            }
            _ = interrupt.recv() => Err(eyre!("interrupted")),
            _ = terminate.recv() => Err(eyre!("interrupted")),
        }
    };
    if let Err(error) = outcome {
        facts.holds("finished", format!("{error:#}"), false);
    }
    if let Some(mut network) = network {
        facts.equal("processes_that_ended_by_themselves", network.ended(), Vec::new());
        facts.equal("processes_that_did_not_stop_when_asked", network.stop().await, Vec::new());
    }
    let ok = facts.verdict();
    if keep || !ok {
        eprintln!("logs: {}", folder.keep().join("logs").display());
    }
    Ok(ok)
}

/// Hashes by height at one node, up to `to`.
async fn chain_of(rpc: &Rpc, from: u64, to: u64) -> Result<BTreeMap<u64, B256>> {
    let mut chain = BTreeMap::new();
    for height in from..=to {
        let block = rpc.block(height).await?.ok_or_else(|| eyre!("{} has no block {height}", rpc.url))?;
        chain.insert(height, block.hash);
    }
    Ok(chain)
}

/// Heights at which a later look disagrees with an earlier one.
fn changed(before: &BTreeMap<u64, B256>, after: &BTreeMap<u64, B256>) -> Vec<u64> {
    before
        .iter()
        .filter(|(height, hash)| after.get(height).is_some_and(|other| other != *hash))
        .map(|(height, _)| *height)
        .collect()
}

/// Waits until every node has a height, and returns the names of nodes whose block or state there differs from the
/// first one's.
async fn differing_at(network: &mut Network, height: u64) -> Result<Vec<String>> {
    let nodes: Vec<(String, Rpc)> = network
        .plan
        .nodes
        .iter()
        .map(|node| Ok((node.name.clone(), Rpc::new(&node.rpc_url())?)))
        .collect::<Result<_>>()?;
    let mut differing = Vec::new();
    let mut first = None;
    for (name, rpc) in nodes {
        let what = format!("height {height} at {name}");
        network.wait_for(&what, async |_| rpc.height().await.is_ok_and(|latest| latest >= height)).await?;
        let block = rpc.block(height).await?.ok_or_else(|| eyre!("{name} lost block {height}"))?;
        let found = (block.hash, block.state_root);
        if *first.get_or_insert(found) != found {
            differing.push(name);
        }
    }
    Ok(differing)
}

/// Newest height over all sequencers that answer.
async fn newest(network: &Network) -> Result<u64> {
    let mut best = 0;
    for rpc in network.rpcs(Role::Sequencer)? {
        best = best.max(rpc.height().await.unwrap_or_default());
    }
    Ok(best)
}
