import { once } from 'node:events';
import { connect, type Socket as TcpSocket } from 'node:net';
import { WebSocket } from 'ws';
import { freePort } from '../../bench/free-port.ts';
import { Client } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import type { RateLimit } from '../../src/client/rate-limit.ts';
import { memory } from '../../src/engine/memory.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { HubSettings } from '../../src/hub/settings.ts';
import { systemClock, systemScheduler } from '../../src/hub/time.ts';
import { chooseTransport } from '../../src/transport/choose.ts';
import { gorilla } from '../../src/wire/gorilla.ts';
import type { WireLimits } from '../../src/wire/wire.ts';
import { InThreadWorkers, observeAll } from '../workers/in-thread.ts';
import type { Variant } from '../workers/variants.ts';

export { transports } from '../workers/variants.ts';

export interface Options {
  readonly limits?: Partial<WireLimits>;
  readonly settings?: Partial<HubSettings>;
  /**
   * Period of the keepalive, in milliseconds.
   *
   * @default 20
   */
  readonly tick?: number;
  /** @default 'off' */
  readonly publishRate?: RateLimit;
}

/** Serves a Hub, or those of several workers, on real sockets. A test may lower the limits. */
export async function listen({ transport, workers }: Variant, options: Options = {}) {
  const { settings = {} } = options;
  const clients: Client[] = [];
  const nameNext = () => `c${clients.length + 1}`;
  if (workers === 1) {
    const hub = new Hub({ engine: memory(), settings });
    await hub.open();
    const server = createServer(transport, hub, options, clients, nameNext);
    const port = await server.listen(0);
    return { hub, connected: () => server.keepalive.clients.size, clients, port, close: server.close };
  }
  const group = await InThreadWorkers.open(workers, memory(), settings);
  const servers = group.workers.map(({ hub }) => createServer(transport, hub, options, clients, nameNext));
  const port = await freePort();
  for (const server of servers) await server.listen(port);
  const close = async () => {
    await Promise.all(servers.map((server) => server.close()));
    await group.close();
  };
  const connected = () => servers.reduce((sum, { keepalive }) => sum + keepalive.clients.size, 0);
  return { hub: observeAll(group.workers.map(({ hub }) => hub)), connected, clients, port, close };
}

function createServer(
  transport: Variant['transport'],
  hub: Hub,
  { limits, tick = 20, publishRate = 'off' }: Options,
  clients: Client[],
  nameNext: () => string,
) {
  const keepalive = new Keepalive(systemClock, systemScheduler, tick);
  const context = { hub, clock: systemClock, keepalive, publishRate };
  const wire = gorilla(limits);
  const { factory } = chooseTransport(transport);
  const application = {
    handle: () => ({ status: 404, headers: {}, body: 'Not found\n' }),
    upgrade: () => {
      const listener = new Client(nameNext(), wire, context);
      clients.push(listener);
      return { listener, protocol: '' };
    },
  };
  const served = factory(application, { maxPayload: 1 << 20, maxBackpressure: 1 << 20 });
  const close = async () => {
    served.stopListening();
    served.terminate();
    await hub.settle();
    await hub.close();
  };
  return { keepalive, listen: (port: number) => served.listen('127.0.0.1', port, port !== 0), close };
}

/** Connects a well-behaved peer that keeps the frames it receives. */
export async function peer(port: number) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
  const frames: string[] = [];
  socket.on('message', (data) => frames.push(String(data)));
  const closed = once(socket, 'close').then(([code, reason]) => ({ code: Number(code), reason: String(reason) }));
  await once(socket, 'open');
  return { socket, frames, closed, messages: () => frames.flatMap((frame) => frame.split('\n')) };
}

/** Connects a peer on a bare TCP socket, which reads only on demand. */
export async function sluggard(port: number): Promise<TcpSocket> {
  const tcp = connect({ port, host: '127.0.0.1' });
  tcp.on('error', () => {});
  const key = Buffer.from('0123456789abcdef').toString('base64');
  const upgrade = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
  ];
  tcp.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${upgrade.join('\r\n')}\r\n\r\n`);
  await once(tcp, 'readable');
  for (let head = ''; !head.endsWith('\r\n\r\n'); ) {
    const byte = tcp.read(1);
    if (byte) head += String(byte);
    else await once(tcp, 'readable');
  }
  return tcp;
}

/**
 * Reads a bare socket up to the close frame or its end.
 *
 * @returns the messages and the close code; undefined without a close frame.
 */
export async function readAll(tcp: TcpSocket): Promise<{ messages: string[]; code: number | undefined }> {
  const messages: string[] = [];
  let rest = Buffer.alloc(0);
  for await (const chunk of tcp) {
    rest = Buffer.concat([rest, chunk as Buffer]);
    for (let frame = firstFrame(rest); frame; frame = firstFrame(rest)) {
      const { opcode, payload, end } = frame;
      if (opcode === 8) return { messages, code: payload.length >= 2 ? payload.readUInt16BE(0) : 1005 };
      if (opcode === 1) messages.push(...payload.toString().split('\n'));
      rest = rest.subarray(end);
    }
  }
  return { messages, code: undefined };
}

function firstFrame(bytes: Buffer): { opcode: number; payload: Buffer; end: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes.readUInt8(1) & 127;
  const start = short === 127 ? 10 : short === 126 ? 4 : 2;
  if (bytes.length < start) return undefined;
  const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
  const end = start + length;
  return bytes.length < end ? undefined : { opcode: bytes.readUInt8(0) & 15, payload: bytes.subarray(start, end), end };
}

/** Waits until a condition holds. @throws Error after five seconds. */
export async function until(condition: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 5_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`timed out waiting until ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
