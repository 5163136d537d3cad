//! A process that commits blocks is killed at arbitrary moments; what it had acknowledged must be there.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use protocol::state::StateReader;
use store::Store;

use crate::fixture::{Model, address, apply, config, create, diff_of, genesis_diff, log, next_block, slot};

/// Set for the child: where the database is, and the genesis hash.
const CHILD: &str = "HORAE_STORE_CRASH_CHILD";
const ROUNDS: u64 = 16;

fn commit_for_ever(path: &Path, genesis: B256) {
    let store = Store::open(path, genesis, &config()).unwrap();
    loop {
        let diff = diff_of(store.heads().latest.height + 1);
        let block = next_block(&store, diff, &[vec![log(1, &[2])], vec![]]);
        let head = store.commit_block(&block).unwrap();
        println!("\ncommitted {}", head.height);
    }
}

/// Starts this test again as the child and kills it some time after its `acks`-th block. Returns the last height heard of.
fn kill_after(path: &Path, genesis: B256, acks: u64, then: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::acknowledged_blocks_survive_sigkill", "--nocapture"])
        .env(CHILD, format!("{genesis} {}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut last = 0;
    let mut heights = lines.by_ref().filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
    for _ in 0..acks {
        last = heights.next().expect("the child commits until it is killed");
    }
    let at = Instant::now() + then;
    while Instant::now() < at {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    let last = heights.last().unwrap_or(last);
    child.wait().unwrap();
    last
}

#[test]
fn acknowledged_blocks_survive_sigkill() {
    if let Ok(child) = std::env::var(CHILD) {
        let (genesis, path) = child.split_once(' ').unwrap();
        return commit_for_ever(Path::new(path), genesis.parse().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let (store, genesis) = create(folder.path());
    drop(store);
    let mut model = Model::new();
    apply(&mut model, &genesis_diff());
    let mut modelled = 0;
    for round in 0..ROUNDS {
        let acknowledged =
            kill_after(folder.path(), genesis, 1 + round * 7 % 9, Duration::from_micros(round * 977 % 6000));
        let store = Store::open(folder.path(), genesis, &config()).unwrap();
        let latest = store.heads().latest.height;
        assert!(latest == acknowledged || latest == acknowledged + 1, "{latest} after hearing of {acknowledged}");
        for height in modelled + 1..=latest {
            apply(&mut model, &diff_of(height));
            assert_eq!(store.block(height).unwrap().unwrap().header.number, height);
            assert_eq!(store.receipts(height).unwrap().unwrap().len(), 2);
        }
        modelled = latest;
        let view = store.latest_state();
        for name in 0..12 {
            let expected = model.get(&address(name));
            assert_eq!(view.account(&address(name)).unwrap(), expected.map(|(account, _)| *account));
            for key in 0..8 {
                let expected = expected.and_then(|(_, storage)| storage.get(&slot(key)).copied()).unwrap_or_default();
                assert_eq!(view.storage(&address(name), &slot(key)).unwrap(), expected);
            }
        }
    }
    assert!(modelled >= ROUNDS, "every round commits");
}
