// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Vm} from "forge-std/Vm.sol";
import {IL1Bridge} from "../../src/interfaces/IL1Bridge.sol";
import {BridgedToken} from "../../src/l2/BridgedToken.sol";
import {FeeVault} from "../../src/l2/FeeVault.sol";
import {WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Bridges} from "../utils/Bridges.sol";
import {FeeToken, HookToken, MoodyToken, PlainToken} from "../utils/Tokens.sol";

/// Random users on both sides. L2's METIS is kept as plain balances of this machine: what a deposit mints is dealt to its
/// receiver, what the message passer holds is gone.
contract BridgeHandler is Bridges {
    struct Open {
        WithdrawalTransaction withdrawal;
        uint256 provenAt;
        bool finalized;
        /// Zero address for METIS.
        address token;
        uint256 amount;
    }

    FeeVault public vault = FeeVault(payable(0x4200000000000000000000000000000000000011));
    address[] public tokens;
    Open[] internal open;
    /// METIS wei given to L2 by deposits, and taken by finalized withdrawals.
    uint256 public metisIn;
    uint256 public metisOut;
    mapping(address token => uint256) public tokenIn;
    uint256 public finalizations;
    uint256 public keptPayments;

    function init() external {
        setUp();
        vm.etch(address(vault), type(FeeVault).runtimeCode);
        vm.store(address(vault), 0, bytes32(uint256(uint160(makeAddr("rewards")))));
        tokens.push(address(new PlainToken("Plain", "PLN", 6)));
        tokens.push(address(new FeeToken()));
        tokens.push(address(new MoodyToken()));
        tokens.push(address(new HookToken()));
    }

    function user(uint256 seed) internal pure returns (address) {
        return address(uint160(0xB0000 + seed % 5));
    }

    function freshBlock() internal {
        vm.roll(block.number + 1);
        vm.warp(block.timestamp + 12);
    }

    function depositMetis(uint256 who, uint96 amount) external {
        freshBlock();
        address from = user(who);
        metis.mint(from, amount);
        vm.startPrank(from, from);
        metis.approve(address(portal), amount);
        portal.depositERC20Transaction(from, amount, amount, 100_000, false, "");
        vm.stopPrank();
        vm.deal(from, from.balance + amount);
        metisIn += amount;
    }

    function depositToken(uint256 who, uint256 which, uint96 amount) external {
        freshBlock();
        address token = tokens[which % tokens.length];
        amount = uint96(bound(amount, 1, type(uint96).max));
        address from = user(who);
        MoodyToken(tokens[2]).set(false, false);
        PlainToken(token).mint(from, amount);
        vm.recordLogs();
        // The origin too: forge's own may be a contract, which no transaction's is.
        vm.startPrank(from, from);
        PlainToken(token).approve(address(l1Bridge), amount);
        l1Bridge.depositERC20(token, user(who % 5 + 1), amount);
        vm.stopPrank();
        require(carryDeposit(), "a deposit failed on L2");
        tokenIn[token] += amount;
    }

    function depositEther(uint256 who, uint96 amount) external {
        freshBlock();
        amount = uint96(bound(amount, 1, type(uint96).max));
        // Ether of L1; METIS balances of users stay what L2 gave them.
        hoax(makeAddr("ether"), makeAddr("ether"), amount);
        vm.recordLogs();
        l1Bridge.depositETH{value: amount}(user(who));
        require(carryDeposit(), "a deposit failed on L2");
        tokenIn[address(0)] += amount;
    }

    function withdrawMetis(uint256 who, uint96 amount) external {
        address from = user(who);
        amount = uint96(bound(amount, 0, from.balance));
        vm.recordLogs();
        vm.prank(from);
        passer.initiateWithdrawal{value: amount}(user(who % 5 + 2), 21_000, "");
        note(address(0), amount);
    }

    function withdrawToken(uint256 who, uint256 which, uint96 amount) external {
        which %= tokens.length + 1;
        address token = which == tokens.length ? address(0) : tokens[which];
        BridgedToken l2Token = tokenOf(token);
        address from = user(who);
        if (address(l2Token) == address(0) || l2Token.balanceOf(from) == 0) return;
        amount = uint96(bound(amount, 1, l2Token.balanceOf(from)));
        vm.recordLogs();
        vm.prank(from);
        // Ether goes to accounts that hold no METIS of L2, which shares their balance here.
        l2Bridge.withdraw(address(l2Token), token == address(0) ? makeAddr("paid") : user(who % 5 + 2), amount);
        note(token, amount);
    }

    function withdrawFees(uint96 amount) external {
        // Fees are a part of what deposits brought.
        uint256 free = user(0).balance;
        amount = uint96(bound(amount, 0, free));
        if (amount == 0) return;
        vm.prank(user(0));
        payable(address(vault)).transfer(amount);
        vm.recordLogs();
        vault.withdraw();
        note(address(0), amount);
    }

    function note(address token, uint256 amount) internal {
        Open storage entry = open.push();
        entry.withdrawal = newestMessage();
        entry.token = token;
        entry.amount = amount;
    }

    function proveOne(uint256 which) external {
        if (open.length == 0) return;
        Open storage entry = open[which % open.length];
        if (entry.finalized) return;
        prove(entry.withdrawal, user(0));
        entry.provenAt = block.timestamp;
    }

    function finalizeOne(uint256 which, bool moody) external {
        if (open.length == 0) return;
        Open storage entry = open[which % open.length];
        if (entry.provenAt == 0) return;
        vm.warp(entry.provenAt + WINDOW > block.timestamp ? entry.provenAt + WINDOW : block.timestamp);
        MoodyToken(tokens[2]).set(moody, false);
        vm.recordLogs();
        try portal.finalizeWithdrawalTransactionExternalProof(entry.withdrawal, user(0)) {
            require(!entry.finalized, "paid twice");
            entry.finalized = true;
            metisOut += entry.withdrawal.value;
            ++finalizations;
            Vm.Log[] memory logs = vm.getRecordedLogs();
            require(abi.decode(logs[logs.length - 1].data, (bool)), "a withdrawal failed");
        } catch {
            require(entry.finalized, "a matured withdrawal was refused");
        }
    }

    function claimOne(uint256 who) external {
        MoodyToken moody = MoodyToken(tokens[2]);
        moody.set(false, false);
        address owner = user(who);
        if (l1Bridge.claimable(address(moody), owner) == 0) return;
        ++keptPayments;
        l1Bridge.claim(address(moody), owner, owner);
    }

    function tokenCount() external view returns (uint256) {
        return tokens.length;
    }

    /// Burnt on L2 and not yet finalized on L1.
    function inFlight(address token) external view returns (uint256 sum) {
        for (uint256 i; i < open.length; ++i) {
            bool ofToken = open[i].withdrawal.target == address(l1Bridge) && open[i].token == token;
            if (ofToken && !open[i].finalized) sum += open[i].amount;
        }
    }

    /// Kept for later because their payment failed.
    function kept(address token) external view returns (uint256 sum) {
        for (uint256 i; i < 5; ++i) {
            sum += l1Bridge.claimable(token, user(i));
        }
    }

    function bridge() external view returns (IL1Bridge) {
        return l1Bridge;
    }

    function metisHeld() external view returns (uint256 held, uint256 locked) {
        return (metis.balanceOf(address(portal)), portal.totalLocked());
    }

    function supply(address token) external view returns (uint256) {
        BridgedToken l2Token = tokenOf(token);
        return address(l2Token) == address(0) ? 0 : l2Token.totalSupply();
    }
}
