// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {OutputRootProof, WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Network} from "./Network.sol";

/// A network with message passers that have recorded a single withdrawal.
abstract contract Tries is Network {
    function partsOf(BatchHeader memory header) internal pure returns (OutputRootProof memory) {
        return OutputRootProof(0, header.stateRoot, header.withdrawalsRoot, header.lastBlockHash);
    }

    function hashOf(WithdrawalTransaction memory withdrawal) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                withdrawal.nonce,
                withdrawal.sender,
                withdrawal.target,
                withdrawal.value,
                withdrawal.gasLimit,
                withdrawal.data
            )
        );
    }

    /// Root and proof of a message passer that has recorded this withdrawal alone, under `value`.
    function loneTrie(WithdrawalTransaction memory withdrawal, bytes1 value)
        internal
        pure
        returns (bytes32 root, bytes[] memory proof)
    {
        bytes32 key = keccak256(abi.encode(keccak256(abi.encode(hashOf(withdrawal), uint256(0)))));
        bytes[] memory leaf = new bytes[](2);
        // An even path to the end.
        leaf[0] = RLP.encode(abi.encodePacked(hex"20", key));
        leaf[1] = RLP.encode(abi.encodePacked(value));
        proof = new bytes[](1);
        proof[0] = RLP.encode(leaf);
        root = keccak256(proof[0]);
    }
}
