//! `pending`: receipts from slices, on the node that took the transaction and on a follower; then blocks under load.

use std::time::{Duration, Instant};

use alloy::primitives::{B256, Bytes, U256};
use eyre::{Result, ensure, eyre};
use node::config::Role;

use super::{LOOK, differing_at, newest};
use crate::{
    client::{ReceiptView, Rpc},
    fact::Facts,
    keys, metrics,
    network::Network,
    process,
    transactions::{Ready, Wallet},
    wait::until,
};

/// Transfers whose way is timed one by one.
const SINGLE: usize = 120;
/// Time between two of them: no multiple of the slice or block interval.
const PERIOD: Duration = Duration::from_millis(137);
/// Pause between two looks for a receipt.
const GLANCE: Duration = Duration::from_millis(4);
/// Longest wait for a receipt.
const PATIENCE: Duration = Duration::from_secs(10);
/// Limit of the median time to the first receipt, in milliseconds: the slice interval is 100.
const MEDIAN_MS: f64 = 100.0;
/// The same for 99 of 100.
const NEARLY_ALL_MS: f64 = 600.0;
/// Wallets of the load, and transfers of each: no more than the pool takes from one sender.
const SENDERS: usize = 160;
const EACH: usize = 40;
/// Transfers of the load, all signed before it begins.
const LOAD: usize = SENDERS * EACH;
/// Requests in flight during the load.
const LANES: usize = 16;

/// Milliseconds until a receipt is there at all, and until its block is decided.
struct Way {
    first_ms: f64,
    first: ReceiptView,
    decided_ms: f64,
    decided: ReceiptView,
}

/// Runs the scenario.
pub(super) async fn play(network: &mut Network, facts: &mut Facts) -> Result<()> {
    let sequencers = network.rpcs(Role::Sequencer)?;
    let followers = network.rpcs(Role::Follower)?;
    let follower = followers.first().ok_or_else(|| eyre!("no follower"))?;
    let mut wallets = Wallet::all()?;
    let to = keys::derived("pending")?.address();
    let mut ticks = tokio::time::interval(PERIOD);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for number in 0..SINGLE {
        ticks.tick().await;
        let count = wallets.len();
        let wallet = wallets.get_mut(number % count).ok_or_else(|| eyre!("no wallet"))?;
        let ready = wallet.transfer(to, U256::ONE)?;
        let node = sequencers.get(number % sequencers.len()).ok_or_else(|| eyre!("no sequencer"))?.clone();
        let (far, begin) = (follower.clone(), Instant::now());
        node.send(&ready.raw).await?;
        here.push(tokio::spawn(follow(node, ready.hash, begin)));
        there.push(tokio::spawn(follow(far, ready.hash, begin)));
    }
    judge(facts, "sequencer", here).await?;
    judge(facts, "follower", there).await?;
    sync_send(&sequencers, &mut wallets, facts).await?;
    load(network, &sequencers, &mut wallets, facts).await?;
    let height = newest(network).await?;
    let differing = differing_at(network, height).await?;
    facts.holds("nodes_with_another_block_or_root", (height, &differing), differing.is_empty());
    Ok(())
}

/// Looks for a receipt until it is decided.
async fn follow(rpc: Rpc, hash: B256, begin: Instant) -> Result<Way> {
    let mut first = None;
    while begin.elapsed() < PATIENCE {
        if let Some(found) = rpc.first_receipt(hash).await? {
            let now = elapsed_ms(begin);
            let (first, first_ms) = first.get_or_insert_with(|| (found.clone(), now));
            if !found.is_pending() {
                return Ok(Way { first_ms: *first_ms, first: first.clone(), decided_ms: now, decided: found });
            }
        }
        tokio::time::sleep(GLANCE).await;
    }
    Err(eyre!("{hash} has no decided receipt at {}", rpc.url))
}

fn elapsed_ms(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1_000.0
}

async fn judge(facts: &mut Facts, place: &str, ways: Vec<tokio::task::JoinHandle<Result<Way>>>) -> Result<()> {
    let (mut first, mut decided, mut pending, mut changed) = (Vec::new(), Vec::new(), 0, Vec::new());
    for way in ways {
        let way = way.await??;
        first.push(way.first_ms);
        decided.push(way.decided_ms);
        if way.first.is_pending() {
            pending += 1;
            if !way.first.is_provision_of(&way.decided) {
                changed.push(way.decided.transaction_hash);
            }
        }
    }
    let share = |times: &mut Vec<f64>, per_cent| percentile(times, per_cent).unwrap_or(f64::MAX);
    facts.at_most(&format!("{place}_first_receipt_ms_p50"), share(&mut first, 50), MEDIAN_MS);
    facts.at_most(&format!("{place}_first_receipt_ms_p99"), share(&mut first, 99), NEARLY_ALL_MS);
    facts.figure(&format!("{place}_decided_receipt_ms_p50"), share(&mut decided, 50).round());
    facts.figure(&format!("{place}_decided_receipt_ms_p99"), share(&mut decided, 99).round());
    facts.at_least(&format!("{place}_receipts_that_were_pending_first"), pending, SINGLE / 2);
    facts.holds(&format!("{place}_receipts_that_changed"), &changed, changed.is_empty());
    Ok(())
}

fn percentile(times: &mut [f64], per_cent: usize) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len().saturating_sub(1).saturating_mul(per_cent) / 100).copied()
}

/// EIP-7966: one call that ends with the slice.
async fn sync_send(sequencers: &[Rpc], wallets: &mut [Wallet], facts: &mut Facts) -> Result<()> {
    let wallet = wallets.first_mut().ok_or_else(|| eyre!("no wallet"))?;
    let mut times = Vec::new();
    for number in 0..20 {
        let ready = wallet.transfer(keys::derived("pending")?.address(), U256::ONE)?;
        let node = sequencers.get(number % sequencers.len()).ok_or_else(|| eyre!("no sequencer"))?;
        let begin = Instant::now();
        let receipt: ReceiptView = node.call("eth_sendRawTransactionSync", (ready.raw,)).await?;
        ensure!(receipt.succeeded(), "{} failed", ready.hash);
        times.push(elapsed_ms(begin));
    }
    facts.at_most("sync_send_ms_p50", percentile(&mut times, 50).unwrap_or(f64::MAX), 2.0 * MEDIAN_MS);
    Ok(())
}

/// As many transfers as the machine takes: full blocks, and how voters came to execute them.
async fn load(network: &mut Network, sequencers: &[Rpc], wallets: &mut [Wallet], facts: &mut Facts) -> Result<()> {
    let to = keys::derived("pending")?.address();
    let mut senders = funded(sequencers, wallets).await?;
    let lanes = senders.chunks_mut(SENDERS.div_ceil(LANES)).map(|senders| {
        // A sender's nonces arrive in order, the senders of a lane in turns.
        let ready =
            (0..EACH).flat_map(|_| senders.iter_mut().map(|sender| sender.transfer(to, U256::ONE)).collect::<Vec<_>>());
        ready.collect::<Result<Vec<Ready>>>()
    });
    let lanes = lanes.collect::<Result<Vec<_>>>()?;
    let last: Vec<B256> = lanes.iter().filter_map(|lane| lane.last()).map(|ready| ready.hash).collect();
    let pids: Vec<u32> = network.names().iter().filter_map(|name| network.pid(name)).collect();
    let (begin, from) = (Instant::now(), newest(network).await?);
    let cpu = process_seconds(&pids);
    let sending = lanes.into_iter().enumerate().map(|(lane, ready)| {
        let rpc = sequencers.get(lane % sequencers.len()).cloned();
        tokio::spawn(async move { send_all(rpc.ok_or_else(|| eyre!("no sequencer"))?, ready).await })
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await??;
    }
    let rpc = sequencers.first().ok_or_else(|| eyre!("no sequencer"))?;
    for hash in last {
        let there = until(PATIENCE, LOOK, async || rpc.receipt(hash).await.ok().flatten());
        ensure!(there.await.is_some(), "{hash} was not included");
    }
    let seconds = begin.elapsed().as_secs_f64();
    let spent = process_seconds(&pids) - cpu;
    let to = newest(network).await?;
    let mut largest = 0;
    for height in from..=to {
        largest = largest.max(rpc.block(height).await?.map_or(0, |block| block.transactions.len()));
    }
    facts.figure("load_transfers_per_second", (LOAD as f64 / seconds).round());
    facts.figure("load_largest_block", largest);
    facts.figure("load_cpu_us_per_transfer_and_node", (spent * 1e6 / LOAD as f64 / pids.len() as f64).round());
    let (mut slices, mut whole) = (0.0, 0.0);
    for node in network.plan.sequencers() {
        let port = node.metrics;
        slices += metrics::counter(port, r#"horae_blocks_checked_total{how="slices"}"#).await?;
        whole += metrics::counter(port, r#"horae_blocks_checked_total{how="whole"}"#).await?;
        let mean = |sum: f64, count: f64| if count > 0.0 { (sum / count * 1e5).round() / 100.0 } else { 0.0 };
        for name in ["horae_block_seal_seconds", "horae_block_check_seconds"] {
            let sum = metrics::counter(port, &format!("{name}_sum")).await?;
            let of = metrics::counter(port, &format!("{name}_count")).await?;
            facts.figure(&format!("{}_{name}_mean_ms", node.name), mean(sum, of));
        }
        let memory = network.pid(&node.name).and_then(process::resident_mib);
        facts.figure(&format!("{}_memory_mib", node.name), memory.map(f64::round));
    }
    facts.figure("blocks_executed_from_slices", slices);
    facts.figure("blocks_executed_as_a_whole", whole);
    facts.holds("most_blocks_come_executed", (slices, whole), slices > 4.0 * whole);
    Ok(())
}

/// Fresh wallets with enough to send all of theirs.
async fn funded(sequencers: &[Rpc], wallets: &mut [Wallet]) -> Result<Vec<Wallet>> {
    let rpc = sequencers.first().ok_or_else(|| eyre!("no sequencer"))?;
    let count = wallets.len();
    let (mut senders, mut last) = (Vec::new(), Vec::new());
    for number in 0..SENDERS {
        let signer = keys::derived(&format!("sender {number}"))?;
        let wallet = wallets.get_mut(number % count).ok_or_else(|| eyre!("no wallet"))?;
        let ready = wallet.transfer(signer.address(), U256::from(10).pow(U256::from(17)))?;
        rpc.send(&ready.raw).await?;
        last.push(ready.hash);
        senders.push(Wallet { signer, nonce: 0 });
    }
    for hash in last {
        let there = until(PATIENCE, LOOK, async || rpc.receipt(hash).await.ok().flatten());
        ensure!(there.await.is_some(), "a sender was not funded");
    }
    Ok(senders)
}

async fn send_all(rpc: Rpc, ready: Vec<Ready>) -> Result<()> {
    for one in ready {
        let raw: Bytes = one.raw;
        rpc.send(&raw).await?;
    }
    Ok(())
}

fn process_seconds(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| process::cpu_seconds(*pid)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_of_the_sample() {
        let mut times: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut times, 50), Some(50.0));
        assert_eq!(percentile(&mut times, 99), Some(99.0));
        assert_eq!(percentile(&mut [], 50), None);
    }
}
