import { describe, expect, test } from 'vitest';
import { answerLives, type FindLives } from '../../src/admin/lives.ts';
import { Nodes } from '../../src/api/nodes.ts';
import { Client, type ClientContext } from '../../src/client/client.ts';
import { Keepalive } from '../../src/client/keepalive.ts';
import type { Living } from '../../src/client/lives.ts';
import { memory } from '../../src/engine/memory.ts';
import { Hub } from '../../src/hub/hub.ts';
import { systemScheduler } from '../../src/hub/time.ts';
import { KEPT, Lives } from '../../src/lives/lives.ts';
import { RoomNames } from '../../src/lives/room-names.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { explainEnd } from '../../src/protocol/explain-life.ts';
import type { ConnectionLife, EndReport, FoundLives, SessionAnswer } from '../../src/protocol/session-life.ts';
import type { Json } from '../../src/protocol/v1.ts';
import { SENT, type Socket } from '../../src/transport/transport.ts';
import { v1 } from '../../src/wire/v1.ts';

const GUEST = { authentication: 'none', resumed: false } as const;

class TestClock {
  ms = 1_000_000;
  now = () => this.ms;
  date = () => this.ms + 1.8e12;
}

function living(lives: Lives, id: string, user = id): Living {
  return { id, user, wire: { name: 'v1' }, address: '192.0.2.1', places: [], life: lives.opened(GUEST) };
}

const byUser = (name: string) => ({ by: 'user', name }) as const;

describe('Lives', () => {
  test('keeps the last 10,000 closed connections, and every open one', () => {
    expect(KEPT).toBe(10_000);
    const lives = new Lives(new TestClock());
    const open = living(lives, 'open');
    for (let i = 0; i <= KEPT; i++) {
      const each = living(lives, `s${i}`);
      lives.joined(each.life, `room ${i}`);
      lives.closed(each, closes.normal, 'peer');
    }
    expect(lives.find(byUser('s0'), [open]).connections).toEqual([]);
    expect(lives.find(byUser('s1'), [open]).connections).toMatchObject([
      { events: [{ kind: 'joined', room: 'room 1' }] },
    ]);
    expect(lives.find(byUser(`s${KEPT}`), [open]).connections).toHaveLength(1);
    expect(lives.find(byUser('open'), [open]).connections).toMatchObject([{ session: 'open' }]);
  });

  test('keeps the last reports, and few of one session', () => {
    const lives = new Lives(new TestClock(), 30);
    const report = { reason: '', after: 1, away: 1 };
    for (let i = 0; i < 25; i++) expect(lives.reported({ id: 's', user: 'ada', life: -1 }, report)).toBe(true);
    expect(lives.find(byUser('ada'), []).reports).toHaveLength(20);
    for (let i = 0; i < 25; i++) lives.reported({ id: `t${i}`, user: 'bob', life: -1 }, report);
    expect(lives.find(byUser('bob'), []).reports).toHaveLength(25);
    expect(lives.find(byUser('ada'), []).reports).toHaveLength(5);
  });

  test('answers with the 50 newest connections, and the 8 cursors furthest behind', () => {
    const clock = new TestClock();
    const lives = new Lives(clock);
    for (let i = 0; i < 60; i++) {
      clock.ms += 1000;
      const each = living(lives, `s${i}`, 'ada');
      const places = Array.from({ length: 20 }, (_, behind) => ({
        room: { name: `r${behind}`, epoch: 'e' },
        cursor: 5,
        behind,
      }));
      lives.leaving(each.life, places);
      lives.closed(each, closes.slowConsumer, 'server');
    }
    const { connections } = lives.find(byUser('ada'), []);
    expect(connections.map(({ session }) => session)).toEqual(Array.from({ length: 50 }, (_, i) => `s${59 - i}`));
    expect(connections[0]?.cursors.map(({ behind }) => behind)).toEqual([19, 18, 17, 16, 15, 14, 13, 12]);
  });
});

test('names of rooms are found by their hash until others take their slots', () => {
  const names = new RoomNames();
  const hashes = Array.from({ length: 20_000 }, (_, i) => names.add(`room ${i}`));
  const found = hashes.filter((hash, i) => names.find(hash) === `room ${i}`);
  expect(found.length).toBeLessThanOrEqual(4096);
  expect(found.length).toBeGreaterThan(3000);
  expect(hashes.every((hash, i) => [undefined, `room ${i}`].includes(names.find(hash)))).toBe(true);
});

test('records the round trips of a client, and that it no longer answers', async () => {
  const clock = new TestClock();
  const lives = new Lives(clock);
  const hub = new Hub({ engine: memory() });
  await hub.open();
  const keepalive = new Keepalive<Client>(clock, { ...systemScheduler, after: () => () => {} });
  const context: ClientContext = { hub, clock, keepalive, publishRate: 'off', lives };
  const client = new Client('s', v1(), context, { user: 'ada', address: '192.0.2.1' });
  let ping: Uint8Array = new Uint8Array();
  const socket: Socket = {
    send: () => SENT,
    ping: (payload) => {
      ping = payload;
    },
    cork: (work) => work(),
    close: () => client.close(1006, ''),
    bufferedAmount: 0,
    remoteAddress: '192.0.2.1',
  };
  client.open(socket);
  const tick = () => {
    const payload = new Uint8Array(8);
    new DataView(payload.buffer).setFloat64(0, clock.ms);
    client.tend(clock.ms, payload);
  };
  for (const ms of [40, 20, 900]) {
    clock.ms += 25_000;
    tick();
    clock.ms += ms;
    client.pong(ping);
  }
  const open = lives.find(byUser('ada'), [client]).connections[0] as ConnectionLife;
  expect(open.roundTrips).toMatchObject({ count: 3, min: 20, max: 900 });
  expect(open.roundTrips?.last.map(({ ms }) => ms)).toEqual([40, 20, 900]);
  expect(open.roundTrips?.last.map(({ at }) => at - open.openedAt)).toEqual([25_060, 50_060, 75_960]);
  clock.ms += 35_000;
  tick();
  const life = lives.find(byUser('ada'), []).connections[0] as ConnectionLife;
  expect(life.end).toMatchObject({ code: 4002, by: 'server' });
  expect(explainEnd(life).meaning).toContain('did not answer pings');
  await hub.close();
});

/** A connection that opened and ended at these seconds. */
function life(opened: number, ended?: number): ConnectionLife {
  return {
    session: 's',
    user: 'ada',
    wire: 'v1',
    remoteAddress: '192.0.2.1',
    ...GUEST,
    openedAt: opened * 1000,
    events: [],
    forgotten: 0,
    cursors: [],
    ...(ended !== undefined && { end: { at: ended * 1000, code: 1006, reason: '', by: 'peer' } }),
  };
}

/** A report at a second: the end was `away` seconds before, of a connection that lived `after`. */
function report(at: number, away: number, after: number): EndReport {
  return { at: at * 1000, away: away * 1000, after: after * 1000, reason: '' };
}

async function answerOf(answers: readonly FoundLives[], missing = 0): Promise<SessionAnswer> {
  const find: FindLives = async () => ({ answers, missing });
  const response = await answerLives('/admin/v1/sessions/s', find)?.();
  return JSON.parse(String(response?.body)) as SessionAnswer;
}

const reportsIn = ({ connections }: SessionAnswer) => connections.map((each) => each.report?.at);

describe('the answer of several nodes', () => {
  const told = (...reports: EndReport[]) => reports.map((each) => ({ session: 's', report: each }));

  test('merges the connections of a session, with the reports of others', async () => {
    const here = { connections: [life(200)], reports: told(report(201, 4, 90)) };
    const there = { connections: [life(106, 197), life(10, 100)], reports: told(report(107, 6, 90)) };
    const answer = await answerOf([here, there], 1);
    expect(answer.connections.map(({ openedAt }) => openedAt)).toEqual([200_000, 106_000, 10_000]);
    expect(reportsIn(answer)).toEqual([undefined, 201_000, 107_000]);
    expect(answer.missing).toBe(1);
  });

  test('gives a report to no connection over which it came, whatever its client says', async () => {
    const over = { session: 's', report: report(202, 0, 1), over: 200_000 };
    const answer = await answerOf([{ connections: [life(200, 205), life(100, 199)], reports: [over] }]);
    expect(reportsIn(answer)).toEqual([undefined, 202_000]);
  });

  test('gives a report to no connection that had ended before', async () => {
    // The one that it is about is no longer kept.
    const answer = await answerOf([{ connections: [life(500), life(10, 20)], reports: told(report(501, 5, 100)) }]);
    expect(reportsIn(answer)).toEqual([undefined, undefined]);
  });

  test('gives a report over HTTP to the last stream that the client had', async () => {
    const answer = await answerOf([
      { connections: [life(90), life(40, 80), life(20, 40), life(10, 20)], reports: told(report(91, 11, 70)) },
    ]);
    expect(reportsIn(answer)).toEqual([undefined, 91_000, undefined, undefined]);
  });

  test('counts a node whose answer is malformed as missing', async () => {
    const failures: unknown[] = [];
    const good = { connections: [life(1, 2)], reports: [] };
    const elsewhere = [good, { connections: [{ ...life(1, 2), openedAt: 'now' }], reports: [] }] as unknown as Json[];
    const cluster = { ask: async () => ({ answers: elsewhere, missing: 0 }) };
    const nodes = new Nodes({ cluster, failed: (error) => failures.push(error) });
    expect(await nodes.ask({ kind: 'lives', by: 'session', name: 's' })).toEqual({ answers: [good], missing: 1 });
    expect(failures).toHaveLength(1);
  });
});

describe('the explanation of a cut', () => {
  const cut = (more: Partial<EndReport>) => explainEnd({ ...life(0, 61), report: { ...report(70, 9, 61), ...more } });

  test('tells a client without a network, a hidden page and a proxy apart', () => {
    expect(cut({ online: false }).meaning).toContain('was offline');
    expect(cut({ online: true, visible: false }).meaning).toContain('was hidden');
    expect(cut({ online: true, visible: true }).meaning).toContain('61 s after it opened');
    expect(cut({}).advice).toContain('near 61 s');
    expect(explainEnd(life(0, 61)).meaning).toContain('has not come back');
  });

  test('explains every close code', () => {
    for (const { code } of Object.values(closes)) {
      const end = { at: 1, code, reason: '', by: 'server' } as const;
      if (code !== 1005 && code !== 1006) expect(explainEnd({ ...life(0), end }).meaning).not.toContain(`${code}`);
    }
  });
});
