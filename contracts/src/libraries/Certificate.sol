// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Members} from "./Members.sol";

/// Batch certificates: signatures of members of one set over one digest.
library Certificate {
    /// Bits beyond the set, or signatures that do not fit the bitmap.
    error MalformedCertificate();
    /// The signature of member `index` is malformed, has a high s, or is not the member's.
    error WrongSigner(uint256 index);
    /// Two thirds of the weight or less have signed.
    error NoQuorum(uint256 signed, uint256 total);

    /// Half of the order of secp256k1: a signature has only one valid form.
    uint256 internal constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    /// Bytes of an EIP-2098 signature.
    uint256 internal constant SIGNATURE_BYTES = 64;
    uint256 private constant S_MASK = type(uint256).max >> 1;

    /// Checks that members with more than two thirds of `total` have signed `digest`.
    /// @param members Words of the set, already checked against its stored hash.
    /// @param total Total weight of the set.
    /// @param bitmap Bit i: member i has signed.
    /// @param signatures EIP-2098 signatures, concatenated in member order.
    /// @return signed Signed weight.
    function check(bytes32 digest, bytes32[] calldata members, uint256 total, uint256 bitmap, bytes calldata signatures)
        internal
        pure
        returns (uint256 signed)
    {
        uint256 count = members.length;
        uint256 offset;
        // The members are at most 32 and their weights come from L1, so nothing here overflows.
        unchecked {
            for (uint256 index; bitmap != 0; ++index) {
                if (index == count) revert MalformedCertificate();
                bool signs = bitmap & 1 != 0;
                bitmap >>= 1;
                if (!signs) continue;
                if (offset + SIGNATURE_BYTES > signatures.length) revert MalformedCertificate();
                bytes32 member = members[index];
                address signer = recover(digest, signatures[offset:offset + SIGNATURE_BYTES]);
                // A failed recovery gives zero, which must not pass for a member.
                if (signer == address(0) || signer != Members.signerOf(member)) revert WrongSigner(index);
                offset += SIGNATURE_BYTES;
                signed += Members.weightOf(member);
            }
        }
        if (offset != signatures.length) revert MalformedCertificate();
        if (signed * 3 <= total * 2) revert NoQuorum(signed, total);
    }

    /// Signer of an EIP-2098 signature; zero if it is malformed or has a high s.
    function recover(bytes32 digest, bytes calldata signature) internal pure returns (address) {
        (bytes32 r, uint256 vs) = abi.decode(signature, (bytes32, uint256));
        uint256 s = vs & S_MASK;
        if (s > HALF_ORDER) return address(0);
        unchecked {
            return ecrecover(digest, uint8(27 + (vs >> 255)), r, bytes32(s));
        }
    }
}
