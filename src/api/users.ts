import * as v from 'valibot';
import { allowsRoom } from '../auth/keys.ts';
import { json } from '../http/responses.ts';
import type { RevocationStore } from '../hub/cluster.ts';
import type { HttpResponse } from '../transport/transport.ts';
import { missing, number } from './counts.ts';
import { type Nodes, sum } from './nodes.ts';
import { problem, roomForbidden } from './problem.ts';
import { type AnyRoute, type ApiKey, route } from './route.ts';
import { room } from './schemas.ts';

// Bytes of a close reason (RFC 6455, section 5.5).
const REASON_BYTES = 123;

const DEFAULT_WITHIN = 30;
const MAX_WITHIN = 3600;

// Times in seconds since 1970 are below it for thousands of years.
const MIN_DATE = 1e11;
const MAX_DATE = 8.64e15;

const rules = {
  reason: `must be a string of at most ${REASON_BYTES} bytes`,
  reconnect: 'must be true or false',
  within: `must be a whole number of seconds from 1 to ${MAX_WITHIN}`,
  before: 'must be a time in milliseconds since 1970, as a whole number',
};

const disconnectBody = v.optional(
  v.strictObject({
    reason: v.exactOptional(
      v.pipe(
        v.string(rules.reason),
        v.maxBytes(REASON_BYTES, rules.reason),
        v.description('The reason in the close frame.'),
      ),
    ),
    reconnect: v.exactOptional(
      v.pipe(
        v.boolean(rules.reconnect),
        v.description('Whether the clients come back by themselves: the close code is then 4008. Defaults to false.'),
      ),
    ),
  }),
  {},
);

const leaveBody = v.strictObject({ room });

const refreshBody = v.optional(
  v.strictObject({
    within: v.exactOptional(
      v.pipe(
        v.number(rules.within),
        v.safeInteger(rules.within),
        v.minValue(1, rules.within),
        v.maxValue(MAX_WITHIN, rules.within),
        v.description(`Seconds that the clients have for a new token. Defaults to ${DEFAULT_WITHIN}.`),
      ),
    ),
  }),
  {},
);

const revokeBody = v.optional(
  v.strictObject({
    before: v.exactOptional(
      v.pipe(
        v.number(rules.before),
        v.safeInteger(rules.before),
        v.minValue(MIN_DATE, rules.before),
        v.maxValue(MAX_DATE, rules.before),
        v.description('Milliseconds since 1970. Defaults to the next one: what was issued until now is refused.'),
      ),
    ),
  }),
  {},
);

const responses = {
  disconnected: v.object({ closed: number('How many connections were closed.'), missing }),
  left: v.object({
    left: number('How many connections left the room.'),
    closed: number('How many were closed, since their protocol cannot express it.'),
    missing,
  }),
  refreshed: v.object({
    asked: number('How many connections were asked for a new token.'),
    closed: number('How many were closed, since their protocol cannot express it. They come back with a new token.'),
    unaffected: number('How many have no token: they signed in with a password, or not at all.'),
    missing,
  }),
  revoked: v.object({
    before: number('What was issued before this time is refused, in milliseconds since 1970.'),
    closed: number('How many connections were closed.'),
    missing,
  }),
};

/** What the routes of users act on. */
export interface UsersApi {
  /** Answers for all nodes and workers. */
  readonly nodes: Nodes;
  readonly revocations: RevocationStore;
  /** Returns the time in milliseconds since 1970. */
  readonly date: () => number;
}

/** Returns the routes that act on the connections of a user, on all nodes. */
export function userRoutes(api: UsersApi): readonly AnyRoute[] {
  return [disconnectRoute(api), leaveRoute(api), refreshRoute(api), revokeRoute(api)];
}

function disconnectRoute({ nodes }: UsersApi): AnyRoute {
  return route({
    method: 'POST',
    path: '/users/{user}/disconnect',
    scope: 'admin',
    body: disconnectBody,
    doc: {
      id: 'disconnectUser',
      summary: 'Close the connections of a user',
      description:
        'Closes every connection under this name, on all nodes, with 4504: clients do not come back by themselves. It keeps nobody out: to do that, revoke the credentials, or refuse the user in a hook. On a server that authenticates nobody, a name is anybody who took it.',
      success: { description: 'The connections are closed.', schema: responses.disconnected },
    },
    async handle({ key, params, body: { reason, reconnect = false } }) {
      const forbidden = rejectLimited(key);
      if (forbidden) return forbidden;
      const user = params['user'] as string;
      const question = { kind: 'disconnect', user, reconnect, ...(reason && { reason }) } as const;
      const { answers, missing } = await nodes.ask(question);
      return json({ closed: sum(answers, ({ closed }) => closed), missing });
    },
  });
}

function leaveRoute({ nodes }: UsersApi): AnyRoute {
  return route({
    method: 'POST',
    path: '/users/{user}/leave',
    scope: 'admin',
    body: leaveBody,
    doc: {
      id: 'removeUserFromRoom',
      summary: 'Remove a user from a room',
      description:
        'Every connection under this name leaves the room, on all nodes. The clients learn that they were removed, and may join again unless their token or a hook forbids it.',
      success: { description: 'The user is not in the room.', schema: responses.left },
    },
    async handle({ key, params, body: { room } }) {
      if (!allowsRoom(key, room)) return roomForbidden(room);
      const { answers, missing } = await nodes.ask({ kind: 'leave', user: params['user'] as string, room });
      return json({
        left: sum(answers, ({ left }) => left),
        closed: sum(answers, ({ closed }) => closed),
        missing,
      });
    },
  });
}

function refreshRoute({ nodes }: UsersApi): AnyRoute {
  return route({
    method: 'POST',
    path: '/users/{user}/refresh',
    scope: 'admin',
    body: refreshBody,
    doc: {
      id: 'refreshUser',
      summary: 'Ask the clients of a user for new tokens',
      description:
        "Use it when the user's permissions have changed. A connection that presents no valid token in time is closed as if its token had expired. To refuse the tokens from before as well, revoke them first.",
      success: { description: 'The clients are asked.', schema: responses.refreshed },
    },
    async handle({ key, params, body: { within = DEFAULT_WITHIN } }) {
      const forbidden = rejectLimited(key);
      if (forbidden) return forbidden;
      const { answers, missing } = await nodes.ask({ kind: 'refresh', user: params['user'] as string, within });
      return json({
        asked: sum(answers, ({ asked }) => asked),
        closed: sum(answers, ({ closed }) => closed),
        unaffected: sum(answers, ({ unaffected }) => unaffected),
        missing,
      });
    },
  });
}

function revokeRoute({ nodes, revocations, date }: UsersApi): AnyRoute {
  return route({
    method: 'POST',
    path: '/users/{user}/revoke',
    scope: 'admin',
    body: revokeBody,
    doc: {
      id: 'revokeUser',
      summary: 'Refuse the credentials of a user from before a time',
      description:
        'Refuses the tokens of this user (`sub`) that were issued (`iat`) before the time, on all nodes and after a restart, and the secrets by which sessions without a token resume. A token without `iat` counts as issued in 1970. Connections that rest on them are closed: with 4004 those with a token, with 4501 others. A node that cannot be reached closes its own when it is back. The time is kept for 400 days, which bounds the age of tokens and sessions that can be revoked.',
      success: { description: 'The credentials are refused from now on.', schema: responses.revoked },
      problems: [[503, 'unavailable', 'The revocation could not be stored. The credentials are still valid.']],
    },
    async handle({ key, params, body: { before = date() + 1 } }) {
      const forbidden = rejectLimited(key);
      if (forbidden) return forbidden;
      const user = params['user'] as string;
      const stored = await store(revocations, user, before);
      if (stored !== 'stored') return problem(503, 'unavailable', stored);
      const { answers, missing } = await nodes.ask({ kind: 'revoke', user, before });
      return json({ before, closed: sum(answers, ({ closed }) => closed), missing });
    },
  });
}

/** @returns why the revocation could not be stored. */
async function store(revocations: RevocationStore, user: string, before: number): Promise<string> {
  try {
    if (await revocations.revoke(user, before)) return 'stored';
    return 'The list of revocations is full.';
  } catch {
    return 'The revocation could not be stored.';
  }
}

/** What concerns all rooms needs a key for all rooms. */
function rejectLimited(key: ApiKey): HttpResponse | undefined {
  if (key.rooms === undefined) return undefined;
  return problem(403, 'forbidden', 'The key is for some rooms only, and this concerns all rooms of the user.');
}
