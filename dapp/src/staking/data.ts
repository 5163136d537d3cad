// What L1 says about stake, read anew with every block, all of it at that block.
import { useQuery } from '@tanstack/react-query';
import { type Address, getAbiItem, pad, type Log } from 'viem';
import { metisAbi, rewardsAbi, sequencerSetAbi, stakingAbi } from '../abi.generated';
import type { L1, SiteConfig } from '../config';
import { AT_HEAD, HEAD, type L1Head, useL1Head, useSite } from '../site';
import type { ExitQueue } from './shares';

/** Operators read at once. */
const PAGE = 32n;
/** Bytes of calls in one `eth_call`: what is executed as creation code must stay below EIP-3860's bound. */
const CALL_BYTES = 8_192;
/** L1 blocks read again for events: those that could still be replaced. */
const REORG_BLOCKS = 64n;
/** Time between two looks for events. */
const EVENTS_POLL_MS = 4_000;

/** Views of one block in as few calls as they fit into; no contract is needed for that. */
async function together(l1: L1, blockNumber: bigint, contracts: readonly object[]) {
  return (await l1.multicall({ contracts: contracts as never, allowFailure: false, deployless: true, batchSize: CALL_BYTES, blockNumber })) as readonly never[];
}

export interface Pool {
  series: number;
  shares: bigint;
  assets: bigint;
  price: bigint;
  unvested: bigint;
  vestedBy: bigint;
  commission: number;
  nextCommission: number;
  commissionFrom: bigint;
}

interface StoredOperator {
  signer: Address;
  stake: bigint;
  owner: Address;
  rewards: bigint;
  recipient: Address;
  frozen: boolean;
  away: boolean;
  exited: boolean;
  lastReleaseAt: bigint;
  pendingOwner: Address;
}

export interface Operator extends StoredOperator {
  id: bigint;
  pool: Pool;
  weight: bigint;
  caseAt: bigint;
}

export interface Staking {
  block: bigint;
  time: bigint;
  operators: Operator[];
  totalStaked: bigint;
  totalDelegated: bigint;
  totalUnbonding: bigint;
  minStake: bigint;
  maxStake: bigint;
  maxWeight: bigint;
  whitelisted: boolean;
  commissionNotice: bigint;
  queue: ExitQueue;
  rate: bigint;
  streamFunds: bigint;
}

const ZERO = '0x0000000000000000000000000000000000000000';

async function readOperators(l1: L1, config: SiteConfig, block: bigint): Promise<Operator[]> {
  const staking = { address: config.contracts.staking, abi: stakingAbi };
  const all: Operator[] = [];
  // Operators are numbered from one without gaps; one that was never registered has no owner.
  for (let first = 1n; ; first += PAGE) {
    const ids = Array.from({ length: Number(PAGE) }, (_, index) => first + BigInt(index));
    const stored = (await together(l1, block, ids.map((id) => ({ ...staking, functionName: 'operator', args: [id] })))) as unknown as StoredOperator[];
    const known = ids.filter((_, index) => (stored[index]?.owner ?? ZERO) !== ZERO);
    const about = await together(l1, block, known.flatMap((id) =>
      ['pool', 'weightOf', 'caseOf'].map((functionName) => ({ ...staking, functionName, args: [id] }))));
    known.forEach((id, index) => {
      const [pool, weight, caseAt] = about.slice(index * 3, index * 3 + 3) as unknown as [Pool, bigint, bigint];
      all.push({ ...(stored[index] as StoredOperator), id, pool, weight, caseAt });
    });
    if (known.length < ids.length) return all;
  }
}

async function readStaking(l1: L1, config: SiteConfig, { number: block, timestamp: time }: L1Head): Promise<Staking> {
  const { staking, rewards } = config.contracts;
  const views = ['totalStaked', 'totalDelegated', 'totalUnbonding', 'MIN_STAKE', 'MAX_STAKE', 'maxWeight', 'whitelistEnabled', 'churnLimit', 'exitQueue', 'config'];
  const globals = [
    ...views.map((functionName) => ({ address: staking, abi: stakingAbi, functionName })),
    ...['rate', 'streamFunds'].map((functionName) => ({ address: rewards, abi: rewardsAbi, functionName })),
  ];
  const [operators, read] = await Promise.all([readOperators(l1, config, block), together(l1, block, globals)]);
  const [totalStaked, totalDelegated, totalUnbonding, minStake, maxStake, maxWeight, whitelisted, limit, [slot, used], times, rate, streamFunds] =
    read as unknown as [bigint, bigint, bigint, bigint, bigint, bigint, boolean, bigint, [bigint, bigint],
      { unbondingDelay: bigint; churnPeriod: bigint; commissionNotice: bigint }, bigint, bigint];
  return {
    block, time, operators, totalStaked, totalDelegated, totalUnbonding, minStake, maxStake, maxWeight, whitelisted, rate, streamFunds,
    commissionNotice: times.commissionNotice,
    queue: { slot, used, limit, churnPeriod: times.churnPeriod, unbondingDelay: times.unbondingDelay },
  };
}

/** Something of L1's newest block: read again with each new one, kept while L1 does not answer. */
function useAtHead<T>(key: readonly unknown[], read: (l1: L1, config: SiteConfig, head: L1Head) => Promise<T>, enabled = true) {
  const { l1, config } = useSite();
  const head = useL1Head().data;
  return useQuery({
    queryKey: [...AT_HEAD, ...key],
    queryFn: ({ client }) => read(l1, config, client.getQueryData<L1Head>(HEAD) as L1Head),
    enabled: enabled && head !== undefined,
  });
}

/** All stake. */
export const useStaking = () => useAtHead(['staking'], readStaking);

/** A request on its way out, or a move that is still liable. */
export interface Request {
  id: bigint;
  operatorId: bigint;
  amount: bigint;
  releaseAt: bigint;
  toOperatorId: bigint;
  /** The largest 64-bit number while a case is open that it is liable for. */
  claimableAt: bigint;
}

export interface Delegation {
  operatorId: bigint;
  series: number;
  shares: bigint;
  locked: bigint;
  assets: bigint;
}

export interface Account {
  balance: bigint;
  allowance: bigint;
  delegations: Delegation[];
  requests: Request[];
}

async function readRequests(l1: L1, config: SiteConfig, block: bigint, holder: Address): Promise<Request[]> {
  const staking = { address: config.contracts.staking, abi: stakingAbi } as const;
  const ids = await l1.readContract({ ...staking, functionName: 'requestsOf', args: [holder], blockNumber: block });
  if (!ids.length) return [];
  const read = await together(l1, block, ids.flatMap((id) => ['unbonding', 'claimableAt'].map((functionName) => ({ ...staking, functionName, args: [id] }))));
  const requests = ids.map((id, index) => {
    const [request, claimableAt] = read.slice(index * 2, index * 2 + 2) as unknown as [Omit<Request, 'id' | 'claimableAt'>, bigint];
    return { ...request, id, claimableAt };
  });
  return requests.sort((a, b) => Number(a.releaseAt - b.releaseAt));
}

async function readAccount(l1: L1, config: SiteConfig, block: bigint, account: Address, operators: bigint[]): Promise<Account> {
  const { staking, metis } = config.contracts;
  const calls = [
    { address: metis, abi: metisAbi, functionName: 'balanceOf', args: [account] },
    { address: metis, abi: metisAbi, functionName: 'allowance', args: [account, staking] },
    ...operators.map((id) => ({ address: staking, abi: stakingAbi, functionName: 'delegation', args: [id, account] })),
  ];
  const [[balance, allowance, ...held], requests] = await Promise.all([
    together(l1, block, calls) as unknown as Promise<[bigint, bigint, ...Omit<Delegation, 'operatorId'>[]]>,
    readRequests(l1, config, block, account),
  ]);
  const delegations = held.map((delegation, index) => ({ ...delegation, operatorId: operators[index] ?? 0n }));
  return { balance, allowance, requests, delegations: delegations.filter((delegation) => delegation.shares > 0n) };
}

/** What an account has, and what it may claim. */
export function useAccount(account: Address | undefined, staking: Staking | undefined) {
  const operators = staking?.operators.map((operator) => operator.id) ?? [];
  return useAtHead(
    ['account', account], (l1, config, head) => readAccount(l1, config, head.number, account as Address, operators), account !== undefined && staking !== undefined,
  );
}

/** Requests for an operator's self-stake: the contract lists them under its number. */
export const useSelfRequests = (id: bigint) => useAtHead(
  ['self-requests', String(id)], (l1, config, head) => readRequests(l1, config, head.number, pad(`0x${id.toString(16)}`, { size: 20 })),
);

/** What only events tell: names, and who is which member of which snapshot. */
export interface Directory {
  upTo: bigint;
  metadata: Map<bigint, { name: string; url: string }>;
  /** Operators of a snapshot, in the order of its members. */
  snapshots: Map<bigint, bigint[]>;
  newest: bigint;
}

const EVENTS = [
  getAbiItem({ abi: stakingAbi, name: 'MetadataChanged' }),
  getAbiItem({ abi: sequencerSetAbi, name: 'SnapshotTaken' }),
] as const;

async function readDirectory(l1: L1, config: SiteConfig, before: Directory | undefined): Promise<Directory> {
  const toBlock = await l1.getBlockNumber({ cacheTime: 0 });
  const again = before ? before.upTo - REORG_BLOCKS : 0n;
  const start = BigInt(config.l1.startBlock);
  const logs = await l1.getLogs({
    address: [config.contracts.staking, config.contracts.sequencerSet],
    events: EVENTS,
    fromBlock: again > start ? again : start,
    toBlock,
    strict: true,
  });
  const directory: Directory = { upTo: toBlock, metadata: new Map(before?.metadata), snapshots: new Map(before?.snapshots), newest: before?.newest ?? 0n };
  for (const log of logs) record(directory, log);
  return directory;
}

function record(directory: Directory, log: Log<bigint, number, false, undefined, true, typeof EVENTS>) {
  if (log.eventName === 'MetadataChanged') {
    directory.metadata.set(log.args.operatorId, { name: log.args.name, url: log.args.url });
  } else {
    directory.snapshots.set(log.args.id, [...log.args.operatorIds]);
    if (log.args.id > directory.newest) directory.newest = log.args.id;
  }
}

export function useDirectory() {
  const { l1, config } = useSite();
  return useQuery<Directory>({
    queryKey: ['l1', 'directory'],
    queryFn: ({ client, queryKey }) => readDirectory(l1, config, client.getQueryData(queryKey)),
    refetchInterval: EVENTS_POLL_MS,
    structuralSharing: false,
  });
}
