//! `l1-reorg`: the L1 drops the block that carried a batch; the batch comes again, and L2 does not notice.

use std::time::Duration;

use alloy::{providers::ext::AnvilApi, rpc::types::anvil::ReorgOptions};
use eyre::{Result, WrapErr, eyre};
use node::config::Role;

use super::{LOOK, chain_of, changed, differing_at, newest};
use crate::{
    fact::Facts,
    load::Load,
    network::Network,
    registry::{self, Accepted},
    wait::until,
};

/// A block this deep is final on the development L1; the reorg stays above it.
const FINAL_DEPTH: u64 = 4;
/// Blocks wanted after the reorg.
const BLOCKS_AFTER: u64 = 8;
/// Time for one stage.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let _load = Load::start(network.rpcs(Role::Sequencer)?)?;
    let known = registry::accepted(network).await?.len();
    let (victim, depth) = fresh_batch(network, known).await?;
    let rpc = network.rpc("sequencer-0")?;
    let height = rpc.height().await?;
    let before = chain_of(&rpc, 0, height).await?;
    let old_block = network.l1()?.header_by_number(victim.l1_number).await?.origin.hash;
    let options = ReorgOptions { depth, tx_block_pairs: Vec::new() };
    network.l1()?.provider().anvil_reorg(options).await.wrap_err("anvil_reorg")?;
    let new_block = network.l1()?.header_by_number(victim.l1_number).await.map(|header| header.origin.hash);
    facts.holds("l1_block_replaced", (victim.l1_number, depth), new_block.is_ok_and(|hash| hash != old_block));
    let gone = !registry::accepted(network).await?.iter().any(|batch| batch.transaction == victim.transaction);
    facts.holds("batch_dropped_by_l1", victim.header.index, gone);

    let again = until(PATIENCE, LOOK, async || {
        let batches = registry::accepted(network).await.ok()?;
        batches.into_iter().find(|batch| batch.header.index == victim.header.index)
    });
    let again = again.await.ok_or_else(|| eyre!("batch {} was not posted again", victim.header.index))?;
    facts.equal("posted_again_with_the_same_header", again.hash, victim.hash);
    let goal = height.saturating_add(BLOCKS_AFTER);
    network
        .wait_for("blocks after the reorg", async |network| newest(network).await.is_ok_and(|latest| latest >= goal))
        .await?;
    let differing = differing_at(network, again.header.lastHeight.max(height)).await?;
    facts.holds("nodes_with_another_block_or_root", &differing, differing.is_empty());
    let mut rewritten = Vec::new();
    for rpc in network.rpcs(Role::Sequencer)? {
        rewritten.extend(changed(&before, &chain_of(&rpc, 0, height).await?));
    }
    facts.equal("l2_blocks_changed", rewritten, Vec::new());
    let last = again.header.lastHeight;
    let settled = until(PATIENCE, LOOK, async || {
        let status = rpc.status().await.ok()?;
        (status.finalized.number() >= last).then_some(status.finalized.number())
    });
    let settled = settled.await;
    facts.holds("finalized_head_passes_the_batch", settled, settled.is_some());
    Ok(())
}

/// A batch that has just come to L1 and is not final, with the depth that drops its block.
async fn fresh_batch(network: &Network, known: usize) -> Result<(Accepted, u64)> {
    let found = until(PATIENCE, Duration::from_millis(10), async || {
        let batches = registry::accepted(network).await.ok()?;
        let newest = (batches.len() > known).then(|| batches.into_iter().last()).flatten()?;
        let head = registry::l1_number(network).await.ok()?;
        // One more than needed: L1 may make a block before the reorg comes.
        let depth = head.saturating_sub(newest.l1_number).saturating_add(2);
        (depth < FINAL_DEPTH).then_some((newest, depth))
    });
    let (batch, depth) = found.await.ok_or_else(|| eyre!("no batch came to L1"))?;
    Ok((batch, depth))
}
