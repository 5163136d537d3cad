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
    assert.equal(frame.to, probe.target.toLowerCase());
    assert.equal(BigInt(frame.gasUsed), gasUsed);
  });

  it('access list', async () => {
    const call = { to: probe.target, data: probe.interface.encodeFunctionData('sum', [5n]), from: first.address };
    const { accessList } = await ethers.provider.send('eth_createAccessList', [call, 'latest']);
    const receipt = await (await first.sendTransaction({ ...call, accessList, gasLimit: 200_000n })).wait();
    assert.equal(receipt.status, 1);
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
    const sent = await wallet.sendTransaction({ type: 4, to: first.address, value: 1n, authorizationList: [authorization], gasLimit: 100_000n });
    assert.equal((await sent.wait()).type, 4);
    assert.equal(await ethers.provider.getCode(authority.address), `0xef0100${probe.target.slice(2)}`.toLowerCase());
  });

  it('blocks by tag', async () => {
    for (const tag of ['earliest', 'finalized', 'safe', 'latest', 'pending']) assert.ok(await ethers.provider.getBlock(tag), tag);
  });
});
