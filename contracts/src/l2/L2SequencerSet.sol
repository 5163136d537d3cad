// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Members} from "../libraries/Members.sol";

/// The sequencers of this and the next epoch for contracts and pages, predeploy
/// 0x4200000000000000000000000000000000000100. The state transition writes it in the first block of every epoch; what it
/// says is what the nodes themselves vote and lead by (specification, "Sets, epochs and turns").
contract L2SequencerSet {
    /// A set with its seed.
    /// @param snapshotId Number of the L1 snapshot.
    /// @param totalWeight Sum of the members' weights, whole METIS.
    /// @param seed What the turns are drawn from.
    /// @param members Words `uint160(signer) << 96 | uint96(weight)`, strictly ascending.
    struct Set {
        uint64 snapshotId;
        uint128 totalWeight;
        bytes32 seed;
        bytes32[] members;
    }

    /// A new epoch began.
    event EpochSet(
        uint64 indexed epoch, uint64 indexed snapshotId, bytes32 seed, uint64 nextSnapshotId, bytes32 nextSeed
    );

    /// The caller is not the depositor account.
    error NotDepositor();
    /// Only the current and the next epoch are known.
    error UnknownHeight(uint64 height);
    /// A set has no weight or more than 32 members, or is not strictly ascending.
    error MalformedSet();
    /// Epochs and turns have at least one block.
    error MalformedEpoch();

    /// Sender of system transactions; no key's account.
    address public constant DEPOSITOR_ACCOUNT = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;

    /// The current epoch.
    uint64 public epoch;
    /// Its first L2 height.
    uint64 public firstHeight;
    /// Heights of an epoch.
    uint64 public epochBlocks;
    /// Heights of a turn.
    uint64 public turnBlocks;
    Set private _current;
    Set private _next;

    /// Begins an epoch. Depositor only.
    /// @param members Words of this epoch's set.
    /// @param nextMembers Words of the following epoch's set.
    function setEpoch(
        uint64 epoch_,
        uint64 firstHeight_,
        uint64 epochBlocks_,
        uint64 turnBlocks_,
        uint64 snapshotId,
        bytes32 seed,
        bytes32[] memory members,
        uint64 nextSnapshotId,
        bytes32 nextSeed,
        bytes32[] memory nextMembers
    ) external {
        if (msg.sender != DEPOSITOR_ACCOUNT) revert NotDepositor();
        if (epochBlocks_ == 0 || turnBlocks_ == 0) revert MalformedEpoch();
        epoch = epoch_;
        firstHeight = firstHeight_;
        epochBlocks = epochBlocks_;
        turnBlocks = turnBlocks_;
        _write(_current, snapshotId, seed, members);
        _write(_next, nextSnapshotId, nextSeed, nextMembers);
        emit EpochSet(epoch_, snapshotId, seed, nextSnapshotId, nextSeed);
    }

    /// Set of the current epoch; empty before the first block has set it.
    function current()
        external
        view
        returns (uint64 snapshotId, bytes32 seed, bytes32[] memory members, uint256 totalWeight)
    {
        return (_current.snapshotId, _current.seed, _current.members, _current.totalWeight);
    }

    /// Set of the next epoch; empty before the first block has set it.
    function next()
        external
        view
        returns (uint64 snapshotId, bytes32 seed, bytes32[] memory members, uint256 totalWeight)
    {
        return (_next.snapshotId, _next.seed, _next.members, _next.totalWeight);
    }

    /// Whether `signer` is a member of the current set.
    function isSequencer(address signer) external view returns (bool) {
        return weightOf(signer) != 0;
    }

    /// Who is scheduled to lead the turn that `height` lies in, in this or the next epoch. Whoever rescues a turn leads the
    /// rest of it instead.
    function leaderAt(uint64 height) external view returns (address) {
        uint256 first = firstHeight;
        uint256 length = epochBlocks;
        if (height < first || height >= first + 2 * length) revert UnknownHeight(height);
        bool later = height >= first + length;
        if (later) first += length;
        uint64 turn = uint64((height - first) / turnBlocks);
        return _draw(later ? _next : _current, epoch + (later ? 1 : 0), turn);
    }

    /// Weight of `signer` in the current set, whole METIS; zero if it is no member.
    function weightOf(address signer) public view returns (uint256) {
        uint256 low;
        uint256 high = _current.members.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            bytes32 member = _current.members[middle];
            address found = Members.signerOf(member);
            if (found == signer) return Members.weightOf(member);
            if (found < signer) low = middle + 1;
            else high = middle;
        }
        return 0;
    }

    function _write(Set storage set, uint64 snapshotId, bytes32 seed, bytes32[] memory members) private {
        if (members.length == 0 || members.length > Members.MAX) revert MalformedSet();
        uint256 total;
        address last;
        for (uint256 i; i < members.length; ++i) {
            address signer = Members.signerOf(members[i]);
            if (signer <= last) revert MalformedSet();
            last = signer;
            total += Members.weightOf(members[i]);
        }
        if (total == 0) revert MalformedSet();
        // At most 32 weights of 96 bits.
        set.totalWeight = uint128(total);
        set.snapshotId = snapshotId;
        set.seed = seed;
        set.members = members;
    }

    /// Leader of a turn: the first 16 bytes of `keccak256(seed ‖ epoch ‖ turn)` modulo the total weight, counted through
    /// the members in order.
    function _draw(Set storage set, uint64 epoch_, uint64 turn) private view returns (address leader) {
        uint256 point = uint128(bytes16(keccak256(abi.encodePacked(set.seed, epoch_, turn)))) % set.totalWeight;
        for (uint256 i;; ++i) {
            leader = Members.signerOf(set.members[i]);
            uint256 weight = Members.weightOf(set.members[i]);
            if (point < weight) break;
            point -= weight;
        }
    }
}
