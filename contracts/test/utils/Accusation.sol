// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {Signing} from "../../src/libraries/Signing.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Vote} from "../../src/types/Messages.sol";
import {Court} from "./Court.sol";

/// Four operators and what proves a double vote of one of them.
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

    /// Posts a batch of all four.
    function post() internal returns (BatchHeader memory header, uint64 acceptedAt) {
        header = nextHeader(DATA);
        acceptedAt = uint64(block.timestamp);
        submit(header, members, 15, DATA);
    }

    function noConflict() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(ISlashing.NoConflict.selector);
    }
}
