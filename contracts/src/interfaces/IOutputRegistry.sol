// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchHeader} from "../types/BatchHeader.sol";

/// Output roots of accepted batches, which withdrawals are proven against. Anyone publishes a batch, once, in the order of
/// batches; only batches someone withdraws from need it. An output is final when the challenge window has passed since the
/// batch was accepted.
///
/// To the OP Stack's clients this is a dispute game factory and an anchor state registry: an output is a game that nobody
/// has to play.
interface IOutputRegistry {
    /// @param rootClaim `keccak256(abi.encode(bytes32(0), stateRoot, withdrawalsRoot, lastBlockHash))`.
    /// @param height Last L2 height of the batch.
    /// @param acceptedAt When L1 accepted the batch, unix seconds.
    /// @param batchIndex Number of the batch.
    /// @param game The output's own contract, whose views the OP Stack's clients read.
    struct Output {
        bytes32 rootClaim;
        uint64 height;
        uint64 acceptedAt;
        uint64 batchIndex;
        address game;
    }

    /// An output as the OP Stack's clients search it.
    /// @param index Position in this registry.
    /// @param metadata `gameType << 224 | timestamp << 160 | game`.
    /// @param timestamp When L1 accepted the batch, unix seconds.
    /// @param rootClaim Output root.
    /// @param extraData `abi.encode(height)`.
    struct GameSearchResult {
        uint256 index;
        bytes32 metadata;
        uint64 timestamp;
        bytes32 rootClaim;
        bytes extraData;
    }

    event OutputPublished(
        uint64 indexed batchIndex, uint256 indexed index, bytes32 indexed rootClaim, uint64 height, address game
    );

    /// The registry has not accepted this batch at this time with these signers, or nobody has signed it.
    error NotAccepted(uint64 batchIndex);
    /// This batch or a later one is published already; a later output proves everything an earlier one does.
    error AlreadyPublished(uint64 batchIndex, uint64 latest);
    error UnknownOutput(uint256 index);
    error WindowOutOfRange(uint64 window);

    /// Publishes the output of an accepted batch that is newer than every published one.
    /// @param acceptedAt Timestamp of the L1 block that accepted it.
    /// @param bitmap Who signed it; both are in `BatchSubmitted`.
    function publish(BatchHeader calldata header, uint64 acceptedAt, uint256 bitmap) external returns (uint256 index);

    /// Number of the newest published batch; zero if none.
    function latestBatch() external view returns (uint64);
    function outputAt(uint256 index) external view returns (Output memory);
    /// Seconds from acceptance to finality.
    function finalizationWindow() external view returns (uint64);

    /// The one type of all outputs.
    function respectedGameType() external view returns (uint32);
    /// Outputs published.
    function gameCount() external view returns (uint256);
    function gameAtIndex(uint256 index) external view returns (uint32 gameType, uint64 timestamp, address game);
    /// At most `n` outputs from `start` down; none if `start` is beyond the end or the type is another one.
    function findLatestGames(uint32 gameType, uint256 start, uint256 n)
        external
        view
        returns (GameSearchResult[] memory);
    /// Whether `game` is an output of this registry.
    function isGameProper(address game) external view returns (bool);
    /// As `isGameProper`: there is one type.
    function isGameRespected(address game) external view returns (bool);
    /// Whether `game` is an output of this registry whose window has passed.
    function isGameFinalized(address game) external view returns (bool);
}
