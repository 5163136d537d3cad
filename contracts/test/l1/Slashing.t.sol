// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {Certificate} from "../../src/libraries/Certificate.sol";
import {Signing} from "../../src/libraries/Signing.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Proposal, Slice, Vote} from "../../src/types/Messages.sol";
import {Accusation} from "../utils/Accusation.sol";

contract SlashingTest is Accusation {
    // votes

    function test_proveVotes_freezesAtOnce_succeeds() external {
        assertEq(staking.weightOf(1), 20_000);
        Vote memory a = prevote(BLOCK_A);
        Vote memory b = prevote(BLOCK_B);
        bytes32 key = slashing.keyOf(1, ISlashing.Offence.Vote, HEIGHT, 3, PREVOTE);
        bytes memory signatureA = signatureOf(1, Signing.hash(a));
        bytes memory signatureB = signatureOf(1, Signing.hash(b));
        vm.expectEmit(address(slashing));
        emit ISlashing.CaseOpened(1, 1, recipient, 20_000, 80_000, uint64(block.timestamp) + APPEAL + 1);
        vm.expectEmit(address(slashing));
        emit ISlashing.OffenceRecorded(1, key, vm.addr(1), ISlashing.Offence.Vote, HEIGHT, 3, PREVOTE);
        vm.prank(recipient);
        assertEq(slashing.proveVotes(a, signatureA, b, signatureB, nothing()), 1);
        assertEq(staking.weightOf(1), 0);
        assertEq(slashing.recordedIn(key), 1);
        assertEq(slashing.openCaseOf(1), 1);
        assertEq(slashing.caseCount(), 1);
        assertEq(slashing.openCases().length, 1);
        ISlashing.Case memory self = slashing.caseOf(1);
        assertEq(self.operatorId, 1);
        assertEq(self.openedAt, block.timestamp);
        assertEq(self.weight, 20_000);
        assertEq(self.totalWeight, 80_000);
        assertEq(self.submitter, recipient);
        assertTrue(self.status == ISlashing.Status.Open);
        assertEq(self.offences, 1);
        assertEq(self.settles, 0);
        assertEq(slashing.fractionOf(1), 0.01e18);
        assertTrue(slashing.caseOf(2).status == ISlashing.Status.None);
    }

    /// Nil is a hash like any other, in either order, for both kinds of vote.
    function test_proveVotes_nil_succeeds() external {
        proveVotes(1, prevote(0), 1, prevote(BLOCK_B), "");
        Vote memory a = prevote(BLOCK_A);
        Vote memory b = prevote(0);
        a.voteType = PRECOMMIT;
        b.voteType = PRECOMMIT;
        proveVotes(2, a, 2, b, "");
        assertEq(slashing.openCases().length, 2);
    }

    function test_proveVotes_noConflict_reverts() external {
        Vote memory b = prevote(BLOCK_A);
        proveVotes(1, prevote(BLOCK_A), 1, b, noConflict());
        b = prevote(BLOCK_B);
        b.voteType = PRECOMMIT;
        proveVotes(1, prevote(BLOCK_A), 1, b, noConflict());
        b = prevote(BLOCK_B);
        b.height += 1;
        proveVotes(1, prevote(BLOCK_A), 1, b, noConflict());
        b = prevote(BLOCK_B);
        b.round += 1;
        proveVotes(1, prevote(BLOCK_A), 1, b, noConflict());
        Vote memory a = prevote(BLOCK_A);
        b = prevote(BLOCK_B);
        a.voteType = 2;
        b.voteType = 2;
        proveVotes(1, a, 1, b, abi.encodeWithSelector(ISlashing.UnknownVoteType.selector, 2));
    }

    // signers

    function test_proveVotes_signers_reverts() external {
        bytes memory err = abi.encodeWithSelector(ISlashing.SignersDiffer.selector, vm.addr(1), vm.addr(2));
        proveVotes(1, prevote(BLOCK_A), 2, prevote(BLOCK_B), err);
        err = abi.encodeWithSelector(ISlashing.UnknownSigner.selector, vm.addr(77));
        proveVotes(77, prevote(BLOCK_A), 77, prevote(BLOCK_B), err);
    }

    function test_proveVotes_malformed_reverts() external {
        Vote memory a = prevote(BLOCK_A);
        Vote memory b = prevote(BLOCK_B);
        bytes memory good = signatureOf(1, Signing.hash(a));
        vm.expectRevert(ISlashing.MalformedSignature.selector);
        slashing.proveVotes(a, bytes.concat(good, hex"00"), b, good, nothing());
        vm.expectRevert(ISlashing.MalformedSignature.selector);
        slashing.proveVotes(a, good, b, new bytes(64), nothing());
        (bytes32 r,) = vm.signCompact(1, keccak256("any"));
        vm.expectRevert(ISlashing.MalformedSignature.selector);
        slashing.proveVotes(a, good, b, bytes.concat(r, bytes32(Certificate.HALF_ORDER + 1)), nothing());
    }

    /// What was signed for another chain, or another network on this one, recovers to nobody here.
    function test_proveVotes_otherDomain_reverts() external {
        Vote memory a = prevote(BLOCK_A);
        Vote memory b = prevote(BLOCK_B);
        bytes32[2] memory domains =
            [Signing.domainSeparator(77, address(staking)), Signing.domainSeparator(block.chainid, address(this))];
        for (uint256 i; i < 2; ++i) {
            (bytes32 r, bytes32 vs) = vm.signCompact(1, Signing.digest(domains[i], Signing.hash(a)));
            bytes memory signatureA = bytes.concat(r, vs);
            (r, vs) = vm.signCompact(1, Signing.digest(domains[i], Signing.hash(b)));
            vm.expectPartialRevert(ISlashing.SignersDiffer.selector);
            slashing.proveVotes(a, signatureA, b, bytes.concat(r, vs), nothing());
        }
        assertEq(slashing.caseCount(), 0);
    }

    function test_proveVotes_formerSigner_succeeds() external {
        vm.prank(ownerOf(1));
        staking.rotateSigner(1, vm.addr(99));
        uint64 until = staking.answersUntil(vm.addr(1));
        assertLt(until, type(uint64).max);
        vm.warp(until + 1);
        bytes memory err = abi.encodeWithSelector(ISlashing.SignerReleased.selector, vm.addr(1), until);
        proveVotes(1, prevote(BLOCK_A), 1, prevote(BLOCK_B), err);
        vm.warp(until);
        proveVotes(1, prevote(BLOCK_A), 1, prevote(BLOCK_B), "");
        assertEq(slashing.openCaseOf(1), 1);
    }

    /// Leaving does not help: what waits for its release is taken too.
    function test_execute_exited_succeeds() external {
        vm.prank(ownerOf(1));
        staking.exit(1);
        accuse(1, HEIGHT);
        assertEq(slashing.caseOf(1).weight, 20_000);
        assertEq(executeInTime(1), uint256(STAKE) / 100);
    }

    // age

    function test_proveVotes_inclusion_succeeds() external {
        (BatchHeader memory header, uint64 acceptedAt) = post();
        ISlashing.Inclusion memory inclusion = ISlashing.Inclusion(header, acceptedAt, 15);
        expectRefused(nothing(), abi.encodeWithSelector(ISlashing.WrongInclusion.selector, 50));
        inclusion.acceptedAt += 1;
        expectRefused(inclusion, abi.encodeWithSelector(ISlashing.WrongInclusion.selector, 50));
        inclusion.acceptedAt -= 1;
        inclusion.bitmap = 7;
        expectRefused(inclusion, abi.encodeWithSelector(ISlashing.WrongInclusion.selector, 50));
        inclusion.bitmap = 15;
        inclusion.header.lastHeight = 49;
        expectRefused(inclusion, abi.encodeWithSelector(ISlashing.WrongInclusion.selector, 50));
        inclusion.header.lastHeight = 100;
        vm.warp(acceptedAt + UNBONDING_DELAY + 1);
        expectRefused(inclusion, abi.encodeWithSelector(ISlashing.OffenceTooOld.selector, 50, acceptedAt));
        vm.warp(acceptedAt + UNBONDING_DELAY);
        accuse(recipient, 1, 50, inclusion);
        assertEq(slashing.caseOf(1).settles, 50);
        // One beyond the head needs nothing.
        accuse(2, 101);
    }

    /// The batch has to be the one that holds the height.
    function test_proveVotes_otherBatch_reverts() external {
        (BatchHeader memory first, uint64 acceptedAt) = post();
        vm.warp(block.timestamp + 60);
        (BatchHeader memory second, uint64 later) = post();
        expectRefused(
            ISlashing.Inclusion(second, later, 15), abi.encodeWithSelector(ISlashing.WrongInclusion.selector, 50)
        );
        accuse(recipient, 1, 50, ISlashing.Inclusion(first, acceptedAt, 15));
    }

    function post() internal returns (BatchHeader memory header, uint64 acceptedAt) {
        header = nextHeader(DATA);
        acceptedAt = uint64(block.timestamp);
        submit(header, members, 15, DATA);
    }

    function expectRefused(ISlashing.Inclusion memory inclusion, bytes memory err) internal {
        Vote memory a = Vote(PREVOTE, 50, 0, BLOCK_A);
        Vote memory b = Vote(PREVOTE, 50, 0, BLOCK_B);
        bytes memory signatureA = signatureOf(1, Signing.hash(a));
        bytes memory signatureB = signatureOf(1, Signing.hash(b));
        vm.expectRevert(err);
        slashing.proveVotes(a, signatureA, b, signatureB, inclusion);
    }

    // proposals and slices

    function test_proveProposals_conflict_succeeds() external {
        Proposal memory a = Proposal(HEIGHT, 1, -1, BLOCK_A);
        Proposal memory b = Proposal(HEIGHT, 1, 0, BLOCK_A);
        proveProposals(a, b, noConflict());
        b.blockHash = BLOCK_B;
        b.round = 2;
        proveProposals(a, b, noConflict());
        b.round = 1;
        b.height += 1;
        proveProposals(a, b, noConflict());
        b.height = HEIGHT;
        proveProposals(a, b, "");
        assertEq(slashing.recordedIn(slashing.keyOf(1, ISlashing.Offence.Proposal, HEIGHT, 1, 0)), 1);
    }

    function proveProposals(Proposal memory a, Proposal memory b, bytes memory err) internal {
        bytes memory signatureA = signatureOf(1, Signing.hash(a));
        bytes memory signatureB = signatureOf(1, Signing.hash(b));
        if (err.length != 0) vm.expectRevert(err);
        slashing.proveProposals(a, signatureA, b, signatureB, nothing());
    }

    function test_proveSlices_conflict_succeeds() external {
        Slice memory a = Slice(HEIGHT, 1, 4, BLOCK_A);
        Slice memory b = Slice(HEIGHT, 1, 4, BLOCK_A);
        proveSlices(a, b, noConflict());
        b.dataHash = BLOCK_B;
        b.index = 5;
        proveSlices(a, b, noConflict());
        b.index = 4;
        b.round = 2;
        proveSlices(a, b, noConflict());
        b.round = 1;
        b.height += 1;
        proveSlices(a, b, noConflict());
        b.height = HEIGHT;
        proveSlices(a, b, "");
        assertEq(slashing.recordedIn(slashing.keyOf(1, ISlashing.Offence.Slice, HEIGHT, 1, 4)), 1);
    }

    function proveSlices(Slice memory a, Slice memory b, bytes memory err) internal {
        bytes memory signatureA = signatureOf(1, Signing.hash(a));
        bytes memory signatureB = signatureOf(1, Signing.hash(b));
        if (err.length != 0) vm.expectRevert(err);
        slashing.proveSlices(a, signatureA, b, signatureB, nothing());
    }

    // batch headers

    function proveHeaders(uint256 key, BatchHeader memory a, BatchHeader memory b, bytes memory hashes, bytes4 err)
        internal
    {
        bytes memory signatureA = signatureOf(key, a);
        bytes memory signatureB = signatureOf(key, b);
        if (err != 0) vm.expectRevert(err);
        slashing.proveBatchHeaders(a, signatureA, b, signatureB, hashes, nothing());
    }

    function test_proveBatchHeaders_sameLastHeight_succeeds() external {
        BatchHeader memory a = nextHeader(DATA);
        BatchHeader memory b = nextHeader(DATA);
        b.lastBlockHash = BLOCK_B;
        proveHeaders(1, a, b, "", 0);
        b = nextHeader(DATA);
        b.stateRoot = BLOCK_B;
        proveHeaders(2, a, b, "", 0);
        b = nextHeader(DATA);
        b.withdrawalsRoot = BLOCK_B;
        // Another range with the same end contradicts as well.
        b.firstHeight += 10;
        proveHeaders(3, a, b, "", 0);
        b = nextHeader(DATA);
        b.blocksRoot = BLOCK_B;
        proveHeaders(4, a, b, "", 0);
        assertEq(slashing.openCases().length, 4);
        assertEq(slashing.recordedIn(slashing.keyOf(4, ISlashing.Offence.BatchHeader, 100, 0, 0)), 4);
    }

    /// The same blocks in other data, or by another snapshot, are no contradiction, nor are batches that end elsewhere.
    function test_proveBatchHeaders_honest_reverts() external {
        bytes memory hashes = blockHashes(100);
        BatchHeader memory a = honest(1, 100, hashes);
        BatchHeader memory b = honest(1, 100, hashes);
        proveHeaders(1, a, b, hashes, ISlashing.NoConflict.selector);
        b.dataHash = BLOCK_B;
        b.snapshotId = 9;
        b.turns = 9;
        proveHeaders(1, a, b, hashes, ISlashing.NoConflict.selector);
        b = honest(1, 60, hashes);
        proveHeaders(1, b, a, hashes, ISlashing.NoConflict.selector);
        // The longer one does not end inside the shorter one.
        proveHeaders(1, a, b, hashes, ISlashing.NoConflict.selector);
        // One that ends before the other begins.
        a.firstHeight = 61;
        proveHeaders(1, b, a, hashes, ISlashing.NoConflict.selector);
        // One header that contradicts itself, shown twice, is one statement.
        a = honest(1, 100, hashes);
        a.lastBlockHash = BLOCK_B;
        proveHeaders(1, a, a, hashes, ISlashing.NoConflict.selector);
    }

    function test_proveBatchHeaders_inside_succeeds() external {
        bytes memory hashes = blockHashes(100);
        BatchHeader memory a = honest(1, 60, hashes);
        BatchHeader memory b = honest(1, 100, hashes);
        a.lastBlockHash = BLOCK_A;
        proveHeaders(1, a, b, "", ISlashing.WrongBlockHashes.selector);
        proveHeaders(1, a, b, blockHashes(99), ISlashing.WrongBlockHashes.selector);
        bytes memory other = blockHashes(100);
        other[0] ^= 0x01;
        proveHeaders(1, a, b, other, ISlashing.WrongBlockHashes.selector);
        proveHeaders(1, a, b, hashes, 0);
        assertEq(slashing.recordedIn(slashing.keyOf(1, ISlashing.Offence.BatchHeader, 60, 0, 0)), 1);
    }

    /// Hashes of blocks 1 to n.
    function blockHashes(uint256 n) internal pure returns (bytes memory hashes) {
        for (uint256 i = 1; i <= n; ++i) {
            hashes = bytes.concat(hashes, keccak256(abi.encode(i)));
        }
    }

    function honest(uint64 first, uint64 last, bytes memory hashes) internal view returns (BatchHeader memory header) {
        header = nextHeader(DATA);
        header.firstHeight = first;
        header.lastHeight = last;
        header.lastBlockHash = keccak256(abi.encode(uint256(last)));
        header.blocksRoot = last * 32 == hashes.length ? keccak256(hashes) : keccak256("shorter");
    }

    // one case at a time

    function test_proveVotes_sameCase_succeeds() external {
        accuse(1, HEIGHT);
        vm.warp(block.timestamp + 60);
        assertEq(accuse(governance, 1, HEIGHT + 1, nothing()), 1);
        assertEq(slashing.caseCount(), 1);
        assertEq(slashing.caseOf(1).offences, 2);
        assertEq(slashing.caseOf(1).submitter, recipient);
        assertTrue(staking.operator(1).frozen);
    }

    function test_proveVotes_known_reverts() external {
        accuse(1, HEIGHT);
        bytes32 key = slashing.keyOf(1, ISlashing.Offence.Vote, HEIGHT, 0, PREVOTE);
        expectAccusationRefused(1, HEIGHT, abi.encodeWithSelector(ISlashing.OffenceKnown.selector, key));
        executeInTime(1);
        expectAccusationRefused(1, HEIGHT, abi.encodeWithSelector(ISlashing.OffenceKnown.selector, key));
    }

    /// A pile of old double signatures is one penalty: heights that were posted when a case was shown are settled with it.
    function test_proveVotes_settled_reverts() external {
        (BatchHeader memory header, uint64 acceptedAt) = post();
        ISlashing.Inclusion memory inclusion = ISlashing.Inclusion(header, acceptedAt, 15);
        accuse(recipient, 1, 20, inclusion);
        accuse(recipient, 1, 50, inclusion);
        accuse(recipient, 1, 40, inclusion);
        executeInTime(1);
        assertEq(slashing.settledUpTo(1), 50);
        expectAccusationRefused(1, 49, inclusion, abi.encodeWithSelector(ISlashing.OffenceSettled.selector, 49, 50));
        // What came later is another matter.
        assertEq(accuse(recipient, 1, 51, inclusion), 2);
        assertEq(slashing.caseOf(2).previous, 1);
    }

    /// An operator that reports itself for a height far ahead buys nothing for the heights before it.
    function test_proveVotes_licence_fails() external {
        accuse(1, type(uint64).max);
        executeInTime(1);
        assertEq(slashing.settledUpTo(1), 0);
        assertEq(accuse(1, HEIGHT), 2);
    }

    function expectAccusationRefused(uint256 key, uint64 height, bytes memory err) internal {
        expectAccusationRefused(key, height, nothing(), err);
    }

    function expectAccusationRefused(uint256 key, uint64 height, ISlashing.Inclusion memory inclusion, bytes memory err)
        internal
    {
        Vote memory a = Vote(PREVOTE, height, 0, BLOCK_A);
        Vote memory b = Vote(PREVOTE, height, 0, BLOCK_B);
        bytes memory signatureA = signatureOf(key, Signing.hash(a));
        bytes memory signatureB = signatureOf(key, Signing.hash(b));
        vm.expectRevert(err);
        slashing.proveVotes(a, signatureA, b, signatureB, inclusion);
    }

    // appeal

    function test_cancel_unfreezes_succeeds() external {
        accuse(1, HEIGHT);
        vm.warp(block.timestamp + APPEAL);
        vm.expectEmit(address(slashing));
        emit ISlashing.CaseCancelled(1, 1);
        vm.prank(governance);
        slashing.cancel(1, 1);
        assertEq(staking.weightOf(1), 20_000);
        assertEq(slashing.openCases().length, 0);
        assertEq(slashing.openCaseOf(1), 0);
        assertEq(metis.balanceOf(address(insurancePool)), 0);
        vm.warp(slashing.executableAt(1));
        vm.expectRevert(abi.encodeWithSelector(ISlashing.CaseNotOpen.selector, 1));
        slashing.execute(1);
        // Forgiven is forgiven; anything else opens a new case.
        bytes32 key = slashing.keyOf(1, ISlashing.Offence.Vote, HEIGHT, 0, PREVOTE);
        expectAccusationRefused(1, HEIGHT, abi.encodeWithSelector(ISlashing.OffenceKnown.selector, key));
        assertEq(accuse(1, HEIGHT + 1), 2);
    }

    function test_cancel_council_succeeds() external {
        address council = makeAddr("council");
        vm.expectRevert(abi.encodeWithSelector(ISlashing.NotGovernance.selector, address(this)));
        slashing.setCouncil(council);
        vm.expectEmit(address(slashing));
        emit ISlashing.CouncilChanged(address(0), council);
        vm.prank(governance);
        slashing.setCouncil(council);
        accuse(1, HEIGHT);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.NotCouncil.selector, address(this)));
        slashing.cancel(1, 1);
        vm.prank(council);
        slashing.cancel(1, 1);
        vm.prank(governance);
        slashing.setCouncil(address(0));
        accuse(1, HEIGHT + 1);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.NotCouncil.selector, council));
        vm.prank(council);
        slashing.cancel(2, 1);
    }

    function test_cancel_refused_reverts() external {
        accuse(1, HEIGHT);
        accuse(1, HEIGHT + 1);
        vm.startPrank(governance);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.CaseNotOpen.selector, 0));
        slashing.cancel(0, 2);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.CaseNotOpen.selector, 2));
        slashing.cancel(2, 2);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.CaseChanged.selector, 1, 2));
        slashing.cancel(1, 1);
        vm.warp(block.timestamp + APPEAL + 1);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealOver.selector, 1));
        slashing.cancel(1, 2);
        vm.stopPrank();
    }

    /// The power to cancel ends for good.
    function test_cancel_afterSunset_reverts() external {
        vm.warp(slashing.appealSunset() - 1);
        accuse(1, HEIGHT);
        accuse(2, HEIGHT);
        vm.startPrank(governance);
        slashing.cancel(1, 1);
        vm.warp(slashing.appealSunset());
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealOver.selector, 2));
        slashing.cancel(2, 1);
        vm.stopPrank();
        assertGt(executeInTime(2), 0);
    }

    // penalty

    function test_execute_alone_succeeds() external {
        accuse(1, HEIGHT);
        vm.warp(slashing.executableAt(1) - 1);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealRunning.selector, 1, block.timestamp + 1));
        slashing.execute(1);
        vm.warp(block.timestamp + 1);
        uint256 taken = uint256(STAKE) / 100;
        uint256 bounty = taken * 15 / 100;
        vm.expectEmit(address(slashing));
        emit ISlashing.CaseExecuted(1, 1, 0.01e18, taken, bounty);
        assertEq(slashing.execute(1), taken);
        assertEq(metis.balanceOf(address(insurancePool)), taken - bounty);
        assertEq(slashing.owed(recipient), bounty);
        vm.expectEmit(address(slashing));
        emit ISlashing.BountyPaid(recipient, bounty);
        assertEq(slashing.payBounty(recipient), bounty);
        assertEq(metis.balanceOf(recipient), bounty);
        assertEq(metis.balanceOf(address(slashing)), 0);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.NothingOwed.selector, recipient));
        slashing.payBounty(recipient);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.CaseNotOpen.selector, 1));
        slashing.execute(1);
        assertEq(staking.operator(1).stake, STAKE - taken);
    }

    /// What a redelegation pays later goes to the insurance pool whole; bounties stay where they are.
    function test_forward_redelegation_succeeds() external {
        uint256 shares = delegate(1, 1_000 ether);
        vm.startPrank(delegator);
        (, uint256 request) = staking.redelegate(1, 2, shares, 0);
        vm.stopPrank();
        accuse(1, HEIGHT);
        uint256 taken = executeInTime(1);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.NothingOwed.selector, address(insurancePool)));
        slashing.forward();
        assertEq(staking.enforce(request), 10 ether);
        uint256 insured = metis.balanceOf(address(insurancePool));
        vm.expectEmit(address(slashing));
        emit ISlashing.Forwarded(10 ether);
        assertEq(slashing.forward(), 10 ether);
        assertEq(metis.balanceOf(address(insurancePool)), insured + 10 ether);
        assertEq(slashing.totalOwed(), taken * 15 / 100);
        assertEq(metis.balanceOf(address(slashing)), taken * 15 / 100);
    }

    /// 20,000 of 80,000 alone is 1 %; the next 20,000 make more than a third, which is everything.
    function test_execute_thirdOfTheWeight_succeeds() external {
        accuse(1, HEIGHT);
        vm.warp(block.timestamp + APPEAL);
        accuse(2, HEIGHT);
        assertEq(slashing.fractionOf(1), 1e18);
        assertEq(slashing.fractionOf(2), 1e18);
        assertEq(executeInTime(1), STAKE);
        assertEq(executeInTime(2), STAKE);
        assertEq(staking.operator(1).stake, 0);
    }

    /// In a set of ten, 20,000 each: one is 10 % of the weight, two 20 %, three 30 %, four more than a third.
    function test_fractionOf_linear_succeeds() external {
        ten();
        uint256[5] memory expected =
            [uint256(0), 0.01e18, 0.01e18 + 0.99e18 * uint256(3) / 7, 0.01e18 + 0.99e18 * uint256(6) / 7, 1e18];
        for (uint256 key = 1; key <= 4; ++key) {
            accuse(key, HEIGHT);
            for (uint256 caseId = 1; caseId <= key; ++caseId) {
                assertApproxEqAbs(slashing.fractionOf(caseId), expected[key], 1);
            }
        }
    }

    /// Only what happened in one window counts together, in either direction.
    function test_fractionOf_otherWindow_succeeds() external {
        ten();
        accuse(1, HEIGHT);
        vm.warp(block.timestamp + APPEAL + 1);
        accuse(2, HEIGHT);
        assertEq(slashing.fractionOf(1), 0.01e18);
        assertEq(slashing.fractionOf(2), 0.01e18);
        vm.warp(block.timestamp + APPEAL);
        accuse(3, HEIGHT);
        assertEq(slashing.fractionOf(1), 0.01e18);
        assertGt(slashing.fractionOf(2), 0.4e18);
        assertEq(slashing.fractionOf(3), slashing.fractionOf(2));
    }

    /// Neither cancelled cases nor an operator's own earlier ones make a case heavier, and nobody counts twice.
    function test_fractionOf_countedOnce_succeeds() external {
        ten();
        accuse(1, HEIGHT);
        accuse(2, HEIGHT);
        vm.prank(governance);
        slashing.cancel(2, 1);
        assertEq(slashing.fractionOf(1), 0.01e18);
        uint64 openedAt = slashing.caseOf(1).openedAt;
        executeInTime(1);
        // Operators 3 and 1 within one window of each other, with an executed case of operator 1 in it.
        vm.warp(openedAt + APPEAL);
        accuse(3, HEIGHT);
        vm.warp(openedAt + APPEAL + 1);
        accuse(1, HEIGHT + 1);
        uint256 two = 0.01e18 + 0.99e18 * uint256(3) / 7;
        assertApproxEqAbs(slashing.fractionOf(3), two, 1);
        // It has lost a hundredth already.
        assertApproxEqAbs(slashing.fractionOf(4), 0.01e18 + 0.99e18 * uint256(60_000) / (200_000 - 3 * 19_800), 1);
    }

    function ten() internal {
        for (uint256 key = 5; key <= 10; ++key) {
            register(key, STAKE);
        }
        vm.roll(block.number + INTERVAL);
        (members,,) = sequencerSet.preview();
        sequencerSet.snapshot();
        useNewest();
    }

    /// The set that decides is that of the newest snapshot once a batch has used it.
    function useNewest() internal {
        submit(nextHeader(DATA), members, (1 << members.length) - 1, DATA);
    }

    /// Whoever leaves, unbonds or moves its stake before the evidence is shown weighs what it weighed.
    function test_fractionOf_leftBefore_succeeds() external {
        ten();
        delegate(1, 10_000 ether);
        vm.prank(ownerOf(1));
        staking.takeLeave(1);
        uint256 shares = delegate(2, 10_000 ether);
        vm.prank(ownerOf(2));
        staking.exit(2);
        vm.startPrank(delegator);
        staking.undelegate(2, 0, shares / 2, 0);
        shares = delegate(3, 10_000 ether);
        vm.startPrank(delegator);
        staking.undelegate(3, 0, shares / 2, 0);
        staking.redelegate(3, 9, shares / 4, 0);
        vm.stopPrank();
        register(11, 30_000 ether);
        vm.startPrank(ownerOf(11));
        staking.decrease(11, 10_000 ether);
        vm.stopPrank();
        for (uint64 id = 1; id <= 3; ++id) {
            assertEq(slashing.caseOf(accuse(id, HEIGHT)).weight, 30_000);
        }
        assertEq(slashing.caseOf(accuse(11, HEIGHT)).weight, 30_000);
        assertEq(staking.weightOf(1) + staking.weightOf(2) + staking.weightOf(3), 0);
        assertEq(slashing.fractionOf(1), 1e18);
    }

    /// What has been released no longer answers, so it does not weigh either.
    function test_fractionOf_released_succeeds() external {
        ten();
        uint256 shares = delegate(1, 10_000 ether);
        vm.startPrank(delegator);
        (, uint256 request) = staking.redelegate(1, 9, shares, 0);
        vm.warp(staking.claimableAt(request) - 1);
        vm.stopPrank();
        uint256 state = vm.snapshotState();
        assertEq(slashing.caseOf(accuse(1, HEIGHT)).weight, 30_000);
        vm.revertToState(state);
        vm.warp(block.timestamp + 1);
        assertEq(slashing.caseOf(accuse(1, HEIGHT)).weight, 20_000);
    }

    /// An operator that has lost everything can go on contradicting itself, but not at somebody else's expense.
    function test_fractionOf_nothingLeft_succeeds() external {
        accuse(1, HEIGHT);
        accuse(2, HEIGHT);
        executeInTime(1);
        executeInTime(2);
        assertEq(staking.operator(1).stake, 0);
        vm.warp(block.timestamp + APPEAL);
        accuse(3, HEIGHT);
        accuse(1, HEIGHT + 1);
        accuse(2, HEIGHT + 1);
        assertEq(slashing.caseOf(4).weight, 0);
        assertEq(slashing.fractionOf(3), 0.01e18);
        assertEq(executeInTime(4), 0);
        assertEq(executeInTime(3), uint256(STAKE) / 100);
    }

    /// Power in the set is capped, and so is what a case weighs; what is taken is not.
    function test_fractionOf_cap_succeeds() external {
        delegate(1, 400_000 ether);
        assertEq(slashing.caseOf(accuse(1, HEIGHT)).weight, 300_000);
        assertEq(executeInTime(1), 4_200 ether);
    }

    /// The measure is the set that decided: stake that comes or goes afterwards, and snapshots of it, change nothing.
    function test_fractionOf_set_succeeds() external {
        (BatchHeader memory header, uint64 acceptedAt) = post();
        delegate(3, 200_000 ether);
        vm.roll(block.number + INTERVAL);
        (members,,) = sequencerSet.preview();
        sequencerSet.snapshot();
        assertEq(sequencerSet.snapshotAt(2).totalWeight, 280_000);
        // Not on L1 yet, while the newest batch is of the old set.
        assertEq(slashing.caseOf(accuse(1, HEIGHT)).totalWeight, 80_000);
        useNewest();
        assertEq(slashing.caseOf(accuse(2, HEIGHT)).totalWeight, 280_000);
        ISlashing.Inclusion memory inclusion = ISlashing.Inclusion(header, acceptedAt, 15);
        assertEq(slashing.caseOf(accuse(recipient, 4, 50, inclusion)).totalWeight, 80_000);
        assertEq(slashing.fractionOf(3), 1e18);
    }

    address internal delegator = makeAddr("delegator");

    function delegate(uint64 id, uint96 amount) internal returns (uint256 shares) {
        vm.stopPrank();
        fund(delegator, amount);
        vm.prank(delegator);
        return staking.delegate(id, amount, 0);
    }

    /// However an operator and its delegators spread their way out, a case weighs all that is still liable.
    function testFuzz_proveVotes_weighsWhatAnswers_succeeds(uint96[4] memory parts, uint256 order) external {
        register(20, 60_000 ether);
        uint64 id = uint64(staking.operatorOf(vm.addr(20)));
        uint256 shares = delegate(id, 40_000 ether);
        for (uint256 i; i < 4; ++i) {
            uint256 kind = (order >> (8 * i)) % 4;
            bool exited = staking.operator(id).exited;
            uint256 part = bound(parts[i], 1, shares / 5);
            if (kind == 0 && !exited) {
                vm.prank(ownerOf(20));
                staking.decrease(id, uint96(bound(parts[i], 1, 10_000 ether)));
            } else if (kind == 1 && !exited) {
                vm.prank(ownerOf(20));
                staking.exit(id);
            } else if (kind == 2) {
                vm.prank(delegator);
                staking.undelegate(id, 0, part, 0);
            } else if (!exited && part > 1e4) {
                vm.prank(delegator);
                staking.redelegate(id, 1, part, 0);
            }
            vm.warp(block.timestamp + order % 2 days);
        }
        // Each step may lose a wei to rounding.
        assertApproxEqAbs(slashing.caseOf(accuse(20, HEIGHT)).weight, 100_000, 1);
    }

    /// What was taken is shared to the wei, however odd.
    function testFuzz_execute_sharesAddUp_succeeds(uint96 stake, uint8 accomplices) external {
        stake = uint96(bound(stake, 20_000 ether, 100_000 ether));
        register(20, stake);
        ten();
        accomplices = uint8(bound(accomplices, 0, 4));
        uint256 caseId = accuse(20, HEIGHT);
        for (uint256 key = 1; key <= accomplices; ++key) {
            accuse(key, HEIGHT);
        }
        uint256 fraction = slashing.fractionOf(caseId);
        assertGe(fraction, 0.01e18);
        assertLe(fraction, 1e18);
        uint256 taken = executeInTime(caseId);
        assertEq(taken, stake - staking.operator(slashing.caseOf(caseId).operatorId).stake);
        assertApproxEqAbs(taken, uint256(stake) * fraction / 1e18, 1);
        assertEq(slashing.owed(recipient) + metis.balanceOf(address(insurancePool)), taken);
        assertEq(slashing.owed(recipient), taken * 15 / 100);
        assertEq(metis.balanceOf(address(slashing)), slashing.owed(recipient));
    }
}
