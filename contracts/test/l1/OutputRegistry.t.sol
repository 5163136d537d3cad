// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOutputGame} from "../../src/interfaces/IOutputGame.sol";
import {IOutputRegistry} from "../../src/interfaces/IOutputRegistry.sol";
import {OutputRegistry} from "../../src/l1/OutputRegistry.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Withdrawals} from "../utils/Withdrawals.sol";

/// Claims to be the first output.
contract Impostor {
    function index() external pure returns (uint256) {
        return 0;
    }
}

contract OutputRegistryTest is Withdrawals {
    function test_publish_acceptedBatch_succeeds() external {
        assertEq(outputs.latestBatch(), 0);
        BatchHeader memory header = accept(keccak256("withdrawals"));
        uint64 acceptedAt = uint64(block.timestamp);
        bytes32 root = keccak256(abi.encode(partsOf(header)));
        vm.warp(block.timestamp + 1 hours);
        address game = vm.computeCreateAddress(address(outputs), 2);
        vm.expectEmit(address(outputs));
        emit IOutputRegistry.OutputPublished(1, 0, root, header.lastHeight, game);
        assertEq(outputs.publish(header, acceptedAt, ALL), 0);
        assertEq(outputs.latestBatch(), 1);
        assertEq(outputs.gameCount(), 1);

        IOutputRegistry.Output memory output = outputs.outputAt(0);
        assertEq(output.rootClaim, root);
        assertEq(output.height, header.lastHeight);
        assertEq(output.acceptedAt, acceptedAt);
        assertEq(output.batchIndex, 1);
        assertEq(output.game, game);

        (uint32 gameType, uint64 timestamp, address found) = outputs.gameAtIndex(0);
        assertEq(gameType, outputs.respectedGameType());
        assertEq(timestamp, acceptedAt);
        assertEq(found, game);

        IOutputGame view_ = IOutputGame(game);
        assertEq(view_.index(), 0);
        assertEq(view_.rootClaim(), root);
        assertEq(view_.l2SequenceNumber(), header.lastHeight);
        assertEq(view_.l2BlockNumber(), header.lastHeight);
        assertEq(view_.createdAt(), acceptedAt);
        assertEq(view_.gameType(), gameType);
        assertEq(view_.extraData(), abi.encode(uint256(header.lastHeight)));
    }

    function test_publish_notAccepted_reverts() external {
        BatchHeader memory header = accept(keccak256("withdrawals"));
        uint64 acceptedAt = uint64(block.timestamp);
        bytes memory refusal = abi.encodeWithSelector(IOutputRegistry.NotAccepted.selector, 1);
        vm.expectRevert(refusal);
        outputs.publish(header, acceptedAt + 1, ALL);
        vm.expectRevert(refusal);
        outputs.publish(header, acceptedAt, ALL - 1);
        header.withdrawalsRoot = keccak256("mine");
        vm.expectRevert(refusal);
        outputs.publish(header, acceptedAt, ALL);
    }

    /// Each batch once, none after a later one: the list stays in the order of heights.
    function test_publish_olderBatch_reverts() external {
        BatchHeader memory first = accept(keccak256("first"));
        uint64 firstAt = uint64(block.timestamp);
        BatchHeader memory second = accept(keccak256("second"));
        outputs.publish(second, uint64(block.timestamp), ALL);
        vm.expectRevert(abi.encodeWithSelector(IOutputRegistry.AlreadyPublished.selector, 2, 2));
        outputs.publish(second, uint64(block.timestamp), ALL);
        vm.expectRevert(abi.encodeWithSelector(IOutputRegistry.AlreadyPublished.selector, 1, 2));
        outputs.publish(first, firstAt, ALL);
    }

    function test_outputAt_unknown_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IOutputRegistry.UnknownOutput.selector, 0));
        outputs.outputAt(0);
        vm.expectRevert(abi.encodeWithSelector(IOutputRegistry.UnknownOutput.selector, 7));
        outputs.gameAtIndex(7);
    }

    function test_findLatestGames_newestFirst_succeeds() external {
        uint32 gameType = outputs.respectedGameType();
        assertEq(outputs.findLatestGames(gameType, 0, 0).length, 0);
        for (uint256 i; i < 5; ++i) {
            publish(keccak256(abi.encode(i)));
        }
        IOutputRegistry.GameSearchResult[] memory found = outputs.findLatestGames(gameType, 4, 3);
        assertEq(found.length, 3);
        for (uint256 i; i < 3; ++i) {
            IOutputRegistry.Output memory output = outputs.outputAt(4 - i);
            assertEq(found[i].index, 4 - i);
            assertEq(found[i].timestamp, output.acceptedAt);
            assertEq(found[i].rootClaim, output.rootClaim);
            assertEq(found[i].extraData, abi.encode(uint256(output.height)));
            assertEq(found[i].metadata, bytes32(abi.encodePacked(gameType, output.acceptedAt, output.game)));
        }
        assertEq(outputs.findLatestGames(gameType, 1, 100).length, 2);
        assertEq(outputs.findLatestGames(gameType, 5, 1).length, 0);
        assertEq(outputs.findLatestGames(gameType + 1, 4, 1).length, 0);
    }

    function test_isGame_byTime_succeeds() external {
        publish(keccak256("withdrawals"));
        address game = outputs.outputAt(0).game;
        assertTrue(outputs.isGameProper(game));
        assertTrue(outputs.isGameRespected(game));
        assertFalse(outputs.isGameFinalized(game));
        vm.warp(block.timestamp + WINDOW - 1);
        assertFalse(outputs.isGameFinalized(game));
        vm.warp(block.timestamp + 1);
        assertTrue(outputs.isGameFinalized(game));
    }

    function test_isGame_strangers_areNone() external {
        address[4] memory strangers =
            [address(new Impostor()), makeAddr("no code"), address(metis), address(outputs.GAME())];
        for (uint256 round; round < 2; ++round) {
            for (uint256 i; i < strangers.length; ++i) {
                assertFalse(outputs.isGameProper(strangers[i]));
                assertFalse(outputs.isGameFinalized(strangers[i]));
            }
            publish(keccak256("withdrawals"));
        }
    }

    function test_constructor_windowOutOfRange_reverts() external {
        uint64[2] memory bad = [outputs.MIN_WINDOW() - 1, outputs.MAX_WINDOW() + 1];
        for (uint256 i; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IOutputRegistry.WindowOutOfRange.selector, bad[i]));
            new OutputRegistry(registry, bad[i]);
        }
    }
}
