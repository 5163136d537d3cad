import { bytes, count, percent } from '../format';
import { link } from '../router';
import { Empty, Hex, Tag, type Tone } from '../ui';
import type { Naming } from './names';
import { type Posting, usePosting } from './posting';
import type { Batch, SequencerSet } from './rpc';

/** Bytes of a blob (EIP-4844). */
const BLOB_BYTES = 131_072;
/** Batches in the table. */
const LISTED = 12;
const TONES: Record<string, Tone> = { finalized: 'good', safe: 'calm', proposed: 'warn' };

/** Members against batches, oldest left; below, the weight that signed with the line that it must pass. */
export function SignatureMatrix({ set, batches, name }: { set: SequencerSet; batches: Batch[]; name: Naming }) {
  const shown = [...batches].reverse();
  if (!shown.length) return <Empty>No batch is on L1 yet.</Empty>;
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Signatures of the last batches">
      <table className="matrix">
        <thead>
          <tr>
            <th scope="col">Member</th>
            {shown.map((batch) => <th key={batch.index} scope="col"><span>{batch.index}</span></th>)}
          </tr>
        </thead>
        <tbody>
          {set.members.map((member) => (
            <tr key={member.signer}>
              <th scope="row">{name(member.signer)}</th>
              {shown.map((batch) => <Cell key={batch.index} batch={batch} signer={member.signer} />)}
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">Weight</th>
            {shown.map((batch) => <td key={batch.index}><Column batch={batch} /></td>)}
          </tr>
        </tfoot>
      </table>
      <p className="legend note"><span className="cell yes" aria-hidden="true" /> signed <span className="cell no" aria-hidden="true" /> not in the certificate <span className="line" aria-hidden="true" /> two thirds of the weight</p>
    </div>
  );
}

function Cell({ batch, signer }: { batch: Batch; signer: string }) {
  const known = batch.bitmap !== null;
  const yes = batch.signers.some((other) => other.toLowerCase() === signer.toLowerCase());
  const words = !known ? 'not known' : yes ? 'signed' : 'missing';
  return <td><span className={`cell ${!known ? 'unknown' : yes ? 'yes' : 'no'}`} title={`Batch ${batch.index}: ${words}`}><span className="hidden">{words}</span></span></td>;
}

function Column({ batch }: { batch: Batch }) {
  const part = batch.signedWeight !== null && batch.totalWeight ? batch.signedWeight / batch.totalWeight : 0;
  return (
    <svg className="column" viewBox="0 0 10 30" role="img" aria-label={`Batch ${batch.index}: ${percent(part, 1, 0)} of the weight`}>
      <rect className="bar-back" width="10" height="30" />
      <rect className={part * 3 > 2 ? 'bar-fill' : 'bar-low'} y={30 - part * 30} width="10" height={part * 30} />
      <rect className="bar-mark" y={9.7} width="10" height="0.9" />
    </svg>
  );
}

export function BatchTable({ batches, name }: { batches: Batch[]; name: Naming }) {
  if (!batches.length) return <Empty>No batch is on L1 yet.</Empty>;
  return (
    <table className="stack">
      <thead>
        <tr><th scope="col">Batch</th><th scope="col">Blocks</th><th scope="col">Status</th><th scope="col">Signed</th><th scope="col">Posted by</th><th scope="col">L1 transaction</th><th scope="col" className="number">L1 block</th><th scope="col" className="number">Data</th></tr>
      </thead>
      <tbody>{batches.slice(0, LISTED).map((batch) => <BatchRow key={batch.index} batch={batch} name={name} />)}</tbody>
    </table>
  );
}

function BatchRow({ batch, name }: { batch: Batch; name: Naming }) {
  const { inclusion } = batch;
  const posting = usePosting(inclusion);
  return (
    <tr data-batch={batch.index}>
      <th scope="row">{count(batch.index)}</th>
      <td data-label="Blocks"><span><a href={link.block(batch.first)}>{batch.first}</a>–<a href={link.block(batch.last)}>{batch.last}</a> <span className="note">({batch.last - batch.first + 1})</span></span></td>
      <td data-label="Status"><Tag tone={TONES[batch.status] ?? 'calm'}>{batch.status}</Tag></td>
      <td data-label="Signed">{batch.signedWeight === null ? '–' : `${batch.signers.length} members, ${percent(batch.signedWeight, batch.totalWeight ?? 0, 0)}`}</td>
      <td data-label="Posted by">{posting ? name(posting.poster) : '–'}</td>
      <td data-label="L1 transaction">{inclusion ? <Hex value={inclusion.transaction} /> : '–'}</td>
      <td data-label="L1 block" className="number">{inclusion ? count(inclusion.block) : '–'}</td>
      <td data-label="Data" className="number">{posting ? <DataSize posting={posting} /> : inclusion?.data ?? '–'}</td>
    </tr>
  );
}

function DataSize({ posting }: { posting: Posting }) {
  const { blobs, calldata, gas } = posting;
  return (
    <span>
      {blobs ? `${blobs} blob${blobs > 1 ? 's' : ''} (${bytes(blobs * BLOB_BYTES)})` : bytes(calldata)}
      <span className="note block">{count(gas)} gas</span>
    </span>
  );
}
