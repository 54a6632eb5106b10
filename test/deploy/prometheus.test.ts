import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { canarySamples } from '../canary/metrics.ts';
import { NodeProcess } from '../nodes/node-process.ts';
import { waitUntil } from '../redis/wait.ts';
import { findProgram } from './install.ts';
import { ProgramProcess } from './program-process.ts';
import { replace, temporaryFolder } from './proxies.ts';

const TIMEOUT_MS = 60_000;
const START_MS = 30_000;
const prometheus = await findProgram('prometheus');
const promtool = await findProgram('promtool');

interface Target {
  readonly scrapeUrl: string;
  readonly health: string;
  readonly lastError: string;
}

async function query<T>(url: string): Promise<T> {
  const response = await fetch(url);
  return ((await response.json()) as { data: T }).data;
}

beforeEach((context) => context.skip(!prometheus.path, prometheus.reason));

test.each(['deploy/prometheus.yml', 'deploy/prometheus.two-nodes.yml'])('promtool accepts %s', (file) => {
  expect(execFileSync(promtool.path ?? '', ['check', 'config', file], { encoding: 'utf8' })).toContain('SUCCESS');
});

test('promtool accepts the alerts', () => {
  const checked = execFileSync(promtool.path ?? '', ['check', 'rules', 'deploy/prometheus-alerts.yml'], {
    encoding: 'utf8',
  });
  expect(checked).toMatch(/SUCCESS: \d+ rules found/);
});

interface Rule {
  readonly name: string;
  readonly query: string;
  readonly state: string;
  readonly health: string;
  readonly lastError?: string;
}

/** Returns the expressions of the dashboard, with values for Grafana's variables. */
function dashboardExpressions(): readonly string[] {
  const { panels } = JSON.parse(readFileSync('deploy/grafana-dashboard.json', 'utf8')) as {
    readonly panels: readonly { readonly targets?: readonly { readonly expr: string }[] }[];
  };
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  return expressions.map((expr) => expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m'));
}

test(
  'every expression of the alerts and the dashboard is about metrics that a server has',
  async () => {
    const folder = temporaryFolder();
    const node = await NodeProcess.start({
      flags: ['--engine', 'lmdb', '--data', join(folder, 'data'), '--canary', '2'],
    });
    onTestFinished(() => node.kill());
    const canaryIsUp = async () => (await canarySamples(node.url))['up'] === 1;
    await waitUntil('the canary is connected', canaryIsUp, START_MS);
    const config = join(folder, 'prometheus.yml');
    const rules = join(process.cwd(), 'deploy/prometheus-alerts.yml');
    const committed = readFileSync('deploy/prometheus.yml', 'utf8');
    const scraped = replace(replace(committed, 'pumphouse:8080', `127.0.0.1:${node.port}`), '15s', '1s');
    writeFileSync(
      config,
      `${scraped}\nrule_files: ["${rules}"]\n`.replace('global:', 'global:\n  evaluation_interval: 1s'),
    );
    const address = `127.0.0.1:${await freePort()}`;
    const api = `http://${address}/api/v1`;
    const args = [`--config.file=${config}`, `--storage.tsdb.path=${folder}/tsdb`, `--web.listen-address=${address}`];
    const serves = async () => (await fetch(`http://${address}/-/ready`)).ok;
    const program = await ProgramProcess.start(prometheus.path ?? '', args, serves);
    onTestFinished(() => program.stop());
    const rulesOf = async () => {
      const { groups } = await query<{ groups: { rules: Rule[] }[] }>(`${api}/rules`);
      return groups.flatMap((group) => group.rules);
    };
    const evaluated = async () => (await rulesOf()).every(({ health }) => health !== 'unknown');
    await waitUntil('the alerts are evaluated', evaluated, START_MS);
    const names = async () => new Set(await query<string[]>(`${api}/label/__name__/values`));
    await waitUntil('the node is scraped', async () => (await names()).has('pumphouse_connections'), START_MS);
    for (const { name, health, lastError, state } of await rulesOf()) {
      expect({ name, health, lastError, state }).toEqual({
        name,
        health: 'ok',
        lastError: undefined,
        state: 'inactive',
      });
    }
    const expressions = [...dashboardExpressions(), ...(await rulesOf()).map((rule) => rule.query)];
    // Counters with labels have no sample before their first event.
    const page = await (await fetch(`${node.url}/metrics`)).text();
    const declared = new Set([...(await names()), ...[...page.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)]);
    for (const expression of expressions) {
      const response = await fetch(`${api}/query?query=${encodeURIComponent(expression)}`);
      expect({ expression, status: response.status }).toEqual({ expression, status: 200 });
      for (const [name] of expression.matchAll(/\b(pumphouse|process|nodejs)_\w+/g)) expect(declared).toContain(name);
    }
  },
  TIMEOUT_MS,
);

test(
  'Prometheus scrapes the nodes',
  async () => {
    const nodes = await Promise.all([NodeProcess.start(), NodeProcess.start()]);
    for (const node of nodes) onTestFinished(() => node.kill());
    const [first, second] = nodes.map(({ port }) => `127.0.0.1:${port}`) as [string, string];
    const committed = readFileSync('deploy/prometheus.two-nodes.yml', 'utf8');
    const replacements = [
      ['pumphouse:8080', first],
      ['pumphouse-2:8080', second],
      ['15s', '1s'],
    ] as const;
    const folder = temporaryFolder();
    const config = join(folder, 'prometheus.yml');
    writeFileSync(
      config,
      replacements.reduce((text, [from, to]) => replace(text, from, to), committed),
    );
    const address = `127.0.0.1:${await freePort()}`;
    const api = `http://${address}/api/v1`;
    const args = [`--config.file=${config}`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=${address}`];
    const serves = async () => (await fetch(`http://${address}/-/ready`)).ok;
    const program = await ProgramProcess.start(prometheus.path ?? '', args, serves);
    onTestFinished(() => program.stop());
    const targets = async () => (await query<{ activeTargets: Target[] }>(`${api}/targets`)).activeTargets;
    await waitUntil(
      'both targets are scraped',
      async () => (await targets()).filter(({ health }) => health !== 'unknown').length === 2,
      START_MS,
    );
    const expected = [first, second].map((node) => ({
      scrapeUrl: `http://${node}/metrics`,
      health: 'up',
      lastError: '',
    }));
    expect(await targets()).toEqual(expect.arrayContaining(expected.map((target) => expect.objectContaining(target))));
    const { result } = await query<{ result: unknown[] }>(`${api}/query?query=pumphouse_engine_ready==1`);
    expect(result).toHaveLength(2);
  },
  TIMEOUT_MS,
);
