// A browser for the pages: headless Chromium that can reach 127.0.0.1 alone, with a wallet that announces itself (EIP-6963) and signs
// with a development key outside of the page.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import axe from 'axe-core';
import { chromium } from 'playwright-core';
import { createPublicClient, createWalletClient, defineChain, http, keccak256, numberToHex, toHex } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const file = process.env.DEVNET_JSON;
if (!file) throw new Error('set DEVNET_JSON to the devnet.json of a running network (`devnet up`)');

/** The manifest of the network. */
export const devnet = JSON.parse(readFileSync(file, 'utf8'));
assert.ok(devnet.pages, 'the pages are not served: run `./x setup`, then start the network again');
/** Most something on a page may take to appear. */
export const PATIENCE_MS = 20_000;
const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];
/** Chain that a fresh wallet is on: not ours. */
const OTHER_CHAIN = 1;
const screens = join(dirname(file), 'screens');

const l1 = defineChain({
  id: devnet.l1.chainId, name: 'devnet L1', nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 }, rpcUrls: { default: { http: [devnet.l1.url] } },
});
export const l1Client = createPublicClient({ chain: l1, transport: http(), pollingInterval: 200 });
export const l1Wallet = (key) => createWalletClient({ chain: l1, transport: http(), account: privateKeyToAccount(key) });
/** Key of a part of the network, as `devnet/src/keys.rs` derives it. */
export const derived = (name) => keccak256(toHex(`horae devnet ${name}`));

/** A JSON-RPC answer of a node, or an error. */
export async function ask(url, method, params = []) {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal: AbortSignal.timeout(4_000) });
  const { result, error } = await response.json();
  if (error) throw new Error(error.message);
  return result;
}

export async function launch() {
  const executablePath = process.env.CHROMIUM ?? PROGRAMS.find(existsSync);
  assert.ok(executablePath, 'chromium is missing: run `./x setup`, or name it in $CHROMIUM');
  mkdirSync(screens, { recursive: true });
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A wallet outside of the page. `declines` makes it refuse the next signature. */
export function wallet(key) {
  const client = l1Wallet(key);
  const state = { address: client.account.address, declines: false, chain: OTHER_CHAIN, known: new Set([OTHER_CHAIN]), allowed: false, sent: 0 };
  const fail = (code, message) => ({ error: { code, message } });
  state.answer = async ({ method, params = [] }) => {
    switch (method) {
      case 'eth_requestAccounts':
      case 'wallet_requestPermissions':
        state.allowed = true;
        return { result: method === 'eth_requestAccounts' ? [state.address] : [{ parentCapability: 'eth_accounts', caveats: [{ type: 'restrictReturnedAccounts', value: [state.address] }] }] };
      case 'eth_accounts': return { result: state.allowed ? [state.address] : [] };
      case 'eth_chainId': return { result: numberToHex(state.chain) };
      case 'wallet_revokePermissions': state.allowed = false; return { result: null };
      case 'wallet_addEthereumChain': state.known.add(Number(params[0].chainId));
      // What it adds it switches to, as wallets do.
      case 'wallet_switchEthereumChain': {
        const chain = Number(params[0].chainId);
        if (!state.known.has(chain)) return fail(4902, 'Unrecognized chain');
        state.chain = chain;
        return { result: null, chain: numberToHex(chain) };
      }
      case 'eth_sendTransaction': {
        if (state.declines) {
          state.declines = false;
          return fail(4001, 'User rejected the request');
        }
        const { to, data, value, gas } = params[0];
        state.sent += 1;
        return { result: await client.sendTransaction({ to, data, value: BigInt(value ?? 0), gas: gas && BigInt(gas) }) };
      }
      default: return { result: await ask(devnet.l1.url, method, params) };
    }
  };
  return state;
}

/** Runs in the page: the provider that it finds. */
function announce() {
  const listeners = {};
  const provider = {
    on: (event, listener) => (listeners[event] ??= []).push(listener),
    removeListener: (event, listener) => { listeners[event] = (listeners[event] ?? []).filter((other) => other !== listener); },
    request: async (request) => {
      const { result, error, chain } = await window.answerOfWallet(request);
      if (error) throw Object.assign(new Error(error.message), { code: error.code });
      if (chain) for (const listener of listeners.chainChanged ?? []) listener(chain);
      return result;
    },
  };
  const info = { uuid: '350670db-19fa-4704-a166-e52e178b59d2', name: 'Test wallet', icon: 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg"/>', rdns: 'org.horae.test' };
  const detail = Object.freeze({ info, provider });
  const say = () => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail }));
  window.addEventListener('eip6963:requestProvider', say);
  say();
}

/** A page of its own profile. What it asks of other machines, and what it complains about, is kept. */
export async function open(browser, { hash = '', account, dark = false, width = 1280 } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: dark ? 'dark' : 'light' });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.outside = [];
  page.errors = [];
  context.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (!['data:', 'blob:'].includes(protocol) && hostname !== '127.0.0.1') page.outside.push(request.url());
  });
  page.on('pageerror', (error) => page.errors.push(error.message));
  if (account) {
    await context.exposeFunction('answerOfWallet', (request) => account.answer(request).catch((error) => ({ error: { code: -32603, message: error.shortMessage ?? error.message } })));
    await context.addInitScript(announce);
  }
  await page.goto(`${devnet.pages}/${hash}`);
  return page;
}

/** Connects the test wallet and lets it add L1. */
export async function connect(page) {
  await page.getByRole('button', { name: 'Connect wallet' }).click();
  await page.getByRole('button', { name: 'Test wallet' }).click();
  await page.getByRole('button', { name: 'Disconnect' }).waitFor();
}

export async function switchChain(page) {
  await page.getByRole('button', { name: 'Switch network' }).click();
  await page.getByText('Your wallet is on another network').waitFor({ state: 'detached' });
}

/** Waits until a text holds what is wanted, and returns it. */
export async function see(locator, wanted, what, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  let text;
  for (;;) {
    text = await locator.first().textContent({ timeout: patience });
    if (wanted(text)) return text;
    assert.ok(Date.now() < deadline, `${what}: still "${text}"`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
}

/** No violation that axe calls serious or critical; nothing wider than the window, and no table wider than its card. */
export async function inspect(page, name) {
  await page.screenshot({ path: join(screens, `${name}.png`), fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(wide <= 0, `${name} is ${wide} px too wide`);
  const spilling = await page.evaluate(() => [...document.querySelectorAll('table')].filter((table) => table.scrollWidth > table.parentElement.clientWidth && !table.closest('.scroll')).length);
  assert.equal(spilling, 0, `${name}: tables wider than their cards`);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  const grave = violations.filter((violation) => ['serious', 'critical'].includes(violation.impact));
  const words = grave.map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.html} ${node.failureSummary}`).join('; ')}`);
  assert.deepEqual(words, [], `${name}: serious violations`);
}

/** Nothing was asked of another machine, and no script failed. */
export function clean(page) {
  assert.deepEqual(page.outside, []);
  assert.deepEqual(page.errors, []);
}
