//! `devnet bench rpc`: what the most used calls cost a server, beside anvil in the same run.
//!
//! Both servers hold the same transfers and the same token, and get the same requests over as many connections. CPU time is the
//! server process's own, from `/proc`, less what it uses when nobody asks; latency is what the client sees.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alloy::primitives::{Address, B256, U256};
use alloy_sol_types::SolCall;
use eyre::{Result, WrapErr, ensure, eyre};
use l1::contracts::DevnetMetis;
use node::config::Da;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    anvil, bench_floor,
    bench_http::{Latencies, load, warm},
    client::Rpc,
    foundation::L2_CHAIN_ID,
    network::Network,
    plan::{Plan, Shape},
    process::Process,
    transactions::Wallet,
    wait::until,
};

/// Token transfers that both chains hold.
const TRANSFERS: usize = 200;
/// Of them in the pool at the same time.
const AT_ONCE: usize = 40;
/// Time for one stage of the preparation.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Time over which the idle servers are watched.
const IDLE: Duration = Duration::from_secs(2);
/// Clock ticks of `/proc/*/stat` per second on Linux.
const TICKS: f64 = 100.0;

/// A server under load.
struct Server {
    name: &'static str,
    /// Where its CPU time is.
    stat: PathBuf,
    port: u16,
    token: Address,
    last: B256,
    /// CPU seconds a second when nobody asks.
    idle: f64,
}

/// Runs the bench; prints one JSON line a method, what a call costs at the least, and a summary. The mean ratio of CPU per call,
/// ours to anvil's, goes last.
///
/// # Errors
/// A server does not start, or answers with an error.
pub async fn rpc(connections: usize, duration: Duration) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("horae-bench-").tempdir().wrap_err("temporary folder")?;
    let shape = Shape { sequencers: 1, followers: 0, da: Da::Calldata };
    let plan = Plan::new(shape, folder.path().to_owned(), false)?;
    let network = Network::start(plan).await?;
    let node = network.node("sequencer-0")?;
    let pid = network.pid(&node.name).ok_or_else(|| eyre!("{} does not run", node.name))?;
    let mut ours =
        Server { name: "horae", stat: stat_of(pid), port: node.rpc, token: Address::ZERO, last: B256::ZERO, idle: 0.0 };
    let (process, port) = start_anvil(folder.path()).await?;
    let mut theirs =
        Server { name: "anvil", stat: stat_of(process.pid()), port, token: Address::ZERO, last: B256::ZERO, idle: 0.0 };
    for server in [&mut ours, &mut theirs] {
        populate(server).await?;
        settle(server).await?;
        server.idle = idle(&server.stat).await?;
        println!("{}", json!({ "server": server.name, "idle_cpu_percent": rounded(server.idle * 100.0) }));
    }
    let mut ratios = Vec::new();
    for index in 0..requests(&ours).len() {
        let mut line = serde_json::Map::new();
        let mut costs = Vec::new();
        for server in [&ours, &theirs] {
            let (method, params) = requests(server).swap_remove(index);
            let (cost, times) = measure(server, method, &params, connections, duration).await?;
            line.insert("method".to_owned(), json!(method));
            let figures = json!({
                "cpu_us": rounded(cost), "p50_us": times.quantile_us(500), "p99_us": times.quantile_us(990), "calls": times.count(),
            });
            line.insert(server.name.to_owned(), figures);
            costs.push(cost);
        }
        if let [own, other] = costs[..] {
            let ratio = own / other;
            line.insert("cpu_ratio".to_owned(), json!(rounded(ratio)));
            ratios.push(ratio);
        }
        println!("{}", json!(line));
    }
    let bare = bench_floor::start()?;
    let floor =
        Server { name: "floor", stat: bare.stat, port: bare.port, token: Address::ZERO, last: B256::ZERO, idle: 0.0 };
    let (cost, times) = measure(&floor, "eth_chainId", &json!([]), connections, duration).await?;
    println!(
        "{}",
        json!({ "floor": { "cpu_us": rounded(cost), "p50_us": times.quantile_us(500), "calls": times.count() } })
    );
    let mean = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / f64::from(u32::try_from(ratios.len())?);
    println!(
        "{}",
        json!({ "bench": "rpc", "connections": connections, "seconds_each": duration.as_secs_f64(), "mean_cpu_ratio": rounded(mean.exp()) })
    );
    process.stop().await;
    network.stop().await;
    Ok(())
}

/// The ten most used methods, with parameters that have an answer on this server.
fn requests(server: &Server) -> Vec<(&'static str, Value)> {
    let holder = holders();
    let call = DevnetMetis::balanceOfCall { account: holder }.abi_encode();
    let transfer = DevnetMetis::transferCall { to: holder, value: U256::ONE }.abi_encode();
    let hex = |bytes: &[u8]| alloy::primitives::hex::encode_prefixed(bytes);
    vec![
        ("eth_call", json!([{ "to": server.token, "data": hex(&call) }, "latest"])),
        ("eth_blockNumber", json!([])),
        ("eth_getBlockByNumber", json!(["latest", false])),
        ("eth_getTransactionReceipt", json!([server.last])),
        ("eth_getTransactionByHash", json!([server.last])),
        ("eth_getBalance", json!([holder, "latest"])),
        ("eth_getTransactionCount", json!([holder, "latest"])),
        ("eth_chainId", json!([])),
        ("eth_estimateGas", json!([{ "from": holder, "to": server.token, "data": hex(&transfer) }])),
        (
            "eth_getLogs",
            json!([{ "address": server.token, "fromBlock": "0x0", "toBlock": "latest", "topics": [null, B256::ZERO] }]),
        ),
    ]
}

fn holders() -> Address {
    Wallet::all().ok().and_then(|wallets| wallets.first().map(Wallet::address)).unwrap_or_default()
}

/// Deploys the token and sends the transfers; returns when the last one has its receipt.
async fn populate(server: &mut Server) -> Result<()> {
    let rpc = Rpc::new(&format!("http://127.0.0.1:{}", server.port))?;
    let mut wallet = Wallet::all()?.into_iter().next().ok_or_else(|| eyre!("no wallet"))?;
    let (create, token) = wallet.create_token()?;
    rpc.send(&create.raw).await?;
    let mint = wallet.call(token, &DevnetMetis::mintCall { to: wallet.address(), amount: U256::from(1_000_000) })?;
    rpc.send(&mint.raw).await?;
    let mut last = mint.hash;
    // A pool takes only so many of one account at a time.
    for _ in 0..TRANSFERS / AT_ONCE {
        for _ in 0..AT_ONCE {
            let call = DevnetMetis::transferCall { to: Address::repeat_byte(7), value: U256::ONE };
            let sent = wallet.call(token, &call)?;
            rpc.send(&sent.raw).await?;
            last = sent.hash;
        }
        let receipt = until(PATIENCE, LOOK, async || rpc.receipt(last).await.ok().flatten()).await;
        ensure!(receipt.is_some_and(|receipt| receipt.succeeded()), "{}: a transfer was not included", server.name);
    }
    (server.token, server.last) = (token, last);
    Ok(())
}

/// Waits until what was sent is on L1, where the server has one: work of the preparation is no cost of the calls after it.
async fn settle(server: &Server) -> Result<()> {
    let rpc = Rpc::new(&format!("http://127.0.0.1:{}", server.port))?;
    let Ok(status) = rpc.status().await else { return Ok(()) };
    let last = status.latest.number();
    let done =
        until(PATIENCE, LOOK, async || rpc.status().await.ok().filter(|status| status.safe.number() >= last)).await;
    done.map(drop).ok_or_else(|| eyre!("{}: block {last} did not get to L1", server.name))
}

/// CPU microseconds a call, and what the client saw.
async fn measure(
    server: &Server,
    method: &str,
    params: &Value,
    connections: usize,
    duration: Duration,
) -> Result<(f64, Latencies)> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    warm(server.port, &body).await.wrap_err_with(|| format!("{method} at {}", server.name))?;
    let before = cpu_seconds(&server.stat)?;
    let times = load(server.port, &body, connections, duration).await;
    let times = times.wrap_err_with(|| format!("{method} at {}", server.name))?;
    let used = cpu_seconds(&server.stat)? - before - server.idle * times.elapsed.as_secs_f64();
    ensure!(times.count() > 0, "{method} at {}: no call ended in time", server.name);
    let calls = f64::from(u32::try_from(times.count())?);
    Ok((used.max(0.0) * 1_000_000.0 / calls, times))
}

async fn idle(stat: &Path) -> Result<f64> {
    let before = cpu_seconds(stat)?;
    tokio::time::sleep(IDLE).await;
    Ok((cpu_seconds(stat)? - before) / IDLE.as_secs_f64())
}

fn stat_of(pid: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/stat"))
}

/// User and system time of a process or thread so far.
fn cpu_seconds(file: &Path) -> Result<f64> {
    let stat = std::fs::read_to_string(file).wrap_err("CPU time of the server")?;
    cpu_ticks(&stat).map(|ticks| ticks / TICKS).ok_or_else(|| eyre!("{} is not understood", file.display()))
}

/// Fields 14 and 15; the name in field 2 may hold anything, so they are counted from its closing bracket.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some(next()? + next()?)
}

/// An anvil with the same chain id and accounts that mines each transaction at once and nothing else.
async fn start_anvil(folder: &Path) -> Result<(Process, u16)> {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).wrap_err("a port")?;
    let port = port.port();
    let mut command: Command = anvil::tied(&anvil::find()?);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--chain-id", &L2_CHAIN_ID.to_string()]);
    command.args(["--hardfork", "osaka", "--quiet"]);
    let process = Process::spawn("anvil", command, &folder.join("anvil.log"))?;
    let rpc = Rpc::new(&format!("http://127.0.0.1:{port}"))?;
    let up = until(PATIENCE, LOOK, async || rpc.height().await.ok()).await;
    up.ok_or_else(|| eyre!("anvil does not answer: {}", process.last_words()))?;
    Ok((process, port))
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "42 (a) b) c) S 1 42 42 0 -1 4194304 100 0 0 0 17 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(42.0));
        assert_eq!(cpu_ticks("nothing"), None);
        assert!(cpu_seconds(&stat_of(std::process::id())).unwrap() >= 0.0);
    }
}
