import { type Address, type Chain, createPublicClient, defineChain, http, isAddress } from 'viem';

/** A node of L2 that the pages ask. */
export interface NodeConfig {
  name: string;
  role: string;
  url: string;
}

/** L1 contracts that the pages call. */
export interface Contracts {
  metis: Address;
  staking: Address;
  sequencerSet: Address;
  rewards: Address;
  slashing: Address;
}

/** `/config.json`: which network the pages show. Whoever serves them writes it. */
export interface SiteConfig {
  name: string;
  l1: { name: string; url: string; chainId: number; startBlock: number };
  l2: { name: string; chainId: number; nodes: NodeConfig[] };
  contracts: Contracts;
}

const CONTRACTS = ['metis', 'staking', 'sequencerSet', 'rewards', 'slashing'] as const;
/** Longest wait for L1. */
const L1_TIMEOUT_MS = 8_000;

/** Checks what was served: a wrong address here would send stake to the wrong place. */
export function parseConfig(value: unknown): SiteConfig {
  const config = value as SiteConfig;
  const wrong = (what: string) => new Error(`config.json: ${what}`);
  if (!URL.canParse(config?.l1?.url) || !Number.isSafeInteger(config.l1.chainId)) throw wrong('l1 needs url and chainId');
  if (!Array.isArray(config.l2?.nodes) || !config.l2.nodes.length) throw wrong('l2.nodes is empty');
  for (const node of config.l2.nodes) if (!node.name || !URL.canParse(node.url)) throw wrong('a node needs name and url');
  for (const name of CONTRACTS) {
    if (!isAddress(config.contracts?.[name] ?? '', { strict: false })) throw wrong(`contracts.${name} is no address`);
  }
  return { ...config, l1: { ...config.l1, startBlock: config.l1.startBlock ?? 0 } };
}

export async function loadConfig(): Promise<SiteConfig> {
  const response = await fetch('/config.json');
  if (!response.ok) throw new Error(`config.json: HTTP ${response.status}`);
  return parseConfig(await response.json());
}

/** L1 as viem and wallets know chains. */
export function l1Chain(config: SiteConfig): Chain {
  return defineChain({
    id: config.l1.chainId,
    name: config.l1.name,
    nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
    rpcUrls: { default: { http: [config.l1.url] } },
  });
}

/** A client of L1. No answer is fetched from elsewhere, whatever a contract asks for (EIP-3668). */
export function l1Client(config: SiteConfig) {
  const transport = http(config.l1.url, { batch: { wait: 4 }, retryCount: 1, timeout: L1_TIMEOUT_MS });
  return createPublicClient({ chain: l1Chain(config), transport, pollingInterval: 500, cacheTime: 0, ccipRead: false });
}

export type L1 = ReturnType<typeof l1Client>;
