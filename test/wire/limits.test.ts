import { expect, test } from 'vitest';
import { createWires } from '../../src/accept/select-wire.ts';
import { closes } from '../../src/protocol/close-codes.ts';

const wires = createWires();

// The limits of the original systems, in bytes, seconds and messages, or Pumphouse's own if the
// system has no pings or no limit.
test.each([
  ['gorilla', 512, 54, 60, 10, undefined, '/ws'],
  ['coder', 32 * 1024, 25, 35, 5, 16, '/subscribe'],
  ['go-websockets', 32 * 1024, 25, 35, 5, 16, '/subscribe'],
  ['go-websockets-basic', 32 * 1024, 25, 35, 5, 16, '/subscribe'],
  ['spread', 32 * 1024, 25, 35, 10, 20, '/subscribe'],
  ['events', 512, 9, 10, 10, undefined, '/ws'],
  ['blueprints', 16 * 1024, 25, 35, 10, undefined, '/room'],
  ['v1', 16 * 1024, 25, 35, 10, undefined, '/ws'],
] as const)('%s has the limits of its system', (name, message, ping, pong, write, buffer, path) => {
  const { maxMessageSize, pingPeriod, pongWait, writeWait, sendBuffer } = wires[name];
  expect([maxMessageSize, pingPeriod, pongWait, writeWait]).toEqual([
    message,
    ...[ping, pong, write].map((s) => s * 1000),
  ]);
  expect([sendBuffer, wires[name].path]).toEqual([buffer, path]);
});

test.each([
  ['gorilla', true],
  ['v1', true],
  ['coder', false],
  ['go-websockets', false],
  ['go-websockets-basic', false],
  ['spread', false],
  ['events', false],
  ['blueprints', false],
] as const)('%s merges messages into one frame: %s', (name, merges) => {
  const wire = wires[name];
  const record = (seq: number) => ({
    seq,
    at: 0,
    from: 'ada',
    sender: '',
    id: '',
    data: `${seq}`,
    json: false,
    bytes: 1,
  });
  const { more = [], to } = wire.encode('lobby', { head: 3, at: record }, 0, 1000, 'e');
  expect([to, more.length]).toEqual([3, merges ? 0 : 2]);
  // A frame holds at least one message, even one longer than the limit.
  expect(wire.encode('lobby', { head: 3, at: record }, 0, 1, 'e').to).toBe(1);
  expect(wire.merges).toBe(merges);
});

test.each([
  ['coder', closes.slowConsumer, 1008, 'connection too slow to keep up with messages'],
  ['coder', closes.writeTimeout, 1008, 'connection too slow to keep up with messages'],
  ['coder', closes.goingAway, 1012, 'the server restarts'],
  ['go-websockets', closes.slowConsumer, 1008, 'Server too slow to handle load'],
  ['go-websockets', closes.goingAway, 1012, 'the server restarts'],
  ['go-websockets', closes.internalError, 1011, 'Closed in defer'],
  ['spread', closes.slowConsumer, 1001, ''],
  ['spread', closes.goingAway, 1001, ''],
  ['events', closes.goingAway, 1001, 'the server is shutting down'],
  ['blueprints', closes.messageTooBig, 1009, ''],
] as const)('%s translates the close %o for its clients', (name, close, code, reason) => {
  expect(wires[name].closeFrame(close)).toEqual({ code, reason });
});
