import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { compressFiles } from '../compress-files.mjs';

/**
 * Builds the page of the admin listener into `dist/admin-page`, where the listener looks for it.
 * The folder `dist/admin` has the listener's own code.
 */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  plugins: [compressFiles()],
  // The built page calls `h`, which preact needs anyway, in place of the automatic JSX runtime.
  oxc: { jsx: { runtime: 'classic', pragma: 'h', pragmaFrag: 'Fragment' } },
  define: { 'window.__PREACT_SIGNALS_DEVTOOLS__': 'undefined' },
  build: {
    outDir: fileURLToPath(new URL('../../dist/admin-page', import.meta.url)),
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { transform: { inject: { h: ['preact', 'h'], Fragment: ['preact', 'Fragment'] } } },
  },
});
