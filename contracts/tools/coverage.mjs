#!/usr/bin/env node
// Coverage of src/ by all tests, file by file; fails below 95 % of lines or 90 % of branches of the whole. Not a part of
// `check`, because forge compiles everything anew for it, without the optimizer; tests of gas are left out for that reason.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LINES = 95;
const BRANCHES = 90;
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const forge = join(root, 'node_modules', '.bin', 'forge');
const run = spawnSync(forge, ['coverage', '--report', 'summary', '--no-match-test', '_gas(Of|_)'], {
  cwd: root, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024,
});
const rows = (run.stdout ?? '').split('\n').map((line) => line.split('|').map((cell) => cell.trim()).slice(1));
const sum = { lines: [0, 0], branches: [0, 0] };
for (const [name, lines, , branches] of rows) {
  if (!name?.startsWith('src/')) continue;
  console.log(`${name.padEnd(36)} lines ${lines.padEnd(22)} branches ${branches}`);
  for (const [kind, cell] of [['lines', lines], ['branches', branches]]) {
    const [, hit, all] = /\((\d+)\/(\d+)\)/.exec(cell).map(Number);
    sum[kind][0] += hit;
    sum[kind][1] += all;
  }
}
if (run.status !== 0 || sum.lines[1] === 0) {
  console.error(`${run.stdout}${run.stderr}`);
  console.error('forge coverage failed');
  process.exit(1);
}
const percent = ([hit, all]) => (100 * hit) / all;
console.log(`src: ${percent(sum.lines).toFixed(2)} % of lines, ${percent(sum.branches).toFixed(2)} % of branches`);
process.exit(percent(sum.lines) >= LINES && percent(sum.branches) >= BRANCHES ? 0 : 1);
