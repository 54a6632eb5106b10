import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createEvents } from '../../src/hub/events.ts';
import { logEvents } from '../../src/observe/log.ts';
import { closes } from '../../src/protocol/close-codes.ts';

/** Logs events at a level and keeps the lines. */
function logging(level: string, now: () => number = () => 0) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level, base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const events = createEvents();
  logEvents(events, log, now);
  return { events, lines };
}

test('logs a close with its code, its reason and the side that closed', () => {
  const { events, lines } = logging('info');
  events.emit('disconnected', {
    client: 'c1',
    wire: 'gorilla',
    close: closes.goingAway,
    remoteAddress: '10.0.0.1',
    by: 'server',
  });
  expect(lines).toMatchObject([
    {
      level: 30,
      msg: 'closed',
      client: 'c1',
      code: 1001,
      reason: closes.goingAway.reason,
      remoteAddress: '10.0.0.1',
      by: 'server',
    },
  ]);
});

test('logs an eviction as a warning with the place to resume from', () => {
  const { events, lines } = logging('info');
  events.emit('evicted', { client: 'c1', user: 'ada', room: 'r', epoch: 'e', seq: 7, records: 5000, why: 'too slow' });
  expect(lines).toMatchObject([
    { level: 40, msg: 'evicted', client: 'c1', user: 'ada', room: 'r', epoch: 'e', seq: 7, records: 5000 },
  ]);
});

test('logs the state of the engine, and lost messages at most once a second', () => {
  let now = 0;
  const { events, lines } = logging('info', () => now);
  events.emit('engine', { state: 'away' });
  events.emit('engine', { state: 'ready' });
  events.emit('moved', { room: 'r', epoch: 'e-2', seq: 7, lost: 0 });
  for (const room of ['a', 'b', 'c']) events.emit('moved', { room, epoch: 'e-2', seq: 7, lost: 3 });
  now = 1_000;
  events.emit('moved', { room: 'd', epoch: 'e-2', seq: 7, lost: 1 });
  expect(lines).toMatchObject([
    { level: 50, msg: 'the engine cannot reach its store' },
    { level: 30, msg: 'the engine reaches its store again' },
    { level: 50, msg: 'messages were lost', room: 'a', seq: 7, lost: 3, suppressed: 0 },
    { level: 50, msg: 'messages were lost', room: 'd', lost: 1, suppressed: 2 },
  ]);
});

test('logs joins, leaves and lags at debug, and commits at trace', () => {
  const messagesAt = (level: string) => {
    const { events, lines } = logging(level);
    events.emit('connected', { client: 'c1', wire: 'gorilla', remoteAddress: '::1' });
    events.emit('registered', { client: 'c1', room: 'r', members: 1 });
    events.emit('lagging', { client: 'c1', room: 'r', records: 3 });
    events.emit('drained', { client: 'c1', room: 'r' });
    events.emit('unregistered', { client: 'c1', room: 'r', members: 0 });
    events.emit('committed', { room: 'r', from: 1, to: 2, members: 1 });
    return lines.map(({ msg }) => msg);
  };
  expect(messagesAt('info')).toEqual([]);
  expect(messagesAt('debug')).toEqual(['connected', 'registered', 'lagging', 'drained', 'unregistered']);
  expect(messagesAt('trace')).toHaveLength(6);
});

test('logs a failing listener as an error with its event and cause', () => {
  const { events, lines } = logging('info');
  events.on('registered', () => {
    throw new Error("the listener's error");
  });
  events.emit('registered', { client: 'c1', room: 'r', members: 1 });
  expect(lines).toMatchObject([{ level: 50, event: 'registered', err: { message: "the listener's error" } }]);
});

test('logs a full mailbox once a second, with the posts rejected since', () => {
  let now = 0;
  const { events, lines } = logging('info', () => now);
  for (now = 0; now < 2_500; now++) events.emit('overloaded', { mailbox: 'broadcast', capacity: 8 });
  events.emit('overloaded', { mailbox: 'register', capacity: 4 });
  expect(lines.map(({ mailbox, refused }) => [mailbox, refused])).toEqual([
    ['broadcast', 1],
    ['broadcast', 1000],
    ['broadcast', 1000],
    ['register', 1],
  ]);
});

test('logs a refused handshake once a second for each reason, with the number suppressed', () => {
  let now = 0;
  const { events, lines } = logging('info', () => now);
  const page = { wire: 'v1', remoteAddress: '10.0.0.1', origin: 'https://page.example' };
  const message = 'its origin is not allowed: start with --origin https://page.example';
  for (now = 0; now < 2_500; now++) events.emit('refused', { reason: 'origin', message, ...page });
  events.emit('refused', { ...page, reason: 'hook', message: 'no', origin: '' });
  events.emit('refused', { ...page, reason: 'malformed', message: 'no', origin: 'x'.repeat(9000) });
  expect(lines.map(({ reason, suppressed }) => [reason, suppressed])).toEqual([
    ['origin', 0],
    ['origin', 999],
    ['origin', 999],
    ['hook', 0],
    ['malformed', 0],
  ]);
  expect(lines[0]).toMatchObject({ level: 30, ...page, msg: `handshake refused: ${message}` });
  expect(lines[3]).not.toHaveProperty('origin');
  expect(lines[4]?.['origin']).toHaveLength(200);
});

test('logs a deprecated feature as a warning, once a second', () => {
  const { events, lines } = logging('info');
  for (let i = 0; i < 5; i++) events.emit('deprecated', { feature: 'old', instead: 'new', remoteAddress: '::1' });
  expect(lines).toMatchObject([{ level: 40, msg: 'old is deprecated: send new', remoteAddress: '::1' }]);
});
