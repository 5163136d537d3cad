//! `hostile`: hundreds of malformed and hostile requests against one sequencer while the network goes on.

use std::time::{Duration, Instant};

use eyre::{Result, WrapErr, eyre};
use node::config::Role;

use super::{differing_at, newest};
use crate::{
    client::Rpc,
    fact::Facts,
    load::Load,
    network::Network,
    process,
    script::{self, Script},
    wait::until,
};

/// Account that the attacks send from.
const ATTACKER: usize = 7;
/// Most each suite may take.
const PATIENCE: Duration = Duration::from_secs(420);
/// Least number of requests in the table, each over HTTP and over WebSocket.
const REQUESTS: u64 = 1_300;
/// Least number of attacks.
const ATTACKS: u64 = 165;
/// Memory the attacked node may have gained when all is over, in MiB.
const GROWTH_MIB: f64 = 300.0;
/// Most it may hold at any moment, in MiB.
const PEAK_MIB: f64 = 900.0;
/// Longest time without a new block at another node, in seconds; the machine is the attacker's too.
const GAP_SECONDS: f64 = 10.0;
/// Pause between two looks at the victim.
const WATCH: Duration = Duration::from_millis(200);
/// Time the victim has to catch up with the others.
const RECOVERY: Duration = Duration::from_secs(30);

/// What was seen while the attack ran.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    peak_mib: f64,
    gap: Duration,
}

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let _load = Load::sparing(network.rpcs(Role::Sequencer)?.split_off(1), ATTACKER)?;
    script::prepare(network).await?;
    let victim = network.node("sequencer-0")?.name.clone();
    let pid = network.pid(&victim).ok_or_else(|| eyre!("{victim} does not run"))?;
    let before = process::resident_mib(pid).ok_or_else(|| eyre!("{victim} has no memory figure"))?;
    let height_before = newest(network).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let watcher = tokio::spawn(watch(network.rpc("sequencer-1")?, pid, stopped));

    script::run(network, facts, "requests", Script::Node(&["hostile/requests.mjs"]), REQUESTS, PATIENCE).await?;
    script::run(network, facts, "attacks", Script::Node(&["hostile/attacks.mjs"]), ATTACKS, PATIENCE).await?;

    let _ = stop.send(());
    let seen = watcher.await.wrap_err("watcher")?;
    facts.figure("memory_mib_before", before.round());
    facts.at_most("memory_mib_peak", seen.peak_mib, PEAK_MIB);
    let after = process::resident_mib(pid).unwrap_or(f64::INFINITY);
    facts.at_most("memory_mib_gained", (after - before).max(0.0), GROWTH_MIB);
    facts.at_most("longest_gap_between_blocks_seconds", seen.gap.as_secs_f64(), GAP_SECONDS);
    let height = newest(network).await?;
    facts.holds("blocks_made_meanwhile", height.saturating_sub(height_before), height > height_before);
    let rpc = network.rpc(&victim)?;
    let caught_up = until(RECOVERY, WATCH, async || rpc.height().await.ok().filter(|own| *own >= height)).await;
    facts.holds("victim_keeps_up", caught_up, caught_up.is_some());
    let differing = differing_at(network, height).await?;
    facts.holds("nodes_with_another_block_or_root", (height, &differing), differing.is_empty());
    Ok(())
}

/// Looks at the victim's memory and at another node's height until told to stop.
async fn watch(other: Rpc, victim: u32, mut stop: tokio::sync::oneshot::Receiver<()>) -> Seen {
    let mut seen = Seen::default();
    let (mut height, mut since) = (0, Instant::now());
    let mut ticks = tokio::time::interval(WATCH);
    loop {
        tokio::select! {
            _ = &mut stop => return seen,
            _ = ticks.tick() => {}
        }
        seen.peak_mib = seen.peak_mib.max(process::resident_mib(victim).unwrap_or_default());
        if let Ok(now) = other.height().await
            && now > height
        {
            if height > 0 {
                seen.gap = seen.gap.max(since.elapsed());
            }
            (height, since) = (now, Instant::now());
        }
    }
}
