import { readFileSync } from 'node:fs';
import type { Authority } from './auth/authority.ts';
import { type JwtKey, jwtAuthority, keyFrom, secretKey } from './auth/jwt.ts';
import { openAuthority } from './auth/open.ts';
import { type Attempts, otpAuthority } from './auth/otp.ts';
import { Tickets } from './auth/tickets.ts';
import { Users } from './auth/users.ts';
import { Buckets } from './client/rate.ts';
import { ConfigError } from './config/error.ts';
import type { Settings } from './config/settings.ts';
import { addressKey } from './http/crowd.ts';
import type { Clock } from './hub/ports.ts';

// Attempts to sign in: who mistypes is not held up, who guesses has no hope.
const BY_ADDRESS = { perSecond: 0.2, burst: 10 };
const BY_NAME = { perSecond: 0.1, burst: 10 };

/** Who is asked who someone is, as the settings have it. @throws ConfigError when what that needs cannot be used. */
export function createAuthority(settings: Settings, clock: Clock): Authority {
  const { auth, users, jwtIssuer, jwtAudience } = settings;
  const tickets = new Tickets(() => clock.now());
  if (auth === 'open') return openAuthority(tickets);
  if (auth === 'jwt') return jwtAuthority(jwtKeyOf(settings), { issuer: jwtIssuer, audience: jwtAudience });
  const file = new Users(users);
  try {
    file.names();
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}; make it with pumphouse user add NAME --users ${users}`);
  }
  return otpAuthority(file, tickets, attemptsBy(clock));
}

function attemptsBy(clock: Clock): Attempts {
  const [byAddress, byName] = [new Buckets(BY_ADDRESS, clock), new Buckets(BY_NAME, clock)];
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
