// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Certificate} from "../../src/libraries/Certificate.sol";
import {Members} from "../../src/libraries/Members.sol";
import {Test} from "../utils/Test.sol";

contract CertificateTest is Test {
    function check(bytes32 digest, bytes32[] calldata members, uint256 total, uint256 bitmap, bytes calldata signatures)
        external
        pure
        returns (uint256)
    {
        return Certificate.check(digest, members, total, bitmap, signatures);
    }

    /// EIP-2098 leaves a little room above half the order. A signature there recovers, and is refused all the same.
    function test_check_highS_reverts() external {
        bytes32 digest = keccak256("digest");
        (bytes32 r,) = vm.signCompact(1, digest);
        uint256 limit = Certificate.HALF_ORDER;
        bytes32[] memory members = new bytes32[](1);
        members[0] = Members.word(ecrecover(digest, 27, r, bytes32(limit)), 1);
        assertTrue(Members.signerOf(members[0]) != address(0));
        assertEq(this.check(digest, members, 1, 1, bytes.concat(r, bytes32(limit))), 1);

        members[0] = Members.word(ecrecover(digest, 27, r, bytes32(limit + 1)), 1);
        assertTrue(Members.signerOf(members[0]) != address(0));
        vm.expectRevert(abi.encodeWithSelector(Certificate.WrongSigner.selector, 0));
        this.check(digest, members, 1, 1, bytes.concat(r, bytes32(limit + 1)));
    }

    /// A signature that recovers to nobody is not a signature of the zero address.
    function test_check_zeroMember_reverts() external {
        bytes32[] memory members = new bytes32[](1);
        members[0] = Members.word(address(0), 1);
        vm.expectRevert(abi.encodeWithSelector(Certificate.WrongSigner.selector, 0));
        this.check(keccak256("digest"), members, 1, 1, new bytes(64));
    }
}
