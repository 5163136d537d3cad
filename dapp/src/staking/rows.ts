// The operators' table as values: one row an operator, found, filtered and sorted without a browser.
import type { Batch } from '../network/rpc';
import type { Directory, Operator, Staking } from './data';
import { type OperatorRecord, recordOf } from './record';
import { yearlyRate } from './shares';
import { nameOf, type Standing, standing } from './standing';

export interface Row {
  operator: Operator;
  name: string;
  standing: Standing;
  total: bigint;
  /** Part of the weight of all who have any. */
  share: number;
  yearly: number;
  record: OperatorRecord | undefined;
}

export function rowsOf(staking: Staking, directory: Directory | undefined, batches: Batch[] | undefined): Row[] {
  const weight = staking.operators.reduce((sum, operator) => sum + operator.weight, 0n);
  return staking.operators.map((operator) => ({
    operator,
    name: nameOf(operator.id, directory),
    standing: standing(operator, staking, directory),
    total: operator.stake + operator.pool.assets,
    share: weight ? Number(operator.weight) / Number(weight) : 0,
    yearly: yearlyRate(
      { weight: operator.weight, stake: operator.stake, delegated: operator.pool.assets, commission: operator.pool.commission },
      weight, staking.rate, staking.streamFunds,
    ),
    record: directory && batches ? recordOf(operator.id, batches, directory) : undefined,
  }));
}

export type SortKey = 'name' | 'standing' | 'total' | 'stake' | 'delegated' | 'share' | 'commission' | 'signed' | 'yearly';

const VALUES: Record<SortKey, (row: Row) => number | bigint | string> = {
  name: (row) => row.name.toLowerCase(),
  standing: (row) => row.standing,
  total: (row) => row.total,
  stake: (row) => row.operator.stake,
  delegated: (row) => row.operator.pool.assets,
  share: (row) => row.share,
  commission: (row) => row.operator.pool.commission,
  signed: (row) => (row.record?.of ? row.record.signed / row.record.of : -1),
  yearly: (row) => row.yearly,
};

export interface Sorting {
  key: SortKey;
  down: boolean;
}

export function arrange(rows: Row[], sorting: Sorting, search: string, wanted: Standing | 'all'): Row[] {
  const text = search.trim().toLowerCase();
  const value = VALUES[sorting.key];
  const found = rows.filter((row) => {
    if (wanted !== 'all' && row.standing !== wanted) return false;
    const { id, owner, signer, recipient } = row.operator;
    return !text || [row.name, `${id}`, owner, signer, recipient].some((field) => field.toLowerCase().includes(text));
  });
  return found.sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    const order = left < right ? -1 : left > right ? 1 : Number(a.operator.id - b.operator.id);
    return sorting.down ? -order : order;
  });
}
