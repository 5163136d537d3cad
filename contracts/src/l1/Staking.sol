// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {ShareMath} from "../libraries/ShareMath.sol";
import {Signing} from "../libraries/Signing.sol";
import {StakingBase} from "./StakingBase.sol";
import {StakingDelegation} from "./StakingDelegation.sol";
import {StakingOperators} from "./StakingOperators.sol";

/// See {IStaking}. Governance, fixed at deployment, can switch the whitelist, which gates registration and nothing
/// else, and cap the weight of an operator. Here is what Slashing and Rewards call. METIS neither calls back nor
/// takes a fee on transfer; state is nevertheless final before any token moves out.
contract Staking is StakingOperators, StakingDelegation {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    /// A slash of everything.
    uint256 internal constant ALL = 1e18;
    /// Longest unbonding delay and commission notice, so that a deployment cannot lock stake for ever.
    uint64 internal constant MAX_DELAY = 60 days;
    /// Longest slot of the exit queue and reward period.
    uint64 internal constant MAX_PERIOD = 7 days;
    /// Bounds of the weight cap: an operator's own stake always counts.
    uint64 internal constant MIN_MAX_WEIGHT = 100_000;
    uint64 internal constant MAX_MAX_WEIGHT = 10_000_000;

    /// @param metis_ METIS token.
    /// @param governance_ Timelock; for good.
    /// @param slashing_ Contract that may freeze and slash; may be deployed later.
    /// @param rewards_ Contract that may add rewards; may be deployed later.
    /// @param config_ Times.
    constructor(IERC20 metis_, address governance_, address slashing_, address rewards_, Config memory config_) {
        if (address(metis_) == address(0) || slashing_ == address(0) || rewards_ == address(0)) revert ZeroAddress();
        _METIS = metis_;
        _GOVERNANCE = governance_;
        _SLASHING = slashing_;
        _REWARDS = rewards_;
        _UNBONDING_DELAY = _within(config_.unbondingDelay, MAX_DELAY);
        _CHURN_PERIOD = _within(config_.churnPeriod, MAX_PERIOD);
        _COMMISSION_NOTICE = _within(config_.commissionNotice, MAX_DELAY);
        _REWARD_PERIOD = _within(config_.rewardPeriod, MAX_PERIOD);
    }

    modifier onlySlashing() {
        _requireSender(_SLASHING);
        _;
    }

    /// @inheritdoc IStaking
    function freeze(uint64 operatorId) external onlySlashing returns (uint64 atStake) {
        Operator storage self = _operators[operatorId];
        _requireRegistered(self, operatorId);
        _requireNoCase(operatorId);
        self.frozen = true;
        caseOf[operatorId] = uint64(block.timestamp);
        emit Frozen(operatorId, uint64(block.timestamp));
        Pool storage delegated = _pools[operatorId];
        Book storage book = _book(operatorId);
        uint256 scaled = _above(book.requested, block.timestamp) + _above(book.moved, block.timestamp);
        uint256 amount = uint256(self.stake) + delegated.assets + delegated.unvested;
        return _capped(amount + _amount(operatorId, scaled), maxWeight);
    }

    /// @inheritdoc IStaking
    function unfreeze(uint64 operatorId, uint64 caseAt) external onlySlashing {
        _closeCase(operatorId, caseAt);
        emit Unfrozen(operatorId, caseAt);
    }

    /// @inheritdoc IStaking
    function slash(uint64 operatorId, uint256 fraction, uint64 caseAt, address to)
        external
        onlySlashing
        returns (uint256 amount)
    {
        if (fraction > ALL) revert FractionOutOfRange(fraction);
        _closeCase(operatorId, caseAt);
        Operator storage self = _operators[operatorId];
        self.away = true;
        uint256 fromStake = self.stake * fraction / ALL;
        self.stake -= uint96(fromStake);
        totalStaked -= fromStake;
        (uint256 fromPool, uint256 fromUnbonding) = _slashSeries(operatorId, fraction, caseAt);
        amount = fromStake + fromPool + fromUnbonding;
        emit Slashed(operatorId, caseAt, fraction, fromStake, fromPool, fromUnbonding);
        _pay(to, amount);
    }

    /// @inheritdoc IStaking
    function addReward(uint64 operatorId, uint256 amount) external {
        _requireSender(_REWARDS);
        Operator storage self = _operators[operatorId];
        _requireRegistered(self, operatorId);
        Pool storage delegated = _pools[operatorId];
        _settle(delegated);
        uint256 toPool;
        if (delegated.shares != 0) {
            toPool = amount * delegated.assets / (uint256(self.stake) + delegated.assets + 1);
            toPool -= toPool * _commission(self) / 10_000;
        }
        self.rewards = (self.rewards + (amount - toPool)).toUint96();
        if (toPool != 0) {
            // What is still unvested starts its period again, together with the new part.
            delegated.unvested = (delegated.unvested + toPool).toUint128();
            delegated.vestedAt = uint64(block.timestamp);
            delegated.vestedBy = uint64(block.timestamp) + _REWARD_PERIOD;
        }
        totalRewards += amount;
        emit RewardAdded(operatorId, amount - toPool, toPool);
        _pull(amount);
    }

    /// @inheritdoc IStaking
    function setMaxWeight(uint64 maxWeight_) external onlyGovernance {
        if (maxWeight_ < MIN_MAX_WEIGHT || maxWeight_ > MAX_MAX_WEIGHT) revert WeightOutOfRange(maxWeight_);
        maxWeight = maxWeight_;
        emit MaxWeightChanged(maxWeight_);
    }

    /// @inheritdoc IStaking
    function domainSeparator() external view returns (bytes32) {
        // Made anew: an L1 that forked under another chain id is another network.
        return Signing.domainSeparator(block.chainid, address(this));
    }

    /// @inheritdoc IStaking
    function metis() external view returns (address) {
        return address(_METIS);
    }

    /// @inheritdoc IStaking
    function governance() external view returns (address) {
        return _GOVERNANCE;
    }

    /// @inheritdoc IStaking
    function slashing() external view returns (address) {
        return _SLASHING;
    }

    /// @inheritdoc IStaking
    function rewards() external view returns (address) {
        return _REWARDS;
    }

    /// @inheritdoc IStaking
    function unbondingDelay() external view returns (uint64) {
        return _UNBONDING_DELAY;
    }

    /// @inheritdoc IStaking
    function config() external view returns (Config memory) {
        return Config({
            unbondingDelay: _UNBONDING_DELAY,
            churnPeriod: _CHURN_PERIOD,
            commissionNotice: _COMMISSION_NOTICE,
            rewardPeriod: _REWARD_PERIOD
        });
    }

    /// @inheritdoc IStaking
    function operator(uint64 operatorId) external view returns (Operator memory) {
        return _operators[operatorId];
    }

    /// @inheritdoc IStaking
    function rewardsOf(uint64 operatorId) external view returns (uint256) {
        return _operators[operatorId].rewards;
    }

    /// @inheritdoc IStaking
    function operatorOf(address signer) external view returns (uint64) {
        return _signers[signer].operatorId;
    }

    /// @inheritdoc IStaking
    function answersUntil(address signer) external view returns (uint64) {
        return _signers[signer].answersUntil;
    }

    /// @inheritdoc IStaking
    function pool(uint64 operatorId) external view returns (PoolView memory) {
        Operator storage self = _operators[operatorId];
        Pool storage delegated = _pools[operatorId];
        uint256 vested = _vested(delegated);
        uint256 assets = delegated.assets + vested;
        return PoolView({
            series: delegated.series,
            shares: delegated.shares,
            assets: assets,
            price: ShareMath.toAssets(1 ether * ShareMath.VIRTUAL_SHARES, delegated.shares, assets),
            unvested: delegated.unvested - vested,
            vestedBy: delegated.vestedBy,
            commission: _commission(self),
            nextCommission: self.nextCommission,
            commissionFrom: self.commissionFrom
        });
    }

    /// Takes `fraction` of the operator's pool and of its requests not yet releasable at `caseAt`.
    function _slashSeries(uint64 operatorId, uint256 fraction, uint64 caseAt)
        private
        returns (uint256 fromPool, uint256 fromUnbonding)
    {
        Pool storage delegated = _pools[operatorId];
        _settle(delegated);
        Book storage book = _books[operatorId][delegated.series];
        uint256 index = _index(operatorId);
        uint256 next = index * (ALL - fraction) / ALL;
        if (next < MIN_INDEX) (next, fraction) = (0, ALL);
        uint256 liable = _above(book.requested, caseAt);
        uint256 kept = Math.ceilDiv(liable * next, RAY);
        uint256 before = liable * index / RAY;
        // Rounded so that what stays covers scaled × index of every request.
        if (before > kept) fromUnbonding = before - kept;
        totalUnbonding -= fromUnbonding;
        book.losses.push(uint48(caseAt), uint208(RAY - next));

        uint256 assets = delegated.assets * fraction / ALL;
        uint256 unvested = delegated.unvested * fraction / ALL;
        delegated.assets -= uint128(assets);
        delegated.unvested -= uint128(unvested);
        totalDelegated -= assets;
        totalRewards -= unvested;
        fromPool = assets + unvested;
        if (next == 0) {
            emit SeriesRetired(operatorId, delegated.series);
            delegated.shares = 0;
            ++delegated.series;
        }
    }

    function _closeCase(uint64 operatorId, uint64 caseAt) private {
        if (caseAt == 0 || caseOf[operatorId] != caseAt) revert UnknownCase(operatorId, caseAt);
        delete caseOf[operatorId];
        _operators[operatorId].frozen = false;
    }

    function _requireRegistered(Operator storage self, uint64 operatorId) private view {
        if (self.owner == address(0)) revert UnknownOperator(operatorId);
    }

    function _within(uint64 time, uint64 most) private pure returns (uint64) {
        if (time == 0 || time > most) revert TimeOutOfRange(time);
        return time;
    }
}
