// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {EnumerableSet} from "@openzeppelin/contracts/utils/structs/EnumerableSet.sol";
import {IBatchRegistry} from "../interfaces/IBatchRegistry.sol";
import {IInsurancePool} from "../interfaces/IInsurancePool.sol";
import {ISequencerSet} from "../interfaces/ISequencerSet.sol";
import {ISlashing} from "../interfaces/ISlashing.sol";
import {IStaking} from "../interfaces/IStaking.sol";
import {Certificate} from "../libraries/Certificate.sol";
import {Signing} from "../libraries/Signing.sol";
import {BatchHeader} from "../types/BatchHeader.sol";
import {Proposal, Slice, Vote} from "../types/Messages.sol";

/// See {ISlashing}. Staking, sequencer set, registry and insurance pool are contracts of the same deployment and do not call back.
contract Slashing is ISlashing {
    using EnumerableSet for EnumerableSet.UintSet;
    using SafeERC20 for IERC20;

    /// All of the stake.
    uint256 public constant WHOLE = 1e18;
    /// What an operator loses that offended alone.
    uint256 public constant ALONE = 0.01e18;
    /// Percent of what was taken that goes to the submitter.
    uint256 public constant BOUNTY_PERCENT = 15;
    /// Range of the appeal window.
    uint64 public constant MIN_APPEAL_WINDOW = 5 seconds;
    uint64 public constant MAX_APPEAL_WINDOW = 14 days;
    /// Longest life of the appeal.
    uint64 public constant MAX_APPEAL_LIFE = 5 * 365 days;

    /// Whose stake is taken.
    IStaking public immutable STAKING;
    /// Whose snapshots are the measure.
    ISequencerSet public immutable SEQUENCER_SET;
    /// Which heights are how old.
    IBatchRegistry public immutable REGISTRY;
    /// Where what is taken goes.
    IInsurancePool public immutable INSURANCE_POOL;
    /// @inheritdoc ISlashing
    address public immutable governance;
    /// @inheritdoc ISlashing
    uint64 public immutable appealWindow;
    /// @inheritdoc ISlashing
    uint64 public immutable appealSunset;
    IERC20 private immutable _METIS;

    /// @inheritdoc ISlashing
    address public council;
    /// In order of opening; case n is at n − 1.
    Case[] private _cases;
    EnumerableSet.UintSet private _open;
    /// The operator's newest case.
    mapping(uint64 operatorId => uint64) private _newest;
    /// @inheritdoc ISlashing
    mapping(uint64 operatorId => uint64) public settledUpTo;
    /// @inheritdoc ISlashing
    mapping(bytes32 key => uint256) public recordedIn;
    /// @inheritdoc ISlashing
    mapping(address submitter => uint256) public owed;
    /// @inheritdoc ISlashing
    uint256 public totalOwed;

    /// @param staking Whose stake is taken.
    /// @param sequencerSet Whose snapshots are the measure.
    /// @param registry Which heights are how old.
    /// @param insurancePool Where what is taken goes.
    /// @param governance_ Who names the council and may cancel.
    /// @param appealWindow_ Seconds a case can be appealed.
    /// @param appealSunset_ Unix seconds after which no case can be cancelled; in the past for no appeals at all.
    constructor(
        IStaking staking,
        ISequencerSet sequencerSet,
        IBatchRegistry registry,
        IInsurancePool insurancePool,
        address governance_,
        uint64 appealWindow_,
        uint64 appealSunset_
    ) {
        if (governance_ == address(0)) revert ZeroAddress();
        // What is unbonding must still be there when a case is executed.
        if (
            appealWindow_ < MIN_APPEAL_WINDOW || appealWindow_ > MAX_APPEAL_WINDOW
                || appealWindow_ >= staking.unbondingDelay()
        ) {
            revert AppealWindowOutOfRange(appealWindow_);
        }
        if (appealSunset_ > block.timestamp + MAX_APPEAL_LIFE) revert AppealSunsetOutOfRange(appealSunset_);
        STAKING = staking;
        SEQUENCER_SET = sequencerSet;
        REGISTRY = registry;
        INSURANCE_POOL = insurancePool;
        governance = governance_;
        appealWindow = appealWindow_;
        appealSunset = appealSunset_;
        _METIS = IERC20(staking.metis());
    }

    /// @inheritdoc ISlashing
    function proveVotes(
        Vote calldata a,
        bytes calldata signatureA,
        Vote calldata b,
        bytes calldata signatureB,
        Inclusion calldata inclusion
    ) external returns (uint256) {
        if (a.voteType > 1) revert UnknownVoteType(a.voteType);
        if (a.voteType != b.voteType || a.height != b.height || a.round != b.round || a.blockHash == b.blockHash) {
            revert NoConflict();
        }
        address signer = _signerOfBoth(Signing.hash(a), signatureA, Signing.hash(b), signatureB);
        return _record(signer, Offence.Vote, a.height, a.round, a.voteType, inclusion);
    }

    /// @inheritdoc ISlashing
    function proveProposals(
        Proposal calldata a,
        bytes calldata signatureA,
        Proposal calldata b,
        bytes calldata signatureB,
        Inclusion calldata inclusion
    ) external returns (uint256) {
        if (a.height != b.height || a.round != b.round || a.blockHash == b.blockHash) {
            revert NoConflict();
        }
        address signer = _signerOfBoth(Signing.hash(a), signatureA, Signing.hash(b), signatureB);
        return _record(signer, Offence.Proposal, a.height, a.round, 0, inclusion);
    }

    /// @inheritdoc ISlashing
    function proveSlices(
        Slice calldata a,
        bytes calldata signatureA,
        Slice calldata b,
        bytes calldata signatureB,
        Inclusion calldata inclusion
    ) external returns (uint256) {
        if (a.height != b.height || a.round != b.round || a.index != b.index || a.dataHash == b.dataHash) {
            revert NoConflict();
        }
        address signer = _signerOfBoth(Signing.hash(a), signatureA, Signing.hash(b), signatureB);
        return _record(signer, Offence.Slice, a.height, a.round, a.index, inclusion);
    }

    /// @inheritdoc ISlashing
    function proveBatchHeaders(
        BatchHeader calldata a,
        bytes calldata signatureA,
        BatchHeader calldata b,
        bytes calldata signatureB,
        bytes calldata blockHashes,
        Inclusion calldata inclusion
    ) external returns (uint256) {
        // The same statement twice is one statement, whatever it says.
        bytes32 hashA = Signing.hash(a);
        bytes32 hashB = Signing.hash(b);
        if (hashA == hashB) revert NoConflict();
        if (!_contradict(a, b) && !_contradictInside(a, b, blockHashes)) {
            revert NoConflict();
        }
        address signer = _signerOfBoth(hashA, signatureA, hashB, signatureB);
        return _record(signer, Offence.BatchHeader, a.lastHeight, 0, 0, inclusion);
    }

    /// @inheritdoc ISlashing
    function cancel(uint256 caseId, uint32 offences) external {
        if (msg.sender != governance && msg.sender != council) {
            revert NotCouncil(msg.sender);
        }
        Case storage self = _openCase(caseId);
        if (block.timestamp >= appealSunset || block.timestamp > uint256(self.openedAt) + appealWindow) {
            revert AppealOver(caseId);
        }
        if (self.offences != offences) revert CaseChanged(caseId, self.offences);
        self.status = Status.Cancelled;
        _open.remove(caseId);
        emit CaseCancelled(caseId, self.operatorId);
        STAKING.unfreeze(self.operatorId, self.openedAt);
    }

    /// @inheritdoc ISlashing
    function execute(uint256 caseId) external returns (uint256 taken) {
        Case storage self = _openCase(caseId);
        uint256 from = executableAt(caseId);
        if (block.timestamp < from) revert AppealRunning(caseId, from);
        uint256 fraction = fractionOf(caseId);
        uint64 operatorId = self.operatorId;
        self.status = Status.Executed;
        _open.remove(caseId);
        if (self.settles > settledUpTo[operatorId]) settledUpTo[operatorId] = self.settles;
        taken = STAKING.slash(operatorId, fraction, self.openedAt, address(this));
        uint256 bounty = taken * BOUNTY_PERCENT / 100;
        owed[self.submitter] += bounty;
        totalOwed += bounty;
        emit CaseExecuted(caseId, operatorId, fraction, taken, bounty);
        if (taken != 0) _insure(taken - bounty);
    }

    /// @inheritdoc ISlashing
    function payBounty(address submitter) external returns (uint256 amount) {
        amount = owed[submitter];
        if (amount == 0) revert NothingOwed(submitter);
        owed[submitter] = 0;
        totalOwed -= amount;
        emit BountyPaid(submitter, amount);
        _METIS.safeTransfer(submitter, amount);
    }

    /// @inheritdoc ISlashing
    function forward() external returns (uint256 amount) {
        amount = _METIS.balanceOf(address(this)) - totalOwed;
        if (amount == 0) revert NothingOwed(address(INSURANCE_POOL));
        emit Forwarded(amount);
        _insure(amount);
    }

    /// @inheritdoc ISlashing
    function setCouncil(address council_) external {
        if (msg.sender != governance) revert NotGovernance(msg.sender);
        emit CouncilChanged(council, council_);
        council = council_;
    }

    /// @inheritdoc ISlashing
    function caseOf(uint256 caseId) external view returns (Case memory self) {
        if (caseId != 0 && caseId <= _cases.length) self = _cases[caseId - 1];
    }

    /// @inheritdoc ISlashing
    function caseCount() external view returns (uint256) {
        return _cases.length;
    }

    /// @inheritdoc ISlashing
    function openCases() external view returns (uint256[] memory) {
        return _open.values();
    }

    /// @inheritdoc ISlashing
    function openCaseOf(uint64 operatorId) public view returns (uint256) {
        uint64 newest = _newest[operatorId];
        return newest != 0 && _cases[newest - 1].status == Status.Open ? newest : 0;
    }

    /// @inheritdoc ISlashing
    function executableAt(uint256 caseId) public view returns (uint256) {
        // One second later than the last moment at which another case can still count as one event with this one.
        return uint256(_cases[caseId - 1].openedAt) + appealWindow + 1;
    }

    /// @inheritdoc ISlashing
    function fractionOf(uint256 caseId) public view returns (uint256) {
        Case storage self = _cases[caseId - 1];
        uint256 others = _weightOfOthers(caseId - 1);
        if (others == 0) return ALONE;
        // In thirds of METIS, so that nothing is lost to rounding: all at own + others ≥ total / 3.
        uint256 own = 3 * uint256(self.weight);
        uint256 total = self.totalWeight;
        if (own + 3 * others >= total) return WHOLE;
        return ALONE + Math.mulDiv(WHOLE - ALONE, 3 * others, total - own);
    }

    /// @inheritdoc ISlashing
    function keyOf(uint64 operatorId, Offence offence, uint64 height, uint32 round, uint32 index)
        public
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(operatorId, offence, height, round, index));
    }

    function _insure(uint256 amount) private {
        _METIS.forceApprove(address(INSURANCE_POOL), amount);
        INSURANCE_POOL.fund(amount);
    }

    /// Opens a case with this offence, or adds it to the one that is open.
    function _record(
        address signer,
        Offence offence,
        uint64 height,
        uint32 round,
        uint32 index,
        Inclusion calldata inclusion
    ) private returns (uint256 caseId) {
        uint64 operatorId = STAKING.operatorOf(signer);
        if (operatorId == 0) revert UnknownSigner(signer);
        uint64 answersUntil = STAKING.answersUntil(signer);
        if (answersUntil < block.timestamp) revert SignerReleased(signer, answersUntil);
        bytes32 key = keyOf(operatorId, offence, height, round, index);
        if (recordedIn[key] != 0) revert OffenceKnown(key);
        caseId = _caseFor(operatorId, height, inclusion);
        recordedIn[key] = caseId;
        emit OffenceRecorded(caseId, key, signer, offence, height, round, index);
    }

    /// The operator's open case, or a new one, with an offence at `height` added.
    function _caseFor(uint64 operatorId, uint64 height, Inclusion calldata inclusion) private returns (uint256 caseId) {
        (uint64 posted, uint64 snapshotId) = _requireRecent(height, inclusion);
        if (height <= settledUpTo[operatorId]) revert OffenceSettled(height, settledUpTo[operatorId]);
        caseId = openCaseOf(operatorId);
        if (caseId == 0) caseId = _openNew(operatorId, snapshotId);
        Case storage self = _cases[caseId - 1];
        ++self.offences;
        uint64 settles = height < posted ? height : posted;
        if (settles > self.settles) self.settles = settles;
    }

    function _openNew(uint64 operatorId, uint64 snapshotId) private returns (uint256 caseId) {
        uint64 totalWeight = SEQUENCER_SET.snapshotAt(snapshotId).totalWeight;
        uint64 weight = STAKING.freeze(operatorId);
        _cases.push(
            Case({
                operatorId: operatorId,
                openedAt: uint64(block.timestamp),
                weight: weight,
                totalWeight: totalWeight,
                submitter: msg.sender,
                status: Status.Open,
                offences: 0,
                settles: 0,
                previous: _newest[operatorId]
            })
        );
        caseId = _cases.length;
        _newest[operatorId] = uint64(caseId);
        _open.add(caseId);
        emit CaseOpened(caseId, operatorId, msg.sender, weight, totalWeight, uint64(executableAt(caseId)));
    }

    /// A height that L1 knows must have been posted within the time stake answers for it.
    /// @return posted Newest height on L1.
    /// @return snapshotId Whose set decided the height: that of its batch. For what is not on L1 yet the newest batch's, because a
    /// newer snapshot can be taken by anyone, of stake that came or left after the offence. Before the first batch the genesis set.
    function _requireRecent(uint64 height, Inclusion calldata inclusion)
        private
        view
        returns (uint64 posted, uint64 snapshotId)
    {
        IBatchRegistry.Head memory head = REGISTRY.head();
        posted = head.height;
        if (height > posted) return (posted, head.snapshotId == 0 ? 1 : head.snapshotId);
        if (
            height < inclusion.header.firstHeight || height > inclusion.header.lastHeight
                || !REGISTRY.isAccepted(inclusion.header, inclusion.acceptedAt, inclusion.bitmap)
        ) {
            revert WrongInclusion(height);
        }
        if (uint256(inclusion.acceptedAt) + STAKING.unbondingDelay() < block.timestamp) {
            revert OffenceTooOld(height, inclusion.acceptedAt);
        }
        return (posted, inclusion.header.snapshotId);
    }

    /// Weight of the other operators whose cases were opened within the window before or after case `position`. Walks over the
    /// cases of two windows: an operator opens at most one per window unless governance cancels them.
    function _weightOfOthers(uint256 position) private view returns (uint256 weight) {
        uint64 operatorId = _cases[position].operatorId;
        uint256 openedAt = _cases[position].openedAt;
        uint256 earliest = openedAt > appealWindow ? openedAt - appealWindow : 0;
        for (uint256 i = position; i > 0; --i) {
            Case storage other = _cases[i - 1];
            if (other.openedAt < earliest) break;
            weight += _counted(other, operatorId, earliest);
        }
        uint256 length = _cases.length;
        for (uint256 i = position + 1; i < length; ++i) {
            Case storage other = _cases[i];
            if (other.openedAt > openedAt + appealWindow) break;
            weight += _counted(other, operatorId, earliest);
        }
    }

    /// A case's weight, unless it is the operator's own, was cancelled, or its operator is counted with an earlier case.
    function _counted(Case storage other, uint64 operatorId, uint256 earliest) private view returns (uint256) {
        if (other.operatorId == operatorId || other.status == Status.Cancelled) return 0;
        for (uint64 previous = other.previous; previous != 0;) {
            Case storage before = _cases[previous - 1];
            if (before.openedAt < earliest) break;
            if (before.status != Status.Cancelled) return 0;
            previous = before.previous;
        }
        return other.weight;
    }

    function _openCase(uint256 caseId) private view returns (Case storage self) {
        if (caseId == 0 || caseId > _cases.length) revert CaseNotOpen(caseId);
        self = _cases[caseId - 1];
        if (self.status != Status.Open) revert CaseNotOpen(caseId);
    }

    /// The signer of two statements.
    function _signerOfBoth(bytes32 hashA, bytes calldata signatureA, bytes32 hashB, bytes calldata signatureB)
        private
        view
        returns (address signer)
    {
        bytes32 separator = STAKING.domainSeparator();
        signer = _signerOf(Signing.digest(separator, hashA), signatureA);
        address other = _signerOf(Signing.digest(separator, hashB), signatureB);
        if (signer != other) revert SignersDiffer(signer, other);
    }

    function _signerOf(bytes32 digest, bytes calldata signature) private pure returns (address signer) {
        if (signature.length != Certificate.SIGNATURE_BYTES) revert MalformedSignature();
        signer = Certificate.recover(digest, signature);
        if (signer == address(0)) revert MalformedSignature();
    }

    /// Different claims about the last height of both, or about the blocks of one range.
    function _contradict(BatchHeader calldata a, BatchHeader calldata b) private pure returns (bool) {
        if (a.lastHeight != b.lastHeight) return false;
        return a.lastBlockHash != b.lastBlockHash || a.stateRoot != b.stateRoot
            || a.withdrawalsRoot != b.withdrawalsRoot
            || (a.firstHeight == b.firstHeight && a.blocksRoot != b.blocksRoot);
    }

    /// `a` ends inside `b`, and `b` names another block there.
    function _contradictInside(BatchHeader calldata a, BatchHeader calldata b, bytes calldata blockHashes)
        private
        pure
        returns (bool)
    {
        if (a.lastHeight < b.firstHeight || a.lastHeight > b.lastHeight) return false;
        uint256 count = uint256(b.lastHeight) - b.firstHeight + 1;
        if (blockHashes.length != count * 32 || keccak256(blockHashes) != b.blocksRoot) revert WrongBlockHashes();
        uint256 offset = uint256(a.lastHeight - b.firstHeight) * 32;
        return bytes32(blockHashes[offset:offset + 32]) != a.lastBlockHash;
    }
}
