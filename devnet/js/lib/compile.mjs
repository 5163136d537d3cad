// Compiles contracts/Probe.sol with the compiler from npm and prints { Probe: { abi, bytecode }, Bomb: … }; no download, 2 s.
import { readFileSync } from 'node:fs';
import solc from 'solc';

export function compiled() {
  const content = readFileSync(new URL('../contracts/Probe.sol', import.meta.url), 'utf8');
  const input = {
    language: 'Solidity',
    sources: { 'Probe.sol': { content } },
    settings: {
      evmVersion: 'cancun',
      optimizer: { enabled: true, runs: 200 },
      outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
    },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const wrong = (output.errors ?? []).filter((entry) => entry.severity === 'error');
  if (wrong.length > 0) throw new Error(wrong.map((entry) => entry.formattedMessage).join('\n'));
  return Object.fromEntries(Object.entries(output.contracts['Probe.sol']).map(([name, { abi, evm }]) => (
    [name, { abi, bytecode: `0x${evm.bytecode.object}` }]
  )));
}

if (process.argv[1] === new URL(import.meta.url).pathname) console.log(JSON.stringify(compiled()));
