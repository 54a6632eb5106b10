import { describe, expect, test } from 'vitest';
import { closes } from '../../src/protocol/close-codes.ts';
import { CommaEncoder } from './harness.ts';
import { deliveriesTo, noticesOf, openManual, recordOf } from './manual-engine.ts';

async function openLater(settings = {}) {
  const opened = await openManual(settings);
  opened.engine.attachesLater = true;
  return opened;
}

describe('a room that attaches later', () => {
  test('takes joins, messages and leaves in their order of arrival', async () => {
    const { hub, engine, settle, join, post } = await openLater();
    const early = join();
    post(early, 'before');
    const leaving = join();
    hub.unregister(leaving, 'lobby');
    const late = join();
    post(late, 'after');
    await settle();
    expect([early.joins, engine.appended]).toEqual([[], []]);
    engine.attached();
    await settle();
    expect([early, leaving, late].map(({ joins }) => joins)).toEqual([[true], [true], [true]]);
    expect(engine.appended.flatMap(({ drafts }) => drafts.map(({ data }) => data))).toEqual(['before', 'after']);
    engine.commit('lobby', 'before', 'after');
    engine.decide('lobby', { kind: 'stored', seq: 1 }, { kind: 'stored', seq: 2 });
    await settle();
    expect(deliveriesTo(early)).toEqual(['<joined>', '<sent>', 'before,after']);
    // It left before `after` was sent; the leave waits for the draft that was in flight.
    expect(leaving.memberships).toEqual([]);
    expect(deliveriesTo(leaving)).toEqual(['<joined>', 'before,after', '<left>']);
    expect(engine.attachments).toEqual([]);
  });

  test('is attached once, and lets other rooms go on', async () => {
    const { engine, settle, join, post } = await openLater();
    const waiting = join();
    join();
    await settle();
    expect(engine.attachments.map(({ room }) => room)).toEqual(['lobby']);
    const other = join(undefined, 'other');
    post(other, 'hello', 'other');
    await settle();
    engine.attachments.reverse();
    engine.attached();
    await settle();
    engine.commit('other', 'hello');
    await settle();
    expect(deliveriesTo(other)).toEqual(['<joined>', 'hello']);
    expect(waiting.joins).toEqual([]);
    engine.attached();
    await settle();
    expect(waiting.joins).toEqual([true]);
  });

  test('answers a request for history between the messages around it', async () => {
    const { engine, settle, join, post, history } = await openLater();
    engine.store('lobby', 'a', 'b');
    const member = join();
    history(member);
    await settle();
    expect(engine.reads).toEqual([]);
    engine.attached();
    await settle();
    post(member, 'c');
    expect(engine.reads).toMatchObject([{ room: 'lobby', after: 0, limit: 2 }]);
    engine.reads[0]?.answer();
    await settle();
    expect(deliveriesTo(member)).toEqual(['<joined>', '<history>']);
    expect(noticesOf(member, 'history')[0]).toMatchObject({ records: [{ data: 'a' }, { data: 'b' }], more: false });
  });

  test('passes a signal to the members that joined before it', async () => {
    const { engine, settle, join, signal } = await openLater();
    const [sender, early] = [join(), join()];
    signal(sender, 'typing');
    const late = join();
    await settle();
    engine.attached();
    await settle();
    expect(deliveriesTo(early)).toEqual(['<joined>', '<signal>']);
    expect(deliveriesTo(late)).toEqual(['<joined>']);
  });

  test('drops a signal when it cannot be attached', async () => {
    const { engine, settle, join, signal } = await openLater();
    const sender = join();
    signal(sender, 'typing');
    await settle();
    engine.attachments.shift()?.reject();
    await settle();
    expect(deliveriesTo(sender)).toEqual(['<error>']);
  });

  test('holds up a close in order until its posts are taken, in every room', async () => {
    const { hub, engine, settle, join, post } = await openLater();
    const member = join();
    hub.register(member, 'other');
    post(member, 'last', 'other');
    hub.closeInOrder(member, closes.rateExceeded);
    await settle();
    engine.attached();
    await settle();
    expect(member.closedWith).toBeUndefined();
    engine.attached();
    await settle();
    expect([member.joins, member.closedWith]).toEqual([[true, true], undefined]);
    engine.commit('other', 'last');
    engine.decide('other', { kind: 'stored', seq: 1 });
    await settle();
    expect(deliveriesTo(member)).toEqual(['<joined>', '<joined>', '<sent>', 'last']);
    expect(member.closedWith).toEqual(closes.rateExceeded);
  });

  test('closes another subscriber in order at once', async () => {
    const { hub, settle, join, subscribe } = await openLater();
    join();
    const other = subscribe();
    hub.closeInOrder(other, closes.rateExceeded);
    await settle();
    expect(other.closedWith).toEqual(closes.rateExceeded);
  });

  test('takes the posts of its waiting list within the budget of a turn', async () => {
    const { time, engine, settle, join } = await openLater({ turn: { commands: 2, bytes: 1e6 } });
    const members = Array.from({ length: 5 }, () => join());
    await settle();
    engine.attached();
    await new Promise(setImmediate);
    const joined = () => members.filter(({ joins }) => joins.length > 0).length;
    const counts: number[] = [];
    while (time.turn()) counts.push(joined());
    expect(counts).toEqual([2, 4, 5]);
  });

  test('forgets a client that disconnects while it waits', async () => {
    const { hub, engine, settle, join, post, history } = await openLater();
    const [gone, staying] = [join(), join()];
    post(gone, 'sent before the end');
    history(gone);
    gone.closed = true;
    hub.unregister(gone);
    await settle();
    engine.attached();
    await settle();
    expect([gone.joins, gone.notices, hub.memberships(gone)]).toEqual([[], [], []]);
    expect(staying.memberships).toHaveLength(1);
    expect(engine.reads).toEqual([]);
    expect(engine.appended[0]?.drafts.map(({ data }) => data)).toEqual(['sent before the end']);
  });

  test('starts at the position of the answer, and gets what is committed after it', async () => {
    const { engine, settle, join } = await openLater();
    engine.store('lobby', 'a');
    const member = join();
    await settle();
    engine.store('lobby', 'b');
    engine.attached();
    engine.commit('lobby', 'c');
    await settle();
    expect(noticesOf(member, 'joined')[0]).toMatchObject({ epoch: 'e1', recovered: true });
    expect(member.memberships[0]?.cursor).toBe(3);
    expect(member.received.join()).not.toContain('b');
  });
});

describe('a room that cannot be attached', () => {
  test('refuses its posts as unavailable, and is attached again by the next one', async () => {
    const { engine, settle, join, post, history } = await openLater();
    const member = join();
    post(member, 'hello');
    history(member, { id: 'h' });
    await settle();
    engine.attachments.shift()?.reject();
    await settle();
    expect(member.notices).toMatchObject([
      { t: 'error', code: 'unavailable', room: 'lobby', message: 'the room cannot be reached' },
      { t: 'error', code: 'unavailable', room: 'lobby', id: 'hello' },
      { t: 'error', code: 'unavailable', room: 'lobby', id: 'h', message: 'the history could not be read' },
    ]);
    expect([member.closed, member.memberships, engine.appended]).toEqual([false, [], []]);
    const next = join();
    await settle();
    engine.attached();
    await settle();
    expect(next.joins).toEqual([true]);
  });

  test('closes a client whose wire cannot express the error', async () => {
    const { hub, engine, settle, join } = await openLater();
    const member = join(undefined, 'lobby', new CommaEncoder());
    const gone = join(undefined, 'lobby', new CommaEncoder());
    gone.closed = true;
    await settle();
    engine.attachments.shift()?.reject();
    await settle();
    expect([member.closedWith, gone.closedWith, hub.rooms]).toEqual([closes.unavailable, undefined, 0]);
  });

  test('lets a leave and a close in order that waited for it happen', async () => {
    const { hub, engine, settle, join } = await openLater();
    const member = join();
    hub.unregister(member, 'lobby');
    hub.closeInOrder(member, closes.rateExceeded);
    await settle();
    expect(member.closedWith).toBeUndefined();
    engine.attachments.shift()?.reject();
    await settle();
    expect(member.closedWith).toEqual(closes.rateExceeded);
  });
});

describe('too many waiting posts', () => {
  test('are refused as unavailable, except leaves', async () => {
    const { hub, engine, settle, join, post, history } = await openLater({ mailboxes: { broadcast: 2 } });
    const member = join();
    post(member, 'a');
    await settle();
    post(member, 'b');
    history(member);
    const other = join();
    hub.unregister(member, 'lobby');
    await settle();
    expect(member.notices).toMatchObject([
      { code: 'unavailable', id: 'b' },
      { code: 'unavailable', message: 'the history could not be read' },
    ]);
    expect(other.notices).toMatchObject([{ code: 'unavailable', room: 'lobby' }]);
    engine.attached();
    await settle();
    expect(engine.appended.flatMap(({ drafts }) => drafts.map(({ data }) => data))).toEqual(['a']);
    expect(member.joins).toEqual([true]);
    post(member, 'c');
    await settle();
    expect(engine.appended).toHaveLength(2);
  });
});

describe('an engine that reads later and recognizes no retries', () => {
  test('recalls the ids of recent messages before it takes posts', async () => {
    const { engine, settle, join, post } = await openManual();
    engine.dedupes = false;
    engine.store('lobby', 'a', 'b');
    const member = join();
    post(member, 'b');
    await settle();
    expect([member.joins, engine.reads.length]).toEqual([[], 1]);
    engine.reads[0]?.resolve([recordOf(1, 'a'), { ...recordOf(2, 'b', 'b'), sender: member.id }]);
    await settle();
    expect(member.notices).toMatchObject([{ t: 'joined' }, { t: 'sent', id: 'b', seq: 2, duplicate: true }]);
    expect(engine.appended).toEqual([]);
  });

  test('attaches a room again whose ids could not be read', async () => {
    const { hub, engine, settle, join, post } = await openManual();
    engine.dedupes = false;
    engine.store('lobby', 'a');
    const member = join();
    await settle();
    engine.reads[0]?.reject();
    await settle();
    expect(member.notices).toMatchObject([{ code: 'unavailable', room: 'lobby' }]);
    expect([hub.rooms, engine.released]).toEqual([0, ['lobby']]);
    post(member, 'a');
    await settle();
    expect(engine.appended).toEqual([]);
    engine.reads[1]?.resolve([{ ...recordOf(1, 'a', 'a'), sender: member.id }]);
    await settle();
    expect(member.notices.at(-1)).toMatchObject({ t: 'sent', seq: 1, duplicate: true });
  });
});

describe('settle', () => {
  test('waits for rooms that attach and for drafts that are undecided', async () => {
    const { hub, engine, join, post } = await openLater();
    const member = join();
    post(member, 'last');
    let settled = false;
    const settling = hub.settle().then(() => {
      settled = true;
    });
    await new Promise(setImmediate);
    expect([settled, engine.attachments.length]).toEqual([false, 1]);
    engine.attached();
    await new Promise(setImmediate);
    expect([settled, engine.appended.length]).toEqual([false, 1]);
    engine.commit('lobby', 'last');
    engine.decide('lobby', { kind: 'stored', seq: 1 });
    await settling;
    expect(deliveriesTo(member)).toEqual(['<joined>', '<sent>', 'last']);
  });

  test('ends when a room cannot be attached', async () => {
    const { hub, engine, join } = await openLater();
    const member = join();
    const settling = hub.settle();
    await new Promise(setImmediate);
    engine.attachments.shift()?.reject();
    await settling;
    expect(member.notices).toMatchObject([{ code: 'unavailable' }]);
  });

  test('waits for each of several rooms', async () => {
    const { hub, engine, join } = await openLater();
    const members = [join(), join(undefined, 'other')];
    const settling = hub.settle();
    await new Promise(setImmediate);
    engine.attached();
    await new Promise(setImmediate);
    engine.attached();
    await settling;
    expect(members.map(({ joins }) => joins)).toEqual([[true], [true]]);
  });
});

test('ready and the event `engine` follow the state of the engine', async () => {
  const { hub, engine, record } = await openManual();
  const events = record('engine');
  expect(hub.ready).toBe(true);
  engine.change('ready');
  engine.change('away');
  engine.change('away');
  expect(hub.ready).toBe(false);
  engine.change('ready');
  expect(hub.ready).toBe(true);
  expect(events).toEqual([{ state: 'away' }, { state: 'ready' }]);
});

test('an engine that answers at once takes posts in the turn that they arrive in', async () => {
  const { time, join } = await openManual();
  const member = join();
  time.turn();
  expect(member.joins).toEqual([true]);
});
