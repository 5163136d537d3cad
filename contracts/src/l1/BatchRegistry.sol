// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IBatchRegistry} from "../interfaces/IBatchRegistry.sol";
import {IDepositQueue} from "../interfaces/IDepositQueue.sol";
import {ISequencerSet} from "../interfaces/ISequencerSet.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {Certificate} from "../libraries/Certificate.sol";
import {L1History} from "../libraries/L1History.sol";
import {Signing} from "../libraries/Signing.sol";
import {BatchHeader} from "../types/BatchHeader.sol";

/// See {IBatchRegistry}.
contract BatchRegistry is IBatchRegistry {
    using SafeERC20 for IERC20;
    using Signing for BatchHeader;

    /// Most L2 blocks of a batch.
    uint64 public constant MAX_BATCH_BLOCKS = 4_096;
    /// Grace fades by one second in this many.
    uint256 public constant GRACE_FADE = 4;
    /// Range of the deposit deadline, in seconds.
    uint64 public constant MIN_DEADLINE = 10 seconds;
    uint64 public constant MAX_DEADLINE = 1 days;
    /// Range of the silence after which anyone may post: longer than the deposit deadline, and no longer than this.
    uint64 public constant MAX_SILENCE = 7 days;
    /// Most METIS a bond may be.
    uint256 public constant MAX_BOND = 10_000 ether;
    /// Gas that any batch takes at least, without its signers: what a poster's cost is reckoned with.
    uint256 public constant BATCH_GAS = 85_000;
    /// Gas that a signer takes at least.
    uint256 public constant SIGNER_GAS = 4_500;
    /// Gas of a byte of calldata that is zero. Others cost more, which is not refunded: blobs are the rule.
    uint256 public constant BYTE_GAS = 4;
    /// EIP-4844: blob gas of a blob.
    uint256 public constant BLOB_GAS = 131_072;
    /// Version byte of a channel that says: the queue's items and nothing else.
    bytes1 public constant QUEUE_ONLY = 0x02;

    /// Places of the head's fields.
    uint256 private constant _HEIGHT = 32;
    uint256 private constant _SNAPSHOT_ID = 72;
    uint256 private constant _DEPOSIT_COUNT = 96;
    uint256 private constant _L1_ORIGIN_NUMBER = 136;
    uint256 private constant _ACCEPTED_AT = 168;
    uint256 private constant _GRACE = 200;
    uint256 private constant _BITMAP = 224;
    /// Where the encoded header ends in a call: 14 words after the selector.
    uint256 private constant _HEADER_END = 452;

    /// Whose stake answers for the signatures.
    IStaking public immutable STAKING;
    /// Whose snapshots count.
    ISequencerSet public immutable SEQUENCER_SET;
    /// Whose items L2 must execute.
    IDepositQueue public immutable DEPOSIT_QUEUE;
    uint256 private immutable _CHAIN_ID;
    /// Staking's own, kept here because asking costs more than a signature.
    bytes32 private immutable _DOMAIN_SEPARATOR;
    uint64 private immutable _DEPOSIT_DEADLINE;
    uint64 private immutable _SNAPSHOT_GRACE;
    /// @inheritdoc IBatchRegistry
    uint64 public immutable permissionlessAfter;
    /// @inheritdoc IBatchRegistry
    uint256 public immutable bond;
    IERC20 private immutable _METIS;

    struct Bond {
        address poster;
        uint64 releaseAt;
    }

    /// The fields of {Head}, the first lowest. Packed by hand: the compiler writes a slot once a field.
    uint256 private _head;
    /// @inheritdoc IBatchRegistry
    mapping(uint64 index => bytes32) public commitmentOf;
    /// @inheritdoc IBatchRegistry
    mapping(uint64 index => Bond) public bondOf;
    /// @inheritdoc IBatchRegistry
    mapping(address poster => uint256) public costOf;

    /// @param staking Whose stake answers for the signatures.
    /// @param sequencerSet Whose snapshots count.
    /// @param depositQueue Whose items L2 must execute.
    /// @param depositDeadline_ Seconds an item may wait.
    /// @param snapshotGrace_ Seconds a superseded snapshot may still be used.
    /// @param permissionlessAfter_ Seconds without a batch after which anyone may post queue items.
    /// @param bond_ METIS wei such a batch needs.
    constructor(
        IStaking staking,
        ISequencerSet sequencerSet,
        IDepositQueue depositQueue,
        uint64 depositDeadline_,
        uint64 snapshotGrace_,
        uint64 permissionlessAfter_,
        uint256 bond_
    ) {
        if (depositDeadline_ < MIN_DEADLINE || depositDeadline_ > MAX_DEADLINE) {
            revert DeadlineOutOfRange(depositDeadline_);
        }
        if (permissionlessAfter_ <= depositDeadline_ || permissionlessAfter_ > MAX_SILENCE) {
            revert SilenceOutOfRange(permissionlessAfter_);
        }
        if (bond_ == 0 || bond_ > MAX_BOND) revert BondOutOfRange(bond_);
        STAKING = staking;
        SEQUENCER_SET = sequencerSet;
        DEPOSIT_QUEUE = depositQueue;
        _CHAIN_ID = block.chainid;
        _DOMAIN_SEPARATOR = staking.domainSeparator();
        _DEPOSIT_DEADLINE = depositDeadline_;
        _SNAPSHOT_GRACE = snapshotGrace_;
        permissionlessAfter = permissionlessAfter_;
        bond = bond_;
        _METIS = IERC20(staking.metis());
        _head = block.timestamp << _ACCEPTED_AT;
    }

    /// @inheritdoc IBatchRegistry
    function submitBatch(
        BatchHeader calldata header,
        bytes32[] calldata members,
        uint256 bitmap,
        bytes calldata signatures,
        bytes calldata data
    ) external {
        Head memory previous = head();
        _checkPlace(header, previous);
        _checkOrigin(header, previous);
        uint256 grace = _grace(previous);
        _checkDeposits(header, grace);
        uint256 blobs = _checkData(header.dataHash, data);
        // `header.hash()`, from the header's own words: it has no dynamic part and is the first argument. Words that are too
        // large for their fields revert in the event.
        bytes32 batchHash = keccak256(bytes.concat(Signing.BATCH_HEADER_TYPEHASH, msg.data[4:_HEADER_END]));
        uint256 totalWeight = _checkSet(header.snapshotId, previous.snapshotId, members);
        Certificate.check(Signing.digest(_domainSeparator(), batchHash), members, totalWeight, bitmap, signatures);
        _accept(header, batchHash, bitmap, grace);
        _meter(signatures.length / Certificate.SIGNATURE_BYTES, data.length, blobs);
        emit BatchSubmitted(header.index, batchHash, header, bitmap, data.length == 0);
    }

    /// @inheritdoc IBatchRegistry
    function submitPermissionless(BatchHeader calldata header) external {
        Head memory previous = head();
        uint256 openFrom = uint256(previous.acceptedAt) + permissionlessAfter;
        if (block.timestamp < openFrom) revert NotSilent(uint64(openFrom));
        _checkPlace(header, previous);
        _checkOrigin(header, previous);
        // There are no signers to answer for an origin that L1 has forgotten.
        if (!L1History.knows(header.l1OriginNumber, header.l1OriginHash)) {
            revert WrongOrigin(header.l1OriginNumber, header.l1OriginHash);
        }
        uint256 grace = _grace(previous);
        _checkDeposits(header, grace);
        if (header.depositCount <= previous.depositCount) revert NothingQueued();
        bytes32 dataHash = keccak256(abi.encodePacked(QUEUE_ONLY));
        if (header.dataHash != dataHash) revert WrongDataHash(header.dataHash, dataHash);
        // Before the first batch that is the genesis set.
        uint64 snapshotId = previous.snapshotId == 0 ? 1 : previous.snapshotId;
        if (header.snapshotId != snapshotId) revert WrongSnapshot(header.snapshotId, snapshotId);
        if (header.turns != 0) revert TurnsWithoutSigners();
        bytes32 batchHash = header.hash();
        uint64 releaseAt = uint64(block.timestamp) + STAKING.unbondingDelay();
        bondOf[header.index] = Bond({poster: msg.sender, releaseAt: releaseAt});
        _accept(header, batchHash, 0, grace);
        emit BatchSubmitted(header.index, batchHash, header, 0, false);
        emit PermissionlessBatch(header.index, msg.sender, bond, releaseAt);
        _METIS.safeTransferFrom(msg.sender, address(this), bond);
    }

    /// @inheritdoc IBatchRegistry
    function returnBond(uint64 index) external {
        Bond memory held = bondOf[index];
        if (held.poster == address(0)) revert NoBond(index);
        if (block.timestamp < held.releaseAt) revert BondHeld(index, held.releaseAt);
        delete bondOf[index];
        emit BondReturned(index, held.poster, bond);
        _METIS.safeTransfer(held.poster, bond);
    }

    /// @inheritdoc IBatchRegistry
    function isAccepted(BatchHeader calldata header, uint64 acceptedAt, uint256 bitmap) external view returns (bool) {
        return commitmentOf[header.index] == _commitment(header.hash(), acceptedAt, bitmap);
    }

    /// @inheritdoc IBatchRegistry
    function depositDeadline() external view returns (uint64) {
        return _DEPOSIT_DEADLINE;
    }

    /// @inheritdoc IBatchRegistry
    function snapshotGrace() external view returns (uint64) {
        return _SNAPSHOT_GRACE;
    }

    /// @inheritdoc IBatchRegistry
    function head() public view returns (Head memory newest) {
        uint256 word = _head;
        newest.index = uint32(word);
        newest.height = uint40(word >> _HEIGHT);
        newest.snapshotId = uint24(word >> _SNAPSHOT_ID);
        newest.depositCount = uint40(word >> _DEPOSIT_COUNT);
        newest.l1OriginNumber = uint32(word >> _L1_ORIGIN_NUMBER);
        newest.acceptedAt = uint32(word >> _ACCEPTED_AT);
        newest.grace = uint24(word >> _GRACE);
        newest.bitmap = uint32(word >> _BITMAP);
    }

    /// The batch follows the previous one without a gap.
    function _checkPlace(BatchHeader calldata header, Head memory previous) private view {
        uint64 index = previous.index;
        uint64 first = previous.height;
        // Both count from L1's own 32 and 40 bits.
        unchecked {
            (++index, ++first);
        }
        if (header.index != index) revert WrongIndex(header.index, index);
        // The commitment holds the parent's hash, so that it need not be stored a second time.
        bytes32 claimed = header.parentHash;
        if (previous.index != 0) claimed = _commitment(claimed, previous.acceptedAt, previous.bitmap);
        if (claimed != commitmentOf[previous.index]) revert WrongParent(header.parentHash);
        uint64 last = header.lastHeight;
        if (header.firstHeight != first || last < first || last - first >= MAX_BATCH_BLOCKS) {
            revert WrongHeights(header.firstHeight, last, first);
        }
    }

    /// The origin is a block of this L1. Beyond the 8,191 blocks whose hash L1 remembers, its signers alone answer.
    function _checkOrigin(BatchHeader calldata header, Head memory previous) private view {
        uint64 number = header.l1OriginNumber;
        bytes32 hash = header.l1OriginHash;
        if (number < previous.l1OriginNumber || number >= block.number) revert OriginOutOfRange(number);
        if (!L1History.agrees(number, hash)) revert WrongOrigin(number, hash);
    }

    /// L2 has executed exactly what was queued up to the origin, and nothing waits longer than the deadline.
    function _checkDeposits(BatchHeader calldata header, uint256 grace) private view {
        uint64 consumed = header.depositCount;
        (uint64 lastBlock, uint64 nextBlock, uint64 nextTimestamp) = DEPOSIT_QUEUE.boundary(consumed);
        uint64 origin = header.l1OriginNumber;
        if (lastBlock > origin) revert WrongDepositCount(consumed);
        if (nextBlock == 0) return;
        if (nextBlock <= origin) revert WrongDepositCount(consumed);
        if (block.timestamp > nextTimestamp + _DEPOSIT_DEADLINE + grace) {
            revert DepositOverdue(consumed, nextTimestamp);
        }
    }

    /// Seconds by which the deposit deadline is extended: silence adds to it, time takes from it.
    function _grace(Head memory previous) private view returns (uint256 grace) {
        // Differences of what is compared just before, and seconds since another time of this L1.
        unchecked {
            uint256 gap = block.timestamp - previous.acceptedAt;
            uint256 allowed = _DEPOSIT_DEADLINE / 2;
            uint256 faded = gap / GRACE_FADE;
            if (previous.grace > faded) grace = previous.grace - faded;
            if (gap > allowed) grace += gap - allowed;
        }
    }

    /// The words are those of a snapshot that may still be used.
    function _checkSet(uint64 snapshotId, uint64 previousId, bytes32[] calldata members)
        private
        view
        returns (uint256)
    {
        if (snapshotId < previousId) revert SnapshotWentBack(snapshotId, previousId);
        bytes32 setHash = keccak256(abi.encodePacked(members));
        (uint64 totalWeight, uint64 supersededAt) = SEQUENCER_SET.checkpointOf(snapshotId, setHash);
        if (supersededAt != 0 && block.timestamp > uint256(supersededAt) + _SNAPSHOT_GRACE) {
            revert SnapshotTooOld(snapshotId, supersededAt);
        }
        return totalWeight;
    }

    /// @return blobs How many this transaction has.
    function _checkData(bytes32 claimed, bytes calldata data) private view returns (uint256 blobs) {
        bytes32 dataHash;
        if (data.length == 0) (dataHash, blobs) = _blobsHash();
        else dataHash = _calldataHash(data);
        if (claimed != dataHash) revert WrongDataHash(claimed, dataHash);
    }

    /// Adds what this batch has cost its poster at least.
    function _meter(uint256 signers, uint256 size, uint256 blobs) private {
        // A transaction's bytes and blobs are few, and L1's prices are far below 2^128.
        unchecked {
            uint256 gas = BATCH_GAS + SIGNER_GAS * signers + BYTE_GAS * size;
            uint256 cost = gas * block.basefee;
            if (blobs != 0) cost += BLOB_GAS * blobs * block.blobbasefee;
            costOf[msg.sender] += cost;
        }
    }

    function _accept(BatchHeader calldata header, bytes32 batchHash, uint256 bitmap, uint256 grace) private {
        // The numbers are bounded by what L1 itself has counted (seconds until 2106, snapshots in blocks), heights by 4,096 a
        // batch, the bitmap by the members of a set.
        if (grace > type(uint24).max) grace = type(uint24).max;
        uint64 index = header.index;
        uint256 word = index | (uint256(header.lastHeight) << _HEIGHT) | (uint256(header.snapshotId) << _SNAPSHOT_ID);
        word |= (uint256(header.depositCount) << _DEPOSIT_COUNT) | (uint256(header.l1OriginNumber) << _L1_ORIGIN_NUMBER);
        _head = word | (block.timestamp << _ACCEPTED_AT) | (grace << _GRACE) | (bitmap << _BITMAP);
        commitmentOf[index] = _commitment(batchHash, uint64(block.timestamp), bitmap);
    }

    /// Hash over all blobs of this transaction.
    function _blobsHash() private view returns (bytes32 hash, uint256 count) {
        bytes memory hashes;
        for (; blobhash(count) != bytes32(0); ++count) {
            hashes = abi.encodePacked(hashes, blobhash(count));
        }
        if (count == 0) revert NoData();
        return (keccak256(hashes), count);
    }

    function _calldataHash(bytes calldata data) private view returns (bytes32) {
        if (blobhash(0) != bytes32(0)) revert AmbiguousData();
        if (msg.sender != tx.origin || msg.sender.code.length != 0) revert IndirectCaller();
        return keccak256(data);
    }

    function _domainSeparator() private view returns (bytes32) {
        // An L1 that forked under another chain id is another network.
        return block.chainid == _CHAIN_ID ? _DOMAIN_SEPARATOR : STAKING.domainSeparator();
    }

    function _commitment(bytes32 batchHash, uint64 acceptedAt, uint256 bitmap) private pure returns (bytes32) {
        return keccak256(bytes.concat(batchHash, bytes32(uint256(acceptedAt)), bytes32(bitmap)));
    }
}
