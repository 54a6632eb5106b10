import { connect } from 'pumphouse/client';
import { describe, expect, test } from 'vitest';
import { closes, comesBack } from '../../src/protocol/close-codes.ts';
import { FakeSocket, lastSocket } from './fakes.ts';

/** Defines the test of some rules of PROTOCOL.md. @param numbers separated by spaces. */
function rule(numbers: string, behaviour: string, run: () => Promise<void>): void {
  test(`${numbers}: ${behaviour}`, run);
}

const joined = (epoch: string, seq: number, overrides: object = {}) =>
  ({ t: 'joined', room: 'r', epoch, seq, recovered: true, count: 1, members: ['ada'], ...overrides }) as const;
const message = (seq: number, data: string) =>
  ({ t: 'message', room: 'r', seq, id: '', from: 'bob', at: 1, data }) as const;

/** Joins a room with the client library, on a server that the test plays, and receives 1 to 3. */
async function joinRoom() {
  const hub = connect('http://hub.test', { WebSocket: FakeSocket, user: 'ada' });
  await until(() => FakeSocket.all.at(-1)?.closed === false);
  const room = hub.join<string>('r');
  const events: unknown[] = [];
  room.on('joined', ({ place, recovered, lost }) => events.push({ ...place, recovered, ...(lost && { lost }) }));
  room.on('message', ({ seq, data }) => events.push(`${seq} ${data}`));
  const open = () => lastSocket().welcome();
  open();
  lastSocket().deliver(joined('log-1', 0), message(1, 'a'), message(2, 'b'), message(3, 'c'));
  events.length = 0;
  /** Loses the connection and opens another one, up to the welcome. */
  const reconnect = async (code?: number) => {
    const { length } = FakeSocket.all;
    lastSocket().disconnect(code);
    hub.reconnect();
    await until(() => FakeSocket.all.length > length);
    open();
    return lastSocket().take('join')[0]?.since;
  };
  return { hub, room, events, reconnect };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await new Promise((resolve) => setTimeout(resolve, 2));
  expect(condition()).toBe(true);
}

describe('pumphouse.v1 in the client library, on a server that fails over', () => {
  rule('N1 N2', 'the client gives its last epoch back, and continues in another one without a loss', async () => {
    const { hub, events, reconnect } = await joinRoom();
    expect(await reconnect()).toEqual({ epoch: 'log-1', seq: 3 });
    lastSocket().deliver(joined('log-2', 3), message(3, 'c'), message(4, 'd'));
    expect(events).toEqual([{ epoch: 'log-2', seq: 3, recovered: true }, '4 d']);
    expect(await reconnect()).toEqual({ epoch: 'log-2', seq: 4 });
    hub.close();
  });

  rule(
    'N3',
    'the client reports the lost messages after it resumes, and receives others with their numbers',
    async () => {
      const { hub, room, events, reconnect } = await joinRoom();
      await reconnect();
      const lost = { from: 2, to: 3 };
      lastSocket().deliver(joined('log-2', 4, { recovered: false, lost }));
      lastSocket().deliver({ t: 'gap', room: 'r', from: 2, to: 4, why: 'trimmed' }, message(5, 'd'));
      expect(events).toEqual([{ epoch: 'log-2', seq: 4, recovered: false, lost }, '5 d']);
      expect(room.place).toEqual({ epoch: 'log-2', seq: 5 });
      hub.close();
    },
  );

  rule('N3 N4', 'the client moves to another epoch unasked, and repeats no request in flight', async () => {
    const { hub, room, events } = await joinRoom();
    const [sent, page] = [room.send('d'), room.history({ before: 2 })];
    const [send] = lastSocket().take('send');
    const [request] = lastSocket().take('history');
    lastSocket().deliver(joined('log-2', 1, { recovered: false, lost: { from: 2, to: 3 } }), message(2, 'B'));
    expect(events).toEqual([{ epoch: 'log-2', seq: 1, recovered: false, lost: { from: 2, to: 3 } }, '2 B']);
    expect(lastSocket().received.filter(({ t }) => t === 'send' || t === 'history')).toEqual([]);
    lastSocket().deliver(
      { t: 'sent', room: 'r', id: send?.id as string, seq: 3 },
      { t: 'history', room: 'r', id: request?.id as string, messages: [], from: 1, to: 0, more: false },
    );
    expect([await sent, await page]).toEqual([3, { messages: [], from: 1, to: 0, more: false }]);
    hub.close();
  });

  rule('N5', 'a client reconnects after 4007 and resumes at its place', async () => {
    expect([closes.lostTail.code, comesBack(4007)]).toEqual([4007, true]);
    const { hub, reconnect } = await joinRoom();
    expect(await reconnect(4007)).toEqual({ epoch: 'log-1', seq: 3 });
    hub.close();
  });

  rule('N6', 'the client sends a message again with its id after unavailable', async () => {
    const { hub, room } = await joinRoom();
    const sent = room.send('d');
    const [send] = lastSocket().take('send');
    const id = send?.id as string;
    lastSocket().deliver({ t: 'error', code: 'unavailable', message: '', retry: true, retryAfter: 20, id, room: 'r' });
    await until(() => lastSocket().received.some(({ t }) => t === 'send'));
    expect(lastSocket().take('send')).toEqual([send]);
    lastSocket().deliver({ t: 'sent', room: 'r', id, seq: 4, duplicate: true });
    expect(await sent).toBe(4);
    hub.close();
  });

  rule(
    'X5 X10',
    'the client receives changes in their places, sends them, and reads again what lost changes were of',
    async () => {
      const { hub, room } = await joinRoom();
      const records: unknown[] = [];
      room.on('change', (change) => records.push(change));
      const change = { seq: 4, id: 'x', from: 'bob', at: 1, op: 'react', of: 1, reaction: '👍' } as const;
      lastSocket().deliver({ t: 'change', room: 'r', ...change }, { t: 'change', room: 'r', ...change });
      expect([records, room.place]).toEqual([[change], { epoch: 'log-1', seq: 4 }]);
      const sent = room.send(null as never, { op: 'delete', of: 1 });
      void room.send('again', { reply: 1 });
      expect(room.pending.map(({ data }) => data)).toEqual(['again']);
      const sends = lastSocket().take('send');
      expect(sends).toMatchObject([
        { op: 'delete', of: 1 },
        { reply: 1, data: 'again' },
      ]);
      lastSocket().deliver({ t: 'sent', room: 'r', id: sends[0]?.id as string, seq: 5 });
      expect(await sent).toBe(5);
      lastSocket().deliver(joined('log-2', 3, { recovered: false, lost: { from: 4, to: 4 } }));
      const page = room.history({ after: 0, limit: 1 });
      const [request] = lastSocket().take('history');
      const [messages, range] = [[{ seq: 1, id: 'a', from: 'ada', at: 1, data: 'a' }], { from: 1, to: 1, more: true }];
      lastSocket().deliver({ t: 'history', room: 'r', id: request?.id as string, messages, ...range });
      expect(await page).toEqual({ messages, ...range });
      hub.close();
    },
  );
});
