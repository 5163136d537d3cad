// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IRewards} from "../../src/interfaces/IRewards.sol";
import {Settlement} from "../utils/Settlement.sol";

contract RefundsTest is Settlement {
    uint256 internal constant BASE_FEE = 20 gwei;
    /// Gas a batch of four signers and three bytes of calldata is reckoned at.
    uint256 internal constant FOUR = 85_000 + 4 * 4_500 + 3 * 4;

    function setUp() public override {
        super.setUp();
        members = start(4);
        vm.roll(block.number + 5);
        vm.fee(BASE_FEE);
    }

    /// Fees on the rewards contract, one batch after `gap` seconds, settled.
    function settleBatch(uint256 fees, uint256 gap) internal {
        metis.mint(address(rewards), fees);
        post(gap, 15, 0);
        settle(1);
    }

    // the meter

    function test_costOf_calldata_succeeds() external {
        post(60, 15, 0);
        assertEq(registry.costOf(recipient), FOUR * BASE_FEE);
        vm.fee(3 * BASE_FEE);
        post(60, 7, 0);
        assertEq(registry.costOf(recipient), FOUR * BASE_FEE + (FOUR - 4_500) * 3 * BASE_FEE);
    }

    function test_costOf_blobs_succeeds() external {
        vm.blobBaseFee(5 gwei);
        uint256 blobBaseFee = block.blobbasefee;
        assertGt(blobBaseFee, 0);
        bytes32[] memory blobs = new bytes32[](3);
        (blobs[0], blobs[1], blobs[2]) = (keccak256("a"), keccak256("b"), keccak256("c"));
        vm.blobhashes(blobs);
        submit(nextHeader(abi.encodePacked(blobs)), members, 15, "");
        assertEq(registry.costOf(recipient), (85_000 + 4 * 4_500) * BASE_FEE + 3 * 131_072 * blobBaseFee);
    }

    /// A batch without signers is paid for by nobody.
    function test_costOf_permissionless_zero() external {
        postPermissionless();
        assertEq(registry.costOf(address(this)), 0);
    }

    // the refund

    function test_refund_paysCost_succeeds() external {
        settleBatch(240 ether, 1 hours);
        uint256 cost = FOUR * BASE_FEE;
        uint256 amount = cost * 200;
        assertEq(rewards.refundOf(recipient), amount);
        // Half of what members got out of fees.
        assertEq(rewards.refundable(), 5 ether);
        vm.expectEmit(address(rewards));
        emit IRewards.Refunded(recipient, cost, amount);
        vm.prank(makeAddr("anyone"));
        assertEq(rewards.refund(recipient), amount);
        assertEq(metis.balanceOf(recipient), amount);
        assertEq(rewards.fees(), 230 ether - amount);
        assertEq(rewards.refundable(), 5 ether - amount);
        assertEq(rewards.totalRefunded(), amount);
        assertEq(rewards.refundedCost(recipient), cost);
        // Once.
        vm.expectRevert(abi.encodeWithSelector(IRewards.NothingOwed.selector, recipient));
        rewards.refund(recipient);
        // Nobody else has posted anything.
        vm.expectRevert(abi.encodeWithSelector(IRewards.NothingOwed.selector, address(this)));
        rewards.refund(address(this));
    }

    /// More than the allowance waits for the next fees.
    function test_refund_capped_succeeds() external {
        vm.fee(1_000 gwei);
        settleBatch(96 ether, 1 hours);
        uint256 cost = FOUR * 1_000 gwei;
        assertEq(rewards.refund(recipient), 2 ether);
        assertEq(rewards.refundedCost(recipient), 0.01 ether);
        assertEq(rewards.fees(), 90 ether);
        vm.fee(0);
        settleBatch(2_400 ether, 1 hours);
        assertEq(rewards.refund(recipient), (cost - 0.01 ether) * 200);
        assertEq(rewards.refundedCost(recipient), cost);
    }

    /// Without fees there is no refund; the stream is not touched.
    function test_refund_streamAlone_reverts() external {
        fundStream(1_000 ether);
        settleBatch(0, 600);
        vm.expectRevert(abi.encodeWithSelector(IRewards.NothingOwed.selector, recipient));
        rewards.refund(recipient);
    }

    /// What L1 did not cost does not pile up: half of the fees there are is the most.
    function test_refundable_lapses_succeeds() external {
        settleBatch(100 ether, 1 hours);
        for (uint256 i; i < 23; ++i) {
            settleBatch(0, 1 hours);
        }
        // Members have got more than half of the fees by now.
        assertEq(rewards.refundable(), rewards.fees() / 2);
        assertLt(rewards.refundable(), 25 ether);
    }

    /// Members and posters together get the fees and not a wei more, whatever is posted and whenever it is refunded.
    function testFuzz_refund_boundedByFees_succeeds(
        uint96[6] memory fees,
        uint256[6] memory gaps,
        uint64[6] memory prices
    ) external {
        uint256 brought;
        uint256 shared;
        for (uint256 i; i < 6; ++i) {
            vm.fee(prices[i] % 5_000 gwei);
            uint256 amount = fees[i] % 1_000 ether;
            brought += amount;
            uint256 paid = rewards.totalPaid();
            settleBatch(amount, bound(gaps[i], 1, 2 days));
            shared += rewards.totalPaid() - paid;
            if (gaps[i] % 2 == 0 || rewards.refundOf(recipient) == 0) continue;
            uint256 announced = rewards.refundOf(recipient);
            assertEq(rewards.refund(recipient), announced);
        }
        assertEq(metis.balanceOf(recipient), rewards.totalRefunded());
        // What was shared went into turns that are still waiting, too.
        assertLe(rewards.totalRefunded(), (shared + rewards.waiting() + rewards.streamFunds() + 6) / 2);
        assertEq(metis.balanceOf(address(rewards)) + rewards.totalPaid() + rewards.totalRefunded(), brought);
        assertGe(registry.costOf(recipient), rewards.refundedCost(recipient));
        // At the price, rounded in the contract's favour.
        assertLe(rewards.totalRefunded(), rewards.refundedCost(recipient) * 200);
    }

    // the price

    function test_setMetisPerEther_bounds_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IRewards.NotGovernance.selector, address(this)));
        rewards.setMetisPerEther(PRICE);
        vm.startPrank(governance);
        vm.expectRevert(abi.encodeWithSelector(IRewards.PriceOutOfRange.selector, 2 * PRICE + 1));
        rewards.setMetisPerEther(2 * PRICE + 1);
        vm.expectRevert(abi.encodeWithSelector(IRewards.PriceOutOfRange.selector, PRICE / 2 - 1));
        rewards.setMetisPerEther(PRICE / 2 - 1);
        vm.expectEmit(address(rewards));
        emit IRewards.PriceChanged(PRICE, 2 * PRICE);
        rewards.setMetisPerEther(2 * PRICE);
        assertEq(rewards.metisPerEther(), 2 * PRICE);
        uint64 changedAt = rewards.priceChangedAt();
        vm.warp(block.timestamp + 1 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IRewards.PriceChangedRecently.selector, changedAt));
        rewards.setMetisPerEther(PRICE);
        vm.stopPrank();
    }

    /// Down to one METIS and up to 100,000, in steps.
    function test_setMetisPerEther_range_reverts() external {
        vm.startPrank(governance);
        uint128 price = PRICE;
        for (; price > 2 ether; price /= 2) {
            rewards.setMetisPerEther(price / 2);
            vm.warp(block.timestamp + 1 days);
        }
        vm.expectRevert(abi.encodeWithSelector(IRewards.PriceOutOfRange.selector, 1 ether - 1));
        rewards.setMetisPerEther(1 ether - 1);
        for (; price <= 50_000 ether; price *= 2) {
            rewards.setMetisPerEther(price * 2);
            vm.warp(block.timestamp + 1 days);
        }
        vm.expectRevert(abi.encodeWithSelector(IRewards.PriceOutOfRange.selector, 100_000 ether + 1));
        rewards.setMetisPerEther(100_000 ether + 1);
        vm.stopPrank();
    }
}
