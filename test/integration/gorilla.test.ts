import { afterEach, describe, expect, test } from 'vitest';
import type { HubEvents } from '../../src/hub/events.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { variants } from '../workers/variants.ts';
import { listen, type Options, peer, readAll, sluggard, until } from './server.ts';

describe.each(variants)('the Hub on real sockets of the transport $name', (variant) => {
  let close: () => Promise<void> = async () => {};
  afterEach(() => close());

  const start = async (options: Options = {}) => {
    const server = await listen(variant, options);
    close = server.close;
    return server;
  };

  test('delivers text and binary to every client, sender included, as one line of text', async () => {
    const { port } = await start();
    const [ada, bob] = [await peer(port), await peer(port)];
    ada.socket.send('hello\nall ');
    ada.socket.send(Buffer.from(' in binary '));
    await until('both messages arrive', () => ada.messages().length === 2 && bob.messages().length === 2);
    expect(ada.messages()).toEqual(['hello all', 'in binary']);
    expect(bob.messages()).toEqual(ada.messages());
  });

  test('delivers an empty message', async () => {
    const { port } = await start();
    const ada = await peer(port);
    ada.socket.send('');
    await until('the message arrives', () => ada.frames.length === 1);
    expect(ada.frames).toEqual(['']);
  });

  test('merges messages that arrive together into few frames, whole and in order', async () => {
    const { port } = await start();
    const [ada, bob] = [await peer(port), await peer(port)];
    const sent = Array.from({ length: 2000 }, (_, i) => `message ${i}`);
    for (const text of sent) ada.socket.send(text);
    await until('all messages arrive', () => bob.messages().length >= sent.length);
    expect(bob.messages()).toEqual(sent);
    expect(bob.frames.length).toBeLessThan(sent.length / 4);
  });

  test('closes with 1009 for a message over 512 bytes and keeps other clients', async () => {
    const { port } = await start();
    const [longer, huge, bob] = [await peer(port), await peer(port), await peer(port)];
    longer.socket.send('x'.repeat(513));
    huge.socket.send('x'.repeat(100_000));
    expect(await longer.closed).toEqual({ code: 1009, reason: '' });
    expect(await huge.closed).toEqual({ code: 1009, reason: '' });
    bob.socket.send('x'.repeat(512));
    await until('the message of 512 bytes arrives', () => bob.messages()[0] === 'x'.repeat(512));
  });

  test('sends a flooding client all of its accepted messages before it closes with 4003', async () => {
    const { port } = await start({ publishRate: { perSecond: 1, burst: 50 } });
    const flooder = await peer(port);
    for (let i = 1; i <= 200; i++) flooder.socket.send(`${i}`);
    expect(await flooder.closed).toEqual(closes.rateExceeded);
    expect(flooder.messages()).toEqual(Array.from({ length: 50 }, (_, i) => `${i + 1}`));
  });

  test('closes the sender of invalid UTF-8, as text or binary, without delivering it', async () => {
    const { port } = await start();
    const [text, binary, bob] = [await peer(port), await peer(port), await peer(port)];
    const invalid = Buffer.from([0x68, 0xc3, 0x28]);
    text.socket.send(invalid, { binary: false });
    binary.socket.send(invalid, { binary: true });
    expect([1006, 1007]).toContain((await text.closed).code); // uWebSockets.js sends no close frame
    expect(await binary.closed).toEqual({ code: 1007, reason: closes.invalidText.reason });
    bob.socket.send('fine');
    await until('the message of bob arrives', () => bob.frames.length > 0);
    expect(bob.messages()).toEqual(['fine']);
  });

  test('cuts a client that answers no pings and keeps one that does', async () => {
    const { port, hub } = await start({ limits: { pingPeriod: 300, pongWait: 900 } });
    const disconnected: HubEvents['disconnected'][] = [];
    hub.events.on('disconnected', (event) => disconnected.push(event));
    const good = await peer(port);
    const mute = await sluggard(port); // a bare socket answers no pings
    const { code } = await readAll(mute);
    expect(code).toBeUndefined();
    await until('the disconnect is reported', () => disconnected.length > 0);
    expect(disconnected).toMatchObject([{ client: 'c2', close: { code: 1006 }, by: 'server' }]);
    good.socket.send('still here');
    await until('the message arrives', () => good.frames.length === 1);
  });

  test('measures the lag of a client by its pongs', async () => {
    const { port, clients } = await start({ limits: { pingPeriod: 20, pongWait: 5_000 } });
    await peer(port);
    await until('a pong arrives', () => (clients[0]?.lag ?? 0) > 0);
    expect(clients[0]?.lag).toBeLessThan(2_000);
  });

  test('parks a slow client and catches up without loss, while others are served', async () => {
    const { port, hub } = await start();
    const counts = { lagging: 0, drained: 0 };
    hub.events.on('lagging', () => counts.lagging++);
    hub.events.on('drained', () => counts.drained++);
    const slow = await sluggard(port);
    const ada = await peer(port);
    // Some megabytes fit the kernel's buffers; then the socket takes no more. The send buffer is
    // 4,096 records.
    let sent = 0;
    while (counts.lagging === 0) {
      for (let i = 0; i < 500; i++) ada.socket.send(`${sent++} `.padEnd(500, '.'));
      await until('ada has received every message', () => ada.messages().length === sent || counts.lagging > 0);
    }
    await until('ada has received every message', () => ada.messages().length === sent);
    slow.resume();
    const all = readAll(slow);
    await until('the slow client has caught up', () => counts.drained > 0);
    ada.socket.send('last');
    await until('the last message arrives', () => ada.messages().at(-1) === 'last');
    await close();
    const { messages } = await all;
    expect(messages.map((text) => text.split(' ')[0])).toEqual([
      ...Array.from({ length: sent }, (_, i) => `${i}`),
      'last',
    ]);
  });

  test('evicts a client past its send buffer, which still receives queued messages and an empty close frame', async () => {
    const { port, hub } = await start({ settings: { sendBuffer: { records: 500, bytes: 1e9 } } });
    const evicted: HubEvents['evicted'][] = [];
    const disconnected: HubEvents['disconnected'][] = [];
    hub.events.on('evicted', (event) => evicted.push(event));
    hub.events.on('disconnected', (event) => disconnected.push(event));
    const slow = await sluggard(port);
    const ada = await peer(port);
    let sent = 0;
    while (evicted.length === 0) {
      for (let i = 0; i < 500; i++) ada.socket.send(`${sent++} `.padEnd(500, '.'));
      await until('ada has received every message', () => ada.messages().length === sent);
    }
    const { messages, code } = await readAll(slow);
    const seq = evicted[0]?.seq as number;
    expect(evicted).toMatchObject([{ client: 'c1', why: closes.slowConsumer.reason }]);
    expect(evicted[0]?.records).toBeGreaterThan(500);
    expect(messages.map((text) => Number(text.split(' ')[0]))).toEqual(Array.from({ length: seq }, (_, i) => i));
    expect(code).toBe(1005);
    await until('the disconnect is reported', () => disconnected.length > 0);
    expect(disconnected[0]).toMatchObject({
      client: 'c1',
      close: { code: 1005, reason: expect.stringContaining('too slowly') },
    });
    expect(ada.messages()).toHaveLength(sent);
  });

  test('evicts a client that reads nothing for writeWait, even within its send buffer', async () => {
    const { port, hub } = await start({
      limits: { writeWait: 100 },
      settings: { sendBuffer: { records: 1e6, bytes: 1e9 } },
    });
    const evicted: HubEvents['evicted'][] = [];
    let lagging = 0;
    hub.events.on('evicted', (event) => evicted.push(event));
    hub.events.on('lagging', () => lagging++);
    const slow = await sluggard(port);
    const ada = await peer(port);
    for (let sent = 0; lagging === 0; sent += 500) {
      for (let i = 0; i < 500; i++) ada.socket.send('x'.repeat(500));
      await until('ada has received every message', () => ada.messages().length === sent + 500);
    }
    await until('the client is evicted', () => evicted.length > 0);
    expect(evicted[0]).toMatchObject({ client: 'c1', why: closes.writeTimeout.reason });
    slow.destroy();
  });

  test('serves other clients when one vanishes, half-closes or floods', async () => {
    const { port, hub, connected } = await start();
    const bob = await peer(port);
    const vanished = await peer(port);
    vanished.socket.terminate();
    const halfClosed = await sluggard(port);
    halfClosed.end();
    const flooder = await peer(port);
    for (let i = 0; i < 5_000; i++) flooder.socket.send('flood');
    bob.socket.send('through the flood');
    await until('the message of bob arrives', () => bob.messages().includes('through the flood'));
    await until('the flood is delivered', () => bob.messages().length === 5_001);
    await until('the other two are gone', () => connected() === 2);
    flooder.socket.close(1000);
    expect((await flooder.closed).code).toBe(1000);
    await until('only bob is left', () => connected() === 1 && hub.waiting('unregister') === 0);
  });

  test('ends only the sender of an unmasked, oversized control or reserved frame', async () => {
    const { port, connected } = await start();
    const bob = await peer(port);
    for (const bytes of [
      [0x81, 0x02, 0x68, 0x69],
      [0x89, 0xfe, 0, 200, 0, 0, 0, 0],
      [0xf1, 0x80, 0, 0, 0, 0],
      [0x83, 0x80, 0, 0, 0, 0],
    ]) {
      const tcp = await sluggard(port);
      tcp.end(Buffer.from(bytes)); // after some, the server waits for more bytes
      await readAll(tcp);
    }
    await until('only bob is left', () => connected() === 1);
    bob.socket.send('fine');
    await until('the message of bob arrives', () => bob.messages().at(-1) === 'fine');
  });
});
