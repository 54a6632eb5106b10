import type { LogRecord } from './log.ts';
import type { Notices } from './notices.ts';
import type { Rooms } from './rooms.ts';
import { MAX_FRAME_BYTES, type Subscriber } from './subscriber.ts';

/** A request for records before or after a place in a room's log. */
export interface HistoryRequest {
  readonly subscriber: Subscriber;
  readonly room: string;
  /** The client's own name for the request, which the answer repeats. */
  readonly id?: string | undefined;
  /** Exclusive. Without `before` and `after` the newest records are returned. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  readonly limit: number;
}

/** Answers with the requested records that fit one frame: those closest to the requested place. */
export function answerHistory(
  { subscriber, room: name, id, before, after, limit }: HistoryRequest,
  rooms: Rooms,
  notices: Notices,
): void {
  if (subscriber.closed) return;
  const room = rooms.get(name);
  const { head } = room.log;
  const end = Math.min(before ?? head + 1, head + 1);
  const start = after ?? Math.max(end - 1 - limit, room.first - 1);
  const found = room.read(Math.max(start, room.first - 1), after === undefined ? Math.max(0, end - 1 - start) : limit);
  const records = after === undefined ? fitting(found.toReversed()).reverse() : fitting(found);
  const [oldest, newest] = [records[0]?.seq ?? end, records.at(-1)?.seq ?? head];
  const more = after === undefined ? oldest > room.first : newest < head;
  notices.notify(subscriber, { t: 'history', room: name, ...(id !== undefined && { id }), records, more });
}

// Bytes that JSON and the other fields add to a record's data, about.
const RECORD_OVERHEAD = 150;

/** Returns the first records that fit one frame, and at least one. */
function fitting(records: readonly LogRecord[]): LogRecord[] {
  const result: LogRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    bytes += record.bytes + RECORD_OVERHEAD;
    if (bytes > MAX_FRAME_BYTES && result.length > 0) break;
    result.push(record);
  }
  return result;
}
