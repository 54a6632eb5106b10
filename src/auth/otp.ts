import type { Authenticator, Principal } from './authenticator.ts';
import { verifyPassword } from './passwords.ts';
import type { Tickets } from './tickets.ts';
import type { Users } from './users.ts';

/** How often someone may try: only who fails has used an attempt up. */
export interface Attempts {
  /** @returns false where there were too many, of the address or of the name. */
  take(address: string, name: string): boolean;
  giveBack(address: string, name: string): void;
}

// Each takes 32 MiB and a processor for a tenth of a second.
const AT_ONCE = 1;
const WAITING = 32;

/** Who signs in with user name and password gets a ticket; nobody comes in without one. @param verify compares a password with a hash. */
export function otpAuthenticator(
  users: Users,
  tickets: Tickets,
  attempts: Attempts,
  verify = verifyPassword,
): Authenticator {
  const turn = createTurns(AT_ONCE, WAITING);

  const verified = async (username: string, password: string, address: string): Promise<boolean | 'limited'> => {
    if (!attempts.take(address, username)) return 'limited';
    const answer = await turn(() => verify(password, users.hashOf(username)));
    if (answer === true) attempts.giveBack(address, username);
    return answer;
  };

  return {
    later: 'browsers',
    asks: 'password',
    resumes: async (user) => users.hashOf(user) !== undefined,
    async signIn(username, password, address) {
      const answer = await verified(username, password, address);
      if (answer === 'limited') return 'limited';
      return answer ? { otp: tickets.issue(username) } : 'false';
    },
    identify({ ticket, token, basic, address }) {
      // Who has connected first shows the ticket as a token.
      const shown = ticket ?? token;
      if (shown !== undefined) return tickets.known(shown);
      if (basic === undefined) return 'nobody';
      const [username, password] = basic;
      return verified(username, password, address).then((answer): Principal | 'false' | 'limited' => {
        if (answer === 'limited') return 'limited';
        return answer ? { user: username } : 'false';
      });
    },
  };
}

/** Lets so much work run at once, and so much wait. */
function createTurns(atOnce: number, most: number) {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async <T>(work: () => Promise<T>): Promise<T | 'limited'> => {
    if (running >= atOnce) {
      if (waiting.length >= most) return 'limited';
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
