//! Wrong, foreign, locked and damaged databases are refused with a reason.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alloy_primitives::B256;
use rocksdb::{DB, Options};
use store::{Store, StoreConfig, StoreError};

use crate::fixture::{config, create, diff_of, genesis, genesis_diff, log, next_block};

fn grow(store: &Store, blocks: u64) {
    for _ in 0..blocks {
        let diff = diff_of(store.heads().latest.height + 1);
        store.commit_block(&next_block(store, diff, &[vec![log(1, &[2])]])).unwrap();
    }
}

#[test]
fn a_second_opening_is_refused_as_locked() {
    let folder = tempfile::tempdir().unwrap();
    let (store, hash) = create(folder.path());
    assert_eq!(
        Store::open(folder.path(), hash, &config()).map(|_| ()),
        Err(StoreError::Locked(folder.path().to_path_buf()))
    );
    drop(store);
    Store::open(folder.path(), hash, &config()).unwrap();
}

#[test]
fn foreign_missing_and_doubled_databases_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = Store::open(&folder.path().join("none"), B256::ZERO, &config());
    assert!(matches!(nothing, Err(StoreError::Placement(_))), "{nothing:?}");
    let (store, hash) = create(folder.path());
    drop(store);
    let other = genesis(&genesis_diff(), 1);
    assert_ne!(other.header.hash_slow(), hash);
    let foreign = Store::open(folder.path(), other.header.hash_slow(), &config());
    assert!(matches!(&foreign, Err(StoreError::Foreign(text)) if text.contains(&hash.to_string())), "{foreign:?}");
    let twice = Store::create(folder.path(), &other, &genesis_diff(), &config());
    assert!(matches!(twice, Err(StoreError::Placement(_))), "{twice:?}");
}

/// Changes one raw value under the store's feet.
fn tamper(path: &Path, family: &str, key: &[u8], value: &[u8]) {
    let options = Options::default();
    let families = DB::list_cf(&options, path).unwrap();
    let db = DB::open_cf(&options, path, families).unwrap();
    db.put_cf(db.cf_handle(family).unwrap(), key, value).unwrap();
}

#[test]
fn a_newer_schema_and_a_changed_state_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, hash) = create(folder.path());
    grow(&store, 7);
    drop(store);
    let account = alloy_primitives::keccak256(crate::fixture::address(0));
    let value = [&crate::fixture::address(0)[..], &alloy_rlp::encode(vec![vec![1_u8]])].concat();
    tamper(folder.path(), "accounts", account.as_slice(), &value);
    let changed = Store::open(folder.path(), hash, &config());
    assert!(matches!(changed, Err(StoreError::Corrupt(_))), "{changed:?}");
    tamper(folder.path(), "meta", b"schema", &99_u32.to_be_bytes());
    let newer = Store::open(folder.path(), hash, &config());
    assert!(matches!(&newer, Err(StoreError::Foreign(text)) if text.contains("99")), "{newer:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Reads everything that a node would; any damage must show as an error.
fn read_all(path: &Path, hash: B256, last: u64) -> Result<(B256, usize), StoreError> {
    let store = Store::open(path, hash, &config())?;
    let mut logs = 0;
    for height in 0..=last {
        let missing = StoreError::UnknownHeight(height);
        let block = store.block(height)?.ok_or(missing.clone())?;
        store.senders(&block)?.ok_or(missing.clone())?;
        logs += store.receipts(height)?.ok_or(missing)?.len();
        let proof = store.proof(height, crate::fixture::address(1), &[]);
        proof?;
    }
    Ok((store.heads().latest.hash, logs))
}

#[test]
fn one_flipped_byte_is_an_error_or_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, hash) = create(folder.path());
    grow(&store, 40);
    let last = store.heads().latest.height;
    drop(store);
    // Opening again moves the log's content into table files, so that both kinds are there to be damaged.
    let store = Store::open(folder.path(), hash, &config()).unwrap();
    grow(&store, 5);
    drop(store);
    let good = read_all(folder.path(), hash, last + 5);
    let good = good.unwrap();
    let data = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "sst" || kind == "log");
    let mut files: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| data(path) && fs::metadata(path).unwrap().len() > 0);
    files.sort();
    assert!(files.len() >= 3, "tables and a log are there: {files:?}");
    let mut refused = 0;
    for (index, file) in files.iter().enumerate() {
        let copied = tempfile::tempdir().unwrap();
        copy(folder.path(), copied.path());
        let damaged = copied.path().join(file.file_name().unwrap());
        let mut bytes = fs::read(&damaged).unwrap();
        let at = bytes.len() * (index % 5 + 1) / 8;
        bytes[at] ^= 0x40;
        fs::write(&damaged, bytes).unwrap();
        match read_all(copied.path(), hash, last + 5) {
            // A byte that nothing depends on, such as a table's statistics.
            Ok(same) => assert_eq!(same, good, "{} at {at}", file.display()),
            Err(error) => {
                assert!(error.must_halt(), "{} at {at}: {error}", file.display());
                refused += 1;
            }
        }
    }
    assert!(refused * 2 >= files.len(), "most damage is noticed: {refused} of {}", files.len());
}

#[test]
fn a_damaged_log_is_opened_up_to_the_damage_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let (store, hash) = create(folder.path());
    grow(&store, 30);
    let roots: Vec<B256> = (0..=30).map(|height| store.block_hash(height).unwrap().unwrap()).collect();
    drop(store);
    let mut files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let log = files.find(|path| path.extension().is_some_and(|kind| kind == "log")).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
    let refused = Store::open(folder.path(), hash, &config());
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    let store = Store::open(folder.path(), hash, &StoreConfig { recover_log: true, ..config() }).unwrap();
    let head = store.heads().latest;
    assert!(0 < head.height && head.height < 30, "a part is there: {head:?}");
    assert_eq!(head.hash, roots[usize::try_from(head.height).unwrap()]);
    grow(&store, 3);
}

#[test]
fn blocks_that_do_not_fit_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = create(folder.path());
    let good = next_block(&store, diff_of(1), &[vec![]]);
    let head = store.heads();
    let mut wrong_height = good.clone();
    wrong_height.block.header.number = 2;
    let mut wrong_parent = good.clone();
    wrong_parent.block.header.parent_hash = B256::ZERO;
    let mut receipts = good.clone();
    receipts.receipts.clear();
    let mut senders = good.clone();
    senders.senders.clear();
    let mut root = good.clone();
    root.block.header.state_root = B256::ZERO;
    let mut withdrawals = good.clone();
    withdrawals.block.header.withdrawals_root = Some(B256::ZERO);
    let mut gap = good.clone();
    gap.block.header.base_fee_per_gas = None;
    let mut code = good.clone();
    code.diff.code.insert(B256::ZERO, alloy_primitives::Bytes::from_static(b"not zero"));
    for (name, bad) in [
        ("height", wrong_height),
        ("parent", wrong_parent),
        ("receipts", receipts),
        ("senders", senders),
        ("root", root),
        ("withdrawals", withdrawals),
        ("gap in the header's optional fields", gap),
        ("code", code),
    ] {
        let refused = store.commit_block(&bad);
        let expected = matches!(refused, Err(StoreError::Misfit { .. } | StoreError::WrongRoot { .. }));
        assert!(expected, "{name}: {refused:?}");
        assert!(!refused.unwrap_err().must_halt());
        assert_eq!(store.heads(), head);
    }
    store.commit_block(&good).unwrap();
    assert!(matches!(store.commit_block(&good), Err(StoreError::Misfit { .. })), "once only");
}

#[test]
fn the_default_memory_stays_within_64_mib() {
    let config = StoreConfig::default();
    assert!(config.write_buffer_bytes + config.block_cache_bytes <= 64 << 20);
}
