import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { HttpRequest, HttpResponse } from '../../src/transport/transport.ts';
import { transports, until } from '../integration/server.ts';
import { dial, dialRejected, type Handler, recorder, type Served, serve } from './harness.ts';

const ok: HttpResponse = { status: 200, headers: { 'content-type': 'text/plain', 'x-custom': 'yes' }, body: 'well\n' };

describe.each(transports)('the server of the transport %s', (name) => {
  let served: Served | undefined;
  afterEach(() => served?.transport.terminate());

  const start = async (handle: Handler) => {
    served = await serve(name, { handle });
    return `http://127.0.0.1:${served.port}`;
  };

  test('answers a request with status, headers and body', async () => {
    const requests: Partial<HttpRequest>[] = [];
    const url = await start((request) => {
      const { method, path, query, remoteAddress } = request;
      requests.push({ method, path, query, remoteAddress });
      return { ...ok, body: `${request.header('x-present')}|${request.header('x-absent')}` };
    });
    const answer = await fetch(`${url}/a%20b/c?x=1&y=%41?z`, { headers: { 'X-Present': 'this' } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-custom')).toBe('yes');
    expect(await answer.text()).toBe('this|');
    expect(requests).toEqual([{ method: 'GET', path: '/a%20b/c', query: 'x=1&y=%41?z', remoteAddress: '127.0.0.1' }]);
  });

  test('answers HEAD with the length of the body but not the body', async () => {
    const url = await start(() => ok);
    const answer = await fetch(url, { method: 'HEAD' });
    expect(answer.headers.get('content-length')).toBe('5');
    expect(await answer.text()).toBe('');
  });

  // uWebSockets.js once cut the connection at the second request.
  test('answers requests after HEAD and 304 on the same connection', async () => {
    const url = await start(({ path, method }) =>
      path === '/304' ? { status: 304, headers: { etag: '"x"' }, body: '' } : { ...ok, body: method },
    );
    const tcp = connect(Number(new URL(url).port), '127.0.0.1').setEncoding('utf8');
    const answers: string[] = [];
    for (const line of ['HEAD /', 'GET /304', 'HEAD /304', 'HEAD /', 'GET /']) {
      tcp.write(`${line} HTTP/1.1\r\nHost: here\r\n\r\n`);
      answers.push(String(await once(tcp, 'data')));
    }
    tcp.destroy();
    expect(answers.map((answer) => answer.slice(9, 12))).toEqual(['200', '304', '304', '200', '200']);
    const lengths = answers.map((answer) => /content-length: (\d+)/i.exec(answer)?.[1]);
    expect(lengths).toEqual(['4', undefined, undefined, '4', '3']);
    expect(answers.map((answer) => answer.split('\r\n\r\n')[1])).toEqual(['', '', '', '', 'GET']);
  });

  test('sends a binary body unchanged', async () => {
    const body = Uint8Array.from({ length: 200_000 }, (_, i) => i % 256);
    const url = await start(() => ({ ...ok, body }));
    expect(new Uint8Array(await (await fetch(url)).arrayBuffer())).toEqual(body);
  });

  test('ignores the body of a POST and serves the next request', async () => {
    const url = await start(({ method }) => ({ ...ok, body: method }));
    expect(await (await fetch(url, { method: 'POST', body: 'x'.repeat(100_000) })).text()).toBe('POST');
    expect(await (await fetch(url)).text()).toBe('GET');
  });

  test('reads a body up to its limit, reports a longer one, and serves the next request', async () => {
    const url = await start(async (request) => {
      const body = await request.body(8192);
      return { ...ok, body: body ? Buffer.from(body).toString('latin1') : `more than 8192` };
    });
    const post = async (body: Uint8Array | string) =>
      await (await fetch(url, { method: 'POST', body, headers: { 'content-type': 'any/thing' } })).text();
    expect(await post('')).toBe('');
    expect(await post(Uint8Array.of(0, 255, 10))).toBe('\0\u00ff\n');
    expect(await post('x'.repeat(8192))).toBe('x'.repeat(8192));
    expect(await post('x'.repeat(8193))).toBe('more than 8192');
    expect(await post('x'.repeat(300_000))).toBe('more than 8192');
    expect(await (await fetch(url)).text()).toBe('');
  });

  test('reads a body in chunks and rejects when the client disconnects before its end', async () => {
    const outcomes: string[] = [];
    const url = await start(async (incoming) => {
      const body = await incoming.body(100).catch((error: Error) => error);
      outcomes.push(body instanceof Error ? 'rejected' : `${body?.byteLength}`);
      return ok;
    });
    const post = async (chunks: string[]) => {
      const outgoing = request(url, { method: 'POST', headers: { 'content-length': 20 } }).on('error', () => {});
      for (const chunk of chunks) {
        outgoing.write(chunk);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return outgoing;
    };
    await post(['0123456789', '0123456789']);
    await until('the whole body is read', () => outcomes.length === 1);
    (await post(['0123456789'])).destroy();
    await until('the partial body is rejected', () => outcomes.length === 2);
    expect(outcomes).toEqual(['20', 'rejected']);
    expect((await fetch(url)).status).toBe(200);
  });

  test('answers asynchronously', async () => {
    const url = await start(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return { ...ok, body: 'late' };
    });
    expect(await (await fetch(url)).text()).toBe('late');
  });

  test.each<[string, Handler]>([
    [
      'throws',
      () => {
        throw new Error('a secret');
      },
    ],
    ['rejects', () => Promise.reject(new Error('a secret'))],
  ])('answers 500 without the cause when the handler %s', async (_, handle) => {
    const url = await start(handle);
    const answer = await fetch(url);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('secret');
  });

  test('survives a client that disconnects before its response', async () => {
    let requests = 0;
    const url = await start(async ({ path }) => {
      if (path !== '/slow') return ok;
      requests++;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return ok;
    });
    const abandoned = request(`${url}/slow`).on('error', () => {});
    abandoned.end();
    await until('the request arrives', () => requests === 1);
    abandoned.destroy();
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect((await fetch(url)).status).toBe(200);
  });

  test('survives garbage instead of HTTP', async () => {
    const url = await start(() => ok);
    for (const bytes of ['\x16\x03\x01\x02\x00', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', '\0'.repeat(100_000)]) {
      const tcp = connect((served as Served).port, '127.0.0.1');
      tcp.on('error', () => {});
      tcp.end(bytes);
      tcp.resume();
      await new Promise((resolve) => tcp.once('close', resolve));
    }
    expect((await fetch(url)).status).toBe(200);
  });

  test('rejects a handshake with the response of the application', async () => {
    served = await serve(name, { upgrade: () => ({ status: 403, headers: { 'x-why': 'origin' }, body: 'no\n' }) });
    expect(await dialRejected(served.port)).toMatchObject({
      status: 403,
      headers: { 'x-why': 'origin' },
      body: 'no\n',
    });
  });

  test('survives a handshake by HEAD', async () => {
    served = await serve(name, { upgrade: () => ({ ...ok, status: 400 }) });
    const tcp = connect(served.port, '127.0.0.1');
    const upgrade = ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'];
    const key = 'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==';
    tcp.write(`HEAD /ws HTTP/1.1\r\nHost: here\r\n${upgrade.join('\r\n')}\r\n${key}\r\n\r\n`);
    const [answer] = await once(tcp, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 4/);
    tcp.destroy();
    expect((await fetch(`http://127.0.0.1:${served.port}`)).status).toBe(404);
  });

  test('answers 500 to a handshake whose handler throws, and serves the next one', async () => {
    let throws = true;
    served = await serve(name, {
      upgrade() {
        if (throws) throw new Error('a secret');
        return { listener: recorder(), protocol: '' };
      },
    });
    const { status, body } = await dialRejected(served.port);
    expect(status).toBe(500);
    expect(body).not.toContain('secret');
    throws = false;
    expect((await dial(served.port)).readyState).toBe(1);
  });

  test('answers with the selected subprotocol, if any', async () => {
    served = await serve(name, {
      upgrade: (request) => ({
        listener: recorder(),
        protocol: request.header('sec-websocket-protocol').split(',')[1]?.trim() ?? '',
      }),
    });
    expect((await dial(served.port, ['one', 'two'])).protocol).toBe('two');
    expect((await dial(served.port)).protocol).toBe('');
  });

  test('rejects a taken port with EADDRINUSE and a foreign address with EADDRNOTAVAIL', async () => {
    served = await serve(name);
    const { port } = served;
    const second = (await import('../../src/transport/choose.ts'))
      .chooseTransport(name)
      .factory({ handle: () => ok, upgrade: () => ok }, { maxPayload: 1, maxBackpressure: 1 });
    await expect(second.listen('127.0.0.1', port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(second.listen('203.0.113.1', 0)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  });

  test('stopListening rejects new connections and keeps open ones', async () => {
    served = await serve(name);
    const peer = await dial(served.port);
    served.transport.stopListening();
    const late = connect(served.port, '127.0.0.1');
    const [error] = await once(late, 'error');
    expect(error.code).toBe('ECONNREFUSED');
    peer.send('still open');
    await until('the message arrives', () => served?.recordings[0]?.messages.length === 1);
  });

  test('terminate cuts every connection without a close frame', async () => {
    served = await serve(name);
    const peers = [await dial(served.port), await dial(served.port)];
    const closed = peers.map((peer) => once(peer, 'close'));
    served.transport.terminate();
    for (const [code] of await Promise.all(closed)) expect(code).toBe(1006);
    await until(
      'every listener is closed',
      () => served?.recordings.every(({ closes }) => closes[0]?.code === 1006) === true,
    );
  });
});
