//! Creating, opening, and bringing the tries back into memory.

use std::{collections::VecDeque, num::NonZeroUsize, path::Path, sync::Arc};

use alloy_primitives::{B256, U256};
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use protocol::{Block, state::StateDiff};
use rocksdb::{DB, Direction, IteratorMode, ReadOptions, WriteBatch};

use crate::{
    CommittedBlock, Head, Heads, Store, StoreConfig, StoreError,
    chain::{Chain, Inner, Kept, RecentState, decode_head, encode_head, family, synced},
    codec,
    commit::{check_parts, write_block},
    schema::{
        ACCOUNTS, DIFFS, HEADERS, META, META_BODIES_FROM, META_FINALIZED, META_GENESIS, META_KEPT_FROM, META_LATEST,
        META_RECEIPTS_FROM, META_SAFE, META_SCHEMA, META_UNSETTLED, SCHEMA_VERSION, STORAGE, database_options,
        families, height_key, read_u64,
    },
    trie::{StateTrie, Trie},
};

/// Candidates for one height that are worth remembering: the leader's own and those of a few rounds.
const CANDIDATES: usize = 4;
/// Rounded reads while streaming the flat state.
const READAHEAD_BYTES: usize = 2 << 20;
/// The file by which RocksDB names its current manifest: where it is, a database is.
const CURRENT: &str = "CURRENT";

impl Store {
    /// Creates the database of a new chain with its genesis block, whose state is `diff` over nothing, and opens it.
    ///
    /// # Errors
    /// A database is there already; the diff does not give the header's state root; the disk.
    pub fn create(path: &Path, genesis: &Block, diff: &StateDiff, config: &StoreConfig) -> Result<Self, StoreError> {
        let committed = CommittedBlock {
            block: genesis.clone(),
            senders: Vec::new(),
            receipts: Vec::new(),
            diff: diff.clone(),
            certificate: None,
        };
        check_parts(&committed)?;
        let header = &genesis.header;
        let computed = StateTrie::default().with(diff).roots().state_root;
        if computed != header.state_root {
            return Err(StoreError::WrongRoot { height: header.number, claimed: header.state_root, computed });
        }
        if header.number != 0 {
            return Err(StoreError::Misfit { height: header.number, reason: "a genesis block has height 0" });
        }
        std::fs::create_dir_all(path).map_err(|error| StoreError::Io(format!("{}: {error}", path.display())))?;
        let db = open_database(path, config)?;
        let meta = family(&db, META)?;
        if db.get_cf(meta, META_SCHEMA)?.is_some() {
            return Err(StoreError::Placement(format!("{} holds a database already", path.display())));
        }
        let hash = header.hash_slow();
        let head = encode_head(&Head { height: 0, hash });
        let mut batch = WriteBatch::default();
        write_block(&db, &mut batch, &committed, hash)?;
        batch.put_cf(meta, META_SCHEMA, SCHEMA_VERSION.to_be_bytes());
        batch.put_cf(meta, META_GENESIS, hash);
        batch.put_cf(meta, META_SAFE, &head);
        batch.put_cf(meta, META_FINALIZED, &head);
        batch.put_cf(meta, META_UNSETTLED, height_key(0));
        batch.put_cf(meta, META_KEPT_FROM, height_key(0));
        db.write_opt(batch, &synced())?;
        let store = Self::start(load(db, config.clone())?)?;
        store.inner().settle_all()?;
        Ok(store)
    }

    /// Opens an existing database of the chain with this genesis hash.
    ///
    /// # Errors
    /// [`StoreError::Placement`] when there is none or nothing is in it yet, [`StoreError::Foreign`] when it is not ours or too new,
    /// [`StoreError::Locked`], [`StoreError::Corrupt`] when the state does not have the root of the head's header.
    pub fn open(path: &Path, genesis: B256, config: &StoreConfig) -> Result<Self, StoreError> {
        if !path.join(CURRENT).is_file() {
            return Err(StoreError::Placement(format!("no database in {}", path.display())));
        }
        let db = open_database(path, config)?;
        let meta = family(&db, META)?;
        let Some(schema) = db.get_cf(meta, META_SCHEMA)? else {
            return Err(StoreError::Placement(format!("the database in {} was never initialised", path.display())));
        };
        let schema = schema.as_slice().try_into().map(u32::from_be_bytes).unwrap_or_default();
        if schema != SCHEMA_VERSION {
            return Err(StoreError::Foreign(format!(
                "the database in {} has schema {schema}, this program reads {SCHEMA_VERSION}",
                path.display()
            )));
        }
        let found = B256::from_slice(&required(&db, META_GENESIS, 32)?);
        if found != genesis {
            return Err(StoreError::Foreign(format!(
                "the database in {} belongs to the chain with genesis {found}, not {genesis}",
                path.display()
            )));
        }
        Self::start(load(db, config.clone())?)
    }
}

fn open_database(path: &Path, config: &StoreConfig) -> Result<DB, StoreError> {
    DB::open_cf_descriptors(&database_options(config), path, families(config)).map_err(|error| {
        let text = error.to_string();
        // RocksDB reports its lock file as an input/output error.
        let locked = text.contains("/LOCK") && (text.contains("lock hold") || text.contains("While lock file"));
        if locked { StoreError::Locked(path.to_path_buf()) } else { StoreError::from(error) }
    })
}

/// A value of [`META`] that every initialised database has.
fn required(db: &DB, name: &[u8], length: usize) -> Result<Vec<u8>, StoreError> {
    db.get_cf(family(db, META)?, name)?.filter(|value| value.len() == length).ok_or_else(|| {
        StoreError::Corrupt(format!("metadata {} is missing or malformed", String::from_utf8_lossy(name)))
    })
}

/// Rebuilds what is kept in memory and holds it against the head's header.
fn load(db: DB, config: StoreConfig) -> Result<Inner, StoreError> {
    let head = |name| required(&db, name, 40).and_then(|bytes| decode_head(&bytes));
    let heads = Heads { latest: head(META_LATEST)?, safe: head(META_SAFE)?, finalized: head(META_FINALIZED)? };
    let next_unsettled = read_u64(&required(&db, META_UNSETTLED, 8)?)?;
    let optional = |name| db.get_cf(family(&db, META)?, name)?.map_or(Ok(0), |bytes| read_u64(&bytes));
    let kept = Kept {
        state: read_u64(&required(&db, META_KEPT_FROM, 8)?)?,
        bodies: optional(META_BODIES_FROM)?,
        receipts: optional(META_RECEIPTS_FROM)?,
    };

    // Fewer than the window wants after it was widened.
    let wanted = next_unsettled.saturating_sub(config.proof_window);
    let mode = IteratorMode::From(&height_key(wanted), Direction::Forward);
    let oldest_diff = db.iterator_cf(family(&db, DIFFS)?, mode).next().transpose()?;
    let diffs_from = oldest_diff.map_or(Ok(next_unsettled), |(key, _)| read_u64(&key))?;

    let mut trie = load_flat(&db)?;
    let mut recent = VecDeque::new();
    let mut unsettled = VecDeque::new();
    if let Some(settled) = next_unsettled.checked_sub(1) {
        recent.push_back(checked_state(&db, settled, trie.clone())?);
    }
    for height in next_unsettled..=heads.latest.height {
        let bytes = db.get_cf(family(&db, DIFFS)?, height_key(height))?;
        let bytes = bytes.ok_or_else(|| StoreError::Corrupt(format!("the diff of block {height} is missing")))?;
        let diff = codec::decode_diff(&bytes)?;
        trie = trie.with(&diff);
        recent.push_back(checked_state(&db, height, trie.clone())?);
        unsettled.push_back(Arc::new(diff));
    }
    let newest = recent.back().map(|state| Head { height: state.header.number, hash: state.header.hash() });
    if newest != Some(heads.latest) {
        return Err(StoreError::Corrupt(format!("the head {} is not the newest state", heads.latest.height)));
    }
    let one = NonZeroUsize::MIN;
    let chain = Chain { recent, unsettled, next_unsettled, kept, heads };
    Ok(Inner {
        diffs_from,
        chain: RwLock::new(chain),
        commit: Mutex::new(()),
        settle: Mutex::new(()),
        pruning: Mutex::new(()),
        candidates: Mutex::new(LruCache::new(NonZeroUsize::new(CANDIDATES).unwrap_or(one))),
        failure: std::sync::OnceLock::new(),
        headers: Mutex::new(LruCache::new(config.cached_headers)),
        blocks: Mutex::new(LruCache::new(config.cached_blocks)),
        receipts: Mutex::new(LruCache::new(config.cached_blocks)),
        codes: Mutex::new(LruCache::new(config.cached_codes)),
        config,
        db,
    })
}

/// Pairs a state with its header, if the header says that this is its state.
fn checked_state(db: &DB, height: u64, trie: StateTrie) -> Result<Arc<RecentState>, StoreError> {
    let bytes = db.get_cf(family(db, HEADERS)?, height_key(height))?;
    let bytes = bytes.ok_or_else(|| StoreError::Corrupt(format!("header {height} is missing")))?;
    let header = codec::decode_header(&bytes)?;
    if header.hash_slow() != header.hash() || header.number != height {
        return Err(StoreError::Corrupt(format!("header {height} does not have its hash")));
    }
    let root = trie.roots().state_root;
    if root != header.state_root {
        return Err(StoreError::Corrupt(format!(
            "the state at height {height} has root {root}, its header says {}",
            header.state_root
        )));
    }
    Ok(Arc::new(RecentState { header: Arc::new(header), trie }))
}

/// Streams accounts and storage side by side: both are sorted by hashed address.
fn load_flat(db: &DB) -> Result<StateTrie, StoreError> {
    let options = || {
        let mut options = ReadOptions::default();
        options.set_readahead_size(READAHEAD_BYTES);
        options.fill_cache(false);
        options
    };
    let mut accounts = db.iterator_cf_opt(family(db, ACCOUNTS)?, options(), IteratorMode::Start);
    let mut slots = db.iterator_cf_opt(family(db, STORAGE)?, options(), IteratorMode::Start);
    let mut trie = StateTrie::default();
    let mut slot = next_slot(&mut slots)?;
    for account in &mut accounts {
        let (key, value) = account?;
        let hashed = B256::try_from(&*key).map_err(|_| StoreError::Corrupt("an account key is malformed".into()))?;
        let (_, account) = codec::decode_flat_account(&value)?;
        let mut storage = Trie::default();
        while let Some((owner, key, value)) = slot
            && owner == hashed
        {
            storage.insert(key, value);
            slot = next_slot(&mut slots)?;
        }
        storage.root();
        trie.load(hashed, &account, storage);
    }
    if let Some((owner, ..)) = slot {
        return Err(StoreError::Corrupt(format!("storage of the missing account {owner}")));
    }
    trie.hash();
    Ok(trie)
}

type Slot = (B256, B256, U256);

fn next_slot(
    slots: &mut impl Iterator<Item = Result<(Box<[u8]>, Box<[u8]>), rocksdb::Error>>,
) -> Result<Option<Slot>, StoreError> {
    let Some(next) = slots.next() else { return Ok(None) };
    let (key, value) = next?;
    let malformed = || StoreError::Corrupt("a storage key is malformed".into());
    let (owner, slot) = key.split_first_chunk::<32>().ok_or_else(malformed)?;
    let slot = B256::try_from(slot).map_err(|_| malformed())?;
    let (_, value) = codec::decode_flat_slot(&value)?;
    Ok(Some((B256::from(*owner), slot, value)))
}
