// What every part needs to know: the configuration, L1, and L1's newest block, which is what refreshes everything.
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useMemo } from 'react';
import { type L1, l1Client, type SiteConfig } from './config';

interface Site {
  config: SiteConfig;
  l1: L1;
}

const SiteContext = createContext<Site | null>(null);

export function SiteProvider({ config, children }: { config: SiteConfig; children: ReactNode }) {
  const site = useMemo(() => ({ config, l1: l1Client(config) }), [config]);
  return <SiteContext value={site}>{children}</SiteContext>;
}

export function useSite(): Site {
  const site = useContext(SiteContext);
  if (!site) throw new Error('outside of the site');
  return site;
}

/** Time between two looks at L1's head. */
const L1_POLL_MS = 1_000;

/** Name of the head among all answers, and of what is read anew with each. */
export const HEAD = ['l1', 'head'] as const;
export const AT_HEAD = ['l1', 'at-head'] as const;

export interface L1Head {
  number: bigint;
  timestamp: bigint;
  /** L1's seconds less ours: countdowns follow L1's clock. */
  offset: number;
}

export function useL1Head() {
  const { l1 } = useSite();
  return useQuery({
    queryKey: HEAD,
    queryFn: async (): Promise<L1Head> => {
      const { number, timestamp } = await l1.getBlock();
      return { number, timestamp, offset: Number(timestamp) - Date.now() / 1_000 };
    },
    refetchInterval: L1_POLL_MS,
    // The same block seen later is no other clock.
    structuralSharing: (old, fresh) => {
      const before = old as L1Head | undefined;
      return before && before.number === (fresh as L1Head).number ? before : fresh;
    },
  });
}

/** Reads anew what depends on L1's head. A read that still runs is not begun again: the next block comes soon. */
export function useRefreshPerBlock() {
  const queries = useQueryClient();
  const number = useL1Head().data?.number;
  useEffect(() => void queries.invalidateQueries({ queryKey: AT_HEAD }, { cancelRefetch: false }), [queries, number]);
}
