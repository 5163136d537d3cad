//! Contract events of one L1 block, decoded.

use alloy::rpc::types::Log;
use alloy_primitives::{B256, U256};
use alloy_sol_types::SolEvent;
use op_alloy_consensus::TxDeposit;
use protocol::genesis::L1Contracts;
use protocol::{BatchHeader, L1Origin, SequencerSet, SnapshotId};

use crate::contracts::{BatchRegistry, SequencerSet as SequencerSetContract, bound};
use crate::{BlobPlace, L1Error};

/// A batch the registry accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmittedBatch {
    /// What its signers stated.
    pub header: BatchHeader,
    /// Its name on L1, the EIP-712 struct hash of the header.
    pub hash: B256,
    /// Which members of the snapshot signed.
    pub bitmap: U256,
    /// Data in blobs, not in calldata.
    pub blobs: bool,
    /// L1 block number, and timestamp once the block is known.
    pub place: BlobPlace,
    /// L1 block hash.
    pub l1_hash: B256,
    /// L1 transaction.
    pub transaction: B256,
}

impl SubmittedBatch {
    /// Posted by someone without a certificate, after silence: queue items only, and no data (specification 4.7).
    pub fn is_permissionless(&self) -> bool {
        self.bitmap.is_zero()
    }
}

/// A frozen sequencer set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The members, under the snapshot's number.
    pub set: SequencerSet,
    /// `prevrandao` of the L1 block that took it.
    pub seed: B256,
    /// Staking's operator numbers, in member order.
    pub operators: Vec<U256>,
    /// L1 block that took it.
    pub l1_number: u64,
}

/// A final L1 block and what our contracts did in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalBlock {
    /// The block as L2 refers to it.
    pub origin: L1Origin,
    /// Hash of its parent.
    pub parent: B256,
    /// Deposit queue items as L2 transactions, in order.
    pub deposits: Vec<TxDeposit>,
    /// Snapshots taken.
    pub snapshots: Vec<Snapshot>,
    /// Batches accepted.
    pub batches: Vec<SubmittedBatch>,
}

/// One decoded log.
pub(crate) enum Event {
    Deposit(TxDeposit),
    Snapshot(Snapshot),
    Batch(Box<SubmittedBatch>),
    /// Of our contracts, but not of interest here.
    Other,
}

/// Decodes a log of one of our contracts. A log that our contracts cannot have emitted means that the addresses are
/// wrong, so it is an error and not skipped.
pub(crate) fn decode(log: &Log, contracts: &L1Contracts) -> Result<Event, L1Error> {
    let malformed = L1Error::Malformed("contract event");
    let number = log.block_number.ok_or(malformed.clone())?;
    let l1_hash = log.block_hash.ok_or(malformed.clone())?;
    let address = log.address();
    let topic = log.topic0().copied().unwrap_or_default();
    if address == contracts.portal && topic == derivation::DEPOSIT_TOPIC {
        let index = log.log_index.ok_or(malformed.clone())?;
        let deposit =
            derivation::decode_deposit(log.topics(), &log.data().data, l1_hash, index).map_err(|_| malformed)?;
        return Ok(Event::Deposit(deposit));
    }
    if address == contracts.sequencer_set && topic == SequencerSetContract::SnapshotTaken::SIGNATURE_HASH {
        let event = SequencerSetContract::SnapshotTaken::decode_log_data(log.data()).map_err(|_| malformed.clone())?;
        let set = SequencerSet::from_words(SnapshotId(event.id), &event.members).map_err(|_| malformed)?;
        return Ok(Event::Snapshot(Snapshot {
            set,
            seed: event.seed,
            operators: event.operatorIds,
            l1_number: number,
        }));
    }
    if address == contracts.batch_registry && topic == BatchRegistry::BatchSubmitted::SIGNATURE_HASH {
        let event = BatchRegistry::BatchSubmitted::decode_log_data(log.data()).map_err(|_| malformed.clone())?;
        let transaction = log.transaction_hash.ok_or(malformed)?;
        let place = BlobPlace { number, timestamp: log.block_timestamp.unwrap_or_default() };
        let header = bound::<BatchRegistry::BatchHeader, BatchHeader>(&event.header);
        let hash = event.batchHash;
        return Ok(Event::Batch(Box::new(SubmittedBatch {
            header,
            hash,
            bitmap: event.bitmap,
            blobs: event.blobs,
            place,
            l1_hash,
            transaction,
        })));
    }
    Ok(Event::Other)
}

impl FinalBlock {
    /// The block with the events among `logs` that are its own.
    pub(crate) fn new(origin: L1Origin, parent: B256, logs: &[Log], contracts: &L1Contracts) -> Result<Self, L1Error> {
        let mut block = Self { origin, parent, deposits: Vec::new(), snapshots: Vec::new(), batches: Vec::new() };
        for log in logs.iter().filter(|log| log.block_number == Some(origin.number)) {
            if log.block_hash != Some(origin.hash) {
                // A reorg between two requests; asking again gives one chain.
                return Err(L1Error::Missing("logs of block", origin.hash.to_string()));
            }
            match decode(log, contracts)? {
                Event::Deposit(deposit) => block.deposits.push(deposit),
                Event::Snapshot(snapshot) => block.snapshots.push(snapshot),
                Event::Batch(mut batch) => {
                    batch.place.timestamp = origin.timestamp;
                    block.batches.push(*batch);
                }
                Event::Other => {}
            }
        }
        Ok(block)
    }
}
