// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// The L1 side of deposits: METIS locked here is minted as native currency on L2, and anyone can force a transaction
/// into L2. Calls and event are those of the OP Stack portal with a custom gas token.
///
/// Every item of an L1 block is executed by the first L2 block whose origin is at or after it. What one L1 block queues
/// is bounded, so that it always fits one L2 block.
interface IDepositQueue {
    /// A queue item.
    /// @param from Sender on L2; contracts are aliased, so that they cannot pass for an L2 contract at their address.
    /// @param version 0.
    /// @param opaqueData `abi.encodePacked(uint256 mint, uint256 value, uint64 gasLimit, bool isCreation, bytes data)`.
    event TransactionDeposited(address indexed from, address indexed to, uint256 indexed version, bytes opaqueData);

    /// METIS is the native currency; ETH cannot be deposited here.
    error EtherNotAccepted();
    /// A contract creation must not name a target.
    error BadTarget();
    error GasLimitTooLow(uint64 gasLimit, uint64 minimum);
    error GasLimitTooHigh(uint64 gasLimit, uint64 maximum);
    error DataTooLong(uint256 length, uint256 maximum);
    error MintTooLarge(uint256 mint);
    /// This L1 block's share of L2 gas or bytes is used up; try again in the next block.
    error BlockFull();
    /// L2's genesis origin is not in the past yet: an item queued now would never be executed.
    error NotOpen(uint256 opensAfter);
    error BlockGasOutOfRange(uint64 gas);
    error UnknownItem(uint64 index);

    /// Queues a transaction that brings METIS with it.
    /// @param to Target on L2; zero for a contract creation.
    /// @param mint METIS wei taken from the caller's tokens and credited to the sender on L2.
    /// @param value Wei sent to the target on L2, from the sender's balance there (after the mint).
    /// @param gasLimit L2 gas; paid for by burning L1 gas, not by the sender's L2 balance.
    /// @param isCreation Whether `data` is init code.
    /// @param data Calldata or init code.
    function depositERC20Transaction(
        address to,
        uint256 mint,
        uint256 value,
        uint64 gasLimit,
        bool isCreation,
        bytes calldata data
    ) external;

    /// Queues a transaction without mint: forced inclusion for whoever the sequencers do not serve.
    function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes calldata data)
        external
        payable;

    /// Least gas limit of a transaction with `byteCount` bytes of data.
    function minimumGasLimit(uint64 byteCount) external pure returns (uint64);
    /// Items ever queued.
    function count() external view returns (uint64);
    /// L1 block and time an item was queued at.
    function itemAt(uint64 index) external view returns (uint64 blockNumber, uint64 timestamp);
    /// The neighbours of a position between two items, for the registry: block of the item before it (zero if none), and
    /// block and time of the item after it (zero if none). Reverts beyond the end.
    function boundary(uint64 consumed) external view returns (uint64 lastBlock, uint64 nextBlock, uint64 nextTimestamp);
    /// METIS wei locked for L2.
    function totalLocked() external view returns (uint256);
    function metis() external view returns (address);
}
