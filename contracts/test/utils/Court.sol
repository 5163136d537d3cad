// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {Signing} from "../../src/libraries/Signing.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Vote} from "../../src/types/Messages.sol";
import {Network} from "./Network.sol";

/// A network whose signers can be made to contradict themselves.
abstract contract Court is Network {
    uint8 internal constant PREVOTE = 0;
    uint8 internal constant PRECOMMIT = 1;
    bytes32 internal constant BLOCK_A = keccak256("block a");
    bytes32 internal constant BLOCK_B = keccak256("block b");
    bytes internal constant DATA = hex"c0ffee";

    /// EIP-2098 signature of key `key` over a statement, under the network's domain.
    function signatureOf(uint256 key, bytes32 structHash) internal view returns (bytes memory) {
        (bytes32 r, bytes32 vs) = vm.signCompact(key, Signing.digest(staking.domainSeparator(), structHash));
        return bytes.concat(r, vs);
    }

    function signatureOf(uint256 key, BatchHeader memory header) internal view returns (bytes memory) {
        return signatureOf(key, this.hashOf(header));
    }

    function nothing() internal pure returns (ISlashing.Inclusion memory inclusion) {}

    /// Two prevotes of key `key`, shown by `submitter`.
    function accuse(address submitter, uint256 key, uint64 height, ISlashing.Inclusion memory inclusion)
        internal
        returns (uint256 caseId)
    {
        Vote memory a = Vote({voteType: PREVOTE, height: height, round: 0, blockHash: BLOCK_A});
        Vote memory b = Vote({voteType: PREVOTE, height: height, round: 0, blockHash: BLOCK_B});
        bytes memory signatureA = signatureOf(key, Signing.hash(a));
        bytes memory signatureB = signatureOf(key, Signing.hash(b));
        vm.prank(submitter);
        return slashing.proveVotes(a, signatureA, b, signatureB, inclusion);
    }

    function accuse(uint256 key, uint64 height) internal returns (uint256 caseId) {
        return accuse(recipient, key, height, nothing());
    }

    function executeInTime(uint256 caseId) internal returns (uint256 taken) {
        vm.warp(slashing.executableAt(caseId));
        return slashing.execute(caseId);
    }
}
