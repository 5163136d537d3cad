// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ISequencerSet} from "../../src/interfaces/ISequencerSet.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {SequencerSet} from "../../src/l1/SequencerSet.sol";
import {Members} from "../../src/libraries/Members.sol";
import {Network} from "../utils/Network.sol";

contract SequencerSetTest is Network {
    function assertAscending(bytes32[] memory members) internal pure {
        for (uint256 i = 1; i < members.length; ++i) {
            assertLt(uint256(uint160(Members.signerOf(members[i - 1]))), uint160(Members.signerOf(members[i])));
        }
    }

    function test_snapshot_stores_succeeds() external {
        register(1, 20_000 ether);
        register(2, 30_000 ether + 0.9 ether);
        (bytes32[] memory members, uint256[] memory ids, uint64 total) = sequencerSet.preview();
        vm.prevrandao(keccak256("seed"));
        vm.expectEmit(address(sequencerSet));
        emit ISequencerSet.SnapshotTaken(1, Members.hash(members), 50_000, keccak256("seed"), members, ids);
        assertEq(sequencerSet.snapshot(), 1);
        assertAscending(members);
        assertEq(total, 50_000);
        ISequencerSet.Snapshot memory taken = sequencerSet.snapshotAt(1);
        assertEq(taken.setHash, Members.hash(members));
        assertEq(taken.totalWeight, 50_000);
        assertEq(taken.blockNumber, block.number);
        assertEq(taken.timestamp, block.timestamp);
        assertEq(taken.supersededAt, 0);
        assertEq(taken.seed, keccak256("seed"));
        for (uint256 i; i < members.length; ++i) {
            assertEq(staking.operatorOf(Members.signerOf(members[i])), ids[i]);
            assertEq(Members.weightOf(members[i]), staking.weightOf(uint64(ids[i])));
        }
    }

    function test_snapshot_tooEarly_reverts() external {
        start(1);
        vm.roll(block.number + INTERVAL - 1);
        vm.expectRevert(abi.encodeWithSelector(ISequencerSet.TooEarly.selector, block.number, block.number + 1));
        sequencerSet.snapshot();
        vm.roll(block.number + 1);
        vm.warp(block.timestamp + 7);
        assertEq(sequencerSet.snapshot(), 2);
        uint64 supersededAt = sequencerSet.snapshotAt(1).supersededAt;
        assertEq(supersededAt, block.timestamp);
        assertEq(sequencerSet.latestId(), 2);
    }

    function test_snapshot_nobodyStaked_reverts() external {
        vm.expectRevert(ISequencerSet.EmptySet.selector);
        sequencerSet.snapshot();
    }

    function test_snapshot_everybodyLeft_reverts() external {
        start(1);
        vm.prank(ownerOf(1));
        staking.exit(1);
        vm.roll(block.number + INTERVAL);
        vm.expectRevert(ISequencerSet.EmptySet.selector);
        sequencerSet.snapshot();
        assertEq(sequencerSet.latestId(), 1);
    }

    /// A rotation counts from the next snapshot on and leaves the last one as it was.
    function test_snapshot_afterRotation_succeeds() external {
        bytes32[] memory before = start(2);
        vm.prank(ownerOf(1));
        staking.rotateSigner(1, vm.addr(9));
        assertEq(sequencerSet.snapshotAt(1).setHash, Members.hash(before));
        vm.roll(block.number + INTERVAL);
        sequencerSet.snapshot();
        (bytes32[] memory members,,) = sequencerSet.preview();
        bool found;
        for (uint256 i; i < members.length; ++i) {
            assertTrue(Members.signerOf(members[i]) != vm.addr(1));
            found = found || Members.signerOf(members[i]) == vm.addr(9);
        }
        assertTrue(found);
    }

    function test_preview_moreThanMaximum_succeeds() external {
        for (uint256 key = 1; key <= 40; ++key) {
            register(key, uint96(20_000 ether + key * 1 ether));
        }
        (bytes32[] memory members, uint256[] memory ids, uint64 total) = sequencerSet.preview();
        assertEq(members.length, 32);
        assertAscending(members);
        uint256 sum;
        for (uint256 i; i < ids.length; ++i) {
            // The eight lightest are out.
            assertGt(ids[i], 8);
            sum += Members.weightOf(members[i]);
        }
        assertEq(total, sum);
    }

    /// Of equal weights, the older operators are in, wherever exits have moved them in the list.
    function test_preview_tieByAge_succeeds() external {
        for (uint256 key = 1; key <= 35; ++key) {
            register(key, STAKE);
        }
        vm.prank(ownerOf(1));
        staking.exit(1);
        (, uint256[] memory ids,) = sequencerSet.preview();
        assertEq(ids.length, 32);
        for (uint256 i; i < ids.length; ++i) {
            assertLe(ids[i], 33);
        }
    }

    /// An operator without weight, as a slash can leave one, is no member. Staking cannot bring this about by itself yet.
    function test_preview_weightless_succeeds() external {
        IStaking.Candidate[] memory candidates = new IStaking.Candidate[](3);
        candidates[0] = IStaking.Candidate({operatorId: 1, signer: vm.addr(1), weight: 0});
        candidates[1] = IStaking.Candidate({operatorId: 2, signer: vm.addr(2), weight: 5});
        candidates[2] = IStaking.Candidate({operatorId: 3, signer: vm.addr(3), weight: 0});
        vm.mockCall(address(staking), abi.encodeCall(IStaking.candidates, ()), abi.encode(candidates));
        (bytes32[] memory members, uint256[] memory ids, uint64 total) = sequencerSet.preview();
        assertEq(members.length, 1);
        assertEq(members[0], Members.word(vm.addr(2), 5));
        assertEq(ids[0], 2);
        assertEq(total, 5);
    }

    function test_snapshotAt_unknown_reverts() external {
        start(1);
        vm.expectRevert(abi.encodeWithSelector(ISequencerSet.UnknownSnapshot.selector, 0));
        sequencerSet.snapshotAt(0);
        vm.expectRevert(abi.encodeWithSelector(ISequencerSet.UnknownSnapshot.selector, 2));
        sequencerSet.snapshotAt(2);
        vm.expectRevert(abi.encodeWithSelector(ISequencerSet.UnknownSnapshot.selector, 2));
        sequencerSet.checkpointOf(2, 0);
    }

    function test_constructor_setSize_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(ISequencerSet.SetSizeOutOfRange.selector, 0));
        new SequencerSet(staking, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(ISequencerSet.SetSizeOutOfRange.selector, 33));
        new SequencerSet(staking, 1, 33);
        assertEq(sequencerSet.minInterval(), INTERVAL);
        assertEq(sequencerSet.maxMembers(), 32);
    }

    /// Against a naïve model: an operator is in exactly if fewer than N others come before it.
    function testFuzz_preview_naiveModel_succeeds(uint256 seed) external {
        uint8 size = uint8(bound(seed, 1, 6));
        SequencerSet small = new SequencerSet(staking, 1, size);
        uint256 n = bound(uint256(keccak256(abi.encode(seed))), 1, 12);
        uint256[] memory weights = new uint256[](n + 1);
        for (uint256 key = 1; key <= n; ++key) {
            weights[key] = 20_000 + uint256(keccak256(abi.encode(seed, key))) % 3;
            register(key, uint96(weights[key] * 1 ether));
        }
        (bytes32[] memory members, uint256[] memory ids, uint64 total) = small.preview();
        assertAscending(members);
        uint256 expected;
        uint256 expectedTotal;
        for (uint256 id = 1; id <= n; ++id) {
            uint256 ahead;
            for (uint256 other = 1; other <= n; ++other) {
                if (weights[other] > weights[id] || (weights[other] == weights[id] && other < id)) ++ahead;
            }
            if (ahead >= size) continue;
            ++expected;
            expectedTotal += weights[id];
            bool found;
            for (uint256 i; i < ids.length; ++i) {
                found = found || ids[i] == id;
            }
            assertTrue(found);
        }
        assertEq(members.length, expected);
        assertEq(total, expectedTotal);
    }
}
