// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {ILegacyMintableERC20, IOptimismMintableERC20} from "../../src/interfaces/IBridgedToken.sol";
import {BridgedToken} from "../../src/l2/BridgedToken.sol";
import {BridgedTokenFactory} from "../../src/l2/BridgedTokenFactory.sol";
import {L2Bridge} from "../../src/l2/L2Bridge.sol";
import {AddressAlias} from "../../src/libraries/AddressAlias.sol";
import {Bridges} from "../utils/Bridges.sol";
import {PlainToken} from "../utils/Tokens.sol";

contract L2BridgeTest is Bridges {
    address internal constant L1_TOKEN = address(0x111111);
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");

    function finalize(uint256 amount) internal returns (BridgedToken) {
        vm.prank(AddressAlias.toL2(address(l1Bridge)));
        l2Bridge.finalizeDeposit(L1_TOKEN, alice, bob, amount, abi.encode("Name", "SYM", uint8(8)));
        return tokenOf(L1_TOKEN);
    }

    function test_finalizeDeposit_createsOnce_succeeds() external {
        address expected = factory.addressOf(L1_TOKEN);
        vm.expectEmit(address(factory));
        emit BridgedTokenFactory.TokenCreated(L1_TOKEN, expected, "Name", "SYM", 8);
        vm.expectEmit(address(l2Bridge));
        emit L2Bridge.DepositFinalized(L1_TOKEN, expected, bob, alice, 7);
        BridgedToken token = finalize(7);
        assertEq(address(token), expected);
        assertTrue(factory.isBridged(expected));
        assertEq(address(finalize(1)), expected);
        assertEq(token.balanceOf(bob), 8);
    }

    function test_finalizeDeposit_stranger_reverts() external {
        vm.prank(address(l1Bridge));
        vm.expectRevert(L2Bridge.NotL1Bridge.selector);
        l2Bridge.finalizeDeposit(L1_TOKEN, alice, bob, 1, "");
        vm.expectRevert(BridgedTokenFactory.NotBridge.selector);
        factory.create(L1_TOKEN, "Name", "SYM", 8);
    }

    function test_withdraw_refusals_revert() external {
        BridgedToken token = finalize(7);
        PlainToken born = new PlainToken("Born", "L2", 18);
        vm.startPrank(bob);
        vm.expectRevert(abi.encodeWithSelector(L2Bridge.NotBridged.selector, address(born)));
        l2Bridge.withdraw(address(born), alice, 1);
        vm.expectRevert(L2Bridge.ZeroAddress.selector);
        l2Bridge.withdraw(address(token), address(0), 1);
        vm.expectRevert(L2Bridge.ZeroAmount.selector);
        l2Bridge.withdraw(address(token), alice, 0);
        vm.expectRevert();
        l2Bridge.withdraw(address(token), alice, 8);
        vm.expectEmit(address(l2Bridge));
        emit L2Bridge.WithdrawalInitiated(L1_TOKEN, address(token), bob, alice, 7);
        l2Bridge.withdraw(address(token), alice, 7);
        assertEq(token.totalSupply(), 0);
    }

    function test_token_viewsOfWallets_succeeds() external {
        BridgedToken token = finalize(1);
        assertEq(token.remoteToken(), L1_TOKEN);
        assertEq(token.l1Token(), L1_TOKEN);
        assertEq(token.bridge(), address(l2Bridge));
        assertEq(token.l2Bridge(), address(l2Bridge));
        assertEq(token.decimals(), 8);
        assertTrue(token.supportsInterface(type(IERC165).interfaceId));
        assertTrue(token.supportsInterface(type(ILegacyMintableERC20).interfaceId));
        assertTrue(token.supportsInterface(type(IOptimismMintableERC20).interfaceId));
        // As the OP Stack publishes them.
        assertEq(type(ILegacyMintableERC20).interfaceId, bytes4(0x1d1d8b63));
        assertEq(type(IOptimismMintableERC20).interfaceId, bytes4(0xec4fc8e3));
        assertFalse(token.supportsInterface(0xffffffff));
        vm.expectRevert(BridgedToken.NotBridge.selector);
        token.mint(bob, 1);
        vm.expectRevert(BridgedToken.NotBridge.selector);
        token.burn(bob, 1);
    }

    /// EIP-2612 under the token's own name.
    function test_token_permit_succeeds() external {
        BridgedToken token = finalize(5);
        (address owner, uint256 key) = makeAddrAndKey("owner");
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 hash = keccak256(abi.encode(typehash, owner, bob, 5, 0, block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), hash)));
        token.permit(owner, bob, 5, block.timestamp, v, r, s);
        assertEq(token.allowance(owner, bob), 5);
        (, string memory name,,,,,) = token.eip712Domain();
        assertEq(name, "Name");
    }
}
