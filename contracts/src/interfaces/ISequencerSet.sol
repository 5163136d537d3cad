// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Freezes the operators with the most weight under a number.
interface ISequencerSet {
    /// @param setHash keccak256 of the member words.
    /// @param totalWeight Whole METIS.
    /// @param blockNumber L1 block it was taken in.
    /// @param timestamp Unix seconds.
    /// @param supersededAt When the next snapshot was taken, unix seconds; zero for the newest.
    /// @param seed `prevrandao` of that block.
    struct Snapshot {
        bytes32 setHash;
        uint64 totalWeight;
        uint64 blockNumber;
        uint64 timestamp;
        uint64 supersededAt;
        bytes32 seed;
    }

    /// @param members Member words, strictly ascending by signer.
    /// @param operatorIds Operators in member order.
    event SnapshotTaken(
        uint64 indexed id, bytes32 setHash, uint64 totalWeight, bytes32 seed, bytes32[] members, uint256[] operatorIds
    );

    /// The previous snapshot is too fresh.
    error TooEarly(uint256 blockNumber, uint256 allowedFrom);
    /// Nobody is staked.
    error EmptySet();
    error UnknownSnapshot(uint64 id);
    /// The snapshot has another set.
    error WrongSet(bytes32 setHash, bytes32 expected);
    error SetSizeOutOfRange(uint256 size);

    /// Takes a snapshot. Anyone may call, at most once per `minInterval` L1 blocks.
    function snapshot() external returns (uint64 id);

    /// Members a snapshot taken now would have, ascending by signer, with their operators and total weight.
    function preview()
        external
        view
        returns (bytes32[] memory members, uint256[] memory operatorIds, uint64 totalWeight);
    /// A snapshot by number, from 1.
    function snapshotAt(uint64 id) external view returns (Snapshot memory);
    /// Number of the newest snapshot; zero if none.
    function latestId() external view returns (uint64);
    /// What a certificate is checked against: reverts unless the snapshot's set has this hash. `supersededAt` is when the next
    /// snapshot was taken, unix seconds, or zero if it is the newest.
    function checkpointOf(uint64 id, bytes32 setHash) external view returns (uint64 totalWeight, uint64 supersededAt);
    /// L1 blocks between two snapshots.
    function minInterval() external view returns (uint64);
    /// Most members, at most 32.
    function maxMembers() external view returns (uint8);
}
