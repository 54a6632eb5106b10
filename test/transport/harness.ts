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

/** The events of one connection, as its listener received them. */
export interface Recording {
  readonly socket: Socket;
  readonly messages: { text: string; binary: boolean }[];
  readonly pongs: string[];
  drains: number;
  readonly closes: { code: number; reason: string }[];
  /** Events received after the close. */
  late: number;
}

/** Callbacks that run after an event is recorded. */
export type Reactions = Partial<{ [K in keyof SocketListener]: (recording: Recording) => void }>;

export interface Served {
  readonly transport: Transport;
  readonly port: number;
  readonly recordings: Recording[];
}

const limits: TransportOptions = { maxPayload: 64 * 1024, maxBackpressure: 1024 * 1024 };

/**
 * Serves a test's application. Without `upgrade`, accepts every handshake with a listener that
 * records.
 */
export async function serve(
  name: Transport['name'],
  { reactions = {}, host = '127.0.0.1', ...app }: Partial<Application> & { reactions?: Reactions; host?: string } = {},
  options: Partial<TransportOptions> = {},
): Promise<Served> {
  const recordings: Recording[] = [];
  const application: Application = {
    handle: () => ({ status: 404, headers: {}, body: 'Not found\n' }),
    upgrade: () => ({ listener: recorder(recordings, reactions), protocol: '' }),
    ...app,
  };
  const transport = chooseTransport(name).factory(application, { ...limits, ...options });
  const port = await transport.listen(host, 0);
  return { transport, port, recordings };
}

/** A listener that adds its connection to `recordings`. */
export function recorder(recordings: Recording[] = [], reactions: Reactions = {}): SocketListener {
  let recording: Recording;
  const record = <K extends keyof SocketListener>(event: K, add: () => void) => {
    if (recording.closes.length > 0) recording.late++;
    add();
    reactions[event]?.(recording);
  };
  return {
    open(socket) {
      recording = { socket, messages: [], pongs: [], drains: 0, closes: [], late: 0 };
      recordings.push(recording);
      record('open', () => {});
    },
    message: (data, binary) =>
      record('message', () => recording.messages.push({ text: Buffer.from(data).toString(), binary })),
    pong: (payload) => record('pong', () => recording.pongs.push(Buffer.from(payload).toString())),
    drain: () => record('drain', () => recording.drains++),
    close: (code, reason) => record('close', () => recording.closes.push({ code, reason })),
  };
}

/** Opens a WebSocket and waits until it is open. */
export async function dial(port: number, protocols: string[] = []): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/any`, protocols);
  await once(socket, 'open');
  return socket;
}

/** Sends a handshake that must be rejected. @returns the response. */
export async function dialRejected(
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
