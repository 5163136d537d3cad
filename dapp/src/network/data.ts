// What the nodes say: each is asked for itself, and whatever all agree on is asked of one that answers.
import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import type { NodeConfig } from '../config';
import { useSite } from '../site';
import { type Batch, batches, block, connect, type Node, refused, schedule, sequencerSet, status, type Status } from './rpc';

/** Time between two looks at a node. */
const NODE_POLL_MS = 1_000;
/** Batches shown in the matrix and the table. */
export const SHOWN_BATCHES = 24;
/** Batches an operator's record is counted over. */
export const RECORD_BATCHES = 100;
/** Blocks shown. */
const SHOWN_BLOCKS = 12;

const connected = new Map<string, Node>();

function connectOnce(node: NodeConfig): Node {
  const known = connected.get(node.url) ?? connect(node);
  connected.set(node.url, known);
  return known;
}

export interface NodeState {
  node: Node;
  /** What it said last; kept while it does not answer. */
  status: Status | undefined;
  down: boolean;
  asked: boolean;
  reason: string | undefined;
}

/** Every configured node, asked every second. */
export function useNodes(): NodeState[] {
  const { config } = useSite();
  const nodes = useMemo(() => config.l2.nodes.map(connectOnce), [config]);
  const answers = useQueries({
    queries: nodes.map((node) => ({
      queryKey: ['l2', 'status', node.url],
      queryFn: () => status(node),
      refetchInterval: NODE_POLL_MS,
    })),
  });
  return answers.map((answer, index) => ({
    node: nodes[index] as Node,
    status: answer.data,
    down: answer.isError,
    asked: !answer.isPending,
    reason: answer.error ? (refused(answer.error) ? 'refuses' : 'does not answer') : undefined,
  }));
}

/** The one that is ahead of the others. */
export function best(nodes: NodeState[]): (NodeState & { status: Status }) | undefined {
  const up = nodes.filter((state): state is NodeState & { status: Status } => !state.down && state.status !== undefined);
  return up.reduce<(NodeState & { status: Status }) | undefined>(
    (first, state) => (first && first.status.latest.number >= state.status.latest.number ? first : state), undefined);
}

/** Asks one node after the other until one answers. */
export function useAnyNode() {
  const { config } = useSite();
  return useMemo(() => {
    const nodes = config.l2.nodes.map(connectOnce);
    return async <T,>(question: (node: Node) => Promise<T>): Promise<T> => {
      let failure: unknown;
      for (const node of nodes) {
        try {
          return await question(node);
        } catch (error) {
          if (refused(error)) throw error;
          failure = error;
        }
      }
      throw new Error('No node of L2 answers.', { cause: failure });
    };
  }, [config]);
}

export function useSet(node: Node | undefined, epoch: number | undefined) {
  return useQuery({
    queryKey: ['l2', 'set', epoch],
    queryFn: () => sequencerSet(node as Node, epoch as number),
    enabled: node !== undefined && epoch !== undefined,
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });
}

/** Turns of this epoch and, once it is drawn, of the next one. */
export function useSchedule(node: Node | undefined, epoch: number | undefined) {
  return useQuery({
    queryKey: ['l2', 'schedule', epoch],
    queryFn: async () => [...(await schedule(node as Node, epoch as number)), ...(await schedule(node as Node, (epoch as number) + 1))],
    enabled: node !== undefined && epoch !== undefined,
    refetchInterval: 10_000,
    placeholderData: keepPreviousData,
  });
}

/** The last batches, newest first. `safe` and `finalized` move without a new batch, so the heads are part of the name. */
export function useBatches(shown: number) {
  const ask = useAnyNode();
  return useQuery({
    queryKey: ['l2', 'batches', shown],
    queryFn: () => ask(async (node): Promise<Batch[]> => {
      const { latestBatch } = await status(node);
      if (latestBatch === null) return [];
      return (await batches(node, latestBatch - shown + 1, latestBatch)).reverse();
    }),
    refetchInterval: 2_000,
    placeholderData: keepPreviousData,
  });
}

/** The last blocks, newest first, and the pending one's height. */
export function useBlocks(node: Node | undefined, latest: number | undefined) {
  return useQuery({
    queryKey: ['l2', 'blocks', latest],
    queryFn: async ({ client }) => {
      const newest = latest as number;
      const heights = Array.from({ length: Math.min(SHOWN_BLOCKS, newest + 1) }, (_, index) => newest - index);
      // A decided block never changes: each is read once.
      const read = await Promise.all(heights.map((height) => client.query({
        queryKey: ['l2', 'block', height], queryFn: () => block(node as Node, height), staleTime: Infinity,
      })));
      return read.filter((found) => found !== null);
    },
    enabled: node !== undefined && latest !== undefined,
    placeholderData: keepPreviousData,
  });
}

export function usePending(node: Node | undefined) {
  return useQuery({
    queryKey: ['l2', 'pending', node?.url],
    queryFn: async () => (await block(node as Node, 'pending'))?.number,
    enabled: node !== undefined,
    refetchInterval: NODE_POLL_MS,
  });
}

/** L1 block that the head of L2 stands on: deposits up to it are executed. */
export function useOrigin(node: Node | undefined) {
  return useQuery({
    queryKey: ['l2', 'origin', node?.url],
    queryFn: async () => {
      const { unsafe_l2 } = await (node as Node).ask<{ unsafe_l2: { l1origin: { number: number } } }>('optimism_syncStatus');
      return unsafe_l2.l1origin.number;
    },
    enabled: node !== undefined,
    refetchInterval: 2_000,
  });
}
