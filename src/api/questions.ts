import * as v from 'valibot';
import { foundLives } from './lives.ts';
import { room, user } from './schemas.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const limit = v.pipe(count, v.minValue(1), v.maxValue(1000));

/** What a server that got a request asks every node and worker, itself included. */
export const question = v.variant('kind', [
  v.object({
    kind: v.literal('rooms'),
    prefix: v.string(),
    /** Only the rooms after this name. */
    after: v.string(),
    limit,
    /** The rooms that the key allows. @default all */
    patterns: v.optional(v.array(v.string())),
  }),
  v.object({ kind: v.literal('members'), room, after: v.string(), limit }),
  v.object({ kind: v.literal('disconnect'), user, reconnect: v.boolean(), reason: v.optional(v.string()) }),
  v.object({ kind: v.literal('leave'), user, room }),
  v.object({ kind: v.literal('refresh'), user, within: count }),
  v.object({ kind: v.literal('revoke'), user, before: count }),
  v.object({ kind: v.literal('lives'), by: v.picklist(['session', 'user']), name: v.string() }),
]);

export type Question = v.InferOutput<typeof question>;

const named = v.array(v.tuple([v.string(), count]));

/** The answers of one node or worker, by the kind of the question. */
export const answers = {
  /** Rooms with the number of their members, sorted by name; whether there are more. */
  rooms: v.object({ rooms: named, more: v.boolean() }),
  /** The number of members, and users with the number of their connections, sorted by name. */
  members: v.object({ count, members: named, more: v.boolean() }),
  disconnect: v.object({ closed: count }),
  leave: v.object({ left: count, closed: count }),
  refresh: v.object({ asked: count, closed: count, unaffected: count }),
  revoke: v.object({ closed: count }),
  lives: foundLives,
} satisfies Record<Question['kind'], v.GenericSchema>;

export type AnswerTo<Kind extends Question['kind']> = v.InferOutput<(typeof answers)[Kind]>;
