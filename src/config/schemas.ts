import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import * as v from 'valibot';
import { parseOriginPattern } from '../protocol/origin-pattern.ts';
import { roomPatternProblem } from '../protocol/room-pattern.ts';
import type { Rate } from '../protocol/v1.ts';
import { wireNames } from '../wire/wire.ts';
import { parseRedisUrl, type RedisUrl, redisUrlProblem } from './redis-url.ts';
import type { RoomSettings } from './room-settings.ts';

export const integer = (what: string, low: number, high: number) =>
  v.pipe(
    v.union(
      [v.number(), v.pipe(v.string(), v.regex(/^\d{1,15}$/), v.transform(Number))],
      `is not ${what} (${low} to ${high})`,
    ),
    v.integer(`is not ${what} (${low} to ${high})`),
    v.minValue(low, `is not ${what} (${low} to ${high})`),
    v.maxValue(high, `is not ${what} (${low} to ${high})`),
  );

export const oneOf = <const T extends readonly string[]>(options: T) =>
  v.picklist(options, `is not one of ${options.join(', ')}`);

export const text = (what: string) => v.pipe(v.string(`is not ${what}`), v.nonEmpty(`is not ${what}`));

const HTTP_URL = 'is not an http or https URL, such as http://localhost:4318';

/** The URL of a service that the server sends requests to. */
export const httpUrl = v.pipe(
  v.string(HTTP_URL),
  v.check((given) => {
    const url = URL.canParse(given) ? new URL(given) : undefined;
    return url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
  }, HTTP_URL),
);

const SERVER_URL = 'is not the URL of a server, such as https://chat.example';

/** The URL of a server as its clients reach it. */
export const canaryUrl = v.pipe(
  v.string(SERVER_URL),
  v.check((given) => {
    const url = URL.canParse(given) ? new URL(given) : undefined;
    return url !== undefined && /^(http|ws)s?:$/.test(url.protocol) && url.hash === '' && url.username === '';
  }, SERVER_URL),
);

/** A number, or `off` for no limit. */
export const limit = (what: string, low: number, high: number) =>
  v.union([v.literal('off'), integer(what, low, high)], `is not "off" or ${what} (${low} to ${high})`);

const MAX_WORKERS = 64;

const WORKERS = `is not "auto" or a number of threads (1 to ${MAX_WORKERS})`;

/** A number of threads. `auto` is one on each core. */
export const workers = v.pipe(
  v.union([v.number(), v.string()], WORKERS),
  v.transform((given) => (given === 'auto' ? Math.min(availableParallelism(), MAX_WORKERS) : given)),
  v.check((count) => /^\d{1,2}$/.test(String(count)) && Number(count) >= 1 && Number(count) <= MAX_WORKERS, WORKERS),
  v.transform(Number),
);

export const keepDays = integer('a number of days', 1, 36_500);

export const keepMegabytes = integer('a number of MiB', 1, 1_000_000);

const RATE = 'is not "off", a number of messages per second, or RATE:BURST such as 20:40';
export const publishRate = v.pipe(
  v.union(
    [
      v.number(),
      v.string(),
      v.pipe(
        v.strictObject({ perSecond: v.number(), burst: v.number() }),
        v.transform(({ perSecond, burst }) => `${perSecond}:${burst}`),
      ),
    ],
    RATE,
  ),
  v.transform(String),
  v.regex(/^(off|[1-9]\d{0,6}(:[1-9]\d{0,6})?)$/, RATE),
  v.transform((text): Rate | 'off' => {
    if (text === 'off') return 'off';
    const [perSecond = 0, burst = 2 * perSecond] = text.split(':').map(Number);
    return { perSecond, burst };
  }),
);

// A record of valibot drops these keys without an issue.
const UNUSABLE_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

function patternProblem(pattern: string): string | undefined {
  return UNUSABLE_KEYS.has(pattern) ? 'cannot have an entry; match it by a prefix' : roomPatternProblem(pattern);
}

const ROOM_SETTINGS: readonly (keyof RoomSettings)[] = [
  'coalesce',
  'slow',
  'keepDays',
  'keepMegabytes',
  'publishRate',
  'webhooks',
];

const roomSettings = v.strictObject(
  {
    coalesce: v.optional(
      v.strictObject({
        maxDelayMs: integer('a number of milliseconds', 0, 1000),
        maxBytes: v.optional(integer('a number of bytes', 1, 65_536), 65_536),
      }),
    ),
    slow: v.optional(oneOf(['evict', 'skip', 'latest'])),
    keepDays: v.optional(keepDays),
    keepMegabytes: v.optional(keepMegabytes),
    publishRate: v.optional(publishRate),
    webhooks: v.optional(v.array(text('a name'), 'is not a list of names of webhooks')),
  },
  ({ expected }) =>
    expected === 'never' ? `is not a setting of rooms (${ROOM_SETTINGS.join(', ')})` : 'is not an object of settings',
);

const ROOMS = 'is not an object with names or prefixes of rooms as keys';
export const rooms = v.pipe(
  v.unknown(),
  v.check((value) => !Array.isArray(value), ROOMS),
  v.rawCheck(({ dataset, addIssue }) => {
    const { value } = dataset;
    if (typeof value !== 'object' || value === null) return;
    for (const pattern of Object.keys(value)) {
      const problem = patternProblem(pattern);
      if (problem !== undefined) addIssue({ message: `the name ${JSON.stringify(pattern)} ${problem}` });
    }
  }),
  v.record(v.string(), roomSettings, ROOMS),
);

/** A list of strings, also as one string separated by commas. */
const list = (what: string) =>
  v.pipe(
    v.union(
      [
        v.array(v.pipe(v.string(), v.nonEmpty())),
        v.pipe(
          v.string(),
          v.transform((joined) => joined.split(',').map((item) => item.trim())),
        ),
      ],
      `is not ${what}`,
    ),
    v.check((items) => !items.includes(''), `is not ${what}`),
  );

const ORIGINS = 'is not a list of origins such as https://chat.example or https://*.chat.example';
export const origins = v.pipe(
  list(ORIGINS.slice('is not '.length)),
  v.check(
    (items) => items.every((item) => originProblem(item) === undefined),
    ({ input }) => `${ORIGINS}: ${input.map(originProblem).find((problem) => problem !== undefined)}`,
  ),
);

function originProblem(text: string): string | undefined {
  const pattern = parseOriginPattern(text);
  return pattern.kind === 'invalid' ? `${JSON.stringify(text)} ${pattern.reason}` : undefined;
}

const PROXIES = 'is not a list of addresses or networks such as 10.0.0.0/8';
export const proxies = v.pipe(
  list(PROXIES.slice('is not '.length)),
  v.check((items) => items.every(isNetwork), PROXIES),
);

/** Addresses and networks, as a list only. */
export const networks = v.pipe(
  v.array(v.string(), 'is not a list of networks such as 10.0.0.0/8'),
  v.check((items) => items.every(isNetwork), 'is not a list of networks such as 10.0.0.0/8'),
);

function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const maxBits = isIP(address) === 6 ? 128 : 32;
  return isIP(address) > 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && +bits <= maxBits));
}

const REDIS = 'is not a list of URLs such as redis://10.0.0.1:6379';

/**
 * The servers of the engine `redis`. A message names a server without its user and password, and
 * quotes no text that it cannot parse, which may be a part of a password.
 */
export const redisUrls = v.pipe(
  list(REDIS.slice('is not '.length)),
  v.check(
    (items) => redisProblem(items) === undefined,
    ({ input }) => `${REDIS}: ${redisProblem(input)}`,
  ),
);

function redisProblem(urls: readonly string[]): string | undefined {
  const problem = urls.map(redisUrlProblem).find((one) => one !== undefined);
  if (problem !== undefined) return problem;
  const servers = urls.map((url) => databaseOf(parseRedisUrl(url) as RedisUrl));
  const repeated = servers.find((server, i) => servers.indexOf(server) !== i);
  return repeated && `${repeated} occurs twice`;
}

function databaseOf({ address, database }: RedisUrl): string {
  return database === 0 ? address : `${address}/${database}`;
}

/** Where a listener listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const ADDRESS = 'is not an address such as 127.0.0.1:9090';

/** A host and a port, as text or as an object. */
export const address = v.pipe(
  v.union(
    [
      v.string(),
      v.pipe(
        v.strictObject({ host: v.string(), port: v.number() }),
        v.transform(({ host, port }) => `${isIP(host) === 6 ? `[${host}]` : host}:${port}`),
      ),
    ],
    ADDRESS,
  ),
  v.regex(/^(\[[\da-f:.]+\]|[^[\]:/\s]+):\d{1,5}$/i, ADDRESS),
  v.transform((given): Address => {
    const colon = given.lastIndexOf(':');
    return { host: given.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(given.slice(colon + 1)) };
  }),
  v.check(({ port }) => port <= 65_535, ADDRESS),
);

export const secret = v.pipe(text('a secret'), v.minBytes(32, 'is not a secret of 32 bytes or more'));

export const authModes = ['open', 'otp', 'jwt'] as const;

export const listeners = v.array(
  v.strictObject({
    host: v.optional(text('a host')),
    port: integer('a port', 0, 65_535),
    wire: v.optional(oneOf(['auto', ...wireNames])),
    web: v.optional(text('a folder')),
    tlsCert: v.optional(text('a file')),
    tlsKey: v.optional(text('a file')),
    auth: v.optional(oneOf(authModes)),
    users: v.optional(text('a file')),
    jwtSecret: v.optional(secret),
    jwtKey: v.optional(text('a file')),
    jwtIssuer: v.optional(text('a name')),
    jwtAudience: v.optional(text('a name')),
  }),
  'is not a list of listeners',
);
