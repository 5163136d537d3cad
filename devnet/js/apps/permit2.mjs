// Permit2 from its published bytecode: a transfer by signature, used once, and an allowance with an end.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { maxUint256, parseAbi, parseEther } from 'viem';
import { artifact, devnet, nodes, party } from '../lib/network.mjs';
import { creating, preinstalled } from '../lib/published.mjs';

const abi = parseAbi([
  'struct TokenPermissions { address token; uint256 amount; }',
  'struct PermitTransferFrom { TokenPermissions permitted; uint256 nonce; uint256 deadline; }',
  'struct SignatureTransferDetails { address to; uint256 requestedAmount; }',
  'function permitTransferFrom(PermitTransferFrom permit, SignatureTransferDetails transferDetails, address owner, bytes signature)',
  'function approve(address token, address spender, uint160 amount, uint48 expiration)',
  'function transferFrom(address from, address to, uint160 amount, address token)',
  'function allowance(address, address, address) view returns (uint160 amount, uint48 expiration, uint48 nonce)',
  'function DOMAIN_SEPARATOR() view returns (bytes32)',
  'error InvalidNonce()',
  'error InvalidSigner()',
  'error AllowanceExpired(uint256 deadline)',
  'error InsufficientAllowance(uint256 amount)',
]);
const types = {
  PermitTransferFrom: [
    { name: 'permitted', type: 'TokenPermissions' }, { name: 'spender', type: 'address' }, { name: 'nonce', type: 'uint256' }, { name: 'deadline', type: 'uint256' },
  ],
  TokenPermissions: [{ name: 'token', type: 'address' }, { name: 'amount', type: 'uint256' }],
};

describe('Permit2', () => {
  // At one node: another one may know of a receipt a moment later.
  const owner = party(4, nodes[0].rpc);
  const spender = party(5, nodes[0].rpc);
  let permit2;
  let token;

  before(async () => {
    // Its cached chain id is zero in the template, so that it computes its domain itself wherever it stands.
    permit2 = { ...await spender.deploy({ abi: [], bytecode: creating(preinstalled('Permit2TemplateCode')) }), abi };
    token = await owner.deploy(artifact('DevnetMetis'));
    await owner.call(token, 'mint', [owner.address, parseEther('100')]);
    await owner.call(token, 'approve', [permit2.address, maxUint256]);
  });

  const balance = (address) => owner.read(token, 'balanceOf', [address]);
  async function permit(nonce, signer = owner) {
    const message = { permitted: { token: token.address, amount: parseEther('10') }, nonce, deadline: maxUint256 };
    const domain = { name: 'Permit2', chainId: devnet.chainId, verifyingContract: permit2.address };
    const signature = await signer.account.signTypedData({ domain, types, primaryType: 'PermitTransferFrom', message: { ...message, spender: spender.address } });
    return [message, { to: spender.address, requestedAmount: parseEther('10') }, owner.address, signature];
  }

  test('a signed transfer moves the tokens, once', async () => {
    const args = await permit(0n);
    await spender.call(permit2, 'permitTransferFrom', args);
    assert.equal(await balance(spender.address), parseEther('10'));
    await assert.rejects(spender.call(permit2, 'permitTransferFrom', args), /InvalidNonce/);
  });

  test('nobody else can sign or spend', async () => {
    await assert.rejects(spender.call(permit2, 'permitTransferFrom', await permit(1n, spender)), /InvalidSigner/);
    await assert.rejects(owner.call(permit2, 'permitTransferFrom', await permit(1n)), /InvalidSigner/);
  });

  test('an allowance is spent and ends', async () => {
    await owner.call(permit2, 'approve', [token.address, spender.address, parseEther('5'), 2 ** 47]);
    await spender.call(permit2, 'transferFrom', [owner.address, spender.address, parseEther('3'), token.address]);
    assert.equal(await balance(spender.address), parseEther('13'));
    assert.equal((await owner.read(permit2, 'allowance', [owner.address, token.address, spender.address]))[0], parseEther('2'));
    await assert.rejects(spender.call(permit2, 'transferFrom', [owner.address, spender.address, parseEther('3'), token.address]), /InsufficientAllowance/);
    await owner.call(permit2, 'approve', [token.address, spender.address, parseEther('5'), 1]);
    await assert.rejects(spender.call(permit2, 'transferFrom', [owner.address, spender.address, 1n, token.address]), /AllowanceExpired/);
  });
});
