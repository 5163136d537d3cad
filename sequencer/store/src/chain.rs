//! The store's handle, its shared insides, and the heads.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        mpsc::{SyncSender, TrySendError},
    },
    thread::JoinHandle,
};

use alloy_consensus::{Header, Sealed};
use alloy_primitives::{B256, Bytes};
use lru::LruCache;
use op_alloy_consensus::OpReceiptEnvelope;
use parking_lot::{Mutex, RwLock};
use protocol::{Block, state::StateDiff};
use rocksdb::{ColumnFamily, DB, WriteOptions};

use crate::{
    Candidate, StoreConfig, StoreError,
    schema::{META, META_FINALIZED, META_SAFE, height_key},
    trie::StateTrie,
};

/// A block by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Height of the block.
    pub height: u64,
    /// Its hash.
    pub hash: B256,
}

/// The three heads of DESIGN §1. `finalized ≤ safe ≤ latest`; all start at genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Committed by certificate.
    pub latest: Head,
    /// Its batch is on L1.
    pub safe: Head,
    /// That L1 block is final.
    pub finalized: Head,
}

/// A block with the state after it.
#[derive(Debug)]
pub(crate) struct RecentState {
    pub(crate) header: Arc<Sealed<Header>>,
    pub(crate) trie: StateTrie,
}

/// First heights of which something is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) state: u64,
    pub(crate) bodies: u64,
    pub(crate) receipts: u64,
}

/// What readers see; replaced piece by piece under one lock that is held for assignments only.
pub(crate) struct Chain {
    /// Ascending, without gaps, the head last. Covers every unsettled height and the one before.
    pub(crate) recent: VecDeque<Arc<RecentState>>,
    /// Diffs of the heights from `next_unsettled` to the head.
    pub(crate) unsettled: VecDeque<Arc<StateDiff>>,
    pub(crate) next_unsettled: u64,
    pub(crate) kept: Kept,
    pub(crate) heads: Heads,
}

pub(crate) struct Inner {
    pub(crate) db: DB,
    pub(crate) config: StoreConfig,
    /// First diff that was there at opening, of those the proof window wants.
    pub(crate) diffs_from: u64,
    pub(crate) chain: RwLock<Chain>,
    /// Held by the one who commits a block.
    pub(crate) commit: Mutex<()>,
    /// Held by the one who settles.
    pub(crate) settle: Mutex<()>,
    /// Held by the one who prunes. Not the settler's: a commit may wait for settling, and a first pruning walks all history. The two do
    /// not meet, for pruning touches settled heights only and settling writes those after them.
    pub(crate) pruning: Mutex<()>,
    /// Candidates whose block may be committed next.
    pub(crate) candidates: Mutex<LruCache<(B256, B256), Arc<Candidate>>>,
    /// The first failure that the caller must halt for; nothing is written after it.
    pub(crate) failure: OnceLock<StoreError>,
    pub(crate) headers: Mutex<LruCache<u64, Arc<Sealed<Header>>>>,
    pub(crate) blocks: Mutex<LruCache<u64, Arc<Sealed<Block>>>>,
    pub(crate) receipts: Mutex<LruCache<u64, Arc<Vec<OpReceiptEnvelope>>>>,
    pub(crate) codes: Mutex<LruCache<B256, Bytes>>,
}

/// Handle to the database; clones share it. The last one dropped closes it.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    inner: Arc<Inner>,
    wake: Option<SyncSender<()>>,
    settler: Option<JoinHandle<()>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The settler ends with its channel; waiting for it releases the database lock before `drop` returns.
        self.wake = None;
        if let Some(settler) = self.settler.take()
            && settler.join().is_err()
        {
            tracing::error!("the settling thread had panicked");
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner().db.path()).field("heads", &self.heads()).finish()
    }
}

impl Inner {
    pub(crate) fn family(&self, name: &'static str) -> Result<&ColumnFamily, StoreError> {
        family(&self.db, name)
    }

    pub(crate) fn get(&self, family: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get_cf(self.family(family)?, key)?)
    }

    /// Fails when an earlier failure has made writing unsafe.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Remembers a failure that the node must halt for.
    pub(crate) fn note<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && error.must_halt()
        {
            tracing::error!(%error, "the database can no longer be written");
            self.failure.get_or_init(|| error.clone());
        }
        result
    }
}

pub(crate) fn family<'a>(db: &'a DB, name: &'static str) -> Result<&'a ColumnFamily, StoreError> {
    db.cf_handle(name).ok_or_else(|| StoreError::Corrupt(format!("column family {name} is missing")))
}

/// Options of a write that returns only when it is durable.
pub(crate) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

pub(crate) fn encode_head(head: &Head) -> Vec<u8> {
    [&height_key(head.height)[..], head.hash.as_slice()].concat()
}

pub(crate) fn decode_head(bytes: &[u8]) -> Result<Head, StoreError> {
    let (height, hash) =
        bytes.split_first_chunk::<8>().ok_or_else(|| StoreError::Corrupt("a head is too short".into()))?;
    let hash = B256::try_from(hash).map_err(|_| StoreError::Corrupt("a head has no hash".into()))?;
    Ok(Head { height: u64::from_be_bytes(*height), hash })
}

impl Store {
    /// Wraps opened insides and starts the settling thread.
    pub(crate) fn start(inner: Inner) -> Result<Self, StoreError> {
        let inner = Arc::new(inner);
        let (wake, woken) = std::sync::mpsc::sync_channel(1);
        let settling = Arc::clone(&inner);
        let settler = std::thread::Builder::new()
            .name("store-settle".into())
            .spawn(move || {
                // A failure is remembered inside and answers the next commit.
                while woken.recv().is_ok() && settling.settle_due().is_ok() {}
            })
            .map_err(|error| StoreError::Io(error.to_string()))?;
        let handle = Handle { inner, wake: Some(wake), settler: Some(settler) };
        Ok(Self { handle: Arc::new(handle) })
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.handle.inner
    }

    /// Tells the settling thread to look; a wake that waits already is enough.
    pub(crate) fn wake_settler(&self) {
        if let Some(wake) = &self.handle.wake
            && let Err(TrySendError::Disconnected(())) = wake.try_send(())
        {
            tracing::error!("the settling thread has ended");
        }
    }

    /// All heads at one instant.
    #[must_use]
    pub fn heads(&self) -> Heads {
        self.inner().chain.read().heads
    }

    pub(crate) fn head_state(&self) -> Arc<RecentState> {
        let chain = self.inner().chain.read();
        // The head is always in memory: opening puts it there and commits only append.
        #[expect(clippy::expect_used, reason = "our own guarantee: `recent` is never empty")]
        Arc::clone(chain.recent.back().expect("the head state is in memory"))
    }

    /// Moves the safe head forward to a stored block. Staying is fine.
    ///
    /// Not synced by itself: the head can be derived from L1 again.
    ///
    /// # Errors
    /// Backwards or beyond latest; the disk.
    pub fn set_safe(&self, height: u64) -> Result<(), StoreError> {
        self.move_head("safe", height)
    }

    /// Moves the finalized head forward, at most to the safe head. Staying is fine.
    ///
    /// # Errors
    /// Backwards or beyond safe; the disk.
    pub fn set_finalized(&self, height: u64) -> Result<(), StoreError> {
        self.move_head("finalized", height)
    }

    /// Takes the safe head back after an L1 reorg dropped batches, at most to the finalized head.
    ///
    /// # Errors
    /// Forwards or below finalized; the disk.
    pub fn rewind_safe(&self, height: u64) -> Result<(), StoreError> {
        let target = self.head_at(height)?;
        let _writing = self.inner().commit.lock();
        let heads = self.heads();
        let refuse = |reason| Err(StoreError::Head { head: "safe", from: heads.safe.height, to: height, reason });
        if height > heads.safe.height {
            return refuse("a rewind goes back");
        }
        if height < heads.finalized.height {
            return refuse("finalized is final");
        }
        self.write_head(META_SAFE, &target)?;
        self.inner().chain.write().heads.safe = target;
        Ok(())
    }

    fn head_at(&self, height: u64) -> Result<Head, StoreError> {
        let hash = self.block_hash(height)?.ok_or(StoreError::UnknownHeight(height))?;
        Ok(Head { height, hash })
    }

    fn move_head(&self, head: &'static str, height: u64) -> Result<(), StoreError> {
        let inner = self.inner();
        let _writing = inner.commit.lock();
        let heads = self.heads();
        let (from, limit, name) = match head {
            "safe" => (heads.safe.height, heads.latest.height, META_SAFE),
            _ => (heads.finalized.height, heads.safe.height, META_FINALIZED),
        };
        let refuse = |reason| Err(StoreError::Head { head, from, to: height, reason });
        if height < from {
            return refuse("it never goes back");
        }
        if height > limit {
            return refuse("it is beyond the head before it");
        }
        let target = self.head_at(height)?;
        if height == from {
            return Ok(());
        }
        self.write_head(name, &target)?;
        let mut chain = inner.chain.write();
        if head == "safe" {
            chain.heads.safe = target;
        } else {
            chain.heads.finalized = target;
        }
        Ok(())
    }

    fn write_head(&self, name: &[u8], head: &Head) -> Result<(), StoreError> {
        self.put(META, name, &encode_head(head), false)
    }

    /// One value outside of blocks, synced or not.
    pub(crate) fn put(&self, family: &'static str, key: &[u8], value: &[u8], sync: bool) -> Result<(), StoreError> {
        let inner = self.inner();
        inner.check()?;
        let options = if sync { synced() } else { WriteOptions::default() };
        let written = inner.db.put_cf_opt(inner.family(family)?, key, value, &options);
        inner.note(written.map_err(StoreError::from))
    }
}
