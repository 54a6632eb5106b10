import { afterEach, describe, expect, test } from 'vitest';
import { type Running, serving } from '../cli/command.ts';
import { transports } from '../integration/server.ts';
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
