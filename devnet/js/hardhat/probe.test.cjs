// Hardhat with its ethers plugin against the running network.
const assert = require('node:assert/strict');
const hre = require('hardhat');

const { ethers } = hre;

describe('hardhat', () => {
  let first;
  let second;
  let probe;

  before(async () => {
    [first, second] = await ethers.getSigners();
    probe = await ethers.deployContract('Probe', [7n]);
    await probe.waitForDeployment();
  });

  it('knows the network', async () => {
    assert.equal(hre.network.name, 'devnet');
    assert.equal((await ethers.provider.getNetwork()).chainId, BigInt(hre.network.config.chainId));
    assert.ok(await ethers.provider.getBalance(first.address) > ethers.parseEther('9000'));
    assert.match(await hre.network.provider.send('web3_clientVersion'), /\//);
  });

  it('deployed what it compiled', async () => {
    const { deployedBytecode } = await hre.artifacts.readArtifact('Probe');
    const code = await ethers.provider.getCode(probe.target);
    // Equal but for the immutable.
    assert.equal(code.length, deployedBytecode.length);
    assert.equal(await probe.START(), 7n);
  });

  it('calls, events, two signers', async () => {
    const receipt = await (await probe.connect(second).set(1n, 42n, 'casque', { value: 3n })).wait();
    const event = probe.interface.parseLog(receipt.logs[0]);
    assert.deepEqual([...event.args], [second.address, 1n, 42n, 'casque']);
    assert.equal((await probe.queryFilter('Changed', receipt.blockNumber, receipt.blockNumber)).length, 1);
    await (await probe.set(2n, 2n, 'encore')).wait();
    assert.equal(await probe.count(), 9n);
  });

  it('revert reasons', async () => {
    await assert.rejects(probe.complain('non merci'), /non merci/);
    await assert.rejects(probe.refuse.staticCall(5n), (error) => (error.revert ?? probe.interface.parseError(error.data)).name === 'Refused');
    await assert.rejects(probe.underflow.staticCall(1n), /Panic|panic|underflow/);
    await assert.rejects(probe.silent.estimateGas());
  });

  it('a mined failure', async () => {
    const sent = await first.sendTransaction({ to: probe.target, data: probe.interface.encodeFunctionData('silent'), gasLimit: 60_000n });
    await assert.rejects(sent.wait(), (error) => error.receipt.status === 0);
  });

  it('traces', async () => {
    const { hash, gasUsed } = await (await probe.set(8n, 88n, 'suivi')).wait();
    const frame = await ethers.provider.send('debug_traceTransaction', [hash, { tracer: 'callTracer' }]);
    assert.deepEqual([frame.from, frame.to], [first.address.toLowerCase(), probe.target.toLowerCase()]);
    assert.equal(BigInt(frame.gasUsed), gasUsed);
    const data = probe.interface.encodeFunctionData('complain', ['payé']);
    const failed = await first.sendTransaction({ to: probe.target, data, gasLimit: 100_000n });
    await assert.rejects(failed.wait(), { code: 'CALL_EXCEPTION' });
    const why = await ethers.provider.send('debug_traceTransaction', [failed.hash, { tracer: 'callTracer' }]);
    assert.deepEqual([why.error, why.revertReason], ['execution reverted', 'payé']);
  });

  it('access list', async () => {
    const call = { to: probe.target, data: probe.interface.encodeFunctionData('sum', [5n]), from: first.address };
    const { accessList, gasUsed } = await ethers.provider.send('eth_createAccessList', [call, 'latest']);
    assert.equal(accessList.find((one) => one.address === probe.target.toLowerCase()).storageKeys.length, 5);
    const receipt = await (await first.sendTransaction({ ...call, accessList, gasLimit: 200_000n })).wait();
    assert.equal(receipt.gasUsed, BigInt(gasUsed));
  });

  it('typed data', async () => {
    const domain = { name: 'Probe', version: '1', chainId: hre.network.config.chainId, verifyingContract: probe.target };
    const types = { Letter: [{ name: 'from', type: 'address' }, { name: 'amount', type: 'uint256' }, { name: 'text', type: 'string' }] };
    const letter = { from: first.address, amount: 12n, text: 'à tous' };
    const { v, r, s } = ethers.Signature.from(await first.signTypedData(domain, types, letter));
    assert.equal(await probe.reader(letter.from, letter.amount, letter.text, v, r, s), first.address);
  });

  it('delegation', async () => {
    const authority = ethers.Wallet.createRandom(ethers.provider);
    const authorization = await authority.authorize({ address: probe.target, chainId: hre.network.config.chainId, nonce: 0 });
    // Hardhat signs no type 4 itself, so the key does.
    const wallet = new ethers.Wallet(hre.network.config.accounts[0], ethers.provider);
    const data = probe.interface.encodeFunctionData('set', [6n, 66n, 'delegated']);
    const sent = await wallet.sendTransaction({ type: 4, to: authority.address, data, authorizationList: [authorization], gasLimit: 300_000n });
    assert.equal((await sent.wait()).type, 4);
    assert.equal(await probe.attach(authority.address).values(6n), 66n);
    assert.equal(await ethers.provider.getCode(authority.address), `0xef0100${probe.target.slice(2)}`.toLowerCase());
  });

  it('blocks by tag', async () => {
    const { tagsMove } = await import('../lib/network.mjs');
    const { blockNumber } = await (await probe.set(10n, 10n, 'final')).wait();
    await tagsMove(async (tag) => (await ethers.provider.getBlock(tag)).number, blockNumber);
    assert.equal(await probe.values(10n, { blockTag: 'finalized' }), 10n);
  }).timeout(60_000);

  it('events over WebSocket', async () => {
    const { inTime, until } = await import('../lib/network.mjs');
    // Hardhat's own provider speaks HTTP only; ethers, as Hardhat hands it out, speaks both.
    const socket = new ethers.WebSocketProvider(hre.network.config.url.replace('http', 'ws'));
    try {
      const heads = new Set();
      socket.on('block', (number) => heads.add(number));
      const changed = new Promise((resolve) => { probe.connect(socket).on('Changed', (...args) => resolve(args)); });
      // A request that travels after the subscriptions: they stand when it is answered.
      for (let trip = 0; trip < 3; trip += 1) await socket.send('web3_clientVersion', []);
      const receipt = await (await probe.set(4n, 44n, 'prise')).wait();
      const [who, key, value, note, { log }] = await inTime(changed, 'an event');
      assert.deepEqual([who, key, value, note], [first.address, 4n, 44n, 'prise']);
      assert.deepEqual([log.transactionHash, log.blockHash], [receipt.hash, receipt.blockHash]);
      await until(() => heads.has(receipt.blockNumber), 'the head of the block');
      await socket.removeAllListeners();
      for (let trip = 0; trip < 3; trip += 1) await socket.send('web3_clientVersion', []);
    } finally {
      await socket.destroy();
    }
  });
});
