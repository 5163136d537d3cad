// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {L2SequencerSet} from "../../src/l2/L2SequencerSet.sol";
import {Members} from "../../src/libraries/Members.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {OutputRootProof, WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Bridges} from "../utils/Bridges.sol";
import {EpochCall, Epochs} from "../utils/Epochs.sol";
import {PlainToken} from "../utils/Tokens.sol";

/// Gas of whole transactions of the way between L1 and L2 (docs/gas.md).
contract BridgeGasTest is Bridges {
    address internal bob = makeAddr("bob");

    function used(string memory call) internal returns (uint256 gas) {
        gas = vm.lastCallGas().gasTotalUsed;
        emit log_named_uint(call, gas);
    }

    /// forge-config: default.isolate = true
    function test_withdrawal_gas_bounded() external {
        lock(100 ether);
        publish(keccak256("the list is no longer empty"));
        string memory json = vm.readFile("../protocol/vectors/withdrawals.json");
        BatchHeader memory header = accept(vm.parseJsonBytes32(json, ".storageRoot"));
        uint256 index = outputs.publish(header, uint64(block.timestamp), ALL);
        assertLt(used("publish"), 150_000);
        WithdrawalTransaction memory withdrawal = WithdrawalTransaction({
            nonce: vm.parseJsonUint(json, ".withdrawals[2].nonce"),
            sender: vm.parseJsonAddress(json, ".withdrawals[2].sender"),
            target: vm.parseJsonAddress(json, ".withdrawals[2].target"),
            value: vm.parseJsonUint(json, ".withdrawals[2].value"),
            gasLimit: vm.parseJsonUint(json, ".withdrawals[2].gasLimit"),
            data: ""
        });
        assertEq(vm.parseJsonBytes(json, ".withdrawals[2].data").length, 0);
        OutputRootProof memory parts = partsOf(header);
        bytes[] memory proof = vm.parseJsonBytesArray(json, ".withdrawals[2].proof");
        portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
        assertLt(used("proveWithdrawalTransaction, 4 nodes"), 280_000);
        vm.warp(block.timestamp + WINDOW);
        portal.finalizeWithdrawalTransaction(withdrawal);
        assertLt(used("finalizeWithdrawalTransaction"), 120_000);
    }

    /// forge-config: default.isolate = true
    function test_token_gas_bounded() external {
        PlainToken token = new PlainToken("Plain", "PLN", 6);
        token.mint(address(this), 100);
        token.approve(address(l1Bridge), 100);
        publish(keccak256("the list is no longer empty"));
        for (uint256 i; i < 2; ++i) {
            vm.roll(block.number + 1);
            vm.recordLogs();
            l1Bridge.depositERC20(address(token), bob, 50);
            assertLt(used(i == 0 ? "depositERC20, first" : "depositERC20"), i == 0 ? 480_000 : 160_000);
            assertTrue(carryDeposit());
            emit log_named_uint(i == 0 ? "L2 finalizeDeposit, first" : "L2 finalizeDeposit", usedGas);
        }
        address l2Token = factory.tokenOf(address(token));
        vm.recordLogs();
        vm.prank(bob);
        l2Bridge.withdraw(l2Token, bob, 70);
        assertLt(used("L2 withdraw"), 120_000);
        WithdrawalTransaction memory message = newestMessage();
        prove(message, address(this));
        vm.warp(block.timestamp + WINDOW);
        portal.finalizeWithdrawalTransaction(message);
        assertLt(used("finalizeWithdrawalTransaction, token"), 180_000);
    }

    /// Written for the first time, by the same members again, and by others.
    /// forge-config: default.isolate = true
    function test_setEpoch_gas_bounded() external {
        L2SequencerSet set = new L2SequencerSet();
        bytes32[][2] memory sets = [new bytes32[](32), new bytes32[](32)];
        for (uint256 i; i < 32; ++i) {
            sets[0][i] = Members.word(address(uint160(i + 1)), 20_000);
            sets[1][i] = Members.word(address(uint160(i + 2)), 20_000);
        }
        for (uint64 epoch = 1; epoch < 4; ++epoch) {
            bytes32[] memory words = sets[epoch / 3];
            EpochCall memory call =
                EpochCall(epoch, epoch * 100, 100, 10, epoch, keccak256("s"), words, epoch + 1, keccak256("n"), words);
            vm.prank(set.DEPOSITOR_ACCOUNT());
            (bool done,) = address(set).call(Epochs.encode(call));
            assertTrue(done);
            assertLt(used("setEpoch"), epoch == 1 ? 1_800_000 : 600_000);
        }
    }
}
