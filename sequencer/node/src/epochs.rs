//! Which set votes in which epoch, and who leads (specification, section 2).

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolValue;
use execution::{L1Attributes, SeededSet, epoch_deposit};
use l1::Snapshot;
use lru::LruCache;
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use parking_lot::{Mutex, RwLock};
use protocol::{Block, Epoch, Genesis, Height, Leadership, Schedule, SequencerSet, SnapshotId, block::leader};
use store::{MAX_SETS, Store, StoreError};
use tokio::sync::watch;

/// Epochs whose schedule stays in memory.
const CACHED_EPOCHS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);
/// A stored snapshot: number, member words, seed, operators.
type Stored = (u64, Vec<B256>, B256, Vec<U256>);

fn encode(snapshot: &Snapshot) -> Bytes {
    let Snapshot { set, seed, operators, .. } = snapshot;
    let stored: Stored = (set.snapshot.0, set.words(), *seed, operators.clone());
    stored.abi_encode().into()
}

fn decode(l1_number: u64, bytes: &[u8]) -> Option<Snapshot> {
    let (number, words, seed, operators) = Stored::abi_decode(bytes).ok()?;
    let set = SequencerSet::from_words(SnapshotId(number), &words).ok()?;
    Some(Snapshot { set, seed, operators, l1_number })
}

/// Set, seed and turns of one epoch.
#[derive(Debug)]
pub struct EpochInfo {
    /// Members and weights.
    pub set: SequencerSet,
    /// Seed of the schedule.
    pub seed: B256,
    /// Who leads when.
    pub schedule: Schedule,
}

impl EpochInfo {
    fn seeded(&self) -> SeededSet<'_> {
        SeededSet { set: &self.set, seed: self.seed }
    }
}

/// Why an epoch's set cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The block that fixes it is not decided yet: an epoch is known two epochs ahead of its end.
    #[error("the set of epoch {0} is not known yet")]
    NotYet(Epoch),
    /// The L1 view has not reached the origin that fixes it: retry.
    #[error("L1 block {0} is not final in this node's view yet")]
    L1Behind(u64),
    /// A committed block without readable L1 attributes: the database is damaged.
    #[error("block {0} has no L1 attributes")]
    NoAttributes(Height),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What L1 said about sets, joined with what L2 decided.
#[derive(Debug)]
pub struct Epochs {
    genesis: Arc<Genesis>,
    store: Store,
    snapshots: RwLock<BTreeMap<u64, Snapshot>>,
    /// L1 block up to which snapshots have been read.
    read_to: watch::Sender<u64>,
    cache: Mutex<LruCache<Epoch, Arc<EpochInfo>>>,
}

/// The L1 attributes of a block; `None` for the genesis block.
#[must_use]
pub fn attributes_of(block: &Block) -> Option<L1Attributes> {
    attributes_in(&block.body.transactions, block.header.mix_hash)
}

/// The same of a block that may be unfinished, by its transactions and its `mixHash`.
#[must_use]
pub fn attributes_in(transactions: &[OpTxEnvelope], mix_hash: B256) -> Option<L1Attributes> {
    match transactions.first()? {
        OpTxEnvelope::Deposit(deposit) => L1Attributes::decode(deposit.inner(), mix_hash),
        _ => None,
    }
}

impl Epochs {
    /// An empty record; snapshots are added as L1 finalises them.
    #[must_use]
    pub fn new(genesis: Arc<Genesis>, store: Store) -> Self {
        let read_to = watch::Sender::new(genesis.origin.number);
        let cache = Mutex::new(LruCache::new(CACHED_EPOCHS));
        Self { genesis, store, snapshots: RwLock::default(), read_to, cache }
    }

    /// Takes in the snapshots of final L1 blocks up to and including `read_to`.
    pub fn on_final(&self, snapshots: impl IntoIterator<Item = Snapshot>, read_to: u64) {
        let mut known = self.snapshots.write();
        for snapshot in snapshots {
            known.insert(snapshot.l1_number, snapshot);
        }
        while known.len() > MAX_SETS {
            known.pop_first();
        }
        // The snapshots must be there before anyone is told that they are.
        drop(known);
        self.read_to.send_modify(|reached| *reached = (*reached).max(read_to));
    }

    /// Takes up the snapshots that were stored; returns the L1 block through which there are all.
    ///
    /// # Errors
    /// The database failed, or what it holds is none.
    pub fn restore(&self) -> Result<u64, StoreError> {
        let malformed = || StoreError::Corrupt("a stored snapshot is malformed".to_owned());
        let stored = self.store.sets()?;
        let snapshots = stored.iter().map(|(number, bytes)| decode(*number, bytes).ok_or_else(malformed));
        let snapshots = snapshots.collect::<Result<Vec<_>, _>>()?;
        let through = self.store.sets_through()?.unwrap_or(self.genesis.origin.number);
        self.on_final(snapshots, through);
        Ok(through)
    }

    /// Stores the snapshots of final L1 blocks up to and including `read_to`, and takes them in.
    ///
    /// # Errors
    /// The database failed.
    pub fn keep(&self, snapshots: &[Snapshot], read_to: u64) -> Result<(), StoreError> {
        let encoded: Vec<_> = snapshots.iter().map(|snapshot| (snapshot.l1_number, encode(snapshot))).collect();
        self.store.put_sets(&encoded, read_to)?;
        self.on_final(snapshots.iter().cloned(), read_to);
        Ok(())
    }

    /// Resolves when the snapshots of L1 block `number` are known.
    pub async fn reached(&self, number: u64) {
        // The channel cannot close: we hold its sender.
        let _ = self.read_to.subscribe().wait_for(|reached| *reached >= number).await;
    }

    /// Set and schedule of an epoch.
    ///
    /// # Errors
    /// See [`EpochError`].
    pub fn get(&self, epoch: Epoch) -> Result<Arc<EpochInfo>, EpochError> {
        if let Some(info) = self.cache.lock().get(&epoch) {
            return Ok(info.clone());
        }
        let (set, seed) = match epoch.0.checked_sub(2) {
            None => (self.genesis.set.clone(), self.genesis.seed),
            Some(fixing) => self.fixed_by(epoch, self.genesis.params.last_height(Epoch(fixing)))?,
        };
        let schedule = Schedule::new(&self.genesis.params, epoch, &set, seed);
        let info = Arc::new(EpochInfo { set, seed, schedule });
        self.cache.lock().put(epoch, info.clone());
        Ok(info)
    }

    /// Members, weights and leader order of the height after `parent`.
    ///
    /// # Errors
    /// See [`EpochError`].
    pub fn leadership(&self, parent: &alloy_consensus::Header) -> Result<Leadership, EpochError> {
        let height = Height(parent.number).next();
        let epoch = self.genesis.params.epoch_of(height);
        let info = self.get(epoch)?;
        let leaders = info.schedule.leaders(height, leader(parent)).ok_or(EpochError::NotYet(epoch))?;
        Ok(Leadership { height, set: info.set.clone(), leaders })
    }

    /// The deposit that tells L2 its sets, for the block after `parent`; `None` inside an epoch.
    ///
    /// # Errors
    /// See [`EpochError`].
    pub fn deposit_after(&self, parent: &alloy_consensus::Header) -> Result<Option<TxDeposit>, EpochError> {
        let params = &self.genesis.params;
        let height = Height(parent.number).next();
        let epoch = params.epoch_of(height);
        if params.first_height(epoch) != height {
            return Ok(None);
        }
        let (current, next) = (self.get(epoch)?, self.get(Epoch(epoch.0.saturating_add(1)))?);
        Ok(Some(epoch_deposit(params, epoch, current.seeded(), next.seeded())))
    }

    fn fixed_by(&self, epoch: Epoch, height: Height) -> Result<(SequencerSet, B256), EpochError> {
        let block = self.store.block(height.0)?.ok_or(EpochError::NotYet(epoch))?;
        let origin = attributes_of(&block).ok_or(EpochError::NoAttributes(height))?.origin;
        if *self.read_to.borrow() < origin.number {
            return Err(EpochError::L1Behind(origin.number));
        }
        let snapshots = self.snapshots.read();
        let newest = snapshots.range(..=origin.number).next_back();
        let set = newest.map_or_else(|| self.genesis.set.clone(), |(_, snapshot)| snapshot.set.clone());
        Ok((set, block.header.mix_hash))
    }
}

#[cfg(test)]
impl Epochs {
    pub(crate) fn snapshots(&self) -> Vec<Snapshot> {
        self.snapshots.read().values().cloned().collect()
    }
}
