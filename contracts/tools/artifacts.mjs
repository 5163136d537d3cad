#!/usr/bin/env node
// Writes artifacts/<Name>.json with what Rust and the pages read of forge's output: abi, bytecode, deployedBytecode.
// `--check` writes nothing and fails when a committed artifact differs from a fresh build.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CONTRACTS = [
  'DevnetMetis', 'Staking', 'SequencerSet', 'DepositQueue', 'Portal', 'BatchRegistry',
  'OutputRegistry', 'OutputGame', 'InsurancePool', 'Slashing', 'Rewards', 'TimelockController', 'L1Bridge',
  'L1Block', 'GasPriceOracle', 'L2ToL1MessagePasser', 'L2SequencerSet', 'FeeVault', 'L2Bridge',
  'BridgedTokenFactory', 'BridgedToken',
];

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, 'artifacts');
const check = process.argv.includes('--check');

function trimmed(name) {
  const built = JSON.parse(readFileSync(join(root, 'out', `${name}.sol`, `${name}.json`), 'utf8'));
  const code = (field) => {
    const { object, linkReferences } = built[field];
    if (Object.keys(linkReferences ?? {}).length !== 0) throw new Error(`${name} needs a linked library`);
    if (!/^0x[0-9a-f]+$/.test(object)) throw new Error(`${name} has no ${field}`);
    return object;
  };
  const trimmedArtifact = { abi: built.abi, bytecode: code('bytecode'), deployedBytecode: code('deployedBytecode') };
  return `${JSON.stringify(trimmedArtifact, null, 1)}\n`;
}

const stale = [];
mkdirSync(target, { recursive: true });
for (const name of CONTRACTS) {
  const file = join(target, `${name}.json`);
  const fresh = trimmed(name);
  if (check) {
    if (!existsSync(file) || readFileSync(file, 'utf8') !== fresh) stale.push(name);
  } else {
    writeFileSync(file, fresh);
  }
}
const unknown = readdirSync(target).filter((file) => !CONTRACTS.includes(file.replace(/\.json$/, '')));
if (unknown.length !== 0) stale.push(...unknown);
if (stale.length !== 0) {
  console.error(`artifacts differ from the sources: ${stale.join(', ')}; run \`npm run artifacts\``);
  process.exit(1);
}
console.log(`${CONTRACTS.length} artifacts ${check ? 'are up to date' : 'written'}`);
