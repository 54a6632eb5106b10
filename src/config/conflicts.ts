import { BlockList, isIP } from 'node:net';
import { parseOriginPattern } from '../protocol/origin-pattern.ts';
import { type Listener, listenersOf } from './listeners.ts';
import { isLocalHost } from './local-host.ts';
import { connectAlike, parseRedisUrl } from './redis-url.ts';
import { DEFAULT_PUBLISH_RATE, type Settings } from './settings.ts';
import { type Runtime, sharedPortProblem } from './shared-ports.ts';

type Name = keyof Settings;

/** What an embedding program passes to `createServer` besides the settings. */
export interface Program {
  /** It attaches the server to its own, which decides about addresses and TLS. */
  readonly attached: boolean;
  /** It stores the rooms in an engine of its own. */
  readonly ownEngine: boolean;
  readonly hooks: boolean;
}

/** The settings of a server, and how a message names them. */
export interface Naming {
  readonly settings: Settings;
  readonly program?: Program;
  readonly runtime: Runtime;
  /** Reports whether a setting has a value from a source, not by default. */
  readonly given: (name: Name) => boolean;
  /** Names a setting: its source if it is given, else the way to set it. */
  readonly nameOf: (name: Name) => string;
  /** Writes a setting and a value as the user would, such as `--auth otp`. */
  readonly write: (name: Name, value: string) => string;
}

interface Case extends Naming {
  readonly listeners: readonly Listener[];
}

/** Settings that conflict: an error prevents the start, a warning is logged. */
interface Rule {
  readonly kind: 'error' | 'warning';
  /** Returns one line for each conflict: the setting, what is wrong, and what to do. */
  readonly check: (given: Case) => readonly (string | undefined)[];
}

/** @throws the first error. @returns the warnings. */
export function checkConflicts(naming: Naming, fail: (line: string) => never): readonly string[] {
  const given = { ...naming, listeners: listenersOf(naming.settings) };
  const linesOf = (kind: Rule['kind']) =>
    Object.values<Rule>(rules)
      .flatMap((rule) => (rule.kind === kind ? rule.check(given) : []))
      .filter((line) => line !== undefined);
  const [error] = linesOf('error');
  if (error !== undefined) fail(error);
  return [...new Set(linesOf('warning'))];
}

const JWT_SETTINGS = ['jwtSecret', 'jwtKey', 'jwtIssuer', 'jwtAudience'] as const;
const TLS_SETTINGS = ['tlsCert', 'tlsKey'] as const;
const KEEP_SETTINGS = ['keepDays', 'keepMegabytes'] as const;

/** Every rule by its name, so that tests can cover all of them. */
export const rules = {
  'a certificate without its key': {
    kind: 'error',
    check: (given) =>
      given.listeners
        .filter(({ tlsCert, tlsKey }) => (tlsCert === undefined) !== (tlsKey === undefined))
        .map((listener) => {
          const name = at(given, listener, listener.tlsCert === undefined ? 'tlsKey' : 'tlsCert');
          return `${name}: tlsCert and tlsKey go together; set both or neither`;
        }),
  },
  'tokens without one key': {
    kind: 'error',
    check: (given) =>
      given.listeners
        .filter(({ auth, jwtSecret, jwtKey }) => auth === 'jwt' && (jwtSecret === undefined) === (jwtKey === undefined))
        .map((listener) => `${at(given, listener, 'auth')}: "jwt" needs one of jwtSecret and jwtKey`),
  },
  'users without passwords': { kind: 'error', check: (given) => withoutAuth(given, 'otp', ['users']) },
  'token settings without tokens': { kind: 'error', check: (given) => withoutAuth(given, 'jwt', JWT_SETTINGS) },
  'a certificate beside listeners without TLS': {
    kind: 'error',
    check: (given) =>
      given.listeners.some(({ index, tlsCert }) => index !== undefined && tlsCert === undefined)
        ? replaced(given, TLS_SETTINGS, 'set tlsCert and tlsKey of each listener')
        : [],
  },
  'the engine redis without a server': {
    kind: 'error',
    check: ({ settings: { engine, redis }, nameOf }) => [
      engine === 'redis' && redis.length === 0
        ? `${nameOf('engine')}: "redis" needs the URL of a server; set ${nameOf('redis')}`
        : undefined,
    ],
  },
  // Otherwise nodes that should share their rooms would each have their own.
  'servers without the engine redis': {
    kind: 'error',
    check: ({ settings, given, nameOf, write }) => {
      if (settings.engine === 'redis') return [];
      const unused = (['redis', 'redisSentinel'] as const).filter(given).map(nameOf);
      return unused.map(
        (name) => `${name} has no effect without ${write('engine', 'redis')}; add that or remove ${name}`,
      );
    },
  },
  'sentinels that differ': {
    kind: 'error',
    check: ({ settings: { redis, redisSentinel }, nameOf }) => {
      const [first = '', ...others] = redis;
      if (redisSentinel === undefined || others.every((other) => connectAlike(first, other))) return [];
      const line = 'the sentinels of one primary need the same scheme, user, password and database';
      return [`${nameOf('redis')}: ${line}`];
    },
  },
  // The transport `auto` may be either one: the start checks it again.
  'threads that cannot share a port': {
    kind: 'error',
    check: ({ settings: { workers, transport }, runtime, nameOf }) => {
      if (workers === 1) return [];
      const problem = sharedPortProblem(transport === 'ws' ? 'ws' : 'uws', runtime);
      return [problem && `${nameOf('workers')}: ${problem}`];
    },
  },
  'a room with an unknown webhook': {
    kind: 'error',
    check: ({ settings: { rooms, webhooks }, nameOf }) =>
      Object.entries(rooms).flatMap(([pattern, { webhooks: names = [] }]) =>
        names
          .filter((name) => !webhooks.some((webhook) => webhook.name === name))
          .map((name) => `${nameOf('rooms')}.${pattern}.webhooks: "${name}" is not the name of one of the webhooks`),
      ),
  },
  'a URL of no canary': {
    kind: 'warning',
    check: ({ settings: { canary, canaryUrl }, nameOf, write }) => [
      canary === 0 && canaryUrl !== undefined
        ? `${nameOf('canaryUrl')} has no effect without clients; set ${write('canary', '2')}`
        : undefined,
    ],
  },
  'a canary that sends its tokens without encryption': {
    kind: 'warning',
    check: ({ settings: { canary, canaryUrl }, nameOf }) => {
      if (canary === 0 || canaryUrl === undefined || /^(https|wss):/.test(canaryUrl)) return [];
      if (isLocalHost(hostOf(canaryUrl))) return [];
      const line =
        'carries the tokens of the canary without encryption; use https on a network that you do not control';
      return [`${nameOf('canaryUrl')} ${line}`];
    },
  },
  'settings that listeners replace': {
    kind: 'warning',
    check: (given) => replaced(given, ['host', 'port', 'wire', 'web', ...TLS_SETTINGS], 'set it for each listener'),
  },
  'authentication that every listener replaces': {
    kind: 'warning',
    check: (given) => [
      given.given('auth') && given.listeners.every(({ overrides }) => overrides.has('auth'))
        ? `${given.nameOf('auth')} has no effect, since every listener has its own auth`
        : undefined,
    ],
  },
  'a login that accepts every password': {
    kind: 'warning',
    check: (given) =>
      given.listeners.filter(isTicketed).map((listener) => {
        const wire = `${at(given, listener, 'wire')}: "events"`;
        if (listener.auth === 'open') {
          return `${wire} accepts every password with ${given.write('auth', 'open')}; set ${given.write('auth', 'otp')}`;
        }
        return listener.auth === 'jwt'
          ? `${wire} rejects every login with ${given.write('auth', 'jwt')}; its clients need ?token= to connect`
          : undefined;
      }),
  },
  'open and authenticated listeners': {
    kind: 'warning',
    check: (given) => {
      const open = given.listeners.find(({ auth }) => auth === 'open');
      const strict = given.listeners.some(({ auth }) => auth !== 'open');
      const line = 'admits everyone under any name, including the names of users of the other listeners';
      return [open && strict ? `${at(given, open, 'auth')}: "open" ${line}` : undefined];
    },
  },
  'storage settings without a disk': {
    kind: 'warning',
    check: ({ settings, program, given, nameOf, write }) => {
      if (settings.engine !== 'memory') return [];
      const engine = program?.ownEngine ? 'an engine of the program' : write('engine', 'memory');
      const unused = (['data', ...KEEP_SETTINGS] as const).filter(given);
      const advice = program?.ownEngine ? '' : `; set ${write('engine', 'lmdb')} to store rooms on disk`;
      const ofRooms = Object.entries(settings.rooms).flatMap(([pattern, room]) =>
        KEEP_SETTINGS.filter((name) => room[name] !== undefined).map((name) => `${nameOf('rooms')}.${pattern}.${name}`),
      );
      return [...unused.map(nameOf), ...ofRooms].map((name) => `${name} has no effect with ${engine}${advice}`);
    },
  },
  'a data folder beside redis': {
    kind: 'warning',
    check: ({ settings: { engine }, given, nameOf, write }) => [
      engine === 'redis' && given('data')
        ? `${nameOf('data')} has no effect with ${write('engine', 'redis')}, which stores rooms on its servers`
        : undefined,
    ],
  },
  'a file of revocations beside redis': {
    kind: 'warning',
    check: ({ settings: { engine }, given, nameOf, write }) => [
      engine === 'redis' && given('revocations')
        ? `${nameOf('revocations')} has no effect with ${write('engine', 'redis')}, which keeps them on its servers`
        : undefined,
    ],
  },
  'a Redis password without encryption': {
    kind: 'warning',
    check: ({ settings: { redis }, nameOf }) =>
      redis.map((text) => {
        const url = parseRedisUrl(text);
        if (!url?.hasPassword || url.tls || isLocalHost(url.host)) return undefined;
        const line = 'receives its password and all messages without encryption';
        return `${nameOf('redis')}: ${url.address} ${line}; use rediss:// on a network that you do not control`;
      }),
  },
  'a limit above another': {
    kind: 'warning',
    check: ({ settings: { connectionsPerAddress = 0, maxConnections }, nameOf }) => [
      connectionsPerAddress > maxConnections
        ? `${nameOf('connectionsPerAddress')} has no effect, since it is above ${nameOf('maxConnections')}`
        : undefined,
    ],
  },
  // A client has both limits.
  "a room's rate above that of its clients": {
    kind: 'warning',
    check: ({ settings: { rooms, publishRate = DEFAULT_PUBLISH_RATE }, nameOf }) =>
      Object.entries(rooms).map(([pattern, { publishRate: rate }]) => {
        if (rate === undefined || rate === 'off' || publishRate === 'off') return undefined;
        if (rate.perSecond < publishRate.perSecond || rate.burst < publishRate.burst) return undefined;
        const name = `${nameOf('rooms')}.${pattern}.publishRate`;
        return `${name} has no effect, since it is not below ${nameOf('publishRate')}`;
      }),
  },
  'a proxy that cannot connect': {
    kind: 'warning',
    check: ({ settings: { trustProxy }, listeners, program, nameOf }) => {
      const remote = trustProxy.length > 0 && !trustProxy.some(includesThisMachine);
      return [
        remote && !program?.attached && !listeners.some(isReachable)
          ? `${nameOf('trustProxy')} has no effect: the server listens only on this machine, which it does not name`
          : undefined,
      ];
    },
  },
  'every address as a proxy': {
    kind: 'warning',
    check: ({ settings: { trustProxy }, nameOf }) =>
      trustProxy
        .filter((network) => network.endsWith('/0'))
        .map((network) => `${nameOf('trustProxy')}: ${network} lets every client choose its own address`),
  },
  'everyone on the network': {
    kind: 'warning',
    check: (given) =>
      exposed(given)
        .filter(({ auth }) => auth === 'open')
        .map((listener) => {
          const line = `${addressOf(listener)} admits everyone, under any name and without encryption`;
          return `${line}; set ${at(given, listener, 'auth')}, ${tlsOf(given, listener)} on a network that you do not control`;
        }),
  },
  'credentials without encryption': {
    kind: 'warning',
    check: (given) =>
      exposed(given)
        .filter(({ auth }) => auth !== 'open')
        .map((listener) => {
          const credentials = listener.auth === 'otp' ? 'passwords' : 'tokens';
          const line = `${addressOf(listener)} receives ${credentials} without encryption`;
          return `${line}; set ${tlsOf(given, listener)}, or name a proxy with TLS with ${given.nameOf('trustProxy')}`;
        }),
  },
  'keys of operators without encryption': {
    kind: 'warning',
    check: ({ settings: { adminListen }, nameOf }) => [
      adminListen !== undefined && !isLocalHost(adminListen.host)
        ? `${nameOf('adminListen')} receives keys without encryption; reach it through a proxy with TLS or a private network`
        : undefined,
    ],
  },
  'no rate limit on the network': {
    kind: 'warning',
    check: ({ settings: { publishRate }, listeners, nameOf }) => [
      publishRate === 'off' && listeners.some(isReachable)
        ? `${nameOf('publishRate')}: "off" lets every client on the network send without a limit`
        : undefined,
    ],
  },
  'an origin that anyone can have': {
    kind: 'warning',
    check: ({ settings: { origin }, nameOf }) =>
      origin.map((text) => {
        const problem = originRisk(text);
        return problem && `${nameOf('origin')}: ${JSON.stringify(text)} ${problem}`;
      }),
  },
  'a public key without an audience': {
    kind: 'warning',
    check: (given) =>
      given.listeners
        .filter(({ auth, jwtKey, jwtAudience }) => auth === 'jwt' && jwtKey !== undefined && jwtAudience === undefined)
        .map((listener) => {
          const line = 'accepts tokens that its issuer signed for other services';
          return `${at(given, listener, 'jwtKey')} ${line}; set ${given.nameOf('jwtAudience')}`;
        }),
  },
  'a timeout of no hook': {
    kind: 'warning',
    check: ({ settings: { hooks }, program, given, nameOf }) => [
      given('hookTimeout') && hooks === undefined && !program?.hooks
        ? `${nameOf('hookTimeout')} has no effect without ${nameOf('hooks')}`
        : undefined,
    ],
  },
  'a webhook without a room': {
    kind: 'warning',
    check: ({ settings: { rooms, webhooks }, nameOf }) =>
      webhooks
        .filter(({ name }) => !Object.values(rooms).some((room) => room.webhooks?.includes(name)))
        .filter(({ rooms: patterns = [] }) => patterns.length === 0)
        .map(({ name }) => `${nameOf('webhooks')}: "${name}" has no effect without a room; set its rooms`),
  },
  'a webhook without encryption': {
    kind: 'warning',
    check: ({ settings: { webhooks }, nameOf }) =>
      webhooks
        .filter(({ url }) => new URL(url).protocol === 'http:' && !isLocalHost(hostOf(url)))
        .map(({ name }) => {
          const line = 'sends messages without encryption; use https on a network that you do not control';
          return `${nameOf('webhooks')}: "${name}" ${line}`;
        }),
  },
} as const satisfies Readonly<Record<string, Rule>>;

/** The host of a URL, an IPv6 address without its brackets. */
function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, '');
}

/** Names a setting of a listener, which may be its own or the server's. */
function at({ nameOf }: Naming, { index, overrides }: Listener, name: Name): string {
  const isShared = index === undefined || (AUTH.has(name) && !overrides.has(name));
  return isShared ? nameOf(name) : `${nameOf('listeners')}.${index}.${name}`;
}

const AUTH: ReadonlySet<string> = new Set(['auth', 'users', ...JWT_SETTINGS]);

/** The settings among `names` that only clients with another authentication would need. */
function withoutAuth(given: Case, auth: Settings['auth'], names: readonly Name[]): readonly string[] {
  const describe = (name: string) =>
    `${name} has no effect without ${given.write('auth', auth)}; add that or remove ${name}`;
  const unused = names.filter(
    (name) => given.given(name) && !given.listeners.some((one) => one.auth === auth && !one.overrides.has(name)),
  );
  const unusedByListener = given.listeners
    .filter((listener) => listener.auth !== auth)
    .flatMap((listener) =>
      names.filter((name) => listener.overrides.has(name)).map((name) => at(given, listener, name)),
    );
  return [...unused.map(given.nameOf), ...unusedByListener].map(describe);
}

function replaced({ settings, given, nameOf }: Case, names: readonly Name[], advice: string): readonly string[] {
  if (settings.listeners.length === 0) return [];
  return names.filter(given).map((name) => `${nameOf(name)} has no effect beside listeners; ${advice}`);
}

/** The wire `events` connects with a ticket, which its clients get for a password. */
function isTicketed({ wire }: Listener): boolean {
  return wire === 'events';
}

/** The listeners that other machines reach without TLS, neither theirs nor a proxy's. */
function exposed({ settings, listeners }: Case): readonly Listener[] {
  if (settings.trustProxy.length > 0) return [];
  return listeners.filter((listener) => isReachable(listener) && listener.tlsCert === undefined);
}

function tlsOf(given: Naming, listener: Listener): string {
  return `${at(given, listener, 'tlsCert')} and ${at(given, listener, 'tlsKey')}`;
}

function addressOf({ host, port }: Listener): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

function isReachable({ host }: Listener): boolean {
  return !isLocalHost(host);
}

function includesThisMachine(network: string): boolean {
  const [address = '', bits] = network.split('/');
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  list.addSubnet(address, bits === undefined ? (family === 'ipv6' ? 128 : 32) : Number(bits), family);
  return isLocalHost(address) || list.check('127.0.0.1') || list.check('::1', 'ipv6');
}

function originRisk(text: string): string | undefined {
  const pattern = parseOriginPattern(text);
  if (pattern.kind === 'invalid' || isLocalHost(pattern.host)) return undefined;
  if (pattern.subdomains && pattern.labels.length === 1) return 'allows every site below a top-level domain';
  return pattern.scheme === 'http' ? 'allows pages that anyone on their network path can change; use https' : undefined;
}
