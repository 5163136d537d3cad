// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Deploy} from "../script/Deploy.s.sol";
import {Test} from "./utils/Test.sol";

contract DeployTest is Test {
    /// Addresses follow from deployer and order alone, so that a node can predict them.
    function test_deploy_order_succeeds() external {
        Deploy script = new Deploy();
        Deploy.Deployment memory made = script.deploy(script.fromEnvironment(), address(script));
        assertEq(made.metis, vm.computeCreateAddress(address(script), 1));
        assertEq(address(made.timelock), vm.computeCreateAddress(address(script), 2));
        assertEq(address(made.staking), vm.computeCreateAddress(address(script), 3));
        assertEq(address(made.sequencerSet), vm.computeCreateAddress(address(script), 4));
        assertEq(address(made.insurancePool), vm.computeCreateAddress(address(script), 5));
        assertEq(address(made.portal), vm.computeCreateAddress(address(script), 6));
        assertEq(address(made.batchRegistry), vm.computeCreateAddress(address(script), 7));
        assertEq(address(made.outputRegistry), vm.computeCreateAddress(address(script), 8));
        assertEq(address(made.slashing), vm.computeCreateAddress(address(script), 9));
        assertEq(address(made.rewards), vm.computeCreateAddress(address(script), 10));
        assertEq(address(made.l1Bridge), vm.computeCreateAddress(address(script), 11));
        assertEq(made.portal.disputeGameFactory(), address(made.outputRegistry));
        assertEq(address(made.outputRegistry.REGISTRY()), address(made.batchRegistry));
        assertEq(address(made.l1Bridge.PORTAL()), address(made.portal));
        assertEq(made.staking.metis(), made.metis);
        assertEq(made.portal.metis(), made.metis);
        assertEq(address(made.sequencerSet.STAKING()), address(made.staking));
        assertEq(address(made.batchRegistry.STAKING()), address(made.staking));
        assertEq(address(made.batchRegistry.SEQUENCER_SET()), address(made.sequencerSet));
        assertEq(address(made.batchRegistry.DEPOSIT_QUEUE()), address(made.portal));
        assertEq(made.staking.slashing(), address(made.slashing));
        assertEq(made.staking.rewards(), address(made.rewards));
        assertEq(address(made.slashing.STAKING()), address(made.staking));
        assertEq(address(made.slashing.SEQUENCER_SET()), address(made.sequencerSet));
        assertEq(address(made.slashing.REGISTRY()), address(made.batchRegistry));
        assertEq(address(made.slashing.INSURANCE_POOL()), address(made.insurancePool));
        assertEq(address(made.rewards.STAKING()), address(made.staking));
        assertEq(address(made.rewards.SEQUENCER_SET()), address(made.sequencerSet));
        assertEq(address(made.rewards.REGISTRY()), address(made.batchRegistry));
        // The defaults are mainnet's: a superseded set's stake outlives its right to sign.
        assertLt(made.batchRegistry.snapshotGrace(), made.staking.unbondingDelay());
    }

    /// A token that anyone's deployer can mint is not METIS.
    function test_run_mainnetWithoutMetis_reverts() external {
        Deploy script = new Deploy();
        vm.chainId(1);
        vm.expectRevert(Deploy.MetisRequired.selector);
        script.run();
    }
}
