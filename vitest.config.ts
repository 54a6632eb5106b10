import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const alias = [
  { find: /^pumphouse$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
  { find: /^pumphouse\/client$/, replacement: fileURLToPath(new URL('./web/sdk/index.ts', import.meta.url)) },
];
const timeouts = {
  expect: { poll: { timeout: 10_000 } },
  testTimeout: 20_000,
  hookTimeout: 120_000, // the first browser test may install its browser
};

// These tests measure times or load the machine, so no other test runs beside them.
const serial = ['test/integration/flood.test.ts', 'test/faults/*.test.ts', 'test/browser/busy.test.ts'];

// These tests wait most of the time: for processes to start, to fail and to notice it.
const nodes = ['test/nodes/*.test.ts', 'test/redis/*.test.ts', 'test/deploy/*.test.ts'];

export default defineConfig({
  test: {
    maxWorkers: 2,
    globalSetup: 'test/build.ts',
    projects: [
      {
        resolve: { alias },
        test: {
          ...timeouts,
          name: 'parallel',
          include: ['test/**/*.test.ts'],
          exclude: [...serial, ...nodes, 'test/checks/**'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve: { alias },
        test: { ...timeouts, name: 'nodes', include: nodes, maxWorkers: 3, sequence: { groupOrder: 1 } },
      },
      {
        resolve: { alias },
        test: { ...timeouts, name: 'serial', include: serial, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
