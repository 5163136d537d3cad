// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {Slashing} from "../../src/l1/Slashing.sol";
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

    // deployment

    function create(address governance_, uint64 window, uint64 sunset) internal {
        new Slashing(staking, sequencerSet, registry, insurancePool, governance_, window, sunset);
    }

    function test_constructor_outOfRange_reverts() external {
        vm.expectRevert(ISlashing.ZeroAddress.selector);
        create(address(0), APPEAL, 0);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealWindowOutOfRange.selector, 4));
        create(governance, 4, 0);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealWindowOutOfRange.selector, 14 days + 1));
        create(governance, 14 days + 1, 0);
        uint64 sunset = uint64(block.timestamp + 5 * 365 days);
        vm.expectRevert(abi.encodeWithSelector(ISlashing.AppealSunsetOutOfRange.selector, sunset + 1));
        create(governance, APPEAL, sunset + 1);
        create(governance, APPEAL, sunset);
        assertEq(slashing.appealWindow(), APPEAL);
        assertEq(slashing.governance(), governance);
        assertEq(slashing.council(), address(0));
    }
}
