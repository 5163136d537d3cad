// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ScriptBase} from "forge-std/Base.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {IOutputRegistry} from "../src/interfaces/IOutputRegistry.sol";
import {IRewards} from "../src/interfaces/IRewards.sol";
import {IStaking} from "../src/interfaces/IStaking.sol";
import {BatchRegistry} from "../src/l1/BatchRegistry.sol";
import {DevnetMetis} from "../src/l1/DevnetMetis.sol";
import {InsurancePool} from "../src/l1/InsurancePool.sol";
import {L1Bridge} from "../src/l1/L1Bridge.sol";
import {OutputRegistry} from "../src/l1/OutputRegistry.sol";
import {Portal} from "../src/l1/Portal.sol";
import {Rewards} from "../src/l1/Rewards.sol";
import {SequencerSet} from "../src/l1/SequencerSet.sol";
import {Slashing} from "../src/l1/Slashing.sol";
import {Staking} from "../src/l1/Staking.sol";

/// Deploys the L1 contracts in the order of README.md. Every parameter has an environment variable and a mainnet default;
/// without `METIS` a devnet token is deployed, which only a chain other than mainnet allows.
contract Deploy is ScriptBase {
    bool public constant IS_SCRIPT = true;

    struct Config {
        address metis;
        address governor;
        uint64 timelockDelay;
        IStaking.Config staking;
        uint64 snapshotInterval;
        uint8 maxMembers;
        uint64 maxBlockGas;
        uint64 opensAfter;
        uint64 depositDeadline;
        uint64 snapshotGrace;
        uint64 permissionlessAfter;
        uint256 bond;
        uint64 finalizationWindow;
        uint64 appealWindow;
        uint64 appealSunset;
        IRewards.Config rewards;
    }

    struct Deployment {
        address metis;
        TimelockController timelock;
        Staking staking;
        SequencerSet sequencerSet;
        InsurancePool insurancePool;
        Portal portal;
        BatchRegistry batchRegistry;
        OutputRegistry outputRegistry;
        Slashing slashing;
        Rewards rewards;
        L1Bridge l1Bridge;
    }

    /// The bridge's predeploy on L2.
    address public constant L2_BRIDGE = 0x4200000000000000000000000000000000000010;

    /// A test token must not be taken for METIS.
    error MetisRequired();
    /// A contract is not where the others expect it.
    error AddressMismatch();

    function run() external returns (Deployment memory deployment) {
        Config memory config = fromEnvironment();
        if (config.metis == address(0) && block.chainid == 1) revert MetisRequired();
        vm.startBroadcast();
        (, address deployer,) = vm.readCallers();
        deployment = deploy(config, deployer);
        vm.stopBroadcast();
    }

    function fromEnvironment() public view returns (Config memory) {
        return Config({
            metis: vm.envOr("METIS", address(0)),
            governor: vm.envOr("GOVERNOR", msg.sender),
            timelockDelay: uint64(vm.envOr("TIMELOCK_DELAY", uint256(7 days))),
            staking: IStaking.Config({
                unbondingDelay: uint64(vm.envOr("UNBONDING_DELAY", uint256(21 days))),
                churnPeriod: uint64(vm.envOr("CHURN_PERIOD", uint256(1 days))),
                commissionNotice: uint64(vm.envOr("COMMISSION_NOTICE", uint256(7 days))),
                rewardPeriod: uint64(vm.envOr("REWARD_PERIOD", uint256(10 minutes)))
            }),
            snapshotInterval: uint64(vm.envOr("SNAPSHOT_INTERVAL", uint256(50))),
            maxMembers: uint8(vm.envOr("MAX_MEMBERS", uint256(32))),
            maxBlockGas: uint64(vm.envOr("MAX_BLOCK_GAS", uint256(20_000_000))),
            opensAfter: uint64(vm.envOr("OPENS_AFTER", uint256(0))),
            depositDeadline: uint64(vm.envOr("DEPOSIT_DEADLINE", uint256(30 minutes))),
            snapshotGrace: uint64(vm.envOr("SNAPSHOT_GRACE", uint256(7 days))),
            permissionlessAfter: uint64(vm.envOr("PERMISSIONLESS_AFTER", uint256(1 days))),
            bond: vm.envOr("PERMISSIONLESS_BOND", uint256(1_000 ether)),
            finalizationWindow: uint64(vm.envOr("FINALIZATION_WINDOW", uint256(7 days))),
            appealWindow: uint64(vm.envOr("APPEAL_WINDOW", uint256(3 days))),
            appealSunset: uint64(vm.envOr("APPEAL_SUNSET", block.timestamp + 2 * 365 days)),
            rewards: IRewards.Config({
                rate: uint128(vm.envOr("REWARD_RATE", uint256(0.02 ether))),
                feePeriod: uint64(vm.envOr("FEE_PERIOD", uint256(1 days))),
                metisPerEther: uint128(vm.envOr("METIS_PER_ETHER", uint256(200 ether)))
            })
        });
    }

    /// @param deployer Account whose nonces the addresses follow from.
    function deploy(Config memory config, address deployer) public returns (Deployment memory made) {
        made.metis = config.metis == address(0) ? address(new DevnetMetis()) : config.metis;
        IERC20 metis = IERC20(made.metis);
        address[] memory proposers = new address[](1);
        proposers[0] = config.governor;
        // Anyone executes what has waited.
        made.timelock = new TimelockController(config.timelockDelay, proposers, new address[](1), address(0));
        address governance = address(made.timelock);
        // Staking, portal and registry refer to contracts that refer to them: three addresses are known ahead.
        uint256 nonce = vm.getNonce(deployer);
        address outputs = vm.computeCreateAddress(deployer, nonce + 5);
        address slashing = vm.computeCreateAddress(deployer, nonce + 6);
        address rewards = vm.computeCreateAddress(deployer, nonce + 7);
        made.staking = new Staking(metis, governance, slashing, rewards, config.staking);
        made.sequencerSet = new SequencerSet(made.staking, config.snapshotInterval, config.maxMembers);
        made.insurancePool = new InsurancePool(metis, governance);
        made.portal = new Portal(metis, IOutputRegistry(outputs), config.maxBlockGas, config.opensAfter);
        made.batchRegistry = new BatchRegistry(
            made.staking,
            made.sequencerSet,
            made.portal,
            config.depositDeadline,
            config.snapshotGrace,
            config.permissionlessAfter,
            config.bond
        );
        made.outputRegistry = new OutputRegistry(made.batchRegistry, config.finalizationWindow);
        made.slashing = new Slashing(
            made.staking,
            made.sequencerSet,
            made.batchRegistry,
            made.insurancePool,
            governance,
            config.appealWindow,
            config.appealSunset
        );
        made.rewards =
            new Rewards(metis, made.staking, made.sequencerSet, made.batchRegistry, governance, config.rewards);
        if (
            address(made.outputRegistry) != outputs || address(made.slashing) != slashing
                || address(made.rewards) != rewards
        ) {
            revert AddressMismatch();
        }
        made.l1Bridge = new L1Bridge(made.portal, L2_BRIDGE);
    }
}
