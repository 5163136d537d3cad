// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

// Governance is OpenZeppelin's timelock, unchanged; this import makes forge build it, so that it is deployed from a committed
// artifact (`TimelockController`) as everything else is.
// forge-lint: disable-next-line(unused-import)
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
