import { useState } from 'react';
import { isAddress } from 'viem';
import { useActivity } from '../activity';
import { metisAbi } from '../abi.generated';
import { metis, parseMetis } from '../format';
import { go, link } from '../router';
import { useSite } from '../site';
import { Card, Empty, Facts, Field, Loading } from '../ui';
import { useAccountOnL1 } from '../wallet';
import { callAbi } from '../errors';
import { useAccount, useStaking } from './data';

/** The call that lets the staking contract take `amount`, where it may not yet. */
export function approval(metisToken: `0x${string}`, staking: `0x${string}`, allowance: bigint, amount: bigint) {
  if (allowance >= amount) return [];
  return [{ title: `Approval of ${metis(amount)} METIS`, address: metisToken, abi: metisAbi, functionName: 'approve', args: [staking, amount] }];
}

export function RegisterPage() {
  const { config } = useSite();
  const { address, rightChain } = useAccountOnL1();
  const staking = useStaking().data;
  const account = useAccount(address, staking).data;
  const { busy, run } = useActivity();
  const [typed, setTyped] = useState('');
  const [signer, setSigner] = useState('');
  const [recipient, setRecipient] = useState('');
  if (!staking) return <Loading what="the stake from L1" />;
  if (!address) return <Card title="Register an operator"><Empty>Connect the wallet that will own the operator.</Empty></Card>;
  if (!account) return <Loading what="your account" />;

  const amount = parseMetis(typed);
  const paid = recipient.trim() || address;
  const wrong = {
    amount: typed && (amount === undefined ? 'Not an amount of METIS.'
      : amount < staking.minStake ? `At least ${metis(staking.minStake)} METIS.`
      : amount > staking.maxStake ? `At most ${metis(staking.maxStake)} METIS.`
      : amount > account.balance ? 'More than your wallet holds.' : ''),
    signer: signer && (!isAddress(signer.trim()) ? 'Not an address.' : signer.trim().toLowerCase() === address.toLowerCase() ? 'Must not be the owner’s key.' : ''),
    recipient: recipient && !isAddress(recipient.trim()) ? 'Not an address.' : '',
  };
  const ready = amount !== undefined && signer && !wrong.amount && !wrong.signer && !wrong.recipient && rightChain;
  const submit = async () => {
    const { metis: token, staking: contract } = config.contracts;
    const done = await run([
      ...approval(token, contract, account.allowance, amount ?? 0n),
      { title: 'Registration', address: contract, abi: callAbi, functionName: 'register', args: [amount, signer.trim(), paid] },
    ]);
    if (done) go(link.staking);
  };
  return (
    <>
      <p><a href={link.staking}>← Staking</a></p>
      <h1>Register an operator</h1>
      <Card title="Stake and keys">
        <form onSubmit={(event) => { event.preventDefault(); void submit(); }}>
          <Field label="Self-stake" suffix="METIS" numeric value={typed} onChange={setTyped} error={wrong.amount || undefined}
            hint={`${metis(staking.minStake)} to ${metis(staking.maxStake)}; your wallet holds ${metis(account.balance)}`} />
          <Field label="Signer" value={signer} onChange={setSigner} error={wrong.signer || undefined} placeholder="0x…"
            hint="The hot key on the node. It belongs to this operator for ever, and must not be the owner’s key." />
          <Field label="Recipient of rewards" value={recipient} onChange={setRecipient} error={wrong.recipient || undefined} placeholder={address}
            hint="Empty: the connected account." />
          <Facts rows={[
            ['Owner', `${address} (this wallet: keep it cold)`],
            ['Counts from', 'the next snapshot, then one to two epochs'],
            ['Commission', '0 %, may rise by a point at a time after notice'],
          ]} />
          {staking.whitelisted ? <p className="hint">Registration is open to whitelisted owners only at present.</p> : null}
          <button type="submit" className="primary" disabled={busy || !ready}>Register</button>
        </form>
      </Card>
    </>
  );
}
