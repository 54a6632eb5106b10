import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect, type Socket as TcpSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import {
  type Application,
  DROPPED,
  QUEUED,
  SENT,
  type Socket,
  type TransportOptions,
} from '../../src/transport/transport.ts';
import { transports, until } from '../integration/server.ts';
import { type Reactions, type Recording, recorder, type Served, serve } from './harness.ts';

const event = (text: string) => Buffer.from(`data: ${text}\n\n`);
const numbered = (count: number) => event(`${count} `.padEnd(1000, '.'));
const HEADERS = { 'content-type': 'text/event-stream', 'x-own': 'yes' };

describe.each(transports)('a stream of the transport %s', (name) => {
  let served: Served;
  let recordings: Recording[] = [];
  afterEach(() => served.transport.terminate());

  const start = async (
    reactions: Reactions = {},
    options: Partial<TransportOptions> = {},
    app: Partial<Application> = {},
  ) => {
    recordings = [];
    const handle = () => ({ headers: HEADERS, listener: recorder(recordings, reactions) });
    served = await serve(name, { handle, ...app }, options);
    return served;
  };

  const recordingOf = async (nth = 0): Promise<Recording> => {
    await until('the stream is open', () => recordings.length > nth);
    return recordings[nth] as Recording;
  };

  /** Sends events until `send` returns `status`. @returns their number, including that one. */
  const fill = (socket: Socket, status: number) => {
    for (let count = 0; count < 100_000; count++) if (socket.send(numbered(count)) === status) return count + 1;
    throw new Error(`no event of 100,000 returned status ${status}`);
  };

  test('opens with its headers and a comment, and sends events in order', async () => {
    const { port } = await start();
    const reader = await read(port);
    expect(reader.response).toMatchObject({
      statusCode: 200,
      headers: { ...HEADERS, connection: 'close', 'transfer-encoding': 'chunked' },
    });
    const { socket } = await recordingOf();
    await until('the comment arrives', () => reader.text === ':\n\n');
    for (const length of [0, 1, 16_000, 16_384, 65_536]) expect(socket.send(event('x'.repeat(length)))).toBe(SENT);
    socket.send(event('last'));
    await until('all events arrive', () => reader.text.endsWith('data: last\n\n'));
    expect(reader.events().map((text) => text.length)).toEqual([0, 1, 16_000, 16_384, 65_536, 4]);
  });

  test('opens after a promise, once the body is read', async () => {
    const bodies: string[] = [];
    const handle: Application['handle'] = async (request) => {
      bodies.push(String(await request.body(1000)));
      await sleep(20);
      return {
        headers: HEADERS,
        listener: recorder(recordings, { open: ({ socket }) => socket.send(event('first')) }),
      };
    };
    const { port } = await start({}, {}, { handle });
    const response = await fetch(`http://127.0.0.1:${port}/any`, { method: 'POST', body: 'the body' });
    const chunks = response.body?.getReader();
    let text = '';
    while (!text.includes('first')) text += Buffer.from((await chunks?.read())?.value ?? '');
    expect(text).toBe(':\n\ndata: first\n\n');
    expect(bodies).toEqual(['the body']);
    await chunks?.cancel();
    await until('the listener is closed', () => recordings[0]?.closes.length === 1);
  });

  test('does not open for HEAD', async () => {
    const { port } = await start();
    const response = await fetch(`http://127.0.0.1:${port}/any`, { method: 'HEAD' });
    expect([response.status, response.headers.get('x-own')]).toEqual([200, 'yes']);
    expect(recordings).toEqual([]);
  });

  test('returns QUEUED when the kernel is full, delivers what it queued, and reports the drain', async () => {
    const { port } = await start();
    const slow = await stalledReader(port);
    const recording = await recordingOf();
    const sent = fill(recording.socket, QUEUED);
    expect(recording.socket.bufferedAmount).toBeGreaterThan(0);
    await sleep(50);
    expect(recording.drains).toBe(0);
    const text = readRest(slow);
    await until('the stream drains', () => recording.drains > 0);
    expect(recording.socket.bufferedAmount).toBe(0);
    expect(recording.socket.send(numbered(sent))).toBe(SENT);
    recording.socket.close({ code: 4000, reason: 'done' });
    expect(numbersOf(await text)).toEqual(Array.from({ length: sent + 1 }, (_, i) => i));
    expect(recording.drains).toBe(1);
  });

  test('returns DROPPED past its limit and delivers only events that were not dropped', async () => {
    const { port } = await start({}, { maxBackpressure: 100_000 });
    const slow = await stalledReader(port);
    const recording = await recordingOf();
    const sent = fill(recording.socket, DROPPED) - 1;
    expect(recording.socket.bufferedAmount).toBeGreaterThan(100_000);
    const text = readRest(slow);
    await until('the stream drains', () => recording.drains > 0);
    expect(recording.socket.send(event('after'))).toBe(SENT);
    recording.socket.close({ code: 1000, reason: '' });
    const events = eventsOf(await text);
    expect(events.pop()).toBe('{"code":1000,"reason":""}');
    expect(events.pop()).toBe('after');
    expect(events.map((each) => Number(each.split(' ')[0]))).toEqual(Array.from({ length: sent }, (_, i) => i));
  });

  test('reports a drain only to the listener of the drained stream', async () => {
    const { port } = await start();
    const first = await stalledReader(port);
    const a = await recordingOf(0);
    const second = await stalledReader(port);
    const b = await recordingOf(1);
    fill(a.socket, QUEUED);
    fill(b.socket, QUEUED);
    const text = readRest(first);
    await until('the first stream drains', () => a.drains > 0);
    expect([b.drains, b.socket.bufferedAmount > 0]).toEqual([0, true]);
    a.socket.close({ code: 1000, reason: '' });
    await text;
    second.destroy();
  });

  test('stays open in silence, and while its reader accepts nothing', async () => {
    const { port } = await start();
    const slow = await stalledReader(port);
    const full = await recordingOf(0);
    const reader = await read(port);
    const silent = await recordingOf(1);
    const sent = fill(full.socket, QUEUED);
    await sleep(15_000); // longer than the timeouts of the libraries
    expect([full.closes, silent.closes]).toEqual([[], []]);
    expect(silent.socket.send(event('later'))).toBe(SENT);
    await until('the event arrives', () => reader.events().includes('later'));
    full.socket.close({ code: 4001, reason: 'took nothing' });
    const events = eventsOf(await readRest(slow));
    expect(events.pop()).toBe('{"code":4001,"reason":"took nothing"}');
    expect(events).toHaveLength(sent);
  }, 30_000);

  test('sends a comment as a ping, but none behind what is queued', async () => {
    const { port } = await start();
    const reader = await read(port);
    const { socket } = await recordingOf();
    socket.ping(Buffer.from('12345678'));
    await until('the comment arrives', () => reader.text === ':\n\n:\n\n');
    const slow = await stalledReader(port);
    const { socket: full } = await recordingOf(1);
    fill(full, QUEUED);
    const before = full.bufferedAmount;
    full.ping(Buffer.from('12345678'));
    expect(full.bufferedAmount).toBe(before);
    slow.destroy();
  });

  test('sends corked events in one write', async () => {
    const { port } = await start();
    const slow = await stalledReader(port);
    const { socket } = await recordingOf();
    const chunks: Buffer[] = [];
    slow.on('data', (chunk) => chunks.push(chunk));
    slow.resume();
    await until('the comment arrives', () => chunks.length === 1);
    socket.cork(() => {
      for (let i = 0; i < 20; i++) expect(socket.send(event(`message ${i}`))).toBe(SENT);
    });
    await until('all events arrive', () => Buffer.concat(chunks).includes('message 19'));
    expect(chunks).toHaveLength(2);
  });

  test.each([
    [1001, 'going'],
    [4000, 'ü "quoted"\n'],
  ])('ends with an event that has the code %i and the reason %j', async (code, reason) => {
    const { port } = await start();
    const reader = await read(port);
    const recording = await recordingOf();
    recording.socket.close({ code, reason });
    await once(reader.response, 'end');
    expect(reader.text).toBe(`:\n\nevent: close\ndata: ${JSON.stringify({ code, reason })}\n\n`);
    await until('the listener is closed', () => recording.closes.length > 0);
    expect(recording).toMatchObject({ closes: [{ code, reason }], late: 0 });
  });

  test('is cut without an event by the code 1006', async () => {
    const { port } = await start();
    const reader = await read(port);
    const recording = await recordingOf();
    await until('the comment arrives', () => reader.text === ':\n\n');
    recording.socket.close({ code: 1006, reason: '' });
    await once(reader.response, 'error');
    expect(reader.text).toBe(':\n\n');
    await until('the listener is closed', () => recording.closes.length > 0);
    expect(recording).toMatchObject({ closes: [{ code: 1006, reason: '' }], late: 0 });
  });

  test('reports 1006 once for a reader that vanishes, also with events queued', async () => {
    const { port } = await start();
    const quiet = await stalledReader(port);
    const a = await recordingOf(0);
    const full = await stalledReader(port);
    const b = await recordingOf(1);
    fill(b.socket, QUEUED);
    quiet.destroy();
    full.resetAndDestroy();
    await until('the listeners are closed', () => a.closes.length > 0 && b.closes.length > 0);
    for (const each of [a, b]) expect(each).toMatchObject({ closes: [{ code: 1006, reason: '' }], late: 0 });
  });

  test.each(['its own close', "the reader's abort"])('drops events without throwing after %s', async (whose) => {
    const { port } = await start();
    const reader = await stalledReader(port);
    const { socket, closes } = await recordingOf();
    if (whose === 'its own close') socket.close({ code: 1000, reason: '' });
    else {
      reader.destroy();
      await until('the listener is closed', () => closes.length > 0);
    }
    let corked = 0;
    expect(socket.send(event('late'))).toBe(DROPPED);
    socket.ping(Buffer.from('late'));
    socket.cork(() => corked++);
    socket.close({ code: 4000, reason: 'again' });
    socket.close({ code: 1006, reason: '' });
    expect([socket.bufferedAmount, corked]).toEqual([0, 1]);
    reader.resume();
    await until('the listener is closed', () => closes.length > 0);
    expect(closes).toHaveLength(1);
  });

  test.each<'open' | 'drain'>(['open', 'drain'])(
    'closes once inside %s, and reports no later event',
    async (inside) => {
      const { port } = await start({ [inside]: ({ socket }: Recording) => socket.close({ code: 4001, reason: '' }) });
      const reader = await stalledReader(port);
      const recording = await recordingOf();
      if (inside === 'drain') fill(recording.socket, QUEUED);
      expect(eventsOf(await readRest(reader)).pop()).toBe('{"code":4001,"reason":""}');
      await until('the listener is closed', () => recording.closes.length > 0);
      expect(recording).toMatchObject({ closes: [expect.anything()], late: 0 });
    },
  );

  test('is not opened for a client that disconnects before the answer', async () => {
    let answer = () => {};
    const handle: Application['handle'] = () =>
      new Promise((resolve) => {
        answer = () => resolve({ headers: HEADERS, listener: recorder(recordings) });
      });
    const { port } = await start({}, {}, { handle });
    const tcp = connect(port, '127.0.0.1');
    tcp.write(`GET /any HTTP/1.1\r\nHost: a\r\n\r\n`);
    await sleep(50);
    tcp.destroy();
    await sleep(50);
    answer();
    await sleep(50);
    expect(recordings).toEqual([]);
  });

  test('closes its connection after the stream, even if the client wants to keep it', async () => {
    const { port } = await start();
    const reader = await read(port);
    const { socket } = await recordingOf();
    const closed = once(reader.response.socket, 'close');
    socket.close({ code: 1000, reason: '' });
    await closed;
  });

  test('does not serve a second request on its connection', async () => {
    const { port } = await start();
    const tcp = await stalledReader(port);
    const { socket } = await recordingOf();
    tcp.write(`GET /second HTTP/1.1\r\nHost: a\r\n\r\n`);
    await sleep(100);
    socket.close({ code: 1000, reason: '' });
    await readRest(tcp, 1000);
    expect(recordings).toHaveLength(1);
  });

  test('reports the address of its reader', async () => {
    const { port } = await start();
    await read(port);
    expect((await recordingOf()).socket.remoteAddress).toBe('127.0.0.1');
  });

  test('keeps at most its limit in memory for a reader that stops', async () => {
    const { port } = await start({}, { maxBackpressure: 64 * 1024 });
    const slow = await stalledReader(port);
    const { socket } = await recordingOf();
    fill(socket, DROPPED);
    const full = socket.bufferedAmount;
    for (let i = 0; i < 1000; i++) expect(socket.send(numbered(i))).toBe(DROPPED);
    expect(socket.bufferedAmount).toBe(full);
    expect(full).toBeLessThan(64 * 1024 + 2000);
    slow.destroy();
  });
});

/** Opens a stream with a client that reads. */
async function read(port: number) {
  const request = get({ port, host: '127.0.0.1', path: '/any' });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const reader = { response, text: '', events: () => eventsOf(reader.text) };
  response.setEncoding('utf8');
  response.on('error', () => {});
  response.on('data', (chunk: string) => {
    reader.text += chunk;
  });
  return reader;
}

/** Opens a stream on a bare TCP socket that reads only on demand. */
async function stalledReader(port: number): Promise<TcpSocket> {
  const tcp = connect({ port, host: '127.0.0.1' });
  tcp.on('error', () => {});
  tcp.pause();
  tcp.write('GET /any HTTP/1.1\r\nHost: a\r\n\r\n');
  return tcp;
}

/** Reads chunks up to the last one, the end of the connection, or for some time. */
async function readRest(tcp: TcpSocket, ms = 10_000): Promise<string> {
  const chunks: Buffer[] = [];
  tcp.on('data', (chunk) => chunks.push(chunk));
  tcp.resume();
  const end = Date.now() + ms;
  let ended = false;
  tcp.on('close', () => {
    ended = true;
  });
  while (!ended && Date.now() < end && !chunks.at(-1)?.toString('latin1').endsWith('\r\n0\r\n\r\n')) await sleep(5);
  tcp.destroy();
  return unchunk(Buffer.concat(chunks));
}

function unchunk(bytes: Buffer): string {
  let text = '';
  let at = bytes.indexOf('\r\n\r\n') + 4;
  while (at < bytes.length) {
    const end = bytes.indexOf('\r\n', at);
    const length = Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (!(length > 0)) break;
    text += bytes.toString('utf8', end + 2, end + 2 + length);
    at = end + 2 + length + 2;
  }
  return text;
}

function eventsOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice(6));
}

function numbersOf(text: string): number[] {
  return eventsOf(text)
    .filter((each) => /^\d/.test(each))
    .map((each) => Number(each.split(' ')[0]));
}
