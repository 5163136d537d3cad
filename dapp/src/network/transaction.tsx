import { useQuery } from '@tanstack/react-query';
import { hexToBigInt, hexToNumber, type Hex as HexString } from 'viem';
import { bytes, coin, count, gwei, percent } from '../format';
import { link } from '../router';
import { Card, Empty, Facts, Failure, Hex, Loading, Tag } from '../ui';
import { Finality, typeOf } from './block';
import { best, useAnyNode, useNodes } from './data';
import { type RawTransaction, transaction, type Transaction } from './rpc';
import { SearchBox } from './search';

interface Log { address: HexString; topics: HexString[]; data: HexString; logIndex: HexString }
interface RawReceipt {
  status: HexString; gasUsed: HexString; effectiveGasPrice: HexString; blockNumber: HexString; blockHash: HexString; transactionIndex: HexString;
  contractAddress: HexString | null; l1Fee?: HexString; logs: Log[];
}

export function TransactionPage({ hash }: { hash: HexString }) {
  const ask = useAnyNode();
  const status = best(useNodes())?.status;
  const found = useQuery({
    queryKey: ['l2', 'transaction', hash],
    queryFn: () => ask(async (node) => {
      const [raw, receipt] = await Promise.all([
        node.ask<RawTransaction | null>('eth_getTransactionByHash', [hash]), node.ask<RawReceipt | null>('eth_getTransactionReceipt', [hash]),
      ]);
      return raw && { transaction: transaction(raw), receipt };
    }),
    // Until it is in a block.
    refetchInterval: (query) => (query.state.data?.receipt ? false : 1_000),
  });
  const read = found.data;
  return (
    <>
      <p><a href={link.network}>← Network</a></p>
      <SearchBox />
      <h1>
        Transaction{' '}
        {read?.receipt ? (hexToNumber(read.receipt.status) ? <Tag tone="good">succeeded</Tag> : <Tag tone="bad">failed</Tag>) : read ? <Tag tone="warn">waits for a block</Tag> : null}{' '}
        {read?.receipt ? <Finality height={hexToNumber(read.receipt.blockNumber)} status={status} /> : null}
      </h1>
      {read ? <Details transaction={read.transaction} receipt={read.receipt} />
        : found.isPending ? <Loading what="the transaction" />
        : found.isError ? <Failure what="The transaction cannot be read." error={found.error} />
        : <p className="state">L2 knows no transaction <span className="hex whole">{hash}</span>.</p>}
    </>
  );
}

function Details({ transaction: sent, receipt }: { transaction: Transaction; receipt: RawReceipt | null }) {
  const gasUsed = receipt ? hexToBigInt(receipt.gasUsed) : 0n;
  const price = receipt ? hexToBigInt(receipt.effectiveGasPrice) : 0n;
  const l1Fee = receipt?.l1Fee ? hexToBigInt(receipt.l1Fee) : 0n;
  return (
    <>
      <Card title="What it is">
        <Facts rows={[
          ['Hash', <Hex key="hash" value={sent.hash} whole />],
          ['Block', receipt ? <a key="block" href={link.block(hexToNumber(receipt.blockNumber))}>{count(hexToNumber(receipt.blockNumber))}</a> : 'none yet'],
          ['Type', typeOf(sent.type)],
          ['From', <Hex key="from" value={sent.from} href={link.address(sent.from)} whole />],
          ['To', sent.to ? <Hex key="to" value={sent.to} href={link.address(sent.to)} whole /> : 'creates a contract'],
          ...(receipt?.contractAddress ? [['Created', <Hex key="created" value={receipt.contractAddress} href={link.address(receipt.contractAddress)} whole />] as [string, React.ReactNode]] : []),
          ['Value', coin(sent.value)],
          ['Nonce', count(sent.nonce)],
        ]} />
      </Card>
      {receipt ? (
        <Card title="What it cost">
          <Facts rows={[
            ['Gas', `${count(gasUsed)} of ${count(sent.gas)} (${percent(gasUsed, sent.gas)})`],
            ['Gas price', gwei(price)],
            ['Execution', coin(gasUsed * price)],
            ['Data on L1', coin(l1Fee)],
            ['In all', <strong key="all" data-testid="fee">{coin(gasUsed * price + l1Fee)}</strong>],
          ]} />
        </Card>
      ) : null}
      <Card title={`Input, ${bytes((sent.input.length - 2) / 2)}`}>
        {sent.input === '0x' ? <Empty>None.</Empty> : <pre tabIndex={0}>{sent.input}</pre>}
      </Card>
      {receipt ? (
        <Card title={`${receipt.logs.length} logs`}>
          {receipt.logs.length ? receipt.logs.map((log) => (
            <Facts key={log.logIndex} rows={[
              [`Log ${hexToNumber(log.logIndex)}`, <Hex key="address" value={log.address} href={link.address(log.address)} whole />],
              ...log.topics.map((topic, index): [string, React.ReactNode] => [`Topic ${index}`, <span key={topic} className="hex whole">{topic}</span>]),
              ['Data', log.data === '0x' ? 'none' : <span key="data" className="hex whole">{log.data}</span>],
            ]} />
          )) : <Empty>None.</Empty>}
        </Card>
      ) : null}
    </>
  );
}
