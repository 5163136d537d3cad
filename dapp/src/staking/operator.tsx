import { basisPoints, count, metis, moment, percent } from '../format';
import { RECORD_BATCHES, useBatches } from '../network/data';
import { usePosting } from '../network/posting';
import type { Batch } from '../network/rpc';
import { link } from '../router';
import { useL1Head } from '../site';
import { Card, Empty, Facts, Failure, Hex, Loading, Tag, Tile, Tiles } from '../ui';
import { useAccountOnL1 } from '../wallet';
import { type Directory, useAccount, useDirectory, useSelfRequests, useStaking } from './data';
import { DelegatePanel } from './delegate';
import { AcceptPanel, ManagePanel, RecipientPanel } from './manage';
import { placeIn, signedBy, turnsOf } from './record';
import { Requests } from './requests';
import { type Row, rowsOf } from './rows';
import { STANDINGS, urlOf } from './standing';

/** Batches listed. */
const LISTED_BATCHES = 20;

export function OperatorPage({ id }: { id: bigint }) {
  const staking = useStaking();
  const directory = useDirectory().data;
  const batches = useBatches(RECORD_BATCHES).data;
  const { address } = useAccountOnL1();
  const account = useAccount(address, staking.data).data;
  const selfRequests = useSelfRequests(id);
  const offset = useL1Head().data?.offset ?? 0;
  if (!staking.data) {
    return staking.isError ? <Failure what="The stake cannot be read from L1." error={staking.error} /> : <Loading what="the operator from L1" />;
  }
  const rows = rowsOf(staking.data, directory, batches);
  const row = rows.find((candidate) => candidate.operator.id === id);
  if (!row) return <p className="state">There is no operator {String(id)}. <a href={link.staking}>All operators</a></p>;
  const { operator } = row;
  const is = (other: string) => address?.toLowerCase() === other.toLowerCase();
  const owns = is(operator.owner);
  const mine = account?.requests.filter((request) => request.operatorId === id || request.toOperatorId === id) ?? [];
  return (
    <>
      <p><a href={link.staking}>← All operators</a></p>
      <Title row={row} directory={directory} />
      <Figures row={row} />
      <div className="columns">
        <div>
          <DelegatePanel key={address} staking={staking.data} row={row} rows={rows} account={account} />
          {mine.length ? <Card><Requests requests={mine} offset={offset} directory={directory} title="Your requests here" mine /></Card> : null}
          {owns ? <ManagePanel key={`manage ${address}`} staking={staking.data} operator={operator} account={account} directory={directory} /> : null}
          {!owns && is(operator.recipient) ? <RecipientPanel operator={operator} /> : null}
          {is(operator.pendingOwner) ? <AcceptPanel operator={operator} /> : null}
        </div>
        <div>
          <KeysAndPool row={row} />
          <Card>
            <Requests requests={selfRequests.data ?? []} offset={offset} directory={directory} title="Self-stake on its way out" mine={owns} />
          </Card>
          <BatchesCard id={id} signer={operator.signer} batches={batches} directory={directory} />
        </div>
      </div>
    </>
  );
}

function Title({ row, directory }: { row: Row; directory: Directory | undefined }) {
  const url = urlOf(row.operator.id, directory);
  return (
    <>
      <h1>
        {row.name} <Tag tone={STANDINGS[row.standing].tone}>{row.standing}</Tag>
      </h1>
      <p className="lead">
        Operator {String(row.operator.id)} {STANDINGS[row.standing].means}.{' '}
        {url ? <a href={url} rel="noreferrer noopener nofollow">{url}</a> : null}
      </p>
    </>
  );
}

function Figures({ row }: { row: Row }) {
  const { operator, record } = row;
  return (
    <Tiles>
      <Tile label="Total stake" value={<span data-testid="total-stake">{metis(row.total)}</span>} note="METIS" />
      <Tile label="Self-stake" value={metis(operator.stake)} note="METIS" />
      <Tile label="Delegated" value={<span data-testid="delegated">{metis(operator.pool.assets)}</span>} note="METIS" />
      <Tile label="Weight" value={count(operator.weight)} note={`${percent(row.share, 1)} of all`} />
      <Tile label="APR (estimate)" value={row.yearly ? percent(row.yearly, 1, 2) : '–'} note="of the reward stream, without fees" />
      <Tile label="Batches signed" value={record?.of ? percent(record.signed, record.of, 0) : '–'} note={record ? `${record.signed} of ${record.of}; ${record.turns} turns served` : undefined} />
    </Tiles>
  );
}

function KeysAndPool({ row }: { row: Row }) {
  const { operator } = row;
  const { pool } = operator;
  const rises = pool.nextCommission !== pool.commission;
  return (
    <Card title="Keys and pool">
      <Facts rows={[
        ['Owner', <Hex key="owner" value={operator.owner} />],
        ['Signer', <Hex key="signer" value={operator.signer} />],
        ['Recipient', <Hex key="recipient" value={operator.recipient} />],
        ['Commission', rises ? `${basisPoints(pool.commission)}, ${basisPoints(pool.nextCommission)} from ${moment(Number(pool.commissionFrom))}` : basisPoints(pool.commission)],
        ['Share price', `${metis(pool.price, 6)} METIS (1 in an untouched pool)`],
        ['Rewards still to vest', `${metis(pool.unvested, 6)} METIS`],
        ['Operator’s rewards', `${metis(operator.rewards, 6)} METIS`],
        ...(operator.caseAt ? [['Case opened', moment(Number(operator.caseAt))] as [string, string]] : []),
      ]} />
    </Card>
  );
}

function BatchesCard({ id, signer, batches, directory }: { id: bigint; signer: string; batches: Batch[] | undefined; directory: Directory | undefined }) {
  const seen = (directory ? batches ?? [] : []).map((batch) => ({ batch, place: placeIn(batch, id, directory as Directory) }));
  const shown = seen.filter((entry): entry is { batch: Batch; place: number } => entry.place !== undefined).slice(0, LISTED_BATCHES);
  return (
    <Card title="Its last batches" aside={<a href={link.network}>All batches</a>}>
      {shown.length ? (
        <table className="plain">
          <thead><tr><th scope="col">Batch</th><th scope="col">Blocks</th><th scope="col">Signed</th><th scope="col" className="number">Turns</th></tr></thead>
          <tbody>
            {shown.map(({ batch, place }) => <BatchRow key={batch.index} batch={batch} place={place} signer={signer} />)}
          </tbody>
        </table>
      ) : (
        <Empty>It was in the set of none of the last {RECORD_BATCHES} batches.</Empty>
      )}
    </Card>
  );
}

function BatchRow({ batch, place, signer }: { batch: Batch; place: number; signer: string }) {
  const poster = usePosting(batch.inclusion)?.poster;
  return (
    <tr>
      <th scope="row">{count(batch.index)}</th>
      <td><a href={link.block(batch.first)}>{batch.first}</a>–<a href={link.block(batch.last)}>{batch.last}</a></td>
      <td className="tags">
        {batch.bitmap === null ? 'not known' : signedBy(batch, place) ? <Tag tone="good">signed</Tag> : <Tag tone="warn">missing</Tag>}
        {poster?.toLowerCase() === signer.toLowerCase() ? <Tag>posted</Tag> : null}
      </td>
      <td className="number">{turnsOf(batch, place)}</td>
    </tr>
  );
}
