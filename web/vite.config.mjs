// The pages. `npm run dev` serves them from their sources beside a daemon on
// 127.0.0.1:8080.

import { readFileSync } from 'node:fs';
import { defineConfig } from 'vite';

const { version } = JSON.parse(readFileSync(new URL('client/package.json', import.meta.url), 'utf8'));

const pages = { console: 'console/index.html', call: 'call/index.html', tutorial: 'tutorial/index.html' };

export default defineConfig({
  publicDir: false,
  define: { __VERSION__: JSON.stringify(version) },
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    outDir: 'dist', emptyOutDir: false, target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0,
    rollupOptions: { input: pages },
  },
  server: {
    proxy: Object.fromEntries(['/ws', '/v1', '/client.js'].map((path) => [path, { target: 'http://127.0.0.1:8080', ws: path === '/ws' }])),
  },
});
