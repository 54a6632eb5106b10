import * as v from 'valibot';
import { json, jsonText } from '../http/responses.ts';
import type { Hub } from '../hub/hub.ts';
import type { RoomHead } from '../hub/requests.ts';
import type { Notice } from '../hub/subscriber.ts';
import type { HttpResponse } from '../transport/transport.ts';
import { encodeAnyMessage } from '../wire/record-json.ts';
import { DEFAULT_HISTORY, fields } from '../wire/v1.ts';
import { problem } from './problem.ts';
import { collect, Receipt } from './receipt.ts';
import { type AnyRoute, route } from './route.ts';
import { numeric, responses } from './schemas.ts';
import type { ServerApi } from './server-api.ts';

const MAX_SEQ = Number.MAX_SAFE_INTEGER;

const place = (direction: string) =>
  v.exactOptional(
    numeric(0, MAX_SEQ, `must be a whole number from 0 to ${MAX_SEQ}`, `Messages ${direction} this one.`),
  );

const page = v.strictObject({
  before: place('before'),
  after: place('after'),
  limit: v.exactOptional(
    numeric(
      1,
      fields.history,
      `must be a whole number from 1 to ${fields.history}`,
      `How many messages at most. Defaults to ${DEFAULT_HISTORY}.`,
    ),
  ),
});

const away: NonNullable<AnyRoute['doc']['problems']> = [
  [503, 'busy', "The server's queue is full."],
  [503, 'unavailable', 'The store cannot be reached.'],
];

/** Returns the routes that read one room. */
export function roomRoutes(api: ServerApi): readonly AnyRoute[] {
  return [headRoute(api), messagesRoute(api)];
}

function headRoute({ hub }: ServerApi): AnyRoute {
  return route({
    method: 'GET',
    path: '/rooms/{room}',
    scope: 'read',
    doc: {
      id: 'getRoom',
      summary: 'Read the head of a room',
      description: 'Every room exists: one without messages stands at 0.',
      success: { description: 'Where the room stands.', schema: responses.head },
      problems: away,
    },
    async handle({ params }) {
      const room = params['room'] as string;
      const head = await readHead(hub, room);
      return typeof head === 'string' ? notRead(head) : json({ room, ...head });
    },
  });
}

function messagesRoute({ hub }: ServerApi): AnyRoute {
  return route({
    method: 'GET',
    path: '/rooms/{room}/messages',
    scope: 'read',
    parameters: page,
    doc: {
      id: 'getMessages',
      summary: 'Read stored messages',
      description: 'The newest ones, or those before or after a number. Oldest first.',
      success: { description: 'The messages.', schema: responses.messages },
      problems: away,
    },
    async handle({ params, filter: { before, after, limit = DEFAULT_HISTORY } }) {
      if (before !== undefined && after !== undefined) {
        const detail = 'The parameter "after" must be absent when "before" is given.';
        return problem(400, 'invalid-query', detail, { parameter: 'after' });
      }
      const room = params['room'] as string;
      const receipt = new Receipt('');
      if (!hub.history({ subscriber: receipt, room, before, after, limit, changes: true })) receipt.refuse();
      const [response] = await collect([receipt], (answer) => {
        if (answer.kind === 'history') return messagesOf(room, hub.epochOf(room), answer.history);
        return notRead(answer.kind === 'busy' ? 'busy' : 'unavailable');
      });
      return response as HttpResponse;
    },
  });
}

/** Takes the data of the records as it is, instead of parsing it. */
function messagesOf(
  room: string,
  epoch: string | undefined,
  { records, from, to, more }: Extract<Notice, { t: 'history' }>,
): HttpResponse {
  const place = `"room":${JSON.stringify(room)}${epoch === undefined ? '' : `,"epoch":${JSON.stringify(epoch)}`}`;
  const messages = records.map((record) => `{${encodeAnyMessage(record)}`).join(',');
  return jsonText(`{${place},"messages":[${messages}],"from":${from},"to":${to},"more":${more}}`);
}

function readHead(hub: Hub, room: string): Promise<RoomHead | 'busy' | 'unavailable'> {
  return new Promise((resolve) => {
    const answer = (head: RoomHead | undefined) => resolve(head ?? 'unavailable');
    if (!hub.head({ room, answer })) resolve('busy');
  });
}

function notRead(why: 'busy' | 'unavailable'): HttpResponse {
  return problem(503, why, why === 'busy' ? 'The queue is full.' : 'The store cannot be reached.');
}
