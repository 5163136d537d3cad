// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IDepositQueue} from "../interfaces/IDepositQueue.sol";
import {AddressAlias} from "../libraries/AddressAlias.sol";

/// See {IDepositQueue}. METIS is held by internal accounting: a token sent here without a deposit is nobody's.
contract DepositQueue is IDepositQueue {
    using SafeERC20 for IERC20;

    /// Version of the event.
    uint256 public constant DEPOSIT_VERSION = 0;
    /// Bytes of one item's data, as in the OP Stack.
    uint256 public constant MAX_DATA_BYTES = 120_000;
    /// Bytes all items of one L1 block may take, each with `ITEM_BYTES` around its data: half of an L2 block's bound.
    uint256 public constant MAX_BLOCK_BYTES = 512 * 1024;
    /// Encoded size of an item without its data, rounded up.
    uint256 public constant ITEM_BYTES = 256;
    /// L2 gas bought by one burnt unit of L1 gas. Queue items pay no L2 fee, so their gas is paid for here.
    uint256 public constant L2_GAS_PER_L1_GAS = 10;
    /// EIP-7825: most gas of a transaction.
    uint64 public constant MAX_GAS_LIMIT = 16_777_216;
    /// First bytes of the code of an EIP-7702 account: it is still its key's account.
    bytes3 private constant _DELEGATION_PREFIX = 0xef0100;
    uint256 private constant _DELEGATION_BYTES = 23;
    uint256 private constant _PER_WORD = 3;
    uint256 private constant _ITEM_BITS = 80;

    /// L2 gas all items of one L1 block may ask for; must fit one L2 block.
    uint64 public immutable MAX_BLOCK_GAS;
    /// L1 block after which the queue opens: the genesis origin of L2, or zero.
    uint64 public immutable OPENS_AFTER;
    IERC20 internal immutable _METIS;

    /// @inheritdoc IDepositQueue
    uint256 public totalLocked;
    /// @inheritdoc IDepositQueue
    uint64 public count;
    /// Use of the newest L1 block that queued something.
    uint64 private _usedBlock;
    uint64 private _usedGas;
    uint64 private _usedBytes;
    /// Per item `block number << 40 | timestamp`, never zero; three share a word. A mapping, so that reading an item need not read the
    /// number of items first.
    mapping(uint256 word => uint256) private _items;

    /// @param metis_ METIS token.
    /// @param maxBlockGas L2 gas one L1 block may queue: at most the L2 gas limit less the attributes deposit.
    /// @param opensAfter L1 block of the L2 genesis origin; zero to open at once.
    constructor(IERC20 metis_, uint64 maxBlockGas, uint64 opensAfter) {
        if (maxBlockGas < minimumGasLimit(uint64(MAX_DATA_BYTES))) revert BlockGasOutOfRange(maxBlockGas);
        _METIS = metis_;
        MAX_BLOCK_GAS = maxBlockGas;
        OPENS_AFTER = opensAfter;
    }

    /// @inheritdoc IDepositQueue
    function depositERC20Transaction(
        address to,
        uint256 mint,
        uint256 value,
        uint64 gasLimit,
        bool isCreation,
        bytes calldata data
    ) external {
        uint256 gasBefore = gasleft();
        // The mint of an L2 deposit transaction has 128 bits.
        if (mint > type(uint128).max) revert MintTooLarge(mint);
        totalLocked += mint;
        _enqueue(to, mint, value, gasLimit, isCreation, data);
        if (mint != 0) _METIS.safeTransferFrom(msg.sender, address(this), mint);
        _burn(gasLimit, gasBefore);
    }

    /// @inheritdoc IDepositQueue
    function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes calldata data)
        external
        payable
    {
        uint256 gasBefore = gasleft();
        if (msg.value != 0) revert EtherNotAccepted();
        _enqueue(to, 0, value, gasLimit, isCreation, data);
        _burn(gasLimit, gasBefore);
    }

    /// @inheritdoc IDepositQueue
    function minimumGasLimit(uint64 byteCount) public pure returns (uint64) {
        return byteCount * 40 + 21_000;
    }

    /// @inheritdoc IDepositQueue
    function itemAt(uint64 index) external view returns (uint64 blockNumber, uint64 timestamp) {
        (blockNumber, timestamp) = _unpack(_items[index / _PER_WORD], index % _PER_WORD);
        if (blockNumber == 0) revert UnknownItem(index);
    }

    /// @inheritdoc IDepositQueue
    function boundary(uint64 consumed)
        external
        view
        returns (uint64 lastBlock, uint64 nextBlock, uint64 nextTimestamp)
    {
        uint256 place = consumed % _PER_WORD;
        uint256 word = _items[consumed / _PER_WORD];
        (nextBlock, nextTimestamp) = _unpack(word, place);
        if (consumed == 0) return (0, nextBlock, nextTimestamp);
        // The item before is in the same word, or the last of the word before.
        if (place == 0) (lastBlock,) = _unpack(_items[consumed / _PER_WORD - 1], _PER_WORD - 1);
        else (lastBlock,) = _unpack(word, place - 1);
        if (lastBlock == 0) revert UnknownItem(consumed);
    }

    /// @inheritdoc IDepositQueue
    function metis() external view returns (address) {
        return address(_METIS);
    }

    function _enqueue(address to, uint256 mint, uint256 value, uint64 gasLimit, bool isCreation, bytes calldata data)
        private
    {
        if (block.number <= OPENS_AFTER) revert NotOpen(OPENS_AFTER);
        if (isCreation && to != address(0)) revert BadTarget();
        if (data.length > MAX_DATA_BYTES) revert DataTooLong(data.length, MAX_DATA_BYTES);
        uint64 minimum = minimumGasLimit(uint64(data.length));
        if (gasLimit < minimum) revert GasLimitTooLow(gasLimit, minimum);
        if (gasLimit > MAX_GAS_LIMIT) revert GasLimitTooHigh(gasLimit, MAX_GAS_LIMIT);
        _use(gasLimit, ITEM_BYTES + data.length);
        uint256 index = count++;
        uint256 item = (uint256(uint40(block.number)) << 40) | uint40(block.timestamp);
        _items[index / _PER_WORD] |= item << (_ITEM_BITS * (index % _PER_WORD));
        emit TransactionDeposited(
            _depositor(), to, DEPOSIT_VERSION, abi.encodePacked(mint, value, gasLimit, isCreation, data)
        );
    }

    /// Takes gas and bytes from this L1 block's share.
    function _use(uint64 gasLimit, uint256 size) private {
        bool fresh = _usedBlock != block.number;
        uint256 usedGas = (fresh ? 0 : _usedGas) + uint256(gasLimit);
        uint256 usedBytes = (fresh ? 0 : _usedBytes) + size;
        if (usedGas > MAX_BLOCK_GAS || usedBytes > MAX_BLOCK_BYTES) revert BlockFull();
        _usedBlock = uint64(block.number);
        _usedGas = uint64(usedGas);
        _usedBytes = uint64(usedBytes);
    }

    /// Burns L1 gas for the L2 gas asked for, less what this call has used anyway.
    function _burn(uint64 gasLimit, uint256 gasBefore) private view {
        uint256 price = gasLimit / L2_GAS_PER_L1_GAS;
        // Spins on gasleft: the cheapest thing the compiler keeps.
        for (uint256 spins; gasBefore - gasleft() < price; ++spins) {}
    }

    /// The caller as L2 sees it.
    function _depositor() private view returns (address) {
        if (msg.sender == tx.origin) return msg.sender;
        bytes memory code = msg.sender.code.length == _DELEGATION_BYTES ? msg.sender.code : bytes("");
        if (code.length == _DELEGATION_BYTES && bytes3(code) == _DELEGATION_PREFIX) return msg.sender;
        return AddressAlias.toL2(msg.sender);
    }

    /// Zeros if there is no such item.
    function _unpack(uint256 word, uint256 place) private pure returns (uint64 blockNumber, uint64 timestamp) {
        uint256 item = word >> (_ITEM_BITS * place);
        return (uint40(item >> 40), uint40(item));
    }
}
