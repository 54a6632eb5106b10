import { describe, expect, test } from 'vitest';
import { memory } from '../../src/engine/memory.ts';
import type { Engine } from '../../src/hub/engine.ts';
import type { HubEvents } from '../../src/hub/events.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { Member } from '../../src/hub/room.ts';
import { type HubOverrides, hubSettings } from '../../src/hub/settings.ts';
import type { Encoder, Frame, Pump, Subscriber } from '../../src/hub/subscriber.ts';
import type { Place } from '../../src/protocol/v1.ts';
import { noNotices } from '../../src/wire/wire.ts';
import { VirtualTime } from '../simulation/virtual.ts';

/** An encoder that counts its work: a frame is the texts joined by commas, at most three records of them. */
class Commas implements Encoder {
  readonly name = 'commas';
  readonly merges = true;
  readonly notices = noNotices.notices;
  readonly encodeNotice = noNotices.encodeNotice;
  encoded = 0;

  encode(_room: string, log: { head: number; at(seq: number): { data: string } }, from: number): Frame {
    this.encoded++;
    const to = Math.min(log.head, from + 3);
    const texts = Array.from({ length: to - from }, (_, i) => log.at(from + 1 + i).data);
    return { bytes: Buffer.from(texts.join(',')), from, to };
  }
}

/** A subscriber that keeps the frames it is handed. */
class Listener implements Subscriber, Pump {
  readonly pump = this;
  readonly frames: Uint8Array[] = [];
  readonly joins: boolean[] = [];
  writable = true;
  closed = false;
  readonly id: string;
  readonly user: string;
  readonly encoder: Encoder;
  readonly #hub: Hub;

  constructor(id: string, encoder: Encoder, hub: Hub) {
    this.#hub = hub;
    this.id = id;
    this.user = id;
    this.encoder = encoder;
  }

  get memberships(): readonly Member[] {
    return this.#hub.memberships(this);
  }

  advance(frame: Frame): number {
    expect(this.memberships.map(({ cursor }) => cursor)).toContain(frame.from);
    this.frames.push(frame.bytes);
    return frame.to;
  }

  notify(): void {}

  release(): void {}

  joined(_room: string, recovered: boolean): void {
    this.joins.push(recovered);
  }

  evict(): void {
    this.closed = true;
  }

  get heard(): string[] {
    return this.frames.map((frame) => Buffer.from(frame).toString());
  }
}

async function scene(settings: HubOverrides = {}, engine: Engine = memory()) {
  const time = new VirtualTime();
  const hub = new Hub({ engine, clock: time, scheduler: time, settings });
  await hub.open();
  const encoder = new Commas();
  let count = 0;
  const listener = (in_?: string, by: Encoder = encoder) => {
    const one = new Listener(`l${++count}`, by, hub);
    if (in_) hub.register(one, in_);
    return one;
  };
  const say = (data: string, room = 'lobby') => hub.broadcast({ room, from: 'me', id: '', data, bytes: data.length });
  return { time, hub, encoder, listener, say };
}

describe('the order of arrival, over all three mailboxes', () => {
  test('join then send: the newcomer hears it; send then join: it does not', async () => {
    const { time, hub, listener, say } = await scene();
    const [early, late] = [listener(), listener()];
    hub.register(early, 'lobby');
    say('hello');
    hub.register(late, 'lobby');
    say('again');
    time.settle();
    expect(early.heard).toEqual(['hello,again']);
    expect(late.heard).toEqual(['again']);
  });

  test('send then leave: the one who leaves hears it; leave then send: it does not', async () => {
    const { time, hub, listener, say } = await scene();
    const [stays, leaves] = [listener('lobby'), listener('lobby')];
    time.settle();
    say('before');
    hub.unregister(leaves, 'lobby');
    say('after');
    time.settle();
    expect(leaves.heard).toEqual(['before']);
    expect(stays.heard.join(',')).toBe('before,after');
  });

  test('leave then join: it is in, and heard nothing of what was said in between', async () => {
    const { time, hub, listener, say } = await scene();
    const one = listener('lobby');
    time.settle();
    hub.unregister(one, 'lobby');
    say('while away');
    hub.register(one, 'lobby');
    say('back');
    time.settle();
    expect(one.heard).toEqual(['back']);
    expect(one.memberships).toHaveLength(1);
  });

  test('joining twice is joining once', async () => {
    const { time, hub, listener, say } = await scene();
    const one = listener('lobby');
    hub.register(one, 'lobby');
    say('once');
    time.settle();
    expect(one.heard).toEqual(['once']);
    expect(one.joins).toEqual([true, true]);
  });
});

describe('a flush', () => {
  test('hands every member in step the very same bytes, encoded once for each encoder', async () => {
    const { time, encoder, listener, say } = await scene();
    const other = new Commas();
    const ones = Array.from({ length: 50 }, () => listener('lobby'));
    const others = Array.from({ length: 50 }, () => listener('lobby', other));
    time.settle();
    say('a');
    say('b');
    time.settle();
    expect([encoder.encoded, other.encoded]).toEqual([1, 1]);
    expect(new Set(ones.flatMap((one) => one.frames)).size).toBe(1);
    expect(new Set(others.flatMap((one) => one.frames)).size).toBe(1);
    expect(ones[7]?.heard).toEqual(['a,b']);
  });

  test('of more than a frame holds goes out in several, in order', async () => {
    const { time, encoder, listener, say } = await scene();
    const [one, two] = [listener('lobby'), listener('lobby')];
    for (const text of 'abcdefgh') say(text);
    time.settle();
    expect(one.heard).toEqual(['a,b,c', 'd,e,f', 'g,h']);
    expect(two.heard).toEqual(one.heard);
    expect(encoder.encoded).toBe(3);
  });

  test('encodes once for all who read on from the same place', async () => {
    const { time, hub, encoder, listener, say } = await scene();
    const slow = Array.from({ length: 20 }, () => listener('lobby'));
    time.settle();
    for (const one of slow) one.writable = false;
    for (const text of 'abcde') say(text);
    time.settle();
    encoder.encoded = 0;
    for (const one of slow) {
      one.writable = true;
      hub.drained(one);
    }
    time.settle();
    expect(slow.every((one) => one.heard.join(',') === 'a,b,c,d,e')).toBe(true);
    expect(encoder.encoded).toBe(2);
  });
});

describe('a turn', () => {
  test('takes no more than its budget, then lets sockets be read', async () => {
    const { time, hub, say } = await scene({ turn: { commands: 10, bytes: 1e6 } });
    for (let i = 0; i < 25; i++) say('x');
    const waiting = [hub.waiting('broadcast')];
    while (time.turn()) waiting.push(hub.waiting('broadcast'));
    expect(waiting).toEqual([25, 15, 5, 0]);
  });

  test('counts bytes too', async () => {
    const { time, hub, say } = await scene({ turn: { commands: 1000, bytes: 100 } });
    for (let i = 0; i < 5; i++) say('x'.repeat(60));
    time.turn();
    expect(hub.waiting('broadcast')).toBe(3);
  });
});

describe('reading on from a place', () => {
  test('gives everything since, then what is new, without a seam', async () => {
    const { time, hub, listener, say } = await scene();
    const first = listener('lobby');
    time.settle();
    for (const text of 'abcde') say(text);
    time.settle();
    const { epoch } = (first.memberships[0] as Member).room;
    const back = listener();
    hub.register(back, 'lobby', { epoch, seq: 2 });
    say('f');
    time.settle();
    expect(back.heard.join(',')).toBe('c,d,e,f');
    expect(back.joins).toEqual([true]);
  });

  const tiny = {
    sendBuffer: { records: 1, bytes: 1e6 },
    window: { records: 1, bytes: 1e6 },
    turn: { commands: 1, bytes: 1e6 },
    hold: { records: 1, bytes: 1 },
  };

  /** Someone comes back to a room in which ten things were said, of which three are in memory. */
  const comeBack = async (since: Partial<Place>, engine: Engine) => {
    const { time, hub, listener, say } = await scene(tiny, engine);
    const first = listener('lobby');
    for (const text of 'abcdefghij') say(text);
    time.settle();
    const { epoch } = (first.memberships[0] as Member).room;
    const back = listener();
    hub.register(back, 'lobby', { epoch, seq: 0, ...since });
    say('new');
    time.settle();
    return back;
  };

  test.each([
    ['another life of the room', { epoch: 'another', seq: 2 }],
    ['a place that is not there yet', { seq: 9999 }],
  ])('%s is refused, and it starts at the head', async (_, since) => {
    const back = await comeBack(since, memory());
    expect(back.heard).toEqual(['new']);
    expect(back.joins).toEqual([false]);
  });

  test('a place that is no longer in memory is read from the engine', async () => {
    const back = await comeBack({ seq: 0 }, memory());
    expect(back.heard.join(',')).toBe('a,b,c,d,e,f,g,h,i,j,new');
    expect(back.joins).toEqual([true]);
  });

  test('a place that the engine no longer has is refused, and it starts with what is left', async () => {
    const back = await comeBack({ seq: 0 }, memory({ retention: { records: 4, bytes: 1e6 } }));
    expect(back.heard.join(',')).toMatch(/^[d-g],.*,i,j,new$/);
    expect(back.joins).toEqual([false]);
  });
});

describe('a coalescing room', () => {
  const coalesce = () => ({ maxDelayMs: 20, maxBytes: 10 });

  test('waits for more, but no longer than its delay', async () => {
    const { time, listener, say } = await scene({ coalesce });
    const one = listener('lobby');
    time.settle();
    say('a');
    time.settle();
    time.advance(10);
    say('b');
    time.advance(9);
    expect(one.heard).toEqual([]);
    time.advance(1);
    expect(one.heard).toEqual(['a,b']);
  });

  test('goes out at once when it has its bytes, and when the Hub settles', async () => {
    const { time, hub, listener, say } = await scene({ coalesce });
    const one = listener('lobby');
    say('0123456789');
    time.settle();
    expect(one.heard).toEqual(['0123456789']);
    say('last');
    time.settle();
    await hub.settle();
    expect(one.heard).toEqual(['0123456789', 'last']);
  });

  test('gives one who leaves what was held back', async () => {
    const { time, hub, listener, say } = await scene({ coalesce });
    const one = listener('lobby');
    say('a');
    hub.unregister(one, 'lobby');
    time.settle();
    expect(one.heard).toEqual(['a']);
  });
});

describe('rooms', () => {
  test('appear on first use, and vanish from Hub and engine when empty and idle', async () => {
    const engine = memory();
    const { time, hub, listener, say } = await scene({ roomIdle: 1000 }, engine);
    const one = listener('lobby');
    say('hello');
    say('alone', 'elsewhere');
    time.settle();
    expect(hub.rooms).toBe(2);
    time.advance(5000);
    expect(hub.rooms).toBe(1);
    hub.unregister(one);
    time.settle();
    time.advance(900);
    expect(hub.rooms).toBe(1);
    time.advance(2000);
    expect([hub.rooms, engine.read('lobby', 0, 10).length, time.timers]).toEqual([0, 0, 0]);
  });
});

describe('events', () => {
  test('tell of a life: registered, committed once a batch, unregistered', async () => {
    const { time, hub, listener, say } = await scene();
    const told: unknown[] = [];
    for (const type of ['registered', 'committed', 'unregistered'] as const) {
      hub.events.on(type, (event: HubEvents[typeof type]) => told.push([type, event]));
    }
    const one = listener('lobby');
    for (const text of 'abc') say(text);
    time.settle();
    hub.unregister(one, 'lobby');
    time.settle();
    expect(told).toEqual([
      ['registered', { client: 'l1', room: 'lobby', members: 1 }],
      ['committed', { room: 'lobby', from: 1, to: 3, members: 1 }],
      ['unregistered', { client: 'l1', room: 'lobby', members: 0 }],
    ]);
  });

  test('reach the other listeners though one throws, and that is told', async () => {
    const { time, hub, listener, say } = await scene();
    const failed: string[] = [];
    let heard = 0;
    hub.events.on('failed', ({ event }) => failed.push(event));
    hub.events.on('failed', () => {
      throw new Error('the listener of failures fails');
    });
    hub.events.on('committed', () => {
      throw new Error('mine');
    });
    const off = hub.events.on('committed', () => heard++);
    const one = listener('lobby');
    say('a');
    time.settle();
    off();
    say('b');
    time.settle();
    expect([heard, failed, one.heard]).toEqual([1, ['committed', 'committed'], ['a', 'b']]);
  });
});

describe('settings', () => {
  test('the window holds what a member may lack, a turn and a hold', () => {
    const { window } = hubSettings({ sendBuffer: { records: 100_000, bytes: 1e9 } });
    expect(window.records).toBeGreaterThanOrEqual(100_000 + 2048 + 1024);
    expect(window.bytes).toBeGreaterThan(1e9);
  });

  test.each([
    { sendBuffer: { records: 0, bytes: 1 } },
    { roomIdle: Number.NaN },
    { turn: { commands: -1, bytes: 1 } },
    { mailboxes: { register: 1, unregister: 1, broadcast: 0 } },
  ])('%j is refused', (settings) => {
    expect(() => hubSettings(settings)).toThrow(RangeError);
  });
});
