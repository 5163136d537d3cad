// What dApps do all day, with the two libraries they do it with, against the network that $DEVNET_JSON describes.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import * as ethers from 'ethers';
import {
  createPublicClient, createWalletClient, decodeEventLog, defineChain, getContractAddress, http, parseAbi, parseEther, webSocket,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';

const file = process.env.DEVNET_JSON;
if (!file) throw new Error('set DEVNET_JSON to the devnet.json of a running network (`devnet up`)');
const devnet = JSON.parse(readFileSync(file, 'utf8'));
const artifact = JSON.parse(readFileSync(new URL('../../contracts/artifacts/DevnetMetis.json', import.meta.url), 'utf8'));

const nodes = devnet.nodes.filter((node) => node.role === 'sequencer');
const RECEIPT_MS = 20_000;
const chain = defineChain({
  id: devnet.chainId,
  name: 'horae devnet',
  nativeCurrency: { name: 'Metis', symbol: 'METIS', decimals: 18 },
  rpcUrls: { default: { http: [nodes[0].rpc], webSocket: [nodes[0].ws] } },
});

/** The value, or an error when it does not come in time. */
function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), RECEIPT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

describe('ethers', () => {
  let provider;
  let wallet;
  let token;

  before(() => {
    // Other nodes than viem's: what one node takes, another must show.
    provider = new ethers.JsonRpcProvider(nodes.at(-1).rpc, undefined, { pollingInterval: 200 });
    wallet = new ethers.NonceManager(new ethers.Wallet(devnet.accounts[5].privateKey, provider));
  });
  after(() => provider.destroy());

  test('chain id and balance', async () => {
    assert.equal((await provider.getNetwork()).chainId, BigInt(devnet.chainId));
    assert.ok(await provider.getBalance(devnet.accounts[5].address) > ethers.parseEther('9000'));
  });

  test('send and receipt', async () => {
    const to = ethers.Wallet.createRandom().address;
    const sent = await wallet.sendTransaction({ to, value: 12_345n });
    const receipt = await sent.wait(1, RECEIPT_MS);
    assert.equal(receipt.status, 1);
    assert.equal(receipt.type, 2);
    assert.equal(await provider.getBalance(to), 12_345n);
    const block = await provider.getBlock(receipt.blockNumber, true);
    assert.ok(block.prefetchedTransactions.some((tx) => tx.hash === sent.hash));
  });

  test('type 0 and type 1', async () => {
    const to = ethers.Wallet.createRandom().address;
    for (const type of [0, 1]) {
      const extra = type === 1 ? { accessList: [{ address: to, storageKeys: [] }] } : {};
      const sent = await wallet.sendTransaction({ to, value: 1n, type, ...extra });
      assert.equal((await sent.wait(1, RECEIPT_MS)).type, type);
    }
  });

  test('deploy, call, event', async () => {
    const factory = new ethers.ContractFactory(artifact.abi, artifact.bytecode, wallet);
    token = await factory.deploy();
    await inTime(token.waitForDeployment(), 'the deployment');
    assert.equal(await token.symbol(), 'METIS');
    const receipt = await (await token.mint(devnet.accounts[6].address, 77n)).wait(1, RECEIPT_MS);
    const event = token.interface.parseLog(receipt.logs[0]);
    assert.equal(event.name, 'Transfer');
    assert.equal(event.args.value, 77n);
    assert.equal(await token.balanceOf(devnet.accounts[6].address), 77n);
  });

  test('estimate and revert reason', async () => {
    assert.ok(await token.mint.estimateGas(devnet.accounts[6].address, 1n) > 21_000n);
    await assert.rejects(token.transfer.staticCall(devnet.accounts[6].address, 1n), (error) => {
      assert.equal(error.code, 'CALL_EXCEPTION');
      assert.equal(error.revert?.name, 'ERC20InsufficientBalance');
      return true;
    });
    await assert.rejects(token.transfer.estimateGas(devnet.accounts[6].address, 1n), { code: 'CALL_EXCEPTION' });
  });

  test('logs by range and by filter', async () => {
    const found = await token.queryFilter(token.filters.Transfer(), 0, 'latest');
    assert.equal(found.length, 1);
    const filter = await provider.send('eth_newFilter', [{ address: await token.getAddress() }]);
    await (await token.mint(devnet.accounts[7].address, 5n)).wait(1, RECEIPT_MS);
    const changes = await provider.send('eth_getFilterChanges', [filter]);
    assert.equal(changes.length, 1);
    assert.deepEqual(await provider.send('eth_getFilterChanges', [filter]), []);
    assert.equal(await provider.send('eth_uninstallFilter', [filter]), true);
  });

  test('fee history and fee data', async () => {
    const history = await provider.send('eth_feeHistory', ['0x4', 'latest', [25, 75]]);
    assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
    assert.equal(history.reward[0].length, 2);
    const fees = await provider.getFeeData();
    assert.ok(fees.maxFeePerGas > 0n && fees.gasPrice > 0n);
  });

  test('heads over WebSocket', async () => {
    const socket = new ethers.WebSocketProvider(nodes.at(-1).ws);
    try {
      const head = new Promise((resolve) => { socket.on('block', resolve); });
      await socket.getBlockNumber();
      await wallet.sendTransaction({ to: devnet.accounts[6].address, value: 1n });
      assert.ok(await inTime(head, 'a head') > 0);
      // The unsubscription must be answered before the socket goes. It is asked for in a later turn of the event loop, and
      // getBlockNumber may answer from a cache, so requests that really travel go after it.
      await socket.off('block');
      for (let trip = 0; trip < 3; trip += 1) await socket.send('web3_clientVersion', []);
    } finally {
      await socket.destroy();
    }
  });

  test('refusals are standard errors', async () => {
    await assert.rejects(provider.send('eth_noSuchMethod', []), (error) => error.info?.error?.code === -32601);
    const poor = ethers.Wallet.createRandom().connect(provider);
    const raw = await poor.signTransaction({
      to: poor.address, value: 1n, nonce: 0, gasLimit: 21_000, maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n, chainId: devnet.chainId, type: 2,
    });
    await assert.rejects(provider.broadcastTransaction(raw), { code: 'INSUFFICIENT_FUNDS' });
  });
});

describe('viem', () => {
  let client;
  let wallet;
  let socket;
  let token;
  const account = privateKeyToAccount(devnet.accounts[8].privateKey);
  const wait = (hash) => client.waitForTransactionReceipt({ hash, timeout: RECEIPT_MS, pollingInterval: 100 });

  before(() => {
    client = createPublicClient({ chain, transport: http(nodes[0].rpc), pollingInterval: 200 });
    wallet = createWalletClient({ account, chain, transport: http(nodes[0].rpc) });
    socket = createPublicClient({ chain, transport: webSocket(nodes[0].ws, { reconnect: false }) });
  });
  after(async () => {
    (await socket.transport.getRpcClient()).close();
  });

  test('chain id and balance', async () => {
    assert.equal(await client.getChainId(), devnet.chainId);
    assert.ok(await client.getBalance({ address: account.address }) > parseEther('9000'));
  });

  test('send and receipt, types 2, 1 and 0', async () => {
    const to = privateKeyToAccount(generatePrivateKey()).address;
    for (const [type, name] of [['eip1559', 'eip1559'], ['eip2930', 'eip2930'], ['legacy', 'legacy']]) {
      const extra = type === 'eip2930' ? { accessList: [] } : {};
      const receipt = await wait(await wallet.sendTransaction({ to, value: 1n, type, ...extra }));
      assert.equal(receipt.status, 'success');
      assert.equal(receipt.type, name);
    }
    assert.equal(await client.getBalance({ address: to }), 3n);
  });

  test('type 4 installs a delegation', async () => {
    const authority = privateKeyToAccount(generatePrivateKey());
    const target = devnet.accounts[0].address;
    const authorization = await authority.signAuthorization({ contractAddress: target, chainId: devnet.chainId, nonce: 0 });
    const hash = await wallet.sendTransaction({ to: account.address, authorizationList: [authorization], gas: 100_000n });
    const receipt = await wait(hash);
    assert.equal(receipt.type, 'eip7702');
    assert.equal((await client.getCode({ address: authority.address })).toLowerCase(), `0xef0100${target.slice(2).toLowerCase()}`);
  });

  test('deploy, write, read, event', async () => {
    const nonce = await client.getTransactionCount({ address: account.address });
    const deployed = await wait(await wallet.deployContract({ abi: artifact.abi, bytecode: artifact.bytecode }));
    token = { address: deployed.contractAddress, abi: artifact.abi };
    assert.equal(token.address.toLowerCase(), getContractAddress({ from: account.address, nonce: BigInt(nonce) }).toLowerCase());
    const { request } = await client.simulateContract({ ...token, functionName: 'mint', args: [account.address, 9n], account });
    const receipt = await wait(await wallet.writeContract(request));
    const event = decodeEventLog({ abi: artifact.abi, ...receipt.logs[0] });
    assert.equal(event.eventName, 'Transfer');
    assert.equal(await client.readContract({ ...token, functionName: 'balanceOf', args: [account.address] }), 9n);
  });

  test('estimate and revert reason', async () => {
    const call = { ...token, functionName: 'transfer', args: [devnet.accounts[0].address, 10n], account };
    assert.ok(await client.estimateContractGas({ ...call, args: [devnet.accounts[0].address, 1n] }) > 21_000n);
    await assert.rejects(client.simulateContract(call), (error) => {
      assert.equal(error.cause?.data?.errorName, 'ERC20InsufficientBalance');
      return true;
    });
  });

  test('logs and filters', async () => {
    const event = parseAbi(['event Transfer(address indexed from, address indexed to, uint256 value)'])[0];
    assert.equal((await client.getLogs({ address: token.address, event, fromBlock: 0n, toBlock: 'latest' })).length, 1);
    const filter = await client.createEventFilter({ address: token.address, event });
    await wait(await wallet.writeContract({ ...token, functionName: 'mint', args: [account.address, 1n] }));
    assert.equal((await client.getFilterChanges({ filter })).length, 1);
    const blocks = await client.createBlockFilter();
    await wait(await wallet.sendTransaction({ to: account.address, value: 0n }));
    assert.ok((await client.getFilterChanges({ filter: blocks })).length >= 1);
  });

  test('fees', async () => {
    const history = await client.getFeeHistory({ blockCount: 4, rewardPercentiles: [50] });
    assert.equal(history.reward.length, history.gasUsedRatio.length);
    const fees = await client.estimateFeesPerGas();
    assert.ok(fees.maxFeePerGas >= fees.maxPriorityFeePerGas);
  });

  test('heads and logs over WebSocket', async () => {
    const stops = [];
    try {
      const head = new Promise((resolve, reject) => {
        stops.push(socket.watchBlocks({ onBlock: resolve, onError: reject }));
      });
      const logs = new Promise((resolve, reject) => {
        stops.push(socket.watchContractEvent({ ...token, eventName: 'Transfer', onLogs: resolve, onError: reject }));
      });
      // The node answers in order: once this call is answered, both subscriptions stand.
      await socket.getBlockNumber();
      await socket.getBlockNumber();
      await wait(await wallet.writeContract({ ...token, functionName: 'mint', args: [account.address, 2n] }));
      assert.ok((await inTime(head, 'a head')).number > 0n);
      assert.equal((await inTime(logs, 'a log'))[0].args.value, 2n);
    } finally {
      stops.forEach((stop) => stop());
    }
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
      const deadline = Date.now() + RECEIPT_MS;
      for (;;) {
        const found = await other.getBlock({ blockNumber: number }).catch(() => null);
        if (found || Date.now() > deadline) return found?.hash;
      }
    }));
    assert.equal(new Set(hashes).size, 1);
    assert.ok(hashes[0]);
  });
});
