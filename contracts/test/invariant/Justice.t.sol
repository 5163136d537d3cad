// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {InsurancePool} from "../../src/l1/InsurancePool.sol";
import {Rewards} from "../../src/l1/Rewards.sol";
import {Slashing} from "../../src/l1/Slashing.sol";
import {Staking} from "../../src/l1/Staking.sol";
import {Test} from "../utils/Test.sol";
import {JusticeHandler} from "./JusticeHandler.sol";

contract JusticeInvariant is Test {
    JusticeHandler internal handler;
    Slashing internal slashing;
    Rewards internal rewards;
    Staking internal staking;
    InsurancePool internal insurancePool;
    DevnetMetis internal metis;

    function setUp() external {
        handler = new JusticeHandler();
        (address a, address b, address c, address d, address e) = handler.court();
        slashing = Slashing(a);
        rewards = Rewards(b);
        staking = Staking(c);
        insurancePool = InsurancePool(d);
        metis = DevnetMetis(e);
        bytes4[] memory calls = new bytes4[](12);
        calls[0] = handler.offend.selector;
        calls[1] = handler.cancel.selector;
        calls[2] = handler.execute.selector;
        calls[3] = handler.payBounty.selector;
        calls[4] = handler.rejoin.selector;
        calls[5] = handler.addFunds.selector;
        calls[6] = handler.addFees.selector;
        calls[7] = handler.postBatch.selector;
        calls[8] = handler.settleSome.selector;
        calls[9] = handler.setRate.selector;
        calls[10] = handler.wait.selector;
        calls[11] = handler.refund.selector;
        targetSelector(FuzzSelector(address(handler), calls));
        targetContract(address(handler));
    }

    /// What was taken is bounties and insurance, to the wei.
    function invariant_slashing_sharesAddUp() external view {
        uint256 owed;
        for (uint160 i = 0x1000; i < 0x1003; ++i) {
            owed += slashing.owed(address(i));
        }
        assertEq(owed + handler.paidBounties() + metis.balanceOf(address(insurancePool)), handler.taken());
        assertEq(metis.balanceOf(address(slashing)), owed);
    }

    /// A case ends once, an operator has at most one open case, and its stake is frozen exactly as long.
    function invariant_slashing_oneCase() external view {
        uint256[] memory open = slashing.openCases();
        uint256 count = slashing.caseCount();
        uint256 closed;
        for (uint256 caseId = 1; caseId <= count; ++caseId) {
            uint256 ends = handler.executions(caseId) + handler.cancellations(caseId);
            assertLe(ends, 1);
            closed += ends;
            assertEq(slashing.caseOf(caseId).status == ISlashing.Status.Open, ends == 0);
        }
        assertEq(open.length, count - closed);
        for (uint64 id = 1; id <= handler.OPERATORS(); ++id) {
            assertEq(staking.operator(id).frozen, slashing.openCaseOf(id) != 0);
        }
    }

    /// Nothing is paid that was not funded, nothing funded is lost, and no batch is settled twice or before it is posted.
    function invariant_rewards_conserve() external view {
        uint256 kept = rewards.streamFunds() + rewards.fees() + rewards.waiting();
        uint256 held = metis.balanceOf(address(rewards));
        assertEq(held + rewards.totalPaid() + rewards.totalRefunded(), handler.funded());
        assertLe(kept, held);
        assertLe(rewards.nextIndex() - 1, handler.batches());
    }
}
