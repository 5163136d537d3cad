// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {SequencerSet} from "../../src/l1/SequencerSet.sol";
import {Staking} from "../../src/l1/Staking.sol";
import {TestBase} from "forge-std/Base.sol";
import {StdAssertions} from "forge-std/StdAssertions.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";

/// Many owners and delegators, Slashing and Rewards, calling everything in any order with arguments that are valid at that
/// moment (a revert is a failure), and the books they would keep themselves.
contract StakeHandler is TestBase, StdAssertions, StdCheats, StdUtils {
    uint256 internal constant OWNERS = 8;
    /// Private key of the first signer; the others' follow.
    uint256 public constant SIGNER_KEY = 0x5160000;
    uint256 public constant DELEGATORS = 6;
    uint256 internal constant MAX_OPERATORS = 10;
    Staking internal immutable _STAKING;
    SequencerSet internal immutable _SET;
    DevnetMetis internal immutable _METIS;

    uint256 public totalIn;
    uint256 public totalOut;
    uint256 public totalRewarded;
    uint256 public totalSlashed;
    uint256 public slashes;
    /// Most that a slot of the exit queue was ever allowed to hold.
    uint256 public mostChurn;
    mapping(address delegator => uint256) public paidIn;
    mapping(address delegator => uint256) public paidOut;
    uint64[] public operators;
    /// Every request ever made, redelegations too.
    uint256[] public requests;
    /// The release that was announced when a request was made.
    mapping(uint256 request => uint64) public dateOf;
    address[] public signers;
    mapping(address signer => uint64) public signerOf;
    mapping(string call => uint256) public calls;

    constructor(Staking staking, SequencerSet set, DevnetMetis metis) {
        _STAKING = staking;
        _SET = set;
        _METIS = metis;
    }

    function operatorCount() external view returns (uint256) {
        return operators.length;
    }

    function requestCount() external view returns (uint256) {
        return requests.length;
    }

    function signerCount() external view returns (uint256) {
        return signers.length;
    }

    function delegatorAt(uint256 i) public pure returns (address) {
        return address(uint160(0xD0000 + i));
    }

    // operators

    function register(uint256 actor, uint96 amount) external {
        if (operators.length == MAX_OPERATORS) return;
        address owner = _owner(actor);
        amount = uint96(bound(amount, _STAKING.MIN_STAKE(), _STAKING.MAX_STAKE()));
        _fund(owner, amount);
        address signer = _freshSigner();
        vm.prank(owner);
        uint64 id = _STAKING.register(amount, signer, owner);
        operators.push(id);
        signerOf[signer] = id;
        totalIn += amount;
    }

    function increase(uint256 pick, uint256 actor, uint96 amount) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (!_open(id, self) || self.stake == _STAKING.MAX_STAKE()) return;
        amount = uint96(bound(amount, 1, _STAKING.MAX_STAKE() - self.stake));
        address payer = _owner(actor);
        _fund(payer, amount);
        vm.prank(payer);
        _STAKING.increase(id, amount);
        totalIn += amount;
    }

    function compound(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (!_open(id, self) || self.rewards == 0 || self.stake == _STAKING.MAX_STAKE()) return;
        vm.prank(self.owner);
        _STAKING.compound(id);
        ++calls["compound"];
    }

    function decrease(uint256 pick, uint96 amount) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0 || self.exited || self.stake <= _STAKING.MIN_STAKE()) return;
        if (_STAKING.requestsOf(address(uint160(id))).length >= _STAKING.MAX_SELF_REQUESTS() - 1) return;
        amount = uint96(bound(amount, 1, self.stake - _STAKING.MIN_STAKE()));
        _noteChurn();
        vm.prank(self.owner);
        _made(_STAKING.decrease(id, amount), amount);
    }

    /// Whatever else is going on with the operator, its exit works.
    function exit(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        // Now and then, so that there is something left to play with.
        if (id == 0 || self.exited || pick % 3 != 0) return;
        _noteChurn();
        vm.prank(self.owner);
        uint256 request = _STAKING.exit(id);
        if (request != 0) _made(request, self.stake);
        ++calls["exit"];
    }

    function eject(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0 || !_listed(id)) return;
        bool left = self.exited && (self.away || self.frozen ? false : _STAKING.weightOf(id) == 0);
        if (!left && (self.exited || self.stake >= _STAKING.MIN_STAKE())) return;
        // Less than one METIS may still be waiting; then it is not due.
        try _STAKING.eject(id) {
            ++calls["eject"];
            assertFalse(_listed(id));
        } catch {
            assertTrue(left);
        }
    }

    function takeLeave(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0 || pick % 3 != 0) return;
        vm.prank(self.owner);
        _STAKING.takeLeave(id);
        assertEq(_STAKING.weightOf(id), 0);
    }

    function rejoin(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0 || self.exited || self.stake < _STAKING.MIN_STAKE()) return;
        vm.prank(self.owner);
        _STAKING.rejoin(id);
    }

    function rotate(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0 || self.exited) return;
        address signer = _freshSigner();
        vm.prank(self.owner);
        _STAKING.rotateSigner(id, signer);
        signerOf[signer] = id;
    }

    function changeOwner(uint256 pick, uint256 actor) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0) return;
        vm.prank(self.owner);
        _STAKING.transferOperator(id, _owner(actor));
        vm.prank(_owner(actor));
        _STAKING.acceptOperator(id);
    }

    function setCommission(uint256 pick, uint16 commission) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0) return;
        uint256 most = _STAKING.pool(id).commission + 100;
        commission = uint16(bound(commission, 0, most < 2_000 ? most : 2_000));
        vm.prank(self.owner);
        _STAKING.setCommission(id, commission);
    }

    function claimRewards(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0 || self.rewards == 0) return;
        vm.prank(self.owner);
        totalOut += _STAKING.claimRewards(id);
    }

    // delegators

    function delegate(uint256 pick, uint256 actor, uint96 amount) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (!_open(id, self)) return;
        address delegator = delegatorAt(actor % DELEGATORS);
        // Small amounts are where roundings hurt.
        amount = uint96(actor % 5 == 0 ? bound(amount, 1, 1e6) : bound(amount, 1 ether, 200_000 ether));
        IStaking.PoolView memory pool = _STAKING.pool(id);
        if (uint256(amount) * (pool.shares + 1e3) / (pool.assets + 1) == 0) return;
        _fund(delegator, amount);
        vm.prank(delegator);
        _STAKING.delegate(id, amount, 0);
        paidIn[delegator] += amount;
        totalIn += amount;
        ++calls["delegate"];
    }

    /// In any state of the operator, also of a dead series.
    function undelegate(uint256 pick, uint256 actor, uint256 shares, bool all) external {
        (uint64 id,) = _operator(pick);
        address delegator = delegatorAt(actor % DELEGATORS);
        if (id == 0 || _STAKING.requestsOf(delegator).length == 32) return;
        uint32 series = _STAKING.pool(id).series;
        if (series != 0 && actor % 4 == 0) series = uint32(actor % series);
        IStaking.DelegationView memory held = _STAKING.delegationIn(id, series, delegator);
        if (held.shares == held.locked) return;
        shares = all ? held.shares - held.locked : bound(shares, 1, held.shares - held.locked);
        uint256 worth = held.assets * shares / held.shares;
        _noteChurn();
        vm.prank(delegator);
        uint256 request = _STAKING.undelegate(id, series, shares, 0);
        if (request == 0) {
            assertLe(worth, 1);
            return;
        }
        _made(request, 0);
        assertApproxEqAbs(_STAKING.unbonding(request).amount, worth, 3);
        ++calls["undelegate"];
    }

    function redelegate(uint256 pick, uint256 pickTo, uint256 actor, uint256 shares) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        (uint64 to, IStaking.Operator memory other) = _operator(pickTo);
        address delegator = delegatorAt(actor % DELEGATORS);
        if (id == to || !_open(to, other) || self.frozen || _STAKING.requestsOf(delegator).length == 32) return;
        if (self.exited && self.lastReleaseAt > block.timestamp) return;
        IStaking.DelegationView memory held = _STAKING.delegation(id, delegator);
        IStaking.PoolView memory pool = _STAKING.pool(to);
        if (held.shares == held.locked) return;
        shares = bound(shares, 1, held.shares - held.locked);
        uint256 worth = held.assets * shares / held.shares;
        if (worth < 2 || (worth - 1) * (pool.shares + 1e3) / (pool.assets + 1) == 0) return;
        vm.prank(delegator);
        (, uint256 request) = _STAKING.redelegate(id, to, shares, 0);
        requests.push(request);
        dateOf[request] = _STAKING.unbonding(request).releaseAt;
        assertGe(dateOf[request], block.timestamp + _STAKING.unbondingDelay());
        ++calls["redelegate"];
    }

    function enforce(uint256 pick) external {
        if (requests.length == 0) return;
        for (uint256 i; i < requests.length; ++i) {
            uint256 request = requests[(pick % requests.length + i) % requests.length];
            IStaking.Unbonding memory open = _STAKING.unbonding(request);
            if (open.toOperatorId == 0) continue;
            uint256 books = _books();
            try _STAKING.enforce(request) returns (uint256 amount) {
                assertEq(books - _books(), amount);
                totalSlashed += amount;
                if (amount != 0) ++calls["enforce"];
            } catch {
                assertGt(_STAKING.claimableAt(request), block.timestamp);
            }
            return;
        }
    }

    /// Whatever is due and not liable in an open case is paid, exactly as announced.
    function claim(uint256 pick) external {
        if (requests.length == 0) return;
        for (uint256 i; i < requests.length; ++i) {
            uint256 request = requests[(pick % requests.length + i) % requests.length];
            IStaking.Unbonding memory open = _STAKING.unbonding(request);
            if (open.operatorId == 0 || open.toOperatorId != 0) continue;
            if (_STAKING.claimableAt(request) > block.timestamp) continue;
            address to = open.account == address(0) ? _STAKING.operator(open.operatorId).owner : open.account;
            vm.prank(to);
            uint256 amount = _STAKING.claim(request);
            assertEq(amount, open.amount);
            paidOut[to] += amount;
            totalOut += amount;
            ++calls["claim"];
            return;
        }
    }

    // Slashing and Rewards

    function freeze(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (id == 0 || self.frozen || pick % 3 != 0) return;
        uint256 most = _liable(id, self.stake);
        vm.prank(_STAKING.slashing());
        uint256 atStake = _STAKING.freeze(id);
        assertEq(_STAKING.weightOf(id), 0);
        if (atStake < _STAKING.maxWeight()) assertApproxEqAbs(atStake, most / 1e18, 1);
        else assertGe(most / 1e18 + 1, atStake);
    }

    function unfreeze(uint256 pick) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (!self.frozen) return;
        uint64 caseAt = _STAKING.caseOf(id);
        vm.prank(_STAKING.slashing());
        _STAKING.unfreeze(id, caseAt);
    }

    /// Against what a reader would expect: every liable thing loses the fraction, nothing else loses anything, and the sum is what
    /// was paid.
    function slash(uint256 pick, uint256 fraction, uint256 kind) external {
        (uint64 id, IStaking.Operator memory self) = _operator(pick);
        if (!self.frozen) return;
        fraction = kind % 4 == 0 ? 1e18 : kind % 4 == 1 ? 0.01e18 : bound(fraction, 0, 1e18);
        _slash(id, fraction);
    }

    function _slash(uint64 id, uint256 fraction) internal {
        IStaking.Operator memory self = _STAKING.operator(id);
        uint64 caseAt = _STAKING.caseOf(id);
        uint256[] memory before = _amounts();
        IStaking.PoolView memory pool = _STAKING.pool(id);
        uint256 books = _books();
        uint256 amount = _take(id, fraction, caseAt);
        totalSlashed += amount;
        ++slashes;
        ++calls["slash"];
        assertEq(books - _books(), amount);
        assertEq(_STAKING.operator(id).stake, self.stake - self.stake * fraction / 1e18);

        uint256 lost = self.stake * fraction / 1e18;
        if (_STAKING.pool(id).series != pool.series) {
            fraction = 1e18;
            ++calls["retire"];
        }
        lost += pool.assets * fraction / 1e18 + pool.unvested * fraction / 1e18;
        lost += _lostRequests(id, pool.series, caseAt, fraction, before);
        assertApproxEqAbs(amount, lost, 4 * (requests.length + slashes + 1) + lost / 1e17);
    }

    /// The slash itself.
    function _take(uint64 id, uint256 fraction, uint64 caseAt) internal virtual returns (uint256 amount) {
        address to = _STAKING.slashing();
        uint256 held = _METIS.balanceOf(to);
        vm.prank(to);
        amount = _STAKING.slash(id, fraction, caseAt, to);
        assertEq(_METIS.balanceOf(to) - held, amount);
    }

    /// What a slash opened now reaches, piece by piece.
    function _liable(uint64 id, uint256 sum) private view returns (uint256) {
        IStaking.PoolView memory pool = _STAKING.pool(id);
        sum += pool.assets + pool.unvested;
        for (uint256 i; i < requests.length; ++i) {
            IStaking.Unbonding memory open = _STAKING.unbonding(requests[i]);
            if (open.operatorId != id || open.series != pool.series || open.releaseAt <= block.timestamp) continue;
            sum += open.amount;
        }
        return sum;
    }

    /// Requests liable in the case have lost the fraction, the others nothing.
    function _lostRequests(uint64 id, uint32 series, uint64 caseAt, uint256 fraction, uint256[] memory before)
        private
        view
        returns (uint256 lost)
    {
        for (uint256 i; i < before.length; ++i) {
            IStaking.Unbonding memory open = _STAKING.unbonding(requests[i]);
            if (open.operatorId != id || open.releaseAt <= caseAt || open.series != series) {
                assertEq(open.amount, before[i]);
                continue;
            }
            uint256 part = before[i] * fraction / 1e18;
            assertApproxEqAbs(open.amount, before[i] - part, 2 + before[i] / 1e17);
            if (open.toOperatorId == 0) lost += part;
        }
    }

    function addReward(uint256 pick, uint96 amount) external {
        (uint64 id,) = _operator(pick);
        if (id == 0) return;
        amount = uint96(bound(amount, 0, 5_000 ether));
        address from = _STAKING.rewards();
        _fund(from, amount);
        vm.prank(from);
        _STAKING.addReward(id, amount);
        totalRewarded += amount;
    }

    // the rest of the world

    function snapshot() external {
        (bytes32[] memory members,,) = _SET.preview();
        if (members.length == 0) return;
        vm.roll(block.number + _SET.minInterval());
        _SET.snapshot();
    }

    function govern(uint64 maxWeight, bool whitelist) external {
        vm.startPrank(_STAKING.governance());
        _STAKING.setMaxWeight(uint64(bound(maxWeight, 100_000, 10_000_000)));
        for (uint256 i; i < OWNERS; ++i) {
            _STAKING.setWhitelisted(_owner(i), true);
        }
        _STAKING.setWhitelistEnabled(whitelist);
        vm.stopPrank();
    }

    function wait_(uint256 time, bool long) external {
        vm.warp(block.timestamp + (long ? bound(time, 1 days, 15 days) : bound(time, 1, 10 minutes)));
    }

    /// What the contract keeps, by its own totals.
    function _books() private view returns (uint256) {
        return _STAKING.totalStaked() + _STAKING.totalDelegated() + _STAKING.totalUnbonding() + _STAKING.totalRewards();
    }

    function _amounts() private view returns (uint256[] memory list) {
        list = new uint256[](requests.length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = _STAKING.unbonding(requests[i]).amount;
        }
    }

    /// A request's date is known when it is made, and near.
    function _made(uint256 request, uint256 amount) private {
        requests.push(request);
        uint64 releaseAt = _STAKING.unbonding(request).releaseAt;
        dateOf[request] = releaseAt;
        (uint64 slot, uint192 used) = _STAKING.exitQueue();
        uint256 last = (uint256(slot) + 1) * _STAKING.config().churnPeriod + _STAKING.unbondingDelay();
        // Behind an operator that has exited nothing queues.
        if (releaseAt > last) assertEq(releaseAt, block.timestamp + _STAKING.unbondingDelay());
        assertGe(releaseAt, block.timestamp + _STAKING.unbondingDelay());
        assertLe(used, mostChurn);
        if (amount != 0) assertApproxEqAbs(_STAKING.unbonding(request).amount, amount, 2);
    }

    function _noteChurn() private {
        uint256 limit = _STAKING.churnLimit();
        // A reward that vests in the call adds to it.
        limit += _STAKING.totalRewards() / 6;
        if (limit > mostChurn) mostChurn = limit;
    }

    function _fund(address payer, uint256 amount) private {
        vm.prank(_METIS.owner());
        _METIS.mint(payer, amount);
        vm.prank(payer);
        IERC20(address(_METIS)).approve(address(_STAKING), amount);
    }

    function _owner(uint256 seed) private pure returns (address) {
        return address(uint160(0xA0000 + (seed % OWNERS)));
    }

    function _freshSigner() private returns (address signer) {
        signer = vm.addr(SIGNER_KEY + signers.length);
        signers.push(signer);
    }

    /// Some operator, or zero.
    function _operator(uint256 pick) private view returns (uint64 id, IStaking.Operator memory self) {
        if (operators.length == 0) return (0, self);
        id = operators[pick % operators.length];
        self = _STAKING.operator(id);
    }

    /// New stake may enter: no case, not gone, and the series has not lost nearly all.
    function _open(uint64 id, IStaking.Operator memory self) private view returns (bool) {
        if (id == 0 || self.exited || self.frozen) return false;
        // The slash index is private; a slot of a fresh book is empty. Ask with a call that changes nothing.
        (bool ok, bytes memory reason) =
            address(_STAKING).staticcall(abi.encodeCall(IStaking.increase, (id, uint96(0))));
        return !ok && bytes4(reason) == IStaking.ZeroAmount.selector;
    }

    function _listed(uint64 id) private view returns (bool) {
        IStaking.Candidate[] memory list = _STAKING.candidates();
        for (uint256 i; i < list.length; ++i) {
            if (list[i].operatorId == id) return true;
        }
        return false;
    }
}
