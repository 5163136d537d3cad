// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Views of one output, as the OP Stack's clients read them of a dispute game.
interface IOutputGame {
    /// Position in its registry.
    function index() external view returns (uint256);
    function rootClaim() external view returns (bytes32);
    /// Last L2 height of the batch.
    function l2SequenceNumber() external view returns (uint256);
    /// As `l2SequenceNumber`, by its older name.
    function l2BlockNumber() external view returns (uint256);
    /// When L1 accepted the batch, unix seconds.
    function createdAt() external view returns (uint64);
    function gameType() external view returns (uint32);
    /// `abi.encode(l2SequenceNumber)`.
    function extraData() external view returns (bytes memory);
}
