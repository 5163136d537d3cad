//! `stake-lifecycle`: a fifth operator joins, leads, is delegated to, is rewarded, changes its signer without losing a turn, exits
//! and claims. Nobody but the nodes keeps the L1 side going.

use std::{collections::BTreeSet, time::Duration};

use alloy::primitives::{Address, U256, address};
use alloy_sol_types::{SolCall, sol};
use eyre::{Result, eyre};
use l1::{
    Snapshot,
    contracts::{Rewards, Staking},
};
use node::config::Role;

use super::{LOOK, differing_at, newest};
use crate::{
    client::Rpc,
    fact::Facts,
    keys,
    load::Load,
    network::Network,
    registry,
    stake::{Account, event_in, metis, operator_of, pool, snapshots_since},
    wait::until,
};

sol! {
    /// The L1 attributes predeploy, as far as this scenario asks it.
    function number() external view returns (uint64);
}

/// The L1 attributes predeploy.
const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// Time for one stage.
const PATIENCE: Duration = Duration::from_secs(120);
/// METIS the operator stakes: a third of the weight, so that it leads often.
const STAKE: u64 = 60_000;
/// METIS delegated to it.
const DELEGATED: u64 = 10_000;
/// METIS in the reward stream.
const STREAM: u64 = 1_000;

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let _load = Load::start(network.rpcs(Role::Sequencer)?)?;
    let deployer = Account::open(network, "deployer").await?;
    let staking = network.genesis.l1.staking;
    let rpc = network.rpc("sequencer-0")?;

    let name = network.plan.add_sequencer()?;
    // Its signer pays on L1.
    Account::open(network, &name).await?;
    network.start_node(&name)?;
    let signer = network.node(&name)?.signer.clone().ok_or_else(|| eyre!("{name} has no signer"))?.address();
    let owner = Account::open(network, "owner of the fifth").await?;
    owner.fund(&deployer, metis(STAKE), staking).await?;
    let register = Staking::registerCall { amount: metis(STAKE).to(), signer, recipient: owner.address() };
    let joined = owner.stake(&register).await?.block_number.unwrap_or_default();
    let operator = operator_of(network, signer).await?;
    facts.figure("operator", operator);
    let seen = snapshot_with(network, joined, |snapshot| weight_of(snapshot, signer) == STAKE).await?;
    facts.holds("in_a_snapshot_with_its_stake", seen.set.snapshot.0, true);
    let known = epoch_of_origin(&rpc, seen.l1_number).await?;
    let (led_at, led_in) = leads(network, &rpc, signer).await?;
    facts.holds("leads_within_two_epochs", (known, led_in, led_at), led_in <= known.saturating_add(2));

    let delegator = Account::open(network, "delegator").await?;
    let amount = metis(DELEGATED);
    delegator.fund(&deployer, amount, staking).await?;
    let delegate = Staking::delegateCall { operatorId: operator, amount: amount.to(), minShares: U256::ZERO };
    let delegated = delegator.stake(&delegate).await?.block_number.unwrap_or_default();
    let heavier =
        snapshot_with(network, delegated, |snapshot| weight_of(snapshot, signer) >= STAKE + DELEGATED).await?;
    facts.holds("delegation_counts_in_a_snapshot", weight_of(&heavier, signer), true);
    deployer.fund(&deployer, metis(STREAM), network.genesis.l1.rewards).await?;
    deployer.call(network.genesis.l1.rewards, &Rewards::fundCall { amount: metis(STREAM) }).await?;

    rotate(network, facts, &rpc, &name, &owner, operator).await?;
    let price = pool(network, operator).await?.price;
    facts.holds("rewards_raised_the_share_price", price.to_string(), price > metis(1));
    leave(network, facts, &owner, &delegator, operator).await?;

    let top = newest(network).await?;
    let differing = differing_at(network, top).await?;
    facts.holds("nodes_with_another_block_or_root", (top, &differing), differing.is_empty());
    Ok(())
}

fn weight_of(snapshot: &Snapshot, signer: Address) -> u64 {
    snapshot.set.weight_of(signer).map_or(0, |weight| weight.0)
}

/// The first snapshot of its kind since an L1 block; nodes take them by themselves.
async fn snapshot_with(network: &Network, since: u64, wanted: impl Fn(&Snapshot) -> bool) -> Result<Snapshot> {
    let found = until(PATIENCE, LOOK, async || {
        snapshots_since(network, since).await.ok()?.into_iter().find(|snapshot| wanted(snapshot))
    });
    found.await.ok_or_else(|| eyre!("no snapshot as it should be since L1 block {since}"))
}

/// Epoch in which L2 first stands on an L1 block.
async fn epoch_of_origin(rpc: &Rpc, l1_number: u64) -> Result<u64> {
    let input: alloy::primitives::Bytes = numberCall {}.abi_encode().into();
    let reached = until(PATIENCE, LOOK, async || {
        let answer = rpc.eth_call(L1_BLOCK, input.clone()).await.ok()?;
        let origin = numberCall::abi_decode_returns(&answer).ok()?;
        if origin < l1_number {
            return None;
        }
        Some(rpc.status().await.ok()?.epoch())
    });
    reached.await.ok_or_else(|| eyre!("L2 never stood on L1 block {l1_number}"))
}

/// First block of a leader from now on: its height and epoch.
async fn leads(network: &Network, rpc: &Rpc, leader: Address) -> Result<(u64, u64)> {
    let mut next = rpc.height().await?;
    let found = until(PATIENCE, LOOK, async || {
        while let Ok(Some(block)) = rpc.block(next).await {
            if block.leader() == Some(leader) {
                return Some(next);
            }
            next += 1;
        }
        None
    });
    let height = found.await.ok_or_else(|| eyre!("{leader} never led"))?;
    Ok((height, network.genesis.params.epoch_of(protocol::Height(height)).0))
}

/// The node gets its next key, the owner names it on L1, and every turn of both keys is served.
async fn rotate(
    network: &mut Network,
    facts: &mut Facts,
    rpc: &Rpc,
    name: &str,
    owner: &Account,
    operator: u64,
) -> Result<()> {
    let old = network.node(name)?.signer.clone().ok_or_else(|| eyre!("{name} has no signer"))?.address();
    let next = keys::derived("next signer of the fifth")?;
    let signer = next.address();
    network.stop_node(name).await?;
    if let Some(node) = network.plan.nodes.iter_mut().find(|node| node.name == name) {
        node.next_signer = Some(next);
    }
    network.start_node(name)?;
    let back = network.rpc(name)?;
    let caught_up = until(PATIENCE, LOOK, async || {
        let (mine, theirs) = (back.height().await.ok()?, rpc.height().await.ok()?);
        (mine.saturating_add(1) >= theirs).then_some(mine)
    });
    caught_up.await.ok_or_else(|| eyre!("{name} does not catch up"))?;
    let rotated = owner.stake(&Staking::rotateSignerCall { operatorId: operator, signer }).await?;
    let since = rotated.block_number.unwrap_or_default();
    snapshot_with(network, since, |snapshot| weight_of(snapshot, signer) > 0).await?;
    let (_, first) = leads(network, rpc, signer).await?;
    let params = &network.genesis.params;
    let end = params.last_height(protocol::Epoch(first)).0;
    let over = until(PATIENCE, LOOK, async || (rpc.height().await.ok()? > end).then_some(()));
    over.await.ok_or_else(|| eyre!("epoch {first} does not end"))?;
    let mut turns = 0usize;
    let mut lost = Vec::new();
    for epoch in [first.saturating_sub(1), first] {
        let schedule = rpc.schedule(epoch).await?.ok_or_else(|| eyre!("no schedule of epoch {epoch}"))?;
        for turn in schedule.turns.iter().filter(|turn| [old, signer].contains(&turn.leader)) {
            turns = turns.saturating_add(1);
            let block = rpc.block(turn.last()).await?.ok_or_else(|| eyre!("no block {}", turn.last()))?;
            if block.leader() != Some(turn.leader) {
                lost.push(turn.last());
            }
        }
    }
    facts.at_least("turns_around_the_rotation", turns, 2);
    facts.holds("turns_lost_by_the_rotation", &lost, lost.is_empty());
    let signed = until(PATIENCE, LOOK, async || signed_by(network, since, signer).await.ok()?);
    let batch = signed.await;
    facts.holds("batch_signed_with_the_new_key", batch, batch.is_some());
    Ok(())
}

/// First accepted batch that a member has signed.
async fn signed_by(network: &Network, since: u64, signer: Address) -> Result<Option<u64>> {
    let sets = snapshots_since(network, since).await?;
    for batch in registry::accepted(network).await? {
        let set = sets.iter().find(|snapshot| snapshot.set.snapshot.0 == batch.header.snapshotId);
        let index = set.and_then(|snapshot| snapshot.set.index_of(signer));
        if index.is_some_and(|index| batch.bitmap.bit(index)) {
            return Ok(Some(batch.header.index));
        }
    }
    Ok(None)
}

/// Everything comes back: the stake in full, the delegation with what it earned, the operator's rewards.
async fn leave(
    network: &mut Network,
    facts: &mut Facts,
    owner: &Account,
    delegator: &Account,
    operator: u64,
) -> Result<()> {
    let l1 = network.l1()?;
    let staking = network.genesis.l1.staking;
    let view = delegator.delegation(operator).await?;
    let undelegate = Staking::undelegateCall {
        operatorId: operator,
        series: view.series,
        shares: view.shares,
        minAssets: metis(DELEGATED),
    };
    let asked = event_in::<Staking::UnbondingRequested>(&delegator.stake(&undelegate).await?)?;
    let receipt = owner.stake(&Staking::exitCall { operatorId: operator }).await?;
    let left = event_in::<Staking::UnbondingRequested>(&receipt)?;
    let since = receipt.block_number.unwrap_or_default();
    let rewards = l1.read(staking, &Staking::rewardsOfCall { operatorId: operator }).await?;
    facts.holds("operators_rewards_wei", rewards.to_string(), !rewards.is_zero());
    owner.stake(&Staking::claimRewardsCall { operatorId: operator }).await?;
    let own = owner.balance().await?;
    facts.holds("rewards_claimed", own.to_string(), own >= rewards);

    let date = asked.releaseAt.max(left.releaseAt);
    let now = async || Some(l1.header_at_tag(l1::Tag::Latest).await.ok()?.origin.timestamp);
    let wait = date.saturating_sub(now().await.unwrap_or_default());
    facts.figure("seconds_until_the_claim", wait);
    let due =
        until(Duration::from_secs(wait).saturating_add(PATIENCE), LOOK, async || (now().await? >= date).then_some(()));
    due.await.ok_or_else(|| eyre!("L1 time stands still"))?;
    owner.stake(&Staking::claimCall { requestId: left.requestId }).await?;
    delegator.stake(&Staking::claimCall { requestId: asked.requestId }).await?;
    facts.equal("stake_back_wei", owner.balance().await?.saturating_sub(own).to_string(), metis(STAKE).to_string());
    let got = delegator.balance().await?;
    facts.holds("delegation_back_with_rewards_wei", got.to_string(), got > metis(DELEGATED));
    let gone = snapshot_with(network, since, |snapshot| {
        let members: BTreeSet<Address> = snapshot.set.members().iter().map(|member| member.signer).collect();
        members.len() == network.plan.shape.sequencers
    });
    facts.holds("gone_from_a_snapshot", gone.await?.set.snapshot.0, true);
    Ok(())
}
