import { useQuery } from '@tanstack/react-query';
import { hexToBigInt, hexToNumber, type Hex as HexString } from 'viem';
import { bytes, coin, count } from '../format';
import { link } from '../router';
import { Card, Facts, Failure, Hex, Loading } from '../ui';
import { TransactionTable } from './block';
import { best, useAnyNode, useNodes } from './data';
import { useNaming } from './overview';
import { type RawTransaction, transaction } from './rpc';
import { SearchBox } from './search';

/** Transactions listed. */
const LISTED = 25;

export function AddressPage({ address }: { address: HexString }) {
  const ask = useAnyNode();
  const nodes = useNodes();
  const name = useNaming(nodes)(address);
  const latest = best(nodes)?.status.latest.number;
  const state = useQuery({
    queryKey: ['l2', 'address', address, latest],
    queryFn: () => ask(async (node) => {
      const [balance, nonce, code] = await Promise.all([
        node.ask<HexString>('eth_getBalance', [address, 'latest']),
        node.ask<HexString>('eth_getTransactionCount', [address, 'latest']),
        node.ask<HexString>('eth_getCode', [address, 'latest']),
      ]);
      return { balance: hexToBigInt(balance), nonce: hexToNumber(nonce), code: (code.length - 2) / 2 };
    }),
    placeholderData: (before) => before,
  });
  return (
    <>
      <p><a href={link.network}>← Network</a></p>
      <SearchBox />
      <h1>{state.data?.code ? 'Contract' : 'Account'}{name.includes('…') ? '' : ` of ${name}`}</h1>
      {state.data ? (
        <Card title="State">
          <Facts rows={[
            ['Address', <Hex key="address" value={address} whole />],
            ['Balance', coin(state.data.balance)],
            ['Transactions sent', count(state.data.nonce)],
            ['Code', state.data.code ? bytes(state.data.code) : 'none'],
          ]} />
        </Card>
      ) : state.isError ? <Failure what="The address cannot be read." error={state.error} /> : <Loading what="the address" />}
      <History address={address} />
    </>
  );
}

/** Newest transactions that it sent, received or emitted logs in; nodes that serve `ots_` know. */
function History({ address }: { address: HexString }) {
  const ask = useAnyNode();
  const found = useQuery({
    queryKey: ['l2', 'history', address],
    queryFn: () => ask((node) => node.ask<{ txs: RawTransaction[] }>('ots_searchTransactionsBefore', [address, 0, LISTED])),
    refetchInterval: 5_000,
  });
  return (
    <Card title="Latest transactions">
      {found.data ? <TransactionTable transactions={found.data.txs.slice(0, LISTED).map(transaction)} />
        : found.isError ? <Failure what="No node tells transactions by address." error={found.error} /> : <Loading what="transactions" />}
    </Card>
  );
}
