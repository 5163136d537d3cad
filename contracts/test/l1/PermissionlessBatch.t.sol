// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IBatchRegistry} from "../../src/interfaces/IBatchRegistry.sol";
import {IOutputRegistry} from "../../src/interfaces/IOutputRegistry.sol";
import {BatchRegistry} from "../../src/l1/BatchRegistry.sol";
import {L1History} from "../../src/libraries/L1History.sol";
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

contract PermissionlessBatchTest is Network {
    bytes internal constant DATA = hex"c0ffee";
    bytes internal constant QUEUE_ONLY = hex"02";
    address internal poster = makeAddr("poster");
    bytes32[] internal members;

    function setUp() public override {
        super.setUp();
        members = start(4);
        vm.roll(block.number + 5);
        submit(nextHeader(DATA), members, 15, DATA);
        metis.mint(poster, BOND);
        vm.prank(poster);
        metis.approve(address(registry), type(uint256).max);
        depositQueue.depositTransaction(recipient, 0, 100_000, false, "");
        vm.roll(block.number + 1);
    }

    function openFrom() internal view returns (uint64) {
        return uint64(registry.head().acceptedAt) + SILENCE;
    }

    function post(BatchHeader memory header, bytes memory err) internal {
        if (err.length != 0) vm.expectRevert(err);
        vm.prank(poster);
        registry.submitPermissionless(header);
    }

    function test_submitPermissionless_queueOnly_succeeds() external {
        BatchHeader memory header = nextHeader(QUEUE_ONLY);
        vm.warp(openFrom() - 1);
        post(header, abi.encodeWithSelector(IBatchRegistry.NotSilent.selector, openFrom()));
        vm.warp(openFrom());
        uint64 acceptedAt = uint64(block.timestamp);
        uint64 releaseAt = acceptedAt + UNBONDING_DELAY;
        vm.expectEmit(address(registry));
        emit IBatchRegistry.BatchSubmitted(2, this.hashOf(header), header, 0, false);
        vm.expectEmit(address(registry));
        emit IBatchRegistry.PermissionlessBatch(2, poster, BOND, releaseAt);
        post(header, "");
        assertTrue(registry.isAccepted(header, acceptedAt, 0));
        assertEq(registry.head().index, 2);
        assertEq(registry.head().depositCount, 1);
        assertEq(registry.head().bitmap, 0);
        assertEq(metis.balanceOf(address(registry)), BOND);
        (address holder, uint64 until) = registry.bondOf(2);
        assertEq(holder, poster);
        assertEq(until, releaseAt);

        // Sequencers go on from there.
        headHash = this.hashOf(header);
        submit(nextHeader(DATA), members, 15, DATA);

        vm.warp(releaseAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IBatchRegistry.BondHeld.selector, 2, releaseAt));
        registry.returnBond(2);
        vm.warp(releaseAt);
        vm.expectEmit(address(registry));
        emit IBatchRegistry.BondReturned(2, poster, BOND);
        registry.returnBond(2);
        assertEq(metis.balanceOf(poster), BOND);
        vm.expectRevert(abi.encodeWithSelector(IBatchRegistry.NoBond.selector, 2));
        registry.returnBond(2);
    }

    /// Nobody has signed it, so nobody is paid on it.
    function test_publish_permissionless_reverts() external {
        BatchHeader memory header = nextHeader(QUEUE_ONLY);
        vm.warp(openFrom());
        post(header, "");
        vm.expectRevert(abi.encodeWithSelector(IOutputRegistry.NotAccepted.selector, 2));
        outputs.publish(header, uint64(block.timestamp), 0);
    }

    function test_submitPermissionless_content_reverts() external {
        vm.warp(openFrom());
        BatchHeader memory header = nextHeader(DATA);
        post(
            header,
            abi.encodeWithSelector(IBatchRegistry.WrongDataHash.selector, keccak256(DATA), keccak256(QUEUE_ONLY))
        );
        header = nextHeader(QUEUE_ONLY);
        header.turns = 1;
        post(header, abi.encodeWithSelector(IBatchRegistry.TurnsWithoutSigners.selector));
        header = nextHeader(QUEUE_ONLY);
        header.snapshotId = 2;
        post(header, abi.encodeWithSelector(IBatchRegistry.WrongSnapshot.selector, 2, 1));
        header = nextHeader(QUEUE_ONLY);
        header.depositCount = 0;
        post(header, abi.encodeWithSelector(IBatchRegistry.WrongDepositCount.selector, 0));
        header = nextHeader(QUEUE_ONLY);
        header.firstHeight += 1;
        post(header, abi.encodeWithSelector(IBatchRegistry.WrongHeights.selector, 102, 200, 101));
        header = nextHeader(QUEUE_ONLY);
        header.parentHash = 0;
        post(header, abi.encodeWithSelector(IBatchRegistry.WrongParent.selector, 0));
    }

    /// A batch without an item would only take the sequencers' place.
    function test_submitPermissionless_nothingQueued_reverts() external {
        submit(nextHeader(DATA), members, 15, DATA);
        vm.warp(openFrom());
        post(nextHeader(QUEUE_ONLY), abi.encodeWithSelector(IBatchRegistry.NothingQueued.selector));
    }

    /// An origin that L1 has forgotten has nobody who answers for it.
    function test_submitPermissionless_origin_reverts() external {
        vm.warp(openFrom());
        BatchHeader memory header = nextHeader(QUEUE_ONLY);
        vm.etch(L1History.HISTORY, "");
        vm.roll(block.number + 9_000);
        bytes memory err =
            abi.encodeWithSelector(IBatchRegistry.WrongOrigin.selector, header.l1OriginNumber, header.l1OriginHash);
        post(header, err);
        vm.etch(L1History.HISTORY, address(new History(header.l1OriginHash)).code);
        post(header, "");
    }

    function test_submitPermissionless_zeroOrigin_reverts() external {
        vm.warp(openFrom());
        BatchHeader memory header = nextHeader(QUEUE_ONLY);
        vm.etch(L1History.HISTORY, "");
        vm.roll(block.number + 9_000);
        header.l1OriginHash = 0;
        post(header, abi.encodeWithSelector(IBatchRegistry.WrongOrigin.selector, header.l1OriginNumber, 0));
    }

    function test_submitPermissionless_withoutBond_reverts() external {
        vm.warp(openFrom());
        vm.prank(poster);
        metis.transfer(recipient, 1);
        BatchHeader memory header = nextHeader(QUEUE_ONLY);
        vm.expectRevert();
        vm.prank(poster);
        registry.submitPermissionless(header);
        assertEq(registry.head().index, 1);
    }

    /// Before any batch, the set is the genesis set.
    function test_submitPermissionless_firstBatch_succeeds() external {
        registry = create(DEADLINE, SILENCE, BOND);
        headHash = 0;
        vm.prank(poster);
        metis.approve(address(registry), BOND);
        vm.warp(openFrom());
        post(nextHeader(QUEUE_ONLY), "");
        assertEq(registry.head().snapshotId, 1);
    }

    function create(uint64 deadline, uint64 silence, uint256 bond) internal returns (BatchRegistry) {
        return new BatchRegistry(staking, sequencerSet, depositQueue, deadline, GRACE, silence, bond);
    }

    function test_constructor_permissionless_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IBatchRegistry.SilenceOutOfRange.selector, DEADLINE));
        create(DEADLINE, DEADLINE, BOND);
        vm.expectRevert(abi.encodeWithSelector(IBatchRegistry.SilenceOutOfRange.selector, 7 days + 1));
        create(DEADLINE, 7 days + 1, BOND);
        vm.expectRevert(abi.encodeWithSelector(IBatchRegistry.BondOutOfRange.selector, 0));
        create(DEADLINE, SILENCE, 0);
        vm.expectRevert(abi.encodeWithSelector(IBatchRegistry.BondOutOfRange.selector, 10_000 ether + 1));
        create(DEADLINE, SILENCE, 10_000 ether + 1);
        assertEq(registry.permissionlessAfter(), SILENCE);
        assertEq(registry.bond(), BOND);
    }
}
