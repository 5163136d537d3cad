// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IBatchRegistry} from "../interfaces/IBatchRegistry.sol";
import {IOutputGame} from "../interfaces/IOutputGame.sol";
import {IOutputRegistry} from "../interfaces/IOutputRegistry.sol";
import {BatchHeader} from "../types/BatchHeader.sol";
import {OutputGame} from "./OutputGame.sol";

/// See {IOutputRegistry}.
contract OutputRegistry is IOutputRegistry {
    /// Where an output is kept: one slot.
    struct Entry {
        address game;
        uint64 acceptedAt;
        uint32 batchIndex;
    }

    /// Range of the finalization window, in seconds.
    uint64 public constant MIN_WINDOW = 10 seconds;
    uint64 public constant MAX_WINDOW = 30 days;

    /// Whose batches count.
    IBatchRegistry public immutable REGISTRY;
    /// What every output is a clone of.
    OutputGame public immutable GAME;
    uint64 private immutable _WINDOW;
    uint32 private immutable _GAME_TYPE;

    Entry[] private _entries;

    /// @param registry Whose batches count.
    /// @param window Seconds from acceptance to finality.
    constructor(IBatchRegistry registry, uint64 window) {
        if (window < MIN_WINDOW || window > MAX_WINDOW) revert WindowOutOfRange(window);
        REGISTRY = registry;
        GAME = new OutputGame();
        _WINDOW = window;
        _GAME_TYPE = GAME.GAME_TYPE();
    }

    /// @inheritdoc IOutputRegistry
    function publish(BatchHeader calldata header, uint64 acceptedAt, uint256 bitmap) external returns (uint256 index) {
        uint64 latest = latestBatch();
        if (header.index <= latest) revert AlreadyPublished(header.index, latest);
        // What nobody has signed, no stake answers for: a batch without certificate proves no withdrawal.
        if (bitmap == 0 || !REGISTRY.isAccepted(header, acceptedAt, bitmap)) revert NotAccepted(header.index);
        index = _entries.length;
        bytes32 root = keccak256(abi.encode(bytes32(0), header.stateRoot, header.withdrawalsRoot, header.lastBlockHash));
        uint256 place = (uint256(header.lastHeight) << 128) | (uint256(acceptedAt) << 64) | index;
        address game = Clones.cloneWithImmutableArgs(address(GAME), abi.encode(root, place));
        // The registry counts batches in 32 bits.
        _entries.push(Entry({game: game, acceptedAt: acceptedAt, batchIndex: uint32(header.index)}));
        emit OutputPublished(header.index, index, root, header.lastHeight, game);
    }

    /// @inheritdoc IOutputRegistry
    function outputAt(uint256 index) external view returns (Output memory) {
        Entry memory entry = _entryAt(index);
        return Output({
            rootClaim: IOutputGame(entry.game).rootClaim(),
            height: uint64(IOutputGame(entry.game).l2SequenceNumber()),
            acceptedAt: entry.acceptedAt,
            batchIndex: entry.batchIndex,
            game: entry.game
        });
    }

    /// @inheritdoc IOutputRegistry
    function finalizationWindow() external view returns (uint64) {
        return _WINDOW;
    }

    /// @inheritdoc IOutputRegistry
    function respectedGameType() external view returns (uint32) {
        return _GAME_TYPE;
    }

    /// @inheritdoc IOutputRegistry
    function gameCount() external view returns (uint256) {
        return _entries.length;
    }

    /// @inheritdoc IOutputRegistry
    function gameAtIndex(uint256 index) external view returns (uint32 gameType, uint64 timestamp, address game) {
        Entry memory entry = _entryAt(index);
        return (_GAME_TYPE, entry.acceptedAt, entry.game);
    }

    /// @inheritdoc IOutputRegistry
    function findLatestGames(uint32 gameType, uint256 start, uint256 n)
        external
        view
        returns (GameSearchResult[] memory found)
    {
        if (gameType != _GAME_TYPE || start >= _entries.length) return found;
        found = new GameSearchResult[](n > start ? start + 1 : n);
        for (uint256 i; i < found.length; ++i) {
            Entry memory entry = _entries[start - i];
            found[i] = GameSearchResult({
                index: start - i,
                metadata: bytes32(
                    (uint256(gameType) << 224) | (uint256(entry.acceptedAt) << 160) | uint160(entry.game)
                ),
                timestamp: entry.acceptedAt,
                rootClaim: IOutputGame(entry.game).rootClaim(),
                extraData: IOutputGame(entry.game).extraData()
            });
        }
    }

    /// @inheritdoc IOutputRegistry
    function isGameRespected(address game) external view returns (bool) {
        return isGameProper(game);
    }

    /// @inheritdoc IOutputRegistry
    function isGameFinalized(address game) external view returns (bool) {
        return isGameProper(game) && block.timestamp >= uint256(IOutputGame(game).createdAt()) + _WINDOW;
    }

    /// @inheritdoc IOutputRegistry
    function latestBatch() public view returns (uint64) {
        uint256 count = _entries.length;
        return count == 0 ? 0 : _entries[count - 1].batchIndex;
    }

    /// @inheritdoc IOutputRegistry
    function isGameProper(address game) public view returns (bool) {
        if (game.code.length == 0) return false;
        // A stranger may claim any index: what is stored there decides.
        try IOutputGame(game).index() returns (uint256 index) {
            return index < _entries.length && _entries[index].game == game;
        } catch {
            return false;
        }
    }

    function _entryAt(uint256 index) private view returns (Entry memory) {
        if (index >= _entries.length) revert UnknownOutput(index);
        return _entries[index];
    }
}
