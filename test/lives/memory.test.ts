import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { Client, type ClientContext } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import { memory } from '../../src/engine/memory.ts';
import { Hub } from '../../src/hub/hub.ts';
import { systemClock, systemScheduler } from '../../src/hub/time.ts';
import { Lives } from '../../src/lives/lives.ts';
import { SENT, type Socket } from '../../src/transport/transport.ts';
import { v1 } from '../../src/wire/v1.ts';

const CLIENTS = 5_000;
const MAX_BYTES = 200;

// The index of the record, which a client has in any case.
const FIELD_BYTES = 8;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Returns the bytes in use, on the heap and outside of it. */
function used(): number {
  for (let i = 0; i < 3; i++) gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const socket: Socket = {
  send: () => SENT,
  ping() {},
  cork: (work) => work(),
  close() {},
  bufferedAmount: 0,
  remoteAddress: '192.0.2.1',
};

/** Opens clients on a Hub of their own. @returns the bytes of each, and what keeps them. */
async function open(lives: Lives | undefined) {
  const hub = new Hub({ engine: memory() });
  await hub.open();
  const keepalive = new Keepalive<Client>(systemClock, { ...systemScheduler, after: () => () => {} });
  const context: ClientContext = { hub, clock: systemClock, keepalive, publishRate: 'off', ...(lives && { lives }) };
  const wire = v1();
  const before = used();
  const clients: Client[] = [];
  for (let i = 0; i < CLIENTS; i++) {
    const verdict = { authentication: 'token', resumed: false } as const;
    const client = new Client(`session-${i}`, wire, context, { verdict, address: '192.0.2.1', rooms: ['lobby'] });
    client.open(socket);
    clients.push(client);
  }
  await hub.settle();
  for (const { life } of clients) {
    for (let i = 0; life >= 0 && i < 20; i++) {
      lives?.roundTrip(life, 20 + i);
      lives?.refused(life, 'busy', `room ${i % 12}`);
    }
  }
  return { bytes: (used() - before) / CLIENTS, clients, hub };
}

test('a record takes at most 200 bytes of each connection, everything included', async () => {
  const first = await open(new Lives(systemClock)); // compiles the code
  const without = await open(undefined);
  const lives = new Lives(systemClock);
  for (let i = 0; i < 12; i++) lives.joined(lives.opened({ authentication: 'none', resumed: false }), `room ${i}`);
  const recorded = await open(lives);
  const bytes = recorded.bytes - without.bytes + FIELD_BYTES;
  console.log(`a record takes ${bytes.toFixed(1)} bytes of each connection`);
  expect(recorded.clients.every(({ life }) => life >= 0)).toBe(true);
  expect(without.clients.every(({ life }) => life === -1)).toBe(true);
  // What is measured is kept meanwhile.
  expect([first, without, recorded].map(({ hub, clients }) => hub.rooms + clients.length)).toEqual(
    Array(3).fill(CLIENTS + 1),
  );
  expect(bytes).toBeGreaterThan(100);
  expect(bytes).toBeLessThanOrEqual(MAX_BYTES);
}, 30_000);
