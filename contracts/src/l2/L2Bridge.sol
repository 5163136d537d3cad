// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IL1Bridge} from "../interfaces/IL1Bridge.sol";
import {AddressAlias} from "../libraries/AddressAlias.sol";
import {BridgedToken} from "./BridgedToken.sol";
import {BridgedTokenFactory} from "./BridgedTokenFactory.sol";
import {L2ToL1MessagePasser} from "./L2ToL1MessagePasser.sol";

/// L1 tokens and ether on L2, predeploy 0x4200000000000000000000000000000000000010. Creates what the L1 bridge has locked,
/// burns what goes back. METIS is native and goes through the message passer; tokens born on L2 stay on L2.
///
/// A deposit cannot fail here: the L1 bridge checks the recipient, bounds the name, keeps sums within a word and pays for
/// more gas than is used.
contract L2Bridge {
    event DepositFinalized(
        address indexed l1Token, address indexed l2Token, address indexed to, address from, uint256 amount
    );
    event WithdrawalInitiated(
        address indexed l1Token, address indexed l2Token, address indexed from, address to, uint256 amount
    );

    /// The caller is not the L1 bridge.
    error NotL1Bridge();
    /// Not the L2 form of an L1 token.
    error NotBridged(address l2Token);
    error ZeroAddress();
    error ZeroAmount();

    BridgedTokenFactory public constant FACTORY = BridgedTokenFactory(0x4200000000000000000000000000000000000012);
    L2ToL1MessagePasser public constant MESSAGE_PASSER =
        L2ToL1MessagePasser(payable(0x4200000000000000000000000000000000000016));
    /// L1 gas a withdrawal asks for: two payments' worth.
    uint256 public constant WITHDRAWAL_GAS = 500_000;

    /// The bridge on L1. Slot 0, set in genesis.
    address public l1Bridge;

    /// Creates what was locked on L1. L1 bridge only, through a deposit.
    /// @param metadata `abi.encode(string name, string symbol, uint8 decimals)` with a token's first deposit, else empty.
    function finalizeDeposit(address l1Token, address from, address to, uint256 amount, bytes calldata metadata)
        external
    {
        if (msg.sender != AddressAlias.toL2(l1Bridge)) revert NotL1Bridge();
        address l2Token = FACTORY.tokenOf(l1Token);
        if (l2Token == address(0)) {
            (string memory name, string memory symbol, uint8 decimals) = abi.decode(metadata, (string, string, uint8));
            l2Token = FACTORY.create(l1Token, name, symbol, decimals);
        }
        emit DepositFinalized(l1Token, l2Token, to, from, amount);
        BridgedToken(l2Token).mint(to, amount);
    }

    /// Burns the caller's tokens; `to` is paid on L1 once the withdrawal is proven and final.
    function withdraw(address l2Token, address to, uint256 amount) external {
        if (!FACTORY.isBridged(l2Token)) revert NotBridged(l2Token);
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        address l1Token = BridgedToken(l2Token).remoteToken();
        emit WithdrawalInitiated(l1Token, l2Token, msg.sender, to, amount);
        BridgedToken(l2Token).burn(msg.sender, amount);
        MESSAGE_PASSER.initiateWithdrawal(
            l1Bridge, WITHDRAWAL_GAS, abi.encodeCall(IL1Bridge.finalizeWithdrawal, (l1Token, msg.sender, to, amount))
        );
    }
}
