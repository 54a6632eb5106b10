import * as v from 'valibot';
import {
  integer,
  listeners,
  oneOf,
  origins,
  type PublishRate,
  proxies,
  publishRate,
  rooms,
  text,
  wireNames,
} from './schemas.ts';

/** What a config file says of one room. */
interface RoomSettings {
  readonly coalesce?: { readonly maxDelayMs: number; readonly maxBytes: number };
  /** What becomes of members that read too slowly. */
  readonly slow?: 'evict' | 'skip' | 'latest';
}

/** One place where a server listens, and what it is there. */
export interface ListenerSettings {
  readonly host: string;
  readonly port: number;
  readonly wire: WireChoice;
  /** A folder whose `index.html` is served at `/` instead of the chat. */
  readonly web: string | undefined;
  /** Files in PEM; both, or neither for plain HTTP. */
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
}

/** `auto`: as far as a request tells. */
type WireChoice = 'auto' | (typeof wireNames)[number];

/** Everything that `pumphouse serve` can be told. */
export interface Settings extends ListenerSettings {
  readonly engine: 'lmdb' | 'memory';
  /** Where the engine lmdb keeps the rooms. */
  readonly data: string;
  /** What is kept of each room, in days and in MiB. */
  readonly keepDays: number;
  readonly keepMegabytes: number;
  /** Records that a client may stand behind before it is evicted; as many as its wire allows where undefined. */
  readonly sendBuffer: number | undefined;
  /** The wire's own where undefined. */
  readonly publishRate: PublishRate | 'off' | undefined;
  readonly transport: 'auto' | 'uws' | 'ws';
  /** Seconds that the end may take. */
  readonly drainWindow: number;
  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  /** By the room's name. */
  readonly rooms: Readonly<Record<string, RoomSettings>>;
  /** Who may come in: everyone, who has signed in with a password, who has a token. */
  readonly auth: 'open' | 'otp' | 'jwt';
  /** The users file. */
  readonly users: string;
  /** What tokens are signed with: a shared secret, or a file with a public key or a JWKS. */
  readonly jwtSecret: string | undefined;
  readonly jwtKey: string | undefined;
  /** Who tokens must be from, and for whom. */
  readonly jwtIssuer: string | undefined;
  readonly jwtAudience: string | undefined;
  /** Whose pages may connect, beside this host's own. */
  readonly origin: readonly string[];
  /** Proxies whose word on the client's address counts. */
  readonly trustProxy: readonly string[];
  readonly maxConnections: number;
  /** Undefined: 1,000, but for those from this machine. */
  readonly connectionsPerAddress: number | undefined;
  /** In place of the one that host, port, wire and web describe, unless it is empty. */
  readonly listeners: readonly ListenerSettings[];
}

/** One setting: its name in a config file; flag and environment variable follow from it. */
export interface Setting {
  readonly name: keyof Settings;
  /** What its value is called in the help; undefined for one that only a config file can give. */
  readonly value: string | undefined;
  /** Whether it may be given more than once. */
  readonly list?: true;
  readonly help: string;
  readonly schema: v.GenericSchema<unknown, unknown>;
  /** As it would be written on the command line. */
  readonly fallback: unknown;
}

/** The table that flags, environment, file, help and documentation all follow. */
export const table: readonly Setting[] = [
  {
    name: 'host',
    value: 'HOST',
    fallback: '127.0.0.1',
    schema: text('a host'),
    help: 'address to listen on; 0.0.0.0 for every network',
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
    help: `dialect where a request does not tell: ${wireNames.join(', ')}, or auto`,
  },
  {
    name: 'web',
    value: 'DIR',
    fallback: undefined,
    schema: v.optional(text('a folder')),
    help: 'serve the page in this folder instead of the chat',
  },
  {
    name: 'tlsCert',
    value: 'FILE',
    fallback: undefined,
    schema: v.optional(text('a file')),
    help: 'certificate and its chain in PEM, for https and wss; read again at SIGHUP',
  },
  {
    name: 'tlsKey',
    value: 'FILE',
    fallback: undefined,
    schema: v.optional(text('a file')),
    help: 'its key in PEM',
  },
  {
    name: 'auth',
    value: 'MODE',
    fallback: 'open',
    schema: oneOf(['open', 'otp', 'jwt']),
    help: 'who may come in: open, everyone; otp, who signs in at /login; jwt, who has a token',
  },
  {
    name: 'users',
    value: 'FILE',
    fallback: 'pumphouse-users.json',
    schema: text('a file'),
    help: 'users and their passwords, for otp; see pumphouse user',
  },
  {
    name: 'jwtSecret',
    value: 'SECRET',
    fallback: undefined,
    schema: v.optional(v.pipe(text('a secret'), v.minBytes(32, 'is not a secret of 32 bytes or more'))),
    help: 'secret that tokens are signed with (HS256)',
  },
  {
    name: 'jwtKey',
    value: 'FILE',
    fallback: undefined,
    schema: v.optional(text('a file')),
    help: 'public key (RS256, ES256, EdDSA) or JWKS that tokens are signed with',
  },
  {
    name: 'jwtIssuer',
    value: 'NAME',
    fallback: undefined,
    schema: v.optional(text('a name')),
    help: 'who tokens must be from',
  },
  {
    name: 'jwtAudience',
    value: 'NAME',
    fallback: undefined,
    schema: v.optional(text('a name')),
    help: 'whom tokens must be for',
  },
  {
    name: 'origin',
    value: 'ORIGIN',
    list: true,
    fallback: [],
    schema: origins,
    help: 'pages that may connect beside those of this host, as in https://*.chat.example; may be repeated',
  },
  {
    name: 'trustProxy',
    value: 'ADDRESS',
    list: true,
    fallback: [],
    schema: proxies,
    help: 'proxy whose X-Forwarded-For counts: an address or a network; may be repeated',
  },
  {
    name: 'maxConnections',
    value: 'N',
    fallback: 100_000,
    schema: integer('a number of connections', 1, 10_000_000),
    help: 'more than these are refused with 503',
  },
  {
    name: 'connectionsPerAddress',
    value: 'N',
    fallback: undefined,
    schema: v.optional(integer('a number of connections', 1, 10_000_000)),
    help: 'more than these from one address are refused with 429; by default 1000, but any number from this machine',
  },
  {
    name: 'engine',
    value: 'NAME',
    fallback: 'lmdb',
    schema: oneOf(['lmdb', 'memory']),
    help: 'what keeps the rooms: lmdb, on disk, or memory',
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
    fallback: 7,
    schema: integer('a number of days', 1, 36_500),
    help: 'messages that are older go, on disk',
  },
  {
    name: 'keepMegabytes',
    value: 'N',
    fallback: 64,
    schema: integer('a number of MiB', 1, 1_000_000),
    help: 'more of each room than this goes, on disk',
  },
  {
    name: 'sendBuffer',
    value: 'N',
    fallback: undefined,
    schema: v.optional(integer('a number of messages', 1, 1_000_000)),
    help: 'messages a client may fall behind before it is closed; by default 4096, on /subscribe 16 or 20',
  },
  {
    name: 'publishRate',
    value: 'RATE',
    fallback: undefined,
    schema: v.optional(publishRate),
    help: 'messages a second each client may send, as N or N:BURST, or off; by default 20:40, at /publish 10:8',
  },
  {
    name: 'transport',
    value: 'NAME',
    fallback: 'auto',
    schema: oneOf(['auto', 'uws', 'ws']),
    help: 'uws, ws, or auto: uws where its binary loads',
  },
  {
    name: 'drainWindow',
    value: 'SECONDS',
    fallback: 10,
    schema: integer('a number of seconds', 0, 600),
    help: 'longest that the end may take',
  },
  {
    name: 'logLevel',
    value: 'LEVEL',
    fallback: 'info',
    schema: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    help: 'fatal, error, warn, info, debug, trace or silent',
  },
  {
    name: 'rooms',
    value: undefined,
    fallback: {},
    schema: rooms,
    help: 'by name: { "coalesce": { "maxDelayMs": 5 }, "slow": "skip" }',
  },
  {
    name: 'listeners',
    value: undefined,
    fallback: [],
    schema: listeners,
    help: 'in place of one: [{ "host": "127.0.0.1", "port": 8080, "wire": "auto", "web": "./public" }]',
  },
];

/** `sendBuffer` as a flag: `send-buffer`. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `sendBuffer` as an environment variable: `PUMPHOUSE_SEND_BUFFER`. */
export function variableOf(name: string): string {
  return `PUMPHOUSE_${flagOf(name).replaceAll('-', '_').toUpperCase()}`;
}
