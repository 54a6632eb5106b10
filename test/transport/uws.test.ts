import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { SENT, type Socket, type SocketListener, type Transport } from '../../src/transport/transport.ts';
import { transports, until } from '../integration/server.ts';
import { dial, type Recording, recorder, type Served, serve } from './harness.ts';

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

// uWebSockets.js cut one such connection in some hundreds, and its listener was opened after it was
// closed.
test.runIf(transports.includes('uws'))(
  'keeps every connection whose handshake is answered later',
  async () => {
    const count = 3_000;
    const recordings: Recording[] = [];
    served = await serve('uws', {
      upgrade: async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        return {
          listener: recorder(recordings, { open: ({ socket }) => void socket.send(Buffer.from('welcome')) }),
          protocol: '',
        };
      },
    });
    const { port } = served;
    const closes: number[] = [];
    let dialed = 0;
    const dialSome = async () => {
      while (dialed++ < count) {
        const peer = new WebSocket(`ws://127.0.0.1:${port}/any?user=ada`, []);
        peer.on('close', (code) => closes.push(code));
        peer.on('error', () => {});
        const closed = once(peer, 'close');
        await Promise.race([once(peer, 'message'), closed]);
        peer.close(4000);
        await closed;
      }
    };
    await Promise.all(Array.from({ length: 20 }, dialSome));
    expect(closes.filter((code) => code !== 4000)).toEqual([]);
    expect(recordings).toHaveLength(count);
  },
  60_000,
);

describe.runIf(transports.includes('uws'))('the close codes of a client', () => {
  const NOT_ACCEPTED = { code: 1005, reason: 'a close code or reason that uWebSockets.js does not accept' };

  /** Sends a close frame. @returns the code of the answer, and the close that the listener sees. */
  async function closeWith(name: Transport['name'], code: number, reason: string | Uint8Array) {
    served = await serve(name);
    const peer = await dial(served.port);
    const payload = Buffer.concat([Buffer.of(code >> 8, code & 0xff), Buffer.from(reason)]);
    const closed = once(peer, 'close');
    // The client library refuses to send invalid codes. The mask is zero.
    const { _socket: tcp } = peer as unknown as { _socket: NodeJS.WritableStream };
    tcp.write(Buffer.concat([Buffer.of(0x88, 0x80 | payload.length, 0, 0, 0, 0), payload]));
    const [answer] = await closed;
    await until('the close is reported', () => served?.recordings[0]?.closes.length === 1);
    served.transport.terminate();
    return { answer, reported: served.recordings[0]?.closes[0] };
  }

  test.each([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 4000, 4001, 4999])(
    'answers %i with the same code',
    async (code) => {
      for (const reason of ['', 'bye']) {
        expect(await closeWith('uws', code, reason)).toEqual({ answer: code, reported: { code, reason } });
      }
    },
  );

  // 1012 to 1014 and 3000 to 3999 are valid. uWebSockets.js rejects them before any handler runs.
  test.each([999, 1004, 1005, 1006, 1012, 1013, 1014, 1015, 2999, 3000, 3001, 3999, 5000])(
    'answers %i with an empty close frame, and reports that instead of a failed connection',
    async (code) => {
      for (const reason of ['', 'bye']) {
        expect(await closeWith('uws', code, reason)).toEqual({ answer: 1005, reported: NOT_ACCEPTED });
      }
    },
  );

  test('answers a reason that is not UTF-8 with an empty close frame', async () => {
    expect(await closeWith('uws', 4000, Buffer.of(0xff))).toEqual({ answer: 1005, reported: NOT_ACCEPTED });
  });

  test.each([1012, 1013, 1014, 3000, 3001, 3999])('ws answers %i with the same code', async (code) => {
    expect(await closeWith('ws', code, 'bye')).toEqual({ answer: code, reported: { code, reason: 'bye' } });
  });
});
