import { afterEach, expect, test } from 'vitest';
import type { SocketListener } from '../../src/transport/port.ts';
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
