// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// Arithmetic of a pool's shares (ERC-4626 with virtual shares and assets): whatever a rounding leaves stays in the pool.
/// An empty pool has a price, so a first depositor cannot set it, and raising it by a gift costs a thousand times
/// what the next depositor's rounding can lose.
/// Amounts and shares are at most 128 bits, so no product overflows silently; arithmetic is checked.
library ShareMath {
    /// Shares of nobody. One wei of an untouched pool is this many shares.
    uint256 internal constant VIRTUAL_SHARES = 1e3;
    /// Assets behind the shares of nobody.
    uint256 internal constant VIRTUAL_ASSETS = 1;

    /// Shares that `amount` buys, rounded down.
    function toShares(uint256 amount, uint256 shares, uint256 assets) internal pure returns (uint256) {
        return amount * (shares + VIRTUAL_SHARES) / (assets + VIRTUAL_ASSETS);
    }

    /// What `burned` shares pay, rounded down.
    function toAssets(uint256 burned, uint256 shares, uint256 assets) internal pure returns (uint256) {
        return burned * (assets + VIRTUAL_ASSETS) / (shares + VIRTUAL_SHARES);
    }

    /// Shares that have to be burned to take `amount` out, rounded up.
    function sharesFor(uint256 amount, uint256 shares, uint256 assets) internal pure returns (uint256) {
        return Math.ceilDiv(amount * (shares + VIRTUAL_SHARES), assets + VIRTUAL_ASSETS);
    }
}
