import { useEffect, useRef, useState } from 'react';
import { createConfig, http, useConnect, useConnection, useConnectors, useDisconnect, useSwitchChain } from 'wagmi';
import { l1Chain, type SiteConfig } from './config';
import { explain } from './errors';
import { short } from './format';
import { useSite } from './site';

/** Wallets are those that announce themselves to the page (EIP-6963); the last one is connected again after a reload. */
export function walletConfig(config: SiteConfig) {
  const chain = l1Chain(config);
  return createConfig({ chains: [chain], transports: { [chain.id]: http(config.l1.url) }, multiInjectedProviderDiscovery: true });
}

/** The connected account, if any, and whether its wallet is on L1. */
export function useAccountOnL1() {
  const { config } = useSite();
  const { address, chainId, isConnected } = useConnection();
  return { address: isConnected ? address : undefined, rightChain: chainId === config.l1.chainId };
}

export function WalletButton() {
  const { address, connector } = useConnection();
  const disconnect = useDisconnect();
  if (!address) return <ConnectButton />;
  return (
    <div className="wallet">
      <span className="account" title={`${address} in ${connector?.name ?? 'a wallet'}`}>
        {short(address)}
      </span>
      <button type="button" className="quiet" onClick={() => disconnect.mutate({})}>
        Disconnect
      </button>
    </div>
  );
}

function ConnectButton() {
  const connectors = useConnectors();
  const connect = useConnect();
  const dialog = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <>
      <button type="button" className="primary" onClick={() => setOpen(true)}>
        Connect wallet
      </button>
      <dialog ref={dialog} onClose={() => setOpen(false)} aria-labelledby="connect-title">
        <h2 id="connect-title">Connect a wallet</h2>
        {connectors.length ? (
          <ul className="wallets">
            {connectors.map((connector) => (
              <li key={connector.uid}>
                <button
                  type="button"
                  disabled={connect.isPending}
                  onClick={() => connect.mutate({ connector }, { onSuccess: () => setOpen(false) })}
                >
                  {connector.icon?.startsWith('data:') ? <img src={connector.icon} alt="" width="24" height="24" /> : null}
                  {connector.name}
                </button>
              </li>
            ))}
          </ul>
        ) : (
          <p>No wallet was found in this browser. Install one that announces itself to pages (EIP-6963), then reload.</p>
        )}
        <p role="status" className="bad">
          {connect.error ? explain(connect.error) : null}
        </p>
        <button type="button" className="quiet" onClick={() => setOpen(false)}>
          Cancel
        </button>
      </dialog>
    </>
  );
}

/** Shown while the wallet is on another chain: switching adds L1 to the wallet where it is unknown. */
export function WrongNetwork() {
  const { config } = useSite();
  const { address, rightChain } = useAccountOnL1();
  const change = useSwitchChain();
  if (!address || rightChain) return null;
  return (
    <div className="banner" role="alert">
      <p>
        Your wallet is on another network. Stake lives on <strong>{config.l1.name}</strong> (chain {config.l1.chainId}).
        {change.error ? <span className="bad"> {explain(change.error)}</span> : null}
      </p>
      <button type="button" className="primary" disabled={change.isPending} onClick={() => change.mutate({ chainId: config.l1.chainId as never })}>
        Switch network
      </button>
    </div>
  );
}
