// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {SigningVectors} from "../test/utils/SigningVectors.sol";

/// Writes the golden vectors that Rust, Solidity and TypeScript tests read.
contract WriteVectors {
    bool public constant IS_SCRIPT = true;

    function run() external {
        new Writer().write();
    }
}

/// A contract of its own, because forge keeps scripts from calling themselves.
contract Writer is SigningVectors {
    function write() external {
        vm.writeFile(PATH, signingJson());
    }
}
