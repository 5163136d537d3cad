// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Network} from "../utils/Network.sol";

/// Gas of a whole batch transaction with n signatures of n members. The data is one byte: blobs are paid elsewhere.
contract BatchGasTest is Network {
    /// What is stored: head (two words) changed and one new commitment, 2 × 5,000 + 22,100; the event, 5,340; and what the
    /// snapshot and the queue have stored is read from two other contracts, 2 × 2,600 + 3 × 2,100.
    uint256 internal constant STORAGE = 32_100 + 5_340 + 11_500;

    function measure(uint256 n) internal returns (uint256 used) {
        bytes32[] memory members = start(n);
        vm.roll(block.number + 20);
        // The first batch makes zero words non-zero; the second is what every later one costs.
        for (uint256 i; i < 2; ++i) {
            submit(nextHeader(hex"01"), members, (1 << n) - 1, hex"01");
            used = vm.lastCallGas().gasTotalUsed;
            vm.roll(block.number + 1);
        }
        emit log_named_uint("gas", used);
    }

    /// forge-config: default.isolate = true
    function test_submitBatch_gasOf4_succeeds() external {
        assertApproxEqRel(measure(4), 55_000 + STORAGE, 0.15e18);
    }

    /// forge-config: default.isolate = true
    function test_submitBatch_gasOf11_succeeds() external {
        assertApproxEqRel(measure(11), 90_000 + STORAGE, 0.15e18);
    }

    /// forge-config: default.isolate = true
    function test_submitBatch_gasOf21_succeeds() external {
        assertApproxEqRel(measure(21), 144_000 + STORAGE, 0.15e18);
    }
}
