import { formatUnits, parseUnits } from 'viem';

const grouped = (digits: number) => new Intl.NumberFormat('en', { maximumFractionDigits: digits });

/** METIS wei for people: 12,345.68; what is not zero never looks like zero. */
export function metis(wei: bigint, digits = 2): string {
  const smallest = 10n ** BigInt(18 - digits);
  if (wei > 0n && wei < smallest) return `< ${formatUnits(smallest, 18)}`;
  // Cut, not rounded: nobody is shown more than there is.
  return grouped(digits).format(formatUnits(wei - (wei % smallest), 18) as `${number}`);
}

/** METIS wei exactly, for input fields. */
export const exact = (wei: bigint): string => formatUnits(wei, 18);

/** What somebody typed as METIS; undefined unless it is a positive amount with at most 18 decimals. */
export function parseMetis(text: string): bigint | undefined {
  const clean = text.trim().replaceAll(/[, ']/g, '');
  if (!/^(\d+\.?\d{0,18}|\.\d{1,18})$/.test(clean)) return undefined;
  const wei = parseUnits(clean, 18);
  return wei > 0n && wei < 1n << 96n ? wei : undefined;
}

export const count = (value: number | bigint): string => grouped(0).format(value);

/** A part of a whole as percent; a dash of nothing. */
export function percent(part: number | bigint, whole: number | bigint, digits = 1): string {
  if (!Number(whole)) return '–';
  return `${((Number(part) / Number(whole)) * 100).toFixed(digits)}\u00a0%`;
}

/** Basis points as percent: 250 is 2.5 %. */
export const basisPoints = (points: number): string => `${grouped(2).format(points / 100)}\u00a0%`;

/** 0x1234…abcd. */
export const short = (hex: string): string => (hex.length > 14 ? `${hex.slice(0, 6)}…${hex.slice(-4)}` : hex);

/** A span of seconds in its two largest units: 21 d 4 h, 1 min 5 s. */
export function duration(seconds: number): string {
  const rest = Math.max(0, Math.ceil(seconds));
  const parts: [number, string][] = [
    [Math.floor(rest / 86_400), 'd'],
    [Math.floor(rest / 3_600) % 24, 'h'],
    [Math.floor(rest / 60) % 60, 'min'],
    [rest % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return '0 s';
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(' ');
}

/** A moment by unix seconds, in the reader's own zone. */
export function moment(seconds: number): string {
  return new Date(seconds * 1_000).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
}

/** How long ago, by milliseconds. */
export function ago(thenMs: number, nowMs: number): string {
  const seconds = (nowMs - thenMs) / 1_000;
  return seconds < 1 ? 'now' : `${duration(Math.floor(seconds))} ago`;
}

/** METIS on L2 with all that matters: nine decimals, and wei below that. */
export const coin = (wei: bigint): string => (wei > 0n && wei < 10n ** 9n ? `${wei} wei` : `${metis(wei, 9)} METIS`);

export const gwei = (wei: bigint): string => `${grouped(4).format(formatUnits(wei, 9) as `${number}`)} gwei`;

export function bytes(size: number): string {
  return size < 1_024 ? `${size} B` : `${grouped(1).format(size / 1_024)} KiB`;
}
