import { useState } from 'react';
import { go, link } from '../router';
import { useAnyNode } from './data';

/** Finds a block by height or hash, a transaction by hash, or an address. */
export function SearchBox() {
  const ask = useAnyNode();
  const [text, setText] = useState('');
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  const search = async () => {
    const wanted = text.trim().replaceAll(',', '');
    setProblem('');
    if (/^\d{1,15}$/.test(wanted)) return go(link.block(wanted));
    if (/^0x[0-9a-f]{40}$/i.test(wanted)) return go(link.address(wanted.toLowerCase()));
    if (!/^0x[0-9a-f]{64}$/i.test(wanted)) return setProblem('That is no height, hash or address.');
    setBusy(true);
    try {
      const [transaction, block] = await ask((node) => Promise.all([
        node.ask('eth_getTransactionByHash', [wanted]), node.ask('eth_getBlockByHash', [wanted, false]),
      ]));
      if (transaction) go(link.transaction(wanted));
      else if (block) go(link.block(wanted));
      else setProblem('No transaction or block of L2 has that hash.');
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form className="search" role="search" onSubmit={(event) => { event.preventDefault(); void search(); }}>
      <input type="search" aria-label="Search L2" placeholder="Block height, hash, or address" value={text} onChange={(event) => setText(event.target.value)} spellCheck={false} autoComplete="off" />
      <button type="submit" className="primary" disabled={busy || !text.trim()}>Search</button>
      <p role="status" className="bad">{problem}</p>
    </form>
  );
}
