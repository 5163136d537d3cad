// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Size of FastLZ-compressed data, as the state transition measures it for the L1 data fee (OP Stack, Fjord). Only counts
/// bytes: nothing is compressed. For calls by wallets, not for transactions: it costs several hundred gas a byte.
library FastLZ {
    uint256 private constant _TABLE = 8_192;
    uint256 private constant _HASH_FACTOR = 2_654_435_769;

    /// Bytes `data` takes when compressed at level 1.
    function compressedLength(bytes memory data) internal pure returns (uint256 size) {
        unchecked {
            uint256[] memory table = new uint256[](_TABLE);
            uint256 limit = data.length < 13 ? 0 : data.length - 13;
            uint256 index = 2;
            uint256 anchor;
            while (index < limit) {
                uint256 earlier;
                (index, earlier) = _nextMatch(data, table, index, limit);
                if (index >= limit) break;
                --index;
                if (index > anchor) size += _literals(index - anchor);
                uint256 length = _matchLength(data, earlier + 3, index + 3, limit + 9);
                size += _matches(length);
                index = _remember(data, table, index + length);
                index = _remember(data, table, index);
                anchor = index;
            }
            size += _literals(data.length - anchor);
        }
    }

    /// Looks for three bytes that have occurred before; `index` ends one beyond their start.
    function _nextMatch(bytes memory data, uint256[] memory table, uint256 index, uint256 limit)
        private
        pure
        returns (uint256, uint256 earlier)
    {
        unchecked {
            while (true) {
                uint256 sequence = _u24(data, index);
                uint256 slot = _hash(sequence);
                earlier = table[slot];
                table[slot] = index;
                uint256 distance = index - earlier;
                if (index >= limit) break;
                ++index;
                if (distance < _TABLE && sequence == _u24(data, earlier)) break;
            }
            return (index, earlier);
        }
    }

    /// Equal bytes from `left` and `right` on, and one more where they differ.
    function _matchLength(bytes memory data, uint256 left, uint256 right, uint256 end)
        private
        pure
        returns (uint256 length)
    {
        unchecked {
            uint256 most = end - right;
            while (length < most) {
                bool differs = data[left + length] != data[right + length];
                ++length;
                if (differs) break;
            }
        }
    }

    function _remember(bytes memory data, uint256[] memory table, uint256 index) private pure returns (uint256) {
        unchecked {
            table[_hash(_u24(data, index))] = index;
            return index + 1;
        }
    }

    function _literals(uint256 run) private pure returns (uint256 size) {
        unchecked {
            size = 33 * (run / 32);
            run %= 32;
            if (run != 0) size += run + 1;
        }
    }

    function _matches(uint256 length) private pure returns (uint256) {
        unchecked {
            --length;
            return 3 * (length / 262) + (length % 262 >= 6 ? 3 : 2);
        }
    }

    function _hash(uint256 sequence) private pure returns (uint256) {
        unchecked {
            return ((sequence * _HASH_FACTOR) >> 19) & (_TABLE - 1);
        }
    }

    function _u24(bytes memory data, uint256 index) private pure returns (uint256) {
        unchecked {
            return uint8(data[index]) | (uint256(uint8(data[index + 1])) << 8) | (uint256(uint8(data[index + 2])) << 16);
        }
    }
}
