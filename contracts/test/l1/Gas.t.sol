// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Network} from "../utils/Network.sol";

/// Gas of whole transactions. A batch has n signatures of n members; its data is one byte, since blobs are paid elsewhere.
contract GasTest is Network {
    /// The registry's words: head 5,000, commitment 22,100, the commitment before it 2,100, the meter 5,000; and the event: four topics, 16 words.
    uint256 internal constant STORAGE = 34_200 + 5_596;

    function measure(uint256 n, uint256 target) internal {
        bytes memory call;
        uint256 used;
        bytes32[] memory members = start(n);
        // As much as lies in a queue that is in use: some items, all executed.
        for (uint256 i; i < 4; ++i) {
            depositQueue.depositTransaction(recipient, 0, 100_000, false, "");
        }
        vm.roll(block.number + 20);
        // The first batch makes zero words non-zero; the second is what every later one costs.
        for (uint256 i; i < 2; ++i) {
            BatchHeader memory header = nextHeader(hex"01");
            bytes memory signatures = sign(header, members, (1 << n) - 1);
            call = abi.encodeCall(registry.submitBatch, (header, members, (1 << n) - 1, signatures, hex"01"));
            submit(header, members, (1 << n) - 1, hex"01");
            // Forge's own transactions have no base fee, so the meter's word stays what it is: 2,800 less than a change.
            used = vm.lastCallGas().gasTotalUsed + 2_800;
            vm.roll(block.number + 1);
        }
        uint256 calldataGas;
        for (uint256 i; i < call.length; ++i) {
            calldataGas += call[i] == 0 ? 4 : 16;
        }
        emit log_named_uint("calldata", calldataGas);
        emit log_named_uint("submitBatch", used);
        // What is refunded is never more than what was used, also with the fewest signers that do.
        assertLe(registry.BATCH_GAS() + n * registry.SIGNER_GAS() + registry.BYTE_GAS(), used);
        // One-sided: cheaper is no fault.
        assertLe(used, (target + STORAGE) * 115 / 100);
    }

    /// forge-config: default.isolate = true
    function test_submitBatch_gasOf4_succeeds() external {
        measure(4, 55_000);
    }

    /// forge-config: default.isolate = true
    function test_submitBatch_gasOf11_succeeds() external {
        measure(11, 90_000);
    }

    /// forge-config: default.isolate = true
    function test_submitBatch_gasOf21_succeeds() external {
        measure(21, 144_000);
    }

    /// forge-config: default.isolate = true
    function test_snapshot_gasOf32_succeeds() external {
        start(32);
        vm.roll(block.number + INTERVAL);
        sequencerSet.snapshot();
        assertLt(vm.lastCallGas().gasTotalUsed, 700_000);
        emit log_named_uint("gas", vm.lastCallGas().gasTotalUsed);
    }

    /// forge-config: default.isolate = true
    function test_staking_gasOfDelegation_succeeds() external {
        register(1, 50_000 ether);
        fund(recipient, 100_000 ether);
        vm.startPrank(recipient);
        for (uint256 i; i < 2; ++i) {
            staking.delegate(1, 10_000 ether, 0);
            emit log_named_uint("delegate", vm.lastCallGas().gasTotalUsed);
        }
        uint256 request;
        for (uint256 i; i < 2; ++i) {
            request = staking.undelegate(1, 0, 4_000_000 ether, 0);
            emit log_named_uint("undelegate", vm.lastCallGas().gasTotalUsed);
        }
        vm.warp(block.timestamp + LEAVING);
        staking.claim(request);
        emit log_named_uint("claim", vm.lastCallGas().gasTotalUsed);
        assertLt(vm.lastCallGas().gasTotalUsed, 100_000);
        vm.stopPrank();
    }

    /// forge-config: default.isolate = true
    function test_staking_gasOfLife_succeeds() external {
        register(1, 50_000 ether);
        emit log_named_uint("register", vm.lastCallGas().gasTotalUsed);
        vm.prank(ownerOf(1));
        uint256 request = staking.decrease(1, 1 ether);
        emit log_named_uint("decrease", vm.lastCallGas().gasTotalUsed);
        vm.prank(ownerOf(1));
        staking.exit(1);
        emit log_named_uint("exit", vm.lastCallGas().gasTotalUsed);
        vm.warp(block.timestamp + LEAVING);
        vm.prank(ownerOf(1));
        staking.claim(request);
        emit log_named_uint("claim", vm.lastCallGas().gasTotalUsed);
        assertLt(vm.lastCallGas().gasTotalUsed, 100_000);
    }

    /// forge-config: default.isolate = true
    function test_depositTransaction_gas_succeeds() external {
        for (uint256 i; i < 3; ++i) {
            depositQueue.depositTransaction(recipient, 0, 100_000, false, "");
            vm.roll(block.number + 1);
        }
        emit log_named_uint("forced", vm.lastCallGas().gasTotalUsed);
        fundDeposit();
        depositQueue.depositERC20Transaction(recipient, 1 ether, 1 ether, 100_000, false, "");
        emit log_named_uint("deposit", vm.lastCallGas().gasTotalUsed);
        assertLt(vm.lastCallGas().gasTotalUsed, 150_000);
    }

    function fundDeposit() private {
        metis.mint(address(this), 1 ether);
        metis.approve(address(depositQueue), 1 ether);
    }
}
