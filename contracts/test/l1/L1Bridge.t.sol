// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IL1Bridge} from "../../src/interfaces/IL1Bridge.sol";
import {IPortal} from "../../src/interfaces/IPortal.sol";
import {BridgedToken} from "../../src/l2/BridgedToken.sol";
import {TokenMetadata} from "../../src/libraries/TokenMetadata.sol";
import {WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Bridges} from "../utils/Bridges.sol";
import {FeeToken, HookToken, MoodyToken, OddToken, PlainToken} from "../utils/Tokens.sol";

contract L1BridgeTest is Bridges {
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    PlainToken internal token;

    function setUp() public override {
        super.setUp();
        token = new PlainToken("Plain", "PLN", 6);
    }

    /// Alice deposits for Bob, and L2 executes it.
    function deposit(address l1Token, uint256 amount) internal {
        PlainToken(l1Token).mint(alice, amount);
        vm.recordLogs();
        vm.startPrank(alice);
        PlainToken(l1Token).approve(address(l1Bridge), amount);
        l1Bridge.depositERC20(l1Token, bob, amount);
        vm.stopPrank();
        assertTrue(carryDeposit());
    }

    function test_depositERC20_event_succeeds() external {
        token.mint(address(this), 7);
        token.approve(address(l1Bridge), 7);
        vm.expectEmit(address(l1Bridge));
        emit IL1Bridge.DepositInitiated(address(token), address(this), bob, 7);
        l1Bridge.depositERC20(address(token), bob, 7);
    }

    /// Bob burns on L2 for Alice; the message as the portal sees it.
    function withdraw(address l1Token, uint256 amount) internal returns (WithdrawalTransaction memory) {
        address l2Token = address(tokenOf(l1Token));
        vm.recordLogs();
        vm.prank(bob);
        l2Bridge.withdraw(l2Token, alice, amount);
        return newestMessage();
    }

    function finalizeExpecting(WithdrawalTransaction memory message, address l1Token, uint256 amount, bool paid)
        internal
    {
        prove(message, address(this));
        vm.warp(block.timestamp + WINDOW);
        vm.expectEmit(address(l1Bridge));
        emit IL1Bridge.WithdrawalFinalized(l1Token, bob, alice, amount, paid);
        portal.finalizeWithdrawalTransaction(message);
    }

    // There and back

    function test_depositERC20_andBack_succeeds() external {
        deposit(address(token), 100e6);
        BridgedToken l2Token = tokenOf(address(token));
        assertEq(address(l2Token), factory.addressOf(address(token)));
        assertEq(l2Token.balanceOf(bob), 100e6);
        assertEq(l2Token.name(), "Plain");
        assertEq(l2Token.symbol(), "PLN");
        assertEq(l2Token.decimals(), 6);
        assertEq(l1Bridge.locked(address(token)), 100e6);
        assertTrue(l1Bridge.known(address(token)));

        WithdrawalTransaction memory message = withdraw(address(token), 40e6);
        assertEq(l2Token.totalSupply(), 60e6);
        finalizeExpecting(message, address(token), 40e6, true);
        assertEq(token.balanceOf(alice), 40e6);
        assertEq(token.balanceOf(address(l1Bridge)), 60e6);
        assertEq(l1Bridge.locked(address(token)), 60e6);
    }

    function test_depositETH_andBack_succeeds() external {
        vm.deal(alice, 3 ether);
        vm.recordLogs();
        vm.prank(alice);
        l1Bridge.depositETH{value: 3 ether}(bob);
        assertTrue(carryDeposit());
        BridgedToken ether_ = tokenOf(address(0));
        assertEq(ether_.symbol(), "ETH");
        assertEq(ether_.decimals(), 18);
        assertEq(ether_.balanceOf(bob), 3 ether);
        carryOut(withdraw(address(0), 1 ether));
        assertEq(alice.balance, 1 ether);
        assertEq(l1Bridge.locked(address(0)), 2 ether);
    }

    /// The second deposit needs no metadata and less gas.
    function test_depositERC20_gasOfSecond_succeeds() external {
        deposit(address(token), 1e6);
        assertLt(usedGas, givenGas * 2 / 3);
        uint256 first = givenGas;
        deposit(address(token), 2e6);
        assertLt(usedGas, givenGas * 2 / 3);
        assertLt(givenGas, first / 5);
        assertEq(tokenOf(address(token)).balanceOf(bob), 3e6);
    }

    /// The longest names still fit into two thirds of the gas.
    function test_depositERC20_gasOfLongestName_succeeds() external {
        bytes memory long = new bytes(TokenMetadata.MAX_BYTES + 1);
        for (uint256 i; i < long.length; ++i) {
            long[i] = "n";
        }
        token = new PlainToken(string(long), string(long), 255);
        deposit(address(token), type(uint256).max);
        assertLt(usedGas, givenGas * 2 / 3);
        emit log_named_uint("gas", usedGas);
        assertEq(bytes(tokenOf(address(token)).name()).length, TokenMetadata.MAX_BYTES);
    }

    /// What arrived is booked, not what was sent.
    function test_depositERC20_feeOnTransfer_booksArrival() external {
        FeeToken fee = new FeeToken();
        deposit(address(fee), 100 ether);
        assertEq(l1Bridge.locked(address(fee)), 99 ether);
        assertEq(tokenOf(address(fee)).totalSupply(), 99 ether);
        carryOut(withdraw(address(fee), 99 ether));
        assertEq(fee.balanceOf(address(l1Bridge)), 0);
    }

    // Refusals

    function test_depositERC20_refusals_revert() external {
        vm.expectRevert(IL1Bridge.NativeToken.selector);
        l1Bridge.depositERC20(address(metis), bob, 1);
        vm.expectRevert(IL1Bridge.ZeroAddress.selector);
        l1Bridge.depositERC20(address(0), bob, 1);
        vm.expectRevert(IL1Bridge.ZeroAddress.selector);
        l1Bridge.depositERC20(address(token), address(0), 0);
        vm.expectRevert(IL1Bridge.ZeroAmount.selector);
        l1Bridge.depositERC20(address(token), bob, 0);
        vm.expectRevert(IL1Bridge.ZeroAmount.selector);
        l1Bridge.depositETH(bob);
        vm.expectRevert();
        l1Bridge.depositERC20(address(token), bob, 1);
    }

    function test_finalizeWithdrawal_strangers_revert() external {
        deposit(address(token), 1e6);
        vm.expectRevert(IL1Bridge.NotL2Bridge.selector);
        l1Bridge.finalizeWithdrawal(address(token), bob, alice, 1e6);
        vm.prank(address(portal));
        vm.expectRevert(IL1Bridge.NotL2Bridge.selector);
        l1Bridge.finalizeWithdrawal(address(token), bob, alice, 1e6);
        // A message of somebody else on L2.
        bytes memory data = abi.encodeCall(IL1Bridge.finalizeWithdrawal, (address(token), bob, alice, 1e6));
        carryOut(WithdrawalTransaction(uint256(1) << 240, alice, address(l1Bridge), 0, 500_000, data));
        assertEq(token.balanceOf(alice), 0);
        vm.expectRevert(IL1Bridge.NotSelf.selector);
        l1Bridge.pay(address(token), alice, 1);
    }

    // Failed payments

    function test_finalizeWithdrawal_pausedToken_isClaimable() external {
        MoodyToken moody = new MoodyToken();
        deposit(address(moody), 10);
        WithdrawalTransaction memory message = withdraw(address(moody), 10);
        moody.set(true, false);
        finalizeExpecting(message, address(moody), 10, false);
        assertEq(l1Bridge.claimable(address(moody), alice), 10);
        vm.expectRevert(bytes("paused"));
        l1Bridge.claim(address(moody), alice, alice);
        moody.set(false, false);
        vm.expectRevert(abi.encodeWithSelector(IL1Bridge.NotOwner.selector, alice));
        l1Bridge.claim(address(moody), alice, bob);
        vm.expectEmit(address(l1Bridge));
        emit IL1Bridge.Claimed(address(moody), alice, alice, 10);
        l1Bridge.claim(address(moody), alice, alice);
        assertEq(moody.balanceOf(alice), 10);
        vm.expectRevert(IL1Bridge.ZeroAmount.selector);
        l1Bridge.claim(address(moody), alice, alice);
    }

    /// With the least gas the portal lets through, a payment that burns all it gets is still kept.
    function test_finalizeWithdrawal_hungryToken_isClaimable() external {
        MoodyToken moody = new MoodyToken();
        deposit(address(moody), 10);
        WithdrawalTransaction memory message = withdraw(address(moody), 10);
        prove(message, address(this));
        vm.warp(block.timestamp + WINDOW);
        moody.set(false, true);
        uint256 gas = 500_000;
        // Upwards from too little, so that the first that passes is the least.
        while (true) {
            try portal.finalizeWithdrawalTransaction{gas: gas}(message) {
                break;
            } catch {
                gas += 5_000;
            }
        }
        assertEq(l1Bridge.claimable(address(moody), alice), 10);
    }

    /// A contract that refuses ether has it sent elsewhere.
    function test_claim_elsewhere_succeeds() external {
        vm.deal(alice, 1 ether);
        vm.recordLogs();
        vm.prank(alice);
        l1Bridge.depositETH{value: 1 ether}(bob);
        assertTrue(carryDeposit());
        WithdrawalTransaction memory message = withdraw(address(0), 1 ether);
        vm.etch(alice, hex"5f5ffd");
        carryOut(message);
        assertEq(l1Bridge.claimable(address(0), alice), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IL1Bridge.EtherRefused.selector, alice));
        l1Bridge.claim(address(0), alice, alice);
        vm.prank(alice);
        l1Bridge.claim(address(0), alice, bob);
        assertEq(bob.balance, 1 ether);
    }

    // Reentrancy

    /// Who finalizes another's withdrawal in the middle of a deposit of his own cannot make it fail: it waits.
    function test_finalizeWithdrawal_insideDeposit_isClaimable() external {
        deposit(address(token), 5e6);
        WithdrawalTransaction memory message = withdraw(address(token), 5e6);
        prove(message, bob);
        vm.warp(block.timestamp + WINDOW);
        HookToken hook = new HookToken();
        hook.mint(alice, 2);
        hook.hook(address(portal), abi.encodeCall(IPortal.finalizeWithdrawalTransactionExternalProof, (message, bob)));
        vm.startPrank(alice);
        hook.approve(address(l1Bridge), 2);
        l1Bridge.depositERC20(address(hook), bob, 2);
        vm.stopPrank();
        assertTrue(hook.succeeded());
        assertTrue(portal.finalizedWithdrawals(hashOf(message)));
        assertEq(l1Bridge.claimable(address(token), alice), 5e6);
        l1Bridge.claim(address(token), alice, alice);
        assertEq(token.balanceOf(alice), 5e6);
    }

    /// A deposit inside a deposit would be counted twice.
    function test_depositERC20_reentered_refusesInner() external {
        HookToken hook = new HookToken();
        hook.mint(alice, 10);
        hook.mint(address(hook), 10);
        hook.hook(address(l1Bridge), abi.encodeCall(IL1Bridge.depositERC20, (address(hook), bob, 10)));
        vm.startPrank(alice);
        hook.approve(address(l1Bridge), 10);
        l1Bridge.depositERC20(address(hook), bob, 10);
        vm.stopPrank();
        assertFalse(hook.succeeded());
        assertEq(l1Bridge.locked(address(hook)), 10);
    }

    /// Nor may a payment be claimed, or another deposit be made, while one is paid.
    function test_claim_reentered_refusesInner() external {
        HookToken hook = new HookToken();
        deposit(address(hook), 10);
        WithdrawalTransaction memory message = withdraw(address(hook), 10);
        hook.hook(address(l1Bridge), abi.encodeCall(IL1Bridge.depositETH, (bob)));
        carryOut(message);
        assertFalse(hook.succeeded());
        assertEq(hook.balanceOf(alice), 10);
        vm.expectRevert(IL1Bridge.ZeroAmount.selector);
        l1Bridge.claim(address(hook), alice, alice);
    }

    // Metadata

    function metadataOf(address odd) internal view returns (string memory name, string memory symbol, uint8 decimals) {
        return abi.decode(TokenMetadata.read(odd), (string, string, uint8));
    }

    function test_metadata_oddTokens_succeeds() external {
        (string memory name, string memory symbol, uint8 decimals) =
            metadataOf(address(new OddToken(bytes.concat(bytes32("Maker")))));
        assertEq(name, "Maker");
        assertEq(symbol, "Maker");
        assertEq(decimals, 0);
        (name,,) = metadataOf(address(new OddToken(bytes.concat(bytes32("0123456789abcdef0123456789abcdef")))));
        assertEq(name, "0123456789abcdef0123456789abcde");
        // Longer than a permit's domain can hold.
        PlainToken long = new PlainToken("0123456789abcdef0123456789abcdefg", "L", 18);
        (name,,) = metadataOf(address(long));
        assertEq(name, "0123456789abcdef0123456789abcde");
        bytes[5] memory bad = [
            bytes(""),
            new bytes(31),
            new bytes(33),
            // A string that claims to be longer than the answer; one behind a false offset.
            abi.encode(uint256(32), uint256(33), bytes32("short")),
            abi.encode(uint256(64), uint256(5), bytes32("away"))
        ];
        for (uint256 i; i < bad.length; ++i) {
            OddToken odd = new OddToken(bad[i]);
            (name, symbol,) = metadataOf(address(odd));
            assertEq(name, "Token of L1");
            assertEq(symbol, "L1");
        }
    }

    /// Whatever a token answers: L2 gets a name, a symbol and decimals within bounds.
    function testFuzz_metadata_anyAnswer_succeeds(bytes calldata answer) external {
        (string memory name, string memory symbol,) = metadataOf(address(new OddToken(answer)));
        assertGt(bytes(name).length, 0);
        assertGt(bytes(symbol).length, 0);
        assertLe(bytes(name).length, TokenMetadata.MAX_BYTES);
        assertLe(bytes(symbol).length, TokenMetadata.MAX_BYTES);
    }

    function testFuzz_depositERC20_partsBack_succeeds(uint128 amount, uint128 part) external {
        amount = uint128(bound(amount, 1, type(uint128).max));
        part = uint128(bound(part, 1, amount));
        deposit(address(token), amount);
        carryOut(withdraw(address(token), part));
        assertEq(token.balanceOf(alice), part);
        assertEq(tokenOf(address(token)).totalSupply(), amount - part);
        assertEq(l1Bridge.locked(address(token)), amount - part);
    }
}
