//! `pages`: the staking page and the network page in headless Chromium, with a wallet that signs with a development key.

use std::time::Duration;

use eyre::{Result, ensure};

use crate::{
    fact::Facts,
    network::Network,
    script::{self, Script},
};

/// Most the staking page may take: stake unbonds meanwhile.
const STAKING_PATIENCE: Duration = Duration::from_secs(300);
/// Most the network page may take.
const NETWORK_PATIENCE: Duration = Duration::from_secs(270);
/// Node that is killed before the network page is looked at.
const KILLED: &str = "follower-0";

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    ensure!(network.serve_pages().await?, "the pages are not built: run `./x setup`");
    network.manifest()?.write(&network.plan.folder)?;
    script::run(network, facts, "staking-page", Script::Node(&["pages/staking.mjs"]), 14, STAKING_PATIENCE).await?;
    network.kill_node(KILLED).await?;
    script::run(network, facts, "network-page", Script::Node(&["pages/network.mjs"]), 14, NETWORK_PATIENCE).await?;
    network.start_node(KILLED)?;
    network.wait_ready().await
}
