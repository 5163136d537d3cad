// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IL1Bridge} from "../interfaces/IL1Bridge.sol";
import {IPortal} from "../interfaces/IPortal.sol";
import {L2Bridge} from "../l2/L2Bridge.sol";
import {TokenMetadata} from "../libraries/TokenMetadata.sol";

/// See {IL1Bridge}.
contract L1Bridge is IL1Bridge, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// L2 gas of a deposit. Twice what creating tokens takes, so that a deposit cannot fail on L2.
    uint64 public constant DEPOSIT_GAS = 200_000;
    /// L2 gas of a token's first deposit, which creates the token. Half as much again as the longest name takes.
    uint64 public constant FIRST_DEPOSIT_GAS = 2_200_000;
    /// L1 gas of one payment; the L2 bridge asks for twice as much, so that enough is left to keep a failed one for later.
    uint256 public constant PAY_GAS = 250_000;

    /// The only one whose withdrawals count here, and where deposits go.
    IPortal public immutable PORTAL;
    /// The bridge on L2.
    address public immutable L2_BRIDGE;
    address private immutable _METIS;

    /// @inheritdoc IL1Bridge
    mapping(address token => uint256) public locked;
    /// @inheritdoc IL1Bridge
    mapping(address token => mapping(address owner => uint256)) public claimable;
    /// @inheritdoc IL1Bridge
    mapping(address token => bool) public known;

    /// @param portal Whose withdrawals count here.
    /// @param l2Bridge The bridge on L2.
    constructor(IPortal portal, address l2Bridge) {
        PORTAL = portal;
        L2_BRIDGE = l2Bridge;
        _METIS = portal.metis();
    }

    /// @inheritdoc IL1Bridge
    function depositERC20(address token, address to, uint256 amount) external nonReentrant {
        if (token == _METIS) revert NativeToken();
        if (token == address(0)) revert ZeroAddress();
        IERC20 erc20 = IERC20(token);
        uint256 before = erc20.balanceOf(address(this));
        erc20.safeTransferFrom(msg.sender, address(this), amount);
        _deposit(token, to, erc20.balanceOf(address(this)) - before);
    }

    /// @inheritdoc IL1Bridge
    function depositETH(address to) external payable nonReentrant {
        _deposit(address(0), to, msg.value);
    }

    /// @inheritdoc IL1Bridge
    function finalizeWithdrawal(address token, address from, address to, uint256 amount) external {
        if (msg.sender != address(PORTAL) || PORTAL.l2Sender() != L2_BRIDGE) revert NotL2Bridge();
        locked[token] -= amount;
        // The portal finalizes once and for all, so nothing may fail from here on; nor may a stranger who finalizes in the
        // middle of a deposit or claim of his own make it fail.
        bool paid;
        if (!_reentrancyGuardEntered()) {
            try this.pay{gas: PAY_GAS}(token, to, amount) {
                paid = true;
            } catch {}
        }
        if (!paid) claimable[token][to] += amount;
        emit WithdrawalFinalized(token, from, to, amount, paid);
    }

    /// @inheritdoc IL1Bridge
    function claim(address token, address owner, address receiver) external nonReentrant {
        if (receiver != owner && msg.sender != owner) revert NotOwner(owner);
        uint256 amount = claimable[token][owner];
        if (amount == 0) revert ZeroAmount();
        claimable[token][owner] = 0;
        emit Claimed(token, owner, receiver, amount);
        _pay(token, receiver, amount);
    }

    /// @inheritdoc IL1Bridge
    function pay(address token, address to, uint256 amount) external nonReentrant {
        if (msg.sender != address(this)) revert NotSelf();
        _pay(token, to, amount);
    }

    function _deposit(address token, address to, uint256 amount) private {
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        // The sum of what exists on L2 stays within a word.
        locked[token] += amount;
        bytes memory metadata;
        uint64 gasLimit = DEPOSIT_GAS;
        if (!known[token]) {
            known[token] = true;
            metadata = TokenMetadata.read(token);
            gasLimit = FIRST_DEPOSIT_GAS;
        }
        emit DepositInitiated(token, msg.sender, to, amount);
        bytes memory data = abi.encodeCall(L2Bridge.finalizeDeposit, (token, msg.sender, to, amount, metadata));
        PORTAL.depositTransaction(L2_BRIDGE, 0, gasLimit, false, data);
    }

    function _pay(address token, address to, uint256 amount) private {
        if (token != address(0)) IERC20(token).safeTransfer(to, amount);
        else if (!LowLevelCall.callNoReturn(to, amount, "")) revert EtherRefused(to);
    }
}
