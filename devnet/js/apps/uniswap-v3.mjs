// Uniswap v3 from its published bytecode: a pool, a position as an NFT, swaps, fees collected, the position closed.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { parseEther, parseEventLogs, zeroAddress } from 'viem';
import { artifact, party } from '../lib/network.mjs';
import { published } from '../lib/published.mjs';

const forever = 2n ** 63n;
const FEE = 3_000;
const SPACING = 60;
/** Price 1 as a square root with 96 fractional bits. */
const EVEN = 2n ** 96n;

describe('Uniswap v3', () => {
  const me = party(1);
  const { abi: poolAbi } = published('@uniswap/v3-core/artifacts/contracts/UniswapV3Pool.sol/UniswapV3Pool.json');
  const periphery = (path) => published(`@uniswap/v3-periphery/artifacts/contracts/${path}.json`);
  let factory;
  let positions;
  let router;
  let quoter;
  let tokens;
  let pool;
  let tokenId;

  before(async () => {
    factory = await me.deploy(published('@uniswap/v3-core/artifacts/contracts/UniswapV3Factory.sol/UniswapV3Factory.json'));
    const weth = await me.deploy(published('@uniswap/v2-periphery/build/WETH9.json'));
    const at = [factory.address, weth.address];
    positions = await me.deploy(periphery('NonfungiblePositionManager.sol/NonfungiblePositionManager'), [...at, zeroAddress]);
    router = await me.deploy(periphery('SwapRouter.sol/SwapRouter'), at);
    quoter = await me.deploy(periphery('lens/QuoterV2.sol/QuoterV2'), at);
    tokens = [];
    for (let index = 0; index < 2; index += 1) {
      const token = await me.deploy(artifact('DevnetMetis'));
      await me.call(token, 'mint', [me.address, parseEther('1000000')]);
      for (const spender of [positions, router]) await me.call(token, 'approve', [spender.address, parseEther('1000000')]);
      tokens.push(token);
    }
    tokens.sort((left, right) => (BigInt(left.address) < BigInt(right.address) ? -1 : 1));
  });

  const balances = () => Promise.all(tokens.map((token) => me.read(token, 'balanceOf', [me.address])));

  test('a pool with a price', async () => {
    await me.call(positions, 'createAndInitializePoolIfNecessary', [tokens[0].address, tokens[1].address, FEE, EVEN]);
    pool = { address: await me.read(factory, 'getPool', [tokens[0].address, tokens[1].address, FEE]), abi: poolAbi };
    const [price, tick] = await me.read(pool, 'slot0');
    assert.deepEqual([price, tick], [EVEN, 0]);
  });

  test('a position', async () => {
    const amount = parseEther('1000');
    const held = await balances();
    const receipt = await me.call(positions, 'mint', [{
      token0: tokens[0].address, token1: tokens[1].address, fee: FEE, tickLower: -SPACING * 10, tickUpper: SPACING * 10,
      amount0Desired: amount, amount1Desired: amount, amount0Min: 0n, amount1Min: 0n, recipient: me.address, deadline: forever,
    }]);
    const [added] = parseEventLogs({ abi: positions.abi, logs: receipt.logs, eventName: 'IncreaseLiquidity' });
    tokenId = added.args.tokenId;
    assert.equal(await me.read(positions, 'ownerOf', [tokenId]), me.address);
    assert.equal(await me.read(pool, 'liquidity'), added.args.liquidity);
    const now = await balances();
    assert.deepEqual([held[0] - now[0], held[1] - now[1]], [added.args.amount0, added.args.amount1]);
  });

  test('a swap pays what the quoter says', async () => {
    const amount = parseEther('10');
    const ask = { tokenIn: tokens[0].address, tokenOut: tokens[1].address, amountIn: amount, fee: FEE, sqrtPriceLimitX96: 0n };
    const { result } = await me.client.simulateContract({ ...quoter, functionName: 'quoteExactInputSingle', args: [ask], account: me.account });
    const held = await balances();
    const receipt = await me.call(router, 'exactInputSingle', [{
      tokenIn: ask.tokenIn, tokenOut: ask.tokenOut, fee: FEE, recipient: me.address, deadline: forever, amountIn: amount, amountOutMinimum: result[0], sqrtPriceLimitX96: 0n,
    }]);
    const now = await balances();
    assert.deepEqual([held[0] - now[0], now[1] - held[1]], [amount, result[0]]);
    const [swap] = parseEventLogs({ abi: poolAbi, logs: receipt.logs, eventName: 'Swap' });
    assert.equal(swap.args.sqrtPriceX96, result[1]);
    assert.ok(swap.args.tick < 0);
  });

  test('exact output through the router', async () => {
    const wanted = parseEther('5');
    const held = await balances();
    await me.call(router, 'exactOutputSingle', [{
      tokenIn: tokens[1].address, tokenOut: tokens[0].address, fee: FEE, recipient: me.address, deadline: forever, amountOut: wanted, amountInMaximum: parseEther('6'), sqrtPriceLimitX96: 0n,
    }]);
    assert.equal((await balances())[0] - held[0], wanted);
  });

  test('fees, then everything out', async () => {
    const collect = { tokenId, recipient: me.address, amount0Max: 2n ** 128n - 1n, amount1Max: 2n ** 128n - 1n };
    const receipt = await me.call(positions, 'collect', [collect]);
    const [fees] = parseEventLogs({ abi: positions.abi, logs: receipt.logs, eventName: 'Collect' });
    // 0.3 % of ten tokens, less rounding.
    assert.ok(fees.args.amount0 > parseEther('0.0299') && fees.args.amount0 <= parseEther('0.03'));
    const liquidity = await me.read(pool, 'liquidity');
    await me.call(positions, 'decreaseLiquidity', [{ tokenId, liquidity, amount0Min: 0n, amount1Min: 0n, deadline: forever }]);
    const held = await balances();
    await me.call(positions, 'collect', [collect]);
    const now = await balances();
    assert.ok(now[0] - held[0] > parseEther('1000') && now[1] - held[1] > parseEther('990'));
    await me.call(positions, 'burn', [tokenId]);
    assert.equal(await me.read(pool, 'liquidity'), 0n);
    await assert.rejects(me.read(positions, 'ownerOf', [tokenId]), /nonexistent token/);
  });
});
