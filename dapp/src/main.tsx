import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { WagmiProvider } from 'wagmi';
import { ActivityProvider } from './activity';
import { App } from './app';
import { loadConfig, type SiteConfig } from './config';
import { SiteProvider } from './site';
import { walletConfig } from './wallet';
import './styles/base.css';
import './styles/pages.css';

// What is on the screen is asked again in a moment, so one failure is shown at once and nothing is kept for long.
const queries = new QueryClient({ defaultOptions: { queries: { retry: false, gcTime: 30_000, networkMode: 'always' } } });

function Root({ config }: { config: SiteConfig }) {
  return (
    <StrictMode>
      <WagmiProvider config={walletConfig(config)}>
        <QueryClientProvider client={queries}>
          <SiteProvider config={config}>
            <ActivityProvider>
              <App />
            </ActivityProvider>
          </SiteProvider>
        </QueryClientProvider>
      </WagmiProvider>
    </StrictMode>
  );
}

const root = createRoot(document.getElementById('root') as HTMLElement);
loadConfig().then(
  (config) => root.render(<Root config={config} />),
  (error: Error) =>
    root.render(
      <main className="fatal">
        <h1>Horae</h1>
        <p role="alert">This page does not know its network: {error.message}. Whoever serves it has to provide config.json.</p>
      </main>,
    ),
);
