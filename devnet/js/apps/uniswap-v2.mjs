// Uniswap v2 from its published bytecode: liquidity in and out, swaps of tokens and of the native currency.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { parseEther, parseEventLogs } from 'viem';
import { artifact, party } from '../lib/network.mjs';
import { published } from '../lib/published.mjs';

const forever = 2n ** 63n;

describe('Uniswap v2', () => {
  const me = party(0);
  const { abi: pairAbi } = published('@uniswap/v2-core/build/UniswapV2Pair.json');
  let factory;
  let router;
  let weth;
  let tokens;
  let pair;

  before(async () => {
    factory = await me.deploy(published('@uniswap/v2-core/build/UniswapV2Factory.json'), [me.address]);
    weth = await me.deploy(published('@uniswap/v2-periphery/build/WETH9.json'));
    router = await me.deploy(published('@uniswap/v2-periphery/build/UniswapV2Router02.json'), [factory.address, weth.address]);
    tokens = [];
    for (let index = 0; index < 2; index += 1) {
      const token = await me.deploy(artifact('DevnetMetis'));
      await me.call(token, 'mint', [me.address, parseEther('1000000')]);
      await me.call(token, 'approve', [router.address, parseEther('1000000')]);
      tokens.push(token);
    }
  });

  const balance = (token) => me.read(token, 'balanceOf', [me.address]);
  const reserves = async () => {
    const [reserve0, reserve1] = await me.read(pair, 'getReserves');
    return (await me.read(pair, 'token0')) === tokens[0].address ? [reserve0, reserve1] : [reserve1, reserve0];
  };

  test('liquidity makes a pair at the predicted address', async () => {
    const amounts = [parseEther('1000'), parseEther('4000')];
    const receipt = await me.call(router, 'addLiquidity', [tokens[0].address, tokens[1].address, ...amounts, 0n, 0n, me.address, forever]);
    pair = { address: await me.read(factory, 'getPair', tokens.map((token) => token.address)), abi: pairAbi };
    assert.deepEqual(await reserves(), amounts);
    const [mint] = parseEventLogs({ abi: pairAbi, logs: receipt.logs, eventName: 'Mint' });
    assert.equal(mint.address.toLowerCase(), pair.address.toLowerCase());
    // The first thousand shares are locked for ever.
    assert.equal(await balance(pair), parseEther('2000') - 1_000n);
  });

  test('a swap pays what the formula says', async () => {
    const amount = parseEther('10');
    const [before0, before1] = await reserves();
    const taxed = amount * 997n;
    const expected = (taxed * before1) / (before0 * 1_000n + taxed);
    const held = await balance(tokens[1]);
    const path = tokens.map((token) => token.address);
    assert.equal((await me.read(router, 'getAmountsOut', [amount, path]))[1], expected);
    const receipt = await me.call(router, 'swapExactTokensForTokens', [amount, expected, path, me.address, forever]);
    assert.equal(await balance(tokens[1]) - held, expected);
    assert.deepEqual(await reserves(), [before0 + amount, before1 - expected]);
    assert.equal(parseEventLogs({ abi: pairAbi, logs: receipt.logs, eventName: 'Swap' }).length, 1);
  });

  test('twenty swaps in a row, each with exactly the estimated gas', async () => {
    const path = tokens.map((token) => token.address);
    for (let turn = 0; turn < 20; turn += 1) {
      const way = turn % 2 === 0 ? path : path.toReversed();
      await me.call(router, 'swapExactTokensForTokens', [parseEther('1'), 1n, way, me.address, forever]);
    }
  });

  test('too much slippage is refused with the reason', async () => {
    const path = tokens.map((token) => token.address);
    const swap = me.client.simulateContract({
      ...router, functionName: 'swapExactTokensForTokens', args: [parseEther('1'), parseEther('100'), path, me.address, forever], account: me.account,
    });
    await assert.rejects(swap, /INSUFFICIENT_OUTPUT_AMOUNT/);
  });

  test('native currency in and out', async () => {
    await me.call(router, 'addLiquidityETH', [tokens[0].address, parseEther('500'), 0n, 0n, me.address, forever], { value: parseEther('5') });
    const held = await balance(tokens[0]);
    await me.call(router, 'swapExactETHForTokens', [1n, [weth.address, tokens[0].address], me.address, forever], { value: parseEther('1') });
    assert.ok(await balance(tokens[0]) > held + parseEther('80'));
    const receipt = await me.call(router, 'swapExactTokensForETH', [parseEther('50'), 1n, [tokens[0].address, weth.address], me.address, forever]);
    const [withdrawal] = parseEventLogs({ abi: weth.abi, logs: receipt.logs, eventName: 'Withdrawal' });
    assert.ok(withdrawal.args.wad > parseEther('0.4'));
  });

  test('liquidity out', async () => {
    const shares = await balance(pair);
    await me.call(pair, 'approve', [router.address, shares]);
    const held = await balance(tokens[0]);
    await me.call(router, 'removeLiquidity', [tokens[0].address, tokens[1].address, shares, 0n, 0n, me.address, forever]);
    assert.ok(await balance(tokens[0]) > held + parseEther('990'));
    assert.equal(await me.read(pair, 'totalSupply'), 1_000n);
  });
});
