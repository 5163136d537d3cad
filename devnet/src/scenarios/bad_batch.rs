//! `bad-batch`: a leader proposes a batch in whose data one block is altered. Nobody signs it, L1 refuses it, the next
//! leader posts the right one.

use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_sol_types::SolError;
use eyre::{Result, WrapErr, ensure, eyre};
use l1::contracts::{BatchRegistry, bound};
use node::config::Role;
use protocol::{BatchHeader, signing::CompactSignature};

use super::{LOOK, chain_of, differing_at};
use crate::{
    fact::Facts,
    faulty::confession_file,
    keys,
    load::Load,
    metrics,
    network::Network,
    registry::{self, Accepted},
    wait::until,
};

/// The faulty node's turn begins at least this many blocks after it is chosen: it must be restarted before.
const LEAD_BLOCKS: u64 = 12;
/// Time for one stage.
const PATIENCE: Duration = Duration::from_secs(60);
/// Attempts to ask the registry about a header while batches go on.
const ATTEMPTS: usize = 10;

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let (name, signer) = choose(network).await?;
    network.kill_node(&name).await?;
    if let Some(node) = network.plan.nodes.iter_mut().find(|node| node.name == name) {
        node.faulty = Some("bad-batch".to_owned());
    }
    network.start_node(&name)?;
    let since = registry::l1_number(network).await?;
    facts.figure("faulty_node", (&name, signer));
    let refused_before = refusals(network, &name).await?;
    lead(network, &name, signer).await?;
    let confession = confession_file(&network.plan.node_folder(network.node(&name)?).join("horae.toml"));
    let altered = until(PATIENCE, LOOK, async || {
        let text = std::fs::read_to_string(&confession).ok()?;
        text.lines().next()?.parse::<u64>().ok()
    });
    let altered_ms = altered.await.ok_or_else(|| eyre!("the faulty leader never proposed a batch"))?;
    let honest = network.plan.sequencers().find(|node| node.name != name).map(|node| node.name.clone());
    let honest = network.rpc(&honest.ok_or_else(|| eyre!("no honest node"))?)?;
    let height = height_before(&honest, altered_ms).await?;
    facts.figure("altered_height", height);

    let refused = until(PATIENCE, LOOK, async || {
        let after = refusals(network, &name).await.ok()?;
        after.iter().zip(&refused_before).all(|(after, before)| after > before).then_some(after.len())
    });
    // A member that refuses a proposal gives no signature for it.
    facts.equal("honest_members_that_refused_to_sign", refused.await, Some(refused_before.len()));
    refused_by_l1(network, facts, signer).await?;

    let posted = until(PATIENCE, LOOK, async || {
        let batches = registry::accepted(network).await.ok()?;
        batches.into_iter().find(|batch| (batch.header.firstHeight..=batch.header.lastHeight).contains(&height))
    });
    let posted = posted.await.ok_or_else(|| eyre!("no batch with height {height} came to L1"))?;
    let poster = registry::sender_of(network, posted.transaction).await?;
    facts.holds("next_leader_posts_the_right_one", (posted.header.index, poster), poster != signer);
    let by_faulty = posted_by(network, signer, since).await?;
    facts.holds("batches_posted_by_the_faulty_leader", &by_faulty, by_faulty.is_empty());
    let chain = chain_of(&honest, 1, posted.header.lastHeight).await?;
    let hashes: Vec<B256> = chain.range(posted.header.firstHeight..).map(|(_, hash)| *hash).collect();
    facts.equal("blocks_root_of_the_posted_batch", posted.header.blocksRoot, protocol::batch::blocks_root(&hashes));
    // A follower that sees only L1 rebuilds its blocks from the data: an altered block would make another chain.
    let differing = differing_at(network, posted.header.lastHeight).await?;
    facts.holds("nodes_with_another_block_or_root", &differing, differing.is_empty());
    Ok(())
}

/// Brings the faulty node's turn about: transactions make heights pass fast until it leads, and without them its turn
/// lasts long enough for batches to become due.
async fn lead(network: &mut Network, name: &str, signer: Address) -> Result<()> {
    let _load = Load::start(network.rpcs(Role::Sequencer)?)?;
    let honest = network.plan.sequencers().find(|node| node.name != name).map(|node| node.name.clone());
    let honest = network.rpc(&honest.ok_or_else(|| eyre!("no honest node"))?)?;
    let leads = until(PATIENCE, LOOK, async || {
        let turn = honest.status().await.ok()?.turn?;
        let begun = turn.leads_now == Some(signer) && honest.height().await.ok()? >= turn.first();
        begun.then_some(())
    });
    leads.await.ok_or_else(|| eyre!("{name} did not come to lead"))
}

/// Proposals refused so far by each sequencer but one.
async fn refusals(network: &Network, but: &str) -> Result<Vec<f64>> {
    let mut counts = Vec::new();
    for node in network.plan.sequencers().filter(|node| node.name != but) {
        counts.push(metrics::counter(node.metrics, "horae_batch_proposals_refused_total").await?);
    }
    Ok(counts)
}

/// A sequencer whose turn comes soon, but not too soon to be restarted before.
async fn choose(network: &Network) -> Result<(String, Address)> {
    let rpc = network.rpc("sequencer-0")?;
    let height = rpc.height().await?;
    let turns = rpc.schedule(0).await?.ok_or_else(|| eyre!("no schedule of epoch 0"))?.turns;
    // Not the leader of the moment: its turn would end before it could lie.
    let now = turns.iter().find(|turn| turn.last() > height).map(|turn| turn.leader);
    let turn = turns.iter().find(|turn| turn.first() >= height.saturating_add(LEAD_BLOCKS) && Some(turn.leader) != now);
    let leader = turn.ok_or_else(|| eyre!("no turn left in epoch 0"))?.leader;
    let node = network.plan.sequencers().find(|node| node.signer.as_ref().is_some_and(|s| s.address() == leader));
    Ok((node.ok_or_else(|| eyre!("{leader} is no sequencer"))?.name.clone(), leader))
}

/// Height of the block that was altered: the one at the time before the shift.
async fn height_before(rpc: &crate::client::Rpc, altered_ms: u64) -> Result<u64> {
    let latest = rpc.height().await?;
    for height in (1..=latest).rev() {
        let block = rpc.block(height).await?.ok_or_else(|| eyre!("no block {height}"))?;
        if block.time_ms() < altered_ms {
            return Ok(height);
        }
    }
    Err(eyre!("no block before {altered_ms} ms"))
}

/// The registry refuses a forged batch with the leader's own signature, and for no other reason than its weight: with
/// the signatures of all it would be taken.
async fn refused_by_l1(network: &Network, facts: &mut Facts, signer: Address) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let (header, data) = forge(network).await?;
        let alone = registry::would_accept(network, &signed(network, &header, &data, Some(signer))?, signer).await?;
        let together = registry::would_accept(network, &signed(network, &header, &data, None)?, signer).await?;
        // A batch that came to L1 in between makes the header stale for both.
        let Err(reason) = alone else {
            facts.holds("registry_refuses_the_leaders_own_signature", "accepted", false);
            return Ok(());
        };
        let Ok(refused) = BatchRegistry::NoQuorum::abi_decode(&reason) else { continue };
        if together.is_err() {
            continue;
        }
        let own = network.genesis.set.weight_of(signer).map(|weight| weight.0.to_string());
        let figures = (refused.signed.to_string(), refused.total.to_string());
        facts.holds("registry_refuses_the_leaders_own_signature", &figures, own.as_ref() == Some(&figures.0));
        facts.holds("registry_would_take_all_signatures", true, true);
        return Ok(());
    }
    facts.holds("registry_refuses_the_leaders_own_signature", "no stable answer", false);
    Ok(())
}

/// A header that follows the newest batch, over data that are not the chain's.
pub(super) async fn forge(network: &Network) -> Result<(BatchHeader, Bytes)> {
    let parent = until(PATIENCE, LOOK, async || registry::accepted(network).await.ok()?.into_iter().last());
    let parent = parent.await.ok_or_else(|| eyre!("no batch to follow"))?;
    let Accepted { header: before, hash, .. } = parent;
    let rpc = network.rpc("follower-0")?;
    let height = before.lastHeight.saturating_add(1);
    let block = until(PATIENCE, LOOK, async || rpc.block(height).await.ok().flatten()).await;
    let block = block.ok_or_else(|| eyre!("no block {height}"))?;
    let data = Bytes::from_static(b"one altered block");
    let header = BatchHeader {
        index: before.index.saturating_add(1),
        parentHash: hash,
        firstHeight: height,
        lastHeight: height,
        lastBlockHash: block.hash,
        stateRoot: block.state_root,
        blocksRoot: protocol::batch::blocks_root(&[block.hash]),
        dataHash: keccak256(&data),
        ..before
    };
    Ok((header, data))
}

/// A call with the certificate of one member, or of all.
pub(super) fn signed(
    network: &Network,
    header: &BatchHeader,
    data: &Bytes,
    only: Option<Address>,
) -> Result<BatchRegistry::submitBatchCall> {
    let set = &network.genesis.set;
    let digest = network.genesis.domain().digest(header);
    let mut bitmap = U256::ZERO;
    let mut signatures = Vec::new();
    for (index, member) in set.members().iter().enumerate() {
        if only.is_some_and(|only| only != member.signer) {
            continue;
        }
        let node =
            network.plan.sequencers().find(|node| node.signer.as_ref().is_some_and(|s| s.address() == member.signer));
        let key = keys::derived(&node.ok_or_else(|| eyre!("{} is no sequencer", member.signer))?.name)?;
        let signature = CompactSignature::sign(key.credential(), &digest).wrap_err("signing")?;
        bitmap.set_bit(index, true);
        signatures.extend_from_slice(&signature.0);
    }
    ensure!(!signatures.is_empty(), "nobody signs");
    Ok(BatchRegistry::submitBatchCall {
        header: bound(header),
        members: set.words(),
        bitmap,
        signatures: signatures.into(),
        data: data.clone(),
    })
}

/// Batches a sequencer posted after an L1 block; none may come from one whose proposals are all altered.
async fn posted_by(network: &Network, signer: Address, since: u64) -> Result<Vec<u64>> {
    let mut found = Vec::new();
    for batch in registry::accepted(network).await? {
        if batch.l1_number > since && registry::sender_of(network, batch.transaction).await? == signer {
            found.push(batch.header.index);
        }
    }
    Ok(found)
}
