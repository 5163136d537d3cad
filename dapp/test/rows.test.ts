import { expect, it, test } from 'vitest';
import { naming } from '../src/network/names';
import type { Batch } from '../src/network/rpc';
import type { Directory, Operator, Staking } from '../src/staking/data';
import { recordOf } from '../src/staking/record';
import { arrange, rowsOf } from '../src/staking/rows';
import { standing, urlOf } from '../src/staking/standing';

const METIS = 10n ** 18n;
const address = (digit: number): `0x${string}` => `0x${String(digit).repeat(40)}`;

function operator(id: bigint, change: Partial<Operator> = {}): Operator {
  const pool = { series: 0, shares: 0n, assets: 0n, price: METIS, unvested: 0n, vestedBy: 0n, commission: 0, nextCommission: 0, commissionFrom: 0n };
  return {
    id, pool, signer: address(Number(id)), owner: address(9), recipient: address(9), pendingOwner: address(0), stake: 20_000n * METIS, rewards: 0n,
    frozen: false, away: false, exited: false, lastReleaseAt: 0n, weight: 20_000n, caseAt: 0n, ...change,
  };
}

function stakingOf(operators: Operator[]): Staking {
  return {
    block: 1n, time: 1_000n, operators, totalStaked: 0n, totalDelegated: 0n, totalUnbonding: 0n, minStake: 20_000n * METIS, maxStake: 100_000n * METIS,
    maxWeight: 300_000n, whitelisted: false, commissionNotice: 20n, rate: METIS, streamFunds: METIS,
    queue: { slot: 0n, used: 0n, limit: 1n, churnPeriod: 10n, unbondingDelay: 60n },
  };
}

const directory: Directory = {
  upTo: 9n, newest: 2n,
  metadata: new Map([[1n, { name: 'Eunomia', url: 'https://example.org/' }], [2n, { name: 'Dike', url: 'javascript:alert(1)' }]]),
  snapshots: new Map([[1n, [2n, 1n]], [2n, [1n, 2n]]]),
};

const batch = (snapshotId: bigint, bitmap: bigint | null, turns = 0n): Batch => ({
  index: 1, hash: '0x', first: 1, last: 2, snapshotId, status: 'safe', bitmap, turns, signedWeight: 1, totalWeight: 1, signers: [], stateRoot: '0x', inclusion: null,
});

test.each([
  ['active', {}], ['frozen', { frozen: true, exited: true }], ['leaving', { exited: true, lastReleaseAt: 2_000n }], ['left', { exited: true, lastReleaseAt: 500n }],
  ['on leave', { away: true, weight: 0n }], ['jailed', { away: true, stake: METIS }], ['inactive', { weight: 0n }],
])('%s', (expected, change) => expect(standing(operator(1n, change), stakingOf([]), directory)).toBe(expected));

it('waits for a snapshot that names it', () => expect(standing(operator(3n), stakingOf([]), directory)).toBe('waiting'));

it('counts signatures and turns by the place in each batch’s own set', () => {
  // Operator 1 is the second member of snapshot 1 and the first of snapshot 2.
  const batches = [batch(1n, 0b10n, 3n << 8n), batch(1n, 0b01n), batch(2n, 0b01n, 2n), batch(2n, null, 5n), batch(7n, 0b11n)];
  expect(recordOf(1n, batches, directory)).toEqual({ signed: 2, of: 3, turns: 5 });
  expect(recordOf(3n, batches, directory)).toEqual({ signed: 0, of: 0, turns: 0 });
});

it('sorts, finds and filters', () => {
  const staking = stakingOf([operator(1n), operator(2n, { stake: 50_000n * METIS, weight: 50_000n }), operator(3n, { away: true, weight: 0n })]);
  const rows = rowsOf(staking, directory, []);
  const ids = (found: typeof rows) => found.map((row) => Number(row.operator.id));
  expect(ids(arrange(rows, { key: 'total', down: true }, '', 'all'))).toEqual([2, 3, 1]);
  expect(ids(arrange(rows, { key: 'name', down: false }, '', 'all'))).toEqual([2, 1, 3]);
  expect(ids(arrange(rows, { key: 'name', down: false }, 'EUNO', 'all'))).toEqual([1]);
  expect(ids(arrange(rows, { key: 'name', down: false }, address(3), 'all'))).toEqual([3]);
  expect(ids(arrange(rows, { key: 'name', down: false }, '', 'on leave'))).toEqual([3]);
  expect(rows[1]?.share).toBeCloseTo(5 / 7);
});

it('opens only addresses that a browser may', () => {
  expect(urlOf(1n, directory)).toBe('https://example.org/');
  expect(urlOf(2n, directory)).toBeUndefined();
});

it('names a signer by its operator, else by its node, else by itself', () => {
  const node = { name: 'sequencer-2', role: 'sequencer', url: 'http://127.0.0.1:1', ask: () => Promise.reject(new Error('unused')) };
  const name = naming([{ node, status: { signer: address(3) } as never }], stakingOf([operator(1n), operator(3n)]), directory);
  expect([name(address(1)), name(address(3)), name(address(5))]).toEqual(['Eunomia', 'sequencer-2', '0x5555…5555']);
});
