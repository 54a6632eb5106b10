import { andThen } from '../protocol/now-or-later.ts';
import { type Authenticator, authenticated, INVALID, MISSING, THROTTLED } from './authenticator.ts';
import { verifyPassword } from './passwords.ts';
import type { Tickets } from './tickets.ts';
import type { Users } from './users.ts';

/** Limits attempts to sign in. A successful attempt is given back. */
export interface Attempts {
  /** Takes an attempt. @returns false after too many from this address or for this user. */
  take(address: string, user: string): boolean;
  giveBack(address: string, user: string): void;
}

// A verification takes 32 MiB and a tenth of a second of CPU time.
const MAX_RUNNING = 1;
const MAX_WAITING = 32;

type Verification = 'valid' | 'invalid' | 'throttled';

/**
 * Authenticates by user name and password: a login exchanges them for a ticket.
 *
 * @param verify compares a password with a hash. @default verifyPassword
 */
export function otpAuthenticator(
  users: Users,
  tickets: Tickets,
  attempts: Attempts,
  verify = verifyPassword,
): Authenticator {
  const limited = limitConcurrency(MAX_RUNNING, MAX_WAITING);

  const check = async (user: string, password: string, address: string): Promise<Verification> => {
    if (!attempts.take(address, user)) return 'throttled';
    const verification = await limited(async (): Promise<Verification> => {
      return (await verify(password, users.hashOf(user))) ? 'valid' : 'invalid';
    });
    if (verification === 'valid') attempts.giveBack(address, user);
    return verification ?? 'throttled';
  };

  return {
    lateAuthentication: 'browsers',
    requires: 'password',
    mayResume: async (user) => users.hashOf(user) !== undefined,
    async signIn(username, password, address) {
      const verification = await check(username, password, address);
      if (verification === 'valid') return { kind: 'signed-in', otp: tickets.issue(username) };
      return verification === 'throttled' ? THROTTLED : INVALID;
    },
    authenticate({ ticket, token, basic, address }) {
      const presented = ticket ?? token; // late authentication sends the ticket as a token
      if (presented !== undefined) return tickets.authenticate(presented);
      if (basic === undefined) return MISSING;
      const [user, password] = basic;
      return andThen(check(user, password, address), (verification) => {
        if (verification === 'valid') return authenticated({ user });
        return verification === 'throttled' ? THROTTLED : INVALID;
      });
    },
  };
}

/**
 * Returns a function that runs work, at most `maxRunning` at once. With `maxWaiting` calls waiting,
 * it resolves with undefined instead.
 */
function limitConcurrency(maxRunning: number, maxWaiting: number) {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    if (running >= maxRunning) {
      if (waiting.length >= maxWaiting) return undefined;
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
