use alloy_primitives::B256;
use protocol::BatchHeader;

pub(crate) fn empty_header() -> BatchHeader {
    BatchHeader {
        index: 0,
        parentHash: B256::ZERO,
        firstHeight: 0,
        lastHeight: 0,
        lastBlockHash: B256::ZERO,
        stateRoot: B256::ZERO,
        withdrawalsRoot: B256::ZERO,
        blocksRoot: B256::ZERO,
        dataHash: B256::ZERO,
        snapshotId: 0,
        l1OriginNumber: 0,
        l1OriginHash: B256::ZERO,
        depositCount: 0,
    }
}
