// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

/// Stake of the sequencer operators and of those who delegate to them. An operator has three keys: the owner (cold: stakes,
/// exits), the signer (hot: signs votes and batches) and the recipient (where rewards go). Each operator has one pool of
/// delegated METIS, whose shares a reward or a slash makes worth more or less. Amounts are in METIS wei, weights in whole METIS.
///
/// What leaves, leaves through a request: it waits for its slot in the exit queue (its weight still counts), then for the
/// unbonding delay (it only answers), then it can be claimed. The date is fixed when the request is made; only an open
/// case of misbehaviour can delay the claim, and cases end. Nobody can suspend requests or claims.
///
/// Invariant: this contract holds at least `totalStaked + totalDelegated + totalUnbonding + totalRewards`, and these
/// cover all claims; roundings stay in them.
interface IStaking {
    /// Times a deployment fixes, in seconds.
    /// @param unbondingDelay Between leaving the exit queue and the release; at most 60 days.
    /// @param churnPeriod Length of a slot of the exit queue; at most 7 days.
    /// @param commissionNotice Between announcing a rise of a commission and its start; at most 60 days.
    /// @param rewardPeriod Over which a reward enters a pool; at most 7 days.
    struct Config {
        uint64 unbondingDelay;
        uint64 churnPeriod;
        uint64 commissionNotice;
        uint64 rewardPeriod;
    }

    /// An operator as stored.
    /// @param signer Hot key that counts from the next snapshot on.
    /// @param stake Bonded self-stake.
    /// @param owner Cold key.
    /// @param rewards What the recipient may claim.
    /// @param recipient Where rewards go.
    /// @param frozen A case of misbehaviour is open: its weight is zero.
    /// @param away On leave, by its own wish, after a slash or after an ejection: no weight until it returns.
    /// @param exited Its self-stake has left or waits in the exit queue; for good.
    /// @param lastReleaseAt Release of its newest request, unix seconds.
    /// @param pendingOwner Owner-to-be that has not accepted yet.
    /// @param commission Basis points in force until `commissionFrom`.
    /// @param nextCommission Basis points in force from then on.
    /// @param commissionFrom Unix seconds.
    struct Operator {
        address signer;
        uint96 stake;
        address owner;
        uint96 rewards;
        address recipient;
        bool frozen;
        bool away;
        bool exited;
        uint64 lastReleaseAt;
        address pendingOwner;
        uint16 commission;
        uint16 nextCommission;
        uint64 commissionFrom;
    }

    /// A pool as of now.
    /// @param series Number of the share series; it rises when a slash leaves nothing.
    /// @param shares Shares of all delegators.
    /// @param assets METIS wei they stand for.
    /// @param price METIS wei a delegator gets for 10^21 shares (one METIS in an untouched pool).
    /// @param unvested Rewards that will have entered the assets by `vestedBy`.
    /// @param vestedBy Unix seconds.
    /// @param commission Basis points in force now.
    /// @param nextCommission Basis points announced; equals `commission` if no rise is.
    /// @param commissionFrom Start of `nextCommission`, unix seconds.
    struct PoolView {
        uint32 series;
        uint256 shares;
        uint256 assets;
        uint256 price;
        uint256 unvested;
        uint64 vestedBy;
        uint16 commission;
        uint16 nextCommission;
        uint64 commissionFrom;
    }

    /// What a delegator has in a pool's series.
    /// @param series Series of the shares.
    /// @param shares All shares, locked ones among them.
    /// @param locked Shares a redelegation bought that is still liable for its old pool.
    /// @param assets What the shares would pay now; zero in a dead series.
    struct DelegationView {
        uint32 series;
        uint256 shares;
        uint256 locked;
        uint256 assets;
    }

    /// Stake on its way out, or a redelegation that is still liable.
    /// @param operatorId Whose stake it was; its slashes count until the release.
    /// @param account The delegator; zero for self-stake, which belongs to the operator's owner.
    /// @param series Series of the operator's slashes it answers for.
    /// @param amount METIS wei it is worth after the slashes so far.
    /// @param releaseAt Unix seconds from which it can be claimed, or the redelegation be released.
    /// @param toOperatorId Of a redelegation: where the stake is now. Zero otherwise.
    /// @param lockedShares Of a redelegation: shares of that operator's pool that are locked.
    struct Unbonding {
        uint64 operatorId;
        address account;
        uint32 series;
        uint256 amount;
        uint64 releaseAt;
        uint64 toOperatorId;
        uint256 lockedShares;
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
    /// @param account The delegator; zero for self-stake.
    event UnbondingRequested(
        uint256 indexed requestId, uint64 indexed operatorId, address indexed account, uint256 amount, uint64 releaseAt
    );
    event UnbondingClaimed(uint256 indexed requestId, uint64 indexed operatorId, address indexed to, uint256 amount);
    event OperatorExited(uint64 indexed operatorId);
    /// It no longer takes a candidate's place.
    event OperatorUnlisted(uint64 indexed operatorId);
    event LeaveTaken(uint64 indexed operatorId);
    event Rejoined(uint64 indexed operatorId);
    event SignerRotated(uint64 indexed operatorId, address indexed previous, address indexed signer);
    event RecipientChanged(uint64 indexed operatorId, address recipient);
    event OwnerChangeStarted(uint64 indexed operatorId, address indexed owner, address indexed pendingOwner);
    event OwnerChanged(uint64 indexed operatorId, address indexed previous, address indexed owner);
    /// Name and address for pages; L1 only emits it.
    event MetadataChanged(uint64 indexed operatorId, string name, string url);
    /// @param commission Basis points, in force from `from` (unix seconds) on.
    event CommissionChanged(uint64 indexed operatorId, uint16 commission, uint64 from);
    event WhitelistSwitched(bool enabled);
    event WhitelistChanged(address indexed owner, bool allowed);
    event MaxWeightChanged(uint64 maxWeight);
    event Delegated(
        uint64 indexed operatorId, uint32 indexed series, address indexed delegator, uint256 amount, uint256 shares
    );
    event Undelegated(
        uint64 indexed operatorId, uint32 indexed series, address indexed delegator, uint256 amount, uint256 shares
    );
    /// Comes beside `Undelegated` of the old pool and `Delegated` of the new one.
    event Redelegated(
        uint256 indexed requestId,
        uint64 indexed operatorId,
        address indexed delegator,
        uint64 toOperatorId,
        uint256 amount,
        uint64 releaseAt
    );
    /// A redelegation paid for a slash of its old pool.
    event LiabilityEnforced(uint256 indexed requestId, uint256 amount, uint256 shares);
    event RedelegationReleased(uint256 indexed requestId);
    /// @param toOperator To the recipient's claimable rewards: commission and the self-stake's part.
    /// @param toPool To the delegators, over the reward period.
    event RewardAdded(uint64 indexed operatorId, uint256 toOperator, uint256 toPool);
    event RewardsClaimed(uint64 indexed operatorId, address indexed recipient, uint256 amount);
    event Frozen(uint64 indexed operatorId, uint64 caseAt);
    event Unfrozen(uint64 indexed operatorId, uint64 caseAt);
    /// The three parts sum to what left this contract.
    event Slashed(
        uint64 indexed operatorId,
        uint64 caseAt,
        uint256 fraction,
        uint256 fromStake,
        uint256 fromPool,
        uint256 fromUnbonding
    );
    /// A slash left nothing of the series; its shares and the requests that were liable are worth zero.
    event SeriesRetired(uint64 indexed operatorId, uint32 series);

    /// The caller is not the operator's owner.
    error NotOwner(uint64 operatorId, address caller);
    /// The caller is not the one the operator was offered to.
    error NotPendingOwner(uint64 operatorId, address caller);
    /// The caller is not the contract or account this call is for.
    error NotAllowed(address caller);
    /// The operator has exited, or never was, or has lost all but a thousandth of a series to slashes.
    error NotActive(uint64 operatorId);
    /// No such operator was ever registered.
    error UnknownOperator(uint64 operatorId);
    /// A case of misbehaviour is open: nothing may enter, and what is liable may not be claimed.
    error IsFrozen(uint64 operatorId);
    /// The operator still has its place as a candidate by right.
    error NotEjectable(uint64 operatorId);
    /// The self-stake would fall below the minimum.
    error StakeBelowMinimum(uint256 stake, uint256 minimum);
    /// The self-stake would rise above the maximum.
    error StakeAboveMaximum(uint256 stake, uint256 maximum);
    error ZeroAmount();
    error ZeroAddress();
    /// A signer belongs to one operator for ever, also after rotation and exit.
    error SignerTaken(address signer, uint64 operatorId);
    /// Owner and signer must be different keys.
    error KeysNotApart(address key);
    /// The whitelist is on and does not name the caller.
    error NotWhitelisted(address owner);
    /// As many operators are candidates as a snapshot can look through.
    error TooManyOperators(uint256 maximum);
    /// As many requests are open as an operator or a delegator may have.
    error TooManyRequests(uint256 maximum);
    error UnknownRequest(uint256 requestId);
    /// No case of that time is open against the operator.
    error UnknownCase(uint64 operatorId, uint64 caseAt);
    /// The request is not due.
    error StillUnbonding(uint256 requestId, uint64 releaseAt);
    /// The operator has left but its weight still waits in the exit queue.
    error StillWaiting(uint64 operatorId);
    /// A time of the configuration is zero or above its bound.
    error TimeOutOfRange(uint64 time);
    error WeightOutOfRange(uint64 weight);
    error FractionOutOfRange(uint256 fraction);
    error NameTooLong();
    /// Above the cap, or more than one point above the commission in force.
    error CommissionTooHigh(uint16 commission, uint16 maximum);
    /// The delegator has fewer shares that are not locked.
    error NotEnoughShares(uint256 shares, uint256 free);
    /// The call would give less than the caller asked for.
    error Slippage(uint256 given, uint256 minimum);
    error SameOperator(uint64 operatorId);

    // Operators

    /// Locks `amount` as the self-stake of a new operator owned by the caller, from the caller's tokens.
    /// @param amount Between the minimum and the maximum self-stake.
    /// @param signer Never used by any operator before; not the owner.
    /// @param recipient Where rewards go; may be the owner.
    function register(uint96 amount, address signer, address recipient) external returns (uint64 operatorId);
    /// Adds to the self-stake. Anyone may pay. Not while a case is open.
    function increase(uint64 operatorId, uint96 amount) external;
    /// Turns claimable rewards into self-stake, as far as the maximum allows. Owner only. Not while a case is open.
    function compound(uint64 operatorId) external returns (uint96 amount);
    /// Unbonds a part of the self-stake; the rest stays at or above the minimum. Owner only.
    function decrease(uint64 operatorId, uint96 amount) external returns (uint256 requestId);
    /// Unbonds the whole self-stake, for good. The operator's weight, delegations included, leaves the snapshots as the exit
    /// queue lets it. Owner only; nothing can suspend it.
    /// @return requestId Zero if slashes have left no self-stake.
    function exit(uint64 operatorId) external returns (uint256 requestId);
    /// Frees the candidate's place of an operator whose self-stake fell below the minimum (it may come back with `rejoin`)
    /// or that has left. Anyone may call.
    function eject(uint64 operatorId) external;
    /// Leave of absence: no weight from the next snapshot on; the stake stays. Owner only.
    function takeLeave(uint64 operatorId) external;
    /// Ends a leave. Owner only; needs the minimum self-stake.
    function rejoin(uint64 operatorId) external;
    /// Replaces the hot key from the next snapshot on. The old one keeps answering for the unbonding delay. Owner only.
    function rotateSigner(uint64 operatorId, address signer) external;
    /// Owner only.
    function setRecipient(uint64 operatorId, address recipient) external;
    /// Falls at once; rises by at most 100 basis points, after the commission notice, one rise at a time (a further one
    /// replaces it and starts the notice again). Owner only.
    /// @param commission Basis points of the delegators' rewards, at most 2,000. New operators start at zero.
    function setCommission(uint64 operatorId, uint16 commission) external;
    /// Offers the operator to `newOwner`, or withdraws the offer with zero. Owner only.
    function transferOperator(uint64 operatorId, address newOwner) external;
    /// Takes over an operator that was offered to the caller.
    function acceptOperator(uint64 operatorId) external;
    /// Emits what pages show. Owner only.
    function setMetadata(uint64 operatorId, string calldata name, string calldata url) external;
    /// Pays the claimable rewards to the recipient. Owner or recipient only.
    function claimRewards(uint64 operatorId) external returns (uint256 amount);

    // Delegators

    /// Buys shares of the operator's pool with the caller's tokens. Not while a case is open.
    /// @param minShares Reverts if the caller would get fewer.
    function delegate(uint64 operatorId, uint96 amount, uint256 minShares) external returns (uint256 shares);
    /// Burns shares and unbonds what they stand for. Shares of a dead series are burned for nothing.
    /// @param series Series of the shares.
    /// @param minAssets Reverts if the request would be for less.
    /// @return requestId Zero if the shares stand for nothing.
    function undelegate(uint64 operatorId, uint32 series, uint256 shares, uint256 minAssets)
        external
        returns (uint256 requestId);
    /// Moves shares to another operator's pool without waiting. The new shares are locked until the unbonding delay is over
    /// and answer until then for slashes of the old pool. Not while a case is open against either operator.
    /// @param minShares Reverts if the caller would get fewer of the new pool.
    function redelegate(uint64 operatorId, uint64 toOperatorId, uint256 shares, uint256 minShares)
        external
        returns (uint256 newShares, uint256 requestId);
    /// Takes from a redelegation what slashes of its old pool make due, as far as the locked shares are worth it, and sends
    /// it to Slashing; unlocks the rest once the redelegation's date has passed. Anyone may call.
    function enforce(uint256 requestId) external returns (uint256 amount);
    /// Pays a request once its date has come and no case is open that it is liable for. Operator's owner (self-stake) or
    /// delegator only.
    function claim(uint256 requestId) external returns (uint256 amount);

    // Slashing and Rewards

    /// Slashing only. Opens the operator's case, of which there is one at a time: its weight in snapshots is zero, and whatever was
    /// not yet releasable cannot be claimed, until the case is closed. Its time `caseAt` is the block's.
    /// @return atStake What a slash in this case reaches, whole METIS, at most `maxWeight`: self-stake, pool, requests not yet
    /// releasable and redelegations not yet released. Leave, exit and a stake below the minimum do not lessen it.
    function freeze(uint64 operatorId) external returns (uint64 atStake);
    /// Slashing only. Closes the case, opened at `caseAt`, without a penalty.
    function unfreeze(uint64 operatorId, uint64 caseAt) external;
    /// Slashing only. Takes `fraction` of the self-stake, of the pool (rewards not yet vested included) and of every unbonding
    /// request not yet releasable at `caseAt`, sends it to `to`, closes the case and puts the operator on leave. The parts of
    /// redelegations follow by `enforce`.
    /// @param fraction Of 10^18.
    /// @return amount What was sent, exactly.
    function slash(uint64 operatorId, uint256 fraction, uint64 caseAt, address to) external returns (uint256 amount);
    /// Rewards only; pulls the tokens from the caller. Self-stake and pool share by size; of the pool's part the operator gets its
    /// commission, the rest enters the pool linearly over the reward period. Without shares all is the operator's.
    /// Never refused for a registered operator.
    function addReward(uint64 operatorId, uint256 amount) external;

    // Governance

    /// Whether registration is open to whitelisted owners only. Gates nothing else.
    function setWhitelistEnabled(bool enabled) external;
    function setWhitelisted(address owner, bool allowed) external;
    /// Most weight of one operator in a snapshot, 100,000 to 10,000,000.
    function setMaxWeight(uint64 maxWeight) external;

    // Views

    /// EIP-712 domain separator of every signature in this network.
    function domainSeparator() external view returns (bytes32);
    function metis() external view returns (address);
    /// Who may change the whitelist and the weight cap; fixed at deployment.
    function governance() external view returns (address);
    /// Contract that may freeze and slash.
    function slashing() external view returns (address);
    /// Contract that may add rewards.
    function rewards() external view returns (address);
    /// Seconds between leaving the exit queue and the release.
    function unbondingDelay() external view returns (uint64);
    function config() external view returns (Config memory);
    function operator(uint64 operatorId) external view returns (Operator memory);
    function pool(uint64 operatorId) external view returns (PoolView memory);
    /// A delegator's shares in the current series.
    function delegation(uint64 operatorId, address delegator) external view returns (DelegationView memory);
    /// A delegator's shares in any series.
    function delegationIn(uint64 operatorId, uint32 series, address delegator)
        external
        view
        returns (DelegationView memory);
    function unbonding(uint256 requestId) external view returns (Unbonding memory);
    /// Open requests and redelegations of a delegator; those for an operator's self-stake are its number's,
    /// `address(uint160(operatorId))`.
    function requestsOf(address holder) external view returns (uint64[] memory);
    /// Unix seconds from which a request can be claimed (a redelegation released); `type(uint64).max` while a case is open
    /// that it is liable for (the case's end is Slashing's to tell); zero if there is no such request.
    function claimableAt(uint256 requestId) external view returns (uint64);
    /// Operator's rewards that its recipient may claim.
    function rewardsOf(uint64 operatorId) external view returns (uint256);
    /// When the operator's open case was opened, unix seconds; zero if none is.
    function caseOf(uint64 operatorId) external view returns (uint64);
    /// Operator a signer belongs or belonged to; zero if none.
    function operatorOf(address signer) external view returns (uint64);
    /// Until when a signer answers for what it signed: `type(uint64).max` while current, else the unbonding delay after its
    /// rotation, or the release of the operator's exit; zero if it never was a signer.
    function answersUntil(address signer) external view returns (uint64);
    /// Weight in whole METIS that a snapshot taken now would see.
    function weightOf(uint64 operatorId) external view returns (uint64);
    /// All candidates with their weights, in no particular order; weight zero is left out of a set. At most `MAX_OPERATORS`.
    function candidates() external view returns (Candidate[] memory);
    /// Stake that may start leaving in one slot of the exit queue: a sixth of what is staked and delegated, but at least
    /// the minimum self-stake.
    function churnLimit() external view returns (uint256);
    /// Last slot of the exit queue that something was put into, and how much. Slot n is the unix seconds
    /// [n × churnPeriod, (n + 1) × churnPeriod).
    function exitQueue() external view returns (uint64 slot, uint192 used);
    function maxWeight() external view returns (uint64);
    /// Self-stake of all operators.
    function totalStaked() external view returns (uint256);
    /// Assets of all pools, as of each pool's last change.
    function totalDelegated() external view returns (uint256);
    /// Requests not yet claimed, with their roundings.
    function totalUnbonding() external view returns (uint256);
    /// Operators' claimable rewards and pools' rewards not yet vested.
    function totalRewards() external view returns (uint256);
}
