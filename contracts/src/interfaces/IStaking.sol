// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Stake of the sequencer operators. An operator has three keys: the owner (cold: stakes, exits), the signer (hot: signs
/// votes and batches) and the recipient (where rewards go). Amounts are in METIS wei, weights in whole METIS.
///
/// Invariant: the tokens this contract accounts for are `totalStaked + totalUnbonding`, and it holds at least those.
interface IStaking {
    /// An operator as stored.
    /// @param signer Hot key that counts from the next snapshot on; zero once the operator has exited.
    /// @param stake Bonded self stake.
    /// @param owner Cold key.
    /// @param openRequests Unbonding requests not yet claimed.
    /// @param recipient Where rewards go.
    /// @param pendingOwner Owner-to-be that has not accepted yet.
    struct Operator {
        address signer;
        uint96 stake;
        address owner;
        uint32 openRequests;
        address recipient;
        address pendingOwner;
    }

    /// Stake on its way out.
    /// @param operatorId Whose stake it was.
    /// @param amount METIS wei.
    /// @param releaseAt Unix seconds from which it can be claimed.
    struct Unbonding {
        uint64 operatorId;
        uint96 amount;
        uint64 releaseAt;
    }

    /// An operator as a snapshot sees it.
    struct Candidate {
        uint64 operatorId;
        address signer;
        uint64 weight;
    }

    event OperatorRegistered(
        uint64 indexed operatorId, address indexed owner, address indexed signer, address recipient, uint96 stake
    );
    event StakeIncreased(uint64 indexed operatorId, uint96 amount, uint96 stake);
    event StakeDecreased(uint64 indexed operatorId, uint96 amount, uint96 stake);
    event UnbondingRequested(uint256 indexed requestId, uint64 indexed operatorId, uint96 amount, uint64 releaseAt);
    event UnbondingClaimed(uint256 indexed requestId, uint64 indexed operatorId, address indexed to, uint96 amount);
    event OperatorExited(uint64 indexed operatorId);
    event SignerRotated(uint64 indexed operatorId, address indexed previous, address indexed signer);
    event RecipientChanged(uint64 indexed operatorId, address recipient);
    event OwnerChangeStarted(uint64 indexed operatorId, address indexed owner, address indexed pendingOwner);
    event OwnerChanged(uint64 indexed operatorId, address indexed previous, address indexed owner);
    /// Name and address for pages; L1 only emits it.
    event MetadataChanged(uint64 indexed operatorId, string name, string url);
    event WhitelistSwitched(bool enabled);
    event WhitelistChanged(address indexed owner, bool allowed);

    /// The caller is not the operator's owner.
    error NotOwner(uint64 operatorId, address caller);
    /// The caller is not the one the operator was offered to.
    error NotPendingOwner(uint64 operatorId, address caller);
    /// The operator has exited, or never was.
    error NotActive(uint64 operatorId);
    /// The self stake would fall below the minimum.
    error StakeBelowMinimum(uint256 stake, uint256 minimum);
    /// The self stake would rise above the maximum.
    error StakeAboveMaximum(uint256 stake, uint256 maximum);
    error ZeroAmount();
    error ZeroAddress();
    /// A signer belongs to one operator for ever, also after rotation and exit.
    error SignerTaken(address signer, uint64 operatorId);
    /// Owner and signer must be different keys.
    error KeysNotApart(address key);
    /// The whitelist is on and does not name the caller.
    error NotWhitelisted(address owner);
    /// As many operators are active as a snapshot can look through.
    error TooManyOperators(uint256 maximum);
    /// As many unbonding requests are open as an operator may have.
    error TooManyRequests(uint256 maximum);
    error UnknownRequest(uint256 requestId);
    /// The unbonding delay is not over.
    error StillUnbonding(uint256 requestId, uint64 releaseAt);
    error UnbondingDelayOutOfRange(uint64 delay);
    error NameTooLong();

    /// Locks `amount` as the self stake of a new operator owned by the caller, from the caller's tokens.
    /// @param amount Between the minimum and the maximum self stake.
    /// @param signer Never used by any operator before; not the owner.
    /// @param recipient Where rewards go; may be the owner.
    function register(uint96 amount, address signer, address recipient) external returns (uint64 operatorId);
    /// Adds to the self stake. Anyone may pay.
    function increase(uint64 operatorId, uint96 amount) external;
    /// Unbonds a part of the self stake; the rest stays at or above the minimum. Owner only.
    function decrease(uint64 operatorId, uint96 amount) external returns (uint256 requestId);
    /// Unbonds the whole self stake and takes the operator out of the next snapshot, for good. Owner only; nothing can
    /// suspend it.
    function exit(uint64 operatorId) external returns (uint256 requestId);
    /// Pays an unbonding request to the operator's owner once its delay is over. Owner only.
    function claim(uint256 requestId) external returns (uint96 amount);
    /// Replaces the hot key from the next snapshot on. The old one keeps answering for what it signed. Owner only.
    function rotateSigner(uint64 operatorId, address signer) external;
    /// Owner only.
    function setRecipient(uint64 operatorId, address recipient) external;
    /// Offers the operator to `newOwner`, or withdraws the offer with zero. Owner only.
    function transferOperator(uint64 operatorId, address newOwner) external;
    /// Takes over an operator that was offered to the caller.
    function acceptOperator(uint64 operatorId) external;
    /// Emits what pages show. Owner only.
    function setMetadata(uint64 operatorId, string calldata name, string calldata url) external;
    /// Governance: whether registration is open to whitelisted owners only. Gates nothing else.
    function setWhitelistEnabled(bool enabled) external;
    /// Governance.
    function setWhitelisted(address owner, bool allowed) external;

    /// EIP-712 domain separator of every signature in this network.
    function domainSeparator() external view returns (bytes32);
    function metis() external view returns (address);
    /// Seconds between a request and its release.
    function unbondingDelay() external view returns (uint64);
    function operator(uint64 operatorId) external view returns (Operator memory);
    function unbonding(uint256 requestId) external view returns (Unbonding memory);
    /// Operator a signer belongs or belonged to; zero if none.
    function operatorOf(address signer) external view returns (uint64);
    /// Voting weight in whole METIS.
    function weightOf(uint64 operatorId) external view returns (uint64);
    /// All active operators, in no particular order. At most `MAX_OPERATORS`.
    function candidates() external view returns (Candidate[] memory);
    function totalStaked() external view returns (uint256);
    function totalUnbonding() external view returns (uint256);
}
