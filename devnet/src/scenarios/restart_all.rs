//! `restart-all`: everything is killed at once, the L1 included, and started again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alloy::primitives::B256;
use eyre::{Result, eyre};
use node::config::Role;

use super::{LOOK, chain_of, changed, differing_at, newest};
use crate::{anvil, client::Rpc, fact::Facts, load::Load, network::Network, registry, wait::until};

/// Blocks made before everything is killed.
const BLOCKS_BEFORE: u64 = 24;
/// Blocks wanted afterwards.
const BLOCKS_AFTER: u64 = 12;
/// Time for one stage.
const PATIENCE: Duration = Duration::from_secs(40);

/// What was seen before the kill.
#[derive(Default)]
struct Seen {
    /// Block of each transaction that had a receipt.
    receipts: BTreeMap<B256, B256>,
    /// Blocks by height, by node.
    chains: BTreeMap<String, BTreeMap<u64, B256>>,
}

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let load = Load::start(network.rpcs(Role::Sequencer)?)?;
    let begin = newest(network).await?;
    network
        .wait_for("blocks and a batch before the kill", async |network| {
            anvil::keep_copy(&network.plan.folder);
            let high = newest(network).await.is_ok_and(|height| height >= begin + BLOCKS_BEFORE);
            high && registry::accepted(network).await.is_ok_and(|batches| !batches.is_empty())
        })
        .await?;
    let seen = look(network, &load.sent()).await?;
    let batches_before = registry::accepted(network).await?.len();
    network.kill_all().await;
    let killed_at = seen.chains.values().filter_map(|chain| chain.keys().max()).max().copied().unwrap_or_default();
    facts.at_least("transactions_with_receipt_before_the_kill", seen.receipts.len(), 50);
    facts.figure("height_at_the_kill", killed_at);

    let restart = Instant::now();
    network.start_l1().await?;
    network.start_nodes()?;
    network
        .wait_for("new blocks", async |network| newest(network).await.is_ok_and(|height| height > killed_at))
        .await?;
    facts.figure("seconds_to_the_next_block", restart.elapsed().as_secs_f64());
    let goal = killed_at + BLOCKS_AFTER;
    network.wait_for("more blocks", async |network| newest(network).await.is_ok_and(|height| height >= goal)).await?;

    let rpcs = network.rpcs(Role::Sequencer)?;
    let (lost, moved) = missing(&rpcs, &seen.receipts).await?;
    facts.equal("transactions_lost", lost, 0);
    facts.equal("transactions_in_another_block", moved, 0);
    let differing = differing_at(network, goal).await?;
    facts.holds("nodes_with_another_block_or_root", &differing, differing.is_empty());
    let mut rewritten = Vec::new();
    let common = chain_of(rpcs.first().ok_or_else(|| eyre!("no sequencer"))?, 0, goal).await?;
    for (name, before) in &seen.chains {
        let after = chain_of(&network.rpc(name)?, 0, goal).await?;
        let heights = [changed(before, &after), changed(&after, &common)].concat();
        rewritten.extend(heights.into_iter().map(|height| (name.clone(), height)));
    }
    facts.holds("heights_with_two_blocks", &rewritten, rewritten.is_empty());
    let fresh = load.sent().last().copied().ok_or_else(|| eyre!("nothing was sent"))?;
    let included = until(PATIENCE, LOOK, async || rpcs.first()?.receipt(fresh).await.ok().flatten());
    facts.holds("new_transactions_are_included", fresh, included.await.is_some());
    let more = until(PATIENCE, LOOK, async || {
        let batches = registry::accepted(network).await.ok()?;
        (batches.len() > batches_before).then_some(batches.len())
    });
    facts.at_least("batches_on_l1", more.await.unwrap_or_default(), batches_before + 1);
    Ok(())
}

async fn look(network: &Network, sent: &[B256]) -> Result<Seen> {
    let mut seen = Seen::default();
    let rpcs = network.rpcs(Role::Sequencer)?;
    for hash in sent {
        for rpc in &rpcs {
            // A receipt at any node counts as promised.
            if let Some(receipt) = rpc.receipt(*hash).await? {
                seen.receipts.insert(*hash, receipt.block_hash);
                break;
            }
        }
    }
    for name in network.names() {
        let rpc = network.rpc(&name)?;
        let height = rpc.height().await?;
        seen.chains.insert(name, chain_of(&rpc, 0, height).await?);
    }
    Ok(seen)
}

/// Transactions without receipt, and with one in another block, over all sequencers.
async fn missing(rpcs: &[Rpc], receipts: &BTreeMap<B256, B256>) -> Result<(usize, usize)> {
    let (mut lost, mut moved) = (0, 0);
    for (hash, block) in receipts {
        for rpc in rpcs {
            match rpc.receipt(*hash).await? {
                None => lost += 1,
                Some(receipt) if receipt.block_hash != *block => moved += 1,
                Some(_) => {}
            }
        }
    }
    Ok((lost, moved))
}
