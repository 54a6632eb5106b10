import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { DROPPED, QUEUED, SENT, type Socket, type TransportOptions } from '../../src/transport/transport.ts';
import { readAll, sluggard, transports, until } from '../integration/server.ts';
import { type Acts, dial, type Heard, type Served, serve } from './harness.ts';

const frame = (text: string) => Buffer.from(text);
const numbered = (count: number) => frame(`${count} `.padEnd(1000, '.'));
const numbersOf = (messages: readonly string[]) => messages.map((text) => Number(text.split(' ')[0]));

describe.each(transports)('a socket of the transport %s', (name) => {
  let served: Served;
  afterEach(() => served.transport.terminate());

  const start = async (acts: Acts = {}, options: Partial<TransportOptions> = {}) => {
    served = await serve(name, { acts }, options);
    return served;
  };

  /** The server's side of the `nth` connection. */
  const side = async (nth = 0): Promise<Heard> => {
    await until('it is open', () => served.heard.length > nth);
    return served.heard[nth] as Heard;
  };

  /** Sends until the socket's answer is `status`. @returns how many it took, that one included. */
  const fill = (socket: Socket, status: number) => {
    for (let count = 0; count < 100_000; count++) if (socket.send(numbered(count)) === status) return count + 1;
    throw new Error('it took all');
  };

  test('tells of text, of binary and of empty messages, in order and whole', async () => {
    const { port } = await start();
    const peer = await dial(port);
    peer.send('grüße');
    peer.send(Buffer.from([1, 2, 3]));
    peer.send('');
    peer.send('frag', { fin: false });
    peer.send('mented');
    const heard = await side();
    await until('all came', () => heard.messages.length === 4);
    expect(heard.messages).toEqual([
      { text: 'grüße', binary: false },
      { text: '\u0001\u0002\u0003', binary: true },
      { text: '', binary: false },
      { text: 'fragmented', binary: false },
    ]);
  });

  test('sends frames of any size, in order, as text', async () => {
    const { port } = await start();
    const peer = await dial(port);
    const got: [string, boolean][] = [];
    peer.on('message', (data, binary) => got.push([String(data), binary]));
    const { socket } = await side();
    const sent = [0, 1, 125, 126, 65_535, 65_536].map((length) => 'x'.repeat(length));
    for (const text of sent) expect(socket.send(frame(text))).toBe(SENT);
    await until('all came', () => got.length === sent.length);
    expect(got).toEqual(sent.map((text) => [text, false]));
  });

  test('says QUEUED when the kernel takes no more, keeps what it queued, and tells of the drain', async () => {
    const { port } = await start();
    const slow = await sluggard(port);
    const heard = await side();
    const sent = fill(heard.socket, QUEUED);
    expect(heard.socket.bufferedAmount).toBeGreaterThan(0);
    expect(heard.drains).toBe(0);
    slow.resume();
    const all = readAll(slow);
    await until('it has drained', () => heard.drains > 0);
    expect(heard.socket.bufferedAmount).toBe(0);
    expect(heard.socket.send(numbered(sent))).toBe(SENT);
    heard.socket.close({ code: 1000, reason: '' });
    expect(numbersOf((await all).messages)).toEqual(Array.from({ length: sent + 1 }, (_, i) => i));
    expect(heard.drains).toBe(1);
  });

  test('says DROPPED past its limit: what it dropped never comes, what it took does', async () => {
    const { port } = await start({}, { maxBackpressure: 100_000 });
    const slow = await sluggard(port);
    const heard = await side();
    const sent = fill(heard.socket, DROPPED) - 1;
    expect(heard.socket.bufferedAmount).toBeGreaterThan(100_000);
    slow.resume();
    const all = readAll(slow);
    await until('it has drained', () => heard.drains > 0);
    expect(heard.socket.send(frame('after'))).toBe(SENT);
    heard.socket.close({ code: 1000, reason: '' });
    const { messages } = await all;
    expect(messages.pop()).toBe('after');
    expect(numbersOf(messages)).toEqual(Array.from({ length: sent }, (_, i) => i));
  });

  test("a drain is told to the socket that drained, not to another's listener", async () => {
    const { port } = await start();
    const [first, second] = [await sluggard(port), await sluggard(port)];
    const [a, b] = [await side(0), await side(1)];
    fill(a.socket, QUEUED);
    fill(b.socket, QUEUED);
    first.resume();
    await until('the first has drained', () => a.drains > 0);
    expect(b.drains).toBe(0);
    expect(b.socket.bufferedAmount).toBeGreaterThan(0);
    second.destroy();
  });

  test('a close reaches a slow peer that reads again: first all that was queued, then the close frame', async () => {
    const { port } = await start();
    const slow = await sluggard(port);
    const heard = await side();
    const sent = fill(heard.socket, QUEUED);
    heard.socket.close({ code: 4000, reason: 'too slow' });
    const { messages, code } = await readAll(slow);
    expect(numbersOf(messages)).toEqual(Array.from({ length: sent }, (_, i) => i));
    expect(code).toBe(4000);
    await until('its listener knows', () => heard.closes.length > 0);
    expect(heard.closes).toHaveLength(1);
  });

  test.each([
    [1000, '', 1000, ''],
    [4999, 'because', 4999, 'because'],
    [1005, 'not sent', 1005, ''],
    [1006, 'not sent', 1006, ''],
    [4000, 'ü'.repeat(100), 4000, 'ü'.repeat(61)],
    [4000, '😀'.repeat(40), 4000, '😀'.repeat(30)],
  ])('a close with %i %s is seen as %i %s, and as one close', async (code, reason, seen, why) => {
    const { port } = await start();
    const peer = await dial(port);
    const closed = once(peer, 'close');
    const heard = await side();
    heard.socket.close({ code, reason });
    const [got, text] = await closed;
    expect([got, String(text)]).toEqual([seen, why]);
    await until('its listener knows', () => heard.closes.length > 0);
    expect(heard).toMatchObject({ closes: [expect.anything()], late: 0 });
  });

  test.each([
    [4321, 'bye', { code: 4321, reason: 'bye' }],
    [undefined, '', { code: 1005, reason: '' }],
  ])("a peer's close with %s is told once", async (code, reason, told) => {
    const { port } = await start();
    const peer = await dial(port);
    peer.close(code, reason);
    const heard = await side();
    await until('it is told', () => heard.closes.length > 0);
    expect(heard.closes).toEqual([told]);
  });

  test('a peer that vanishes is told as 1006', async () => {
    const { port } = await start();
    const peer = await dial(port);
    const heard = await side();
    peer.terminate();
    await until('it is told', () => heard.closes.length > 0);
    expect(heard.closes).toEqual([{ code: 1006, reason: expect.any(String) }]);
  });

  test.each(['its own close', "the peer's close"])('after %s nothing throws, and nothing is taken', async (whose) => {
    const { port } = await start();
    const peer = await dial(port);
    const { socket, closes } = await side();
    if (whose === 'its own close') socket.close({ code: 1000, reason: '' });
    else peer.close();
    if (whose !== 'its own close') await until('it is closed', () => closes.length > 0);
    let worked = 0;
    expect(socket.send(frame('late'))).toBe(DROPPED);
    socket.ping(frame('late'));
    socket.cork(() => worked++);
    socket.close({ code: 4000, reason: 'again' });
    expect(socket.bufferedAmount).toBe(0);
    expect(worked).toBe(1);
    await until('it is closed', () => closes.length > 0);
    expect(closes).toHaveLength(1);
  });

  test.each<keyof Acts>(['open', 'message', 'pong', 'drain'])(
    'a close inside %s is one close, and nothing follows it',
    async (when) => {
      const { port } = await start({ [when]: ({ socket }: Heard) => socket.close({ code: 4001, reason: '' }) });
      const peer = await sluggard(port);
      const heard = await side();
      if (when === 'message' || when === 'pong') {
        const [opcode, mask] = [when === 'message' ? 0x81 : 0x8a, [0, 0, 0, 0]];
        peer.write(Buffer.from([opcode, 0x81, ...mask, 65, opcode, 0x81, ...mask, 66]));
      }
      if (when === 'drain') fill(heard.socket, QUEUED);
      const { code } = await readAll(peer);
      expect(code).toBe(4001);
      peer.destroy();
      await until('it is closed', () => heard.closes.length > 0);
      expect(heard).toMatchObject({ closes: [expect.anything()], late: 0 });
      expect(heard.messages.length + heard.pongs.length).toBeLessThanOrEqual(1);
    },
  );

  test("a ping's payload comes back with the pong, and a peer's ping is answered", async () => {
    const { port } = await start();
    const peer = await dial(port);
    const heard = await side();
    heard.socket.ping(Buffer.from('12345678'));
    peer.ping('hello?');
    const [answer] = await once(peer, 'pong');
    expect(String(answer)).toBe('hello?');
    await until('the pong came', () => heard.pongs.length > 0);
    expect(heard.pongs).toEqual(['12345678']);
  });

  test('frames that are corked leave in one write', async () => {
    const { port } = await start();
    const tcp = await sluggard(port);
    const { socket } = await side();
    const chunks: Buffer[] = [];
    tcp.on('data', (chunk) => chunks.push(chunk));
    socket.cork(() => {
      for (let i = 0; i < 20; i++) socket.send(frame(`message ${i}`));
    });
    await until('they came', () => Buffer.concat(chunks).includes('message 19'));
    expect(chunks).toHaveLength(1);
  });

  test('a message longer than is read at all ends its sender only', async () => {
    const { port } = await start();
    const [long, other] = [await dial(port), await dial(port)];
    long.on('error', () => {});
    const closed = once(long, 'close');
    long.send('x'.repeat(64 * 1024 + 1));
    expect([1006, 1009]).toContain((await closed)[0]);
    other.send('x'.repeat(64 * 1024));
    const [a, b] = [await side(0), await side(1)];
    await until('the other is heard', () => b.messages.length > 0);
    expect(a.messages).toEqual([]);
    expect(a.closes).toHaveLength(1);
  });

  test('text that is not UTF-8 is not told, and ends its sender', async () => {
    const { port } = await start();
    const peer = await dial(port);
    const closed = once(peer, 'close');
    peer.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect([1006, 1007]).toContain((await closed)[0]);
    const heard = await side();
    expect(heard.messages).toEqual([]);
  });

  test('knows the address of its peer, IPv4 as such also where it listens on both', async () => {
    served = await serve(name, { host: '::' });
    await dial(served.port);
    expect((await side()).socket.remoteAddress).toBe('127.0.0.1');
  });

  test('compresses nothing, whatever the peer offers', async () => {
    const { port } = await start();
    const peer = await dial(port);
    expect(peer.extensions).toBe('');
  });
});
