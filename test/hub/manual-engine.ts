import type { Cluster } from '../../src/hub/cluster.ts';
import type { Draft, Engine, EngineListener, EngineState, Outcome, Position } from '../../src/hub/engine.ts';
import type { HistoryRequest } from '../../src/hub/history.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import type { HubOverrides } from '../../src/hub/settings.ts';
import type { Encoder, Notice, Subscriber } from '../../src/hub/subscriber.ts';
import type { Place } from '../../src/protocol/v1.ts';
import { CommaEncoder, type FakeSubscriber, openHub } from './harness.ts';

/** A call that the test answers. */
interface Call<T> {
  readonly room: string;
  resolve(value: T): void;
  reject(): void;
}

interface Read extends Call<readonly LogRecord[]> {
  readonly after: number;
  readonly limit: number;
  /** Answers with what the log holds now. */
  answer(): void;
}

interface ManualLog {
  epoch: string;
  head: number;
  first: number;
  earlier: Place[];
  records: LogRecord[];
}

/** Adds a call to the list. @returns its promise. */
function later<T, C extends Call<T>>(calls: C[], rest: Omit<C, 'resolve' | 'reject' | 'answer'>): Promise<T> {
  return new Promise((resolve, reject) => {
    calls.push({ ...rest, resolve, reject: () => reject(new Error('the store cannot be reached')) } as unknown as C);
  });
}

/** Returns a record as another node stores it. */
export function recordOf(seq: number, data: string, id = ''): LogRecord {
  return { seq, at: 0, from: 'other', sender: 'other', id, data, json: false, bytes: data.length };
}

/**
 * An engine over a log that others write to as well. The test answers each call, and says what is
 * committed, decided, moved and skipped. An epoch is `e1` until the log moves.
 */
class ManualEngine implements Engine {
  dedupes = true;
  cluster?: Cluster;
  /** Whether `attach` waits for the test. */
  attachesLater = false;
  readonly attachments: Call<Position>[] = [];
  readonly appended: { readonly room: string; readonly drafts: readonly Draft[] }[] = [];
  readonly reads: Read[] = [];
  readonly catchUps: Call<void>[] = [];
  readonly released: string[] = [];
  #listener!: EngineListener;
  readonly #logs = new Map<string, ManualLog>();
  /** The rooms whose logs are reported. */
  readonly #attached = new Set<string>();

  open(listener: EngineListener): void {
    this.#listener = listener;
  }

  attach(room: string): Position | Promise<Position> {
    if (this.attachesLater) return later(this.attachments, { room });
    this.#attached.add(room);
    return this.position(room);
  }

  position(room: string): Position {
    const { epoch, head, first, earlier } = this.#log(room);
    return { epoch, seq: head, first, earlier };
  }

  append(room: string, drafts: readonly Draft[]): void {
    this.appended.push({ room, drafts });
  }

  read(room: string, after: number, limit: number): Promise<readonly LogRecord[]> {
    const reading = later<readonly LogRecord[], Read>(this.reads, { room, after, limit });
    const read = this.reads.at(-1) as Read;
    read.answer = () => read.resolve(this.records(room, after, limit));
    return reading;
  }

  catchUp(room: string): Promise<void> {
    return later(this.catchUps, { room });
  }

  release(room: string): void {
    this.released.push(room);
    this.#attached.delete(room);
  }

  close(): void {}

  /** Returns what the log holds after a place. */
  records(room: string, after: number, limit: number): readonly LogRecord[] {
    return this.#log(room)
      .records.filter(({ seq }) => seq > after)
      .slice(0, limit);
  }

  /** Answers the oldest call of `attach` with the room's position. */
  attached(): void {
    const call = this.attachments.shift() as Call<Position>;
    this.#attached.add(call.room);
    call.resolve(this.position(call.room));
  }

  /** Stores records without reporting them. @returns them. */
  store(room: string, ...texts: string[]): LogRecord[] {
    const log = this.#log(room);
    const records = texts.map((data) => recordOf(++log.head, data));
    log.records.push(...records);
    return records;
  }

  /** Commits records that another node has sent, or drafts, which are decided later. */
  commit(room: string, ...texts: string[]): void {
    const records = this.store(room, ...texts);
    if (this.#attached.has(room)) this.#listener.committed({ room, records, own: false });
  }

  decide(room: string, ...outcomes: Outcome[]): void {
    this.#listener.decided({ room, outcomes });
  }

  /** The log goes on after `seq` in another life. */
  move(room: string, epoch: string, seq: number): void {
    const log = this.#log(room);
    log.earlier = [...log.earlier, { epoch: log.epoch, seq }].map((end) => ({ ...end, seq: Math.min(end.seq, seq) }));
    log.records = log.records.filter((record) => record.seq <= seq);
    Object.assign(log, { epoch, head: seq });
    if (this.#attached.has(room)) this.#listener.moved({ room, epoch, seq });
  }

  /** The store has lost the log. */
  replace(room: string, epoch: string): void {
    Object.assign(this.#log(room), { epoch, head: 0, first: 1, earlier: [], records: [] });
    this.#listener.moved({ room, epoch, seq: 0 });
  }

  /** Reports that the records stored by now are not passed. */
  skip(room: string): void {
    const { epoch, head } = this.#log(room);
    this.#listener.skipped({ room, epoch, seq: head });
  }

  /** Drops the records before `first`. */
  trim(room: string, first: number): void {
    const log = this.#log(room);
    log.first = first;
    log.records = log.records.filter(({ seq }) => seq >= first);
  }

  change(state: EngineState): void {
    this.#listener.changed(state);
  }

  #log(room: string): ManualLog {
    const existing = this.#logs.get(room);
    if (existing) return existing;
    const log = { epoch: 'e1', head: 0, first: 1, earlier: [], records: [] };
    this.#logs.set(room, log);
    return log;
  }
}

/** A log in memory that holds three records, and members that may be as far behind. */
export const tiny = {
  sendBuffer: { records: 1, bytes: 1e6 },
  window: { records: 1, bytes: 1e6 },
  turn: { commands: 1, bytes: 1e6 },
  hold: { records: 1, bytes: 1 },
};

/** Opens a Hub on a ManualEngine. */
export async function openManual(settings: HubOverrides = {}, cluster?: Cluster) {
  const engine = new ManualEngine();
  if (cluster) engine.cluster = cluster;
  const opened = await openHub(settings, engine);
  const { time, hub, subscribe } = opened;
  const wire = new CommaEncoder('joined', 'left', 'sent', 'gap', 'error', 'history', 'signal');
  /** Runs the turns that are due, and those that follow from answers of the engine. */
  const settle = async () => {
    for (let i = 0; i < 4; i++) {
      await new Promise(setImmediate);
      time.settle();
    }
  };
  /** Returns a new subscriber whose join waits for the next turn. */
  const join = (since?: Place, room = 'lobby', by: Encoder = wire): FakeSubscriber => {
    const subscriber = subscribe(undefined, by);
    hub.register(subscriber, room, since);
    return subscriber;
  };
  /** Sends a message with its text as id. */
  const post = (by: Subscriber, data: string, room = 'lobby') =>
    hub.broadcast({ room, from: by.user, sender: by.id, id: data, data, bytes: data.length, by });
  const history = (subscriber: Subscriber, request: Partial<HistoryRequest> = {}) =>
    hub.history({ subscriber, room: 'lobby', before: undefined, after: undefined, limit: 10, ...request });
  const signal = (by: Subscriber, data: string, room = 'lobby') =>
    hub.signal({ room, from: by.user, signal: { t: 'signal', room, from: by.user, data }, by });
  return { ...opened, engine, wire, settle, join, post, history, signal };
}

/** Returns the notices of one type that a subscriber was handed. */
export function noticesOf<T extends Notice['t']>(subscriber: FakeSubscriber, t: T) {
  return subscriber.notices.filter((notice): notice is Notice & { t: T } => notice.t === t);
}

/** Returns the texts of a subscriber's frames, and the types of its notices, in order. */
export function deliveriesTo({ deliveries }: FakeSubscriber): string[] {
  return deliveries.map((delivery) => (typeof delivery === 'string' ? delivery : `<${delivery.t}>`));
}
