// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ScriptBase} from "forge-std/Base.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IOutputRegistry} from "../src/interfaces/IOutputRegistry.sol";
import {IStaking} from "../src/interfaces/IStaking.sol";
import {BatchRegistry} from "../src/l1/BatchRegistry.sol";
import {DevnetMetis} from "../src/l1/DevnetMetis.sol";
import {L1Bridge} from "../src/l1/L1Bridge.sol";
import {OutputRegistry} from "../src/l1/OutputRegistry.sol";
import {Portal} from "../src/l1/Portal.sol";
import {SequencerSet} from "../src/l1/SequencerSet.sol";
import {Staking} from "../src/l1/Staking.sol";

/// Deploys the L1 contracts in the order of README.md. Every parameter has an environment variable and a mainnet default;
/// without `METIS` a devnet token is deployed, which only a chain other than mainnet allows.
contract Deploy is ScriptBase {
    bool public constant IS_SCRIPT = true;

    struct Config {
        address metis;
        address governance;
        address slashing;
        address rewards;
        IStaking.Config staking;
        uint64 snapshotInterval;
        uint8 maxMembers;
        uint64 maxBlockGas;
        uint64 opensAfter;
        uint64 depositDeadline;
        uint64 snapshotGrace;
        uint64 finalizationWindow;
    }

    struct Deployment {
        address metis;
        Staking staking;
        SequencerSet sequencerSet;
        Portal portal;
        BatchRegistry batchRegistry;
        OutputRegistry outputRegistry;
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
            governance: vm.envOr("GOVERNANCE", msg.sender),
            slashing: vm.envOr("SLASHING", msg.sender),
            rewards: vm.envOr("REWARDS", msg.sender),
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
            finalizationWindow: uint64(vm.envOr("FINALIZATION_WINDOW", uint256(7 days)))
        });
    }

    /// @param deployer Account whose nonces the addresses follow from.
    function deploy(Config memory config, address deployer) public returns (Deployment memory made) {
        made.metis = config.metis == address(0) ? address(new DevnetMetis()) : config.metis;
        IERC20 metis = IERC20(made.metis);
        made.staking = new Staking(metis, config.governance, config.slashing, config.rewards, config.staking);
        made.sequencerSet = new SequencerSet(made.staking, config.snapshotInterval, config.maxMembers);
        // The portal reads outputs, which are made of batches, which count the portal's items: one address is known ahead.
        address outputs = vm.computeCreateAddress(deployer, vm.getNonce(deployer) + 2);
        made.portal = new Portal(metis, IOutputRegistry(outputs), config.maxBlockGas, config.opensAfter);
        made.batchRegistry = new BatchRegistry(
            made.staking, made.sequencerSet, made.portal, config.depositDeadline, config.snapshotGrace
        );
        made.outputRegistry = new OutputRegistry(made.batchRegistry, config.finalizationWindow);
        if (address(made.outputRegistry) != outputs) revert AddressMismatch();
        made.l1Bridge = new L1Bridge(made.portal, L2_BRIDGE);
    }
}
