// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Stands in for METIS where the real token does not exist. Its deployer mints at will: never use it where tokens
/// have a price.
contract DevnetMetis is ERC20, Ownable {
    constructor() ERC20("Devnet Metis", "METIS") Ownable(msg.sender) {}

    /// Creates `amount` (wei) for `to`. Deployer only.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }
}
