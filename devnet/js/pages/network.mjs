// The network page against nodes that answer, nodes that do not, and one that stops in between.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createPublicClient, createWalletClient, defineChain, formatUnits, http } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { ask, clean, devnet, inspect, launch, open, see } from './browser.mjs';

const rpc = devnet.nodes[0].rpc;
const chain = defineChain({ id: devnet.chainId, name: 'L2', nativeCurrency: { name: 'Metis', symbol: 'METIS', decimals: 18 }, rpcUrls: { default: { http: [rpc] } } });
const client = createPublicClient({ chain, transport: http(), pollingInterval: 100 });
const sender = createWalletClient({ chain, transport: http(), account: privateKeyToAccount(devnet.accounts[5].privateKey) });
/** An address that nothing else sends to. */
const RECIPIENT = '0x00000000000000000000000000000000deadbeef';
/** Node that stops answering and goes on. */
const PAUSED = 'l1-follower-0';

let browser;
let page;
let receipt;
before(async () => {
  browser = await launch();
  const hash = await sender.sendTransaction({ to: RECIPIENT, value: 12_345_000_000_000_000n });
  receipt = await client.waitForTransactionReceipt({ hash });
});
after(() => browser?.close());

const heightOf = async (name) => Number((await page.getByTestId(`head-${name}`).textContent()).replaceAll(',', ''));
const row = (name) => page.locator(`tr[data-node="${name}"]`);
const search = async (text) => {
  await page.getByRole('searchbox', { name: 'Search L2' }).fill(text);
  await page.getByRole('button', { name: 'Search' }).click();
};
const heading = (text) => page.getByRole('heading', { level: 1 }).getByText(text, { exact: false }).waitFor();

test('each node is up or down, as it answers', async () => {
  page = await open(browser, { hash: '#/network' });
  for (const node of devnet.nodes) {
    const answers = await ask(node.rpc, 'eth_blockNumber').then(() => true, () => false);
    await see(row(node.name), (text) => text.includes(answers ? 'up' : 'down does not answer'), node.name);
  }
});

test('heights move', async () => {
  const begin = await heightOf('latest');
  await sender.sendTransaction({ to: RECIPIENT, value: 1n });
  await see(page.getByTestId('head-latest'), (text) => Number(text.replaceAll(',', '')) > begin, 'latest');
});

test('the ladder is in order', async () => {
  const [finalized, safe, latest] = [await heightOf('finalized'), await heightOf('safe'), await heightOf('latest')];
  assert.ok(finalized <= safe && safe <= latest, `${finalized} ${safe} ${latest}`);
  assert.ok((await heightOf('pending')) >= safe);
});

test('the leader is the one that the node names', async () => {
  const names = new Map(devnet.nodes.filter((node) => node.signer).map((node) => [node.signer.toLowerCase(), node.name]));
  await see(page.getByTestId('leader'), (text) => [...names.values(), 'Eirene'].some((name) => text.includes(name)), 'leader');
  assert.ok(await page.locator('.next li').count());
});

test('the set has all members and their weights', async () => {
  const set = await ask(rpc, 'horae_sequencerSet');
  const card = page.getByRole('region', { name: /^Set of epoch/ });
  assert.equal(await card.locator('.rows li').count(), set.members.length);
  const weight = Number(set.members[0].weight).toLocaleString('en');
  await see(card, (text) => text.includes(`${weight} METIS`), 'weight of the first member');
});

test('the matrix shows more than two thirds under every batch', async () => {
  const matrix = page.locator('.matrix');
  const columns = await matrix.locator('tfoot svg').all();
  assert.ok(columns.length > 0);
  for (const column of columns) assert.ok(Number.parseInt((await column.getAttribute('aria-label')).split(': ')[1], 10) > 66);
  const cells = await matrix.locator('tbody tr').first().locator('.cell').count();
  assert.equal(cells, columns.length);
});

test('a batch is shown with its L1 transaction and the size of its data', async () => {
  const latest = await ask(rpc, 'horae_batch', ['latest']);
  const line = page.locator(`tr[data-batch="${Number(latest.index)}"]`);
  await see(line, (text) => text.includes(latest.inclusion.transactionHash.slice(0, 6)) && /KiB|B/.test(text) && text.includes('gas'), 'newest batch');
  await inspect(page, 'network');
});

test('a transaction is found by its hash, with all that it cost', async () => {
  await search(receipt.transactionHash);
  await heading('Transaction');
  await page.getByText('succeeded').waitFor();
  const fee = receipt.gasUsed * receipt.effectiveGasPrice + BigInt((await ask(rpc, 'eth_getTransactionReceipt', [receipt.transactionHash])).l1Fee);
  const shown = Number((await page.getByTestId('fee').textContent()).replaceAll(/[^0-9.]/g, ''));
  assert.ok(Math.abs(shown - Number(formatUnits(fee, 18))) < 1e-9, `${shown}`);
  await inspect(page, 'transaction');
});

test('a block is found by height and by hash, an address by itself', async () => {
  await search(String(receipt.blockNumber));
  await heading(`Block ${Number(receipt.blockNumber).toLocaleString('en')}`);
  await page.getByText(receipt.blockHash).waitFor();
  await inspect(page, 'block');
  await search(receipt.blockHash);
  await heading(`Block ${Number(receipt.blockNumber).toLocaleString('en')}`);
  await search(RECIPIENT);
  await heading('Account');
  await page.getByText('0.012345').first().waitFor();
  await inspect(page, 'address');
});

test('what cannot be found is said', async () => {
  await search('neither');
  await page.getByText('That is no height, hash or address.').waitFor();
  await search(`0x${'12'.repeat(32)}`);
  await page.getByText('No transaction or block of L2 has that hash.').waitFor();
});

test('a node that stops is shown as down, and as up when it goes on', async () => {
  await page.goto(`${devnet.pages}/#/network`);
  const { pid } = devnet.nodes.find((node) => node.name === PAUSED);
  await see(row(PAUSED), (text) => text.includes('up'), 'before');
  process.kill(pid, 'SIGSTOP');
  try {
    await see(row(PAUSED), (text) => text.includes('down does not answer'), 'stopped');
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await see(row(PAUSED), (text) => text.includes('up'), 'after');
});

test('when no node answers the page says so, and recovers', async () => {
  const nodes = (url) => devnet.nodes.some((node) => url.href.startsWith(node.rpc));
  await page.route(nodes, (route) => route.abort());
  await page.getByText('No node of L2 answers.').first().waitFor();
  await page.unroute(nodes);
  await see(page.getByTestId('head-latest'), (text) => text !== '–', 'latest');
});

test('dark, and on a small phone', async () => {
  for (const [name, options] of [['network-dark', { dark: true }], ['network-360', { width: 360 }]]) {
    const other = await open(browser, { hash: '#/network', ...options });
    await other.locator('.matrix tbody tr').first().waitFor();
    await inspect(other, name);
    clean(other);
    await other.context().close();
  }
});

test('nothing was asked of another machine, and no script failed', () => clean(page));
