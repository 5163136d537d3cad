// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ShareMath} from "../../src/libraries/ShareMath.sol";

/// Proved by halmos for all values (see README); forge does not run `check_` functions.
contract ShareMathSymbolic {
    uint256 internal constant VS = ShareMath.VIRTUAL_SHARES;
    uint256 internal constant VA = ShareMath.VIRTUAL_ASSETS;

    /// Shares are never sold below the price of those that are there, so a delegation takes nothing from the others.
    function check_toShares_roundsDown(uint96 amount, uint96 shares, uint96 assets) external pure {
        uint256 bought = ShareMath.toShares(amount, shares, assets);
        assert(bought * (uint256(assets) + VA) <= amount * (uint256(shares) + VS));
    }

    /// Shares are never paid above their price.
    function check_toAssets_roundsDown(uint96 burned, uint96 shares, uint96 assets) external pure {
        uint256 paid = ShareMath.toAssets(burned, shares, assets);
        assert(paid * (uint256(shares) + VS) <= burned * (uint256(assets) + VA));
    }

    /// Nor is more paid than the pool holds, however many of its shares leave.
    function check_toAssets_withinPool(uint96 burned, uint96 shares, uint96 assets) external pure {
        if (burned <= shares) assert(ShareMath.toAssets(burned, shares, assets) <= assets);
    }

    /// A debt is never paid with too few shares.
    function check_sharesFor_roundsUp(uint96 owed, uint96 shares, uint96 assets) external pure {
        uint256 burned = ShareMath.sharesFor(owed, shares, assets);
        assert(burned * (uint256(assets) + VA) >= owed * (uint256(shares) + VS));
    }

    /// An empty pool sells at its fixed price, whatever the amount.
    function check_toShares_firstPrice(uint96 amount) external pure {
        assert(ShareMath.toShares(amount, 0, 0) == uint256(amount) * VS);
    }

    /// Buying and selling at once never gains.
    function check_roundTrip_neverGains(uint96 amount, uint96 shares, uint96 assets) external pure {
        uint256 bought = ShareMath.toShares(amount, shares, assets);
        assert(ShareMath.toAssets(bought, shares + bought, uint256(assets) + amount) <= amount);
    }

    /// Inflation: who is first, gives the pool a gift and lets a second one delegate has no more in the end than was put in,
    /// whatever the second one loses by rounding.
    function check_firstDepositor_gainsNothing(uint64 first, uint64 gift, uint64 second) external pure {
        uint256 mine = ShareMath.toShares(first, 0, 0);
        uint256 assets = uint256(first) + gift;
        uint256 theirs = ShareMath.toShares(second, mine, assets);
        assert(ShareMath.toAssets(mine, mine + theirs, assets + second) <= assets);
    }
}
