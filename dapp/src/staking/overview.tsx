import { isAddressEqual } from 'viem';
import { RECORD_BATCHES, useBatches } from '../network/data';
import { count, duration, metis } from '../format';
import { link } from '../router';
import { useL1Head } from '../site';
import { Card, Empty, Failure, Loading, Tile, Tiles } from '../ui';
import { useAccountOnL1 } from '../wallet';
import { type Directory, type Staking, useAccount, useDirectory, useStaking } from './data';
import { OperatorsTable } from './table';
import { Requests } from './requests';
import { rowsOf } from './rows';
import { nameOf } from './standing';

export function StakingPage() {
  const staking = useStaking();
  const directory = useDirectory().data;
  const batches = useBatches(RECORD_BATCHES).data;
  if (!staking.data) {
    return staking.isError
      ? <Failure what="The stake cannot be read from L1." error={staking.error} />
      : <Loading what="the stake from L1" />;
  }
  const rows = rowsOf(staking.data, directory, batches);
  return (
    <>
      <h1>Staking</h1>
      <p className="lead">
        Operators lock METIS on L1, take turns ordering the blocks of L2, and sign its batches. Whoever delegates to one shares its rewards,
        and its penalties.
      </p>
      <Summary staking={staking.data} inSet={rows.filter((row) => row.standing === 'active').length} />
      <YourStake staking={staking.data} directory={directory} />
      <Card title="Operators" aside={<a className="button" href={link.register}>Register an operator</a>}>
        <OperatorsTable rows={rows} />
        <p className="note">
          <strong>APR</strong> is an estimate: the reward stream of {metis(staking.data.rate, 4)} METIS a second, divided among operators by weight,
          spread over all that is staked with the operator, less its commission. It supposes that no turn and no signature is missed and that the stream is funded again before it ends. L2’s fees come
          on top. <strong>Turns</strong> and <strong>signed</strong> count the last {RECORD_BATCHES} batches.
        </p>
      </Card>
    </>
  );
}

function Summary({ staking, inSet }: { staking: Staking; inSet: number }) {
  const lasts = staking.rate ? Number(staking.streamFunds / staking.rate) : 0;
  const { queue } = staking;
  return (
    <Tiles>
      <Tile label="Staked by operators" value={metis(staking.totalStaked)} note="METIS" />
      <Tile label="Delegated" value={metis(staking.totalDelegated)} note="METIS" />
      <Tile label="On its way out" value={metis(staking.totalUnbonding)} note="METIS" />
      <Tile label="Operators" value={`${inSet} of ${staking.operators.length}`} note="in the newest set" />
      <Tile
        label="Reward stream"
        value={staking.streamFunds ? metis(staking.rate * 86_400n) : 'empty'}
        note={staking.streamFunds ? `METIS a day, funds for ${duration(lasts)}` : 'fees alone are paid'}
      />
      <Tile label="Leaving takes" value={duration(Number(queue.unbondingDelay))} note={`after a slot of ${duration(Number(queue.churnPeriod))}; a slot holds ${metis(queue.limit, 0)} METIS`} />
    </Tiles>
  );
}

function YourStake({ staking, directory }: { staking: Staking; directory: Directory | undefined }) {
  const { address } = useAccountOnL1();
  const account = useAccount(address, staking);
  const offset = useL1Head().data?.offset ?? 0;
  if (!address) return <Card title="Your stake"><Empty>Connect a wallet to see your stake, and to delegate.</Empty></Card>;
  if (!account.data) {
    return (
      <Card title="Your stake">
        {account.isError ? <Failure what="Your stake cannot be read." error={account.error} /> : <Loading what="your stake" />}
      </Card>
    );
  }
  const { balance, delegations, requests } = account.data;
  const owned = staking.operators.filter((operator) => isAddressEqual(operator.owner, address));
  const offered = staking.operators.filter((operator) => isAddressEqual(operator.pendingOwner, address));
  const delegated = delegations.reduce((sum, delegation) => sum + delegation.assets, 0n);
  return (
    <Card title="Your stake" aside={<span className="note">Block {count(staking.block)} of L1</span>}>
      <Tiles>
        <Tile label="In your wallet" value={metis(balance)} note="METIS on L1" />
        <Tile label="Delegated" value={<span data-testid="your-delegated">{metis(delegated, 4)}</span>} note="METIS, worth now" />
        <Tile label="On its way out" value={metis(requests.filter((request) => !request.toOperatorId).reduce((sum, request) => sum + request.amount, 0n))} note={`METIS in ${requests.length} requests and moves`} />
      </Tiles>
      {delegations.length ? (
        <ul className="rows" aria-label="Your delegations">
          {delegations.map((delegation) => (
            <li key={String(delegation.operatorId)}>
              <a href={link.operator(delegation.operatorId)}>{nameOf(delegation.operatorId, directory)}</a>
              <span>{metis(delegation.assets, 4)} METIS</span>
              {delegation.locked ? <span className="note">a part is locked after a move</span> : null}
            </li>
          ))}
        </ul>
      ) : (
        <Empty>You delegate nothing yet: choose an operator below.</Empty>
      )}
      {[...owned, ...offered].length ? (
        <ul className="rows" aria-label="Your operators">
          {owned.map((operator) => <li key={String(operator.id)}><a href={link.operator(operator.id)}>{nameOf(operator.id, directory)}</a><span>yours: {metis(operator.stake)} METIS of self-stake, {metis(operator.rewards, 4)} METIS to claim</span></li>)}
          {offered.map((operator) => <li key={String(operator.id)}><a href={link.operator(operator.id)}>{nameOf(operator.id, directory)}</a><span>is offered to you</span></li>)}
        </ul>
      ) : null}
      <Requests requests={requests} offset={offset} directory={directory} title="Your requests" mine />
    </Card>
  );
}
