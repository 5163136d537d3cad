// Ways to send what a library would refuse to send, and what an answer must look like.
import assert from 'node:assert/strict';
import net from 'node:net';
import { request, Agent } from 'node:http';
import WebSocket from 'ws';

/** Longest wait for an answer: the server's own limit is 30 s. */
export const PATIENCE_MS = 40_000;
/** Longest an innocent request may wait while the node is under attack, on a machine that the attacker shares. */
export const INNOCENT_MS = 5_000;
/** Longest wait over WebSocket, where this server's limits end every request sooner. */
const SOCKET_MS = 8_000;
/** Longest error message that is still a message. */
const MAX_MESSAGE = 1_000;

const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** A request. */
export const one = (method, params, id = 1) => ({ jsonrpc: '2.0', id, method, params });

/** What asks a node one thing over HTTP. */
export const asking = (url) => async (method, params) => JSON.parse((await post(url, JSON.stringify(one(method, params)))).text);

/** The value, and an error when it took longer. */
export async function inTime(work, milliseconds = PATIENCE_MS) {
  const begin = Date.now();
  const result = await work;
  assert.ok(Date.now() - begin <= milliseconds, `took ${Date.now() - begin} ms`);
  return result;
}

/** POSTs a body; { status, text }. A connection that the server cuts has status 0. */
export function post(url, body, headers = {}) {
  return new Promise((resolve) => {
    const bytes = Buffer.from(body);
    const sent = request(url, {
      agent, method: 'POST', headers: { 'content-type': 'application/json', 'content-length': bytes.length, ...headers }, timeout: PATIENCE_MS,
    }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }));
      response.on('error', () => resolve({ status: 0, text: '' }));
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve({ status: 0, text: '' }));
    sent.end(bytes);
  });
}

/** Sends raw bytes, in pieces if asked, and returns what came until the other side closed or the time was over. */
export function raw(url, pieces, { pauseMs = 0, waitMs = 3_000 } = {}) {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const parts = [];
    const socket = net.connect(Number(port), hostname, async () => {
      for (const piece of [pieces].flat()) {
        if (socket.destroyed) break;
        socket.write(piece);
        if (pauseMs > 0) await new Promise((next) => { setTimeout(next, pauseMs); });
      }
    });
    const done = () => { socket.destroy(); resolve(Buffer.concat(parts).toString('latin1')); };
    const timer = setTimeout(done, waitMs);
    socket.on('data', (part) => parts.push(part));
    socket.on('error', () => {});
    socket.on('close', () => { clearTimeout(timer); done(); });
  });
}

/** A WebSocket that answers in order. */
export class Line {
  constructor(url) {
    this.url = url;
    this.waiting = [];
    this.heard = [];
  }

  async open() {
    if (this.socket?.readyState === WebSocket.OPEN) return;
    this.waiting = [];
    this.heard = [];
    this.socket = new WebSocket(this.url, { maxPayload: 1 << 28 });
    this.socket.on('message', (data) => this.deliver(data.toString()));
    this.socket.on('close', () => this.deliver(null));
    this.socket.on('error', () => {});
    await new Promise((resolve, reject) => { this.socket.once('open', resolve); this.socket.once('error', reject); });
  }

  deliver(text) {
    const next = this.waiting.shift();
    if (next) next(text);
    else if (text !== null) this.heard.push(text);
  }

  /** Sends one message, or two; the first answer, null when the server closed the line instead. */
  async ask(body, then) {
    await this.open();
    this.socket.send(body);
    if (then) this.socket.send(then);
    return this.next();
  }

  next() {
    if (this.heard.length > 0) return this.heard.shift();
    if (this.socket.readyState !== WebSocket.OPEN) return null;
    return new Promise((resolve, reject) => {
      // What comes late must not be taken for the next answer: the line is given up.
      const timer = setTimeout(() => { this.close(); this.socket = undefined; reject(new Error('no answer over WebSocket')); }, SOCKET_MS);
      this.waiting.push((text) => { clearTimeout(timer); resolve(text); });
    });
  }

  close() {
    this.socket?.terminate();
  }
}

/** One JSON-RPC answer with what is expected of it; throws when it is anything else. */
export function judge(answer, expected) {
  if (Array.isArray(answer) && [expected].flat().includes('batch')) {
    answer.forEach((one) => judge(one, [-32600, -32700]));
    return;
  }
  assert.ok(answer && typeof answer === 'object' && !Array.isArray(answer), 'the answer is no object');
  assert.equal(answer.jsonrpc, '2.0');
  assert.ok('id' in answer, 'the answer has no id');
  const wanted = [expected].flat();
  if ('result' in answer) {
    assert.ok(!('error' in answer), 'a result and an error');
    assert.ok(wanted.includes('ok'), `a result, expected ${wanted}: ${JSON.stringify(answer.result).slice(0, 200)}`);
    return;
  }
  const { code, message } = answer.error;
  assert.ok(Number.isInteger(code) && typeof message === 'string' && message.length > 0, 'a malformed error');
  assert.ok(message.length <= MAX_MESSAGE, `a message of ${message.length} characters`);
  assert.ok(!/panic|unwrap|\.rs:\d/.test(message), message);
  assert.ok(wanted.includes(code), `code ${code}, expected ${wanted}: ${message}`);
}
