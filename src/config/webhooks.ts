import * as v from 'valibot';
import { roomPatternProblem } from '../protocol/room-pattern.ts';
import { integer, networks, oneOf, text } from './schemas.ts';

/** A receiver of the messages of rooms, over HTTP. */
export interface WebhookSettings {
  /** Names the webhook in logs, metrics and commands. Its cursors are kept by this name. */
  readonly name: string;
  /** Where messages are sent to: `https:`, or `http:` on a network that is trusted. */
  readonly url: string;
  /**
   * Rooms, by name or by prefix such as `orders:*`. The settings of rooms may name further ones.
   *
   * @default []
   */
  readonly rooms?: readonly string[];
  /** Signs the requests: `whsec_` and 24 to 64 bytes in base64. */
  readonly secret: string;
  /**
   * Private addresses that the webhook may be delivered to: all, or those of networks such as
   * `10.1.0.0/16`.
   *
   * @default false
   */
  readonly allowPrivate?: boolean | readonly string[];
  /**
   * Where the cursor of a room begins: after its newest message, or before its oldest stored one.
   *
   * @default 'now'
   */
  readonly from?: 'now' | 'start';
  /** Longest duration of an attempt, in milliseconds. @default 15000 */
  readonly timeout?: number;
}

const NAME = 'is not a name of 1 to 64 letters, digits, dots, hyphens and underscores';
const SECRET = 'is not a secret: whsec_ and 24 to 64 bytes in base64';
const MIN_KEY_BYTES = 24;
const MAX_KEY_BYTES = 64;

function isSecret(secret: string): boolean {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1];
  if (encoded === undefined) return false;
  const { byteLength } = Buffer.from(encoded, 'base64');
  return byteLength >= MIN_KEY_BYTES && byteLength <= MAX_KEY_BYTES;
}

/** @returns undefined for a usable URL. */
function urlProblem(given: string): string | undefined {
  if (!URL.canParse(given)) return 'is not a URL such as https://example.com/pumphouse';
  const { protocol, username, password, hash } = new URL(given);
  if (protocol !== 'https:' && protocol !== 'http:') return 'is not a URL with https or http';
  if (username !== '' || password !== '') return 'has a user or a password; the signature authenticates the requests';
  return hash === '' ? undefined : 'has a fragment, which no server receives';
}

const pattern = v.pipe(
  text('a room'),
  v.check(
    (room) => roomPatternProblem(room) === undefined,
    ({ input }) => roomPatternProblem(input) ?? '',
  ),
);

export const webhooks = v.pipe(
  v.array(
    v.strictObject({
      name: v.pipe(v.string(NAME), v.regex(/^[\w.-]{1,64}$/, NAME)),
      url: v.pipe(
        text('a URL'),
        v.check(
          (url) => urlProblem(url) === undefined,
          ({ input }) => urlProblem(input) ?? '',
        ),
      ),
      rooms: v.optional(v.array(pattern, 'is not a list of rooms')),
      secret: v.pipe(v.string(SECRET), v.check(isSecret, SECRET)),
      allowPrivate: v.optional(v.union([v.boolean(), networks], 'is not true, false or a list of networks')),
      from: v.optional(oneOf(['now', 'start'])),
      timeout: v.optional(integer('a number of milliseconds', 100, 120_000)),
    }),
    'is not a list of webhooks',
  ),
  v.check(
    (list) => repeatedName(list) === undefined,
    ({ input }) => `is not a list of webhooks with names of their own: ${repeatedName(input)} occurs twice`,
  ),
);

function repeatedName(list: readonly { readonly name: string }[]): string | undefined {
  const names = list.map(({ name }) => name);
  return names.find((name, i) => names.indexOf(name) !== i);
}
