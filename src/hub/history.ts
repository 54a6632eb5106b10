import type { Notices } from './notices.ts';
import { type LogRecord, MAX_FRAME_BYTES, type Subscriber } from './ports.ts';
import type { Rooms } from './rooms.ts';

/** Asks for records before or after a place in a room's log. */
export interface HistoryRequest {
  readonly subscriber: Subscriber;
  readonly room: string;
  /** The asker's own name for the request, which the answer has too. */
  readonly id?: string | undefined;
  /** Exclusive. Without either: the newest. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  readonly limit: number;
}

/** Answers with as many of the records as fit one frame, those next to the place that was named first of all. */
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
  notices.tell(subscriber, { t: 'history', room: name, ...(id !== undefined && { id }), records, more });
}

// What JSON and the other fields add to a record's data, about.
const AROUND = 150;

function fitting(records: readonly LogRecord[]): LogRecord[] {
  const fits: LogRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    bytes += record.bytes + AROUND;
    if (bytes > MAX_FRAME_BYTES && fits.length > 0) break;
    fits.push(record);
  }
  return fits;
}
