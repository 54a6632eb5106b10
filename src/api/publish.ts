import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { allowsRoom } from '../auth/keys.ts';
import { json } from '../http/responses.ts';
import type { Hub } from '../hub/hub.ts';
import type { Json } from '../protocol/v1.ts';
import type { HttpResponse } from '../transport/transport.ts';
import { MESSAGE_BYTES } from '../wire/v1.ts';
import { type ProblemDetails, problem, problemDetails, problemResponse, roomForbidden } from './problem.ts';
import { type Answer, collect, Receipt } from './receipt.ts';
import { type AnyRoute, type ApiKey, route } from './route.ts';
import type { ServerApi } from './routes.ts';
import { message, responses, room } from './schemas.ts';

// Messages that one request may publish.
const MAX_MESSAGES = 1000;
const MAX_BODY_BYTES = 1024 * 1024;

/** A message of a program. */
interface Message {
  readonly room: string;
  readonly data: Json;
  readonly from?: string;
  readonly id?: string;
}

/** The fate of one message. */
type Result = { readonly room: string; readonly id: string } & (
  | { readonly seq: number; readonly epoch?: string; readonly duplicate?: true }
  | { readonly problem: ProblemDetails }
);

const outcomes: NonNullable<AnyRoute['doc']['problems']> = [
  [503, 'busy', "The server's queue is full. Nothing is stored."],
  [503, 'unavailable', 'The store cannot be reached. Nothing is stored.'],
  [503, 'unknown-outcome', 'The message may be stored or not. A retry with the same id is safe.'],
];

const tooLarge = [413, 'too-large', 'A message, or the body, is too long. Nothing is stored.'] as const;

const rules = {
  rooms: `must be a list of 1 to ${MAX_MESSAGES} rooms`,
  messages: `must be a list of 1 to ${MAX_MESSAGES} messages`,
};

const oneMessage = v.strictObject({ room, ...message });

const manyRooms = v.strictObject({
  rooms: v.pipe(
    v.array(room, rules.rooms),
    v.minLength(1, rules.rooms),
    v.maxLength(MAX_MESSAGES, rules.rooms),
    v.description('A room that occurs twice gets the message once.'),
  ),
  ...message,
});

const manyMessages = v.strictObject({
  messages: v.pipe(
    v.array(oneMessage, rules.messages),
    v.minLength(1, rules.messages),
    v.maxLength(MAX_MESSAGES, rules.messages),
  ),
});

/** Returns the routes that publish messages. */
export function publishRoutes(api: ServerApi): readonly AnyRoute[] {
  return [publishRoute(api), broadcastRoute(api), batchRoute(api)];
}

function publishRoute({ hub }: ServerApi): AnyRoute {
  return route({
    method: 'POST',
    path: '/publish',
    scope: 'publish',
    body: oneMessage,
    maxBodyBytes: 128 * 1024,
    doc: {
      id: 'publish',
      summary: 'Publish a message',
      description:
        "Answers once the message is in its room's log. The members of the room get it as any other message.",
      success: { description: 'The message is stored.', schema: responses.published },
      problems: [tooLarge, ...outcomes],
    },
    async handle({ key, body }) {
      const rejection = reject(key, [body], () => 'data');
      if (rejection) return rejection;
      const [result] = await publish(hub, key, [body]);
      if (result === undefined || !('problem' in result)) return json(result as Result);
      return problemResponse(result.problem);
    },
  });
}

function broadcastRoute({ hub }: ServerApi): AnyRoute {
  return route({
    method: 'POST',
    path: '/broadcast',
    scope: 'publish',
    body: manyRooms,
    maxBodyBytes: MAX_BODY_BYTES,
    doc: {
      id: 'broadcast',
      summary: 'Publish a message to several rooms',
      description: 'Each room has a result of its own. A request that is wrong is rejected as a whole.',
      success: { description: 'The results of the rooms.', schema: responses.results },
      problems: [tooLarge],
    },
    async handle({ key, body: { rooms, ...message } }) {
      const id = message.id ?? randomUUID();
      const messages = rooms.map((each) => ({ ...message, id, room: each }));
      const rejection = reject(key, messages, () => 'data');
      return rejection ?? json({ results: await publish(hub, key, messages) });
    },
  });
}

function batchRoute({ hub }: ServerApi): AnyRoute {
  return route({
    method: 'POST',
    path: '/batch',
    scope: 'publish',
    body: manyMessages,
    maxBodyBytes: MAX_BODY_BYTES,
    doc: {
      id: 'batch',
      summary: 'Publish several messages',
      description:
        'Each message has a result of its own. Messages of one room are stored in the order of the request. A request that is wrong is rejected as a whole.',
      success: { description: 'The results of the messages.', schema: responses.results },
      problems: [tooLarge],
    },
    async handle({ key, body: { messages } }) {
      const rejection = reject(key, messages, (i) => `messages.${i}.data`);
      return rejection ?? json({ results: await publish(hub, key, messages) });
    },
  });
}

/** Rejects a request of which a message may not be published. @param fieldOf names its data. */
function reject(
  key: ApiKey,
  messages: readonly Message[],
  fieldOf: (index: number) => string,
): HttpResponse | undefined {
  const forbidden = messages.find((each) => !allowsRoom(key, each.room))?.room;
  if (forbidden !== undefined) return roomForbidden(forbidden);
  const long = messages.findIndex(({ data }) => Buffer.byteLength(JSON.stringify(data)) > MESSAGE_BYTES);
  if (long < 0) return undefined;
  const field = fieldOf(long);
  return problem(413, 'too-large', `The field "${field}" is longer than ${MESSAGE_BYTES} bytes.`, { field });
}

/** Publishes messages in order. Ids count once for all keys of the key's name. */
async function publish(hub: Hub, { name }: ApiKey, messages: readonly Message[]): Promise<readonly Result[]> {
  const sender = `api:${name}`;
  const ids = messages.map(({ id }) => id ?? randomUUID());
  const receipts = messages.map(({ room, data, from = name }, i) => {
    const receipt = new Receipt(from);
    const text = JSON.stringify(data);
    const draft = { room, from, sender, id: ids[i] as string, data: text, json: true, bytes: Buffer.byteLength(text) };
    if (!hub.broadcast({ ...draft, by: receipt })) receipt.refuse();
    return receipt;
  });
  return collect(receipts, (answer, i) => {
    const { room } = messages[i] as Message;
    return { room, id: ids[i] as string, ...fateOf(answer, hub.epochOf(room)) };
  });
}

function fateOf(answer: Answer, epoch: string | undefined) {
  switch (answer.kind) {
    case 'sent': {
      const { seq, duplicate } = answer.sent;
      return { seq, ...(epoch !== undefined && { epoch }), ...(duplicate && { duplicate }) };
    }
    case 'busy':
      return { problem: problemDetails(503, 'busy', 'The queue is full. The message is not stored.') };
    case 'unknown':
      return { problem: problemDetails(503, 'unknown-outcome', UNKNOWN) };
    default:
      return { problem: problemDetails(503, 'unavailable', 'The store cannot be reached. The message is not stored.') };
  }
}

const UNKNOWN = 'The message may be stored or not. A retry with the same id is safe: it is not stored twice.';
