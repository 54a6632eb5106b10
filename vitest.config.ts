import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const alias = [
  { find: /^pumphouse$/, replacement: fileURLToPath(new URL('./src/index.ts', import.meta.url)) },
  { find: /^pumphouse\/client$/, replacement: fileURLToPath(new URL('./web/sdk/index.ts', import.meta.url)) },
];
type ProjectConfig = NonNullable<TestProjectInlineConfiguration['test']>;

const common = {
  // A process and its modules are used for many files: new ones for each take half of the CPU time.
  isolate: false,
  expect: { poll: { timeout: 10_000 } },
  testTimeout: 20_000,
  hookTimeout: 120_000, // the first browser test may install its browser
};

// These tests replace globals, such as the timers or `fetch`, or set flags of V8, so each has a
// process of its own.
const isolated = ['test/{admin-page,api,app,auth,sdk,server}/*.test.ts', 'test/observe/metrics.test.ts'];

// These tests measure times, so no other test runs beside them.
const serial = ['test/integration/flood.test.ts', 'test/browser/busy.test.ts'];

// These tests drive the command and browsers from outside. On a loaded machine a start can take
// longer than they wait: a second attempt tells that from a defect. The report's end says why the
// first one failed. No test of a guarantee is among them.
const driven = ['test/{browser,cli,examples}/**/*.test.ts', 'test/contracts/pages.test.ts'];

// These tests wait most of the time: for processes to start, to fail and to notice it.
const processes = ['test/{nodes,redis,deploy,faults}/*.test.ts'];

const beside: ProjectConfig = { sequence: { groupOrder: 0 } };
const ofProcesses: ProjectConfig = { maxWorkers: 4, sequence: { groupOrder: 1 } };
const alone: ProjectConfig = { maxWorkers: 1, sequence: { groupOrder: 2 } };

export const sharedSettings = {
  // Half of the tests wait most of the time: on two cores, four workers save minutes.
  maxWorkers: 4,
  globalSetup: fileURLToPath(new URL('./test/build.ts', import.meta.url)),
  reporters: ['default', fileURLToPath(new URL('./test/second-attempts.ts', import.meta.url))],
};

/** The suites that pass with several workers, too. */
const withWorkers = {
  parallel: ['test/{conformance,contracts,integration,browser}/*.test.ts', 'test/sdk/{server,browser,token}.test.ts'],
  processes: ['test/faults/*.test.ts'],
  serial,
};

/** A part of them that takes little time. */
const someWithWorkers: typeof withWorkers = {
  parallel: ['test/conformance/conformance.test.ts', 'test/contracts/contracts.test.ts'],
  processes: ['test/faults/kill.test.ts'],
  serial: [],
};

/** Returns the projects of tests whose servers have two workers, those of the command included. */
export function workersProjects(
  include: typeof withWorkers = withWorkers,
  env: Record<string, string> = {},
): TestProjectInlineConfiguration[] {
  const project = (name: string, files: string[], options: ProjectConfig): TestProjectInlineConfiguration => ({
    resolve: { alias },
    test: { ...common, env: { PUMPHOUSE_WORKERS: '2', ...env }, name, include: files, ...options },
  });
  return [
    project('workers', include.parallel, { exclude: serial, ...beside }),
    project('workers, processes', include.processes, ofProcesses),
    project('workers, serial', include.serial, alone),
  ].filter(({ test }) => test?.include?.length);
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
          exclude: [...serial, ...processes, ...driven, ...isolated, 'test/checks/**'],
          ...beside,
        },
      },
      {
        resolve: { alias },
        test: { ...common, name: 'isolated', include: isolated, isolate: true, ...beside },
      },
      {
        resolve: { alias },
        test: {
          ...common,
          name: 'driven',
          include: driven,
          exclude: serial,
          retry: 1,
          ...beside,
        },
      },
      {
        resolve: { alias },
        test: { ...common, name: 'processes', include: processes, ...ofProcesses },
      },
      {
        resolve: { alias },
        test: { ...common, name: 'serial', include: serial, ...alone },
      },
      ...workersProjects(someWithWorkers, {
        KILLS: process.env['KILLS'] ?? '4',
      }),
    ],
  },
});
