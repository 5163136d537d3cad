// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IInsurancePool} from "../interfaces/IInsurancePool.sol";

/// See {IInsurancePool}.
contract InsurancePool is IInsurancePool {
    using SafeERC20 for IERC20;

    /// Length of a period. Periods begin at multiples of it, unix time.
    uint256 public constant PERIOD = 30 days;
    /// Part of the pool that a period may pay: one in this many.
    uint256 public constant SHARE = 4;

    /// @inheritdoc IInsurancePool
    address public immutable governance;
    IERC20 private immutable _METIS;

    /// Period of the newest payment.
    uint64 private _period;
    /// What that period may still pay.
    uint192 private _left;

    /// @param metis_ METIS token.
    /// @param governance_ Who decides on payments.
    constructor(IERC20 metis_, address governance_) {
        if (address(metis_) == address(0) || governance_ == address(0)) revert ZeroAddress();
        _METIS = metis_;
        governance = governance_;
    }

    /// @inheritdoc IInsurancePool
    function fund(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        emit Funded(msg.sender, amount);
        _METIS.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IInsurancePool
    function pay(address to, uint256 amount, bytes32 subject) external {
        if (msg.sender != governance) revert NotGovernance(msg.sender);
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        uint256 left = available();
        if (amount > left) revert AboveCap(amount, left);
        _period = _now();
        // At most a quarter of the METIS there is.
        _left = uint192(left - amount);
        emit PaidOut(to, amount, subject);
        _METIS.safeTransfer(to, amount);
    }

    /// @inheritdoc IInsurancePool
    function available() public view returns (uint256) {
        // The balance is meant: whatever lies here is the pool.
        return _now() == _period ? _left : _METIS.balanceOf(address(this)) / SHARE;
    }

    /// @inheritdoc IInsurancePool
    function metis() external view returns (address) {
        return address(_METIS);
    }

    function _now() private view returns (uint64) {
        return uint64(block.timestamp / PERIOD);
    }
}
