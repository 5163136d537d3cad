// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {FastLZ} from "../../src/libraries/FastLZ.sol";
import {FastLzReference} from "../utils/FastLzReference.sol";
import {Test} from "../utils/Test.sol";

interface IFastLz {
    function fastLz(bytes calldata data) external view returns (uint256);
}

contract FastLZTest is Test {
    IFastLz internal reference_ = IFastLz(makeAddr("reference"));

    function setUp() external {
        vm.etch(address(reference_), FastLzReference.CODE);
    }

    function agree(bytes memory data) internal view {
        assertEq(FastLZ.compressedLength(data), reference_.fastLz(data));
    }

    function test_compressedLength_known_succeeds() external pure {
        assertEq(FastLZ.compressedLength(""), 0);
        assertEq(FastLZ.compressedLength(new bytes(1000)), 21);
        assertEq(FastLZ.compressedLength(hex"facade"), 4);
        assertEq(FastLZ.compressedLength(FastLzReference.SAMPLE), FastLzReference.SAMPLE_LENGTH);
    }

    function test_compressedLength_reference_succeeds() external view {
        agree(FastLzReference.SAMPLE);
        agree(FastLzReference.CODE);
        for (uint256 length; length < 64; ++length) {
            agree(new bytes(length));
        }
    }

    /// Random bytes hardly compress.
    function testFuzz_compressedLength_random_succeeds(bytes calldata data) external view {
        agree(data);
    }

    /// A small alphabet gives matches of all lengths and distances.
    function testFuzz_compressedLength_repetitive_succeeds(uint256 seed, uint16 length, uint8 alphabet) external view {
        bytes memory data = new bytes(bound(length, 0, 1500));
        uint256 letters = bound(alphabet, 1, 8);
        for (uint256 i; i < data.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            // Mostly runs of the previous byte.
            data[i] = i != 0 && seed % 4 != 0 ? data[i - 1] : bytes1(uint8((seed >> 8) % letters));
        }
        agree(data);
    }
}
