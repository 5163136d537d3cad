//! `leader-down`: the leader is killed in mid-turn; the network goes on, and the leader comes back.

use std::time::{Duration, Instant};

use alloy::primitives::Address;
use eyre::{Result, WrapErr, eyre};
use node::config::Role;

use super::{LOOK, chain_of, changed, differing_at};
use crate::{
    client::{BlockView, Rpc, TurnView},
    fact::Facts,
    load::Load,
    network::Network,
    wait::until,
};

/// Longest gap between blocks, in block intervals.
const MAX_GAP: f64 = 4.0;
/// Blocks watched after the turn: the next leader takes over in them.
const BLOCKS_AFTER: u64 = 4;
/// Time for one stage.
const PATIENCE: Duration = Duration::from_secs(50);
/// The victim's next turn lies this many blocks after the one it is killed in: enough to come back before.
const RETURN_BLOCKS: std::ops::RangeInclusive<u64> = 20..=70;

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let _load = Load::start(network.rpcs(Role::Sequencer)?)?;
    let any = network.rpc("sequencer-0")?;
    let (victim, turn) = mid_turn(&any).await?;
    let name = network
        .plan
        .sequencers()
        .find(|node| node.signer.as_ref().is_some_and(|signer| signer.address() == victim))
        .map(|node| node.name.clone())
        .ok_or_else(|| eyre!("{victim} is no sequencer"))?;
    let survivor = network.plan.sequencers().find(|node| node.name != name).map(|node| node.name.clone());
    let survivor = network.rpc(&survivor.ok_or_else(|| eyre!("no survivor"))?)?;
    let watcher = tokio::spawn(watch(survivor.clone(), turn.last().saturating_add(BLOCKS_AFTER)));
    network.kill_node(&name).await?;
    let killed_at = survivor.height().await?;
    let before = chain_of(&survivor, 0, killed_at).await?;
    facts.holds("killed_in_mid_turn", (&name, killed_at, turn.first(), turn.last()), killed_at < turn.last());

    let arrivals = watcher.await.wrap_err("watcher")??;
    judge_gaps(network, facts, &survivor, killed_at, turn.last(), &arrivals).await?;
    let rescuers: Vec<Address> = rescuers(&survivor, killed_at, turn.last()).await?;
    facts.holds("one_other_leader_kept_the_turn", &rescuers, rescuers.len() == 1 && !rescuers.contains(&victim));

    network.start_node(&name)?;
    let begin = Instant::now();
    let back = network.rpc(&name)?;
    let caught_up = until(PATIENCE, LOOK, async || {
        let (mine, theirs) = (back.height().await.ok()?, survivor.height().await.ok()?);
        (mine.saturating_add(1) >= theirs).then_some(mine)
    });
    let height = caught_up.await;
    facts.holds("caught_up_at_height", height, height.is_some());
    facts.figure("seconds_to_catch_up", begin.elapsed().as_secs_f64());
    let led = leads_after(&survivor, victim, height.unwrap_or(killed_at)).await;
    facts.holds("leads_again_at_height", led, led.is_some());

    let height = survivor.height().await?;
    let differing = differing_at(network, height.saturating_sub(1)).await?;
    facts.holds("nodes_with_another_block_or_root", &differing, differing.is_empty());
    let after = chain_of(&back, 0, killed_at).await?;
    facts.equal("blocks_changed_by_the_failure", changed(&before, &after), Vec::new());
    Ok(())
}

/// Waits until some leader is in mid-turn and leads again soon enough, so that its return can be seen.
async fn mid_turn(rpc: &Rpc) -> Result<(Address, TurnView)> {
    let found = until(PATIENCE, LOOK, async || {
        let status = rpc.status().await.ok()?;
        let turn = status.turn?;
        let next = status.latest.number().saturating_add(1);
        let middle = (turn.first().saturating_add(3)..=turn.last().saturating_sub(5)).contains(&next);
        if !middle || turn.leads_now != Some(turn.leader) {
            return None;
        }
        let mut coming = rpc.schedule(status.epoch()).await.ok()??.turns;
        coming.extend(
            rpc.schedule(status.epoch().saturating_add(1)).await.ok().flatten().map(|s| s.turns).unwrap_or_default(),
        );
        let returns = |other: &TurnView| {
            other.leader == turn.leader && RETURN_BLOCKS.contains(&other.first().saturating_sub(turn.first()))
        };
        coming.iter().any(returns).then_some((turn.leader, turn))
    });
    found.await.ok_or_else(|| eyre!("no leader was in mid-turn and about to lead again"))
}

/// Arrival of each new height at a node until `to`.
async fn watch(rpc: Rpc, to: u64) -> Result<Vec<Instant>> {
    let mut arrivals = vec![Instant::now()];
    let mut seen = rpc.height().await?;
    let deadline = Instant::now() + PATIENCE;
    // A plain loop: a future with an async closure in it cannot be spawned.
    while seen < to {
        eyre::ensure!(Instant::now() < deadline, "the chain stopped at {seen} after its leader was killed");
        tokio::time::sleep(Duration::from_millis(10)).await;
        let height = rpc.height().await.unwrap_or(seen);
        if height > seen {
            arrivals.push(Instant::now());
            seen = height;
        }
    }
    Ok(arrivals)
}

/// Gaps by the blocks' own times and by a client's clock.
async fn judge_gaps(
    network: &Network,
    facts: &mut Facts,
    rpc: &Rpc,
    killed_at: u64,
    turn_end: u64,
    arrivals: &[Instant],
) -> Result<()> {
    let interval = network.genesis.params.block_interval_ms as f64;
    let mut blocks: Vec<BlockView> = Vec::new();
    for height in killed_at.saturating_sub(1)..=turn_end.saturating_add(BLOCKS_AFTER) {
        blocks.push(rpc.block(height).await?.ok_or_else(|| eyre!("no block {height}"))?);
    }
    let stamps = blocks.iter().zip(blocks.iter().skip(1)).map(|(a, b)| b.time_ms().saturating_sub(a.time_ms()) as f64);
    let longest = stamps.fold(0.0, f64::max);
    facts.at_most("longest_gap_intervals", longest / interval, MAX_GAP);
    let seen = arrivals.iter().zip(arrivals.iter().skip(1)).map(|(a, b)| b.duration_since(*a).as_secs_f64() * 1_000.0);
    facts.at_most("longest_gap_seen_by_a_client_intervals", seen.fold(0.0, f64::max) / interval, MAX_GAP);
    Ok(())
}

/// Leaders of the rest of the turn.
async fn rescuers(rpc: &Rpc, killed_at: u64, last: u64) -> Result<Vec<Address>> {
    let mut found = Vec::new();
    // The victim may have decided one more block than the survivor had heard of.
    for height in killed_at.saturating_add(2)..=last {
        let leader =
            rpc.block(height).await?.and_then(|block| block.leader()).ok_or_else(|| eyre!("no block {height}"))?;
        if !found.contains(&leader) {
            found.push(leader);
        }
    }
    Ok(found)
}

/// First height after `after` that this leader built.
async fn leads_after(rpc: &Rpc, leader: Address, after: u64) -> Option<u64> {
    let mut next = after.saturating_add(1);
    until(PATIENCE, LOOK, async || {
        while let Ok(Some(block)) = rpc.block(next).await {
            if block.leader() == Some(leader) {
                return Some(next);
            }
            next += 1;
        }
        None
    })
    .await
}
