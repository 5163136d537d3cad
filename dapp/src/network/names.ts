// Addresses of signers as people know them.
import { short } from '../format';
import type { Directory, Staking } from '../staking/data';
import { nameOf } from '../staking/standing';
import type { NodeState } from './data';

export type Naming = (signer: string) => string;

/** By the operator's name on L1, else by the node that signs with the key, else by the address itself. */
export function naming(nodes: Pick<NodeState, 'node' | 'status'>[], staking: Staking | undefined, directory: Directory | undefined): Naming {
  const names = new Map<string, string>();
  for (const { node, status } of nodes) if (status?.signer) names.set(status.signer.toLowerCase(), node.name);
  for (const operator of staking?.operators ?? []) {
    const signer = operator.signer.toLowerCase();
    if (directory?.metadata.get(operator.id)?.name.trim() || !names.has(signer)) names.set(signer, nameOf(operator.id, directory));
  }
  return (signer) => names.get(signer.toLowerCase()) ?? short(signer);
}
