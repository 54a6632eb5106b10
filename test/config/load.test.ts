import { availableParallelism } from 'node:os';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError, didYouMean } from '../../src/config/error.ts';
import { load, type Sources } from '../../src/config/load.ts';
import { withoutCredentials } from '../../src/config/redis-url.ts';
import { flagOf, table, variableOf } from '../../src/config/settings.ts';

/** Loads settings; `file` is the text of the config file c.json. */
function loadFrom({ flags = {}, env = {}, file }: { flags?: Sources['flags']; env?: Sources['env']; file?: string }) {
  const allFlags = file === undefined ? flags : { config: 'c.json', ...flags };
  const readFile = () => {
    if (file === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return file;
  };
  return load({ flags: allFlags, env, readFile, exists: (path) => path === 'site/index.html' });
}

function errorFrom(sources: Parameters<typeof loadFrom>[0]): string {
  try {
    loadFrom(sources);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).not.toContain('\n');
    return (error as Error).message;
  }
  throw new Error('the settings are valid');
}

test('uses the default of every setting without sources', () => {
  const { settings, origins } = loadFrom({});
  expect(settings).toEqual({
    host: '127.0.0.1',
    port: 8080,
    wire: 'auto',
    web: undefined,
    engine: 'lmdb',
    redis: [],
    redisSentinel: undefined,
    data: 'pumphouse-data',
    keepDays: 7,
    keepMegabytes: 64,
    keys: 'pumphouse-keys.json',
    sendBuffer: undefined,
    publishRate: undefined,
    adminListen: undefined,
    publicMetrics: 'off',
    listeners: [],
    webhooks: [],
    tlsCert: undefined,
    tlsKey: undefined,
    auth: 'open',
    users: 'pumphouse-users.json',
    jwtSecret: undefined,
    jwtKey: undefined,
    jwtIssuer: undefined,
    jwtAudience: undefined,
    revocations: 'pumphouse-revoked.json',
    origin: [],
    trustProxy: [],
    maxConnections: 100_000,
    connectionsPerAddress: undefined,
    maxHandshakes: undefined,
    transport: 'auto',
    workers: 1,
    hooks: undefined,
    hookTimeout: 5_000,
    drainWindow: 10,
    logLevel: 'info',
    rooms: {},
    otlp: undefined,
    canary: 0,
    canaryUrl: undefined,
  });
  expect(new Set(Object.values(origins))).toEqual(new Set(['default']));
});

test('prefers flags over the environment, the environment over the file, the file over defaults', () => {
  const flags = { port: '1' };
  const env = { PUMPHOUSE_PORT: '2', PUMPHOUSE_SEND_BUFFER: '22' };
  const file = '{ "port": 3, "sendBuffer": 33, "host": "::" }';
  const { settings, origins } = loadFrom({ flags, env, file });
  expect(settings).toMatchObject({ port: 1, sendBuffer: 22, host: '::', drainWindow: 10 });
  expect(origins).toMatchObject({
    port: '--port',
    sendBuffer: 'PUMPHOUSE_SEND_BUFFER',
    host: 'c.json: host',
    drainWindow: 'default',
  });
});

test('reads the config file that PUMPHOUSE_CONFIG names', () => {
  const sources = { flags: {}, env: { PUMPHOUSE_CONFIG: 'x.json' }, readFile: () => '{"port":5}', exists: () => true };
  expect(load(sources).settings.port).toBe(5);
});

test.each([
  ['off', 'off'],
  ['5', { perSecond: 5, burst: 10 }],
  ['5:100', { perSecond: 5, burst: 100 }],
])('parses the publish rate %s as %j', (text, rate) => {
  expect(loadFrom({ flags: { publishRate: text } }).settings.publishRate).toEqual(rate);
});

test('reads the settings of rooms by name and by prefix', () => {
  const file = `{ "rooms": {
    "orders:*": { "keepDays": 30, "keepMegabytes": 100, "publishRate": "5:9", "webhooks": ["billing"] },
    "*": { "publishRate": "off" }
  }, "webhooks": [{ "name": "billing", "url": "https://b.example", "secret": "whsec_${'A'.repeat(32)}" }] }`;
  expect(loadFrom({ file }).settings.rooms).toEqual({
    'orders:*': { keepDays: 30, keepMegabytes: 100, publishRate: { perSecond: 5, burst: 9 }, webhooks: ['billing'] },
    '*': { publishRate: 'off' },
  });
});

test('reads rooms from the file, and batches up to 64 KiB by default', () => {
  const file = '{ "rooms": { "lobby": { "coalesce": { "maxDelayMs": 5 } } } }';
  expect(loadFrom({ file }).settings.rooms).toEqual({ lobby: { coalesce: { maxDelayMs: 5, maxBytes: 65_536 } } });
  const slow = '{ "rooms": { "lobby": { "slow": "skip" } } }';
  expect(loadFrom({ file: slow }).settings.rooms).toEqual({ lobby: { slow: 'skip' } });
});

test('takes the number of workers from every source, and the cores of the machine for auto', () => {
  expect(loadFrom({ flags: { workers: '2' } }).settings.workers).toBe(2);
  expect(loadFrom({ env: { PUMPHOUSE_WORKERS: '64' } }).settings.workers).toBe(64);
  expect(loadFrom({ file: '{ "workers": 3 }' }).settings.workers).toBe(3);
  const cores = Math.min(availableParallelism(), 64);
  expect(loadFrom({ flags: { workers: 'auto' } }).settings.workers).toBe(cores);
  expect(loadFrom({ file: '{ "workers": "auto" }' }).settings.workers).toBe(cores);
});

test('accepts a web folder with an index.html', () => {
  expect(loadFrom({ flags: { web: 'site' } }).settings.web).toBe('site');
});

describe('reports the source, the value and what is expected in one line', () => {
  const port = 'is not a port (0 to 65535)';
  test.each([
    [{ flags: { port: 'http' } }, `--port: "http" ${port}`],
    [{ flags: { canary: '21' } }, '--canary: "21" is not a number of clients (0 to 20)'],
    [{ flags: { canaryUrl: 'x' } }, '--canary-url: "x" is not the URL of a server, such as https://chat.example'],
    [{ flags: { otlp: 'ws://h' } }, '--otlp: "ws://h" is not an http or https URL, such as http://localhost:4318'],
    [{ flags: { port: '65536' } }, `--port: "65536" ${port}`],
    [{ flags: { port: '-1' } }, `--port: "-1" ${port}`],
    [{ flags: { port: '' } }, `--port: "" ${port}`],
    [{ flags: { port: '1e3' } }, `--port: "1e3" ${port}`],
    [{ env: { PUMPHOUSE_PORT: 'x' } }, `PUMPHOUSE_PORT: "x" ${port}`],
    [{ file: '{"port": 1.5}' }, `c.json: port: 1.5 ${port}`],
    [{ file: '{"port": null}' }, `c.json: port: null ${port}`],
    [{ flags: { host: '' } }, '--host: "" is not a host'],
    [{ flags: { wire: 'telex' } }, '--wire: "telex" is not one of auto, v1, gorilla'],
    [{ flags: { engine: 'steam' } }, '--engine: "steam" is not one of lmdb, memory, redis'],
    [{ flags: { transport: 'tcp' } }, '--transport: "tcp" is not one of auto, uws, ws'],
    [{ flags: { sendBuffer: '0' } }, '--send-buffer: "0" is not a number of messages (1 to 1000000)'],
    [{ flags: { workers: '0' } }, '--workers: "0" is not "auto" or a number of threads (1 to 64)'],
    [{ flags: { workers: '65' } }, '--workers: "65" is not "auto" or a number of threads (1 to 64)'],
    [{ flags: { workers: 'all' } }, '--workers: "all" is not "auto" or a number of threads (1 to 64)'],
    [{ file: '{"workers": true}' }, 'c.json: workers: true is not "auto" or a number of threads (1 to 64)'],
    [{ flags: { hooks: '' } }, '--hooks: "" is not a file'],
    [{ flags: { hookTimeout: '0' } }, '--hook-timeout: "0" is not a number of milliseconds (1 to 600000)'],
    [{ flags: { drainWindow: '601' } }, '--drain-window: "601" is not a number of seconds (0 to 600)'],
    [
      { flags: { logLevel: 'loud' } },
      '--log-level: "loud" is not one of fatal, error, warn, info, debug, trace, silent',
    ],
    [
      { flags: { publishRate: '0' } },
      '--publish-rate: "0" is not "off", a number of messages per second, or RATE:BURST such as 20:40',
    ],
    [
      { flags: { publishRate: '5:' } },
      '--publish-rate: "5:" is not "off", a number of messages per second, or RATE:BURST such as 20:40',
    ],
    [{ flags: { web: 'nowhere' } }, '--web: "nowhere" has no index.html'],
    [{ env: { PUMPHOUSE_WEB: '' } }, 'PUMPHOUSE_WEB: "" is not a folder'],
    [{ env: { PUMPHOUSE_PROT: '1' } }, 'PUMPHOUSE_PROT: unknown setting; did you mean "PUMPHOUSE_PORT"?'],
    [{ flags: { config: 'gone.json' } }, 'gone.json: cannot be read (ENOENT)'],
    [{ file: '' }, /^c\.json: is not JSON: /],
    [{ file: '{"port": 1,}' }, /^c\.json: is not JSON: /],
    [{ file: '[]' }, 'c.json: is not a JSON object of settings'],
    [{ file: 'null' }, 'c.json: is not a JSON object of settings'],
    [{ file: '{"prot": 1}' }, 'c.json: unknown setting "prot"; did you mean "port"?'],
    [{ file: '{"zzz": 1}' }, 'c.json: unknown setting "zzz"'],
    [
      { file: '{"rooms": {"a": {"coalesce": {"maxDelayMs": 2000}}}}' },
      'c.json: rooms.a.coalesce.maxDelayMs: 2000 is not a number of milliseconds (0 to 1000)',
    ],
    [
      { file: '{"rooms": {"a": {"colour": 1}}}' },
      /^c\.json: rooms\.a\.colour: "colour" is not a setting of rooms \(coalesce, slow, .*\)$/,
    ],
    [{ file: '{"rooms": {"a": 1}}' }, /^c\.json: rooms\.a: 1 is not an object of settings$/],
    [{ file: '{"rooms": 1}' }, /^c\.json: rooms: 1 is not an object with names or prefixes of rooms as keys$/],
    [{ file: '{"rooms": {"a*b": {}}}' }, /^c\.json: rooms: the name "a\*b" has a \* before its end; only a prefix/],
    [{ file: '{"rooms": {"": {}}}' }, /^c\.json: rooms: the name "" is empty; name a room, or a prefix such as/],
    [{ file: '{"rooms": {"constructor": {}}}' }, /^c\.json: rooms: the name "constructor" cannot have an entry/],
    [{ file: '{"rooms": {"a:*": {"keepDays": 0}}}' }, 'c.json: rooms.a:*.keepDays: 0 is not a number of days'],
    [{ file: '{"rooms": {"a:*": {"publishRate": 0}}}' }, 'c.json: rooms.a:*.publishRate: "0" is not "off", a number'],
    [
      { file: '{"rooms": {"a": {"webhooks": "x"}}}' },
      'c.json: rooms.a.webhooks: "x" is not a list of names of webhooks',
    ],
    [{ file: '{"rooms": {"a": {"webhooks": [""]}}}' }, 'c.json: rooms.a.webhooks.0: "" is not a name'],
    [{ file: '{"rooms": []}' }, /^c\.json: rooms: /],
  ])('%j', (sources, line) => {
    expect(errorFrom(sources)).toMatch(line);
  });
});

describe('hides the value of an invalid secret', () => {
  const problem = 'the value is not a secret of 32 bytes or more';
  test.each([
    [{ flags: { jwtSecret: 'hunter2' } }, `--jwt-secret: ${problem}`],
    [{ env: { PUMPHOUSE_JWT_SECRET: 'hunter2' } }, `PUMPHOUSE_JWT_SECRET: ${problem}`],
    [{ file: '{"jwtSecret": ["hunter2"]}' }, 'c.json: jwtSecret: the value is not a secret'],
    [{ file: '{"listeners": [{"port": 1, "jwtSecret": "hunter2"}]}' }, `c.json: listeners.0.jwtSecret: ${problem}`],
    [
      { file: '{"listeners": {"port": 1, "jwtSecret": "hunter2"}}' },
      'c.json: listeners: {"port":1,"jwtSecret":"(set)"} is not a list of listeners',
    ],
  ])('%j', (sources, line) => {
    expect(errorFrom(sources)).toBe(line);
  });
});

describe('the servers of the engine redis', () => {
  const redisFrom = (sources: Parameters<typeof loadFrom>[0]) => loadFrom(sources).settings.redis;
  const two = ['redis://10.0.0.1:6379', 'rediss://user:p%40ss%2C@redis.example/3'];

  test.each([
    [{ flags: { redis: two.join(',') } }],
    [{ env: { PUMPHOUSE_REDIS: two.join(', ') } }],
    [{ file: JSON.stringify({ redis: two }) }],
  ])('keep their order: %j', (sources) => {
    const env = { PUMPHOUSE_ENGINE: 'redis', ...('env' in sources ? sources.env : {}) };
    expect(redisFrom({ ...sources, env })).toEqual(two);
  });

  test.each([
    ['redis://localhost'],
    ['redis://:password@[::1]:7000/15'],
    ['redis://127.0.0.1:6379/'],
    ['redis://h:1/0,redis://h:1/1'],
  ])('may be %s', (redis) => {
    expect(redisFrom({ flags: { engine: 'redis', redis } })).toEqual(redis.split(','));
  });

  const list = 'the value is not a list of URLs such as redis://10.0.0.1:6379';
  const encode = 'an entry is not a URL; percent-encode a password, with %2C for a comma';
  test.each([
    ['', list],
    ['hunter2', `${list}: ${encode}`],
    ['hunter2:6379', `${list}: the scheme is neither redis:// nor rediss://`],
    ['http://u:hunter2@h:1', `${list}: the scheme is neither redis:// nor rediss://`],
    ['unix:///run/hunter2.sock', `${list}: the scheme is neither redis:// nor rediss://`],
    ['redis:///1', `${list}: an entry has no host`],
    ['redis://h:70000', `${list}: ${encode}`],
    ['redis://u:hunter2@h/x', `${list}: the database of h:6379 is not a number (0 to 99999), as in redis://h:6379/1`],
    ['redis://u:hunter2@h:1/1.5', `${list}: the database of h:1 is not a number (0 to 99999), as in redis://h:1/1`],
    ['redis://u:hunter2@h?db=1', `${list}: h:6379 has a query or a fragment, which has no meaning`],
    ['redis://hunter2@h', `${list}: h:6379 has a user without a password`],
    ['redis://u:hunter2%zz@h', `${list}: ${encode}`],
    ['redis://u:6/hunter2@h', `${list}: ${encode}`],
    ['redis://:6#hunter2@h', `${list}: ${encode}`],
    ['redis://u:hunter2,3@h', `${list}: ${encode}`],
    ['redis://u:hunter2@h,redis://h:6379/0', `${list}: h:6379 occurs twice`],
    ['redis://h/1,redis://h/2,redis://h:6379/1', `${list}: h:6379/1 occurs twice`],
  ])('may not be %s, and no message shows the password', (redis, line) => {
    expect(errorFrom({ flags: { engine: 'redis', redis } })).toBe(`--redis: ${line}`);
  });

  test.each([
    [['redis://u:hunter2@h', ''], 'c.json: redis.1: Invalid length: Expected !0 but received 0'],
    [[{ hunter2: 1 }], 'c.json: redis: the value is not a list of URLs such as redis://10.0.0.1:6379'],
    [{ url: 'redis://u:hunter2@h' }, 'c.json: redis: the value is not a list of URLs such as redis://10.0.0.1:6379'],
  ])('of a config file may not be %j', (redis, line) => {
    expect(errorFrom({ flags: { engine: 'redis' }, file: JSON.stringify({ redis }) })).toBe(line);
  });
});

test.each(['hunter2', '{"redis": hunter2}', '{"jwtSecret": "hunter2" hunter2}'])(
  'quotes nothing of a config file that is not JSON: %s',
  (file) => {
    const line = errorFrom({ file });
    expect(line).toMatch(/^c\.json: is not JSON: /);
    expect(line).not.toContain('hunter2');
  },
);

test.each([
  ['redis://h', 'redis://h:6379/0'],
  ['rediss://u:hunter2@h:1/3', 'rediss://(set)@h:1/3'],
  ['redis://:hunter2@[::1]:1', 'redis://(set)@[::1]:1/0'],
  ['hunter2', '(set)'],
])('writes %s without its credentials', (url, shown) => {
  expect(withoutCredentials(url)).toBe(shown);
});

test('accepts any sources or rejects them with one line', () => {
  const value = fc.oneof(fc.string(), fc.constantFrom('0', '1', 'off', 'auto', '8080'));
  const names = table.map(({ name }) => name as string);
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...names), value),
      fc.dictionary(fc.constantFrom(...names.map(variableOf), 'PATH'), value),
      fc.option(fc.oneof(fc.json(), fc.string()), { nil: undefined }),
      (flags, env, file) => {
        try {
          loadFrom({ flags, env, ...(file === undefined ? {} : { file }) });
        } catch (error) {
          expect(error).toBeInstanceOf(ConfigError);
          expect((error as Error).message).not.toMatch(/\n/);
        }
      },
    ),
  );
});

test('derives flags and environment variables from names', () => {
  expect([flagOf('sendBuffer'), variableOf('sendBuffer')]).toEqual(['send-buffer', 'PUMPHOUSE_SEND_BUFFER']);
});

test('suggests a name for a typo, and none for an unrelated word', () => {
  const candidates = ['port', 'host', 'sendBuffer'];
  expect(didYouMean('prot', candidates)).toBe('; did you mean "port"?');
  expect(didYouMean('sendbufer', candidates)).toBe('; did you mean "sendBuffer"?');
  expect(didYouMean('colour', candidates)).toBe('');
});
