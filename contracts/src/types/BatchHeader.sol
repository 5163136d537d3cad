// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// What the signers of a batch answer for. Field meanings: specification, "Batch header".
/// @param index Number of the batch, from 1.
/// @param parentHash EIP-712 struct hash of the previous batch header; zero for the first.
/// @param firstHeight First L2 height of the batch.
/// @param lastHeight Last L2 height of the batch, inclusive.
/// @param lastBlockHash Hash of the block at `lastHeight`.
/// @param stateRoot State root of the block at `lastHeight`.
/// @param withdrawalsRoot Storage root of the message passer at `lastHeight`.
/// @param blocksRoot keccak256 of the concatenated block hashes of the batch, in order.
/// @param dataHash keccak256 of the concatenated versioned blob hashes, or of the calldata.
/// @param snapshotId Snapshot whose set decided and signed.
/// @param l1OriginNumber Number of the L1 origin of the last block.
/// @param l1OriginHash Hash of the L1 origin of the last block.
/// @param depositCount Deposit queue items executed by L2 up to and including `lastHeight`.
/// @param turns Turns served, 8 bits a member of the set, member 0 lowest: turns whose last height lies in the batch, counted
/// for the leader that the block at that height names. A batch lies in one epoch, which has at most 255 turns.
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
    uint256 turns;
}
