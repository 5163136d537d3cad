// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Deploy} from "../../script/Deploy.s.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {Test} from "../utils/Test.sol";
import {WholeStakes} from "./WholeStakes.sol";
import {WorldHandler} from "./WorldHandler.sol";

/// All contracts as they are deployed, called by many actors in any order.
contract WholeInvariant is Test {
    WorldHandler internal world;
    WholeStakes internal stakes;
    Deploy.Deployment internal made;
    DevnetMetis internal metis;

    function setUp() external {
        world = new WorldHandler();
        made = world.deployed();
        metis = DevnetMetis(made.metis);
        stakes = new WholeStakes(made.staking, made.sequencerSet, metis, made.slashing);
        world.init(stakes);
        for (uint256 i; i < 5; ++i) {
            stakes.register(i, uint96(25_000 ether + i * 10_000 ether));
            stakes.delegate(i, i + 1, uint96(10_000 ether + i * 7_000 ether));
        }
        world.takeSnapshot();
        targetContract(address(stakes));
        targetContract(address(world));
        targetSelector(FuzzSelector(address(stakes), stakeCalls()));
        targetSelector(FuzzSelector(address(world), worldCalls()));
    }

    function stakeCalls() private view returns (bytes4[] memory calls) {
        calls = new bytes4[](18);
        calls[0] = stakes.register.selector;
        calls[1] = stakes.increase.selector;
        calls[2] = stakes.compound.selector;
        calls[3] = stakes.decrease.selector;
        calls[4] = stakes.exit.selector;
        calls[5] = stakes.eject.selector;
        calls[6] = stakes.takeLeave.selector;
        calls[7] = stakes.rejoin.selector;
        calls[8] = stakes.rotate.selector;
        calls[9] = stakes.setCommission.selector;
        calls[10] = stakes.claimRewards.selector;
        calls[11] = stakes.delegate.selector;
        calls[12] = stakes.undelegate.selector;
        calls[13] = stakes.redelegate.selector;
        calls[14] = stakes.enforce.selector;
        calls[15] = stakes.claim.selector;
        calls[16] = stakes.execute.selector;
        calls[17] = stakes.wait_.selector;
    }

    function worldCalls() private view returns (bytes4[] memory calls) {
        calls = new bytes4[](16);
        calls[0] = world.takeSnapshot.selector;
        calls[1] = world.postBatch.selector;
        calls[2] = world.postPermissionlessBatch.selector;
        calls[3] = world.returnBond.selector;
        calls[4] = world.accuse.selector;
        calls[5] = world.cancel.selector;
        calls[6] = world.payBounty.selector;
        calls[7] = world.forward.selector;
        calls[8] = world.addFunds.selector;
        calls[9] = world.settleSome.selector;
        calls[10] = world.refund.selector;
        calls[11] = world.deposit.selector;
        calls[12] = world.depositToken.selector;
        calls[13] = world.withdraw.selector;
        calls[14] = world.finalizeOne.selector;
        calls[15] = world.govern.selector;
    }

    /// Each contract holds, to the wei, what can be claimed from it.
    function invariant_whole_heldIsClaimed() external {
        uint256 books = made.staking.totalStaked() + made.staking.totalDelegated() + made.staking.totalUnbonding()
            + made.staking.totalRewards();
        assertEq(metis.balanceOf(address(made.staking)), books, "staking");
        // What redelegations have paid waits for `forward`.
        uint256 enforced = stakes.totalSlashed() - stakes.taken();
        uint256 slashingHolds = metis.balanceOf(address(made.slashing));
        assertEq(slashingHolds, made.slashing.totalOwed() + enforced - world.forwarded(), "slashing");
        uint256 owed;
        for (uint160 i = 0xE0000; i < 0xE0003; ++i) {
            owed += made.slashing.owed(address(i));
        }
        assertEq(owed, made.slashing.totalOwed(), "bounties");
        uint256 insured = stakes.taken() - owed - world.paidBounties() + world.forwarded() - world.paidInsurance();
        assertEq(metis.balanceOf(address(made.insurancePool)), insured, "insurance");
        assertEq(metis.balanceOf(address(made.batchRegistry)), made.batchRegistry.bond() * world.openBonds(), "bonds");
        uint256 locked = metis.balanceOf(address(made.portal));
        assertEq(locked, made.portal.totalLocked(), "portal");
        assertEq(locked, world.deposited() - world.finalized(), "deposits");
        assertLe(world.owedByPortal(), locked, "withdrawals");
        assertEq(world.token().balanceOf(address(made.l1Bridge)), world.tokensLocked(), "tokens");
        assertEq(made.l1Bridge.locked(address(world.token())), world.tokensLocked(), "token books");
        // Last, because it books what has arrived.
        made.rewards.sync();
        uint256 kept = made.rewards.streamFunds() + made.rewards.fees() + made.rewards.waiting();
        assertEq(metis.balanceOf(address(made.rewards)), kept, "rewards");
        assertLe(made.rewards.refundable(), made.rewards.fees(), "refunds");
    }

    /// What came in, by whatever way, is what went out and what is still there.
    function invariant_whole_flows() external view {
        uint256 rewarded = made.rewards.totalPaid();
        assertEq(
            metis.balanceOf(address(made.staking)) + stakes.totalOut() + stakes.totalSlashed(),
            stakes.totalIn() + rewarded
        );
        assertEq(
            metis.balanceOf(address(made.rewards)) + rewarded + made.rewards.totalRefunded(), world.funded(), "funds"
        );
        assertEq(metis.balanceOf(world.poster()), made.rewards.totalRefunded(), "refunds");
        // No call pays anybody in coins that came from nowhere: owners and delegators have what they got out.
        uint256 wallets;
        for (uint160 i; i < 8; ++i) {
            wallets += metis.balanceOf(address(0xA0000 + i));
        }
        for (uint256 j; j < stakes.DELEGATORS(); ++j) {
            wallets += metis.balanceOf(stakes.delegatorAt(j));
        }
        assertEq(wallets, stakes.totalOut(), "wallets");
    }

    /// Nobody has more than it put in and all the rewards there were; a wei of the others' roundings each call.
    function invariant_whole_noGain() external view {
        for (uint256 j; j < stakes.DELEGATORS(); ++j) {
            address delegator = stakes.delegatorAt(j);
            uint256 worth = metis.balanceOf(delegator);
            for (uint256 i; i < stakes.operatorCount(); ++i) {
                worth += made.staking.delegation(stakes.operators(i), delegator).assets;
            }
            uint64[] memory open = made.staking.requestsOf(delegator);
            for (uint256 i; i < open.length; ++i) {
                IStaking.Unbonding memory request = made.staking.unbonding(open[i]);
                if (request.toOperatorId == 0) worth += request.amount;
            }
            assertLe(worth, stakes.paidIn(delegator) + made.rewards.totalPaid() + 1e4);
        }
        assertLe(world.paidBounties() + made.slashing.totalOwed(), stakes.taken() * 15 / 100 + 1);
    }

    /// The books cover the claims, and no more than roundings are left over: 4 wei a request and slash.
    function invariant_whole_booksCoverClaims() external view {
        uint256 unbonding;
        for (uint256 i; i < stakes.requestCount(); ++i) {
            IStaking.Unbonding memory open = made.staking.unbonding(stakes.requests(i));
            if (open.releaseAt == 0) continue;
            // The date that was given holds, unless a case is open.
            uint64 date = stakes.dateOf(stakes.requests(i));
            uint64 caseAt = made.staking.caseOf(open.operatorId);
            bool held = caseAt != 0 && caseAt < date;
            assertEq(made.staking.claimableAt(stakes.requests(i)), held ? type(uint64).max : date);
            if (open.toOperatorId == 0) unbonding += open.amount;
        }
        assertLe(unbonding, made.staking.totalUnbonding());
        uint256 dust = 4 * (stakes.requestCount() + stakes.slashes());
        assertLe(made.staking.totalUnbonding() - unbonding, dust);
    }

    /// A case is open exactly as long as its operator is frozen, and every case ends.
    function invariant_whole_cases() external view {
        uint256[] memory open = made.slashing.openCases();
        for (uint256 i; i < open.length; ++i) {
            uint64 id = made.slashing.caseOf(open[i]).operatorId;
            assertEq(made.slashing.openCaseOf(id), open[i]);
            assertTrue(made.staking.operator(id).frozen);
            assertEq(made.staking.caseOf(id), made.slashing.caseOf(open[i]).openedAt);
        }
        uint256 frozen;
        for (uint256 i; i < stakes.operatorCount(); ++i) {
            if (made.staking.operator(stakes.operators(i)).frozen) ++frozen;
        }
        assertEq(frozen, open.length);
        assertLe(made.rewards.nextIndex() - 1, world.postedCount());
        assertEq(made.batchRegistry.head().index, world.postedCount());
    }

    /// Every case can be executed, and then every request is paid by the date it was given.
    function afterInvariant() external {
        for (uint256 i; i < 64 && made.slashing.openCases().length != 0; ++i) {
            vm.warp(block.timestamp + made.slashing.appealWindow() + 1);
            stakes.execute(0);
        }
        assertEq(made.slashing.openCases().length, 0);
        uint256 last = block.timestamp;
        for (uint256 i; i < stakes.requestCount(); ++i) {
            uint256 date = stakes.dateOf(stakes.requests(i));
            if (date > last) last = date;
        }
        vm.warp(last);
        for (uint256 i; i < stakes.requestCount(); ++i) {
            IStaking.Unbonding memory open = made.staking.unbonding(stakes.requests(i));
            if (open.releaseAt == 0) continue;
            if (open.toOperatorId != 0) made.staking.enforce(stakes.requests(i));
            else stakes.claim(i);
        }
        for (uint256 i; i < stakes.requestCount(); ++i) {
            assertEq(made.staking.claimableAt(stakes.requests(i)), 0);
        }
    }

    /// Random calls get everywhere: every kind of call is made and does what it is for.
    function test_handlers_reachAll_succeeds() external {
        bytes4[] memory calls = stakeCalls();
        bytes4[] memory others = worldCalls();
        // Rare by chance: a redelegation whose old pool is slashed before its date.
        stakes.redelegate(0, 1, 1, 1_000 ether);
        world.accuse(0, 1, 0);
        vm.warp(block.timestamp + made.slashing.appealWindow() + 1);
        stakes.execute(0);
        stakes.enforce(0);
        // And a third of the weight at once.
        world.accuse(1, 1, 0);
        world.accuse(2, 1, 0);
        vm.warp(block.timestamp + made.slashing.appealWindow() + 1);
        stakes.execute(0);
        stakes.execute(0);
        // And a pardon.
        world.accuse(3, 1, 0);
        world.cancel(0);
        for (uint256 i; i < 2_500; ++i) {
            uint256 kind = uint256(keccak256(abi.encode(i))) % (calls.length + others.length);
            (address to, bytes4 selector) =
                kind < calls.length ? (address(stakes), calls[kind]) : (address(world), others[kind - calls.length]);
            // Some stay, so that there is something to move to.
            bool ends = selector == stakes.exit.selector || selector == world.accuse.selector;
            if (ends && i % 4 != 0) continue;
            bytes memory call = bytes.concat(
                selector,
                keccak256(abi.encode(i, 0)),
                keccak256(abi.encode(i, 1)),
                keccak256(abi.encode(i, 2)),
                bytes32(i)
            );
            (bool done, bytes memory reason) = to.call(clean(selector, call));
            assertTrue(done, string(abi.encodePacked(vm.toString(selector), " ", vm.toString(reason))));
        }
        string[10] memory ours = [
            "compound", "exit", "eject", "delegate", "undelegate", "redelegate", "enforce", "claim", "slash", "retire"
        ];
        for (uint256 i; i < ours.length; ++i) {
            assertGt(stakes.calls(ours[i]), 0, ours[i]);
        }
        string[15] memory theirs = [
            "snapshot",
            "batch",
            "permissionless",
            "bond",
            "accuse",
            "cancel",
            "bounty",
            "forward",
            "settle",
            "refund",
            "deposit",
            "token",
            "withdraw",
            "finalize",
            "govern"
        ];
        for (uint256 i; i < theirs.length; ++i) {
            assertGt(world.calls(theirs[i]), 0, theirs[i]);
        }
        this.invariant_whole_heldIsClaimed();
        this.invariant_whole_flows();
        this.invariant_whole_noGain();
        this.invariant_whole_booksCoverClaims();
        this.invariant_whole_cases();
    }

    /// Random words cut to the types of the arguments.
    function clean(bytes4 selector, bytes memory call) private view returns (bytes memory) {
        uint256 a = word(call, 0);
        uint256 b = word(call, 1);
        uint256 c = word(call, 2);
        if (selector == stakes.register.selector) return abi.encodeCall(stakes.register, (a, uint96(b)));
        if (selector == stakes.increase.selector) return abi.encodeCall(stakes.increase, (a, b, uint96(c)));
        if (selector == stakes.decrease.selector) return abi.encodeCall(stakes.decrease, (a, uint96(b)));
        if (selector == stakes.setCommission.selector) return abi.encodeCall(stakes.setCommission, (a, uint16(b)));
        if (selector == stakes.delegate.selector) return abi.encodeCall(stakes.delegate, (a, b, uint96(c)));
        if (selector == stakes.undelegate.selector) return abi.encodeCall(stakes.undelegate, (a, b, c, a % 2 == 0));
        if (selector == stakes.wait_.selector) return abi.encodeCall(stakes.wait_, (a, b % 5 == 0));
        if (selector == world.addFunds.selector) return abi.encodeCall(world.addFunds, (uint96(a), b % 2 == 0));
        if (selector == world.deposit.selector) return abi.encodeCall(world.deposit, (a, uint96(b)));
        if (selector == world.depositToken.selector) return abi.encodeCall(world.depositToken, (uint96(a)));
        if (selector == world.withdraw.selector) return abi.encodeCall(world.withdraw, (a, uint96(b)));
        if (selector == world.govern.selector) return abi.encodeCall(world.govern, (a, uint128(b), c));
        return call;
    }

    function word(bytes memory call, uint256 index) private pure returns (uint256 value) {
        for (uint256 i; i < 32; ++i) {
            value = (value << 8) | uint8(call[4 + 32 * index + i]);
        }
    }
}
