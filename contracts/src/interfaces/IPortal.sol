// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {OutputRootProof, WithdrawalTransaction} from "../types/Withdrawal.sol";
import {IDepositQueue} from "./IDepositQueue.sol";

/// The one door between L1 and L2: deposits go in through its queue, withdrawals come out of what it has locked. Calls,
/// events and the errors of `checkWithdrawal` are those of the OP Stack's portal where its clients use them.
///
/// A withdrawal is proven against a published output, waits until that output is final, and is then paid and called once.
/// Nobody can pause, cancel or redirect one.
interface IPortal is IDepositQueue {
    /// @param game Output it was proven against.
    /// @param timestamp When L1 accepted that output's batch: finality counts from here, not from the proof.
    struct ProvenWithdrawal {
        address game;
        uint64 timestamp;
    }

    event WithdrawalProven(bytes32 indexed withdrawalHash, address indexed from, address indexed to);
    event WithdrawalProvenExtension1(bytes32 indexed withdrawalHash, address indexed proofSubmitter);
    /// @param success Whether the call succeeded. A failed call is final; METIS has been paid all the same.
    event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success);
    /// METIS was locked for balances that L2 has from genesis.
    event Backed(address indexed from, uint256 amount);

    /// The caller's proof, or that of the named submitter, is missing.
    error OptimismPortal_Unproven();
    /// The output's window has not passed.
    error OptimismPortal_ProofNotOldEnough();
    error OptimismPortal_AlreadyFinalized();
    /// The parts do not hash to the output root.
    error InvalidProof();
    /// The message passer has no such withdrawal at that output.
    error InvalidMerkleProof();
    /// Less gas is left than the withdrawal asks for its call.
    error OutOfGas();
    /// A withdrawal is being finalized.
    error NonReentrant();
    /// The call failed in a gas estimation.
    error GasEstimation();

    /// Shows that L2 has recorded a withdrawal. Anyone may; a proof counts for its submitter, and may be replaced by one
    /// against another output.
    /// @param outputIndex Position of the output in the registry.
    /// @param outputRootProof Parts of the output root.
    /// @param withdrawalProof Nodes of the message passer's storage trie, root first.
    function proveWithdrawalTransaction(
        WithdrawalTransaction calldata withdrawal,
        uint256 outputIndex,
        OutputRootProof calldata outputRootProof,
        bytes[] calldata withdrawalProof
    ) external;

    /// Pays and calls, once, on the caller's proof.
    function finalizeWithdrawalTransaction(WithdrawalTransaction calldata withdrawal) external;
    /// Pays and calls, once, on another's proof.
    function finalizeWithdrawalTransactionExternalProof(
        WithdrawalTransaction calldata withdrawal,
        address proofSubmitter
    ) external;

    /// Locks METIS of the caller without minting on L2: backs what L2's genesis has given away.
    function back(uint256 amount) external;

    /// Reverts unless the withdrawal can be finalized on this submitter's proof now.
    function checkWithdrawal(bytes32 withdrawalHash, address proofSubmitter) external view;
    function provenWithdrawals(bytes32 withdrawalHash, address proofSubmitter)
        external
        view
        returns (address game, uint64 timestamp);
    function finalizedWithdrawals(bytes32 withdrawalHash) external view returns (bool);
    /// Submitters of proofs, in order of their first one.
    function proofSubmitters(bytes32 withdrawalHash, uint256 index) external view returns (address);
    function numProofSubmitters(bytes32 withdrawalHash) external view returns (uint256);
    /// Who sent the withdrawal that is being finalized; `0x…dEaD` outside of one.
    function l2Sender() external view returns (address);
    /// Seconds from `ProvenWithdrawal.timestamp` to finality.
    function proofMaturityDelaySeconds() external view returns (uint256);
    /// Nothing is added to the window.
    function disputeGameFinalityDelaySeconds() external view returns (uint256);
    /// Type of the outputs.
    function respectedGameType() external view returns (uint32);
    /// The output registry.
    function disputeGameFactory() external view returns (address);
    /// The output registry.
    function anchorStateRegistry() external view returns (address);
    /// False: there is nobody who could.
    function paused() external view returns (bool);
    /// Nobody.
    function guardian() external view returns (address);
    /// Version of the OP Stack contract whose interface this is.
    function version() external view returns (string memory);
}
