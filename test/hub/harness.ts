import { expect } from 'vitest';
import { memory } from '../../src/engine/memory.ts';
import type { Engine } from '../../src/hub/engine.ts';
import type { HubEvents } from '../../src/hub/events.ts';
import { Hub } from '../../src/hub/hub.ts';
import type { Records } from '../../src/hub/log.ts';
import type { Member } from '../../src/hub/room.ts';
import type { HubOverrides } from '../../src/hub/settings.ts';
import type { Encoder, Eviction, Frame, Notice, Pump, Subscriber } from '../../src/hub/subscriber.ts';
import type { Close } from '../../src/protocol/close-codes.ts';
import { VirtualTime } from '../simulation/virtual.ts';

/** Joins the texts of at most three records with commas, and counts the frames that it encodes. */
export class CommaEncoder implements Encoder {
  readonly name = 'commas';
  readonly merges = true;
  readonly notices: ReadonlySet<Notice['t']>;
  encoded = 0;

  constructor(...notices: Notice['t'][]) {
    this.notices = new Set(notices);
  }

  encode(_room: string, records: Records, from: number): Frame {
    this.encoded++;
    const to = Math.min(records.head, from + 3);
    const texts = Array.from({ length: to - from }, (_, i) => records.at(from + 1 + i).data);
    return { bytes: Buffer.from(texts.join(',')), from, to };
  }

  encodeNotice(notice: Notice): string {
    return JSON.stringify(notice);
  }
}

/** A subscriber and its pump in one, which keeps everything that the Hub hands it. */
export class FakeSubscriber implements Subscriber, Pump {
  readonly pump = this;
  readonly frames: Uint8Array[] = [];
  readonly notices: Notice[] = [];
  /** The texts of the frames, and the notices, in order. */
  readonly deliveries: (string | Notice)[] = [];
  /** The `recovered` of each join. */
  readonly joins: boolean[] = [];
  readonly evictions: { readonly close: Close; readonly at: Eviction | undefined }[] = [];
  /** How often the queued notices were sent. */
  releases = 0;
  writable = true;
  closed = false;
  closedWith: Close | undefined;
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

  get received(): string[] {
    return this.frames.map((frame) => Buffer.from(frame).toString());
  }

  advance(frame: Frame): number {
    expect(this.memberships.map(({ cursor }) => cursor)).toContain(frame.from);
    this.frames.push(frame.bytes);
    this.deliveries.push(Buffer.from(frame.bytes).toString());
    return frame.to;
  }

  notify(line: string): void {
    const notice: Notice = JSON.parse(line);
    this.notices.push(notice);
    this.deliveries.push(notice);
  }

  release(): void {
    this.releases++;
  }

  joined(_room: string, recovered: boolean): void {
    this.joins.push(recovered);
  }

  end(close: Close): void {
    this.closedWith = close;
    this.closed = true;
  }

  evict(close: Close, at: Eviction | undefined): void {
    this.evictions.push({ close, at });
    this.closed = true;
  }
}

/** Opens a Hub on virtual time. */
export async function openHub(settings: HubOverrides = {}, engine: Engine = memory()) {
  const time = new VirtualTime();
  const hub = new Hub({ engine, clock: time, scheduler: time, settings });
  await hub.open();
  const encoder = new CommaEncoder();
  let count = 0;
  /** Returns a new subscriber. With `room`, its join waits for the next turn. */
  const subscribe = (room?: string, by: Encoder = encoder) => {
    const subscriber = new FakeSubscriber(`s${++count}`, by, hub);
    if (room) hub.register(subscriber, room);
    return subscriber;
  };
  const send = (data: string, room = 'lobby') => hub.broadcast({ room, from: 'me', id: '', data, bytes: data.length });
  /** Returns the events of a type as they are emitted. */
  const record = <T extends keyof HubEvents>(type: T): HubEvents[T][] => {
    const events: HubEvents[T][] = [];
    hub.events.on(type, (event) => events.push(event));
    return events;
  };
  return { time, hub, encoder, subscribe, send, record };
}
