// What an operator's owner does. Dangerous steps ask twice.
import { type ReactNode, useState } from 'react';
import { isAddress } from 'viem';
import { type Call, useActivity } from '../activity';
import { callAbi } from '../errors';
import { basisPoints, duration, metis, moment, parseMetis } from '../format';
import { useSite } from '../site';
import { Card, Field } from '../ui';
import { useAccountOnL1 } from '../wallet';
import type { Account, Directory, Operator, Staking } from './data';
import { approval } from './register';
import { releaseAt } from './shares';

/** Bytes of a name or an address on the web; as the contract has it. */
const MAX_METADATA_BYTES = 256;

function useCall(operator: Operator) {
  const { config } = useSite();
  return (title: string, functionName: string, ...args: unknown[]): Call => ({
    title, address: config.contracts.staking, abi: callAbi, functionName, args: [operator.id, ...args],
  });
}

/** A form in a fold; cleared when its transaction is mined. */
function Fold({ title, children, button, ready = true, danger, onSubmit }: {
  title: string; children?: ReactNode; button: string; ready?: boolean; danger?: string; onSubmit: () => Promise<boolean>;
}) {
  const { busy } = useActivity();
  const { rightChain } = useAccountOnL1();
  const [sure, setSure] = useState(false);
  return (
    <details className="fold">
      <summary>{title}</summary>
      <form onSubmit={(event) => { event.preventDefault(); void onSubmit().then(() => setSure(false)); }}>
        {children}
        {danger ? <label className="sure"><input type="checkbox" checked={sure} onChange={(event) => setSure(event.target.checked)} /> {danger}</label> : null}
        <button type="submit" className={danger ? 'danger' : 'primary'} disabled={busy || !ready || !rightChain || (danger !== undefined && !sure)}>{button}</button>
      </form>
    </details>
  );
}

interface Props {
  staking: Staking;
  operator: Operator;
  account: Account | undefined;
  directory: Directory | undefined;
}

export function ManagePanel(props: Props) {
  return (
    <Card title="Manage your operator" id="manage">
      <Rewards {...props} />
      {props.operator.exited ? <p className="state">It has exited: what is left to do is to claim.</p> : (
        <>
          <Increase {...props} />
          <Decrease {...props} />
          <Leave {...props} />
          <Commission {...props} />
          <Rotate {...props} />
        </>
      )}
      <Metadata {...props} />
      <Recipient {...props} />
      <Transfer {...props} />
      {props.operator.exited ? null : <Exit {...props} />}
    </Card>
  );
}

function Rewards({ operator }: Props) {
  const { busy, run } = useActivity();
  const call = useCall(operator);
  const none = operator.rewards === 0n;
  return (
    <div className="rewards">
      <p><strong>{metis(operator.rewards, 6)}</strong> METIS of rewards</p>
      <div className="buttons">
        <button type="button" disabled={busy || none} onClick={() => void run([call('Claim of the rewards', 'claimRewards')])}>Claim to the recipient</button>
        <button type="button" disabled={busy || none || operator.exited} onClick={() => void run([call('Compounding', 'compound')])}>Compound into stake</button>
      </div>
    </div>
  );
}

function Increase({ staking, operator, account }: Props) {
  const { config } = useSite();
  const { run } = useActivity();
  const call = useCall(operator);
  const [typed, setTyped] = useState('');
  const amount = parseMetis(typed);
  const room = staking.maxStake - operator.stake;
  const error = typed && amount === undefined ? 'Not an amount of METIS.' : amount !== undefined && amount > (account?.balance ?? 0n) ? 'More than your wallet holds.' : undefined;
  const submit = async () => {
    const { metis: token, staking: contract } = config.contracts;
    const done = await run([...approval(token, contract, account?.allowance ?? 0n, amount ?? 0n), call(`Increase by ${metis(amount ?? 0n)} METIS`, 'increase', amount)]);
    if (done) setTyped('');
    return done;
  };
  return (
    <Fold title="Increase the self-stake" button="Increase" ready={amount !== undefined && !error} onSubmit={submit}>
      <Field label="Amount to add" suffix="METIS" numeric value={typed} onChange={setTyped} error={error} hint={`Room for ${metis(room)} METIS; your wallet holds ${metis(account?.balance ?? 0n)}`} />
    </Fold>
  );
}

function Decrease({ staking, operator }: Props) {
  const { run } = useActivity();
  const call = useCall(operator);
  const [typed, setTyped] = useState('');
  const amount = parseMetis(typed);
  const most = operator.stake > staking.minStake ? operator.stake - staking.minStake : 0n;
  const submit = async () => {
    const done = await run([call(`Decrease by ${metis(amount ?? 0n)} METIS`, 'decrease', amount)]);
    if (done) setTyped('');
    return done;
  };
  const date = amount === undefined ? undefined : releaseAt(amount, staking.time, staking.queue);
  return (
    <Fold title="Decrease the self-stake" button="Decrease" ready={amount !== undefined} onSubmit={submit}>
      <Field label="Amount to take out" suffix="METIS" numeric value={typed} onChange={setTyped} error={typed && amount === undefined ? 'Not an amount of METIS.' : undefined}
        hint={date === undefined ? `Up to ${metis(most)} METIS: ${metis(staking.minStake)} must stay` : `Can be claimed ${moment(Number(date))} (in ${duration(Number(date - staking.time))})`} />
    </Fold>
  );
}

function Leave({ operator }: Props) {
  const { run } = useActivity();
  const call = useCall(operator);
  return operator.away ? (
    <Fold title="Come back from leave" button="Rejoin" onSubmit={() => run([call('Return', 'rejoin')])}>
      <p className="hint">Its weight counts again from the next snapshot on. It needs the minimum self-stake.</p>
    </Fold>
  ) : (
    <Fold title="Take leave" button="Take leave" onSubmit={() => run([call('Leave', 'takeLeave')])}>
      <p className="hint">No weight, turns or rewards from the next snapshot on; the stake stays.</p>
    </Fold>
  );
}

function Commission({ staking, operator }: Props) {
  const { run } = useActivity();
  const call = useCall(operator);
  const [typed, setTyped] = useState('');
  const valid = /^\d{1,3}(\.\d{1,2})?$/.test(typed.trim());
  const points = valid ? Math.round(Number(typed) * 100) : undefined;
  const rises = points !== undefined && points > operator.pool.commission;
  return (
    <Fold title="Change the commission" button="Set commission" ready={valid} onSubmit={async () => {
      const done = await run([call(`Commission of ${basisPoints(points ?? 0)}`, 'setCommission', points)]);
      if (done) setTyped('');
      return done;
    }}>
      <Field label="Commission" suffix="%" numeric value={typed} onChange={setTyped} error={typed && !valid ? 'Percent with at most two decimals.' : undefined}
        hint={points === undefined ? `${basisPoints(operator.pool.commission)} now; falls at once, rises by a point at most at a time, to 20 %`
          : rises ? `In force after ${duration(Number(staking.commissionNotice))} of notice` : 'In force at once'} />
    </Fold>
  );
}

/** One address, and what it becomes. */
function AddressFold({ operator, title, label, hint, button, functionName, danger }: {
  operator: Operator; title: string; label: string; hint: string; button: string; functionName: string; danger?: string;
}) {
  const { run } = useActivity();
  const call = useCall(operator);
  const [typed, setTyped] = useState('');
  const valid = isAddress(typed.trim());
  return (
    <Fold title={title} button={button} ready={valid} danger={danger} onSubmit={async () => {
      const done = await run([call(title, functionName, typed.trim())]);
      if (done) setTyped('');
      return done;
    }}>
      <Field label={label} value={typed} onChange={setTyped} placeholder="0x…" hint={hint} error={typed && !valid ? 'Not an address.' : undefined} />
    </Fold>
  );
}

const Rotate = ({ operator }: Props) => (
  <AddressFold operator={operator} title="Rotate the signer" label="New signer" button="Rotate" functionName="rotateSigner"
    hint="Give the node both keys first. The new one counts from the next snapshot on and stays this operator’s for ever." />
);

const Recipient = ({ operator }: Props) => (
  <AddressFold operator={operator} title="Change the recipient" label="New recipient of rewards" button="Set recipient" functionName="setRecipient" hint={`Now ${operator.recipient}`} />
);

const Transfer = ({ operator }: Props) => (
  <AddressFold operator={operator} title="Offer the operator to another owner" label="New owner" button="Offer" functionName="transferOperator"
    hint="It becomes the owner when it accepts, on this page." danger="I know that the new owner gets the self-stake." />
);

function Metadata({ operator, directory }: Props) {
  const { run } = useActivity();
  const call = useCall(operator);
  const known = directory?.metadata.get(operator.id);
  const [name, setName] = useState(known?.name ?? '');
  const [url, setUrl] = useState(known?.url ?? '');
  const long = (text: string) => (new TextEncoder().encode(text).length > MAX_METADATA_BYTES ? `At most ${MAX_METADATA_BYTES} bytes.` : undefined);
  return (
    <Fold title="Change name and address" button="Set name" ready={!long(name) && !long(url)} onSubmit={() => run([call('Name', 'setMetadata', name, url)])}>
      <Field label="Name" value={name} onChange={setName} error={long(name)} />
      <Field label="Address on the web" value={url} onChange={setUrl} error={long(url)} placeholder="https://" />
    </Fold>
  );
}

function Exit({ staking, operator }: Props) {
  const { run } = useActivity();
  const call = useCall(operator);
  const date = releaseAt(operator.stake + operator.pool.assets, staking.time, staking.queue);
  return (
    <Fold title="Exit" button="Exit for good" danger="I know that an exit is for good." onSubmit={() => run([call('Exit', 'exit')])}>
      <p className="hint">
        All {metis(operator.stake)} METIS of self-stake leave; the weight of delegators leaves with them. Can be claimed {moment(Number(date))} (in{' '}
        {duration(Number(date - staking.time))}).
      </p>
    </Fold>
  );
}

/** The recipient may claim, too. */
export function RecipientPanel({ operator }: { operator: Operator }) {
  const { busy, run } = useActivity();
  const call = useCall(operator);
  return (
    <Card title="You receive its rewards">
      <p><strong>{metis(operator.rewards, 6)}</strong> METIS can be claimed.</p>
      <div className="buttons">
        <button type="button" disabled={busy || operator.rewards === 0n} onClick={() => void run([call('Claim of the rewards', 'claimRewards')])}>Claim</button>
      </div>
    </Card>
  );
}

export function AcceptPanel({ operator }: { operator: Operator }) {
  const { busy, run } = useActivity();
  const call = useCall(operator);
  return (
    <Card title="This operator is offered to you">
      <p>As its owner you get its self-stake and all decisions. Owner and signer must be different keys.</p>
      <button type="button" className="primary" disabled={busy} onClick={() => void run([call('Taking over', 'acceptOperator')])}>Accept</button>
    </Card>
  );
}
