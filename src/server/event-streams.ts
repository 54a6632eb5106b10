import type { Access, StreamRequest } from '../accept/handshake-request.ts';
import type { Refusal } from '../accept/refusal.ts';
import { acceptsEvents, readMessages, readRoom } from '../accept/stream-request.ts';
import type { Upgrader } from '../accept/upgrader.ts';
import { type ProblemType, problem } from '../api/problem.ts';
import { answerPreflight, corsHeaders, withHeaders } from '../http/cors.ts';
import type { Origins } from '../http/origin.ts';
import { plainText } from '../http/responses.ts';
import { comesBack } from '../protocol/close-codes.ts';
import { andThen, type NowOrLater } from '../protocol/now-or-later.ts';
import type { HttpAnswer, HttpRequest, HttpResponse } from '../transport/transport.ts';
import { refusedStream, type StreamWires } from '../wire/event-streams.ts';

const SESSION_PATH = '/api/v1/session/events';
const ROOM_PATH = /^\/api\/v1\/rooms\/([^/]+)\/events$/;

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // A proxy that compressed or buffered the stream would hold its events back.
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
};

export interface EventStreamOptions {
  readonly upgrader: Upgrader;
  readonly access: Access;
  readonly wires: StreamWires;
  readonly origins: Origins;
}

/** Returns the handler of requests for streams, which returns undefined for other paths. */
export function createEventStreams(options: EventStreamOptions) {
  return (request: HttpRequest): NowOrLater<HttpAnswer> | undefined => {
    const { path } = request;
    if (path === SESSION_PATH) return answer(request, 'POST', options, sessionRequest);
    const room = ROOM_PATH.exec(path)?.[1];
    if (room === undefined) return undefined;
    return answer(request, 'GET, HEAD', options, (request, options) => roomRequest(room, request, options));
  };
}

/** @param methods of the path, as the header `Allow` lists them. */
function answer(
  request: HttpRequest,
  methods: string,
  options: EventStreamOptions,
  read: (request: HttpRequest, options: EventStreamOptions) => StreamRequest,
): NowOrLater<HttpAnswer> {
  const { upgrader, origins } = options;
  const preflight = answerPreflight(request, origins, methods);
  if (preflight) return preflight;
  const cors = corsHeaders(request, origins);
  const headers = { ...HEADERS, ...cors };
  const stream = read(request, options);
  const defect = checkMethod(request, methods) ?? checkAccept(request) ?? stream.defect;
  if (request.method === 'HEAD' && defect === undefined) return { status: 200, headers, body: '' };
  // This is what an EventSource sends, and what no other client has a reason to.
  const isEventSource = request.header('accept') === 'text/event-stream';
  return andThen(upgrader.openStream(request, { ...stream, defect }), (decision) => {
    if (decision.kind === 'opened') return { headers, listener: decision.listener };
    const { notice } = decision.refusal;
    if (!isEventSource || notice === undefined || !comesBack(notice.close.code)) {
      return withHeaders(problemOf(decision.refusal), cors);
    }
    const body = refusedStream(notice.close, notice.error);
    return { status: 200, headers: { ...headers, connection: 'close' }, body };
  });
}

function roomRequest(segment: string, request: HttpRequest, { access, wires }: EventStreamOptions): StreamRequest {
  const read = readRoom(request, segment);
  const { room: wire } = wires;
  return read.kind === 'valid' ? { wire, access, first: read.first } : { wire, access, defect: read.response };
}

function sessionRequest(request: HttpRequest, { access, wires }: EventStreamOptions): StreamRequest {
  return { wire: wires.session, access, messages: readMessages(request) };
}

function checkMethod({ method }: HttpRequest, methods: string): HttpResponse | undefined {
  if (methods.split(', ').includes(method)) return undefined;
  return plainText(405, `the method must be one of ${methods}`, { Allow: `OPTIONS, ${methods}` });
}

function checkAccept({ header }: HttpRequest): HttpResponse | undefined {
  if (acceptsEvents(header('accept'))) return undefined;
  return plainText(406, 'the response is a text/event-stream, which the header Accept excludes');
}

/** By status; where a reason has a type of its own, by reason. */
const TYPES: Readonly<Record<number, ProblemType>> = {
  400: 'invalid-query',
  401: 'unauthorized',
  403: 'forbidden',
  405: 'method-not-allowed',
  406: 'not-acceptable',
  413: 'too-large',
  429: 'too-many-requests',
};

const UNAVAILABLE: Readonly<Partial<Record<Refusal['reason'], ProblemType>>> = {
  draining: 'draining',
  max_connections: 'busy',
  max_handshakes: 'busy',
};

/** Titles that are about keys in the Server API. */
const TITLES: Readonly<Partial<Record<ProblemType, string>>> = {
  unauthorized: 'Not signed in',
  forbidden: 'Not allowed',
};

/** Returns the refusal of a stream as problem details. */
function problemOf({ reason, response, notice }: Refusal): HttpResponse {
  const { status, headers } = response;
  const type = TYPES[status] ?? UNAVAILABLE[reason] ?? 'unavailable';
  const title = TITLES[type];
  const text = Buffer.from(response.body).toString().trim();
  const detail = notice?.error?.message ?? (notice?.close.reason || text);
  const { Allow: allow } = headers;
  const ms = notice?.error?.retryAfter;
  const retryAfter = headers['Retry-After'] ?? (ms === undefined ? undefined : `${Math.ceil(ms / 1000)}`);
  return problem(status, type, detail, title ? { title } : {}, {
    ...(retryAfter !== undefined && { 'Retry-After': retryAfter }),
    ...(allow !== undefined && { Allow: allow }),
    ...(status === 401 && { 'WWW-Authenticate': 'Bearer' }),
  });
}
