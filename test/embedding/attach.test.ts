import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, request } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { type AttachedServer, type AttachOptions, ConfigError, createServer, type HttpServer } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { Peer } from '../conformance/server.ts';
import { EventReader } from '../events/reader.ts';
import { until } from '../integration/server.ts';
import { built } from '../server.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Attaches Pumphouse to a server that listens on a free port. */
async function start(server: HttpServer = createHttpServer(), options: Partial<AttachOptions> = {}) {
  const pumphouse = await createServer({ server, publishRate: 'off', drainWindow: 0, ...options });
  cleanups.push(() => pumphouse.stop());
  if (!server.listening) await listen(server);
  return { server, pumphouse, port: pumphouse.port as number, url: pumphouse.url as string };
}

async function listen(server: HttpServer): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.close();
    server.closeAllConnections();
  });
}

/** Serves the handler on a server, as a program without a framework does. */
async function startWithHandler(options: Partial<AttachOptions> = {}) {
  const started = await start(createHttpServer(), { publicMetrics: 'on', ...options });
  started.server.on('request', (incoming, response) => started.pumphouse.handler(incoming, response));
  return started;
}

/** Sends a handshake. @returns the status of the response: 101 or that of the rejection. */
async function handshake(port: number, path: string): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
  socket.on('error', () => {});
  const [response] = await Promise.race([
    once(socket, 'unexpected-response').then(([, rejection]) => [rejection]),
    once(socket, 'upgrade'),
  ]);
  if (response.statusCode === 101) socket.terminate();
  else response.destroy();
  return response.statusCode;
}

describe('a server attached to an http.Server', () => {
  test('streams events from its handler, and ends them when it stops', async () => {
    const app = express();
    const server = createHttpServer(app);
    server.timeout = 100;
    const { pumphouse, url } = await start(server);
    app.use(pumphouse.handler);
    const reader = await EventReader.open(`${url}/api/v1/rooms/r/events`);
    await reader.next('joined');
    const session = { method: 'POST', body: '{"t":"join","room":"r"}\n{"t":"send","room":"r","id":"1","data":7}' };
    const other = await EventReader.open(`${url}/api/v1/session/events`, session);
    expect(JSON.parse((await reader.next('message')).data)).toMatchObject({ seq: 1, data: 7 });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await pumphouse.stop();
    expect(JSON.parse((await reader.next('close')).data)).toMatchObject({ code: 1001 });
    expect(await Promise.all([reader.ended, other.ended])).toEqual([true, true]);
    expect(server.listening).toBe(true);
  });

  test('serves its paths on a server that listens already', async () => {
    const server = createHttpServer();
    await listen(server);
    const { port } = await start(server);
    const peer = await Peer.connect(port);
    await peer.join('r');
    expect(await peer.say('r', 1)).toMatchObject({ seq: 1 });
    for (const path of ['/ws', '/subscribe', '/room']) expect([path, await handshake(port, path)]).toEqual([path, 101]);
  });

  test('has the URL and the port of the server once it listens', async () => {
    const server = createHttpServer();
    const pumphouse = await createServer({ server });
    cleanups.push(() => pumphouse.stop());
    expect([pumphouse.url, pumphouse.port]).toEqual([undefined, undefined]);
    await listen(server);
    const { port } = server.address() as AddressInfo;
    expect([pumphouse.url, pumphouse.port]).toEqual([`http://127.0.0.1:${port}`, port]);
    const addresses = [
      { address: '::', host: 'localhost' },
      { address: '0.0.0.0', host: 'localhost' },
      { address: '::1', host: '[::1]' },
    ];
    for (const { address, host } of addresses) {
      server.address = () => ({ address, port: 80, family: 'any' });
      expect(pumphouse.url).toBe(`http://${host}:80`);
    }
    server.address = () => '/run/socket';
    expect([pumphouse.url, pumphouse.port]).toEqual([undefined, undefined]);
  });

  test('leaves plain requests to the program', async () => {
    const server = createHttpServer((_, response) => response.end('of the program'));
    const { url } = await start(server);
    for (const path of ['/', '/healthz', '/metrics', '/ws']) {
      expect(await (await fetch(`${url}${path}`)).text()).toBe('of the program');
    }
  });

  test('leaves other handshakes to other listeners, whichever came first', async () => {
    const server = createHttpServer();
    const other = new WebSocketServer({ noServer: true });
    const attachOther = (path: string) =>
      server.on('upgrade', (incoming, tcp, head) => {
        if (incoming.url === path) other.handleUpgrade(incoming, tcp, head, (socket) => socket.close(4000, path));
      });
    attachOther('/first');
    const { port } = await start(server);
    attachOther('/second');
    for (const path of ['/first', '/second']) {
      const [code, reason] = await once(new WebSocket(`ws://127.0.0.1:${port}${path}`), 'close');
      expect([code, String(reason)]).toEqual([4000, path]);
    }
    expect(await handshake(port, '/ws')).toBe(101);
  });

  test('rejects other handshakes with 404 when no other listener could answer them', async () => {
    const { port } = await start();
    expect(await handshake(port, '/other')).toBe(404);
  });

  test('serves wss on an https.Server', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pumphouse-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    execFileSync(process.execPath, [...built, 'gen-cert', '--out', folder]);
    const [cert, key] = ['cert.pem', 'key.pem'].map((file) => readFileSync(join(folder, file)));
    const { url, port } = await start(createHttpsServer({ cert, key }));
    expect(url).toBe(`https://127.0.0.1:${port}`);
    const socket = new WebSocket(`wss://127.0.0.1:${port}/ws`, { rejectUnauthorized: false });
    await once(socket, 'open');
    socket.send('hello');
    expect(String((await once(socket, 'message'))[0])).toBe('hello');
    socket.terminate();
  });

  test('calls the hooks and applies the settings', async () => {
    const { port, pumphouse } = await start(createHttpServer(), {
      hooks: { connect: ({ query }) => (query.has('token') ? { user: 'ada' } : 'no token') },
      maxConnections: 1,
    });
    expect(await handshake(port, '/ws')).toBe(403);
    const peer = await Peer.connect(port, '?token=1');
    expect(await peer.next('welcome')).toMatchObject({ user: 'ada' });
    expect(await handshake(port, '/ws?token=1')).toBe(503);
    await peer.join('r');
    expect(pumphouse.hub.rooms).toBe(1);
  });
});

describe('the handler of an attached server', () => {
  test('serves what the command serves', async () => {
    const { url, port } = await startWithHandler();
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok\n');
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('pumphouse_');
    expect(await (await fetch(url)).text()).toContain('<title>Pumphouse</title>');
    expect((await fetch(`${url}/missing`)).status).toBe(404);
    expect((await fetch(`${url}/ws`)).status).toBe(400);
    const peer = await Peer.connect(port, '?room=lobby');
    expect((await fetch(`${url}/publish`, { method: 'POST', body: 'a post' })).status).toBe(202);
    expect(await peer.next('message')).toMatchObject({ data: { text: 'a post' } });
    expect((await fetch(`${url}/publish`, { method: 'POST', body: 'x'.repeat(100_000) })).status).toBe(413);
    const head = await fetch(`${url}/healthz`, { method: 'HEAD' });
    expect([head.headers.get('content-length'), await head.text()]).toEqual(['3', '']);
  });

  /** Mounts the handler between the routes and the errors of an Express app. */
  async function startInExpress(before: express.RequestHandler[] = [], path = '/') {
    const app = express();
    const started = await start(createHttpServer(app));
    const errors: string[] = [];
    for (const middleware of before) app.use(middleware);
    app.use(path, started.pumphouse.handler);
    app.use(express.text(), (incoming, response) => {
      response.status(418).send(`${incoming.method} ${incoming.body}`);
    });
    app.use(((error, _incoming, response, _next) => {
      errors.push(error.message);
      response.status(500).send('failed');
    }) satisfies express.ErrorRequestHandler);
    return { ...started, errors };
  }

  test('passes on requests that it does not serve, with their body unread', async () => {
    const { url } = await startInExpress();
    const headers = { 'content-type': 'text/plain' };
    for (const [method, path] of [
      ['POST', '/other'],
      ['POST', '/'],
      ['PUT', '/index.html'],
    ]) {
      const response = await fetch(`${url}${path}`, { method: method as string, body: 'a body', headers });
      expect([response.status, await response.text()]).toEqual([418, `${method} a body`]);
    }
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok\n');
  });

  test('serves below the path that it is mounted at', async () => {
    const { url } = await startInExpress([], '/realtime');
    expect(await (await fetch(`${url}/realtime/healthz`)).text()).toBe('ok\n');
    expect((await fetch(`${url}/realtime/publish`, { method: 'POST', body: 'x' })).status).toBe(202);
    expect((await fetch(`${url}/healthz`)).status).toBe(418);
  });

  test('publishes a body that a parser has read before', async () => {
    const { url, port, errors } = await startInExpress([express.json(), express.text(), express.urlencoded()]);
    const peer = await Peer.connect(port, '?room=lobby');
    await peer.next('joined');
    const post = async (type: string, body: string) => {
      const response = await fetch(`${url}/publish`, { method: 'POST', body, headers: { 'content-type': type } });
      return response.status;
    };
    const json = JSON.stringify({ room_id: 'lobby', user_id: 'eve', message: 'as JSON' });
    expect(await post('application/json', json)).toBeLessThan(300);
    expect(await peer.next('message')).toMatchObject({ from: 'eve', data: { text: 'as JSON' } });
    expect(await post('text/plain', 'as text')).toBe(202);
    expect(await peer.next('message')).toMatchObject({ data: { text: 'as text' } });
    expect(await post('text/plain', 'x'.repeat(99_000))).toBe(413);
    expect(await post('application/x-www-form-urlencoded', 'lost=1')).toBe(500);
    expect(errors).toEqual(['a body parser has read the body; mount the handler of Pumphouse before it']);
  });

  test('survives a client that disconnects within its body, and a response that is sent already', async () => {
    const { url, errors } = await startInExpress([
      (incoming, response, next) => {
        if (incoming.url === '/healthz?answered') {
          response.writeHead(202).write('by the program');
          setTimeout(() => response.end(), 50);
        }
        next();
      },
    ]);
    const outgoing = request(`${url}/publish`, { method: 'POST', headers: { 'content-length': 20 } });
    outgoing.on('error', () => {}).write('the start');
    await new Promise((resolve) => setTimeout(resolve, 50));
    outgoing.destroy();
    expect(await (await fetch(`${url}/healthz?answered`)).text()).toBe('by the program');
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(errors).toEqual([]);
  });
});

describe('stop of an attached server', () => {
  test('closes the clients and detaches, and leaves the server open', async () => {
    const { pumphouse, server, port, url } = await startWithHandler();
    const peer = await Peer.connect(port);
    await pumphouse.stop();
    expect(await peer.closed).toEqual({ code: 1001, reason: 'the server is shutting down' });
    expect(server.listening).toBe(true);
    expect(server.listenerCount('upgrade')).toBe(0);
    expect((await fetch(`${url}/publish`, { method: 'POST', body: 'x' })).status).toBe(503);
  });

  test('rejects handshakes and reports itself as draining until the clients have disconnected', async () => {
    const { pumphouse, port, url } = await startWithHandler({ drainWindow: 1 });
    // It never reads, so it does not answer the close frame.
    const tcp = connect(port, '127.0.0.1');
    const key = 'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==';
    tcp.write(`GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n`);
    tcp.write('Sec-WebSocket-Version: 13\r\n\r\n');
    await until('the client is connected', () => pumphouse.hub.rooms === 1);
    const stopped = pumphouse.stop();
    expect((await fetch(`${url}/healthz`)).status).toBe(503);
    expect(await handshake(port, '/ws')).toBe(503);
    await stopped;
    tcp.on('error', () => {}).resume();
    await once(tcp, 'close');
  });

  test('lets the program attach another to the same server', async () => {
    const { pumphouse, server, port } = await start();
    await expect(createServer({ server })).rejects.toThrow(
      /^server: has another Pumphouse attached; stop that one first$/,
    );
    expect(server.listenerCount('upgrade')).toBe(1);
    await pumphouse.stop();
    const second = await start(server);
    await pumphouse.stop();
    await expect(createServer({ server })).rejects.toThrow('another Pumphouse');
    expect(await handshake(port, '/ws')).toBe(101);
    expect(second.port).toBe(port);
  });

  test('passes requests on afterwards', async () => {
    const { pumphouse, server, url } = await start();
    server.on('request', (incoming, response) => {
      pumphouse.handler(incoming, response, () => response.end('of the program'));
    });
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('ok\n');
    await pumphouse.stop();
    expect(await (await fetch(`${url}/healthz`)).text()).toBe('of the program');
  });
});

test.each([
  ['port', 0],
  ['host', '127.0.0.1'],
  ['tlsCert', 'cert.pem'],
  ['tlsKey', 'key.pem'],
  ['listeners', []],
])('rejects the option %s beside a server, in one line', async (name, value) => {
  const server = createHttpServer();
  const rejected = createServer({ server, [name]: value } as AttachOptions);
  await expect(rejected).rejects.toThrow(ConfigError);
  await expect(rejected).rejects.toThrow(`${name} and server exclude each other; configure ${name} on the server`);
  expect(server.listenerCount('upgrade')).toBe(0);
});

test('needs the URL of the server that a canary checks', async () => {
  const rejected = createServer({ server: createHttpServer(), canary: 1 });
  await expect(rejected).rejects.toThrow("canary: its clients need the URL of the program's server; set canaryUrl");
});

test('rejects the transport uws beside a server, and what is not an HTTP server', async () => {
  const rejection = async (options: object) => {
    const error = await createServer(options as AttachOptions).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  };
  const server = createHttpServer();
  expect(await rejection({ server, transport: 'uws' })).toBe(
    'transport: "uws" cannot attach to a server of Node; use ws or remove server',
  );
  expect(await rejection({ server, transport: 'tcp' })).toMatch(/^transport: "tcp" is not one of/);
  for (const invalid of [express(), createTcpServer(), null, 8080]) {
    expect(await rejection({ server: invalid })).toMatch(/^server: is not an http.Server or https.Server/);
  }
  const attached: AttachedServer = await createServer({ server, transport: 'auto' });
  await attached.stop();
});
