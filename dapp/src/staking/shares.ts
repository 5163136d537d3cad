// The arithmetic of contracts/src/libraries/ShareMath.sol and of the exit queue in StakingBase.sol, for previews. The contract has the
// last word: every call carries the least it may give.

const VIRTUAL_SHARES = 1_000n;
const VIRTUAL_ASSETS = 1n;
/** What a price may move between preview and block, basis points. */
export const TOLERANCE_BASIS_POINTS = 50n;

export interface Totals {
  shares: bigint;
  assets: bigint;
}

/** Shares that `amount` buys, rounded down. */
export function toShares(amount: bigint, pool: Totals): bigint {
  return (amount * (pool.shares + VIRTUAL_SHARES)) / (pool.assets + VIRTUAL_ASSETS);
}

/** What `shares` pay, rounded down. */
export function toAssets(shares: bigint, pool: Totals): bigint {
  return (shares * (pool.assets + VIRTUAL_ASSETS)) / (pool.shares + VIRTUAL_SHARES);
}

/** Shares to burn for `amount`, rounded up. */
export function sharesFor(amount: bigint, pool: Totals): bigint {
  const divisor = pool.assets + VIRTUAL_ASSETS;
  return (amount * (pool.shares + VIRTUAL_SHARES) + divisor - 1n) / divisor;
}

/** The least that is still accepted. */
export function atLeast(expected: bigint): bigint {
  return (expected * (10_000n - TOLERANCE_BASIS_POINTS)) / 10_000n;
}

/** What a move between two pools would buy. */
export function moved(shares: bigint, from: Totals, to: Totals): bigint {
  return toShares(toAssets(shares, from), to);
}

export interface ExitQueue {
  slot: bigint;
  used: bigint;
  limit: bigint;
  churnPeriod: bigint;
  unbondingDelay: bigint;
}

/** When a request for `amount` made at `now` (unix seconds) would be released: the end of its last slot plus the delay. */
export function releaseAt(amount: bigint, now: bigint, queue: ExitQueue): bigint {
  const current = now / queue.churnPeriod;
  let [slot, used] = queue.slot < current ? [current, 0n] : [queue.slot, queue.used];
  let rest = amount;
  for (;;) {
    const room = used < queue.limit ? queue.limit - used : 0n;
    if (rest <= room) return (slot + 1n) * queue.churnPeriod + queue.unbondingDelay;
    rest -= room;
    slot += 1n;
    used = 0n;
  }
}

const SECONDS_A_YEAR = 31_536_000;

export interface Earner {
  weight: bigint;
  stake: bigint;
  delegated: bigint;
  commission: number;
}

/**
 * What a delegated METIS earns in a year out of the reward stream, as a fraction: the operator's part of the rate by weight, spread over
 * all that is staked with it, less commission. Turns are drawn and signatures paid by weight, so an operator that misses none gets
 * that. Fees come on top. Zero while the stream is empty.
 */
export function yearlyRate(earner: Earner, totalWeight: bigint, rate: bigint, streamFunds: bigint): number {
  const staked = earner.stake + earner.delegated;
  if (!streamFunds || !totalWeight || !staked) return 0;
  const income = (Number(rate) * SECONDS_A_YEAR * Number(earner.weight)) / Number(totalWeight);
  return (income / Number(staked)) * (1 - earner.commission / 10_000);
}
