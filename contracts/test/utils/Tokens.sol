// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// A plain token with any name.
contract PlainToken is ERC20 {
    uint8 private immutable _DECIMALS;

    constructor(string memory name, string memory symbol, uint8 decimals_) ERC20(name, symbol) {
        _DECIMALS = decimals_;
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function decimals() public view override returns (uint8) {
        return _DECIMALS;
    }
}

/// Keeps a hundredth of every transfer.
contract FeeToken is PlainToken("Fee", "FEE", 18) {
    function _update(address from, address to, uint256 value) internal override {
        if (from == address(0) || to == address(0)) return super._update(from, to, value);
        super._update(from, to, value - value / 100);
        super._update(from, address(this), value / 100);
    }
}

/// Refuses transfers on demand, or burns all gas.
contract MoodyToken is PlainToken("Moody", "MOOD", 6) {
    bool public paused;
    bool public hungry;

    function set(bool paused_, bool hungry_) external {
        paused = paused_;
        hungry = hungry_;
    }

    function _update(address from, address to, uint256 value) internal override {
        require(!paused, "paused");
        while (hungry) {}
        super._update(from, to, value);
    }
}

/// Calls somebody in the middle of a transfer.
contract HookToken is PlainToken("Hook", "HOOK", 18) {
    address private _target;
    bytes private _call;
    bool public succeeded;

    function hook(address target, bytes calldata call) external {
        (_target, _call) = (target, call);
    }

    function _update(address from, address to, uint256 value) internal override {
        address target = _target;
        if (target != address(0)) {
            _target = address(0);
            (succeeded,) = target.call(_call);
        }
        super._update(from, to, value);
    }
}

/// Answers every call with the same bytes.
contract OddToken {
    bytes private _answer;

    constructor(bytes memory answer) {
        _answer = answer;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        return _answer;
    }
}
