// What an operator did in the last batches: the registry's certificates say who signed and whose turns were served.
import type { Batch } from '../network/rpc';
import type { Directory } from './data';

export interface OperatorRecord {
  /** Batches it signed. */
  signed: number;
  /** Batches it could have signed: those of sets it was a member of. */
  of: number;
  /** Turns it served. */
  turns: number;
}

/** Its place in the batch's set; undefined if it was no member, or the snapshot is not known yet. */
export function placeIn(batch: Batch, id: bigint, directory: Directory): number | undefined {
  const place = directory.snapshots.get(batch.snapshotId)?.indexOf(id) ?? -1;
  return place < 0 ? undefined : place;
}

export const signedBy = (batch: Batch, place: number): boolean => ((batch.bitmap ?? 0n) >> BigInt(place)) % 2n === 1n;

/** Turns that ended in the batch: eight bits a member. */
export const turnsOf = (batch: Batch, place: number): number => Number((batch.turns >> BigInt(place * 8)) & 0xffn);

export function recordOf(id: bigint, batches: Batch[], directory: Directory): OperatorRecord {
  const record = { signed: 0, of: 0, turns: 0 };
  for (const batch of batches) {
    const place = placeIn(batch, id, directory);
    if (place === undefined || batch.bitmap === null) continue;
    record.of += 1;
    record.signed += signedBy(batch, place) ? 1 : 0;
    record.turns += turnsOf(batch, place);
  }
  return record;
}
