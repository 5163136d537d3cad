//! Questions about final L1 blocks of any range, and the data of batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::consensus::Transaction as _;
use alloy::eips::eip4844::Blob;
use alloy::rpc::types::Filter;
use alloy_primitives::{Address, Bytes, TxKind};
use alloy_sol_types::SolCall;
use derivation::{BatchBlock, ChannelError, FinalL1, FrameError};
use futures::stream::{self, StreamExt, TryStreamExt};
use op_alloy_consensus::TxDeposit;
use parking_lot::RwLock;
use protocol::L1Origin;
use protocol::genesis::L1Contracts;

use crate::contracts::BatchRegistry::submitBatchCall;
use crate::events::{Event, decode};
use crate::{BlobSource, FinalBlock, L1Client, L1Error, L1Header, Snapshot, SubmittedBatch, versioned_hashes};

/// Blocks asked for in one log request.
const MAX_LOG_RANGE: u64 = 500;
/// Header requests under way at once.
const MAX_PARALLEL_HEADERS: usize = 8;
/// Final blocks kept in memory: over a day of mainnet. The watcher waits before it pushes out what is needed.
const MAX_CACHED_BLOCKS: usize = 8_192;
/// The same where nothing can wait, because a batch is read later than the blocks that it names: over nine days of mainnet. What a
/// batch after a longer silence needs is read again. Some 20 MB.
const MAX_DERIVATION_BLOCKS: usize = 65_536;

/// The newest final L1 blocks, shared between the watcher that writes and everyone who reads.
#[derive(Clone, Debug)]
pub struct FinalBlocks {
    blocks: Arc<RwLock<BTreeMap<u64, Arc<FinalBlock>>>>,
    capacity: usize,
    blind_to_deposits: bool,
}

impl Default for FinalBlocks {
    fn default() -> Self {
        Self::of(MAX_CACHED_BLOCKS)
    }
}

impl FinalBlocks {
    /// At most this many blocks.
    pub fn of(capacity: usize) -> Self {
        Self { blocks: Arc::default(), capacity, blind_to_deposits: false }
    }

    /// Of a node that derives its blocks from L1 alone.
    pub fn for_derivation() -> Self {
        Self::of(MAX_DERIVATION_BLOCKS)
    }

    /// Of the devnet's faulty node: ends before the first block with a queue item, so that no block it builds or votes for
    /// executes one.
    pub fn blind_to_deposits() -> Self {
        Self { blind_to_deposits: true, ..Self::default() }
    }

    /// The block, if it is in memory.
    pub fn get(&self, number: u64) -> Option<Arc<FinalBlock>> {
        self.blocks.read().get(&number).cloned()
    }

    /// Number of the newest block in memory.
    pub fn newest(&self) -> Option<u64> {
        self.blocks.read().last_key_value().map(|(number, _)| *number)
    }

    /// Number of the oldest block in memory.
    pub fn oldest(&self) -> Option<u64> {
        self.blocks.read().first_key_value().map(|(number, _)| *number)
    }

    /// Adds a block; the oldest leaves when the bound is reached.
    pub fn insert(&self, block: Arc<FinalBlock>) {
        let mut blocks = self.blocks.write();
        let number = block.origin.number;
        let follows = || blocks.last_key_value().is_none_or(|(newest, _)| newest.saturating_add(1) == number);
        if self.blind_to_deposits && (!block.deposits.is_empty() || !follows()) {
            return;
        }
        blocks.insert(number, block);
        while blocks.len() > self.capacity {
            blocks.pop_first();
        }
    }

    /// How far a block may be ahead of the one that is needed next: a little less than there is room for.
    pub(crate) fn reach(&self) -> u64 {
        let spare = self.capacity / 32;
        u64::try_from(self.capacity.saturating_sub(spare)).unwrap_or(u64::MAX)
    }
}

impl FinalL1 for FinalBlocks {
    fn origin(&self, number: u64) -> Option<L1Origin> {
        self.get(number).map(|block| block.origin)
    }

    fn deposits(&self, number: u64) -> Option<Vec<TxDeposit>> {
        self.get(number).map(|block| block.deposits.clone())
    }
}

/// The data of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchPayload {
    /// In blobs of its transaction.
    Blobs(Vec<Blob>),
    /// In the call's `data`.
    Calldata(Bytes),
}

/// Why a payload gives no blocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The blobs are no frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The channel is damaged.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

impl BatchPayload {
    /// Decodes the blocks of the batch.
    pub fn decode(&self) -> Result<Vec<BatchBlock>, PayloadError> {
        match self {
            Self::Blobs(blobs) => Ok(derivation::decode_channel(&derivation::channel_from_blobs(blobs)?)?),
            Self::Calldata(data) => Ok(derivation::decode_channel(data)?),
        }
    }

    /// `dataHash` of a batch header with this data. Blocks for tens of milliseconds a blob.
    pub fn data_hash(&self) -> Result<alloy_primitives::B256, L1Error> {
        match self {
            Self::Blobs(blobs) => Ok(protocol::batch::blobs_hash(&versioned_hashes(blobs)?)),
            Self::Calldata(data) => Ok(derivation::calldata_hash(data)),
        }
    }
}

/// Reads our contracts' history from L1.
#[derive(Clone, Debug)]
pub struct L1Reader {
    client: L1Client,
    contracts: L1Contracts,
}

impl L1Reader {
    /// A reader of one network.
    pub const fn new(client: L1Client, contracts: L1Contracts) -> Self {
        Self { client, contracts }
    }

    /// The client behind it.
    pub const fn client(&self) -> &L1Client {
        &self.client
    }

    /// The contracts it reads.
    pub const fn contracts(&self) -> &L1Contracts {
        &self.contracts
    }

    pub(crate) const fn addresses(&self) -> [Address; 3] {
        [self.contracts.portal, self.contracts.sequencer_set, self.contracts.batch_registry]
    }

    /// One block as L2 refers to it. The caller knows that it is final.
    pub async fn origin(&self, number: u64) -> Result<L1Origin, L1Error> {
        Ok(self.client.header_by_number(number).await?.origin)
    }

    /// Deposits of the blocks `from..=to`, each with its block number, in order.
    pub async fn deposits(&self, from: u64, to: u64) -> Result<Vec<(u64, TxDeposit)>, L1Error> {
        let pick = |number, event| if let Event::Deposit(deposit) = event { Some((number, deposit)) } else { None };
        self.events(from, to, self.contracts.portal, pick).await
    }

    /// Snapshots taken in the blocks `from..=to`, in order.
    pub async fn snapshots(&self, from: u64, to: u64) -> Result<Vec<Snapshot>, L1Error> {
        let pick = |_, event| if let Event::Snapshot(snapshot) = event { Some(snapshot) } else { None };
        self.events(from, to, self.contracts.sequencer_set, pick).await
    }

    /// Batches accepted in the blocks `from..=to`, in order.
    pub async fn batches(&self, from: u64, to: u64) -> Result<Vec<SubmittedBatch>, L1Error> {
        let pick = |_, event| if let Event::Batch(batch) = event { Some(*batch) } else { None };
        let mut batches = self.events(from, to, self.contracts.batch_registry, pick).await?;
        for batch in batches.iter_mut().filter(|batch| batch.place.timestamp == 0) {
            batch.place.timestamp = self.client.header_by_hash(batch.l1_hash).await?.origin.timestamp;
        }
        Ok(batches)
    }

    /// Final blocks `from..=to` with all that our contracts did in them. At most [`Self::max_range`] at once.
    pub async fn final_blocks(&self, from: u64, to: u64) -> Result<Vec<FinalBlock>, L1Error> {
        let to = to.min(from.saturating_add(MAX_LOG_RANGE - 1));
        let filter = Filter::new().from_block(from).to_block(to).address(self.addresses().to_vec());
        let logs = self.client.logs(&filter).await?;
        let headers = stream::iter(from..=to).map(|number| self.client.header_by_number(number));
        let headers: Vec<L1Header> = headers.buffered(MAX_PARALLEL_HEADERS).try_collect().await?;
        let block = |header: &L1Header| FinalBlock::new(header.origin, header.parent, &logs, &self.contracts);
        headers.iter().map(block).collect()
    }

    /// Most blocks [`Self::final_blocks`] returns.
    pub const fn max_range() -> u64 {
        MAX_LOG_RANGE
    }

    /// One block by its header, with its events; the header's bloom saves the request when there are none.
    pub(crate) async fn block(&self, header: &L1Header) -> Result<FinalBlock, L1Error> {
        let addresses = self.addresses();
        let logs = if header.may_concern(&addresses) {
            let filter = Filter::new().at_block_hash(header.origin.hash).address(addresses.to_vec());
            self.client.logs(&filter).await?
        } else {
            Vec::new()
        };
        FinalBlock::new(header.origin, header.parent, &logs, &self.contracts)
    }

    /// The data of a batch, checked against its header.
    pub async fn payload(&self, batch: &SubmittedBatch, source: &dyn BlobSource) -> Result<BatchPayload, L1Error> {
        let transaction = self.client.transaction(batch.transaction).await?;
        let payload = if batch.blobs {
            let hashes = transaction.blob_versioned_hashes().ok_or(L1Error::Malformed("batch transaction"))?;
            if protocol::batch::blobs_hash(hashes) != batch.header.dataHash {
                return Err(L1Error::Malformed("batch transaction"));
            }
            BatchPayload::Blobs(source.blobs(batch.place, hashes).await?)
        } else {
            BatchPayload::Calldata(self.calldata(&transaction, batch)?)
        };
        Ok(payload)
    }

    /// The registry is called directly; a batch passed through another contract would hide its calldata from us, so the
    /// registry refuses such callers for calldata batches.
    fn calldata(
        &self,
        transaction: &impl alloy::consensus::Transaction,
        batch: &SubmittedBatch,
    ) -> Result<Bytes, L1Error> {
        let malformed = L1Error::Malformed("batch transaction");
        if transaction.kind() != TxKind::Call(self.contracts.batch_registry) {
            return Err(malformed);
        }
        let call = submitBatchCall::abi_decode(transaction.input()).map_err(|_| malformed.clone())?;
        let data: Bytes = call.data;
        if derivation::calldata_hash(&data) == batch.header.dataHash { Ok(data) } else { Err(malformed) }
    }

    async fn events<T>(
        &self,
        from: u64,
        to: u64,
        address: Address,
        pick: impl Fn(u64, Event) -> Option<T>,
    ) -> Result<Vec<T>, L1Error> {
        let mut picked = Vec::new();
        let mut next = from;
        while next <= to {
            let last = to.min(next.saturating_add(MAX_LOG_RANGE - 1));
            let filter = Filter::new().from_block(next).to_block(last).address(address);
            for log in &self.client.logs(&filter).await? {
                picked.extend(pick(log.block_number.unwrap_or_default(), decode(log, &self.contracts)?));
            }
            next = last.saturating_add(1);
        }
        Ok(picked)
    }
}
