// Malformed and hostile requests with the code that geth answers (rpc/json.go, rpc/handler.go, internal/ethapi, eth/filters).
// A case is [what, body, code] or [what, method, params, code]. A code may be
//   a number          an error object with exactly this code
//   [a, b]            one of these: both are within geth's behaviour, which depends on its state
//   'ok'              a result: odd, but geth takes it too
//   'silent'          no answer at all
//   'batch'           an array of errors
// A case may end with { ours: code, why } where this server may differ. Most come from jsonrpsee, which parses the envelope.

const rpc = (rest) => `{"jsonrpc":"2.0",${rest}}`;
const chainId = (rest) => rpc(`"method":"eth_chainId","params":[],${rest}`);
const nested = (open, close, depth) => open.repeat(depth) + close.repeat(depth);
const address = '0x70997970c51812dc3a010c7d01b50e0d17dc79c8';
const hash = `0x${'01'.repeat(32)}`;
/** jsonrpsee tells a value that is no object, or an object without id, from broken JSON by nothing. */
const envelope = { ours: [-32700, -32600], why: 'jsonrpsee has one error for what it cannot parse' };
/** jsonrpsee keeps ids that fit u64 or are text; a request with another one is a notification to it. */
const noId = { ours: ['ok', 'silent', -32600, -32700], why: 'jsonrpsee takes such a request for a notification' };
/** Figures are parsed by alloy, which also takes JSON numbers and decimal text. */
const lenient = { ours: ['ok', -32000, -32602], why: 'alloy takes numbers too' };
/** What a parser makes of a member given twice is its own affair. */
const twice = { ours: ['ok', -32600, -32700], why: 'serde refuses a member given twice' };
const zeros = `0x${'0'.repeat(1_000_000)}`;
const word = (digit) => `0x${digit.repeat(64)}`;

/** Not JSON at all, or JSON that is no request. */
export const bodies = [
  ...['{', '}', '[', ']', '[}', '{]', '{"jsonrpc"', '"', '\\', ',', ':', '{,}', '[,]', '{"a"}', '{"a":}', '{a:1}', 'nul', 'truefalse', '0x', '01', '-', '+1', '.5', '1.',
    '1e', '"\u0000"', '"\\x"', '"\\ud800', "{'jsonrpc':'2.0','id':1,'method':'eth_chainId'}", '<xml/>', '<?xml version="1.0"?><methodCall/>', 'GET / HTTP/1.1', '\ufeff{}',
    'undefined', 'NaN', 'Infinity', '/* */{}', '// {}', '#', '\u0000\u0000\u0000\u0000', '[1,2', '{"a":1', '{"a":1,}', '[1,]',
    chainId('"id":1').slice(0, -1), chainId('"id":1').replace('[]', '[}'), chainId('"id":1').replace('[]', '[1,]'), chainId('"id":1').replace('[]', 'NaN'),
  ].map((body) => [`body ${JSON.stringify(body).slice(0, 60)}`, body, -32700]),
  ...['null', 'true', 'false', '7', '-1', '1.5', '1e400', '"eth_chainId"', '""', '{}', ' {} ', '{"id":1}', '{"id":null}', '{"method":"eth_chainId"}', '{"jsonrpc":"2.0"}',
    '{"id":1,"method":"eth_chainId"}', rpc('"id":1'), rpc('"id":1,"method":null'), rpc('"id":1,"method":7'), rpc('"id":1,"method":[]'), rpc('"id":1,"method":{}'),
    rpc('"id":1,"method":true'), rpc('"id":1,"method":""'), rpc('"id":1,"params":[]'),
    ...['"1.0"', '"2"', '"2.00"', '2.0', '2', 'null', 'true', '""', '["2.0"]', '{"v":"2.0"}'].map((version) => `{"jsonrpc":${version},"id":1,"method":"eth_chainId"}`),
    '{"id":1,"method":"eth_chainId","params":[]}',
  ].map((body) => [`no request: ${body}`.slice(0, 70), body, -32600, ...(/"id":1/.test(body) && !body.includes('""') ? [] : [{ ...envelope, ours: [...envelope.ours, -32601] }])]),
  ['an answer sent as a request', rpc('"id":1,"result":"0x1"'), 'silent', { ours: [-32600], why: 'it has an id to answer to' }],
  ['an error sent as a request', rpc('"id":1,"error":{"code":1,"message":"x"}'), 'silent', { ours: [-32600], why: 'it has an id to answer to' }],
];

/** Ids of every type: geth takes every scalar and gives it back as it was written. */
export const ids = [
  ...['0', '1', '-1', '1.5', '-0', '1e3', '9007199254740993', '18446744073709551616', '1e400', 'true', 'false', '""', '"x"', '"\\u00e9"', `"${'i'.repeat(10_000)}"`, 'null']
    .map((id) => [`id ${id.slice(0, 30)}`, chainId(`"id":${id}`), 'ok', ...(/^(\d{1,16}|".*"|null)$/.test(id) ? [] : [noId])]),
  ...['{}', '[]', '[1]', '{"a":1}', '[[]]', '[null]'].map((id) => [`id ${id}`, chainId(`"id":${id}`), -32600, noId]),
  ['no id: a notification', rpc('"method":"eth_chainId","params":[]'), 'silent'],
  ['a notification of an unknown method', rpc('"method":"nope"'), 'silent'],
  ['an id given twice', chainId('"id":1,"id":2'), 'ok', noId],
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
  ['method of a megabyte', rpc(`"id":1,"method":"${'m'.repeat(1_000_000)}","params":[]`), [-32600, -32601]],
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

/** Depth and size. */
export const sizes = [
  ['100,000 nested arrays as a parameter', rpc(`"id":1,"method":"eth_getBalance","params":[${nested('[', ']', 100_000)}]`), [-32700, -32602]],
  ['100,000 nested objects as a parameter', rpc(`"id":1,"method":"eth_getBalance","params":[${nested('{"a":', '', 100_000)}1${'}'.repeat(100_000)}]`), [-32700, -32602]],
  ['two million open brackets', '['.repeat(2_000_000), -32700],
  ['half a million open objects', '{"a":'.repeat(500_000), -32700],
  ['a deep batch', nested('[', ']', 5_000), [-32600, -32700], { ours: ['batch', -32600, -32700], why: 'an array of one error, as for every batch' }],
  ['a call object 9,000 deep', 'eth_call', JSON.parse(`[${nested('[', ']', 4_000)}]`), -32602],
  ['a string of four megabytes', rpc(`"id":1,"method":"eth_getBalance","params":["${'f'.repeat(4_000_000)}"]`), -32602],
  ['a number of a million digits', rpc(`"id":1,"method":"eth_getBalance","params":[${'9'.repeat(1_000_000)}]`), -32602],
  ['a hundred thousand numbers', rpc(`"id":1,"method":"eth_getBalance","params":[${Array(100_000).fill(1).join(',')}]`), -32602],
  ['a million members', rpc(`"id":1,"method":"eth_call","params":[{${Array.from({ length: 200_000 }, (_, index) => `"a${index}":1`).join(',')}}]`), [-32602, 'ok']],
  ['the same member 200,000 times', rpc(`"id":1,"method":"eth_call","params":[{${Array(200_000).fill('"gas":"0x1"').join(',')}}]`), [-32602, -32000, 'ok']],
  ['a hundred blanks', `${' '.repeat(100)}${chainId('"id":1')}`, 'ok'],
  ['four megabytes of white space', `${chainId('"id":1')}${' '.repeat(4_000_000)}`, 'ok'],
  ['four megabytes of escapes', rpc(`"id":1,"method":"web3_sha3","params":["${'\\u0030'.repeat(600_000)}"]`), -32602],
  ['a raw transaction of two megabytes', 'eth_sendRawTransaction', [`0x02${'ff'.repeat(2_000_000)}`], -32000],
  ['call data of two megabytes', 'eth_call', [{ to: address, data: `0x${'00'.repeat(2_000_000)}` }, 'latest'], ['ok', -32000]],
  ['100,000 access list entries', 'eth_call', [{ to: address, accessList: Array(20_000).fill({ address, storageKeys: [] }) }, 'latest'], ['ok', -32000]],
  ['overrides of 10,000 accounts', 'eth_call', [{ to: address }, 'latest', Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`0x${index.toString(16).padStart(40, '0')}`, { balance: '0x1' }]))], ['ok', -32602, -32000]],
  ['an override with code of a megabyte', 'eth_call', [{ to: address }, 'latest', { [address]: { code: `0x${'5b'.repeat(1_000_000)}00` } }], ['ok', -32000]],
  ['proof of 20,000 slots', 'eth_getProof', [address, Array.from({ length: 20_000 }, (_, index) => `0x${index.toString(16)}`), 'latest'], [-32602, -32005, -32000]],
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
  ...[[{ gas: 'x' }], [{ gas: '-0x1' }], [{ gas: '0x10000000000000000' }], [{ gas: 21_000 }], [{ gas: -1 }], [{ gas: '0x' }], [{ value: '-0x1' }], [{ value: `0x1${'0'.repeat(64)}` }], [{ value: 1 }],
    [{ value: '1' }], [{ data: '0x1' }], [{ data: 'zz' }], [{ data: 7 }], [{ data: '0xgg' }], [{ from: 1 }], [{ from: '0x1' }], [{ to: '0x1' }], [{ to: 7 }], [{ nonce: 1 }], [{ nonce: '0x10000000000000000' }],
    [{ gasPrice: '-0x1' }], [{ maxFeePerGas: 1.5 }], [{ accessList: {} }], [{ accessList: [{ address: '0x1' }] }], [{ accessList: [{ address, storageKeys: ['0x1'] }] }], [{ accessList: 'none' }]]
    .map(([object]) => [`eth_call with ${JSON.stringify(object).slice(0, 60)}`, 'eth_call', call(object), -32602, ...(/:(21000|1)}|"(1|0x)"}/.test(JSON.stringify(object)) ? [lenient] : [])]),
  ['data and input that differ', 'eth_call', call({ data: '0x01', input: '0x02' }), [-32000, -32602]],
  ['gas price and fee together', 'eth_call', call({ gasPrice: '0x1', maxFeePerGas: '0x1' }), [-32000, -32602]],
  ['a tip above the fee', 'eth_call', call({ maxPriorityFeePerGas: '0x2', maxFeePerGas: '0x1' }), -32000],
  ['another chain id', 'eth_call', call({ chainId: '0x1' }), -32000],
  ['more value than there is', 'eth_call', call({ from: `0x${'12'.repeat(20)}`, value: word('7') }), -32000],
  ...[['x'], [7], [[]], [null]].map((params) => [`eth_call of ${JSON.stringify(params)}`, 'eth_call', params, -32602]),
  ...[[[]], [{ x: {} }], [{ [address]: { balance: 'x' } }], [{ [address]: { nonce: -1 } }], [{ [address]: { code: '0x1' } }], [{ [address]: { stateDiff: [] } }], [7], ['x']]
    .map(([override]) => [`override ${JSON.stringify(override).slice(0, 60)}`, 'eth_call', call({}, 'latest', override), -32602]),
  ['state and its difference at once', 'eth_call', call({}, 'latest', { [address]: { state: {}, stateDiff: {} } }), -32000, { ours: [-32602, -32000, 'ok'], why: 'either is refused' }],
  ['an override of a block with text', 'eth_call', call({}, 'latest', {}, { number: 'x' }), -32602],
  ['an override of a block with a number', 'eth_call', call({}, 'latest', {}, 7), -32602],
  ['five parameters of a call', 'eth_call', call({}, 'latest', {}, {}, 1), -32602],
  ...[['x', 'latest', []], [-1, 'latest', []], [1.5, 'latest', []], ['0x1', 'latest', ['a']], ['0x1', hash, []], ['0x1', 'newest', []], ['0x1', 'latest', {}], [{}, 'latest', []]]
    .map((params) => [`eth_feeHistory ${JSON.stringify(params).slice(0, 50)}`, 'eth_feeHistory', params, -32602]),
  ['percentile below zero', 'eth_feeHistory', ['0x1', 'latest', [-1]], [-32000, -32602]],
  ['percentile above 100', 'eth_feeHistory', ['0x1', 'latest', [101]], [-32000, -32602]],
  ['percentiles that fall', 'eth_feeHistory', ['0x1', 'latest', [50, 20]], [-32000, -32602]],
  ['a thousand percentiles', 'eth_feeHistory', ['0x400', 'latest', Array.from({ length: 1_000 }, (_, index) => index / 10)], [-32000, -32602]],
  ['fee history of the future', 'eth_feeHistory', ['0x1', '0xffffffff', []], -32000],
  ...[[7], [null], [{}], [''], ['0x1'], ['zz'], ['02c0']].map((params) => [`eth_sendRawTransaction ${JSON.stringify(params)}`, 'eth_sendRawTransaction', params, -32602]),
  ...['0x', '0x00', '0x02', '0x02c0', '0x03c0', '0x04c0', '0x05c0', '0x7ec0', '0x7fc0', '0xc0', '0xf8', '0xffffffffffffffffffff', '0x80', '0xb800', '0xbfffffffffffffffff', zeros]
    .map((raw) => [`raw transaction ${raw.slice(0, 30)}`, 'eth_sendRawTransaction', [raw], -32000]),
  ...[[[]], ['x'], [7], [{ fromBlock: 1 }], [{ fromBlock: 'x' }], [{ toBlock: -1 }], [{ address: '0x1' }], [{ address: 7 }], [{ address: [7] }], [{ address: {} }], [{ topics: 'x' }], [{ topics: ['0x1'] }],
    [{ topics: [[[hash]]] }], [{ topics: [7] }], [{ topics: [{}] }], [{ blockHash: '0x1' }], [{ blockHash: hash, fromBlock: '0x1' }]]
    .flatMap((params) => [['eth_getLogs', params], ['eth_newFilter', params]])
    .map(([method, params]) => [`${method} ${JSON.stringify(params).slice(0, 60)}`, method, params, -32602]),
  ['logs of a hash that is not there', 'eth_getLogs', [{ blockHash: hash }], -32000],
  ['logs backwards', 'eth_getLogs', [{ fromBlock: '0x5', toBlock: '0x1' }], [-32602, -32000]],
  ['five topics', 'eth_getLogs', [{ topics: Array(5).fill(hash) }], [-32602, -32000, 'ok']],
  ['10,000 topics', 'eth_getLogs', [{ topics: [Array(10_000).fill(hash)] }], [-32602, -32000, -32005, 'ok']],
  ['10,000 addresses', 'eth_getLogs', [{ address: Array(10_000).fill(address) }], [-32602, -32000, -32005, 'ok']],
  ['logs of all blocks to come', 'eth_getLogs', [{ fromBlock: '0x0', toBlock: '0xffffffffffffff' }], ['ok', -32602, -32000, -32005]],
  ['logs of the whole chain', 'eth_getLogs', [{ fromBlock: 'earliest', toBlock: 'latest' }], ['ok', -32005, -32000]],
  ...[['x'], [7], [null], [{}]].map((params) => [`eth_getFilterChanges ${JSON.stringify(params)}`, 'eth_getFilterChanges', params, params[0] === 'x' ? [-32000, -32602] : -32602]),
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
  ['subscription without a name', 'eth_subscribe', [], [-32602, -32601]],
  ['subscription of nothing', 'eth_subscribe', ['nothing'], -32601],
  ['subscription to a number', 'eth_subscribe', [7], [-32602, -32601]],
];
