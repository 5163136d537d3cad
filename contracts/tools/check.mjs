#!/usr/bin/env node
// Everything a change to contracts/ has to pass. The tests come last, so that their count is the closing line.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const forge = join(root, 'node_modules', '.bin', 'forge');
const steps = [
  ['format', forge, ['fmt', '--check']],
  ['build', forge, ['build', '--deny', 'warnings']],
  ['artifacts', process.execPath, [join(root, 'tools', 'artifacts.mjs'), '--check']],
  ['gas', forge, ['snapshot', '--check', '--nmt', '^(testFuzz|invariant)']],
  ['tests', process.execPath, [join(root, 'tools', 'test.mjs')]],
];
for (const [name, command, args] of steps) {
  const run = spawnSync(command, args, { cwd: root, encoding: 'utf8', stdio: name === 'tests' ? 'inherit' : 'pipe' });
  if (run.error || run.status !== 0) {
    console.error(`${run.stdout ?? ''}${run.stderr ?? ''}`);
    console.error(`contracts: ${name} failed${run.error ? ` (${run.error.code}; run \`npm ci\` in contracts/)` : ''}`);
    process.exit(1);
  }
  if (name !== 'tests') console.log(`contracts: ${name} ok`);
}
