import type { AttemptStore } from '../hub/cluster.ts';
import { andThen, orElse } from '../protocol/now-or-later.ts';
import {
  type AuthenticationFailure,
  type Authenticator,
  authenticated,
  INVALID,
  MISSING,
  THROTTLED,
  UNAVAILABLE,
} from './authenticator.ts';
import { verifyPassword } from './passwords.ts';
import type { Tickets } from './tickets.ts';
import type { Users } from './users.ts';

// A verification takes 32 MiB and a tenth of a second of CPU time.
const MAX_RUNNING = 1;
const MAX_WAITING = 32;

type Verification = 'valid' | 'invalid' | 'throttled' | 'unavailable';

const FAILURES = {
  invalid: INVALID,
  throttled: THROTTLED,
  unavailable: UNAVAILABLE,
} satisfies Record<Exclude<Verification, 'valid'>, AuthenticationFailure>;

/**
 * Authenticates by user name and password: a login exchanges them for a ticket.
 *
 * @param attempts limits the attempts. A successful one is given back.
 *
 * @param verify compares a password with a hash. @default verifyPassword
 */
export function otpAuthenticator(
  users: Users,
  tickets: Tickets,
  attempts: AttemptStore,
  verify = verifyPassword,
): Authenticator {
  const limited = limitConcurrency(MAX_RUNNING, MAX_WAITING);

  const check = async (user: string, password: string, address: string): Promise<Verification> => {
    const allowed = await orElse(attempts.take(address, user), () => undefined);
    if (allowed === undefined) return 'unavailable';
    if (!allowed) return 'throttled';
    const verification = await limited(async (): Promise<Verification> => {
      return (await verify(password, users.hashOf(user))) ? 'valid' : 'invalid';
    });
    // An attempt that cannot be given back counts as a failed one.
    if (verification === 'valid') void orElse(attempts.giveBack(address, user), () => {});
    return verification ?? 'throttled';
  };

  return {
    lateAuthentication: 'browsers',
    requires: 'password',
    mayResume: async (user) => users.hashOf(user) !== undefined,
    async signIn(username, password, address) {
      const verification = await check(username, password, address);
      return verification === 'valid' ? tickets.signIn(username) : FAILURES[verification];
    },
    authenticate({ ticket, token, basic, address }) {
      const presented = ticket ?? token; // late authentication sends the ticket as a token
      if (presented !== undefined) return tickets.authenticate(presented);
      if (basic === undefined) return MISSING;
      const [user, password] = basic;
      return andThen(check(user, password, address), (verification) => {
        return verification === 'valid' ? authenticated({ user }) : FAILURES[verification];
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
