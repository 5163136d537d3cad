// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// What the message passer on L2 has recorded under `keccak256(abi.encode(withdrawal))`.
/// @param nonce Number of the message, version on top.
/// @param sender Who sent it on L2.
/// @param target Who is paid and called on L1.
/// @param value METIS wei.
/// @param gasLimit Least gas for the call.
/// @param data Calldata; without any, METIS is paid and nothing is called.
struct WithdrawalTransaction {
    uint256 nonce;
    address sender;
    address target;
    uint256 value;
    uint256 gasLimit;
    bytes data;
}

/// What an output root is the hash of.
/// @param version Zero.
/// @param stateRoot Of the last block of a batch.
/// @param messagePasserStorageRoot That block's `withdrawalsRoot`.
/// @param latestBlockhash That block's hash.
struct OutputRootProof {
    bytes32 version;
    bytes32 stateRoot;
    bytes32 messagePasserStorageRoot;
    bytes32 latestBlockhash;
}
