import * as v from 'valibot';
import { json } from '../http/responses.ts';
import { missing, number } from './counts.ts';
import { mergePages, type NamePage, type Nodes, sum } from './nodes.ts';
import { type AnyRoute, route } from './route.ts';
import { numeric } from './schemas.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

const limitRule = `must be a whole number from 1 to ${MAX_LIMIT}`;

const page = {
  after: v.exactOptional(
    v.pipe(v.string(), v.description('Only names after this one: the `next` of the page before.')),
  ),
  limit: v.exactOptional(numeric(1, MAX_LIMIT, limitRule, `How many names at most. Defaults to ${DEFAULT_LIMIT}.`)),
};

const roomsQuery = v.strictObject({
  prefix: v.exactOptional(v.pipe(v.string(), v.description('Only the rooms whose names begin with this.'))),
  ...page,
});

const next = v.exactOptional(
  v.pipe(v.string(), v.description('The `after` of the next page; absent on the last one.')),
);

const roomsAnswer = v.object({
  rooms: v.pipe(
    v.array(v.object({ room: v.string(), members: number('How many connections are in the room.') })),
    v.description('Sorted by name, by UTF-16 code units.'),
  ),
  next,
  missing,
});

const membersAnswer = v.object({
  room: v.string(),
  count: number('How many connections are in the room.'),
  members: v.pipe(
    v.array(v.object({ user: v.string(), connections: number('How many of its connections are in the room.') })),
    v.description('Sorted by name, by UTF-16 code units.'),
  ),
  next,
  missing,
});

/** What the routes of members act on. */
export interface MembersApi {
  /** Answers for all nodes and workers. */
  readonly nodes: Nodes;
}

/** Returns the routes that read the rooms and their members, on all nodes. */
export function memberRoutes(api: MembersApi): readonly AnyRoute[] {
  return [roomsRoute(api), membersRoute(api)];
}

function roomsRoute({ nodes }: MembersApi): AnyRoute {
  return route({
    method: 'GET',
    path: '/rooms',
    scope: 'read',
    parameters: roomsQuery,
    doc: {
      id: 'listRooms',
      summary: 'List the rooms that have members',
      description:
        'The rooms with members on any node or worker, as far as the key allows them. Rooms come and go between two pages.',
      success: { description: 'A page of rooms.', schema: roomsAnswer },
    },
    async handle({ key, filter: { prefix = '', after = '', limit = DEFAULT_LIMIT } }) {
      const patterns = key.rooms && [...key.rooms];
      const question = { kind: 'rooms', prefix, after, limit, ...(patterns && { patterns }) } as const;
      const { answers, missing } = await nodes.ask(question);
      const merged = mergePages(
        answers.map(({ rooms, more }) => ({ names: rooms, more })),
        limit,
      );
      const rooms = merged.names.map(([room, members]) => ({ room, members }));
      return json({ rooms, ...nextOf(merged), missing });
    },
  });
}

function membersRoute({ nodes }: MembersApi): AnyRoute {
  return route({
    method: 'GET',
    path: '/rooms/{room}/members',
    scope: 'read',
    parameters: v.strictObject(page),
    doc: {
      id: 'listMembers',
      summary: 'List the members of a room',
      description:
        'The users with connections in the room on any node or worker. On a server that authenticates nobody, names are those that clients gave themselves.',
      success: { description: 'A page of users, and the number of all members.', schema: membersAnswer },
    },
    async handle({ params, filter: { after = '', limit = DEFAULT_LIMIT } }) {
      const room = params['room'] as string;
      const { answers, missing } = await nodes.ask({ kind: 'members', room, after, limit });
      const merged = mergePages(
        answers.map(({ members, more }) => ({ names: members, more })),
        limit,
      );
      const members = merged.names.map(([user, connections]) => ({ user, connections }));
      return json({ room, count: sum(answers, ({ count }) => count), members, ...nextOf(merged), missing });
    },
  });
}

function nextOf({ names, more }: NamePage): { next?: string } {
  const last = names.at(-1);
  return more && last ? { next: last[0] } : {};
}
