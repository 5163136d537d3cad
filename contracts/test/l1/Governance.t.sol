// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Court} from "../utils/Court.sol";

/// Everything that can be changed after deployment is changed through the timelock, after its delay, within bounds in code.
contract GovernanceTest is Court {
    /// Bounds of the weight cap, whole METIS.
    uint64 internal constant MIN_WEIGHT = 100_000;
    uint64 internal constant MAX_WEIGHT = 10_000_000;
    TimelockController internal timelock;

    function setUp() public override {
        super.setUp();
        start(4);
        timelock = TimelockController(payable(governance));
    }

    /// Proposes, waits, and lets a stranger execute.
    function enact(address target, bytes memory call, bool works) internal {
        vm.prank(governor);
        timelock.schedule(target, 0, call, 0, 0, TIMELOCK_DELAY);
        vm.warp(block.timestamp + TIMELOCK_DELAY - 1);
        vm.expectRevert();
        timelock.execute(target, 0, call, 0, 0);
        vm.warp(block.timestamp + 1);
        if (!works) vm.expectRevert();
        timelock.execute(target, 0, call, 0, 0);
    }

    /// Nobody but the timelock may call; neither may the governor directly.
    function refusesOthers(address target, bytes memory call) internal {
        address[2] memory others = [governor, address(this)];
        for (uint256 i; i < 2; ++i) {
            vm.prank(others[i]);
            (bool done,) = target.call(call);
            assertFalse(done);
        }
    }

    function test_timelock_roles_succeeds() external view {
        assertEq(timelock.getMinDelay(), TIMELOCK_DELAY);
        assertTrue(timelock.hasRole(timelock.PROPOSER_ROLE(), governor));
        assertTrue(timelock.hasRole(timelock.CANCELLER_ROLE(), governor));
        assertTrue(timelock.hasRole(timelock.EXECUTOR_ROLE(), address(0)));
        // No administrator but itself: roles and delay change through it alone.
        assertTrue(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), address(timelock)));
        assertFalse(timelock.hasRole(timelock.DEFAULT_ADMIN_ROLE(), governor));
    }

    function test_schedule_stranger_reverts() external {
        vm.expectRevert();
        timelock.schedule(address(rewards), 0, abi.encodeCall(rewards.setRate, (1)), 0, 0, TIMELOCK_DELAY);
    }

    function test_setRate_throughTimelock_succeeds() external {
        bytes memory call = abi.encodeCall(rewards.setRate, (rewards.MAX_RATE()));
        refusesOthers(address(rewards), call);
        enact(address(rewards), call, true);
        assertEq(rewards.rate(), rewards.MAX_RATE());
        enact(address(rewards), abi.encodeCall(rewards.setRate, (rewards.MAX_RATE() + 1)), false);
    }

    function test_setCouncil_throughTimelock_succeeds() external {
        bytes memory call = abi.encodeCall(slashing.setCouncil, (recipient));
        refusesOthers(address(slashing), call);
        enact(address(slashing), call, true);
        assertEq(slashing.council(), recipient);
        accuse(1, 500);
        vm.prank(recipient);
        slashing.cancel(1, 1);
    }

    function test_pay_throughTimelock_succeeds() external {
        metis.mint(address(insurancePool), 100 ether);
        bytes memory call = abi.encodeCall(insurancePool.pay, (recipient, 25 ether, bytes32("loss")));
        refusesOthers(address(insurancePool), call);
        enact(address(insurancePool), call, true);
        assertEq(metis.balanceOf(recipient), 25 ether);
        vm.warp((block.timestamp / insurancePool.PERIOD() + 1) * insurancePool.PERIOD() - 1);
        call = abi.encodeCall(insurancePool.pay, (recipient, 75 ether, bytes32("too much")));
        enact(address(insurancePool), call, false);
    }

    function test_setMaxWeight_throughTimelock_succeeds() external {
        bytes memory call = abi.encodeCall(staking.setMaxWeight, (MAX_WEIGHT));
        refusesOthers(address(staking), call);
        enact(address(staking), call, true);
        assertEq(staking.maxWeight(), MAX_WEIGHT);
        enact(address(staking), abi.encodeCall(staking.setMaxWeight, (MAX_WEIGHT + 1)), false);
        enact(address(staking), abi.encodeCall(staking.setMaxWeight, (MIN_WEIGHT - 1)), false);
    }

    /// The whitelist gates entry alone.
    function test_whitelist_throughTimelock_succeeds() external {
        bytes memory call = abi.encodeCall(staking.setWhitelistEnabled, (true));
        refusesOthers(address(staking), call);
        enact(address(staking), call, true);
        address owner = ownerOf(9);
        fund(owner, STAKE);
        vm.expectRevert();
        vm.prank(owner);
        staking.register(STAKE, vm.addr(9), recipient);
        enact(address(staking), abi.encodeCall(staking.setWhitelisted, (owner, true)), true);
        vm.prank(owner);
        staking.register(STAKE, vm.addr(9), recipient);
        vm.prank(ownerOf(1));
        staking.exit(1);
    }
}
