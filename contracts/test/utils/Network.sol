// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {IRewards} from "../../src/interfaces/IRewards.sol";
import {BatchRegistry} from "../../src/l1/BatchRegistry.sol";
import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {InsurancePool} from "../../src/l1/InsurancePool.sol";
import {L1Bridge} from "../../src/l1/L1Bridge.sol";
import {OutputRegistry} from "../../src/l1/OutputRegistry.sol";
import {Portal} from "../../src/l1/Portal.sol";
import {Rewards} from "../../src/l1/Rewards.sol";
import {SequencerSet} from "../../src/l1/SequencerSet.sol";
import {Slashing} from "../../src/l1/Slashing.sol";
import {Staking} from "../../src/l1/Staking.sol";
import {Members} from "../../src/libraries/Members.sol";
import {Signing} from "../../src/libraries/Signing.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {Test} from "./Test.sol";

/// A deployed network whose signers' private keys are known: the signer of key k is `vm.addr(k)`.
abstract contract Network is Test {
    uint64 internal constant UNBONDING_DELAY = 21 days;
    uint64 internal constant CHURN_PERIOD = 1 days;
    /// Enough for any exit of these tests: at most eight slots of the exit queue, then the delay.
    uint64 internal constant LEAVING = UNBONDING_DELAY + 8 * CHURN_PERIOD;
    uint64 internal constant COMMISSION_NOTICE = 7 days;
    uint64 internal constant REWARD_PERIOD = 10 minutes;
    uint64 internal constant INTERVAL = 10;
    uint64 internal constant BLOCK_GAS = 20_000_000;
    uint64 internal constant DEADLINE = 30 minutes;
    uint64 internal constant GRACE = 7 days;
    uint64 internal constant WINDOW = 7 days;
    uint64 internal constant SILENCE = 1 days;
    uint64 internal constant TIMELOCK_DELAY = 7 days;
    uint64 internal constant APPEAL = 3 days;
    uint128 internal constant RATE = 0.02 ether;
    uint64 internal constant FEE_PERIOD = 1 days;
    uint128 internal constant PRICE = 200 ether;
    uint96 internal constant BOND = 1_000 ether;
    uint96 internal constant STAKE = 20_000 ether;

    address internal governor = makeAddr("governor");
    /// The timelock.
    address internal governance;
    address internal recipient = makeAddr("recipient");
    DevnetMetis internal metis;
    Staking internal staking;
    SequencerSet internal sequencerSet;
    InsurancePool internal insurancePool;
    Slashing internal slashing;
    Rewards internal rewards;
    /// The addresses of the two, for tests of Staking alone.
    address internal slasher;
    address internal rewarder;
    Portal internal portal;
    /// The portal's queue.
    Portal internal depositQueue;
    OutputRegistry internal outputs;
    L1Bridge internal l1Bridge;
    BatchRegistry internal registry;
    mapping(address signer => uint256 key) internal keyOf;
    /// Struct hash of the newest batch that {submit} has submitted.
    bytes32 internal headHash;

    function setUp() public virtual {
        vm.roll(1000);
        vm.warp(1_800_000_000);
        Deploy script = new Deploy();
        Deploy.Deployment memory made = script.deploy(
            Deploy.Config({
                metis: address(new DevnetMetis()),
                governor: governor,
                timelockDelay: TIMELOCK_DELAY,
                staking: IStaking.Config({
                    unbondingDelay: UNBONDING_DELAY,
                    churnPeriod: CHURN_PERIOD,
                    commissionNotice: COMMISSION_NOTICE,
                    rewardPeriod: REWARD_PERIOD
                }),
                snapshotInterval: INTERVAL,
                maxMembers: uint8(Members.MAX),
                maxBlockGas: BLOCK_GAS,
                opensAfter: 0,
                depositDeadline: DEADLINE,
                snapshotGrace: GRACE,
                permissionlessAfter: SILENCE,
                bond: BOND,
                finalizationWindow: WINDOW,
                appealWindow: APPEAL,
                appealSunset: uint64(block.timestamp) + 2 * 365 days,
                rewards: IRewards.Config({rate: RATE, feePeriod: FEE_PERIOD, metisPerEther: PRICE})
            }),
            address(script)
        );
        metis = DevnetMetis(made.metis);
        staking = made.staking;
        governance = address(made.timelock);
        sequencerSet = made.sequencerSet;
        insurancePool = made.insurancePool;
        slashing = made.slashing;
        rewards = made.rewards;
        slasher = address(slashing);
        rewarder = address(rewards);
        portal = made.portal;
        depositQueue = made.portal;
        outputs = made.outputRegistry;
        l1Bridge = made.l1Bridge;
        registry = made.batchRegistry;
    }

    function ownerOf(uint256 key) internal returns (address) {
        return makeAddr(string.concat("owner", vm.toString(key)));
    }

    function fund(address owner, uint256 amount) internal {
        metis.mint(owner, amount);
        vm.prank(owner);
        IERC20(address(metis)).approve(address(staking), type(uint256).max);
    }

    function register(uint256 key, uint96 amount) internal returns (uint64 operatorId) {
        address owner = ownerOf(key);
        address signer = vm.addr(key);
        keyOf[signer] = key;
        fund(owner, amount);
        vm.prank(owner);
        return staking.register(amount, signer, recipient);
    }

    /// Operators with keys 1…n and 20,000 METIS each, and a snapshot of them.
    function start(uint256 n) internal returns (bytes32[] memory members) {
        for (uint256 key = 1; key <= n; ++key) {
            register(key, STAKE);
        }
        (members,,) = sequencerSet.preview();
        sequencerSet.snapshot();
    }

    /// A batch over calldata that fits the registry's head, 100 blocks long.
    function nextHeader(bytes memory data) internal view returns (BatchHeader memory header) {
        BatchRegistry.Head memory head = registry.head();
        uint64 origin = uint64(block.number - 1);
        header = BatchHeader({
            index: head.index + 1,
            parentHash: headHash,
            firstHeight: head.height + 1,
            lastHeight: head.height + 100,
            lastBlockHash: keccak256("block"),
            stateRoot: keccak256("state"),
            withdrawalsRoot: keccak256("withdrawals"),
            blocksRoot: keccak256("blocks"),
            dataHash: keccak256(data),
            snapshotId: sequencerSet.latestId(),
            l1OriginNumber: origin,
            l1OriginHash: blockhash(origin),
            depositCount: itemsUpTo(origin),
            turns: 0
        });
    }

    /// Items queued at or before an L1 block, counted the slow way.
    function itemsUpTo(uint64 origin) internal view returns (uint64 items) {
        uint64 count = depositQueue.count();
        for (; items < count; ++items) {
            (uint64 blockNumber,) = depositQueue.itemAt(items);
            if (blockNumber > origin) break;
        }
    }

    function digestOf(BatchHeader memory header) internal view returns (bytes32) {
        return Signing.digest(staking.domainSeparator(), this.hashOf(header));
    }

    function hashOf(BatchHeader calldata header) external pure returns (bytes32) {
        return Signing.hash(header);
    }

    /// Signatures of the members in `bitmap` over the header.
    function sign(BatchHeader memory header, bytes32[] memory members, uint256 bitmap)
        internal
        view
        returns (bytes memory signatures)
    {
        bytes32 digest = digestOf(header);
        for (uint256 i; i < members.length; ++i) {
            if ((bitmap >> i) & 1 == 0) continue;
            (bytes32 r, bytes32 vs) = vm.signCompact(keyOf[Members.signerOf(members[i])], digest);
            signatures = bytes.concat(signatures, r, vs);
        }
    }

    /// Submits as an account without code that sends the transaction itself.
    function submit(BatchHeader memory header, bytes32[] memory members, uint256 bitmap, bytes memory data) internal {
        bytes memory signatures = sign(header, members, bitmap);
        bytes32 batchHash = this.hashOf(header);
        vm.prank(recipient, recipient);
        registry.submitBatch(header, members, bitmap, signatures, data);
        headHash = batchHash;
    }
}
