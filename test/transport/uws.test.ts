import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { SENT, type Socket, type SocketListener } from '../../src/transport/transport.ts';
import { transports, until } from '../integration/server.ts';
import { dial, type Served, serve } from './harness.ts';

let served: Served | undefined;
afterEach(() => served?.transport.terminate());

test.runIf(transports.includes('uws'))(
  'the bytes of a message are gone after the call: who keeps them must copy',
  async () => {
    const kept: Uint8Array[] = [];
    const lengths: number[] = [];
    const listener: SocketListener = {
      open() {},
      message(data) {
        kept.push(data);
        lengths.push(data.byteLength);
      },
      pong() {},
      drain() {},
      close() {},
    };
    served = await serve('uws', { upgrade: () => ({ listener, protocol: '' }) });
    const peer = await dial(served.port);
    peer.send('hello');
    await until('it came', () => kept.length > 0);
    expect([lengths[0], kept[0]?.byteLength]).toEqual([5, 0]);
  },
);

// Its clock ticks every four seconds and cannot be moved: only who stalls over a tick shows it.
test.runIf(transports.includes('uws'))(
  'a client that stalls for seconds after its goodbye, and then reads, gets the close code: it was cut off at a tick once',
  async () => {
    const sockets: Socket[] = [];
    const listener: SocketListener = {
      open: (socket) => void sockets.push(socket),
      message() {},
      pong() {},
      drain() {},
      close() {},
    };
    served = await serve('uws', { upgrade: () => ({ listener, protocol: '' }) });
    const peer = await dial(served.port);
    peer.pause();
    await until('it is connected', () => sockets.length > 0);
    const frame = Buffer.alloc(256 * 1024, 'x');
    while (sockets[0]?.send(frame) === SENT);
    sockets[0]?.close({ code: 4000, reason: 'slow' });
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    const closed = once(peer, 'close');
    peer.resume();
    expect((await closed)[0]).toBe(4000);
  },
);
