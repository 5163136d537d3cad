// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Accusation} from "../utils/Accusation.sol";

/// What an executed case costs: alone, and with others whose cases count as one event with it.
contract PenaltyTest is Accusation {
    function test_execute_alone_succeeds() external {
        accuse(1, HEIGHT);
        vm.warp(slashing.executableAt(1) - 1);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealRunning.selector, 1, block.timestamp + 1));
        slashing.execute(1);
        vm.warp(block.timestamp + 1);
        uint256 taken = uint256(STAKE) / 100;
        uint256 bounty = taken * 15 / 100;
        vm.expectEmit(address(slashing));
        emit ISlashing.CaseExecuted(1, 1, 0.01e18, taken, bounty);
        assertEq(slashing.execute(1), taken);
        assertEq(metis.balanceOf(address(insurancePool)), taken - bounty);
        assertEq(slashing.owed(recipient), bounty);
        vm.expectEmit(address(slashing));
        emit ISlashing.BountyPaid(recipient, bounty);
        assertEq(slashing.payBounty(recipient), bounty);
        assertEq(metis.balanceOf(recipient), bounty);
        assertEq(metis.balanceOf(address(slashing)), 0);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.NothingOwed.selector, recipient));
        slashing.payBounty(recipient);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.CaseNotOpen.selector, 1));
        slashing.execute(1);
        assertEq(staking.operator(1).stake, STAKE - taken);
    }

    /// What a redelegation pays later goes to the insurance pool whole; bounties stay where they are.
    function test_forward_redelegation_succeeds() external {
        uint256 shares = delegate(1, 1_000 ether);
        vm.startPrank(delegator);
        (, uint256 request) = staking.redelegate(1, 2, shares, 0);
        vm.stopPrank();
        accuse(1, HEIGHT);
        uint256 taken = executeInTime(1);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.NothingOwed.selector, address(insurancePool)));
        slashing.forward();
        assertEq(staking.enforce(request), 10 ether);
        uint256 insured = metis.balanceOf(address(insurancePool));
        vm.expectEmit(address(slashing));
        emit ISlashing.Forwarded(10 ether);
        assertEq(slashing.forward(), 10 ether);
        assertEq(metis.balanceOf(address(insurancePool)), insured + 10 ether);
        assertEq(slashing.totalOwed(), taken * 15 / 100);
        assertEq(metis.balanceOf(address(slashing)), taken * 15 / 100);
    }

    /// 20,000 of 80,000 alone is 1 %; the next 20,000 make more than a third, which is everything.
    function test_execute_thirdOfTheWeight_succeeds() external {
        accuse(1, HEIGHT);
        vm.warp(block.timestamp + APPEAL);
        accuse(2, HEIGHT);
        assertEq(slashing.fractionOf(1), 1e18);
        assertEq(slashing.fractionOf(2), 1e18);
        assertEq(executeInTime(1), STAKE);
        assertEq(executeInTime(2), STAKE);
        assertEq(staking.operator(1).stake, 0);
    }

    /// In a set of ten, 20,000 each: one is 10 % of the weight, two 20 %, three 30 %, four more than a third.
    function test_fractionOf_linear_succeeds() external {
        ten();
        uint256[5] memory expected =
            [uint256(0), 0.01e18, 0.01e18 + 0.99e18 * uint256(3) / 7, 0.01e18 + 0.99e18 * uint256(6) / 7, 1e18];
        for (uint256 key = 1; key <= 4; ++key) {
            accuse(key, HEIGHT);
            for (uint256 caseId = 1; caseId <= key; ++caseId) {
                assertApproxEqAbs(slashing.fractionOf(caseId), expected[key], 1);
            }
        }
    }

    /// Only what happened in one window counts together, in either direction.
    function test_fractionOf_otherWindow_succeeds() external {
        ten();
        accuse(1, HEIGHT);
        vm.warp(block.timestamp + APPEAL + 1);
        accuse(2, HEIGHT);
        assertEq(slashing.fractionOf(1), 0.01e18);
        assertEq(slashing.fractionOf(2), 0.01e18);
        vm.warp(block.timestamp + APPEAL);
        accuse(3, HEIGHT);
        assertEq(slashing.fractionOf(1), 0.01e18);
        assertGt(slashing.fractionOf(2), 0.4e18);
        assertEq(slashing.fractionOf(3), slashing.fractionOf(2));
    }

    /// Neither cancelled cases nor an operator's own earlier ones make a case heavier, and nobody counts twice.
    function test_fractionOf_countedOnce_succeeds() external {
        ten();
        accuse(1, HEIGHT);
        accuse(2, HEIGHT);
        vm.prank(governance);
        slashing.cancel(2, 1);
        assertEq(slashing.fractionOf(1), 0.01e18);
        uint64 openedAt = slashing.caseOf(1).openedAt;
        executeInTime(1);
        // Operators 3 and 1 within one window of each other, with an executed case of operator 1 in it.
        vm.warp(openedAt + APPEAL);
        accuse(3, HEIGHT);
        vm.warp(openedAt + APPEAL + 1);
        accuse(1, HEIGHT + 1);
        uint256 two = 0.01e18 + 0.99e18 * uint256(3) / 7;
        assertApproxEqAbs(slashing.fractionOf(3), two, 1);
        // It has lost a hundredth already.
        assertApproxEqAbs(slashing.fractionOf(4), 0.01e18 + 0.99e18 * uint256(60_000) / (200_000 - 3 * 19_800), 1);
    }

    function ten() internal {
        for (uint256 key = 5; key <= 10; ++key) {
            register(key, STAKE);
        }
        vm.roll(block.number + INTERVAL);
        (members,,) = sequencerSet.preview();
        sequencerSet.snapshot();
        useNewest();
    }

    /// The set that decides is that of the newest snapshot once a batch has used it.
    function useNewest() internal {
        submit(nextHeader(DATA), members, (1 << members.length) - 1, DATA);
    }

    /// Whoever leaves, unbonds or moves its stake before the evidence is shown weighs what it weighed.
    function test_fractionOf_leftBefore_succeeds() external {
        ten();
        delegate(1, 10_000 ether);
        vm.prank(ownerOf(1));
        staking.takeLeave(1);
        uint256 shares = delegate(2, 10_000 ether);
        vm.prank(ownerOf(2));
        staking.exit(2);
        vm.startPrank(delegator);
        staking.undelegate(2, 0, shares / 2, 0);
        shares = delegate(3, 10_000 ether);
        vm.startPrank(delegator);
        staking.undelegate(3, 0, shares / 2, 0);
        staking.redelegate(3, 9, shares / 4, 0);
        vm.stopPrank();
        register(11, 30_000 ether);
        vm.startPrank(ownerOf(11));
        staking.decrease(11, 10_000 ether);
        vm.stopPrank();
        for (uint64 id = 1; id <= 3; ++id) {
            assertEq(slashing.caseOf(accuse(id, HEIGHT)).weight, 30_000);
        }
        assertEq(slashing.caseOf(accuse(11, HEIGHT)).weight, 30_000);
        assertEq(staking.weightOf(1) + staking.weightOf(2) + staking.weightOf(3), 0);
        assertEq(slashing.fractionOf(1), 1e18);
    }

    /// What has been released no longer answers, so it does not weigh either.
    function test_fractionOf_released_succeeds() external {
        ten();
        uint256 shares = delegate(1, 10_000 ether);
        vm.startPrank(delegator);
        (, uint256 request) = staking.redelegate(1, 9, shares, 0);
        vm.warp(staking.claimableAt(request) - 1);
        vm.stopPrank();
        uint256 state = vm.snapshotState();
        assertEq(slashing.caseOf(accuse(1, HEIGHT)).weight, 30_000);
        vm.revertToState(state);
        vm.warp(block.timestamp + 1);
        assertEq(slashing.caseOf(accuse(1, HEIGHT)).weight, 20_000);
    }

    /// An operator that has lost everything can go on contradicting itself, but not at somebody else's expense.
    function test_fractionOf_nothingLeft_succeeds() external {
        accuse(1, HEIGHT);
        accuse(2, HEIGHT);
        executeInTime(1);
        executeInTime(2);
        assertEq(staking.operator(1).stake, 0);
        vm.warp(block.timestamp + APPEAL);
        accuse(3, HEIGHT);
        accuse(1, HEIGHT + 1);
        accuse(2, HEIGHT + 1);
        assertEq(slashing.caseOf(4).weight, 0);
        assertEq(slashing.fractionOf(3), 0.01e18);
        assertEq(executeInTime(4), 0);
        assertEq(executeInTime(3), uint256(STAKE) / 100);
    }

    /// Power in the set is capped, and so is what a case weighs; what is taken is not.
    function test_fractionOf_cap_succeeds() external {
        delegate(1, 400_000 ether);
        assertEq(slashing.caseOf(accuse(1, HEIGHT)).weight, 300_000);
        assertEq(executeInTime(1), 4_200 ether);
    }

    /// The measure is the set that decided: stake that comes or goes afterwards, and snapshots of it, change nothing.
    function test_fractionOf_set_succeeds() external {
        (BatchHeader memory header, uint64 acceptedAt) = post();
        delegate(3, 200_000 ether);
        vm.roll(block.number + INTERVAL);
        (members,,) = sequencerSet.preview();
        sequencerSet.snapshot();
        assertEq(sequencerSet.snapshotAt(2).totalWeight, 280_000);
        // Not on L1 yet, while the newest batch is of the old set.
        assertEq(slashing.caseOf(accuse(1, HEIGHT)).totalWeight, 80_000);
        useNewest();
        assertEq(slashing.caseOf(accuse(2, HEIGHT)).totalWeight, 280_000);
        ISlashing.Inclusion memory inclusion = ISlashing.Inclusion(header, acceptedAt, 15);
        assertEq(slashing.caseOf(accuse(recipient, 4, 50, inclusion)).totalWeight, 80_000);
        assertEq(slashing.fractionOf(3), 1e18);
    }

    address internal delegator = makeAddr("delegator");

    function delegate(uint64 id, uint96 amount) internal returns (uint256 shares) {
        vm.stopPrank();
        fund(delegator, amount);
        vm.prank(delegator);
        return staking.delegate(id, amount, 0);
    }

    /// However an operator and its delegators spread their way out, a case weighs all that is still liable.
    function testFuzz_proveVotes_weighsWhatAnswers_succeeds(uint96[4] memory parts, uint256 order) external {
        register(20, 60_000 ether);
        uint64 id = uint64(staking.operatorOf(vm.addr(20)));
        uint256 shares = delegate(id, 40_000 ether);
        for (uint256 i; i < 4; ++i) {
            uint256 kind = (order >> (8 * i)) % 4;
            bool exited = staking.operator(id).exited;
            uint256 part = bound(parts[i], 1, shares / 5);
            if (kind == 0 && !exited) {
                vm.prank(ownerOf(20));
                staking.decrease(id, uint96(bound(parts[i], 1, 10_000 ether)));
            } else if (kind == 1 && !exited) {
                vm.prank(ownerOf(20));
                staking.exit(id);
            } else if (kind == 2) {
                vm.prank(delegator);
                staking.undelegate(id, 0, part, 0);
            } else if (!exited && part > 1e4) {
                vm.prank(delegator);
                staking.redelegate(id, 1, part, 0);
            }
            vm.warp(block.timestamp + order % 2 days);
        }
        // Each step may lose a wei to rounding.
        assertApproxEqAbs(slashing.caseOf(accuse(20, HEIGHT)).weight, 100_000, 1);
    }

    /// What was taken is shared to the wei, however odd.
    function testFuzz_execute_sharesAddUp_succeeds(uint96 stake, uint8 accomplices) external {
        stake = uint96(bound(stake, 20_000 ether, 100_000 ether));
        register(20, stake);
        ten();
        accomplices = uint8(bound(accomplices, 0, 4));
        uint256 caseId = accuse(20, HEIGHT);
        for (uint256 key = 1; key <= accomplices; ++key) {
            accuse(key, HEIGHT);
        }
        uint256 fraction = slashing.fractionOf(caseId);
        assertGe(fraction, 0.01e18);
        assertLe(fraction, 1e18);
        uint256 taken = executeInTime(caseId);
        assertEq(taken, stake - staking.operator(slashing.caseOf(caseId).operatorId).stake);
        assertApproxEqAbs(taken, uint256(stake) * fraction / 1e18, 1);
        assertEq(slashing.owed(recipient) + metis.balanceOf(address(insurancePool)), taken);
        assertEq(slashing.owed(recipient), taken * 15 / 100);
        assertEq(metis.balanceOf(address(slashing)), slashing.owed(recipient));
    }
}
