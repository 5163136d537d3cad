import { useState } from 'react';
import { basisPoints, metis, moment, percent } from '../format';
import { go, link } from '../router';
import { Bar, Empty, Hex, Tag } from '../ui';
import { arrange, type Row, type SortKey, type Sorting } from './rows';
import { type Standing, STANDINGS } from './standing';

const COLUMNS: [SortKey, string, boolean][] = [
  ['name', 'Operator', false],
  ['standing', 'Status', false],
  ['total', 'Total stake', true],
  ['stake', 'Self-stake', true],
  ['delegated', 'Delegated', true],
  ['share', 'Share', true],
  ['commission', 'Commission', true],
  ['signed', 'Turns · signed', true],
  ['yearly', 'APR (est.)', true],
];

export function OperatorsTable({ rows }: { rows: Row[] }) {
  const [search, setSearch] = useState('');
  const [wanted, setWanted] = useState<Standing | 'all'>('all');
  const [sorting, setSorting] = useState<Sorting>({ key: 'total', down: true });
  const shown = arrange(rows, sorting, search, wanted);
  const present = (Object.keys(STANDINGS) as Standing[]).filter((standing) => rows.some((row) => row.standing === standing));
  return (
    <>
      <div className="filters">
        <label>
          Search <input type="search" value={search} onChange={(event) => setSearch(event.target.value)} placeholder="name, number or address" />
        </label>
        <label>
          Status{' '}
          <select value={wanted} onChange={(event) => setWanted(event.target.value as Standing | 'all')}>
            <option value="all">all</option>
            {present.map((standing) => <option key={standing}>{standing}</option>)}
          </select>
        </label>
        <label className="only-narrow">
          Sort by{' '}
          <select value={sorting.key} onChange={(event) => setSorting({ key: event.target.value as SortKey, down: event.target.value !== 'name' })}>
            {COLUMNS.map(([key, label]) => <option key={key} value={key}>{label}</option>)}
          </select>
        </label>
        <span className="note" role="status">{shown.length} of {rows.length}</span>
      </div>
      {shown.length ? (
        <table className="stack">
          <thead>
            <tr>
              {COLUMNS.map(([key, label, right]) => (
                <th key={key} scope="col" className={right ? 'number' : undefined} aria-sort={sorting.key === key ? (sorting.down ? 'descending' : 'ascending') : 'none'}>
                  <button type="button" className="sort" onClick={() => setSorting({ key, down: sorting.key === key ? !sorting.down : right })}>
                    {label}
                    <span aria-hidden="true">{sorting.key === key ? (sorting.down ? ' ↓' : ' ↑') : ''}</span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>{shown.map((row) => <OperatorRow key={String(row.operator.id)} row={row} />)}</tbody>
        </table>
      ) : (
        <Empty>{rows.length ? 'No operator is like that.' : 'Nobody has registered yet.'}</Empty>
      )}
    </>
  );
}

function OperatorRow({ row }: { row: Row }) {
  const { operator, record } = row;
  const { pool } = operator;
  return (
    <tr onClick={(event) => { if (!(event.target as Element).closest('a, button')) go(link.operator(operator.id)); }}>
      <th scope="row">
        <a href={link.operator(operator.id)}>{row.name}</a>
        <span className="keys note">
          <span>signer <Hex value={operator.signer} /></span> <span>owner <Hex value={operator.owner} /></span>
        </span>
      </th>
      <td data-label="Status"><Tag tone={STANDINGS[row.standing].tone} title={STANDINGS[row.standing].means}>{row.standing}</Tag></td>
      <td data-label="Total stake" className="number strong">{metis(row.total)}</td>
      <td data-label="Self-stake" className="number">{metis(operator.stake)}</td>
      <td data-label="Delegated" className="number">{metis(pool.assets)}</td>
      <td data-label="Share" className="number"><span>{percent(row.share, 1)}<Bar part={row.share} label={`${percent(row.share, 1)} of the weight`} /></span></td>
      <td data-label="Commission" className="number">
        <span>
          {basisPoints(pool.commission)}
          {pool.nextCommission !== pool.commission ? <span className="note block">{basisPoints(pool.nextCommission)} from {moment(Number(pool.commissionFrom))}</span> : null}
        </span>
      </td>
      <td data-label="Turns · signed" className="number">{record?.of ? <span>{record.turns} · {record.signed}/{record.of}</span> : '–'}</td>
      <td data-label="APR (est.)" className="number">{row.yearly ? percent(row.yearly, 1, 2) : '–'}</td>
    </tr>
  );
}
