import { errors } from '../protocol/v1.ts';
import { sizeOf, withChanges } from './changes.ts';
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
  /**
   * Whether to return deleted messages.
   *
   * @default as the subscriber's membership says
   */
  readonly changes?: boolean;
}

/** A request that is being answered. */
interface Search {
  readonly request: HistoryRequest;
  /** Where the reading goes on: as in the request, past the records that have no messages. */
  readonly before: number | undefined;
  readonly after: number | undefined;
  /** The outer end of what has been read. */
  readonly edge: number | undefined;
  /** Reads so far, with this one. */
  readonly pages: number;
}

// Reads that wait for an engine: past so many, requests are rejected.
const MAX_READING = 256;

// Reads of one request. Past so many that find nothing but changes, the answer has no messages;
// past so many that are void, it is rejected.
const MAX_PAGES = 16;

/** Answers requests for history. */
export class HistoryReader {
  readonly #notices: Notices;
  readonly #lateReads: LateReads;

  constructor(notices: Notices, lateReads: LateReads) {
    this.#notices = notices;
    this.#lateReads = lateReads;
  }

  /**
   * Answers with the requested messages that fit one frame: those closest to the requested place.
   */
  answer(room: Room, request: HistoryRequest): void {
    const { before, after } = request;
    this.#search(room, { request, before, after, edge: undefined, pages: 1 });
  }

  #search(room: Room, search: Search): void {
    const { request, before, after } = search;
    const { subscriber, limit } = request;
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
    else if (records instanceof Promise) this.#answerLater(room, search, end, records);
    else this.#found(room, search, end, records);
  }

  /** Starts anew, unless a log that jumps again and again makes every read void. */
  #searchAgain(room: Room, { request, pages }: Search): void {
    const { before, after } = request;
    if (pages < MAX_PAGES) this.#search(room, { request, before, after, edge: undefined, pages: pages + 1 });
    else this.reject(request, 'unavailable');
  }

  /** Tells the client that its request cannot be answered now. */
  reject({ subscriber, room, id }: HistoryRequest, code: 'busy' | 'unavailable'): void {
    const message = code === 'busy' ? errors.busy.message : 'the history could not be read';
    const named = { room, ...(id !== undefined && { id }) };
    if (!subscriber.closed) this.#notices.notify(subscriber, { t: 'error', code, ...errors[code], message, ...named });
  }

  #answerLater(room: Room, search: Search, end: number, reading: Promise<readonly LogRecord[]>): void {
    const { jumps } = room;
    room.addReader();
    const changes = room.collectChanges();
    const finish = (answer: () => void) => {
      room.endCollection(changes);
      room.removeReader();
      answer();
    };
    this.#lateReads.add(
      reading,
      // What was read before a jump may be lost by now, or lack changes: it is read again.
      (records) =>
        finish(() =>
          room.jumps === jumps
            ? this.#found(room, search, end, withChanges(records, changes))
            : this.#searchAgain(room, search),
        ),
      () => finish(() => this.reject(search.request, 'unavailable')),
    );
  }

  /** Answers with what was read, or reads on where there is nothing to show. */
  #found(room: Room, search: Search, end: number, found: readonly LogRecord[]): void {
    const { request, after, edge, pages } = search;
    const { subscriber, id } = request;
    if (subscriber.closed) return;
    const { head } = room.log;
    // Where the oldest ones were trimmed meanwhile, the engine has read the next ones.
    const isEarlier = ({ seq }: LogRecord) => seq < end;
    const read = after === undefined ? fitting(found.filter(isEarlier).toReversed()).reverse() : fitting(found);
    // What was committed since the request is not covered.
    const [oldest, newest] = [read[0]?.seq ?? end, read.at(-1)?.seq ?? end - 1];
    const more = after === undefined ? oldest > room.first : newest < head;
    const records = read.filter(request.changes ? isMessage : isUndeleted);
    // A page that does not follow the one before begins after what has been trimmed in between.
    const follows = after !== undefined && oldest === after + 1;
    const from = after === undefined ? oldest : ((follows ? edge : undefined) ?? Math.min(oldest, newest + 1));
    const to = after === undefined ? (edge ?? (read.length > 0 ? newest : end - 1)) : newest;
    if (records.length === 0 && more && read.length > 0 && pages < MAX_PAGES) {
      const next = after === undefined ? { before: oldest, edge: to } : { after: newest, edge: from };
      this.#search(room, { ...search, ...next, pages: pages + 1 });
      return;
    }
    const named = { t: 'history', room: room.name, ...(id !== undefined && { id }) } as const;
    this.#notices.notify(subscriber, { ...named, records, from, to: Math.max(to, from - 1), more });
  }
}

// Bytes that JSON and the other fields add to a record's data, about.
const RECORD_OVERHEAD = 150;

/** Returns the first records that fit one frame, and at least one. */
function fitting(records: readonly LogRecord[]): LogRecord[] {
  const result: LogRecord[] = [];
  let bytes = 0;
  for (const record of records) {
    bytes += sizeOf(record) + RECORD_OVERHEAD;
    if (bytes > MAX_FRAME_BYTES && result.length > 0) break;
    result.push(record);
  }
  return result;
}

function isMessage({ extra }: LogRecord): boolean {
  return extra?.kind !== 'change';
}

function isUndeleted({ extra }: LogRecord): boolean {
  return extra === undefined || (extra.kind === 'message' && extra.deleted === undefined);
}
