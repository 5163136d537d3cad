// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Create3} from "@openzeppelin/contracts/utils/Create3.sol";
import {BridgedToken} from "./BridgedToken.sol";

/// Creates the L2 form of L1 tokens, predeploy 0x4200000000000000000000000000000000000012. Its address depends on the L1
/// token alone, so that anyone can know it before the first deposit.
contract BridgedTokenFactory {
    event TokenCreated(address indexed l1Token, address indexed l2Token, string name, string symbol, uint8 decimals);

    /// The caller is not the bridge.
    error NotBridge();

    /// The L2 bridge.
    address public constant BRIDGE = 0x4200000000000000000000000000000000000010;

    /// L2 form of an L1 token; zero before its first deposit.
    mapping(address l1Token => address) public tokenOf;
    /// Whether this factory created a token.
    mapping(address l2Token => bool) public isBridged;

    /// Creates a token. Bridge only, once per L1 token.
    function create(address l1Token, string calldata name, string calldata symbol, uint8 decimals)
        external
        returns (address l2Token)
    {
        if (msg.sender != BRIDGE) revert NotBridge();
        bytes memory code =
            abi.encodePacked(type(BridgedToken).creationCode, abi.encode(BRIDGE, l1Token, name, symbol, decimals));
        l2Token = Create3.deploy(0, _salt(l1Token), code);
        tokenOf[l1Token] = l2Token;
        isBridged[l2Token] = true;
        emit TokenCreated(l1Token, l2Token, name, symbol, decimals);
    }

    /// Where the L2 form of an L1 token is or will be.
    function addressOf(address l1Token) external view returns (address) {
        return Create3.computeAddress(_salt(l1Token));
    }

    function _salt(address l1Token) private pure returns (bytes32) {
        return bytes32(uint256(uint160(l1Token)));
    }
}
