//! Column families and their keys. Numbers are big-endian, so that RocksDB's order is theirs.

use alloy_primitives::B256;
use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBRecoveryMode, Options};

use crate::{StoreConfig, StoreError};

/// Layout of everything below; raised on every incompatible change.
pub(crate) const SCHEMA_VERSION: u32 = 2;

/// height → block hash ‖ header RLP
pub(crate) const HEADERS: &str = "headers";
/// height → body RLP
pub(crate) const BODIES: &str = "bodies";
/// height → 20 bytes of sender for each transaction; absent for blocks of a program that did not store them
pub(crate) const SENDERS: &str = "senders";
/// block hash → height
pub(crate) const HEIGHTS: &str = "heights";
/// transaction hash → height ‖ index
pub(crate) const TRANSACTIONS: &str = "transactions";
/// height → RLP list of EIP-2718 receipts
pub(crate) const RECEIPTS: &str = "receipts";
/// height → commit certificate RLP
pub(crate) const CERTIFICATES: &str = "certificates";
/// code hash → code
pub(crate) const CODE: &str = "code";
/// height → what the block changed; kept for the proof window, and at least until settled
pub(crate) const DIFFS: &str = "diffs";
/// keccak(address) → address ‖ account RLP, at the settled height
pub(crate) const ACCOUNTS: &str = "accounts";
/// keccak(address) ‖ keccak(slot) → slot ‖ value without leading zeros, at the settled height
pub(crate) const STORAGE: &str = "storage";
/// keccak(address) ‖ height → account RLP after that block, empty when gone
pub(crate) const ACCOUNT_HISTORY: &str = "account_history";
/// keccak(address) ‖ keccak(slot) ‖ height → value after that block
pub(crate) const STORAGE_HISTORY: &str = "storage_history";
/// address or topic ‖ height → nothing: the block has such a log; settled heights only
pub(crate) const LOG_INDEX: &str = "log_index";
/// batch index → batch
pub(crate) const BATCHES: &str = "batches";
/// last height of a batch → batch index
pub(crate) const BATCH_HEIGHTS: &str = "batch_heights";
/// keccak(evidence) → evidence
pub(crate) const EVIDENCE: &str = "evidence";
/// L1 block → sequencer set that was frozen in it
pub(crate) const RECORDS: &str = "records";
/// names below → values
pub(crate) const META: &str = "meta";

pub(crate) const ALL: [&str; 19] = [
    HEADERS,
    BODIES,
    SENDERS,
    HEIGHTS,
    TRANSACTIONS,
    RECEIPTS,
    CERTIFICATES,
    CODE,
    DIFFS,
    ACCOUNTS,
    STORAGE,
    ACCOUNT_HISTORY,
    STORAGE_HISTORY,
    LOG_INDEX,
    BATCHES,
    BATCH_HEIGHTS,
    EVIDENCE,
    RECORDS,
    META,
];

/// In [`META`].
pub(crate) const META_SCHEMA: &[u8] = b"schema";
pub(crate) const META_GENESIS: &[u8] = b"genesis";
pub(crate) const META_LATEST: &[u8] = b"latest";
pub(crate) const META_SAFE: &[u8] = b"safe";
pub(crate) const META_FINALIZED: &[u8] = b"finalized";
/// L1 block through which [`RECORDS`] has all frozen sets; absent: none was read.
pub(crate) const META_SETS_THROUGH: &[u8] = b"sets_through";
/// First height that is not yet in flat state and history.
pub(crate) const META_UNSETTLED: &[u8] = b"unsettled";
/// First height whose state history can answer.
pub(crate) const META_KEPT_FROM: &[u8] = b"kept_from";
/// First height whose body and certificate are kept (genesis apart); absent: all.
pub(crate) const META_BODIES_FROM: &[u8] = b"bodies_from";
/// First height whose receipts are kept; absent: all.
pub(crate) const META_RECEIPTS_FROM: &[u8] = b"receipts_from";

/// Blocks of the files; one disk page, since most reads are single keys.
const FILE_BLOCK_BYTES: usize = 4096;
/// Bits a key in the filters: 1 % false positives.
const FILTER_BITS: f64 = 10.0;
/// Logs are dropped beyond this; families with few writes are flushed for it.
const MAX_WAL_BYTES: u64 = 64 << 20;
/// RocksDB's own text logs.
const MAX_LOG_FILES: usize = 2;
const MAX_LOG_BYTES: usize = 1 << 20;

pub(crate) fn database_options(config: &StoreConfig) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_open_files(config.max_open_files);
    options.set_db_write_buffer_size(config.write_buffer_bytes);
    options.set_max_total_wal_size(MAX_WAL_BYTES);
    options.set_keep_log_file_num(MAX_LOG_FILES);
    options.set_max_log_file_size(MAX_LOG_BYTES);
    options.set_max_background_jobs(2);
    // A log that ends in the middle of a record is what a crash leaves; any other damage must not pass for one.
    options.set_wal_recovery_mode(match config.recover_log {
        true => DBRecoveryMode::PointInTime,
        false => DBRecoveryMode::TolerateCorruptedTailRecords,
    });
    options
}

pub(crate) fn families(config: &StoreConfig) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(config.block_cache_bytes);
    ALL.iter().map(|name| ColumnFamilyDescriptor::new(*name, family_options(name, config, &cache))).collect()
}

fn family_options(name: &str, config: &StoreConfig, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(FILE_BLOCK_BYTES);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if matches!(name, HEIGHTS | TRANSACTIONS | ACCOUNTS | STORAGE | CODE) {
        table.set_bloom_filter(FILTER_BITS, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size((config.write_buffer_bytes / 3).max(1 << 16));
    options.set_max_write_buffer_number(2);
    // Hashes do not compress; what has text, RLP or repeated keys does.
    let compression = match name {
        HEIGHTS | TRANSACTIONS => rocksdb::DBCompressionType::None,
        BODIES | RECEIPTS | CODE | DIFFS => rocksdb::DBCompressionType::Zstd,
        _ => rocksdb::DBCompressionType::Lz4,
    };
    options.set_compression_type(compression);
    options
}

pub(crate) const fn height_key(height: u64) -> [u8; 8] {
    height.to_be_bytes()
}

/// Reads a big-endian number, as keys and several values hold it.
pub(crate) fn read_u64(bytes: &[u8]) -> Result<u64, StoreError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Corrupt("a number is not 8 bytes long".into()))
}

pub(crate) fn account_history_key(account: &B256, height: u64) -> [u8; 40] {
    let mut key = [0; 40];
    let (head, tail) = key.split_at_mut(32);
    head.copy_from_slice(account.as_slice());
    tail.copy_from_slice(&height_key(height));
    key
}

pub(crate) fn storage_key(account: &B256, slot: &B256) -> [u8; 64] {
    let mut key = [0; 64];
    let (head, tail) = key.split_at_mut(32);
    head.copy_from_slice(account.as_slice());
    tail.copy_from_slice(slot.as_slice());
    key
}

pub(crate) fn storage_history_key(account: &B256, slot: &B256, height: u64) -> [u8; 72] {
    let mut key = [0; 72];
    let (head, tail) = key.split_at_mut(64);
    head.copy_from_slice(&storage_key(account, slot));
    tail.copy_from_slice(&height_key(height));
    key
}
