import { useActivity } from '../activity';
import { stakingAbi } from '../abi.generated';
import { metis, moment } from '../format';
import { link } from '../router';
import { useSite } from '../site';
import { Countdown, Empty, Tag } from '../ui';
import type { Directory, Request } from './data';
import { nameOf } from './standing';

/** What `claimableAt` says while a case is open. */
const UNTIL_CASE_ENDS = (1n << 64n) - 1n;

interface Props {
  requests: Request[];
  offset: number;
  directory: Directory | undefined;
  title: string;
  /** Whether the connected account may claim them. */
  mine: boolean;
}

export function Requests({ requests, offset, directory, title, mine }: Props) {
  return (
    <div className="requests">
      <h3>{title}</h3>
      {requests.length ? (
        <ul className="rows">
          {requests.map((request) => <RequestRow key={String(request.id)} {...{ request, offset, directory, mine }} />)}
        </ul>
      ) : (
        <Empty>Nothing is on its way out.</Empty>
      )}
    </div>
  );
}

function RequestRow({ request, offset, directory, mine }: Omit<Props, 'requests' | 'title'> & { request: Request }) {
  const { config } = useSite();
  const { busy, run } = useActivity();
  const moves = request.toOperatorId !== 0n;
  const frozen = request.claimableAt === UNTIL_CASE_ENDS;
  const name = nameOf(request.operatorId, directory);
  const call = {
    title: moves ? `Releasing the move of request ${request.id}` : `Claim of ${metis(request.amount, 4)} METIS`,
    address: config.contracts.staking, abi: stakingAbi, functionName: moves ? 'enforce' : 'claim', args: [request.id],
  };
  const button = mine || moves ? (
    <button type="button" disabled={busy} onClick={() => void run([call])}>{moves ? 'Release' : 'Claim'}</button>
  ) : <Tag tone="good">can be claimed</Tag>;
  return (
    <li data-testid="request">
      <span>
        <a href={link.operator(request.operatorId)}>{name}</a>
        {moves ? <> → <a href={link.operator(request.toOperatorId)}>{nameOf(request.toOperatorId, directory)}</a></> : null}
      </span>
      <span>
        {metis(request.amount, 4)} METIS <span className="note">{moves ? 'liable for its old operator' : `request ${request.id}`}</span>
      </span>
      <span className="when" title={moment(Number(request.releaseAt))}>
        {frozen ? <Tag tone="bad">held until an open case ends</Tag> : (
          <Countdown until={request.releaseAt} offset={offset} done={button} />
        )}
      </span>
    </li>
  );
}
