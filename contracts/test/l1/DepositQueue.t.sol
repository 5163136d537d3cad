// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IDepositQueue} from "../../src/interfaces/IDepositQueue.sol";
import {DepositQueue} from "../../src/l1/DepositQueue.sol";
import {Network} from "../utils/Network.sol";

contract DepositQueueTest is Network {
    address internal user = makeAddr("user");
    address internal target = makeAddr("target");

    function setUp() public override {
        super.setUp();
        metis.mint(user, 1_000 ether);
        vm.prank(user);
        IERC20(address(metis)).approve(address(depositQueue), type(uint256).max);
    }

    function asUser() internal {
        vm.prank(user, user);
    }

    function aliased(address who) internal pure returns (address) {
        unchecked {
            return address(uint160(who) + uint160(0x1111000000000000000000000000000000001111));
        }
    }

    function expectDeposit(
        address from,
        address to,
        uint256 mint,
        uint256 value,
        uint64 gas,
        bool creates,
        bytes memory data
    ) internal {
        vm.expectEmit(address(depositQueue));
        emit IDepositQueue.TransactionDeposited(
            from, to, 0, bytes.concat(bytes32(mint), bytes32(value), bytes8(gas), bytes1(creates ? 1 : 0), data)
        );
    }

    function test_depositERC20Transaction_locksAndEmits_succeeds() external {
        expectDeposit(user, target, 7 ether, 5 ether, 100_000, false, hex"beef");
        asUser();
        depositQueue.depositERC20Transaction(target, 7 ether, 5 ether, 100_000, false, hex"beef");
        assertEq(metis.balanceOf(address(depositQueue)), 7 ether);
        assertEq(depositQueue.totalLocked(), 7 ether);
        assertEq(depositQueue.count(), 1);
        (uint64 blockNumber, uint64 timestamp) = depositQueue.itemAt(0);
        assertEq(blockNumber, block.number);
        assertEq(timestamp, block.timestamp);
        assertEq(depositQueue.metis(), address(metis));
    }

    function test_depositERC20Transaction_withoutTokens_reverts() external {
        vm.expectPartialRevert(bytes4(keccak256("ERC20InsufficientBalance(address,uint256,uint256)")));
        asUser();
        depositQueue.depositERC20Transaction(target, 1_001 ether, 0, 100_000, false, "");
        assertEq(depositQueue.count(), 0);
    }

    function test_depositERC20Transaction_mintTooLarge_reverts() external {
        uint256 mint = uint256(type(uint128).max) + 1;
        vm.expectRevert(abi.encodeWithSelector(IDepositQueue.MintTooLarge.selector, mint));
        asUser();
        depositQueue.depositERC20Transaction(target, mint, 0, 100_000, false, "");
    }

    function test_depositTransaction_forced_succeeds() external {
        expectDeposit(user, target, 0, 5 ether, 100_000, false, hex"beef");
        asUser();
        depositQueue.depositTransaction(target, 5 ether, 100_000, false, hex"beef");
        assertEq(depositQueue.totalLocked(), 0);
    }

    function test_depositTransaction_creation_succeeds() external {
        expectDeposit(user, address(0), 0, 0, 100_000, true, hex"6000");
        asUser();
        depositQueue.depositTransaction(address(0), 0, 100_000, true, hex"6000");
        vm.expectRevert(IDepositQueue.BadTarget.selector);
        asUser();
        depositQueue.depositTransaction(target, 0, 100_000, true, hex"6000");
    }

    function test_depositTransaction_ether_reverts() external {
        vm.deal(user, 1);
        vm.expectRevert(IDepositQueue.EtherNotAccepted.selector);
        asUser();
        depositQueue.depositTransaction{value: 1}(target, 0, 100_000, false, "");
    }

    function test_depositTransaction_contractAliased_succeeds() external {
        expectDeposit(aliased(address(this)), target, 0, 0, 100_000, false, "");
        depositQueue.depositTransaction(target, 0, 100_000, false, "");
        // Wraps around.
        address high = address(type(uint160).max);
        expectDeposit(aliased(high), target, 0, 0, 100_000, false, "");
        vm.prank(high);
        depositQueue.depositTransaction(target, 0, 100_000, false, "");
    }

    /// An EIP-7702 account is its key's, also when another account pays for the transaction.
    function test_depositTransaction_delegatedAccount_succeeds() external {
        vm.etch(user, abi.encodePacked(hex"ef0100", target));
        expectDeposit(user, target, 0, 0, 100_000, false, "");
        vm.prank(user);
        depositQueue.depositTransaction(target, 0, 100_000, false, "");
        // As long, but not a delegation.
        vm.etch(user, abi.encodePacked(hex"600100", target));
        expectDeposit(aliased(user), target, 0, 0, 100_000, false, "");
        vm.prank(user);
        depositQueue.depositTransaction(target, 0, 100_000, false, "");
    }

    function test_depositTransaction_gasLimit_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IDepositQueue.GasLimitTooLow.selector, 21_079, 21_080));
        depositQueue.depositTransaction(target, 0, 21_079, false, hex"0102");
        depositQueue.depositTransaction(target, 0, 21_080, false, hex"0102");
        vm.expectRevert(abi.encodeWithSelector(IDepositQueue.GasLimitTooHigh.selector, 16_777_217, 16_777_216));
        depositQueue.depositTransaction(target, 0, 16_777_217, false, "");
    }

    function test_depositTransaction_dataTooLong_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IDepositQueue.DataTooLong.selector, 120_001, 120_000));
        depositQueue.depositTransaction(target, 0, 10_000_000, false, new bytes(120_001));
    }

    /// What one L1 block queues always fits one L2 block.
    function test_depositTransaction_blockGasUsedUp_reverts() external {
        depositQueue.depositTransaction(target, 0, 16_000_000, false, "");
        depositQueue.depositTransaction(target, 0, 4_000_000, false, "");
        vm.expectRevert(IDepositQueue.BlockFull.selector);
        depositQueue.depositTransaction(target, 0, 21_000, false, "");
        vm.roll(block.number + 1);
        depositQueue.depositTransaction(target, 0, 16_000_000, false, "");
    }

    /// The bytes are bounded on their own, whatever gas an L2 block has.
    function test_depositTransaction_blockBytesUsedUp_reverts() external {
        DepositQueue roomy = new DepositQueue(IERC20(address(metis)), 10 * BLOCK_GAS, 0);
        for (uint256 i; i < 4; ++i) {
            roomy.depositTransaction(target, 0, 4_821_000, false, new bytes(120_000));
        }
        // 4 × 120,256 bytes are used; 43,008 fill the block with this item's own 256.
        vm.expectRevert(IDepositQueue.BlockFull.selector);
        roomy.depositTransaction(target, 0, 4_821_000, false, new bytes(43_009));
        roomy.depositTransaction(target, 0, 4_821_000, false, new bytes(43_008));
        vm.roll(block.number + 1);
        roomy.depositTransaction(target, 0, 4_821_000, false, new bytes(120_000));
    }

    /// L2 gas is paid for in L1 gas.
    function test_depositTransaction_burnsGas_succeeds() external {
        uint256 before = gasleft();
        depositQueue.depositTransaction(target, 0, 10_000_000, false, "");
        uint256 used = before - gasleft();
        assertGe(used, 1_000_000);
        assertLt(used, 1_010_000);
    }

    function test_depositTransaction_beforeGenesis_reverts() external {
        DepositQueue later = new DepositQueue(IERC20(address(metis)), BLOCK_GAS, uint64(block.number + 3));
        vm.roll(block.number + 3);
        vm.expectRevert(abi.encodeWithSelector(IDepositQueue.NotOpen.selector, block.number));
        later.depositTransaction(target, 0, 21_000, false, "");
        vm.roll(block.number + 1);
        later.depositTransaction(target, 0, 21_000, false, "");
    }

    function test_boundary_neighbours_succeeds() external {
        uint256[4] memory blocks;
        for (uint256 i; i < 4; ++i) {
            vm.roll(block.number + 2);
            vm.warp(block.timestamp + 24);
            blocks[i] = block.number;
            depositQueue.depositTransaction(target, 0, 21_000, false, "");
        }
        for (uint64 i; i <= 4; ++i) {
            (uint64 last, uint64 next, uint64 queuedAt) = depositQueue.boundary(i);
            assertEq(last, i == 0 ? 0 : blocks[i - 1]);
            assertEq(next, i == 4 ? 0 : blocks[i]);
            if (i < 4) {
                (, uint64 timestamp) = depositQueue.itemAt(i);
                assertEq(queuedAt, timestamp);
            } else {
                assertEq(queuedAt, 0);
            }
        }
        vm.expectRevert(abi.encodeWithSelector(IDepositQueue.UnknownItem.selector, 5));
        depositQueue.boundary(5);
        vm.expectRevert(abi.encodeWithSelector(IDepositQueue.UnknownItem.selector, 4));
        depositQueue.itemAt(4);
    }

    function test_constructor_blockGas_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IDepositQueue.BlockGasOutOfRange.selector, 4_820_999));
        new DepositQueue(IERC20(address(metis)), 4_820_999, 0);
    }

    /// The packed event decodes to what was asked for, and the lock is the mint.
    function testFuzz_depositERC20Transaction_roundTrip_succeeds(
        uint256 mint,
        uint256 value,
        uint64 gasLimit,
        bytes calldata data
    ) external {
        mint = bound(mint, 0, 1_000 ether);
        gasLimit = uint64(bound(gasLimit, 21_000 + 40 * data.length, 1_000_000 + 40 * data.length));
        vm.recordLogs();
        asUser();
        depositQueue.depositERC20Transaction(target, mint, value, gasLimit, false, data);
        bytes memory opaque = abi.decode(vm.getRecordedLogs()[0].data, (bytes));
        (uint256 seenMint, uint256 seenValue, uint64 seenGas, bool creates, bytes memory seen) = this.split(opaque);
        assertEq(seenMint, mint);
        assertEq(seenValue, value);
        assertEq(seenGas, gasLimit);
        assertFalse(creates);
        assertEq(seen, data);
        assertEq(metis.balanceOf(address(depositQueue)), mint);
        assertEq(depositQueue.totalLocked(), mint);
    }

    function split(bytes calldata opaque) external pure returns (uint256, uint256, uint64, bool, bytes memory) {
        return (
            uint256(bytes32(opaque[:32])),
            uint256(bytes32(opaque[32:64])),
            uint64(bytes8(opaque[64:72])),
            opaque[72] == 0x01,
            opaque[73:]
        );
    }
}
