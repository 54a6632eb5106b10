import type { Random } from '../simulation/virtual.ts';
import { bytes, json, mutate, text } from './grammar.ts';

/** The keys that requests are sent with. */
export interface FuzzKeys {
  /** Allows everything. */
  readonly valid: string;
  /** Has the scope `read`, and allows no room but `allowed`. */
  readonly limited: string;
}

/** A request to the Server API. */
export interface ApiRequest {
  readonly bytes: Buffer;
  /** The request is whole and valid HTTP/1.1: the server must answer it, and may not cut it. */
  readonly whole: boolean;
  readonly method: string;
  /** The status, where the request decides it. */
  readonly expected?: number;
}

// Few rooms, so that the server's memory does not depend on the number of requests.
const ROOMS = ['r1', 'r2', 'r3', 'allowed', 'é\u{1f600}', 'a/b %?#'];

const ROUTES = ['/publish', '/broadcast', '/batch', '/rooms/r1', '/rooms/r1/messages', '/openapi.json', '/nothing'];
const ODD_PATHS = [
  '',
  '/',
  '//',
  '/rooms',
  '/rooms/',
  '/rooms/%',
  '/rooms/%zz',
  '/rooms/%ff%fe',
  '/rooms/%00',
  '/rooms/../publish',
  '/rooms/%2e%2e/messages',
  '/rooms/r1/messages/',
  '/publish?',
  '/publish?a=b',
  '/publish;a',
  '/%70ublish',
  '/constructor',
  '/rooms/__proto__',
  `/rooms/${'x'.repeat(129)}`,
  `/rooms/${'x'.repeat(3000)}`,
];
const QUERIES = [
  '',
  '?limit=1',
  '?limit=0',
  '?limit=1e9',
  '?limit=1&limit=2',
  '?before=5',
  '?after=x',
  '?%',
  '?__proto__=1',
  '?&&=',
];
const METHODS = ['GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'BREW', 'get'];
const TYPES = [
  'application/json',
  'application/json; charset=utf-8',
  'text/plain',
  '',
  'application/json; charset=x',
  'x',
];
const FIELDS = ['room', 'data', 'id', 'from', 'rooms', 'messages', '__proto__', 'x'];

/** Returns a request: valid, wrong in one respect, or not HTTP at all. */
export function apiRequest(random: Random, keys: FuzzKeys): ApiRequest {
  const kind = random.next();
  if (kind < 0.55) return validRequest(random, keys);
  if (kind < 0.9) return wrongRequest(random, keys);
  return malformedRequest(random, keys);
}

function validRequest(random: Random, { valid }: FuzzKeys): ApiRequest {
  const kind = random.int(0, 6);
  if (kind === 0) return build(random, 'POST', '/batch', valid, JSON.stringify({ messages: messages(random) }), 200);
  if (kind === 1) return build(random, 'POST', '/broadcast', valid, JSON.stringify(broadcast(random)), 200);
  if (kind === 2)
    return build(random, 'GET', `/rooms/${encodeURIComponent(random.pick(ROOMS))}`, valid, undefined, 200);
  if (kind === 3) {
    const path = `/rooms/${encodeURIComponent(random.pick(ROOMS))}/messages?limit=${random.int(1, 20)}`;
    return build(random, random.pick(['GET', 'HEAD']), path, valid, undefined, 200);
  }
  return build(random, 'POST', '/publish', valid, JSON.stringify(message(random)), 200);
}

function message(random: Random): object {
  const data = random.pick([1, null, 'text', { a: [1, { b: 'é' }] }, 'x'.repeat(random.int(0, 2000))]);
  return {
    room: random.pick(ROOMS),
    data,
    ...(random.chance(0.5) && { id: `${random.int(0, 10_000)}` }),
    ...(random.chance(0.3) && { from: 'Ann' }),
  };
}

function messages(random: Random): object[] {
  return Array.from({ length: random.int(1, 8) }, () => message(random));
}

function broadcast(random: Random): object {
  const { room: _, ...rest } = message(random) as { room: string };
  return { rooms: ROOMS.slice(0, random.int(1, ROOMS.length)), ...rest };
}

/** A request of valid HTTP with random methods, paths, keys, types and bodies. */
function wrongRequest(random: Random, { valid, limited }: FuzzKeys): ApiRequest {
  const kind = random.int(0, 5);
  const body = JSON.stringify(message(random));
  if (kind === 0) {
    const key = random.pick([
      undefined,
      '',
      'x',
      'x'.repeat(3000),
      `${valid}x`,
      valid.slice(1),
      'ph_0000000000000000_',
    ]);
    return build(random, 'POST', '/publish', key, body);
  }
  if (kind === 1) return build(random, 'POST', '/publish', limited, body, 403);
  if (kind === 2)
    return build(random, 'POST', random.pick(['/publish', '/batch', '/broadcast']), valid, anyBody(random));
  const path = random.chance(0.5) ? random.pick(ODD_PATHS) : random.pick(ROUTES);
  const method = random.pick(METHODS);
  const sent = random.chance(0.5) ? anyBody(random) : undefined;
  const key = random.pick([valid, valid, limited]);
  return build(
    random,
    method,
    path + (random.chance(0.5) ? random.pick(QUERIES) : ''),
    key,
    sent,
    undefined,
    random.pick(TYPES),
  );
}

function anyBody(random: Random): string | Buffer {
  const whole = () => JSON.stringify(random.pick([message(random), { messages: messages(random) }, broadcast(random)]));
  switch (random.int(0, 6)) {
    case 0:
      return mutate(Buffer.from(whole()), random);
    case 1:
      return json(random, 4);
    case 2:
      return text(random);
    case 3:
      return bytes(random, random.int(0, 300));
    case 4:
      return `{${Array.from({ length: random.int(0, 5) }, () => `"${random.pick(FIELDS)}":${json(random, 2)}`).join(',')}}`;
    case 5:
      return `{"room":"r1","data":${JSON.stringify('x'.repeat(random.pick([16_000, 17_000, 140_000])))}}`;
    default:
      return whole();
  }
}

/** Bytes that are not a whole request of valid HTTP. */
function malformedRequest(random: Random, keys: FuzzKeys): ApiRequest {
  const { bytes: original, method } = random.chance(0.5) ? validRequest(random, keys) : wrongRequest(random, keys);
  const whole = false;
  switch (random.int(0, 4)) {
    case 0: // an aborted request
      return { bytes: original.subarray(0, random.int(0, original.length - 1)), whole, method };
    case 1:
      return { bytes: mutate(original, random), whole, method };
    case 2:
      return { bytes: bytes(random, random.int(1, 400)), whole, method };
    case 3:
      return { bytes: withHeader(original, random.pick(BAD_HEADERS)), whole, method };
    default:
      return {
        bytes: Buffer.from(random.pick(BAD_LINES) + original.toString('latin1').replace(/^[^\r]*/, '')),
        whole,
        method,
      };
  }
}

const BAD_HEADERS = [
  'Content-Length: -1',
  'Content-Length: 1\r\nContent-Length: 2',
  'Content-Length: 99999999999999999999',
  'Content-Length: 1000000',
  'Content-Length: 1e3',
  'Transfer-Encoding: chunked\r\nContent-Length: 3',
  'Transfer-Encoding: gzip',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
  'no colon',
  ': empty',
  'a b: c',
  'x: \0',
  'x:\n y',
  `x: ${'y'.repeat(20_000)}`,
  'Host: twice',
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13',
];

const BAD_LINES = [
  'POST /api/v1/publish HTTP/1.0',
  'POST /api/v1/publish HTTP/2.0',
  'POST /api/v1/publish',
  'POST  /api/v1/publish  HTTP/1.1',
  'POST http://x/api/v1/publish HTTP/1.1',
  'POST /api/v1/p\0ublish HTTP/1.1',
  'POST /api/v1/rooms/\u00ff HTTP/1.1',
  '\r\n\r\nPOST /api/v1/publish HTTP/1.1',
  'PRI * HTTP/2.0\r\n\r\nSM',
];

function withHeader(original: Buffer, header: string): Buffer {
  const end = original.indexOf('\r\n') + 2;
  return Buffer.concat([original.subarray(0, end), Buffer.from(`${header}\r\n`, 'latin1'), original.subarray(end)]);
}

function build(
  random: Random,
  method: string,
  path: string,
  key: string | undefined,
  body?: string | Buffer,
  expected?: number,
  type = 'application/json',
): ApiRequest {
  const content = body === undefined ? undefined : Buffer.from(body);
  const chunked = content !== undefined && random.chance(0.15);
  const headers = [
    `${method} /api/v1${path} HTTP/1.1`,
    'Host: localhost',
    ...(key === undefined ? [] : [`Authorization: Bearer ${key}`]),
    ...(content === undefined || type === '' ? [] : [`Content-Type: ${type}`]),
    ...(content === undefined ? [] : [chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${content.length}`]),
    ...(random.chance(0.02) ? ['Expect: 100-continue'] : []),
    ...(random.chance(0.05) ? [`X-Padding: ${'x'.repeat(random.int(0, 2000))}`] : []),
  ];
  const head = Buffer.from(`${headers.join('\r\n')}\r\n\r\n`);
  const sent = content === undefined ? Buffer.alloc(0) : chunked ? inChunks(content, random) : content;
  // Node takes no method that it does not know.
  const whole = method !== 'BREW' && method !== 'get';
  return { bytes: Buffer.concat([head, sent]), whole, method, ...(expected !== undefined && { expected }) };
}

function inChunks(content: Buffer, random: Random): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < content.length; ) {
    const part = content.subarray(at, at + random.int(1, 4000));
    parts.push(Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n'));
    at += part.length;
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}
