import { useQuery } from '@tanstack/react-query';
import { hexToNumber, type Hex as HexString } from 'viem';
import { bytes, coin, count, gwei, moment, percent, short } from '../format';
import { link } from '../router';
import { Card, Empty, Facts, Failure, Hex, Loading, Tag, type Tone } from '../ui';
import { best, useAnyNode, useNodes } from './data';
import { useNaming } from './overview';
import { block, type Block, type Status, type Transaction } from './rpc';
import { SearchBox } from './search';

const TYPES: Record<number, string> = { 0: 'legacy', 1: 'access list', 2: 'fee market', 4: 'set code', 126: 'deposit' };
export const typeOf = (type: number): string => TYPES[type] ?? `type ${type}`;

const FINALITY: [keyof Pick<Status, 'finalized' | 'safe' | 'latest'>, Tone, string][] = [
  ['finalized', 'good', 'finalized'], ['safe', 'calm', 'safe: on L1'], ['latest', 'warn', 'latest: decided'],
];

/** How final a height is, by the best node's heads. */
export function Finality({ height, status }: { height: number; status: Status | undefined }) {
  if (!status) return null;
  const found = FINALITY.find(([head]) => height <= status[head].number);
  return found ? <Tag tone={found[1]}>{found[2]}</Tag> : <Tag tone="warn">pending</Tag>;
}

export function BlockPage({ id }: { id: string }) {
  const ask = useAnyNode();
  const nodes = useNodes();
  const name = useNaming(nodes);
  const status = best(nodes)?.status;
  const height = id.startsWith('0x') ? id : Number(id);
  const found = useQuery({ queryKey: ['l2', 'block', height], queryFn: () => ask((node) => block(node, height)), refetchInterval: (query) => (query.state.data ? false : 1_000) });
  const read = found.data;
  return (
    <>
      <p><a href={link.network}>← Network</a></p>
      <SearchBox />
      {read ? (
        <>
          <h1>Block {count(read.number)} <Finality height={read.number} status={status} /></h1>
          <nav className="buttons" aria-label="Neighbours">
            {read.number ? <a className="button" href={link.block(read.number - 1)}>← {count(read.number - 1)}</a> : null}
            <a className="button" href={link.block(read.number + 1)}>{count(read.number + 1)} →</a>
          </nav>
          <BlockFacts block={read} leader={read.leader ? name(read.leader) : undefined} />
          <Card title={`${count(read.transactions.length)} transactions`}><TransactionTable transactions={read.transactions} /></Card>
        </>
      ) : found.isPending ? <Loading what={`block ${short(id)}`} /> : found.isError ? <Failure what="The block cannot be read." error={found.error} /> : (
        <p className="state">L2 has no block {short(id)} yet.</p>
      )}
    </>
  );
}

interface RawCertificate { round: HexString; signedWeight: HexString; totalWeight: HexString; signatures: unknown[] }

function BlockFacts({ block: read, leader }: { block: Block; leader: string | undefined }) {
  const ask = useAnyNode();
  const certificate = useQuery({
    queryKey: ['l2', 'certificate', read.number],
    queryFn: () => ask((node) => node.ask<RawCertificate | null>('horae_certificate', [`0x${read.number.toString(16)}`])),
    staleTime: Infinity,
  }).data;
  return (
    <Card title="Header">
      <Facts rows={[
        ['Hash', <Hex key="hash" value={read.hash} whole />],
        ['Parent', <Hex key="parent" value={read.parentHash} href={link.block(read.parentHash)} whole />],
        ['State root', <Hex key="root" value={read.stateRoot} whole />],
        ['Time', `${moment(read.timeMs / 1_000)} and ${read.timeMs % 1_000} ms`],
        ['Leader', read.leader ? <span key="leader">{leader} <Hex value={read.leader} href={link.address(read.leader)} /></span> : '–'],
        ['Certificate', certificate
          ? `${certificate.signatures.length} precommits in round ${hexToNumber(certificate.round)}: ${percent(hexToNumber(certificate.signedWeight), hexToNumber(certificate.totalWeight))} of the weight`
          : 'none on this node'],
        ['Gas', `${count(read.gasUsed)} of ${count(read.gasLimit)} (${percent(read.gasUsed, read.gasLimit)})`],
        ['Base fee', gwei(read.baseFee)],
        ['Size', bytes(read.size)],
      ]} />
    </Card>
  );
}

export function TransactionTable({ transactions }: { transactions: Transaction[] }) {
  if (!transactions.length) return <Empty>No transactions.</Empty>;
  return (
    <table className="stack">
      <thead><tr><th scope="col">Transaction</th><th scope="col">Type</th><th scope="col">From</th><th scope="col">To</th><th scope="col" className="number">Value</th></tr></thead>
      <tbody>
        {transactions.map((transaction) => (
          <tr key={transaction.hash}>
            <th scope="row"><Hex value={transaction.hash} href={link.transaction(transaction.hash)} /></th>
            <td data-label="Type">{typeOf(transaction.type)}</td>
            <td data-label="From"><Hex value={transaction.from} href={link.address(transaction.from)} /></td>
            <td data-label="To">{transaction.to ? <Hex value={transaction.to} href={link.address(transaction.to)} /> : 'creates a contract'}</td>
            <td data-label="Value" className="number">{coin(transaction.value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
