import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createEvents } from '../../src/hub/events.ts';
import { logEvents } from '../../src/observe/log.ts';
import { closes } from '../../src/protocol/close-codes.ts';

/** A log at this level, whose lines can be read. */
function logging(level: string, now: () => number = () => 0) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level, base: null }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const events = createEvents();
  logEvents(events, log, now);
  return { events, lines };
}

test('a close is one line with its code, its reason and who closed', () => {
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

test('an eviction is a warning that names the place to resume from', () => {
  const { events, lines } = logging('info');
  events.emit('evicted', { client: 'c1', room: 'r', epoch: 'e', seq: 7, records: 5000, why: 'too slow' });
  expect(lines).toMatchObject([
    { level: 40, msg: 'evicted', client: 'c1', room: 'r', epoch: 'e', seq: 7, records: 5000 },
  ]);
});

test('joins, leaves and lags are for those who debug, batches for those who trace', () => {
  const all = (level: string) => {
    const { events, lines } = logging(level);
    events.emit('connected', { client: 'c1', wire: 'gorilla', remoteAddress: '::1' });
    events.emit('registered', { client: 'c1', room: 'r', members: 1 });
    events.emit('lagging', { client: 'c1', room: 'r', records: 3 });
    events.emit('drained', { client: 'c1', room: 'r' });
    events.emit('unregistered', { client: 'c1', room: 'r', members: 0 });
    events.emit('committed', { room: 'r', from: 1, to: 2, members: 1 });
    return lines.map(({ msg }) => msg);
  };
  expect(all('info')).toEqual([]);
  expect(all('debug')).toEqual(['connected', 'registered', 'lagging', 'drained', 'unregistered']);
  expect(all('trace')).toHaveLength(6);
});

test('a listener that fails is an error with its stack', () => {
  const { events, lines } = logging('info');
  events.on('registered', () => {
    throw new Error('a listener of mine');
  });
  events.emit('registered', { client: 'c1', room: 'r', members: 1 });
  expect(lines).toMatchObject([{ level: 50, event: 'registered', err: { message: 'a listener of mine' } }]);
});

test('a full mailbox is one line a second, with how many posts it refused since', () => {
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
