import { describe, expect, test } from 'vitest';
import { memory } from '../../src/engine/memory.ts';
import type { Engine } from '../../src/hub/engine.ts';
import type { HubEvents } from '../../src/hub/events.ts';
import type { Member } from '../../src/hub/room.ts';
import { hubSettings } from '../../src/hub/settings.ts';
import { closes } from '../../src/protocol/close-codes.ts';
import type { Place } from '../../src/protocol/v1.ts';
import { DecidingEngine } from './deciding-engine.ts';
import { CommaEncoder, openHub } from './harness.ts';

describe('arrival order over the mailboxes', () => {
  test('delivers a message to members that joined before it, not to those that joined after it', async () => {
    const { time, hub, subscribe, send } = await openHub();
    const [early, late] = [subscribe(), subscribe()];
    hub.register(early, 'lobby');
    send('hello');
    hub.register(late, 'lobby');
    send('again');
    time.settle();
    expect(early.received).toEqual(['hello,again']);
    expect(late.received).toEqual(['again']);
  });

  test('delivers a message to members that left after it, not to those that left before it', async () => {
    const { time, hub, subscribe, send } = await openHub();
    const [staying, leaving] = [subscribe('lobby'), subscribe('lobby')];
    time.settle();
    send('before');
    hub.unregister(leaving, 'lobby');
    send('after');
    time.settle();
    expect(leaving.received).toEqual(['before']);
    expect(staying.received.join(',')).toBe('before,after');
  });

  test('skips the messages between a leave and a rejoin', async () => {
    const { time, hub, subscribe, send } = await openHub();
    const subscriber = subscribe('lobby');
    time.settle();
    hub.unregister(subscriber, 'lobby');
    send('while away');
    hub.register(subscriber, 'lobby');
    send('back');
    time.settle();
    expect(subscriber.received).toEqual(['back']);
    expect(subscriber.memberships).toHaveLength(1);
  });

  test('takes a leave once that waits for its drafts while the member sends and leaves again', async () => {
    const engine = new DecidingEngine(false);
    const { time, hub, subscribe, send, record } = await openHub({}, engine);
    const wire = new CommaEncoder('left');
    const [leaving, staying] = [subscribe('lobby', wire), subscribe('lobby', wire)];
    const departures = record('unregistered');
    send('one');
    hub.unregister(leaving, 'lobby');
    time.settle();
    expect(leaving.memberships).toHaveLength(1);
    engine.onAppend = (room) => engine.decide(room, 2, true); // both at once
    send('two');
    hub.unregister(leaving, 'lobby');
    time.settle();
    engine.onAppend = (room, count) => engine.decide(room, count, true);
    send('three');
    time.settle();
    expect(leaving.deliveries).toEqual(['one,two', { t: 'left', room: 'lobby' }]);
    expect(staying.received.join()).toBe('one,two,three');
    expect(departures).toMatchObject([{ client: leaving.id, members: 1 }]);
  });

  test('keeps one membership when a member joins again', async () => {
    const { time, hub, subscribe, send } = await openHub();
    const subscriber = subscribe('lobby');
    hub.register(subscriber, 'lobby');
    send('once');
    time.settle();
    expect(subscriber.received).toEqual(['once']);
    expect(subscriber.joins).toEqual([true, true]);
  });
});

describe('a flush', () => {
  test('hands every member in step the same bytes, encoded once an encoder', async () => {
    const { time, encoder, subscribe, send } = await openHub();
    const otherEncoder = new CommaEncoder();
    const subscribers = Array.from({ length: 50 }, () => subscribe('lobby'));
    const others = Array.from({ length: 50 }, () => subscribe('lobby', otherEncoder));
    time.settle();
    send('a');
    send('b');
    time.settle();
    expect([encoder.encoded, otherEncoder.encoded]).toEqual([1, 1]);
    expect(new Set(subscribers.flatMap(({ frames }) => frames)).size).toBe(1);
    expect(new Set(others.flatMap(({ frames }) => frames)).size).toBe(1);
    expect(subscribers[7]?.received).toEqual(['a,b']);
  });

  test('splits records that do not fit one frame, in order', async () => {
    const { time, encoder, subscribe, send } = await openHub();
    const [first, second] = [subscribe('lobby'), subscribe('lobby')];
    for (const text of 'abcdefgh') send(text);
    time.settle();
    expect(first.received).toEqual(['a,b,c', 'd,e,f', 'g,h']);
    expect(second.received).toEqual(first.received);
    expect(encoder.encoded).toBe(3);
  });

  test('encodes once for all members that catch up from the same cursor', async () => {
    const { time, hub, encoder, subscribe, send } = await openHub();
    const slow = Array.from({ length: 20 }, () => subscribe('lobby'));
    time.settle();
    for (const subscriber of slow) subscriber.writable = false;
    for (const text of 'abcde') send(text);
    time.settle();
    encoder.encoded = 0;
    for (const subscriber of slow) {
      subscriber.writable = true;
      hub.drained(subscriber);
    }
    time.settle();
    expect(slow.every(({ received }) => received.join(',') === 'a,b,c,d,e')).toBe(true);
    expect(encoder.encoded).toBe(2);
  });
});

describe('a close in order', () => {
  test('follows every message that was accepted before it, in all rooms', async () => {
    const { time, hub, subscribe, send } = await openHub();
    const subscriber = subscribe('lobby');
    hub.register(subscriber, 'other');
    time.settle();
    send('a');
    send('b', 'other');
    hub.closeInOrder(subscriber, closes.rateExceeded);
    send('c');
    time.settle();
    expect(subscriber.received).toEqual(['a', 'b']);
    expect(subscriber.closedWith).toEqual(closes.rateExceeded);
    expect(subscriber.memberships).toEqual([]);
  });

  test('waits for a slow engine to decide the drafts before it', async () => {
    const engine = memory();
    const held: (() => void)[] = [];
    const slow: Engine = { ...engine, append: (room, drafts) => void held.push(() => engine.append(room, drafts)) };
    const { time, hub, subscribe, send } = await openHub({}, slow);
    const subscriber = subscribe('lobby');
    time.settle();
    send('a');
    hub.closeInOrder(subscriber, closes.rateExceeded);
    time.settle();
    expect([subscriber.received, subscriber.closedWith]).toEqual([[], undefined]);
    for (const append of held) append();
    time.settle();
    expect([subscriber.received, subscriber.closedWith]).toEqual([['a'], closes.rateExceeded]);
  });

  test('happens in no room as well, and not after the subscriber has closed', async () => {
    const { time, hub, subscribe } = await openHub();
    const [alone, gone] = [subscribe(), subscribe('lobby')];
    time.settle();
    hub.closeInOrder(alone, closes.rateExceeded);
    hub.closeInOrder(gone, closes.rateExceeded);
    gone.closed = true;
    hub.unregister(gone);
    time.settle();
    expect([alone.closedWith, gone.closedWith]).toEqual([closes.rateExceeded, undefined]);
  });
});

describe('a turn', () => {
  test('takes its budget of posts, then lets the sockets be read', async () => {
    const { time, hub, send } = await openHub({ turn: { commands: 10, bytes: 1e6 } });
    for (let i = 0; i < 25; i++) send('x');
    const waiting = [hub.waiting('broadcast')];
    while (time.turn()) waiting.push(hub.waiting('broadcast'));
    expect(waiting).toEqual([25, 15, 5, 0]);
  });

  test('has a budget of bytes too', async () => {
    const { time, hub, send } = await openHub({ turn: { commands: 1000, bytes: 100 } });
    for (let i = 0; i < 5; i++) send('x'.repeat(60));
    time.turn();
    expect(hub.waiting('broadcast')).toBe(3);
  });
});

describe('a full request mailbox', () => {
  test('refuses no join, leave or message', async () => {
    const { time, hub, subscribe, send, record } = await openHub({ mailboxes: { request: 3 } });
    const overloads = record('overloaded');
    const [flooding, leaving] = [subscribe('lobby'), subscribe('lobby')];
    time.settle();
    const request = { subscriber: flooding, room: 'lobby', before: undefined, after: undefined, limit: 10 };
    const accepted = Array.from({ length: 1000 }, () => hub.history(request)).filter(Boolean);
    expect(accepted).toHaveLength(3);
    expect(overloads).toHaveLength(997);
    expect(overloads[0]).toEqual({ mailbox: 'request', capacity: 3 });
    const joining = subscribe();
    expect(send('before')).toBe(true);
    expect(hub.unregister(leaving, 'lobby')).toBe(true);
    expect(hub.register(joining, 'lobby')).toBe(true);
    expect(send('after')).toBe(true);
    time.settle();
    expect(leaving.received).toEqual(['before']);
    expect(joining.received).toEqual(['after']);
    expect(flooding.received.join(',')).toBe('before,after');
    expect(overloads).toHaveLength(997);
  });

  test('refuses signals and acknowledgements as well, and accepts them again after a turn', async () => {
    const { time, hub, subscribe, record } = await openHub({ mailboxes: { request: 1 } });
    const overloads = record('overloaded');
    const member = subscribe('lobby');
    time.settle();
    const signal = { t: 'signal', room: 'lobby', from: 'me', data: 1 } as const;
    const post = () => [
      hub.signal({ room: 'lobby', from: 'me', signal }),
      hub.signal({ room: 'lobby', from: 'me', signal }),
      hub.acknowledge(member, 'lobby', 0),
    ];
    expect(post()).toEqual([true, false, false]);
    expect(overloads.map(({ mailbox }) => mailbox)).toEqual(['request', 'request']);
    time.settle();
    expect(hub.acknowledge(member, 'lobby', 0)).toBe(true);
  });
});

describe('an acknowledgement', () => {
  const openRoom = async () => {
    const opened = await openHub();
    const member = opened.subscribe('lobby', new CommaEncoder('error'));
    for (const text of 'abc') opened.send(text);
    opened.time.settle();
    const acknowledge = (...seqs: number[]) => {
      for (const seq of seqs) opened.hub.acknowledge(member, 'lobby', seq);
    };
    return { ...opened, member, acknowledge, shown: opened.record('shown') };
  };
  const shownAt = (seq: number) => ({ client: 's1', user: 's1', room: 'lobby', seq });

  test('emits shown once a progress and ignores older ones', async () => {
    const { time, member, acknowledge, shown } = await openRoom();
    acknowledge(1, 1, 3, 2, 3, 0);
    expect(shown).toEqual([]); // it waits in the mailbox for a turn
    time.settle();
    acknowledge(3, 1);
    time.settle();
    expect(shown).toEqual([shownAt(1), shownAt(3)]);
    expect(member.notices).toEqual([]);
  });

  test('past the cursor gets bad_field and does not count', async () => {
    const { time, member, acknowledge, shown } = await openRoom();
    acknowledge(4);
    time.settle();
    expect(shown).toEqual([]);
    const message = 'ack: "seq" must be at most 3, the seq of the last message sent to this client';
    expect(member.notices).toMatchObject([{ t: 'error', code: 'bad_field', field: 'seq', message, room: 'lobby' }]);
    acknowledge(3);
    time.settle();
    expect(shown).toEqual([shownAt(3)]);
    expect(member.notices).toHaveLength(1);
  });

  test('is checked against what the member was handed, not against the head', async () => {
    const { time, hub, member, send, acknowledge, shown } = await openRoom();
    member.writable = false;
    send('d');
    time.settle();
    acknowledge(4);
    time.settle();
    expect(shown).toEqual([]);
    expect(member.notices).toMatchObject([{ code: 'bad_field' }]);
    member.writable = true;
    hub.drained(member);
    time.settle();
    acknowledge(4);
    time.settle();
    expect(shown).toEqual([shownAt(4)]);
  });

  test('is ignored from a subscriber that is not a member or is closed', async () => {
    const { time, hub, member, subscribe, acknowledge, shown } = await openRoom();
    const stranger = subscribe(undefined, new CommaEncoder('error'));
    hub.acknowledge(stranger, 'lobby', 1);
    acknowledge(2);
    member.closed = true;
    time.settle();
    expect(shown).toEqual([]);
    expect([...member.notices, ...stranger.notices]).toEqual([]);
  });

  test('counts if it arrives before a leave, and not if it arrives after', async () => {
    const { time, hub, member, acknowledge, shown } = await openRoom();
    acknowledge(2);
    hub.unregister(member, 'lobby');
    acknowledge(3);
    time.settle();
    expect(shown).toEqual([shownAt(2)]);
    expect(member.memberships).toEqual([]);
  });
});

describe('a stalled subscriber', () => {
  /** A subscriber in two rooms that is behind by two records in `near` and by five in `far`. */
  const stall = async () => {
    const opened = await openHub();
    const subscriber = opened.subscribe('near');
    opened.hub.register(subscriber, 'far');
    opened.send('received', 'far');
    opened.time.settle();
    subscriber.writable = false;
    for (const text of 'ab') opened.send(text, 'near');
    for (const text of 'abcde') opened.send(text, 'far');
    opened.time.settle();
    expect(subscriber.memberships.map(({ behind }) => behind)).toEqual([2, 5]);
    opened.hub.stalled(subscriber);
    return { ...opened, subscriber };
  };

  test('is evicted in the next turn, at its furthest membership', async () => {
    const { time, subscriber } = await stall();
    expect(subscriber.evictions).toEqual([]);
    const { epoch } = (subscriber.memberships[1] as Member).room;
    time.turn();
    expect(subscriber.evictions).toEqual([
      { close: closes.writeTimeout, at: { room: 'far', epoch, seq: 1, records: 5 } },
    ]);
  });

  test('is evicted once, however often it is reported', async () => {
    const { time, hub, subscriber } = await stall();
    hub.stalled(subscriber);
    time.settle();
    hub.stalled(subscriber);
    time.settle();
    expect(subscriber.evictions).toHaveLength(1);
  });

  test('is not evicted when its socket has drained before the turn', async () => {
    const { time, hub, subscriber } = await stall();
    subscriber.writable = true;
    hub.drained(subscriber);
    time.settle();
    expect(subscriber.evictions).toEqual([]);
    expect(subscriber.memberships.map(({ behind }) => behind)).toEqual([0, 0]);
    time.settle();
    expect(subscriber.closed).toBe(false);
  });

  test('is not evicted when it has closed before the turn', async () => {
    const { time, hub, subscriber } = await stall();
    subscriber.closed = true;
    hub.unregister(subscriber);
    time.settle();
    expect(subscriber.evictions).toEqual([]);
  });

  test('is closed without a place to resume when it is in no room', async () => {
    const { time, hub, subscribe } = await openHub();
    const subscriber = subscribe();
    subscriber.writable = false;
    hub.stalled(subscriber);
    time.turn();
    expect(subscriber.evictions).toEqual([{ close: closes.writeTimeout, at: undefined }]);
  });
});

describe('a join with a place', () => {
  test('delivers everything since the place, then new messages, without a gap or a repeat', async () => {
    const { time, hub, subscribe, send } = await openHub();
    const first = subscribe('lobby');
    time.settle();
    for (const text of 'abcde') send(text);
    time.settle();
    const { epoch } = (first.memberships[0] as Member).room;
    const returning = subscribe();
    hub.register(returning, 'lobby', { epoch, seq: 2 });
    send('f');
    time.settle();
    expect(returning.received.join(',')).toBe('c,d,e,f');
    expect(returning.joins).toEqual([true]);
  });

  const tiny = {
    sendBuffer: { records: 1, bytes: 1e6 },
    window: { records: 1, bytes: 1e6 },
    turn: { commands: 1, bytes: 1e6 },
    hold: { records: 1, bytes: 1 },
  };

  /** Rejoins a room of ten messages, of which three are in memory. */
  const rejoin = async (since: Partial<Place>, engine: Engine) => {
    const { time, hub, subscribe, send } = await openHub(tiny, engine);
    const first = subscribe('lobby');
    for (const text of 'abcdefghij') send(text);
    time.settle();
    const { epoch } = (first.memberships[0] as Member).room;
    const returning = subscribe();
    hub.register(returning, 'lobby', { epoch, seq: 0, ...since });
    send('new');
    time.settle();
    return returning;
  };

  test.each([
    ['of another epoch', { epoch: 'another', seq: 2 }],
    ['past the head', { seq: 9999 }],
  ])('starts at the head for a place %s', async (_, since) => {
    const returning = await rejoin(since, memory());
    expect(returning.received).toEqual(['new']);
    expect(returning.joins).toEqual([false]);
  });

  test('reads records that are no longer in memory from the engine', async () => {
    const returning = await rejoin({ seq: 0 }, memory());
    expect(returning.received.join(',')).toBe('a,b,c,d,e,f,g,h,i,j,new');
    expect(returning.joins).toEqual([true]);
  });

  test('starts at the oldest retained record when the engine has trimmed the place', async () => {
    const returning = await rejoin({ seq: 0 }, memory({ retention: { records: 4, bytes: 1e6 } }));
    expect(returning.received.join(',')).toMatch(/^[d-g],.*,i,j,new$/);
    expect(returning.joins).toEqual([false]);
  });
});

describe('a coalescing room', () => {
  const coalesce = () => ({ maxDelayMs: 20, maxBytes: 10 });

  test('holds records back for its delay at most', async () => {
    const { time, subscribe, send } = await openHub({ coalesce });
    const member = subscribe('lobby');
    time.settle();
    send('a');
    time.settle();
    time.advance(10);
    send('b');
    time.advance(9);
    expect(member.received).toEqual([]);
    time.advance(1);
    expect(member.received).toEqual(['a,b']);
  });

  test('flushes at once when it reaches its bytes, and when the Hub settles', async () => {
    const { time, hub, subscribe, send } = await openHub({ coalesce });
    const member = subscribe('lobby');
    send('0123456789');
    time.settle();
    expect(member.received).toEqual(['0123456789']);
    send('last');
    time.settle();
    await hub.settle();
    expect(member.received).toEqual(['0123456789', 'last']);
  });

  test('hands a leaving member the records that it holds back', async () => {
    const { time, hub, subscribe, send } = await openHub({ coalesce });
    const member = subscribe('lobby');
    send('a');
    hub.unregister(member, 'lobby');
    time.settle();
    expect(member.received).toEqual(['a']);
  });
});

describe('rooms', () => {
  test('appear on first use, and leave the Hub and the engine when empty and idle', async () => {
    const engine = memory();
    const { time, hub, subscribe, send } = await openHub({ roomIdle: 1000 }, engine);
    const member = subscribe('lobby');
    send('hello');
    send('alone', 'elsewhere');
    time.settle();
    expect(hub.rooms).toBe(2);
    time.advance(5000);
    expect(hub.rooms).toBe(1);
    hub.unregister(member);
    time.settle();
    time.advance(900);
    expect(hub.rooms).toBe(1);
    time.advance(2000);
    expect([hub.rooms, engine.read('lobby', 0, 10).length, time.timers]).toEqual([0, 0, 0]);
  });
});

describe('events', () => {
  test('report a join, each committed batch and a leave', async () => {
    const { time, hub, subscribe, send } = await openHub();
    const emitted: unknown[] = [];
    for (const type of ['registered', 'committed', 'unregistered'] as const) {
      hub.events.on(type, (event: HubEvents[typeof type]) => emitted.push([type, event]));
    }
    const member = subscribe('lobby');
    for (const text of 'abc') send(text);
    time.settle();
    hub.unregister(member, 'lobby');
    time.settle();
    expect(emitted).toEqual([
      ['registered', { client: 's1', room: 'lobby', members: 1 }],
      ['committed', { room: 'lobby', from: 1, to: 3, members: 1 }],
      ['unregistered', { client: 's1', room: 'lobby', members: 0 }],
    ]);
  });

  test('reach the other listeners when one throws, and emit failed', async () => {
    const { time, hub, subscribe, send } = await openHub();
    const failed: string[] = [];
    let committed = 0;
    hub.events.on('failed', ({ event }) => failed.push(event));
    hub.events.on('failed', () => {
      throw new Error('the listener of failures fails');
    });
    hub.events.on('committed', () => {
      throw new Error('the listener fails');
    });
    const off = hub.events.on('committed', () => committed++);
    const member = subscribe('lobby');
    send('a');
    time.settle();
    off();
    send('b');
    time.settle();
    expect([committed, failed, member.received]).toEqual([1, ['committed', 'committed'], ['a', 'b']]);
  });
});

describe('settings', () => {
  test('raise the window to hold the send buffer, a turn and a hold', () => {
    const { window } = hubSettings({ sendBuffer: { records: 100_000, bytes: 1e9 } });
    expect(window.records).toBeGreaterThanOrEqual(100_000 + 2048 + 1024);
    expect(window.bytes).toBeGreaterThan(1e9);
  });

  test.each([
    { sendBuffer: { records: 0, bytes: 1 } },
    { roomIdle: Number.NaN },
    { turn: { commands: -1, bytes: 1 } },
    { mailboxes: { register: 1, unregister: 1, broadcast: 0 } },
  ])('reject %j', (settings) => {
    expect(() => hubSettings(settings)).toThrow(RangeError);
  });
});
