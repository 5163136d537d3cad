// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// What the client scenarios deploy, call and trace. Every function shows one thing that a library has to decode.
contract Probe {
    event Changed(address indexed who, uint256 indexed key, uint256 value, string note);

    error Refused(address who, uint256 wanted);

    bytes32 private constant _LETTER = keccak256("Letter(address from,uint256 amount,string text)");

    mapping(uint256 => uint256) public values;
    /// Slot 1.
    uint256 public count;
    uint256 public immutable START;
    address public child;

    constructor(uint256 start) payable {
        START = start;
        count = start;
    }

    receive() external payable {}

    function set(uint256 key, uint256 value, string calldata note) external payable {
        values[key] = value;
        ++count;
        emit Changed(msg.sender, key, value, note);
    }

    function refuse(uint256 wanted) external view {
        revert Refused(msg.sender, wanted);
    }

    function complain(string calldata text) external pure {
        revert(text);
    }

    function underflow(uint256 from) external pure returns (uint256) {
        return from - 1_000;
    }

    function silent() external pure {
        assembly {
            revert(0, 0)
        }
    }

    /// A call, a static call, a delegate call that fails and is caught, and a creation, for traces.
    function tour(uint256 key) external returns (address made) {
        this.set(key, count, "tour");
        this.underflow(2_000);
        try this.refuse(key) {} catch {}
        child = address(new Bomb());
        made = child;
    }

    /// Pays for `reads` cold slots, or warm ones with an access list.
    function sum(uint256 reads) external view returns (uint256 total) {
        for (uint256 key = 0; key < reads; ++key) {
            total += values[key];
        }
    }

    /// The signer of typed data, checked on the chain.
    function reader(address from, uint256 amount, string calldata text, uint8 v, bytes32 r, bytes32 s)
        external
        view
        returns (address)
    {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Probe"),
                keccak256("1"),
                block.chainid,
                address(this)
            )
        );
        bytes32 letter = keccak256(abi.encode(_LETTER, from, amount, keccak256(bytes(text))));
        return ecrecover(keccak256(abi.encodePacked(hex"1901", domain, letter)), v, r, s);
    }
}

/// What hostile calls call.
contract Bomb {
    /// Runs until its gas is gone.
    function spin() external pure {
        while (true) {}
    }

    /// Calls itself as deep as gas and the stack allow.
    function recurse() external {
        try this.recurse() {} catch {}
        try this.recurse() {} catch {}
    }

    /// Each step makes a line in a struct log trace with a stack and memory.
    function steps(uint256 count, uint256 words) external pure returns (uint256 total) {
        uint256[] memory ballast = new uint256[](words);
        for (uint256 step = 0; step < count; ++step) {
            unchecked {
                total += step ^ ballast.length;
            }
        }
    }

    /// Asks for memory.
    function grow(uint256 bytes_) external pure returns (uint256 word) {
        assembly {
            mstore(bytes_, 1)
            word := mload(bytes_)
        }
    }

    /// Answers with this many bytes.
    function shout(uint256 bytes_) external pure {
        assembly {
            return(0, bytes_)
        }
    }

    /// Hashes for as long as there is gas, cheap for gas and dear for time.
    function hash(uint256 size) external pure {
        assembly {
            for {} 1 {} { mstore(0, keccak256(0, size)) }
        }
    }

    /// Calls the identity, modexp and pairing precompiles until the gas is gone.
    function precompiles() external view {
        assembly {
            for {} 1 {} {
                pop(staticcall(gas(), 0x05, 0, 0x1000, 0, 0))
                pop(staticcall(gas(), 0x08, 0, 0x180, 0, 0x20))
            }
        }
    }

    /// Emits this many logs.
    function cry(uint256 count) external {
        for (uint256 index = 0; index < count; ++index) {
            assembly {
                log1(0, 32, index)
            }
        }
    }

    /// Emits this many logs of this many bytes.
    function roar(uint256 count, uint256 bytes_) external {
        for (uint256 index = 0; index < count; ++index) {
            assembly {
                log0(0, bytes_)
            }
        }
    }

    /// Looks at this many accounts.
    function touch(uint256 count) external view returns (uint256 seen) {
        for (uint256 index = 0; index < count; ++index) {
            assembly {
                let who := add(shl(80, 1), index)
                seen := xor(seen, xor(extcodehash(who), balance(who)))
            }
        }
    }

    /// Calls an account without code this many times, each time with this many bytes.
    function knock(uint256 count, uint256 bytes_) external {
        for (uint256 index = 0; index < count; ++index) {
            assembly {
                pop(call(gas(), shl(80, 1), 0, 0, bytes_, 0, 0))
            }
        }
    }
}
