// Bytecode as its authors published it, from node packages.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** { abi, bytecode } of a compiled contract in a node package. */
export function published(path) {
  const { abi, bytecode } = require(path);
  return { abi, bytecode: bytecode.startsWith('0x') ? bytecode : `0x${bytecode}` };
}

/** Runtime code by the name of its constant, from the list of contracts that OP chains are born with. */
export function preinstalled(name) {
  const source = readFileSync(require.resolve('@eth-optimism/contracts-bedrock/src/libraries/Preinstalls.sol'), 'utf8');
  const found = source.match(new RegExp(`${name}\\s*=\\s*hex"([0-9a-f]+)"`));
  if (!found) throw new Error(`${name} is not in Preinstalls.sol`);
  return found[1];
}

/** Creation code of a runtime code that takes no constructor: copies what follows these 11 bytes, and returns it. */
export function creating(runtime) {
  const size = (runtime.length / 2).toString(16).padStart(4, '0');
  return `0x61${size}80600a3d393df3${runtime}`;
}
