import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { generate } from 'selfsigned';
import { afterEach, describe, expect, test } from 'vitest';
import { addressFilter } from '../../src/webhooks/addresses.ts';
import { Poster, type PosterOptions } from '../../src/webhooks/post.ts';

const servers: Server[] = [];
const posters: Poster[] = [];
afterEach(() => {
  for (const poster of posters.splice(0)) poster.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function posterTo(url: string, options: Partial<PosterOptions> = {}): Poster {
  const poster = new Poster({
    url: new URL(url),
    allows: addressFilter(true),
    timeoutMs: 500,
    connections: 2,
    ...options,
  });
  posters.push(poster);
  return poster;
}

async function start(answer: RequestListener, options: Partial<PosterOptions> = {}): Promise<Poster> {
  return posterTo(`http://127.0.0.1:${await listen(createServer(answer))}/hook`, options);
}

const discard = (request: IncomingMessage, end: () => void) => request.resume().on('end', end);

describe('a request to a receiver', () => {
  test('is a POST of JSON with the headers', async () => {
    let seen: unknown;
    const poster = await start((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url, headers } = request;
        seen = [method, url, headers['content-type'], headers['webhook-id'], Buffer.concat(chunks).toString()];
        response.end();
      });
    });
    expect(await poster.post('{"a":"é"}', { 'webhook-id': 'x' })).toEqual({
      kind: 'answered',
      status: 200,
      retryAfter: undefined,
    });
    expect(seen).toEqual(['POST', '/hook', 'application/json', 'x', '{"a":"é"}']);
  });

  test.each([204, 301, 302, 307, 308, 404, 410, 500])('is answered with %i, which is not followed', async (status) => {
    let requests = 0;
    const poster = await start((request, response) => {
      requests++;
      discard(request, () => response.writeHead(status, { location: '/elsewhere' }).end());
    });
    expect(await poster.post('{}', {})).toMatchObject({ kind: 'answered', status });
    expect(requests).toBe(1);
  });

  test('carries Retry-After', async () => {
    const poster = await start((request, response) =>
      discard(request, () => response.writeHead(429, { 'retry-after': '7' }).end()),
    );
    expect(await poster.post('{}', {})).toEqual({ kind: 'answered', status: 429, retryAfter: '7' });
  });

  test('ends after its time where the receiver hangs, or answers slowly', async () => {
    const hanging = await start(() => {});
    expect(await hanging.post('{}', {})).toEqual({ kind: 'timeout' });
    const slow = await start((_, response) => setTimeout(() => response.end(), 1_000));
    expect(await slow.post('{}', {})).toEqual({ kind: 'timeout' });
  });

  test('fails where the receiver resets the connection, or does not listen', async () => {
    const poster = await start((request) => request.socket.destroy());
    expect(await poster.post('{}', {})).toMatchObject({ kind: 'unreachable', message: 'ECONNRESET' });
    const server = createServer();
    const port = await listen(server);
    server.close();
    expect(await posterTo(`http://127.0.0.1:${port}/`).post('{}', {})).toEqual({
      kind: 'unreachable',
      message: 'ECONNREFUSED',
    });
  });

  test('is ended by an abort', async () => {
    const poster = await start(() => {}, { timeoutMs: 20_000 });
    const result = poster.post('{}', {});
    await sleep(50);
    poster.abort();
    expect(await result).toEqual({ kind: 'aborted' });
  });

  test('discards a huge response, and one without an end', async () => {
    let closed = 0;
    let sent = 0;
    const flood = (response: ServerResponse) => {
      while (!response.destroyed && response.write(Buffer.alloc(16_384))) sent += 16_384;
    };
    const poster = await start((request, response) => {
      discard(request, () => {
        response.writeHead(200);
        response.on('drain', () => flood(response)).on('close', () => closed++);
        flood(response);
      });
    });
    expect(await poster.post('{}', {})).toMatchObject({ status: 200 });
    for (let i = 0; i < 100 && closed === 0; i++) await sleep(10);
    expect(closed).toBe(1);
    expect(sent).toBeLessThan(16 * 1024 * 1024);
  });

  test('uses its connection again, also after an error with a body', async () => {
    const sockets = new Set<unknown>();
    const poster = await start((request, response) => {
      sockets.add(request.socket);
      discard(request, () => response.writeHead(500).end('x'.repeat(20_000)));
    });
    for (let i = 0; i < 5; i++) {
      await poster.post('{}', {});
      await sleep(20);
    }
    expect(sockets.size).toBe(1);
  });
});

describe('the target', () => {
  /** Resolves every name to some addresses. */
  const resolver = (...addresses: string[]) =>
    ((_: string, __: unknown, callback: (error: null, found: LookupAddress[]) => void) =>
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      )) as unknown as NonNullable<PosterOptions['resolve']>;

  test.each([
    'http://127.0.0.1:1/',
    'http://[::1]:1/',
    'http://[::ffff:127.0.0.1]:1/',
    'http://[::ffff:a9fe:a9fe]/latest/meta-data',
    'http://169.254.169.254/latest/meta-data',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://017700000001/',
    'http://localhost:1/',
  ])('%s is refused', async (url) => {
    const result = await posterTo(url, { allows: addressFilter(false) }).post('{}', {});
    expect(result).toMatchObject({ kind: 'refused' });
    expect((result as { message: string }).message).toContain('set allowPrivate');
  });

  test('is refused where its name resolves to private addresses only', async () => {
    const resolve = resolver('10.0.0.1', 'fd00::1');
    const poster = posterTo('http://receiver.example/', { allows: addressFilter(false), resolve });
    expect(await poster.post('{}', {})).toEqual({
      kind: 'refused',
      message:
        'receiver.example resolves to 10.0.0.1, fd00::1, which is not a public address; set allowPrivate of the webhook to deliver to it',
    });
  });

  test('is connected to at the address that was checked', async () => {
    let host: string | undefined;
    const port = await listen(
      createServer((request, response) => {
        host = request.headers.host;
        response.end();
      }),
    );
    // The name resolves to this machine for the check only once: a second resolution would differ.
    let resolutions = 0;
    const resolve = ((name: string, options: unknown, callback: never) =>
      resolver(resolutions++ === 0 ? '127.0.0.1' : '10.255.255.1')(
        name,
        options as never,
        callback,
      )) as unknown as NonNullable<PosterOptions['resolve']>;
    const poster = posterTo(`http://receiver.example:${port}/`, { allows: addressFilter(['127.0.0.0/8']), resolve });
    expect(await poster.post('{}', {})).toMatchObject({ kind: 'answered', status: 200 });
    expect([host, resolutions]).toEqual([`receiver.example:${port}`, 1]);
  });

  test('must have a certificate of an authority', async () => {
    const { cert, private: key } = await generate([{ name: 'commonName', value: '127.0.0.1' }], { keySize: 2048 });
    const port = await listen(createSecureServer({ cert, key }, (_, response) => response.end()));
    const result = await posterTo(`https://127.0.0.1:${port}/`).post('{}', {});
    expect(result).toMatchObject({ kind: 'unreachable', message: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  });
});
