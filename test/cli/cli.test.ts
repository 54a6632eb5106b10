import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { table, variableOf } from '../../src/config/settings.ts';
import { Running, run, serving } from './command.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'pumphouse-'));
  writeFileSync(join(folder, 'good.json'), '{ "port": 9000, "sendBuffer": 10 }');
  writeFileSync(join(folder, 'bad.json'), '{ "prot": 9000 }');
});
afterAll(() => rmSync(folder, { recursive: true }));

describe.concurrent('pumphouse', () => {
  test('prints its commands with --help', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/serve .*check-config .*Without a command, pumphouse serves/s);
  });

  test.for([
    [[], { PUMPHOUSE_PORT: '0' }],
    [['--port', '0'], {}],
  ] as const)('serves the chat without a command: %j', async ([args, env]) => {
    const running = new Running(args, { PUMPHOUSE_ENGINE: 'memory', ...env });
    const { msg } = await running.line('serves http');
    const page = await fetch(/https?:\S+/.exec(String(msg))?.[0] as string);
    expect(await page.text()).toContain('<title>');
    expect((await running.end()).code).toBe(0);
  });

  test('documents every setting with its default and its environment variable', async () => {
    const { code, stdout } = await run(['serve', '--help']);
    expect(code).toBe(0);
    const words = stdout.replaceAll(/\s+/g, ' ');
    for (const { name, value, list, fallback, otherwise } of table) {
      if (value === undefined) continue;
      expect(words).toContain(`env ${variableOf(name)})`);
      const byDefault = fallback ?? otherwise;
      if (byDefault !== undefined && !list) expect(words).toContain(`(default ${byDefault}, env ${variableOf(name)})`);
    }
    expect(stdout).toContain('Examples:');
  });

  test.for([
    [['serve', '--help'], 0],
    [['check-config'], 0],
    [['serve', '--port', 'http'], 2],
  ] as const)('%j ends quietly when nobody reads its output', async ([args, code]) => {
    const { process: child, ended } = new Running(args);
    child.stdout?.destroy();
    expect(await ended).toMatchObject({ code, stderr: code === 0 ? '' : expect.stringMatching(/^pumphouse: .*\n$/) });
  });

  test('prints its version', async () => {
    expect(await run(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });

  test.for([
    [['serv'], "unknown command 'serv' (Did you mean serve?)"],
    [['serve', '--prot', '1'], "unknown option '--prot' (Did you mean --port?)"],
    [['--prot', '1'], "unknown option '--prot' (Did you mean --port?)"],
    [['serve', '--port'], "option '--port <PORT>' argument missing"],
    [['serve', '--port', 'http'], '--port: "http" is not a port (0 to 65535)'],
    [['serve', 'now'], "too many arguments for 'serve'. Expected 0 arguments but got 1."],
    [['serve', '--config', '/no/such.json'], '/no/such.json: cannot be read (ENOENT)'],
    [['serve', '--web', '/no/such'], '--web: "/no/such" has no index.html'],
    [['check-config', '--log-level', 'loud'], /^--log-level: "loud" is not one of fatal, /],
    [
      ['serve', '--wire', 'events', '--users', 'users.json'],
      '--users has no effect without --auth otp; add that or remove --users',
    ],
  ] as const)('%j prints one line and exits with 2', async ([args, line]) => {
    const { code, stdout, stderr } = await run(args);
    expect(stderr).toMatch(/^pumphouse: [^\n]+\n$/);
    expect(stderr.slice('pumphouse: '.length, -1)).toMatch(line);
    expect([code, stdout]).toEqual([2, '']);
  });

  test('prints one line and exits with 2 for a misspelled variable or key', async () => {
    const [variable, file] = await Promise.all([
      run(['serve'], { PUMPHOUSE_PROT: '1' }),
      run(['serve'], { PUMPHOUSE_CONFIG: join(folder, 'bad.json') }),
    ]);
    expect(variable.stderr).toBe('pumphouse: PUMPHOUSE_PROT: unknown setting; did you mean "PUMPHOUSE_PORT"?\n');
    expect(file.stderr).toMatch(/^pumphouse: .*bad\.json: unknown setting "prot"; did you mean "port"\?\n$/);
    expect([variable.code, file.code]).toEqual([2, 2]);
  });

  test.for(['uws', 'ws'])('prints one line and exits with 2 for a port in use, on %s', async (transport, context) => {
    const { transports } = await import('../integration/server.ts');
    context.skip(!transports.includes(transport as 'uws'), 'the binary does not load on this platform');
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    const line = `pumphouse: port ${port} on 127.0.0.1 is in use; choose another with --port\n`;
    const served = await run(['serve', '--port', `${port}`, '--transport', transport, '--engine', 'memory']);
    const settings = { PUMPHOUSE_PORT: `${port}`, PUMPHOUSE_TRANSPORT: transport, PUMPHOUSE_ENGINE: 'memory' };
    expect([served, await run([], settings)]).toMatchObject([
      { code: 2, stderr: line },
      { code: 2, stderr: line },
    ]);
    holder.close();
  });

  test.for(['uws', 'ws'])('names the listener that cannot listen, on %s', async (transport, context) => {
    const { transports } = await import('../integration/server.ts');
    context.skip(!transports.includes(transport as 'uws'), 'the binary does not load on this platform');
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    const failures = [{ port }, { port: 0, host: '192.0.2.1' }].map((listener, i) => {
      const config = join(folder, `${transport}-${i}.json`);
      writeFileSync(config, JSON.stringify({ listeners: [{ port: 0 }, listener] }));
      return run(['serve', '--config', config, '--transport', transport, '--engine', 'memory']);
    });
    const [taken, foreign] = await Promise.all(failures);
    holder.close();
    const lines = [
      `pumphouse: port ${port} on 127.0.0.1 is in use; choose another in "listeners"\n`,
      'pumphouse: 192.0.2.1 is not an address of this machine; choose another in "listeners"\n',
    ];
    expect([taken?.stderr, foreign?.stderr]).toEqual(lines);
    expect([taken?.code, foreign?.code]).toEqual([2, 2]);
  });

  test('prints one line and exits with 2 for a host of another machine', async () => {
    const { code, stderr } = await run(['serve', '--port', '0', '--host', '203.0.113.1', '--engine', 'memory']);
    expect(stderr).toBe('pumphouse: 203.0.113.1 is not an address of this machine; choose another with --host\n');
    expect(code).toBe(2);
  });

  test('check-config prints each setting and its source', async () => {
    const { code, stdout, stderr } = await run(['check-config', '--config', join(folder, 'good.json'), '--port', '1'], {
      PUMPHOUSE_LOG_LEVEL: 'warn',
    });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^port +1 {2}\(--port\)$/m);
    expect(stdout).toMatch(/^sendBuffer +10 {2}\(.*good\.json: sendBuffer\)$/m);
    expect(stdout).toMatch(/^logLevel +"warn" {2}\(PUMPHOUSE_LOG_LEVEL\)$/m);
    expect(stdout).toMatch(/^host +"127.0.0.1" {2}\(default\)$/m);
  });

  test('check-config prints warnings to standard error, and hides the secrets of listeners', async () => {
    const secret = 'a secret of at least thirty-two bytes';
    const listeners = [{ port: 1, auth: 'jwt', jwtSecret: secret }];
    writeFileSync(join(folder, 'listeners.json'), JSON.stringify({ listeners }));
    const { code, stdout, stderr } = await run([
      'check-config',
      '--config',
      join(folder, 'listeners.json'),
      '--port',
      '1',
    ]);
    expect(stderr).toBe('pumphouse: warning: --port has no effect beside listeners; set it for each listener\n');
    expect(stdout).toContain('"jwtSecret":"(set)"');
    expect(stdout).not.toContain(secret);
    expect(code).toBe(0);
  });

  test('serve logs warnings before it listens', async () => {
    const { running } = await serving(['--wire', 'events']);
    const { stdout, code } = await running.end();
    const lines = stdout.split('\n').filter((line) => /accepts every password|serves http/.test(line));
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 40, msg: '--wire: "events" accepts every password with --auth open; set --auth otp' },
      { level: 30 },
    ]);
    expect(code).toBe(0);
  });
});
