//! `clients`: the libraries that wallets, scripts and indexers are made of, each with its own script against one network.

use std::time::Duration;

use eyre::Result;

use super::alloy_client;
use crate::{
    fact::Facts,
    network::Network,
    script::{self, Script},
};

/// Most one library may take.
const PATIENCE: Duration = Duration::from_secs(150);

/// Name, script and least number of tests of each library.
const LIBRARIES: [(&str, Script, u64); 5] = [
    ("ethers", Script::Node(&["clients/ethers.mjs"]), 16),
    ("viem", Script::Node(&["clients/viem.mjs"]), 19),
    ("web3.py", Script::Python("clients.py"), 14),
    ("cast", Script::Node(&["clients/cast.mjs"]), 11),
    ("hardhat", Script::Hardhat, 11),
];

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let probe = script::prepare(network).await?;
    alloy_client::play(network, facts, &probe).await?;
    for (name, library, least) in LIBRARIES {
        script::run(network, facts, name, library, least, PATIENCE).await?;
    }
    Ok(())
}
