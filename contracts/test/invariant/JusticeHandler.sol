// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {Settlement} from "../utils/Settlement.sol";

/// Signers that offend, a governance that forgives, batches that are posted and settled, in any order.
contract JusticeHandler is Settlement {
    uint256 public constant OPERATORS = 6;

    /// METIS wei that came in by the stream or as fees.
    uint256 public funded;
    uint256 public taken;
    uint256 public paidBounties;
    mapping(uint256 caseId => uint256) public executions;
    mapping(uint256 caseId => uint256) public cancellations;

    constructor() {
        super.setUp();
        members = start(OPERATORS);
        vm.roll(block.number + 5);
    }

    function offend(uint256 key, uint64 height, uint8 submitter) external {
        key = bound(key, 1, OPERATORS);
        height = uint64(registry.head().height) + 1 + height % 50;
        uint256 known = slashing.recordedIn(slashing.keyOf(uint64(key), ISlashing.Offence.Vote, height, 0, PREVOTE));
        if (known != 0) return;
        uint256 open = slashing.openCaseOf(uint64(key));
        uint256 caseId = accuse(address(uint160(0x1000 + uint256(submitter % 3))), key, height, nothing());
        assertTrue(open == 0 || open == caseId, "a second case");
    }

    function cancel(uint256 choice) external {
        uint256[] memory open = slashing.openCases();
        if (open.length == 0) return;
        uint256 caseId = open[choice % open.length];
        ISlashing.Case memory self = slashing.caseOf(caseId);
        if (block.timestamp > uint256(self.openedAt) + APPEAL || choice % 3 != 0) return;
        vm.prank(governance);
        slashing.cancel(caseId, self.offences);
        ++cancellations[caseId];
    }

    function execute(uint256 choice) external {
        uint256[] memory open = slashing.openCases();
        if (open.length == 0) return;
        uint256 caseId = open[choice % open.length];
        if (block.timestamp < slashing.executableAt(caseId)) return;
        taken += slashing.execute(caseId);
        ++executions[caseId];
    }

    function payBounty(uint8 submitter) external {
        address account = address(uint160(0x1000 + uint256(submitter % 3)));
        if (slashing.owed(account) != 0) paidBounties += slashing.payBounty(account);
    }

    function rejoin(uint256 key) external {
        uint64 id = uint64(bound(key, 1, OPERATORS));
        vm.prank(ownerOf(id));
        try staking.rejoin(id) {} catch {}
    }

    function addFunds(uint96 amount) external {
        amount = uint96(bound(amount, 1, 10_000 ether));
        fundStream(amount);
        funded += amount;
    }

    function addFees(uint96 amount) external {
        amount = uint96(bound(amount, 1, 10_000 ether));
        metis.mint(address(rewards), amount);
        funded += amount;
    }

    function postBatch(uint256 gap, uint256 bitmap, uint256 turns) external {
        bitmap = [uint256(63), 31, 62, 47, 55][bitmap % 5];
        uint256 since = block.timestamp - registry.head().acceptedAt;
        post(since + bound(gap, 1, 2 hours), bitmap, turns >> (turns % 256));
    }

    function settleSome(uint256 count) external {
        uint256 open = posted.length - (rewards.nextIndex() - 1);
        if (open == 0) return;
        settle(bound(count, 1, open < 8 ? open : 8));
    }

    function refund(uint256 baseFee) external {
        if (rewards.refundOf(recipient) != 0) rewards.refund(recipient);
        // Of the batches to come.
        vm.fee(baseFee % 1_000 gwei);
    }

    function setRate(uint128 rate) external {
        rate = uint128(bound(rate, 0, rewards.MAX_RATE()));
        vm.prank(governance);
        try rewards.setRate(rate) {} catch {}
    }

    function wait(uint256 seconds_) external {
        vm.warp(block.timestamp + bound(seconds_, 1, 2 days));
    }

    function batches() external view returns (uint256) {
        return posted.length;
    }

    function court() external view returns (address, address, address, address, address) {
        return (address(slashing), address(rewards), address(staking), address(insurancePool), address(metis));
    }
}
