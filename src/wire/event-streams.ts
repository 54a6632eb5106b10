import { randomBytes } from 'node:crypto';
import type { LogRecord, Records } from '../hub/log.ts';
import type { Notice } from '../hub/subscriber.ts';
import { type Close, closes } from '../protocol/close-codes.ts';
import type { ErrorMessage } from '../protocol/v1.ts';
import { LineBuffer } from './line-buffer.ts';
import { encodeRecord } from './record-json.ts';
import { decode, defaults, encodeLines, encodeNotice, lineOf, lineWithChanges, messagePrefix, notices } from './v1.ts';
import type { Wire, WireLimits } from './wire.ts';

/** The wires of the streams over HTTP. No listener can be pinned to one. */
export interface StreamWires {
  /** Of `GET /api/v1/rooms/{room}/events`. */
  readonly room: Wire;
  /** Of `POST /api/v1/session/events`. */
  readonly session: Wire;
}

/** Creates one instance of each. @param limits override those of both. */
export function createStreamWires(limits: Partial<WireLimits> = {}): StreamWires {
  return { room: roomEvents(limits), session: sessionEvents(limits) };
}

// Browsers come back after this time, at random up to twice as long. Without a minimum Chromium
// would try again without a pause while the server is away.
const RETRY_MS = 1_000;

/** Returns the field that makes an `EventSource` wait for `ms`, and a second or two more. */
function retryField(ms: number): string {
  return `retry: ${Math.round(ms + RETRY_MS * (1 + Math.random()))}\n`;
}

/**
 * Returns a stream that ends at once: the refusal of a client that may come back. An `EventSource`
 * gives up for good on any status but 200.
 */
export function refusedStream(close: Close, error?: ErrorMessage): string {
  const retry = retryField(error?.retryAfter ?? 0);
  const event = error ? encodeNamedEvent(error) : '';
  return `${retry}${event}event: close\ndata: ${JSON.stringify(close)}\n\n`;
}

const ROOM_NOTICES: Wire['notices'] = new Set(['joined', 'gap', 'presence', 'signal', 'drain', 'error'] as const);

/**
 * The wire of `EventSource`: the events of one room. A record is a default event, whose data is the
 * `message` of `pumphouse.v1` and whose id is its place, `EPOCH:SEQ`. Notices are named events. The
 * client sends nothing, so an error ends the stream.
 */
function roomEvents(limits: Partial<WireLimits> = {}): Wire {
  const buffer = new LineBuffer('\n');
  return {
    ...defaults,
    ...limits,
    pongWait: 0,
    name: 'sse',
    path: '/api/v1/rooms/{room}/events',
    library: 'coder',
    rooms: [],
    merges: true,
    endsOnError: true,
    guest: () => `guest-${randomBytes(3).toString('base64url')}`,
    notices: ROOM_NOTICES,
    decode: () => [{ kind: 'violation', close: closes.unexpectedData }],
    encode(room, records, from, maxBytes, epoch) {
      const [id, data] = [`id: ${epoch}:`, `\ndata: ${messagePrefix(room)}`];
      const encodeLine = (record: LogRecord) => {
        const own = onOneLine(encodeRecord(record));
        return own === '' ? '' : `${id}${record.seq}${data}${own}\n`;
      };
      return encodeLines(buffer, records, from, maxBytes, encodeLine);
    },
    encodeNotice: encodeNamedEvent,
    closeFrame: (close) => close,
  };
}

/**
 * The wire of a session without a WebSocket: each event holds the lines of one frame of
 * `pumphouse.v1`. The client's messages come with its request.
 */
function sessionEvents(limits: Partial<WireLimits> = {}): Wire {
  const buffer = new LineBuffer('\n\n');
  const encoder = {
    merges: true,
    notices,
    encode(room: string, records: Records, from: number, maxBytes: number) {
      const prefix = `data: ${messagePrefix(room)}`;
      const encodeLine = (record: LogRecord) => lineOf(prefix, onOneLine(encodeRecord(record)));
      return encodeLines(buffer, records, from, maxBytes, encodeLine);
    },
    encodeNotice: (notice: Notice) => `data: ${onOneLine(encodeNotice(notice))}\n\n`,
  };
  return {
    ...defaults,
    ...limits,
    pongWait: 0,
    name: 'v1-sse',
    path: '/api/v1/session/events',
    library: 'coder',
    rooms: [],
    ...encoder,
    withChanges: {
      ...encoder,
      name: 'v1-sse',
      encode(room, records, from, maxBytes) {
        return encodeLines(buffer, records, from, maxBytes, lineWithChanges(room, 'data: ', onOneLine));
      },
    },
    decode,
    closeFrame: (close) => close,
  };
}

/**
 * A place is an id as well: without one, a client that lost its connection before the first message
 * would come back at the head.
 */
function encodeNamedEvent(notice: Notice): string {
  const event = `event: ${notice.t}\ndata: ${encodeNotice(notice)}\n\n`;
  if (notice.t === 'joined') {
    return `${retryField(0)}id: ${notice.epoch}:${notice.seq}\n${event}`;
  }
  return notice.t === 'drain' ? `${retryField(notice.reconnectIn)}${event}` : event;
}

const LINE_BREAKS = /[\r\n]/g;

/** Only white space between the tokens of JSON can be a line break, which would end the field. */
function onOneLine(json: string): string {
  return json.includes('\r') || json.includes('\n') ? json.replace(LINE_BREAKS, ' ') : json;
}
