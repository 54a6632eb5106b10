import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { pino } from 'pino';
import { createServer, type Server, type ServerOptions } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { malformedRefusal, originRefusal, type RefusalNotice } from '../../src/accept/refusal.ts';
import { RefusedConnections } from '../../src/accept/refused-connections.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import type { Upgrade } from '../../src/transport/transport.ts';
import { v1 } from '../../src/wire/v1.ts';
import { transports, until } from '../integration/server.ts';
import { SimulatedSocket } from '../simulation/socket.ts';

const SECRET = 'a secret of at least thirty-two bytes';
const FOREIGN = { origin: 'https://page.example' };

type Line = Record<string, unknown>;

let server: Server | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

/** Starts a server whose log is kept. */
async function start(options: ServerOptions) {
  const lines: Line[] = [];
  const log = pino({ base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const started = await createServer({ port: 0, drainWindow: 0, log, publicMetrics: 'on', ...options });
  server = started;
  const refusals = () => lines.filter(({ msg }) => String(msg).startsWith('handshake refused'));
  const count = async (reason: string) => {
    const metrics = await (await fetch(`${started.url}/metrics`)).text();
    return Number(
      new RegExp(`^pumphouse_refused_handshakes_total\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(metrics)?.[1],
    );
  };
  return { ...started, lines, refusals, count };
}

interface Result {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Sends a handshake of the wire `gorilla`, and returns the response. */
async function plain({ port }: { port: number }, path = '/ws', headers: Record<string, string> = {}): Promise<Result> {
  const handshake = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'MDEyMzQ1Njc4OWFiY2RlZg==',
  };
  const outgoing = request({ port, host: '127.0.0.1', path, headers: { ...handshake, ...headers } });
  outgoing.end();
  const [response, tcp] = await Promise.race([once(outgoing, 'response'), once(outgoing, 'upgrade')]);
  tcp?.destroy();
  let body = '';
  if (response.statusCode !== 101) for await (const chunk of response) body += chunk;
  return { status: response.statusCode, headers: response.headers, body };
}

/** Connects a client of the native protocol. @returns its messages and the close frame. */
async function native({ port }: { port: number }, path = '/ws', headers: Record<string, string> = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, 'pumphouse.v1', { headers });
  const messages: Line[] = [];
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  const [code, reason] = await once(socket, 'close');
  return { code: Number(code), reason: String(reason), messages };
}

/** Sends a handshake of the native protocol, and never answers the close frame. */
async function silent(port: number): Promise<{ tcp: Socket; status: number }> {
  const tcp = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  tcp.on('error', () => {});
  const headers = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Protocol: pumphouse.v1'];
  headers.push('Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==');
  tcp.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers.join('\r\n')}\r\n\r\n`);
  const [data] = await once(tcp, 'data');
  return { tcp, status: Number(/^HTTP\/1.1 (\d+)/.exec(String(data))?.[1]) };
}

interface Case {
  readonly reason: string;
  readonly options?: ServerOptions;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  /** Connections that are open already. */
  readonly open?: number;
  readonly status: number;
  readonly code: number;
  /** Part of the log line. */
  readonly remedy: string;
}

const cases: readonly Case[] = [
  { reason: 'origin', headers: FOREIGN, status: 403, code: 4502, remedy: 'start with --origin https://page.example' },
  {
    reason: 'hook',
    options: { hooks: { connect: () => 'members only' } },
    status: 403,
    code: 4503,
    remedy: 'the connect hook refused it: members only',
  },
  {
    reason: 'hook_failed',
    options: { hooks: { connect: () => Promise.reject(new Error('down')) } },
    status: 503,
    code: 4006,
    remedy: 'hookTimeout',
  },
  {
    reason: 'max_connections',
    options: { maxConnections: 1 },
    open: 1,
    status: 503,
    code: 4005,
    remedy: 'raise --max-connections',
  },
  {
    reason: 'connections_per_address',
    options: { connectionsPerAddress: 1 },
    open: 1,
    status: 429,
    code: 4005,
    remedy: 'raise --connections-per-address, or name a proxy with --trust-proxy',
  },
  {
    reason: 'max_handshakes',
    options: { maxHandshakes: 1 },
    open: 5,
    status: 503,
    code: 4005,
    remedy: 'more than 1 handshakes a second: raise --max-handshakes',
  },
  {
    reason: 'invalid_credentials',
    options: { auth: 'jwt', jwtSecret: SECRET },
    path: '/ws?token=x',
    status: 401,
    code: 4501,
    remedy: 'see --jwt-secret, --jwt-key',
  },
];

describe.each(transports)('a refused handshake on %s', (transport) => {
  test.each(cases)('is logged, counted and reported to the client: $reason', async (given) => {
    const { reason, options, path = '/ws', headers = {}, open = 0, status, code, remedy } = given;
    const context = await start({ transport, ...options });
    for (let i = 0; i < open; i++) await once(new WebSocket(`ws://127.0.0.1:${context.port}/ws`), 'open');
    const response = await plain(context, path, headers);
    expect(response.status).toBe(status);
    const outcome = await native(context, path, headers);
    expect(outcome.code).toBe(code);
    expect(outcome.messages.map(({ t }) => t)).toEqual(code < 4500 ? ['error'] : []);
    const [first, ...others] = context.refusals();
    expect(first).toMatchObject({ level: 30, reason, wire: 'gorilla', remoteAddress: '127.0.0.1', suppressed: 0 });
    expect(first?.['origin']).toBe(headers['origin']);
    expect(first?.['msg']).toContain(remedy);
    expect(others.every((line) => line['suppressed'] === 0)).toBe(true);
    expect(await context.count(reason)).toBe(2);
  });

  test('has a Retry-After in whole seconds past the limit of handshakes', async () => {
    const context = await start({ transport, maxHandshakes: 1 });
    const responses = await Promise.all(Array.from({ length: 12 }, () => plain(context)));
    const refused = responses.filter(({ status }) => status === 503);
    expect(refused.length).toBeGreaterThanOrEqual(6);
    for (const { body } of refused) expect(body).toBe('Too many handshakes\n');
    const seconds = refused.map(({ headers }) => Number(headers['retry-after']));
    expect(seconds.every((each) => Number.isInteger(each) && each >= 2)).toBe(true);
    expect(Math.max(...seconds)).toBeGreaterThan(Math.min(...seconds) + 2);
  });

  test('is logged for requests that are no handshake, for invalid queries and unknown paths', async () => {
    const context = await start({ transport });
    expect((await fetch(`${context.url}/ws`)).status).toBe(400);
    expect((await plain(context, '/elsewhere')).status).toBe(404);
    expect((await plain(context, '/ws?room=', { 'sec-websocket-protocol': 'pumphouse.v1' })).status).toBe(400);
    const logged = context.refusals().map(({ reason, wire, msg }) => [reason, wire, msg]);
    expect(logged).toEqual([
      ['malformed', 'gorilla', expect.stringContaining('a proxy must pass on the headers Upgrade and Connection')],
      [
        'unknown_path',
        '',
        expect.stringContaining('no clients connect at "/elsewhere": the native protocol is at /ws'),
      ],
      ['bad_query', 'v1', 'handshake refused: Bad room'],
    ]);
  });

  test('is logged for a missing token and for an invalid one that is sent later', async () => {
    const context = await start({ transport, auth: 'jwt', jwtSecret: SECRET });
    expect((await plain(context)).status).toBe(401);
    const late = new WebSocket(`ws://127.0.0.1:${context.port}/ws`, 'pumphouse.v1', { origin: context.url });
    await once(late, 'open');
    late.send('{"t":"auth","token":"x"}');
    expect((await once(late, 'close'))[0]).toBe(4501);
    expect(context.refusals().map(({ reason, msg }) => [reason, msg])).toEqual([
      ['missing_credentials', expect.stringContaining('the server requires a token: only --auth open needs none')],
      ['invalid_credentials', expect.stringContaining('its token is invalid')],
    ]);
    expect(JSON.stringify(context.refusals()[1])).toContain(context.url);
  });

  test('is logged once a second for each reason', async () => {
    const context = await start({ transport });
    for (let i = 0; i < 5; i++) expect((await native(context, '/ws', FOREIGN)).code).toBe(4502);
    expect(context.refusals().length).toBeLessThan(3);
    expect(await context.count('origin')).toBe(5);
  });

  test('warns about a secret in the URL without the secret', async () => {
    const context = await start({ transport });
    const socket = new WebSocket(`ws://127.0.0.1:${context.port}/ws?resume=my-secret`, 'pumphouse.v1');
    await once(socket, 'message');
    socket.terminate();
    await until('the warning is logged', () => context.lines.some(({ level }) => level === 40));
    expect(context.lines.filter(({ level }) => level === 40)).toMatchObject([
      {
        msg: '?resume=SECRET in the URL is deprecated: send the subprotocol resume.SECRET',
        remoteAddress: '127.0.0.1',
      },
    ]);
    expect(JSON.stringify(context.lines)).not.toContain('my-secret');
  });

  test('keeps at most 100 connections open whose peers do not answer the close frame', async () => {
    const context = await start({ transport, hooks: { connect: () => false } });
    const peers = await Promise.all(Array.from({ length: 130 }, () => silent(context.port)));
    const statuses = peers.map(({ status }) => status);
    const accepted = statuses.filter((status) => status === 101).length;
    // On ws a connection counts until the peer answers its close frame.
    expect(accepted).toBe(transport === 'ws' ? 100 : 130);
    expect(statuses.every((status) => status === 101 || status === 403)).toBe(true);
    expect((await fetch(`${context.url}/healthz`)).status).toBe(200);
    for (const { tcp } of peers) tcp.destroy();
    await until('the log has them', () => context.refusals().length > 0);
    expect(await context.count('hook')).toBe(130);
  });
});

describe('RefusedConnections', () => {
  const notice: RefusalNotice = { close: closes.originRefused };
  const socketOptions = { kernel: 1e6, backpressure: 1e6, closesAtOnce: false };
  const open = (upgrade: Upgrade | undefined) => {
    if (!upgrade) throw new Error('the connection was not accepted');
    const socket = new SimulatedSocket(upgrade.listener, socketOptions);
    upgrade.listener.open(socket);
    return { socket, close: () => upgrade.listener.close(1006, '') };
  };

  test('accepts a bounded number, and further ones once some have closed', () => {
    const connections = new RefusedConnections(2);
    const accept = () => connections.accept(notice, v1(), 'pumphouse.v1');
    const [first] = [open(accept()), open(accept())];
    expect(first.socket.closedWith).toEqual(closes.originRefused);
    expect(accept()).toBeUndefined();
    first.close();
    open(accept());
    expect(accept()).toBeUndefined();
  });

  test('cuts those that open past the bound, since several are accepted before the first opens', () => {
    const connections = new RefusedConnections(1);
    const accepted = [1, 2].map(() => connections.accept(notice, v1(), 'pumphouse.v1'));
    const [first, second] = accepted.map(open);
    expect([first?.socket.closedWith?.code, second?.socket.closedWith?.code]).toEqual([4502, 1006]);
    first?.close();
    second?.close();
    open(connections.accept(notice, v1(), 'pumphouse.v1'));
  });

  test('sends the error before the close frame, and ignores what the peer sends', () => {
    const connections = new RefusedConnections();
    const error = { t: 'error', code: 'unavailable', message: 'later', retry: true, retryAfter: 1000 } as const;
    const upgrade = connections.accept({ error, close: closes.unavailable }, v1(), 'pumphouse.v1');
    const { socket } = open(upgrade);
    upgrade?.listener.message(Buffer.from('{"t":"join","room":"r"}'), false);
    upgrade?.listener.pong(Buffer.from(''));
    upgrade?.listener.drain();
    expect(socket.received.map((frame) => JSON.parse(Buffer.from(frame).toString()))).toEqual([error]);
    expect(socket.closedWith).toEqual(closes.unavailable);
    expect(socket.misuse).toEqual([]);
  });
});

test.each([
  ['null'],
  ['file://'],
  ['https://x;reboot'],
  ['https://$(reboot)'],
  ['https://a b'],
  [`https://${'x'.repeat(300)}`],
])('suggests no flag for the origin %j', (origin) => {
  const { message } = originRefusal(origin, malformedRefusal({ status: 400, headers: {}, body: '' }).response);
  expect(message).not.toContain(origin);
});
