// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {ISequencerSet} from "../../src/interfaces/ISequencerSet.sol";
import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {Rewards} from "../../src/l1/Rewards.sol";
import {Members} from "../../src/libraries/Members.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Settlement} from "../utils/Settlement.sol";

contract RewardsTest is Settlement {
    uint256 internal constant FUNDS = 1_000 ether;

    function setUp() public override {
        super.setUp();
        members = start(4);
        vm.roll(block.number + 5);
        fundStream(FUNDS);
    }

    /// Operator of a member.
    function operatorAt(uint256 index) internal view returns (uint64) {
        return staking.operatorOf(Members.signerOf(members[index]));
    }

    /// What an operator without delegators has earned.
    function earned(uint256 index) internal view returns (uint256) {
        return staking.rewardsOf(operatorAt(index));
    }

    function test_settle_oneBatch_succeeds() external {
        post(60, 15, 1 | (3 << 16));
        uint256 budget = 60 * uint256(RATE);
        assertEq(rewards.budgetAt(uint64(block.timestamp)), budget);
        vm.expectEmit(address(rewards));
        emit IRewards.Settled(1, 1, 1, budget, budget);
        settle(1);
        // Half for four turns, one and three of them; half by weight, which is equal.
        uint256 signed = budget / 2 / 4;
        assertEq(earned(0), budget / 2 / 4 + signed);
        assertEq(earned(1), signed);
        assertEq(earned(2), budget / 2 * 3 / 4 + signed);
        assertEq(earned(3), signed);
        assertEq(rewards.totalPaid(), budget);
        assertEq(rewards.streamFunds(), FUNDS - budget);
        assertEq(rewards.nextIndex(), 2);
        assertEq(rewards.settledAt(), block.timestamp);
        assertEq(metis.balanceOf(address(rewards)), FUNDS - budget);
        assertEq(metis.allowance(address(rewards), address(staking)), 0);
    }

    /// A missing signer's part is nobody's: it stays in the stream.
    function test_settle_missingSigner_succeeds() external {
        post(60, 7, 1 << 24);
        settle(1);
        uint256 budget = 60 * uint256(RATE);
        assertEq(earned(0), budget / 8);
        // It did not sign the batch, and is paid for the turn it led.
        assertEq(earned(3), budget / 2);
        assertEq(rewards.totalPaid(), budget / 2 + 3 * budget / 8);
        assertEq(rewards.streamFunds(), FUNDS - rewards.totalPaid());
    }

    /// The half for turns waits until a turn ends.
    function test_settle_noTurnEnds_succeeds() external {
        post(60, 15, 0);
        settle(1);
        uint256 half = 30 * uint256(RATE);
        assertEq(rewards.waiting(), half);
        assertEq(rewards.totalPaid(), half);
        post(60, 15, 2 << 8);
        assertEq(rewards.budgetAt(uint64(block.timestamp)), 3 * half);
        settle(1);
        assertEq(rewards.waiting(), 0);
        assertEq(earned(1), 2 * half / 4 + 2 * half);
    }

    /// Turns counted for places beyond the set are paid to nobody.
    function test_settle_turnsBeyondSet_succeeds() external {
        post(60, 15, 1 | (1 << 200));
        settle(1);
        uint256 budget = 60 * uint256(RATE);
        assertEq(earned(0), budget / 8 + budget / 4);
        assertEq(rewards.streamFunds(), FUNDS - budget * 3 / 4);
    }

    function test_settle_severalBatches_succeeds() external {
        for (uint256 i; i < 5; ++i) {
            post(60, 15, 1);
        }
        settle(3);
        assertEq(rewards.nextIndex(), 4);
        settle(2);
        assertEq(rewards.totalPaid(), 300 * uint256(RATE));
        assertEq(earned(0), 300 * uint256(RATE) * 5 / 8);
    }

    function test_settle_wrongBatches_reverts() external {
        post(60, 15, 1);
        post(60, 15, 1);
        vm.expectRevert(abi.encodeWithSelector(IRewards.WrongLength.selector, 0));
        settleRange(0, 0);
        vm.expectRevert(abi.encodeWithSelector(IRewards.WrongIndex.selector, 2, 1));
        settleRange(1, 1);
        settle(1);
        vm.expectRevert(abi.encodeWithSelector(IRewards.WrongIndex.selector, 1, 2));
        settleRange(0, 1);
        posted[1].header.turns = 2;
        vm.expectRevert(abi.encodeWithSelector(IRewards.NotAccepted.selector, 2));
        settleRange(1, 1);
        posted[1].header.turns = 1;
        posted[1].acceptedAt += 1;
        vm.expectRevert(abi.encodeWithSelector(IRewards.NotAccepted.selector, 2));
        settleRange(1, 1);
        posted[1].acceptedAt -= 1;
        posted[1].bitmap = 7;
        vm.expectRevert(abi.encodeWithSelector(IRewards.NotAccepted.selector, 2));
        settleRange(1, 1);
        posted[1].bitmap = 15;
        settle(1);
    }

    function test_settle_lengths_reverts() external {
        BatchHeader[] memory headers = new BatchHeader[](1);
        vm.expectRevert(abi.encodeWithSelector(IRewards.WrongLength.selector, 1));
        rewards.settle(headers, new uint64[](2), new uint256[](1), members);
        vm.expectRevert(abi.encodeWithSelector(IRewards.WrongLength.selector, 1));
        rewards.settle(headers, new uint64[](1), new uint256[](0), members);
        headers = new BatchHeader[](65);
        vm.expectRevert(abi.encodeWithSelector(IRewards.WrongLength.selector, 65));
        rewards.settle(headers, new uint64[](65), new uint256[](65), members);
    }

    /// One set a call, and the right one.
    function test_settle_snapshots_reverts() external {
        post(60, 15, 1);
        bytes32[] memory first = members;
        register(5, STAKE);
        vm.roll(block.number + INTERVAL);
        (members,,) = sequencerSet.preview();
        sequencerSet.snapshot();
        post(60, 31, 1);
        vm.expectPartialRevert(ISequencerSet.WrongSet.selector);
        settleRange(0, 1);
        bytes32[] memory second = members;
        members = first;
        vm.expectRevert(abi.encodeWithSelector(IRewards.WrongSnapshot.selector, 2, 1));
        settleRange(0, 2);
        settleRange(0, 1);
        members = second;
        settleRange(1, 1);
        assertEq(rewards.nextIndex(), 3);
    }

    /// A batch nobody signed pays nobody; its time is not lost to the stream.
    function test_settle_permissionless_succeeds() external {
        post(60, 15, 1);
        settle(1);
        uint256 paid = rewards.totalPaid();
        uint256 funds = rewards.streamFunds();
        postPermissionless();
        settle(1);
        assertEq(rewards.totalPaid(), paid);
        assertEq(rewards.streamFunds() + rewards.waiting(), funds);
    }

    /// Whoever cannot be paid does not hold up the others.
    function test_settle_frozen_succeeds() external {
        post(60, 15, 1 | (1 << 8));
        uint64 frozen = operatorAt(1);
        accuse(keyOf[Members.signerOf(members[1])], 5_000);
        uint256 budget = 60 * uint256(RATE);
        vm.expectEmit(address(rewards));
        emit IRewards.RewardSkipped(frozen, 1, budget / 8 + budget / 4);
        settle(1);
        assertEq(earned(0), budget / 8 + budget / 4);
        assertEq(earned(2), budget / 8);
        assertEq(earned(1), 0);
        assertEq(rewards.totalPaid(), budget - budget / 8 - budget / 4);
        assertEq(rewards.streamFunds(), FUNDS - rewards.totalPaid());
    }

    /// Whoever has left is paid for what it did before.
    function test_settle_exited_succeeds() external {
        post(60, 15, 1);
        uint64 leaving = operatorAt(0);
        vm.prank(ownerOf(leaving));
        staking.exit(leaving);
        settle(1);
        assertEq(earned(0), 60 * uint256(RATE) * 5 / 8);
    }

    // sources

    /// The stream ends with its funds, and silence beyond an hour is not paid.
    function test_settle_bounds_succeeds() external {
        post(5 hours, 15, 1);
        settle(1);
        assertEq(rewards.totalPaid(), 1 hours * uint256(RATE));
        for (uint256 i; i < 60; ++i) {
            post(1 hours, 15, 1);
            settle(1);
        }
        assertEq(rewards.totalPaid(), FUNDS);
        assertEq(rewards.streamFunds(), 0);
        assertEq(metis.balanceOf(address(rewards)), 0);
    }

    /// Fees arrive without a call and are paid over the fee period, beside the stream.
    function test_settle_fees_succeeds() external {
        metis.mint(address(rewards), 240 ether);
        assertEq(rewards.fees(), 0);
        post(1 hours, 15, 1);
        uint256 budget = 10 ether + 1 hours * uint256(RATE);
        assertEq(rewards.budgetAt(uint64(block.timestamp)), budget);
        vm.expectEmit(address(rewards));
        emit IRewards.FeesBooked(240 ether);
        settle(1);
        assertEq(rewards.fees(), 230 ether);
        assertEq(rewards.totalPaid(), budget);
        assertEq(rewards.sync(), 0);
        metis.mint(address(rewards), 1 ether);
        assertEq(rewards.sync(), 1 ether);
        assertEq(rewards.fees(), 231 ether);
    }

    function test_fund_stream_succeeds() external {
        vm.expectRevert(IRewards.ZeroAmount.selector);
        rewards.fund(0);
        metis.mint(address(this), 5 ether);
        metis.approve(address(rewards), 5 ether);
        vm.expectEmit(address(rewards));
        emit IRewards.StreamFunded(address(this), 5 ether);
        rewards.fund(5 ether);
        assertEq(rewards.streamFunds(), FUNDS + 5 ether);
    }

    /// A new rate counts from its own time on, also for batches that are settled later.
    function test_setRate_fromNowOn_succeeds() external {
        post(60, 15, 1);
        vm.warp(block.timestamp + 30);
        vm.expectEmit(address(rewards));
        emit IRewards.RateChanged(RATE, 2 * RATE, uint64(block.timestamp));
        vm.prank(governance);
        rewards.setRate(2 * RATE);
        assertEq(rewards.rate(), 2 * RATE);
        vm.expectRevert(abi.encodeWithSelector(IRewards.RateChangePending.selector, block.timestamp));
        vm.prank(governance);
        rewards.setRate(0);
        post(60, 15, 1);
        post(60, 15, 1);
        settle(3);
        assertEq(rewards.totalPaid(), (60 + 30 + 2 * 30 + 2 * 60) * uint256(RATE));
        vm.prank(governance);
        rewards.setRate(0);
        post(60, 15, 1);
        settle(1);
        assertEq(rewards.totalPaid(), (60 + 30 + 2 * 30 + 2 * 60) * uint256(RATE));
    }

    function test_setRate_refused_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IRewards.NotGovernance.selector, address(this)));
        rewards.setRate(1);
        uint128 most = rewards.MAX_RATE();
        vm.expectRevert(abi.encodeWithSelector(IRewards.RateOutOfRange.selector, most + 1));
        vm.prank(governance);
        rewards.setRate(most + 1);
        vm.prank(governance);
        rewards.setRate(most);
    }

    function create(address token, address governance_, uint128 rate, uint64 period) internal {
        new Rewards(
            DevnetMetis(token), staking, sequencerSet, registry, governance_, IRewards.Config(rate, period, PRICE)
        );
    }

    function test_constructor_outOfRange_reverts() external {
        uint128 most = rewards.MAX_RATE();
        vm.expectRevert(IRewards.ZeroAddress.selector);
        create(address(0), governance, 0, 1 days);
        vm.expectRevert(IRewards.ZeroAddress.selector);
        create(address(metis), address(0), 0, 1 days);
        vm.expectRevert(abi.encodeWithSelector(IRewards.RateOutOfRange.selector, most + 1));
        create(address(metis), governance, most + 1, 1 days);
        vm.expectRevert(abi.encodeWithSelector(IRewards.FeePeriodOutOfRange.selector, 9));
        create(address(metis), governance, 0, 9);
        vm.expectRevert(abi.encodeWithSelector(IRewards.FeePeriodOutOfRange.selector, 30 days + 1));
        create(address(metis), governance, 0, 30 days + 1);
        assertEq(rewards.metis(), address(metis));
        assertEq(rewards.governance(), governance);
        assertEq(rewards.feePeriod(), FEE_PERIOD);
    }

    /// Whatever is signed and served, nothing is made and nothing is lost.
    function testFuzz_settle_conserves_succeeds(uint256 seed, uint256 fees) external {
        fees = bound(fees, 0, 1_000_000 ether);
        metis.mint(address(rewards), fees);
        uint256 count = 1 + seed % 8;
        for (uint256 i; i < count; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 turns = uint256(keccak256(abi.encode(seed))) >> (seed % 256);
            post(bound(seed, 1, 2 hours), seed % 2 == 0 ? 15 : 7, turns);
        }
        settle(count);
        uint256 paid;
        for (uint256 i; i < members.length; ++i) {
            paid += earned(i);
        }
        assertEq(paid, rewards.totalPaid());
        assertEq(paid + rewards.streamFunds() + rewards.fees() + rewards.waiting(), FUNDS + fees);
        assertEq(metis.balanceOf(address(rewards)), FUNDS + fees - paid);
    }
}
