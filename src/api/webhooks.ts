import * as v from 'valibot';
import { json } from '../http/responses.ts';
import type { HttpResponse } from '../transport/transport.ts';
import { problem } from './problem.ts';
import { type AnyRoute, route } from './route.ts';
import { epoch, name, room, seq } from './schemas.ts';

/** What became of a replay. */
type ReplayResult =
  | { readonly kind: 'replayed'; readonly rooms: number }
  | { readonly kind: 'unknown_webhook' }
  | { readonly kind: 'unknown_room' }
  | { readonly kind: 'beyond'; readonly head: number };

/** Reports on webhooks, and replays them. */
export interface WebhookControl {
  list(): Promise<readonly object[]>;
  replay(name: string, request: { readonly after: number; readonly room?: string | undefined }): Promise<ReplayResult>;
}

/** What the routes of webhooks act on. */
interface WebhookApi {
  readonly webhooks?: WebhookControl | undefined;
}

const lag = v.pipe(v.number(), v.integer(), v.description('How many messages wait for the receiver.'));

const report = v.object({
  name: v.string(),
  url: v.pipe(v.string(), v.description("The origin of the receiver's URL.")),
  patterns: v.pipe(v.array(v.string()), v.description('The rooms, by name or prefix.')),
  cursors: v.pipe(v.number(), v.integer(), v.description('How many rooms have a cursor.')),
  lag,
  failingSince: v.exactOptional(
    v.pipe(v.number(), v.description('Since when attempts fail, in milliseconds since 1970. Absent if none fails.')),
  ),
  lastStatus: v.exactOptional(
    v.pipe(v.string(), v.description('The outcome of the last attempt: a status, or a reason such as `timeout`.')),
  ),
  lastAt: v.exactOptional(v.pipe(v.number(), v.description('When it ended, in milliseconds since 1970.'))),
  disabled: v.exactOptional(v.pipe(v.literal(true), v.description('The receiver has answered with 410 Gone.'))),
  rooms: v.pipe(
    v.array(
      v.object({
        room,
        epoch,
        seq: v.pipe(seq, v.description('Everything up to this message is delivered.')),
        head: v.pipe(seq, v.description('The newest message of the room.')),
        lag,
      }),
    ),
    v.description('The rooms with the greatest lag, at most 100.'),
  ),
});

const replay = v.strictObject({
  after: v.pipe(seq, v.description('Messages after this one are delivered again; 0 for all that are stored.')),
  room: v.exactOptional(
    v.pipe(
      name(256),
      v.description('The room. Its cursor may also move forward. Defaults to all rooms that are delivered further.'),
    ),
  ),
});

const unavailable: NonNullable<AnyRoute['doc']['problems']> = [[503, 'unavailable', 'The store cannot be reached.']];

/** Returns the routes of webhooks. */
export function webhookRoutes(api: WebhookApi): readonly AnyRoute[] {
  return [listRoute(api), replayRoute(api)];
}

function listRoute({ webhooks }: WebhookApi): AnyRoute {
  return route({
    method: 'GET',
    path: '/webhooks',
    scope: 'admin',
    doc: {
      id: 'listWebhooks',
      summary: 'List the webhooks',
      description: 'How each webhook fares, on whichever node it is delivered.',
      success: { description: 'The webhooks.', schema: v.object({ webhooks: v.array(report) }) },
      problems: unavailable,
    },
    async handle() {
      try {
        return json({ webhooks: (await webhooks?.list()) ?? [] });
      } catch {
        return problem(503, 'unavailable', 'The store cannot be reached.');
      }
    },
  });
}

function replayRoute({ webhooks }: WebhookApi): AnyRoute {
  return route({
    method: 'POST',
    path: '/webhooks/{name}/replay',
    scope: 'admin',
    body: replay,
    doc: {
      id: 'replayWebhook',
      summary: 'Deliver messages again',
      description:
        'Moves the cursors of a webhook. What follows is delivered in new requests, with new ids. A webhook that a 410 has disabled is enabled.',
      success: {
        description: 'The cursors are moved.',
        schema: v.object({ rooms: v.pipe(v.number(), v.integer(), v.description('How many cursors were moved.')) }),
      },
      problems: [
        [404, 'not-found', 'The webhook is unknown, or does not have the room.'],
        [400, 'invalid-field', '`after` is beyond the newest message of the room.'],
        ...unavailable,
      ],
    },
    async handle({ params, body: { after, room: only } }) {
      const webhook = params['name'] as string;
      try {
        const result = await webhooks?.replay(webhook, { after, room: only });
        return responseOf(result ?? { kind: 'unknown_webhook' }, webhook, only);
      } catch {
        return problem(503, 'unavailable', 'The store cannot be reached.');
      }
    },
  });
}

function responseOf(result: ReplayResult, webhook: string, only: string | undefined): HttpResponse {
  switch (result.kind) {
    case 'replayed':
      return json({ rooms: result.rooms });
    case 'unknown_webhook':
      return problem(404, 'not-found', `No webhook has the name ${JSON.stringify(webhook)}.`);
    case 'unknown_room':
      return problem(404, 'not-found', `The webhook has no room ${JSON.stringify(only)}.`);
    case 'beyond':
      return problem(400, 'invalid-field', `"after" must be at most ${result.head}, the newest message.`, {
        field: 'after',
      });
  }
}
