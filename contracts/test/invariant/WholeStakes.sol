// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {DevnetMetis} from "../../src/l1/DevnetMetis.sol";
import {SequencerSet} from "../../src/l1/SequencerSet.sol";
import {Slashing} from "../../src/l1/Slashing.sol";
import {Staking} from "../../src/l1/Staking.sol";
import {StakeHandler} from "./StakeHandler.sol";

/// The stake's handler where the real Slashing slashes.
contract WholeStakes is StakeHandler {
    Slashing internal immutable _SLASHING;
    uint256 private _executing;
    uint256 public taken;

    constructor(Staking staking, SequencerSet set, DevnetMetis metis, Slashing slashing)
        StakeHandler(staking, set, metis)
    {
        _SLASHING = slashing;
    }

    /// The penalty of a case that is due, and what every pool and request loses by it.
    function execute(uint256 choice) external {
        uint256[] memory open = _SLASHING.openCases();
        if (open.length == 0) return;
        _executing = open[choice % open.length];
        if (block.timestamp < _SLASHING.executableAt(_executing)) return;
        _slash(_SLASHING.caseOf(_executing).operatorId, _SLASHING.fractionOf(_executing));
    }

    function _take(uint64, uint256, uint64) internal override returns (uint256 amount) {
        uint256 owed = _SLASHING.totalOwed();
        uint256 insured = _METIS.balanceOf(address(_SLASHING.INSURANCE_POOL()));
        amount = _SLASHING.execute(_executing);
        taken += amount;
        uint256 bounty = _SLASHING.totalOwed() - owed;
        assertEq(bounty, amount * 15 / 100);
        assertEq(_METIS.balanceOf(address(_SLASHING.INSURANCE_POOL())) - insured, amount - bounty);
    }
}
