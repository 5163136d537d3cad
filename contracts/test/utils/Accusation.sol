// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {Slashing} from "../../src/l1/Slashing.sol";
import {Signing} from "../../src/libraries/Signing.sol";
import {Vote} from "../../src/types/Messages.sol";
import {Court} from "./Court.sol";

/// Four operators and what proves a double vote of one of them; with the test of the deployment.
abstract contract Accusation is Court {
    uint64 internal constant HEIGHT = 500;
    bytes32[] internal members;

    function setUp() public override {
        super.setUp();
        members = start(4);
        vm.roll(block.number + 5);
    }

    function prevote(bytes32 blockHash) internal pure returns (Vote memory) {
        return Vote({voteType: PREVOTE, height: HEIGHT, round: 3, blockHash: blockHash});
    }

    function proveVotes(uint256 keyA, Vote memory a, uint256 keyB, Vote memory b, bytes memory err) internal {
        bytes memory signatureA = signatureOf(keyA, Signing.hash(a));
        bytes memory signatureB = signatureOf(keyB, Signing.hash(b));
        if (err.length != 0) vm.expectRevert(err);
        slashing.proveVotes(a, signatureA, b, signatureB, nothing());
    }

    function noConflict() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISlashing.NoConflict.selector);
    }

    function create(address governance_, uint64 window, uint64 sunset) internal {
        new Slashing(staking, sequencerSet, registry, insurancePool, governance_, window, sunset);
    }

    function test_constructor_outOfRange_reverts() external {
        vm.expectRevert(ISlashing.ZeroAddress.selector);
        create(address(0), APPEAL, 0);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealWindowOutOfRange.selector, 4));
        create(governance, 4, 0);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealWindowOutOfRange.selector, 14 days + 1));
        create(governance, 14 days + 1, 0);
        uint64 sunset = uint64(block.timestamp + 5 * 365 days);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealSunsetOutOfRange.selector, sunset + 1));
        create(governance, APPEAL, sunset + 1);
        create(governance, APPEAL, sunset);
        assertEq(slashing.appealWindow(), APPEAL);
        assertEq(slashing.governance(), governance);
        assertEq(slashing.council(), address(0));
    }
}
