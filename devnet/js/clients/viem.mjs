// viem against the running network: dApp calls, then the OP Stack's actions for fees and deposits.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  createPublicClient, decodeEventLog, encodeFunctionData, erc20Abi, http, parseEther, parseSignature, toHex, webSocket,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { getL2TransactionHashes, publicActionsL2, walletActionsL1 } from 'viem/op-stack';
import { chain, devnet, inTime, l1Chain, nodes, artifact, party, probes, tagsMove, until } from '../lib/network.mjs';

const { Probe } = probes();
/** Time from L1 to L2: finality of the L1 block and the next L2 block that names it. */
const DEPOSIT_MS = 60_000;
const fresh = () => privateKeyToAccount(generatePrivateKey());

describe('viem', () => {
  const me = party(8, nodes[0].rpc);
  const { client, wallet, wait, good } = me;
  let socket;
  let probe;

  before(() => {
    socket = createPublicClient({ chain, transport: webSocket(nodes[0].ws, { reconnect: false }) });
  });
  after(async () => {
    (await socket.transport.getRpcClient()).close();
  });

  test('chain id, balance, fees', async () => {
    assert.equal(await client.getChainId(), devnet.chainId);
    assert.ok(await client.getBalance({ address: me.address }) > parseEther('9000'));
    const history = await client.getFeeHistory({ blockCount: 4, rewardPercentiles: [50] });
    assert.equal(history.reward.length, history.gasUsedRatio.length);
    const fees = await client.estimateFeesPerGas();
    assert.ok(fees.maxFeePerGas >= fees.maxPriorityFeePerGas);
  });

  test('transactions of types 0, 1 and 2', async () => {
    const to = fresh().address;
    for (const type of ['eip1559', 'eip2930', 'legacy']) {
      const extra = type === 'eip2930' ? { accessList: [] } : {};
      const receipt = await good(wallet.sendTransaction({ to, value: 1n, type, ...extra }));
      assert.equal(receipt.type, type);
    }
    assert.equal(await client.getBalance({ address: to }), 3n);
  });

  test('deploy, write, read, event', async () => {
    probe = await me.deploy(Probe, [3n]);
    const { request } = await client.simulateContract({ ...probe, functionName: 'set', args: [1n, 9n, 'neun'], account: me.account });
    const receipt = await good(wallet.writeContract(request));
    const event = decodeEventLog({ abi: probe.abi, ...receipt.logs[0] });
    assert.deepEqual(event, { eventName: 'Changed', args: { who: me.address, key: 1n, value: 9n, note: 'neun' } });
    assert.equal(await me.read(probe, 'values', [1n]), 9n);
  });

  test('revert reasons: custom error, text, panic', async () => {
    const reasonOf = async (functionName, args) => {
      const error = await client.simulateContract({ ...probe, functionName, args, account: me.account }).then(() => null, (why) => why);
      return error?.cause;
    };
    const refused = await reasonOf('refuse', [4n]);
    assert.deepEqual(refused.data, { ...refused.data, errorName: 'Refused', args: [me.address, 4n] });
    assert.equal((await reasonOf('complain', ['geht nicht'])).reason, 'geht nicht');
    assert.match((await reasonOf('underflow', [1n])).shortMessage, /underflow/);
    await assert.rejects(client.estimateContractGas({ ...probe, functionName: 'refuse', args: [1n], account: me.account }));
  });

  test('overrides of state and block in a call', async () => {
    const forged = await client.readContract({
      ...probe, functionName: 'count', stateOverride: [{ address: probe.address, stateDiff: [{ slot: toHex(1, { size: 32 }), value: toHex(99, { size: 32 }) }] }],
    });
    assert.equal(forged, 99n);
    const rich = fresh().address;
    const sent = await client.call({ account: rich, to: probe.address, value: 5n, stateOverride: [{ address: rich, balance: parseEther('1') }] });
    assert.equal(sent.data, undefined);
  });

  test('logs and filters', async () => {
    const event = probe.abi.find((entry) => entry.name === 'Changed');
    assert.equal((await client.getLogs({ address: probe.address, event, fromBlock: 0n, toBlock: 'latest' })).length, 1);
    const filter = await client.createEventFilter({ address: probe.address, event });
    await me.call(probe, 'set', [2n, 2n, 'zwei']);
    assert.equal((await client.getFilterChanges({ filter })).length, 1);
    const blocks = await client.createBlockFilter();
    const pending = await client.createPendingTransactionFilter();
    const receipt = await good(wallet.sendTransaction({ to: me.address, value: 0n }));
    assert.ok((await client.getFilterChanges({ filter: blocks })).includes(receipt.blockHash));
    assert.ok((await client.getFilterChanges({ filter: pending })).includes(receipt.transactionHash));
    assert.equal(await client.uninstallFilter({ filter }), true);
  });

  test('heads, events and pending transactions over WebSocket', async () => {
    const stops = [];
    try {
      const heard = (start) => new Promise((resolve, reject) => { stops.push(start(resolve, reject)); });
      const heads = new Map();
      stops.push(socket.watchBlocks({ onBlock: (block) => heads.set(block.number, block.hash) }));
      const logs = heard((onLogs, onError) => socket.watchContractEvent({ ...probe, eventName: 'Changed', onLogs, onError }));
      const seen = new Set();
      stops.push(socket.watchPendingTransactions({ onTransactions: (hashes) => hashes.forEach((hash) => seen.add(hash)) }));
      // The node answers in order: once these are answered, the subscriptions stand.
      for (let trip = 0; trip < 3; trip += 1) await socket.request({ method: 'web3_clientVersion' });
      const receipt = await me.call(probe, 'set', [3n, 3n, 'drei']);
      const [log] = await inTime(logs, 'a log');
      assert.deepEqual(log.args, { who: me.address, key: 3n, value: 3n, note: 'drei' });
      assert.deepEqual([log.transactionHash, log.blockHash], [receipt.transactionHash, receipt.blockHash]);
      await until(() => heads.get(receipt.blockNumber) === receipt.blockHash, 'the head of the block');
      await until(() => seen.has(receipt.transactionHash), 'a pending transaction');
    } finally {
      stops.forEach((stop) => stop());
    }
  });

  test('a delegated account runs the code it names', async () => {
    const authority = fresh();
    const authorization = await authority.signAuthorization({ contractAddress: probe.address, chainId: devnet.chainId, nonce: 0 });
    const receipt = await me.call({ ...probe, address: authority.address }, 'set', [6n, 66n, 'delegated'], { authorizationList: [authorization] });
    assert.equal(receipt.type, 'eip7702');
    assert.equal((await client.getCode({ address: authority.address })).toLowerCase(), `0xef0100${probe.address.slice(2)}`.toLowerCase());
    assert.equal(await me.read({ ...probe, address: authority.address }, 'values', [6n]), 66n);
    assert.equal((await client.getDelegation({ address: authority.address })).toLowerCase(), probe.address.toLowerCase());
  });

  test('access list', async () => {
    const data = encodeFunctionData({ abi: probe.abi, functionName: 'sum', args: [20n] });
    const { accessList, gasUsed } = await client.createAccessList({ account: me.account, to: probe.address, data });
    assert.equal(accessList.find((entry) => entry.address.toLowerCase() === probe.address.toLowerCase()).storageKeys.length, 20);
    const receipt = await good(wallet.sendTransaction({ to: probe.address, data, accessList, gas: 200_000n }));
    assert.equal(receipt.gasUsed, gasUsed);
  });

  test('typed data is what the chain recovers, and verifies', async () => {
    const typed = {
      domain: { name: 'Probe', version: '1', chainId: devnet.chainId, verifyingContract: probe.address },
      types: { Letter: [{ name: 'from', type: 'address' }, { name: 'amount', type: 'uint256' }, { name: 'text', type: 'string' }] },
      primaryType: 'Letter',
      message: { from: me.address, amount: 12n, text: 'an alle' },
    };
    const signature = await wallet.signTypedData(typed);
    const { v, r, s } = parseSignature(signature);
    assert.equal(await me.read(probe, 'reader', [me.address, 12n, 'an alle', Number(v), r, s]), me.address);
    assert.equal(await client.verifyTypedData({ ...typed, address: me.address, signature }), true);
  });

  test('state proof of a storage slot', async () => {
    const proof = await client.getProof({ address: probe.address, storageKeys: [toHex(1, { size: 32 })] });
    assert.equal(proof.storageProof[0].value, await me.read(probe, 'count'));
    assert.ok(proof.accountProof.length > 0);
  });

  test('blocks by tag and many calls in one request', async () => {
    const { blockNumber } = await me.call(probe, 'set', [10n, 10n, 'zehn']);
    await tagsMove(async (blockTag) => (await client.getBlock({ blockTag })).number, blockNumber);
    assert.equal(await client.readContract({ ...probe, functionName: 'values', args: [10n], blockTag: 'finalized' }), 10n);
    const batching = createPublicClient({ chain, transport: http(nodes[1].rpc, { batch: true }) });
    const height = await until(async () => batching.getBlockNumber(), 'a height');
    const numbers = Array.from({ length: 20 }, (_, index) => BigInt(index)).filter((number) => number <= height);
    const blocks = await Promise.all(numbers.map((blockNumber) => batching.getBlock({ blockNumber })));
    assert.deepEqual(blocks.map((block) => block.number), numbers);
  });

  test('a receipt with the answer to the transaction', async () => {
    const request = await wallet.prepareTransactionRequest({ to: fresh().address, value: 1n });
    const receipt = await wallet.sendRawTransactionSync({ serializedTransaction: await wallet.signTransaction(request) });
    assert.equal(receipt.status, 'success');
  });

  test('horae methods name the set and the leaders', async () => {
    const set = await client.request({ method: 'horae_sequencerSet', params: ['latest'] });
    assert.equal(set.members.length, nodes.length);
    const signers = new Set(nodes.map((node) => node.signer.toLowerCase()));
    assert.ok(set.members.every((member) => signers.has(member.signer.toLowerCase())));
    const schedule = await client.request({ method: 'horae_schedule', params: ['latest'] });
    assert.ok(schedule.turns.every((turn) => signers.has(turn.leader.toLowerCase())));
  });

  test('all nodes agree on a block', async () => {
    const number = await client.getBlockNumber();
    const hashes = await Promise.all(devnet.nodes.filter((node) => node.role !== 'l1-follower').map(async (node) => {
      const other = createPublicClient({ chain, transport: http(node.rpc) });
      return (await until(() => other.getBlock({ blockNumber: number }).catch(() => null), `block ${number} at ${node.name}`)).hash;
    }));
    assert.equal(new Set(hashes).size, 1);
  });

  test('a failed transaction is a receipt, not an error, and its trace says why', async () => {
    const receipt = await wait(wallet.writeContract({ ...probe, functionName: 'complain', args: ['bezahlt'], gas: 60_000n }));
    assert.equal(receipt.status, 'reverted');
    const frame = await client.request({ method: 'debug_traceTransaction', params: [receipt.transactionHash, { tracer: 'callTracer' }] });
    assert.deepEqual([frame.error, frame.revertReason], ['execution reverted', 'bezahlt']);
    const [trace] = await client.request({ method: 'trace_transaction', params: [receipt.transactionHash] });
    assert.equal(trace.error, 'Reverted');
  });
});

/** Whether an estimate is at most a quarter off. */
const near = (estimate, real) => estimate * 4n >= real * 3n && estimate * 4n <= real * 5n;

describe('viem op-stack', () => {
  const me = party(9, nodes[1].rpc);
  const l2 = me.client.extend(publicActionsL2());
  const portal = devnet.contracts.portal;
  const deployer = party(privateKeyToAccount(devnet.deployer.privateKey), devnet.l1.url, l1Chain);

  test('estimated total fee covers what the receipt charges, and not much more', async () => {
    const probe = await me.deploy(Probe, [3n]);
    const data = encodeFunctionData({ abi: probe.abi, functionName: 'set', args: [5n, 5n, 'x'.repeat(2_000)] });
    for (const request of [{ to: fresh().address, value: 5n }, { to: probe.address, data }]) {
      const [estimate, l1Fee] = [await l2.estimateTotalFee({ account: me.account, ...request }), await l2.estimateL1Fee({ account: me.account, ...request })];
      const gasPrice = await me.client.getGasPrice();
      const receipt = await me.good(me.wallet.sendTransaction({ ...request, gasPrice }));
      const charged = receipt.gasUsed * receipt.effectiveGasPrice + receipt.l1Fee;
      // The library signs with stub figures, so some bytes differ; the price of L1 moves with each origin.
      assert.ok(receipt.l1Fee > 0n && near(l1Fee, receipt.l1Fee), `L1 fee ${l1Fee} estimated, ${receipt.l1Fee} charged`);
      assert.ok(near(estimate, charged), `${estimate} estimated, ${charged} charged`);
    }
  });

  test('a deposit through the portal arrives', async () => {
    const to = fresh().address;
    const amount = parseEther('2');
    await deployer.call({ address: devnet.contracts.metis, abi: artifact('DevnetMetis').abi }, 'mint', [deployer.address, amount]);
    await deployer.call({ address: devnet.contracts.metis, abi: erc20Abi }, 'approve', [portal, amount]);
    const queue = { address: portal, abi: artifact('Portal').abi };
    await deployer.call(queue, 'depositERC20Transaction', [to, amount, amount, 100_000n, false, '0x']);
    await until(async () => await me.client.getBalance({ address: to }) === amount, 'the deposit', DEPOSIT_MS);
  });

  test('depositTransaction runs on L2 under the hash the library computes', async () => {
    const wallet = deployer.wallet.extend(walletActionsL1());
    const contracts = { ...chain.contracts, portal: { [l1Chain.id]: { address: portal } } };
    const request = { to: fresh().address, value: 0n, gas: 50_000n };
    const onL1 = await deployer.good(wallet.depositTransaction({ account: deployer.account, targetChain: { ...chain, contracts }, request }));
    const [hash] = getL2TransactionHashes(onL1);
    const receipt = await me.client.waitForTransactionReceipt({ hash, timeout: DEPOSIT_MS, pollingInterval: 200 });
    assert.equal(receipt.status, 'success');
    // Not aliased: the sender is a key, not a contract.
    assert.equal(receipt.from.toLowerCase(), deployer.address.toLowerCase());
    assert.equal((await me.client.getTransaction({ hash })).typeHex, '0x7e');
  });
});
