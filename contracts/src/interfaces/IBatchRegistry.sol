// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchHeader} from "../types/BatchHeader.sol";

/// Accepts batches that more than two thirds of a snapshot's weight have signed.
///
/// Per batch it keeps one word, a commitment to the header's hash, the time of acceptance and who signed, so that a
/// later dispute or withdrawal proof shows the rest as calldata (`isAccepted`).
interface IBatchRegistry {
    /// @param index Number of the newest batch; zero if none.
    /// @param height Its last L2 height.
    /// @param snapshotId Its snapshot.
    /// @param depositCount Deposit queue items executed up to it.
    /// @param l1OriginNumber Its last L1 origin.
    /// @param acceptedAt When it was accepted (for index 0: when this contract was deployed), unix seconds.
    /// @param grace Seconds added to the deposit deadline because posting was silent; see `depositDeadline`.
    /// @param bitmap Members that signed it; zero for a permissionless batch.
    struct Head {
        uint32 index;
        uint40 height;
        uint24 snapshotId;
        uint40 depositCount;
        uint32 l1OriginNumber;
        uint32 acceptedAt;
        uint24 grace;
        uint32 bitmap;
    }

    /// @param batchHash EIP-712 struct hash of the header.
    /// @param bitmap Members of the snapshot that signed.
    /// @param blobs Whether the data is in the transaction's blobs (else in its calldata).
    event BatchSubmitted(
        uint64 indexed index, bytes32 indexed batchHash, BatchHeader header, uint256 bitmap, bool blobs
    );

    /// A batch without certificate: what {submitPermissionless} accepted, beside its `BatchSubmitted`.
    /// @param bond METIS wei held until `releaseAt`.
    event PermissionlessBatch(uint64 indexed index, address indexed poster, uint256 bond, uint64 releaseAt);
    event BondReturned(uint64 indexed index, address indexed poster, uint256 amount);

    error WrongIndex(uint64 index, uint64 expected);
    /// Not the struct hash of the newest batch's header.
    error WrongParent(bytes32 parentHash);
    error WrongHeights(uint64 firstHeight, uint64 lastHeight, uint64 expectedFirst);
    /// Older than the previous batch's.
    error SnapshotWentBack(uint64 snapshotId, uint64 previous);
    /// Superseded too long ago for its members' stake to answer.
    error SnapshotTooOld(uint64 snapshotId, uint64 supersededAt);
    error WrongDataHash(bytes32 dataHash, bytes32 expected);
    /// Neither calldata nor blobs came with the transaction.
    error NoData();
    /// Calldata and blobs came together.
    error AmbiguousData();
    /// Calldata batches must be sent by an account without code, directly, so that nodes find the data in the transaction.
    error IndirectCaller();
    /// The origin lies before the previous batch's, or is not in the past.
    error OriginOutOfRange(uint64 l1OriginNumber);
    /// L1 has another block at this height.
    error WrongOrigin(uint64 l1OriginNumber, bytes32 l1OriginHash);
    /// The count contradicts the origin: L2 executes exactly what was queued up to its origin.
    error WrongDepositCount(uint64 depositCount);
    /// An item older than the deadline is left out.
    error DepositOverdue(uint64 item, uint64 queuedAt);
    error DeadlineOutOfRange(uint64 deadline);
    /// Sequencers have posted too recently for others to step in.
    error NotSilent(uint64 openFrom);
    error SilenceOutOfRange(uint64 silence);
    error BondOutOfRange(uint256 bond);
    /// A permissionless batch must use the head's snapshot: which one an epoch has is not the poster's to say.
    error WrongSnapshot(uint64 snapshotId, uint64 expected);
    /// A permissionless batch must execute at least one queue item.
    error NothingQueued();
    /// Without signers nobody has served a turn.
    error TurnsWithoutSigners();
    error NoBond(uint64 index);
    error BondHeld(uint64 index, uint64 releaseAt);

    /// Submits a batch. Anyone may call: the certificate is what counts.
    /// @param members Words of the snapshot's set.
    /// @param bitmap Bit i: member i has signed.
    /// @param signatures 64-byte EIP-2098 signatures in member order, low s.
    /// @param data Batch data; empty if it is in the blobs of this transaction (all of them).
    function submitBatch(
        BatchHeader calldata header,
        bytes32[] calldata members,
        uint256 bitmap,
        bytes calldata signatures,
        bytes calldata data
    ) external;

    /// Posts queue items when sequencers have been silent for `permissionlessAfter` seconds. Anyone; takes `bond` METIS from the
    /// caller. The commitment's bitmap is 0: nobody has signed.
    ///
    /// The batch holds queue items and nothing else, so it needs no data: `dataHash` is that of the single byte `QUEUE_ONLY`, and
    /// its blocks follow from L1 alone. From the parent's origin to `l1OriginNumber`, each block advances the origin by the genesis
    /// parameter `maxOriginAdvance`, the last one by what is left; its time is its origin's, or the parent's if that is later;
    /// its leader is the zero address; it has no user transactions. A header whose heights, hash or roots differ from those blocks
    /// is false, as is one that crosses the end of an epoch.
    ///
    /// L1 cannot tell whether what the header says of L2's state is true. Until a dispute can, nothing may be paid out on a batch
    /// without signers; the next certified batch states the roots again.
    function submitPermissionless(BatchHeader calldata header) external;
    /// Returns the bond of a permissionless batch once the unbonding delay of the stake is over, as long as a signer would have
    /// answered for it. Anyone; pays the poster.
    function returnBond(uint64 index) external;

    /// The newest batch.
    function head() external view returns (Head memory);
    /// Commitment to an accepted batch; zero if none.
    function commitmentOf(uint64 index) external view returns (bytes32);
    /// Whether this header was accepted at this time with these signers.
    function isAccepted(BatchHeader calldata header, uint64 acceptedAt, uint256 bitmap) external view returns (bool);
    /// What an account's certified batches have cost it on L1, in wei of ether, by a formula that is never above the truth: gas that
    /// such a batch takes at least times the block's base fee, blobs at the blob base fee; tips are not counted. It only grows;
    /// {IRewards-refund} pays for it.
    function costOf(address poster) external view returns (uint256);
    /// Seconds an item of the deposit queue may wait while batches are being posted. Blocks decided before an item could be
    /// executed must remain postable after an outage, so silence between two batches, beyond half a deadline, is added to
    /// the deadline as grace, which then fades by a second every four. Sequencers cannot stretch this: an item queued while
    /// there is no grace is left out for at most two deadlines and the longest single silence.
    function depositDeadline() external view returns (uint64);
    /// Seconds a snapshot may be used after the next one was taken.
    function snapshotGrace() external view returns (uint64);
    /// Seconds without a batch after which anyone may post queue items.
    function permissionlessAfter() external view returns (uint64);
    /// METIS wei a permissionless batch needs.
    function bond() external view returns (uint256);
    /// Poster of a permissionless batch whose bond is still held, and when it can be returned; zero otherwise.
    function bondOf(uint64 index) external view returns (address poster, uint64 releaseAt);
}
