// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {ILegacyMintableERC20, IOptimismMintableERC20} from "../interfaces/IBridgedToken.sol";

/// A token of L1 on L2: as many as the L1 bridge has locked. With permit (EIP-2612), and the views of the OP Stack's
/// mintable token.
contract BridgedToken is ERC20Permit, IOptimismMintableERC20, ILegacyMintableERC20 {
    /// The caller is not the bridge.
    error NotBridge();

    /// @inheritdoc IOptimismMintableERC20
    address public immutable bridge;
    /// @inheritdoc IOptimismMintableERC20
    address public immutable remoteToken;
    uint8 private immutable _DECIMALS;

    modifier onlyBridge() {
        if (msg.sender != bridge) revert NotBridge();
        _;
    }

    /// @param bridge_ Who mints and burns.
    /// @param remoteToken_ Token on L1; zero for ether.
    constructor(address bridge_, address remoteToken_, string memory name, string memory symbol, uint8 decimals_)
        ERC20(name, symbol)
        ERC20Permit(name)
    {
        bridge = bridge_;
        remoteToken = remoteToken_;
        _DECIMALS = decimals_;
    }

    /// Creates tokens that were locked on L1. Bridge only.
    function mint(address to, uint256 amount)
        external
        override(IOptimismMintableERC20, ILegacyMintableERC20)
        onlyBridge
    {
        _mint(to, amount);
    }

    /// Destroys tokens that are paid out on L1. Bridge only, which burns its caller's only.
    function burn(address from, uint256 amount)
        external
        override(IOptimismMintableERC20, ILegacyMintableERC20)
        onlyBridge
    {
        _burn(from, amount);
    }

    /// @inheritdoc ILegacyMintableERC20
    function l1Token() external view returns (address) {
        return remoteToken;
    }

    /// Older name of `bridge`.
    function l2Bridge() external view returns (address) {
        return bridge;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERC165).interfaceId || interfaceId == type(IOptimismMintableERC20).interfaceId
            || interfaceId == type(ILegacyMintableERC20).interfaceId;
    }

    /// Decimals of the token on L1.
    function decimals() public view override returns (uint8) {
        return _DECIMALS;
    }
}
