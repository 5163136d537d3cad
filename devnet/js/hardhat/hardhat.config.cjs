// A Hardhat project that deploys and tests against the running network. The compiler is the one from npm: nothing is downloaded.
const { readFileSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');
const { subtask } = require('hardhat/config');
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require('hardhat/builtin-tasks/task-names');
require('@nomicfoundation/hardhat-ethers');

const devnet = JSON.parse(readFileSync(process.env.DEVNET_JSON, 'utf8'));
const nodes = devnet.nodes.filter((node) => node.role === 'sequencer');
const work = join(process.env.HARDHAT_WORK ?? tmpdir(), `horae-hardhat-${process.pid}`);

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => {
  const solc = require('solc/package.json');
  if (solcVersion !== solc.version) throw new Error(`solc ${solc.version} is installed, not ${solcVersion}`);
  return { version: solc.version, longVersion: solc.version, compilerPath: require.resolve('solc/soljson.js'), isSolcJs: true };
});

module.exports = {
  solidity: { version: '0.8.26', settings: { evmVersion: 'cancun', optimizer: { enabled: true, runs: 200 } } },
  paths: { root: join(__dirname, '..'), sources: join(__dirname, '../contracts'), tests: __dirname, cache: join(work, 'cache'), artifacts: join(work, 'artifacts') },
  defaultNetwork: 'devnet',
  networks: {
    devnet: {
      url: nodes[3 % nodes.length].rpc,
      chainId: devnet.chainId,
      accounts: devnet.accounts.slice(6, 8).map((account) => account.privateKey),
    },
  },
  mocha: { timeout: 30_000 },
};
