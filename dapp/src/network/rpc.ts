// The nodes of L2 and the shapes of their answers. Quantities become numbers here, at the edge.
import { createClient, hexToBigInt, hexToNumber, type Hex, http, RpcRequestError } from 'viem';
import type { NodeConfig } from '../config';

/** Longest wait for a node: one that is later counts as down. */
const TIMEOUT_MS = 4_000;

export interface Node extends NodeConfig {
  ask: <T>(method: string, params?: readonly unknown[]) => Promise<T>;
}

export function connect(node: NodeConfig): Node {
  const client = createClient({ transport: http(node.url, { batch: { wait: 2 }, retryCount: 0, timeout: TIMEOUT_MS }) });
  return { ...node, ask: (method, params = []) => client.request({ method, params } as never) };
}

/** Whether the node answered, and refused: then another one will not know better. */
export const refused = (error: unknown): error is RpcRequestError => error instanceof RpcRequestError;

export interface Head {
  number: number;
  hash: Hex;
  timeMs: number;
}

export interface Turn {
  index: number;
  first: number;
  last: number;
  leader: Hex;
}

export interface Status {
  latest: Head;
  safe: Head;
  finalized: Head;
  l1: { head: number; safe: number; finalized: number; derived: number };
  epoch: number;
  turn: (Turn & { leadsNow: Hex | null }) | null;
  latestBatch: number | null;
  syncing: boolean;
  peers: number;
  signer: Hex | null;
}

interface RawHead { number: Hex; hash: Hex; timestampMs: Hex }
interface RawTurn { index: Hex; firstHeight: Hex; lastHeight: Hex; leader: Hex; leadsNow?: Hex | null }
interface RawStatus {
  latest: RawHead; safe: RawHead; finalized: RawHead;
  l1Head: RawHead; l1Safe: RawHead; l1Finalized: RawHead; l1Derived: RawHead;
  epoch: Hex; turn: RawTurn | null; latestBatch: Hex | null; syncing: boolean; peers: Hex; signer: Hex | null;
}

const head = (raw: RawHead): Head => ({ number: hexToNumber(raw.number), hash: raw.hash, timeMs: hexToNumber(raw.timestampMs) });
const turn = (raw: RawTurn): Turn => ({
  index: hexToNumber(raw.index), first: hexToNumber(raw.firstHeight), last: hexToNumber(raw.lastHeight), leader: raw.leader,
});

export async function status(node: Node): Promise<Status> {
  const raw = await node.ask<RawStatus>('horae_syncStatus');
  return {
    latest: head(raw.latest),
    safe: head(raw.safe),
    finalized: head(raw.finalized),
    l1: {
      head: hexToNumber(raw.l1Head.number), safe: hexToNumber(raw.l1Safe.number),
      finalized: hexToNumber(raw.l1Finalized.number), derived: hexToNumber(raw.l1Derived.number),
    },
    epoch: hexToNumber(raw.epoch),
    turn: raw.turn ? { ...turn(raw.turn), leadsNow: raw.turn.leadsNow ?? null } : null,
    latestBatch: raw.latestBatch === null ? null : hexToNumber(raw.latestBatch),
    syncing: raw.syncing,
    peers: hexToNumber(raw.peers),
    signer: raw.signer,
  };
}

export interface SequencerSet {
  epoch: number;
  first: number;
  last: number;
  snapshotId: number;
  totalWeight: number;
  members: { signer: Hex; weight: number }[];
}

export async function sequencerSet(node: Node, epoch: number): Promise<SequencerSet | null> {
  const raw = await node.ask<{
    epoch: Hex; firstHeight: Hex; lastHeight: Hex; snapshotId: Hex; totalWeight: Hex; members: { signer: Hex; weight: Hex }[];
  } | null>('horae_sequencerSet', [`0x${epoch.toString(16)}`]);
  if (!raw) return null;
  return {
    epoch: hexToNumber(raw.epoch), first: hexToNumber(raw.firstHeight), last: hexToNumber(raw.lastHeight),
    snapshotId: hexToNumber(raw.snapshotId), totalWeight: hexToNumber(raw.totalWeight),
    members: raw.members.map((member) => ({ signer: member.signer, weight: hexToNumber(member.weight) })),
  };
}

export async function schedule(node: Node, epoch: number): Promise<Turn[]> {
  const raw = await node.ask<{ turns: RawTurn[] } | null>('horae_schedule', [`0x${epoch.toString(16)}`]);
  return raw?.turns.map(turn) ?? [];
}

export interface Batch {
  index: number;
  hash: Hex;
  first: number;
  last: number;
  snapshotId: bigint;
  status: string;
  bitmap: bigint | null;
  turns: bigint;
  signedWeight: number | null;
  totalWeight: number | null;
  signers: Hex[];
  stateRoot: Hex;
  inclusion: { transaction: Hex; block: number; data: string } | null;
}

export async function batches(node: Node, from: number, to: number): Promise<Batch[]> {
  type Raw = {
    index: Hex; hash: Hex; firstHeight: Hex; lastHeight: Hex; snapshotId: Hex; status: string; bitmap: Hex | null; turns: Hex;
    signedWeight: Hex | null; totalWeight: Hex | null; signers: Hex[]; stateRoot: Hex;
    inclusion: { transactionHash: Hex; blockNumber: Hex; data: string } | null;
  };
  const raw = await node.ask<Raw[]>('horae_batches', [from, to].map((index) => `0x${Math.max(1, index).toString(16)}`));
  const optional = (value: Hex | null) => (value === null ? null : hexToNumber(value));
  return raw.map((batch) => ({
    index: hexToNumber(batch.index), hash: batch.hash, first: hexToNumber(batch.firstHeight), last: hexToNumber(batch.lastHeight),
    snapshotId: hexToBigInt(batch.snapshotId), status: batch.status, bitmap: batch.bitmap === null ? null : hexToBigInt(batch.bitmap),
    turns: hexToBigInt(batch.turns), signedWeight: optional(batch.signedWeight), totalWeight: optional(batch.totalWeight),
    signers: batch.signers, stateRoot: batch.stateRoot,
    inclusion: batch.inclusion && {
      transaction: batch.inclusion.transactionHash, block: hexToNumber(batch.inclusion.blockNumber), data: batch.inclusion.data,
    },
  }));
}

export interface Transaction {
  hash: Hex;
  type: number;
  from: Hex;
  to: Hex | null;
  value: bigint;
  nonce: number;
  gas: bigint;
  input: Hex;
  block: number | null;
}

export interface RawTransaction {
  hash: Hex; type: Hex; from: Hex; to: Hex | null; value: Hex; nonce: Hex; gas: Hex; input: Hex; blockNumber: Hex | null; blockHash: Hex | null;
}

export const transaction = (raw: RawTransaction): Transaction => ({
  hash: raw.hash, type: hexToNumber(raw.type), from: raw.from, to: raw.to, value: hexToBigInt(raw.value), nonce: hexToNumber(raw.nonce),
  gas: hexToBigInt(raw.gas), input: raw.input, block: raw.blockNumber && raw.blockHash ? hexToNumber(raw.blockNumber) : null,
});

export interface Block {
  number: number;
  hash: Hex;
  parentHash: Hex;
  stateRoot: Hex;
  timeMs: number;
  leader: Hex | null;
  gasUsed: bigint;
  gasLimit: bigint;
  baseFee: bigint;
  size: number;
  transactions: Transaction[];
}

/** Bytes 1 and 2 of the extra data hold the milliseconds, the last 20 the leader. */
export function readExtraData(extraData: Hex): { millis: number; leader: Hex | null } {
  const millis = extraData.length >= 8 ? Number.parseInt(extraData.slice(4, 8), 16) : 0;
  return { millis, leader: extraData.length === 48 ? (`0x${extraData.slice(8)}` as Hex) : null };
}

/** A block with its transactions, by height, hash or tag. */
export async function block(node: Node, id: number | string): Promise<Block | null> {
  const byHash = typeof id === 'string' && id.length === 66;
  const name = typeof id === 'number' ? `0x${id.toString(16)}` : id;
  const raw = await node.ask<{
    number: Hex; hash: Hex; parentHash: Hex; stateRoot: Hex; timestamp: Hex; extraData: Hex; gasUsed: Hex; gasLimit: Hex;
    baseFeePerGas: Hex; size: Hex; transactions: RawTransaction[];
  } | null>(byHash ? 'eth_getBlockByHash' : 'eth_getBlockByNumber', [name, true]);
  if (!raw) return null;
  const { millis, leader } = readExtraData(raw.extraData);
  return {
    number: hexToNumber(raw.number), hash: raw.hash, parentHash: raw.parentHash, stateRoot: raw.stateRoot,
    timeMs: hexToNumber(raw.timestamp) * 1_000 + millis, leader, gasUsed: hexToBigInt(raw.gasUsed), gasLimit: hexToBigInt(raw.gasLimit),
    baseFee: hexToBigInt(raw.baseFeePerGas), size: hexToNumber(raw.size), transactions: raw.transactions.map(transaction),
  };
}
