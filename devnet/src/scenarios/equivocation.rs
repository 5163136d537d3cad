//! `equivocation`: a leader signs two proposals for one height. Other nodes show it to L1 by themselves; the operator's weight is
//! gone from the next snapshot, delegators lose the same part as the operator, whoever showed it gets the bounty.

use std::time::Duration;

use alloy::primitives::U256;
use eyre::{Result, eyre};
use l1::contracts::{DevnetMetis, Slashing, Staking};
use node::config::Role;

use super::{LOOK, differing_at, newest};
use crate::{
    fact::Facts,
    faulty::confession_file,
    load::Load,
    network::Network,
    registry,
    stake::{Account, events, metis, operator_of, pool, snapshots_since},
    wait::until,
};

/// Time for one stage.
const PATIENCE: Duration = Duration::from_secs(90);
/// Who lies.
const LIAR: &str = "sequencer-2";
/// METIS delegated to it.
const DELEGATED: u64 = 10_000;
/// What an operator loses that offended alone: 1 %.
const ALONE: u64 = 100;
/// Part of a slash that is the submitter's, in percent.
const BOUNTY_PERCENT: u64 = 15;
/// `ISlashing.Offence.Proposal`.
const PROPOSAL: u8 = 1;

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let liar = network.node(LIAR)?.clone();
    let signer = liar.signer.as_ref().ok_or_else(|| eyre!("{LIAR} has no signer"))?.address();
    let operator = operator_of(network, signer).await?;
    let (deployer, delegator) = (Account::open(network, "deployer").await?, Account::open(network, "delegator").await?);
    let amount = metis(DELEGATED);
    delegator.fund(&deployer, amount, network.genesis.l1.staking).await?;
    delegator
        .stake(&Staking::delegateCall { operatorId: operator, amount: amount.to(), minShares: U256::ZERO })
        .await?;
    let before = (pool(network, operator).await?, delegator.delegation(operator).await?.assets);
    facts.equal("delegated_wei", before.1.to_string(), amount.to_string());

    let since = registry::l1_number(network).await?;
    network.kill_node(LIAR).await?;
    if let Some(node) = network.plan.nodes.iter_mut().find(|node| node.name == LIAR) {
        node.faulty = Some("double-sign".to_owned());
    }
    network.start_node(LIAR)?;
    let _load = Load::start(network.rpcs(Role::Sequencer)?)?;
    let confession = confession_file(&network.plan.node_folder(network.node(LIAR)?).join("horae.toml"));
    let lied = until(PATIENCE, LOOK, async || std::fs::read_to_string(&confession).ok()?.lines().next()?.parse().ok());
    let height: u64 = lied.await.ok_or_else(|| eyre!("{LIAR} never led"))?;
    facts.figure("signed_twice_at_height", height);

    let contract = network.genesis.l1.slashing;
    let opened = until(PATIENCE, LOOK, async || {
        events::<Slashing::CaseOpened>(network, contract, since).await.ok()?.into_iter().next()
    });
    let (case, log) = opened.await.ok_or_else(|| eyre!("nobody showed the evidence to L1"))?;
    let submitter =
        network.plan.sequencers().find(|node| node.signer.as_ref().is_some_and(|s| s.address() == case.submitter));
    let submitter_name = submitter.map(|node| node.name.clone());
    facts.holds(
        "a_node_showed_the_evidence",
        &submitter_name,
        submitter_name.as_ref().is_some_and(|name| name != LIAR),
    );
    facts.equal("accused_operator", case.operatorId, operator);
    let offence = events::<Slashing::OffenceRecorded>(network, contract, since).await?.into_iter().next();
    let offence = offence.ok_or_else(|| eyre!("no offence is recorded"))?.0;
    facts.equal("offence_at_height", offence.height, height);
    facts.equal("offence_by", offence.signer, signer);
    facts.holds("offence_is_a_second_proposal", offence.offence, offence.offence == PROPOSAL);

    weight_is_gone(network, facts, signer, log.block_number.unwrap_or(since)).await?;
    let executed = until(PATIENCE, LOOK, async || {
        events::<Slashing::CaseExecuted>(network, contract, since).await.ok()?.into_iter().next()
    });
    let executed = executed.await.ok_or_else(|| eyre!("nobody executed the case"))?.0;
    judge_slash(network, facts, operator, &executed, since).await?;
    let after = (pool(network, operator).await?, delegator.delegation(operator).await?.assets);
    let left = |before: U256| before.saturating_sub(before / U256::from(ALONE));
    facts.equal("share_price_after_per_mille", per_mille(after.0.price, before.0.price), 990);
    // Virtual shares round against the delegator, by a few wei.
    let lost = left(before.1).abs_diff(after.1);
    facts.holds("delegator_lost_the_same_part", after.1.to_string(), lost < U256::from(1_000));

    paid(network, facts, case.submitter, &executed, since).await?;
    let top = newest(network).await?;
    let differing = differing_at(network, top).await?;
    facts.holds("nodes_with_another_block_or_root", (top, &differing), differing.is_empty());
    Ok(())
}

fn per_mille(part: U256, whole: U256) -> u64 {
    let half = whole / U256::from(2);
    let scaled = part.saturating_mul(U256::from(1_000)).saturating_add(half).checked_div(whole).unwrap_or_default();
    scaled.try_into().unwrap_or(u64::MAX)
}

/// The next snapshot, which nodes take by themselves, leaves the operator out.
async fn weight_is_gone(
    network: &Network,
    facts: &mut Facts,
    signer: alloy::primitives::Address,
    from: u64,
) -> Result<()> {
    let next =
        until(PATIENCE, LOOK, async || snapshots_since(network, from.saturating_add(1)).await.ok()?.into_iter().next());
    let next = next.await.ok_or_else(|| eyre!("nobody took a snapshot"))?;
    let weight = next.set.weight_of(signer).map_or(0, |weight| weight.0);
    facts.equal("weight_in_the_next_snapshot", weight, 0);
    facts.equal(
        "members_in_the_next_snapshot",
        next.set.members().len(),
        network.plan.shape.sequencers.saturating_sub(1),
    );
    Ok(())
}

/// One part of a hundred of everything, and the parts sum to what was taken.
async fn judge_slash(
    network: &Network,
    facts: &mut Facts,
    operator: u64,
    executed: &Slashing::CaseExecuted,
    since: u64,
) -> Result<()> {
    let slashed = events::<Staking::Slashed>(network, network.genesis.l1.staking, since).await?.into_iter().next();
    let slashed = slashed.ok_or_else(|| eyre!("the staking contract took nothing"))?.0;
    facts.equal("slashed_operator", slashed.operatorId, operator);
    let parts = slashed.fromStake.saturating_add(slashed.fromPool).saturating_add(slashed.fromUnbonding);
    facts.equal("parts_sum_to_what_was_taken", parts.to_string(), executed.taken.to_string());
    let stake = network.node(LIAR)?.stake;
    let one_part = metis(stake) / U256::from(ALONE);
    facts.equal("taken_from_the_stake", slashed.fromStake.to_string(), one_part.to_string());
    Ok(())
}

/// The bounty is with the submitter, the rest in the insurance pool.
async fn paid(
    network: &Network,
    facts: &mut Facts,
    submitter: alloy::primitives::Address,
    executed: &Slashing::CaseExecuted,
    since: u64,
) -> Result<()> {
    let contract = network.genesis.l1.slashing;
    let paid = until(PATIENCE, LOOK, async || {
        events::<Slashing::BountyPaid>(network, contract, since).await.ok()?.into_iter().next()
    });
    let paid = paid.await.ok_or_else(|| eyre!("the bounty was not collected"))?.0;
    facts.equal("bounty_paid_to", paid.submitter, submitter);
    let expected = executed.taken.saturating_mul(U256::from(BOUNTY_PERCENT)) / U256::from(100);
    facts.equal("bounty_wei", paid.amount.to_string(), expected.to_string());
    let l1 = &network.genesis.l1;
    let pool = network.l1()?.read(l1.metis, &DevnetMetis::balanceOfCall { account: l1.insurance_pool }).await?;
    facts.equal("insurance_pool_wei", pool.to_string(), executed.taken.saturating_sub(expected).to_string());
    Ok(())
}
