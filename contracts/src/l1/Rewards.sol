// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IBatchRegistry} from "../interfaces/IBatchRegistry.sol";
import {IRewards} from "../interfaces/IRewards.sol";
import {ISequencerSet} from "../interfaces/ISequencerSet.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {Members} from "../libraries/Members.sol";
import {BatchHeader} from "../types/BatchHeader.sol";

/// See {IRewards}. Staking, sequencer set and registry are contracts of the same deployment and do not call back.
///
/// Invariant: what is held is at least `streamFunds + fees + waiting`; what is held beyond that is fees not yet booked.
contract Rewards is IRewards {
    using SafeERC20 for IERC20;

    /// Most METIS wei per second: 3.2 million METIS a year.
    uint128 public constant MAX_RATE = 0.1 ether;
    /// Range of the time over which fees are paid out.
    uint64 public constant MIN_FEE_PERIOD = 10 seconds;
    uint64 public constant MAX_FEE_PERIOD = 30 days;
    /// Longest time between two batches that is paid for.
    uint64 public constant MAX_PAID_GAP = 1 hours;
    /// Range of the price, METIS wei for an ether.
    uint128 public constant MIN_PRICE = 1 ether;
    uint128 public constant MAX_PRICE = 100_000 ether;
    /// Most by which the price changes, as a factor, and least time between changes.
    uint128 public constant MAX_PRICE_FACTOR = 2;
    uint64 public constant PRICE_INTERVAL = 1 days;
    /// One part in this many of what members get out of fees, and of the fees there are, may go to posters.
    uint256 public constant REFUND_PART = 2;
    /// Most batches of a call.
    uint256 public constant MAX_BATCHES = 64;

    /// Who is an operator, and where rewards go.
    IStaking public immutable STAKING;
    /// Whose sets have signed.
    ISequencerSet public immutable SEQUENCER_SET;
    /// Which batches were accepted.
    IBatchRegistry public immutable REGISTRY;
    /// @inheritdoc IRewards
    address public immutable governance;
    /// @inheritdoc IRewards
    uint64 public immutable feePeriod;
    IERC20 private immutable _METIS;

    /// @inheritdoc IRewards
    uint64 public nextIndex = 1;
    /// @inheritdoc IRewards
    uint64 public settledAt;
    /// Since when `_rate` counts; `_previousRate` before.
    uint64 private _rateFrom;
    uint128 private _rate;
    uint128 private _previousRate;
    /// @inheritdoc IRewards
    uint256 public streamFunds;
    /// @inheritdoc IRewards
    uint256 public fees;
    /// @inheritdoc IRewards
    uint256 public waiting;
    /// @inheritdoc IRewards
    uint256 public totalPaid;
    /// @inheritdoc IRewards
    uint256 public refundable;
    /// @inheritdoc IRewards
    uint256 public totalRefunded;
    /// @inheritdoc IRewards
    mapping(address poster => uint256) public refundedCost;
    /// @inheritdoc IRewards
    uint128 public metisPerEther;
    /// @inheritdoc IRewards
    uint64 public priceChangedAt;

    /// What a call of `settle` gathers.
    struct Sums {
        uint256 streamFunds;
        uint256 fees;
        uint256 waiting;
        uint256 refundable;
        uint256 budget;
        uint64 settledAt;
        uint64 index;
        uint64 snapshotId;
        uint256 totalWeight;
    }

    /// @param metis_ METIS token.
    /// @param staking Who is an operator.
    /// @param sequencerSet Whose sets have signed.
    /// @param registry Which batches were accepted.
    /// @param governance_ Who sets the rate.
    constructor(
        IERC20 metis_,
        IStaking staking,
        ISequencerSet sequencerSet,
        IBatchRegistry registry,
        address governance_,
        Config memory config
    ) {
        if (address(metis_) == address(0) || governance_ == address(0)) revert ZeroAddress();
        if (config.rate > MAX_RATE) revert RateOutOfRange(config.rate);
        if (config.feePeriod < MIN_FEE_PERIOD || config.feePeriod > MAX_FEE_PERIOD) {
            revert FeePeriodOutOfRange(config.feePeriod);
        }
        if (config.metisPerEther < MIN_PRICE || config.metisPerEther > MAX_PRICE) {
            revert PriceOutOfRange(config.metisPerEther);
        }
        _METIS = metis_;
        STAKING = staking;
        SEQUENCER_SET = sequencerSet;
        REGISTRY = registry;
        governance = governance_;
        feePeriod = config.feePeriod;
        _rate = config.rate;
        _previousRate = config.rate;
        _rateFrom = uint64(block.timestamp);
        metisPerEther = config.metisPerEther;
        settledAt = uint64(block.timestamp);
    }

    /// @inheritdoc IRewards
    function fund(uint256 amount) external {
        if (amount == 0) revert ZeroAmount();
        streamFunds += amount;
        emit StreamFunded(msg.sender, amount);
        _METIS.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRewards
    function sync() public returns (uint256 found) {
        // The balance is meant: fees come out of the bridge without a call.
        found = _METIS.balanceOf(address(this)) - streamFunds - fees - waiting;
        if (found == 0) return 0;
        fees += found;
        emit FeesBooked(found);
    }

    /// @inheritdoc IRewards
    function settle(
        BatchHeader[] calldata headers,
        uint64[] calldata acceptedAts,
        uint256[] calldata bitmaps,
        bytes32[] calldata members
    ) external {
        uint256 count = headers.length;
        if (count == 0 || count > MAX_BATCHES || acceptedAts.length != count || bitmaps.length != count) {
            revert WrongLength(count);
        }
        sync();
        Sums memory sums = Sums({
            streamFunds: streamFunds,
            fees: fees,
            waiting: waiting,
            refundable: refundable,
            budget: 0,
            settledAt: settledAt,
            index: nextIndex,
            snapshotId: headers[0].snapshotId,
            totalWeight: _totalWeight(headers[0].snapshotId, members)
        });
        uint256[] memory shares = new uint256[](members.length);
        for (uint256 i; i < count; ++i) {
            _settle(sums, shares, headers[i], acceptedAts[i], bitmaps[i], members);
        }
        _pay(sums, shares, members);
    }

    /// @inheritdoc IRewards
    function refund(address poster) external returns (uint256 amount) {
        sync();
        uint256 cost;
        (amount, cost) = _refund(poster, fees);
        if (amount == 0) revert NothingOwed(poster);
        refundedCost[poster] += cost;
        refundable -= amount;
        fees -= amount;
        totalRefunded += amount;
        emit Refunded(poster, cost, amount);
        _METIS.safeTransfer(poster, amount);
    }

    /// @inheritdoc IRewards
    function setMetisPerEther(uint128 price) external {
        if (msg.sender != governance) revert NotGovernance(msg.sender);
        uint128 previous = metisPerEther;
        if (
            price < MIN_PRICE || price > MAX_PRICE || price > previous * MAX_PRICE_FACTOR
                || price < previous / MAX_PRICE_FACTOR
        ) {
            revert PriceOutOfRange(price);
        }
        if (block.timestamp < uint256(priceChangedAt) + PRICE_INTERVAL) revert PriceChangedRecently(priceChangedAt);
        emit PriceChanged(previous, price);
        metisPerEther = price;
        priceChangedAt = uint64(block.timestamp);
    }

    /// @inheritdoc IRewards
    function setRate(uint128 rate_) external {
        if (msg.sender != governance) revert NotGovernance(msg.sender);
        if (rate_ > MAX_RATE) revert RateOutOfRange(rate_);
        // One change at a time is remembered. Anyone can settle, so this waits for nobody's will.
        if (_rate != _previousRate && settledAt < _rateFrom) revert RateChangePending(_rateFrom);
        emit RateChanged(_rate, rate_, uint64(block.timestamp));
        _previousRate = _rate;
        _rate = rate_;
        _rateFrom = uint64(block.timestamp);
    }

    /// @inheritdoc IRewards
    function rate() external view returns (uint256) {
        return _rate;
    }

    /// @inheritdoc IRewards
    function budgetAt(uint64 acceptedAt) external view returns (uint256) {
        Sums memory sums;
        sums.streamFunds = streamFunds;
        sums.fees = _METIS.balanceOf(address(this)) - streamFunds - waiting;
        sums.settledAt = settledAt;
        _draw(sums, acceptedAt);
        return sums.budget + waiting;
    }

    /// @inheritdoc IRewards
    function refundOf(address poster) external view returns (uint256 amount) {
        (amount,) = _refund(poster, _METIS.balanceOf(address(this)) - streamFunds - waiting);
    }

    /// @inheritdoc IRewards
    function metis() external view returns (address) {
        return address(_METIS);
    }

    /// Adds what one batch gives every member.
    function _settle(
        Sums memory sums,
        uint256[] memory shares,
        BatchHeader calldata header,
        uint64 acceptedAt,
        uint256 bitmap,
        bytes32[] calldata members
    ) private view {
        if (header.index != sums.index) revert WrongIndex(header.index, sums.index);
        if (header.snapshotId != sums.snapshotId) revert WrongSnapshot(header.snapshotId, sums.snapshotId);
        if (!REGISTRY.isAccepted(header, acceptedAt, bitmap)) revert NotAccepted(header.index);
        ++sums.index;
        uint256 half = _draw(sums, acceptedAt);
        _shareTurns(sums, shares, header.turns);
        _shareSignatures(shares, half, bitmap, members, sums.totalWeight);
    }

    /// Takes a batch's budget out of both sources: half is returned, half put aside for turns.
    function _draw(Sums memory sums, uint64 acceptedAt) private view returns (uint256 half) {
        // A batch's time is L1's and never before the previous one's; the first may be older than this contract.
        uint256 to = acceptedAt < sums.settledAt ? sums.settledAt : acceptedAt;
        uint256 from = to - sums.settledAt > MAX_PAID_GAP ? to - MAX_PAID_GAP : sums.settledAt;
        uint256 stream = _streamed(from, to);
        if (stream > sums.streamFunds) stream = sums.streamFunds;
        uint256 gap = to - from < feePeriod ? to - from : feePeriod;
        uint256 share = Math.mulDiv(sums.fees, gap, feePeriod);
        sums.streamFunds -= stream;
        sums.fees -= share;
        sums.refundable += share / REFUND_PART;
        sums.settledAt = uint64(to);
        sums.budget += stream + share;
        half = (stream + share) / 2;
        sums.waiting += stream + share - half;
    }

    /// What the stream gives between two times, however little there is in it.
    function _streamed(uint256 from, uint256 to) private view returns (uint256) {
        uint256 change = Math.max(from, Math.min(to, _rateFrom));
        return (change - from) * _previousRate + (to - change) * _rate;
    }

    /// Shares what waits for turns by the turns that ended in the batch.
    function _shareTurns(Sums memory sums, uint256[] memory shares, uint256 turns) private pure {
        uint256 served;
        for (uint256 rest = turns; rest != 0; rest >>= 8) {
            served += rest & 0xff;
        }
        if (served == 0) return;
        uint256 pot = sums.waiting;
        sums.waiting = 0;
        // Turns of places beyond the set are nobody's.
        for (uint256 i; i < shares.length; ++i) {
            shares[i] += pot * ((turns >> (8 * i)) & 0xff) / served;
        }
    }

    /// Shares `half` by weight among all members, and gives their parts to those that signed.
    function _shareSignatures(
        uint256[] memory shares,
        uint256 half,
        uint256 bitmap,
        bytes32[] calldata members,
        uint256 totalWeight
    ) private pure {
        for (uint256 i; i < members.length; ++i) {
            if ((bitmap >> i) & 1 != 0) {
                shares[i] += half * Members.weightOf(members[i]) / totalWeight;
            }
        }
    }

    /// Pays the shares; the rest of what was drawn goes to the stream's funds.
    function _pay(Sums memory sums, uint256[] memory shares, bytes32[] calldata members) private {
        uint256 drawn = sums.budget + waiting - sums.waiting;
        // Final before anything is paid, as if everything drawn were; what is not is added afterwards.
        uint64 first = nextIndex;
        uint64 last = sums.index - 1;
        nextIndex = sums.index;
        settledAt = sums.settledAt;
        streamFunds = sums.streamFunds;
        fees = sums.fees;
        waiting = sums.waiting;
        // Unused allowance lapses: however quiet L1 was, half of the fees are the members'.
        refundable = Math.min(sums.refundable, sums.fees / REFUND_PART);
        uint256 paid;
        _METIS.forceApprove(address(STAKING), drawn);
        for (uint256 i; i < shares.length; ++i) {
            uint256 amount = shares[i];
            if (amount == 0) continue;
            uint64 operatorId = STAKING.operatorOf(Members.signerOf(members[i]));
            if (STAKING.operator(operatorId).frozen) {
                emit RewardSkipped(operatorId, last, amount);
                continue;
            }
            paid += amount;
            emit RewardPaid(operatorId, last, amount);
            // Never refused for a member of a set.
            STAKING.addReward(operatorId, amount);
        }
        _METIS.forceApprove(address(STAKING), 0);
        streamFunds += drawn - paid;
        totalPaid += paid;
        emit Settled(first, last, sums.snapshotId, sums.budget, paid);
    }

    /// What a poster can be paid out of `available` fees now, and for how much of its cost.
    function _refund(address poster, uint256 available) private view returns (uint256 amount, uint256 cost) {
        cost = REGISTRY.costOf(poster) - refundedCost[poster];
        amount = Math.mulDiv(cost, metisPerEther, 1 ether);
        uint256 most = Math.min(refundable, available);
        if (amount > most) (amount, cost) = (most, Math.mulDiv(most, 1 ether, metisPerEther, Math.Rounding.Ceil));
    }

    function _totalWeight(uint64 snapshotId, bytes32[] calldata members) private view returns (uint256 totalWeight) {
        (totalWeight,) = SEQUENCER_SET.checkpointOf(snapshotId, keccak256(abi.encodePacked(members)));
    }
}
