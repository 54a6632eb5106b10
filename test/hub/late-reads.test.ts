import { describe, expect, test } from 'vitest';
import { closes } from '../../src/protocol/close-codes.ts';
import { CommaEncoder } from './harness.ts';
import { deliveriesTo, noticesOf, openManual, recordOf, tiny } from './manual-engine.ts';

const MANY = Array.from({ length: 10 }, (_, i) => `m${i + 1}`);

/** A room of ten records, none of them in memory. */
async function openCold(settings = {}) {
  const opened = await openManual(settings);
  opened.engine.store('lobby', ...MANY);
  const { engine, settle } = opened;
  /** Answers the oldest read. */
  const answer = async () => {
    engine.reads.shift()?.answer();
    await settle();
  };
  return { ...opened, answer };
}

describe('records that the engine reads later', () => {
  test('are read once for all members at one place', async () => {
    const { engine, settle, join, answer } = await openCold();
    const members = Array.from({ length: 5 }, () => join({ epoch: 'e1', seq: 2 }));
    await settle();
    expect(engine.reads).toMatchObject([{ room: 'lobby', after: 2, limit: 8 }]);
    expect(members.every(({ joins, received }) => joins[0] && received.length === 0)).toBe(true);
    await answer();
    for (const { received } of members) expect(received.join()).toBe(MANY.slice(2).join());
    expect(engine.reads).toEqual([]);
  });

  test('serve members at places within them', async () => {
    const { engine, settle, join, answer } = await openCold();
    join({ epoch: 'e1', seq: 0 });
    await settle();
    await answer();
    const member = join({ epoch: 'e1', seq: 7 });
    await settle();
    expect([engine.reads, member.received.join()]).toEqual([[], 'm8,m9,m10']);
  });

  test('are followed by those that are committed meanwhile, in order', async () => {
    const { engine, settle, join, answer } = await openCold();
    const [member, inStep] = [join({ epoch: 'e1', seq: 8 }), join()];
    await settle();
    engine.commit('lobby', 'new');
    await settle();
    expect([member.received, inStep.received]).toEqual([[], ['new']]);
    await answer();
    expect(member.received.join()).toBe('m9,m10,new');
    expect(engine.reads).toEqual([]);
    engine.commit('lobby', 'newer');
    await settle();
    expect([member.received.at(-1), inStep.received.at(-1)]).toEqual(['newer', 'newer']);
  });

  test('hold up no other room of the client', async () => {
    const { hub, engine, settle, join, answer } = await openCold();
    const member = join({ epoch: 'e1', seq: 9 });
    hub.register(member, 'other');
    await settle();
    engine.commit('other', 'hello');
    await settle();
    member.writable = false;
    engine.commit('other', 'parked');
    await settle();
    member.writable = true;
    hub.drained(member);
    await settle();
    expect(member.received).toEqual(['hello', 'parked']);
    await answer();
    expect(member.received).toEqual(['hello', 'parked', 'm10']);
  });

  test('wait for a socket that accepts no data, and are kept for it', async () => {
    const { hub, engine, settle, join, answer } = await openCold();
    const member = join({ epoch: 'e1', seq: 8 });
    await settle();
    member.writable = false;
    await answer();
    expect(member.received).toEqual([]);
    member.writable = true;
    hub.drained(member);
    await settle();
    expect([member.received, engine.reads]).toEqual([['m9,m10'], []]);
  });

  test('are read again a second after a rejection', async () => {
    const { time, engine, settle, join, answer } = await openCold();
    const members = [join({ epoch: 'e1', seq: 8 }), join({ epoch: 'e1', seq: 8 })];
    await settle();
    engine.reads.shift()?.reject();
    await settle();
    time.advance(999);
    expect(engine.reads).toEqual([]);
    time.advance(1);
    expect(engine.reads).toMatchObject([{ after: 8 }]);
    await answer();
    expect(members.map(({ received }) => received)).toEqual([['m9,m10'], ['m9,m10']]);
    expect(members[0]?.evictions).toEqual([]);
  });

  test('are read again a second after an empty answer, while they are within reach', async () => {
    const { time, engine, settle, join, answer } = await openCold();
    const member = join({ epoch: 'e1', seq: 8 });
    await settle();
    engine.reads.shift()?.resolve([]);
    await settle();
    expect(engine.reads).toEqual([]);
    time.advance(1000);
    await answer();
    expect([member.received, noticesOf(member, 'gap')]).toEqual([['m9,m10'], []]);
  });

  test('that are trimmed meanwhile lead to the exact gap', async () => {
    const { engine, settle, join, answer } = await openCold();
    const member = join({ epoch: 'e1', seq: 2 });
    await settle();
    engine.trim('lobby', 6);
    await answer();
    expect(noticesOf(member, 'gap')).toEqual([{ t: 'gap', room: 'lobby', from: 3, to: 5, why: 'trimmed' }]);
    await answer();
    expect(deliveriesTo(member).slice(0, 3)).toEqual(['<joined>', '<gap>', 'm6,m7,m8']);
    expect(member.received.join()).toBe('m6,m7,m8,m9,m10');
  });

  test('that are trimmed evict a member that cannot be notified', async () => {
    const { engine, settle, join, answer } = await openCold();
    const member = join({ epoch: 'e1', seq: 2 }, 'lobby', new CommaEncoder());
    await settle();
    engine.trim('lobby', 6);
    await answer();
    expect(member.evictions).toMatchObject([{ close: closes.slowConsumer, at: { seq: 2 } }]);
  });

  test('are dropped when the room moves, and read again from the new log', async () => {
    const { engine, settle, join, answer } = await openCold();
    const member = join({ epoch: 'e1', seq: 8 });
    await settle();
    const [old] = engine.reads.splice(0);
    const records = engine.records('lobby', 8, 10);
    engine.move('lobby', 'e2', 9);
    engine.commit('lobby', 'M10');
    await settle();
    old?.resolve(records);
    await settle();
    expect(member.received).toEqual([]);
    await answer();
    expect(noticesOf(member, 'joined')[1]).toMatchObject({ epoch: 'e2', seq: 8, recovered: true });
    expect(member.received.join()).toBe('m9,M10');
  });

  test('are dropped when the room has moved after the answer', async () => {
    const { hub, engine, settle, join, answer } = await openCold();
    const [first, second] = [join({ epoch: 'e1', seq: 8 }), join({ epoch: 'e1', seq: 8 })];
    await settle();
    second.writable = false;
    await answer();
    engine.move('lobby', 'e2', 9);
    engine.commit('lobby', 'M10');
    await settle();
    second.writable = true;
    hub.drained(second);
    await settle();
    await answer();
    expect([first.received.join(), second.received.join()]).toEqual(['m9,m10,M10', 'm9,M10']);
  });

  test('are dropped when the room is released', async () => {
    const { time, hub, engine, settle, join } = await openCold({ roomIdle: 1000 });
    const member = join({ epoch: 'e1', seq: 8 });
    await settle();
    hub.unregister(member, 'lobby');
    await settle();
    time.advance(5000);
    expect(engine.released).toEqual(['lobby']);
    engine.position = () => {
      throw new Error('the room is not attached');
    };
    engine.reads[0]?.resolve([]);
    await settle();
    expect(member.received).toEqual([]);
  });

  test('that a client does not wait for any more are not sent', async () => {
    const { hub, settle, join, answer } = await openCold();
    const [closed, left] = [join({ epoch: 'e1', seq: 8 }), join({ epoch: 'e1', seq: 8 })];
    await settle();
    closed.closed = true;
    hub.unregister(closed);
    hub.unregister(left, 'lobby');
    await settle();
    await answer();
    expect([closed.received, left.received]).toEqual([[], []]);
    expect(deliveriesTo(left)).toEqual(['<joined>', '<gap>', '<left>']);
  });

  test('are kept for the last 64 reads', async () => {
    const { engine, settle, join } = await openManual();
    const rooms = Array.from({ length: 70 }, (_, i) => `r${i}`);
    for (const room of rooms) {
      engine.store(room, 'a');
      join({ epoch: 'e1', seq: 0 }, room);
      await settle();
      engine.reads.pop()?.answer();
      await settle();
    }
    const [oldest, newest] = [join({ epoch: 'e1', seq: 0 }, 'r0'), join({ epoch: 'e1', seq: 0 }, 'r69')];
    await settle();
    expect([oldest.received, newest.received]).toEqual([[], ['a']]);
    engine.reads[0]?.answer();
    await settle();
    expect(oldest.received).toEqual(['a']);
  });
});

describe('large records that the engine reads later', () => {
  test('are kept up to 16 MiB, and the newest result always', async () => {
    const { engine, settle, join } = await openManual();
    const large = 'x'.repeat(1e6);
    const read = async (room: string, records: number) => {
      if (engine.position(room).seq === 0) engine.store(room, ...new Array<string>(records).fill(large));
      const member = join({ epoch: 'e1', seq: 0 }, room);
      await settle();
      const reads = engine.reads.splice(0);
      for (const each of reads) each.answer();
      await settle();
      expect(member.memberships[0]?.behind).toBe(0);
      return reads.length;
    };
    expect([await read('a', 8), await read('a', 8)]).toEqual([1, 0]);
    expect([await read('b', 8), await read('a', 8), await read('b', 8)]).toEqual([1, 0, 0]);
    expect([await read('c', 4), await read('a', 8)]).toEqual([1, 1]);
    expect([await read('huge', 20), await read('huge', 20)]).toEqual([1, 0]);
    expect([await read('c', 4), await read('huge', 20)]).toEqual([1, 1]);
  });
});

describe('a skip', () => {
  const openSkipped = async (settings = {}) => {
    const opened = await openManual(settings);
    const { engine, settle, join } = opened;
    const [inStep, parked] = [join(), join()];
    await settle();
    engine.commit('lobby', 'a');
    await settle();
    parked.writable = false;
    engine.commit('lobby', 'b');
    await settle();
    engine.store('lobby', ...MANY);
    const answer = async () => {
      engine.reads.shift()?.answer();
      await settle();
    };
    return { ...opened, inStep, parked, answer };
  };

  test('lets members catch up by reading where the log reaches, and evicts nobody', async () => {
    const { hub, engine, settle, inStep, parked, answer } = await openSkipped(tiny);
    engine.skip('lobby');
    engine.commit('lobby', 'new');
    await settle();
    expect(engine.reads).toMatchObject([{ after: 2 }]);
    parked.writable = true;
    hub.drained(parked);
    await settle();
    await answer();
    await answer();
    expect(inStep.received.join()).toBe(['a', 'b', ...MANY, 'new'].join());
    expect(parked.received.join()).toBe(['a', 'b', ...MANY, 'new'].join());
    for (const member of [inStep, parked]) {
      expect([noticesOf(member, 'gap'), member.evictions, member.memberships[0]?.behind]).toEqual([[], [], 0]);
    }
  });

  test('notifies members of the exact gap where the log does not reach', async () => {
    const { hub, engine, settle, inStep, parked, answer } = await openSkipped();
    engine.trim('lobby', 9);
    engine.skip('lobby');
    await settle();
    await answer();
    expect(noticesOf(inStep, 'gap')).toEqual([{ t: 'gap', room: 'lobby', from: 3, to: 8, why: 'trimmed' }]);
    expect(inStep.received.join()).toBe('a,b,m7,m8,m9,m10');
    parked.writable = true;
    hub.drained(parked);
    await settle();
    expect(noticesOf(parked, 'gap')).toEqual([{ t: 'gap', room: 'lobby', from: 2, to: 8, why: 'trimmed' }]);
    expect(parked.received.join()).toBe('a,m7,m8,m9,m10');
  });

  test('notifies of no gap past the end where the log retains nothing', async () => {
    const { engine, settle, inStep } = await openSkipped();
    engine.trim('lobby', 13);
    engine.skip('lobby');
    engine.commit('lobby', 'new');
    await settle();
    expect(noticesOf(inStep, 'gap')).toMatchObject([{ from: 3, to: 12, why: 'trimmed' }]);
    expect(inStep.received.at(-1)).toBe('new');
  });

  test('does not evict by distance until the member has stood at the head', async () => {
    const { hub, engine, settle, parked, answer, record } = await openSkipped(tiny);
    const evicted = record('evicted');
    engine.skip('lobby');
    engine.commit('lobby', 'new', 'newer', 'newest');
    await settle();
    expect([parked.evictions, parked.memberships[0]?.live]).toEqual([[], false]);
    parked.writable = true;
    hub.drained(parked);
    await settle();
    for (let i = 0; i < 4; i++) await answer();
    expect(parked.memberships[0]).toMatchObject({ behind: 0, live: true });
    parked.writable = false;
    engine.commit('lobby', 'x', 'y', 'z');
    await settle();
    expect([evicted, parked.evictions]).toMatchObject([[], [{ close: closes.slowConsumer }]]);
  });

  test('applies to records that were not flushed', async () => {
    const { engine, settle, join } = await openManual({ coalesce: () => ({ maxDelayMs: 20, maxBytes: 1e6 }) });
    const member = join();
    await settle();
    engine.commit('lobby', 'a');
    await settle();
    engine.store('lobby', 'b');
    engine.skip('lobby');
    await settle();
    engine.reads[0]?.answer();
    await settle();
    expect(member.received).toEqual(['a,b']);
  });

  test('drops reads of the log before it', async () => {
    const { engine, settle, join } = await openManual();
    engine.store('lobby', 'a');
    const member = join({ epoch: 'e1', seq: 0 });
    await settle();
    engine.store('lobby', 'b');
    engine.skip('lobby');
    await settle();
    expect(engine.reads).toMatchObject([
      { after: 0, limit: 1 },
      { after: 0, limit: 2 },
    ]);
    engine.reads[1]?.answer();
    await settle();
    expect(member.received).toEqual(['a,b']);
    engine.reads[0]?.answer();
    await settle();
    expect(member.received).toEqual(['a,b']);
  });
});

describe('history that the engine reads later', () => {
  test('is answered when it is read, and others meanwhile', async () => {
    const { time, engine, settle, join, history } = await openCold();
    const member = join();
    history(member, { id: 'first', limit: 2 });
    history(member, { id: 'second', before: 3, limit: 1 });
    history(member, { id: 'third', after: 8 });
    await settle();
    expect(engine.reads).toMatchObject([
      { after: 8, limit: 2 },
      { after: 1, limit: 1 },
      { after: 8, limit: 2 },
    ]);
    for (const read of engine.reads.toReversed()) read.answer();
    const { releases } = member;
    await new Promise(setImmediate);
    expect(member.releases).toBe(releases);
    time.turn(); // the answers go out in a turn of their own
    expect(member.releases).toBe(releases + 1);
    expect(noticesOf(member, 'history')).toMatchObject([
      { id: 'third', records: [{ data: 'm9' }, { data: 'm10' }], more: false },
      { id: 'second', records: [{ data: 'm2' }], more: true },
      { id: 'first', records: [{ data: 'm9' }, { data: 'm10' }], more: true },
    ]);
  });

  test('is refused as busy past 256 requests, and answered again later', async () => {
    const { engine, settle, join, history } = await openCold();
    const member = join();
    for (let i = 0; i < 257; i++) history(member, { id: `${i}` });
    await settle();
    expect(engine.reads).toHaveLength(256);
    expect(noticesOf(member, 'error')).toMatchObject([{ code: 'busy', id: '256', room: 'lobby' }]);
    engine.reads[0]?.answer();
    engine.reads[1]?.reject();
    await settle();
    history(member, { id: 'again' });
    history(member, { id: 'and again' });
    await settle();
    expect([engine.reads.length, noticesOf(member, 'error').length]).toEqual([258, 2]);
  });

  test('is refused as unavailable when it cannot be read', async () => {
    const { engine, settle, join, history } = await openCold();
    const member = join();
    history(member, { id: 'h' });
    history(member);
    await settle();
    for (const read of engine.reads) read.reject();
    await settle();
    const error = { t: 'error', code: 'unavailable', room: 'lobby', message: 'the history could not be read' };
    expect(noticesOf(member, 'error')).toMatchObject([{ ...error, id: 'h' }, error]);
    expect(noticesOf(member, 'error')[1]).not.toHaveProperty('id');
  });

  test('is not sent to a client that has closed', async () => {
    const { engine, settle, join, history } = await openCold();
    const [member, other] = [join(), join()];
    for (const each of [member, other]) history(each);
    await settle();
    member.closed = true;
    other.closed = true;
    engine.reads[0]?.answer();
    engine.reads[1]?.reject();
    await settle();
    expect([deliveriesTo(member), deliveriesTo(other)]).toEqual([['<joined>'], ['<joined>']]);
  });

  test('keeps its room in memory', async () => {
    const { time, hub, engine, settle, history, subscribe, wire } = await openCold({ roomIdle: 1000 });
    const stranger = subscribe(undefined, wire);
    history(stranger);
    await settle();
    time.advance(5000);
    expect([hub.rooms, engine.released]).toEqual([1, []]);
    engine.reads[0]?.answer();
    await settle();
    expect(noticesOf(stranger, 'history')[0]?.records).toHaveLength(10);
    time.advance(5000);
    expect([hub.rooms, engine.released]).toEqual([0, ['lobby']]);
  });

  test('is read again when the room has moved', async () => {
    const { engine, settle, join, history, answer } = await openCold();
    const member = join();
    history(member, { limit: 2 });
    await settle();
    const [read] = engine.reads.splice(0);
    const lost = engine.records('lobby', 8, 2);
    engine.move('lobby', 'e2', 9);
    await settle();
    read?.resolve(lost);
    await settle();
    expect(noticesOf(member, 'history')).toEqual([]);
    await answer();
    expect(noticesOf(member, 'history')).toMatchObject([{ records: [{ data: 'm8' }, { data: 'm9' }] }]);
  });

  test('is read again when the room has passed over records: they may have changed others', async () => {
    const { engine, settle, join, history, answer } = await openCold();
    const member = join();
    history(member, { limit: 2 });
    await settle();
    const [read] = engine.reads.splice(0);
    const stale = engine.records('lobby', 8, 2);
    engine.store('lobby', 'm11');
    engine.skip('lobby');
    await settle();
    read?.resolve(stale);
    await settle();
    expect(noticesOf(member, 'history')).toEqual([]);
    await answer(); // what the member has missed
    await answer();
    expect(noticesOf(member, 'history')).toMatchObject([{ records: [{ data: 'm10' }, { data: 'm11' }] }]);
  });

  test('is refused as unavailable when the room passes over records again and again', async () => {
    const { engine, settle, history, subscribe, wire } = await openCold();
    const stranger = subscribe(undefined, wire);
    history(stranger, { limit: 2 });
    await settle();
    for (let reads = 1; reads <= 16; reads++) {
      expect([engine.reads.length, stranger.notices]).toEqual([1, []]);
      engine.store('lobby', 'more');
      engine.skip('lobby');
      engine.reads.shift()?.answer();
      await settle();
    }
    expect(engine.reads).toEqual([]);
    expect(stranger.notices).toMatchObject([{ t: 'error', code: 'unavailable' }]);
  });

  test('has no records past the place that it is requested before, though those before are trimmed', async () => {
    const { engine, settle, join, history, answer } = await openCold();
    const member = join();
    history(member, { before: 5, limit: 3 });
    await settle();
    expect(engine.reads).toMatchObject([{ after: 1, limit: 3 }]);
    engine.trim('lobby', 4);
    await answer();
    history(member, { before: 7, limit: 3 });
    await settle();
    engine.trim('lobby', 8);
    await answer();
    expect(noticesOf(member, 'history')).toMatchObject([
      { from: 4, to: 4, records: [{ data: 'm4' }], more: false },
      { from: 7, to: 6, records: [], more: false },
    ]);
  });

  test.each([
    ['the next ones', [recordOf(8, 'm8')], { from: 8, to: 8, records: [{ data: 'm8' }], more: true }],
    ['no more', [], { from: 11, to: 10, records: [], more: false }],
  ])('covers nothing before what was trimmed between two pages, and then finds %s', async (_, found, expected) => {
    const { engine, settle, join, history } = await openCold();
    const member = join();
    history(member, { after: 2, limit: 1 });
    await settle();
    const reaction = { ...recordOf(3, 'ok'), extra: { kind: 'change', op: 'react', of: 1 } } as const;
    engine.reads.shift()?.resolve([reaction]);
    await settle();
    expect(engine.reads).toMatchObject([{ after: 3, limit: 1 }]);
    engine.reads.shift()?.resolve(found);
    await settle();
    expect(noticesOf(member, 'history')).toMatchObject([expected]);
  });
});
