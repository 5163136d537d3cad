// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchRegistry} from "../../src/interfaces/IBatchRegistry.sol";
import {IDepositQueue} from "../../src/interfaces/IDepositQueue.sol";
import {ISequencerSet} from "../../src/interfaces/ISequencerSet.sol";
import {BatchRegistry} from "../../src/l1/BatchRegistry.sol";
import {Certificate} from "../../src/libraries/Certificate.sol";
import {L1History} from "../../src/libraries/L1History.sol";
import {Members} from "../../src/libraries/Members.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Network} from "../utils/Network.sol";

/// Stands where EIP-2935's contract stands on L1.
contract History {
    bytes32 private immutable _ANSWER;

    constructor(bytes32 answer) {
        _ANSWER = answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return abi.encode(_ANSWER);
    }
}

/// Passes a calldata batch on.
contract Relay {
    function pass(BatchRegistry registry, bytes calldata call) external {
        (bool done, bytes memory answer) = address(registry).call(call);
        if (!done) revert(string(answer));
    }
}

contract BatchRegistryTest is Network {
    bytes internal constant DATA = hex"c0ffee";
    bytes32[] internal members;

    function setUp() public override {
        super.setUp();
        members = start(4);
        vm.roll(block.number + 5);
    }

    function submit(BatchHeader memory header, uint256 bitmap) internal {
        submit(header, members, bitmap, DATA);
    }

    function submitExpecting(BatchHeader memory header, bytes memory err) internal {
        bytes memory signatures = sign(header, members, 15);
        vm.expectRevert(err);
        vm.prank(recipient, recipient);
        registry.submitBatch(header, members, 15, signatures, DATA);
    }

    function submitSigned(uint256 bitmap, bytes memory signatures, bytes memory err) internal {
        BatchHeader memory header = nextHeader(DATA);
        vm.expectRevert(err);
        vm.prank(recipient, recipient);
        registry.submitBatch(header, members, bitmap, signatures, DATA);
    }

    function deposit() internal {
        depositQueue.depositTransaction(recipient, 0, 100_000, false, "");
    }

    // accepted

    function test_submitBatch_twoBatches_succeeds() external {
        BatchHeader memory first = nextHeader(DATA);
        vm.expectEmit(address(registry));
        emit IBatchRegistry.BatchSubmitted(1, this.hashOf(first), first, 7, false);
        submit(first, 7);
        uint64 acceptedAt = uint64(block.timestamp);
        assertTrue(registry.isAccepted(first, acceptedAt, 7));

        vm.warp(block.timestamp + 60);
        vm.roll(block.number + 5);
        BatchHeader memory second = nextHeader(DATA);
        assertEq(second.parentHash, this.hashOf(first));
        submit(second, 15);
        IBatchRegistry.Head memory head = registry.head();
        assertEq(head.index, 2);
        assertEq(head.height, 200);
        assertEq(head.snapshotId, 1);
        assertEq(head.depositCount, 0);
        assertEq(head.l1OriginNumber, block.number - 1);
        assertTrue(registry.isAccepted(first, acceptedAt, 7));
        assertFalse(registry.isAccepted(first, acceptedAt + 1, 7));
        assertFalse(registry.isAccepted(first, acceptedAt, 15));
        first.stateRoot = 0;
        assertFalse(registry.isAccepted(first, acceptedAt, 7));
        assertEq(registry.commitmentOf(3), 0);
    }

    function test_submitBatch_blobs_succeeds() external {
        bytes32[] memory blobs = new bytes32[](3);
        for (uint256 i; i < 3; ++i) {
            blobs[i] = bytes32((1 << 248) | i);
        }
        vm.blobhashes(blobs);
        BatchHeader memory header = nextHeader("");
        header.dataHash = keccak256(abi.encodePacked(blobs[0], blobs[1], blobs[2]));
        bytes memory signatures = sign(header, members, 15);
        vm.expectEmit(address(registry));
        emit IBatchRegistry.BatchSubmitted(1, this.hashOf(header), header, 15, true);
        // Blobs hang on the transaction, so a contract may submit them.
        registry.submitBatch(header, members, 15, signatures, "");
    }

    // place

    function test_submitBatch_place_reverts() external {
        submit(nextHeader(DATA), 15);
        BatchHeader memory header = nextHeader(DATA);
        header.index = 3;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.WrongIndex.selector, 3, 2));
        header = nextHeader(DATA);
        header.parentHash = 0;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.WrongParent.selector, 0));
        header = nextHeader(DATA);
        header.firstHeight = 102;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.WrongHeights.selector, 102, 200, 101));
        header = nextHeader(DATA);
        header.lastHeight = 100;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.WrongHeights.selector, 101, 100, 101));
        header = nextHeader(DATA);
        header.lastHeight = 101 + 4096;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.WrongHeights.selector, 101, 4197, 101));
        header = nextHeader(DATA);
        header.lastHeight = 101 + 4095;
        submit(header, 15);
    }

    function test_submitBatch_replayed_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        submit(header, 15);
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.WrongIndex.selector, 1, 2));
    }

    // origin

    function test_submitBatch_origin_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        header.l1OriginNumber = uint64(block.number);
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.OriginOutOfRange.selector, block.number));
        header = nextHeader(DATA);
        header.l1OriginHash = keccak256("elsewhere");
        submitExpecting(
            header,
            abi.encodeWithSelector(IBatchRegistry.WrongOrigin.selector, header.l1OriginNumber, header.l1OriginHash)
        );
        submit(nextHeader(DATA), 15);
        header = nextHeader(DATA);
        header.l1OriginNumber -= 1;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.OriginOutOfRange.selector, header.l1OriginNumber));
    }

    /// A restarted development node gives nonsense for BLOCKHASH; the history contract is right.
    function test_submitBatch_originFromHistory_succeeds() external {
        vm.etch(L1History.HISTORY, address(new History(keccak256("true"))).code);
        BatchHeader memory header = nextHeader(DATA);
        header.l1OriginHash = keccak256("true");
        submit(header, 15);
        header = nextHeader(DATA);
        header.l1OriginHash = keccak256("false");
        submitExpecting(
            header,
            abi.encodeWithSelector(IBatchRegistry.WrongOrigin.selector, header.l1OriginNumber, header.l1OriginHash)
        );
    }

    /// What L1 does not remember is left to the signers.
    function test_submitBatch_originForgotten_succeeds() external {
        vm.etch(L1History.HISTORY, "");
        BatchHeader memory header = nextHeader(DATA);
        header.l1OriginHash = keccak256("long ago");
        vm.roll(block.number + 9000);
        submit(header, 15);
    }

    // deposits

    function test_submitBatch_depositCount_succeeds() external {
        deposit();
        deposit();
        vm.roll(block.number + 1);
        BatchHeader memory header = nextHeader(DATA);
        assertEq(header.depositCount, 2);
        header.depositCount = 1;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.WrongDepositCount.selector, 1));
        header.depositCount = 3;
        submitExpecting(header, abi.encodeWithSelector(IDepositQueue.UnknownItem.selector, 3));
        header.depositCount = 2;
        submit(header, 15);
        assertEq(registry.head().depositCount, 2);
    }

    /// An item younger than the origin cannot have been executed.
    function test_submitBatch_depositAfterOrigin_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        deposit();
        header.depositCount = 1;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.WrongDepositCount.selector, 1));
        header.depositCount = 0;
        submit(header, 15);
    }

    /// Batches that keep coming without the item are refused once it is older than the deadline.
    function test_submitBatch_depositOverdue_reverts() external {
        submit(nextHeader(DATA), 15);
        uint64 origin = uint64(block.number - 1);
        uint64 queuedAt = uint64(block.timestamp);
        deposit();
        for (uint256 age = 0; age <= DEADLINE; age += DEADLINE / 6) {
            vm.warp(queuedAt + age);
            submit(withoutItem(origin), 15);
        }
        vm.warp(queuedAt + DEADLINE + 1);
        vm.roll(block.number + 10);
        submitExpecting(
            withoutItem(origin), abi.encodeWithSelector(IBatchRegistry.DepositOverdue.selector, 0, queuedAt)
        );
        // With the item, the batch is accepted however late.
        submit(nextHeader(DATA), 15);
        assertEq(registry.head().depositCount, 1);
    }

    /// After an outage, blocks decided before the item could be executed are still postable, one batch after the other.
    function test_submitBatch_backlogAfterOutage_succeeds() external {
        submit(nextHeader(DATA), 15);
        uint64 origin = uint64(block.number - 1);
        deposit();
        vm.warp(block.timestamp + 10 * DEADLINE);
        vm.roll(block.number + 10);
        for (uint256 i; i < 20; ++i) {
            submit(withoutItem(origin), 15);
            vm.warp(block.timestamp + 12);
        }
        submit(nextHeader(DATA), 15);
        // Grace fades: a day later the rule is as strict as ever.
        for (uint256 i; i < 200; ++i) {
            vm.warp(block.timestamp + DEADLINE / 2);
            submit(nextHeader(DATA), 15);
        }
        assertEq(registry.head().grace, 0);
    }

    /// However the sequencers time their batches, an item is not left out for longer than two deadlines and their longest
    /// silence.
    function testFuzz_submitBatch_stallingBounded_succeeds(uint256 seed) external {
        submit(nextHeader(DATA), 15);
        uint64 origin = uint64(block.number - 1);
        uint256 queuedAt = block.timestamp;
        deposit();
        uint256 longest;
        uint256 range = seed % 5 == 0 ? 20 * uint256(DEADLINE) : 2 * uint256(DEADLINE);
        for (uint256 i; i < 40; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 gap = bound(seed, 1, range);
            vm.warp(block.timestamp + gap);
            BatchHeader memory header = withoutItem(origin);
            bytes memory signatures = sign(header, members, 15);
            vm.prank(recipient, recipient);
            try registry.submitBatch(header, members, 15, signatures, DATA) {
                headHash = this.hashOf(header);
            } catch (bytes memory err) {
                assertEq(bytes4(err), IBatchRegistry.DepositOverdue.selector);
                return;
            }
            if (gap > longest) longest = gap;
            assertLe(block.timestamp - queuedAt, longest + 2 * uint256(DEADLINE));
        }
    }

    /// A batch that claims an origin before the item.
    function withoutItem(uint64 origin) internal view returns (BatchHeader memory header) {
        header = nextHeader(DATA);
        header.l1OriginNumber = origin;
        header.l1OriginHash = blockhash(origin);
        header.depositCount = 0;
    }

    // data

    function test_submitBatch_data_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        header.dataHash = keccak256("other");
        submitExpecting(
            header, abi.encodeWithSelector(IBatchRegistry.WrongDataHash.selector, header.dataHash, keccak256(DATA))
        );
        header = nextHeader("");
        bytes memory signatures = sign(header, members, 15);
        vm.expectRevert(IBatchRegistry.NoData.selector);
        registry.submitBatch(header, members, 15, signatures, "");
        bytes32[] memory blobs = new bytes32[](1);
        blobs[0] = bytes32(uint256(1) << 248);
        vm.blobhashes(blobs);
        submitExpecting(nextHeader(DATA), abi.encodeWithSelector(IBatchRegistry.AmbiguousData.selector));
        header = nextHeader("");
        signatures = sign(header, members, 15);
        vm.expectRevert(
            abi.encodeWithSelector(
                IBatchRegistry.WrongDataHash.selector, header.dataHash, keccak256(abi.encodePacked(blobs))
            )
        );
        registry.submitBatch(header, members, 15, signatures, "");
    }

    function test_submitBatch_throughContract_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        bytes memory call = abi.encodeCall(registry.submitBatch, (header, members, 15, sign(header, members, 15), DATA));
        Relay relay = new Relay();
        vm.expectRevert(
            abi.encodeWithSignature("Error(string)", abi.encodePacked(IBatchRegistry.IndirectCaller.selector))
        );
        vm.prank(recipient, recipient);
        relay.pass(registry, call);
        // An EIP-7702 account could hide the data in a call to itself.
        vm.etch(recipient, abi.encodePacked(hex"ef0100", address(relay)));
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.IndirectCaller.selector));
    }

    // snapshot and set

    function test_submitBatch_supersededSnapshot_succeeds() external {
        vm.roll(block.number + INTERVAL);
        sequencerSet.snapshot();
        uint64 supersededAt = uint64(block.timestamp);
        BatchHeader memory header = nextHeader(DATA);
        header.snapshotId = 1;
        vm.warp(supersededAt + GRACE + 1);
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.SnapshotTooOld.selector, 1, supersededAt));
        vm.warp(supersededAt + GRACE);
        submit(header, 15);
        submit(nextHeader(DATA), 15);
        header = nextHeader(DATA);
        header.snapshotId = 1;
        submitExpecting(header, abi.encodeWithSelector(IBatchRegistry.SnapshotWentBack.selector, 1, 2));
    }

    function test_submitBatch_unknownSnapshot_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        header.snapshotId = 2;
        submitExpecting(header, abi.encodeWithSelector(ISequencerSet.UnknownSnapshot.selector, 2));
        header.snapshotId = 0;
        submitExpecting(header, abi.encodeWithSelector(ISequencerSet.UnknownSnapshot.selector, 0));
    }

    function test_submitBatch_otherSet_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        bytes memory signatures = sign(header, members, 15);
        bytes32[] memory other = members;
        other[0] = bytes32(uint256(other[0]) + 1);
        vm.expectRevert(
            abi.encodeWithSelector(
                ISequencerSet.WrongSet.selector, Members.hash(other), sequencerSet.snapshotAt(1).setHash
            )
        );
        vm.prank(recipient, recipient);
        registry.submitBatch(header, other, 15, signatures, DATA);
    }

    // certificate

    /// Two thirds exactly are not enough.
    function test_submitBatch_quorum_reverts() external {
        register(5, 20_000 ether);
        register(6, 20_000 ether);
        vm.roll(block.number + INTERVAL);
        (members,,) = sequencerSet.preview();
        sequencerSet.snapshot();
        BatchHeader memory header = nextHeader(DATA);
        submitSigned(
            15, sign(header, members, 15), abi.encodeWithSelector(Certificate.NoQuorum.selector, 80_000, 120_000)
        );
        submit(header, 31);
    }

    function test_submitBatch_malformed_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        bytes memory good = sign(header, members, 15);
        bytes memory err = abi.encodeWithSelector(Certificate.MalformedCertificate.selector);
        submitSigned(15 | (1 << 4), good, err);
        submitSigned(15 | (1 << 255), good, err);
        submitSigned(15, bytes.concat(good, hex"00"), err);
        submitSigned(7, good, err);
        submitSigned(15, sign(header, members, 7), err);
        submitSigned(15, "", err);
        submitSigned(0, "", abi.encodeWithSelector(Certificate.NoQuorum.selector, 0, 80_000));
    }

    function test_submitBatch_wrongSigner_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        // Member 1 signs in the place of member 0.
        bytes memory swapped = bytes.concat(sign(header, members, 2), sign(header, members, 14));
        submitSigned(15, swapped, abi.encodeWithSelector(Certificate.WrongSigner.selector, 0));
        // Signatures over another header.
        header.stateRoot = keccak256("other");
        submitSigned(15, sign(header, members, 15), abi.encodeWithSelector(Certificate.WrongSigner.selector, 0));
        // Nothing that could be recovered.
        submitSigned(15, new bytes(256), abi.encodeWithSelector(Certificate.WrongSigner.selector, 0));
    }

    /// Signatures for one chain or one network are nothing in another.
    function test_submitBatch_otherDomain_reverts() external {
        BatchHeader memory header = nextHeader(DATA);
        bytes memory signatures = sign(header, members, 15);
        vm.chainId(77);
        submitSigned(15, signatures, abi.encodeWithSelector(Certificate.WrongSigner.selector, 0));
        submit(header, 15);
    }

    function test_constructor_deadline_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IBatchRegistry.DeadlineOutOfRange.selector, 9));
        new BatchRegistry(staking, sequencerSet, depositQueue, 9, 1, SILENCE, BOND);
        vm.expectRevert(abi.encodeWithSelector(IBatchRegistry.DeadlineOutOfRange.selector, 1 days + 1));
        new BatchRegistry(staking, sequencerSet, depositQueue, 1 days + 1, 1, SILENCE, BOND);
        assertEq(registry.depositDeadline(), DEADLINE);
        assertEq(registry.snapshotGrace(), GRACE);
    }

    /// Any choice of signers passes exactly if it has more than two thirds of the weight.
    function testFuzz_submitBatch_anySigners_succeeds(uint256 bitmap, uint96[6] memory stakes) external {
        for (uint256 i; i < 6; ++i) {
            register(10 + i, uint96(bound(stakes[i], 20_000 ether, 100_000 ether)));
        }
        vm.roll(block.number + INTERVAL);
        uint64 total;
        (members,, total) = sequencerSet.preview();
        sequencerSet.snapshot();
        bitmap = bound(bitmap, 0, 1023);
        uint256 signed;
        for (uint256 i; i < members.length; ++i) {
            if ((bitmap >> i) & 1 == 1) signed += Members.weightOf(members[i]);
        }
        BatchHeader memory header = nextHeader(DATA);
        bytes memory signatures = sign(header, members, bitmap);
        if (signed * 3 <= uint256(total) * 2) {
            vm.expectRevert(abi.encodeWithSelector(Certificate.NoQuorum.selector, signed, total));
        }
        vm.prank(recipient, recipient);
        registry.submitBatch(header, members, bitmap, signatures, DATA);
    }

    /// One altered bit anywhere in the signatures is refused.
    function testFuzz_submitBatch_alteredSignature_reverts(uint256 position) external {
        position = bound(position, 0, 4 * 64 * 8 - 1);
        BatchHeader memory header = nextHeader(DATA);
        bytes memory signatures = sign(header, members, 15);
        signatures[position / 8] ^= bytes1(uint8(1 << (position % 8)));
        vm.expectRevert(abi.encodeWithSelector(Certificate.WrongSigner.selector, position / 512));
        vm.prank(recipient, recipient);
        registry.submitBatch(header, members, 15, signatures, DATA);
    }
}
