import { describe, expect, test } from 'vitest';
import type { Outcome } from '../../src/hub/engine.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import { CommaEncoder } from './harness.ts';
import { deliveriesTo, noticesOf, openManual, tiny } from './manual-engine.ts';

const MANY = Array.from({ length: 10 }, (_, i) => `m${i + 1}`);

describe('records that another node has committed', () => {
  test('reach the members in step in one frame, and emit committed', async () => {
    const { encoder, engine, settle, subscribe, record } = await openManual();
    const committed = record('committed');
    const members = Array.from({ length: 3 }, () => subscribe('lobby'));
    await settle();
    engine.commit('lobby', 'a', 'b');
    await settle();
    expect(members.map(({ received }) => received)).toEqual([['a,b'], ['a,b'], ['a,b']]);
    expect(encoder.encoded).toBe(1);
    expect(committed).toEqual([{ room: 'lobby', from: 1, to: 2, members: 3 }]);
  });

  test('reach a parked member when its socket drains', async () => {
    const { hub, engine, settle, join } = await openManual();
    const [parked, inStep] = [join(), join()];
    await settle();
    parked.writable = false;
    engine.commit('lobby', 'a');
    await settle();
    engine.commit('lobby', 'b');
    await settle();
    expect([parked.received, inStep.received]).toEqual([[], ['a', 'b']]);
    parked.writable = true;
    hub.drained(parked);
    await settle();
    expect(parked.received).toEqual(['a,b']);
  });

  test('join the records that a coalescing room holds back', async () => {
    const { time, engine, settle, join } = await openManual({ coalesce: () => ({ maxDelayMs: 20, maxBytes: 1e6 }) });
    const member = join();
    await settle();
    engine.commit('lobby', 'a');
    await settle();
    time.advance(10);
    engine.commit('lobby', 'b');
    await settle();
    expect(member.received).toEqual([]);
    time.advance(10);
    expect(member.received).toEqual(['a,b']);
  });

  test('are appended within the budget of a turn', async () => {
    const { time, hub, engine, settle, join } = await openManual({ turn: { commands: 3, bytes: 1e6 } });
    const member = join();
    await settle();
    engine.commit('lobby', ...'abcdefg');
    const counts: number[] = [];
    while (time.turn()) counts.push(hub.messages);
    expect(counts).toEqual([3, 6, 7]);
    expect(member.received).toEqual(['a,b,c', 'd,e,f', 'g']);
  });

  test('decide none of the drafts of this node', async () => {
    const { hub, engine, settle, join, post } = await openManual();
    const member = join();
    post(member, 'own');
    hub.unregister(member, 'lobby');
    await settle();
    engine.commit('lobby', 'foreign');
    await settle();
    expect(deliveriesTo(member)).toEqual(['<joined>', 'foreign']);
    expect(member.memberships).toHaveLength(1);
    engine.commit('lobby', 'own');
    engine.decide('lobby', { kind: 'stored', seq: 2 });
    await settle();
    expect(deliveriesTo(member)).toEqual(['<joined>', 'foreign', '<sent>', 'own', '<left>']);
  });

  test('keep their room in memory', async () => {
    const { time, hub, engine, settle, join } = await openManual({ roomIdle: 1000 });
    hub.unregister(join(), 'lobby');
    await settle();
    time.advance(500);
    engine.commit('lobby', 'a');
    await settle();
    time.advance(1000);
    expect([hub.rooms, engine.released]).toEqual([1, []]);
    time.advance(1000);
    expect([hub.rooms, engine.released]).toEqual([0, ['lobby']]);
  });

  test('are dropped when their room is released first, and come with its next attachment', async () => {
    const { time, hub, engine, settle, join } = await openManual({ roomIdle: 1000 });
    hub.unregister(join(), 'lobby');
    hub.unregister(join(undefined, 'other'), 'other');
    await settle();
    const [turns, { soon }] = [[] as (() => void)[], time];
    time.soon = (work) => void turns.push(work); // the sweep runs before the turn
    engine.commit('lobby', 'a');
    engine.move('lobby', 'e2', 0);
    engine.commit('lobby', 'A');
    time.advance(1000);
    expect([hub.rooms, turns.length]).toEqual([0, 1]);
    time.soon = soon;
    const member = join();
    for (const turn of turns) turn();
    await settle();
    engine.commit('lobby', 'b');
    await settle();
    expect(noticesOf(member, 'joined')).toMatchObject([{ epoch: 'e2', seq: 1 }]);
    expect([member.received, hub.messages]).toEqual([['b'], 1]);
  });
});

describe('a draft', () => {
  /** Decides one draft of a member, after its record. */
  const decide = async (outcome: Outcome, ...records: string[]) => {
    const opened = await openManual();
    const member = opened.join();
    opened.post(member, 'hello');
    await opened.settle();
    if (records.length > 0) opened.engine.commit('lobby', ...records);
    opened.engine.decide('lobby', outcome);
    await opened.settle();
    return { ...opened, member };
  };

  test('that is stored is acknowledged with its seq, with its record', async () => {
    const { member } = await decide({ kind: 'stored', seq: 2 }, 'foreign', 'hello');
    expect(noticesOf(member, 'sent')).toEqual([{ t: 'sent', room: 'lobby', id: 'hello', seq: 2 }]);
    expect(member.received).toEqual(['foreign,hello']);
  });

  test('that is a duplicate is acknowledged as one', async () => {
    const { member } = await decide({ kind: 'duplicate', seq: 7 });
    expect(noticesOf(member, 'sent')).toEqual([{ t: 'sent', room: 'lobby', id: 'hello', seq: 7, duplicate: true }]);
    expect(member.received).toEqual([]);
  });

  test.each(['failed', 'unknown'] as const)('that is %s is reported as unavailable', async (kind) => {
    const { member, hub } = await decide({ kind });
    expect(noticesOf(member, 'error')).toMatchObject([{ code: 'unavailable', id: 'hello', room: 'lobby' }]);
    expect(noticesOf(member, 'sent')).toEqual([]);
    expect(member.received).toEqual([]);
    await hub.settle(); // nothing is undecided
  });

  test('that is a retry goes to an engine that recognizes retries, each with an outcome', async () => {
    const { member, engine, post, settle } = await decide({ kind: 'stored', seq: 1 }, 'hello');
    post(member, 'hello');
    post(member, 'hello');
    await settle();
    expect(engine.appended.at(-1)?.drafts).toHaveLength(2);
    engine.decide('lobby', { kind: 'duplicate', seq: 1 }, { kind: 'duplicate', seq: 1 });
    await settle();
    expect(noticesOf(member, 'sent')).toHaveLength(3);
  });

  test('in flight keeps its order with others, with foreign records between', async () => {
    const { hub, engine, settle, join, post } = await openManual();
    const [first, second] = [join(), join()];
    post(first, 'a');
    post(second, 'b');
    await settle();
    post(first, 'c');
    await settle();
    expect(engine.appended.map(({ drafts }) => drafts.map(({ data }) => data))).toEqual([['a', 'b'], ['c']]);
    hub.unregister(second, 'lobby');
    engine.commit('lobby', 'x', 'a');
    engine.decide('lobby', { kind: 'stored', seq: 2 });
    engine.commit('lobby', 'y');
    await settle();
    expect(noticesOf(first, 'sent')).toMatchObject([{ id: 'a', seq: 2 }]);
    expect(noticesOf(second, 'sent')).toEqual([]);
    engine.decide('lobby', { kind: 'failed' });
    engine.commit('lobby', 'z', 'c');
    await settle();
    expect(second.memberships).toHaveLength(1); // `c` was sent before its leave
    engine.decide('lobby', { kind: 'stored', seq: 5 });
    await settle();
    expect(noticesOf(first, 'sent')).toMatchObject([
      { id: 'a', seq: 2 },
      { id: 'c', seq: 5 },
    ]);
    expect(noticesOf(second, 'error')).toMatchObject([{ id: 'b', code: 'unavailable' }]);
    expect(first.received.join()).toBe('x,a,y,z,c');
    expect(second.received.join()).toBe('x,a,y,z,c');
    expect(second.memberships).toEqual([]);
  });

  test('that failed may be sent again to an engine that recognizes no retries', async () => {
    const { engine, settle, join, post } = await openManual();
    engine.dedupes = false;
    const member = join();
    post(member, 'a');
    post(member, 'a');
    await settle();
    engine.decide('lobby', { kind: 'unknown' });
    await settle();
    expect(noticesOf(member, 'error')).toHaveLength(2);
    post(member, 'a');
    await settle();
    expect(engine.appended).toHaveLength(2);
  });
});

describe('a move', () => {
  test('that lost nothing notifies every member of the epoch, and delivers what follows', async () => {
    const { hub, engine, settle, join, record } = await openManual();
    const moved = record('moved');
    const [member, parked] = [join(), join()];
    await settle();
    parked.writable = false;
    engine.commit('lobby', 'a', 'b');
    await settle();
    engine.move('lobby', 'e2', 2);
    engine.commit('lobby', 'c');
    await settle();
    const joined = { t: 'joined', room: 'lobby', epoch: 'e2', recovered: true, count: 2, members: ['s1', 's2'] };
    expect(noticesOf(member, 'joined')[1]).toEqual({ ...joined, seq: 2 });
    expect(deliveriesTo(member)).toEqual(['<joined>', 'a,b', '<joined>', 'c']);
    parked.writable = true;
    hub.drained(parked);
    await settle();
    expect(noticesOf(parked, 'joined')[1]).toEqual({ ...joined, seq: 0 });
    expect(parked.received).toEqual(['a,b,c']);
    expect(moved).toEqual([{ room: 'lobby', epoch: 'e2', seq: 2, lost: 0 }]);
  });

  /**
   * A room with five records, of which the last two are lost. The members are in step, parked at 1
   * and parked at 4.
   */
  const loseTail = async () => {
    const opened = await openManual();
    const { engine, settle, join, record } = opened;
    const moved = record('moved');
    const [inStep, behind, past] = [join(), join(), join()];
    await settle();
    engine.commit('lobby', 'a');
    await settle();
    behind.writable = false;
    engine.commit('lobby', 'b', 'c', 'd');
    await settle();
    past.writable = false;
    engine.commit('lobby', 'e');
    await settle();
    engine.move('lobby', 'e2', 3);
    engine.commit('lobby', 'D', 'E');
    await settle();
    return { ...opened, moved, inStep, behind, past };
  };
  const lost = { t: 'joined', epoch: 'e2', recovered: false, lost: { from: 4, to: 5 } };

  test('that lost the tail names it to every member, before the new records', async () => {
    const { moved, inStep } = await loseTail();
    expect(noticesOf(inStep, 'joined')[1]).toMatchObject({ ...lost, seq: 3 });
    expect(deliveriesTo(inStep)).toEqual(['<joined>', 'a', 'b,c,d', 'e', '<joined>', 'D,E']);
    expect(moved).toEqual([{ room: 'lobby', epoch: 'e2', seq: 3, lost: 2 }]);
  });

  test('leaves a member parked behind the end where it is, since it has lost nothing', async () => {
    const { hub, settle, behind } = await loseTail();
    behind.writable = true;
    hub.drained(behind);
    await settle();
    expect(noticesOf(behind, 'joined')[1]).toMatchObject({ epoch: 'e2', seq: 1, recovered: true });
    expect(noticesOf(behind, 'joined')[1]).not.toHaveProperty('lost');
    expect(behind.received.join()).toBe('a,b,c,D,E');
  });

  test('moves a member parked past the end back to it', async () => {
    const { hub, settle, past } = await loseTail();
    expect(past.memberships[0]).toMatchObject({ cursor: 3, behind: 2 });
    past.writable = true;
    hub.drained(past);
    await settle();
    expect(noticesOf(past, 'joined')[1]).toMatchObject({ ...lost, lost: { from: 4, to: 4 }, seq: 3 });
    expect(past.received.join()).toBe('a,b,c,d,D,E');
    expect(past.memberships[0]).toMatchObject({ cursor: 5, behind: 0 });
  });

  test('encodes one notice for all members at one place', async () => {
    const { engine, settle, join, wire } = await openManual();
    const members = Array.from({ length: 20 }, () => join());
    await settle();
    engine.commit('lobby', 'a');
    await settle();
    let encoded = 0;
    const { encodeNotice } = wire;
    wire.encodeNotice = (notice) => {
      encoded++;
      return encodeNotice.call(wire, notice);
    };
    engine.move('lobby', 'e2', 0);
    await settle();
    expect(encoded).toBe(1);
    expect(members.every((member) => noticesOf(member, 'joined').length === 2)).toBe(true);
  });

  test('drops records that were not flushed, and never shows them', async () => {
    const { time, engine, settle, join } = await openManual({ coalesce: () => ({ maxDelayMs: 20, maxBytes: 1e6 }) });
    const member = join();
    await settle();
    engine.commit('lobby', 'a', 'b', 'c');
    await settle();
    engine.move('lobby', 'e2', 1);
    await settle();
    time.advance(10);
    engine.commit('lobby', 'B');
    await settle();
    time.advance(100);
    expect(deliveriesTo(member)).toEqual(['<joined>', '<joined>', 'a,B']);
    expect(noticesOf(member, 'joined')[1]).toMatchObject({ epoch: 'e2', seq: 0, recovered: true });
  });

  test('drops all records that were not flushed', async () => {
    const { time, engine, settle, join } = await openManual({ coalesce: () => ({ maxDelayMs: 20, maxBytes: 1e6 }) });
    const member = join();
    await settle();
    engine.commit('lobby', 'a');
    await settle();
    engine.move('lobby', 'e2', 0);
    await settle();
    time.advance(19);
    engine.commit('lobby', 'A'); // its delay starts now
    await settle();
    time.advance(10);
    expect(member.received).toEqual([]);
    time.advance(10);
    expect(member.received).toEqual(['A']);
  });

  test('drops the frames that were encoded earlier in the turn', async () => {
    const { hub, engine, settle, join } = await openManual();
    const [leaving, staying] = [join(), join()];
    await settle();
    for (const member of [leaving, staying]) member.writable = false;
    engine.commit('lobby', 'a', 'b');
    await settle();
    for (const member of [leaving, staying]) member.writable = true;
    hub.unregister(leaving, 'lobby');
    hub.drained(staying);
    engine.move('lobby', 'e2', 1);
    engine.commit('lobby', 'B');
    await settle();
    expect(leaving.received).toEqual(['a,b']);
    expect(staying.received).toEqual(['a,B']);
  });

  test('closes a member that was shown lost records and cannot be notified, and no other', async () => {
    const { hub, engine, settle, join, record } = await openManual();
    const evicted = record('evicted');
    const mute = new CommaEncoder();
    const [shown, behind] = [join(undefined, 'lobby', mute), join(undefined, 'lobby', mute)];
    await settle();
    engine.commit('lobby', 'a');
    await settle();
    behind.writable = false;
    engine.commit('lobby', 'b');
    await settle();
    engine.move('lobby', 'e2', 1);
    engine.commit('lobby', 'B');
    await settle();
    expect([shown.closedWith, behind.closedWith]).toEqual([closes.lostTail, undefined]);
    behind.writable = true;
    hub.drained(behind);
    await settle();
    expect(behind.received.join()).toBe('a,B');
    expect(shown.notices).toEqual([]);
    engine.move('lobby', 'e3', 2);
    await settle();
    expect([behind.closedWith, evicted]).toEqual([undefined, []]);
  });

  test('to a new log starts every member at 0', async () => {
    const { engine, settle, join } = await openManual();
    const member = join();
    await settle();
    engine.commit('lobby', 'a', 'b');
    await settle();
    engine.replace('lobby', 'e2');
    engine.commit('lobby', 'A');
    await settle();
    expect(noticesOf(member, 'joined')[1]).toMatchObject({
      epoch: 'e2',
      seq: 0,
      recovered: false,
      lost: { from: 1, to: 2 },
    });
    expect(member.received).toEqual(['a,b', 'A']);
  });

  test('behind the log in memory goes on after its place', async () => {
    const { engine, settle, join } = await openManual(tiny);
    const member = join();
    await settle();
    for (const text of MANY) engine.commit('lobby', text);
    await settle();
    expect(member.memberships[0]?.room.log.first).toBeGreaterThan(5);
    engine.move('lobby', 'e2', 4);
    engine.commit('lobby', 'new');
    await settle();
    expect(noticesOf(member, 'joined')[1]).toMatchObject({ seq: 4, lost: { from: 5, to: 10 } });
    expect(member.received.join()).toBe([...MANY, 'new'].join());
    expect(member.memberships[0]).toMatchObject({ cursor: 5, behind: 0 });
  });

  test('keeps drafts in flight, and a leave that waits for them', async () => {
    const { hub, engine, settle, join, post } = await openManual();
    const member = join();
    post(member, 'a');
    hub.unregister(member, 'lobby');
    await settle();
    engine.move('lobby', 'e2', 0);
    engine.commit('lobby', 'a');
    engine.decide('lobby', { kind: 'stored', seq: 1 });
    await settle();
    expect(deliveriesTo(member)).toEqual(['<joined>', '<joined>', '<sent>', 'a', '<left>']);
  });

  test('twice adds up', async () => {
    const { engine, settle, join } = await openManual();
    const member = join();
    await settle();
    engine.commit('lobby', 'a', 'b', 'c');
    await settle();
    engine.move('lobby', 'e2', 2);
    engine.commit('lobby', 'C');
    engine.move('lobby', 'e3', 1);
    engine.commit('lobby', 'B');
    await settle();
    expect(noticesOf(member, 'joined').slice(1)).toMatchObject([
      { epoch: 'e2', seq: 2, lost: { from: 3, to: 3 } },
      { epoch: 'e3', seq: 1, lost: { from: 2, to: 2 } },
    ]);
    expect(member.received).toEqual(['a,b,c', 'B']); // `C` was never shown
  });
});

describe('a join with a place in an earlier epoch', () => {
  const openMoved = async (settings = {}) => {
    const opened = await openManual(settings);
    const { engine } = opened;
    engine.store('lobby', 'a', 'b', 'c', 'd');
    engine.move('lobby', 'e2', 2);
    engine.store('lobby', 'C', 'D', 'E');
    return opened;
  };

  test('up to its end is recovered', async () => {
    const { settle, join } = await openMoved();
    const member = join({ epoch: 'e1', seq: 1 });
    await settle();
    expect(noticesOf(member, 'joined')[0]).toMatchObject({ epoch: 'e2', seq: 1, recovered: true });
    expect(noticesOf(member, 'joined')[0]).not.toHaveProperty('lost');
    const atEnd = join({ epoch: 'e1', seq: 2 });
    await settle();
    expect(noticesOf(atEnd, 'joined')[0]).toMatchObject({ seq: 2, recovered: true });
    expect(noticesOf(atEnd, 'joined')[0]).not.toHaveProperty('lost');
  });

  test('past its end gets what it lost, though its seq is below the head, and continues there', async () => {
    const { engine, settle, join } = await openMoved();
    const member = join({ epoch: 'e1', seq: 4 });
    await settle();
    for (const read of engine.reads) read.answer();
    await settle();
    expect(noticesOf(member, 'joined')[0]).toMatchObject({ seq: 2, recovered: false, lost: { from: 3, to: 4 } });
    expect([member.received.join(), member.joins]).toEqual(['C,D,E', [false]]);
  });

  test('past its end gets the gap as well where the log does not reach back to it', async () => {
    const { engine, settle, join } = await openMoved();
    engine.trim('lobby', 5);
    const member = join({ epoch: 'e1', seq: 3 });
    await settle();
    engine.reads[0]?.answer();
    await settle();
    expect(member.notices).toMatchObject([
      { t: 'joined', seq: 4, recovered: false, lost: { from: 3, to: 3 } },
      { t: 'gap', from: 3, to: 4, why: 'trimmed' },
    ]);
    expect(member.received.join()).toBe('E');
  });

  test('that is unknown gets a gap up to the head', async () => {
    const { engine, settle, join } = await openMoved();
    const member = join({ epoch: 'e0', seq: 1 });
    await settle();
    engine.catchUps.shift()?.resolve();
    await settle();
    expect(member.notices).toMatchObject([
      { t: 'joined', seq: 5, recovered: false },
      { t: 'gap', from: 1, to: 5, why: 'epoch' },
    ]);
  });

  test('sees the move of a room in memory', async () => {
    const { engine, settle, join } = await openManual();
    const first = join();
    await settle();
    engine.commit('lobby', 'a', 'b', 'c');
    await settle();
    engine.move('lobby', 'e2', 2);
    engine.commit('lobby', 'C');
    await settle();
    const [past, within] = [join({ epoch: 'e1', seq: 3 }), join({ epoch: 'e1', seq: 1 })];
    await settle();
    expect(noticesOf(past, 'joined')[0]).toMatchObject({ seq: 2, lost: { from: 3, to: 3 } });
    expect([past.received, within.received, first.received]).toEqual([['C'], ['b,C'], ['a,b,c', 'C']]);
  });
});

describe('a join ahead of this node', () => {
  const openRoom = async (settings = {}) => {
    const opened = await openManual(settings);
    const first = opened.join();
    await opened.settle();
    opened.engine.commit('lobby', 'a');
    await opened.settle();
    return { ...opened, first };
  };

  test('waits until the node has caught up, and is recovered', async () => {
    const { hub, engine, settle, join, post } = await openRoom();
    const ahead = join({ epoch: 'e1', seq: 2 });
    post(ahead, 'mine');
    const after = join();
    await settle();
    expect(engine.catchUps.map(({ room }) => room)).toEqual(['lobby']);
    expect([ahead.joins, after.joins, engine.appended, hub.memberships(ahead)]).toEqual([[], [], [], []]);
    engine.commit('lobby', 'b', 'c');
    engine.catchUps.shift()?.resolve();
    await settle();
    expect(noticesOf(ahead, 'joined')[0]).toMatchObject({ epoch: 'e1', seq: 2, recovered: true });
    expect(ahead.received).toEqual(['c']);
    expect([after.joins, engine.appended.length, engine.catchUps]).toEqual([[true], 1, []]);
  });

  test('is recovered with a newer epoch', async () => {
    const { engine, settle, join } = await openRoom();
    const ahead = join({ epoch: 'e2', seq: 2 });
    await settle();
    engine.move('lobby', 'e2', 1);
    engine.commit('lobby', 'b', 'c');
    engine.catchUps.shift()?.resolve();
    await settle();
    expect(noticesOf(ahead, 'joined')[0]).toMatchObject({ epoch: 'e2', seq: 2, recovered: true });
    expect(ahead.received).toEqual(['c']);
  });

  test('waits for everything that was passed, of which a turn takes a part', async () => {
    const { engine, settle, join } = await openRoom({ turn: { commands: 2, bytes: 1e6 } });
    const ahead = join({ epoch: 'e1', seq: 9 });
    await settle();
    engine.commit('lobby', ...MANY);
    engine.catchUps.shift()?.resolve();
    await settle();
    expect(noticesOf(ahead, 'joined')[0]).toMatchObject({ seq: 9, recovered: true });
    expect(ahead.received.join()).toBe('m9,m10');
  });

  test('asks once for all that wait, and again for those that came later', async () => {
    const { engine, settle, join } = await openRoom();
    const early = [join({ epoch: 'e1', seq: 2 }), join({ epoch: 'e1', seq: 3 }), join({ epoch: 'unknown', seq: 3 })];
    await settle();
    const late = join({ epoch: 'e1', seq: 4 });
    await settle();
    expect(engine.catchUps).toHaveLength(1);
    engine.commit('lobby', 'b', 'c');
    engine.catchUps.shift()?.resolve();
    await settle();
    expect(early.map(({ joins }) => joins)).toEqual([[true], [true], [false]]);
    expect([late.joins, engine.catchUps.length]).toEqual([[], 1]);
    engine.commit('lobby', 'd');
    engine.catchUps.shift()?.resolve();
    await settle();
    expect([late.joins, engine.catchUps.length]).toEqual([[true], 0]);
  });

  test('that waited for its attachment waits until the node has caught up', async () => {
    const { engine, settle, join } = await openManual();
    engine.attachesLater = true;
    engine.store('lobby', 'a');
    const first = join();
    await settle();
    engine.attached();
    const ahead = join({ epoch: 'e1', seq: 3 });
    await settle();
    expect([first.joins, ahead.joins, engine.catchUps.length]).toEqual([[true], [], 1]);
    engine.commit('lobby', 'b', 'c');
    engine.catchUps.shift()?.resolve();
    await settle();
    expect(ahead.joins).toEqual([true]);
  });

  test('starts at the head when the place does not exist', async () => {
    const { engine, settle, join } = await openRoom();
    const ahead = join({ epoch: 'e1', seq: 99 });
    await settle();
    engine.catchUps.shift()?.resolve();
    await settle();
    expect(noticesOf(ahead, 'joined')[0]).toMatchObject({ seq: 1, recovered: false });
    expect(engine.catchUps).toEqual([]);
  });

  test('is refused as unavailable when the node cannot catch up, and can be tried again', async () => {
    const { engine, settle, join, first, post } = await openRoom();
    const ahead = join({ epoch: 'e1', seq: 2 });
    await settle();
    engine.catchUps.shift()?.reject();
    await settle();
    expect(ahead.notices).toMatchObject([{ t: 'error', code: 'unavailable', room: 'lobby' }]);
    expect(first.memberships).toHaveLength(1);
    post(first, 'b');
    join({ epoch: 'e1', seq: 2 });
    await settle();
    expect([engine.appended.length, engine.catchUps.length]).toEqual([1, 1]);
  });

  test('holds up no other room, and no records of its own', async () => {
    const { engine, settle, join, first } = await openRoom();
    join({ epoch: 'e1', seq: 3 });
    const other = join(undefined, 'other');
    engine.commit('lobby', 'b');
    await settle();
    expect([first.received, other.joins]).toEqual([['a', 'b'], [true]]);
  });

  test('keeps its room in memory', async () => {
    const { time, hub, engine, settle, join, first } = await openRoom({ roomIdle: 1000 });
    join({ epoch: 'e1', seq: 3 });
    await settle();
    first.closed = true;
    hub.unregister(first);
    await settle();
    time.advance(10_000);
    expect([hub.rooms, engine.released]).toEqual([1, []]);
  });

  test('needs no catching up at the head, or within an earlier epoch', async () => {
    const { engine, settle, join } = await openRoom();
    engine.move('lobby', 'e2', 1);
    await settle();
    const members = [join({ epoch: 'e2', seq: 1 }), join({ epoch: 'e1', seq: 1 }), join({ epoch: 'e1', seq: 5 })];
    await settle();
    expect(members.map(({ joins }) => joins)).toEqual([[true], [true], [false]]);
    expect(engine.catchUps).toEqual([]);
  });

  test('is covered by `settle`', async () => {
    const { hub, engine, join } = await openRoom();
    const ahead = join({ epoch: 'e1', seq: 2 });
    const settling = hub.settle();
    await new Promise(setImmediate);
    engine.commit('lobby', 'b');
    engine.catchUps.shift()?.resolve();
    await settling;
    expect(ahead.joins).toEqual([true]);
  });
});

test('records with a hole break the contract of the engine', async () => {
  const { engine, settle, join } = await openManual();
  join();
  await settle();
  engine.commit('lobby', 'a');
  await settle();
  engine.store('lobby', 'b');
  engine.commit('lobby', 'c');
  await expect(settle()).rejects.toThrow('record 3 does not follow 1');
});
