import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { transports } from '../integration/server.ts';
import { type Handler, type Served, serve } from './harness.ts';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
const PAGE = /^<!doctype html>/;

const notFound: Handler = () => ({
  status: 404,
  headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' },
  body: 'Not found\n',
});

describe.each(transports)('errors on the transport %s', (name) => {
  let served: Served | undefined;
  afterEach(() => served?.transport.terminate());

  const start = async (handle: Handler = notFound) => {
    served = await serve(name, { handle });
    return `http://127.0.0.1:${served.port}/nothing`;
  };

  /** Sends raw chunks. @returns what the server sends until it ends the connection or is silent. */
  const exchange = async (chunks: readonly string[]) => {
    const tcp = connect((served as Served).port, '127.0.0.1').setEncoding('latin1');
    let received = '';
    tcp.on('data', (data) => {
      received += data;
    });
    tcp.on('error', () => {});
    for (const chunk of chunks) {
      tcp.write(chunk, 'latin1');
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await Promise.race([once(tcp, 'end'), new Promise((resolve) => setTimeout(resolve, 300))]);
    tcp.destroy();
    return received;
  };
  const requestWith = (bytes: number, headers = '') =>
    `GET / HTTP/1.1\r\nHost: here\r\n${headers}Cookie: ${'x'.repeat(bytes)}\r\n\r\n`;

  test('a browser gets a page for 404, without the name of a server', async () => {
    const url = await start();
    const response = await fetch(url, { headers: { accept: BROWSER } });
    const body = await response.text();
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
    expect(response.headers.get('cache-control')).toBe('no-store');
    expect(response.headers.get('server')).toBeNull();
    expect(response.headers.get('uwebsockets')).toBeNull();
    expect(body).toMatch(PAGE);
    expect(body).toContain('<a href="/">');
    expect(body).not.toMatch(/uwebsockets|node|pumphouse/i);
    expect(body).not.toContain('nothing');
    const head = await fetch(url, { method: 'HEAD', headers: { accept: BROWSER } });
    expect([head.status, head.headers.get('content-length')]).toEqual([404, `${Buffer.byteLength(body)}`]);
  });

  test.each([
    ['GET', '*/*'],
    ['GET', 'application/json'],
    ['GET', 'text/*'],
    ['GET', 'text/plain, text/html;q=0'],
    ['GET', 'text/html-like'],
    ['POST', BROWSER],
  ])('%s with the Accept %j keeps the text of a 404', async (method, accept) => {
    const response = await fetch(await start(), { method, headers: { accept } });
    expect([response.status, await response.text()]).toEqual([404, 'Not found\n']);
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8');
  });

  test('a 404 that is a page already, and other statuses, stay as they are', async () => {
    const url = await start(({ path }) =>
      path === '/nothing'
        ? { status: 404, headers: { 'content-type': 'text/html' }, body: 'its own' }
        : { status: 403, headers: { 'content-type': 'text/plain' }, body: 'Forbidden\n' },
    );
    expect(await (await fetch(url, { headers: { accept: BROWSER } })).text()).toBe('its own');
    expect(await (await fetch(`${url}/x`, { headers: { accept: BROWSER } })).text()).toBe('Forbidden\n');
  });

  test('headers of up to 16 KiB are accepted', async () => {
    await start(() => ({ status: 200, headers: {}, body: 'well' }));
    const whole = requestWith(15_000);
    expect(await exchange([whole])).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(await exchange([whole.slice(0, 9_000), whole.slice(9_000)])).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  test('longer headers get 431: a page for browsers, text for others', async () => {
    await start();
    const page = await exchange([requestWith(20_000, `Accept: ${BROWSER}\r\n`)]);
    expect(page).toMatch(/^HTTP\/1\.1 431 Request Header Fields Too Large\r\n/);
    expect(page).toMatch(/content-type: text\/html; charset=utf-8\r\n/);
    expect(page.split('\r\n\r\n')[1]).toMatch(PAGE);
    expect(page.split('\r\n\r\n')[1]).toContain('more than 16 KiB');
    expect(page.split('\r\n\r\n')[1]).not.toMatch(/uwebsockets|node/i);
    for (const headers of ['', 'Accept: */*\r\n']) {
      const text = await exchange([requestWith(20_000, headers)]);
      expect(text).toMatch(/^HTTP\/1\.1 431 [\s\S]*content-type: text\/plain; charset=utf-8\r\n/);
      expect(text.split('\r\n\r\n')[1]).toBe('Request Header Fields Too Large\n');
    }
  });

  test('a handshake with longer headers gets 431 as text', async () => {
    await start();
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
    const key = 'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n';
    const answer = await exchange([requestWith(20_000, upgrade + key)]);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
    expect(answer.split('\r\n\r\n')[1]).toBe('Request Header Fields Too Large\n');
    expect(served?.recordings).toEqual([]);
  });

  // The binary writes these before any handler runs, and has no option for them.
  test.runIf(name === 'uws')(
    'uWebSockets.js writes its own page for headers over 32 KiB and for HTTP/1.0',
    async () => {
      await start();
      expect(await exchange([requestWith(40_000)])).toMatch(/^HTTP\/1\.1 431 [\s\S]*uWebSockets/);
      expect(await exchange(['GET / HTTP/1.0\r\n\r\n'])).toMatch(/^HTTP\/1\.1 505 [\s\S]*uWebSockets/);
    },
  );

  test.runIf(name === 'ws')('headers over 16 KiB in many chunks get 431 before the connection ends', async () => {
    await start();
    const whole = requestWith(300_000);
    const chunks = Array.from({ length: 6 }, (_, i) => whole.slice(i * 60_000, (i + 1) * 60_000));
    const answer = await exchange(chunks);
    expect(answer).toMatch(/^HTTP\/1\.1 431 [\s\S]*\r\n\r\nRequest Header Fields Too Large\n$/);
    expect(await exchange(['GARBAGE\r\n\r\n'])).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  });
});
