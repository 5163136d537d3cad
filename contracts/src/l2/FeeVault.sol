// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {L2ToL1MessagePasser} from "./L2ToL1MessagePasser.sol";

/// Fees of L2, one vault per kind, so that the state transition books the split by crediting them without a call: tips at
/// predeploy 0x4200000000000000000000000000000000000011, base fees at …0019, L1 data fees at …001A, operator fees at …001B.
///
/// Anyone may send what has come together to the rewards contract on L1, which shares it out. The recipient is fixed in
/// genesis.
contract FeeVault {
    event Received(address indexed from, uint256 amount);
    event Withdrawal(uint256 value, address to, address from);

    error NoRecipient();
    error BelowMinimum(uint256 balance, uint256 minimum);

    L2ToL1MessagePasser public constant MESSAGE_PASSER =
        L2ToL1MessagePasser(payable(0x4200000000000000000000000000000000000016));

    /// Rewards contract on L1. Low 20 bytes of slot 0, set in genesis.
    address public recipient;
    /// Least balance that is worth a withdrawal, wei. High 12 bytes of slot 0, set in genesis.
    uint96 public minWithdrawalAmount;
    /// Wei ever withdrawn.
    uint256 public totalProcessed;

    receive() external payable {
        emit Received(msg.sender, msg.value);
    }

    /// Starts the withdrawal of the whole balance: on L1 it is a plain METIS transfer to the recipient, without a call.
    /// @return value Wei on its way.
    function withdraw() external returns (uint256 value) {
        value = address(this).balance;
        if (recipient == address(0)) revert NoRecipient();
        if (value == 0 || value < minWithdrawalAmount) revert BelowMinimum(value, minWithdrawalAmount);
        totalProcessed += value;
        emit Withdrawal(value, recipient, msg.sender);
        MESSAGE_PASSER.initiateWithdrawal{value: value}(recipient, 0, "");
    }

    /// 0: withdrawals go to L1.
    function withdrawalNetwork() external pure returns (uint8) {
        return 0;
    }

    /// Version of the OP Stack contract whose interface this is.
    function version() external pure returns (string memory) {
        return "1.5.0-horae";
    }
}
