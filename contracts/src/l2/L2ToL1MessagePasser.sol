// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Withdrawals, predeploy 0x4200000000000000000000000000000000000016. Storage layout, calls and event are the OP Stack's.
/// The storage root of this account is the header's `withdrawalsRoot`; a batch takes it to L1, where a withdrawal is
/// proven against it.
///
/// METIS sent along stays in this account for good: on L1 it is paid out of the deposit queue's holdings.
contract L2ToL1MessagePasser {
    /// Version in the upper two bytes of a nonce.
    uint16 public constant MESSAGE_VERSION = 1;
    /// Gas limit on L1 of a plain transfer to this contract.
    uint256 internal constant RECEIVE_DEFAULT_GAS_LIMIT = 100_000;

    /// @param withdrawalHash Key in `sentMessages`.
    event MessagePassed(
        uint256 indexed nonce,
        address indexed sender,
        address indexed target,
        uint256 value,
        uint256 gasLimit,
        bytes data,
        bytes32 withdrawalHash
    );

    /// Withdrawals by hash. Slot 0: proofs on L1 depend on it.
    mapping(bytes32 withdrawalHash => bool) public sentMessages;
    uint240 internal msgNonce;

    /// Withdraws what is sent to the sender's own address on L1.
    receive() external payable {
        initiateWithdrawal(msg.sender, RECEIVE_DEFAULT_GAS_LIMIT, bytes(""));
    }

    /// Sends METIS and a call to L1.
    /// @param target Called on L1.
    /// @param gasLimit Least gas for that call.
    /// @param data Calldata of that call.
    function initiateWithdrawal(address target, uint256 gasLimit, bytes memory data) public payable {
        uint256 nonce = messageNonce();
        bytes32 withdrawalHash = keccak256(abi.encode(nonce, msg.sender, target, msg.value, gasLimit, data));
        sentMessages[withdrawalHash] = true;
        emit MessagePassed(nonce, msg.sender, target, msg.value, gasLimit, data, withdrawalHash);
        unchecked {
            ++msgNonce;
        }
    }

    /// Nonce of the next withdrawal, version on top.
    function messageNonce() public view returns (uint256) {
        return uint256(msgNonce) | (uint256(MESSAGE_VERSION) << 240);
    }

    /// Version of the OP Stack contract whose interface this is.
    function version() external pure returns (string memory) {
        return "1.2.0-horae";
    }
}
