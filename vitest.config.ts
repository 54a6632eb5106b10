import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: [
      { find: /^pumphouse$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
      { find: /^pumphouse\/client$/, replacement: fileURLToPath(new URL('./web/sdk/index.ts', import.meta.url)) },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 120_000, // the first browser test may have to install its browser
  },
});
