// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {Signing} from "../libraries/Signing.sol";

/// See {IStaking}. The contract's owner is governance: it can switch the whitelist, which gates registration and nothing
/// else. METIS neither calls back nor takes a fee on transfer; state is nevertheless final before any token moves out.
contract Staking is IStaking, Ownable2Step {
    using SafeERC20 for IERC20;

    /// Least self stake of an active operator.
    uint96 public constant MIN_STAKE = 20_000 ether;
    /// Most self stake.
    uint96 public constant MAX_STAKE = 100_000 ether;
    /// Most active operators: what a snapshot can look through. At the minimum stake that is more METIS than exists.
    uint256 public constant MAX_OPERATORS = 512;
    /// Most open unbonding requests of an operator.
    uint32 public constant MAX_REQUESTS = 16;
    /// Longest unbonding delay, so that a deployment cannot lock stake for ever.
    uint64 public constant MAX_UNBONDING_DELAY = 60 days;
    /// Bytes of a metadata string.
    uint256 public constant MAX_METADATA_BYTES = 256;

    IERC20 private immutable _METIS;
    uint64 private immutable _UNBONDING_DELAY;
    bytes32 private immutable _DOMAIN_SEPARATOR;
    uint256 private immutable _CHAIN_ID;

    /// @inheritdoc IStaking
    uint256 public totalStaked;
    /// @inheritdoc IStaking
    uint256 public totalUnbonding;
    /// Whether registration is open to whitelisted owners only.
    bool public whitelistEnabled;
    uint64 private _lastOperatorId;
    uint128 private _lastRequestId;
    uint64[] private _active;
    mapping(uint64 operatorId => Operator) private _operators;
    /// Position in `_active` plus one; zero when not active.
    mapping(uint64 operatorId => uint256) private _position;
    mapping(address signer => uint64 operatorId) private _operatorOf;
    mapping(uint256 requestId => Unbonding) private _requests;
    /// Owners that may register while the whitelist is on.
    mapping(address owner => bool) public whitelisted;

    /// @param metis_ METIS token.
    /// @param governance Owner of this contract.
    /// @param unbondingDelay_ Seconds between a request and its release.
    constructor(IERC20 metis_, address governance, uint64 unbondingDelay_) Ownable(governance) {
        if (address(metis_) == address(0)) revert ZeroAddress();
        if (unbondingDelay_ == 0 || unbondingDelay_ > MAX_UNBONDING_DELAY) {
            revert UnbondingDelayOutOfRange(unbondingDelay_);
        }
        _METIS = metis_;
        _UNBONDING_DELAY = unbondingDelay_;
        _CHAIN_ID = block.chainid;
        _DOMAIN_SEPARATOR = Signing.domainSeparator(block.chainid, address(this));
    }

    modifier onlyOperatorOwner(uint64 operatorId) {
        if (_operators[operatorId].owner != msg.sender) revert NotOwner(operatorId, msg.sender);
        _;
    }

    /// @inheritdoc IStaking
    function register(uint96 amount, address signer, address recipient) external returns (uint64 operatorId) {
        if (whitelistEnabled && !whitelisted[msg.sender]) revert NotWhitelisted(msg.sender);
        if (recipient == address(0)) revert ZeroAddress();
        if (signer == msg.sender) revert KeysNotApart(signer);
        if (amount < MIN_STAKE) revert StakeBelowMinimum(amount, MIN_STAKE);
        if (amount > MAX_STAKE) revert StakeAboveMaximum(amount, MAX_STAKE);
        if (_active.length == MAX_OPERATORS) revert TooManyOperators(MAX_OPERATORS);
        operatorId = ++_lastOperatorId;
        _bindSigner(operatorId, signer);
        _operators[operatorId] = Operator({
            signer: signer,
            stake: amount,
            owner: msg.sender,
            openRequests: 0,
            recipient: recipient,
            pendingOwner: address(0)
        });
        _active.push(operatorId);
        _position[operatorId] = _active.length;
        totalStaked += amount;
        emit OperatorRegistered(operatorId, msg.sender, signer, recipient, amount);
        _METIS.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IStaking
    function increase(uint64 operatorId, uint96 amount) external {
        _requireActive(operatorId);
        if (amount == 0) revert ZeroAmount();
        Operator storage self = _operators[operatorId];
        uint256 stake = uint256(self.stake) + amount;
        if (stake > MAX_STAKE) revert StakeAboveMaximum(stake, MAX_STAKE);
        // At most MAX_STAKE, so it fits.
        self.stake = uint96(stake);
        totalStaked += amount;
        emit StakeIncreased(operatorId, amount, uint96(stake));
        _METIS.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IStaking
    function decrease(uint64 operatorId, uint96 amount)
        external
        onlyOperatorOwner(operatorId)
        returns (uint256 requestId)
    {
        _requireActive(operatorId);
        if (amount == 0) revert ZeroAmount();
        Operator storage self = _operators[operatorId];
        uint96 stake = self.stake;
        uint96 rest = amount < stake ? stake - amount : 0;
        if (rest < MIN_STAKE) revert StakeBelowMinimum(rest, MIN_STAKE);
        // The last request is left free for the exit, which must always be possible.
        if (self.openRequests >= MAX_REQUESTS - 1) revert TooManyRequests(MAX_REQUESTS);
        self.stake = rest;
        emit StakeDecreased(operatorId, amount, rest);
        return _unbond(operatorId, self, amount);
    }

    /// @inheritdoc IStaking
    function exit(uint64 operatorId) external onlyOperatorOwner(operatorId) returns (uint256 requestId) {
        _requireActive(operatorId);
        Operator storage self = _operators[operatorId];
        uint96 amount = self.stake;
        self.stake = 0;
        self.signer = address(0);
        _deactivate(operatorId);
        emit OperatorExited(operatorId);
        return _unbond(operatorId, self, amount);
    }

    /// @inheritdoc IStaking
    function claim(uint256 requestId) external returns (uint96 amount) {
        Unbonding memory request = _requests[requestId];
        if (request.operatorId == 0) revert UnknownRequest(requestId);
        Operator storage self = _operators[request.operatorId];
        if (self.owner != msg.sender) revert NotOwner(request.operatorId, msg.sender);
        if (block.timestamp < request.releaseAt) revert StillUnbonding(requestId, request.releaseAt);
        amount = request.amount;
        delete _requests[requestId];
        --self.openRequests;
        totalUnbonding -= amount;
        emit UnbondingClaimed(requestId, request.operatorId, msg.sender, amount);
        _METIS.safeTransfer(msg.sender, amount);
    }

    /// @inheritdoc IStaking
    function rotateSigner(uint64 operatorId, address signer) external onlyOperatorOwner(operatorId) {
        _requireActive(operatorId);
        if (signer == msg.sender) revert KeysNotApart(signer);
        _bindSigner(operatorId, signer);
        Operator storage self = _operators[operatorId];
        emit SignerRotated(operatorId, self.signer, signer);
        self.signer = signer;
    }

    /// @inheritdoc IStaking
    function setRecipient(uint64 operatorId, address recipient) external onlyOperatorOwner(operatorId) {
        if (recipient == address(0)) revert ZeroAddress();
        _operators[operatorId].recipient = recipient;
        emit RecipientChanged(operatorId, recipient);
    }

    /// @inheritdoc IStaking
    function transferOperator(uint64 operatorId, address newOwner) external onlyOperatorOwner(operatorId) {
        if (newOwner != address(0) && newOwner == _operators[operatorId].signer) revert KeysNotApart(newOwner);
        _operators[operatorId].pendingOwner = newOwner;
        emit OwnerChangeStarted(operatorId, msg.sender, newOwner);
    }

    /// @inheritdoc IStaking
    function acceptOperator(uint64 operatorId) external {
        Operator storage self = _operators[operatorId];
        if (self.pendingOwner != msg.sender) revert NotPendingOwner(operatorId, msg.sender);
        if (self.signer == msg.sender) revert KeysNotApart(msg.sender);
        emit OwnerChanged(operatorId, self.owner, msg.sender);
        self.owner = msg.sender;
        self.pendingOwner = address(0);
    }

    /// @inheritdoc IStaking
    function setMetadata(uint64 operatorId, string calldata name, string calldata url)
        external
        onlyOperatorOwner(operatorId)
    {
        if (bytes(name).length > MAX_METADATA_BYTES || bytes(url).length > MAX_METADATA_BYTES) {
            revert NameTooLong();
        }
        emit MetadataChanged(operatorId, name, url);
    }

    /// @inheritdoc IStaking
    function setWhitelistEnabled(bool enabled) external onlyOwner {
        whitelistEnabled = enabled;
        emit WhitelistSwitched(enabled);
    }

    /// @inheritdoc IStaking
    function setWhitelisted(address owner_, bool allowed) external onlyOwner {
        whitelisted[owner_] = allowed;
        emit WhitelistChanged(owner_, allowed);
    }

    /// @inheritdoc IStaking
    function domainSeparator() external view returns (bytes32) {
        // An L1 that forked under another chain id is another network.
        return block.chainid == _CHAIN_ID ? _DOMAIN_SEPARATOR : Signing.domainSeparator(block.chainid, address(this));
    }

    /// @inheritdoc IStaking
    function metis() external view returns (address) {
        return address(_METIS);
    }

    /// @inheritdoc IStaking
    function unbondingDelay() external view returns (uint64) {
        return _UNBONDING_DELAY;
    }

    /// @inheritdoc IStaking
    function operator(uint64 operatorId) external view returns (Operator memory) {
        return _operators[operatorId];
    }

    /// @inheritdoc IStaking
    function unbonding(uint256 requestId) external view returns (Unbonding memory) {
        return _requests[requestId];
    }

    /// @inheritdoc IStaking
    function operatorOf(address signer) external view returns (uint64) {
        return _operatorOf[signer];
    }

    /// @inheritdoc IStaking
    function weightOf(uint64 operatorId) external view returns (uint64) {
        return _weight(_operators[operatorId].stake);
    }

    /// @inheritdoc IStaking
    function candidates() external view returns (Candidate[] memory list) {
        uint64[] memory ids = _active;
        list = new Candidate[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            Operator storage self = _operators[ids[i]];
            list[i] = Candidate({operatorId: ids[i], signer: self.signer, weight: _weight(self.stake)});
        }
    }

    /// Gives `signer` to the operator for ever.
    function _bindSigner(uint64 operatorId, address signer) private {
        if (signer == address(0)) revert ZeroAddress();
        uint64 holder = _operatorOf[signer];
        if (holder != 0) revert SignerTaken(signer, holder);
        _operatorOf[signer] = operatorId;
    }

    /// Moves `amount`, already taken from the stake, to unbonding.
    function _unbond(uint64 operatorId, Operator storage self, uint96 amount) private returns (uint256 requestId) {
        requestId = ++_lastRequestId;
        uint64 releaseAt = uint64(block.timestamp) + _UNBONDING_DELAY;
        _requests[requestId] = Unbonding({operatorId: operatorId, amount: amount, releaseAt: releaseAt});
        ++self.openRequests;
        totalStaked -= amount;
        totalUnbonding += amount;
        emit UnbondingRequested(requestId, operatorId, amount, releaseAt);
    }

    /// Takes the operator off the list of candidates; the last one fills its place.
    function _deactivate(uint64 operatorId) private {
        uint256 position = _position[operatorId];
        uint64 last = _active[_active.length - 1];
        _active[position - 1] = last;
        _position[last] = position;
        _active.pop();
        delete _position[operatorId];
    }

    function _requireActive(uint64 operatorId) private view {
        if (_position[operatorId] == 0) revert NotActive(operatorId);
    }

    function _weight(uint96 stake) private pure returns (uint64) {
        // A uint96 of wei is below 2^37 whole METIS.
        return uint64(stake / 1 ether);
    }
}
