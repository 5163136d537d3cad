// Every case of cases.mjs over HTTP and over WebSocket, against the first sequencer.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { nodes, rpc } from '../lib/network.mjs';
import * as groups from './cases.mjs';
import { Line, judge, post } from './wire.mjs';

const { rpc: url, ws } = nodes[0];
const SENTINEL = '{"jsonrpc":"2.0","id":"sentinel","method":"eth_chainId","params":[]}';
/** Over WebSocket there is no way to ask for nothing but by asking something else. */
const line = new Line(ws);

function normal([what, second, third, fourth, fifth]) {
  const isCall = Array.isArray(third) && typeof second === 'string' && !/[{["]/.test(second) && fourth !== undefined && /^[a-z0-9]+_[a-zA-Z0-9]+$/.test(second);
  const [body, code, differs] = isCall
    ? [JSON.stringify({ jsonrpc: '2.0', id: 1, method: second, params: third }), fourth, fifth]
    : [second, third, fourth];
  const ours = differs?.ours ?? code;
  // Subscriptions need a connection that stays.
  return { what, body, onHttp: isCall && second === 'eth_subscribe' ? -32601 : ours, onWebSocket: ours };
}

async function overHttp({ body, onHttp }) {
  const { status, text } = await post(url, body);
  assert.ok([200, 400, 413].includes(status), `status ${status}`);
  if (onHttp === 'silent') assert.deepEqual([status, text], [200, '']);
  else judge(JSON.parse(text), onHttp);
}

async function overWebSocket({ body, onWebSocket }) {
  const silent = onWebSocket === 'silent';
  const text = await line.ask(body, silent ? SENTINEL : undefined);
  if (silent) assert.equal(JSON.parse(text).id, 'sentinel', text);
  else judge(JSON.parse(text), onWebSocket);
}

describe('hostile requests', () => {
  after(() => line.close());
  for (const [group, cases] of Object.entries(groups)) {
    for (const one of cases.map(normal)) {
      test(`${group}: ${one.what} (HTTP)`, () => overHttp(one));
      test(`${group}: ${one.what} (WebSocket)`, () => overWebSocket(one));
    }
    test(`after ${group} the node still knows its chain`, async () => assert.ok(BigInt(await rpc(url, 'eth_blockNumber')) > 0n));
  }
});
