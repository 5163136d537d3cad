import { useSyncExternalStore } from 'react';

/** Places of the app, after the `#`: no server has to know them. */
export type Route =
  | { page: 'staking' }
  | { page: 'operator'; id: bigint }
  | { page: 'register' }
  | { page: 'network' }
  | { page: 'block'; id: string }
  | { page: 'transaction'; hash: `0x${string}` }
  | { page: 'address'; address: `0x${string}` }
  | { page: 'unknown' };

export const link = {
  staking: '#/staking',
  register: '#/staking/register',
  operator: (id: bigint | number) => `#/staking/${id}`,
  network: '#/network',
  block: (id: bigint | number | string) => `#/network/block/${id}`,
  transaction: (hash: string) => `#/network/tx/${hash}`,
  address: (address: string) => `#/network/address/${address}`,
};

export function parseRoute(hash: string): Route {
  const [area = '', kind, id] = hash.replace(/^#?\/?/, '').split('/');
  if (area === '' || area === 'staking') {
    if (!kind) return { page: 'staking' };
    if (kind === 'register') return { page: 'register' };
    return /^\d{1,19}$/.test(kind) ? { page: 'operator', id: BigInt(kind) } : { page: 'unknown' };
  }
  if (area !== 'network') return { page: 'unknown' };
  if (!kind) return { page: 'network' };
  if (kind === 'block' && id && /^(\d{1,19}|0x[0-9a-f]{64})$/i.test(id)) return { page: 'block', id };
  if (kind === 'tx' && id && /^0x[0-9a-f]{64}$/i.test(id)) return { page: 'transaction', hash: id as `0x${string}` };
  if (kind === 'address' && id && /^0x[0-9a-f]{40}$/i.test(id)) return { page: 'address', address: id as `0x${string}` };
  return { page: 'unknown' };
}

function subscribe(changed: () => void) {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
}

export function useRoute(): Route {
  return parseRoute(useSyncExternalStore(subscribe, () => window.location.hash));
}

export function go(target: string) {
  window.location.hash = target;
}
