// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISequencerSet} from "../../src/interfaces/ISequencerSet.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {Members} from "../../src/libraries/Members.sol";
import {Network} from "../utils/Network.sol";
import {StakeHandler} from "./StakeHandler.sol";

contract StakeInvariant is Network {
    StakeHandler internal handler;

    function setUp() public override {
        super.setUp();
        handler = new StakeHandler(staking, sequencerSet, depositQueue, metis);
        metis.transferOwnership(address(handler));
        targetContract(address(handler));
    }

    /// Tokens held = sum of claims, kept three ways: balance, totals, and operator by operator.
    function invariant_staking_holdsAllClaims() external view {
        uint256 staked;
        for (uint256 i; i < handler.operatorCount(); ++i) {
            staked += staking.operator(handler.operators(i)).stake;
        }
        uint256 unbonding;
        for (uint256 i; i < handler.requestCount(); ++i) {
            unbonding += staking.unbonding(handler.requests(i)).amount;
        }
        assertEq(staked, staking.totalStaked());
        assertEq(unbonding, staking.totalUnbonding());
        assertEq(staked + unbonding, metis.balanceOf(address(staking)));
        assertEq(staked + unbonding, handler.totalIn() - handler.totalOut());
    }

    /// Nobody gets out more than was paid in for what they own.
    function invariant_staking_paysNoMoreThanIn() external view {
        for (uint256 i; i < 12; ++i) {
            address owner = address(uint160(0xA0000 + i));
            assertLe(handler.paidOut(owner), handler.paidIn(owner));
        }
    }

    /// Active operators are within the stake bounds; the others have none.
    function invariant_staking_bounds() external view {
        IStaking.Candidate[] memory list = staking.candidates();
        uint256 staked;
        for (uint256 i; i < list.length; ++i) {
            IStaking.Operator memory operator = staking.operator(list[i].operatorId);
            assertGe(operator.stake, staking.MIN_STAKE());
            assertLe(operator.stake, staking.MAX_STAKE());
            assertLe(operator.openRequests, staking.MAX_REQUESTS());
            assertEq(operator.signer, list[i].signer);
            staked += operator.stake;
        }
        assertEq(staked, staking.totalStaked());
    }

    /// A signer never changes operators.
    function invariant_staking_signersBoundForEver() external view {
        for (uint256 i; i < handler.signerCount(); ++i) {
            address signer = handler.signers(i);
            assertEq(staking.operatorOf(signer), handler.signerOf(signer));
        }
    }

    /// Members are distinct and ascending, at most 32, and weigh what the total says.
    function invariant_sequencerSet_weights() external view {
        (bytes32[] memory members, uint256[] memory ids, uint64 total) = sequencerSet.preview();
        assertLe(members.length, Members.MAX);
        assertEq(members.length, ids.length);
        uint256 sum;
        for (uint256 i; i < members.length; ++i) {
            if (i != 0) assertLt(uint256(members[i - 1]) >> 96, uint256(members[i]) >> 96);
            sum += Members.weightOf(members[i]);
        }
        assertEq(sum, total);
        assertLe(sum * 1 ether, staking.totalStaked());
    }

    /// Snapshots are ordered in time and each says when the next one replaced it.
    function invariant_sequencerSet_order() external view {
        uint64 latest = sequencerSet.latestId();
        for (uint64 id = 1; id < latest; ++id) {
            ISequencerSet.Snapshot memory snapshot = sequencerSet.snapshotAt(id);
            ISequencerSet.Snapshot memory next = sequencerSet.snapshotAt(id + 1);
            assertGe(next.blockNumber, snapshot.blockNumber + INTERVAL);
            assertEq(snapshot.supersededAt, next.timestamp);
        }
    }

    /// METIS locked for L2 = what was deposited.
    function invariant_depositQueue_holdsMints() external view {
        assertEq(depositQueue.totalLocked(), handler.deposited());
        assertEq(metis.balanceOf(address(depositQueue)), handler.deposited());
    }

    /// Whatever happened before, every exit and every request is paid in full after the delay.
    function afterInvariant() external {
        IStaking.Candidate[] memory list = staking.candidates();
        for (uint256 i; i < list.length; ++i) {
            address owner = staking.operator(list[i].operatorId).owner;
            vm.prank(owner);
            uint256 request = staking.exit(list[i].operatorId);
            vm.warp(block.timestamp + UNBONDING_DELAY);
            vm.prank(owner);
            staking.claim(request);
        }
        vm.warp(block.timestamp + UNBONDING_DELAY);
        for (uint256 i; i < handler.requestCount(); ++i) {
            uint256 request = handler.requests(i);
            IStaking.Unbonding memory open = staking.unbonding(request);
            if (open.operatorId == 0) continue;
            address owner = staking.operator(open.operatorId).owner;
            vm.prank(owner);
            staking.claim(request);
        }
        assertEq(metis.balanceOf(address(staking)), 0);
    }
}
