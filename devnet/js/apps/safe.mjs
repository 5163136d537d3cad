// A Safe of three owners from its published bytecode: two of them sign a payment and a change of the threshold.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { concat, encodeFunctionData, parseEther, parseEventLogs, zeroAddress } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { devnet, party } from '../lib/network.mjs';
import { published } from '../lib/published.mjs';

const types = {
  SafeTx: [
    { name: 'to', type: 'address' }, { name: 'value', type: 'uint256' }, { name: 'data', type: 'bytes' }, { name: 'operation', type: 'uint8' },
    { name: 'safeTxGas', type: 'uint256' }, { name: 'baseGas', type: 'uint256' }, { name: 'gasPrice', type: 'uint256' },
    { name: 'gasToken', type: 'address' }, { name: 'refundReceiver', type: 'address' }, { name: 'nonce', type: 'uint256' },
  ],
};

describe('Safe', () => {
  const me = party(2);
  const contracts = (path) => published(`@safe-global/safe-smart-account/build/artifacts/contracts/${path}.json`);
  const owners = Array.from({ length: 3 }, () => privateKeyToAccount(generatePrivateKey()))
    .sort((left, right) => (BigInt(left.address) < BigInt(right.address) ? -1 : 1));
  let safe;

  before(async () => {
    const singleton = await me.deploy(contracts('Safe.sol/Safe'));
    const factory = await me.deploy(contracts('proxies/SafeProxyFactory.sol/SafeProxyFactory'));
    const handler = await me.deploy(contracts('handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler'));
    const initializer = encodeFunctionData({
      abi: singleton.abi, functionName: 'setup',
      args: [owners.map((owner) => owner.address), 2n, zeroAddress, '0x', handler.address, zeroAddress, 0n, zeroAddress],
    });
    const receipt = await me.call(factory, 'createProxyWithNonce', [singleton.address, initializer, 1n]);
    const [created] = parseEventLogs({ abi: factory.abi, logs: receipt.logs, eventName: 'ProxyCreation' });
    safe = { address: created.args.proxy, abi: singleton.abi };
    await me.good(me.wallet.sendTransaction({ to: safe.address, value: parseEther('3') }));
  });

  /** Executes with the signatures of some owners, in the order of their addresses. */
  async function execute(signers, { to, value = 0n, data = '0x' }) {
    const nonce = await me.read(safe, 'nonce');
    const message = { to, value, data, operation: 0, safeTxGas: 0n, baseGas: 0n, gasPrice: 0n, gasToken: zeroAddress, refundReceiver: zeroAddress, nonce };
    const domain = { chainId: devnet.chainId, verifyingContract: safe.address };
    const signatures = await Promise.all(signers.map((signer) => signer.signTypedData({ domain, types, primaryType: 'SafeTx', message })));
    const { nonce: _, ...call } = message;
    return me.call(safe, 'execTransaction', [...Object.values(call), concat(signatures)]);
  }

  test('owners and threshold', async () => {
    assert.deepEqual(await me.read(safe, 'getOwners'), owners.map((owner) => owner.address));
    assert.equal(await me.read(safe, 'getThreshold'), 2n);
  });

  test('one signature is too few', async () => {
    await assert.rejects(execute(owners.slice(0, 1), { to: owners[0].address, value: 1n }), /GS020/);
  });

  test('a stranger cannot sign', async () => {
    const stranger = privateKeyToAccount(generatePrivateKey());
    const signers = [owners[0], stranger].sort((left, right) => (BigInt(left.address) < BigInt(right.address) ? -1 : 1));
    await assert.rejects(execute(signers, { to: stranger.address, value: 1n }), /GS026/);
  });

  test('two signatures pay', async () => {
    const to = privateKeyToAccount(generatePrivateKey()).address;
    const receipt = await execute([owners[0], owners[2]], { to, value: parseEther('1') });
    assert.equal(await me.client.getBalance({ address: to }), parseEther('1'));
    assert.equal(await me.client.getBalance({ address: safe.address }), parseEther('2'));
    assert.equal(parseEventLogs({ abi: safe.abi, logs: receipt.logs, eventName: 'ExecutionSuccess' }).length, 1);
  });

  test('the Safe changes itself', async () => {
    const data = encodeFunctionData({ abi: safe.abi, functionName: 'changeThreshold', args: [3n] });
    await execute([owners[1], owners[2]], { to: safe.address, data });
    assert.equal(await me.read(safe, 'getThreshold'), 3n);
    await assert.rejects(execute([owners[0], owners[1]], { to: owners[0].address, value: 1n }), /GS020/);
  });
});
