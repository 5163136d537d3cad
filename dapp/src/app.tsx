import { useEffect } from 'react';
import { count } from './format';
import { AddressPage } from './network/address';
import { BlockPage } from './network/block';
import { NetworkPage } from './network/overview';
import { TransactionPage } from './network/transaction';
import { link, type Route, useRoute } from './router';
import { useL1Head, useRefreshPerBlock, useSite } from './site';
import { OperatorPage } from './staking/operator';
import { StakingPage } from './staking/overview';
import { RegisterPage } from './staking/register';
import { WalletButton, WrongNetwork } from './wallet';

const AREA: Record<Route['page'], 'staking' | 'network' | null> = {
  staking: 'staking', operator: 'staking', register: 'staking',
  network: 'network', block: 'network', transaction: 'network', address: 'network', unknown: null,
};

export function App() {
  const route = useRoute();
  const area = AREA[route.page];
  const { config } = useSite();
  useRefreshPerBlock();
  const place = JSON.stringify(route, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
  useEffect(() => {
    document.title = `${area === 'network' ? 'Network' : 'Staking'} · ${config.name}`;
  }, [area, config]);
  useEffect(() => {
    // Its result is a promise in newer browsers, and no way to undo the effect.
    void window.scrollTo(0, 0);
  }, [place]);
  return (
    <>
      <a className="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>
        Skip to content
      </a>
      <header className="top">
        <a className="brand" href={link.staking}>
          <img src="/icon.svg" alt="" width="28" height="28" />
          <span>{config.name}</span>
        </a>
        <nav aria-label="Pages">
          <a href={link.staking} aria-current={area === 'staking' ? 'page' : undefined}>
            Staking
          </a>
          <a href={link.network} aria-current={area === 'network' ? 'page' : undefined}>
            Network
          </a>
        </nav>
        <WalletButton />
      </header>
      <WrongNetwork />
      <L1Offline />
      <main id="main" tabIndex={-1}>
        <Page route={route} />
      </main>
    </>
  );
}

function Page({ route }: { route: Route }) {
  switch (route.page) {
    case 'staking': return <StakingPage />;
    case 'register': return <RegisterPage />;
    case 'operator': return <OperatorPage key={route.id} id={route.id} />;
    case 'network': return <NetworkPage />;
    case 'block': return <BlockPage key={route.id} id={route.id} />;
    case 'transaction': return <TransactionPage key={route.hash} hash={route.hash} />;
    case 'address': return <AddressPage key={route.address} address={route.address} />;
    case 'unknown': return <p className="state">There is no such page. Go to <a href={link.staking}>staking</a> or <a href={link.network}>the network</a>.</p>;
  }
}

/** Says so while L1 does not answer; what is shown then is what was read last. */
function L1Offline() {
  const { config } = useSite();
  const head = useL1Head();
  if (!head.isError && !head.isRefetchError) return null;
  return (
    <div className="banner bad" role="alert">
      <p>
        {config.l1.name} does not answer at {config.l1.url}.
        {head.data ? ` What you see is of its block ${count(head.data.number)}.` : ''} It is asked again every second.
      </p>
    </div>
  );
}
