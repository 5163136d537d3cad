// What every script here needs: the running network that $DEVNET_JSON describes, viem clients of it, and patience with an end.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createPublicClient, createWalletClient, defineChain, getContractAddress, http } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { chainConfig } from 'viem/op-stack';
import { compiled } from './compile.mjs';

const file = process.env.DEVNET_JSON;
if (!file) throw new Error('set DEVNET_JSON to the devnet.json of a running network (`devnet up`)');

/** The manifest of the network. */
export const devnet = JSON.parse(readFileSync(file, 'utf8'));
/** Its sequencers. */
export const nodes = devnet.nodes.filter((node) => node.role === 'sequencer');
/** Most a receipt may take. */
export const RECEIPT_MS = 20_000;
/** Most a block may take to be final: the next batch, its L1 block, and the L1 blocks upon that. */
const FINAL_MS = 40_000;
/** Blocks by name, each at or above the one before. */
const TAGS = ['earliest', 'finalized', 'safe', 'latest', 'pending'];

/** L1 as viem knows chains. */
export const l1Chain = defineChain({
  id: devnet.l1.chainId,
  name: 'devnet L1',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [devnet.l1.url] } },
});

/** L2, with the OP Stack's formatters and predeploys, as a wallet would configure it. */
export const chain = defineChain({
  ...chainConfig,
  id: devnet.chainId,
  name: 'horae devnet',
  sourceId: l1Chain.id,
  nativeCurrency: { name: 'Metis', symbol: 'METIS', decimals: 18 },
  rpcUrls: { default: { http: [nodes[0].rpc], webSocket: [nodes[0].ws] } },
});

/** The value, or an error when it does not come in time. */
export function inTime(promise, what, milliseconds = RECEIPT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks `look` again and again until it yields something. */
export async function until(look, what, milliseconds = RECEIPT_MS) {
  const deadline = Date.now() + milliseconds;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

/**
 * Waits until block `since` is final, and looks at all tags meanwhile: they must keep their order at each look, and they must
 * mean different blocks at times. `heightOf` asks the library for the height of a tag.
 */
export async function tagsMove(heightOf, since) {
  let ahead = false;
  let posted = false;
  await until(async () => {
    const heights = [];
    // One after the other, the lowest first: a head that moves in between only makes the next figure larger.
    for (const tag of TAGS) heights.push(Number(await heightOf(tag)));
    assert.deepEqual(heights, heights.toSorted((one, other) => one - other), `heights of ${TAGS}`);
    const [, finalized, safe, latest] = heights;
    ahead ||= safe < latest;
    posted ||= finalized < safe;
    return ahead && posted && finalized >= Number(since);
  }, `block ${since} to be posted and final`, FINAL_MS);
}

/** One JSON-RPC call without any library. */
export async function rpc(url, method, params = []) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  const answer = await response.json();
  if (answer.error) throw Object.assign(new Error(`${method}: ${answer.error.message}`), answer.error);
  return answer.result;
}

/** An artifact of this repository's contracts. */
export function artifact(name) {
  return JSON.parse(readFileSync(new URL(`../../../contracts/artifacts/${name}.json`, import.meta.url), 'utf8'));
}

/** { Probe, Bomb }: the contracts of contracts/Probe.sol; from $PROBE_JSON when a runner has compiled them. */
export function probes() {
  return process.env.PROBE_JSON ? JSON.parse(readFileSync(process.env.PROBE_JSON, 'utf8')) : compiled();
}

/** A development account. Each script has its own, so that they can run side by side. */
export function account(index) {
  return privateKeyToAccount(devnet.accounts[index].privateKey);
}

/** viem clients of one node, and what scripts do with them. */
export function party(index, url = nodes[index % nodes.length].rpc, on = chain) {
  const own = typeof index === 'number' ? account(index) : index;
  const client = createPublicClient({ chain: on, transport: http(url), pollingInterval: 100 });
  const wallet = createWalletClient({ account: own, chain: on, transport: http(url) });
  const wait = async (hash) => client.waitForTransactionReceipt({ hash: await hash, timeout: RECEIPT_MS, pollingInterval: 100 });
  const good = async (hash) => {
    const receipt = await wait(hash);
    if (receipt.status !== 'success') throw new Error(`${receipt.transactionHash} failed`);
    return receipt;
  };
  /** Sends a call with the gas that eth_estimateGas names and nothing on top; the receipt. */
  const call = async (contract, functionName, args = [], extra = {}) => {
    const request = { ...contract, functionName, args, account: own, ...extra };
    const gas = await client.estimateContractGas(request);
    return good(wallet.writeContract({ ...request, gas }));
  };
  /** Deploys with estimated gas; { address, abi }. */
  const deploy = async ({ abi, bytecode }, args = [], extra = {}) => {
    const code = bytecode.startsWith('0x') ? bytecode : `0x${bytecode}`;
    const nonce = await client.getTransactionCount({ address: own.address, blockTag: 'pending' });
    const receipt = await good(wallet.deployContract({ abi, bytecode: code, args, ...extra }));
    const expected = getContractAddress({ from: own.address, nonce: BigInt(nonce) });
    if (receipt.contractAddress?.toLowerCase() !== expected.toLowerCase()) throw new Error(`deployed at ${receipt.contractAddress}`);
    return { address: receipt.contractAddress, abi };
  };
  const read = (contract, functionName, args = []) => client.readContract({ ...contract, functionName, args });
  return { account: own, address: own.address, client, wallet, wait, good, call, deploy, read };
}
