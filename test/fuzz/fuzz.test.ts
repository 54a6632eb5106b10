import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Keys, scopes } from '../../src/auth/keys.ts';
import { type Running, serving } from '../cli/command.ts';
import { transports } from '../integration/server.ts';
import { fuzzApi } from './api.ts';
import { fuzz } from './fuzz.ts';

describe.each(transports)('random frames, handshakes and requests on %s', (transport) => {
  let running: Running | undefined;
  afterEach(() => running?.process.kill('SIGKILL'));

  test('get a proper code or a closed connection, and the server still responds', async () => {
    const server = await serving(['--publish-rate', 'off', '--transport', transport]);
    running = server.running;
    const seed = Date.now() % 1_000_000;
    const { cases, answers, failures } = await fuzz(server.port, seed, 6_000);
    expect(failures).toEqual([]);
    expect(cases).toBeGreaterThanOrEqual(6_000);
    // Without both kinds of rejections the test would prove nothing.
    for (const answer of ['http 400', 'http 404', 'close 1008']) expect(answers[answer]).toBeGreaterThan(0);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(await (await fetch(`${server.url}/metrics`)).text()).toMatch(/^pumphouse_connections 0$/m);
    expect(running.log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
});

describe.each(transports)('random requests to the Server API on %s', (transport) => {
  let running: Running | undefined;
  const folder = mkdtempSync(join(tmpdir(), 'pumphouse-fuzz-'));
  afterEach(() => running?.process.kill('SIGKILL'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test('get a problem or a closed connection, and the server still responds', async () => {
    const keys = new Keys(join(folder, 'keys.json'));
    const [valid, limited] = [
      keys.add({ name: 'fuzz', scopes }),
      keys.add({ name: 'limited', scopes: ['read'], rooms: ['allowed'] }),
    ];
    const server = await serving(['--transport', transport, '--keys', join(folder, 'keys.json')]);
    running = server.running;
    const seed = Date.now() % 1_000_000;
    const { cases, answers, failures } = await fuzzApi(server.port, { valid, limited }, seed, 3_000);
    expect(failures).toEqual([]);
    expect(cases).toBeGreaterThanOrEqual(3_000);
    for (const answer of ['http 200', 'http 400', 'http 403', 'http 404']) expect(answers[answer]).toBeGreaterThan(0);
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect(running.log.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
});
