#!/usr/bin/env node
// Runs the tests and fails when there are none: a damaged build cache makes forge find no tests and exit 0.
// The last line is `N passed, N failed`. Further arguments go to forge.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const forge = join(root, 'node_modules', '.bin', 'forge');
const run = spawnSync(forge, ['test', '--json', ...process.argv.slice(2)], {
  cwd: root, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024, stdio: ['ignore', 'pipe', 'inherit'],
});
if (run.error) {
  console.error(`forge cannot be started (${run.error.code}); run \`npm ci\` in contracts/`);
  process.exit(1);
}

let suites;
try {
  suites = JSON.parse(run.stdout);
} catch {
  console.error(run.stdout);
  console.error('forge test gave no JSON');
  process.exit(1);
}

let passed = 0;
let failed = 0;
for (const [suite, { test_results: tests }] of Object.entries(suites)) {
  for (const [name, { status, reason, counterexample }] of Object.entries(tests)) {
    if (status === 'Success') {
      passed += 1;
    } else {
      failed += 1;
      console.error(`${status}: ${suite} ${name}: ${reason ?? ''} ${counterexample ? JSON.stringify(counterexample) : ''}`);
    }
  }
}
if (passed + failed === 0) console.error('no tests were found: run `npx forge clean`');
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 && run.status === 0 ? 0 : 1);
