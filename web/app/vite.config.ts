import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/**
 * Builds the chat into `dist/web`, where the server looks for it. `npm run dev` serves the sources
 * instead and proxies `/ws` to a running server.
 */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  build: {
    outDir: fileURLToPath(new URL('../../dist/web', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // The client library is a separate chunk: it changes less often than the page, and a test
        // checks its size separately.
        codeSplitting: { groups: [{ name: 'client', test: /web\/sdk|src\/protocol|node_modules\/mitt/ }] },
      },
    },
  },
  server: { proxy: { '/ws': { target: 'ws://localhost:8080', ws: true } } },
});
