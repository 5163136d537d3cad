// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Deploy} from "../script/Deploy.s.sol";
import {Test} from "./utils/Test.sol";

contract DeployTest is Test {
    /// Addresses follow from deployer and order alone, so that a node can predict them.
    function test_deploy_order_succeeds() external {
        Deploy script = new Deploy();
        Deploy.Deployment memory made = script.deploy(script.fromEnvironment());
        assertEq(made.metis, vm.computeCreateAddress(address(script), 1));
        assertEq(address(made.staking), vm.computeCreateAddress(address(script), 2));
        assertEq(address(made.sequencerSet), vm.computeCreateAddress(address(script), 3));
        assertEq(address(made.depositQueue), vm.computeCreateAddress(address(script), 4));
        assertEq(address(made.batchRegistry), vm.computeCreateAddress(address(script), 5));
        assertEq(made.staking.metis(), made.metis);
        assertEq(made.depositQueue.metis(), made.metis);
        assertEq(address(made.sequencerSet.STAKING()), address(made.staking));
        assertEq(address(made.batchRegistry.STAKING()), address(made.staking));
        assertEq(address(made.batchRegistry.SEQUENCER_SET()), address(made.sequencerSet));
        assertEq(address(made.batchRegistry.DEPOSIT_QUEUE()), address(made.depositQueue));
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
