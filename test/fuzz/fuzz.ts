import { connect, type Socket } from 'node:net';
import { Random } from '../simulation/virtual.ts';
import { frame, request } from './grammar.ts';

/** What a run of random input did. */
export interface Findings {
  /** Frames, handshakes and requests that were sent. */
  readonly cases: number;
  /** How often each answer came: statuses of HTTP and codes of close frames. */
  readonly answers: Readonly<Record<string, number>>;
  /** What should not have been, with the seed and the number of the connection that it can be had again with. */
  readonly wrong: readonly string[];
}

const PATIENCE_MS = 5_000;
const AT_ONCE = 40;
const FRAMES = 60;

// A refusal is one of these; 500 would be a fault of the server's own.
const STATUSES = [101, 200, 202, 204, 400, 401, 403, 404, 405, 408, 411, 413, 414, 417, 426, 429, 431, 501, 503, 505];

/** Codes that may be in a close frame (RFC 6455, 7.4), and an empty one. */
const mayClose = (code: number) =>
  (code >= 1000 && code <= 1013 && ![1004, 1006].includes(code)) || (code >= 3000 && code <= 4999);

/** Sends so many random and mutated frames, handshakes and requests to a server. @param port of a server without a publish rate. */
export async function fuzz(port: number, seed: number, count: number): Promise<Findings> {
  const answers: Record<string, number> = {};
  const wrong: string[] = [];
  let cases = 0;
  let connections = 0;
  const worker = async () => {
    while (cases < count && wrong.length < 10) {
      const connection = connections++;
      const random = new Random(seed * 1_000_003 + connection);
      const outcome = random.chance(0.5) ? await sendFrames(port, random) : await sendRequest(port, random);
      cases += outcome.cases;
      for (const answer of outcome.answers) answers[answer] = (answers[answer] ?? 0) + 1;
      if (outcome.wrong) wrong.push(`seed ${seed}, connection ${connection}: ${outcome.wrong}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { cases, answers, wrong };
}

interface Outcome {
  readonly cases: number;
  readonly answers: readonly string[];
  readonly wrong?: string;
}

/** One request or handshake, whole or in pieces, good or bad: it is answered with a proper status, or the connection ends. */
async function sendRequest(port: number, random: Random): Promise<Outcome> {
  const peer = new Peer(port);
  const bytes = request(random);
  const pieces = random.chance(0.2) ? random.int(2, 4) : 1;
  for (let i = 0; i < pieces; i++) {
    const piece = bytes.subarray((i * bytes.length) / pieces, ((i + 1) * bytes.length) / pieces);
    await peer.write(piece);
  }
  await peer.until(() => peer.received.includes('\r\n\r\n') || peer.over, 100);
  peer.end();
  const ended = await peer.until(() => peer.over, PATIENCE_MS);
  peer.destroy();
  const answer = peer.received.toString('latin1').replace(/^(HTTP\/1\.1 100 Continue\r\n\r\n)+/, '');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
  if (!ended) return { cases: 1, answers: ['hang'], wrong: `hangs after ${JSON.stringify(bytes.toString('latin1'))}` };
  if (answer === '') return { cases: 1, answers: ['cut'] };
  const proper = STATUSES.includes(status);
  const shown = () =>
    `${JSON.stringify(peer.received.toString('latin1').slice(0, 200))} for ${JSON.stringify(bytes.toString('latin1'))}`;
  return { cases: 1, answers: [`http ${status}`], ...(!proper && { wrong: shown() }) };
}

const DOORS = ['/ws', '/ws?room=lobby', '/subscribe', '/room'];

/** A good handshake, and then frames of all kinds until the server has had enough, or the peer says goodbye. */
async function sendFrames(port: number, random: Random): Promise<Outcome> {
  const peer = new Peer(port);
  const native = random.chance(0.5) ? 'Sec-WebSocket-Protocol: pumphouse.v1\r\n' : '';
  const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n';
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
  await peer.write(
    Buffer.from(`GET ${random.pick(DOORS)} HTTP/1.1\r\nHost: localhost:${port}\r\n${upgrade}${key}${native}\r\n`),
  );
  if (!(await peer.until(() => peer.received.includes('\r\n\r\n'), PATIENCE_MS))) {
    peer.destroy();
    return { cases: 1, answers: [], wrong: 'a good handshake was not answered' };
  }
  let cases = 1;
  for (const end = random.int(1, FRAMES); cases < end && !peer.over; cases++) await peer.write(frame(random));
  // Whatever came before, a close frame or the end of the stream must be the end of it.
  await peer.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]));
  peer.end();
  const ended = await peer.until(() => peer.over, PATIENCE_MS);
  peer.destroy();
  if (!ended) return { cases, answers: ['hang'], wrong: 'hangs after frames' };
  const code = closeCode(peer.received);
  if (code === undefined) return { cases, answers: ['cut'] };
  return {
    cases,
    answers: [`close ${code}`],
    ...(!mayClose(code) && code !== 1005 && { wrong: `closed with ${code}` }),
  };
}

/** The code of the close frame among what a server sent after its handshake; 1005 for an empty one. */
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

// More of what a server sends is not looked at.
const KEPT = 4 * 1024 * 1024;

/** A bare connection. */
class Peer {
  received = Buffer.alloc(0);
  over = false;
  readonly #tcp: Socket;
  #wake = () => {};

  constructor(port: number) {
    this.#tcp = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.#tcp.setNoDelay(true);
    this.#tcp.on('data', (chunk: Buffer) => {
      if (this.received.length < KEPT) this.received = Buffer.concat([this.received, chunk]);
      this.#wake();
    });
    for (const event of ['error', 'end', 'close'] as const) {
      this.#tcp.on(event, () => {
        this.over = true;
        this.#wake();
      });
    }
  }

  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      if (this.over || !this.#tcp.writable) resolve();
      else this.#tcp.write(bytes, () => resolve());
    });
  }

  end(): void {
    this.#tcp.end();
  }

  destroy(): void {
    this.#tcp.destroy();
  }

  /** @returns whether it came to hold within so many milliseconds. */
  async until(holds: () => boolean, ms: number): Promise<boolean> {
    for (const end = Date.now() + ms; !holds(); ) {
      const left = end - Date.now();
      if (left <= 0) return false;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return true;
  }
}
