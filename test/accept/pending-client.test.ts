import { expect, test } from 'vitest';
import { PendingClient } from '../../src/accept/pending-client.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { v1 } from '../../src/wire/v1.ts';
import { SimulatedSocket } from '../simulation/socket.ts';
import { VirtualTime } from '../simulation/virtual.ts';

const behaviour = { kernel: 1e6, backpressure: 1e6, closesAtOnce: true };

test('who shows no token for ten seconds is closed, and no sooner', () => {
  const time = new VirtualTime();
  let over = 0;
  const doorstep = new PendingClient(
    v1(),
    async () => undefined,
    time,
    () => over++,
  );
  const socket = new SimulatedSocket(doorstep, behaviour);
  doorstep.open(socket);
  time.advance(9_999);
  expect(socket.closedWith).toBeUndefined();
  time.advance(1);
  expect(socket.closedWith).toEqual(closes.unauthenticated);
  expect(over).toBeGreaterThan(0);
  expect(socket.misuse).toEqual([]);
});

test('who goes while its token is looked at is no client, and nothing is sent to it', async () => {
  const time = new VirtualTime();
  let answer: (client: undefined) => void = () => {};
  const doorstep = new PendingClient(
    v1(),
    () => new Promise((resolve) => (answer = resolve)),
    time,
    () => {},
  );
  const socket = new SimulatedSocket(doorstep, behaviour);
  doorstep.open(socket);
  doorstep.message(Buffer.from('{"t":"auth","token":"x"}'), false);
  doorstep.close(1006, '');
  answer(undefined);
  await Promise.resolve();
  time.advance(20_000);
  expect(socket.misuse).toEqual([]);
  expect(socket.received).toEqual([]);
});
