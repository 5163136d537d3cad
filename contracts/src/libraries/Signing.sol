// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchHeader} from "../types/BatchHeader.sol";
import {PeerBinding, Proposal, Slice, Vote} from "../types/Messages.sol";

/// EIP-712 hashes of everything a sequencer signs. `protocol/vectors/signing.json` holds this file and the node's
/// own implementation to the same bytes.
///
/// The domain names the L1 chain and the staking contract, because the stake answers for the signature. No message
/// holds its signer's address: one digest serves all signers, and L1 recovers each of them.
library Signing {
    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 internal constant VOTE_TYPEHASH =
        keccak256("Vote(uint8 voteType,uint64 height,uint32 round,bytes32 blockHash)");
    bytes32 internal constant PROPOSAL_TYPEHASH =
        keccak256("Proposal(uint64 height,uint32 round,int64 polRound,bytes32 blockHash)");
    bytes32 internal constant SLICE_TYPEHASH =
        keccak256("Slice(uint64 height,uint32 round,uint32 index,bytes32 dataHash)");
    bytes32 internal constant PEER_BINDING_TYPEHASH = keccak256("PeerBinding(bytes32 peerIdHash,uint64 expires)");
    bytes32 internal constant BATCH_HEADER_TYPEHASH = keccak256(
        "BatchHeader(uint64 index,bytes32 parentHash,uint64 firstHeight,uint64 lastHeight,bytes32 lastBlockHash,"
        "bytes32 stateRoot,bytes32 withdrawalsRoot,bytes32 blocksRoot,bytes32 dataHash,uint64 snapshotId,"
        "uint64 l1OriginNumber,bytes32 l1OriginHash,uint64 depositCount,uint256 turns)"
    );

    /// Domain separator of a network.
    /// @param chainId L1 chain id.
    /// @param staking Staking contract of the network.
    function domainSeparator(uint256 chainId, address staking) internal pure returns (bytes32) {
        return
            keccak256(abi.encode(DOMAIN_TYPEHASH, keccak256(bytes("Horae")), keccak256(bytes("1")), chainId, staking));
    }

    /// EIP-712 digest of a struct hash.
    function digest(bytes32 separator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    /// The name of a batch on L1, and the next batch's `parentHash`.
    function hash(BatchHeader calldata header) internal pure returns (bytes32) {
        return keccak256(abi.encode(BATCH_HEADER_TYPEHASH, header));
    }

    function hash(Vote memory vote) internal pure returns (bytes32) {
        return keccak256(abi.encode(VOTE_TYPEHASH, vote));
    }

    function hash(Proposal memory proposal) internal pure returns (bytes32) {
        return keccak256(abi.encode(PROPOSAL_TYPEHASH, proposal));
    }

    function hash(Slice memory slice) internal pure returns (bytes32) {
        return keccak256(abi.encode(SLICE_TYPEHASH, slice));
    }

    function hash(PeerBinding memory binding) internal pure returns (bytes32) {
        return keccak256(abi.encode(PEER_BINDING_TYPEHASH, binding));
    }
}
