// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {IOutputGame} from "../interfaces/IOutputGame.sol";

/// See {IOutputGame}. Each output is a clone that carries two words behind its code: the root, and
/// `height << 128 | acceptedAt << 64 | index`.
contract OutputGame is IOutputGame {
    /// "HORA": none of the OP Stack's games.
    uint32 public constant GAME_TYPE = 0x484F5241;

    /// @inheritdoc IOutputGame
    function index() external view returns (uint256) {
        (, uint256 place) = _words();
        return uint64(place);
    }

    /// @inheritdoc IOutputGame
    function rootClaim() external view returns (bytes32 root) {
        (root,) = _words();
    }

    /// @inheritdoc IOutputGame
    function l2BlockNumber() external view returns (uint256) {
        return l2SequenceNumber();
    }

    /// @inheritdoc IOutputGame
    function createdAt() external view returns (uint64) {
        (, uint256 place) = _words();
        return uint64(place >> 64);
    }

    /// @inheritdoc IOutputGame
    function extraData() external view returns (bytes memory) {
        return abi.encode(l2SequenceNumber());
    }

    /// @inheritdoc IOutputGame
    function gameType() external pure returns (uint32) {
        return GAME_TYPE;
    }

    /// @inheritdoc IOutputGame
    function l2SequenceNumber() public view returns (uint256) {
        (, uint256 place) = _words();
        return uint64(place >> 128);
    }

    function _words() private view returns (bytes32 root, uint256 place) {
        return abi.decode(Clones.fetchCloneArgs(address(this)), (bytes32, uint256));
    }
}
