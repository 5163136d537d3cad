// Code that is cheap to run and dear to record: traces, simulations, log queries. After each, the node must answer at once.
import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import { encodeFunctionData, toHex } from 'viem';
import { nodes, party, probes, rpc, until } from '../lib/network.mjs';
import { INNOCENT_MS, asking, inTime, judge } from './wire.mjs';

const { rpc: url } = nodes[0];
const MILLION = 1_000_000n;
const ask = asking(url);
/** More would have been recorded than one request may, an answer would be too large, the request's time is up, too much was asked. */
const [RECORDED, ANSWER, TIME, LIMIT] = [-32000, -32003, -32002, -32005];
/** Most gas of a call. */
const CALL_GAS = 50_000_000;
/** Results of one log query, and logs of one transaction of the query that exceeds it. */
const [MAX_LOGS, LOGS] = [20_000, 2_000n];

const ALL = ['trace', 'vmTrace', 'stateDiff'];
const STRUCT = { enableMemory: true, enableReturnData: true };
const named = (tracer, tracerConfig, more) => ({ tracer, tracerConfig, ...more });
const CALLS = named('callTracer', { withLog: true });
const MUX = named('muxTracer', { callTracer: { withLog: true }, prestateTracer: { includeEmpty: true }, flatCallTracer: {}, '4byteTracer': {} });
const within = (figure, least, most) => figure >= least && figure <= most;
/** As deep as the calls of a frame go. */
function depth(frame) {
  let frames = [frame];
  let found = 0;
  for (; frames.length > 0; found += 1) frames = frames.flatMap((each) => each.calls ?? []);
  return found;
}

/** [what, function, arguments, options, code or a check of the result]. */
const TRACED = [
  ['struct logs of an endless loop', 'spin', [], {}, RECORDED],
  ['one struct log of an endless loop', 'spin', [], { limit: 1 }, ({ structLogs, failed }) => failed && structLogs.length === 1],
  ['2^53 struct logs of an endless loop', 'spin', [], { limit: 2 ** 53 }, RECORDED],
  ['calls of an endless loop', 'spin', [], CALLS, ({ error, gasUsed }) => error === 'out of gas' && Number(gasUsed) === CALL_GAS],
  ['an endless loop with no time', 'spin', [], { timeout: '0s' }, RECORDED],
  ['an endless loop with a nanosecond', 'spin', [], named('callTracer', {}, { timeout: '1ns' }), RECORDED],
  ['an endless loop with 114 years', 'spin', [], named('noopTracer', {}, { timeout: '999999h' }), (result) => Object.keys(result).length === 0],
  ['endless hashing with 100 µs', 'hash', [100_000n], named('callTracer', {}, { timeout: '100us' }), RECORDED],
  ['memory of endless hashing', 'hash', [100_000n], STRUCT, RECORDED],
  ['calls of deep recursion', 'recurse', [], CALLS, (frame) => depth(frame) > 300],
  ['flat calls of deep recursion', 'recurse', [], named('flatCallTracer'), RECORDED],
  ['four bytes of deep recursion', 'recurse', [], named('4byteTracer'), (found) => Object.values(found).some((times) => times > 50_000)],
  ['validation of deep recursion', 'recurse', [], named('erc7562Tracer'), RECORDED],
  ['struct logs of deep recursion', 'recurse', [], STRUCT, RECORDED],
  ['all tracers on deep recursion', 'recurse', [], MUX, RECORDED],
  ['steps with 320 kB of memory each', 'steps', [200_000n, 10_000n], STRUCT, RECORDED],
  ['5 MB of steps with 320 kB of memory each', 'steps', [200_000n, 10_000n], { ...STRUCT, limit: 5_000_000 }, ({ structLogs }) => within(JSON.stringify(structLogs).length, 5_000_000, 6_000_000)],
  ['memory of a terabyte', 'grow', [1n << 40n], STRUCT, ({ failed }) => failed],
  ['30,000 logs', 'cry', [30_000n], CALLS, ({ logs }) => logs.length === 30_000],
  ['logs of 5 MB', 'roar', [1_000n, 5_000n], CALLS, ({ logs }) => logs.length === 1_000 && logs.every(({ data }) => data.length === 2 + 10_000)],
  ['logs of 5 MB and the memory at each step', 'roar', [1_000n, 5_000n], STRUCT, RECORDED],
  ['15,000 accounts', 'touch', [15_000n], named('prestateTracer', { includeEmpty: true }), (accounts) => Object.keys(accounts).length >= 15_000],
  ['15,000 accounts that do not change', 'touch', [15_000n], named('prestateTracer', { diffMode: true }), ({ post }) => Object.keys(post).length < 10],
  ['all tracers on 15,000 accounts', 'touch', [15_000n], MUX, ({ prestateTracer }) => Object.keys(prestateTracer).length >= 15_000],
  ['a thousand calls with a megabyte', 'knock', [1_000n, MILLION], CALLS, RECORDED],
  ['dear precompiles', 'precompiles', [], CALLS, ({ error, calls }) => error === 'out of gas' && calls.length > 0],
];

/** The same for trace_call: [what, function, arguments, types, code or check]. */
const PARITY = [
  ['an endless loop', 'spin', [], ['trace'], ({ trace: [{ error }] }) => error === 'Out of gas'],
  ['an endless loop, everything', 'spin', [], ALL, RECORDED],
  ['deep recursion', 'recurse', [], ['trace'], RECORDED],
  ['deep recursion, everything', 'recurse', [], ALL, RECORDED],
  ['logs of 5 MB, everything', 'roar', [1_000n, 5_000n], ALL, RECORDED],
  ['15,000 accounts, what changes', 'touch', [15_000n], ['stateDiff'], ({ stateDiff }) => Object.keys(stateDiff).length < 10],
  ['15,000 accounts, everything', 'touch', [15_000n], ALL, RECORDED],
  ['a thousand calls with a megabyte', 'knock', [1_000n, MILLION], ['trace'], RECORDED],
  ['steps with 320 kB of memory each', 'steps', [200_000n, 10_000n], ['vmTrace'], RECORDED],
];

/** Code that nobody deployed, put in by an override: [what, method, code at A, code at B, options or types, codes]. */
const [A, B] = ['0x' + 'a0'.repeat(20), '0x' + 'b0'.repeat(20)];
/** An endless loop of calls to B, and one that reads one slot after the other. */
const [KNOCKING, READING] = [`0x5b5f5f5f5f5f73${B.slice(2)}5af1505f56`, '0x5f5b80545060010160015600'];
const MADE_UP = [
  ['all slots that were read, at each step', 'debug_traceCall', READING, '0x', {}, [RECORDED]],
  ['calls side by side', 'debug_traceCall', KNOCKING, '0x', named('callTracer'), [RECORDED, ANSWER]],
  ['calls side by side, as many as may be', 'debug_traceCall', KNOCKING, '0x', named('callTracer'), [ANSWER], 23_000_000],
  ['calls side by side, all tracers', 'debug_traceCall', KNOCKING, '0x', MUX, [RECORDED, ANSWER], 23_000_000],
  ['calls side by side, validated', 'debug_traceCall', KNOCKING, '0x', named('erc7562Tracer'), [RECORDED, ANSWER], 23_000_000],
  ['a hash of memory that cannot be had', 'debug_traceCall', '0x630f0000005f2000', '0x', named('erc7562Tracer'), [RECORDED]],
  ['a megabyte of code, called again and again', 'trace_call', KNOCKING, `0x00${'5b'.repeat(1_000_000)}`, ['vmTrace'], [RECORDED]],
];

describe('bombs', () => {
  const me = party(7, url);
  let bomb;
  const call = (functionName, args = []) => ({ to: bomb.address, from: me.address, data: encodeFunctionData({ abi: bomb.abi, functionName, args }) });
  const send = async (functionName, args, gas) => me.wait(me.wallet.sendTransaction({ ...call(functionName, args), gas }));
  /** A code, or a result that passes its check. */
  const settle = async (method, params, wanted) => {
    const answer = await inTime(ask(method, params));
    if (typeof wanted === 'number') return judge(answer, wanted);
    judge(answer, 'ok');
    return assert.ok(wanted(answer.result), JSON.stringify(answer.result).slice(0, 500));
  };

  before(async () => { bomb = await me.deploy(probes().Bomb); });
  afterEach(async () => { await inTime(rpc(url, 'eth_getBlockByNumber', ['latest', false]), INNOCENT_MS); });

  describe('traces of calls', () => {
    for (const [what, name, args, options, wanted] of TRACED) {
      test(`debug_traceCall: ${what}`, () => settle('debug_traceCall', [call(name, args), 'latest', options], wanted));
    }
    for (const [what, name, args, types, wanted] of PARITY) {
      test(`trace_call: ${what}`, () => settle('trace_call', [call(name, args), types, 'latest'], wanted));
    }

    for (const [what, method, code, inner, options, wanted, gas = CALL_GAS] of MADE_UP) {
      const request = { to: A, gas: toHex(gas) };
      const overrides = { [A]: { code }, [B]: { code: inner } };
      const params = method === 'trace_call' ? [request, options, 'latest', overrides] : [request, 'latest', { ...options, stateOverrides: overrides }];
      test(`${method}: ${what}`, async () => { judge(await inTime(ask(method, params)), wanted); });
    }

    test('trace_callMany: a thousand recursions', () => (
      settle('trace_callMany', [Array(1_000).fill([call('recurse'), ['trace']]), 'latest'], RECORDED)
    ));

    test('trace_callMany: a thousand endless loops end with the time of a request', () => (
      settle('trace_callMany', [Array(1_000).fill([call('spin'), ['stateDiff']]), 'latest'], TIME)
    ));

    test('debug_traceCall: overrides of 10,000 accounts', async () => {
      const stateOverrides = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [toHex((1n << 80n) + BigInt(index), { size: 20 }), { balance: '0x7' }]));
      await settle('debug_traceCall', [call('touch', [10_000n]), 'latest', { ...named('prestateTracer'), stateOverrides }], (accounts) => (
        Object.keys(stateOverrides).every((who) => accounts[who].balance === '0x7')
      ));
    });

    test('forty at once: each is answered or refused, and nobody waits', async () => {
      const traces = Promise.all(Array.from({ length: 40 }, () => ask('debug_traceCall', [call('steps', [200_000n, 10_000n]), 'latest', STRUCT])));
      for (let turn = 0; turn < 5; turn += 1) await inTime(rpc(url, 'eth_getBalance', [me.address, 'latest']), INNOCENT_MS);
      (await traces).forEach((answer) => judge(answer, RECORDED));
    });

    test('two hundred at once: the waiting line has an end', async () => {
      const answers = await Promise.all(Array.from({ length: 200 }, () => ask('debug_traceCall', [call('hash', [100_000n]), 'latest', named('callTracer', {}, { timeout: '200ms' })])));
      answers.forEach((answer) => judge(answer, [RECORDED, TIME, LIMIT]));
      assert.ok(answers.some((answer) => answer.error.code === LIMIT), 'nobody was refused');
    });
  });

  describe('traces of blocks', () => {
    let mined;
    before(async () => { mined = await send('recurse', [], 10n * MILLION); });

    test('a recursion in a block: its calls', () => (
      settle('debug_traceTransaction', [mined.transactionHash, CALLS], ({ gasUsed }) => BigInt(gasUsed) === mined.gasUsed)
    ));
    for (const [what, method, more, wanted] of [
      ['struct logs', 'debug_traceBlockByNumber', [STRUCT], RECORDED],
      ['calls', 'debug_traceBlockByNumber', [CALLS], (traces) => traces.some(({ txHash }) => txHash === mined.transactionHash)],
      ['all tracers', 'debug_traceBlockByNumber', [MUX], (traces) => traces.some(({ txHash }) => txHash === mined.transactionHash)],
      ['everything', 'trace_replayBlockTransactions', [ALL], RECORDED],
      ['flat calls', 'trace_block', [], (traces) => traces.filter(({ transactionHash }) => transactionHash === mined.transactionHash).length > 10_000],
    ]) {
      test(`a recursion in a block: ${what}`, () => settle(method, [toHex(mined.blockNumber), ...more], wanted));
    }
    test('a recursion in a block: as Otterscan shows it', () => (
      settle('ots_traceTransaction', [mined.transactionHash], (entries) => entries.length > 10_000)
    ));
    test('a recursion in a block: through a filter', () => (
      settle('trace_filter', [{ fromBlock: toHex(mined.blockNumber), toBlock: toHex(mined.blockNumber), toAddress: [bomb.address], after: 10, count: 7 }], (traces) => (
        traces.length === 7 && traces.every(({ transactionHash }) => transactionHash === mined.transactionHash)
      ))
    ));
  });

  describe('simulations', () => {
    const simulate = (blocks, wanted, more = {}) => settle('eth_simulateV1', [{ blockStateCalls: blocks, ...more }, 'latest'], wanted);
    const USED_UP = -38026;

    test('256 blocks of endless loops', () => simulate(Array.from({ length: 256 }, () => ({ calls: [call('spin')] })), USED_UP));
    test('256 blocks of endless hashing', () => simulate(Array.from({ length: 256 }, () => ({ calls: [call('hash', [100_000n])] })), USED_UP));
    // The first one leaves what no transaction can begin with.
    test('a thousand recursions with traced transfers', () => simulate([{ calls: Array(1_000).fill(call('recurse')) }], -38013, { traceTransfers: true }));
    test('a block with all gas there is', () => (
      simulate([{ blockOverrides: { gasLimit: '0xffffffffffffffff' }, calls: [call('spin')] }], ([{ calls: [{ status, gasUsed }] }]) => status === '0x0' && Number(gasUsed) <= CALL_GAS)
    ));
    test('20,000 logs', () => simulate([{ calls: [call('cry', [20_000n])] }], ([{ calls: [{ logs }] }]) => logs.length === 20_000));
    test('70,000 accounts, and 256 empty blocks after them', async () => {
      const accounts = Array.from({ length: 70_000 }, (_, index) => [toHex((1n << 90n) + BigInt(index), { size: 20 }), { nonce: '0x1' }]);
      const base = BigInt(await rpc(url, 'eth_blockNumber', []));
      const blockStateCalls = [{ stateOverrides: Object.fromEntries(accounts) }, { blockOverrides: { number: toHex(base + 256n) } }];
      judge(await inTime(ask('eth_simulateV1', [{ blockStateCalls }, toHex(base)])), [TIME, RECORDED, 'ok']);
    });
    test('forty new accounts in each of 256 blocks', () => (
      simulate(Array.from({ length: 256 }, (_, block) => ({
        stateOverrides: Object.fromEntries(Array.from({ length: 40 }, (__, index) => [toHex((1n << 90n) + BigInt(block * 40 + index), { size: 20 }), { balance: '0x1', code: '0x00' }])),
      })), (blocks) => blocks.length === 256)
    ));
  });

  describe('logs', () => {
    const receipts = [];
    const of = (from, to) => ({ address: bomb.address, fromBlock: toHex(from), toBlock: toHex(to) });
    /** What a range of blocks should have. */
    const expected = (from, to) => Number(LOGS) * receipts.filter(({ blockNumber }) => blockNumber >= from && blockNumber <= to).length;
    let first;
    let last;

    before(async () => {
      for (let turn = 0; turn < 11; turn += 1) {
        const receipt = await send('cry', [LOGS], 3n * MILLION);
        assert.equal(receipt.logs.length, Number(LOGS));
        receipts.push(receipt);
      }
      [first, last] = [receipts[0].blockNumber, receipts.at(-1).blockNumber];
    });

    test('more than 20,000 are refused with a range that works, and the rest follows', async () => {
      const { error } = await ask('eth_getLogs', [of(first, last)]);
      assert.equal(error?.code, LIMIT);
      const [from, to] = error.message.match(/^query exceeds max results 20000, retry with the range (\d+)-(\d+)$/).slice(1).map(BigInt);
      assert.ok(from === first && to >= from && to < last, error.message);
      const [begin, rest] = await Promise.all([[from, to], [to + 1n, last]].map(([low, high]) => rpc(url, 'eth_getLogs', [of(low, high)])));
      assert.ok(begin.length <= MAX_LOGS);
      assert.deepEqual([begin.length, rest.length], [expected(from, to), expected(to + 1n, last)]);
      const seen = new Set([...begin, ...rest].map(({ blockHash, logIndex }) => `${blockHash} ${logIndex}`));
      assert.equal(seen.size, 11 * Number(LOGS));
    });

    test('a filter and its topics have the same bound', async () => {
      const filter = await rpc(url, 'eth_newFilter', [of(first, last)]);
      judge(await ask('eth_getFilterLogs', [filter]), LIMIT);
      const topics = [[toHex(0, { size: 32 }), toHex(7, { size: 32 })]];
      const few = await rpc(url, 'eth_getLogs', [{ ...of(first, last), topics }]);
      assert.equal(few.length, 2 * receipts.length);
    });

    test('one block is answered whole', async () => {
      const both = { ...call('cry', [10_500n]), gas: 12n * MILLION };
      // Two, because a transaction has 2^24 gas at most; again, should a block end between them.
      const { blockNumber, blockHash } = await until(async () => {
        const hashes = [await me.wallet.sendTransaction(both), await me.wallet.sendTransaction(both)];
        const [one, other] = await Promise.all(hashes.map(me.good));
        return one.blockHash === other.blockHash && one;
      }, 'two transactions in one block');
      for (const filter of [of(blockNumber, blockNumber), { address: bomb.address, blockHash }]) {
        assert.equal((await rpc(url, 'eth_getLogs', [filter])).length, 21_000);
      }
    });
  });
});
