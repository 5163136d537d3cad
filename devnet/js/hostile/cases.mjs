// Malformed and hostile requests with the code that geth answers (rpc/json.go, rpc/handler.go, internal/ethapi, eth/filters).
// A case is [what, body, code] or [what, method, params, code]. A code is
//   a number          an error object with exactly this code
//   'ok'              a result: odd, but geth takes it too
//   'silent'          no answer at all
//   'batch'           an array of errors
// A case may end with { ours, why }: where this server differs, `ours` is what it answers, and nothing else is right. Most come
// from jsonrpsee's types, which parse the envelope.

const rpc = (rest) => `{"jsonrpc":"2.0",${rest}}`;
const chainId = (rest) => rpc(`"method":"eth_chainId","params":[],${rest}`);
const nested = (open, close, depth) => open.repeat(depth) + close.repeat(depth);
const address = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8';
const hash = `0x${'01'.repeat(32)}`;
/** jsonrpsee tells a value that is no object, or an object without id, from broken JSON by nothing. */
const envelope = { ours: -32700, why: 'jsonrpsee has one error for what it cannot parse' };
/** Figures are parsed by alloy, which also takes JSON numbers, decimal text and no digits at all. */
const lenient = (ours) => ({ ours, why: 'alloy takes it for a number' });
const twice = { ours: -32600, why: 'serde refuses a member given twice' };
const zeros = `0x${'0'.repeat(1_000_000)}`;
const word = (digit) => `0x${digit.repeat(64)}`;
/** This many different words of this many hex digits. */
const many = (count, digits) => Array.from({ length: count }, (_, index) => `0x${(index + 1).toString(16).padStart(digits, '0')}`);

/** Not JSON at all, or JSON that is no request. */
export const bodies = [
  ...['{', '}', '[', ']', '[}', '{]', '{"jsonrpc"', '"', '\\', ',', ':', '{,}', '[,]', '{"a"}', '{"a":}', '{a:1}', 'nul', 'truefalse', '0x', '01', '-', '+1', '.5', '1.',
    '1e', '"\u0000"', '"\\x"', '"\\ud800', "{'jsonrpc':'2.0','id':1,'method':'eth_chainId'}", '<xml/>', '<?xml version="1.0"?><methodCall/>', 'GET / HTTP/1.1', '\ufeff{}',
    'undefined', 'NaN', 'Infinity', '/* */{}', '// {}', '#', '\u0000\u0000\u0000\u0000', '[1,2', '{"a":1', '{"a":1,}', '[1,]',
    chainId('"id":1').slice(0, -1), chainId('"id":1').replace('[]', '[}'), chainId('"id":1').replace('[]', '[1,]'), chainId('"id":1').replace('[]', 'NaN'),
  ].map((body) => [`body ${JSON.stringify(body).slice(0, 60)}`, body, -32700]),
  ...['null', 'true', 'false', '7', '-1', '1.5', '1e400', '"eth_chainId"', '""', '{}', ' {} ', '{"method":"eth_chainId"}', '{"jsonrpc":"2.0"}']
    .map((body) => [`no request: ${body}`, body, -32600, envelope]),
  ...['{"id":1}', '{"id":null}', '{"id":1,"method":"eth_chainId"}', rpc('"id":1'), rpc('"id":1,"method":null'), rpc('"id":1,"method":7'), rpc('"id":1,"method":[]'),
    rpc('"id":1,"method":{}'), rpc('"id":1,"method":true'), rpc('"id":1,"params":[]'),
    ...['"1.0"', '"2"', '"2.00"', '2.0', '2', 'null', 'true', '""', '["2.0"]', '{"v":"2.0"}'].map((version) => `{"jsonrpc":${version},"id":1,"method":"eth_chainId"}`),
    '{"id":1,"method":"eth_chainId","params":[]}',
  ].map((body) => [`no request: ${body}`.slice(0, 70), body, -32600]),
  ['a method without a name', rpc('"id":1,"method":""'), -32600, { ours: -32601, why: 'a name like others, and of no method' }],
  ['an answer sent as a request', rpc('"id":1,"result":"0x1"'), 'silent', { ours: -32600, why: 'it has an id to answer to' }],
  ['an error sent as a request', rpc('"id":1,"error":{"code":1,"message":"x"}'), 'silent', { ours: -32600, why: 'it has an id to answer to' }],
];

/** Ids of every type: geth takes every scalar and gives it back as it was written. */
export const ids = [
  ...['0', '1', '-1', '1.5', '-0', '1e3', '9007199254740993', '18446744073709551616', '1e400', 'true', 'false', '""', '"x"', '"\\u00e9"', `"${'i'.repeat(10_000)}"`, 'null']
    .map((id) => [`id ${id.slice(0, 30)}`, chainId(`"id":${id}`), 'ok']),
  ...['{}', '[]', '[1]', '{"a":1}', '[[]]', '[null]'].map((id) => [`id ${id}`, chainId(`"id":${id}`), -32600]),
  ['no id: a notification', rpc('"method":"eth_chainId","params":[]'), 'silent'],
  ['a notification of an unknown method', rpc('"method":"nope"'), 'silent'],
  ['an id given twice', chainId('"id":1,"id":2'), 'ok', { ours: 'silent', why: 'it has no id that can be read' }],
  ['a method given twice', rpc('"id":1,"method":"nope","method":"eth_chainId","params":[]'), 'ok', twice],
  ['parameters given twice', rpc('"id":1,"method":"eth_chainId","params":[1],"params":[]'), 'ok', twice],
  ['a version given twice', `{"jsonrpc":"1.0","jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}`, 'ok', twice],
  ['members nobody knows', chainId('"id":1,"foo":{"bar":[1,2]},"":null'), 'ok'],
  ['white space', ` \t\r\n ${chainId('"id":1')} \r\n `, 'ok'],
  ['escaped method name', rpc('"id":1,"method":"eth\\u005fchainId","params":[]'), 'ok'],
];

/** Names that are no method here, and parameters that are no array. */
export const methods = [
  ...['nope', 'eth_', '_', 'eth', 'ETH_CHAINID', 'eth_chainID', 'eth_chainId ', ' eth_chainId', 'eth_chainId\\u0000', 'eth.chainId', '../../etc/passwd', "eth_chainId'; DROP TABLE blocks; --",
    '${jndi:ldap://127.0.0.1/x}', '%s%s%s%n', '\\ud83d\\udca3', 'eth_sendTransaction', 'eth_sign', 'eth_signTypedData_v4', 'personal_unlockAccount', 'personal_listAccounts', 'miner_start',
    'admin_addPeer', 'admin_stopRPC', 'engine_newPayloadV4', 'engine_forkchoiceUpdatedV3', 'debug_setHead', 'anvil_setBalance', 'hardhat_reset', 'evm_mine', 'rpc.discover', 'system_listMethods',
    'm'.repeat(2_000)]
    .map((name) => [`method ${name.slice(0, 40)}`, rpc(`"id":1,"method":"${name}","params":[]`), -32601]),
  ['method of a megabyte', rpc(`"id":1,"method":"${'m'.repeat(1_000_000)}","params":[]`), -32601],
  ...['{}', '7', '"x"', 'true', 'false', '{"a":1}', '-1.5'].map((params) => [`params ${params}`, rpc(`"id":1,"method":"eth_chainId","params":${params}`), -32602]),
  ['params null', rpc('"id":1,"method":"eth_chainId","params":null'), 'ok'],
  ['params absent', rpc('"id":1,"method":"eth_chainId"'), 'ok'],
  ['too many parameters', 'eth_chainId', [1], -32602],
  ['far too many parameters', 'eth_blockNumber', Array(100_000).fill(1), -32602],
  ...['eth_getBalance', 'eth_getCode', 'eth_getStorageAt', 'eth_call', 'eth_sendRawTransaction', 'eth_getBlockByHash', 'eth_getBlockByNumber', 'eth_getTransactionByHash',
    'eth_getTransactionReceipt', 'eth_getBlockReceipts', 'eth_getLogs', 'eth_newFilter', 'eth_getFilterChanges', 'eth_getFilterLogs', 'eth_uninstallFilter', 'eth_feeHistory',
    'eth_getProof', 'eth_getTransactionCount', 'eth_estimateGas', 'eth_createAccessList', 'web3_sha3', 'eth_getTransactionByBlockNumberAndIndex', 'eth_getBlockTransactionCountByHash',
    'debug_getRawHeader', 'txpool_contentFrom']
    .map((name) => [`${name} without parameters`, name, [], -32602]),
];

const deep = { ours: -32602, why: 'Go stops at a depth of 10,000; what is skipped here has no depth' };

/** Depth and size. */
export const sizes = [
  ['100,000 nested arrays as a parameter', rpc(`"id":1,"method":"eth_getBalance","params":[${nested('[', ']', 100_000)}]`), -32700, deep],
  ['100,000 nested objects as a parameter', rpc(`"id":1,"method":"eth_getBalance","params":[${nested('{"a":', '', 100_000)}1${'}'.repeat(100_000)}]`), -32700, deep],
  ['two million open brackets', '['.repeat(2_000_000), -32700],
  ['half a million open objects', '{"a":'.repeat(500_000), -32700],
  ['a deep batch', nested('[', ']', 5_000), 'batch'],
  ['a call object 9,000 deep', 'eth_call', JSON.parse(`[${nested('[', ']', 4_000)}]`), -32602],
  ['a string of four megabytes', rpc(`"id":1,"method":"eth_getBalance","params":["${'f'.repeat(4_000_000)}"]`), -32602],
  ['a number of a million digits', rpc(`"id":1,"method":"eth_getBalance","params":[${'9'.repeat(1_000_000)}]`), -32602],
  ['a hundred thousand numbers', rpc(`"id":1,"method":"eth_getBalance","params":[${Array(100_000).fill(1).join(',')}]`), -32602],
  ['a million members', rpc(`"id":1,"method":"eth_call","params":[{${Array.from({ length: 200_000 }, (_, index) => `"a${index}":1`).join(',')}}]`), 'ok'],
  ['the same member 200,000 times', rpc(`"id":1,"method":"eth_call","params":[{${Array(200_000).fill('"gas":"0x1"').join(',')}}]`), -32000, { ours: -32602, why: 'serde refuses a member given twice' }],
  ['a hundred blanks', `${' '.repeat(100)}${chainId('"id":1')}`, 'ok'],
  ['four megabytes of white space', `${chainId('"id":1')}${' '.repeat(4_000_000)}`, 'ok'],
  ['four megabytes of escapes', rpc(`"id":1,"method":"web3_sha3","params":["${'\\u0030'.repeat(600_000)}"]`), -32602],
  ['a raw transaction of two megabytes', 'eth_sendRawTransaction', [`0x02${'ff'.repeat(2_000_000)}`], -32000],
  ['call data of two megabytes', 'eth_call', [{ to: address, data: `0x${'00'.repeat(2_000_000)}` }, 'latest'], 'ok'],
  ['20,000 access list entries', 'eth_call', [{ to: address, accessList: Array(20_000).fill({ address, storageKeys: [] }) }, 'latest'], 'ok'],
  ['overrides of 10,000 accounts', 'eth_call', [{ to: address }, 'latest', Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`0x${index.toString(16).padStart(40, '0')}`, { balance: '0x1' }]))], 'ok'],
  ['an override with code of a megabyte', 'eth_call', [{ to: address }, 'latest', { [address]: { code: `0x${'5b'.repeat(1_000_000)}00` } }], 'ok'],
  ['proof of 20,000 slots', 'eth_getProof', [address, Array.from({ length: 20_000 }, (_, index) => `0x${index.toString(16)}`), 'latest'], -32602],
];

const call = (object, ...more) => [{ to: address, ...object }, ...(more.length > 0 ? more : ['latest'])];

/** Values of the wrong type or form, by method. */
export const values = [
  ...[null, 7, true, [], {}, '', '0x', '0x1', '0x12', address.slice(2), `${address}00`, `${address.slice(0, 41)}g`, 'vitalik.eth', `${address} `, '0X', -1, 1.5, zeros]
    .flatMap((wrong) => [['eth_getBalance', [wrong, 'latest']], ['eth_getTransactionCount', [wrong, 'latest']], ['eth_getProof', [wrong, [], 'latest']]])
    .map(([method, params]) => [`${method} of ${JSON.stringify(params[0]).slice(0, 50)}`, method, params, -32602]),
  ...[true, [], '0x', '0x01', '0x00', '-0x1', '0x-1', '1', '0x10000000000000000', '0xzz', 'Latest', 'LATEST', 'newest', '0x1 ', ' 0x1', { blockNumber: 1 }, { blockNumber: '0x1', blockHash: hash },
    { blockHash: '0x12' }, { blockHash: hash, requireCanonical: 'yes' }, '0x1.5', '1e3', -1, 7, 1.5, zeros]
    .flatMap((wrong) => [['eth_getCode', [address, wrong]], ['eth_call', [{ to: address }, wrong]]])
    .map(([method, params]) => [`${method} at ${JSON.stringify(params[1]).slice(0, 50)}`, method, params, -32602]),
  ...[7, true, {}, [hash], '', '0x', '0x1', `${hash}00`, hash.slice(2), `${hash.slice(0, 65)}g`, 'latest']
    .flatMap((wrong) => [['eth_getTransactionByHash', [wrong]], ['eth_getTransactionReceipt', [wrong]], ['eth_getBlockByHash', [wrong, false]], ['debug_getRawTransaction', [wrong]]])
    .map(([method, params]) => [`${method} of ${JSON.stringify(params[0]).slice(0, 50)}`, method, params, -32602]),
  ['a block without the second parameter', 'eth_getBlockByNumber', ['latest'], -32602],
  ['a block with text for a bool', 'eth_getBlockByNumber', ['latest', 'yes'], -32602],
  ['a block with 1 for a bool', 'eth_getBlockByNumber', ['latest', 1], -32602],
  ['a block with three parameters', 'eth_getBlockByNumber', ['latest', false, 1], -32602],
  ['a block by a hash where a number belongs', 'eth_getBlockByNumber', [hash, false], -32602],
  ['a block far in the future', 'eth_getBlockByNumber', ['0xffffffff', false], 'ok'],
  ['an index as a number', 'eth_getTransactionByBlockNumberAndIndex', ['0x1', 0], -32602],
  ['an index with zeros', 'eth_getTransactionByBlockNumberAndIndex', ['0x1', '0x00'], -32602],
  ['an index above all', 'eth_getTransactionByBlockNumberAndIndex', ['0x1', '0xffffffff'], 'ok'],
  ['balance at a height that is not there', 'eth_getBalance', [address, '0xffffffff'], -32000],
  ['balance at a hash that is not there', 'eth_getBalance', [address, hash], -32000],
  ['storage slot too long', 'eth_getStorageAt', [address, `0x1${'0'.repeat(64)}`, 'latest'], -32602],
  ['storage slot negative', 'eth_getStorageAt', [address, '0x-1', 'latest'], -32602],
  ['storage slot no hex', 'eth_getStorageAt', [address, '0xzz', 'latest'], -32602],
  ['storage slot a number', 'eth_getStorageAt', [address, 0, 'latest'], -32602],
  ...[[{ gas: 'x' }], [{ gas: '-0x1' }], [{ gas: '0x10000000000000000' }], [{ gas: -1 }], [{ value: '-0x1' }], [{ value: `0x1${'0'.repeat(64)}` }],
    [{ data: '0x1' }], [{ data: 'zz' }], [{ data: 7 }], [{ data: '0xgg' }], [{ from: 1 }], [{ from: '0x1' }], [{ to: '0x1' }], [{ to: 7 }], [{ nonce: '0x10000000000000000' }],
    [{ gasPrice: '-0x1' }], [{ maxFeePerGas: 1.5 }], [{ accessList: {} }], [{ accessList: [{ address: '0x1' }] }], [{ accessList: [{ address, storageKeys: ['0x1'] }] }], [{ accessList: 'none' }]]
    .map(([object]) => [`eth_call with ${JSON.stringify(object).slice(0, 60)}`, 'eth_call', call(object), -32602]),
  ...[[{ gas: 21_000 }, 'ok'], [{ nonce: 1 }, 'ok'], [{ gas: '0x' }, -32000], [{ value: 1 }, -32000], [{ value: '1' }, -32000]]
    .map(([object, ours]) => [`eth_call with ${JSON.stringify(object)}`, 'eth_call', call(object), -32602, lenient(ours)]),
  ['data and input that differ', 'eth_call', call({ data: '0x01', input: '0x02' }), -32000],
  ['gas price and fee together', 'eth_call', call({ gasPrice: '0x1', maxFeePerGas: '0x1' }), -32000],
  ['a tip above the fee', 'eth_call', call({ maxPriorityFeePerGas: '0x2', maxFeePerGas: '0x1' }), -32000],
  ['another chain id', 'eth_call', call({ chainId: '0x1' }), -32000],
  ['more value than there is', 'eth_call', call({ from: `0x${'12'.repeat(20)}`, value: word('7') }), -32000],
  ...[['x'], [7], [[]], [null]].map((params) => [`eth_call of ${JSON.stringify(params)}`, 'eth_call', params, -32602]),
  ...[[[]], [{ x: {} }], [{ [address]: { balance: 'x' } }], [{ [address]: { nonce: -1 } }], [{ [address]: { code: '0x1' } }], [{ [address]: { stateDiff: [] } }], [7], ['x']]
    .map(([override]) => [`override ${JSON.stringify(override).slice(0, 60)}`, 'eth_call', call({}, 'latest', override), -32602]),
  ['state and its difference at once', 'eth_call', call({}, 'latest', { [address]: { state: {}, stateDiff: {} } }), -32000],
  ['an override of a block with text', 'eth_call', call({}, 'latest', {}, { number: 'x' }), -32602],
  ['an override of a block with a number', 'eth_call', call({}, 'latest', {}, 7), -32602],
  ['five parameters of a call', 'eth_call', call({}, 'latest', {}, {}, 1), -32602],
  ...[['x', 'latest', []], [-1, 'latest', []], [1.5, 'latest', []], ['0x1', 'latest', ['a']], ['0x1', hash, []], ['0x1', 'newest', []], ['0x1', 'latest', {}], [{}, 'latest', []]]
    .map((params) => [`eth_feeHistory ${JSON.stringify(params).slice(0, 50)}`, 'eth_feeHistory', params, -32602]),
  ['percentile below zero', 'eth_feeHistory', ['0x1', 'latest', [-1]], -32000],
  ['percentile above 100', 'eth_feeHistory', ['0x1', 'latest', [101]], -32000],
  ['percentiles that fall', 'eth_feeHistory', ['0x1', 'latest', [50, 20]], -32000],
  ['a thousand percentiles', 'eth_feeHistory', ['0x400', 'latest', Array.from({ length: 1_000 }, (_, index) => index / 10)], -32000],
  ['fee history of the future', 'eth_feeHistory', ['0x1', '0xffffffff', []], -32000],
  ...[[7], [null], [{}], [''], ['0x1'], ['zz'], ['02c0']].map((params) => [`eth_sendRawTransaction ${JSON.stringify(params)}`, 'eth_sendRawTransaction', params, -32602]),
  ...['0x', '0x00', '0x02', '0x02c0', '0x03c0', '0x04c0', '0x05c0', '0x7ec0', '0x7fc0', '0xc0', '0xf8', '0xffffffffffffffffffff', '0x80', '0xb800', '0xbfffffffffffffffff', zeros]
    .map((raw) => [`raw transaction ${raw.slice(0, 30)}`, 'eth_sendRawTransaction', [raw], -32000]),
  ...[[[]], ['x'], [7], [{ fromBlock: 1 }], [{ fromBlock: 'x' }], [{ toBlock: -1 }], [{ address: '0x1' }], [{ address: 7 }], [{ address: [7] }], [{ address: {} }], [{ topics: 'x' }], [{ topics: ['0x1'] }],
    [{ topics: [[[hash]]] }], [{ topics: [7] }], [{ topics: [{}] }], [{ blockHash: '0x1' }], [{ blockHash: hash, fromBlock: '0x1' }]]
    .flatMap((params) => [['eth_getLogs', params], ['eth_newFilter', params]])
    .map(([method, params]) => [`${method} ${JSON.stringify(params).slice(0, 60)}`, method, params, -32602]),
  ['logs of a hash that is not there', 'eth_getLogs', [{ blockHash: hash }], -32000],
  ['logs backwards', 'eth_getLogs', [{ fromBlock: '0x5', toBlock: '0x1' }], -32602],
  ['five topics', 'eth_getLogs', [{ topics: Array(5).fill(hash) }], -32602],
  ['1,001 topics', 'eth_getLogs', [{ topics: [many(1_001, 64)] }], -32602],
  ['1,000 topics', 'eth_getLogs', [{ topics: [many(1_000, 64)] }], 'ok'],
  ['10,000 times one topic', 'eth_getLogs', [{ topics: [Array(10_000).fill(hash)] }], -32602, { ours: 'ok', why: 'one is one' }],
  ['1,001 addresses', 'eth_getLogs', [{ address: many(1_001, 40) }], -32602],
  ['1,000 addresses', 'eth_getLogs', [{ address: many(1_000, 40) }], 'ok'],
  ['10,000 times one address', 'eth_getLogs', [{ address: Array(10_000).fill(address) }], -32602, { ours: 'ok', why: 'one is one' }],
  ['logs of all blocks to come', 'eth_getLogs', [{ fromBlock: '0x0', toBlock: '0xffffffffffffff' }], -32602],
  ['logs of the whole chain', 'eth_getLogs', [{ fromBlock: 'earliest', toBlock: 'latest' }], 'ok'],
  ...[[7], [null], [{}]].map((params) => [`eth_getFilterChanges ${JSON.stringify(params)}`, 'eth_getFilterChanges', params, -32602]),
  ['a filter id that is no figure', 'eth_getFilterChanges', ['x'], -32000],
  ['a filter nobody made', 'eth_getFilterChanges', ['0x1'], -32000],
  ['logs of a filter nobody made', 'eth_getFilterLogs', ['0x1'], -32000],
  ['to uninstall a filter nobody made', 'eth_uninstallFilter', ['0x1'], 'ok'],
  ['web3_sha3 of text', 'web3_sha3', ['hello'], -32602],
  ['web3_sha3 of a number', 'web3_sha3', [7], -32602],
  ['web3_sha3 of half a byte', 'web3_sha3', ['0x1'], -32602],
  ['a header by a word', 'debug_getRawHeader', ['x'], -32602],
  ['a header of the future', 'debug_getRawHeader', ['0xffffffff'], -32000],
  ['a block by an unknown hash', 'debug_getRawBlock', [hash], -32000],
  ['receipts of the future', 'debug_getRawReceipts', ['0xffffffff'], -32000],
  ['subscription without a name', 'eth_subscribe', [], -32602],
  ['subscription of nothing', 'eth_subscribe', ['nothing'], -32601],
  ['subscription to a number', 'eth_subscribe', [7], -32602],
];

const plain = { from: address, to: address };
const traced = (options) => ['debug_traceCall', [plain, 'latest', options]];
const mux = (depth, inner) => (depth === 0 ? inner : { muxTracer: mux(depth - 1, inner) });

/** Traces and simulations that are refused before anything runs, or that run and find nothing. `trace_` and `ots_` are not geth's: codes are ours. */
export const traces = [
  ...['nope', 'calltracer', 'CallTracer', ' ', '../../etc/passwd', 'm'.repeat(5_000), '{}', '{data: [], fault: function() {}, step: function() { while (true) {} }, result: function() { return 1 }}',
    '{fault: function() {}, result: function() { return process.env }}'].map((tracer) => [`tracer ${tracer.slice(0, 40)}`, ...traced({ tracer }), -32000]),
  ...[7, true, {}, []].map((tracer) => [`tracer ${JSON.stringify(tracer)}`, ...traced({ tracer }), -32602]),
  ...[null, ''].map((tracer) => [`tracer ${JSON.stringify(tracer)} stands for struct logs`, ...traced({ tracer }), 'ok']),
  ...['', '5', 'x', '1e9h', '١s', `${'9'.repeat(400)}s`].map((timeout) => [`timeout ${timeout.slice(0, 20)}`, ...traced({ timeout }), -32000]),
  ['timeout in the past', ...traced({ timeout: '-1s' }), -32000],
  ['timeout of 114 years', ...traced({ timeout: '999999h' }), 'ok'],
  ['timeout as a number', ...traced({ timeout: 7 }), -32602],
  ...[-1, 1.5, '0x1', 1e30].map((limit) => [`limit ${limit}`, ...traced({ limit }), -32602]),
  ...[7, 'x', []].map((options) => [`options ${JSON.stringify(options)}`, ...traced(options), -32602]),
  ...[{ enableMemory: 'yes' }, { disableStack: 1 }, { txIndex: -1 }, { stateOverrides: { x: {} } }, { blockOverrides: { number: 'x' } }]
    .map((options) => [`options ${JSON.stringify(options)}`, ...traced(options), -32602]),
  ...[['callTracer', 7], ['callTracer', { withLog: 'yes' }], ['prestateTracer', { diffMode: 1 }], ['muxTracer', 7], ['muxTracer', { nope: {} }]]
    .map(([tracer, tracerConfig]) => [`${tracer} with ${JSON.stringify(tracerConfig)}`, ...traced({ tracer, tracerConfig }), -32000]),
  ['callTracer with []', ...traced({ tracer: 'callTracer', tracerConfig: [] }), -32000, { ours: 'ok', why: 'an empty sequence stands for no options' }],
  ['a mux in a mux', ...traced({ tracer: 'muxTracer', tracerConfig: mux(2, { callTracer: {} }) }), 'ok', { ours: -32000, why: 'the library has no such thing' }],
  ['a mux 100 deep', ...traced({ tracer: 'muxTracer', tracerConfig: mux(100, {}) }), 'ok', { ours: -32000, why: 'the library has no such thing' }],
  ['a mux 1,000 deep', ...traced({ tracer: 'muxTracer', tracerConfig: mux(1_000, {}) }), 'ok', { ours: -32602, why: 'serde stops at a depth of 128' }],
  ['a call after a transaction that is not there', ...traced({ txIndex: '0xffffffff' }), -32000],
  ['a call without a block', 'debug_traceCall', [plain], -32602],
  ['a call of text', 'debug_traceCall', ['x', 'latest'], -32602],
  ...['0xffffffff', hash].map((block) => [`a call at ${block}`, 'debug_traceCall', [plain, block], -32000]),
  ...[[], ['0x1'], [hash, 7]].map((params) => [`debug_traceTransaction ${JSON.stringify(params)}`, 'debug_traceTransaction', params, -32602]),
  ['debug_traceTransaction of none', 'debug_traceTransaction', [hash], -32000],
  ...['x', hash].map((block) => [`debug_traceBlockByNumber ${block}`, 'debug_traceBlockByNumber', [block], -32602]),
  ...['0x0', '0xffffffff'].map((block) => [`debug_traceBlockByNumber ${block}`, 'debug_traceBlockByNumber', [block], -32000]),
  ['debug_traceBlockByHash of none', 'debug_traceBlockByHash', [hash], -32000],
  ...['0x', '0xc0', `0x${'ff'.repeat(1_000_000)}`].map((block) => [`debug_traceBlock ${block.slice(0, 10)}`, 'debug_traceBlock', [block], -32000]),
  ['debug_traceBlock of text', 'debug_traceBlock', ['zz'], -32602],
  ...['0x0', '0xffffffff'].map((block) => [`debug_executionWitness ${block}`, 'debug_executionWitness', [block], -32000]),
  ...['trace_transaction', 'ots_traceTransaction', 'ots_getTransactionError', 'ots_getInternalOperations', 'ots_getBlockDetailsByHash']
    .flatMap((method) => [[`${method} of none`, method, [hash], 'ok'], [`${method} of 0x1`, method, ['0x1'], -32602]]),
  ['trace_block of the future', 'trace_block', ['0xffffffff'], 'ok'],
  ['trace_block by a word', 'trace_block', ['x'], -32602],
  ...[['x'], [['0xffffffffffffffffff']], [7]].map(([index]) => [`trace_get ${JSON.stringify(index)}`, 'trace_get', [hash, index], -32602]),
  ['trace_get of 10,000 indexes', 'trace_get', [hash, Array(10_000).fill('0x0')], 'ok'],
  ...[['nope'], 'trace', 7, null].map((types) => [`trace_call ${JSON.stringify(types)}`, 'trace_call', [plain, types], -32602]),
  ['trace_call of 100,000 types', 'trace_call', [plain, Array(100_000).fill('trace')], 'ok'],
  ['trace_call of the future', 'trace_call', [plain, ['trace'], '0xffffffff'], -32000],
  ['trace_callMany of 1,001', 'trace_callMany', [Array(1_001).fill([plain, ['trace']])], -32005],
  ['trace_callMany of 1,000', 'trace_callMany', [Array(1_000).fill([plain, ['trace', 'stateDiff']])], 'ok'],
  ...['x', [[plain]], [[plain, ['trace'], 1]], [plain]].map((calls) => [`trace_callMany ${JSON.stringify(calls).slice(0, 40)}`, 'trace_callMany', [calls], -32602]),
  ...[{ fromBlock: '-0x1' }, { fromBlock: -1 }, { fromBlock: 'x' }, { fromBlock: '0x5', toBlock: '0x1' }, { after: -1 }, { count: 1.5 }, { mode: 'nope' }, 7]
    .map((filter) => [`trace_filter ${JSON.stringify(filter)}`, 'trace_filter', [filter], -32602]),
  ...[{ toBlock: '0x5', count: 0 }, { toBlock: '0x5', after: 2 ** 53 }, { toBlock: '0x5', fromAddress: Array(10_000).fill(address) }, { fromBlock: '0xfffffffffffffff0', toBlock: '0xffffffffffffffff' }]
    .map((filter) => [`trace_filter ${JSON.stringify(filter).slice(0, 60)}`, 'trace_filter', [filter], 'ok']),
  ...['0x', '0x02c0'].map((raw) => [`trace_rawTransaction ${raw}`, 'trace_rawTransaction', [raw, ['trace']], -32000]),
  ['trace_replayTransaction of none', 'trace_replayTransaction', [hash, ['trace']], -32000],
  ...['0xffffffff', hash].map((block) => [`trace_replayBlockTransactions ${block}`, 'trace_replayBlockTransactions', [block, ['vmTrace']], 'ok']),
  ['trace_replayBlockTransactions of genesis', 'trace_replayBlockTransactions', ['0x0', ['trace']], -32000],
  ...[[0, 1_001], [-1, 10], [0, -1], [1e30, 10], ['x', 10], [0, null]].map((page) => [`ots_getBlockTransactions ${JSON.stringify(page)}`, 'ots_getBlockTransactions', ['0x1', ...page], -32602]),
  ...[[0, 0], [2 ** 53, 1_000]].map((page) => [`ots_getBlockTransactions ${page}`, 'ots_getBlockTransactions', ['0x1', ...page], 'ok']),
  ...[[hash, 0, 10], [address, 0, 1_001], [address, -1, 10], [address, 0, 1e300]].map((params) => [`ots_searchTransactionsBefore ${params}`, 'ots_searchTransactionsBefore', params, -32602]),
  ...[-1, 1e300].map((nonce) => [`ots_getTransactionBySenderAndNonce ${nonce}`, 'ots_getTransactionBySenderAndNonce', [address, nonce], -32602]),
  ['a simulation of 257 blocks', 'eth_simulateV1', [{ blockStateCalls: Array(257).fill({}) }], -38026],
  ['a simulation of 256 blocks', 'eth_simulateV1', [{ blockStateCalls: Array(256).fill({}) }], 'ok'],
  ['a simulation up to the last height', 'eth_simulateV1', [{ blockStateCalls: [{ blockOverrides: { number: '0xffffffffffffffff' } }] }], -38026],
  ['a simulation of 1,001 calls', 'eth_simulateV1', [{ blockStateCalls: [{ calls: Array(1_001).fill(plain) }] }], -38026],
  ['a simulation of 1,000 calls', 'eth_simulateV1', [{ blockStateCalls: [{ calls: Array(1_000).fill(plain) }] }], 'ok'],
  ['a simulation with overrides of 10,000 accounts', 'eth_simulateV1', [{ blockStateCalls: [{ stateOverrides: Object.fromEntries(many(10_000, 40).map((who) => [who, { balance: '0x1', code: '0x00' }])), calls: [plain] }] }], 'ok'],
  ['a simulation in the past', 'eth_simulateV1', [{ blockStateCalls: [{ blockOverrides: { number: '0x0' } }] }], -38020],
  ['a simulation before its parent', 'eth_simulateV1', [{ blockStateCalls: [{ blockOverrides: { time: '0x1' } }] }], -38021],
  ['a simulation of a call beyond its block', 'eth_simulateV1', [{ blockStateCalls: [{ calls: [{ ...plain, gas: '0x7fffffffffffffff' }] }] }], -38015],
  ['a simulation of a far nonce', 'eth_simulateV1', [{ blockStateCalls: [{ calls: [{ ...plain, nonce: '0xffff' }] }], validation: true }], -38011],
  ...[{}, { blockStateCalls: [] }, 'x', { blockStateCalls: [{ calls: 'x' }] }].map((payload) => [`a simulation of ${JSON.stringify(payload)}`, 'eth_simulateV1', [payload], -32602]),
];
