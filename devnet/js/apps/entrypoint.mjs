// ERC-4337's EntryPoint from its published bytecode: an account that does not exist yet pays for its first operation.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { concat, encodeFunctionData, pad, parseEther, parseEventLogs, toHex } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { party, probes } from '../lib/network.mjs';
import { published } from '../lib/published.mjs';

const pair = (high, low) => concat([pad(toHex(high), { size: 16 }), pad(toHex(low), { size: 16 })]);

describe('EntryPoint', () => {
  const bundler = party(6);
  const owner = privateKeyToAccount(generatePrivateKey());
  const contracts = (name) => published(`@account-abstraction/contracts/artifacts/${name}.json`);
  const { abi: accountAbi } = contracts('SimpleAccount');
  let entryPoint;
  let factory;
  let probe;
  let sender;

  before(async () => {
    entryPoint = await bundler.deploy(contracts('EntryPoint'));
    factory = await bundler.deploy(contracts('SimpleAccountFactory'), [entryPoint.address]);
    probe = await bundler.deploy(probes().Probe, [0n]);
    sender = await bundler.read(factory, 'getAddress', [owner.address, 1n]);
    await bundler.good(bundler.wallet.sendTransaction({ to: sender, value: parseEther('1') }));
  });

  /** An operation of the account, signed by its owner. */
  async function operation(key, value, create, signer = owner) {
    const inner = encodeFunctionData({ abi: probe.abi, functionName: 'set', args: [key, value, 'by operation'] });
    const gasPrice = await bundler.client.getGasPrice();
    const make = encodeFunctionData({ abi: factory.abi, functionName: 'createAccount', args: [owner.address, 1n] });
    const unsigned = {
      sender,
      nonce: await bundler.read(entryPoint, 'getNonce', [sender, 0n]),
      initCode: create ? concat([factory.address, make]) : '0x',
      callData: encodeFunctionData({ abi: accountAbi, functionName: 'execute', args: [probe.address, 7n, inner] }),
      accountGasLimits: pair(500_000n, 200_000n),
      preVerificationGas: 50_000n,
      gasFees: pair(1n, gasPrice * 2n),
      paymasterAndData: '0x',
      signature: '0x',
    };
    const hash = await bundler.read(entryPoint, 'getUserOpHash', [unsigned]);
    return [{ ...unsigned, signature: await signer.sign({ hash }) }, hash];
  }

  test('the first operation makes the account, runs, and pays the bundler', async () => {
    assert.equal(await bundler.client.getCode({ address: sender }), undefined);
    const [op, hash] = await operation(1n, 41n, true);
    const beneficiary = privateKeyToAccount(generatePrivateKey()).address;
    const receipt = await bundler.call(entryPoint, 'handleOps', [[op], beneficiary]);
    const [event] = parseEventLogs({ abi: entryPoint.abi, logs: receipt.logs, eventName: 'UserOperationEvent' });
    assert.deepEqual([event.args.userOpHash, event.args.success, event.args.sender], [hash, true, sender]);
    assert.equal(await bundler.read(probe, 'values', [1n]), 41n);
    assert.equal(await bundler.client.getBalance({ address: probe.address }), 7n);
    assert.equal(await bundler.client.getBalance({ address: beneficiary }), event.args.actualGasCost);
    const deposited = await bundler.read(entryPoint, 'balanceOf', [sender]);
    assert.equal(await bundler.client.getBalance({ address: sender }) + deposited + event.args.actualGasCost + 7n, parseEther('1'));
  });

  test('the second one needs no creation', async () => {
    const [op] = await operation(2n, 42n, false);
    const receipt = await bundler.call(entryPoint, 'handleOps', [[op], bundler.address]);
    const [changed] = parseEventLogs({ abi: probe.abi, logs: receipt.logs, eventName: 'Changed' });
    assert.deepEqual(changed.args, { who: sender, key: 2n, value: 42n, note: 'by operation' });
    assert.equal(await bundler.read(entryPoint, 'getNonce', [sender, 0n]), 2n);
  });

  test('a wrong signature and a replay are refused', async () => {
    const [forged] = await operation(3n, 43n, false, privateKeyToAccount(generatePrivateKey()));
    await assert.rejects(bundler.call(entryPoint, 'handleOps', [[forged], bundler.address]), /AA24/);
    const [op] = await operation(3n, 43n, false);
    await bundler.call(entryPoint, 'handleOps', [[op], bundler.address]);
    await assert.rejects(bundler.call(entryPoint, 'handleOps', [[op], bundler.address]), /AA25/);
  });
});
