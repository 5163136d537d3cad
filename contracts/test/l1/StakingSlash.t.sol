// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Network} from "../utils/Network.sol";

/// Cases, slashes, leave, ejection and the weight of an operator.
contract StakingSlashTest is Network {
    address internal alice = makeAddr("alice");
    address internal owner;
    uint64 internal id;

    function setUp() public override {
        super.setUp();
        owner = ownerOf(1);
        id = register(1, 50_000 ether);
        register(2, 100_000 ether);
        register(3, 100_000 ether);
        fund(alice, 1_000_000 ether);
        fund(owner, 1_000_000 ether);
        fund(rewarder, 1_000_000 ether);
        vm.warp((block.timestamp / CHURN_PERIOD + 1) * CHURN_PERIOD);
        vm.prank(alice);
        staking.delegate(id, 30_000 ether, 0);
    }

    function freeze() internal returns (uint64) {
        vm.prank(slasher);
        staking.freeze(id);
        return uint64(block.timestamp);
    }

    function slash(uint256 fraction, uint64 caseAt) internal returns (uint256) {
        vm.prank(slasher);
        return staking.slash(id, fraction, caseAt, slasher);
    }

    function undelegate(uint256 assets) internal returns (uint256) {
        uint32 series = staking.pool(id).series;
        IStaking.DelegationView memory held = staking.delegation(id, alice);
        vm.prank(alice);
        return staking.undelegate(id, series, held.shares * assets / held.assets, 0);
    }

    function decrease(uint96 amount) internal returns (uint256) {
        vm.prank(owner);
        return staking.decrease(id, amount);
    }

    function test_freeze_stopsWeightAndClaims_succeeds() external {
        uint256 early = decrease(1 ether);
        vm.warp(staking.claimableAt(early));
        uint256 late = decrease(1 ether);
        vm.expectEmit(address(staking));
        emit IStaking.Frozen(id, uint64(block.timestamp));
        uint64 caseAt = freeze();
        assertEq(staking.caseOf(id), caseAt);
        assertEq(staking.weightOf(id), 0);
        assertTrue(staking.operator(id).frozen);
        // Requests are still taken, and what was releasable before the case is paid.
        uint256 during = undelegate(1 ether);
        vm.prank(owner);
        staking.claim(early);
        vm.warp(block.timestamp + LEAVING);
        assertEq(staking.claimableAt(late), type(uint64).max);
        vm.expectRevert(abi.encodeWithSelector(IStaking.IsFrozen.selector, id));
        vm.prank(owner);
        staking.claim(late);
        vm.expectRevert(abi.encodeWithSelector(IStaking.IsFrozen.selector, id));
        vm.prank(alice);
        staking.claim(during);
        vm.expectRevert(abi.encodeWithSelector(IStaking.IsFrozen.selector, id));
        vm.prank(owner);
        staking.increase(id, 1);
        vm.expectEmit(address(staking));
        emit IStaking.Unfrozen(id, caseAt);
        vm.prank(slasher);
        staking.unfreeze(id, caseAt);
        assertEq(staking.weightOf(id), 79_997);
        vm.prank(owner);
        assertEq(staking.claim(late), 1 ether);
        vm.prank(alice);
        assertApproxEqAbs(staking.claim(during), 1 ether, 1);
    }

    function test_seam_refusals_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAllowed.selector, alice));
        vm.prank(alice);
        staking.freeze(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAllowed.selector, alice));
        vm.prank(alice);
        staking.unfreeze(id, 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAllowed.selector, alice));
        vm.prank(alice);
        staking.slash(id, 1, 1, alice);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownCase.selector, id, 0));
        slash(1, 0);
        uint64 caseAt = freeze();
        vm.startPrank(slasher);
        vm.expectRevert(abi.encodeWithSelector(IStaking.IsFrozen.selector, id));
        staking.freeze(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownOperator.selector, 77));
        staking.freeze(77);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownCase.selector, id, caseAt + 1));
        staking.unfreeze(id, caseAt + 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.FractionOutOfRange.selector, 1e18 + 1));
        staking.slash(id, 1e18 + 1, caseAt, slasher);
        vm.stopPrank();
    }

    /// Self-stake, pool with its unvested rewards and what is unbonding lose the same part; what was releasable loses nothing.
    function test_slash_proRata_succeeds() external {
        uint256 released = decrease(1_000 ether);
        vm.warp(staking.claimableAt(released));
        uint256 own = decrease(5_000 ether);
        uint256 delegated = undelegate(6_000 ether);
        vm.prank(rewarder);
        staking.addReward(id, 680 ether);
        uint256 unvested = staking.pool(id).unvested;
        uint256 rewards = staking.rewardsOf(id);
        uint64 caseAt = freeze();
        uint256 during = decrease(2_000 ether);
        uint256 fromPool = 24_000 ether / 4 + unvested / 4;
        vm.expectEmit(true, true, true, false, address(staking));
        emit IStaking.Slashed(id, caseAt, 0.25e18, 10_500 ether, fromPool, 3_250 ether);
        uint256 amount = slash(0.25e18, caseAt);
        assertApproxEqAbs(amount, 10_500 ether + fromPool + 3_250 ether, 3);
        assertEq(metis.balanceOf(slasher), amount);
        assertEq(staking.operator(id).stake, 31_500 ether);
        assertApproxEqAbs(staking.unbonding(own).amount, 3_750 ether, 1);
        assertApproxEqAbs(staking.unbonding(delegated).amount, 4_500 ether, 1);
        assertApproxEqAbs(staking.unbonding(during).amount, 1_500 ether, 1);
        assertEq(staking.unbonding(released).amount, 1_000 ether);
        assertApproxEqAbs(staking.delegation(id, alice).assets, 18_000 ether, 1);
        assertEq(staking.rewardsOf(id), rewards);
        // On leave until the owner comes back.
        assertEq(staking.caseOf(id), 0);
        assertEq(staking.weightOf(id), 0);
        vm.prank(owner);
        staking.rejoin(id);
        assertEq(staking.weightOf(id), 49_500);
        vm.warp(block.timestamp + LEAVING);
        vm.startPrank(owner);
        assertApproxEqAbs(staking.claim(own), 3_750 ether, 1);
        assertApproxEqAbs(staking.claim(during), 1_500 ether, 1);
        assertEq(staking.claim(released), 1_000 ether);
        vm.stopPrank();
    }

    /// Requests between two cases answer for the second alone.
    function test_slash_twice_succeeds() external {
        uint256 before = decrease(8_000 ether);
        slash(0.5e18, freeze());
        uint256 between = undelegate(4_000 ether);
        assertApproxEqAbs(staking.unbonding(between).amount, 4_000 ether, 1);
        vm.warp(block.timestamp + 1);
        slash(0.5e18, freeze());
        assertApproxEqAbs(staking.unbonding(before).amount, 2_000 ether, 1);
        assertApproxEqAbs(staking.unbonding(between).amount, 2_000 ether, 1);
        assertEq(staking.operator(id).stake, 10_500 ether);
        vm.warp(block.timestamp + LEAVING);
        slash(0.5e18, freeze());
        assertApproxEqAbs(staking.unbonding(between).amount, 2_000 ether, 1);
    }

    /// After a slash of everything the series is dead; old shares and requests can be put away, and a new series opens.
    function test_slash_everything_succeeds() external {
        uint256 own = decrease(8_000 ether);
        uint256 old = undelegate(10_000 ether);
        uint64 caseAt = freeze();
        vm.expectEmit(address(staking));
        emit IStaking.SeriesRetired(id, 0);
        assertEq(slash(1e18, caseAt), 80_000 ether);
        assertEq(staking.totalUnbonding(), 0);
        assertEq(staking.pool(id).series, 1);
        assertEq(staking.pool(id).assets, 0);
        assertEq(staking.delegation(id, alice).shares, 0);
        uint256 shares = staking.delegationIn(id, 0, alice).shares;
        vm.expectRevert(abi.encodeWithSelector(IStaking.Slippage.selector, 0, 1));
        vm.prank(alice);
        staking.undelegate(id, 0, shares, 1);
        vm.prank(alice);
        assertEq(staking.undelegate(id, 0, shares, 0), 0);
        // A new series, worth what is put in.
        vm.prank(alice);
        assertEq(staking.delegate(id, 1 ether, 0), 1_000 ether);
        uint256 fresh = undelegate(1 ether);
        vm.warp(block.timestamp + LEAVING);
        vm.startPrank(alice);
        assertEq(staking.claim(old), 0);
        assertEq(staking.claim(fresh), 1 ether);
        vm.stopPrank();
        vm.startPrank(owner);
        assertEq(staking.claim(own), 0);
        assertEq(staking.exit(id), 0);
        vm.stopPrank();
        assertTrue(staking.operator(id).exited);
        assertEq(staking.candidates().length, 2);
    }

    /// A billionth left is nothing; and before that nobody can put anything in any more.
    function test_slash_toDust_succeeds() external {
        uint256 request = decrease(10_000 ether);
        slash(0.9999e18, freeze());
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, id));
        vm.prank(alice);
        staking.delegate(id, 1 ether, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, id));
        staking.increase(id, 1);
        assertApproxEqAbs(staking.unbonding(request).amount, 1 ether, 1e9);
        slash(0.999999e18, freeze());
        assertEq(staking.pool(id).series, 1);
        assertEq(staking.pool(id).assets, 0);
        assertEq(staking.unbonding(request).amount, 0);
        assertEq(staking.totalUnbonding(), 0);
        vm.prank(owner);
        staking.increase(id, 50_000 ether);
    }

    function test_slash_nothing_succeeds() external {
        decrease(10_000 ether);
        assertEq(slash(0, freeze()), 0);
        assertTrue(staking.operator(id).away);
        assertEq(staking.pool(id).series, 0);
    }

    /// An operator that waits in the exit queue is still liable, and its weight shrinks with the slash.
    function test_slash_whileLeaving_succeeds() external {
        vm.prank(alice);
        staking.delegate(id, 70_000 ether, 0);
        vm.prank(owner);
        uint256 request = staking.exit(id);
        uint64 weight = staking.weightOf(id);
        assertGt(weight, 0);
        assertEq(staking.candidates().length, 3);
        assertEq(slash(0.5e18, freeze()), 75_000 ether);
        assertEq(staking.weightOf(id), 0);
        assertEq(staking.unbonding(request).amount, 25_000 ether);
        vm.prank(alice);
        uint256 late = staking.undelegate(id, 0, 1 ether, 0);
        assertEq(staking.claimableAt(late), staking.claimableAt(request));
        // Its owner cannot bring it back.
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, id));
        vm.prank(owner);
        staking.rejoin(id);
    }

    // leave, ejection, cap

    function test_takeLeave_andRejoin_succeeds() external {
        vm.expectEmit(address(staking));
        emit IStaking.LeaveTaken(id);
        vm.prank(owner);
        staking.takeLeave(id);
        assertEq(staking.weightOf(id), 0);
        assertEq(staking.operator(id).stake, 50_000 ether);
        vm.expectEmit(address(staking));
        emit IStaking.Rejoined(id);
        vm.prank(owner);
        staking.rejoin(id);
        assertEq(staking.weightOf(id), 80_000);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOwner.selector, id, alice));
        vm.prank(alice);
        staking.takeLeave(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOwner.selector, id, alice));
        vm.prank(alice);
        staking.rejoin(id);
    }

    function test_eject_belowMinimum_succeeds() external {
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEjectable.selector, id));
        staking.eject(id);
        slash(0.7e18, freeze());
        vm.expectRevert(abi.encodeWithSelector(IStaking.StakeBelowMinimum.selector, 15_000 ether, 20_000 ether));
        vm.prank(owner);
        staking.rejoin(id);
        vm.expectEmit(address(staking));
        emit IStaking.OperatorUnlisted(id);
        vm.prank(alice);
        staking.eject(id);
        assertEq(staking.candidates().length, 2);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEjectable.selector, id));
        staking.eject(id);
        // A top-up and the owner's return bring it back.
        vm.prank(owner);
        staking.increase(id, 5_000 ether);
        assertEq(staking.weightOf(id), 0);
        vm.prank(owner);
        staking.rejoin(id);
        assertEq(staking.weightOf(id), 29_000);
        assertEq(staking.candidates().length, 3);
    }

    /// An ejected operator's owner still takes everything out.
    function test_exit_afterEjection_succeeds() external {
        slash(0.7e18, freeze());
        staking.eject(id);
        vm.prank(owner);
        uint256 request = staking.exit(id);
        vm.warp(staking.claimableAt(request));
        vm.prank(owner);
        assertEq(staking.claim(request), 15_000 ether);
    }

    /// Neither leave nor case nor whitelist holds an exit back.
    function test_exit_frozenAwayWhitelisted_succeeds() external {
        vm.prank(governance);
        staking.setWhitelistEnabled(true);
        vm.prank(owner);
        staking.takeLeave(id);
        uint64 caseAt = freeze();
        vm.prank(owner);
        uint256 request = staking.exit(id);
        vm.prank(slasher);
        staking.unfreeze(id, caseAt);
        vm.warp(staking.claimableAt(request));
        vm.prank(owner);
        assertEq(staking.claim(request), 50_000 ether);
    }

    function test_setMaxWeight_capsAndIsBounded_succeeds() external {
        vm.prank(alice);
        staking.delegate(id, 500_000 ether, 0);
        assertEq(staking.weightOf(id), 300_000);
        vm.startPrank(governance);
        vm.expectEmit(address(staking));
        emit IStaking.MaxWeightChanged(100_000);
        staking.setMaxWeight(100_000);
        assertEq(staking.weightOf(id), 100_000);
        vm.expectRevert(abi.encodeWithSelector(IStaking.WeightOutOfRange.selector, 99_999));
        staking.setMaxWeight(99_999);
        vm.expectRevert(abi.encodeWithSelector(IStaking.WeightOutOfRange.selector, 10_000_001));
        staking.setMaxWeight(10_000_001);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAllowed.selector, alice));
        vm.prank(alice);
        staking.setMaxWeight(200_000);
    }

    function test_answersUntil_rotation_succeeds() external {
        assertEq(staking.answersUntil(vm.addr(1)), type(uint64).max);
        assertEq(staking.answersUntil(vm.addr(99)), 0);
        vm.prank(owner);
        staking.rotateSigner(id, vm.addr(9));
        assertEq(staking.answersUntil(vm.addr(1)), block.timestamp + UNBONDING_DELAY);
        assertEq(staking.answersUntil(vm.addr(9)), type(uint64).max);
    }

    /// The devnet's four operators and one that joins: each can leave, in a few slots.
    function testFuzz_exit_devnet_succeeds(uint256 who) external {
        uint96[5] memory stakes = [uint96(40_000 ether), 35_000 ether, 30_000 ether, 25_000 ether, 20_000 ether];
        for (uint256 i; i < 5; ++i) {
            register(10 + i, stakes[i]);
        }
        who = bound(who, 0, 4);
        uint64 leaving = staking.operatorOf(vm.addr(10 + who));
        vm.prank(ownerOf(10 + who));
        uint256 request = staking.exit(leaving);
        assertLe(staking.claimableAt(request), block.timestamp + 3 * CHURN_PERIOD + UNBONDING_DELAY);
        vm.warp(staking.claimableAt(request));
        vm.prank(ownerOf(10 + who));
        assertEq(staking.claim(request), stakes[who]);
    }

    /// Parts of a slash sum to what was paid, and no request is left without cover, for any sequence of fractions.
    function testFuzz_slash_solvent_succeeds(uint96[4] memory amounts, uint64[4] memory fractions) external {
        uint256[] memory requests = new uint256[](4);
        uint256 slashed;
        for (uint256 i; i < 4; ++i) {
            IStaking.DelegationView memory held = staking.delegation(id, alice);
            if (held.assets > 1e6) requests[i] = undelegate(bound(amounts[i], 1e6, held.assets));
            vm.warp(block.timestamp + 1);
            slashed += slash(bound(fractions[i], 0, 1e18), freeze());
            vm.warp(block.timestamp + 1);
        }
        assertEq(metis.balanceOf(slasher), slashed);
        vm.warp(block.timestamp + LEAVING);
        uint256 out;
        for (uint256 i; i < 4; ++i) {
            if (requests[i] == 0) continue;
            vm.prank(alice);
            out += staking.claim(requests[i]);
        }
        assertLe(out + slashed, 80_000 ether);
        assertEq(
            metis.balanceOf(address(staking)),
            staking.totalStaked() + staking.totalDelegated() + staking.totalUnbonding() + staking.totalRewards()
        );
        assertLe(staking.totalUnbonding(), 12);
    }
}
