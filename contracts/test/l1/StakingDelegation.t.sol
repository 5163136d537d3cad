// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Network} from "../utils/Network.sol";

/// Pools, redelegation, rewards and commission.
contract StakingDelegationTest is Network {
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    uint64 internal id;
    uint64 internal other;

    function setUp() public override {
        super.setUp();
        id = register(1, 50_000 ether);
        other = register(2, 50_000 ether);
        fund(alice, 1_000_000 ether);
        fund(bob, 1_000_000 ether);
        fund(rewarder, 1_000_000 ether);
        // Moments at the start of a slot are easy to reckon with.
        vm.warp((block.timestamp / CHURN_PERIOD + 1) * CHURN_PERIOD);
    }

    function delegate(address who, uint96 amount) internal returns (uint256) {
        vm.prank(who);
        return staking.delegate(id, amount, 0);
    }

    function undelegate(address who, uint256 shares) internal returns (uint256) {
        vm.prank(who);
        return staking.undelegate(id, 0, shares, 0);
    }

    function reward(uint256 amount) internal {
        vm.prank(rewarder);
        staking.addReward(id, amount);
    }

    function freeze(uint64 operatorId) internal returns (uint64) {
        vm.prank(slasher);
        staking.freeze(operatorId);
        return uint64(block.timestamp);
    }

    function slash(uint64 operatorId, uint256 fraction) internal returns (uint256) {
        uint64 caseAt = staking.caseOf(operatorId);
        if (caseAt == 0) caseAt = freeze(operatorId);
        vm.prank(slasher);
        return staking.slash(operatorId, fraction, caseAt, slasher);
    }

    function claim(address who, uint256 request) internal returns (uint256) {
        vm.warp(staking.claimableAt(request));
        vm.prank(who);
        return staking.claim(request);
    }

    // delegate, undelegate

    function test_delegate_buysShares_succeeds() external {
        vm.expectEmit(address(staking));
        emit IStaking.Delegated(id, 0, alice, 10_000 ether, 10_000_000 ether);
        uint256 shares = delegate(alice, 10_000 ether);
        assertEq(shares, 10_000_000 ether);
        assertEq(staking.weightOf(id), 60_000);
        assertEq(staking.totalDelegated(), 10_000 ether);
        IStaking.PoolView memory pool = staking.pool(id);
        assertEq(pool.shares, shares);
        assertEq(pool.assets, 10_000 ether);
        assertEq(pool.price, 1 ether);
        IStaking.DelegationView memory held = staking.delegation(id, alice);
        assertEq(held.shares, shares);
        assertEq(held.assets, 10_000 ether);
        assertEq(held.series, 0);
    }

    function test_delegate_refusals_reverts() external {
        vm.startPrank(alice);
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.delegate(id, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Slippage.selector, 1000, 1001));
        staking.delegate(id, 1, 1001);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, 77));
        staking.delegate(77, 1 ether, 0);
        vm.stopPrank();
        freeze(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.IsFrozen.selector, id));
        vm.prank(alice);
        staking.delegate(id, 1 ether, 0);
        vm.prank(ownerOf(2));
        staking.exit(other);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, other));
        vm.prank(alice);
        staking.delegate(other, 1 ether, 0);
    }

    /// What is worth less than one share is refused, not swallowed.
    function test_delegate_lessThanAShare_reverts() external {
        delegate(alice, 1_000_000 ether);
        fund(rewarder, 1_200_000_000 ether);
        reward(1_200_000_000 ether);
        vm.warp(block.timestamp + REWARD_PERIOD);
        assertGt(staking.pool(id).assets, staking.pool(id).shares);
        vm.expectRevert(IStaking.ZeroAmount.selector);
        vm.prank(bob);
        staking.delegate(id, 1, 0);
    }

    function test_undelegate_parallelRequests_succeeds() external {
        uint256 shares = delegate(alice, 10_000 ether);
        vm.expectEmit(address(staking));
        emit IStaking.Undelegated(id, 0, alice, 4_000 ether, shares * 4 / 10);
        uint256 first = undelegate(alice, shares * 4 / 10);
        vm.warp(block.timestamp + CHURN_PERIOD);
        uint256 second = undelegate(alice, shares * 6 / 10);
        assertEq(staking.weightOf(id), 50_000);
        uint64[] memory open = staking.requestsOf(alice);
        assertEq(open.length, 2);
        assertEq(open[1], second);
        assertEq(staking.claimableAt(second), staking.claimableAt(first) + CHURN_PERIOD);
        vm.warp(staking.claimableAt(first));
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAllowed.selector, bob));
        vm.prank(bob);
        staking.claim(first);
        vm.expectEmit(address(staking));
        emit IStaking.UnbondingClaimed(first, id, alice, 4_000 ether);
        assertEq(claim(alice, first), 4_000 ether);
        assertEq(claim(alice, second), 6_000 ether);
        assertEq(staking.requestsOf(alice).length, 0);
        assertEq(metis.balanceOf(alice), 1_000_000 ether);
        assertEq(staking.claimableAt(second), 0);
    }

    function test_undelegate_refusals_reverts() external {
        uint256 shares = delegate(alice, 10 ether);
        vm.startPrank(alice);
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.undelegate(id, 0, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEnoughShares.selector, shares + 1, shares));
        staking.undelegate(id, 0, shares + 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEnoughShares.selector, type(uint256).max, shares));
        staking.undelegate(id, 0, type(uint256).max, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEnoughShares.selector, 1, 0));
        staking.undelegate(id, 3, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.Slippage.selector, 10 ether, 10 ether + 1));
        staking.undelegate(id, 0, shares, 10 ether + 1);
        for (uint256 i; i < 32; ++i) {
            staking.undelegate(id, 0, 1 ether, 0);
        }
        vm.expectRevert(abi.encodeWithSelector(IStaking.TooManyRequests.selector, 32));
        staking.undelegate(id, 0, 1 ether, 0);
        vm.stopPrank();
    }

    /// The operator's weight waits as a whole; its delegators need no slot of their own, but stay liable until it is gone.
    function test_undelegate_afterExit_succeeds() external {
        uint256 shares = delegate(alice, 100_000 ether);
        vm.prank(ownerOf(1));
        uint256 exit_ = staking.exit(id);
        // 150,000 in slots of a sixth of 200,000 (33,333): the first leaves at once, the rest over four more.
        assertEq(staking.weightOf(id), 116_666);
        (uint64 slot, uint192 used) = staking.exitQueue();
        assertEq(slot, block.timestamp / CHURN_PERIOD + 4);
        uint256 request = undelegate(alice, shares);
        (uint64 after_, uint192 usedAfter) = staking.exitQueue();
        assertEq(after_, slot);
        assertEq(usedAfter, used);
        assertEq(staking.claimableAt(request), staking.claimableAt(exit_));
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEjectable.selector, id));
        staking.eject(id);
        vm.warp(block.timestamp + 4 * CHURN_PERIOD);
        staking.eject(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEjectable.selector, id));
        staking.eject(id);
        assertEq(claim(alice, request), 100_000 ether);
        assertEq(claim(ownerOf(1), exit_), 50_000 ether);
    }

    /// Nobody gets ahead of the queue: a later request never has an earlier date.
    function test_undelegate_queues_succeeds() external {
        uint256 limit = staking.churnLimit();
        assertEq(limit, 20_000 ether);
        uint256 shares = delegate(alice, 100_000 ether);
        limit = staking.churnLimit();
        assertEq(limit, uint256(200_000 ether) / 6);
        uint256 first = undelegate(alice, shares * 3 / 10);
        uint256 second = undelegate(alice, shares / 10);
        uint64 end = uint64(block.timestamp) + CHURN_PERIOD;
        assertEq(staking.claimableAt(first), end + UNBONDING_DELAY);
        assertEq(staking.claimableAt(second), end + CHURN_PERIOD + UNBONDING_DELAY);
        // What waits has weight until its slot begins: limits of 33,333 and then 28,333 METIS.
        assertEq(staking.weightOf(id), 150_000 - 30_000);
        vm.warp(end);
        assertEq(staking.weightOf(id), 150_000 - 40_000);
    }

    // redelegate, enforce

    function redelegate(uint256 shares) internal returns (uint256 newShares, uint256 request) {
        vm.prank(alice);
        return staking.redelegate(id, other, shares, 0);
    }

    function test_redelegate_locksAndReleases_succeeds() external {
        uint256 shares = delegate(alice, 10_000 ether);
        uint64 releaseAt = uint64(block.timestamp) + UNBONDING_DELAY;
        vm.expectEmit(address(staking));
        emit IStaking.Redelegated(1, id, alice, other, 10_000 ether, releaseAt);
        (uint256 newShares, uint256 request) = redelegate(shares);
        assertEq(staking.weightOf(id), 50_000);
        assertEq(staking.weightOf(other), 60_000);
        assertEq(staking.delegation(other, alice).locked, newShares);
        IStaking.Unbonding memory open = staking.unbonding(request);
        assertEq(open.toOperatorId, other);
        assertEq(open.lockedShares, newShares);
        assertEq(open.amount, 10_000 ether);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotEnoughShares.selector, 1, 0));
        vm.prank(alice);
        staking.undelegate(other, 0, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownRequest.selector, request));
        vm.prank(alice);
        staking.claim(request);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillUnbonding.selector, request, releaseAt));
        staking.enforce(request);
        vm.warp(releaseAt);
        vm.expectEmit(address(staking));
        emit IStaking.RedelegationReleased(request);
        assertEq(staking.enforce(request), 0);
        assertEq(staking.delegation(other, alice).locked, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownRequest.selector, request));
        staking.enforce(request);
        vm.prank(alice);
        assertEq(staking.unbonding(staking.undelegate(other, 0, newShares, 0)).amount, 10_000 ether);
    }

    /// A slash of the old pool for an offence before the release reaches the redelegation, wherever it is.
    function test_redelegate_paysOldSlash_succeeds() external {
        uint256 shares = delegate(alice, 10_000 ether);
        (, uint256 request) = redelegate(shares);
        freeze(id);
        assertEq(staking.claimableAt(request), type(uint64).max);
        assertEq(slash(id, 0.1e18), 5_000 ether);
        vm.expectEmit(address(staking));
        emit IStaking.LiabilityEnforced(request, 1_000 ether, 1_000_000 ether);
        assertEq(staking.enforce(request), 1_000 ether);
        assertEq(metis.balanceOf(slasher), 6_000 ether);
        vm.expectPartialRevert(IStaking.StillUnbonding.selector);
        staking.enforce(request);
        // And again, a fifth of what was left of it.
        slash(id, 0.2e18);
        vm.warp(staking.claimableAt(request));
        assertEq(staking.enforce(request), 1_800 ether);
        assertEq(staking.delegation(other, alice).assets, 7_200 ether);
        assertEq(staking.delegation(other, alice).locked, 0);
    }

    /// Not for an offence found after the release, and no more than the locked shares are worth.
    function test_redelegate_boundedLiability_succeeds() external {
        uint256 shares = delegate(alice, 10_000 ether);
        (uint256 newShares, uint256 first) = redelegate(shares / 2);
        (, uint256 second) = redelegate(shares / 2);
        slash(other, 0.9e18);
        slash(id, 0.5e18);
        // 2,500 is owed, 500 is there.
        assertApproxEqAbs(staking.enforce(first), 500 ether, 1);
        assertEq(staking.delegation(other, alice).shares, newShares);
        vm.warp(staking.claimableAt(second));
        slash(id, 1e18);
        // The last slash is not its business any more.
        assertApproxEqAbs(staking.enforce(second), 500 ether, 1);
        assertEq(staking.enforce(first), 0);
        assertEq(staking.delegation(other, alice).shares, 0);
    }

    function test_redelegate_intoSeriesThatDied_succeeds() external {
        (, uint256 request) = redelegate(delegate(alice, 10_000 ether));
        slash(other, 1e18);
        slash(id, 0.5e18);
        assertEq(staking.enforce(request), 0);
        vm.warp(staking.claimableAt(request));
        assertEq(staking.enforce(request), 0);
        IStaking.DelegationView memory held = staking.delegationIn(other, 0, alice);
        assertEq(held.locked, 0);
        assertEq(held.assets, 0);
        vm.prank(alice);
        assertEq(staking.undelegate(other, 0, held.shares, 0), 0);
    }

    function test_redelegate_refusals_reverts() external {
        uint256 shares = delegate(alice, 100_000 ether);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IStaking.SameOperator.selector, id));
        staking.redelegate(id, id, shares, 0);
        vm.expectPartialRevert(IStaking.Slippage.selector);
        staking.redelegate(id, other, shares, shares + 1);
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.redelegate(id, other, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotActive.selector, 77));
        staking.redelegate(id, 77, shares, 0);
        vm.stopPrank();
        freeze(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.IsFrozen.selector, id));
        redelegate(shares);
        vm.prank(slasher);
        staking.unfreeze(id, uint64(block.timestamp));
        freeze(other);
        vm.expectRevert(abi.encodeWithSelector(IStaking.IsFrozen.selector, other));
        redelegate(shares);
        vm.prank(slasher);
        staking.unfreeze(other, uint64(block.timestamp));
        // Behind an exit that waits in the queue the weight would count twice.
        vm.prank(ownerOf(1));
        uint256 exit_ = staking.exit(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.StillWaiting.selector, id));
        redelegate(shares);
        vm.warp(block.timestamp + 8 * CHURN_PERIOD);
        (, uint256 request) = redelegate(shares);
        assertGe(staking.claimableAt(request), staking.claimableAt(exit_));
    }

    // rewards, commission

    function test_addReward_splitsAndVests_succeeds() external {
        delegate(alice, 50_000 ether);
        vm.expectEmit(address(staking));
        emit IStaking.RewardAdded(id, 500 ether + 1, 500 ether - 1);
        reward(1_000 ether);
        assertEq(staking.rewardsOf(id), 500 ether + 1);
        assertEq(staking.totalRewards(), 1_000 ether);
        assertEq(staking.pool(id).assets, 50_000 ether);
        // Who comes now gets nothing of what has not vested, and nothing of it is in the weight.
        delegate(bob, 50_000 ether);
        vm.warp(block.timestamp + REWARD_PERIOD / 2);
        assertApproxEqAbs(staking.pool(id).assets, 100_250 ether, 1);
        assertApproxEqAbs(staking.weightOf(id), 150_250, 1);
        // A further reward starts the period of the rest again.
        reward(0);
        reward(3 ether);
        assertEq(staking.pool(id).vestedBy, block.timestamp + REWARD_PERIOD);
        vm.warp(block.timestamp + REWARD_PERIOD);
        IStaking.PoolView memory pool = staking.pool(id);
        assertEq(pool.unvested, 0);
        assertApproxEqAbs(pool.assets, 100_502 ether, 1e16);
        assertApproxEqAbs(staking.delegation(id, alice).assets, staking.delegation(id, bob).assets, 1);
    }

    function test_addReward_withoutShares_succeeds() external {
        reward(7 ether);
        assertEq(staking.rewardsOf(id), 7 ether);
        vm.expectRevert(abi.encodeWithSelector(IStaking.UnknownOperator.selector, 77));
        vm.prank(rewarder);
        staking.addReward(77, 1);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotAllowed.selector, alice));
        vm.prank(alice);
        staking.addReward(id, 1);
        // Not refused either when the operator is frozen or has left.
        freeze(id);
        reward(1 ether);
        vm.prank(ownerOf(1));
        staking.exit(id);
        reward(1 ether);
        assertEq(staking.rewardsOf(id), 9 ether);
    }

    /// What the last delegator leaves behind, vested or not, is the operator's.
    function test_undelegate_lastShare_succeeds() external {
        uint256 shares = delegate(alice, 50_000 ether);
        reward(1_000 ether);
        vm.warp(block.timestamp + REWARD_PERIOD / 2);
        uint256 request = undelegate(alice, shares);
        assertEq(staking.pool(id).assets, 0);
        assertEq(staking.totalDelegated(), 0);
        assertEq(staking.rewardsOf(id) + staking.unbonding(request).amount, 51_000 ether);
        assertApproxEqAbs(staking.unbonding(request).amount, 50_250 ether, 2000);
    }

    function test_claimRewards_paysRecipient_succeeds() external {
        reward(10 ether);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOwner.selector, id, alice));
        vm.prank(alice);
        staking.claimRewards(id);
        vm.expectEmit(address(staking));
        emit IStaking.RewardsClaimed(id, recipient, 10 ether);
        vm.prank(recipient);
        staking.claimRewards(id);
        vm.expectRevert(IStaking.ZeroAmount.selector);
        vm.prank(recipient);
        staking.claimRewards(id);
        reward(2 ether);
        vm.prank(ownerOf(1));
        staking.claimRewards(id);
        assertEq(metis.balanceOf(recipient), 12 ether);
        assertEq(staking.totalRewards(), 0);
    }

    function test_compound_upToMaximum_succeeds() external {
        reward(60_000 ether);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOwner.selector, id, alice));
        vm.prank(alice);
        staking.compound(id);
        vm.startPrank(ownerOf(1));
        vm.expectEmit(address(staking));
        emit IStaking.StakeIncreased(id, 50_000 ether, 100_000 ether);
        assertEq(staking.compound(id), 50_000 ether);
        assertEq(staking.rewardsOf(id), 10_000 ether);
        assertEq(staking.weightOf(id), 100_000);
        vm.expectRevert(IStaking.ZeroAmount.selector);
        staking.compound(id);
        vm.stopPrank();
        freeze(id);
        vm.expectRevert(abi.encodeWithSelector(IStaking.IsFrozen.selector, id));
        vm.prank(ownerOf(1));
        staking.compound(id);
    }

    function test_setCommission_risesLateFallsAtOnce_succeeds() external {
        delegate(alice, 50_000 ether);
        vm.startPrank(ownerOf(1));
        uint64 from = uint64(block.timestamp) + COMMISSION_NOTICE;
        vm.expectEmit(address(staking));
        emit IStaking.CommissionChanged(id, 100, from);
        staking.setCommission(id, 100);
        assertEq(staking.pool(id).commission, 0);
        assertEq(staking.pool(id).nextCommission, 100);
        assertEq(staking.pool(id).commissionFrom, from);
        vm.expectRevert(abi.encodeWithSelector(IStaking.CommissionTooHigh.selector, 101, 100));
        staking.setCommission(id, 101);
        vm.warp(from - 1);
        assertEq(staking.pool(id).commission, 0);
        vm.warp(from);
        assertEq(staking.pool(id).commission, 100);
        for (uint16 i = 2; i <= 20; ++i) {
            staking.setCommission(id, i * 100);
            vm.warp(block.timestamp + COMMISSION_NOTICE);
        }
        assertEq(staking.pool(id).commission, 2_000);
        vm.expectRevert(abi.encodeWithSelector(IStaking.CommissionTooHigh.selector, 2_001, 2_000));
        staking.setCommission(id, 2_001);
        vm.stopPrank();
        // A fifth of the delegators' half.
        reward(1_000 ether);
        assertApproxEqAbs(staking.rewardsOf(id), 600 ether, 2);
        vm.prank(ownerOf(1));
        staking.setCommission(id, 50);
        assertEq(staking.pool(id).commission, 50);
        vm.expectRevert(abi.encodeWithSelector(IStaking.NotOwner.selector, id, alice));
        vm.prank(alice);
        staking.setCommission(id, 0);
    }

    /// Delegating just before a reward and leaving just after gains nothing, whatever the amounts.
    function testFuzz_addReward_lastMinute_succeeds(uint96 first, uint96 late, uint96 amount) external {
        first = uint96(bound(first, 1, 500_000 ether));
        late = uint96(bound(late, 1 ether, 500_000 ether));
        amount = uint96(bound(amount, 0, 1_000_000 ether));
        delegate(alice, first);
        uint256 shares = delegate(bob, late);
        reward(amount);
        uint256 request = undelegate(bob, shares);
        assertLe(staking.unbonding(request).amount, late);
    }

    /// In and out at any price costs at most the roundings and never gains.
    function testFuzz_undelegate_neverGains_succeeds(uint96 first, uint96 gift, uint96 amount, uint256 cut) external {
        delegate(alice, uint96(bound(first, 1, 500_000 ether)));
        reward(bound(gift, 0, 1_000_000 ether));
        vm.warp(block.timestamp + REWARD_PERIOD);
        slash(id, bound(cut, 0, 0.99e18));
        amount = uint96(bound(amount, 1 ether, 500_000 ether));
        uint256 before = staking.delegation(id, alice).assets;
        uint256 shares = delegate(bob, amount);
        assertGe(staking.delegation(id, alice).assets + 1, before);
        uint256 request = undelegate(bob, shares);
        uint256 out = claim(bob, request);
        assertLe(out, amount);
        // A share is a thousandth of a wei unless rewards made it dearer.
        assertGe(out + 3 + 2 * staking.pool(id).price / 1e18, amount);
        assertGe(staking.delegation(id, alice).assets + 1, before);
    }
}
