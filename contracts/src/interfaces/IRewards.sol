// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchHeader} from "../types/BatchHeader.sol";

/// Pays operators for the turns they served and the batches they signed, out of two sources: a stream that anyone funds and whose
/// rate governance sets, and the fees of L2, which arrive as plain METIS transfers.
///
/// Accepted batches are settled in order, each once, by anyone. A batch's budget is the stream since the batch before it, as far
/// as there are funds, for at most `MAX_PAID_GAP` (silence is not paid), and the same time's share of the fees, which are paid out
/// over `feePeriod`. Half goes to the members by turns served, as the header's certificate says; half by weight to those
/// whose signatures the certificate holds. The half for turns of a batch in which no turn ended waits for the next turn's end.
///
/// Posters get the L1 cost of their batches back out of the fees, as far as {IBatchRegistry-costOf} counts it, at a price in METIS that
/// governance sets: at most half as much as members get out of fees, and never more than half of the fees there are. What a poster
/// has coming beyond that waits.
///
/// What a member does not get, because its signature is missing or because it is frozen, goes back to the stream's funds,
/// which are paid at a fixed rate: leaving others out makes nobody's share larger.
interface IRewards {
    /// @param rate METIS wei per second of the stream.
    /// @param feePeriod Seconds over which fees are paid out.
    /// @param metisPerEther METIS wei a poster gets for an ether of L1 cost.
    struct Config {
        uint128 rate;
        uint64 feePeriod;
        uint128 metisPerEther;
    }

    event StreamFunded(address indexed from, uint256 amount);
    /// L2 fees found on the contract.
    event FeesBooked(uint256 amount);
    /// @param countsFrom Batches accepted later are paid at the new rate, from this time on.
    event RateChanged(uint256 previous, uint256 rate, uint64 countsFrom);
    /// @param budget What the batches were worth.
    /// @param paid What of it, and of what waited for a turn's end, was paid.
    event Settled(uint64 indexed firstIndex, uint64 indexed lastIndex, uint64 snapshotId, uint256 budget, uint256 paid);
    event RewardPaid(uint64 indexed operatorId, uint64 indexed lastIndex, uint256 amount);
    /// The operator is frozen by an open case.
    event RewardSkipped(uint64 indexed operatorId, uint64 indexed lastIndex, uint256 amount);

    event PriceChanged(uint256 previous, uint256 metisPerEther);
    /// @param cost Wei of ether that were paid for.
    /// @param amount METIS wei.
    event Refunded(address indexed poster, uint256 cost, uint256 amount);

    error NotGovernance(address caller);
    error ZeroAddress();
    error ZeroAmount();
    error RateOutOfRange(uint256 rate);
    error FeePeriodOutOfRange(uint64 feePeriod);
    /// Beyond the bounds, or more than doubled or halved.
    error PriceOutOfRange(uint256 metisPerEther);
    /// The price was changed too recently.
    error PriceChangedRecently(uint64 changedAt);
    /// Nothing can be paid now.
    error NothingOwed(address poster);
    /// Batches accepted before the last change of the rate must be settled first.
    error RateChangePending(uint64 countsFrom);
    /// No batches, too many, or lists of different lengths.
    error WrongLength(uint256 batches);
    error WrongIndex(uint64 index, uint64 expected);
    /// All batches of a call have one snapshot.
    error WrongSnapshot(uint64 snapshotId, uint64 expected);
    error NotAccepted(uint64 index);

    /// Adds to the stream from the caller's tokens. Anyone.
    function fund(uint256 amount) external;
    /// Books METIS that arrived without a call as fees. Anyone.
    function sync() external returns (uint256 fees);
    /// Settles the next batches: consecutive, of one snapshot, at most `MAX_BATCHES`. Anyone.
    /// @param headers The accepted headers, from `nextIndex()`.
    /// @param acceptedAts When each was accepted, unix seconds.
    /// @param bitmaps Who signed each.
    /// @param members Words of the snapshot's set.
    function settle(
        BatchHeader[] calldata headers,
        uint64[] calldata acceptedAts,
        uint256[] calldata bitmaps,
        bytes32[] calldata members
    ) external;
    /// Pays a poster what its batches have cost and was not yet paid for, as far as the fees set aside reach. Anyone.
    function refund(address poster) external returns (uint256 amount);
    /// Governance: METIS wei for an ether of L1 cost, from now on, also for what was not yet paid for (anyone can call `refund` before).
    /// At most doubles or halves it, once a `PRICE_INTERVAL`.
    function setMetisPerEther(uint128 metisPerEther) external;
    /// Governance: METIS wei per second, at most `MAX_RATE`. Counts from now on, also for batches settled later.
    function setRate(uint128 rate) external;

    /// Batch to be settled next.
    function nextIndex() external view returns (uint64);
    /// When the newest settled batch was accepted, unix seconds.
    function settledAt() external view returns (uint64);
    /// METIS wei per second from now on.
    function rate() external view returns (uint256);
    /// METIS wei that the stream can still pay.
    function streamFunds() external view returns (uint256);
    /// Booked fees not yet paid.
    function fees() external view returns (uint256);
    /// Put aside for the turn that ends next.
    function waiting() external view returns (uint256);
    /// Paid in all.
    function totalPaid() external view returns (uint256);
    /// What of the fees posters may be paid now: rises with what members get out of fees.
    function refundable() external view returns (uint256);
    /// Wei of ether of a poster's costs that were paid for.
    function refundedCost(address poster) external view returns (uint256);
    /// Paid to posters in all.
    function totalRefunded() external view returns (uint256);
    /// METIS wei `refund` would pay now, after `sync`.
    function refundOf(address poster) external view returns (uint256);
    function metisPerEther() external view returns (uint128);
    /// When the price was changed, unix seconds.
    function priceChangedAt() external view returns (uint64);
    /// What a batch accepted at `acceptedAt` would be worth if it were settled next, with what waits for its turns.
    function budgetAt(uint64 acceptedAt) external view returns (uint256 budget);
    function feePeriod() external view returns (uint64);
    function metis() external view returns (address);
    function governance() external view returns (address);
}
