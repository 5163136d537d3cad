//! A disk that takes no more: the store says so, writes nothing further, and loses nothing that it had acknowledged.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use alloy_primitives::{B256, Log, LogData};
use store::{Store, StoreConfig, StoreError};

use crate::fixture::{address, create, diff_of, next_block};

/// Set for the child: where the database is, and the genesis hash.
const CHILD: &str = "HORAE_STORE_FULL_DISK_CHILD";
/// Blocks whose writing exceeds every limit below.
const BLOCKS: u64 = 200;

/// Logs of some 40 kB that do not compress, so that files grow fast.
fn logs(height: u64) -> Vec<Log> {
    let noise = |index: u64| alloy_primitives::keccak256([height.to_be_bytes(), index.to_be_bytes()].concat());
    let data: Vec<u8> = (0..1_250).flat_map(|index| noise(index).0).collect();
    vec![Log { address: address(1), data: LogData::new_unchecked(vec![noise(0)], data.into()) }]
}

fn commit_until_full(path: &Path, genesis: B256) -> Result<(), StoreError> {
    let store = Store::open(path, genesis, &StoreConfig::default())?;
    for _ in 0..BLOCKS {
        let height = store.heads().latest.height + 1;
        let block = next_block(&store, diff_of(height), &[logs(height)]);
        match store.commit_block(&block) {
            Ok(head) => println!("\ncommitted {}", head.height),
            Err(error) => {
                assert_eq!(store.commit_block(&block), Err(error.clone()), "nothing is written after a failure");
                assert_eq!(store.put_evidence(b"two votes").map(drop), Err(error.clone()));
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Runs this test again as a child whose files cannot grow beyond `limit` blocks of 512 bytes. Returns the heights it
/// acknowledged and its last words.
fn run_limited(path: &Path, genesis: B256, limit: u64) -> (Option<u64>, String) {
    // Without the trap the signal would kill the child; so its writes fail as on a full disk.
    let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "full_disk::a_full_disk_loses_nothing", "--nocapture"])
        .env(CHILD, format!("{genesis} {}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut heights = text.lines().filter_map(|line| line.strip_prefix("committed ")?.parse().ok());
    let last = text.lines().find_map(|line| line.strip_prefix("stopped: ")).unwrap_or_default().to_owned();
    assert!(!last.is_empty(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    (heights.next_back(), last)
}

#[test]
fn a_full_disk_loses_nothing() {
    if let Ok(child) = std::env::var(CHILD) {
        let (genesis, path) = child.split_once(' ').unwrap();
        match commit_until_full(Path::new(path), genesis.parse().unwrap()) {
            Ok(()) => println!("\nstopped: the limit was never met"),
            Err(error) => println!("\nstopped: {} {error}", error.must_halt()),
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (store, genesis) = create(folder.path());
    drop(store);
    let mut seen = 0;
    // The first limit already stops RocksDB's own files; the others its log after a while.
    for limit in [16, 1_000, 3_000, 8_000] {
        let (acknowledged, last) = run_limited(folder.path(), genesis, limit);
        assert!(last.starts_with("true no space left for the database"), "{limit}: {last}");
        let store = Store::open(folder.path(), genesis, &StoreConfig::default()).unwrap();
        let latest = store.heads().latest.height;
        let acknowledged = acknowledged.unwrap_or(seen);
        assert!(latest == acknowledged || latest == acknowledged + 1, "{latest} after hearing of {acknowledged}");
        for height in seen..=latest {
            assert_eq!(store.block(height).unwrap().unwrap().header.number, height);
            let receipts = store.receipts(height).unwrap().unwrap();
            assert!(height == 0 || receipts[0].logs() == logs(height));
        }
        // With room again, the chain goes on.
        let height = latest + 1;
        store.commit_block(&next_block(&store, diff_of(height), &[logs(height)])).unwrap();
        seen = height;
    }
    assert!(seen > 20, "blocks were written before the limit: {seen}");
}
