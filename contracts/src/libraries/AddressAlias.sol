// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// How L2 sees a contract of L1: shifted, so that it cannot pass for the L2 contract at its address.
library AddressAlias {
    uint160 internal constant OFFSET = uint160(0x1111000000000000000000000000000000001111);

    function toL2(address l1) internal pure returns (address) {
        unchecked {
            return address(uint160(l1) + OFFSET);
        }
    }
}
