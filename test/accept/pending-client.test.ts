import { expect, test } from 'vitest';
import { type LateAuthentication, PendingClient } from '../../src/accept/pending-client.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { v1 } from '../../src/wire/v1.ts';
import { SimulatedSocket } from '../simulation/socket.ts';
import { VirtualTime } from '../simulation/virtual.ts';

const socketOptions = { kernel: 1e6, backpressure: 1e6, closesAtOnce: true };

test('closes a connection without a token after ten seconds, and no sooner', () => {
  const time = new VirtualTime();
  let done = 0;
  const pending = new PendingClient({
    wire: v1(),
    authenticate: async () => ({ kind: 'invalid' }),
    scheduler: time,
    onDone: () => done++,
    onMissingToken: () => {},
  });
  const socket = new SimulatedSocket(pending, socketOptions);
  pending.open(socket);
  time.advance(9_999);
  expect(socket.closedWith).toBeUndefined();
  time.advance(1);
  expect(socket.closedWith).toEqual(closes.unauthenticated);
  expect(done).toBeGreaterThan(0);
  expect(socket.misuse).toEqual([]);
});

test('sends nothing to a connection that closes while its token is verified', async () => {
  const time = new VirtualTime();
  let resolveToken: (result: LateAuthentication) => void = () => {};
  const pending = new PendingClient({
    wire: v1(),
    authenticate: () => new Promise((resolve) => (resolveToken = resolve)),
    scheduler: time,
    onDone: () => {},
    onMissingToken: () => {},
  });
  const socket = new SimulatedSocket(pending, socketOptions);
  pending.open(socket);
  pending.message(Buffer.from('{"t":"auth","token":"x"}'), false);
  pending.close(1006, '');
  resolveToken({ kind: 'invalid' });
  await Promise.resolve();
  time.advance(20_000);
  expect(socket.misuse).toEqual([]);
  expect(socket.received).toEqual([]);
});
