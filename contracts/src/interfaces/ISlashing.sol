// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {BatchHeader} from "../types/BatchHeader.sol";
import {Proposal, Slice, Vote} from "../types/Messages.sol";

/// Punishes signers that contradicted themselves. Anyone shows two signed statements of one signer that no honest node makes
/// both (specification 1.5); the contract recovers the signer from each and judges nothing else.
///
/// A case: the first offence freezes the operator's stake at once. During the appeal window governance, or the appeal council it
/// named, can cancel the case and do nothing else; that power ends for good at `appealSunset`. After the window anyone executes
/// the penalty. An operator has one open case at a time: what else is shown against it meanwhile is recorded in that case, so a
/// machine that signed twice for an hour is punished once, and so are accomplices, whose cases make each other's penalties
/// heavier.
///
/// Once a case is executed, no offence of that operator counts any more at a height that was both at or below the case's highest
/// offence and already posted to L1 when that was shown. A height beyond what was posted is never settled in advance: nobody can
/// buy itself a licence for later by reporting itself.
///
/// The bounty goes to whoever opened the case. Evidence is public in the mempool and can be copied; every node submits what it
/// sees, and somebody being paid is what matters, not who.
interface ISlashing {
    /// What kind of statement was signed twice.
    enum Offence {
        Vote,
        Proposal,
        Slice,
        BatchHeader
    }

    enum Status {
        None,
        Open,
        Cancelled,
        Executed
    }

    /// @param operatorId Whose signer offended.
    /// @param openedAt Unix seconds; names the case to the staking contract.
    /// @param weight What of the operator's answered then, whole METIS: see {IStaking-freeze}. Whoever leaves before the evidence is
    /// shown weighs no less, and whoever has nothing left to lose makes nobody else's penalty heavier.
    /// @param totalWeight Total weight of the set that decided the first offence's height; of the newest batch's if it is not on L1.
    /// @param submitter Who opened it and gets the bounty.
    /// @param status Where it stands.
    /// @param offences How many offences it holds.
    /// @param settles Height up to which the operator is done with once it is executed.
    /// @param previous The operator's case before this one; zero if none.
    struct Case {
        uint64 operatorId;
        uint64 openedAt;
        uint64 weight;
        uint64 totalWeight;
        address submitter;
        Status status;
        uint32 offences;
        uint64 settles;
        uint64 previous;
    }

    /// The accepted batch that holds a height: shows how old an offence is. Not read for heights beyond the registry's head.
    struct Inclusion {
        BatchHeader header;
        uint64 acceptedAt;
        uint256 bitmap;
    }

    event CaseOpened(
        uint256 indexed caseId,
        uint64 indexed operatorId,
        address indexed submitter,
        uint64 weight,
        uint64 totalWeight,
        uint64 executableAt
    );
    /// @param key Names the offence: operator, class, height, round and, of a vote, its type, of a slice, its index.
    event OffenceRecorded(
        uint256 indexed caseId,
        bytes32 indexed key,
        address signer,
        Offence offence,
        uint64 height,
        uint32 round,
        uint32 index
    );
    event CaseCancelled(uint256 indexed caseId, uint64 indexed operatorId);
    /// @param fraction Of 1e18.
    /// @param taken METIS wei; `bounty` of it for the submitter, the rest is in the insurance pool.
    event CaseExecuted(
        uint256 indexed caseId, uint64 indexed operatorId, uint256 fraction, uint256 taken, uint256 bounty
    );
    event BountyPaid(address indexed submitter, uint256 amount);
    event Forwarded(uint256 amount);
    event CouncilChanged(address indexed previous, address indexed council);

    /// The two statements can both be honest.
    error NoConflict();
    /// Neither prevote nor precommit.
    error UnknownVoteType(uint8 voteType);
    /// The hashes are not those that `blocksRoot` commits to.
    error WrongBlockHashes();
    /// Not 64 bytes, a high s, or nobody's.
    error MalformedSignature();
    error SignersDiffer(address a, address b);
    /// Belongs to no operator.
    error UnknownSigner(address signer);
    /// Its stake no longer answers.
    error SignerReleased(address signer, uint64 answeredUntil);
    /// The batch shown was not accepted so, or does not hold the height.
    error WrongInclusion(uint64 height);
    /// The height was posted longer ago than stake answers for it.
    error OffenceTooOld(uint64 height, uint64 acceptedAt);
    error OffenceKnown(bytes32 key);
    /// An executed case has settled this height.
    error OffenceSettled(uint64 height, uint64 settledUpTo);
    error CaseNotOpen(uint256 caseId);
    /// The case holds other offences than the canceller knew.
    error CaseChanged(uint256 caseId, uint32 offences);
    error AppealOver(uint256 caseId);
    error AppealRunning(uint256 caseId, uint256 executableAt);
    error NotGovernance(address caller);
    /// Neither governance nor the council.
    error NotCouncil(address caller);
    error AppealWindowOutOfRange(uint64 window);
    error AppealSunsetOutOfRange(uint64 sunset);
    error ZeroAddress();
    error NothingOwed(address account);

    /// Two votes of one type, height and round for different hashes; nil is a hash like any other.
    /// @param signatureA 64-byte EIP-2098 signature over `a` under the staking contract's domain, low s.
    /// @return caseId The case the offence is recorded in.
    function proveVotes(
        Vote calldata a,
        bytes calldata signatureA,
        Vote calldata b,
        bytes calldata signatureB,
        Inclusion calldata inclusion
    ) external returns (uint256 caseId);
    /// Two proposals of one height and round for different hashes.
    function proveProposals(
        Proposal calldata a,
        bytes calldata signatureA,
        Proposal calldata b,
        bytes calldata signatureB,
        Inclusion calldata inclusion
    ) external returns (uint256 caseId);
    /// Two slices of one height, round and index with different data.
    function proveSlices(
        Slice calldata a,
        bytes calldata signatureA,
        Slice calldata b,
        bytes calldata signatureB,
        Inclusion calldata inclusion
    ) external returns (uint256 caseId);
    /// Two batch headers that claim different hashes or roots for one height: the same last height with different hash or roots;
    /// the same range with different `blocksRoot`; or `a` ends inside the range of `b` and `b` names another hash there.
    /// @param blockHashes For the last of these: the concatenated block hashes of `b`. Empty otherwise.
    function proveBatchHeaders(
        BatchHeader calldata a,
        bytes calldata signatureA,
        BatchHeader calldata b,
        bytes calldata signatureB,
        bytes calldata blockHashes,
        Inclusion calldata inclusion
    ) external returns (uint256 caseId);

    /// Governance or its council, within the appeal window and before the sunset: closes the case without penalty and forgives
    /// what it holds.
    /// @param offences How many offences the decision was made on; another number reverts.
    function cancel(uint256 caseId, uint32 offences) external;
    /// Takes the penalty once the window is over. Anyone.
    /// @return taken METIS wei.
    function execute(uint256 caseId) external returns (uint256 taken);
    /// Pays the bounties an account has earned to it. Anyone.
    function payBounty(address submitter) external returns (uint256 amount);
    /// Sends the insurance pool what came in outside `execute`: redelegated stake pays its part of a slash later
    /// (`IStaking.enforce`). No bounty is taken from it. Anyone.
    function forward() external returns (uint256 amount);
    /// Governance: who else may cancel; zero for nobody.
    function setCouncil(address council) external;

    function caseOf(uint256 caseId) external view returns (Case memory);
    /// Cases ever opened; they are numbered from 1.
    function caseCount() external view returns (uint256);
    /// Numbers of the open cases, in no particular order.
    function openCases() external view returns (uint256[] memory);
    /// The operator's open case; zero if none.
    function openCaseOf(uint64 operatorId) external view returns (uint256);
    /// Part of the stake a case would take if no other case were opened any more, of 1e18: 1 % alone, rising in a straight line with
    /// the weight of other operators whose cases were opened within the window before or after it, to all once they and this one
    /// weigh a third of the total.
    function fractionOf(uint256 caseId) external view returns (uint256);
    /// Unix seconds from which a case can be executed.
    function executableAt(uint256 caseId) external view returns (uint256);
    /// Height at or below which the operator is done with.
    function settledUpTo(uint64 operatorId) external view returns (uint64);
    /// Case in which an offence is recorded; zero if none.
    function recordedIn(bytes32 key) external view returns (uint256);
    /// Name of an offence.
    function keyOf(uint64 operatorId, Offence offence, uint64 height, uint32 round, uint32 index)
        external
        pure
        returns (bytes32);
    /// Bounty earned and not yet paid.
    function owed(address submitter) external view returns (uint256);
    /// Bounties of all submitters not yet paid.
    function totalOwed() external view returns (uint256);
    function council() external view returns (address);
    function governance() external view returns (address);
    /// Seconds a case can be appealed, and in which cases count as one event with it.
    function appealWindow() external view returns (uint64);
    /// Unix seconds after which no case can be cancelled.
    function appealSunset() external view returns (uint64);
}
