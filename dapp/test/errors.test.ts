import { BaseError, ContractFunctionRevertedError, encodeErrorResult, HttpRequestError, UserRejectedRequestError } from 'viem';
import { expect, it, test } from 'vitest';
import { stakingAbi } from '../src/abi.generated';
import { parseConfig } from '../src/config';
import { callAbi, explain, revertSentence } from '../src/errors';

const ACCOUNT = '0x90F79bf6EB2c4f870365E785982E1f101E93b906';

function reverted(errorName: string, args: readonly unknown[]) {
  const data = encodeErrorResult({ abi: callAbi as never, errorName, args } as never);
  const cause = new ContractFunctionRevertedError({ abi: callAbi as never, data, functionName: 'delegate' });
  return new BaseError('call failed', { cause });
}

test.each([
  ['ERC20InsufficientBalance', [ACCOUNT, 5n * 10n ** 18n, 10n * 10n ** 18n], 'This account holds 5 METIS on L1, but needs 10.'],
  ['StakeBelowMinimum', [0n, 20_000n * 10n ** 18n], 'Self-stake would be 0 METIS, but 20,000 must stay. To take out all, exit.'],
  ['SignerTaken', [ACCOUNT, 2n], '0x90F7…b906 is or was the signer of operator 2, and stays its for ever: use a fresh key.'],
  ['IsFrozen', [3n], 'A case of misbehaviour is open against operator 3: nothing may enter, and what is liable cannot be claimed, until it ends.'],
  ['NotOwner', [4n, ACCOUNT], 'Only the owner of operator 4 may do this; 0x90F7…b906 is not.'],
])('%s is a sentence', (name, args, sentence) => expect(explain(reverted(name, args))).toBe(sentence));

it('has a whole sentence for every error of the contract', () => {
  for (const entry of stakingAbi) {
    if (entry.type !== 'error') continue;
    const args = entry.inputs.map((input) => (input.type === 'address' ? ACCOUNT : /^uint(8|16|32)$/.test(input.type) ? 7 : 7n));
    expect(revertSentence(entry.name, args), entry.name).toMatch(/^[A-Z0][^{}]*\.( [A-Z].*\.)?$/);
    expect(revertSentence(entry.name, args)).not.toContain('undefined');
  }
});

it('names an error that it does not know', () => expect(revertSentence('Unheard', [])).toBe('The contract refused with Unheard.'));

it('tells a refusal in the wallet and a silent node apart', () => {
  expect(explain(new BaseError('x', { cause: new UserRejectedRequestError(new Error('no')) }))).toMatch(/declined/);
  expect(explain(new BaseError('x', { cause: new HttpRequestError({ url: 'http://127.0.0.1:1' }) }))).toMatch(/does not answer/);
  expect(explain(new Error('plain'))).toBe('plain');
});

it('refuses a configuration that names no network', () => {
  const contracts = { metis: ACCOUNT, staking: ACCOUNT, sequencerSet: ACCOUNT, rewards: ACCOUNT, slashing: ACCOUNT };
  const good = { name: 'x', l1: { name: 'l1', url: 'http://127.0.0.1:1', chainId: 1 }, l2: { name: 'l2', chainId: 2, nodes: [{ name: 'a', role: 'follower', url: 'http://127.0.0.1:2' }] }, contracts };
  expect(parseConfig(good).l1.startBlock).toBe(0);
  for (const bad of [null, {}, { ...good, l2: { nodes: [] } }, { ...good, l1: { url: 'nowhere' } }, { ...good, contracts: { ...contracts, staking: '0x12' } }]) {
    expect(() => parseConfig(bad)).toThrow(/config.json/);
  }
});
