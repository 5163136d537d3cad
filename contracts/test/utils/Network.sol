// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Deploy} from "../../script/Deploy.s.sol";
import {IStaking} from "../../src/interfaces/IStaking.sol";
import {BatchRegistry} from "../../src/l1/BatchRegistry.sol";
import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {L1Bridge} from "../../src/l1/L1Bridge.sol";
import {OutputRegistry} from "../../src/l1/OutputRegistry.sol";
import {Portal} from "../../src/l1/Portal.sol";
import {SequencerSet} from "../../src/l1/SequencerSet.sol";
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
    uint96 internal constant STAKE = 20_000 ether;

    address internal governance = makeAddr("governance");
    address internal recipient = makeAddr("recipient");
    /// Stand where the contracts Slashing and Rewards are in a deployment.
    address internal slasher = makeAddr("slasher");
    address internal rewarder = makeAddr("rewarder");
    DevnetMetis internal metis;
    Staking internal staking;
    SequencerSet internal sequencerSet;
    Portal internal portal;
    /// The portal's queue.
    Portal internal depositQueue;
    OutputRegistry internal outputs;
    L1Bridge internal l1Bridge;
    BatchRegistry internal registry;
    mapping(address signer => uint256 key) internal keyOf;

    function setUp() public virtual {
        vm.roll(1000);
        vm.warp(1_800_000_000);
        Deploy script = new Deploy();
        Deploy.Deployment memory made = script.deploy(
            Deploy.Config({
                metis: address(new DevnetMetis()),
                governance: governance,
                slashing: slasher,
                rewards: rewarder,
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
                finalizationWindow: WINDOW
            }),
            address(script)
        );
        metis = DevnetMetis(made.metis);
        staking = made.staking;
        sequencerSet = made.sequencerSet;
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
            parentHash: registry.headHash(),
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
        vm.prank(recipient, recipient);
        registry.submitBatch(header, members, bitmap, signatures, data);
    }
}
