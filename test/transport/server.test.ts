import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { HttpRequest, HttpResponse } from '../../src/transport/transport.ts';
import { transports, until } from '../integration/server.ts';
import { dial, type Handler, listener, refused, type Served, serve } from './harness.ts';

const ok: HttpResponse = { status: 200, headers: { 'content-type': 'text/plain', 'x-own': 'yes' }, body: 'well\n' };

describe.each(transports)('the server of the transport %s', (name) => {
  let served: Served | undefined;
  afterEach(() => served?.transport.terminate());

  const start = async (handle: Handler) => {
    served = await serve(name, { handle });
    return `http://127.0.0.1:${served.port}`;
  };

  test('answers a request with status, headers and body', async () => {
    const seen: Partial<HttpRequest>[] = [];
    const url = await start((asked) => {
      const { method, path, query, remoteAddress } = asked;
      seen.push({ method, path, query, remoteAddress });
      return { ...ok, body: `${asked.header('x-asked')}|${asked.header('x-absent')}` };
    });
    const answer = await fetch(`${url}/a%20b/c?x=1&y=%41?z`, { headers: { 'X-Asked': 'this' } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-own')).toBe('yes');
    expect(await answer.text()).toBe('this|');
    expect(seen).toEqual([{ method: 'GET', path: '/a%20b/c', query: 'x=1&y=%41?z', remoteAddress: '127.0.0.1' }]);
  });

  test('answers HEAD without the body, but with its length', async () => {
    const url = await start(() => ok);
    const answer = await fetch(url, { method: 'HEAD' });
    expect(answer.headers.get('content-length')).toBe('5');
    expect(await answer.text()).toBe('');
  });

  test('sends bytes as they are', async () => {
    const body = Uint8Array.from({ length: 200_000 }, (_, i) => i % 256);
    const url = await start(() => ({ ...ok, body }));
    expect(new Uint8Array(await (await fetch(url)).arrayBuffer())).toEqual(body);
  });

  test('takes a POST with a body, and the next request after it', async () => {
    const url = await start(({ method }) => ({ ...ok, body: method }));
    expect(await (await fetch(url, { method: 'POST', body: 'x'.repeat(100_000) })).text()).toBe('POST');
    expect(await (await fetch(url)).text()).toBe('GET');
  });

  test('reads a body to its limit, says when it is longer, and goes on with the next request', async () => {
    const url = await start(async (asked) => {
      const body = await asked.body(8192);
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

  test('reads a body that comes in pieces, and knows when its client has gone before its end', async () => {
    const ends: string[] = [];
    const url = await start(async (asked) => {
      const body = await asked.body(100).catch((error: Error) => error);
      ends.push(body instanceof Error ? 'gone' : `${body?.byteLength}`);
      return ok;
    });
    const send = async (pieces: string[]) => {
      const posted = request(url, { method: 'POST', headers: { 'content-length': 20 } }).on('error', () => {});
      for (const piece of pieces) {
        posted.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return posted;
    };
    await send(['0123456789', '0123456789']);
    await until('the whole is read', () => ends.length === 1);
    (await send(['0123456789'])).destroy();
    await until('the half is given up', () => ends.length === 2);
    expect(ends).toEqual(['20', 'gone']);
    expect((await fetch(url)).status).toBe(200);
  });

  test('answers late as well as at once', async () => {
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
  ])('a handler that %s is answered with 500, and says nothing of why', async (_, handle) => {
    const url = await start(handle);
    const answer = await fetch(url);
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain('secret');
  });

  test('a client that hangs up before its answer harms nobody', async () => {
    let asked = 0;
    const url = await start(async ({ path }) => {
      if (path !== '/slow') return ok;
      asked++;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return ok;
    });
    const gone = request(`${url}/slow`).on('error', () => {});
    gone.end();
    await until('it was asked', () => asked === 1);
    gone.destroy();
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect((await fetch(url)).status).toBe(200);
  });

  test('garbage instead of HTTP harms nobody', async () => {
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

  test('a handshake that is refused gets the answer it was refused with', async () => {
    served = await serve(name, { upgrade: () => ({ status: 403, headers: { 'x-why': 'origin' }, body: 'no\n' }) });
    expect(await refused(served.port)).toMatchObject({ status: 403, headers: { 'x-why': 'origin' }, body: 'no\n' });
  });

  test('a handshake by HEAD harms nobody', async () => {
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

  test('a handshake that throws gets 500, and the next one is served', async () => {
    let throws = true;
    served = await serve(name, {
      upgrade() {
        if (throws) throw new Error('a secret');
        return { listener: listener([], {}), protocol: '' };
      },
    });
    const { status, body } = await refused(served.port);
    expect(status).toBe(500);
    expect(body).not.toContain('secret');
    throws = false;
    expect((await dial(served.port)).readyState).toBe(1);
  });

  test('a subprotocol is answered when one was chosen', async () => {
    served = await serve(name, {
      upgrade: (asked) => ({
        listener: listener([], {}),
        protocol: asked.header('sec-websocket-protocol').split(',')[1]?.trim() ?? '',
      }),
    });
    expect((await dial(served.port, ['one', 'two'])).protocol).toBe('two');
    expect((await dial(served.port)).protocol).toBe('');
  });

  test('a taken port is refused with EADDRINUSE, a host that is not here with its own code', async () => {
    served = await serve(name);
    const { port } = served;
    const second = (await import('../../src/transport/choose.ts'))
      .chooseTransport(name)
      .factory({ handle: () => ok, upgrade: () => ok }, { maxPayload: 1, maxBackpressure: 1 });
    await expect(second.listen('127.0.0.1', port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(second.listen('203.0.113.1', 0)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  });

  test('after stopListening nobody comes in, and those who are here stay', async () => {
    served = await serve(name);
    const here = await dial(served.port);
    served.transport.stopListening();
    const late = connect(served.port, '127.0.0.1');
    const [error] = await once(late, 'error');
    expect(error.code).toBe('ECONNREFUSED');
    here.send('still here');
    await until('it is heard', () => served?.heard[0]?.messages.length === 1);
  });

  test('terminate cuts everyone without a close frame', async () => {
    served = await serve(name);
    const peers = [await dial(served.port), await dial(served.port)];
    const closed = peers.map((peer) => once(peer, 'close'));
    served.transport.terminate();
    for (const [code] of await Promise.all(closed)) expect(code).toBe(1006);
    await until('the listeners know', () => served?.heard.every(({ closes }) => closes[0]?.code === 1006) === true);
  });
});
