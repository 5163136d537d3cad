// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

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
    uint256 private constant S_MASK = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF;
    /// Weight in a member's word.
    uint256 private constant WEIGHT_MASK = 0xFFFFFFFFFFFFFFFFFFFFFFFF;

    /// Checks that members with more than two thirds of `total` have signed `digest`.
    /// @param members Words of the set, already checked against its stored hash.
    /// @param total Total weight of the set.
    /// @param bitmap Bit i: member i has signed.
    /// @param signatures EIP-2098 signatures, concatenated in member order.
    /// @return signed Signed weight.
    function check(bytes32 digest, bytes32[] calldata members, uint256 total, uint256 bitmap, bytes calldata signatures)
        internal
        view
        returns (uint256 signed)
    {
        bool wrong;
        uint256 used;
        uint256 index;
        (signed, used, index, wrong) = _walk(digest, members, bitmap, signatures);
        // What the walk read beyond the end of the signatures, other bytes of the call or zeros, counts as missing.
        if (wrong && used + SIGNATURE_BYTES <= signatures.length) revert WrongSigner(index);
        if (wrong || used != signatures.length || index > members.length) revert MalformedCertificate();
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

    /// Recovers the signers in the bitmap one by one. The only assembly of the contracts: a batch has up to 32 signers, and the
    /// compiler's way costs seven hundred gas more for each. Tests hold it to a walk without.
    /// @return signed Weight of the signers.
    /// @return used Bytes of `signatures` that were right.
    /// @return index Member at which the walk ended; beyond the set's length when the bitmap has bits there.
    /// @return wrong Whether it ended because that member's signature is not its own.
    function _walk(bytes32 digest, bytes32[] calldata members, uint256 bitmap, bytes calldata signatures)
        private
        view
        returns (uint256 signed, uint256 used, uint256 index, bool wrong)
    {
        uint256 count = members.length;
        // Members are at most 32 and their weights come from L1, so nothing overflows.
        assembly ("memory-safe") {
            // Beyond the memory in use, and not claimed: digest, v, r, s.
            let input := mload(0x40)
            mstore(input, digest)
            let v := add(input, 32)
            let r := add(input, 64)
            for {} bitmap { bitmap := shr(1, bitmap) } {
                if eq(index, count) {
                    index := add(index, 1)
                    break
                }
                if and(bitmap, 1) {
                    let word := calldataload(add(members.offset, shl(5, index)))
                    let place := add(signatures.offset, used)
                    let vs := calldataload(add(place, 32))
                    let s := and(vs, S_MASK)
                    mstore(v, add(27, shr(255, vs)))
                    mstore(r, calldataload(place))
                    mstore(add(r, 32), s)
                    // The answer overwrites this, which is no address. Where nobody signed there is no answer.
                    mstore(0, not(0))
                    if iszero(gt(s, HALF_ORDER)) { pop(staticcall(gas(), 1, input, 128, 0, 32)) }
                    wrong := iszero(eq(mload(0), shr(96, word)))
                    if wrong { break }
                    used := add(used, 64)
                    signed := add(signed, and(word, WEIGHT_MASK))
                }
                index := add(index, 1)
            }
        }
    }
}
