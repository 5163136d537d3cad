// What a delegator does at one operator: delegate, leave, or move to another one. Each form shows what comes of it before it is signed.
import { type ReactNode, useState } from 'react';
import { useActivity } from '../activity';
import { duration, exact, metis, moment, parseMetis, percent } from '../format';
import { useSite } from '../site';
import { Card, Empty, Facts, Field } from '../ui';
import { useAccountOnL1 } from '../wallet';
import { callAbi } from '../errors';
import type { Account, Delegation, Staking } from './data';
import { approval } from './register';
import type { Row } from './rows';
import { atLeast, moved, releaseAt, sharesFor, toAssets, toShares } from './shares';

type Act = 'delegate' | 'undelegate' | 'move';
const ACTS: [Act, string][] = [['delegate', 'Delegate'], ['undelegate', 'Undelegate'], ['move', 'Move']];
const PERCENTS = [25n, 50n, 75n];

interface Props {
  staking: Staking;
  row: Row;
  rows: Row[];
  account: Account | undefined;
}

export function DelegatePanel(props: Props) {
  const { address } = useAccountOnL1();
  const [act, setAct] = useState<Act>('delegate');
  const held = props.account?.delegations.find((delegation) => delegation.operatorId === props.row.operator.id);
  return (
    <Card title="Your delegation" aside={held ? <span><strong data-testid="held">{metis(held.assets, 4)}</strong> METIS</span> : null}>
      {!address || !props.account ? <Empty>Connect a wallet to delegate to {props.row.name}.</Empty> : (
        <>
          <div className="tabs" role="group" aria-label="What to do">
            {ACTS.map(([key, label]) => (
              <button key={key} type="button" aria-pressed={act === key} onClick={() => setAct(key)}>{label}</button>
            ))}
          </div>
          {act === 'delegate' ? <DelegateForm {...props} account={props.account} held={held} /> : null}
          {act !== 'delegate' && !held ? <Empty>You delegate nothing to {props.row.name}.</Empty> : null}
          {act === 'undelegate' && held ? <UndelegateForm {...props} held={held} /> : null}
          {act === 'move' && held ? <MoveForm {...props} held={held} /> : null}
        </>
      )}
    </Card>
  );
}

interface AmountProps {
  label: string;
  typed: string;
  setTyped: (text: string) => void;
  most: bigint;
  hint: string;
  error: string | undefined;
}

function AmountField({ label, typed, setTyped, most, hint, error }: AmountProps) {
  return (
    <Field label={label} suffix="METIS" numeric value={typed} onChange={setTyped} hint={hint} error={error}>
      <div className="percents">
        {PERCENTS.map((part) => (
          <button key={String(part)} type="button" className="quiet" disabled={!most} onClick={() => setTyped(exact((most * part) / 100n))}>{String(part)} %</button>
        ))}
        <button type="button" className="quiet" disabled={!most} onClick={() => setTyped(exact(most))}>Max</button>
      </div>
    </Field>
  );
}

function Form({ onSubmit, label, ready, children }: { onSubmit: () => void; label: string; ready: boolean; children: ReactNode }) {
  const { busy } = useActivity();
  const { rightChain } = useAccountOnL1();
  return (
    <form onSubmit={(event) => { event.preventDefault(); onSubmit(); }}>
      {children}
      <button type="submit" className="primary" disabled={busy || !ready || !rightChain}>{busy ? 'Under way…' : label}</button>
    </form>
  );
}

function amountError(typed: string, amount: bigint | undefined, most: bigint, where: string): string | undefined {
  if (!typed.trim()) return undefined;
  if (amount === undefined) return 'Not an amount of METIS.';
  return amount > most ? `More than ${where}: ${metis(most, 6)} METIS.` : undefined;
}

function DelegateForm({ staking, row, account, held }: Props & { account: Account; held: Delegation | undefined }) {
  const { config } = useSite();
  const { run } = useActivity();
  const [typed, setTyped] = useState('');
  const { operator } = row;
  const amount = parseMetis(typed);
  const error = amountError(typed, amount, account.balance, 'your wallet holds');
  const shares = amount === undefined ? undefined : toShares(amount, operator.pool);
  const overCap = row.total + (amount ?? 0n) > staking.maxWeight * 10n ** 18n;
  const submit = async () => {
    const { metis: token, staking: contract } = config.contracts;
    const done = await run([
      ...approval(token, contract, account.allowance, amount ?? 0n),
      { title: `Delegation of ${metis(amount ?? 0n)} METIS`, address: contract, abi: callAbi, functionName: 'delegate', args: [operator.id, amount, atLeast(shares ?? 0n)] },
    ]);
    if (done) setTyped('');
  };
  return (
    <Form label={amount !== undefined && account.allowance < amount ? 'Approve and delegate' : 'Delegate'} ready={amount !== undefined && !error} onSubmit={() => void submit()}>
      <AmountField label="Amount" typed={typed} setTyped={setTyped} most={account.balance} error={error} hint={`Your wallet holds ${metis(account.balance, 4)} METIS`} />
      {amount !== undefined && shares !== undefined ? (
        <Facts rows={[
          ['You get', `${metis(shares / 1_000n, 4)} shares, at least ${metis(atLeast(shares) / 1_000n, 4)}`],
          ['Your delegation here', `${metis((held?.assets ?? 0n) + amount, 4)} METIS`],
          ['Operator’s total', `${metis(row.total)} → ${metis(row.total + amount)} METIS`],
          ['Counts from', 'the next snapshot, then one to two epochs'],
          ...(overCap ? [['Beyond the cap', `an operator weighs ${metis(staking.maxWeight * 10n ** 18n, 0)} METIS at most: more shares the same rewards`] as [string, string]] : []),
        ]} />
      ) : null}
    </Form>
  );
}

/** Shares for an amount: all free ones where that is what the amount stands for. */
function freeShares(amount: bigint | undefined, free: bigint, freeAssets: bigint, pool: Row['operator']['pool']): bigint {
  if (amount === undefined) return 0n;
  const shares = amount >= freeAssets ? free : sharesFor(amount, pool);
  return shares < free ? shares : free;
}

function UndelegateForm({ staking, row, held }: Props & { held: Delegation }) {
  const { config } = useSite();
  const { run } = useActivity();
  const [typed, setTyped] = useState('');
  const { operator } = row;
  const free = held.shares - held.locked;
  const most = toAssets(free, operator.pool);
  const amount = parseMetis(typed);
  const error = amountError(typed, amount, most, 'you can take out here');
  const shares = freeShares(amount, free, most, operator.pool);
  const assets = toAssets(shares, operator.pool);
  const delay = staking.queue.unbondingDelay;
  const after = staking.time + delay;
  // Who follows an operator that has left needs no slot of the queue.
  const date = operator.exited ? (after > operator.lastReleaseAt ? after : operator.lastReleaseAt) : releaseAt(assets, staking.time, staking.queue);
  const submit = async () => {
    const done = await run([{
      title: `Undelegation of ${metis(assets, 4)} METIS`, address: config.contracts.staking, abi: callAbi, functionName: 'undelegate',
      args: [operator.id, held.series, shares, atLeast(assets)],
    }]);
    if (done) setTyped('');
  };
  return (
    <Form label="Undelegate" ready={shares > 0n && !error} onSubmit={() => void submit()}>
      <AmountField label="Amount" typed={typed} setTyped={setTyped} most={most} error={error} hint={`${metis(most, 6)} METIS can be taken out`} />
      {shares > 0n ? (
        <Facts rows={[
          ['You give', `${metis(shares / 1_000n, 4)} shares`],
          ['You get', `${metis(assets, 6)} METIS, at least ${metis(atLeast(assets), 6)}`],
          ['Stays delegated here', `${metis(held.assets > assets ? held.assets - assets : 0n, 4)} METIS`],
          ['Can be claimed', `${moment(Number(date))} (in ${duration(Number(date - staking.time))})`],
          ['Until then', 'it earns nothing, and answers for the operator'],
        ]} />
      ) : null}
    </Form>
  );
}

function MoveForm({ staking, row, rows, held }: Props & { held: Delegation }) {
  const { config } = useSite();
  const { run } = useActivity();
  const [typed, setTyped] = useState('');
  const open = rows.filter((other) => other.operator.id !== row.operator.id && !['frozen', 'leaving', 'left'].includes(other.standing));
  const [target, setTarget] = useState('');
  const to = open.find((other) => String(other.operator.id) === target) ?? open[0];
  const { operator } = row;
  const free = held.shares - held.locked;
  const most = toAssets(free, operator.pool);
  const amount = parseMetis(typed);
  const error = amountError(typed, amount, most, 'you can move from here');
  const shares = freeShares(amount, free, most, operator.pool);
  if (!to) return <Empty>There is no other operator to move to.</Empty>;
  const bought = moved(shares, operator.pool, to.operator.pool);
  const submit = async () => {
    const done = await run([{
      title: `Move to ${to.name}`, address: config.contracts.staking, abi: callAbi, functionName: 'redelegate',
      args: [operator.id, to.operator.id, shares, atLeast(bought)],
    }]);
    if (done) setTyped('');
  };
  return (
    <Form label="Move" ready={shares > 0n && !error} onSubmit={() => void submit()}>
      <div className="field">
        <label>
          To{' '}
          <select value={String(to.operator.id)} onChange={(event) => setTarget(event.target.value)}>
            {open.map((other) => (
              <option key={String(other.operator.id)} value={String(other.operator.id)}>
                {other.name} ({other.standing}, {percent(other.yearly, 1)} APR)
              </option>
            ))}
          </select>
        </label>
      </div>
      <AmountField label="Amount" typed={typed} setTyped={setTyped} most={most} error={error} hint={`${metis(most, 6)} METIS can be moved`} />
      {shares > 0n ? (
        <Facts rows={[
          ['You get', `${metis(bought / 1_000n, 4)} shares of ${to.name}, at least ${metis(atLeast(bought) / 1_000n, 4)}`],
          [`${to.name}’s total`, `${metis(to.total)} → ${metis(to.total + toAssets(shares, operator.pool))} METIS`],
          ['Moves', 'at once, without waiting'],
          ['Locked and liable', `for ${duration(Number(staking.queue.unbondingDelay))}: the new shares answer for ${row.name}, too`],
        ]} />
      ) : null}
    </Form>
  );
}
