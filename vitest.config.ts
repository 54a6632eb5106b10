import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const alias = [
  { find: /^pumphouse$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
  { find: /^pumphouse\/client$/, replacement: fileURLToPath(new URL('./web/sdk/index.ts', import.meta.url)) },
];
const timeouts = {
  expect: { poll: { timeout: 10_000 } },
  testTimeout: 20_000,
  hookTimeout: 120_000, // the first browser test may have to install its browser
};

// These measure, or load the machine with processes of their own: nothing else runs beside them.
const alone = ['test/integration/flood.test.ts', 'test/faults/*.test.ts', 'test/browser/busy.test.ts'];

export default defineConfig({
  test: {
    maxWorkers: 2,
    globalSetup: 'test/build.ts',
    projects: [
      {
        resolve: { alias },
        test: {
          ...timeouts,
          name: 'beside',
          include: ['test/**/*.test.ts'],
          exclude: alone,
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve: { alias },
        test: { ...timeouts, name: 'alone', include: alone, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
