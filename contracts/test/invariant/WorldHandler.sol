// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {ISlashing} from "../../src/interfaces/ISlashing.sol";
import {Members} from "../../src/libraries/Members.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {OutputRootProof, WithdrawalTransaction} from "../../src/types/Withdrawal.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {Settlement} from "../utils/Settlement.sol";
import {PlainToken} from "../utils/Tokens.sol";
import {Tries} from "../utils/Tries.sol";
import {StakeHandler} from "./StakeHandler.sol";

/// Everything around the stake in one deployment: snapshots, batches, evidence, rewards, bridge, bonds, insurance, governance.
contract WorldHandler is Settlement, Tries {
    struct Exit {
        WithdrawalTransaction withdrawal;
        uint256 acceptedAt;
    }

    uint256 public constant SIGNERS = 256;
    StakeHandler internal stakes;
    PlainToken public token;
    mapping(uint64 snapshotId => bytes32[]) internal membersOf;
    Exit[] internal exits;
    uint64[] internal bonds;

    mapping(string call => uint256) public calls;
    uint256 public funded;
    uint256 public deposited;
    uint256 public finalized;
    /// Asked for on L2 and not yet paid.
    uint256 public owedByPortal;
    uint256 public paidBounties;
    uint256 public forwarded;
    uint256 public paidInsurance;
    uint256 public tokensLocked;

    constructor() {
        super.setUp();
        token = new PlainToken("Plain", "PLN", 6);
    }

    /// The stake's handler makes the operators; their keys are known ahead.
    function init(StakeHandler stakes_) external {
        stakes = stakes_;
        for (uint256 i; i < SIGNERS; ++i) {
            uint256 key = stakes.SIGNER_KEY() + i;
            keyOf[vm.addr(key)] = key;
        }
    }

    function deployed() external view returns (Deploy.Deployment memory made) {
        made.metis = address(metis);
        made.staking = staking;
        made.sequencerSet = sequencerSet;
        made.insurancePool = insurancePool;
        made.portal = portal;
        made.batchRegistry = registry;
        made.outputRegistry = outputs;
        made.slashing = slashing;
        made.rewards = rewards;
        made.l1Bridge = l1Bridge;
    }

    // snapshots

    /// Total and members are what Staking says of them at this block.
    function takeSnapshot() external {
        (bytes32[] memory words, uint256[] memory ids,) = sequencerSet.preview();
        if (words.length == 0) return;
        vm.roll(block.number + INTERVAL);
        uint64 id = sequencerSet.snapshot();
        uint256 sum;
        for (uint256 i; i < words.length; ++i) {
            assertEq(Members.weightOf(words[i]), staking.weightOf(uint64(ids[i])));
            assertEq(staking.operatorOf(Members.signerOf(words[i])), ids[i]);
            sum += Members.weightOf(words[i]);
        }
        assertEq(sequencerSet.snapshotAt(id).totalWeight, sum);
        assertEq(sequencerSet.snapshotAt(id).setHash, Members.hash(words));
        membersOf[id] = words;
        ++calls["snapshot"];
    }

    // batches

    function postBatch(uint256 time, uint256 choice, uint256 turns) external {
        if (sequencerSet.latestId() == 0) return;
        vm.warp(block.timestamp + bound(time, 1, 2 hours));
        vm.fee(choice % 500 gwei);
        _post(keccak256("withdrawals"), choice, turns >> (turns % 256));
        ++calls["batch"];
    }

    /// A batch that all, or all but one whose weight is not needed, have signed.
    function _post(bytes32 withdrawalsRoot, uint256 choice, uint256 turns) private returns (BatchHeader memory header) {
        vm.roll(block.number + 1);
        header = nextHeader(DATA);
        header.withdrawalsRoot = withdrawalsRoot;
        header.turns = turns;
        bytes32[] memory words = membersOf[header.snapshotId];
        uint256 bitmap = (1 << words.length) - 1;
        uint256 without = choice % words.length;
        uint256 total = sequencerSet.snapshotAt(header.snapshotId).totalWeight;
        if ((total - Members.weightOf(words[without])) * 3 > total * 2) bitmap ^= 1 << without;
        submit(header, words, bitmap, DATA);
        posted.push(Posted(header, uint64(block.timestamp), bitmap));
    }

    function postPermissionlessBatch(uint256 who) external {
        if (sequencerSet.latestId() == 0) return;
        uint256 open = uint256(registry.head().acceptedAt) + SILENCE;
        if (block.timestamp < open) vm.warp(open);
        depositQueue.depositTransaction(recipient, 0, 100_000, false, "");
        vm.roll(block.number + 1);
        BatchHeader memory header = nextHeader(hex"02");
        if (registry.head().snapshotId != 0) header.snapshotId = registry.head().snapshotId;
        else header.snapshotId = 1;
        address from = address(uint160(0xF0000 + who % 3));
        metis.mint(from, BOND);
        vm.startPrank(from);
        metis.approve(address(registry), BOND);
        registry.submitPermissionless(header);
        vm.stopPrank();
        headHash = this.hashOf(header);
        posted.push(Posted(header, uint64(block.timestamp), 0));
        bonds.push(header.index);
        ++calls["permissionless"];
    }

    function returnBond(uint256 choice) external {
        if (bonds.length == 0) return;
        choice %= bonds.length;
        (address to, uint64 releaseAt) = registry.bondOf(bonds[choice]);
        if (block.timestamp < releaseAt) return;
        uint256 before = metis.balanceOf(to);
        registry.returnBond(bonds[choice]);
        assertEq(metis.balanceOf(to), before + BOND);
        bonds[choice] = bonds[bonds.length - 1];
        bonds.pop();
        ++calls["bond"];
    }

    // evidence

    /// About a height that is not on L1 yet, or about one of a batch.
    function accuse(uint256 signer, uint256 height, uint256 who) external {
        if (sequencerSet.latestId() == 0 || stakes.signerCount() == 0) return;
        address accused = stakes.signers(signer % stakes.signerCount());
        uint64 id = staking.operatorOf(accused);
        if (staking.answersUntil(accused) < block.timestamp) return;
        ISlashing.Inclusion memory inclusion;
        uint64 place = uint64(registry.head().height + 1 + height % 20);
        if (posted.length != 0 && height % 3 == 0) {
            Posted storage batch = posted[height % posted.length];
            inclusion = ISlashing.Inclusion(batch.header, batch.acceptedAt, batch.bitmap);
            place = batch.header.firstHeight + uint64(height % 5);
            if (batch.acceptedAt + UNBONDING_DELAY < block.timestamp || place <= slashing.settledUpTo(id)) return;
        }
        if (slashing.recordedIn(slashing.keyOf(id, ISlashing.Offence.Vote, place, 0, PREVOTE)) != 0) return;
        uint256 open = slashing.openCaseOf(id);
        uint256 caseId = accuse(address(uint160(0xE0000 + who % 3)), keyOf[accused], place, inclusion);
        assertTrue(open == 0 || open == caseId);
        if (open == 0) assertLe(slashing.caseOf(caseId).weight, staking.maxWeight());
        ++calls["accuse"];
    }

    function cancel(uint256 choice) external {
        uint256[] memory open = slashing.openCases();
        if (open.length == 0 || choice % 4 != 0) return;
        uint256 caseId = open[choice % open.length];
        ISlashing.Case memory self = slashing.caseOf(caseId);
        if (block.timestamp > uint256(self.openedAt) + APPEAL || block.timestamp >= slashing.appealSunset()) return;
        vm.prank(governance);
        slashing.cancel(caseId, self.offences);
        ++calls["cancel"];
    }

    function payBounty(uint256 who) external {
        address submitter = address(uint160(0xE0000 + who % 3));
        if (slashing.owed(submitter) == 0) return;
        paidBounties += slashing.payBounty(submitter);
        ++calls["bounty"];
    }

    function forward() external {
        if (metis.balanceOf(address(slashing)) == slashing.totalOwed()) return;
        forwarded += slashing.forward();
        ++calls["forward"];
    }

    // rewards

    function addFunds(uint96 amount, bool fees) external {
        amount = uint96(bound(amount, 1, 10_000 ether));
        funded += amount;
        if (fees) metis.mint(address(rewards), amount);
        else fundStream(amount);
    }

    function settleSome(uint256 count) external {
        uint256 first = rewards.nextIndex() - 1;
        uint256 open = posted.length - first;
        if (open == 0) return;
        uint64 snapshotId = posted[first].header.snapshotId;
        count = bound(count, 1, open < 8 ? open : 8);
        for (uint256 i = 1; i < count; ++i) {
            if (posted[first + i].header.snapshotId != snapshotId) count = i;
        }
        members = membersOf[snapshotId];
        settleRange(first, count);
        ++calls["settle"];
    }

    function refund() external {
        if (rewards.refundOf(recipient) == 0) return;
        uint256 before = metis.balanceOf(recipient);
        assertEq(rewards.refund(recipient), metis.balanceOf(recipient) - before);
        ++calls["refund"];
    }

    // bridge

    function deposit(uint256 who, uint96 amount) external {
        vm.roll(block.number + 1);
        address from = address(uint160(0xB0000 + who % 3));
        amount = uint96(bound(amount, 1, 1_000_000 ether));
        metis.mint(from, amount);
        vm.startPrank(from, from);
        metis.approve(address(portal), amount);
        portal.depositERC20Transaction(from, amount, amount, 100_000, false, "");
        vm.stopPrank();
        deposited += amount;
        ++calls["deposit"];
    }

    function depositToken(uint96 amount) external {
        vm.roll(block.number + 1);
        amount = uint96(bound(amount, 1, type(uint96).max));
        token.mint(recipient, amount);
        vm.startPrank(recipient, recipient);
        token.approve(address(l1Bridge), amount);
        l1Bridge.depositERC20(address(token), recipient, amount);
        vm.stopPrank();
        tokensLocked += amount;
        ++calls["token"];
    }

    /// A withdrawal of METIS that L2 has, in a batch of its own, proven.
    function withdraw(uint256 who, uint96 amount) external {
        uint256 left = portal.totalLocked() - owedByPortal;
        if (left == 0 || sequencerSet.latestId() == 0) return;
        vm.warp(block.timestamp + 60);
        WithdrawalTransaction memory withdrawal = WithdrawalTransaction({
            nonce: exits.length,
            sender: address(this),
            target: address(uint160(0xB0000 + who % 3)),
            value: bound(amount, 1, left),
            gasLimit: 21_000,
            data: ""
        });
        (bytes32 root, bytes[] memory proof) = loneTrie(withdrawal, 0x01);
        BatchHeader memory header = _post(root, who, 0);
        uint256 index = outputs.publish(header, uint64(block.timestamp), posted[posted.length - 1].bitmap);
        OutputRootProof memory parts = partsOf(header);
        portal.proveWithdrawalTransaction(withdrawal, index, parts, proof);
        exits.push(Exit(withdrawal, block.timestamp));
        owedByPortal += withdrawal.value;
        ++calls["withdraw"];
    }

    function finalizeOne(uint256 choice) external {
        if (exits.length == 0) return;
        Exit storage one = exits[choice % exits.length];
        if (one.acceptedAt == 0 || block.timestamp < one.acceptedAt + WINDOW) return;
        uint256 before = metis.balanceOf(one.withdrawal.target);
        portal.finalizeWithdrawalTransaction(one.withdrawal);
        assertEq(metis.balanceOf(one.withdrawal.target), before + one.withdrawal.value);
        finalized += one.withdrawal.value;
        owedByPortal -= one.withdrawal.value;
        one.acceptedAt = 0;
        ++calls["finalize"];
    }

    // governance

    /// Through the timelock, as everything has to go.
    function govern(uint256 choice, uint128 rate, uint256 factor) external {
        bytes memory call;
        address target = address(rewards);
        if (choice % 3 == 0) call = abi.encodeCall(rewards.setRate, (uint128(bound(rate, 0, 0.1 ether))));
        if (choice % 3 == 1) {
            uint256 price = rewards.metisPerEther();
            price = bound(factor, price / 2 < 1 ether ? 1 ether : price / 2, price > 50_000 ether ? price : 2 * price);
            call = abi.encodeCall(rewards.setMetisPerEther, (uint128(price)));
        }
        if (choice % 3 == 2) {
            uint256 available = insurancePool.available();
            if (available == 0) return;
            uint256 amount = bound(factor, 1, available);
            target = address(insurancePool);
            call = abi.encodeCall(insurancePool.pay, (makeAddr("insured"), amount, bytes32(choice)));
        }
        bytes32 salt = bytes32(calls["propose"]++);
        TimelockController timelock = TimelockController(payable(governance));
        vm.prank(governor);
        timelock.schedule(target, 0, call, 0, salt, TIMELOCK_DELAY);
        vm.warp(block.timestamp + TIMELOCK_DELAY);
        uint256 before = metis.balanceOf(makeAddr("insured"));
        // Refused if a rate is still to be settled, or the pool's period has passed over a smaller pool.
        try timelock.execute(target, 0, call, 0, salt) {
            ++calls["govern"];
        } catch {}
        paidInsurance += metis.balanceOf(makeAddr("insured")) - before;
    }

    function openBonds() external view returns (uint256) {
        return bonds.length;
    }

    function postedCount() external view returns (uint256) {
        return posted.length;
    }

    function poster() external view returns (address) {
        return recipient;
    }
}
