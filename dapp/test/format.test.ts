import { describe, expect, it, test } from 'vitest';
import { ago, basisPoints, coin, count, duration, exact, metis, parseMetis, percent, short } from '../src/format';
import { readExtraData } from '../src/network/rpc';
import { link, parseRoute } from '../src/router';

const METIS = 10n ** 18n;

test.each([
  [0n, '0'], [1n, '< 0.01'], [METIS, '1'], [1_234_567_890_000_000_000_000n, '1,234.56'],
  // Never more than there is.
  [1_999_999_999_999_999_999n, '1.99'],
])('%d wei are %s METIS', (wei, text) => expect(metis(wei)).toBe(text));

test.each([
  ['1', METIS], ['1,234.5', 1_234_500_000_000_000_000_000n], [' .5 ', METIS / 2n], ['0.000000000000000001', 1n],
  ['', undefined], ['0', undefined], ['-1', undefined], ['1e5', undefined], ['0.0000000000000000001', undefined], ['1.2.3', undefined],
  ['99999999999999999999999999999', undefined],
])('%j as an amount', (text, wei) => expect(parseMetis(text)).toBe(wei));

it('reads back what it fills in', () => {
  for (const wei of [1n, METIS - 1n, 12_345_678_901_234_567_890n]) expect(parseMetis(exact(wei))).toBe(wei);
});

test.each([
  [-5, '0 s'], [0, '0 s'], [0.2, '1 s'], [59, '59 s'], [60, '1 min'], [61, '1 min 1 s'], [3_600, '1 h'], [90_061, '1 d 1 h'], [21 * 86_400, '21 d'],
])('%d seconds', (seconds, text) => expect(duration(seconds)).toBe(text));

describe('small things', () => {
  it('writes parts of a whole', () => {
    expect(percent(1, 3)).toBe('33.3\u00a0%');
    expect(percent(2n, 0n)).toBe('–');
    expect(basisPoints(250)).toBe('2.5\u00a0%');
    expect(count(1_234_567n)).toBe('1,234,567');
    expect(short('0x1234567890abcdef')).toBe('0x1234…cdef');
    expect(coin(7n)).toBe('7 wei');
    expect(coin(METIS / 4n)).toBe('0.25 METIS');
    expect(ago(1_000, 62_000)).toBe('1 min 1 s ago');
  });

  it('reads milliseconds and leader from the extra data', () => {
    const leader = '0x29e12a89a490df5152071c01a45f286dbe37abf9';
    expect(readExtraData(`0x01015f${leader.slice(2)}`)).toEqual({ millis: 351, leader });
    expect(readExtraData('0x')).toEqual({ millis: 0, leader: null });
  });
});

test.each([
  ['', 'staking'], ['#/staking', 'staking'], ['#/staking/register', 'register'], [link.operator(3n), 'operator'], ['#/staking/x', 'unknown'],
  [link.network, 'network'], [link.block(12), 'block'], [link.block(`0x${'ab'.repeat(32)}`), 'block'], [link.transaction(`0x${'ab'.repeat(32)}`), 'transaction'],
  [link.address(`0x${'ab'.repeat(20)}`), 'address'], ['#/network/tx/0x12', 'unknown'], ['#/network/block/-1', 'unknown'], ['#/elsewhere', 'unknown'],
])('%s leads to %s', (hash, page) => expect(parseRoute(hash).page).toBe(page));
