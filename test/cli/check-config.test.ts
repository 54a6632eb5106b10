import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../bench/free-port.ts';
import { inspect } from '../../src/engine/redis/inspect.ts';
import { redis as redisEngine } from '../../src/engine/redis/redis.ts';
import { findRedis } from '../redis/install.ts';
import { type RedisOptions, RedisProcess } from '../redis/redis-process.ts';
import { Sentinels } from '../redis/sentinel-process.ts';
import { run } from './command.ts';

const installed = await findRedis();

const started: { stop(): Promise<void> }[] = [];
afterEach(() => Promise.all(started.splice(0).map((server) => server.stop())));

const SAFE: RedisOptions = { appendFsync: 'everysec', config: [['maxmemory-policy', 'noeviction']] };

async function redis(options: RedisOptions = {}): Promise<string> {
  const server = await RedisProcess.start(options);
  started.push(server);
  return server.address;
}

/** Adds lines to a configuration. */
const plus = (options: RedisOptions, ...config: NonNullable<RedisOptions['config']>): RedisOptions => ({
  ...options,
  config: [...(options.config ?? []), ...config],
});

const portOf = (address: string) => Number(address.split(':')[1]);

const check = (urls: readonly string[], ...args: readonly string[]) =>
  run(['check-config', '--engine', 'redis', ...urls.flatMap((url) => ['--redis', url]), ...args]);

/** Starts a server with deploy/redis.conf. @returns its URL for the user that the file has. */
async function configured(): Promise<string> {
  const settings = readFileSync('deploy/redis.conf', 'utf8');
  const [, rule = ''] = /^# user pumphouse (on >PASSWORD .*)$/m.exec(settings) ?? [];
  expect(readFileSync('docs/operations.md', 'utf8')).toContain(`ACL SETUSER pumphouse ${rule}\n`);
  const user = { name: 'pumphouse', password: 'hunter2', rules: rule.slice('on >PASSWORD '.length) };
  const server = await RedisProcess.start({ user, config: [['include', resolve('deploy/redis.conf')]] });
  started.push(server);
  return server.url;
}

/** The lines of the findings, without the settings. */
const findings = (stdout: string) => stdout.split('\n').filter((line) => line !== '' && !line.endsWith(')'));

const warning = (text: string) => `pumphouse: warning: ${text}\n`;

describe('check-config with the engine redis', () => {
  beforeEach((context) => context.skip(!installed.path, installed.reason));

  test('reports a server that keeps its messages, and hides the password', async () => {
    const address = await redis({ ...SAFE, password: 'hunter2' });
    const { code, stdout, stderr } = await check([`redis://:hunter2@${address}/1`]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`redis        ["redis://(set)@${address}/1"]  (--redis)\n`);
    expect(stdout).not.toContain('hunter2');
    expect(findings(stdout)).toEqual([
      expect.stringMatching(`^${address}: (Redis|Valkey) \\d+\\.\\d+\\.\\d+, primary$`),
      `${address}: maxmemory-policy noeviction`,
      `${address}: appendonly yes`,
      `${address}: no replicas: a lost disk loses every room`,
    ]);
  });

  test('warns of each setting that loses messages, on each server', async () => {
    const [volatile, refusing] = await Promise.all([
      redis({ config: [['maxmemory-policy', 'allkeys-lru']] }),
      redis(plus(SAFE, ['min-replicas-to-write', 1])),
    ]);
    const { code, stderr } = await check([`redis://${volatile}`, `redis://${refusing}`]);
    const lines = [
      `${volatile}: maxmemory-policy allkeys-lru deletes rooms when the memory is full; set maxmemory-policy noeviction`,
      `${volatile}: appendonly no loses messages when the server restarts; set appendonly yes`,
      `${refusing}: no replica follows, as min-replicas-to-write demands: no message can be stored`,
    ];
    expect([code, stderr]).toEqual([0, lines.map(warning).join('')]);
  });

  test('warns of replicas that no write waits for, and rejects a replica', async () => {
    const primary = await redis(SAFE);
    const replica = await redis({ replicaOf: portOf(primary) });
    const text = `${primary}: 1 replica: an isolated primary takes messages that a failover loses; set min-replicas-to-write 1`;
    await expect
      .poll(() => inspect({ urls: [`redis://${primary}`], sentinel: undefined }), { timeout: 20_000 })
      .toContainEqual({ kind: 'warning', text });
    const [ofPrimary, ofReplica] = await Promise.all([check([`redis://${primary}`]), check([`redis://${replica}`])]);
    expect(ofPrimary.stderr).toBe(warning(text));
    expect(ofReplica).toMatchObject({
      code: 2,
      stderr: `pumphouse: ${replica}: the server is a replica; use its primary, or its sentinels with redisSentinel\n`,
    });
  });

  test('finds the primary by its sentinels, of which some may be down', async () => {
    const primary = await redis(plus(SAFE, ['user', 'ada', 'on', '>hunter2', '~*', '&*', '+@all']));
    const sentinels = await Sentinels.start(portOf(primary), 0, 1);
    started.push(sentinels);
    const sentinel = new URL(sentinels.urls[0] as string).host;
    const down = `127.0.0.1:${await freePort()}`;
    // The sentinel has no users.
    const urls = [down, sentinel].map((address) => `redis://ada:hunter2@${address}`);
    const { code, stdout, stderr } = await check(urls, '--redis-sentinel', 'main');
    expect(stderr).toBe(warning(`${down}: cannot be reached (ECONNREFUSED)`));
    expect(findings(stdout)).toEqual(
      expect.arrayContaining([`1 of 2 sentinels answer: main is at ${primary}`, `${primary}: appendonly yes`]),
    );
    expect(code).toBe(0);
    const [unknown, direct] = await Promise.all([
      check([`redis://${sentinel}`], '--redis-sentinel', 'other'),
      check([`redis://${sentinel}`]),
    ]);
    expect(unknown).toMatchObject({
      code: 2,
      stderr: `pumphouse: ${sentinel}: the sentinel watches no primary "other"\n`,
    });
    expect(direct).toMatchObject({
      code: 2,
      stderr: `pumphouse: ${sentinel}: the server is a sentinel; set redisSentinel to the name of its primary\n`,
    });
  });

  test('finds nothing to warn of in deploy/redis.conf, as the user that it describes', async () => {
    const { code, stderr, stdout } = await check([await configured()]);
    expect([code, stderr]).toEqual([0, '']);
    expect(findings(stdout)).toHaveLength(4);
  });

  test('the user of deploy/redis.conf may do all that the engine does', async () => {
    const engine = redisEngine({ url: await configured() });
    const [outcomes, records]: [unknown[], unknown[]] = [[], []];
    await engine.open({
      committed: (commit) => records.push(...commit.records),
      decided: (decision) => outcomes.push(...decision.outcomes),
      moved() {},
      skipped() {},
      changed() {},
    });
    await engine.attach('lobby');
    engine.append('lobby', [{ room: 'lobby', from: 'ada', sender: 's', id: 'i', data: 'hello', bytes: 5 }]);
    await expect.poll(() => [outcomes, records]).toMatchObject([[{ kind: 'stored', seq: 1 }], [{ data: 'hello' }]]);
    expect(await engine.read('lobby', 0, 10)).toMatchObject([{ data: 'hello' }]);
    await engine.close();
  });

  test('rejects a node of a Redis Cluster', async () => {
    const address = await redis(plus(SAFE, ['cluster-enabled', 'yes'], ['cluster-port', await freePort()]));
    const { code, stderr } = await check([`redis://${address}`]);
    expect(stderr).toBe(
      `pumphouse: ${address}: Redis Cluster is not supported; use several servers that are not in a cluster\n`,
    );
    expect(code).toBe(2);
  });

  test.each([
    ['redis://', 'requires a password'],
    ['redis://:hunter3@', 'rejects the connection: WRONGPASS invalid username-password pair or user is disabled.'],
    ['redis://ada:hunter3@', 'rejects the connection: WRONGPASS invalid username-password pair or user is disabled.'],
  ])('exits with 2 for the credentials of %s', async (prefix, line) => {
    const address = await redis({ ...SAFE, password: 'hunter2' });
    const { code, stderr } = await check([`${prefix}${address}`]);
    expect(stderr).toBe(`pumphouse: ${address}: ${line}\n`);
    expect(code).toBe(2);
  });
});

test('check-config exits with 2 without a server', async () => {
  const closed = `127.0.0.1:${await freePort()}`;
  const { code, stderr } = await check([`redis://u:hunter2@${closed}`]);
  expect([code, stderr]).toEqual([2, `pumphouse: ${closed}: cannot be reached (ECONNREFUSED)\n`]);
});

test.each([
  ['redis_version:6.2.14\r\nrole:master', 'Redis 6.2.14 is too old; use version 7 or newer'],
  [
    'redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\nserver_mode:cluster\r\nrole:master',
    'Redis Cluster is not supported; use several servers that are not in a cluster',
  ],
  [
    'redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\nserver_mode:sentinel',
    'the server is a sentinel; set redisSentinel to the name of its primary',
  ],
])('check-config rejects a server with the INFO %j', async (info, line) => {
  // Answers every command: with its INFO, or OK.
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const commands = String(data).match(/^\*\d+\r$/gm) ?? [];
      for (const command of commands) socket.write(command === '*1\r' ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = `127.0.0.1:${(server.address() as { port: number }).port}`;
  const problem = await inspect({ urls: [`redis://${address}`], sentinel: undefined }).catch(({ message }) => message);
  server.close();
  expect(problem).toBe(`${address}: ${line}`);
});
