import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { compressFiles } from '../compress-files.mjs';

/**
 * Builds the chat into `dist/web`, where the server looks for it. `npm run dev` serves the sources
 * instead and proxies `/ws` to a running server.
 */
export default defineConfig(({ command }) => ({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [compressFiles()],
  // The built page calls `h`, which preact needs anyway, in place of the automatic JSX runtime.
  ...(command === 'build' && { oxc: { jsx: { runtime: 'classic', pragma: 'h', pragmaFrag: 'Fragment' } } }),
  define: { 'window.__PREACT_SIGNALS_DEVTOOLS__': 'undefined' },
  build: {
    outDir: fileURLToPath(new URL('../../dist/web', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      transform: { inject: { h: ['preact', 'h'], Fragment: ['preact', 'Fragment'] } },
      output: {
        // The client library is a separate chunk: it changes less often than the page, and a test
        // checks its size separately. Its fallback and its report stay files that are loaded when
        // they are needed.
        codeSplitting: {
          groups: [{ name: 'client', test: /web\/sdk\/(?!fallback|report)|src\/protocol|node_modules\/mitt/ }],
        },
      },
    },
  },
  server: { proxy: { '/ws': { target: 'ws://localhost:8080', ws: true } } },
}));
