// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// METIS from slashed stake and from whoever adds some, for those whom a fault of the network has cost money. Governance
/// decides whom to pay; how much it can pay out in a period is fixed in code, so that nobody empties the pool in one go.
///
/// Nothing here is owed to anyone: the pool is what it holds, tokens sent to it without a call included.
interface IInsurancePool {
    event Funded(address indexed from, uint256 amount);
    /// @param subject What governance paid for: the hash of a proposal or report.
    event PaidOut(address indexed to, uint256 amount, bytes32 indexed subject);

    error NotGovernance(address caller);
    error ZeroAddress();
    error ZeroAmount();
    /// More than what is left of this period's share.
    error AboveCap(uint256 amount, uint256 left);

    /// Adds from the caller's tokens. Anyone.
    function fund(uint256 amount) external;
    /// Governance: pays out of this period's share.
    function pay(address to, uint256 amount, bytes32 subject) external;

    /// METIS wei that can still be paid in this period: a quarter of what the pool holds when the period's first payment is
    /// made, less what the period has paid.
    function available() external view returns (uint256);
    function metis() external view returns (address);
    function governance() external view returns (address);
}
