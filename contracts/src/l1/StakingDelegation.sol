// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {ShareMath} from "../libraries/ShareMath.sol";
import {StakingBase} from "./StakingBase.sol";

/// The delegators' part of {IStaking}.
abstract contract StakingDelegation is StakingBase {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    /// @inheritdoc IStaking
    function delegate(uint64 operatorId, uint96 amount, uint256 minShares) external returns (uint256 shares) {
        _requirePositive(amount);
        shares = _mint(operatorId, amount, minShares);
        _pull(amount);
    }

    /// @inheritdoc IStaking
    function undelegate(uint64 operatorId, uint32 series, uint256 shares, uint256 minAssets)
        external
        returns (uint256 requestId)
    {
        Operator storage self = _operators[operatorId];
        Pool storage delegated = _pools[operatorId];
        _settle(delegated);
        uint64 releaseAt;
        if (self.exited) {
            // Its weight went, or waits, with the operator's.
            releaseAt = uint64(block.timestamp) + _UNBONDING_DELAY;
            if (releaseAt < self.lastReleaseAt) releaseAt = self.lastReleaseAt;
        } else if (series == delegated.series && shares <= delegated.shares) {
            // Before the burn: the queue's limit is a part of what is still there. Too many shares fail in the burn.
            releaseAt = _enqueue(operatorId, ShareMath.toAssets(shares, delegated.shares, delegated.assets));
        }
        uint256 amount = _burn(operatorId, series, shares, minAssets);
        if (amount != 0) requestId = _unbond(operatorId, msg.sender, amount, releaseAt);
    }

    /// @inheritdoc IStaking
    function redelegate(uint64 operatorId, uint64 toOperatorId, uint256 shares, uint256 minShares)
        external
        returns (uint256 newShares, uint256 requestId)
    {
        if (operatorId == toOperatorId) revert SameOperator(operatorId);
        Operator storage self = _operators[operatorId];
        _requireNoCase(operatorId);
        // Its weight would count twice.
        if (self.exited && _waiting(operatorId, self) != 0) revert StillWaiting(operatorId);
        uint32 series = _pools[operatorId].series;
        uint256 amount = _burn(operatorId, series, shares, 0);
        _requirePositive(amount);
        newShares = _mint(toOperatorId, amount, minShares);

        uint64 releaseAt = uint64(block.timestamp) + _UNBONDING_DELAY;
        if (self.exited && releaseAt < self.lastReleaseAt) releaseAt = self.lastReleaseAt;
        uint32 toSeries = _pools[toOperatorId].series;
        _delegations[toOperatorId][toSeries][msg.sender].locked += uint128(newShares);
        requestId = _newRequest(msg.sender);
        uint128 scaled = _scaled(operatorId, amount);
        _add(_book(operatorId).moved, releaseAt, scaled);
        _requests[requestId] = Request({
            account: msg.sender,
            operatorId: operatorId,
            series: series,
            scaled: scaled,
            releaseAt: releaseAt,
            toOperatorId: toOperatorId,
            lockedShares: uint128(newShares),
            toSeries: toSeries,
            lossSeen: uint96(RAY - _index(operatorId))
        });
        emit Redelegated(requestId, operatorId, msg.sender, toOperatorId, amount, releaseAt);
    }

    /// @inheritdoc IStaking
    function enforce(uint256 requestId) external returns (uint256 amount) {
        Request memory request = _load(requestId);
        _requireKnown(requestId, request.toOperatorId != 0);
        bool released = block.timestamp >= request.releaseAt && !_blocked(request);
        uint256 loss = _lossOf(request);
        uint256 owed = uint256(request.scaled) * (loss - request.lossSeen) / RAY;
        if (!released && owed == 0) revert StillUnbonding(requestId, request.releaseAt);
        Delegation storage held = _delegations[request.toOperatorId][request.toSeries][request.account];
        Pool storage delegated = _pools[request.toOperatorId];
        uint128 burned;
        if (owed != 0 && request.toSeries == delegated.series) {
            _settle(delegated);
            (uint256 shares, uint256 assets) = (delegated.shares, delegated.assets);
            uint256 due = ShareMath.sharesFor(owed, shares, assets);
            burned = due < request.lockedShares ? uint128(due) : request.lockedShares;
            amount = ShareMath.toAssets(burned, shares, assets);
            if (amount > owed) amount = owed;
            held.shares -= burned;
            held.locked -= burned;
            _take(request.toOperatorId, delegated, burned, amount);
            emit LiabilityEnforced(requestId, amount, burned);
        }
        if (released) {
            held.locked -= request.lockedShares - burned;
            _close(requestId, request);
            emit RedelegationReleased(requestId);
        } else {
            _requests[requestId].lockedShares = request.lockedShares - burned;
            _requests[requestId].lossSeen = uint96(loss);
        }
        if (amount != 0) _pay(_SLASHING, amount);
    }

    /// @inheritdoc IStaking
    function delegation(uint64 operatorId, address delegator) external view returns (DelegationView memory) {
        return delegationIn(operatorId, _pools[operatorId].series, delegator);
    }

    /// @inheritdoc IStaking
    function delegationIn(uint64 operatorId, uint32 series, address delegator)
        public
        view
        returns (DelegationView memory view_)
    {
        Delegation storage held = _delegations[operatorId][series][delegator];
        Pool storage delegated = _pools[operatorId];
        (view_.series, view_.shares, view_.locked) = (series, held.shares, held.locked);
        if (series == delegated.series) {
            uint256 assets = delegated.assets + _vested(delegated);
            view_.assets = ShareMath.toAssets(held.shares, delegated.shares, assets);
        }
    }

    /// Gives the caller the shares that `amount` buys.
    function _mint(uint64 operatorId, uint256 amount, uint256 minShares) private returns (uint256 shares) {
        _requireOpen(operatorId);
        Pool storage delegated = _pools[operatorId];
        _settle(delegated);
        shares = ShareMath.toShares(amount, delegated.shares, delegated.assets);
        _requireAtLeast(shares, minShares);
        _requirePositive(shares);
        delegated.shares = (delegated.shares + shares).toUint128();
        delegated.assets = (delegated.assets + amount).toUint128();
        totalDelegated += amount;
        // Not more than the pool's.
        _delegations[operatorId][delegated.series][msg.sender].shares += uint128(shares);
        emit Delegated(operatorId, delegated.series, msg.sender, amount, shares);
    }

    /// Burns the caller's shares.
    /// @return amount What they stood for, now out of the pool; nothing in a dead series.
    function _burn(uint64 operatorId, uint32 series, uint256 shares, uint256 minAssets)
        private
        returns (uint256 amount)
    {
        _requirePositive(shares);
        Delegation storage held = _delegations[operatorId][series][msg.sender];
        uint256 free = held.shares - held.locked;
        if (shares > free) revert NotEnoughShares(shares, free);
        // At most what is held.
        held.shares -= uint128(shares);
        Pool storage delegated = _pools[operatorId];
        if (series == delegated.series) {
            _settle(delegated);
            amount = ShareMath.toAssets(shares, delegated.shares, delegated.assets);
            _take(operatorId, delegated, uint128(shares), amount);
        }
        _requireAtLeast(amount, minAssets);
        emit Undelegated(operatorId, series, msg.sender, amount, shares);
    }

    function _requireAtLeast(uint256 given, uint256 minimum) private pure {
        if (given < minimum) revert Slippage(given, minimum);
    }

    /// Takes burned shares and their assets out of a settled pool. What is left when the last share goes is the operator's.
    function _take(uint64 operatorId, Pool storage self, uint128 shares, uint256 amount) private {
        self.shares -= shares;
        // At most the pool's assets, as shares round against their holder.
        self.assets -= uint128(amount);
        totalDelegated -= amount;
        if (self.shares != 0) return;
        (uint256 assets, uint256 unvested) = (self.assets, self.unvested);
        (self.assets, self.unvested) = (0, 0);
        totalDelegated -= assets;
        totalRewards += assets;
        _operators[operatorId].rewards += (assets + unvested).toUint96();
    }
}
