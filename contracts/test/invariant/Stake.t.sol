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
        handler = new StakeHandler(staking, sequencerSet, metis);
        metis.transferOwnership(address(handler));
        // Something to start from.
        for (uint256 i; i < 4; ++i) {
            handler.register(i, uint96(25_000 ether + i * 10_000 ether));
            handler.delegate(i, i + 1, uint96(10_000 ether + i * 7_000 ether));
        }
        targetContract(address(handler));
    }

    /// Random calls get everywhere: into every kind of request, slash and payment.
    function test_handler_reachesAll_succeeds() external {
        for (uint256 i; i < 1_500; ++i) {
            uint256 r = uint256(keccak256(abi.encode(i)));
            uint256 kind = (r >> 240) % 16;
            if (kind < 2) handler.delegate(r, r >> 8, uint96(r >> 16));
            else if (kind == 2) handler.undelegate(r, r >> 8, r >> 16, r % 2 == 0);
            else if (kind == 3) handler.redelegate(r, r >> 8, r >> 16, r >> 24);
            else if (kind == 4) handler.freeze(r);
            else if (kind == 5) handler.slash(r, r >> 8, r >> 128);
            else if (kind == 6) handler.enforce(r);
            else if (kind < 9) handler.claim(r);
            else if (kind == 9) handler.addReward(r, uint96(r >> 8));
            else if (kind == 10) handler.compound(r);
            else if (kind == 11) handler.rejoin(r);
            else if (kind == 12) handler.register(r, uint96(r >> 8));
            else if (kind == 13) i % 5 == 0 ? handler.exit(r) : handler.eject(r);
            else if (kind == 14) handler.increase(r, r >> 8, uint96(r >> 16));
            else handler.wait_(r, r % 3 == 0);
        }
        string[10] memory names = [
            "compound", "exit", "eject", "delegate", "undelegate", "redelegate", "enforce", "claim", "slash", "retire"
        ];
        for (uint256 i; i < names.length; ++i) {
            assertGt(handler.calls(names[i]), 0, names[i]);
        }
    }

    /// What is held is, to the wei, what came in less what went out, and what the books say.
    function invariant_staking_balance() external view {
        uint256 held = metis.balanceOf(address(staking));
        assertEq(held, handler.totalIn() + handler.totalRewarded() - handler.totalOut() - handler.totalSlashed());
        assertEq(
            held, staking.totalStaked() + staking.totalDelegated() + staking.totalUnbonding() + staking.totalRewards()
        );
    }

    /// The books cover all claims, and no more than roundings are left over.
    function invariant_staking_coversClaims() external view {
        uint256 staked;
        uint256 pools;
        for (uint256 i; i < handler.operatorCount(); ++i) {
            uint64 id = handler.operators(i);
            IStaking.PoolView memory pool = staking.pool(id);
            staked += staking.operator(id).stake;
            pools += pool.assets + pool.unvested + staking.rewardsOf(id);
            uint256 shares;
            uint256 assets;
            uint256 holders = handler.DELEGATORS();
            for (uint256 j; j < holders; ++j) {
                IStaking.DelegationView memory held = staking.delegation(id, handler.delegatorAt(j));
                assertLe(held.locked, held.shares);
                shares += held.shares;
                assets += held.assets;
            }
            assertEq(shares, pool.shares);
            assertLe(assets, pool.assets);
            // What the shares of nobody stand for, and one wei a holder.
            assertLe(pool.assets - assets, holders + 1 + 1e3 * (pool.assets + 1) / (pool.shares + 1e3));
        }
        assertEq(staked, staking.totalStaked());
        assertEq(pools, staking.totalDelegated() + staking.totalRewards());

        uint256 unbonding;
        for (uint256 i; i < handler.requestCount(); ++i) {
            IStaking.Unbonding memory open = staking.unbonding(handler.requests(i));
            if (open.toOperatorId == 0) unbonding += open.amount;
        }
        assertLe(unbonding, staking.totalUnbonding());
        assertLe(staking.totalUnbonding() - unbonding, 4 * (handler.requestCount() + handler.slashes()));
    }

    /// A delegator never has more than was paid in and all rewards there were; a wei of the others' roundings each call.
    function invariant_delegation_noGainButRewards() external view {
        for (uint256 j; j < handler.DELEGATORS(); ++j) {
            address delegator = handler.delegatorAt(j);
            uint256 worth = handler.paidOut(delegator);
            for (uint256 i; i < handler.operatorCount(); ++i) {
                worth += staking.delegation(handler.operators(i), delegator).assets;
            }
            uint64[] memory open = staking.requestsOf(delegator);
            for (uint256 i; i < open.length; ++i) {
                IStaking.Unbonding memory request = staking.unbonding(open[i]);
                if (request.toOperatorId == 0) worth += request.amount;
            }
            assertLe(worth, handler.paidIn(delegator) + handler.totalRewarded() + 1e4);
        }
    }

    /// The lists of open requests are what is open, within their bounds, and locked shares are those of open redelegations.
    function invariant_staking_requestLists() external view {
        uint256 listed;
        for (uint256 i; i < handler.operatorCount(); ++i) {
            uint256 length = staking.requestsOf(address(uint160(handler.operators(i)))).length;
            assertLe(length, staking.MAX_SELF_REQUESTS());
            listed += length;
        }
        for (uint256 j; j < handler.DELEGATORS(); ++j) {
            uint256 length = staking.requestsOf(handler.delegatorAt(j)).length;
            assertLe(length, 32);
            listed += length;
        }
        uint256 open;
        for (uint256 i; i < handler.requestCount(); ++i) {
            if (staking.claimableAt(handler.requests(i)) != 0) ++open;
        }
        assertEq(listed, open);
    }

    /// What a snapshot would total is the sum of its members and of the candidates, each within the cap, and there is stake behind it.
    function invariant_sequencerSet_weights() external view {
        IStaking.Candidate[] memory list = staking.candidates();
        uint256 candidates;
        for (uint256 i; i < list.length; ++i) {
            IStaking.Operator memory operator = staking.operator(list[i].operatorId);
            assertEq(operator.signer, list[i].signer);
            assertEq(staking.weightOf(list[i].operatorId), list[i].weight);
            assertLe(list[i].weight, staking.maxWeight());
            if (operator.frozen || operator.away || (operator.stake < staking.MIN_STAKE() && !operator.exited)) {
                assertEq(list[i].weight, 0);
            }
            candidates += list[i].weight;
        }
        (bytes32[] memory members, uint256[] memory ids, uint64 total) = sequencerSet.preview();
        assertLe(members.length, Members.MAX);
        assertEq(members.length, ids.length);
        uint256 sum;
        for (uint256 i; i < members.length; ++i) {
            if (i != 0) assertLt(uint256(members[i - 1]) >> 96, uint256(members[i]) >> 96);
            sum += Members.weightOf(members[i]);
        }
        assertEq(sum, total);
        assertEq(candidates, total);
        assertLe(sum * 1 ether, metis.balanceOf(address(staking)));
    }

    /// The date a request was given stays, and only an open case of its operator holds the claim back.
    function invariant_staking_datesStay() external view {
        for (uint256 i; i < handler.requestCount(); ++i) {
            uint256 request = handler.requests(i);
            IStaking.Unbonding memory open = staking.unbonding(request);
            if (open.releaseAt == 0) continue;
            uint64 date = handler.dateOf(request);
            assertEq(open.releaseAt, date);
            uint64 caseAt = staking.caseOf(open.operatorId);
            bool held = caseAt != 0 && caseAt < date;
            assertEq(staking.claimableAt(request), held ? type(uint64).max : date);
        }
    }

    /// A signer never changes operators, and answers while it is current.
    function invariant_staking_signersBoundForEver() external view {
        for (uint256 i; i < handler.signerCount(); ++i) {
            address signer = handler.signers(i);
            uint64 id = handler.signerOf(signer);
            assertEq(staking.operatorOf(signer), id);
            IStaking.Operator memory operator = staking.operator(id);
            assertEq(staking.answersUntil(signer) == type(uint64).max, operator.signer == signer && !operator.exited);
        }
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

    /// Whatever happened before, everybody can leave with everything by the date that was given, and only roundings stay.
    function afterInvariant() external {
        for (uint256 i; i < handler.operatorCount(); ++i) {
            uint64 id = handler.operators(i);
            IStaking.Operator memory operator = staking.operator(id);
            if (operator.frozen) {
                uint64 caseAt = staking.caseOf(id);
                vm.prank(slasher);
                staking.unfreeze(id, caseAt);
            }
            if (!operator.exited) {
                vm.prank(operator.owner);
                staking.exit(id);
            }
        }
        claimAll();
        vm.warp(block.timestamp + REWARD_PERIOD);
        for (uint256 j; j < handler.DELEGATORS(); ++j) {
            address delegator = handler.delegatorAt(j);
            for (uint256 i; i < handler.operatorCount(); ++i) {
                uint64 id = handler.operators(i);
                IStaking.DelegationView memory held = staking.delegation(id, delegator);
                if (held.shares == 0) continue;
                assertEq(held.locked, 0);
                vm.prank(delegator);
                staking.undelegate(id, held.series, held.shares, held.assets);
            }
        }
        claimAll();
        for (uint256 i; i < handler.operatorCount(); ++i) {
            uint64 id = handler.operators(i);
            if (staking.rewardsOf(id) == 0) continue;
            address recipient_ = staking.operator(id).recipient;
            vm.prank(recipient_);
            staking.claimRewards(id);
        }
        assertLe(metis.balanceOf(address(staking)), 4 * (handler.requestCount() + handler.slashes() + 200));
    }

    /// Claims every open request at its date; the dates end within the longest queue there can be.
    function claimAll() private {
        address[] memory holders = new address[](handler.operatorCount() + handler.DELEGATORS());
        for (uint256 i; i < holders.length; ++i) {
            uint256 delegators = handler.DELEGATORS();
            holders[i] = i < delegators ? handler.delegatorAt(i) : address(uint160(handler.operators(i - delegators)));
        }
        for (uint256 i; i < holders.length; ++i) {
            uint64[] memory open = staking.requestsOf(holders[i]);
            for (uint256 j; j < open.length; ++j) {
                IStaking.Unbonding memory request = staking.unbonding(open[j]);
                assertLe(request.releaseAt, block.timestamp + UNBONDING_DELAY + 400 * CHURN_PERIOD);
                if (request.releaseAt > block.timestamp) vm.warp(request.releaseAt);
                if (request.toOperatorId != 0) {
                    staking.enforce(open[j]);
                    continue;
                }
                address to =
                    request.account == address(0) ? staking.operator(request.operatorId).owner : request.account;
                vm.prank(to);
                assertEq(staking.claim(open[j]), request.amount);
            }
        }
    }
}
