import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const client = (path: string) => fileURLToPath(new URL(`../../client/src/${path}`, import.meta.url));

export default defineConfig({
  base: './',
  plugins: [react()],
  resolve: {
    // The client's source, so that it need not be built first.
    alias: [
      { find: /^@roomcast\/client$/, replacement: client('index.ts') },
      { find: /^@roomcast\/client\/react$/, replacement: client('react/index.ts') },
    ],
    // The client's own folder has a React too, for its tests; two of them in one page do not work together.
    dedupe: ['react', 'react-dom'],
  },
  server: {
    host: '127.0.0.1',
    port: 5173,
    // The page asks for /ws at its own address. So its origin is the host that the gateway sees, and nothing need be allowed there.
    proxy: { '/ws': { target: process.env.ROOMCAST_GATEWAY ?? 'http://127.0.0.1:8080', ws: true } },
  },
  test: { include: ['publisher/test/*.test.js', 'src/**/*.test.ts', 'start/*.test.js'] },
});
