// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";
import {IDepositQueue} from "../../src/interfaces/IDepositQueue.sol";
import {IPortal} from "../../src/interfaces/IPortal.sol";
import {Portal} from "../../src/l1/Portal.sol";
import {OutputRootProof, WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Withdrawals} from "../utils/Withdrawals.sol";

/// What withdrawals call.
contract Target {
    Portal private immutable _PORTAL;
    address public sender;
    uint256 public held;
    bytes public answer;

    constructor(Portal portal) {
        _PORTAL = portal;
    }

    /// Notes who sent it and what it already holds.
    function note() external {
        sender = _PORTAL.l2Sender();
        held = DevnetToken(_PORTAL.metis()).balanceOf(address(this));
    }

    function fail() external pure {
        revert("no");
    }

    /// A megabyte of failure.
    function flood() external pure {
        assembly {
            revert(0, 1000000)
        }
    }

    function spend(uint256 gas) external view {
        uint256 before = gasleft();
        while (before - gasleft() < gas) {}
    }

    /// Finalizes another withdrawal from inside of one.
    function reenter(WithdrawalTransaction calldata other) external {
        try _PORTAL.finalizeWithdrawalTransactionExternalProof(other, other.sender) {}
        catch (bytes memory reason) {
            answer = reason;
        }
    }
}

interface DevnetToken {
    function balanceOf(address account) external view returns (uint256);
}

contract PortalTest is Withdrawals {
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    Target internal target;

    function setUp() public override {
        super.setUp();
        target = new Target(portal);
        lock(100 ether);
    }

    function withdrawalOf(address to, uint256 value, uint256 gasLimit, bytes memory data)
        internal
        view
        returns (WithdrawalTransaction memory)
    {
        return WithdrawalTransaction(uint256(1) << 240, alice, to, value, gasLimit, data);
    }

    /// Real proofs: a trie of forty messages as anvil's `eth_getProof` shows it.
    function golden(string memory json, uint256 i)
        internal
        pure
        returns (WithdrawalTransaction memory withdrawal, bytes[] memory proof)
    {
        string memory place = string.concat(".withdrawals[", vm.toString(i), "]");
        withdrawal = WithdrawalTransaction({
            nonce: vm.parseJsonUint(json, string.concat(place, ".nonce")),
            sender: vm.parseJsonAddress(json, string.concat(place, ".sender")),
            target: vm.parseJsonAddress(json, string.concat(place, ".target")),
            value: vm.parseJsonUint(json, string.concat(place, ".value")),
            gasLimit: vm.parseJsonUint(json, string.concat(place, ".gasLimit")),
            data: vm.parseJsonBytes(json, string.concat(place, ".data"))
        });
        proof = vm.parseJsonBytesArray(json, string.concat(place, ".proof"));
    }

    function test_proveWithdrawalTransaction_goldenProofs_succeeds() external {
        string memory json = vm.readFile("../protocol/vectors/withdrawals.json");
        (uint256 index, OutputRootProof memory parts) = publish(vm.parseJsonBytes32(json, ".storageRoot"));
        uint64 acceptedAt = uint64(block.timestamp);
        vm.warp(block.timestamp + 1 days);
        for (uint256 i; i < 4; ++i) {
            (WithdrawalTransaction memory withdrawal, bytes[] memory proof) = golden(json, i);
            bytes32 hash = hashOf(withdrawal);
            vm.expectEmit(address(portal));
            emit IPortal.WithdrawalProven(hash, withdrawal.sender, withdrawal.target);
            vm.expectEmit(address(portal));
            emit IPortal.WithdrawalProvenExtension1(hash, bob);
            vm.prank(bob);
            portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
            (address game, uint64 since) = portal.provenWithdrawals(hash, bob);
            assertEq(game, outputs.outputAt(index).game);
            assertEq(since, acceptedAt);
            assertEq(portal.numProofSubmitters(hash), 1);
            assertEq(portal.proofSubmitters(hash, 0), bob);
        }
        vm.warp(acceptedAt + WINDOW);
        for (uint256 i; i < 4; ++i) {
            (WithdrawalTransaction memory withdrawal,) = golden(json, i);
            vm.expectEmit(address(portal));
            emit IPortal.WithdrawalFinalized(hashOf(withdrawal), true);
            vm.prank(bob);
            portal.finalizeWithdrawalTransaction(withdrawal);
            assertEq(metis.balanceOf(withdrawal.target), withdrawal.value);
        }
    }

    /// Any changed field is another message, which nobody recorded.
    function testFuzz_proveWithdrawalTransaction_changedField_reverts(uint8 which, uint256 change) external {
        change = bound(change, 1, type(uint64).max);
        string memory json = vm.readFile("../protocol/vectors/withdrawals.json");
        (uint256 index, OutputRootProof memory parts) = publish(vm.parseJsonBytes32(json, ".storageRoot"));
        (WithdrawalTransaction memory withdrawal, bytes[] memory proof) = golden(json, which % 4);
        which = uint8(bound(which, 0, 5));
        unchecked {
            if (which == 0) withdrawal.nonce += change;
            if (which == 1) withdrawal.sender = address(uint160(withdrawal.sender) ^ uint160(change));
            if (which == 2) withdrawal.target = address(uint160(withdrawal.target) ^ uint160(change));
            if (which == 3) withdrawal.value += change;
            if (which == 4) withdrawal.gasLimit += change;
            if (which == 5) withdrawal.data = abi.encodePacked(withdrawal.data, change);
        }
        // The path leads to another leaf, or to none.
        vm.expectRevert();
        portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
    }

    /// Any changed byte of a proof breaks it.
    function testFuzz_proveWithdrawalTransaction_changedProof_reverts(uint256 node, uint256 spot, uint8 bit) external {
        string memory json = vm.readFile("../protocol/vectors/withdrawals.json");
        (uint256 index, OutputRootProof memory parts) = publish(vm.parseJsonBytes32(json, ".storageRoot"));
        (WithdrawalTransaction memory withdrawal, bytes[] memory proof) = golden(json, 2);
        node %= proof.length;
        spot %= proof[node].length;
        proof[node][spot] ^= bytes1(uint8(1) << (bit % 8));
        vm.expectRevert();
        portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
    }

    function test_proveWithdrawalTransaction_falseWord_reverts() external {
        WithdrawalTransaction memory withdrawal = withdrawalOf(bob, 1 ether, 0, "");
        (bytes32 root, bytes[] memory proof) = loneTrie(withdrawal, 0x02);
        (uint256 index, OutputRootProof memory parts) = publish(root);
        vm.expectRevert(IPortal.InvalidMerkleProof.selector);
        portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
        vm.expectRevert(IPortal.InvalidMerkleProof.selector);
        portal.proveWithdrawalTransaction(withdrawal, index, parts, new bytes[](0));
    }

    function test_proveWithdrawalTransaction_wrongParts_reverts() external {
        WithdrawalTransaction memory withdrawal = withdrawalOf(bob, 1 ether, 0, "");
        (bytes32 root, bytes[] memory proof) = loneTrie(withdrawal, 0x01);
        (uint256 index, OutputRootProof memory parts) = publish(keccak256("nothing"));
        parts.messagePasserStorageRoot = root;
        vm.expectRevert(IPortal.InvalidProof.selector);
        portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
    }

    /// Called by the portal, the token would pay out everything, and the portal is its own depositor.
    function test_proveWithdrawalTransaction_badTarget_reverts() external {
        OutputRootProof memory parts;
        for (uint256 i; i < 2; ++i) {
            address bad = i == 0 ? address(portal) : address(metis);
            vm.expectRevert(IDepositQueue.BadTarget.selector);
            portal.proveWithdrawalTransaction(withdrawalOf(bad, 0, 0, ""), 0, parts, new bytes[](0));
        }
    }

    /// A second proof by the same submitter takes the place of the first, e.g. against a later output.
    function test_proveWithdrawalTransaction_again_replaces() external {
        WithdrawalTransaction memory withdrawal = withdrawalOf(bob, 1 ether, 0, "");
        bytes32 hash = hashOf(withdrawal);
        prove(withdrawal, bob);
        (address first,) = portal.provenWithdrawals(hash, bob);
        prove(withdrawal, alice);
        prove(withdrawal, bob);
        (address second, uint64 since) = portal.provenWithdrawals(hash, bob);
        assertNotEq(first, second);
        assertEq(since, block.timestamp);
        assertEq(portal.numProofSubmitters(hash), 2);
        assertEq(portal.proofSubmitters(hash, 1), alice);
    }

    function test_finalizeWithdrawalTransaction_pays_succeeds() external {
        WithdrawalTransaction memory withdrawal = withdrawalOf(bob, 30 ether, 0, "");
        bytes32 hash = hashOf(withdrawal);
        vm.expectRevert(IPortal.OptimismPortal_Unproven.selector);
        portal.checkWithdrawal(hash, bob);
        prove(withdrawal, bob);
        vm.warp(block.timestamp + WINDOW - 1);
        vm.startPrank(bob);
        vm.expectRevert(IPortal.OptimismPortal_ProofNotOldEnough.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
        vm.warp(block.timestamp + 1);
        portal.checkWithdrawal(hash, bob);
        vm.expectEmit(address(portal));
        emit IPortal.WithdrawalFinalized(hash, true);
        portal.finalizeWithdrawalTransaction(withdrawal);
        assertTrue(portal.finalizedWithdrawals(hash));
        assertEq(metis.balanceOf(bob), 30 ether);
        assertEq(portal.totalLocked(), 70 ether);
        assertEq(metis.balanceOf(address(portal)), 70 ether);
        vm.expectRevert(IPortal.OptimismPortal_AlreadyFinalized.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
        vm.stopPrank();
        (bytes32 root, bytes[] memory proof) = loneTrie(withdrawal, 0x01);
        (uint256 index, OutputRootProof memory parts) = publish(root);
        vm.expectRevert(IPortal.OptimismPortal_AlreadyFinalized.selector);
        portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
    }

    function test_finalizeWithdrawalTransactionExternalProof_othersProof_succeeds() external {
        WithdrawalTransaction memory withdrawal = withdrawalOf(bob, 1 ether, 0, "");
        prove(withdrawal, alice);
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(IPortal.OptimismPortal_Unproven.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
        portal.finalizeWithdrawalTransactionExternalProof(withdrawal, alice);
        assertEq(metis.balanceOf(bob), 1 ether);
    }

    /// Tokens first, then the call, which sees who sent it.
    function test_finalizeWithdrawalTransaction_calls_succeeds() external {
        assertEq(portal.l2Sender(), 0x000000000000000000000000000000000000dEaD);
        carryOut(withdrawalOf(address(target), 2 ether, 200_000, abi.encodeCall(Target.note, ())));
        assertEq(target.sender(), alice);
        assertEq(target.held(), 2 ether);
        assertEq(portal.l2Sender(), 0x000000000000000000000000000000000000dEaD);
    }

    /// As in the OP Stack a failed call is final, and the tokens are paid all the same.
    function test_finalizeWithdrawalTransaction_failedCall_isFinal() external {
        WithdrawalTransaction memory withdrawal =
            withdrawalOf(address(target), 2 ether, 100_000, abi.encodeCall(Target.fail, ()));
        prove(withdrawal, address(this));
        vm.warp(block.timestamp + WINDOW);
        vm.expectEmit(address(portal));
        emit IPortal.WithdrawalFinalized(hashOf(withdrawal), false);
        portal.finalizeWithdrawalTransaction(withdrawal);
        assertTrue(portal.finalizedWithdrawals(hashOf(withdrawal)));
        assertEq(metis.balanceOf(address(target)), 2 ether);
    }

    function test_finalizeWithdrawalTransaction_failureInEstimation_reverts() external {
        WithdrawalTransaction memory withdrawal =
            withdrawalOf(address(target), 0, 100_000, abi.encodeCall(Target.fail, ()));
        prove(withdrawal, address(1));
        vm.warp(block.timestamp + WINDOW);
        vm.prank(address(1), address(1));
        vm.expectRevert(IPortal.GasEstimation.selector);
        portal.finalizeWithdrawalTransaction(withdrawal);
    }

    /// What a target returns costs the finalizer nothing.
    function test_finalizeWithdrawalTransaction_returnBomb_isCheap() external {
        WithdrawalTransaction memory withdrawal =
            withdrawalOf(address(target), 0, 3_000_000, abi.encodeCall(Target.flood, ()));
        prove(withdrawal, address(this));
        vm.warp(block.timestamp + WINDOW);
        uint256 before = gasleft();
        portal.finalizeWithdrawalTransaction(withdrawal);
        assertLt(before - gasleft(), 3_000_000);
    }

    /// Too little gas leaves the withdrawal open instead of failing its call.
    function test_finalizeWithdrawalTransaction_tooLittleGas_reverts() external {
        WithdrawalTransaction memory withdrawal =
            withdrawalOf(address(target), 1 ether, 500_000, abi.encodeCall(Target.spend, (480_000)));
        prove(withdrawal, address(this));
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert(IPortal.OutOfGas.selector);
        portal.finalizeWithdrawalTransaction{gas: 560_000}(withdrawal);
        vm.expectEmit(address(portal));
        emit IPortal.WithdrawalFinalized(hashOf(withdrawal), true);
        portal.finalizeWithdrawalTransaction{gas: 700_000}(withdrawal);
    }

    /// Whatever gas the finalizer gives: the call has what was asked for, or nothing happens.
    function testFuzz_finalizeWithdrawalTransaction_anyGas_neverFailsTheCall(uint256 gas) external {
        WithdrawalTransaction memory withdrawal =
            withdrawalOf(address(target), 1 ether, 300_000, abi.encodeCall(Target.spend, (290_000)));
        prove(withdrawal, address(this));
        vm.warp(block.timestamp + WINDOW);
        gas = bound(gas, 30_000, 900_000);
        vm.recordLogs();
        try portal.finalizeWithdrawalTransaction{gas: gas}(withdrawal) {
            Vm.Log[] memory logs = vm.getRecordedLogs();
            assertEq(logs[logs.length - 1].topics[0], IPortal.WithdrawalFinalized.selector);
            assertTrue(abi.decode(logs[logs.length - 1].data, (bool)));
            assertGt(gas, 340_000);
        } catch {
            assertFalse(portal.finalizedWithdrawals(hashOf(withdrawal)));
        }
    }

    function test_finalizeWithdrawalTransaction_reentered_refusesInner() external {
        WithdrawalTransaction memory inner = withdrawalOf(bob, 1 ether, 0, "");
        prove(inner, alice);
        carryOut(withdrawalOf(address(target), 0, 400_000, abi.encodeCall(Target.reenter, (inner))));
        assertEq(target.answer(), abi.encodePacked(IPortal.NonReentrant.selector));
        portal.finalizeWithdrawalTransactionExternalProof(inner, alice);
        assertEq(metis.balanceOf(bob), 1 ether);
    }

    /// An L2 that owes more than is locked: nothing is paid, nothing is lost.
    function test_finalizeWithdrawalTransaction_moreThanLocked_staysOpen() external {
        WithdrawalTransaction memory withdrawal = withdrawalOf(bob, 101 ether, 0, "");
        // Stray tokens are nobody's.
        metis.mint(address(portal), 50 ether);
        prove(withdrawal, address(this));
        vm.warp(block.timestamp + WINDOW);
        vm.expectRevert();
        portal.finalizeWithdrawalTransaction(withdrawal);
        metis.mint(bob, 1 ether);
        vm.startPrank(bob);
        metis.approve(address(portal), 1 ether);
        vm.expectEmit(address(portal));
        emit IPortal.Backed(bob, 1 ether);
        portal.back(1 ether);
        vm.stopPrank();
        portal.finalizeWithdrawalTransaction(withdrawal);
        assertEq(metis.balanceOf(bob), 101 ether);
        assertEq(portal.totalLocked(), 0);
    }

    /// What the OP Stack's clients read.
    function test_views_opStack_succeeds() external view {
        assertEq(portal.version(), "5.0.0");
        assertEq(portal.disputeGameFactory(), address(outputs));
        assertEq(portal.anchorStateRegistry(), address(outputs));
        assertEq(portal.respectedGameType(), outputs.respectedGameType());
        assertEq(portal.proofMaturityDelaySeconds(), WINDOW);
        assertEq(portal.disputeGameFinalityDelaySeconds(), 0);
        assertFalse(portal.paused());
        assertEq(portal.guardian(), address(0));
        assertEq(address(portal.OUTPUTS()), address(outputs));
    }
}
