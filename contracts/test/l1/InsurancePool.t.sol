// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IInsurancePool} from "../../src/interfaces/IInsurancePool.sol";
import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {InsurancePool} from "../../src/l1/InsurancePool.sol";
import {Test} from "../utils/Test.sol";

contract InsurancePoolTest is Test {
    address internal governance = makeAddr("governance");
    address internal victim = makeAddr("victim");
    bytes32 internal constant SUBJECT = keccak256("report");
    DevnetMetis internal metis;
    InsurancePool internal pool;

    function setUp() external {
        vm.warp(1_800_000_000);
        metis = new DevnetMetis();
        pool = new InsurancePool(metis, governance);
    }

    function fund(uint256 amount) internal {
        metis.mint(address(this), amount);
        metis.approve(address(pool), amount);
        pool.fund(amount);
    }

    function pay(uint256 amount) internal {
        vm.prank(governance);
        pool.pay(victim, amount, SUBJECT);
    }

    function test_fund_anyone_succeeds() external {
        metis.mint(address(this), 100 ether);
        metis.approve(address(pool), 100 ether);
        vm.expectEmit(address(pool));
        emit IInsurancePool.Funded(address(this), 100 ether);
        pool.fund(100 ether);
        assertEq(metis.balanceOf(address(pool)), 100 ether);
        vm.expectRevert(IInsurancePool.ZeroAmount.selector);
        pool.fund(0);
    }

    function test_pay_quarterAPeriod_succeeds() external {
        fund(100 ether);
        assertEq(pool.available(), 25 ether);
        vm.expectEmit(address(pool));
        emit IInsurancePool.PaidOut(victim, 10 ether, SUBJECT);
        pay(10 ether);
        assertEq(metis.balanceOf(victim), 10 ether);
        // More money does not raise what the period may still pay.
        fund(900 ether);
        assertEq(pool.available(), 15 ether);
        vm.expectRevert(abi.encodeWithSelector(IInsurancePool.AboveCap.selector, 15 ether + 1, 15 ether));
        pay(15 ether + 1);
        pay(15 ether);
        assertEq(pool.available(), 0);
        vm.warp((block.timestamp / pool.PERIOD() + 1) * pool.PERIOD() - 1);
        assertEq(pool.available(), 0);
        vm.warp(block.timestamp + 1);
        assertEq(pool.available(), 975 ether / 4);
    }

    function test_pay_refused_reverts() external {
        fund(100 ether);
        vm.expectRevert(abi.encodeWithSelector(IInsurancePool.NotGovernance.selector, address(this)));
        pool.pay(victim, 1, SUBJECT);
        vm.startPrank(governance);
        vm.expectRevert(IInsurancePool.ZeroAddress.selector);
        pool.pay(address(0), 1, SUBJECT);
        vm.expectRevert(IInsurancePool.ZeroAmount.selector);
        pool.pay(victim, 0, SUBJECT);
        vm.stopPrank();
    }

    function test_constructor_zero_reverts() external {
        vm.expectRevert(IInsurancePool.ZeroAddress.selector);
        new InsurancePool(IERC20(address(0)), governance);
        vm.expectRevert(IInsurancePool.ZeroAddress.selector);
        new InsurancePool(metis, address(0));
        assertEq(pool.metis(), address(metis));
        assertEq(pool.governance(), governance);
    }

    /// However governance goes about it, a period never pays more than a quarter of what was there at its first payment.
    function testFuzz_pay_capped_succeeds(uint96 funds, uint96[8] memory amounts, uint32[8] memory waits) external {
        funds = uint96(bound(funds, 1, type(uint96).max));
        fund(funds);
        uint256 period;
        uint256 paid;
        uint256 cap;
        for (uint256 i; i < 8; ++i) {
            vm.warp(block.timestamp + waits[i] % 20 days);
            if (block.timestamp / pool.PERIOD() != period) {
                (period, paid) = (block.timestamp / pool.PERIOD(), 0);
                cap = metis.balanceOf(address(pool)) / 4;
            }
            uint256 amount = bound(amounts[i], 1, type(uint96).max);
            vm.prank(governance);
            try pool.pay(victim, amount, SUBJECT) {
                paid += amount;
            } catch {
                assertGt(paid + amount, cap);
            }
            assertLe(paid, cap);
        }
    }
}
