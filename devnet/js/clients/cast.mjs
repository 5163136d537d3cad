// Foundry's cast against the running network: each step is one command as a person types it.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { devnet, nodes, probes, tagsMove, until } from '../lib/network.mjs';

const bundled = new URL('../../../contracts/node_modules/@foundry-rs/cast-linux-amd64/bin/cast', import.meta.url).pathname;
const binary = existsSync(bundled) ? bundled : 'cast';
const run = promisify(execFile);
const { Probe } = probes();
const { address, privateKey } = devnet.accounts[3];
const folder = mkdtempSync(join(tmpdir(), 'horae-cast-'));
const node = nodes[2 % nodes.length];
const env = { ...process.env, ETH_RPC_URL: node.rpc, NO_COLOR: '1', FOUNDRY_DISABLE_NIGHTLY_WARNING: '1' };
const CHANGED = 'Changed(address,uint256,uint256,string)';
const SET = 'set(uint256,uint256,string)';

/** One command; its output without the last line break. */
async function cast(...args) {
  const { stdout } = await run(binary, args, { env, cwd: folder, timeout: 30_000, maxBuffer: 1 << 24 });
  return stdout.trimEnd();
}

/** Executes a block up to a transaction in cast's own EVM. Unless told, cast takes a chain it does not know for an L1, which has no deposits. */
async function again(hash) {
  const { stdout } = await run(binary, ['run', hash], { env: { ...env, FOUNDRY_NETWORK: 'optimism' }, cwd: folder, timeout: 30_000 });
  return stdout;
}

const send = async (...args) => JSON.parse(await cast('send', '--json', '--private-key', privateKey, ...args));

describe('cast', () => {
  let probe;
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('chain, client, balance', async () => {
    assert.equal(await cast('chain-id'), String(devnet.chainId));
    assert.match(await cast('client'), /^[\w.-]+\//);
    assert.ok(BigInt(await cast('balance', address)) > 9_000n * 10n ** 18n);
    assert.ok(BigInt(await cast('gas-price')) > 0n);
  });

  test('deploy, call, storage', async () => {
    const receipt = await send('--create', Probe.bytecode + '7'.padStart(64, '0'));
    probe = receipt.contractAddress;
    assert.equal(await cast('call', probe, 'START()(uint256)'), '7');
    assert.equal(BigInt(await cast('storage', probe, '1')), 7n);
    assert.equal(await cast('codesize', probe), String((await cast('code', probe)).length / 2 - 1));
  });

  test('send, event, transaction, receipt', async () => {
    const receipt = await send(probe, SET, '1', '42', 'gegossen', '--value', '3');
    assert.equal(receipt.status, '0x1');
    assert.equal(receipt.logs[0].topics[0], await cast('keccak', CHANGED));
    assert.equal(await cast('call', probe, 'values(uint256)(uint256)', '1'), '42');
    assert.equal(JSON.parse(await cast('tx', receipt.transactionHash, '--json')).value, '0x3');
    assert.equal(JSON.parse(await cast('receipt', receipt.transactionHash, '--json')).blockHash, receipt.blockHash);
    const logs = JSON.parse(await cast('logs', '--json', '--from-block', '0', '--address', probe, CHANGED));
    assert.deepEqual(logs.map((log) => [log.transactionHash, log.data]), [[receipt.transactionHash, receipt.logs[0].data]]);
    const [value, note] = JSON.parse(await cast('decode-event', '--json', '--sig', 'Changed(uint256,string)', receipt.logs[0].data));
    assert.deepEqual([String(value), note], ['42', 'gegossen']);
  });

  test('logs over WebSocket', async () => {
    const listening = spawn(binary, ['logs', '--subscribe', '--rpc-url', node.ws, '--address', probe, CHANGED], { env, cwd: folder });
    try {
      let heard = '';
      listening.stdout.on('data', (part) => { heard += part; });
      const sent = [];
      // cast does not say when its subscription stands, so there is an event until it hears one.
      await until(async () => {
        sent.push(await send(probe, SET, '11', String(sent.length), 'live'));
        return /transactionIndex: /.test(heard);
      }, 'an event');
      const of = (member) => heard.match(new RegExp(`${member}: (\\S+)`))[1];
      const told = sent.find((receipt) => receipt.transactionHash === of('transactionHash'));
      assert.ok(told, `nobody sent ${of('transactionHash')}`);
      assert.deepEqual([of('blockHash'), of('data'), of('address').toLowerCase()], [told.blockHash, told.logs[0].data, probe.toLowerCase()]);
      assert.ok(told.logs[0].topics.every((topic) => heard.includes(topic)));
    } finally {
      listening.kill();
    }
  });

  test('estimate and revert reasons', async () => {
    assert.ok(Number(await cast('estimate', probe, SET, '1', '1', 'x')) > 21_000);
    await assert.rejects(cast('call', probe, 'complain(string)', 'so nicht'), /so nicht/);
    const refused = await cast('calldata', 'Refused(address,uint256)', address, '5');
    await assert.rejects(cast('call', '--from', address, probe, 'refuse(uint256)', '5'), (error) => error.stderr.includes(refused.slice(2)) || error.stderr.includes('Refused'));
    await assert.rejects(cast('estimate', probe, 'silent()'), /revert/);
  });

  test('typed data', async () => {
    const file = join(folder, 'letter.json');
    writeFileSync(file, JSON.stringify({
      domain: { name: 'Probe', version: '1', chainId: devnet.chainId, verifyingContract: probe },
      primaryType: 'Letter',
      types: {
        EIP712Domain: [
          { name: 'name', type: 'string' }, { name: 'version', type: 'string' },
          { name: 'chainId', type: 'uint256' }, { name: 'verifyingContract', type: 'address' },
        ],
        Letter: [{ name: 'from', type: 'address' }, { name: 'amount', type: 'uint256' }, { name: 'text', type: 'string' }],
      },
      message: { from: address, amount: 12, text: 'gegossen' },
    }));
    const signature = await cast('wallet', 'sign', '--private-key', privateKey, '--data', '--from-file', file);
    const [r, s, v] = [signature.slice(0, 66), `0x${signature.slice(66, 130)}`, String(Number(`0x${signature.slice(130)}`))];
    const signer = await cast('call', probe, 'reader(address,uint256,string,uint8,bytes32,bytes32)(address)', address, '12', 'gegossen', v, r, s);
    assert.equal(signer.toLowerCase(), address.toLowerCase());
  });

  test('traces', async () => {
    const receipt = await send(probe, SET, '8', '88', 'traced');
    const frame = JSON.parse(await cast('rpc', 'debug_traceTransaction', receipt.transactionHash, '{"tracer":"callTracer"}'));
    assert.deepEqual([frame.type, frame.gasUsed], ['CALL', receipt.gasUsed]);
    const called = await cast('call', '--trace', probe, 'values(uint256)(uint256)', '8');
    assert.match(called, /\[Return\] 0x0{62}58/);
    const [trace] = JSON.parse(await cast('trace', receipt.transactionHash));
    assert.deepEqual([trace.action.from, trace.action.to, trace.result.gasUsed], [receipt.from, probe.toLowerCase(), receipt.gasUsed]);
  });

  test('a block executed again here comes to the same gas, event and reason', async () => {
    const receipt = await send(probe, SET, '9', '99', 'again');
    const told = await again(receipt.transactionHash);
    assert.equal(Number(told.match(/Gas used: (\d+)/)[1]), Number(receipt.gasUsed));
    assert.ok([...receipt.logs[0].topics, receipt.logs[0].data].every((word) => told.includes(word)), told);
    const failed = await send(probe, 'complain(string)', 'bezahlt', '--gas-limit', '100000');
    assert.equal(failed.status, '0x0');
    assert.match(await again(failed.transactionHash), /\[Revert\] bezahlt/);
  });

  test('access list', async () => {
    const { accessList, gasUsed } = JSON.parse(await cast('access-list', '--json', probe, 'sum(uint256)', '4', '--from', address));
    assert.equal(accessList.find((one) => one.address.toLowerCase() === probe.toLowerCase()).storageKeys.length, 4);
    const receipt = await send(probe, 'sum(uint256)', '4', '--access-list', JSON.stringify(accessList));
    assert.equal(receipt.gasUsed, gasUsed);
    assert.deepEqual(JSON.parse(await cast('tx', receipt.transactionHash, '--json')).accessList, accessList);
  });

  test('delegation', async () => {
    const [wallet] = JSON.parse(await cast('wallet', 'new', '--json'));
    const authorization = await cast('wallet', 'sign-auth', probe, '--private-key', wallet.private_key, '--chain', String(devnet.chainId), '--nonce', '0');
    const receipt = await send(wallet.address, SET, '6', '66', 'delegated', '--auth', authorization);
    assert.equal(receipt.type, '0x4');
    assert.equal(await cast('code', wallet.address), `0xef0100${probe.slice(2)}`.toLowerCase());
    assert.equal(await cast('call', wallet.address, 'values(uint256)(uint256)', '6'), '66');
  });

  test('blocks by tag, age, base fee, proof', async () => {
    const { blockNumber } = await send(probe, SET, '10', '10', 'final');
    await tagsMove((tag) => cast('block', tag, '-f', 'number'), blockNumber);
    assert.equal(await cast('call', '--block', 'finalized', probe, 'values(uint256)(uint256)', '10'), '10');
    assert.ok(Number(await cast('basefee')) > 0);
    const proof = JSON.parse(await cast('proof', probe, '0x1'));
    assert.equal(proof.storageProof.length, 1);
    assert.equal(Number(await cast('nonce', address)), Number(await cast('rpc', 'eth_getTransactionCount', address, 'latest').then((text) => JSON.parse(text))));
  });
});
