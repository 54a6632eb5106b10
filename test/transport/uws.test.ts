import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { SENT, type Socket, type SocketListener } from '../../src/transport/transport.ts';
import { transports, until } from '../integration/server.ts';
import { dial, type Served, serve } from './harness.ts';

let served: Served | undefined;
afterEach(() => served?.transport.terminate());

test.runIf(transports.includes('uws'))(
  'detaches the bytes of a message after the call, so a listener must copy them',
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
    await until('the message arrives', () => kept.length > 0);
    expect([lengths[0], kept[0]?.byteLength]).toEqual([5, 0]);
  },
);

// uWebSockets.js once cut such a peer at its next sweep. Sweeps come every four seconds, by a clock
// that a test cannot move, so the peer must stall for longer.
test.runIf(transports.includes('uws'))(
  'delivers the close code to a peer that stalls for seconds before it reads',
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
    await until('the socket is open', () => sockets.length > 0);
    const frame = Buffer.alloc(256 * 1024, 'x');
    while (sockets[0]?.send(frame) === SENT);
    sockets[0]?.close({ code: 4000, reason: 'slow' });
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    const closed = once(peer, 'close');
    peer.resume();
    expect((await closed)[0]).toBe(4000);
  },
);
