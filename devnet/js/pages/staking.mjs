// The staking page, as a delegator and as an operator's owner use it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parseAbi, parseUnits } from 'viem';
import { clean, connect, derived, devnet, inspect, l1Client, l1Wallet, launch, open, PATIENCE_MS, see, switchChain, wallet } from './browser.mjs';

const abi = parseAbi([
  'function mint(address,uint256)', 'function balanceOf(address) view returns (uint256)',
  'function operatorOf(address) view returns (uint64)',
  'function delegation(uint64,address) view returns ((uint32 series, uint256 shares, uint256 locked, uint256 assets))',
]);
const { staking, metis } = devnet.contracts;
const sequencers = devnet.nodes.filter((node) => node.role === 'sequencer');
const delegator = wallet(devnet.accounts[3].privateKey);
const owner = wallet(derived('owner 0'));
/** METIS the delegator gets, delegates, takes out and moves. */
const [PURSE, DELEGATED, TAKEN, MOVED] = ['30000', '1234.5', '500', '100'];
/** Most a request takes on a devnet: the rest of a slot, the delay, and L1's blocks. */
const UNBONDING_MS = 120_000;

let browser;
let page;
let first;
let second;
before(async () => {
  browser = await launch();
  const bank = l1Wallet(devnet.deployer.privateKey);
  const hash = await bank.writeContract({ address: metis, abi, functionName: 'mint', args: [delegator.address, parseUnits(PURSE, 18)] });
  await l1Client.waitForTransactionReceipt({ hash });
  const idOf = (node) => l1Client.readContract({ address: staking, abi, functionName: 'operatorOf', args: [node.signer] });
  [first, second] = await Promise.all([idOf(sequencers[0]), idOf(sequencers[1])]);
});
after(() => browser?.close());

const held = async (id) => (await l1Client.readContract({ address: staking, abi, functionName: 'delegation', args: [id, delegator.address] })).assets;
const numberIn = (text) => Number(text.replaceAll(/[^0-9.]/g, ''));
const panel = () => page.getByRole('region', { name: 'Your delegation' });
const toast = (text) => page.getByRole('log').getByText(text, { exact: false });

test('operators are listed with their stake, sorted and found', async () => {
  page = await open(browser, { account: delegator });
  const rows = page.locator('table.stack tbody tr');
  await rows.nth(sequencers.length - 1).waitFor();
  const heaviest = [...sequencers].sort((a, b) => b.stake - a.stake)[0];
  assert.match(await rows.first().textContent(), new RegExp(heaviest.stake.toLocaleString('en')));
  const header = page.getByRole('button', { name: 'Self-stake' });
  await header.focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Enter');
  const lightest = [...sequencers].sort((a, b) => a.stake - b.stake)[0];
  assert.match(await rows.first().textContent(), new RegExp(lightest.stake.toLocaleString('en')));
  assert.equal(await page.locator('th[aria-sort="ascending"]').count(), 1);
  await page.getByPlaceholder('name, number or address').fill(sequencers[2].signer);
  await see(page.locator('.filters [role=status]'), (text) => text.startsWith('1 of'), 'search by signer');
  await page.getByPlaceholder('name, number or address').fill('');
  await page.locator('.filters select').first().selectOption('active');
  await see(page.locator('.filters [role=status]'), (text) => text.startsWith(`${sequencers.length} of`), 'active operators');
});

test('a wallet on another network is told so, and L1 is added to it', async () => {
  await connect(page);
  await page.getByText('Your wallet is on another network').waitFor();
  await switchChain(page);
  assert.ok(delegator.known.has(devnet.l1.chainId));
});

test('a reload keeps the wallet connected', async () => {
  await page.reload();
  await page.getByRole('button', { name: 'Disconnect' }).waitFor();
  await page.getByText('In your wallet').waitFor();
});

test('what the wallet declines is said', async () => {
  await page.goto(`${devnet.pages}/#/staking/${first}`);
  await panel().getByRole('button', { name: '25 %' }).click();
  delegator.declines = true;
  await page.getByRole('button', { name: 'Approve and delegate' }).click();
  await toast('You declined the request in your wallet.').waitFor();
  assert.equal(delegator.sent, 0);
  await page.getByRole('button', { name: /^Close:/ }).click();
});

test('an approval and a delegation, with what comes of it shown before and after', async () => {
  const total = numberIn(await page.getByTestId('total-stake').textContent());
  await panel().getByLabel('Amount').fill(DELEGATED);
  await panel().getByText('You get').waitFor();
  const submit = page.getByRole('button', { name: 'Approve and delegate' });
  await submit.click();
  await page.getByRole('button', { name: 'Under way…' }).waitFor();
  assert.ok(await page.getByRole('button', { name: 'Under way…' }).isDisabled(), 'a second click submits nothing');
  await toast('Delegation of 1,234.5 METIS is done.').waitFor();
  assert.equal(delegator.sent, 2);
  await see(page.getByTestId('held'), (text) => numberIn(text) >= 1_234.49, 'own delegation');
  await see(page.getByTestId('total-stake'), (text) => numberIn(text) >= total + 1_234.49, 'the operator’s new total');
  assert.ok((await held(first)) > parseUnits('1234.49', 18));
  await inspect(page, 'operator');
});

test('an amount that the wallet does not hold cannot be submitted', async () => {
  await panel().getByLabel('Amount').fill('99999999');
  await panel().getByText('More than your wallet holds').waitFor();
  assert.ok(await page.getByRole('button', { name: /delegate$/i }).last().isDisabled());
});

test('an undelegation becomes a request with a countdown', async () => {
  await panel().getByRole('button', { name: 'Undelegate' }).first().click();
  await panel().getByLabel('Amount').fill(TAKEN);
  await panel().getByText('Can be claimed').waitFor();
  await panel().locator('button[type=submit]').click();
  await toast('Undelegation of 500 METIS is done.').waitFor();
  const request = page.getByTestId('request').first();
  assert.match(await request.textContent(), /500(\.0)? METIS/);
  const begin = await request.locator('.countdown').textContent();
  await see(request.locator('.countdown'), (text) => text !== begin, 'the countdown');
});

test('a move to another operator waits for nothing', async () => {
  await panel().getByRole('button', { name: 'Move' }).first().click();
  await panel().getByRole('combobox').selectOption(String(second));
  await panel().getByLabel('Amount').fill(MOVED);
  await panel().locator('button[type=submit]').click();
  await page.getByRole('log').getByText(/Move to .* is done/).waitFor();
  assert.ok((await held(second)) > parseUnits('99.99', 18));
});

test('a registration that L1 would refuse says why before anything is signed', async () => {
  await page.goto(`${devnet.pages}/#/staking/register`);
  await page.getByLabel('Self-stake').fill('20000');
  await page.getByLabel('Signer').fill(sequencers[1].signer);
  await page.getByRole('button', { name: 'Register' }).click();
  await toast(`is or was the signer of operator ${second}, and stays its for ever`).waitFor();
  assert.equal(delegator.sent, 5, 'the approval alone was sent');
});

test('an owner names the operator, and hears why a commission is refused', async () => {
  const other = await open(browser, { account: owner, hash: `#/staking/${first}` });
  await connect(other);
  await switchChain(other);
  const fold = (name) => other.locator('details', { hasText: name });
  await fold('Change the commission').locator('summary').click();
  await other.getByLabel('Commission', { exact: true }).fill('5');
  await other.getByRole('button', { name: 'Set commission' }).click();
  await other.getByText('A commission of 5 % is too high: at most 1 % now').waitFor();
  await other.getByLabel('Commission', { exact: true }).fill('1');
  await other.getByRole('button', { name: 'Set commission' }).click();
  await other.getByText('Commission of 1 % is done.').waitFor();
  await fold('Change name and address').locator('summary').click();
  await other.getByLabel('Name').fill('Eirene');
  await other.getByRole('button', { name: 'Set name' }).click();
  await other.getByRole('heading', { level: 1 }).getByText('Eirene').waitFor();
  await inspect(other, 'owner');
  clean(other);
  await other.context().close();
});

test('L1 that does not answer is shown, and comes back', async () => {
  await page.goto(`${devnet.pages}/#/staking`);
  await page.getByRole('region', { name: 'Your stake' }).waitFor();
  const unreachable = (route) => route.abort();
  await page.route(`${devnet.l1.url}/**`, unreachable);
  await page.getByText('does not answer at').waitFor();
  assert.ok(await page.locator('table.stack tbody tr').count(), 'what was read last stays');
  await page.unroute(`${devnet.l1.url}/**`, unreachable);
  await page.getByText('does not answer at').waitFor({ state: 'detached' });
});

test('the request is claimed when its time has come', async () => {
  const before = await l1Client.readContract({ address: metis, abi, functionName: 'balanceOf', args: [delegator.address] });
  await inspect(page, 'staking');
  const claim = page.getByRole('button', { name: 'Claim', exact: true });
  await claim.waitFor({ timeout: UNBONDING_MS });
  await claim.click();
  await page.getByRole('log').getByText(/Claim of .* is done/).waitFor();
  const now = await l1Client.readContract({ address: metis, abi, functionName: 'balanceOf', args: [delegator.address] });
  assert.ok(now > before + parseUnits('499.99', 18), `${before} ${now}`);
  await claim.waitFor({ state: 'detached', timeout: PATIENCE_MS });
});

test('dark, and on a small phone', async () => {
  for (const [name, options] of [['staking-dark', { dark: true }], ['staking-360', { width: 360 }], ['operator-360', { width: 360, hash: `#/staking/${first}`, account: delegator }]]) {
    const other = await open(browser, options);
    await other.locator('table tbody tr').first().waitFor();
    await inspect(other, name);
    clean(other);
    await other.context().close();
  }
});

test('nothing was asked of another machine, and no script failed', () => clean(page));
