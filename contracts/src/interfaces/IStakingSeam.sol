// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "./IStaking.sol";

interface IStakingSeam is IStaking {
    function freeze(uint64 operatorId) external;
    function unfreeze(uint64 operatorId, uint64 caseAt) external;
    function slash(uint64 operatorId, uint256 fraction, uint64 caseAt, address to) external returns (uint256 amount);
    function addReward(uint64 operatorId, uint256 amount) external;
    function answersUntil(address signer) external view returns (uint64);
}
