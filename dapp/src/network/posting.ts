// What L1 tells of the transaction that carried a batch.
import { useQuery } from '@tanstack/react-query';
import type { Address, Hash } from 'viem';
import { useSite } from '../site';
import type { Batch } from './rpc';

export interface Posting {
  poster: Address;
  blobs: number;
  calldata: number;
  gas: bigint;
}

/** It never changes once it is there; a reorganisation gives the batch another transaction. */
export function usePosting(inclusion: Batch['inclusion']): Posting | undefined {
  const { l1 } = useSite();
  return useQuery({
    queryKey: ['posting', inclusion?.transaction],
    queryFn: async (): Promise<Posting> => {
      const hash = inclusion?.transaction as Hash;
      const [sent, receipt] = await Promise.all([l1.getTransaction({ hash }), l1.getTransactionReceipt({ hash })]);
      return { poster: sent.from, blobs: sent.blobVersionedHashes?.length ?? 0, calldata: (sent.input.length - 2) / 2, gas: receipt.gasUsed };
    },
    enabled: inclusion !== null,
    staleTime: Infinity,
  }).data;
}
