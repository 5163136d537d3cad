//! Bindings of the L1 contracts, made from the committed artifacts: what is deployed is what is called.

#![allow(missing_docs, clippy::too_many_arguments, clippy::indexing_slicing, clippy::unwrap_used, unreachable_pub)]

use alloy_sol_types::sol;

sol!(
    /// The METIS token of a development network.
    #[derive(Debug)]
    DevnetMetis,
    "../../contracts/artifacts/DevnetMetis.json"
);
sol!(
    /// Locks the stake that answers for signatures.
    #[derive(Debug)]
    Staking,
    "../../contracts/artifacts/Staking.json"
);
sol!(
    /// Freezes the sequencer set under a number.
    #[derive(Debug)]
    SequencerSet,
    "../../contracts/artifacts/SequencerSet.json"
);
sol!(
    /// Queues what L2 must execute.
    #[derive(Debug)]
    DepositQueue,
    "../../contracts/artifacts/DepositQueue.json"
);

sol!(
    /// Accepts certified batches.
    #[derive(Debug)]
    BatchRegistry,
    "../../contracts/artifacts/BatchRegistry.json"
);

pub use BatchRegistry::BatchHeader;

impl From<&protocol::BatchHeader> for BatchHeader {
    fn from(header: &protocol::BatchHeader) -> Self {
        let protocol::BatchHeader {
            index,
            parentHash,
            firstHeight,
            lastHeight,
            lastBlockHash,
            stateRoot,
            withdrawalsRoot,
            blocksRoot,
            dataHash,
            snapshotId,
            l1OriginNumber,
            l1OriginHash,
            depositCount,
        } = header.clone();
        Self {
            index,
            parentHash,
            firstHeight,
            lastHeight,
            lastBlockHash,
            stateRoot,
            withdrawalsRoot,
            blocksRoot,
            dataHash,
            snapshotId,
            l1OriginNumber,
            l1OriginHash,
            depositCount,
        }
    }
}

impl From<BatchHeader> for protocol::BatchHeader {
    fn from(header: BatchHeader) -> Self {
        let BatchHeader {
            index,
            parentHash,
            firstHeight,
            lastHeight,
            lastBlockHash,
            stateRoot,
            withdrawalsRoot,
            blocksRoot,
            dataHash,
            snapshotId,
            l1OriginNumber,
            l1OriginHash,
            depositCount,
        } = header;
        Self {
            index,
            parentHash,
            firstHeight,
            lastHeight,
            lastBlockHash,
            stateRoot,
            withdrawalsRoot,
            blocksRoot,
            dataHash,
            snapshotId,
            l1OriginNumber,
            l1OriginHash,
            depositCount,
        }
    }
}
