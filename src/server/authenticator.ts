import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { addressKey } from '../accept/connection-limits.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import { type JwtKey, jwtAuthenticator, parseKeyFile, secretKey } from '../auth/jwt.ts';
import { openAuthenticator } from '../auth/open.ts';
import { type Attempts, otpAuthenticator } from '../auth/otp.ts';
import { Tickets } from '../auth/tickets.ts';
import { Users } from '../auth/users.ts';
import { KeyedBuckets } from '../client/rate-limit.ts';
import { ConfigError } from '../config/error.ts';
import type { AuthSettings } from '../config/listeners.ts';
import type { Clock } from '../hub/time.ts';

// Failed logins: enough for mistyped passwords, far too few to guess one.
const LOGINS_PER_ADDRESS = { perSecond: 0.2, burst: 10 };
const LOGINS_PER_USER = { perSecond: 0.1, burst: 10 };

/** Authenticators by the settings that name them. */
export class Authenticators {
  readonly #clock: Clock;
  readonly #byKey = new Map<string, Authenticator>();

  /**
   * Creates the authenticators of all listeners. Listeners with the same settings share one, with
   * its tickets and its limit of login attempts.
   *
   * @throws ConfigError for an unusable key or users file.
   */
  constructor(listeners: readonly AuthSettings[], clock: Clock) {
    this.#clock = clock;
    for (const listener of listeners) this.of(listener);
  }

  of(settings: AuthSettings): Authenticator {
    const key = keyOf(settings);
    const authenticator = this.#byKey.get(key) ?? createAuthenticator(settings, this.#clock);
    this.#byKey.set(key, authenticator);
    return authenticator;
  }
}

/**
 * Names the sessions that a listener may resume. The names of `open` are not verified, and two
 * users files may give one name to different users. With `jwt` a session needs its user's token
 * too.
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
function createAuthenticator(settings: AuthSettings, clock: Clock): Authenticator {
  const { auth, users, jwtIssuer, jwtAudience } = settings;
  const tickets = new Tickets(() => clock.now());
  if (auth === 'open') return openAuthenticator(tickets);
  if (auth === 'jwt') return jwtAuthenticator(readKey(settings), { issuer: jwtIssuer, audience: jwtAudience });
  return otpAuthenticator(openUsers(users), tickets, loginAttempts(clock));
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

function loginAttempts(clock: Clock): Attempts {
  const [byAddress, byUser] = [new KeyedBuckets(LOGINS_PER_ADDRESS, clock), new KeyedBuckets(LOGINS_PER_USER, clock)];
  return {
    take: (address, user) => byAddress.of(addressKey(address)).take() && byUser.of(user).take(),
    giveBack(address, user) {
      byAddress.of(addressKey(address)).giveBack();
      byUser.of(user).giveBack();
    },
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
