import { errors } from '../protocol/v1.ts';
import type { LateReads } from './late-reads.ts';
import type { LogRecord } from './log.ts';
import type { Notices } from './notices.ts';
import type { Room } from './room.ts';
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

// Reads that wait for an engine: past so many, requests are rejected.
const MAX_READING = 256;

/** Answers requests for history. */
export class HistoryReader {
  readonly #notices: Notices;
  readonly #lateReads: LateReads;

  constructor(notices: Notices, lateReads: LateReads) {
    this.#notices = notices;
    this.#lateReads = lateReads;
  }

  /**
   * Answers with the requested records that fit one frame: those closest to the requested place.
   */
  answer(room: Room, request: HistoryRequest): void {
    const { subscriber, before, after, limit } = request;
    if (subscriber.closed) return;
    if (room.isReleased) {
      this.reject(request, 'unavailable');
      return;
    }
    const { head } = room.log;
    const end = Math.min(before ?? head + 1, head + 1);
    const start = Math.max(after ?? end - 1 - limit, room.first - 1);
    const count = after === undefined ? Math.max(0, end - 1 - start) : limit;
    const records = this.#lateReads.reading < MAX_READING ? room.read(start, count) : undefined;
    if (records === undefined) this.reject(request, 'busy');
    else if (records instanceof Promise) this.#answerLater(room, request, end, records);
    else this.#reply(room, request, end, records);
  }

  /** Tells the client that its request cannot be answered now. */
  reject({ subscriber, room, id }: HistoryRequest, code: 'busy' | 'unavailable'): void {
    const message = code === 'busy' ? errors.busy.message : 'the history could not be read';
    const named = { room, ...(id !== undefined && { id }) };
    if (!subscriber.closed) this.#notices.notify(subscriber, { t: 'error', code, ...errors[code], message, ...named });
  }

  #answerLater(room: Room, request: HistoryRequest, end: number, reading: Promise<readonly LogRecord[]>): void {
    const { epoch } = room;
    room.addReader();
    const finish = (answer: () => void) => {
      room.removeReader();
      answer();
    };
    this.#lateReads.add(
      reading,
      // Records that were read before a move may be lost: they are read again.
      (records) =>
        finish(() => (room.epoch === epoch ? this.#reply(room, request, end, records) : this.answer(room, request))),
      () => finish(() => this.reject(request, 'unavailable')),
    );
  }

  #reply(room: Room, request: HistoryRequest, end: number, found: readonly LogRecord[]): void {
    const { subscriber, id, after } = request;
    if (subscriber.closed) return;
    const { head } = room.log;
    const records = after === undefined ? fitting(found.toReversed()).reverse() : fitting(found);
    const [oldest, newest] = [records[0]?.seq ?? end, records.at(-1)?.seq ?? head];
    const more = after === undefined ? oldest > room.first : newest < head;
    const history = { t: 'history', room: room.name, ...(id !== undefined && { id }), records, more } as const;
    this.#notices.notify(subscriber, history);
  }
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
