// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {TrieProof} from "@openzeppelin/contracts/utils/cryptography/TrieProof.sol";
import {IOutputRegistry} from "../interfaces/IOutputRegistry.sol";
import {IPortal} from "../interfaces/IPortal.sol";
import {OutputRootProof, WithdrawalTransaction} from "../types/Withdrawal.sol";
import {DepositQueue} from "./DepositQueue.sol";

/// See {IPortal}.
contract Portal is DepositQueue, IPortal {
    using SafeERC20 for IERC20;

    /// Gas kept back around a withdrawal's call, as in the OP Stack.
    uint256 public constant CALL_OVERHEAD = 40_000;

    address private constant _NO_SENDER = 0x000000000000000000000000000000000000dEaD;
    /// Sender of the OP Stack's gas estimations; no key's account.
    address private constant _ESTIMATOR = address(1);

    /// Whose outputs withdrawals are proven against.
    IOutputRegistry public immutable OUTPUTS;

    /// @inheritdoc IPortal
    mapping(bytes32 withdrawalHash => bool) public finalizedWithdrawals;
    /// @inheritdoc IPortal
    mapping(bytes32 withdrawalHash => mapping(address proofSubmitter => ProvenWithdrawal)) public provenWithdrawals;
    /// @inheritdoc IPortal
    mapping(bytes32 withdrawalHash => address[]) public proofSubmitters;
    /// Sender of the withdrawal being finalized; zero outside of one.
    address private transient _sender;

    /// @param metis_ METIS token.
    /// @param outputs Whose outputs withdrawals are proven against.
    /// @param maxBlockGas See {DepositQueue}.
    /// @param opensAfter See {DepositQueue}.
    constructor(IERC20 metis_, IOutputRegistry outputs, uint64 maxBlockGas, uint64 opensAfter)
        DepositQueue(metis_, maxBlockGas, opensAfter)
    {
        OUTPUTS = outputs;
    }

    /// @inheritdoc IPortal
    function proveWithdrawalTransaction(
        WithdrawalTransaction calldata withdrawal,
        uint256 outputIndex,
        OutputRootProof calldata outputRootProof,
        bytes[] calldata withdrawalProof
    ) external {
        // Called by this contract, the token would pay out everything.
        if (withdrawal.target == address(this) || withdrawal.target == address(_METIS)) revert BadTarget();
        bytes32 withdrawalHash = _hash(withdrawal);
        if (finalizedWithdrawals[withdrawalHash]) revert OptimismPortal_AlreadyFinalized();
        IOutputRegistry.Output memory output = OUTPUTS.outputAt(outputIndex);
        if (keccak256(abi.encode(outputRootProof)) != output.rootClaim) revert InvalidProof();
        bool recorded = TrieProof.verify(
            hex"01",
            outputRootProof.messagePasserStorageRoot,
            // Key of `sentMessages[withdrawalHash]` in the message passer's trie: the mapping is in slot 0.
            abi.encodePacked(keccak256(abi.encode(keccak256(abi.encode(withdrawalHash, uint256(0)))))),
            withdrawalProof
        );
        if (!recorded) revert InvalidMerkleProof();
        ProvenWithdrawal storage proven = provenWithdrawals[withdrawalHash][msg.sender];
        if (proven.timestamp == 0) proofSubmitters[withdrawalHash].push(msg.sender);
        proven.game = output.game;
        proven.timestamp = output.acceptedAt;
        emit WithdrawalProven(withdrawalHash, withdrawal.sender, withdrawal.target);
        emit WithdrawalProvenExtension1(withdrawalHash, msg.sender);
    }

    /// @inheritdoc IPortal
    function finalizeWithdrawalTransaction(WithdrawalTransaction calldata withdrawal) external {
        finalizeWithdrawalTransactionExternalProof(withdrawal, msg.sender);
    }

    /// @inheritdoc IPortal
    function back(uint256 amount) external {
        totalLocked += amount;
        emit Backed(msg.sender, amount);
        _METIS.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IPortal
    function numProofSubmitters(bytes32 withdrawalHash) external view returns (uint256) {
        return proofSubmitters[withdrawalHash].length;
    }

    /// @inheritdoc IPortal
    function l2Sender() external view returns (address) {
        return _sender == address(0) ? _NO_SENDER : _sender;
    }

    /// @inheritdoc IPortal
    function proofMaturityDelaySeconds() external view returns (uint256) {
        return OUTPUTS.finalizationWindow();
    }

    /// @inheritdoc IPortal
    function respectedGameType() external view returns (uint32) {
        return OUTPUTS.respectedGameType();
    }

    /// @inheritdoc IPortal
    function disputeGameFactory() external view returns (address) {
        return address(OUTPUTS);
    }

    /// @inheritdoc IPortal
    function anchorStateRegistry() external view returns (address) {
        return address(OUTPUTS);
    }

    /// @inheritdoc IPortal
    function disputeGameFinalityDelaySeconds() external pure returns (uint256) {
        return 0;
    }

    /// @inheritdoc IPortal
    function paused() external pure returns (bool) {
        return false;
    }

    /// @inheritdoc IPortal
    function guardian() external pure returns (address) {
        return address(0);
    }

    /// @inheritdoc IPortal
    function version() external pure returns (string memory) {
        return "5.0.0";
    }

    /// @inheritdoc IPortal
    function finalizeWithdrawalTransactionExternalProof(
        WithdrawalTransaction calldata withdrawal,
        address proofSubmitter
    ) public {
        if (_sender != address(0)) revert NonReentrant();
        bytes32 withdrawalHash = _hash(withdrawal);
        checkWithdrawal(withdrawalHash, proofSubmitter);
        finalizedWithdrawals[withdrawalHash] = true;
        // An L2 that owes more than is locked cannot be paid; the withdrawal stays open.
        totalLocked -= withdrawal.value;
        _sender = withdrawal.sender;
        if (withdrawal.value != 0) _METIS.safeTransfer(withdrawal.target, withdrawal.value);
        bool success = withdrawal.data.length == 0 || _call(withdrawal);
        _sender = address(0);
        emit WithdrawalFinalized(withdrawalHash, success);
        if (!success && tx.origin == _ESTIMATOR) revert GasEstimation();
    }

    /// @inheritdoc IPortal
    function checkWithdrawal(bytes32 withdrawalHash, address proofSubmitter) public view {
        if (finalizedWithdrawals[withdrawalHash]) revert OptimismPortal_AlreadyFinalized();
        uint256 acceptedAt = provenWithdrawals[withdrawalHash][proofSubmitter].timestamp;
        if (acceptedAt == 0) revert OptimismPortal_Unproven();
        if (block.timestamp < acceptedAt + OUTPUTS.finalizationWindow()) revert OptimismPortal_ProofNotOldEnough();
    }

    /// Calls the target with at least the gas the withdrawal asks for; whoever finalizes cannot make a call fail by giving
    /// it less. What it returns is not read, so that it cannot burn the caller's memory.
    function _call(WithdrawalTransaction calldata withdrawal) private returns (bool) {
        bytes memory data = withdrawal.data;
        // EIP-150 leaves a 64th behind.
        if (gasleft() * 63 < withdrawal.gasLimit * 64 + CALL_OVERHEAD * 63) revert OutOfGas();
        return LowLevelCall.callNoReturn(withdrawal.target, data);
    }

    function _hash(WithdrawalTransaction calldata withdrawal) private pure returns (bytes32) {
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
}
