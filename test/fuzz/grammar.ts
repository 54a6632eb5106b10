import type { Random } from '../simulation/virtual.ts';

/** Returns a client's WebSocket frame: usually valid, sometimes with one defect or random bytes. */
export function frame(random: Random): Buffer {
  if (random.chance(0.03)) return bytes(random, random.int(1, 200));
  const payload = payloadOf(random);
  // Mostly text and binary, sometimes control frames, continuations and reserved opcodes.
  const opcode = random.chance(0.8) ? random.pick([1, 1, 1, 2]) : random.int(0, 15);
  const fin = random.chance(0.95) ? 0x80 : 0;
  const reserved = random.chance(0.01) ? random.pick([0x40, 0x20, 0x10]) : 0;
  const masked = !random.chance(0.01);
  const declared = random.chance(0.01) ? random.int(0, 70_000) : payload.length;
  const header = [fin | reserved | opcode, ...lengthOf(declared, masked, random)];
  if (!masked) return Buffer.concat([Buffer.from(header), payload]);
  const mask = bytes(random, 4);
  const maskedPayload = payload.map((byte, i) => byte ^ (mask[i & 3] as number));
  return Buffer.concat([Buffer.from(header), mask, maskedPayload]);
}

/** Encodes a length in 7, 16 or 64 bits, sometimes in more bits than needed, or as a huge one. */
function lengthOf(length: number, masked: boolean, random: Random): number[] {
  const bit = masked ? 0x80 : 0;
  if (random.chance(0.002)) return [bit | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
  if (length < 126 && !random.chance(0.02)) return [bit | length];
  if (length < 65_536 && !random.chance(0.02)) return [bit | 126, length >> 8, length & 255];
  return [bit | 127, 0, 0, 0, 0, (length >> 24) & 255, (length >> 16) & 255, (length >> 8) & 255, length & 255];
}

const KINDS = [
  'join',
  'leave',
  'send',
  'signal',
  'history',
  'ack',
  'ping',
  'auth',
  'report',
  'welcome',
  'shout',
  'constructor',
];
const FIELDS = [
  't',
  'room',
  'id',
  'data',
  'since',
  'history',
  'before',
  'after',
  'limit',
  'seq',
  'token',
  'code',
  'reason',
  'away',
  '__proto__',
];

function payloadOf(random: Random): Buffer {
  const kind = random.next();
  if (kind < 0.1) return bytes(random, random.pick([0, 1, 2, 125, 126, 512, 513, random.int(0, 2000)]));
  if (kind < 0.2) return Buffer.from(text(random));
  if (kind < 0.25)
    return Buffer.from(
      `{"type":${JSON.stringify(random.pick(['send_message', 'change_room', 'x']))},"payload":${json(random, 2)}}`,
    );
  const lines = Array.from({ length: random.chance(0.9) ? 1 : random.int(2, 20) }, () => message(random));
  const whole = Buffer.from(lines.join('\n'));
  return random.chance(0.2) ? mutate(whole, random) : whole;
}

/** Returns a message of the native protocol, sometimes with unexpected fields and types. */
function message(random: Random): string {
  const t = random.pick(KINDS);
  const room = random.pick(['lobby', 'r', 'red', '', 'x'.repeat(128), 'x'.repeat(129), 'é\u{1f600}']);
  const fields = { t, room, id: `${random.int(0, 50)}`, data: 1, history: random.int(0, 20), seq: random.int(0, 5) };
  const entries = Object.entries(fields).map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const count = random.chance(0.5) ? 0 : random.int(1, 4);
  for (let i = 0; i < count; i++) entries.push(`${JSON.stringify(random.pick(FIELDS))}:${json(random, 3)}`);
  return `{${entries.join(',')}}`;
}

export function json(random: Random, depth: number): string {
  const kind = random.int(0, depth > 0 ? 9 : 7);
  if (kind === 8) return `[${Array.from({ length: random.int(0, 4) }, () => json(random, depth - 1)).join(',')}]`;
  if (kind === 9) {
    const inner = Array.from(
      { length: random.int(0, 4) },
      () => `${JSON.stringify(random.pick(FIELDS))}:${json(random, depth - 1)}`,
    );
    return `{${inner.join(',')}}`;
  }
  if (kind === 7) return '['.repeat(random.pick([1, 99, 101, 5000]));
  return random.pick(['null', 'true', '0', '-1', '1e400', '9007199254740993', '0.5', JSON.stringify(text(random))]);
}

export function text(random: Random): string {
  const unit = () =>
    random.pick(['a', ' ', '\n', '\r', '\0', '\u0085', '\ufeff', '\u202e', 'é', '\u{1f600}', '"', '\\', '<']);
  return Array.from({ length: random.pick([0, 1, 5, 50, 600]) }, unit).join('');
}

export const PATHS = [
  '/',
  '/ws',
  '/subscribe',
  '/room',
  '/publish',
  '/login',
  '/healthz',
  '/livez',
  '/readyz',
  '/sign-in.json',
  '/metrics',
  '/../../etc/passwd',
  '/%2e%2e/x',
  '/%',
  '*',
];
const QUERIES = [
  '',
  '?',
  '?room=lobby',
  '?room=',
  '?user=ada',
  '?resume=a.b.c',
  '?otp=x',
  '?token=x',
  '?room_id=red',
  '?%',
  '?a=b&a=c',
];
const METHODS = ['GET', 'GET', 'GET', 'POST', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'CONNECT', 'TRACE', 'get', 'BREW'];
const TYPES = ['text/plain', 'application/json', 'application/x-www-form-urlencoded', 'x'];

/** Returns an HTTP request or handshake: usually valid, sometimes mutated or random bytes. */
export function request(random: Random): Buffer {
  if (random.chance(0.05)) return bytes(random, random.int(1, 500));
  const body = random.chance(0.5)
    ? Buffer.from(random.pick([message(random), json(random, 3), text(random), 'x'.repeat(9000)]))
    : undefined;
  const line = `${random.pick(METHODS)} ${random.pick(PATHS)}${random.pick(QUERIES)} HTTP/${random.pick(['1.1', '1.1', '1.1', '1.0', '2.0', 'x'])}`;
  const headers = ['Host: localhost', ...handshake(random), ...otherHeaders(random)];
  if (body && !random.chance(0.05))
    headers.push(`Content-Length: ${random.chance(0.95) ? body.length : random.int(0, 1e6)}`);
  if (body) headers.push(`Content-Type: ${random.pick(TYPES)}`);
  const whole = Buffer.concat([Buffer.from(`${line}\r\n${headers.join('\r\n')}\r\n\r\n`), body ?? Buffer.alloc(0)]);
  return random.chance(0.2) ? mutate(whole, random) : whole;
}

function handshake(random: Random): string[] {
  if (random.chance(0.4)) return [];
  const headers = [
    `Connection: ${random.pick(['Upgrade', 'keep-alive, Upgrade', 'close', ''])}`,
    `Upgrade: ${random.pick(['websocket', 'WebSocket', 'h2c', ''])}`,
    `Sec-WebSocket-Version: ${random.pick(['13', '8', '', 'x'])}`,
    `Sec-WebSocket-Key: ${random.pick(['MDEyMzQ1Njc4OWFiY2RlZg==', 'short', '', 'x'.repeat(300)])}`,
    `Sec-WebSocket-Protocol: ${random.pick(['pumphouse.v1', 'bearer.x', 'a, b', ''])}`,
    `Origin: ${random.pick(['http://localhost', 'http://evil.example', 'null', '::', ''])}`,
  ];
  return headers.filter(() => random.chance(0.9));
}

function otherHeaders(random: Random): string[] {
  const headers = [
    'Authorization: Bearer x.y.z',
    'Authorization: Basic !!!',
    'X-Forwarded-For: 1.2.3.4, x',
    'Transfer-Encoding: chunked',
    'Expect: 100-continue',
    `X-Long: ${'x'.repeat(random.pick([10, 3000, 9000]))}`,
    'Content-Length: 5',
    'Content-Length: -1',
    'Connection: close',
  ];
  return headers.filter(() => random.chance(0.05));
}

/** Returns a copy with some bytes changed, removed or repeated. */
export function mutate(original: Buffer, random: Random): Buffer {
  let changed = Buffer.from(original);
  for (let times = random.int(1, 4); times > 0 && changed.length > 0; times--) {
    const at = random.int(0, changed.length - 1);
    const length = random.int(1, Math.min(8, changed.length - at));
    const kind = random.int(0, 2);
    if (kind === 0) changed[at] = random.int(0, 255);
    else if (kind === 1) changed = Buffer.concat([changed.subarray(0, at), changed.subarray(at + length)]);
    else changed = Buffer.concat([changed.subarray(0, at + length), changed.subarray(at)]);
  }
  return changed;
}

export function bytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.int(0, 255)));
}
