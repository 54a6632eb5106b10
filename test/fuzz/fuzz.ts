import { Random } from '../simulation/virtual.ts';
import { frame, request } from './grammar.ts';
import { Peer } from './peer.ts';

/** The result of a run. */
export interface Findings {
  /** The number of frames, handshakes and requests sent. */
  readonly cases: number;
  /** The number of answers by kind: HTTP statuses and close codes. */
  readonly answers: Readonly<Record<string, number>>;
  /** The failures, each with the seed and the connection number that reproduce it. */
  readonly failures: readonly string[];
}

const TIMEOUT_MS = 5_000;
const CONNECTIONS = 40;
const MAX_FAILURES = 10;
const MAX_FRAMES = 60;

// The statuses that the server may send. 500 would be a bug.
const STATUSES = [101, 200, 202, 204, 400, 401, 403, 404, 405, 408, 411, 413, 414, 417, 426, 429, 431, 501, 503, 505];

/** Reports whether a close frame may carry the code (RFC 6455, section 7.4). */
const isCloseCode = (code: number) =>
  (code >= 1000 && code <= 1013 && ![1004, 1006].includes(code)) || (code >= 3000 && code <= 4999);

/**
 * Sends `count` random and mutated frames, handshakes and requests to a server.
 *
 * @param port of a server without a publish rate.
 */
export async function fuzz(port: number, seed: number, count: number): Promise<Findings> {
  const answers: Record<string, number> = {};
  const failures: string[] = [];
  let cases = 0;
  let connections = 0;
  const worker = async () => {
    while (cases < count && failures.length < MAX_FAILURES) {
      const connection = connections++;
      const random = new Random(seed * 1_000_003 + connection);
      const outcome = random.chance(0.5) ? await sendFrames(port, random) : await sendRequest(port, random);
      cases += outcome.cases;
      for (const answer of outcome.answers) answers[answer] = (answers[answer] ?? 0) + 1;
      if (outcome.failure) failures.push(`seed ${seed}, connection ${connection}: ${outcome.failure}`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  return { cases, answers, failures };
}

interface Outcome {
  readonly cases: number;
  readonly answers: readonly string[];
  readonly failure?: string;
}

/**
 * Sends one request or handshake, valid or not, whole or in pieces. The server must answer with a
 * proper status or close the connection.
 */
async function sendRequest(port: number, random: Random): Promise<Outcome> {
  const peer = new Peer(port);
  const bytes = request(random);
  const pieces = random.chance(0.2) ? random.int(2, 4) : 1;
  for (let i = 0; i < pieces; i++) {
    const piece = bytes.subarray((i * bytes.length) / pieces, ((i + 1) * bytes.length) / pieces);
    await peer.write(piece);
  }
  await peer.until(() => peer.received.includes('\r\n\r\n') || peer.closed, 100);
  peer.end();
  const ended = await peer.until(() => peer.closed, TIMEOUT_MS);
  peer.destroy();
  const answer = peer.received.toString('latin1').replace(/^(HTTP\/1\.1 100 Continue\r\n\r\n)+/, '');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
  if (!ended)
    return { cases: 1, answers: ['hang'], failure: `hangs after ${JSON.stringify(bytes.toString('latin1'))}` };
  if (answer === '') return { cases: 1, answers: ['cut'] };
  const allowed = STATUSES.includes(status);
  const describe = () =>
    `${JSON.stringify(peer.received.toString('latin1').slice(0, 200))} for ${JSON.stringify(bytes.toString('latin1'))}`;
  return { cases: 1, answers: [`http ${status}`], ...(!allowed && { failure: describe() }) };
}

const PATHS = ['/ws', '/ws?room=lobby', '/subscribe', '/room'];

/** Sends a valid handshake, then frames of all kinds until either side closes the connection. */
async function sendFrames(port: number, random: Random): Promise<Outcome> {
  const peer = new Peer(port);
  const native = random.chance(0.5) ? 'Sec-WebSocket-Protocol: pumphouse.v1\r\n' : '';
  const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n';
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
  await peer.write(
    Buffer.from(`GET ${random.pick(PATHS)} HTTP/1.1\r\nHost: localhost:${port}\r\n${upgrade}${key}${native}\r\n`),
  );
  if (!(await peer.until(() => peer.received.includes('\r\n\r\n'), TIMEOUT_MS))) {
    peer.destroy();
    return { cases: 1, answers: [], failure: 'a valid handshake got no response' };
  }
  let cases = 1;
  for (const end = random.int(1, MAX_FRAMES); cases < end && !peer.closed; cases++) await peer.write(frame(random));
  // A close frame or the end of the stream must end the connection, whatever was sent before.
  await peer.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]));
  peer.end();
  const ended = await peer.until(() => peer.closed, TIMEOUT_MS);
  peer.destroy();
  if (!ended) return { cases, answers: ['hang'], failure: 'hangs after frames' };
  const code = closeCode(peer.received);
  if (code === undefined) return { cases, answers: ['cut'] };
  return {
    cases,
    answers: [`close ${code}`],
    ...(!isCloseCode(code) && code !== 1005 && { failure: `closed with ${code}` }),
  };
}

/** Returns the code of the server's close frame, 1005 if it is empty, undefined without one. */
function closeCode(received: Buffer): number | undefined {
  for (let at = received.indexOf('\r\n\r\n') + 4; at + 2 <= received.length; ) {
    const short = received.readUInt8(at + 1) & 127;
    const start = at + (short === 127 ? 10 : short === 126 ? 4 : 2);
    if (start > received.length) return undefined;
    const length =
      short === 126 ? received.readUInt16BE(at + 2) : short === 127 ? Number(received.readBigUInt64BE(at + 2)) : short;
    if ((received.readUInt8(at) & 15) === 8)
      return length >= 2 && start + 2 <= received.length ? received.readUInt16BE(start) : 1005;
    at = start + length;
  }
  return undefined;
}
