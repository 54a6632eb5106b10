import * as v from 'valibot';
import type { ConnectionLife, EndReport, FoundLives } from '../protocol/session-life.ts';
import { type ErrorCode, errors } from '../protocol/v1.ts';

const ms = v.number();
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const room = v.optional(v.string());

const event = v.variant('kind', [
  v.object({ kind: v.picklist(['joined', 'left']), at: ms, room }),
  v.object({ kind: v.literal('parked'), at: ms, until: v.optional(ms), room, behind: count }),
  v.object({
    kind: v.literal('refused'),
    at: ms,
    last: ms,
    code: v.picklist(Object.keys(errors) as [ErrorCode, ...ErrorCode[]]),
    count,
    room,
  }),
]);

const connection = v.object({
  session: v.string(),
  user: v.string(),
  wire: v.string(),
  remoteAddress: v.string(),
  authentication: v.picklist(['none', 'token', 'ticket', 'password', 'session', 'hook']),
  resumed: v.boolean(),
  openedAt: ms,
  events: v.array(event),
  forgotten: count,
  roundTrips: v.optional(v.object({ count, min: ms, max: ms, last: v.array(v.object({ at: ms, ms })) })),
  cursors: v.array(v.object({ room: v.string(), epoch: v.string(), seq: count, behind: count })),
  end: v.optional(v.object({ at: ms, code: count, reason: v.string(), by: v.picklist(['server', 'peer']) })),
}) satisfies v.GenericSchema<unknown, ConnectionLife>;

const report = v.object({
  at: ms,
  code: v.optional(count),
  reason: v.string(),
  after: count,
  away: count,
  online: v.optional(v.boolean()),
  visible: v.optional(v.boolean()),
}) satisfies v.GenericSchema<unknown, EndReport>;

/** The connections of a session or a user on one node or worker, and what their clients report. */
export const foundLives: v.GenericSchema<unknown, FoundLives> = v.object({
  connections: v.array(connection),
  reports: v.array(v.object({ session: v.string(), report, over: v.optional(ms) })),
});
