// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Certificate} from "../src/libraries/Certificate.sol";
import {Members} from "../src/libraries/Members.sol";
import {Signing} from "../src/libraries/Signing.sol";
import {SigningVectors} from "./utils/SigningVectors.sol";
import {Test} from "./utils/Test.sol";

contract SigningVectorsTest is Test, SigningVectors {
    function check(bytes32 digest, bytes32[] calldata words, uint256 total, uint256 bitmap, bytes calldata signatures)
        external
        view
        returns (uint256)
    {
        return Certificate.check(digest, words, total, bitmap, signatures);
    }

    function test_signing_goldenFile_succeeds() external view {
        assertEq(vm.readFile(PATH), signingJson(), "run `npm run vectors` only if the protocol is meant to change");
    }

    /// The domain by EIP-712's text, not by the library's own constants.
    function test_domainSeparator_writtenOut_succeeds() external pure {
        bytes32 expected = keccak256(
            bytes.concat(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Horae"),
                keccak256("1"),
                bytes32(L1_CHAIN_ID),
                bytes32(uint256(uint160(STAKING)))
            )
        );
        assertEq(Signing.domainSeparator(L1_CHAIN_ID, STAKING), expected);
    }

    /// forge's own EIP-712 implementation hashes the same structs.
    function test_hash_forgeEip712_succeeds() external view {
        string memory voteType = "Vote(uint8 voteType,uint64 height,uint32 round,bytes32 blockHash)";
        assertEq(vm.eip712HashStruct(voteType, abi.encode(vote())), Signing.hash(vote()));
        string memory proposalType = "Proposal(uint64 height,uint32 round,int64 polRound,bytes32 blockHash)";
        assertEq(vm.eip712HashStruct(proposalType, abi.encode(proposal())), Signing.hash(proposal()));
        string memory sliceType = "Slice(uint64 height,uint32 round,uint32 index,bytes32 dataHash)";
        assertEq(vm.eip712HashStruct(sliceType, abi.encode(slice())), Signing.hash(slice()));
        string memory bindingType = "PeerBinding(bytes32 peerIdHash,uint64 expires)";
        assertEq(vm.eip712HashStruct(bindingType, abi.encode(peerBinding())), Signing.hash(peerBinding()));
        string memory headerType =
            "BatchHeader(uint64 index,bytes32 parentHash,uint64 firstHeight,uint64 lastHeight,bytes32 lastBlockHash,bytes32 stateRoot,bytes32 withdrawalsRoot,bytes32 blocksRoot,bytes32 dataHash,uint64 snapshotId,uint64 l1OriginNumber,bytes32 l1OriginHash,uint64 depositCount,uint256 turns)";
        assertEq(vm.eip712HashStruct(headerType, abi.encode(header())), this.hashHeader(header()));
    }

    function test_certificate_goldenFile_succeeds() external view {
        string memory json = vm.readFile(PATH);
        bytes32 digest = vm.parseJsonBytes32(json, ".batchHeader.digest");
        uint256 total = vm.parseJsonUint(json, ".set.totalWeight");
        uint256 bitmap = vm.parseJsonUint(json, ".certificate.bitmap");
        bytes memory signatures = vm.parseJsonBytes(json, ".certificate.signatures");
        bytes32[] memory words = members();
        assertEq(Members.hash(words), vm.parseJsonBytes32(json, ".set.hash"));
        uint256 signed = this.check(digest, words, total, bitmap, signatures);
        assertEq(signed, vm.parseJsonUint(json, ".certificate.signedWeight"));
    }
}
