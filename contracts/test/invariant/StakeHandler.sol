// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {DepositQueue} from "../../src/l1/DepositQueue.sol";
import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {SequencerSet} from "../../src/l1/SequencerSet.sol";
import {Staking} from "../../src/l1/Staking.sol";
import {TestBase} from "forge-std/Base.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";

/// Many owners calling everything in any order, with arguments that are valid at that moment, and the books they would keep
/// themselves.
contract StakeHandler is TestBase, StdCheats, StdUtils {
    uint256 internal constant ACTORS = 12;
    Staking internal immutable _STAKING;
    SequencerSet internal immutable _SET;
    DepositQueue internal immutable _QUEUE;
    DevnetMetis internal immutable _METIS;

    /// METIS each owner has paid in and got back. An operator that changes hands takes its balance along.
    mapping(address owner => uint256) public paidIn;
    mapping(address owner => uint256) public paidOut;
    uint256 public totalIn;
    uint256 public totalOut;
    uint256 public deposited;
    uint64[] public operators;
    uint256[] public requests;
    address[] public signers;
    mapping(address signer => uint64) public signerOf;
    uint256 private _nextSigner = 1;

    constructor(Staking staking, SequencerSet set, DepositQueue queue, DevnetMetis metis) {
        _STAKING = staking;
        _SET = set;
        _QUEUE = queue;
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

    function register(uint256 actor, uint96 amount) external {
        address owner = _actor(actor);
        amount = uint96(bound(amount, _STAKING.MIN_STAKE(), _STAKING.MAX_STAKE()));
        _fund(owner, amount, address(_STAKING));
        address signer = _freshSigner();
        vm.prank(owner);
        uint64 id = _STAKING.register(amount, signer, owner);
        operators.push(id);
        signerOf[signer] = id;
        _in(owner, amount);
    }

    function increase(uint256 pick, uint96 amount) external {
        (uint64 id, IStaking.Operator memory operator) = _active(pick);
        if (id == 0 || operator.stake == _STAKING.MAX_STAKE()) return;
        amount = uint96(bound(amount, 1, _STAKING.MAX_STAKE() - operator.stake));
        _fund(operator.owner, amount, address(_STAKING));
        vm.prank(operator.owner);
        _STAKING.increase(id, amount);
        _in(operator.owner, amount);
    }

    function decrease(uint256 pick, uint96 amount) external {
        (uint64 id, IStaking.Operator memory operator) = _active(pick);
        if (id == 0 || operator.stake == _STAKING.MIN_STAKE()) return;
        if (operator.openRequests >= _STAKING.MAX_REQUESTS() - 1) return;
        amount = uint96(bound(amount, 1, operator.stake - _STAKING.MIN_STAKE()));
        vm.prank(operator.owner);
        requests.push(_STAKING.decrease(id, amount));
    }

    function exit(uint256 pick) external {
        (uint64 id, IStaking.Operator memory operator) = _active(pick);
        if (id == 0) return;
        vm.prank(operator.owner);
        requests.push(_STAKING.exit(id));
    }

    function rotate(uint256 pick) external {
        (uint64 id, IStaking.Operator memory operator) = _active(pick);
        if (id == 0) return;
        address signer = _freshSigner();
        vm.prank(operator.owner);
        _STAKING.rotateSigner(id, signer);
        signerOf[signer] = id;
    }

    function changeOwner(uint256 pick, uint256 actor) external {
        if (operators.length == 0) return;
        uint64 id = operators[pick % operators.length];
        address previous = _STAKING.operator(id).owner;
        address next = _actor(actor);
        vm.prank(previous);
        _STAKING.transferOperator(id, next);
        vm.prank(next);
        _STAKING.acceptOperator(id);
        // The books follow the stake.
        uint256 worth = _worth(id);
        paidIn[previous] -= worth;
        paidIn[next] += worth;
    }

    function claim(uint256 pick) external {
        if (requests.length == 0) return;
        uint256 request = requests[pick % requests.length];
        IStaking.Unbonding memory open = _STAKING.unbonding(request);
        if (open.operatorId == 0 || open.releaseAt > block.timestamp) return;
        address owner = _STAKING.operator(open.operatorId).owner;
        vm.prank(owner);
        uint256 amount = _STAKING.claim(request);
        paidOut[owner] += amount;
        totalOut += amount;
    }

    function snapshot() external {
        if (_STAKING.candidates().length == 0) return;
        vm.roll(block.number + _SET.minInterval());
        _SET.snapshot();
    }

    function deposit(uint256 actor, uint96 amount) external {
        address user = _actor(actor);
        amount = uint96(bound(amount, 0, 1_000 ether));
        _fund(user, amount, address(_QUEUE));
        vm.roll(block.number + 1);
        vm.prank(user, user);
        _QUEUE.depositERC20Transaction(user, amount, amount, 21_000, false, "");
        deposited += amount;
    }

    function wait_(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 1 hours, 10 days));
    }

    /// Stake and open requests of an operator.
    function _worth(uint64 id) private view returns (uint256 worth) {
        worth = _STAKING.operator(id).stake;
        for (uint256 i; i < requests.length; ++i) {
            IStaking.Unbonding memory open = _STAKING.unbonding(requests[i]);
            if (open.operatorId == id) worth += open.amount;
        }
    }

    function _in(address owner, uint256 amount) private {
        paidIn[owner] += amount;
        totalIn += amount;
    }

    function _fund(address owner, uint256 amount, address spender) private {
        _METIS.mint(owner, amount);
        vm.prank(owner);
        IERC20(address(_METIS)).approve(spender, amount);
    }

    function _actor(uint256 seed) private pure returns (address) {
        return address(uint160(0xA0000 + (seed % ACTORS)));
    }

    function _freshSigner() private returns (address signer) {
        signer = address(uint160(0x5160000 + _nextSigner++));
        signers.push(signer);
    }

    /// Some active operator, or zero.
    function _active(uint256 pick) private view returns (uint64 id, IStaking.Operator memory operator) {
        IStaking.Candidate[] memory list = _STAKING.candidates();
        if (list.length == 0) return (0, operator);
        id = list[pick % list.length].operatorId;
        operator = _STAKING.operator(id);
    }
}
