// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";
import {IStaking} from "../interfaces/IStaking.sol";

/// What operators' and delegators' calls share: the state, the exit queue, requests and weights.
///
/// Slashes reach what is unbonding through an index per operator and series: RAY minus the loss so far. A request keeps its
/// amount divided by the index of its creation ("scaled") and pays scaled × index, where the index is that of the last case
/// opened before its release. The sum of scaled amounts by release tells a slash what is liable without a loop.
/// All three roundings are down for the holder, so what was kept for the requests always covers them.
abstract contract StakingBase is IStaking {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// A pool of delegated stake. Shares of another series than this are dead.
    struct Pool {
        uint128 assets;
        uint128 unvested;
        uint128 shares;
        uint64 vestedAt;
        uint64 vestedBy;
        uint32 series;
    }

    /// What one series of an operator answers with and for. Keys are unix seconds, but slot numbers in `waiting`.
    /// @param losses RAY minus index, by the time of the case.
    /// @param requested Sum of scaled amounts, by release.
    /// @param moved The same of redelegations, which answer from where they are now.
    /// @param waiting Sum of scaled weight that leaves in a slot after the one it was requested in, by that slot.
    struct Book {
        Checkpoints.Trace208 losses;
        Checkpoints.Trace208 requested;
        Checkpoints.Trace208 moved;
        Checkpoints.Trace208 waiting;
    }

    /// @param scaled Amount divided by the series' index.
    /// @param toOperatorId Not zero for a redelegation, and only then are the following in use.
    /// @param lossSeen Loss of the old pool that has been paid for.
    struct Request {
        address account;
        uint64 operatorId;
        uint32 series;
        uint128 scaled;
        uint64 releaseAt;
        uint64 toOperatorId;
        uint128 lockedShares;
        uint32 toSeries;
        uint96 lossSeen;
    }

    struct Delegation {
        uint128 shares;
        uint128 locked;
    }

    struct Signer {
        uint64 operatorId;
        uint64 answersUntil;
    }

    /// Least self-stake of an operator with weight.
    uint96 public constant MIN_STAKE = 20_000 ether;
    /// Most self-stake.
    uint96 public constant MAX_STAKE = 100_000 ether;
    /// Most candidates: what a snapshot can look through. At the minimum stake that is more METIS than exists.
    uint256 public constant MAX_OPERATORS = 512;
    /// Most open requests of an operator for self-stake; the last is kept for the exit.
    uint256 public constant MAX_SELF_REQUESTS = 16;
    /// Most open requests and redelegations of a delegator.
    uint256 internal constant MAX_REQUESTS = 32;
    /// Part of all stake that may start leaving in one slot.
    uint256 internal constant CHURN_DIVISOR = 6;
    /// Index of a series without a loss.
    uint256 internal constant RAY = 1e27;
    /// Below a billionth the index would be too coarse: the series ends.
    uint256 internal constant MIN_INDEX = 1e18;
    /// Below a thousandth nothing enters: who enters above loses no more than a millionth to the series' end.
    uint256 internal constant MIN_OPEN_INDEX = 1e24;

    IERC20 internal immutable _METIS;
    address internal immutable _GOVERNANCE;
    address internal immutable _SLASHING;
    address internal immutable _REWARDS;
    uint64 internal immutable _UNBONDING_DELAY;
    uint64 internal immutable _CHURN_PERIOD;
    uint64 internal immutable _COMMISSION_NOTICE;
    uint64 internal immutable _REWARD_PERIOD;

    /// @inheritdoc IStaking
    uint256 public totalStaked;
    /// @inheritdoc IStaking
    uint256 public totalDelegated;
    /// @inheritdoc IStaking
    uint256 public totalUnbonding;
    /// @inheritdoc IStaking
    uint256 public totalRewards;
    /// @inheritdoc IStaking
    uint64 public maxWeight = 300_000;
    uint64 internal _lastRequestId;
    uint64[] internal _listed;
    /// Position in `_listed` plus one; zero when not a candidate.
    mapping(uint64 operatorId => uint256) internal _position;
    mapping(uint64 operatorId => Operator) internal _operators;
    mapping(uint64 operatorId => Pool) internal _pools;
    mapping(uint64 operatorId => mapping(uint32 series => Book)) internal _books;
    /// @inheritdoc IStaking
    mapping(uint64 operatorId => uint64) public caseOf;
    mapping(address signer => Signer) internal _signers;
    mapping(uint256 requestId => Request) internal _requests;
    /// Open requests by holder: a delegator's address, or an operator's number, which is nobody's address.
    mapping(address holder => uint64[]) internal _open;
    mapping(uint64 operatorId => mapping(uint32 series => mapping(address delegator => Delegation))) internal
        _delegations;
    uint64 private _queueSlot;
    uint192 private _queueUsed;

    modifier onlyOperatorOwner(uint64 operatorId) {
        _requireOwner(operatorId);
        _;
    }

    /// @inheritdoc IStaking
    function claim(uint256 requestId) external returns (uint256 amount) {
        Request memory request = _load(requestId);
        _requireKnown(requestId, request.releaseAt != 0 && request.toOperatorId == 0);
        address to = request.account;
        if (to == address(0)) {
            _requireOwner(request.operatorId);
            to = msg.sender;
        } else {
            _requireSender(to);
        }
        if (block.timestamp < request.releaseAt) revert StillUnbonding(requestId, request.releaseAt);
        if (_blocked(request)) revert IsFrozen(request.operatorId);
        amount = _worth(request);
        _close(requestId, request);
        totalUnbonding -= amount;
        emit UnbondingClaimed(requestId, request.operatorId, to, amount);
        _pay(to, amount);
    }

    /// @inheritdoc IStaking
    function unbonding(uint256 requestId) external view returns (Unbonding memory) {
        Request memory request = _load(requestId);
        return Unbonding({
            operatorId: request.operatorId,
            account: request.account,
            series: request.series,
            amount: request.releaseAt == 0 ? 0 : _worth(request),
            releaseAt: request.releaseAt,
            toOperatorId: request.toOperatorId,
            lockedShares: request.lockedShares
        });
    }

    /// @inheritdoc IStaking
    function requestsOf(address holder) external view returns (uint64[] memory) {
        return _open[holder];
    }

    /// @inheritdoc IStaking
    function claimableAt(uint256 requestId) external view returns (uint64) {
        Request memory request = _load(requestId);
        return _blocked(request) ? type(uint64).max : request.releaseAt;
    }

    /// @inheritdoc IStaking
    function weightOf(uint64 operatorId) external view returns (uint64) {
        return _weight(operatorId, _operators[operatorId], maxWeight);
    }

    /// @inheritdoc IStaking
    function candidates() external view returns (Candidate[] memory list) {
        uint64[] memory ids = _listed;
        uint64 most = maxWeight;
        list = new Candidate[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            Operator storage self = _operators[ids[i]];
            list[i] = Candidate({operatorId: ids[i], signer: self.signer, weight: _weight(ids[i], self, most)});
        }
    }

    /// @inheritdoc IStaking
    function exitQueue() external view returns (uint64 slot, uint192 used) {
        return (_queueSlot, _queueUsed);
    }

    /// @inheritdoc IStaking
    function churnLimit() public view returns (uint256) {
        uint256 part = (totalStaked + totalDelegated) / CHURN_DIVISOR;
        return part < MIN_STAKE ? MIN_STAKE : part;
    }

    /// Puts `amount` of the operator's weight into the exit queue, before it is taken from the totals. A slot holds at least a
    /// sixth of what is there, so at most eight slots are touched.
    /// @return releaseAt End of the last slot plus the unbonding delay.
    function _enqueue(uint64 operatorId, uint256 amount) internal returns (uint64 releaseAt) {
        uint256 limit = churnLimit();
        uint256 now_ = block.timestamp / _CHURN_PERIOD;
        (uint256 slot, uint256 used) = (_queueSlot, _queueUsed);
        if (slot < now_) (slot, used) = (now_, 0);
        Book storage book = _book(operatorId);
        uint256 index = _index(operatorId);
        while (true) {
            uint256 room = used < limit ? limit - used : 0;
            uint256 part = amount < room ? amount : room;
            // What leaves in the slot of now has no weight any more.
            if (part != 0 && slot > now_) _add(book.waiting, slot, part * RAY / index);
            used += part;
            amount -= part;
            if (amount == 0) break;
            (slot, used) = (slot + 1, 0);
        }
        (_queueSlot, _queueUsed) = (uint64(slot), uint192(used));
        // Times stay far below 2^48 seconds.
        return uint64((slot + 1) * _CHURN_PERIOD + _UNBONDING_DELAY);
    }

    /// Keeps `amount`, already taken from stake or pool, until `releaseAt`, which never falls for one operator.
    /// @param account The delegator, or zero for self-stake.
    function _unbond(uint64 operatorId, address account, uint256 amount, uint64 releaseAt)
        internal
        returns (uint256 requestId)
    {
        Book storage book = _book(operatorId);
        uint128 scaled = _scaled(operatorId, amount);
        _add(book.requested, releaseAt, scaled);
        requestId = _newRequest(_holder(operatorId, account));
        Request storage request = _requests[requestId];
        (request.account, request.operatorId, request.series) = (account, operatorId, _pools[operatorId].series);
        (request.scaled, request.releaseAt) = (scaled, releaseAt);
        _operators[operatorId].lastReleaseAt = releaseAt;
        totalUnbonding += amount;
        emit UnbondingRequested(requestId, operatorId, account, amount, releaseAt);
    }

    function _newRequest(address holder) internal returns (uint64 requestId) {
        _requireRoom(holder, MAX_REQUESTS);
        requestId = ++_lastRequestId;
        _open[holder].push(requestId);
    }

    function _close(uint256 requestId, Request memory request) internal {
        uint64[] storage list = _open[_holder(request.operatorId, request.account)];
        // At most MAX_REQUESTS, and it is in there.
        uint256 i;
        while (list[i] != requestId) ++i;
        list[i] = list[list.length - 1];
        list.pop();
        delete _requests[requestId];
    }

    /// Takes the operator off the list of candidates; the last one fills its place.
    function _unlist(uint64 operatorId) internal {
        uint256 position = _position[operatorId];
        uint64 last = _listed[_listed.length - 1];
        _listed[position - 1] = last;
        _position[last] = position;
        _listed.pop();
        delete _position[operatorId];
        emit OperatorUnlisted(operatorId);
    }

    /// Moves what has vested into the pool's assets.
    function _settle(Pool storage self) internal {
        uint256 vested = _vested(self);
        if (vested == 0) return;
        self.assets += uint128(vested);
        self.unvested -= uint128(vested);
        self.vestedAt = uint64(block.timestamp);
        totalDelegated += vested;
        totalRewards -= vested;
    }

    function _add(Checkpoints.Trace208 storage trace, uint256 key, uint256 amount) internal {
        // Keys are times or fewer; a sum of what was once METIS divided by a billionth stays far below 2^208.
        trace.push(uint48(key), uint208(trace.latest() + amount));
    }

    /// What was added under keys above `key`.
    function _above(Checkpoints.Trace208 storage trace, uint256 key) internal view returns (uint256) {
        return trace.latest() - trace.upperLookup(uint48(key));
    }

    function _load(uint256 requestId) internal view returns (Request memory) {
        return _requests[requestId];
    }

    /// Book of the current series.
    function _book(uint64 operatorId) internal view returns (Book storage) {
        return _books[operatorId][_pools[operatorId].series];
    }

    /// Slash index of the current series; never zero.
    function _index(uint64 operatorId) internal view returns (uint256) {
        return RAY - _book(operatorId).losses.latest();
    }

    /// What is worth `amount` with the index of now.
    function _scaled(uint64 operatorId, uint256 amount) internal view returns (uint128) {
        return (amount * RAY / _index(operatorId)).toUint128();
    }

    /// What `scaled` is worth with the index of now.
    function _amount(uint64 operatorId, uint256 scaled) internal view returns (uint256) {
        return scaled * _index(operatorId) / RAY;
    }

    /// Whether a case is open that the request answers for: one opened before its release.
    function _blocked(Request memory request) internal view returns (bool) {
        uint64 caseAt = caseOf[request.operatorId];
        return caseAt != 0 && caseAt < request.releaseAt;
    }

    /// Loss of the request's series in cases opened before its release.
    function _lossOf(Request memory request) internal view returns (uint256) {
        return _books[request.operatorId][request.series].losses.upperLookup(uint48(request.releaseAt - 1));
    }

    function _worth(Request memory request) internal view returns (uint256) {
        return uint256(request.scaled) * (RAY - _lossOf(request)) / RAY;
    }

    /// Part of the unvested rewards whose time has come.
    function _vested(Pool storage self) internal view returns (uint256) {
        uint256 unvested = self.unvested;
        if (unvested == 0 || block.timestamp >= self.vestedBy) return unvested;
        return unvested * (block.timestamp - self.vestedAt) / (self.vestedBy - self.vestedAt);
    }

    /// Weight of the operator's requests whose slot has not begun, METIS wei.
    function _waiting(uint64 operatorId, Operator storage self) internal view returns (uint256) {
        // The newest request's slot has begun: spares reading the book.
        if (self.lastReleaseAt <= block.timestamp + _UNBONDING_DELAY + _CHURN_PERIOD) return 0;
        return _amount(operatorId, _above(_book(operatorId).waiting, block.timestamp / _CHURN_PERIOD));
    }

    function _weight(uint64 operatorId, Operator storage self, uint64 most) internal view returns (uint64) {
        if (self.away || self.frozen) return 0;
        uint256 amount = self.stake;
        if (!self.exited) {
            if (amount < MIN_STAKE) return 0;
            Pool storage delegated = _pools[operatorId];
            amount += delegated.assets + _vested(delegated);
        }
        return _capped(amount + _waiting(operatorId, self), most);
    }

    /// Whole METIS of `amount`, at most `most`.
    function _capped(uint256 amount, uint64 most) internal pure returns (uint64) {
        amount /= 1 ether;
        return amount < most ? uint64(amount) : most;
    }

    /// Whose list a request is on.
    function _holder(uint64 operatorId, address account) private pure returns (address) {
        return account == address(0) ? address(uint160(operatorId)) : account;
    }

    function _pay(address to, uint256 amount) internal {
        _METIS.safeTransfer(to, amount);
    }

    function _pull(uint256 amount) internal {
        _METIS.safeTransferFrom(msg.sender, address(this), amount);
    }

    function _requireSender(address allowed) internal view {
        if (msg.sender != allowed) revert NotAllowed(msg.sender);
    }

    function _requireOwner(uint64 operatorId) internal view {
        if (_operators[operatorId].owner != msg.sender) revert NotOwner(operatorId, msg.sender);
    }

    /// Registered and not exited.
    function _requireActive(uint64 operatorId) internal view {
        Operator storage self = _operators[operatorId];
        if (self.owner == address(0) || self.exited) revert NotActive(operatorId);
    }

    /// Active, without an open case and far from the end of its series: new stake must not pay for old misbehaviour.
    function _requireOpen(uint64 operatorId) internal view {
        _requireActive(operatorId);
        _requireNoCase(operatorId);
        if (_index(operatorId) < MIN_OPEN_INDEX) revert NotActive(operatorId);
    }

    function _requireNoCase(uint64 operatorId) internal view {
        if (_operators[operatorId].frozen) revert IsFrozen(operatorId);
    }

    function _requireKnown(uint256 requestId, bool known) internal pure {
        if (!known) revert UnknownRequest(requestId);
    }

    /// The holder has fewer than `most` open requests.
    function _requireRoom(address holder, uint256 most) internal view {
        if (_open[holder].length >= most) revert TooManyRequests(most);
    }

    function _requirePositive(uint256 amount) internal pure {
        if (amount == 0) revert ZeroAmount();
    }

    function _requireMinimum(uint256 stake) internal pure {
        if (stake < MIN_STAKE) revert StakeBelowMinimum(stake, MIN_STAKE);
    }
}
