// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PlainToken} from "../utils/Tokens.sol";
import {Test} from "../utils/Test.sol";
import {BridgeHandler} from "./BridgeHandler.sol";

contract BridgeInvariant is Test {
    BridgeHandler internal handler;

    function setUp() external {
        handler = new BridgeHandler();
        handler.init();
        bytes4[] memory calls = new bytes4[](9);
        calls[0] = BridgeHandler.depositMetis.selector;
        calls[1] = BridgeHandler.depositToken.selector;
        calls[2] = BridgeHandler.depositEther.selector;
        calls[3] = BridgeHandler.withdrawMetis.selector;
        calls[4] = BridgeHandler.withdrawToken.selector;
        calls[5] = BridgeHandler.withdrawFees.selector;
        calls[6] = BridgeHandler.proveOne.selector;
        calls[7] = BridgeHandler.finalizeOne.selector;
        calls[8] = BridgeHandler.claimOne.selector;
        targetContract(address(handler));
        targetSelector(FuzzSelector(address(handler), calls));
    }

    /// METIS held = METIS booked = what went in less what came out.
    function invariant_portal_holdsWhatIsLocked() external view {
        (uint256 held, uint256 locked) = handler.metisHeld();
        assertEq(held, locked);
        assertEq(locked, handler.metisIn() - handler.metisOut());
    }

    /// Per token: held = locked + kept for later, and what is locked is what L2 has or has burnt on the way out.
    function invariant_bridge_holdsWhatL2Has() external view {
        for (uint256 i; i <= handler.tokenCount(); ++i) {
            address token = i == handler.tokenCount() ? address(0) : handler.tokens(i);
            uint256 locked = handler.bridge().locked(token);
            uint256 held = token == address(0)
                ? address(handler.bridge()).balance
                : PlainToken(token).balanceOf(address(handler.bridge()));
            assertEq(held, locked + handler.kept(token));
            assertEq(locked, handler.supply(token) + handler.inFlight(token));
            assertLe(locked, handler.tokenIn(token));
        }
    }

    /// The handler's calls reach what the invariants are about: every kind is paid, and a refused payment is kept.
    function test_handler_reachesAll_succeeds() external {
        handler.depositMetis(0, 5 ether);
        handler.depositEther(1, 3 ether);
        for (uint256 i; i < 4; ++i) {
            handler.depositToken(0, i, 1000);
            handler.withdrawToken(1, i, 100);
        }
        handler.withdrawToken(1, 4, 1 ether);
        handler.withdrawMetis(0, 2 ether);
        handler.withdrawFees(1 ether);
        for (uint256 i; i < 7; ++i) {
            handler.proveOne(i);
            handler.finalizeOne(i, true);
            handler.finalizeOne(i, true);
        }
        assertEq(handler.finalizations(), 7);
        handler.claimOne(3);
        assertEq(handler.keptPayments(), 1);
        this.invariant_portal_holdsWhatIsLocked();
        this.invariant_bridge_holdsWhatL2Has();
    }
}
