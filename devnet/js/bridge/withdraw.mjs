// METIS and an ERC-20 from L1 to L2 and back with viem's OP Stack actions: initiate, prove against a published output, wait,
// finalize. Nothing here is special to this network but the addresses.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createPublicClient, http, parseAbi, parseEther, parseEventLogs } from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { getWithdrawals, publicActionsL1, publicActionsL2, walletActionsL1, walletActionsL2 } from 'viem/op-stack';
import { artifact, chain, devnet, l1Chain, nodes, party, until } from '../lib/network.mjs';

/** Time from L1 to L2, and from L2 to a published output. */
const CROSSING_MS = 90_000;
/** The window, a batch and some. */
const FINAL_MS = 150_000;
const { portal, outputRegistry, metis, l1Bridge } = devnet.contracts;
const targetChain = {
  ...chain,
  contracts: { ...chain.contracts, portal: { [l1Chain.id]: { address: portal } }, disputeGameFactory: { [l1Chain.id]: { address: outputRegistry } } },
};
const fresh = () => privateKeyToAccount(generatePrivateKey()).address;

describe('withdraw', () => {
  const l2 = party(0, nodes[0].rpc);
  const l1 = party(0, devnet.l1.url, l1Chain);
  /** Owns METIS on this L1. */
  const minter = party(privateKeyToAccount(devnet.deployer.privateKey), devnet.l1.url, l1Chain);
  const reads = createPublicClient({ chain: l1Chain, transport: http(devnet.l1.url), pollingInterval: 200, batch: { multicall: { deployless: true } } }).extend(publicActionsL1());
  const sends = l1.wallet.extend(walletActionsL1());
  const l2Reads = l2.client.extend(publicActionsL2());
  const token = { address: metis, abi: artifact('DevnetMetis').abi };
  const queue = { address: portal, abi: artifact('Portal').abi };
  const recipient = fresh();
  const amount = parseEther('3');
  let coin;
  let bridged;
  /** Receipts of the two withdrawals on L2. */
  let withdrawals;

  /** The first output at or above a height. Anyone may publish one from what the registry logged; if no node has, we do. */
  async function output(height) {
    const registry = { address: outputRegistry, abi: artifact('OutputRegistry').abi };
    const event = artifact('BatchRegistry').abi.find((entry) => entry.name === 'BatchSubmitted');
    const batch = await until(async () => {
      const logs = await l1.client.getLogs({ address: devnet.contracts.batchRegistry, event, fromBlock: 0n });
      return logs.find((log) => log.args.header.lastHeight >= height);
    }, 'a batch', CROSSING_MS);
    const { timestamp } = await l1.client.getBlock({ blockNumber: batch.blockNumber });
    if (await l1.read(registry, 'latestBatch') < batch.args.header.index) {
      await l1.call(registry, 'publish', [batch.args.header, timestamp, batch.args.bitmap]);
    }
    return reads.getGame({ l2BlockNumber: height, targetChain });
  }
  const status = (receipt) => reads.getWithdrawalStatus({ receipt, targetChain });
  const balance = (of, address, side = l1) => side.read(of, 'balanceOf', [address]);

  test('METIS in', async () => {
    await minter.call(token, 'mint', [l1.address, parseEther('10')]);
    await l1.call(token, 'approve', [portal, parseEther('10')]);
    const before = await l2.client.getBalance({ address: l2.address });
    await l1.call(queue, 'depositERC20Transaction', [l2.address, parseEther('10'), parseEther('10'), 100_000n, false, '0x']);
    await until(async () => await l2.client.getBalance({ address: l2.address }) === before + parseEther('10'), 'the METIS', CROSSING_MS);
    assert.equal(await l1.read(queue, 'totalLocked') >= parseEther('10'), true);
  });

  test('an ERC-20 in', async () => {
    coin = await l1.deploy(artifact('DevnetMetis'));
    await l1.call(coin, 'mint', [l1.address, parseEther('100')]);
    await l1.call(coin, 'approve', [l1Bridge, parseEther('100')]);
    await l1.call({ address: l1Bridge, abi: artifact('L1Bridge').abi }, 'depositERC20', [coin.address, l2.address, parseEther('40')]);
    const factory = { address: '0x4200000000000000000000000000000000000012', abi: artifact('BridgedTokenFactory').abi };
    bridged = { address: await l2.read(factory, 'addressOf', [coin.address]), abi: artifact('BridgedToken').abi };
    await until(async () => Boolean(await l2.client.getCode({ address: bridged.address })), 'the token on L2', CROSSING_MS);
    assert.equal(await balance(bridged, l2.address, l2), parseEther('40'));
    assert.equal((await l2.read(bridged, 'remoteToken')).toLowerCase(), coin.address.toLowerCase());
    assert.equal(await l2.read(bridged, 'symbol'), 'METIS');
  });

  test('both out: initiated on L2', async () => {
    const wallet = l2.wallet.extend(walletActionsL2());
    const request = await reads.buildInitiateWithdrawal({ to: recipient, value: amount });
    const first = await l2.good(wallet.initiateWithdrawal({ ...request, account: l2.account }));
    const bridge = { address: '0x4200000000000000000000000000000000000010', abi: artifact('L2Bridge').abi };
    const second = await l2.call(bridge, 'withdraw', [bridged.address, recipient, parseEther('15')]);
    assert.equal(await balance(bridged, l2.address, l2), parseEther('25'));
    withdrawals = [first, second];
    for (const receipt of withdrawals) assert.equal(getWithdrawals(receipt).length, 1);
  });

  test('proven against a published output', async () => {
    for (const receipt of withdrawals) {
      assert.ok(['waiting-to-prove', 'ready-to-prove'].includes(await status(receipt)));
      const game = await output(receipt.blockNumber);
      assert.equal(await status(receipt), 'ready-to-prove');
      const { withdrawal } = await reads.waitToProve({ receipt, targetChain });
      const proof = await l2Reads.buildProveWithdrawal({ withdrawal, game });
      // A proof of something else is refused.
      const other = { ...proof, withdrawal: { ...proof.withdrawal, value: proof.withdrawal.value + 1n } };
      await assert.rejects(sends.proveWithdrawal({ ...other, targetChain, account: l1.account }), /InvalidMerkleProof|reverted/);
      await l1.good(sends.proveWithdrawal({ ...proof, targetChain, account: l1.account }));
      assert.ok(['waiting-to-finalize', 'ready-to-finalize'].includes(await status(receipt)));
    }
  });

  test('paid when the output is final, and once', async () => {
    for (const receipt of withdrawals) {
      const [withdrawal] = getWithdrawals(receipt);
      if (await status(receipt) === 'waiting-to-finalize') {
        await assert.rejects(sends.finalizeWithdrawal({ withdrawal, targetChain, account: l1.account }), /ProofNotOldEnough|reverted/);
      }
      await until(async () => await status(receipt) === 'ready-to-finalize', 'finality', FINAL_MS);
      const done = await l1.good(sends.finalizeWithdrawal({ withdrawal, targetChain, account: l1.account }));
      const [event] = parseEventLogs({ abi: parseAbi(['event WithdrawalFinalized(bytes32 indexed withdrawalHash, bool success)']), logs: done.logs.filter((log) => log.address.toLowerCase() === portal.toLowerCase()) });
      assert.deepEqual(event.args, { withdrawalHash: withdrawal.withdrawalHash, success: true });
      assert.equal(await status(receipt), 'finalized');
      await assert.rejects(sends.finalizeWithdrawal({ withdrawal, targetChain, account: l1.account }), /AlreadyFinalized|reverted/);
    }
    assert.equal(await balance(token, recipient), amount);
    assert.equal(await balance(coin, recipient), parseEther('15'));
    assert.equal(await l1.read({ address: l1Bridge, abi: artifact('L1Bridge').abi }, 'locked', [coin.address]), parseEther('25'));
  });
});
