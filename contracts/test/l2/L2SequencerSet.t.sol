// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {L2SequencerSet} from "../../src/l2/L2SequencerSet.sol";
import {Members} from "../../src/libraries/Members.sol";
import {EpochCall, Epochs} from "../utils/Epochs.sol";
import {Test} from "../utils/Test.sol";

contract L2SequencerSetTest is Test {
    address internal constant DEPOSITOR = 0xDeaDDEaDDeAdDeAdDEAdDEaddeAddEAdDEAd0001;
    L2SequencerSet internal set = L2SequencerSet(0x4200000000000000000000000000000000000100);

    function setUp() external {
        vm.etch(address(set), type(L2SequencerSet).runtimeCode);
    }

    /// `n` members from `base + 1` on, the weight of each 20,000 more than the last's.
    function words(uint256 n, uint160 base) internal pure returns (bytes32[] memory members) {
        members = new bytes32[](n);
        for (uint256 i; i < n; ++i) {
            members[i] = Members.word(address(base + uint160(i) + 1), uint64(20_000 * (i + 1)));
        }
    }

    function callOf(uint64 epoch, bytes32[] memory members, bytes32[] memory nextMembers)
        internal
        pure
        returns (EpochCall memory)
    {
        return
            EpochCall(epoch, 1 + epoch * 100, 100, 30, 7, keccak256("now"), members, 8, keccak256("then"), nextMembers);
    }

    function send(EpochCall memory call, bytes4 refusal) internal {
        (bool done, bytes memory answer) = address(set).call(Epochs.encode(call));
        assertEq(done, refusal == 0);
        assertEq(answer, refusal == 0 ? bytes("") : abi.encodePacked(refusal));
    }

    function begin(uint64 epoch, bytes32[] memory members, bytes32[] memory nextMembers) internal {
        vm.prank(DEPOSITOR);
        send(callOf(epoch, members, nextMembers), 0);
    }

    function test_setEpoch_twoSets_succeeds() external {
        vm.expectEmit(address(set));
        emit L2SequencerSet.EpochSet(4, 7, keccak256("now"), 8, keccak256("then"));
        begin(4, words(3, 10), words(2, 50));
        assertEq(set.epoch(), 4);
        assertEq(set.firstHeight(), 401);
        assertEq(set.epochBlocks(), 100);
        assertEq(set.turnBlocks(), 30);
        (uint64 snapshotId, bytes32 seed, bytes32[] memory members, uint256 total) = set.current();
        assertEq(snapshotId, 7);
        assertEq(seed, keccak256("now"));
        assertEq(members, words(3, 10));
        assertEq(total, 120_000);
        (snapshotId, seed, members, total) = set.next();
        assertEq(snapshotId, 8);
        assertEq(seed, keccak256("then"));
        assertEq(members, words(2, 50));
        assertEq(total, 60_000);
        assertEq(set.weightOf(address(12)), 40_000);
        assertTrue(set.isSequencer(address(13)));
        assertFalse(set.isSequencer(address(51)));
        assertFalse(set.isSequencer(address(10)));
        assertFalse(set.isSequencer(address(0)));
    }

    function test_setEpoch_smallerSet_leavesNothing() external {
        begin(4, words(32, 10), words(32, 10));
        begin(5, words(1, 90), words(2, 50));
        (,, bytes32[] memory members, uint256 total) = set.current();
        assertEq(members, words(1, 90));
        assertEq(total, 20_000);
        assertFalse(set.isSequencer(address(11)));
        assertTrue(set.isSequencer(address(91)));
    }

    function test_setEpoch_stranger_reverts() external {
        send(callOf(1, words(1, 1), words(1, 1)), L2SequencerSet.NotDepositor.selector);
    }

    function test_setEpoch_malformed_reverts() external {
        bytes32[] memory twice = words(2, 10);
        twice[1] = twice[0];
        bytes32[] memory weightless = words(1, 10);
        weightless[0] = Members.word(address(11), 0);
        bytes32[][4] memory bad = [words(0, 10), words(33, 10), twice, weightless];
        vm.startPrank(DEPOSITOR);
        for (uint256 i; i < bad.length; ++i) {
            send(callOf(1, bad[i], words(1, 10)), L2SequencerSet.MalformedSet.selector);
            send(callOf(1, words(1, 10), bad[i]), L2SequencerSet.MalformedSet.selector);
        }
        EpochCall memory call = callOf(1, words(1, 1), words(1, 1));
        call.epochBlocks = 0;
        send(call, L2SequencerSet.MalformedEpoch.selector);
        call = callOf(1, words(1, 1), words(1, 1));
        call.turnBlocks = 0;
        send(call, L2SequencerSet.MalformedEpoch.selector);
    }

    /// Two full sets, written for the first time.
    function test_setEpoch_gas_bounded() external {
        bytes32[] memory members = words(32, 10);
        uint256 before = gasleft();
        begin(0, members, members);
        assertLt(before - gasleft(), 4_000_000);
    }

    /// Expected leaders computed outside Solidity, from the specification's words.
    function test_leaderAt_goldenTurns_succeeds() external {
        begin(4, words(3, 10), words(2, 50));
        address[8] memory leaders =
            [address(13), address(12), address(13), address(13), address(51), address(51), address(52), address(52)];
        for (uint64 turn; turn < 8; ++turn) {
            uint64 first = 401 + (turn / 4) * 100 + (turn % 4) * 30;
            assertEq(set.leaderAt(first), leaders[turn]);
            assertEq(set.leaderAt(first + (turn % 4 == 3 ? 9 : 29)), leaders[turn]);
        }
    }

    function test_leaderAt_outside_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(L2SequencerSet.UnknownHeight.selector, 1));
        set.leaderAt(1);
        begin(4, words(3, 10), words(2, 50));
        vm.expectRevert(abi.encodeWithSelector(L2SequencerSet.UnknownHeight.selector, 400));
        set.leaderAt(400);
        vm.expectRevert(abi.encodeWithSelector(L2SequencerSet.UnknownHeight.selector, 601));
        set.leaderAt(601);
    }

    /// Binary search against a walk.
    function testFuzz_weightOf_anySigner_succeeds(uint8 size, uint160 signer) external {
        bytes32[] memory members = words(1 + size % 32, 1000);
        begin(1, members, members);
        signer = uint160(bound(signer, 995, 1040));
        uint256 expected;
        for (uint256 i; i < members.length; ++i) {
            if (Members.signerOf(members[i]) == address(signer)) expected = Members.weightOf(members[i]);
        }
        assertEq(set.weightOf(address(signer)), expected);
    }
}
