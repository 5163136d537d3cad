// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Member words: `uint160(signer) << 96 | uint96(weight)`. A set is the words of its members, strictly ascending; as
/// the signer is on top, ascending words are ascending signers.
library Members {
    /// Most members of a set; a certificate's bitmap and gas are sized for it.
    uint256 internal constant MAX = 32;

    /// Word of a member.
    /// @param weight Whole METIS.
    function word(address signer, uint64 weight) internal pure returns (bytes32) {
        return bytes32((uint256(uint160(signer)) << 96) | weight);
    }

    /// Signer of a word.
    function signerOf(bytes32 member) internal pure returns (address) {
        return address(bytes20(member));
    }

    /// Weight of a word in whole METIS.
    function weightOf(bytes32 member) internal pure returns (uint256) {
        return uint96(uint256(member));
    }

    /// What L1 stores of a set.
    function hash(bytes32[] memory words) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(words));
    }
}
