// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchRegistry} from "../interfaces/IBatchRegistry.sol";
import {IDepositQueue} from "../interfaces/IDepositQueue.sol";
import {ISequencerSet} from "../interfaces/ISequencerSet.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {Certificate} from "../libraries/Certificate.sol";
import {L1History} from "../libraries/L1History.sol";
import {Signing} from "../libraries/Signing.sol";
import {BatchHeader} from "../types/BatchHeader.sol";

/// See {IBatchRegistry}.
contract BatchRegistry is IBatchRegistry {
    using Signing for BatchHeader;

    /// Most L2 blocks of a batch.
    uint64 public constant MAX_BATCH_BLOCKS = 4_096;
    /// Grace fades by one second in this many.
    uint256 public constant GRACE_FADE = 4;
    /// Range of the deposit deadline, in seconds.
    uint64 public constant MIN_DEADLINE = 10 seconds;
    uint64 public constant MAX_DEADLINE = 1 days;

    /// Whose stake answers for the signatures.
    IStaking public immutable STAKING;
    /// Whose snapshots count.
    ISequencerSet public immutable SEQUENCER_SET;
    /// Whose items L2 must execute.
    IDepositQueue public immutable DEPOSIT_QUEUE;
    uint256 private immutable _CHAIN_ID;
    /// Staking's own, kept here because asking costs more than a signature.
    bytes32 private immutable _DOMAIN_SEPARATOR;
    uint64 private immutable _DEPOSIT_DEADLINE;
    uint64 private immutable _SNAPSHOT_GRACE;

    Head private _head;
    /// @inheritdoc IBatchRegistry
    bytes32 public headHash;
    /// @inheritdoc IBatchRegistry
    mapping(uint64 index => bytes32) public commitmentOf;

    /// @param staking Whose stake answers for the signatures.
    /// @param sequencerSet Whose snapshots count.
    /// @param depositQueue Whose items L2 must execute.
    /// @param depositDeadline_ Seconds an item may wait.
    /// @param snapshotGrace_ Seconds a superseded snapshot may still be used.
    constructor(
        IStaking staking,
        ISequencerSet sequencerSet,
        IDepositQueue depositQueue,
        uint64 depositDeadline_,
        uint64 snapshotGrace_
    ) {
        if (depositDeadline_ < MIN_DEADLINE || depositDeadline_ > MAX_DEADLINE) {
            revert DeadlineOutOfRange(depositDeadline_);
        }
        STAKING = staking;
        SEQUENCER_SET = sequencerSet;
        DEPOSIT_QUEUE = depositQueue;
        _CHAIN_ID = block.chainid;
        _DOMAIN_SEPARATOR = staking.domainSeparator();
        _DEPOSIT_DEADLINE = depositDeadline_;
        _SNAPSHOT_GRACE = snapshotGrace_;
        _head.acceptedAt = uint40(block.timestamp);
    }

    /// @inheritdoc IBatchRegistry
    function submitBatch(
        BatchHeader calldata header,
        bytes32[] calldata members,
        uint256 bitmap,
        bytes calldata signatures,
        bytes calldata data
    ) external {
        Head memory previous = _head;
        _checkPlace(header, previous);
        _checkOrigin(header, previous);
        uint256 grace = _grace(previous);
        _checkDeposits(header, grace);
        _checkData(header.dataHash, data);
        bytes32 batchHash = header.hash();
        uint256 totalWeight = _checkSet(header.snapshotId, previous.snapshotId, members);
        Certificate.check(Signing.digest(_domainSeparator(), batchHash), members, totalWeight, bitmap, signatures);
        _accept(header, batchHash, bitmap, grace);
        emit BatchSubmitted(header.index, batchHash, header, bitmap, data.length == 0);
    }

    /// @inheritdoc IBatchRegistry
    function isAccepted(BatchHeader calldata header, uint64 acceptedAt, uint256 bitmap) external view returns (bool) {
        return commitmentOf[header.index] == _commitment(header.hash(), acceptedAt, bitmap);
    }

    /// @inheritdoc IBatchRegistry
    function head() external view returns (Head memory) {
        return _head;
    }

    /// @inheritdoc IBatchRegistry
    function depositDeadline() external view returns (uint64) {
        return _DEPOSIT_DEADLINE;
    }

    /// @inheritdoc IBatchRegistry
    function snapshotGrace() external view returns (uint64) {
        return _SNAPSHOT_GRACE;
    }

    /// The batch follows the previous one without a gap.
    function _checkPlace(BatchHeader calldata header, Head memory previous) private view {
        uint64 index = uint64(previous.index) + 1;
        if (header.index != index) revert WrongIndex(header.index, index);
        bytes32 parent = headHash;
        if (header.parentHash != parent) revert WrongParent(header.parentHash, parent);
        uint64 first = uint64(previous.height) + 1;
        if (header.firstHeight != first || header.lastHeight < first || header.lastHeight - first >= MAX_BATCH_BLOCKS) {
            revert WrongHeights(header.firstHeight, header.lastHeight, first);
        }
    }

    /// The origin is a block of this L1. Beyond the 8,191 blocks whose hash L1 remembers, its signers alone answer.
    function _checkOrigin(BatchHeader calldata header, Head memory previous) private view {
        uint64 number = header.l1OriginNumber;
        if (number < previous.l1OriginNumber || number >= block.number) revert OriginOutOfRange(number);
        if (!L1History.agrees(number, header.l1OriginHash)) revert WrongOrigin(number, header.l1OriginHash);
    }

    /// L2 has executed exactly what was queued up to the origin, and nothing waits longer than the deadline.
    function _checkDeposits(BatchHeader calldata header, uint256 grace) private view {
        uint64 consumed = header.depositCount;
        (uint64 lastBlock, uint64 nextBlock, uint64 nextTimestamp) = DEPOSIT_QUEUE.boundary(consumed);
        uint64 origin = header.l1OriginNumber;
        if (lastBlock > origin || (nextBlock != 0 && nextBlock <= origin)) revert WrongDepositCount(consumed);
        if (nextBlock != 0 && block.timestamp > nextTimestamp + _DEPOSIT_DEADLINE + grace) {
            revert DepositOverdue(consumed, nextTimestamp);
        }
    }

    /// Seconds by which the deposit deadline is extended: silence adds to it, time takes from it.
    function _grace(Head memory previous) private view returns (uint256 grace) {
        uint256 gap = block.timestamp - previous.acceptedAt;
        uint256 allowed = _DEPOSIT_DEADLINE / 2;
        grace = previous.grace;
        grace = grace > gap / GRACE_FADE ? grace - gap / GRACE_FADE : 0;
        if (gap > allowed) grace += gap - allowed;
    }

    /// The words are those of a snapshot that may still be used.
    function _checkSet(uint64 snapshotId, uint64 previousId, bytes32[] calldata members)
        private
        view
        returns (uint256)
    {
        if (snapshotId < previousId) revert SnapshotWentBack(snapshotId, previousId);
        (bytes32 expected, uint64 totalWeight, uint64 supersededAt) = SEQUENCER_SET.checkpoint(snapshotId);
        if (supersededAt != 0 && block.timestamp > uint256(supersededAt) + _SNAPSHOT_GRACE) {
            revert SnapshotTooOld(snapshotId, supersededAt);
        }
        bytes32 setHash = keccak256(abi.encodePacked(members));
        if (setHash != expected) revert WrongSet(setHash, expected);
        return totalWeight;
    }

    function _checkData(bytes32 claimed, bytes calldata data) private view {
        bytes32 dataHash = data.length == 0 ? _blobsHash() : _calldataHash(data);
        if (claimed != dataHash) revert WrongDataHash(claimed, dataHash);
    }

    function _accept(BatchHeader calldata header, bytes32 batchHash, uint256 bitmap, uint256 grace) private {
        // The numbers are bounded by what L1 itself has counted, heights by 4,096 a batch: they outlast 32 and 40 bits.
        _head = Head({
            index: uint32(header.index),
            height: uint40(header.lastHeight),
            snapshotId: uint32(header.snapshotId),
            depositCount: uint40(header.depositCount),
            l1OriginNumber: uint40(header.l1OriginNumber),
            acceptedAt: uint40(block.timestamp),
            grace: uint32(grace)
        });
        headHash = batchHash;
        commitmentOf[header.index] = _commitment(batchHash, uint64(block.timestamp), bitmap);
    }

    /// Hash over all blobs of this transaction.
    function _blobsHash() private view returns (bytes32) {
        bytes memory hashes;
        for (uint256 i; blobhash(i) != bytes32(0); ++i) {
            hashes = abi.encodePacked(hashes, blobhash(i));
        }
        if (hashes.length == 0) revert NoData();
        return keccak256(hashes);
    }

    function _calldataHash(bytes calldata data) private view returns (bytes32) {
        if (blobhash(0) != bytes32(0)) revert AmbiguousData();
        if (msg.sender != tx.origin || msg.sender.code.length != 0) revert IndirectCaller();
        return keccak256(data);
    }

    function _domainSeparator() private view returns (bytes32) {
        // An L1 that forked under another chain id is another network.
        return block.chainid == _CHAIN_ID ? _DOMAIN_SEPARATOR : STAKING.domainSeparator();
    }

    function _commitment(bytes32 batchHash, uint64 acceptedAt, uint256 bitmap) private pure returns (bytes32) {
        return keccak256(abi.encode(batchHash, acceptedAt, bitmap));
    }
}
