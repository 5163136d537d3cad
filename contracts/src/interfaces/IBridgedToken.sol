// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

/// The OP Stack's mintable token, by which wallets and explorers recognise a bridged one.
interface IOptimismMintableERC20 is IERC165 {
    /// Token on L1; zero for ether.
    function remoteToken() external view returns (address);
    /// Bridge on L2.
    function bridge() external returns (address);
    /// Bridge only.
    function mint(address to, uint256 amount) external;
    /// Bridge only.
    function burn(address from, uint256 amount) external;
}

/// The older names of the same.
interface ILegacyMintableERC20 is IERC165 {
    function l1Token() external view returns (address);
    function mint(address to, uint256 amount) external;
    function burn(address from, uint256 amount) external;
}
