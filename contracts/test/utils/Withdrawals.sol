// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {OutputRootProof, WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Tries} from "./Tries.sol";

/// A network of four sequencers that accept whatever message passer root a test wants.
abstract contract Withdrawals is Tries {
    uint256 internal constant ALL = 15;
    bytes32[] internal members;

    function setUp() public virtual override {
        super.setUp();
        members = start(4);
    }

    /// A batch with this message passer root, accepted in a new L1 block.
    function accept(bytes32 withdrawalsRoot) internal returns (BatchHeader memory header) {
        vm.roll(block.number + 1);
        vm.warp(block.timestamp + 12);
        header = nextHeader(hex"01");
        header.withdrawalsRoot = withdrawalsRoot;
        submit(header, members, ALL, hex"01");
    }

    /// The same, published.
    function publish(bytes32 withdrawalsRoot) internal returns (uint256 index, OutputRootProof memory parts) {
        BatchHeader memory header = accept(withdrawalsRoot);
        return (outputs.publish(header, uint64(block.timestamp), ALL), partsOf(header));
    }

    /// Proves a withdrawal that is the only one of its batch, as `submitter`.
    function prove(WithdrawalTransaction memory withdrawal, address submitter) internal {
        (bytes32 root, bytes[] memory proof) = loneTrie(withdrawal, 0x01);
        (uint256 index, OutputRootProof memory parts) = publish(root);
        vm.prank(submitter);
        portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
    }

    /// Proves, waits and finalizes.
    function carryOut(WithdrawalTransaction memory withdrawal) internal {
        prove(withdrawal, address(this));
        vm.warp(block.timestamp + WINDOW);
        portal.finalizeWithdrawalTransaction(withdrawal);
    }

    /// Locks METIS as a deposit does.
    function lock(uint256 amount) internal {
        metis.mint(address(this), amount);
        metis.approve(address(portal), amount);
        portal.depositERC20Transaction(address(this), amount, 0, 100_000, false, "");
    }
}
