import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { addressKey } from '../accept/connection-limits.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import { type JwtKey, jwtAuthenticator, parseKeyFile, secretKey } from '../auth/jwt.ts';
import { Keys } from '../auth/keys.ts';
import { openAuthenticator } from '../auth/open.ts';
import { otpAuthenticator } from '../auth/otp.ts';
import { Tickets } from '../auth/tickets.ts';
import { Users } from '../auth/users.ts';
import { ConfigError } from '../config/error.ts';
import type { AuthSettings } from '../config/listeners.ts';
import type { AttemptStore, Cluster } from '../hub/cluster.ts';
import type { Clock } from '../hub/time.ts';

/** The stores that the authenticators of all nodes share. */
type Stores = Pick<Cluster, 'tickets' | 'attempts'>;

/** Authenticators by the settings that name them. */
export class Authenticators {
  readonly #stores: Stores;
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Authenticator>();

  /**
   * Creates the authenticators of all listeners. Listeners with the same settings share one, with
   * its tickets and its limit of login attempts.
   *
   * @throws ConfigError for an unusable key or users file.
   */
  constructor(listeners: readonly AuthSettings[], stores: Stores, clock: Clock) {
    this.#stores = stores;
    this.#clock = clock;
    for (const listener of listeners) this.of(listener);
  }

  of(settings: AuthSettings): Authenticator {
    const key = keyOf(settings);
    const authenticator = this.#byKey.get(key) ?? createAuthenticator(settings, this.#stores, this.#clock);
    this.#byKey.set(key, authenticator);
    return authenticator;
  }
}

/**
 * Names the sessions that a listener may resume, and the tickets and attempts that it shares with
 * other listeners and nodes. The names of `open` are not verified, and two users files may give one
 * name to different users. With `jwt` a session needs its user's token too.
 */
export function sessionScope({ auth, users }: AuthSettings): string {
  return auth === 'otp' ? `otp ${resolve(users)}` : auth;
}

/** Only the settings that matter to `auth`, so that listeners that differ in others share too. */
function keyOf({ auth, users, jwtSecret, jwtKey, jwtIssuer, jwtAudience }: AuthSettings): string {
  if (auth === 'open') return auth;
  return JSON.stringify(auth === 'otp' ? [auth, resolve(users)] : [auth, jwtSecret, jwtKey, jwtIssuer, jwtAudience]);
}

/**
 * Creates the authenticator that the settings name.
 *
 * @throws ConfigError for an unusable key or users file.
 */
function createAuthenticator(settings: AuthSettings, stores: Stores, clock: Clock): Authenticator {
  const { auth, users, jwtIssuer, jwtAudience } = settings;
  const scope = sessionScope(settings);
  const tickets = new Tickets(stores.tickets, scope, () => clock.now());
  if (auth === 'open') return openAuthenticator(tickets);
  if (auth === 'jwt') return jwtAuthenticator(readKey(settings), { issuer: jwtIssuer, audience: jwtAudience });
  return otpAuthenticator(openUsers(users), tickets, attemptsOf(scope, stores.attempts));
}

function openUsers(path: string): Users {
  const users = new Users(path);
  try {
    users.names();
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}; create it with pumphouse user add NAME --users ${path}`);
  }
  return users;
}

/** Opens the keys file of the Server API. @throws ConfigError for a file that cannot be used. */
export function openKeys(path: string): Keys {
  const keys = new Keys(path);
  try {
    keys.list();
  } catch (error) {
    throw new ConfigError((error as Error).message);
  }
  return keys;
}

/** Counts the attempts of a scope apart from others, and those of a network as one address's. */
function attemptsOf(scope: string, attempts: AttemptStore): AttemptStore {
  const keysOf = (address: string, user: string) => [`${scope} ${addressKey(address)}`, `${scope} ${user}`] as const;
  return {
    take: (address, user) => attempts.take(...keysOf(address, user)),
    giveBack: (address, user) => attempts.giveBack(...keysOf(address, user)),
  };
}

function readKey({ jwtSecret, jwtKey }: AuthSettings): JwtKey {
  if (jwtSecret !== undefined) return secretKey(jwtSecret);
  try {
    return parseKeyFile(readFileSync(jwtKey as string, 'utf8'));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new ConfigError(`the key file ${jwtKey} cannot be used: ${why}`);
  }
}
