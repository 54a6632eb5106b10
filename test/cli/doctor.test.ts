import { createServer, type Server } from 'pumphouse';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { addDoctorCommand } from '../../src/commands/doctor.ts';
import { Running, run } from './command.ts';
import { failureOf } from './failure.ts';

let server: Server;
beforeAll(async () => {
  server = await createServer({ port: 0 });
});
afterAll(() => server.stop());

describe.concurrent('pumphouse doctor', () => {
  test('prints a line for each check, and exits with 0 if none fails', async () => {
    const { code, stdout, stderr } = await run(['doctor', server.url, '--idle', '0']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('✓ subprotocol     pumphouse.v1 is selected\n');
    expect(stdout).toContain('- idle            --idle 0\n');
    expect(stdout).toMatch(/\n\n\d+ passed, 2 skipped\n$/);
  });

  test('prints JSON, and exits with 1 if a check fails', async () => {
    const { code, stdout, stderr } = await run(['doctor', `http://127.0.0.1:${await freePort()}`, '--json']);
    expect([code, stderr]).toEqual([1, '']);
    const { url, result, proxy, checks } = JSON.parse(stdout);
    expect(url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/ws$/);
    expect([result, proxy]).toEqual(['fail', { kind: 'unknown', product: '' }]);
    expect(checks).toHaveLength(18);
    expect(checks[1]).toMatchObject({
      name: 'tcp',
      result: 'fail',
      detail: expect.stringContaining('ECONNREFUSED'),
      measured: { addresses: [{ address: '127.0.0.1', family: 4 }] },
      advice: { text: expect.any(String), nginx: { add: [expect.stringMatching(/^listen/), expect.any(String)] } },
    });
    expect(checks[2]).toEqual({ name: 'tls', result: 'skipped', detail: 'needs tcp' });
  });

  test('ends with 130 on SIGINT, also while it waits', async () => {
    const running = new Running(['doctor', server.url, '--idle', '600']);
    await new Promise<void>((resolve) => {
      running.process.stdout?.on('data', (text) => String(text).includes('room-events') && resolve());
    });
    const { code, stderr } = await running.end('SIGINT');
    expect([code, stderr]).toEqual([130, '']);
  });

  test.for([
    [['https://chat.example', '--idle', 'x'], '--idle: "x" is not a number of seconds (0 to 86400)'],
    [['https://chat.example', '--origin', 'chat'], '--origin: is not an origin such as https://chat.example'],
  ] as const)('rejects %j with one line', async ([args, line]) => {
    expect(await failureOf(addDoctorCommand, ['doctor', ...args])).toBe(line);
  });

  test('exits with 2 for an address that is no URL', async () => {
    const line = 'pumphouse: the URL does not start with https://, http://, wss:// or ws://\n';
    expect(await run(['doctor', 'chat.example'])).toEqual({ code: 2, stdout: '', stderr: line });
  });
});
