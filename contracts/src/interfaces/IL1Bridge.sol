// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Locks ERC-20 tokens and ether on L1 and has the L2 bridge create as many bridged tokens; pays them out when bridged
/// tokens were burnt on L2. METIS does not pass here: it is L2's native currency and goes through the portal.
///
/// What is booked is what arrived, so that tokens that take a fee are safe. Tokens whose balances change by themselves
/// (rebasing) are not: bridge their wrapped form.
interface IL1Bridge {
    /// @param token L1 token; zero for ether.
    /// @param amount Base units that arrived and are created on L2.
    event DepositInitiated(address indexed token, address indexed from, address indexed to, uint256 amount);
    /// @param paid Whether the recipient has it; otherwise it waits in `claimable`.
    event WithdrawalFinalized(
        address indexed token, address indexed from, address indexed to, uint256 amount, bool paid
    );
    event Claimed(address indexed token, address indexed owner, address indexed receiver, uint256 amount);

    /// METIS is native on L2; use the portal.
    error NativeToken();
    error ZeroAddress();
    error ZeroAmount();
    /// Only a withdrawal of the L2 bridge, finalized by the portal, may call this.
    error NotL2Bridge();
    /// Only this contract calls this.
    error NotSelf();
    /// Only its owner may send a claim elsewhere.
    error NotOwner(address owner);
    /// The recipient refused ether.
    error EtherRefused(address to);

    /// Takes `amount` of the caller's tokens; `to` gets on L2 what arrived here. The first deposit of a token carries its
    /// name, symbol and decimals to L2 and burns more L1 gas, because the token is created there.
    function depositERC20(address token, address to, uint256 amount) external;
    /// Takes the ether sent along; `to` gets as many of the L2 ether token.
    function depositETH(address to) external payable;

    /// Portal only, on behalf of the L2 bridge: pays `to`. A payment that fails, because a token is paused or a recipient
    /// refuses, is kept for later instead of being lost.
    function finalizeWithdrawal(address token, address from, address to, uint256 amount) external;
    /// Pays out what a failed payment left. Anyone may pay it to its owner; the owner may name another receiver.
    function claim(address token, address owner, address receiver) external;
    /// For this contract's own use: one payment whose failure can be caught.
    function pay(address token, address to, uint256 amount) external;

    /// Base units locked for L2.
    function locked(address token) external view returns (uint256);
    /// Base units whose payment to `owner` failed.
    function claimable(address token, address owner) external view returns (uint256);
    /// Whether the token has been announced on L2.
    function known(address token) external view returns (bool);
}
