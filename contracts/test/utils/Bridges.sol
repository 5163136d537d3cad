// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";
import {IDepositQueue} from "../../src/interfaces/IDepositQueue.sol";
import {BridgedToken} from "../../src/l2/BridgedToken.sol";
import {BridgedTokenFactory} from "../../src/l2/BridgedTokenFactory.sol";
import {L2Bridge} from "../../src/l2/L2Bridge.sol";
import {L2ToL1MessagePasser} from "../../src/l2/L2ToL1MessagePasser.sol";
import {WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Withdrawals} from "./Withdrawals.sol";

/// L1 and L2 in one machine: the predeploys stand at their addresses, deposits are carried over from the queue's events as
/// the state transition does, withdrawals from the message passer's.
abstract contract Bridges is Withdrawals {
    L2Bridge internal l2Bridge = L2Bridge(0x4200000000000000000000000000000000000010);
    BridgedTokenFactory internal factory = BridgedTokenFactory(0x4200000000000000000000000000000000000012);
    L2ToL1MessagePasser internal passer = L2ToL1MessagePasser(payable(0x4200000000000000000000000000000000000016));
    /// Gas the last carried deposit used, and was given, beyond its intrinsic gas.
    uint256 internal usedGas;
    uint256 internal givenGas;

    function setUp() public virtual override {
        super.setUp();
        vm.etch(address(l2Bridge), type(L2Bridge).runtimeCode);
        vm.etch(address(factory), type(BridgedTokenFactory).runtimeCode);
        vm.etch(address(passer), type(L2ToL1MessagePasser).runtimeCode);
        vm.store(address(l2Bridge), 0, bytes32(uint256(uint160(address(l1Bridge)))));
    }

    /// Executes the newest deposit among the recorded logs with exactly its gas, cold.
    function carryDeposit() internal returns (bool success) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 i = logs.length - 1;
        while (logs[i].topics[0] != IDepositQueue.TransactionDeposited.selector) --i;
        bytes memory opaque = abi.decode(logs[i].data, (bytes));
        bytes memory data = new bytes(opaque.length - 73);
        for (uint256 k; k < data.length; ++k) {
            data[k] = opaque[73 + k];
        }
        uint64 gasLimit;
        for (uint256 k = 64; k < 72; ++k) {
            gasLimit = (gasLimit << 8) | uint8(opaque[k]);
        }
        givenGas = gasLimit - 21_000 - 16 * data.length;
        address to = address(uint160(uint256(logs[i].topics[2])));
        vm.cool(to);
        vm.cool(address(factory));
        vm.prank(address(uint160(uint256(logs[i].topics[1]))));
        uint256 before = gasleft();
        (success,) = to.call{gas: givenGas}(data);
        usedGas = before - gasleft();
    }

    /// The newest message among the recorded logs.
    function newestMessage() internal returns (WithdrawalTransaction memory withdrawal) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 i = logs.length - 1;
        while (logs[i].topics[0] != L2ToL1MessagePasser.MessagePassed.selector) --i;
        withdrawal.nonce = uint256(logs[i].topics[1]);
        withdrawal.sender = address(uint160(uint256(logs[i].topics[2])));
        withdrawal.target = address(uint160(uint256(logs[i].topics[3])));
        (withdrawal.value, withdrawal.gasLimit, withdrawal.data,) =
            abi.decode(logs[i].data, (uint256, uint256, bytes, bytes32));
    }

    function tokenOf(address l1Token) internal view returns (BridgedToken) {
        return BridgedToken(factory.tokenOf(l1Token));
    }
}
