// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Bytes} from "@openzeppelin/contracts/utils/Bytes.sol";

/// Name, symbol and decimals of any token: old ones answer with one word, some not at all, hostile ones with anything.
library TokenMetadata {
    /// Most bytes of a name or symbol: what a token's EIP-712 domain can keep in its code. Longer ones are cut.
    uint256 internal constant MAX_BYTES = 31;

    /// `abi.encode(string name, string symbol, uint8 decimals)` of a token, of ether for zero. Never reverts for what a
    /// token answers: without a name it gets a general one, without decimals it has none.
    function read(address token) internal view returns (bytes memory) {
        if (token == address(0)) return abi.encode("Ether", "ETH", uint8(18));
        string memory name = _text(token, IERC20Metadata.name.selector);
        string memory symbol = _text(token, IERC20Metadata.symbol.selector);
        if (bytes(name).length == 0) name = "Token of L1";
        if (bytes(symbol).length == 0) symbol = "L1";
        (, uint8 decimals) = SafeERC20.tryGetDecimals(IERC20(token));
        return abi.encode(name, symbol, decimals);
    }

    /// Answer of a getter as text, cut to the bound; empty if there is none.
    function _text(address token, bytes4 selector) private view returns (string memory) {
        (bool success, bytes memory answer) = token.staticcall(abi.encodePacked(selector));
        if (!success || answer.length < 32) return "";
        uint256 start;
        uint256 length;
        if (answer.length == 32) {
            while (length < MAX_BYTES && answer[length] != 0) ++length;
        } else {
            // A well-formed string begins behind its offset and its length.
            if (answer.length < 64 || uint256(bytes32(answer)) != 32) return "";
            start = 64;
            length = uint256(bytes32(Bytes.slice(answer, 32, 64)));
            if (length > answer.length - start) return "";
            if (length > MAX_BYTES) length = MAX_BYTES;
        }
        return string(Bytes.slice(answer, start, start + length));
    }
}
