import { describe, expect, it, test } from 'vitest';
import { atLeast, type ExitQueue, moved, releaseAt, sharesFor, toAssets, toShares, yearlyRate } from '../src/staking/shares';

const METIS = 10n ** 18n;
const EMPTY = { shares: 0n, assets: 0n };

describe('shares', () => {
  it('has a thousand shares to the wei in an untouched pool', () => {
    expect(toShares(METIS, EMPTY)).toBe(1_000n * METIS);
    expect(toAssets(1_000n * METIS, { shares: 1_000n * METIS, assets: METIS })).toBe(METIS);
  });

  it('gives nobody more than was paid, whatever the pool is worth', () => {
    for (const assets of [1n, 7n, METIS, 3n * METIS + 1n, 10n ** 26n]) {
      for (const amount of [1n, 999n, METIS, 12_345n * METIS]) {
        const pool = { shares: 1_000n * METIS, assets };
        const shares = toShares(amount, pool);
        const after = { shares: pool.shares + shares, assets: pool.assets + amount };
        expect(toAssets(shares, after)).toBeLessThanOrEqual(amount);
        expect(toAssets(sharesFor(amount, after), after)).toBeGreaterThanOrEqual(amount > after.assets ? 0n : amount);
      }
    }
  });

  it('asks for half a percent less than expected at the least', () => {
    expect(atLeast(10_000n)).toBe(9_950n);
    expect(atLeast(METIS) < METIS).toBe(true);
  });

  it('moves what the shares are worth', () => {
    const from = { shares: 1_000n * METIS, assets: 2n * METIS };
    expect(moved(500n * METIS, from, EMPTY)).toBe(toShares(toAssets(500n * METIS, from), EMPTY));
  });
});

const QUEUE: ExitQueue = { slot: 0n, used: 0n, limit: 100n, churnPeriod: 10n, unbondingDelay: 60n };
test.each([
  ['an empty queue: the slot of now', 50n, {}, 1_010n + 60n],
  ['exactly what a slot holds', 100n, {}, 1_010n + 60n],
  ['one more goes into the next slot', 101n, {}, 1_020n + 60n],
  ['three slots', 300n, {}, 1_030n + 60n],
  ['behind others', 50n, { slot: 102n, used: 80n }, 1_040n + 60n],
  ['a full slot has no room', 1n, { slot: 100n, used: 100n }, 1_020n + 60n],
  ['a limit that fell below what is used', 1n, { slot: 100n, used: 150n }, 1_020n + 60n],
])('release with %s', (_, amount, change, expected) => expect(releaseAt(amount, 1_005n, { ...QUEUE, ...change })).toBe(expected));

describe('yearly rate', () => {
  const earner = { weight: 25n, stake: 20n * METIS, delegated: 5n * METIS, commission: 1_000 };

  it('is the part of the stream by weight, over what is staked, less commission', () => {
    // A quarter of one METIS a second, over 25 METIS, less a tenth.
    expect(yearlyRate(earner, 100n, METIS, METIS)).toBeCloseTo((31_536_000 * 0.25 * 0.9) / 25, 3);
  });

  it('is nothing without funds, weight or stake', () => {
    expect(yearlyRate(earner, 100n, METIS, 0n)).toBe(0);
    expect(yearlyRate(earner, 0n, METIS, METIS)).toBe(0);
    expect(yearlyRate({ ...earner, weight: 0n }, 100n, METIS, METIS)).toBe(0);
    expect(yearlyRate({ ...earner, stake: 0n, delegated: 0n }, 100n, METIS, METIS)).toBe(0);
  });
});
