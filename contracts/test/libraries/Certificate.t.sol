// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Certificate} from "../../src/libraries/Certificate.sol";
import {Members} from "../../src/libraries/Members.sol";
import {Test} from "../utils/Test.sol";

contract CertificateTest is Test {
    uint256 internal constant MEMBERS = 6;

    function check(bytes32 digest, bytes32[] calldata members, uint256 total, uint256 bitmap, bytes calldata signatures)
        external
        view
        returns (uint256)
    {
        return Certificate.check(digest, members, total, bitmap, signatures);
    }

    /// The same, the plain way.
    function plainCheck(
        bytes32 digest,
        bytes32[] calldata members,
        uint256 total,
        uint256 bitmap,
        bytes calldata signatures
    ) external pure returns (uint256 signed) {
        uint256 offset;
        for (uint256 index; bitmap >> index != 0; ++index) {
            if (index == members.length) revert Certificate.MalformedCertificate();
            if ((bitmap >> index) & 1 == 0) continue;
            if (offset + 64 > signatures.length) revert Certificate.MalformedCertificate();
            address signer = Certificate.recover(digest, signatures[offset:offset + 64]);
            if (signer == address(0) || signer != Members.signerOf(members[index])) {
                revert Certificate.WrongSigner(index);
            }
            offset += 64;
            signed += Members.weightOf(members[index]);
        }
        if (offset != signatures.length) revert Certificate.MalformedCertificate();
        if (signed * 3 <= total * 2) revert Certificate.NoQuorum(signed, total);
    }

    /// Both ways agree on every certificate, right or damaged, to the error.
    function testFuzz_check_asPlain_succeeds(bytes32 digest, uint256 bitmap, uint256 extra, uint256 damage)
        external
        view
    {
        (bytes32[] memory members, uint256 total) = set();
        // Mostly within the set, and now and then a bit beyond it.
        bitmap = bitmap % 5 == 0 ? bitmap % (1 << MEMBERS + 2) : bitmap % (1 << MEMBERS);
        bytes memory signatures;
        for (uint256 i; i < MEMBERS; ++i) {
            if ((bitmap >> i) & 1 == 0) continue;
            (bytes32 r, bytes32 vs) = vm.signCompact(i + 1, digest);
            signatures = bytes.concat(signatures, r, vs);
        }
        if (extra % 4 == 0) signatures = bytes.concat(signatures, new bytes(extra % 130));
        if (damage % 3 == 0 && signatures.length != 0) {
            signatures[(damage >> 16) % signatures.length] ^= bytes1(uint8(damage >> 8));
        }
        if (damage % 7 == 0 && signatures.length != 0) {
            uint256 shorter = (damage >> 32) % signatures.length;
            assembly {
                mstore(signatures, shorter)
            }
        }
        agree(digest, members, total, bitmap, signatures);
    }

    /// Whatever the bytes are.
    function testFuzz_check_anyBytes_succeeds(
        bytes32 digest,
        bytes32[] memory members,
        uint96 total,
        uint8 bitmap,
        bytes memory signatures
    ) external view {
        agree(digest, members, total, bitmap, signatures);
    }

    function agree(bytes32 digest, bytes32[] memory members, uint256 total, uint256 bitmap, bytes memory signatures)
        private
        view
    {
        (bool right, bytes memory answer) =
            address(this).staticcall(abi.encodeCall(this.check, (digest, members, total, bitmap, signatures)));
        (bool expectedRight, bytes memory expected) =
            address(this).staticcall(abi.encodeCall(this.plainCheck, (digest, members, total, bitmap, signatures)));
        assertEq(right, expectedRight);
        assertEq(answer, expected);
    }

    function set() private pure returns (bytes32[] memory members, uint256 total) {
        members = new bytes32[](MEMBERS);
        for (uint256 i; i < MEMBERS; ++i) {
            uint64 weight = uint64(20_000 + 7_000 * i);
            members[i] = Members.word(vm.addr(i + 1), weight);
            total += weight;
        }
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

    /// A signature that recovers to nobody is not a signature of the zero address, nor of whoever signed before it.
    function test_check_zeroMember_reverts() external {
        bytes32[] memory members = new bytes32[](2);
        (bytes32 r, bytes32 vs) = vm.signCompact(1, keccak256("digest"));
        members[0] = Members.word(vm.addr(1), 1);
        members[1] = Members.word(address(0), 1);
        vm.expectRevert(abi.encodeWithSelector(Certificate.WrongSigner.selector, 1));
        this.check(keccak256("digest"), members, 2, 3, bytes.concat(r, vs, new bytes(64)));
        members[1] = members[0];
        vm.expectRevert(abi.encodeWithSelector(Certificate.WrongSigner.selector, 1));
        this.check(keccak256("digest"), members, 2, 3, bytes.concat(r, vs, new bytes(64)));
    }
}
