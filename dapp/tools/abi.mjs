// Writes src/abi.generated.ts: the ABIs of the committed artifacts as constants, so that TypeScript knows every argument, result and
// error, and no bytecode reaches the browser.
import { readFileSync, writeFileSync } from 'node:fs';

const contracts = { staking: 'Staking', metis: 'DevnetMetis', rewards: 'Rewards', sequencerSet: 'SequencerSet', slashing: 'Slashing' };
const read = (name) => JSON.parse(readFileSync(new URL(`../../contracts/artifacts/${name}.json`, import.meta.url), 'utf8')).abi;
const lines = Object.entries(contracts).map(([name, file]) => `export const ${name}Abi = ${JSON.stringify(read(file))} as const;\n`);
writeFileSync(new URL('../src/abi.generated.ts', import.meta.url), lines.join(''));
