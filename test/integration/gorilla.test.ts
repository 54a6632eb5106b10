import { afterEach, describe, expect, test } from 'vitest';
import type { HubEvents } from '../../src/hub/events.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { listen, type Options, peer, readAll, sluggard, transports, until } from './server.ts';

describe.each(transports)('the Hub on real sockets, transport %s', (name) => {
  let close: () => Promise<void> = async () => {};
  afterEach(() => close());

  const start = async (options: Options = {}) => {
    const server = await listen(name, options);
    close = server.close;
    return server;
  };

  test('text and binary reach everyone, the sender included, as text on one line', async () => {
    const { port } = await start();
    const [ada, bob] = [await peer(port), await peer(port)];
    ada.socket.send('hello\nall ');
    ada.socket.send(Buffer.from(' in binary '));
    await until('both have both', () => ada.messages().length === 2 && bob.messages().length === 2);
    expect(ada.messages()).toEqual(['hello all', 'in binary']);
    expect(bob.messages()).toEqual(ada.messages());
  });

  test('an empty message is a message', async () => {
    const { port } = await start();
    const ada = await peer(port);
    ada.socket.send('');
    await until('it came back', () => ada.frames.length === 1);
    expect(ada.frames).toEqual(['']);
  });

  test('messages that come together leave together: far fewer frames than messages, each whole and in order', async () => {
    const { port } = await start();
    const [ada, bob] = [await peer(port), await peer(port)];
    const said = Array.from({ length: 2000 }, (_, i) => `message ${i}`);
    for (const text of said) ada.socket.send(text);
    await until('all have come', () => bob.messages().length >= said.length);
    expect(bob.messages()).toEqual(said);
    expect(bob.frames.length).toBeLessThan(said.length / 4);
  });

  test('1009 for a message over 512 bytes, be it one byte or a hundred thousand over; the others stay', async () => {
    const { port } = await start();
    const [little, large, bob] = [await peer(port), await peer(port), await peer(port)];
    little.socket.send('x'.repeat(513));
    large.socket.send('x'.repeat(100_000));
    expect(await little.closed).toEqual({ code: 1009, reason: '' });
    expect(await large.closed).toEqual({ code: 1009, reason: '' });
    bob.socket.send('x'.repeat(512));
    await until('512 bytes came back', () => bob.messages()[0] === 'x'.repeat(512));
  });

  test('invalid UTF-8 reaches nobody and ends its sender, be it text or binary', async () => {
    const { port } = await start();
    const [text, binary, bob] = [await peer(port), await peer(port), await peer(port)];
    const invalid = Buffer.from([0x68, 0xc3, 0x28]);
    text.socket.send(invalid, { binary: false });
    binary.socket.send(invalid, { binary: true });
    expect([1006, 1007]).toContain((await text.closed).code); // uWebSockets.js says nothing at all
    expect(await binary.closed).toEqual({ code: 1007, reason: closes.invalidText.reason });
    bob.socket.send('fine');
    await until('bob is heard', () => bob.frames.length > 0);
    expect(bob.messages()).toEqual(['fine']);
  });

  test('a client that does not answer pings is cut, one that does stays', async () => {
    const { port, hub } = await start({ limits: { pingPeriod: 60, pongWait: 150 } });
    const gone: HubEvents['disconnected'][] = [];
    hub.events.on('disconnected', (event) => gone.push(event));
    const good = await peer(port);
    const mute = await sluggard(port); // a bare socket answers nothing
    const { code } = await readAll(mute);
    expect(code).toBeUndefined();
    await until('the log has it', () => gone.length > 0);
    expect(gone).toMatchObject([{ client: 'c2', close: { code: 1006 }, by: 'server' }]);
    good.socket.send('still here');
    await until('it is heard', () => good.frames.length === 1);
  });

  test('a pong tells how far a client lags', async () => {
    const { port, clients } = await start({ limits: { pingPeriod: 20, pongWait: 5_000 } });
    await peer(port);
    await until('a pong came', () => (clients[0]?.lag ?? 0) > 0);
    expect(clients[0]?.lag).toBeLessThan(2_000);
  });

  test('a slow reader is parked, then reads on: nothing is missing, and nobody waited for it', async () => {
    const { port, hub } = await start();
    const heard = { lagging: 0, drained: 0 };
    hub.events.on('lagging', () => heard.lagging++);
    hub.events.on('drained', () => heard.drained++);
    const slow = await sluggard(port);
    const ada = await peer(port);
    // Some megabytes fit the kernel's buffers; then the socket takes no more. The send buffer is 4,096 records.
    let sent = 0;
    while (heard.lagging === 0) {
      for (let i = 0; i < 500; i++) ada.socket.send(`${sent++} `.padEnd(500, '.'));
      await until('ada has heard it all', () => ada.messages().length === sent || heard.lagging > 0);
    }
    await until('ada has heard it all', () => ada.messages().length === sent);
    slow.resume();
    const all = readAll(slow);
    await until('it has caught up', () => heard.drained > 0);
    ada.socket.send('last');
    await until('the last is heard', () => ada.messages().at(-1) === 'last');
    await close();
    const { messages } = await all;
    expect(messages.map((text) => text.split(' ')[0])).toEqual([
      ...Array.from({ length: sent }, (_, i) => `${i}`),
      'last',
    ]);
  });

  test('who falls behind by more than the send buffer is evicted, and when it reads again finds all it was sent, then an empty close frame', async () => {
    const { port, hub } = await start({ settings: { sendBuffer: { records: 500, bytes: 1e9 } } });
    const evicted: HubEvents['evicted'][] = [];
    const gone: HubEvents['disconnected'][] = [];
    hub.events.on('evicted', (event) => evicted.push(event));
    hub.events.on('disconnected', (event) => gone.push(event));
    const slow = await sluggard(port);
    const ada = await peer(port);
    let sent = 0;
    while (evicted.length === 0) {
      for (let i = 0; i < 500; i++) ada.socket.send(`${sent++} `.padEnd(500, '.'));
      await until('ada has heard it all', () => ada.messages().length === sent);
    }
    const { messages, code } = await readAll(slow);
    const seq = evicted[0]?.seq as number;
    expect(evicted).toMatchObject([{ client: 'c1', why: closes.slowConsumer.reason }]);
    expect(evicted[0]?.records).toBeGreaterThan(500);
    expect(messages.map((text) => Number(text.split(' ')[0]))).toEqual(Array.from({ length: seq }, (_, i) => i));
    expect(code).toBe(1005);
    await until('the log has it', () => gone.length > 0);
    expect(gone[0]).toMatchObject({
      client: 'c1',
      close: { code: 1005, reason: expect.stringContaining('too slowly') },
    });
    expect(ada.messages()).toHaveLength(sent);
  });

  test('who takes nothing for writeWait is evicted, though it is not far behind', async () => {
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
      await until('ada has heard it all', () => ada.messages().length === sent + 500);
    }
    await until('it is evicted', () => evicted.length > 0);
    expect(evicted[0]).toMatchObject({ client: 'c1', why: closes.writeTimeout.reason });
    slow.destroy();
  });

  test('a client that vanishes, half-closes or floods harms nobody else', async () => {
    const { port, hub, keepalive } = await start();
    const bob = await peer(port);
    const vanished = await peer(port);
    vanished.socket.terminate();
    const halved = await sluggard(port);
    halved.end();
    const flooder = await peer(port);
    for (let i = 0; i < 5_000; i++) flooder.socket.send('flood');
    bob.socket.send('through the flood');
    await until('bob is heard', () => bob.messages().includes('through the flood'));
    await until('the flood is over', () => bob.messages().length === 5_001);
    await until('the others are gone', () => keepalive.clients.size === 2);
    flooder.socket.close(1000);
    expect((await flooder.closed).code).toBe(1000);
    await until('only bob is left', () => keepalive.clients.size === 1 && hub.waiting('unregister') === 0);
  });

  test('frames with unmasked, oversized control or reserved bits end their sender only', async () => {
    const { port, keepalive } = await start();
    const bob = await peer(port);
    for (const bytes of [
      [0x81, 0x02, 0x68, 0x69],
      [0x89, 0xfe, 0, 200, 0, 0, 0, 0],
      [0xf1, 0x80, 0, 0, 0, 0],
      [0x83, 0x80, 0, 0, 0, 0],
    ]) {
      const tcp = await sluggard(port);
      tcp.end(Buffer.from(bytes)); // some of them only leave the server waiting for more
      await readAll(tcp);
    }
    await until('only bob is left', () => keepalive.clients.size === 1);
    bob.socket.send('fine');
    await until('bob is heard', () => bob.messages().at(-1) === 'fine');
  });
});
