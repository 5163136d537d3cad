//! What a call costs the server apart from sockets and execution: its request decoded, dispatched and answered, beside the
//! floor, which is the same JSON read and written by `serde_json` alone.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench may panic"
)]
#![allow(dead_code, unreachable_pub, reason = "the tests' node has more than a bench needs")]

#[path = "../tests/it/chain.rs"]
mod chain;
#[path = "../tests/it/node.rs"]
mod node;

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use rpc::{RpcConfig, RpcServer};
use serde_json::{Value, json};

/// CPU time of all our threads: a heavy method's hop to another thread counts, waiting for a busy machine does not.
fn cpu() -> Duration {
    // The kernel books a thread's time when it looks at it: now, and not at its next tick.
    std::thread::yield_now();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let spent = |task: std::fs::DirEntry| -> u64 {
        // A thread may end between the two looks.
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        stat.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
    };
    Duration::from_nanos(tasks.map(|task| spent(task.unwrap())).sum())
}

/// How long the work keeps a CPU busy.
fn busy(times: u64, mut work: impl FnMut()) -> Duration {
    let begin = cpu();
    (0..times).for_each(|_| work());
    cpu().saturating_sub(begin)
}

/// The ten most used methods, those of `devnet bench rpc`.
fn requests(hash: &str) -> [(&'static str, Value); 10] {
    let holder = chain::signer(2);
    let data = format!("0x70a08231{:0>64}", alloy_primitives::hex::encode(holder));
    [
        ("eth_call", json!([{ "to": chain::TOKEN, "data": data }, "latest"])),
        ("eth_blockNumber", json!([])),
        ("eth_getBlockByNumber", json!(["latest", false])),
        ("eth_getTransactionReceipt", json!([hash])),
        ("eth_getTransactionByHash", json!([hash])),
        ("eth_getBalance", json!([holder, "latest"])),
        ("eth_getTransactionCount", json!([holder, "latest"])),
        ("eth_chainId", json!([])),
        ("eth_estimateGas", json!([{ "from": holder, "to": chain::TOKEN, "data": data }])),
        ("eth_getLogs", json!([{ "address": chain::TOKEN, "fromBlock": "0x0", "toBlock": "latest" }])),
    ]
}

fn calls(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let node = node::TestNode::new();
    node.all_at_hand.store(true, std::sync::atomic::Ordering::Relaxed);
    let hash = node.block(1).0.transactions[3].tx_hash().to_string();
    let methods = RpcServer::methods_of(&RpcConfig::default(), node).unwrap();
    for (method, params) in requests(&hash) {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let ask = async || methods.raw_json_request(&request, 1).await.unwrap().0;
        let answer: Value = serde_json::from_str(runtime.block_on(ask()).get()).unwrap();
        assert!(answer["result"] != Value::Null, "{method}: {answer}");
        let mut group = criterion.benchmark_group(method);
        group.sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        group.bench_function("server", |bencher| {
            bencher.iter_custom(|times| busy(times, || drop(black_box(runtime.block_on(ask())))));
        });
        group.bench_function("JSON floor", |bencher| {
            bencher.iter_custom(|times| {
                busy(times, || {
                    let read: Value = serde_json::from_str(black_box(&request)).unwrap();
                    black_box((read, serde_json::to_string(black_box(&answer)).unwrap()));
                })
            });
        });
        group.finish();
    }
}

criterion_group!(benches, calls);
criterion_main!(benches);
