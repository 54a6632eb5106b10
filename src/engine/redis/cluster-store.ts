import { createHash } from 'node:crypto';
import {
  ATTEMPT_RATES,
  type AttemptStore,
  READ_PLACE_MS,
  REVOCATIONS,
  type ReadPlaces,
  type RevocationStore,
  type TicketStore,
} from '../../hub/cluster.ts';
import type { Shard } from './shard.ts';

/** Returns the tickets that all nodes share. */
export function redisTickets(shard: Shard): TicketStore {
  const keyOf = (ticket: string) => `ph:t:${ticket}`;
  return {
    async put(ticket, user, ms) {
      await shard.command(['SET', keyOf(ticket), user, 'PX', String(Math.ceil(ms))]);
    },
    async find(ticket) {
      const user = await shard.command(['GET', keyOf(ticket)]);
      return user === null ? undefined : String(user);
    },
    async spend(ticket) {
      return (await shard.command(['GETDEL', keyOf(ticket)])) !== null;
    },
  };
}

// A token bucket. ARGV: tokens a second, most tokens, 1 to give a token back. Returns 0 when none
// is left. The key expires when the bucket is full.
const bucketScript = `#!lua
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local tokens, at = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+)$')
tokens = math.min(burst, (tonumber(tokens) or burst) + math.max(0, now - (tonumber(at) or now)) * rate / 1000)
local taken = 1
if ARGV[3] == '1' then tokens = math.min(burst, tokens + 1)
elseif tokens >= 1 then tokens = tokens - 1
else taken = 0 end
local full = math.ceil((burst - tokens) / rate * 1000) + 1000
redis.call('SET', KEYS[1], string.format('%.6f %.0f', tokens, now), 'PX', full)
return taken
`;

type Rate = (typeof ATTEMPT_RATES)[keyof typeof ATTEMPT_RATES];

/** Returns the sign-in attempts that all nodes count together. Names and addresses are hashed. */
export function redisAttempts(shard: Shard): AttemptStore {
  const run = async (kind: keyof typeof ATTEMPT_RATES, name: string, giveBack: '0' | '1') => {
    const key = `ph:a:${kind}:${createHash('sha256').update(name).digest('base64url')}`;
    const { perSecond, burst }: Rate = ATTEMPT_RATES[kind];
    return Number(await shard.command(['EVAL', bucketScript, '1', key, String(perSecond), String(burst), giveBack]));
  };
  return {
    take: async (address, user) => (await run('address', address, '0')) === 1 && (await run('user', user, '0')) === 1,
    async giveBack(address, user) {
      await run('address', address, '1');
      await run('user', user, '1');
    },
  };
}

const REVOKED_KEY = 'ph:revoked';

// Remembers a revocation. KEYS: the set of users by time. ARGV: user, time, age and number of users
// to keep. Drops old ones. Returns 0 when the set is full. The set expires with its last entry.
const revokeScript = `#!lua
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[3]))
local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not known and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.max(tonumber(last[2] or now), now) + ARGV[3]))
return 1
`;

/** Returns the revocations that all nodes share. */
export function redisRevocations(shard: Shard): RevocationStore {
  return {
    async find(users) {
      if (users.length === 0) return [];
      const times = (await shard.command(['ZMSCORE', REVOKED_KEY, ...users])) as unknown[];
      return times.map((time) => (time === null ? 0 : Number(time)));
    },
    async revoke(user, before) {
      const { ms, users } = REVOCATIONS;
      const args = [user, String(before), String(ms), String(users)];
      return Number(await shard.command(['EVAL', revokeScript, '1', REVOKED_KEY, ...args])) === 1;
    },
  };
}

// Keeps a read place, unless a later one of the same epoch is kept. KEYS: the user's places, by
// room. ARGV: room, epoch, seq, milliseconds to keep. Returns 1 if it was kept.
const readPlaceScript = `#!lua
local seq, epoch = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) (.*)$')
if epoch == ARGV[2] and tonumber(seq) >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3] .. ' ' .. ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`;

/**
 * Returns the read places that all nodes share.
 *
 * @param publish passes `[user, epoch, seq]`, as JSON, to the nodes that have the room.
 */
export function redisReadPlaces(shard: Shard, publish: (room: string, read: string) => void): ReadPlaces {
  const keyOf = (user: string) => `ph:read:${user}`;
  return {
    async find(user, room) {
      const stored = await shard.command(['HGET', keyOf(user), room]);
      const [, seq, epoch] = /^(\d+) (.*)$/s.exec(stored === null ? '' : String(stored)) ?? [];
      return seq === undefined || epoch === undefined ? undefined : { epoch, seq: Number(seq) };
    },
    move(user, room, { epoch, seq }) {
      const args = [room, epoch, String(seq), String(READ_PLACE_MS)];
      shard.command(['EVAL', readPlaceScript, '1', keyOf(user), ...args]).catch(() => {}); // Redis is away
      publish(room, JSON.stringify([user, epoch, seq]));
    },
  };
}

const SECRET_KEY = 'ph:secret';

/** Returns the secret of all nodes: the first one that any of them created. */
export async function sharedSecret(shard: Shard, created: Uint8Array): Promise<Uint8Array> {
  await shard.command(['SET', SECRET_KEY, Buffer.from(created).toString('base64url'), 'NX']);
  return Buffer.from(String(await shard.command(['GET', SECRET_KEY])), 'base64url');
}
