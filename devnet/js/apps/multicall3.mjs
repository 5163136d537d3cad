// Multicall3 at its address of all chains: deployed with the signature its authors published, which names no chain.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeFunctionData, keccak256, parseAbi, parseEther, recoverTransactionAddress, serializeTransaction } from 'viem';
import { devnet, nodes, party, probes } from '../lib/network.mjs';
import { preinstalled } from '../lib/published.mjs';

const ADDRESS = '0xcA11bde05977b3631167028862bE2a173976CA11';
const DEPLOYER = '0x05f32B3cC3888453ff71B01135B34FF8e41263F2';
const SIGNATURE = {
  r: '0xedce47092c0f398cebf3ffc267f05c8e7076e3b89445e0fe50f6332273d4569b',
  s: '0x1b0b9d000e19b24c5869b0fc3b22b0d6fa47cd63316875cbbd577d76e6fde086',
  v: 28n,
};
const abi = parseAbi([
  'struct Call3 { address target; bool allowFailure; bytes callData; }',
  'struct Result { bool success; bytes returnData; }',
  'function aggregate3(Call3[] calls) payable returns (Result[])',
  'function getEthBalance(address) view returns (uint256)',
]);

describe('Multicall3', () => {
  const me = party(3, nodes[0].rpc);
  const multicall = { address: ADDRESS, abi };

  test('its presigned transaction deploys it', async () => {
    const data = `0x608060405234801561001057600080fd5b50610ee0806100206000396000f3fe${preinstalled('MultiCall3Code')}`;
    const transaction = { type: 'legacy', nonce: 0, gasPrice: 100_000_000_000n, gas: 1_000_000n, value: 0n, data };
    const serializedTransaction = serializeTransaction(transaction, SIGNATURE);
    // Only the published bytes recover to the published sender.
    assert.equal(await recoverTransactionAddress({ serializedTransaction }), DEPLOYER);
    if (!await me.client.getCode({ address: ADDRESS })) {
      await me.good(me.wallet.sendTransaction({ to: DEPLOYER, value: parseEther('0.2') }));
      const hash = await me.client.sendRawTransaction({ serializedTransaction });
      assert.equal(hash, keccak256(serializedTransaction));
      assert.equal((await me.good(hash)).contractAddress.toLowerCase(), ADDRESS.toLowerCase());
      const mined = await me.client.getTransaction({ hash });
      assert.equal(mined.chainId, undefined);
      assert.equal(mined.from.toLowerCase(), DEPLOYER.toLowerCase());
    }
    assert.equal(await me.client.getCode({ address: ADDRESS }), `0x${preinstalled('MultiCall3Code')}`);
  });

  test('viem batches reads through it', async () => {
    const probe = await me.deploy(probes().Probe, [7n]);
    await me.call(probe, 'set', [1n, 11n, 'x']);
    const contracts = [
      { ...probe, functionName: 'values', args: [1n] },
      { ...probe, functionName: 'START' },
      { ...probe, functionName: 'complain', args: ['no'] },
      { ...multicall, functionName: 'getEthBalance', args: [devnet.accounts[9].address] },
    ];
    const results = await me.client.multicall({ contracts, multicallAddress: ADDRESS, allowFailure: true });
    assert.deepEqual(results.map((one) => one.status), ['success', 'success', 'failure', 'success']);
    assert.deepEqual(results.slice(0, 2).map((one) => one.result), [11n, 7n]);
    assert.ok(results[3].result > 0n);
  });

  test('aggregate3 in a transaction: failures allowed stay apart', async () => {
    const probe = await me.deploy(probes().Probe, [0n]);
    const encoded = (functionName, args) => encodeFunctionData({ abi: probe.abi, functionName, args });
    const calls = [
      { target: probe.address, allowFailure: false, callData: encoded('set', [1n, 5n, 'a']) },
      { target: probe.address, allowFailure: true, callData: encoded('silent', []) },
      { target: probe.address, allowFailure: false, callData: encoded('set', [2n, 6n, 'b']) },
    ];
    const receipt = await me.call(multicall, 'aggregate3', [calls]);
    assert.equal(receipt.logs.length, 2);
    assert.equal(await me.read(probe, 'count'), 2n);
    const strict = calls.map((call) => ({ ...call, allowFailure: false }));
    await assert.rejects(me.call(multicall, 'aggregate3', [strict]), /call failed/);
  });
});
