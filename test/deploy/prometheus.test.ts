import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { freePort } from '../../bench/server.ts';
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
