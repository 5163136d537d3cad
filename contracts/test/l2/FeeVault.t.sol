// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FeeVault} from "../../src/l2/FeeVault.sol";
import {WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Bridges} from "../utils/Bridges.sol";

contract FeeVaultTest is Bridges {
    FeeVault internal vault = FeeVault(payable(0x4200000000000000000000000000000000000019));

    function setUp() public override {
        super.setUp();
        vm.etch(address(vault), type(FeeVault).runtimeCode);
        vm.store(address(vault), 0, bytes32((uint256(2 ether) << 160) | uint160(address(rewards))));
    }

    /// All the way: the rewards contract on L1 receives plain METIS.
    function test_withdraw_reachesRewards_succeeds() external {
        assertEq(vault.recipient(), address(rewards));
        assertEq(vault.minWithdrawalAmount(), 2 ether);
        assertEq(vault.withdrawalNetwork(), 0);
        assertEq(vault.version(), "1.5.0-horae");
        lock(10 ether);
        vm.deal(address(vault), 3 ether);
        vm.recordLogs();
        vm.expectEmit(address(vault));
        emit FeeVault.Withdrawal(3 ether, address(rewards), address(this));
        assertEq(vault.withdraw(), 3 ether);
        assertEq(vault.totalProcessed(), 3 ether);
        assertEq(address(vault).balance, 0);
        WithdrawalTransaction memory message = newestMessage();
        assertEq(message.sender, address(vault));
        assertEq(message.target, address(rewards));
        carryOut(message);
        assertEq(metis.balanceOf(address(rewards)), 3 ether);
    }

    function test_withdraw_belowMinimum_reverts() external {
        vm.deal(address(vault), 2 ether - 1);
        vm.expectRevert(abi.encodeWithSelector(FeeVault.BelowMinimum.selector, 2 ether - 1, 2 ether));
        vault.withdraw();
        // Without a minimum there must still be something.
        vm.store(address(vault), 0, bytes32(uint256(uint160(address(rewards)))));
        vault.withdraw();
        vm.expectRevert(abi.encodeWithSelector(FeeVault.BelowMinimum.selector, 0, 0));
        vault.withdraw();
    }

    /// A vault that genesis gave no recipient keeps what it has.
    function test_withdraw_noRecipient_reverts() external {
        vm.store(address(vault), 0, 0);
        vm.deal(address(vault), 3 ether);
        vm.expectRevert(FeeVault.NoRecipient.selector);
        vault.withdraw();
    }
}
