import { describe, expect, test } from 'vitest';
import { rules } from '../../src/config/conflicts.ts';
import { ConfigError } from '../../src/config/error.ts';
import { type Loaded, load, settingsOf } from '../../src/config/load.ts';
import type { Settings } from '../../src/config/settings.ts';
import { type Runtime, sharedPortProblem } from '../../src/config/shared-ports.ts';

type Flags = Readonly<Record<string, string>>;

/** Settings as flags, and those that only a config file can hold. */
interface Case {
  readonly rule: keyof typeof rules;
  readonly flags?: Flags;
  readonly listeners?: readonly object[];
  readonly rooms?: object;
  readonly webhooks?: readonly object[];
  readonly runtime?: Runtime;
  readonly line: string;
}

type From = Pick<Partial<Case>, 'flags' | 'listeners' | 'rooms' | 'webhooks' | 'runtime'>;

const LINUX: Runtime = { node: '22.12.0', platform: 'linux' };

function loadFrom({ flags = {}, listeners, rooms, webhooks, runtime = LINUX }: From): Loaded {
  return load({
    flags: listeners || rooms || webhooks ? { config: 'c.json', ...flags } : flags,
    env: {},
    readFile: () => JSON.stringify({ listeners, rooms, webhooks }),
    exists: () => true,
    runtime,
  });
}

const secret = 'x'.repeat(32);
const key = { auth: 'jwt', jwtKey: 'key.pem', jwtAudience: 'chat' };
const tls = { tlsCert: 'cert.pem', tlsKey: 'key.pem' };

const redis = { engine: 'redis', redis: 'redis://127.0.0.1' };

const webhook = { name: 'audit', url: 'https://example.com', secret: `whsec_${'A'.repeat(32)}` };

const CASES: readonly Case[] = [
  {
    rule: 'a URL of no canary',
    flags: { canaryUrl: 'https://chat.example' },
    line: '--canary-url has no effect without clients; set --canary 2',
  },
  {
    rule: 'a canary that sends its tokens without encryption',
    flags: { canary: '2', canaryUrl: 'ws://chat.example' },
    line: '--canary-url carries the tokens of the canary without encryption; use https on a network that you do not control',
  },
  {
    rule: 'a room with an unknown webhook',
    rooms: { 'orders:*': { webhooks: ['audit', 'other'] } },
    webhooks: [webhook],
    line: 'c.json: rooms.orders:*.webhooks: "other" is not the name of one of the webhooks',
  },
  {
    rule: 'a webhook without a room',
    webhooks: [webhook],
    line: 'c.json: webhooks: "audit" has no effect without a room; set its rooms',
  },
  {
    rule: 'a webhook without encryption',
    webhooks: [{ ...webhook, url: 'http://example.com', rooms: ['*'] }],
    line: 'c.json: webhooks: "audit" sends messages without encryption; use https on a network that you do not control',
  },
  {
    rule: 'a certificate without its key',
    flags: { tlsCert: 'cert.pem' },
    line: '--tls-cert: tlsCert and tlsKey go together; set both or neither',
  },
  {
    rule: 'a certificate without its key',
    listeners: [{ port: 1 }, { port: 2, tlsKey: 'key.pem' }],
    line: 'c.json: listeners.1.tlsKey: tlsCert and tlsKey go together; set both or neither',
  },
  {
    rule: 'tokens without one key',
    flags: { auth: 'jwt' },
    line: '--auth: "jwt" needs one of jwtSecret and jwtKey',
  },
  {
    rule: 'tokens without one key',
    flags: { auth: 'jwt', jwtKey: 'key.pem', jwtSecret: secret },
    line: '--auth: "jwt" needs one of jwtSecret and jwtKey',
  },
  {
    rule: 'tokens without one key',
    listeners: [{ port: 1, auth: 'jwt' }],
    line: 'c.json: listeners.0.auth: "jwt" needs one of jwtSecret and jwtKey',
  },
  {
    rule: 'users without passwords',
    flags: { wire: 'events', users: 'users.json' },
    line: '--users has no effect without --auth otp; add that or remove --users',
  },
  {
    rule: 'users without passwords',
    flags: { ...key, users: 'users.json' },
    line: '--users has no effect without --auth otp; add that or remove --users',
  },
  {
    rule: 'users without passwords',
    flags: { users: 'users.json' },
    listeners: [{ port: 1, auth: 'otp', users: 'others.json' }],
    line: '--users has no effect without --auth otp; add that or remove --users',
  },
  {
    rule: 'users without passwords',
    listeners: [{ port: 1, users: 'users.json' }],
    line: 'c.json: listeners.0.users has no effect without --auth otp; add that or remove c.json: listeners.0.users',
  },
  ...(['jwtSecret', 'jwtKey', 'jwtIssuer', 'jwtAudience'] as const).flatMap((name): Case[] => {
    const flag = {
      jwtSecret: '--jwt-secret',
      jwtKey: '--jwt-key',
      jwtIssuer: '--jwt-issuer',
      jwtAudience: '--jwt-audience',
    };
    const line = `${flag[name]} has no effect without --auth jwt; add that or remove ${flag[name]}`;
    const rule = 'token settings without tokens';
    return ['open', 'otp'].map((auth) => ({ rule, flags: { auth, [name]: secret }, line }));
  }),
  {
    rule: 'a certificate beside listeners without TLS',
    flags: tls,
    listeners: [{ port: 1 }],
    line: '--tls-cert has no effect beside listeners; set tlsCert and tlsKey of each listener',
  },
  {
    rule: 'settings that listeners replace',
    flags: { ...tls, web: 'site' },
    listeners: [{ port: 1, ...tls }],
    line: '--web has no effect beside listeners; set it for each listener',
  },
  {
    rule: 'settings that listeners replace',
    flags: tls,
    listeners: [{ port: 1, ...tls }],
    line: '--tls-cert has no effect beside listeners; set it for each listener',
  },
  ...['host', 'port', 'wire'].map(
    (name): Case => ({
      rule: 'settings that listeners replace',
      flags: { [name]: { host: '::1', port: '9', wire: 'coder' }[name] as string },
      listeners: [{ port: 1 }],
      line: `--${name} has no effect beside listeners; set it for each listener`,
    }),
  ),
  {
    rule: 'authentication that every listener replaces',
    flags: { auth: 'otp' },
    listeners: [{ port: 1, auth: 'open' }],
    line: '--auth has no effect, since every listener has its own auth',
  },
  {
    rule: 'a login that accepts every password',
    flags: { wire: 'events' },
    line: '--wire: "events" accepts every password with --auth open; set --auth otp',
  },
  {
    rule: 'a login that accepts every password',
    flags: { wire: 'events', auth: 'jwt', jwtSecret: secret },
    line: '--wire: "events" rejects every login with --auth jwt; its clients need ?token= to connect',
  },
  {
    rule: 'a login that accepts every password',
    listeners: [{ port: 1, wire: 'events' }],
    line: 'c.json: listeners.0.wire: "events" accepts every password with --auth open; set --auth otp',
  },
  {
    rule: 'open and authenticated listeners',
    flags: { auth: 'otp' },
    listeners: [{ port: 1 }, { port: 2, auth: 'open' }],
    line: 'c.json: listeners.1.auth: "open" admits everyone under any name, including the names of users of the other listeners',
  },
  ...['data', 'keepDays', 'keepMegabytes'].map(
    (name): Case => ({
      rule: 'storage settings without a disk',
      flags: { engine: 'memory', [name]: '7' },
      line: `${{ data: '--data', keepDays: '--keep-days', keepMegabytes: '--keep-megabytes' }[name]} has no effect with --engine memory; set --engine lmdb to store rooms on disk`,
    }),
  ),
  ...['keepDays', 'keepMegabytes'].map(
    (name): Case => ({
      rule: 'storage settings without a disk',
      flags: { engine: 'memory' },
      rooms: { 'logs:*': { [name]: 7 } },
      line: `c.json: rooms.logs:*.${name} has no effect with --engine memory; set --engine lmdb to store rooms on disk`,
    }),
  ),
  {
    rule: "a room's rate above that of its clients",
    rooms: { 'logs:*': { publishRate: 20 }, lobby: { publishRate: '20:39' }, free: { publishRate: 'off' } },
    line: 'c.json: rooms.logs:*.publishRate has no effect, since it is not below --publish-rate',
  },
  {
    rule: "a room's rate above that of its clients",
    flags: { publishRate: '3' },
    rooms: { lobby: { publishRate: '3:6' } },
    line: 'c.json: rooms.lobby.publishRate has no effect, since it is not below --publish-rate',
  },
  {
    rule: 'the engine redis without a server',
    flags: { engine: 'redis' },
    line: '--engine: "redis" needs the URL of a server; set --redis',
  },
  {
    rule: 'the engine redis without a server',
    flags: { engine: 'redis', redisSentinel: 'main' },
    line: '--engine: "redis" needs the URL of a server; set --redis',
  },
  ...['lmdb', 'memory'].flatMap((engine): Case[] => [
    {
      rule: 'servers without the engine redis',
      flags: { engine, redis: 'redis://h' },
      line: '--redis has no effect without --engine redis; add that or remove --redis',
    },
    {
      rule: 'servers without the engine redis',
      flags: { engine, redisSentinel: 'main' },
      line: '--redis-sentinel has no effect without --engine redis; add that or remove --redis-sentinel',
    },
  ]),
  ...['rediss://u:p@b', 'redis://v:p@b', 'redis://u:q@b', 'redis://b', 'redis://u:p@b/1'].map(
    (other): Case => ({
      rule: 'sentinels that differ',
      flags: { engine: 'redis', redis: `redis://u:p@a/0,${other}`, redisSentinel: 'main' },
      line: '--redis: the sentinels of one primary need the same scheme, user, password and database',
    }),
  ),
  {
    rule: 'a data folder beside redis',
    flags: { ...redis, data: 'rooms' },
    line: '--data has no effect with --engine redis, which stores rooms on its servers',
  },
  {
    rule: 'a file of revocations beside redis',
    flags: { ...redis, revocations: 'revoked.json' },
    line: '--revocations has no effect with --engine redis, which keeps them on its servers',
  },
  {
    rule: 'a Redis password without encryption',
    flags: { engine: 'redis', redis: 'redis://h,redis://u:p@10.0.0.5' },
    line: '--redis: 10.0.0.5:6379 receives its password and all messages without encryption; use rediss:// on a network that you do not control',
  },
  {
    rule: 'a limit above another',
    flags: { connectionsPerAddress: '11', maxConnections: '10' },
    line: '--connections-per-address has no effect, since it is above --max-connections',
  },
  {
    rule: 'a proxy that cannot connect',
    flags: { trustProxy: '10.0.0.0/8' },
    line: '--trust-proxy has no effect: the server listens only on this machine, which it does not name',
  },
  {
    rule: 'every address as a proxy',
    flags: { host: '0.0.0.0', trustProxy: '10.0.0.1,::/0' },
    line: '--trust-proxy: ::/0 lets every client choose its own address',
  },
  {
    rule: 'everyone on the network',
    flags: { host: '0.0.0.0' },
    line: '0.0.0.0:8080 admits everyone, under any name and without encryption; set --auth, --tls-cert and --tls-key on a network that you do not control',
  },
  {
    rule: 'credentials without encryption',
    flags: { host: '::', auth: 'otp' },
    line: '[::]:8080 receives passwords without encryption; set --tls-cert and --tls-key, or name a proxy with TLS with --trust-proxy',
  },
  {
    rule: 'credentials without encryption',
    listeners: [{ port: 1, host: '10.0.0.1', auth: 'jwt', jwtSecret: secret }],
    line: '10.0.0.1:1 receives tokens without encryption; set c.json: listeners.0.tlsCert and c.json: listeners.0.tlsKey, or name a proxy with TLS with --trust-proxy',
  },
  {
    rule: 'keys of operators without encryption',
    flags: { adminListen: '10.0.0.1:9090' },
    line: '--admin-listen receives keys without encryption; reach it through a proxy with TLS or a private network',
  },
  {
    rule: 'no rate limit on the network',
    flags: { host: '0.0.0.0', publishRate: 'off' },
    line: '--publish-rate: "off" lets every client on the network send without a limit',
  },
  {
    rule: 'an origin that anyone can have',
    flags: { origin: 'https://chat.example,https://*.com' },
    line: '--origin: "https://*.com" allows every site below a top-level domain',
  },
  {
    rule: 'an origin that anyone can have',
    flags: { origin: 'http://chat.example' },
    line: '--origin: "http://chat.example" allows pages that anyone on their network path can change; use https',
  },
  {
    rule: 'a public key without an audience',
    flags: { auth: 'jwt', jwtKey: 'key.pem' },
    line: '--jwt-key accepts tokens that its issuer signed for other services; set --jwt-audience',
  },
  {
    rule: 'threads that cannot share a port',
    flags: { workers: '2', transport: 'ws' },
    runtime: { node: '20.20.2', platform: 'linux' },
    line: '--workers: the transport ws shares a port since Node 22.12, and this is Node 20.20.2; use --workers 1, or uws',
  },
  ...(['darwin', 'win32'] as const).map(
    (platform): Case => ({
      rule: 'threads that cannot share a port',
      flags: { workers: '64' },
      runtime: { ...LINUX, platform },
      line: `--workers: ${platform === 'darwin' ? 'macOS' : 'Windows'} passes all connections of a port to one worker; use --workers 1`,
    }),
  ),
  {
    rule: 'a timeout of no hook',
    flags: { hookTimeout: '50' },
    line: '--hook-timeout has no effect without --hooks',
  },
];

describe.each(CASES)('$rule: $flags $listeners', ({ rule, line, ...sources }) => {
  const { kind } = rules[rule];
  test(kind === 'error' ? 'prevents the start' : 'is a warning', () => {
    if (kind === 'warning') expect(loadFrom(sources).warnings).toContain(line);
    else expect(() => loadFrom(sources)).toThrow(new ConfigError(line));
  });
});

test('every rule that flags can break is tested', () => {
  const tested = new Set<string>(CASES.map(({ rule }) => rule));
  expect([...tested].sort()).toEqual(Object.keys(rules).sort());
});

test.each([
  ['20.20.2', false],
  ['22.11.0', false],
  ['22.12.0', true],
  ['23.0.0', false],
  ['23.1.0', true],
  ['24.0.0', true],
])('whether ws can share a port with Node %s: %s', (node, can) => {
  expect(sharedPortProblem('ws', { ...LINUX, node }) === undefined).toBe(can);
  expect(sharedPortProblem('uws', { ...LINUX, node })).toBe(undefined);
});

test.each<[string, From]>([
  ['the defaults', {}],
  ['several workers', { flags: { workers: '2' } }],
  ['several workers on ws', { flags: { workers: '2', transport: 'ws' } }],
  ['one worker on macOS', { flags: { workers: '1' }, runtime: { node: '20.0.0', platform: 'darwin' } }],
  ['a timeout of hooks', { flags: { hooks: 'hooks.js', hookTimeout: '50' } }],
  ['passwords', { flags: { auth: 'otp', users: 'users.json', wire: 'events' } }],
  ['passwords on a network, with TLS', { flags: { auth: 'otp', host: '0.0.0.0', ...tls } }],
  ['tokens', { flags: { ...key, jwtIssuer: 'issuer' } }],
  ['tokens of a shared secret', { flags: { auth: 'jwt', jwtSecret: secret } }],
  ['an open server with TLS', { flags: { host: '0.0.0.0', ...tls } }],
  ['a proxy with TLS on this machine', { flags: { trustProxy: '127.0.0.0/8', auth: 'otp' } }],
  ['a proxy with TLS on another machine', { flags: { host: '10.0.0.1', trustProxy: '10.0.0.2', auth: 'otp' } }],
  ['no rate limit on this machine', { flags: { publishRate: 'off', host: 'localhost' } }],
  ['Redis, with ages and sizes', { flags: { ...redis, keepDays: '1', keepMegabytes: '1' } }],
  ['Redis with TLS', { flags: { engine: 'redis', redis: 'rediss://u:p@h,redis://other' } }],
  ['Redis on this machine', { flags: { engine: 'redis', redis: 'redis://u:p@127.0.0.1,redis://u:p@[::1]' } }],
  [
    'sentinels',
    { flags: { engine: 'redis', redis: 'redis://:p@[::1]:1,redis://:p@localhost:2/0', redisSentinel: 'main' } },
  ],
  ['storage on disk', { flags: { data: 'data', keepDays: '1', keepMegabytes: '1' } }],
  ['origins of one site', { flags: { origin: 'https://*.chat.example,http://localhost:5173,http://*.localhost' } }],
  ['a limit of each address below that of all', { flags: { connectionsPerAddress: '10', maxConnections: '10' } }],
  ['users that one listener inherits', { flags: { users: 'u.json' }, listeners: [{ port: 1, auth: 'otp' }] }],
  [
    'a key of its own in place of the secret of the server',
    { flags: { auth: 'jwt', jwtSecret: secret }, listeners: [{ port: 1 }, { port: 2, jwtKey: 'k', jwtAudience: 'a' }] },
  ],
])('does not warn of %s', (_, sources) => {
  expect(loadFrom(sources).warnings).toEqual([]);
});

describe('of an embedding program', () => {
  const program = { attached: false, ownEngine: false, hooks: false };
  const warningsOf = (given: Partial<Settings>, more: Partial<typeof program> = {}) =>
    settingsOf({ engine: 'memory', ...given }, { ...program, ...more }).warnings;

  test('names options instead of flags', () => {
    expect(() => settingsOf({ users: 'users.json' }, program)).toThrow(
      'users has no effect without auth: "otp"; add that or remove users',
    );
    expect(warningsOf({ data: 'rooms' })).toEqual([
      'data has no effect with engine: "memory"; set engine: "lmdb" to store rooms on disk',
    ]);
  });

  test('warns of storage settings beside its own engine', () => {
    expect(warningsOf({ data: 'rooms' }, { ownEngine: true })).toEqual([
      'data has no effect with an engine of the program',
    ]);
  });

  test('rejects the servers of another engine', () => {
    expect(() => settingsOf({ engine: 'memory', redis: ['redis://h'] }, program)).toThrow(
      'redis has no effect without engine: "redis"; add that or remove redis',
    );
    expect(() => settingsOf({ engine: 'redis' }, program)).toThrow(
      'engine: "redis" needs the URL of a server; set redis',
    );
  });

  test('warns of a hook timeout without hooks', () => {
    expect(warningsOf({ hookTimeout: 50 })).toEqual(['hookTimeout has no effect without hooks']);
    expect(warningsOf({ hookTimeout: 50 }, { hooks: true })).toEqual([]);
  });

  test('rejects several workers, and names the command that has them', () => {
    expect(() => settingsOf({ workers: 2 }, program)).toThrow(
      'workers: createServer has one thread; start several with pumphouse serve --workers N',
    );
  });

  test('leaves proxies to the server that it attaches to', () => {
    expect(warningsOf({ trustProxy: ['10.0.0.1'] }, { attached: true })).toEqual([]);
  });
});
