// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IStaking} from "../interfaces/IStaking.sol";
import {StakingBase} from "./StakingBase.sol";

/// The operators' part of {IStaking}.
abstract contract StakingOperators is StakingBase {
    /// Bytes of a metadata string.
    uint256 internal constant MAX_METADATA_BYTES = 256;
    /// Most commission, basis points.
    uint16 internal constant MAX_COMMISSION = 2_000;
    /// Most a commission rises at once, basis points.
    uint16 internal constant MAX_COMMISSION_RISE = 100;

    /// Whether registration is open to whitelisted owners only.
    bool public whitelistEnabled;
    uint64 private _lastOperatorId;
    /// Owners that may register while the whitelist is on.
    mapping(address owner => bool) public whitelisted;

    modifier onlyGovernance() {
        _requireSender(_GOVERNANCE);
        _;
    }

    /// @inheritdoc IStaking
    function register(uint96 amount, address signer, address recipient) external returns (uint64 operatorId) {
        if (whitelistEnabled && !whitelisted[msg.sender]) revert NotWhitelisted(msg.sender);
        _requireAddress(recipient);
        _requireApart(msg.sender, signer);
        _requireMinimum(amount);
        operatorId = ++_lastOperatorId;
        _bindSigner(operatorId, signer);
        _list(operatorId);
        Operator storage self = _operators[operatorId];
        (self.signer, self.owner, self.recipient) = (signer, msg.sender, recipient);
        _raise(self, amount);
        emit OperatorRegistered(operatorId, msg.sender, signer, recipient, amount);
        _pull(amount);
    }

    /// @inheritdoc IStaking
    function increase(uint64 operatorId, uint96 amount) external {
        _requireOpen(operatorId);
        _requirePositive(amount);
        Operator storage self = _operators[operatorId];
        _raise(self, amount);
        emit StakeIncreased(operatorId, amount, self.stake);
        _pull(amount);
    }

    /// @inheritdoc IStaking
    function compound(uint64 operatorId) external onlyOperatorOwner(operatorId) returns (uint96 amount) {
        _requireOpen(operatorId);
        Operator storage self = _operators[operatorId];
        uint96 room = MAX_STAKE - self.stake;
        amount = self.rewards < room ? self.rewards : room;
        _requirePositive(amount);
        self.rewards -= amount;
        totalRewards -= amount;
        _raise(self, amount);
        emit StakeIncreased(operatorId, amount, self.stake);
    }

    /// @inheritdoc IStaking
    function decrease(uint64 operatorId, uint96 amount)
        external
        onlyOperatorOwner(operatorId)
        returns (uint256 requestId)
    {
        _requireActive(operatorId);
        _requirePositive(amount);
        Operator storage self = _operators[operatorId];
        uint96 stake = self.stake;
        uint96 rest = amount < stake ? stake - amount : 0;
        _requireMinimum(rest);
        _requireRoom(address(uint160(operatorId)), MAX_SELF_REQUESTS - 1);
        uint64 releaseAt = _enqueue(operatorId, amount);
        self.stake = rest;
        totalStaked -= amount;
        emit StakeDecreased(operatorId, amount, rest);
        return _unbond(operatorId, address(0), amount, releaseAt);
    }

    /// @inheritdoc IStaking
    function exit(uint64 operatorId) external onlyOperatorOwner(operatorId) returns (uint256 requestId) {
        _requireActive(operatorId);
        Operator storage self = _operators[operatorId];
        Pool storage delegated = _pools[operatorId];
        _settle(delegated);
        uint96 amount = self.stake;
        // The whole weight leaves the set with its operator. The delegators' requests need no slot of their own then.
        uint64 releaseAt = _enqueue(operatorId, uint256(amount) + delegated.assets);
        self.stake = 0;
        self.exited = true;
        self.lastReleaseAt = releaseAt;
        totalStaked -= amount;
        _signers[self.signer].answersUntil = releaseAt;
        emit OperatorExited(operatorId);
        if (amount != 0) requestId = _unbond(operatorId, address(0), amount, releaseAt);
        if (_position[operatorId] != 0 && _waiting(operatorId, self) == 0) _unlist(operatorId);
    }

    /// @inheritdoc IStaking
    function eject(uint64 operatorId) external {
        Operator storage self = _operators[operatorId];
        bool due = self.exited ? _waiting(operatorId, self) == 0 : self.stake < MIN_STAKE;
        if (!due || _position[operatorId] == 0) revert NotEjectable(operatorId);
        // A top-up alone must not give weight to an operator that is not listed.
        self.away = true;
        _unlist(operatorId);
    }

    /// @inheritdoc IStaking
    function takeLeave(uint64 operatorId) external onlyOperatorOwner(operatorId) {
        _operators[operatorId].away = true;
        emit LeaveTaken(operatorId);
    }

    /// @inheritdoc IStaking
    function rejoin(uint64 operatorId) external onlyOperatorOwner(operatorId) {
        _requireActive(operatorId);
        Operator storage self = _operators[operatorId];
        _requireMinimum(self.stake);
        if (_position[operatorId] == 0) _list(operatorId);
        self.away = false;
        emit Rejoined(operatorId);
    }

    /// @inheritdoc IStaking
    function rotateSigner(uint64 operatorId, address signer) external onlyOperatorOwner(operatorId) {
        _requireActive(operatorId);
        _requireApart(msg.sender, signer);
        _bindSigner(operatorId, signer);
        Operator storage self = _operators[operatorId];
        _signers[self.signer].answersUntil = uint64(block.timestamp) + _UNBONDING_DELAY;
        emit SignerRotated(operatorId, self.signer, signer);
        self.signer = signer;
    }

    /// @inheritdoc IStaking
    function setRecipient(uint64 operatorId, address recipient) external onlyOperatorOwner(operatorId) {
        _requireAddress(recipient);
        _operators[operatorId].recipient = recipient;
        emit RecipientChanged(operatorId, recipient);
    }

    /// @inheritdoc IStaking
    function setCommission(uint64 operatorId, uint16 commission) external onlyOperatorOwner(operatorId) {
        Operator storage self = _operators[operatorId];
        uint16 current = _commission(self);
        uint16 most = current + MAX_COMMISSION_RISE;
        if (most > MAX_COMMISSION) most = MAX_COMMISSION;
        if (commission > most) revert CommissionTooHigh(commission, most);
        uint64 from = uint64(block.timestamp);
        if (commission > current) from += _COMMISSION_NOTICE;
        else current = commission;
        (self.commission, self.nextCommission, self.commissionFrom) = (current, commission, from);
        emit CommissionChanged(operatorId, commission, from);
    }

    /// @inheritdoc IStaking
    function transferOperator(uint64 operatorId, address newOwner) external onlyOperatorOwner(operatorId) {
        // No signer is zero, which withdraws an offer.
        _requireApart(newOwner, _operators[operatorId].signer);
        _operators[operatorId].pendingOwner = newOwner;
        emit OwnerChangeStarted(operatorId, msg.sender, newOwner);
    }

    /// @inheritdoc IStaking
    function acceptOperator(uint64 operatorId) external {
        Operator storage self = _operators[operatorId];
        if (self.pendingOwner != msg.sender) revert NotPendingOwner(operatorId, msg.sender);
        _requireApart(msg.sender, self.signer);
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
    function claimRewards(uint64 operatorId) external returns (uint256 amount) {
        Operator storage self = _operators[operatorId];
        address recipient = self.recipient;
        if (msg.sender != recipient) _requireOwner(operatorId);
        amount = self.rewards;
        _requirePositive(amount);
        self.rewards = 0;
        totalRewards -= amount;
        emit RewardsClaimed(operatorId, recipient, amount);
        _pay(recipient, amount);
    }

    /// @inheritdoc IStaking
    function setWhitelistEnabled(bool enabled) external onlyGovernance {
        whitelistEnabled = enabled;
        emit WhitelistSwitched(enabled);
    }

    /// @inheritdoc IStaking
    function setWhitelisted(address owner_, bool allowed) external onlyGovernance {
        whitelisted[owner_] = allowed;
        emit WhitelistChanged(owner_, allowed);
    }

    /// Commission in force now, basis points.
    function _commission(Operator storage self) internal view returns (uint16) {
        return block.timestamp < self.commissionFrom ? self.commission : self.nextCommission;
    }

    function _requireAddress(address account) private pure {
        if (account == address(0)) revert ZeroAddress();
    }

    function _requireApart(address owner, address signer) private pure {
        if (owner == signer) revert KeysNotApart(owner);
    }

    /// Adds to the self-stake.
    function _raise(Operator storage self, uint96 amount) private {
        uint256 stake = uint256(self.stake) + amount;
        if (stake > MAX_STAKE) revert StakeAboveMaximum(stake, MAX_STAKE);
        // At most MAX_STAKE, so it fits.
        self.stake = uint96(stake);
        totalStaked += amount;
    }

    function _list(uint64 operatorId) private {
        if (_listed.length == MAX_OPERATORS) revert TooManyOperators(MAX_OPERATORS);
        _listed.push(operatorId);
        _position[operatorId] = _listed.length;
    }

    /// Gives `signer` to the operator for ever.
    function _bindSigner(uint64 operatorId, address signer) private {
        _requireAddress(signer);
        uint64 holder = _signers[signer].operatorId;
        if (holder != 0) revert SignerTaken(signer, holder);
        _signers[signer] = Signer({operatorId: operatorId, answersUntil: type(uint64).max});
    }
}
