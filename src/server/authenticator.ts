import { readFileSync } from 'node:fs';
import { addressKey } from '../accept/connection-limits.ts';
import type { Authenticator } from '../auth/authenticator.ts';
import { type JwtKey, jwtAuthenticator, keyFrom, secretKey } from '../auth/jwt.ts';
import { openAuthenticator } from '../auth/open.ts';
import { type Attempts, otpAuthenticator } from '../auth/otp.ts';
import { Tickets } from '../auth/tickets.ts';
import { Users } from '../auth/users.ts';
import { KeyedBuckets } from '../client/rate-limit.ts';
import { ConfigError } from '../config/error.ts';
import type { Settings } from '../config/settings.ts';
import type { Clock } from '../hub/time.ts';

// Attempts to sign in: who mistypes is not held up, who guesses has no hope.
const BY_ADDRESS = { perSecond: 0.2, burst: 10 };
const BY_NAME = { perSecond: 0.1, burst: 10 };

/** Who is asked who someone is, as the settings have it. @throws ConfigError when what that needs cannot be used. */
export function createAuthenticator(settings: Settings, clock: Clock): Authenticator {
  const { auth, users, jwtIssuer, jwtAudience } = settings;
  const tickets = new Tickets(() => clock.now());
  if (auth === 'open') return openAuthenticator(tickets);
  if (auth === 'jwt') return jwtAuthenticator(jwtKeyOf(settings), { issuer: jwtIssuer, audience: jwtAudience });
  const file = new Users(users);
  try {
    file.names();
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}; make it with pumphouse user add NAME --users ${users}`);
  }
  return otpAuthenticator(file, tickets, attemptsBy(clock));
}

function attemptsBy(clock: Clock): Attempts {
  const [byAddress, byName] = [new KeyedBuckets(BY_ADDRESS, clock), new KeyedBuckets(BY_NAME, clock)];
  return {
    take: (address, name) => byAddress.of(addressKey(address)).take() && byName.of(name).take(),
    giveBack(address, name) {
      byAddress.of(addressKey(address)).giveBack();
      byName.of(name).giveBack();
    },
  };
}

function jwtKeyOf({ jwtSecret, jwtKey }: Settings): JwtKey {
  if (jwtSecret !== undefined) return secretKey(jwtSecret);
  try {
    return keyFrom(readFileSync(jwtKey as string, 'utf8'));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new ConfigError(`the key file ${jwtKey} cannot be used: ${why}`);
  }
}
