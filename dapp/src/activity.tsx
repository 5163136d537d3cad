// Transactions on their way: each is simulated, signed in the wallet, sent and mined, and says so; one at a time.
import { useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useCallback, useContext, useMemo, useRef, useState } from 'react';
import type { Abi, Address, Hash } from 'viem';
import { useConnection, useWriteContract } from 'wagmi';
import { useSite } from './site';
import { explain } from './errors';
import { Hex } from './ui';

/** One call of an action. */
export interface Call {
  title: string;
  address: Address;
  abi: Abi | readonly unknown[];
  functionName: string;
  args: readonly unknown[];
}

type Phase = 'checking' | 'wallet' | 'sent' | 'mined' | 'failed';

interface Entry {
  id: number;
  title: string;
  phase: Phase;
  hash?: Hash;
  reason?: string;
}

interface Activity {
  /** Whether an action runs: nothing else can be submitted then. */
  busy: boolean;
  /** Runs calls one after the other; true when all were mined. */
  run: (calls: Call[]) => Promise<boolean>;
}

const ActivityContext = createContext<Activity>({ busy: false, run: () => Promise.resolve(false) });

export const useActivity = () => useContext(ActivityContext);

/** Time a success stays on the screen. */
const SUCCESS_MS = 8_000;
/** Longest wait for a transaction to be mined. */
const MINED_MS = 180_000;
const WORDS: Record<Phase, string> = {
  checking: 'is checked against the contract…',
  wallet: 'waits for your wallet: confirm it there.',
  sent: 'is sent, and waits for a block on L1…',
  mined: 'is done.',
  failed: 'did not happen.',
};

export function ActivityProvider({ children }: { children: ReactNode }) {
  const { l1, config } = useSite();
  const { address } = useConnection();
  const queries = useQueryClient();
  const write = useWriteContract();
  const [entries, setEntries] = useState<Entry[]>([]);
  const [busy, setBusy] = useState(false);
  const running = useRef(false);
  const next = useRef(1);

  const close = useCallback((id: number) => setEntries((all) => all.filter((entry) => entry.id !== id)), []);
  const writeAsync = write.mutateAsync;

  const one = useCallback(
    async (call: Call): Promise<boolean> => {
      const id = next.current++;
      const update = (change: Partial<Entry>) =>
        setEntries((all) => all.map((entry) => (entry.id === id ? { ...entry, ...change } : entry)));
      setEntries((all) => [...all.slice(-3), { id, title: call.title, phase: 'checking' }]);
      const request = { address: call.address, abi: call.abi as Abi, functionName: call.functionName, args: call.args };
      try {
        if (!address) throw new Error('Connect a wallet first.');
        await l1.simulateContract({ ...request, account: address });
        update({ phase: 'wallet' });
        const hash = await writeAsync({ ...request, chainId: config.l1.chainId });
        update({ phase: 'sent', hash });
        const receipt = await l1.waitForTransactionReceipt({ hash, timeout: MINED_MS });
        await queries.invalidateQueries({ queryKey: ['l1'] });
        if (receipt.status !== 'success') {
          // The chain has moved between check and block: the same call now says why.
          await l1.simulateContract({ ...request, account: address, blockNumber: receipt.blockNumber });
          throw new Error('The transaction was mined, but reverted. Try again.');
        }
        update({ phase: 'mined' });
        setTimeout(() => close(id), SUCCESS_MS);
        return true;
      } catch (error) {
        update({ phase: 'failed', reason: explain(error) });
        return false;
      }
    },
    [address, close, config, l1, queries, writeAsync],
  );

  const run = useCallback(
    async (calls: Call[]) => {
      if (running.current) return false;
      running.current = true;
      setBusy(true);
      try {
        for (const call of calls) if (!(await one(call))) return false;
        return true;
      } finally {
        running.current = false;
        setBusy(false);
      }
    },
    [one],
  );

  const value = useMemo(() => ({ busy, run }), [busy, run]);
  return (
    <ActivityContext value={value}>
      {children}
      <div className="toasts" role="log" aria-live="polite" aria-label="Your transactions">
        {entries.map((entry) => (
          <Toast key={entry.id} entry={entry} onClose={() => close(entry.id)} />
        ))}
      </div>
    </ActivityContext>
  );
}

const STEPS: Phase[] = ['checking', 'wallet', 'sent', 'mined'];

function Toast({ entry, onClose }: { entry: Entry; onClose: () => void }) {
  const reached = STEPS.indexOf(entry.phase);
  return (
    <div className={`toast ${entry.phase}`}>
      <p>
        <strong>{entry.title}</strong> {WORDS[entry.phase]}
      </p>
      {entry.reason ? <p className="reason">{entry.reason}</p> : null}
      {entry.hash ? (
        <p className="note">
          L1 transaction <Hex value={entry.hash} />
        </p>
      ) : null}
      {entry.phase === 'failed' ? null : (
        <ol className="steps" aria-hidden="true">
          {STEPS.map((step, index) => (
            <li key={step} className={index <= reached ? 'reached' : undefined} />
          ))}
        </ol>
      )}
      <button type="button" className="close" aria-label={`Close: ${entry.title}`} onClick={onClose}>
        ×
      </button>
    </div>
  );
}
