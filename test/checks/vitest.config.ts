// The installation packs both packages and installs them from the registry, which takes about a
// minute: it is a check of its own beside the tests.
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { alias: [{ find: /^pumphouse$/, replacement: resolve('src/index.ts') }] },
  test: { name: 'install', include: ['test/checks/install.test.ts'], testTimeout: 300_000, hookTimeout: 300_000 },
});
