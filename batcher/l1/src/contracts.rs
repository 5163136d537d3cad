//! Bindings of the L1 contracts: the calls and events this node uses.

use alloy_sol_types::sol;

sol! {
    /// Statement that a batch's signers answer for; mirrors [`protocol::BatchHeader`].
    #[derive(Debug, PartialEq, Eq)]
    struct BatchHeader {
        uint64 index;
        bytes32 parentHash;
        uint64 firstHeight;
        uint64 lastHeight;
        bytes32 lastBlockHash;
        bytes32 stateRoot;
        bytes32 withdrawalsRoot;
        bytes32 blocksRoot;
        bytes32 dataHash;
        uint64 snapshotId;
        uint64 l1OriginNumber;
        bytes32 l1OriginHash;
        uint64 depositCount;
    }

    /// Accepts certified batches.
    #[derive(Debug)]
    contract BatchRegistry {
        function submitBatch(BatchHeader header, bytes32[] members, uint256 bitmap, bytes signatures, bytes data);
        event BatchSubmitted(uint64 indexed index, bytes32 indexed batchHash, BatchHeader header, uint256 bitmap, bool blobs);
    }

    /// Freezes the sequencer set under a number.
    #[derive(Debug)]
    contract SequencerSet {
        function snapshot() external returns (uint64 id);
        event SnapshotTaken(uint64 indexed id, bytes32 setHash, uint64 totalWeight, bytes32 seed, bytes32[] members, uint256[] operatorIds);
    }
}

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
