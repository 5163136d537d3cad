// Who orders transactions now, how far its turn is, and who is next.
import { count } from '../format';
import type { Naming } from './names';
import type { Block, Status, Turn } from './rpc';

/** Turns shown after the current one. */
const NEXT_TURNS = 5;
const SIZE = 120;
const RADIUS = 50;

interface Props {
  status: Status;
  turns: Turn[];
  blocks: Block[];
  name: Naming;
}

export function TurnClock({ status, turns, blocks, name }: Props) {
  const { turn } = status;
  if (!turn) return <p className="state">The node does not know the epoch’s schedule yet.</p>;
  const length = turn.last - turn.first + 1;
  const built = Math.max(0, Math.min(length, status.latest.number - turn.first + 1));
  const left = length - built;
  const leader = turn.leadsNow ?? turn.leader;
  const next = turns.filter((later) => later.first > turn.last).slice(0, NEXT_TURNS);
  const builtBy = blocks.filter((block) => block.number >= turn.first && block.leader).map((block) => block.leader as string);
  const rescued = leader.toLowerCase() !== turn.leader.toLowerCase();
  return (
    <div className="turns">
      <Dial part={built / length} label={`${built} of ${length} blocks of this turn are built`} text={`${built}/${length}`} />
      <div>
        <p className="leader" data-testid="leader">
          {name(leader)} <span className="note">leads now</span>
        </p>
        <p className="note">
          Turn {turn.index}: blocks {count(turn.first)} to {count(turn.last)}; {left ? `${left} to come` : 'the next block begins a new turn'}.
          {rescued ? ` It was drawn for ${name(turn.leader)}, whose turn was taken over.` : ''}
          {new Set(builtBy).size > 1 ? ' More than one leader built blocks of it.' : ''}
        </p>
        <h3>Next</h3>
        {next.length ? (
          <ol className="next">
            {next.map((later) => <li key={later.first}>{name(later.leader)} <span className="note">from block {count(later.first)}</span></li>)}
          </ol>
        ) : <p className="note">The next epoch’s schedule is drawn with its first block.</p>}
      </div>
    </div>
  );
}

function Dial({ part, label, text }: { part: number; label: string; text: string }) {
  const round = 2 * Math.PI * RADIUS;
  return (
    <svg className="dial" viewBox={`0 0 ${SIZE} ${SIZE}`} role="img" aria-label={label}>
      <circle className="dial-back" cx={SIZE / 2} cy={SIZE / 2} r={RADIUS} />
      <circle className="dial-fill" cx={SIZE / 2} cy={SIZE / 2} r={RADIUS} strokeDasharray={`${part * round} ${round}`} transform={`rotate(-90 ${SIZE / 2} ${SIZE / 2})`} />
      <text x="50%" y="50%" dominantBaseline="central" textAnchor="middle">{text}</text>
    </svg>
  );
}
