//! `withdraw`: METIS and an ERC-20 to L2 and back with viem's OP Stack actions.

use std::time::Duration;

use eyre::Result;

use crate::{
    fact::Facts,
    network::Network,
    script::{self, Script},
};

/// Most it may take: three crossings and the finalization window.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    script::prepare(network).await?;
    script::run(network, facts, "withdraw", Script::Node(&["bridge/withdraw.mjs"]), 5, PATIENCE).await
}
