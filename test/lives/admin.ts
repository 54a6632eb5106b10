import { once } from 'node:events';
import { connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net';
import { pino } from 'pino';
import { createServer, type Server, type ServerOptions } from 'pumphouse';
import { onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import type { ConnectionLife, SessionAnswer, UserSessionsAnswer } from '../../src/protocol/session-life.ts';
import type { ClientMessage, ServerMessage } from '../../src/protocol/v1.ts';

const WAIT = { timeout: 10_000 };

/** A server in this thread whose admin listener answers questions on lives. */
export interface AdminServer {
  readonly server: Server;
  readonly admin: string;
  /** Everything that the server has logged. */
  log(): string;
}

/** Starts a server with an admin listener. */
export async function serve(options: ServerOptions = {}): Promise<AdminServer> {
  let logged = '';
  const write = (line: string) => {
    logged += line;
  };
  const log = pino({ level: 'debug' }, { write });
  const adminListen = { host: '127.0.0.1', port: 0 };
  const server = await createServer({ port: 0, publishRate: 'off', adminListen, log, drainWindow: 0, ...options });
  onTestFinished(() => server.stop());
  const admin = /serves operators at (http:\S+?)"/.exec(logged)?.[1] as string;
  return { server, admin, log: () => logged };
}

/** Reads from the admin listener. */
export async function read(admin: string, path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`${admin}/admin/v1/${path}`);
  return { status: response.status, text: await response.text() };
}

/** Returns the connections of a user, the newest first. */
export async function livesOf(admin: string, user: string): Promise<readonly ConnectionLife[]> {
  const { status, text } = await read(admin, `users/${encodeURIComponent(user)}/sessions`);
  if (status === 404) return [];
  const { sessions } = JSON.parse(text) as UserSessionsAnswer;
  return sessions.flatMap(({ connections }) => connections).sort((a, b) => b.openedAt - a.openedAt);
}

export async function sessionOf(admin: string, id: string): Promise<SessionAnswer> {
  return JSON.parse((await read(admin, `sessions/${id}`)).text) as SessionAnswer;
}

/** Waits for a life of a user that satisfies a condition. */
export async function lifeOf(
  admin: string,
  user: string,
  holds: (life: ConnectionLife) => boolean,
): Promise<ConnectionLife> {
  let found: ConnectionLife | undefined;
  await vi.waitUntil(async () => {
    found = (await livesOf(admin, user)).find(holds);
    return found !== undefined;
  }, WAIT);
  return found as ConnectionLife;
}

export const isEnded = ({ end }: ConnectionLife) => end !== undefined;

/** A client of the native protocol. */
export class Native {
  readonly socket: WebSocket;
  readonly received: ServerMessage[] = [];
  readonly closed: Promise<number>;

  constructor(url: string, query: string, protocols: string[] = []) {
    this.socket = new WebSocket(`${url.replace('http', 'ws')}/ws?${query}`, ['pumphouse.v1', ...protocols]);
    this.socket.on('error', () => {});
    this.socket.on('message', (data) => {
      for (const line of String(data).split('\n')) this.received.push(JSON.parse(line) as ServerMessage);
    });
    this.closed = once(this.socket, 'close').then(([code]) => code as number);
    onTestFinished(() => this.socket.terminate());
  }

  send(...messages: ClientMessage[]): void {
    for (const message of messages) this.socket.send(JSON.stringify(message));
  }

  async next<T extends ServerMessage['t']>(t: T): Promise<Extract<ServerMessage, { t: T }>> {
    await vi.waitUntil(() => this.received.some((message) => message.t === t), WAIT);
    return this.received.find((message) => message.t === t) as Extract<ServerMessage, { t: T }>;
  }
}

/** A proxy in front of a server, which cuts its connections when it is told to. */
export async function startProxy(target: string) {
  const { port } = new URL(target);
  const sockets = new Set<Socket>();
  const proxy = createTcpServer((client) => {
    const upstream = connectTcp(Number(port), '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    client.pipe(upstream).pipe(client);
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  onTestFinished(() => {
    cut();
    proxy.close();
  });
  const address = proxy.address() as { port: number };
  return { url: `http://127.0.0.1:${address.port}`, cut };
}
