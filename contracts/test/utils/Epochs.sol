// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {L2SequencerSet} from "../../src/l2/L2SequencerSet.sol";

/// One call of `setEpoch`.
struct EpochCall {
    uint64 epoch;
    uint64 firstHeight;
    uint64 epochBlocks;
    uint64 turnBlocks;
    uint64 snapshotId;
    bytes32 seed;
    bytes32[] members;
    uint64 nextSnapshotId;
    bytes32 nextSeed;
    bytes32[] nextMembers;
}

library Epochs {
    /// Calldata, put together in parts: coverage compiles without the optimizer, for which ten arguments are too many.
    function encode(EpochCall memory call) internal pure returns (bytes memory) {
        uint256 first = 10 * 32;
        return bytes.concat(
            L2SequencerSet.setEpoch.selector,
            abi.encode(call.epoch, call.firstHeight, call.epochBlocks, call.turnBlocks, call.snapshotId, call.seed),
            abi.encode(first, call.nextSnapshotId, call.nextSeed, first + 32 + 32 * call.members.length),
            abi.encodePacked(call.members.length, call.members),
            abi.encodePacked(call.nextMembers.length, call.nextMembers)
        );
    }
}
