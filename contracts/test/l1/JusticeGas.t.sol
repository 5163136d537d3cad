// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Signing} from "../../src/libraries/Signing.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Vote} from "../../src/types/Messages.sol";
import {Settlement} from "../utils/Settlement.sol";

/// Gas of whole transactions around slashing and rewards (docs/gas.md).
contract JusticeGasTest is Settlement {
    function used(string memory call) internal returns (uint256 gas) {
        gas = vm.lastCallGas().gasTotalUsed;
        emit log_named_uint(call, gas);
    }

    function accuseAndMeasure(uint256 key, uint64 height, string memory call) internal returns (uint256) {
        Vote memory a = Vote(PREVOTE, height, 0, BLOCK_A);
        Vote memory b = Vote(PREVOTE, height, 0, BLOCK_B);
        bytes memory signatureA = signatureOf(key, Signing.hash(a));
        bytes memory signatureB = signatureOf(key, Signing.hash(b));
        slashing.proveVotes(a, signatureA, b, signatureB, nothing());
        return used(call);
    }

    /// forge-config: default.isolate = true
    function test_slashing_gas_bounded() external {
        members = start(4);
        accuseAndMeasure(1, 500, "proveVotes, the first case");
        assertLt(accuseAndMeasure(2, 500, "proveVotes"), 400_000);
        assertLt(accuseAndMeasure(2, 501, "proveVotes, into an open case"), 150_000);
        vm.warp(slashing.executableAt(2));
        slashing.execute(1);
        used("execute, the first case");
        slashing.execute(2);
        assertLt(used("execute"), 300_000);
    }

    function settleAndMeasure(uint256 n, uint256 batches, string memory call) internal returns (uint256) {
        members = start(n);
        vm.roll(block.number + 5);
        fundStream(10_000 ether);
        for (uint256 i; i < 2; ++i) {
            for (uint256 batch; batch < batches; ++batch) {
                post(300, (1 << n) - 1, type(uint256).max >> (256 - 8 * n));
            }
            settle(batches);
        }
        return used(call);
    }

    /// forge-config: default.isolate = true
    function test_settle_gasOf4_bounded() external {
        assertLt(settleAndMeasure(4, 1, "settle, 4 members, 1 batch"), 500_000);
    }

    /// forge-config: default.isolate = true
    function test_settle_gasOf32_bounded() external {
        assertLt(settleAndMeasure(32, 12, "settle, 32 members, 12 batches"), 3_500_000);
    }

    /// The most a call can hold fits a transaction (EIP-7825).
    /// forge-config: default.isolate = true
    function test_settle_gasOfMost_bounded() external {
        assertLt(settleAndMeasure(32, rewards.MAX_BATCHES(), "settle, 32 members, 64 batches"), 16_777_216);
    }

    /// forge-config: default.isolate = true
    function test_submitPermissionless_gas_bounded() external {
        members = start(4);
        vm.roll(block.number + 5);
        post(60, 15, 0);
        metis.mint(address(this), BOND);
        metis.approve(address(registry), BOND);
        depositQueue.depositTransaction(recipient, 0, 100_000, false, "");
        vm.warp(uint256(registry.head().acceptedAt) + SILENCE);
        vm.roll(block.number + 1);
        BatchHeader memory header = nextHeader(hex"02");
        registry.submitPermissionless(header);
        assertLt(used("submitPermissionless"), 220_000);
    }
}
