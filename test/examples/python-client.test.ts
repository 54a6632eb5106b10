import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer as createProxy, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { createServer, type Server } from 'pumphouse';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { Peer } from '../conformance/server.ts';

const hasPython = spawnSync('python3', ['--version']).status === 0;
if (!hasPython) console.log('python3 is not installed: examples/python-client.py is not tested');

let server: Pick<Server, 'stop'>;
let client: ChildProcess;

afterEach(async () => {
  client.kill();
  await server.stop();
});

/** Starts the example as the user `ada` of the room `lobby`. `line` resolves to its next line. */
function startClient(port: number) {
  const args = ['examples/python-client.py', `ws://127.0.0.1:${port}/ws`, 'lobby', 'ada'];
  client = spawn('python3', args, { stdio: ['pipe', 'pipe', 'ignore'] });
  const lines = createInterface({ input: client.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  return { input: client.stdin as NodeJS.WritableStream, line: async () => (await lines.next()).value };
}

describe.skipIf(!hasPython)('the client in Python', () => {
  test('resumes where it was after its connection is lost', async () => {
    const hub = await createServer({ port: 0, drainWindow: 0 });
    server = hub;
    const sockets = new Set<Socket>();
    const proxy = createProxy((near) => {
      const far = connect(hub.port, '127.0.0.1');
      for (const socket of [near, far]) socket.on('error', () => {});
      sockets.add(near);
      near.pipe(far).pipe(near);
    });
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const { input, line } = startClient((proxy.address() as AddressInfo).port);
    const bob = await Peer.connect(hub.port, '?user=bob&room=lobby');
    input.write('hello\n');
    expect(await line()).toBe('1 ada {"text": "hello"}');
    for (const socket of sockets) socket.destroy();
    await bob.say('lobby', { text: 'meanwhile' });
    input.write('back again\n');
    expect(await line()).toBe('2 bob {"text": "meanwhile"}');
    expect(await line()).toBe('3 ada {"text": "back again"}');
    input.end();
    expect(await once(client, 'exit')).toEqual([0, null]);
    proxy.close();
  });

  test('repeats a message that the server rejects for the rate, in order', async () => {
    const hub = await createServer({ port: 0, drainWindow: 0, publishRate: { perSecond: 5, burst: 2 } });
    server = hub;
    const { input, line } = startClient(hub.port);
    input.end('one\ntwo\nthree\nfour\n');
    const received = [await line(), await line(), await line(), await line()];
    expect(received).toEqual(['one', 'two', 'three', 'four'].map((text, i) => `${i + 1} ada {"text": "${text}"}`));
    expect(await once(client, 'exit')).toEqual([0, null]);
  });

  test('prints which messages the store has lost, and goes on from the new end', async () => {
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(sockets, 'listening');
    server = { stop: async () => sockets.close() };
    const joins: unknown[] = [];
    sockets.on('connection', (socket) => {
      const send = (message: object) => socket.send(JSON.stringify({ room: 'lobby', ...message }));
      send({ t: 'welcome', session: 's', resume: 'secret', heartbeat: 30 });
      socket.once('message', (join) => {
        joins.push(JSON.parse(String(join)));
        send({ t: 'joined', epoch: 'e', seq: 41, recovered: true });
        send({ t: 'message', seq: 42, from: 'bob', data: 'gone' });
        send({ t: 'joined', epoch: 'e2', seq: 40, recovered: false, lost: { from: 41, to: 42 } });
        send({ t: 'message', seq: 41, from: 'bob', data: 'kept' });
        socket.close(1001);
      });
    });
    const { line } = startClient((sockets.address() as AddressInfo).port);
    expect([await line(), await line(), await line()]).toEqual(['42 bob "gone"', 'lost 41 to 42', '41 bob "kept"']);
    await expect.poll(() => joins).toMatchObject([{ t: 'join' }, { since: { epoch: 'e2', seq: 41 } }]);
  });
});
