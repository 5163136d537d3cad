// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Court} from "./Court.sol";

/// A network whose batches are remembered, so that rewards can be settled for them.
abstract contract Settlement is Court {
    struct Posted {
        BatchHeader header;
        uint64 acceptedAt;
        uint256 bitmap;
    }

    bytes32[] internal members;
    Posted[] internal posted;

    function fundStream(uint256 amount) internal {
        metis.mint(address(this), amount);
        IERC20(address(metis)).approve(address(rewards), amount);
        rewards.fund(amount);
    }

    /// A batch `gap` seconds after the previous one.
    function post(uint256 gap, uint256 bitmap, uint256 turns) internal {
        vm.warp(uint256(registry.head().acceptedAt) + gap);
        vm.roll(block.number + 1);
        BatchHeader memory header = nextHeader(DATA);
        header.turns = turns;
        submit(header, members, bitmap, DATA);
        posted.push(Posted(header, uint64(block.timestamp), bitmap));
    }

    /// Anyone's batch after a silence.
    function postPermissionless() internal {
        depositQueue.depositTransaction(recipient, 0, 100_000, false, "");
        vm.warp(uint256(registry.head().acceptedAt) + SILENCE);
        vm.roll(block.number + 1);
        BatchHeader memory header = nextHeader(hex"02");
        metis.mint(address(this), BOND);
        IERC20(address(metis)).approve(address(registry), BOND);
        registry.submitPermissionless(header);
        headHash = this.hashOf(header);
        posted.push(Posted(header, uint64(block.timestamp), 0));
    }

    function settle(uint256 count) internal {
        settleRange(rewards.nextIndex() - 1, count);
    }

    function settleRange(uint256 first, uint256 count) internal {
        (BatchHeader[] memory headers, uint64[] memory times, uint256[] memory bitmaps) = arguments(first, count);
        rewards.settle(headers, times, bitmaps, members);
    }

    function arguments(uint256 first, uint256 count)
        internal
        view
        returns (BatchHeader[] memory headers, uint64[] memory times, uint256[] memory bitmaps)
    {
        headers = new BatchHeader[](count);
        times = new uint64[](count);
        bitmaps = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            Posted storage batch = posted[first + i];
            (headers[i], times[i], bitmaps[i]) = (batch.header, batch.acceptedAt, batch.bitmap);
        }
    }
}
