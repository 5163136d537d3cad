// ethers v6 against the running network: what dApps do all day, each step with the library's own decoding.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as ethers from 'ethers';
import { RECEIPT_MS, devnet, inTime, nodes, probes, tagsMove, until } from '../lib/network.mjs';

const { Probe } = probes();
const me = ethers.getAddress(devnet.accounts[5].address);

describe('ethers', () => {
  let provider;
  let wallet;
  let probe;
  const receiptOf = async (sent) => (await sent).wait(1, RECEIPT_MS);

  before(() => {
    // Another node than viem's: what one node takes, another must show.
    provider = new ethers.JsonRpcProvider(nodes.at(-1).rpc, undefined, { pollingInterval: 100, cacheTimeout: -1 });
    wallet = new ethers.NonceManager(new ethers.Wallet(devnet.accounts[5].privateKey, provider));
  });
  after(() => provider.destroy());

  test('chain id, balance, fees', async () => {
    assert.equal((await provider.getNetwork()).chainId, BigInt(devnet.chainId));
    assert.ok(await provider.getBalance(me) > ethers.parseEther('9000'));
    const fees = await provider.getFeeData();
    assert.ok(fees.maxFeePerGas > 0n && fees.gasPrice > 0n);
    const history = await provider.send('eth_feeHistory', ['0x4', 'latest', [25, 75]]);
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
    assert.equal(history.reward[0].length, 2);
  });

  test('transactions of types 0, 1 and 2', async () => {
    const to = ethers.Wallet.createRandom().address;
    for (const type of [0, 1, 2]) {
      const extra = type === 1 ? { accessList: [{ address: to, storageKeys: [] }] } : {};
      const receipt = await receiptOf(wallet.sendTransaction({ to, value: 5n, type, ...extra }));
      assert.equal(receipt.status, 1);
      assert.equal(receipt.type, type);
      const block = await provider.getBlock(receipt.blockNumber, true);
      assert.ok(block.prefetchedTransactions.some((tx) => tx.hash === receipt.hash));
    }
    assert.equal(await provider.getBalance(to), 15n);
  });

  test('deploy with constructor arguments and value', async () => {
    const factory = new ethers.ContractFactory(Probe.abi, Probe.bytecode, wallet);
    probe = await factory.deploy(7n, { value: 9n });
    await inTime(probe.waitForDeployment(), 'the deployment');
    assert.equal(await probe.START(), 7n);
    assert.equal(await probe.count(), 7n);
    assert.equal(await provider.getBalance(probe.target), 9n);
    assert.equal(await provider.getStorage(probe.target, 1), ethers.toBeHex(7n, 32));
    assert.equal(await probe.getDeployedCode(), await provider.getCode(probe.target));
  });

  test('call and event', async () => {
    const receipt = await receiptOf(probe.set(1n, 42n, 'für Héra', { value: 3n }));
    const event = probe.interface.parseLog(receipt.logs[0]);
    assert.equal(event.name, 'Changed');
    assert.deepEqual([...event.args], [me, 1n, 42n, 'für Héra']);
    assert.equal(await probe.values(1n), 42n);
  });

  test('logs by range, by block hash and by filter', async () => {
    const receipt = await receiptOf(probe.set(2n, 1n, 'two'));
    assert.equal((await probe.queryFilter(probe.filters.Changed(null, 2n), 0, 'latest')).length, 1);
    assert.equal((await provider.getLogs({ address: probe.target, blockHash: receipt.blockHash })).length, 1);
    const filter = await provider.send('eth_newFilter', [{ address: probe.target, fromBlock: ethers.toQuantity(receipt.blockNumber) }]);
    await receiptOf(probe.set(3n, 1n, 'three'));
    assert.equal((await provider.send('eth_getFilterChanges', [filter])).length, 1);
    assert.deepEqual(await provider.send('eth_getFilterChanges', [filter]), []);
    // All of its range, not what is new: both transactions.
    assert.equal((await provider.send('eth_getFilterLogs', [filter])).length, 2);
    assert.equal(await provider.send('eth_uninstallFilter', [filter]), true);
  });

  test('events over WebSocket', async () => {
    const socket = new ethers.WebSocketProvider(nodes.at(-1).ws);
    try {
      const heads = new Set();
      socket.on('block', (number) => heads.add(number));
      const changed = new Promise((resolve) => { probe.connect(socket).on('Changed', (...args) => resolve(args)); });
      const pending = new Promise((resolve) => { socket.on('pending', resolve); });
      // A request that travels after the subscriptions: they stand when it is answered.
      for (let trip = 0; trip < 3; trip += 1) await socket.send('web3_clientVersion', []);
      const sent = await probe.set(4n, 44n, 'socket');
      assert.equal(await inTime(pending, 'a pending transaction'), sent.hash);
      const [who, key, value, note, { log }] = await inTime(changed, 'an event');
      assert.deepEqual([who, key, value, note, log.transactionHash], [me, 4n, 44n, 'socket', sent.hash]);
      const receipt = await sent.wait(1, RECEIPT_MS);
      assert.deepEqual([log.blockHash, log.blockNumber], [receipt.blockHash, receipt.blockNumber]);
      await until(() => heads.has(receipt.blockNumber), 'the head of the block');
      // The unsubscriptions must be answered before the socket goes.
      await socket.removeAllListeners();
      for (let trip = 0; trip < 3; trip += 1) await socket.send('web3_clientVersion', []);
    } finally {
      await socket.destroy();
    }
  });

  test('revert reasons: custom error, text, panic, nothing', async () => {
    await assert.rejects(probe.refuse.staticCall(5n), (error) => {
      assert.equal(error.code, 'CALL_EXCEPTION');
      assert.equal(error.revert?.name, 'Refused');
      assert.deepEqual([...error.revert.args], [me, 5n]);
      return true;
    });
    await assert.rejects(probe.complain.staticCall('nein, danke'), (error) => error.reason === 'nein, danke');
    await assert.rejects(probe.underflow.staticCall(1n), (error) => error.revert?.name === 'Panic' && BigInt(error.revert.args[0]) === 17n);
    await assert.rejects(probe.silent.staticCall(), (error) => error.code === 'CALL_EXCEPTION' && error.data === '0x');
    await assert.rejects(probe.refuse.estimateGas(5n), { code: 'CALL_EXCEPTION' });
  });

  test('a transaction that reverts in a block has a failed receipt', async () => {
    const data = probe.interface.encodeFunctionData('complain', ['paid for']);
    const sent = await wallet.sendTransaction({ to: probe.target, data, gasLimit: 100_000n });
    await assert.rejects(sent.wait(1, RECEIPT_MS), (error) => error.code === 'CALL_EXCEPTION' && error.receipt.status === 0);
  });

  test('traces: calls, changed state, opcodes', async () => {
    const { hash, gasUsed } = await receiptOf(probe.set(8n, 88n, 'traced'));
    const frame = await provider.send('debug_traceTransaction', [hash, { tracer: 'callTracer', tracerConfig: { withLog: true } }]);
    assert.deepEqual([frame.type, frame.from, frame.to], ['CALL', me.toLowerCase(), probe.target.toLowerCase()]);
    assert.equal(BigInt(frame.gasUsed), gasUsed);
    assert.equal(probe.interface.parseLog(frame.logs[0]).args.value, 88n);
    const { pre, post } = await provider.send('debug_traceTransaction', [hash, { tracer: 'prestateTracer', tracerConfig: { diffMode: true } }]);
    assert.equal((post[me.toLowerCase()].nonce ?? 0) - (pre[me.toLowerCase()].nonce ?? 0), 1);
    const { structLogs, failed } = await provider.send('debug_traceTransaction', [hash, {}]);
    assert.ok(!failed && structLogs.some(({ op }) => op === 'SSTORE'));
  });

  test('estimate is enough and not wasteful', async () => {
    const gasLimit = await probe.set.estimateGas(9n, 9n, 'estimate');
    const receipt = await receiptOf(probe.set(9n, 9n, 'estimate', { gasLimit }));
    assert.equal(receipt.status, 1);
    assert.ok(receipt.gasUsed <= gasLimit && gasLimit < receipt.gasUsed * 13n / 10n, `${receipt.gasUsed} of ${gasLimit}`);
  });

  test('access list makes slots warm', async () => {
    const call = { to: probe.target, data: probe.interface.encodeFunctionData('sum', [20n]), from: me };
    const { accessList, gasUsed } = await provider.send('eth_createAccessList', [call, 'latest']);
    const entry = accessList.find((one) => one.address.toLowerCase() === probe.target.toLowerCase());
    assert.equal(entry.storageKeys.length, 20);
    const plain = await receiptOf(wallet.sendTransaction({ ...call, gasLimit: 200_000n }));
    const listed = await receiptOf(wallet.sendTransaction({ ...call, gasLimit: 200_000n, type: 1, accessList }));
    assert.equal(listed.gasUsed, BigInt(gasUsed));
    assert.notEqual(plain.gasUsed, listed.gasUsed);
  });

  test('typed data is what the chain recovers', async () => {
    const domain = { name: 'Probe', version: '1', chainId: devnet.chainId, verifyingContract: probe.target };
    const types = { Letter: [{ name: 'from', type: 'address' }, { name: 'amount', type: 'uint256' }, { name: 'text', type: 'string' }] };
    const letter = { from: me, amount: 12n, text: 'liebe Nachbarn' };
    const { v, r, s } = ethers.Signature.from(await wallet.signTypedData(domain, types, letter));
    assert.equal(await probe.reader(letter.from, letter.amount, letter.text, v, r, s), letter.from);
  });

  test('a delegated account runs the code it names', async () => {
    const authority = ethers.Wallet.createRandom(provider);
    const authorization = await authority.authorize({ address: probe.target, chainId: devnet.chainId, nonce: 0 });
    const data = probe.interface.encodeFunctionData('set', [6n, 66n, 'delegated']);
    const sent = wallet.sendTransaction({ type: 4, to: authority.address, data, authorizationList: [authorization], gasLimit: 300_000n });
    const receipt = await receiptOf(sent);
    assert.equal(receipt.type, 4);
    assert.equal(await provider.getCode(authority.address), ethers.concat(['0xef0100', probe.target]).toLowerCase());
    assert.equal(receipt.logs[0].address, authority.address);
    assert.equal(await probe.attach(authority.address).values(6n), 66n);
    assert.equal(await provider.getTransactionCount(authority.address), 1);
  });

  test('blocks by tag, and state at them', async () => {
    const { hash, blockNumber } = await receiptOf(probe.set(10n, 10n, 'tags'));
    await tagsMove(async (tag) => (await provider.getBlock(tag)).number, blockNumber);
    for (const tag of ['finalized', 'safe', 'latest', 'pending']) {
      assert.equal(await probe.values.staticCall(10n, { blockTag: tag }), 10n, tag);
    }
    assert.equal((await provider.getTransactionReceipt(hash)).blockNumber, blockNumber);
    assert.equal(await provider.getBalance(probe.target, 'earliest'), 0n);
    assert.equal(await probe.values.staticCall(10n, { blockTag: blockNumber - 1 }), 0n);
  });

  test('many calls in one request', async () => {
    const batching = new ethers.JsonRpcProvider(nodes[0].rpc, devnet.chainId, { staticNetwork: true, batchMaxCount: 100 });
    try {
      const height = await batching.getBlockNumber();
      const numbers = Array.from({ length: Math.min(height, 60) }, (_, index) => index + 1);
      const blocks = await Promise.all(numbers.map((number) => batching.getBlock(number)));
      assert.deepEqual(blocks.map((block) => block.number), numbers);
      blocks.slice(1).forEach((block, index) => assert.equal(block.parentHash, blocks[index].hash));
    } finally {
      batching.destroy();
    }
  });

  test('refusals are standard errors', async () => {
    await assert.rejects(provider.send('eth_noSuchMethod', []), (error) => (error.error ?? error.info?.error)?.code === -32601);
    const poor = ethers.Wallet.createRandom(provider);
    const raw = await poor.signTransaction({
      to: poor.address, value: 1n, nonce: 0, gasLimit: 21_000, maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n, chainId: devnet.chainId, type: 2,
    });
    await assert.rejects(provider.broadcastTransaction(raw), { code: 'INSUFFICIENT_FUNDS' });
    const used = await wallet.signer.signTransaction({
      to: poor.address, nonce: 0, gasLimit: 21_000, maxFeePerGas: 10n ** 11n, maxPriorityFeePerGas: 1n, chainId: devnet.chainId, type: 2,
    });
    await assert.rejects(provider.broadcastTransaction(used), { code: 'NONCE_EXPIRED' });
  });
});
