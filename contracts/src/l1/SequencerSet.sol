// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISequencerSet} from "../interfaces/ISequencerSet.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {Members} from "../libraries/Members.sol";

/// See {ISequencerSet}. A snapshot is stored as one hash with totals; whoever needs the members takes them from the event
/// and shows them again.
contract SequencerSet is ISequencerSet {
    /// Where the weights come from.
    IStaking public immutable STAKING;
    uint64 private immutable _MIN_INTERVAL;
    uint8 private immutable _MAX_MEMBERS;

    /// @inheritdoc ISequencerSet
    uint64 public latestId;
    mapping(uint64 id => bytes32) private _setHashes;
    mapping(uint64 id => bytes32) private _seeds;
    /// By id and set hash, so that a batch whose set is right reads one slot.
    mapping(bytes32 place => Record) private _records;

    /// One slot of a snapshot; see {ISequencerSet-Snapshot}.
    struct Record {
        uint64 totalWeight;
        uint64 blockNumber;
        uint64 timestamp;
        uint64 supersededAt;
    }

    /// @param staking Where the weights come from.
    /// @param minInterval_ L1 blocks between two snapshots.
    /// @param maxMembers_ Most members, 1 to 32.
    constructor(IStaking staking, uint64 minInterval_, uint8 maxMembers_) {
        if (maxMembers_ == 0 || maxMembers_ > Members.MAX) revert SetSizeOutOfRange(maxMembers_);
        STAKING = staking;
        _MIN_INTERVAL = minInterval_;
        _MAX_MEMBERS = maxMembers_;
    }

    /// @inheritdoc ISequencerSet
    function snapshot() external returns (uint64 id) {
        id = latestId;
        if (id != 0) {
            Record storage newest = _records[_place(id, _setHashes[id])];
            uint256 allowedFrom = uint256(newest.blockNumber) + _MIN_INTERVAL;
            if (block.number < allowedFrom) revert TooEarly(block.number, allowedFrom);
            newest.supersededAt = uint64(block.timestamp);
        }
        (bytes32[] memory members, uint256[] memory operatorIds, uint64 totalWeight) = preview();
        if (members.length == 0) revert EmptySet();
        bytes32 setHash = Members.hash(members);
        bytes32 seed = bytes32(block.prevrandao);
        latestId = ++id;
        _setHashes[id] = setHash;
        _seeds[id] = seed;
        _records[_place(id, setHash)] = Record({
            totalWeight: totalWeight,
            blockNumber: uint64(block.number),
            timestamp: uint64(block.timestamp),
            supersededAt: 0
        });
        emit SnapshotTaken(id, setHash, totalWeight, seed, members, operatorIds);
    }

    /// @inheritdoc ISequencerSet
    function preview()
        public
        view
        returns (bytes32[] memory members, uint256[] memory operatorIds, uint64 totalWeight)
    {
        IStaking.Candidate[] memory candidates = STAKING.candidates();
        IStaking.Candidate[] memory top = _heaviest(candidates);
        members = new bytes32[](top.length);
        operatorIds = new uint256[](top.length);
        // Insertion sort: at most 32 members.
        for (uint256 i; i < top.length; ++i) {
            bytes32 word = Members.word(top[i].signer, top[i].weight);
            uint256 slot = i;
            for (; slot > 0 && members[slot - 1] > word; --slot) {
                members[slot] = members[slot - 1];
                operatorIds[slot] = operatorIds[slot - 1];
            }
            members[slot] = word;
            operatorIds[slot] = top[i].operatorId;
            totalWeight += top[i].weight;
        }
    }

    /// @inheritdoc ISequencerSet
    function snapshotAt(uint64 id) external view returns (Snapshot memory) {
        bytes32 setHash = _setHashes[id];
        if (setHash == bytes32(0)) revert UnknownSnapshot(id);
        Record memory taken = _records[_place(id, setHash)];
        return Snapshot({
            setHash: setHash,
            totalWeight: taken.totalWeight,
            blockNumber: taken.blockNumber,
            timestamp: taken.timestamp,
            supersededAt: taken.supersededAt,
            seed: _seeds[id]
        });
    }

    /// @inheritdoc ISequencerSet
    function checkpointOf(uint64 id, bytes32 setHash) external view returns (uint64 totalWeight, uint64 supersededAt) {
        Record storage taken = _records[_place(id, setHash)];
        (totalWeight, supersededAt) = (taken.totalWeight, taken.supersededAt);
        if (totalWeight == 0) {
            bytes32 expected = _setHashes[id];
            if (expected == bytes32(0)) revert UnknownSnapshot(id);
            revert WrongSet(setHash, expected);
        }
    }

    /// @inheritdoc ISequencerSet
    function minInterval() external view returns (uint64) {
        return _MIN_INTERVAL;
    }

    /// @inheritdoc ISequencerSet
    function maxMembers() external view returns (uint8) {
        return _MAX_MEMBERS;
    }

    /// The candidates with the most weight, heaviest first; of equal ones the older operator.
    function _heaviest(IStaking.Candidate[] memory candidates) private view returns (IStaking.Candidate[] memory top) {
        uint256 size = candidates.length < _MAX_MEMBERS ? candidates.length : _MAX_MEMBERS;
        top = new IStaking.Candidate[](size);
        uint256 filled;
        for (uint256 i; i < candidates.length; ++i) {
            IStaking.Candidate memory candidate = candidates[i];
            if (candidate.weight == 0) continue;
            if (filled == size) {
                if (!_before(candidate, top[size - 1])) continue;
            } else {
                ++filled;
            }
            uint256 slot = filled - 1;
            for (; slot > 0 && _before(candidate, top[slot - 1]); --slot) {
                top[slot] = top[slot - 1];
            }
            top[slot] = candidate;
        }
        if (filled < size) top = _shorten(top, filled);
    }

    function _place(uint64 id, bytes32 setHash) private pure returns (bytes32) {
        return keccak256(abi.encode(id, setHash));
    }

    function _shorten(IStaking.Candidate[] memory list, uint256 length)
        private
        pure
        returns (IStaking.Candidate[] memory head)
    {
        head = new IStaking.Candidate[](length);
        for (uint256 i; i < length; ++i) {
            head[i] = list[i];
        }
    }

    /// Operators are numbered in order of registration, so the smaller number is the older operator.
    function _before(IStaking.Candidate memory a, IStaking.Candidate memory b) private pure returns (bool) {
        return a.weight > b.weight || (a.weight == b.weight && a.operatorId < b.operatorId);
    }
}
