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
  return { what, body, expected: [code, differs?.ours ?? []].flat(2), method: isCall ? second : undefined };
}

/** Whether no answer at all is right. */
const mayBeSilent = (expected) => [expected].flat().includes('silent');

async function overHttp({ body, expected, method }) {
  const { status, text } = await post(url, body);
  if (text === '' && status === 200 && mayBeSilent(expected)) return;
  assert.ok([200, 400, 413].includes(status), `status ${status}`);
  // Subscriptions need a connection that stays.
  judge(JSON.parse(text), method === 'eth_subscribe' ? -32601 : expected);
}

async function overWebSocket({ body, expected }) {
  const text = await line.ask(body, mayBeSilent(expected) ? SENTINEL : undefined);
  // As geth does after what is no JSON.
  if (text === null && [expected].flat().includes(-32700)) return;
  if (mayBeSilent(expected)) {
    if (JSON.parse(text).id === 'sentinel') return;
    assert.equal(JSON.parse(await line.next()).id, 'sentinel');
  }
  judge(JSON.parse(text), expected);
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
