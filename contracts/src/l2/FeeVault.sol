// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Fees and tips of L2, predeploy 0x4200000000000000000000000000000000000011 and the OP Stack's other vaults. The state
/// transition credits it without a call. There is no way out yet: the split among sequencers is booked by a later rule.
contract FeeVault {
    event Received(address indexed from, uint256 amount);

    receive() external payable {
        emit Received(msg.sender, msg.value);
    }
}
