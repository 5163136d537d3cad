// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ScriptBase} from "forge-std/Base.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {BatchRegistry} from "../src/l1/BatchRegistry.sol";
import {DepositQueue} from "../src/l1/DepositQueue.sol";
import {DevnetMetis} from "../src/l1/DevnetMetis.sol";
import {SequencerSet} from "../src/l1/SequencerSet.sol";
import {Staking} from "../src/l1/Staking.sol";

/// Deploys the L1 contracts in the order of README.md. Every parameter has an environment variable and a mainnet default;
/// without `METIS` a devnet token is deployed, which only a chain other than mainnet allows.
contract Deploy is ScriptBase {
    bool public constant IS_SCRIPT = true;

    struct Config {
        address metis;
        address governance;
        uint64 unbondingDelay;
        uint64 snapshotInterval;
        uint8 maxMembers;
        uint64 maxBlockGas;
        uint64 opensAfter;
        uint64 depositDeadline;
        uint64 snapshotGrace;
    }

    struct Deployment {
        address metis;
        Staking staking;
        SequencerSet sequencerSet;
        DepositQueue depositQueue;
        BatchRegistry batchRegistry;
    }

    /// A test token must not be taken for METIS.
    error MetisRequired();

    function run() external returns (Deployment memory deployment) {
        Config memory config = fromEnvironment();
        if (config.metis == address(0) && block.chainid == 1) revert MetisRequired();
        vm.startBroadcast();
        deployment = deploy(config);
        vm.stopBroadcast();
    }

    function fromEnvironment() public view returns (Config memory) {
        return Config({
            metis: vm.envOr("METIS", address(0)),
            governance: vm.envOr("GOVERNANCE", msg.sender),
            unbondingDelay: uint64(vm.envOr("UNBONDING_DELAY", uint256(21 days))),
            snapshotInterval: uint64(vm.envOr("SNAPSHOT_INTERVAL", uint256(50))),
            maxMembers: uint8(vm.envOr("MAX_MEMBERS", uint256(32))),
            maxBlockGas: uint64(vm.envOr("MAX_BLOCK_GAS", uint256(20_000_000))),
            opensAfter: uint64(vm.envOr("OPENS_AFTER", uint256(0))),
            depositDeadline: uint64(vm.envOr("DEPOSIT_DEADLINE", uint256(30 minutes))),
            snapshotGrace: uint64(vm.envOr("SNAPSHOT_GRACE", uint256(7 days)))
        });
    }

    function deploy(Config memory config) public returns (Deployment memory made) {
        made.metis = config.metis == address(0) ? address(new DevnetMetis()) : config.metis;
        IERC20 metis = IERC20(made.metis);
        made.staking = new Staking(metis, config.governance, config.unbondingDelay);
        made.sequencerSet = new SequencerSet(made.staking, config.snapshotInterval, config.maxMembers);
        made.depositQueue = new DepositQueue(metis, config.maxBlockGas, config.opensAfter);
        made.batchRegistry = new BatchRegistry(
            made.staking, made.sequencerSet, made.depositQueue, config.depositDeadline, config.snapshotGrace
        );
    }
}
