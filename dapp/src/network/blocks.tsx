import { ago, count, percent } from '../format';
import { link } from '../router';
import { useNow } from '../ui';
import type { Naming } from './names';
import type { Block } from './rpc';

export function BlockTable({ blocks, name }: { blocks: Block[]; name: Naming }) {
  const now = useNow();
  return (
    <table className="stack">
      <thead>
        <tr><th scope="col">Block</th><th scope="col">Age</th><th scope="col">Leader</th><th scope="col" className="number">Transactions</th><th scope="col" className="number">Gas used</th><th scope="col">Hash</th></tr>
      </thead>
      <tbody>
        {blocks.map((block) => (
          <tr key={block.number}>
            <th scope="row"><a href={link.block(block.number)}>{count(block.number)}</a></th>
            <td data-label="Age">{ago(block.timeMs, now)}</td>
            <td data-label="Leader">{block.leader ? name(block.leader) : '–'}</td>
            <td data-label="Transactions" className="number">{count(block.transactions.length)}</td>
            <td data-label="Gas used" className="number"><span>{count(block.gasUsed)} <span className="note">{percent(block.gasUsed, block.gasLimit)}</span></span></td>
            <td data-label="Hash" className="hex"><a href={link.block(block.hash)} title={block.hash}>{block.hash.slice(0, 10)}…</a></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
