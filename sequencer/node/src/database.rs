//! Opening the database, and looking after it while the node is stopped.

use std::{fmt::Write as _, fs};

use alloy_primitives::B256;
use execution::genesis_block;
use eyre::WrapErr;
use protocol::Genesis;
use store::{Pruned, Store, StoreConfig, StoreError};

use crate::config::Config;

/// Reads the genesis file.
///
/// # Errors
/// It is missing or wrong.
pub fn genesis(config: &Config) -> eyre::Result<Genesis> {
    let text = fs::read_to_string(&config.genesis)
        .wrap_err_with(|| format!("genesis file {} cannot be read", config.genesis.display()))?;
    Ok(Genesis::from_json(&text)?)
}

/// Opens the database, or creates it from the genesis file; also returns the genesis hash. `recover_log`: a log with damage
/// before its end is opened up to the damage.
///
/// # Errors
/// Locked, foreign, damaged; the disk.
pub fn open(config: &Config, genesis: &Genesis, recover_log: bool) -> eyre::Result<(Store, B256)> {
    let path = &config.data_dir.join("db");
    let config = StoreConfig { recover_log, ..config.history.store(&genesis.params)? };
    let (block, diff) = genesis_block(genesis, &store::EmptyState)?;
    let hash = block.header.hash_slow();
    let store = match Store::open(path, hash, &config) {
        // Nothing is there yet, or only what a first start has left that died before it wrote the genesis block.
        Err(StoreError::Placement(_)) => Store::create(path, &block, &diff, &config),
        opened => opened,
    };
    let hint = "the database cannot be opened; if a power cut has damaged its log, `horae db recover-log` keeps what is \
                before the damage, and the rest comes from peers or L1";
    let store = store.map_err(|error| match error {
        StoreError::Corrupt(_) if !recover_log => eyre::Report::new(error).wrap_err(hint),
        other => other.into(),
    })?;
    Ok((store, hash))
}

/// The database in numbers, for people.
///
/// # Errors
/// It cannot be opened.
pub fn stats(config: &Config) -> eyre::Result<String> {
    let (store, _) = open(config, &genesis(config)?, false)?;
    let stats = store.stats()?;
    let [state, receipts, bodies] = stats.kept_from;
    let heads = stats.heads;
    let mut text = String::new();
    for (name, head) in [("latest", heads.latest), ("safe", heads.safe), ("finalized", heads.finalized)] {
        writeln!(text, "{name:<10} {:>12}  {}", head.height, head.hash)?;
    }
    writeln!(text, "kept from: state {state}, receipts {receipts}, bodies {bodies}")?;
    writeln!(text, "{:<18} {:>12} {:>14}", "family", "entries", "bytes on disk")?;
    for family in &stats.families {
        writeln!(text, "{:<18} {:>12} {:>14}", family.name, family.entries, family.bytes)?;
    }
    let bytes: u64 = stats.families.iter().map(|family| family.bytes).sum();
    writeln!(text, "{:<18} {:>12} {bytes:>14}", "total", "")?;
    Ok(text)
}

/// Drops at once what the configuration does not keep, and gives the space back.
///
/// # Errors
/// It cannot be opened; the disk.
pub fn prune(config: &Config) -> eyre::Result<String> {
    let (store, _) = open(config, &genesis(config)?, false)?;
    let mut total = Pruned::default();
    loop {
        let step = store.prune()?;
        if step.is_empty() {
            break;
        }
        total.states = total.states.saturating_add(step.states);
        total.receipts = total.receipts.saturating_add(step.receipts);
        total.bodies = total.bodies.saturating_add(step.bodies);
    }
    store.compact()?;
    Ok(format!("dropped {} states, {} blocks' receipts, {} bodies\n", total.states, total.receipts, total.bodies))
}

/// Opens a damaged log up to the damage, once.
///
/// # Errors
/// More than the log is damaged; the disk.
pub fn recover_log(config: &Config) -> eyre::Result<String> {
    let (store, _) = open(config, &genesis(config)?, true)?;
    // What was saved leaves the log, so that the next opening does not meet the damage again.
    store.compact()?;
    let head = store.heads().latest;
    Ok(format!("the database is at height {} ({}) and opens again\n", head.height, head.hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chain::Chain, epochs::Epochs};
    use alloy_primitives::Address;
    use l1::FinalBlocks;
    use protocol::{
        L1Origin, Member, SequencerSet, SnapshotId, Weight,
        genesis::{L1Contracts, Params},
    };
    use std::{path::Path, sync::Arc};

    fn configured(folder: &Path) -> Config {
        let member = Member { signer: Address::repeat_byte(1), weight: Weight(1) };
        let genesis = Genesis {
            chain_id: 59_902,
            timestamp: 1_700_000_000,
            l1: L1Contracts { chain_id: 1, ..L1Contracts::default() },
            origin: L1Origin::default(),
            set: SequencerSet::new(SnapshotId(1), vec![member]).unwrap(),
            seed: B256::ZERO,
            params: Params { epoch_blocks: 4, turn_blocks: 2, ..Params::default() },
            alloc: Default::default(),
        };
        let file = folder.join("genesis.json");
        fs::write(&file, serde_json::to_vec(&genesis).unwrap()).unwrap();
        Config { data_dir: folder.to_owned(), genesis: file, ..Config::default() }
    }

    /// Empty blocks on top of what is there.
    fn grow(config: &Config, blocks: u64) {
        let genesis = Arc::new(genesis(config).unwrap());
        let (store, _) = open(config, &genesis, false).unwrap();
        let epochs = Arc::new(Epochs::new(genesis.clone(), store.clone()));
        let chain = Chain::open(genesis, store, FinalBlocks::default(), epochs).unwrap();
        for _ in 0..blocks {
            let time = protocol::block::timestamp_ms(&chain.head().header) + 500;
            let builder = chain.open_block(&chain.head(), Address::repeat_byte(1), time).unwrap();
            let built = chain.keep(builder.finish(chain.store()).unwrap());
            chain.commit(built.executed.hash, None).unwrap().unwrap();
        }
        let latest = chain.head().header.number;
        chain.store().set_safe(latest).unwrap();
        chain.store().set_finalized(latest).unwrap();
    }

    fn height(stats: &str) -> u64 {
        stats.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn a_damaged_log_names_the_command_that_saves_what_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let config = configured(folder.path());
        grow(&config, 40);
        assert_eq!(height(&stats(&config).unwrap()), 40);
        grow(&config, 40);
        let files = fs::read_dir(folder.path().join("db")).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
        let log = logs.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
        let mut bytes = fs::read(&log).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&log, bytes).unwrap();
        let refused = format!("{:#}", stats(&config).unwrap_err());
        assert!(refused.contains("horae db recover-log"), "{refused}");
        let saved = recover_log(&config).unwrap();
        let kept = height(&stats(&config).unwrap());
        assert!((40..80).contains(&kept) && saved.contains(&format!("height {kept} ")), "{saved}");
        grow(&config, 3);
        assert_eq!(height(&stats(&config).unwrap()), kept + 3);
    }

    #[test]
    fn a_first_start_that_died_before_the_genesis_block_was_written_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let config = configured(folder.path());
        let path = folder.path().join("db");
        // As RocksDB is before anything is written: the families are there, nothing is in them.
        let mut options = rocksdb::Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        drop(rocksdb::DB::open_cf(&options, &path, ["headers", "bodies", "meta"]).unwrap());
        assert!(path.join("CURRENT").is_file());
        grow(&config, 3);
        assert_eq!(height(&stats(&config).unwrap()), 3);
    }

    #[test]
    fn pruning_follows_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = configured(folder.path());
        grow(&config, 120);
        assert_eq!(prune(&config).unwrap(), "dropped 0 states, 0 blocks' receipts, 0 bodies\n");
        config.history.state_blocks = 10;
        config.history.receipt_blocks = 16;
        config.history.body_blocks = 16;
        prune(&config).unwrap();
        let kept = stats(&config).unwrap();
        assert!(kept.contains("kept from: state 110, receipts 104, bodies 104\n"), "{kept}");
        // The node goes on from there, over epochs whose sets follow from kept blocks.
        grow(&config, 20);
        assert_eq!(height(&stats(&config).unwrap()), 140);
    }
}
