import { defineConfig } from 'vite';

export default defineConfig({
  // `npm run dev` shows the network that `./x devnet` serves.
  server: { proxy: { '/config.json': 'http://127.0.0.1:8550' } },
  build: {
    target: 'es2022',
    chunkSizeWarningLimit: 700,
    // Libraries say 'use client' for servers that render React; there is none here.
    rolldownOptions: { onwarn: (warning, warn) => { if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') warn(warning); } },
  },
});
