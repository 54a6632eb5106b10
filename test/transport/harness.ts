import { once } from 'node:events';
import { WebSocket } from 'ws';
import { chooseTransport } from '../../src/transport/choose.ts';
import type {
  Application,
  HttpRequest,
  Socket,
  SocketListener,
  Transport,
  TransportOptions,
} from '../../src/transport/transport.ts';

/** A connection as the transport told it. */
export interface Heard {
  readonly socket: Socket;
  readonly messages: { text: string; binary: boolean }[];
  readonly pongs: string[];
  drains: number;
  readonly closes: { code: number; reason: string }[];
  /** What was told after the close. */
  late: number;
}

/** What a listener does beside taking notes. */
export type Acts = Partial<{ [K in keyof SocketListener]: (heard: Heard) => void }>;

export interface Served {
  readonly transport: Transport;
  readonly port: number;
  readonly heard: Heard[];
}

const limits: TransportOptions = { maxPayload: 64 * 1024, maxBackpressure: 1024 * 1024 };

/** Serves an application of a test's; without `upgrade` every handshake is accepted by a listener that takes notes. */
export async function serve(
  name: Transport['name'],
  { acts = {}, host = '127.0.0.1', ...app }: Partial<Application> & { acts?: Acts; host?: string } = {},
  options: Partial<TransportOptions> = {},
): Promise<Served> {
  const heard: Heard[] = [];
  const application: Application = {
    handle: () => ({ status: 404, headers: {}, body: 'Not found\n' }),
    upgrade: () => ({ listener: listener(heard, acts), protocol: '' }),
    ...app,
  };
  const transport = chooseTransport(name).factory(application, { ...limits, ...options });
  const port = await transport.listen(host, 0);
  return { transport, port, heard };
}

export function listener(all: Heard[], acts: Acts): SocketListener {
  let heard: Heard;
  const note = <K extends keyof SocketListener>(what: K, take: () => void) => {
    if (heard.closes.length > 0) heard.late++;
    take();
    acts[what]?.(heard);
  };
  return {
    open(socket) {
      heard = { socket, messages: [], pongs: [], drains: 0, closes: [], late: 0 };
      all.push(heard);
      note('open', () => {});
    },
    message: (data, binary) =>
      note('message', () => heard.messages.push({ text: Buffer.from(data).toString(), binary })),
    pong: (payload) => note('pong', () => heard.pongs.push(Buffer.from(payload).toString())),
    drain: () => note('drain', () => heard.drains++),
    close: (code, reason) => note('close', () => heard.closes.push({ code, reason })),
  };
}

/** Opens a WebSocket and waits until it is open. */
export async function dial(port: number, protocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/any`, protocols);
  await once(socket, 'open');
  return socket;
}

/** What a handshake that is refused gets. */
export async function refused(
  port: number,
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/any`);
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, headers: response.headers, body };
}

export type Handler = (request: HttpRequest) => ReturnType<Application['handle']>;
