import { useSite } from '../site';
import { count, percent } from '../format';
import { useDirectory, useStaking } from '../staking/data';
import { Card, Empty, Failure, Hex, Loading, Tag, Tile, Tiles } from '../ui';
import { BatchTable, SignatureMatrix } from './batches';
import { BlockTable } from './blocks';
import { best, type NodeState, SHOWN_BATCHES, useBatches, useBlocks, useNodes, useOrigin, usePending, useSchedule, useSet } from './data';
import { TurnClock } from './leaders';
import { type Naming, naming } from './names';
import type { SequencerSet, Status } from './rpc';
import { SearchBox } from './search';

/** Who is who: names of the nodes that run here, and of the operators on L1. */
export function useNaming(nodes: NodeState[]): Naming {
  const staking = useStaking().data;
  const directory = useDirectory().data;
  return naming(nodes, staking, directory);
}

export function NetworkPage() {
  const nodes = useNodes();
  const ahead = best(nodes);
  const status = ahead?.status;
  const set = useSet(ahead?.node, status?.epoch).data ?? undefined;
  const turns = useSchedule(ahead?.node, status?.epoch).data;
  const blocks = useBlocks(ahead?.node, status?.latest.number).data;
  const pending = usePending(ahead?.node).data;
  const origin = useOrigin(ahead?.node).data;
  const batches = useBatches(SHOWN_BATCHES);
  const name = useNaming(nodes);
  return (
    <>
      <h1>Network</h1>
      <SearchBox />
      {!status && nodes.every((node) => node.asked) ? <Failure what="No node of L2 answers." /> : null}
      {!status && nodes.some((node) => !node.asked) ? <Loading what="the nodes" /> : null}
      {status ? <Ladder status={status} pending={pending} blocks={blocks} origin={origin} /> : null}
      <div className="columns wide-left">
        <Card title="Nodes"><NodeTable nodes={nodes} top={status?.latest.number ?? 0} /></Card>
        {status ? <Card title="Turns"><TurnClock status={status} turns={turns ?? []} blocks={blocks ?? []} name={name} /></Card> : null}
      </div>
      {set ? <SetCard set={set} name={name} /> : null}
      {set && batches.data ? <Card title="Who signed the last batches"><SignatureMatrix set={set} batches={batches.data} name={name} /></Card> : null}
      <Card title="Batches on L1">
        {batches.data ? <BatchTable batches={batches.data} name={name} /> : batches.isError ? <Failure what="Batches cannot be read." error={batches.error} /> : <Loading what="batches" />}
      </Card>
      <Card title="Latest blocks">{blocks ? <BlockTable blocks={blocks} name={name} /> : <Empty>No block was read yet.</Empty>}</Card>
    </>
  );
}

function Ladder({ status, pending, blocks, origin }: {
  status: Status; pending: number | undefined; blocks: { timeMs: number; number: number }[] | undefined; origin: number | undefined;
}) {
  const newest = blocks?.[0];
  const oldest = blocks?.at(-1);
  const spacing = newest && oldest && newest.number > oldest.number ? (newest.timeMs - oldest.timeMs) / (newest.number - oldest.number) / 1_000 : undefined;
  const top = status.latest.number;
  const steps: [string, string, number | undefined, string][] = [
    ['pending', 'being built, slice by slice', pending, ''],
    ['latest', 'decided by more than 2/3 of the stake: never taken back', top, ''],
    ['safe', 'its batch is on L1', status.safe.number, `${count(top - status.safe.number)} behind`],
    ['finalized', 'that L1 block is final', status.finalized.number, `${count(top - status.finalized.number)} behind`],
  ];
  return (
    <>
      <ol className="ladder" aria-label="How final blocks are">
        {steps.map(([name, means, height, note]) => (
          <li key={name} className={name}>
            <span className="step">{name}</span>
            <span className="tile-value" data-testid={`head-${name}`}>{height === undefined ? '–' : count(height)}</span>
            <span className="note">{means}{note ? `; ${note}` : ''}</span>
          </li>
        ))}
      </ol>
      <Tiles>
        <Tile label="Block time" value={spacing === undefined ? '–' : `${spacing.toFixed(2)} s`} note={`over ${blocks?.length ?? 0} blocks`} />
        <Tile label="Epoch" value={count(status.epoch)} note="set and schedule are fixed in it" />
        <Tile label="L1 head" value={count(status.l1.head)} note={`final ${count(status.l1.finalized)}, read up to ${count(status.l1.derived)}`} />
        <Tile label="L1 origin" value={origin === undefined ? '–' : count(origin)} note="L1 block that latest has seen" />
        <Tile label="Newest batch" value={status.latestBatch === null ? '–' : count(status.latestBatch)} note="accepted by L1" />
      </Tiles>
    </>
  );
}

function NodeTable({ nodes, top }: { nodes: NodeState[]; top: number }) {
  return (
    <table className="stack">
      <thead>
        <tr><th scope="col">Node</th><th scope="col">State</th><th scope="col" className="number">Latest</th><th scope="col" className="number">Lag</th><th scope="col" className="number">Safe</th><th scope="col" className="number">Final</th><th scope="col" className="number">Peers</th></tr>
      </thead>
      <tbody>
        {nodes.map(({ node, status, down, asked, reason }) => (
          <tr key={node.url} data-node={node.name} className={down ? 'down' : undefined}>
            <th scope="row" title={node.role}>{node.name}<span className="note block">{node.url.replace(/^https?:\/\//, '')}</span></th>
            <td data-label="State">{!asked ? '…' : down ? <span><Tag tone="bad">down</Tag> <span className="note">{reason}</span></span> : status?.syncing ? <Tag tone="warn">catching up</Tag> : <Tag tone="good">up</Tag>}</td>
            <td data-label="Latest" className="number">{status ? count(status.latest.number) : '–'}</td>
            <td data-label="Lag" className="number">{status ? count(Math.max(0, top - status.latest.number)) : '–'}</td>
            <td data-label="Safe" className="number">{status ? count(status.safe.number) : '–'}</td>
            <td data-label="Final" className="number">{status ? count(status.finalized.number) : '–'}</td>
            <td data-label="Peers" className="number">{status ? count(status.peers) : '–'}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function SetCard({ set, name }: { set: SequencerSet; name: Naming }) {
  const { config } = useSite();
  const members = [...set.members].sort((a, b) => b.weight - a.weight);
  return (
    <Card title={`Set of epoch ${set.epoch}`} aside={<span className="note">blocks {count(set.first)} to {count(set.last)}, snapshot {set.snapshotId} of {config.l1.name}</span>}>
      <div className="weights" role="img" aria-label={`${members.length} members; ${count(set.totalWeight)} METIS in all`}>
        {members.map((member, index) => (
          <span key={member.signer} className={`weight tone-${index % 6}`} style={{ flexGrow: member.weight }} title={`${name(member.signer)}: ${percent(member.weight, set.totalWeight)}`} />
        ))}
      </div>
      <ul className="rows compact">
        {members.map((member, index) => (
          <li key={member.signer}>
            <span><span className={`dot tone-${index % 6}`} aria-hidden="true" /> {name(member.signer)}</span>
            <Hex value={member.signer} />
            <span className="number">{count(member.weight)} METIS · {percent(member.weight, set.totalWeight)}</span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
