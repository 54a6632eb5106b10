import * as v from 'valibot';
import type { Rate } from '../protocol/v1.ts';
import { type WireName, wireNames } from '../wire/wire.ts';
import type { RoomSettings } from './room-settings.ts';
import {
  type Address,
  address,
  authModes,
  canaryUrl,
  httpUrl,
  integer,
  keepDays,
  keepMegabytes,
  limit,
  listeners,
  oneOf,
  origins,
  proxies,
  publishRate,
  redisUrls,
  rooms,
  secret,
  text,
  workers,
} from './schemas.ts';
import { type WebhookSettings, webhooks } from './webhooks.ts';

/** The limit of a client without the setting `publishRate`. */
export const DEFAULT_PUBLISH_RATE: Rate = { perSecond: 20, burst: 40 };

/** `auto` selects the wire from the request. */
export type WireChoice = 'auto' | WireName;

/** The settings of `pumphouse serve`. */
export interface Settings {
  /** @default '127.0.0.1' */
  readonly host: string;
  /** 0 takes a free port. @default 8080 */
  readonly port: number;
  /** @default 'auto' */
  readonly wire: WireChoice;
  /**
   * A folder with an `index.html`, `chat.html` or `home.html` to serve at `/`.
   * @default undefined: the built-in chat
   */
  readonly web: string | undefined;
  /** PEM files; both for HTTPS, neither for HTTP. @default undefined */
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  /** @default 'lmdb' */
  readonly engine: 'lmdb' | 'memory' | 'redis';
  /**
   * URLs of the Redis or Valkey servers of the engine `redis`, such as
   * `rediss://user:password@redis.example:6379/0`. With several, each room is on one of them, by
   * its name: all nodes need the same list in the same order. With `redisSentinel` they are
   * sentinels.
   *
   * @default []
   */
  readonly redis: readonly string[];
  /**
   * Name of the primary that the sentinels in `redis` watch. Sentinels with a password of their own
   * need it before the name: `:password@name` or `user:password@name`.
   *
   * @default undefined: the URLs are those of the servers
   */
  readonly redisSentinel: string | undefined;
  /** Folder of the engine `lmdb`. @default 'pumphouse-data' */
  readonly data: string;
  /** Age at which stored messages are deleted, in days. @default 7 */
  readonly keepDays: number;
  /** Size of a stored room above which its oldest messages are deleted, in MiB. @default 64 */
  readonly keepMegabytes: number;
  /**
   * Messages a client may fall behind before it is evicted.
   * @default undefined: the limit of its wire
   */
  readonly sendBuffer: number | undefined;
  /**
   * Rate limit of each client, in messages per second.
   * @default undefined: the limit of its wire
   */
  readonly publishRate: Rate | 'off' | undefined;
  /** @default 'auto' */
  readonly transport: 'auto' | 'uws' | 'ws';
  /**
   * Threads that serve connections, 1 to 64. `auto` is as many as there are cores. Only
   * `pumphouse serve` has several.
   *
   * @default 1
   */
  readonly workers: number;
  /**
   * A module whose exports are the functions of `Hooks`. `createServer` takes the functions
   * themselves.
   *
   * @default undefined: everything is allowed
   */
  readonly hooks: string | undefined;
  /** Longest duration of a hook, in milliseconds. @default 5000 */
  readonly hookTimeout: number;
  /**
   * Address of the listener for operators: metrics, probes and diagnosis, such as
   * `127.0.0.1:9090`. On an address that is not a loopback one, requests need an API key with the
   * scope `admin`.
   *
   * @default undefined: no such listener
   */
  readonly adminListen: Address | undefined;
  /** Serve `/metrics` on the listeners of clients, too. @default 'off' */
  readonly publicMetrics: 'on' | 'off';
  /**
   * Clients of its own with which the server checks that messages arrive, 0 to 20. Each sends one
   * message a second to all of them.
   *
   * @default 0: none
   */
  readonly canary: number;
  /**
   * URL at which these clients reach the server, such as that of a load balancer.
   *
   * @default undefined: the address of the first listener
   */
  readonly canaryUrl: string | undefined;
  /**
   * URL of a collector of OpenTelemetry that the metrics are exported to, every 15 seconds. It
   * needs packages of OpenTelemetry.
   *
   * @default undefined: none
   */
  readonly otlp: string | undefined;
  /** Longest duration of a graceful shutdown, in seconds. @default 10 */
  readonly drainWindow: number;
  /** @default 'info' */
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  /** By room name, or by a prefix followed by `*`. @default {} */
  readonly rooms: Readonly<Record<string, RoomSettings>>;
  /** How clients authenticate: not at all, with a password, with a token. @default 'open' */
  readonly auth: 'open' | 'otp' | 'jwt';
  /** The users file of `otp`. @default 'pumphouse-users.json' */
  readonly users: string;
  /**
   * Secret that verifies tokens, at least 32 bytes. `jwt` requires this or `jwtKey`.
   * @default undefined
   */
  readonly jwtSecret: string | undefined;
  /** File with the public key or the JWKS that verifies tokens. @default undefined */
  readonly jwtKey: string | undefined;
  /** Required `iss` of tokens. @default undefined: any */
  readonly jwtIssuer: string | undefined;
  /** Required `aud` of tokens. @default undefined: any */
  readonly jwtAudience: string | undefined;
  /**
   * The keys file of the Server API. Without the file, no key is valid.
   * @default 'pumphouse-keys.json'
   */
  readonly keys: string;
  /**
   * The file of the times before which the credentials of users are refused. The engine `redis`
   * shares them itself.
   *
   * @default 'pumphouse-revoked.json'
   */
  readonly revocations: string;
  /** Origins of pages that may connect, besides the server's own. @default [] */
  readonly origin: readonly string[];
  /** Addresses and networks of proxies whose X-Forwarded-For is trusted. @default [] */
  readonly trustProxy: readonly string[];
  /** @default 100000 */
  readonly maxConnections: number;
  /** @default undefined: 1000, and no limit for loopback addresses */
  readonly connectionsPerAddress: number | undefined;
  /**
   * Handshakes a second, five times as many at once.
   * @default undefined: 60 % of the best second so far, at least 2000
   */
  readonly maxHandshakes: number | 'off' | undefined;
  /** Receivers of the messages of rooms, over HTTP. @default [] */
  readonly webhooks: readonly WebhookSettings[];
  /**
   * Replaces the listener of `host`, `port`, `wire`, `web`, `tlsCert` and `tlsKey`, unless empty.
   * @default []
   */
  readonly listeners: readonly ListenerSettings[];
}

/**
 * One address that the server listens on, and what it serves there. `host`, `wire`, `web`,
 * `tlsCert` and `tlsKey` have the defaults of `Settings`; `auth` and the settings of users and
 * tokens default to the server's.
 */
export interface ListenerSettings
  extends Pick<Settings, 'port'>,
    Partial<Pick<Settings, 'host' | 'wire' | 'web' | 'tlsCert' | 'tlsKey'>>,
    Partial<Pick<Settings, 'auth' | 'users' | 'jwtSecret' | 'jwtKey' | 'jwtIssuer' | 'jwtAudience'>> {}

/** One setting. The flag and the environment variable derive from its name. */
export interface Setting {
  /** The key in a config file. */
  readonly name: keyof Settings;
  /**
   * Placeholder of the value in the help. Undefined for settings that only a config file can hold.
   */
  readonly value: string | undefined;
  /** The flag may be repeated. */
  readonly list?: true;
  /** Unit of the value, where it has one. */
  readonly unit?: string;
  readonly help: string;
  readonly schema: v.GenericSchema<unknown, unknown>;
  /** The default, as written on the command line. */
  readonly fallback: unknown;
  /** Describes the default where `fallback` is undefined but something applies. */
  readonly otherwise?: string;
}

/** The source of flags, environment variables, config keys, help and `docs/settings.md`. */
export const table: readonly Setting[] = [
  {
    name: 'host',
    value: 'HOST',
    fallback: '127.0.0.1',
    schema: text('a host'),
    help: 'address to listen on; 0.0.0.0 listens on every network',
  },
  {
    name: 'port',
    value: 'PORT',
    fallback: 8080,
    schema: integer('a port', 0, 65_535),
    help: 'port to listen on; 0 takes a free one',
  },
  {
    name: 'wire',
    value: 'NAME',
    fallback: 'auto',
    schema: oneOf(['auto', ...wireNames]),
    help: `protocol of clients whose request does not select one: auto, ${wireNames.join(', ')}`,
  },
  {
    name: 'web',
    value: 'DIR',
    fallback: undefined,
    otherwise: 'the built-in chat',
    schema: v.optional(text('a folder')),
    help: 'folder of the page to serve at /',
  },
  {
    name: 'tlsCert',
    value: 'FILE',
    fallback: undefined,
    schema: v.optional(text('a file')),
    help: 'PEM file with the certificate and its chain, for https and wss; reloaded on SIGHUP',
  },
  {
    name: 'tlsKey',
    value: 'FILE',
    fallback: undefined,
    schema: v.optional(text('a file')),
    help: 'PEM file with the key of the certificate',
  },
  {
    name: 'auth',
    value: 'MODE',
    fallback: 'open',
    schema: oneOf(authModes),
    help: 'how clients authenticate: open, not at all; otp, with a password at /login; jwt, with a token',
  },
  {
    name: 'users',
    value: 'FILE',
    fallback: 'pumphouse-users.json',
    schema: text('a file'),
    help: 'file of users and password hashes, for otp; see pumphouse user',
  },
  {
    name: 'jwtSecret',
    value: 'SECRET',
    fallback: undefined,
    schema: v.optional(secret),
    help: 'secret that verifies tokens (HS256), at least 32 bytes',
  },
  {
    name: 'jwtKey',
    value: 'FILE',
    fallback: undefined,
    schema: v.optional(text('a file')),
    help: 'file with the public key (RS256, ES256, EdDSA) or the JWKS that verifies tokens',
  },
  {
    name: 'jwtIssuer',
    value: 'NAME',
    fallback: undefined,
    otherwise: 'any',
    schema: v.optional(text('a name')),
    help: 'required issuer (iss) of tokens',
  },
  {
    name: 'jwtAudience',
    value: 'NAME',
    fallback: undefined,
    otherwise: 'any',
    schema: v.optional(text('a name')),
    help: 'required audience (aud) of tokens',
  },
  {
    name: 'keys',
    value: 'FILE',
    fallback: 'pumphouse-keys.json',
    schema: text('a file'),
    help: 'file of the keys of programs, for the Server API at /api/v1; see pumphouse key',
  },
  {
    name: 'revocations',
    value: 'FILE',
    fallback: 'pumphouse-revoked.json',
    schema: text('a file'),
    help: 'file of the users whose tokens from before a time are refused; with redis they are kept there',
  },
  {
    name: 'origin',
    value: 'ORIGIN',
    list: true,
    fallback: [],
    schema: origins,
    help: 'origin whose pages may connect, besides this host, such as https://*.chat.example; may be repeated',
  },
  {
    name: 'trustProxy',
    value: 'ADDRESS',
    list: true,
    fallback: [],
    schema: proxies,
    help: 'address or network of a proxy whose X-Forwarded-For is trusted; may be repeated',
  },
  {
    name: 'maxConnections',
    value: 'N',
    unit: 'connections',
    fallback: 100_000,
    schema: integer('a number of connections', 1, 10_000_000),
    help: 'limit of connections; more are rejected with 503',
  },
  {
    name: 'connectionsPerAddress',
    value: 'N',
    unit: 'connections',
    fallback: undefined,
    otherwise: '1000; loopback unlimited',
    schema: v.optional(integer('a number of connections', 1, 10_000_000)),
    help: 'limit of connections from one address; more are rejected with 429',
  },
  {
    name: 'maxHandshakes',
    value: 'N',
    unit: 'handshakes per second',
    fallback: undefined,
    otherwise: 'measured, at least 2000',
    schema: v.optional(limit('a number of handshakes', 1, 10_000_000)),
    help: 'limit of handshakes a second, five times as many at once; more are rejected with 503; off disables it',
  },
  {
    name: 'engine',
    value: 'NAME',
    fallback: 'lmdb',
    schema: oneOf(['lmdb', 'memory', 'redis']),
    help: 'storage of rooms: lmdb, on disk; memory; or redis, shared by several nodes',
  },
  {
    name: 'redis',
    value: 'URL',
    list: true,
    fallback: [],
    schema: redisUrls,
    help: 'server of the engine redis, such as rediss://user:password@host:6379/0; may be repeated to divide the rooms among several, in the same order on every node',
  },
  {
    name: 'redisSentinel',
    value: 'NAME',
    fallback: undefined,
    schema: v.optional(text('a name')),
    help: 'name of the primary that the sentinels at --redis watch; user:password@NAME if theirs differ from those of the servers',
  },
  {
    name: 'data',
    value: 'DIR',
    fallback: 'pumphouse-data',
    schema: text('a folder'),
    help: 'folder of the engine lmdb',
  },
  {
    name: 'keepDays',
    value: 'DAYS',
    unit: 'days',
    fallback: 7,
    schema: keepDays,
    help: 'age at which stored messages are deleted',
  },
  {
    name: 'keepMegabytes',
    value: 'N',
    unit: 'MiB',
    fallback: 64,
    schema: keepMegabytes,
    help: 'size of a stored room above which its oldest messages are deleted',
  },
  {
    name: 'sendBuffer',
    value: 'N',
    unit: 'messages',
    fallback: undefined,
    otherwise: '4096; at /subscribe 16 or 20',
    schema: v.optional(integer('a number of messages', 1, 1_000_000)),
    help: 'messages a client may fall behind before it is closed',
  },
  {
    name: 'publishRate',
    value: 'RATE',
    unit: 'messages per second',
    fallback: undefined,
    otherwise: '20:40; at /publish 10:8',
    schema: v.optional(publishRate),
    help: 'rate limit of each client, as RATE or RATE:BURST; off disables it',
  },
  {
    name: 'transport',
    value: 'NAME',
    fallback: 'auto',
    schema: oneOf(['auto', 'uws', 'ws']),
    help: 'uws, ws, or auto: uWebSockets.js where its binary loads, else ws',
  },
  {
    name: 'workers',
    value: 'N',
    fallback: 1,
    schema: workers,
    help: 'threads that serve connections: a number, or auto for one on each core',
  },
  {
    name: 'hooks',
    value: 'FILE',
    fallback: undefined,
    otherwise: 'everything is allowed',
    schema: v.optional(text('a file')),
    help: 'module with the functions connect, join and send, which decide what clients may do',
  },
  {
    name: 'hookTimeout',
    value: 'MS',
    unit: 'milliseconds',
    fallback: 5_000,
    schema: integer('a number of milliseconds', 1, 600_000),
    help: 'longest duration of a hook; a longer one rejects',
  },
  {
    name: 'adminListen',
    value: 'HOST:PORT',
    fallback: undefined,
    otherwise: 'none',
    schema: v.optional(address),
    help: 'address for operators, with /metrics, probes and diagnosis; needs a key with the scope admin unless it is a loopback address',
  },
  {
    name: 'publicMetrics',
    value: 'WHEN',
    fallback: 'off',
    schema: oneOf(['on', 'off']),
    help: 'on serves /metrics to clients, too',
  },
  {
    name: 'otlp',
    value: 'URL',
    fallback: undefined,
    otherwise: 'none',
    schema: v.optional(httpUrl),
    help: 'OpenTelemetry collector to export metrics to, such as http://localhost:4318; needs packages',
  },
  {
    name: 'canary',
    value: 'N',
    unit: 'clients',
    fallback: 0,
    schema: integer('a number of clients', 0, 20),
    help: 'clients of its own with which the server checks that messages arrive, for the metrics; 0 disables it',
  },
  {
    name: 'canaryUrl',
    value: 'URL',
    fallback: undefined,
    otherwise: 'the address of the first listener',
    schema: v.optional(canaryUrl),
    help: 'URL at which the clients of --canary reach the server, such as https://chat.example',
  },
  {
    name: 'drainWindow',
    value: 'SECONDS',
    unit: 'seconds',
    fallback: 10,
    schema: integer('a number of seconds', 0, 600),
    help: 'longest duration of a graceful shutdown; two seconds at least to close the storage',
  },
  {
    name: 'logLevel',
    value: 'LEVEL',
    fallback: 'info',
    schema: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    help: 'least severe level to log: fatal, error, warn, info, debug, trace or silent',
  },
  {
    name: 'rooms',
    value: undefined,
    fallback: {},
    schema: rooms,
    help: 'settings of rooms, by name or prefix: batching, slow consumers, retention, rate limit, webhooks',
  },
  {
    name: 'webhooks',
    value: undefined,
    fallback: [],
    schema: webhooks,
    help: 'receivers of the messages of rooms, over HTTP',
  },
  {
    name: 'listeners',
    value: undefined,
    fallback: [],
    schema: listeners,
    help: 'several addresses to listen on, each with its own wire, page, TLS and authentication',
  },
];

/** The flag of a setting: `sendBuffer` becomes `send-buffer`. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The environment variable of a setting: `sendBuffer` becomes `PUMPHOUSE_SEND_BUFFER`. */
export function variableOf(name: string): string {
  return `PUMPHOUSE_${flagOf(name).replaceAll('-', '_').toUpperCase()}`;
}
