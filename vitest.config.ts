import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const alias = [
  { find: /^pumphouse$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
  { find: /^pumphouse\/client$/, replacement: fileURLToPath(new URL('./web/sdk/index.ts', import.meta.url)) },
];
const common = {
  // A process and its modules are used for many files: new ones for each take half of the CPU time.
  isolate: false,
  expect: { poll: { timeout: 10_000 } },
  testTimeout: 20_000,
  hookTimeout: 120_000, // the first browser test may install its browser
};

// These tests measure times or load the machine, so no other test runs beside them.
const serial = ['test/integration/flood.test.ts', 'test/faults/*.test.ts', 'test/browser/busy.test.ts'];

// These tests drive the command and browsers from outside. On a loaded machine a start can take
// longer than they wait: a second attempt tells that from a defect. Its line in the report has
// `retry`. No test of a guarantee is among them.
const driven = ['test/{browser,cli,examples}/**/*.test.ts', 'test/contracts/pages.test.ts'];

// These tests wait most of the time: for processes to start, to fail and to notice it.
const nodes = ['test/nodes/*.test.ts', 'test/redis/*.test.ts', 'test/deploy/*.test.ts'];

export const sharedSettings = {
  // Half of the tests wait most of the time: on two cores, a third worker saves minutes.
  maxWorkers: 3,
  globalSetup: fileURLToPath(new URL('./test/build.ts', import.meta.url)),
};

/** The suites that pass with several workers, too. */
const withWorkers = {
  parallel: ['test/{conformance,contracts,integration,browser}/*.test.ts', 'test/sdk/{server,browser,token}.test.ts'],
  serial,
};

/** A part of them that takes little time. */
const someWithWorkers: typeof withWorkers = {
  parallel: ['test/conformance/conformance.test.ts', 'test/contracts/contracts.test.ts'],
  serial: ['test/faults/kill.test.ts'],
};

/** Returns the projects of tests whose servers have two workers, those of the command included. */
export function workersProjects(
  include: typeof withWorkers = withWorkers,
  env: Record<string, string> = {},
): TestProjectInlineConfiguration[] {
  const options = { ...common, env: { PUMPHOUSE_WORKERS: '2', ...env } };
  return [
    {
      resolve: { alias },
      test: {
        ...options,
        name: 'workers',
        include: include.parallel,
        exclude: serial,
        sequence: { groupOrder: 0 },
      },
    },
    {
      resolve: { alias },
      test: {
        ...options,
        name: 'workers, serial',
        include: include.serial,
        maxWorkers: 1,
        sequence: { groupOrder: 2 },
      },
    },
  ];
}

export default defineConfig({
  test: {
    ...sharedSettings,
    projects: [
      {
        resolve: { alias },
        test: {
          ...common,
          name: 'parallel',
          include: ['test/**/*.test.ts'],
          exclude: [...serial, ...nodes, ...driven, 'test/checks/**'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve: { alias },
        test: {
          ...common,
          name: 'driven',
          include: driven,
          exclude: serial,
          retry: 1,
          sequence: { groupOrder: 0 },
        },
      },
      {
        resolve: { alias },
        test: { ...common, name: 'nodes', include: nodes, maxWorkers: 4, sequence: { groupOrder: 1 } },
      },
      {
        resolve: { alias },
        test: { ...common, name: 'serial', include: serial, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
      ...workersProjects(someWithWorkers, {
        KILLS: process.env['KILLS'] ?? '4',
      }),
    ],
  },
});
