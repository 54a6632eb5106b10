import { isUtf8 } from 'node:buffer';
import { bodyTooLarge, plainText } from '../http/responses.ts';
import type { Place } from '../protocol/v1.ts';
import type { HttpRequest, HttpResponse } from '../transport/transport.ts';
import { fields, isPlace } from '../wire/v1.ts';
import { isRoom } from '../wire/wire.ts';

/** The room that a stream is of, and where in its log the reader starts. */
export interface FirstRoom {
  readonly room: string;
  readonly since?: Place;
  /** Messages before the head. */
  readonly history: number;
}

type ReadRoom =
  | { readonly kind: 'valid'; readonly first: FirstRoom }
  | { readonly kind: 'invalid'; readonly response: HttpResponse };

/** The client messages of a session's stream. */
export type ReadMessages =
  | {
      readonly kind: 'messages';
      /** One message each. */
      readonly lines: readonly string[];
      /** The token of an `auth`, which comes first and is not among the lines. */
      readonly token?: string;
    }
  | { readonly kind: 'invalid'; readonly response: HttpResponse };

// 128 joins, each with a place and the longest names.
const MAX_BODY_BYTES = 64 * 1024;

/**
 * Reads the room of a stream, and the place from `Last-Event-ID`, else from `?after=`.
 *
 * @param segment the room in the path, undecoded.
 */
export function readRoom(request: HttpRequest, segment: string): ReadRoom {
  const room = decode(segment);
  if (!isRoom(room)) return invalid('a room name has 1 to 128 bytes');
  const query = new URLSearchParams(request.query);
  const history = query.get('history') ?? '0';
  if (!/^\d{1,4}$/.test(history) || Number(history) > fields.history) {
    return invalid(`history must be a whole number from 0 to ${fields.history}`);
  }
  const header = request.header('last-event-id');
  const [name, text] = header === '' ? ['after', query.get('after')] : ['Last-Event-ID', header];
  const first = { room, history: Number(history) };
  if (text === null) return { kind: 'valid', first };
  const since = parsePlace(text);
  return since
    ? { kind: 'valid', first: { ...first, since } }
    : invalid(`${name} must be EPOCH:SEQ, the id of an event`);
}

/** Reads the body of a session's stream: a client message of `pumphouse.v1` on each line. */
export async function readMessages(request: HttpRequest): Promise<ReadMessages> {
  const body = await request.body(MAX_BODY_BYTES).catch((error: Error) => error);
  if (body instanceof Error) return { kind: 'invalid', response: plainText(400, body.message) };
  if (body === undefined) return { kind: 'invalid', response: bodyTooLarge() };
  if (!isUtf8(body)) return { kind: 'invalid', response: plainText(400, 'the body is not valid UTF-8') };
  const lines = Buffer.from(body)
    .toString()
    .split('\n')
    .filter((line) => line !== '');
  const token = tokenOf(lines[0]);
  return token === undefined ? { kind: 'messages', lines } : { kind: 'messages', lines: lines.slice(1), token };
}

/** Returns the secret of the session to resume, from a request for a stream; empty for none. */
export function resumeHeader(request: HttpRequest): string {
  const [, secret = ''] = /^session +(\S+)$/i.exec(request.header('authorization')) ?? [];
  return secret || request.header('pumphouse-session');
}

/** Reports whether an Accept header allows an event stream. Absent, it allows everything. */
export function acceptsEvents(accept: string): boolean {
  if (accept === '') return true;
  return accept.split(',').some((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const named = type === 'text/event-stream' || type === 'text/*' || type === '*/*';
    return named && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}

function parsePlace(text: string): Place | undefined {
  const colon = text.lastIndexOf(':');
  const digits = text.slice(colon + 1);
  const place = { epoch: text.slice(0, Math.max(0, colon)), seq: /^\d+$/.test(digits) ? Number(digits) : Number.NaN };
  return isPlace(place) ? place : undefined;
}

function tokenOf(line: string | undefined): string | undefined {
  try {
    const message = JSON.parse(line ?? '') as { t?: unknown; token?: unknown } | null;
    const token = message?.t === 'auth' ? message.token : undefined;
    return typeof token === 'string' && token !== '' ? token : undefined;
  } catch {
    return undefined; // it gets its error once the stream is open
  }
}

function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

function invalid(reason: string): { readonly kind: 'invalid'; readonly response: HttpResponse } {
  return { kind: 'invalid', response: plainText(400, reason) };
}
