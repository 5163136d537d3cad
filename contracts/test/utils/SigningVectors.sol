// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {TestBase} from "forge-std/Base.sol";
import {Members} from "../../src/libraries/Members.sol";
import {Signing} from "../../src/libraries/Signing.sol";
import {BatchHeader} from "../../src/types/BatchHeader.sol";
import {PeerBinding, Proposal, Slice, Vote} from "../../src/types/Messages.sol";

/// Builds `protocol/vectors/signing.json` from fixed inputs. Numbers are JSON numbers, everything else is 0x hex.
abstract contract SigningVectors is TestBase {
    string internal constant PATH = "../protocol/vectors/signing.json";
    uint256 internal constant L1_CHAIN_ID = 900;
    address internal constant STAKING = 0x5555555555555555555555555555555555555555;
    uint256 internal constant KEYS = 4;

    function vote() internal pure returns (Vote memory) {
        return Vote({voteType: 1, height: 4_294_967_297, round: 2, blockHash: bytes32(uint256(0xb10c))});
    }

    function proposal() internal pure returns (Proposal memory) {
        return Proposal({height: 7, round: 1, polRound: -1, blockHash: bytes32(uint256(0xb10c))});
    }

    function slice() internal pure returns (Slice memory) {
        return Slice({height: 7, round: 1, index: 3, dataHash: keccak256("slice")});
    }

    function peerBinding() internal pure returns (PeerBinding memory) {
        return PeerBinding({peerIdHash: keccak256("peer"), expires: 1_800_000_000});
    }

    function header() internal pure returns (BatchHeader memory) {
        return BatchHeader({
            index: 2,
            parentHash: keccak256("parent"),
            firstHeight: 101,
            lastHeight: 200,
            lastBlockHash: keccak256("lastBlock"),
            stateRoot: keccak256("stateRoot"),
            withdrawalsRoot: keccak256("withdrawalsRoot"),
            blocksRoot: keccak256("blocksRoot"),
            dataHash: keccak256("data"),
            snapshotId: 5,
            l1OriginNumber: 12_345,
            l1OriginHash: keccak256("l1Origin"),
            depositCount: 17,
            turns: (2 << 248) | (1 << 24) | (255 << 8) | 3
        });
    }

    /// Weights 20,001 to 20,004 for keys 1 to 4.
    function members() internal pure returns (bytes32[] memory words) {
        words = new bytes32[](KEYS);
        for (uint256 key = 1; key <= KEYS; ++key) {
            bytes32 word = Members.word(vm.addr(key), uint64(20_000 + key));
            uint256 slot = key - 1;
            for (; slot > 0 && words[slot - 1] > word; --slot) {
                words[slot] = words[slot - 1];
            }
            words[slot] = word;
        }
    }

    /// Private key of a member.
    function keyOf(bytes32 member) internal pure returns (uint256) {
        return Members.weightOf(member) - 20_000;
    }

    /// EIP-2098 form.
    function signCompact(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 vs) = vm.signCompact(key, digest);
        return abi.encodePacked(r, vs);
    }

    /// Library functions over calldata need a call.
    function hashHeader(BatchHeader calldata value) external pure returns (bytes32) {
        return Signing.hash(value);
    }

    function signingJson() internal view returns (string memory) {
        bytes32 separator = Signing.domainSeparator(L1_CHAIN_ID, STAKING);
        return string.concat(
            string.concat(
                "{\n",
                _line(1, "l1ChainId", vm.toString(L1_CHAIN_ID)),
                _line(1, "verifyingContract", _quoted(_lower(STAKING))),
                _line(1, "domainSeparator", _hex(separator))
            ),
            string.concat(_keysJson(), _votesJson(separator), _partsJson(separator), _headerJson(separator)),
            string.concat(_setJson(), _certificateJson(separator), "}\n")
        );
    }

    function _keysJson() private pure returns (string memory list) {
        for (uint256 key = 1; key <= KEYS; ++key) {
            list = string.concat(
                string.concat(list, key == 1 ? "" : ",\n", '    { "privateKey": ', _hex(bytes32(key))),
                string.concat(', "address": ', _quoted(_lower(vm.addr(key))), " }")
            );
        }
        return string.concat('  "signers": [\n', list, "\n  ],\n");
    }

    function _votesJson(bytes32 separator) private pure returns (string memory) {
        Vote memory v = vote();
        Proposal memory p = proposal();
        return string.concat(
            string.concat(
                '  "vote": {\n',
                _line(2, "voteType", vm.toString(v.voteType)),
                _line(2, "height", vm.toString(v.height)),
                _line(2, "round", vm.toString(v.round))
            ),
            string.concat(
                _line(2, "blockHash", _hex(v.blockHash)),
                _hashes(separator, Signing.hash(v)),
                '  "proposal": {\n',
                _line(2, "height", vm.toString(p.height))
            ),
            string.concat(
                _line(2, "round", vm.toString(p.round)),
                _line(2, "polRound", vm.toString(p.polRound)),
                _line(2, "blockHash", _hex(p.blockHash)),
                _hashes(separator, Signing.hash(p))
            )
        );
    }

    function _partsJson(bytes32 separator) private pure returns (string memory) {
        Slice memory s = slice();
        PeerBinding memory b = peerBinding();
        return string.concat(
            string.concat(
                '  "slice": {\n',
                _line(2, "height", vm.toString(s.height)),
                _line(2, "round", vm.toString(s.round)),
                _line(2, "index", vm.toString(s.index))
            ),
            string.concat(
                _line(2, "dataHash", _hex(s.dataHash)),
                _hashes(separator, Signing.hash(s)),
                '  "peerBinding": {\n',
                _line(2, "peerIdHash", _hex(b.peerIdHash))
            ),
            string.concat(_line(2, "expires", vm.toString(b.expires)), _hashes(separator, Signing.hash(b)))
        );
    }

    function _headerJson(bytes32 separator) private view returns (string memory) {
        BatchHeader memory h = header();
        string memory place = string.concat(
            string.concat(
                '  "batchHeader": {\n',
                _line(2, "index", vm.toString(h.index)),
                _line(2, "parentHash", _hex(h.parentHash)),
                _line(2, "firstHeight", vm.toString(h.firstHeight))
            ),
            string.concat(
                _line(2, "lastHeight", vm.toString(h.lastHeight)),
                _line(2, "lastBlockHash", _hex(h.lastBlockHash)),
                _line(2, "stateRoot", _hex(h.stateRoot)),
                _line(2, "withdrawalsRoot", _hex(h.withdrawalsRoot))
            )
        );
        return string.concat(
            string.concat(
                place,
                _line(2, "blocksRoot", _hex(h.blocksRoot)),
                _line(2, "dataHash", _hex(h.dataHash)),
                _line(2, "snapshotId", vm.toString(h.snapshotId))
            ),
            string.concat(
                _line(2, "l1OriginNumber", vm.toString(h.l1OriginNumber)),
                _line(2, "l1OriginHash", _hex(h.l1OriginHash)),
                _line(2, "depositCount", vm.toString(h.depositCount)),
                _line(2, "turns", _hex(bytes32(h.turns))),
                _hashes(separator, this.hashHeader(h))
            )
        );
    }

    function _setJson() private pure returns (string memory) {
        bytes32[] memory words = members();
        string memory list;
        uint256 total;
        for (uint256 i; i < words.length; ++i) {
            list = string.concat(
                string.concat(
                    list, i == 0 ? "" : ",\n", '      { "signer": ', _quoted(_lower(Members.signerOf(words[i])))
                ),
                string.concat(', "weight": ', vm.toString(Members.weightOf(words[i])), ', "word": ', _hex(words[i])),
                " }"
            );
            total += Members.weightOf(words[i]);
        }
        return string.concat(
            string.concat(
                '  "set": {\n    "members": [\n', list, "\n    ],\n", _line(2, "totalWeight", vm.toString(total))
            ),
            string.concat(_last(2, "hash", _hex(Members.hash(words))), "  },\n")
        );
    }

    /// Members 0, 1 and 3 sign the header above.
    function _certificateJson(bytes32 separator) private view returns (string memory) {
        bytes32[] memory words = members();
        bytes32 digest = Signing.digest(separator, this.hashHeader(header()));
        uint256 bitmap = 11;
        bytes memory signatures;
        uint256 signed;
        for (uint256 i; i < words.length; ++i) {
            if ((bitmap >> i) & 1 == 0) continue;
            signatures = bytes.concat(signatures, signCompact(keyOf(words[i]), digest));
            signed += Members.weightOf(words[i]);
        }
        return string.concat(
            string.concat(
                '  "certificate": {\n',
                _line(2, "bitmap", vm.toString(bitmap)),
                _line(2, "signatures", _quoted(vm.toString(signatures))),
                _last(2, "signedWeight", vm.toString(signed))
            ),
            "  }\n"
        );
    }

    function _hashes(bytes32 separator, bytes32 structHash) private pure returns (string memory) {
        return string.concat(
            _line(2, "structHash", _hex(structHash)),
            _last(2, "digest", _hex(Signing.digest(separator, structHash))),
            "  },\n"
        );
    }

    function _line(uint256 depth, string memory name, string memory value) private pure returns (string memory) {
        return string.concat(string.concat(depth == 1 ? "  " : "    ", _quoted(name), ": ", value), ",\n");
    }

    function _last(uint256 depth, string memory name, string memory value) private pure returns (string memory) {
        return string.concat(string.concat(depth == 1 ? "  " : "    ", _quoted(name), ": ", value), "\n");
    }

    function _hex(bytes32 value) private pure returns (string memory) {
        return _quoted(vm.toString(value));
    }

    function _lower(address value) private pure returns (string memory) {
        return vm.toString(abi.encodePacked(value));
    }

    function _quoted(string memory value) private pure returns (string memory) {
        return string.concat('"', value, '"');
    }
}
