// What no table can hold: bombs in code, floods, connections that never end. After each, the node must answer at once. Bombs for
// traces, simulations and log queries are in bombs.mjs.
import assert from 'node:assert/strict';
import net from 'node:net';
import { afterEach, before, describe, test } from 'node:test';
import { encodeFunctionData } from 'viem';
import WebSocket from 'ws';
import { nodes, party, probes, rpc } from '../lib/network.mjs';
import './bombs.mjs';
import { INNOCENT_MS, Line, asking, inTime, judge, one, post, raw } from './wire.mjs';

const { rpc: url, ws } = nodes[0];
const MILLION = 1_000_000n;
const ask = asking(url);
const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });
/** Refused or failed, the request's time is up, the answer is too large, too much was asked. */
const [FAILED, TIME, ANSWER, LIMIT] = [-32000, -32002, -32003, -32005];

/** Transactions of one account that may wait for another. */
const QUEUED = 64;
/** Changes of a good transaction, and why they are refused. */
const REFUSED = [
  [{ nonce: 0 }, /^nonce too low: next nonce \d+, tx nonce 0$/],
  [{ value: 10n ** 30n }, /^insufficient funds for gas \* price \+ value: /],
  [{ gas: 10n ** 12n }, /^transaction gas limit too high \(cap: 16777216, tx: 1000000000000\)$/],
  [{ gas: 20_999n }, /^intrinsic gas too low: gas 20999, minimum needed 21000$/],
  [{ chainId: 1 }, /^invalid chain id for signer: have 1 want \d+$/],
  [{ maxFeePerGas: 1n }, /^transaction underpriced: gas fee cap 1, /],
  [{ maxPriorityFeePerGas: 0n }, /^transaction underpriced: gas tip cap 0, /],
  [{ data: `0x${'ff'.repeat(200_000)}`, gas: 16n * MILLION }, /^oversized data/],
];

describe('attacks', () => {
  const me = party(7, url);
  let bomb;
  const code = (functionName, args = []) => encodeFunctionData({ abi: bomb.abi, functionName, args });
  const call = (functionName, args, gas) => [{ to: bomb.address, from: me.address, data: code(functionName, args), ...(gas && { gas }) }, 'latest'];

  before(async () => { bomb = await me.deploy(probes().Bomb); });
  afterEach(async () => { await inTime(rpc(url, 'eth_getBlockByNumber', ['latest', false]), INNOCENT_MS); });

  describe('code', () => {
    for (const [what, name, args] of [
      ['endless loop', 'spin', []], ['recursion', 'recurse', []], ['endless hashing', 'hash', [100_000n]], ['dear precompiles', 'precompiles', []],
      ['memory of a terabyte', 'grow', [1n << 40n]], ['memory beyond all', 'grow', [1n << 255n]], ['an answer of 100 MB', 'shout', [100n * MILLION]], ['a million logs', 'cry', [MILLION]],
    ]) {
      // Each level of a recursion keeps a 64th of the gas, with which it ends well.
      const wanted = name === 'recurse' ? 'ok' : FAILED;
      for (const gas of [undefined, '0x7fffffffffffffff', '0xffffffffffffffff']) {
        test(`${what} in eth_call with gas ${gas}`, async () => judge(await inTime(ask('eth_call', call(name, args, gas))), wanted));
      }
      test(`${what} in eth_estimateGas`, async () => judge(await inTime(ask('eth_estimateGas', call(name, args))), wanted));
      test(`${what} in eth_createAccessList`, async () => judge(await inTime(ask('eth_createAccessList', call(name, args))), 'ok'));
    }

    test('an answer of four megabytes, and ten of them in a batch', async () => {
      const big = call('shout', [4n * MILLION]);
      judge(await ask('eth_call', big), 'ok');
      const { text } = await post(url, JSON.stringify(Array.from({ length: 10 }, (_, index) => one('eth_call', big, index))));
      const answers = [JSON.parse(text)].flat();
      assert.ok(text.length < 26 * 1_024 * 1_024 && answers.some((answer) => answer.error?.code === ANSWER));
    });

    test('32 endless loops at once delay nobody', async () => {
      const loops = Promise.all(Array.from({ length: 32 }, () => ask('eth_call', call('hash', [100_000n], '0xffffffffffffffff'))));
      for (let turn = 0; turn < 5; turn += 1) {
        await inTime(rpc(url, 'eth_getBlockByNumber', ['latest', true]), INNOCENT_MS);
        await inTime(rpc(url, 'eth_getBalance', [me.address, 'latest']), INNOCENT_MS);
      }
      (await loops).forEach((answer) => judge(answer, [FAILED, TIME]));
    });

    test('an endless loop as a transaction is included, failed and paid for', async () => {
      const receipt = await me.wait(me.wallet.sendTransaction({ to: bomb.address, data: code('spin'), gas: 5n * MILLION }));
      assert.equal(receipt.status, 'reverted');
      assert.equal(receipt.gasUsed, 5n * MILLION);
    });
  });

  describe('batches', () => {
    const batch = async (items) => (await post(url, JSON.stringify(items))).text;
    const each = (count, method = 'eth_chainId', params = []) => Array.from({ length: count }, (_, id) => one(method, params, id));

    test('none', async () => judge(JSON.parse(await batch([])), -32600));
    test('1,000', async () => assert.equal(JSON.parse(await batch(each(1_000))).length, 1_000));
    for (const count of [1_001, 20_000, 20_001, 60_000]) {
      test(`${count}`, async () => judge([JSON.parse(await batch(each(count)))].flat()[0], count > 20_000 ? -32010 : -32600));
    }
    for (const item of [null, 1, 'x', true, {}, [], [[]], { jsonrpc: '2.0' }, { id: 1 }]) {
      test(`of ${JSON.stringify(item)}`, async () => {
        const [first, second] = JSON.parse(await batch([item, one('eth_chainId', [], 2)]));
        judge(first, -32600);
        assert.equal(second.id, 2);
      });
    }
    test('of notifications', async () => assert.equal(await batch([{ jsonrpc: '2.0', method: 'eth_chainId' }]), ''));
    test('with the same id', async () => assert.equal(JSON.parse(await batch(each(10).map((item) => ({ ...item, id: 7 })))).length, 10));
    test('of unknown methods', async () => JSON.parse(await batch(each(100, 'nope'))).forEach((answer) => judge(answer, -32601)));
    test('of endless loops', async () => {
      [JSON.parse(await inTime(batch(each(100, 'eth_call', call('spin')))))].flat().forEach((answer) => judge(answer, [FAILED, TIME]));
    });
    test('of logs of the whole chain', async () => {
      const answers = JSON.parse(await inTime(batch(each(1_000, 'eth_getLogs', [{ fromBlock: 'earliest', toBlock: 'latest' }]))));
      // bombs.mjs has left more than one answer may hold.
      [answers].flat().forEach((answer) => judge(answer, LIMIT));
    });
    test('of subscriptions over HTTP', async () => JSON.parse(await batch(each(50, 'eth_subscribe', ['newHeads']))).forEach((answer) => judge(answer, -32601)));
  });

  describe('HTTP', () => {
    const { host } = new URL(url);
    const head = (extra, first = 'POST / HTTP/1.1') => `${first}\r\nHost: ${host}\r\n${extra}\r\n`;
    const status = (answer) => Number(answer.match(/^HTTP\/1\.[01] (\d{3})/)?.[1] ?? 0);
    const body = JSON.stringify(one('eth_chainId', []));
    const json = 'Content-Type: application/json\r\n';
    for (const [what, bytes, wanted] of [
      ['GET', head('', 'GET / HTTP/1.1'), 200],
      ['PUT', head(`${json}Content-Length: 0\r\n`, 'PUT / HTTP/1.1'), 405],
      ['DELETE', head('', 'DELETE / HTTP/1.1'), 405],
      ['TRACE', head('', 'TRACE / HTTP/1.1'), 405],
      ['no content type', head(`Content-Length: ${body.length}\r\n`) + body, 415],
      ['text', head(`Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n`) + body, 415],
      ['a form', head(`Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n`) + body, 415],
      ['another host', `POST / HTTP/1.1\r\nHost: evil.example\r\n${json}Content-Length: ${body.length}\r\n\r\n${body}`, 403],
      ['a body announced too long', head(`${json}Content-Length: 100000000\r\n`), 413],
      ['a length that is none', head(`${json}Content-Length: x\r\n`), 400],
      ['a negative length', head(`${json}Content-Length: -1\r\n`), 400],
      ['two lengths', head(`${json}Content-Length: 1\r\nContent-Length: 2\r\n`), 400],
      ['length and chunks', head(`${json}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`) + '0\r\n\r\n', 400],
      ['a chunk that is none', head(`${json}Transfer-Encoding: chunked\r\n`) + 'zz\r\n', 400],
      ['a chunk size beyond all', head(`${json}Transfer-Encoding: chunked\r\n`) + 'ffffffffffffffffff\r\n', 400],
      ['a header without colon', head('nonsense\r\n'), 400],
      ['a header of 2 MB', head(`X: ${'x'.repeat(2_000_000)}\r\n`), 431],
      ['10,000 headers', head(Array.from({ length: 10_000 }, (_, index) => `X-${index}: 1\r\n`).join('')), 431],
      ['a path of 100 kB', head('', `POST /${'a'.repeat(100_000)} HTTP/1.1`), 414],
      ['no HTTP', 'hello\r\n\r\n', 400],
      ['binary', Buffer.from([0, 1, 2, 255, 254, 22, 3, 1]), 400],
      ['TLS', Buffer.from('16030100c8010000c40303', 'hex'), 400],
      ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 0],
      ['HTTP/0.9', 'GET /\r\n', 400],
      ['HTTP/9.9', 'GET / HTTP/9.9\r\n\r\n', 400],
      ['an upgrade to nothing', head('Connection: Upgrade\r\nUpgrade: nothing\r\n', 'GET / HTTP/1.1'), 405],
      ['a WebSocket without key', head('Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n', 'GET / HTTP/1.1'), 400],
      ['a WebSocket of a foreign page', head(`Origin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n`, 'GET / HTTP/1.1'), 101],
    ]) {
      test(what, async () => {
        const found = status(await raw(url, bytes, { waitMs: 1_500 }));
        assert.equal(found, wanted);
      });
    }

    test('an endless chunked body is cut', async () => {
      const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`;
      const found = status(await raw(url, [head(`${json}Transfer-Encoding: chunked\r\n`), ...Array(160).fill(chunk)], { waitMs: 8_000 }));
      // The answer is lost when the connection is cut before it is read.
      assert.ok([413, 0].includes(found), `status ${found}`);
    });

    test('fifty bodies that come byte by byte', async () => {
      const slow = Array.from({ length: 50 }, () => raw(url, [head(`${json}Content-Length: 1000\r\n`), ...Array(20).fill('{')], { pauseMs: 100, waitMs: 2_500 }));
      for (let turn = 0; turn < 10; turn += 1) {
        await inTime(rpc(url, 'eth_blockNumber'), INNOCENT_MS);
        await pause(100);
      }
      await Promise.all(slow);
    });

    test('fifty heads that never end', async () => {
      const slow = Array.from({ length: 50 }, () => raw(url, ['POST / HTTP/1.1\r\n', ...Array(20).fill('X: y\r\n')], { pauseMs: 100, waitMs: 2_500 }));
      await inTime(rpc(url, 'eth_blockNumber'), INNOCENT_MS);
      await Promise.all(slow);
    });

    test('700 connections that say nothing, then none', async () => {
      const { hostname, port } = new URL(url);
      const sockets = Array.from({ length: 700 }, () => net.connect(Number(port), hostname).on('error', () => {}));
      await pause(1_000);
      sockets.forEach((socket) => socket.destroy());
      const deadline = Date.now() + 10_000;
      for (;;) {
        const height = await rpc(url, 'eth_blockNumber').catch(() => null);
        if (height) break;
        assert.ok(Date.now() < deadline, 'the node does not answer after the flood');
        await pause(100);
      }
    });

    test('200 requests nobody waits for', async () => {
      const bytes = `${head(`${json}Content-Length: ${body.length}\r\n`)}${body}`;
      await Promise.all(Array.from({ length: 200 }, () => raw(url, bytes.repeat(20), { waitMs: 20 })));
    });
  });

  describe('WebSocket', () => {
    const connected = () => new Promise((resolve, reject) => {
      const socket = new WebSocket(ws, { maxPayload: 1 << 28 });
      socket.on('error', reject);
      socket.on('open', () => resolve(socket));
    });
    const closed = (socket) => new Promise((resolve) => { socket.on('close', resolve); socket.on('error', () => {}); setTimeout(resolve, 5_000); });

    test('binary frames', async () => {
      const line = new Line(ws);
      judge(JSON.parse(await line.ask(Buffer.from(JSON.stringify(one('eth_chainId', []))))), 'ok');
      line.close();
    });

    test('a message of 20 MB', async () => {
      const socket = await connected();
      socket.send('x'.repeat(20_000_000));
      await closed(socket);
      socket.terminate();
    });

    test('frames without mask, reserved bits, lengths that lie', async () => {
      for (const bytes of ['8105', '810568656c6c6f', 'f18500000000', '81ff7fffffffffffffff00000000', '89fe00ff00000000', '8b80', 'ffffffffffff']) {
        const socket = await connected();
        socket._socket.write(Buffer.from(bytes, 'hex'));
        await pause(50);
        socket.terminate();
      }
    });

    test('ten thousand pings', async () => {
      const socket = await connected();
      for (let turn = 0; turn < 10_000; turn += 1) socket.ping();
      socket.terminate();
    });

    test('ten thousand requests nobody reads', async () => {
      const socket = await connected();
      socket._socket.pause();
      const big = JSON.stringify(one('eth_getBlockByNumber', ['latest', true]));
      for (let turn = 0; turn < 10_000; turn += 1) socket.send(big);
      await pause(1_000);
      await inTime(rpc(url, 'eth_blockNumber'), INNOCENT_MS);
      socket.terminate();
    });

    test('more subscriptions than a connection may have', async () => {
      const line = new Line(ws);
      const answers = [];
      for (let turn = 0; turn < 1_030; turn += 1) answers.push(JSON.parse(await line.ask(JSON.stringify(one('eth_subscribe', ['logs', {}], turn)))));
      line.close();
      assert.ok(answers.filter((answer) => answer.result).length <= 1_024);
      assert.ok(answers.at(-1).error, 'the 1,030th subscription was taken');
    });

    test('subscriptions of a line that is cut are forgotten', async () => {
      for (let turn = 0; turn < 50; turn += 1) {
        const line = new Line(ws);
        judge(JSON.parse(await line.ask(JSON.stringify(one('eth_subscribe', ['newHeads'])))), 'ok');
        line.close();
      }
    });

    test('to unsubscribe what is not ours', async () => {
      const line = new Line(ws);
      const answer = JSON.parse(await line.ask(JSON.stringify(one('eth_unsubscribe', ['0x1']))));
      judge(answer, 'ok');
      assert.equal(answer.result, false);
      line.close();
    });
  });

  describe('state', () => {
    test('12,000 filters', async () => {
      for (let turn = 0; turn < 12; turn += 1) {
        const answers = JSON.parse((await post(url, JSON.stringify(Array.from({ length: 1_000 }, (_, id) => one('eth_newBlockFilter', [], id))))).text);
        answers.forEach((answer) => judge(answer, ['ok', LIMIT]));
      }
      judge(await ask('eth_newBlockFilter', []), LIMIT);
    });

    test('nonces, funds, gas, fees and chains that are refused, each for its own reason', async () => {
      const nonce = await me.client.getTransactionCount({ address: me.address, blockTag: 'pending' });
      const base = { to: me.address, value: 0n, gas: 21_000n, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n, nonce, chainId: me.client.chain.id, type: 'eip1559' };
      for (const [change, reason] of REFUSED) {
        const answer = await ask('eth_sendRawTransaction', [await me.account.signTransaction({ ...base, ...change })]);
        judge(answer, FAILED);
        assert.match(answer.error.message, reason);
      }
    });

    test('2,000 transactions that will never have a predecessor', async () => {
      const used = await me.client.getTransactionCount({ address: me.address });
      const signed = [];
      for (let index = 0; index < 2_000; index += 1) {
        signed.push(await me.account.signTransaction({ to: me.address, gas: 21_000n, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n, nonce: used + 2 + index, chainId: me.client.chain.id, type: 'eip1559' }));
      }
      const answers = [];
      for (let begin = 0; begin < signed.length; begin += 500) {
        const items = signed.slice(begin, begin + 500).map((transaction, id) => one('eth_sendRawTransaction', [transaction], id));
        answers.push(...JSON.parse((await post(url, JSON.stringify(items))).text));
      }
      const refused = answers.filter((answer) => answer.error);
      assert.equal(answers.length - refused.length, QUEUED);
      refused.forEach((answer) => {
        judge(answer, FAILED);
        assert.match(answer.error.message, /^account limit exceeded: queued 64$/);
      });
    });
  });
});
