import {
  BaseError, ContractFunctionRevertedError, type ContractErrorArgs, type ContractErrorName, HttpRequestError,
  InsufficientFundsError, TimeoutError, UserRejectedRequestError,
} from 'viem';
import { metisAbi, stakingAbi } from './abi.generated';
import { basisPoints, metis, moment, short } from './format';

/** What a call to the staking contract may revert with: its own errors and those of the token it pulls from. */
export const callAbi = [...stakingAbi, ...metisAbi.filter((entry) => entry.type === 'error')] as const;

type Abi = typeof stakingAbi;
type TokenAbi = typeof metisAbi;
type Sentences<A extends Abi | TokenAbi> = {
  [Name in ContractErrorName<A>]: (...args: NonNullable<ContractErrorArgs<A, Name>> extends readonly unknown[]
    ? NonNullable<ContractErrorArgs<A, Name>> : []) => string;
};

const operator = (id: bigint) => `operator ${id}`;

const staking: Sentences<Abi> = {
  CheckpointUnorderedInsertion: () => 'The contract refuses an entry out of order. Please report this.',
  CommissionTooHigh: (commission, maximum) =>
    `A commission of ${basisPoints(commission)} is too high: at most ${basisPoints(maximum)} now, as it rises by one point at a time.`,
  FractionOutOfRange: () => 'That part of the stake is out of range.',
  IsFrozen: (id) => `A case of misbehaviour is open against ${operator(id)}: nothing may enter, and what is liable cannot be claimed, until it ends.`,
  KeysNotApart: () => 'Owner and signer must be different keys.',
  NameTooLong: () => 'Name and URL may have 256 bytes each.',
  NotActive: (id) => `${operator(id)} has left, or was never registered.`,
  NotAllowed: (caller) => `${short(caller)} may not do this.`,
  NotEjectable: (id) => `${operator(id)} still has its place by right.`,
  NotEnoughShares: (shares, free) => `You have fewer free shares (${metis(free / 1_000n)}) than that (${metis(shares / 1_000n)}): those of a recent move are locked.`,
  NotOwner: (id, caller) => `Only the owner of ${operator(id)} may do this; ${short(caller)} is not.`,
  NotPendingOwner: (id) => `${operator(id)} was not offered to this account.`,
  NotWhitelisted: () => 'Registration is open to whitelisted owners only, and this account is not one.',
  SafeCastOverflowedUintDowncast: () => 'That amount is too large.',
  SafeERC20FailedOperation: () => 'The METIS token refused the transfer.',
  SameOperator: () => 'Choose another operator to move to.',
  SignerTaken: (signer, id) => `${short(signer)} is or was the signer of ${operator(id)}, and stays its for ever: use a fresh key.`,
  Slippage: (given, minimum) => `The share price has moved: this would give ${metis(given)} instead of ${metis(minimum)} at least. Try again.`,
  StakeAboveMaximum: (_, maximum) => `Self-stake may be ${metis(maximum)} METIS at most.`,
  StakeBelowMinimum: (stake, minimum) => `Self-stake would be ${metis(stake)} METIS, but ${metis(minimum)} must stay. To take out all, exit.`,
  StillUnbonding: (_, releaseAt) => `This request can be claimed from ${moment(Number(releaseAt))} on.`,
  StillWaiting: (id) => `${operator(id)} has left, but its weight still waits in the exit queue: try again later.`,
  TimeOutOfRange: () => 'That time is out of range.',
  TooManyOperators: (maximum) => `All ${maximum} places of candidates are taken.`,
  TooManyRequests: (maximum) => `You have ${maximum} open requests and moves, the most there may be: claim one first.`,
  UnknownCase: (id) => `No such case is open against ${operator(id)}.`,
  UnknownOperator: (id) => `There is no ${operator(id)}.`,
  UnknownRequest: (id) => `Request ${id} does not exist, or was claimed already.`,
  WeightOutOfRange: () => 'That weight is out of range.',
  ZeroAddress: () => 'The address must not be zero.',
  ZeroAmount: () => 'There is nothing to do: the amount is zero.',
};

const token: Sentences<TokenAbi> = {
  ERC20InsufficientAllowance: (_, allowance, needed) =>
    `The staking contract may take ${metis(allowance)} METIS from this account, but needs ${metis(needed)}: approve more.`,
  ERC20InsufficientBalance: (_, balance, needed) => `This account holds ${metis(balance)} METIS on L1, but needs ${metis(needed)}.`,
  ERC20InvalidApprover: () => 'The token refuses this approver.',
  ERC20InvalidReceiver: () => 'The token refuses this receiver.',
  ERC20InvalidSender: () => 'The token refuses this sender.',
  ERC20InvalidSpender: () => 'The token refuses this spender.',
  OwnableInvalidOwner: () => 'The token refuses this owner.',
  OwnableUnauthorizedAccount: () => 'This account may not do that.',
};

const sentences = { ...staking, ...token } as unknown as Record<string, (...args: readonly unknown[]) => string>;
const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** The error of a contract as one sentence. */
export function revertSentence(name: string, args: readonly unknown[]): string {
  const sentence = sentences[name];
  return sentence ? capital(sentence(...args)) : `The contract refused with ${name}.`;
}

/** Any failure of a call or a wallet as one sentence. */
export function explain(error: unknown): string {
  if (!(error instanceof BaseError)) return error instanceof Error ? error.message : String(error);
  const find = <T extends Error>(kind: abstract new (...args: never[]) => T) => error.walk((cause) => cause instanceof kind) as T | null;
  const rejected = error.walk((cause) => (cause as { code?: number }).code === UserRejectedRequestError.code);
  if (rejected) return 'You declined the request in your wallet.';
  const revert = find(ContractFunctionRevertedError);
  if (revert?.data) return revertSentence(revert.data.errorName, revert.data.args ?? []);
  if (revert?.reason) return `The contract refused: ${revert.reason}.`;
  if (find(InsufficientFundsError)) return 'This account does not hold enough ether on L1 to pay for gas.';
  if (find(HttpRequestError) ?? find(TimeoutError)) return 'The node does not answer. Check the connection and try again.';
  return error.shortMessage;
}
