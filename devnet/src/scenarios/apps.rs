//! `apps`: applications as their authors published them, deployed and used.

use std::time::Duration;

use eyre::Result;

use crate::{
    fact::Facts,
    network::Network,
    script::{self, Script},
};

/// Most one application may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Name, file and least number of tests of each application.
const APPS: [(&str, Script, u64); 6] = [
    ("uniswap-v2", Script::Node(&["apps/uniswap-v2.mjs"]), 6),
    ("uniswap-v3", Script::Node(&["apps/uniswap-v3.mjs"]), 5),
    ("safe", Script::Node(&["apps/safe.mjs"]), 5),
    ("multicall3", Script::Node(&["apps/multicall3.mjs"]), 3),
    ("permit2", Script::Node(&["apps/permit2.mjs"]), 3),
    ("entrypoint", Script::Node(&["apps/entrypoint.mjs"]), 3),
];

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    script::prepare(network).await?;
    for (name, app, least) in APPS {
        script::run(network, facts, name, app, least, PATIENCE).await?;
    }
    Ok(())
}
