// Where an operator stands, and how people call it.
import type { Tone } from '../ui';
import type { Directory, Operator, Staking } from './data';

export type Standing = 'active' | 'waiting' | 'inactive' | 'on leave' | 'jailed' | 'frozen' | 'leaving' | 'left';

export const STANDINGS: Record<Standing, { tone: Tone; means: string }> = {
  active: { tone: 'good', means: 'is in the newest set: it leads turns and signs batches' },
  waiting: { tone: 'calm', means: 'has weight, and joins with the next snapshot if it is among the heaviest' },
  inactive: { tone: 'warn', means: 'has no weight: too little self-stake' },
  'on leave': { tone: 'warn', means: 'is away by its own wish: its stake stays, without weight' },
  jailed: { tone: 'bad', means: 'is away with less self-stake than the minimum, as after a slash' },
  frozen: { tone: 'bad', means: 'has an open case of misbehaviour against it: no weight, nothing may enter' },
  leaving: { tone: 'warn', means: 'has exited; its stake is on its way out' },
  left: { tone: 'calm', means: 'has exited, and its stake is out' },
};

export function standing(operator: Operator, staking: Staking, directory: Directory | undefined): Standing {
  if (operator.frozen) return 'frozen';
  if (operator.exited) return operator.lastReleaseAt > staking.time ? 'leaving' : 'left';
  if (operator.away) return operator.stake < staking.minStake ? 'jailed' : 'on leave';
  if (operator.weight === 0n) return 'inactive';
  const set = directory?.snapshots.get(directory.newest);
  return set && !set.includes(operator.id) ? 'waiting' : 'active';
}

export function nameOf(id: bigint, directory: Directory | undefined): string {
  return directory?.metadata.get(id)?.name.trim() || `Operator ${id}`;
}

/** An operator's own address on the web, if it is one that a browser may open. */
export function urlOf(id: bigint, directory: Directory | undefined): string | undefined {
  const url = directory?.metadata.get(id)?.url;
  return url && URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) ? url : undefined;
}
