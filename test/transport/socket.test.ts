import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { DROPPED, QUEUED, SENT, type Socket, type TransportOptions } from '../../src/transport/transport.ts';
import { readAll, sluggard, transports, until } from '../integration/server.ts';
import { dial, type Reactions, type Recording, type Served, serve } from './harness.ts';

const frame = (text: string) => Buffer.from(text);
const numbered = (count: number) => frame(`${count} `.padEnd(1000, '.'));
const numbersOf = (messages: readonly string[]) => messages.map((text) => Number(text.split(' ')[0]));

describe.each(transports)('a socket of the transport %s', (name) => {
  let served: Served;
  afterEach(() => served.transport.terminate());

  const start = async (reactions: Reactions = {}, options: Partial<TransportOptions> = {}) => {
    served = await serve(name, { reactions }, options);
    return served;
  };

  /** Waits for the server's side of the `nth` connection. */
  const recordingOf = async (nth = 0): Promise<Recording> => {
    await until('the socket is open', () => served.recordings.length > nth);
    return served.recordings[nth] as Recording;
  };

  /**
   * Sends frames until `send` returns `status`.
   *
   * @returns the number of frames, including that one.
   */
  const fill = (socket: Socket, status: number) => {
    for (let count = 0; count < 100_000; count++) if (socket.send(numbered(count)) === status) return count + 1;
    throw new Error(`no frame of 100,000 returned status ${status}`);
  };

  test('receives text, binary, empty and fragmented messages whole and in order', async () => {
    const { port } = await start();
    const peer = await dial(port);
    peer.send('grüße');
    peer.send(Buffer.from([1, 2, 3]));
    peer.send('');
    peer.send('frag', { fin: false });
    peer.send('mented');
    const recording = await recordingOf();
    await until('all messages arrive', () => recording.messages.length === 4);
    expect(recording.messages).toEqual([
      { text: 'grüße', binary: false },
      { text: '\u0001\u0002\u0003', binary: true },
      { text: '', binary: false },
      { text: 'fragmented', binary: false },
    ]);
  });

  test('sends frames of any size as text, in order', async () => {
    const { port } = await start();
    const peer = await dial(port);
    const received: [string, boolean][] = [];
    peer.on('message', (data, binary) => received.push([String(data), binary]));
    const { socket } = await recordingOf();
    const sent = [0, 1, 125, 126, 65_535, 65_536].map((length) => 'x'.repeat(length));
    for (const text of sent) expect(socket.send(frame(text))).toBe(SENT);
    await until('all messages arrive', () => received.length === sent.length);
    expect(received).toEqual(sent.map((text) => [text, false]));
  });

  test('returns QUEUED when the kernel is full, delivers what it queued, and reports the drain', async () => {
    const { port } = await start();
    const slow = await sluggard(port);
    const recording = await recordingOf();
    const sent = fill(recording.socket, QUEUED);
    expect(recording.socket.bufferedAmount).toBeGreaterThan(0);
    expect(recording.drains).toBe(0);
    slow.resume();
    const all = readAll(slow);
    await until('the socket drains', () => recording.drains > 0);
    expect(recording.socket.bufferedAmount).toBe(0);
    expect(recording.socket.send(numbered(sent))).toBe(SENT);
    recording.socket.close({ code: 1000, reason: '' });
    expect(numbersOf((await all).messages)).toEqual(Array.from({ length: sent + 1 }, (_, i) => i));
    expect(recording.drains).toBe(1);
  });

  test('returns DROPPED past its limit and delivers only frames that were not dropped', async () => {
    const { port } = await start({}, { maxBackpressure: 100_000 });
    const slow = await sluggard(port);
    const recording = await recordingOf();
    const sent = fill(recording.socket, DROPPED) - 1;
    expect(recording.socket.bufferedAmount).toBeGreaterThan(100_000);
    slow.resume();
    const all = readAll(slow);
    await until('the socket drains', () => recording.drains > 0);
    expect(recording.socket.send(frame('after'))).toBe(SENT);
    recording.socket.close({ code: 1000, reason: '' });
    const { messages } = await all;
    expect(messages.pop()).toBe('after');
    expect(numbersOf(messages)).toEqual(Array.from({ length: sent }, (_, i) => i));
  });

  test('reports a drain only to the listener of the drained socket', async () => {
    const { port } = await start();
    const [first, second] = [await sluggard(port), await sluggard(port)];
    const [a, b] = [await recordingOf(0), await recordingOf(1)];
    fill(a.socket, QUEUED);
    fill(b.socket, QUEUED);
    first.resume();
    await until('the first socket drains', () => a.drains > 0);
    expect(b.drains).toBe(0);
    expect(b.socket.bufferedAmount).toBeGreaterThan(0);
    second.destroy();
  });

  test('delivers what is queued and then the close frame to a slow peer that reads again', async () => {
    const { port } = await start();
    const slow = await sluggard(port);
    const recording = await recordingOf();
    const sent = fill(recording.socket, QUEUED);
    recording.socket.close({ code: 4000, reason: 'too slow' });
    const { messages, code } = await readAll(slow);
    expect(numbersOf(messages)).toEqual(Array.from({ length: sent }, (_, i) => i));
    expect(code).toBe(4000);
    await until('the listener is closed', () => recording.closes.length > 0);
    expect(recording.closes).toHaveLength(1);
  });

  test.each([
    [1000, '', 1000, ''],
    [4999, 'because', 4999, 'because'],
    [1005, 'not sent', 1005, ''],
    [1006, 'not sent', 1006, ''],
    [4000, 'ü'.repeat(100), 4000, 'ü'.repeat(61)],
    [4000, '😀'.repeat(40), 4000, '😀'.repeat(30)],
  ])('closes with %i %s, which the peer receives as %i %s', async (code, reason, peerCode, peerReason) => {
    const { port } = await start();
    const peer = await dial(port);
    const closed = once(peer, 'close');
    const recording = await recordingOf();
    recording.socket.close({ code, reason });
    const [receivedCode, receivedReason] = await closed;
    expect([receivedCode, String(receivedReason)]).toEqual([peerCode, peerReason]);
    await until('the listener is closed', () => recording.closes.length > 0);
    expect(recording).toMatchObject({ closes: [expect.anything()], late: 0 });
  });

  test.each([
    [4321, 'bye', { code: 4321, reason: 'bye' }],
    [undefined, '', { code: 1005, reason: '' }],
  ])("reports a peer's close with %s once", async (code, reason, expected) => {
    const { port } = await start();
    const peer = await dial(port);
    peer.close(code, reason);
    const recording = await recordingOf();
    await until('the listener is closed', () => recording.closes.length > 0);
    expect(recording.closes).toEqual([expected]);
  });

  test('reports 1006 for a peer that vanishes', async () => {
    const { port } = await start();
    const peer = await dial(port);
    const recording = await recordingOf();
    peer.terminate();
    await until('the listener is closed', () => recording.closes.length > 0);
    expect(recording.closes).toEqual([{ code: 1006, reason: expect.any(String) }]);
  });

  test.each(['its own close', "the peer's close"])('drops frames without throwing after %s', async (whose) => {
    const { port } = await start();
    const peer = await dial(port);
    const { socket, closes } = await recordingOf();
    if (whose === 'its own close') socket.close({ code: 1000, reason: '' });
    else peer.close();
    if (whose !== 'its own close') await until('the listener is closed', () => closes.length > 0);
    let corked = 0;
    expect(socket.send(frame('late'))).toBe(DROPPED);
    socket.ping(frame('late'));
    socket.cork(() => corked++);
    socket.close({ code: 4000, reason: 'again' });
    expect(socket.bufferedAmount).toBe(0);
    expect(corked).toBe(1);
    await until('the listener is closed', () => closes.length > 0);
    expect(closes).toHaveLength(1);
  });

  test.each<keyof Reactions>(['open', 'message', 'pong', 'drain'])(
    'closes once inside %s, and reports no later event',
    async (event) => {
      const { port } = await start({ [event]: ({ socket }: Recording) => socket.close({ code: 4001, reason: '' }) });
      const peer = await sluggard(port);
      const recording = await recordingOf();
      if (event === 'message' || event === 'pong') {
        const [opcode, mask] = [event === 'message' ? 0x81 : 0x8a, [0, 0, 0, 0]];
        peer.write(Buffer.from([opcode, 0x81, ...mask, 65, opcode, 0x81, ...mask, 66]));
      }
      if (event === 'drain') fill(recording.socket, QUEUED);
      const { code } = await readAll(peer);
      expect(code).toBe(4001);
      peer.destroy();
      await until('the listener is closed', () => recording.closes.length > 0);
      expect(recording).toMatchObject({ closes: [expect.anything()], late: 0 });
      expect(recording.messages.length + recording.pongs.length).toBeLessThanOrEqual(1);
    },
  );

  test('receives the payload of its ping in the pong, and answers a ping', async () => {
    const { port } = await start();
    const peer = await dial(port);
    const recording = await recordingOf();
    recording.socket.ping(Buffer.from('12345678'));
    peer.ping('hello?');
    const [answer] = await once(peer, 'pong');
    expect(String(answer)).toBe('hello?');
    await until('the pong arrives', () => recording.pongs.length > 0);
    expect(recording.pongs).toEqual(['12345678']);
  });

  test('sends corked frames in one write', async () => {
    const { port } = await start();
    const tcp = await sluggard(port);
    const { socket } = await recordingOf();
    const chunks: Buffer[] = [];
    tcp.on('data', (chunk) => chunks.push(chunk));
    socket.cork(() => {
      for (let i = 0; i < 20; i++) socket.send(frame(`message ${i}`));
    });
    await until('all frames arrive', () => Buffer.concat(chunks).includes('message 19'));
    expect(chunks).toHaveLength(1);
  });

  test('ends only the sender of a message over maxPayload', async () => {
    const { port } = await start();
    const [long, other] = [await dial(port), await dial(port)];
    long.on('error', () => {});
    const closed = once(long, 'close');
    long.send('x'.repeat(64 * 1024 + 1));
    expect([1006, 1009]).toContain((await closed)[0]);
    other.send('x'.repeat(64 * 1024));
    const [a, b] = [await recordingOf(0), await recordingOf(1)];
    await until('the other message arrives', () => b.messages.length > 0);
    expect(a.messages).toEqual([]);
    expect(a.closes).toHaveLength(1);
  });

  test('ends the sender of invalid UTF-8 without reporting the message', async () => {
    const { port } = await start();
    const peer = await dial(port);
    const closed = once(peer, 'close');
    peer.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect([1006, 1007]).toContain((await closed)[0]);
    const recording = await recordingOf();
    expect(recording.messages).toEqual([]);
  });

  test('reports an IPv4 address as IPv4 on a dual-stack listener', async () => {
    served = await serve(name, { host: '::' });
    await dial(served.port);
    expect((await recordingOf()).socket.remoteAddress).toBe('127.0.0.1');
  });

  test('negotiates no compression', async () => {
    const { port } = await start();
    const peer = await dial(port);
    expect(peer.extensions).toBe('');
  });
});
