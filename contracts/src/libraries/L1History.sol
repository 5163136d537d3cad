// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Which blocks this L1 has had.
library L1History {
    /// EIP-2935: hashes of the last 8,191 blocks.
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// Whether block `number` may have had this hash: it is L1's own, or L1 no longer remembers. History decides where it
    /// answers; the opcode is tried first because it is two hundred times cheaper, and is not believed when it differs,
    /// since development nodes forget what it returns when they restart.
    function agrees(uint256 number, bytes32 hash) internal view returns (bool) {
        bytes32 recent = blockhash(number);
        if (recent != bytes32(0) && recent == hash) return true;
        (bool known, bytes memory answer) = HISTORY.staticcall(abi.encode(number));
        if (known && answer.length == 32 && bytes32(answer) != bytes32(0)) return bytes32(answer) == hash;
        return recent == bytes32(0);
    }

    /// Whether L1 remembers that block `number` had this hash.
    function knows(uint256 number, bytes32 hash) internal view returns (bool) {
        if (hash == bytes32(0)) return false;
        if (blockhash(number) == hash) return true;
        (bool known, bytes memory answer) = HISTORY.staticcall(abi.encode(number));
        return known && answer.length == 32 && bytes32(answer) == hash;
    }
}
