import { setImmediate as nextTurn } from 'node:timers/promises';
import { memory } from '../../src/engine/memory.ts';
import type { Draft, Engine, EngineListener, Move, Position } from '../../src/hub/engine.ts';
import type { LogRecord } from '../../src/hub/log.ts';
import type { CursorStore } from '../../src/webhooks/cursor.ts';
import { LocalCursors } from '../../src/webhooks/local-cursors.ts';
import type { PostResult } from '../../src/webhooks/post.ts';
import { keyOf } from '../../src/webhooks/signature.ts';
import { type WebhookDefinition, Webhooks } from '../../src/webhooks/webhooks.ts';
import { VirtualTime } from '../simulation/virtual.ts';

export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

/** A message of a body. */
interface ReceivedMessage {
  readonly seq: number;
  readonly id: string;
  readonly from: string;
  readonly at: number;
  readonly data: unknown;
}

/** The body of a request. */
export type Body =
  | {
      readonly type: 'messages';
      readonly webhook: string;
      readonly room: string;
      readonly epoch: string;
      readonly messages: readonly ReceivedMessage[];
    }
  | {
      readonly type: 'gap';
      readonly webhook: string;
      readonly room: string;
      readonly epoch: string;
      readonly from: number;
      readonly to: number;
      readonly why: 'trimmed' | 'epoch';
      readonly next: { readonly epoch: string; readonly seq: number };
    };

export const OK: PostResult = { kind: 'answered', status: 200, retryAfter: undefined };

export function answer(status: number, retryAfter?: string): PostResult {
  return { kind: 'answered', status, retryAfter };
}

/** A request that a receiver has got. */
export interface Attempt {
  readonly id: string;
  readonly text: string;
  readonly body: Body;
  /** When it came, by the virtual clock. */
  readonly at: number;
}

/** A receiver in memory, which answers as the test says. */
export class TestReceiver {
  readonly attempts: Attempt[] = [];
  /** Answers an attempt. */
  answer: (attempt: Attempt) => PostResult | Promise<PostResult> = () => OK;
  aborts = 0;
  readonly #now: () => number;
  readonly #waiting = new Set<(result: PostResult) => void>();

  constructor(now: () => number) {
    this.#now = now;
  }

  async post(text: string, headers: Readonly<Record<string, string>>): Promise<PostResult> {
    const attempt = { id: headers['webhook-id'] as string, text, body: JSON.parse(text) as Body, at: this.#now() };
    this.attempts.push(attempt);
    return this.answer(attempt);
  }

  /** An answer that does not come before `abort`. */
  hang(): Promise<PostResult> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  abort(): void {
    this.aborts++;
    for (const resolve of this.#waiting) resolve({ kind: 'aborted' });
    this.#waiting.clear();
  }

  close(): void {}

  /** The `seq` of each message, and each gap, in order. */
  get received(): string[] {
    return this.attempts.flatMap(({ body }) =>
      body.type === 'gap' ? [`gap ${body.from}-${body.to} ${body.why}`] : body.messages.map(({ seq }) => `${seq}`),
    );
  }
}

/** An engine in memory whose log a test may move and trim. */
export class TestEngine implements Engine {
  readonly #inner: Engine = memory({ retention: { records: 1_000_000, bytes: 1e9 }, date: () => this.now });
  readonly #first = new Map<string, number>();
  readonly #moved = new Map<string, { position: Position; records: readonly LogRecord[] }>();
  now = 0;
  #listener!: EngineListener;
  failsToRead = false;

  open(listener: EngineListener): void {
    this.#listener = listener;
    void this.#inner.open(listener);
  }

  attach(room: string): Position {
    void this.#inner.attach(room);
    return this.position(room);
  }

  position(room: string): Position {
    const moved = this.#moved.get(room);
    if (moved) return moved.position;
    const position = this.#inner.position(room);
    return { ...position, first: Math.max(position.first, this.#first.get(room) ?? 1) };
  }

  append(room: string, drafts: readonly Draft[]): void {
    const moved = this.#moved.get(room);
    if (!moved) {
      this.#inner.append(room, drafts);
      return;
    }
    const { seq } = moved.position;
    const records = drafts.map(({ from, id, data, bytes }, i) => {
      return { seq: seq + 1 + i, at: this.now, from, sender: '', id, data, json: true, bytes };
    });
    const position = { ...moved.position, seq: seq + records.length };
    this.#moved.set(room, { position, records: [...moved.records, ...records] });
    this.#listener.committed({ room, records, own: true });
  }

  async read(room: string, after: number, limit: number): Promise<readonly LogRecord[]> {
    if (this.failsToRead) throw new Error('the store is away');
    const { first, seq } = this.position(room);
    const start = Math.max(after, first - 1);
    const moved = this.#moved.get(room);
    if (moved) return moved.records.filter((record) => record.seq > start).slice(0, limit);
    return this.#inner.read(room, start, Math.min(limit, seq - start));
  }

  release(): void {}

  close(): void {}

  /** Drops the records before `first`. */
  trim(room: string, first: number): void {
    this.#first.set(room, first);
  }

  /** The log goes on after `seq` in another epoch. */
  async move(room: string, epoch: string, seq: number): Promise<void> {
    const before = this.position(room);
    const records = (await this.read(room, 0, 1e6)).filter((record) => record.seq <= seq);
    const earlier = [...(before.earlier ?? []), { epoch: before.epoch, seq }].map((place) => ({
      ...place,
      seq: Math.min(place.seq, seq),
    }));
    this.#moved.set(room, { position: { epoch, seq, first: before.first, earlier }, records });
    const move: Move = { room, epoch, seq };
    this.#listener.moved(move);
  }

  /** Appends as a Hub does: it attaches the room first. */
  send(engine: Engine, room: string, ...texts: readonly string[]): void {
    void engine.attach(room);
    engine.append(
      room,
      texts.map((text) => draft(room, text)),
    );
  }
}

function draft(room: string, text: string): Draft {
  const data = JSON.stringify(text);
  return { room, from: 'ada', sender: 's', id: text, data, json: true, bytes: Buffer.byteLength(data) };
}

export interface TestWebhooksOptions {
  readonly store?: CursorStore;
  readonly engine?: TestEngine;
  readonly from?: 'now' | 'start';
  readonly matches?: (room: string) => boolean;
  readonly time?: VirtualTime;
  readonly receiver?: TestReceiver;
  readonly concurrency?: number;
}

/** One webhook, `hook`, on virtual time. */
export async function startWebhooks(options: TestWebhooksOptions = {}) {
  const time = options.time ?? new VirtualTime();
  const engine = options.engine ?? new TestEngine();
  const receiver = options.receiver ?? new TestReceiver(() => time.now());
  const lines: string[] = [];
  let ids = 0;
  const write = (fields: object, message: string) => {
    const { status, err } = fields as { status?: string; err?: Error };
    lines.push([message, status, err?.message].filter((part) => part !== undefined).join(': '));
  };
  const definition: WebhookDefinition = {
    name: 'hook',
    url: 'https://example.com',
    rooms: ['*'],
    matches: options.matches ?? (() => true),
    from: options.from ?? 'now',
    key: keyOf(SECRET) as Buffer,
    receiver,
  };
  const webhooks = new Webhooks({
    webhooks: [definition],
    engine,
    store: options.store ?? new LocalCursors({ webhooks: ['hook'] }),
    clock: time,
    scheduler: time,
    log: { info: write, warn: write, error: write },
    random: () => 0,
    newId: () => `msg_${++ids}`,
    ...(options.concurrency !== undefined && { concurrency: options.concurrency }),
  });
  await webhooks.engine.open({ committed() {}, decided() {}, moved() {}, skipped() {}, changed() {} });
  await webhooks.start();
  const hooks = {
    webhooks,
    engine,
    receiver,
    time,
    lines,
    send: (room: string, ...texts: readonly string[]) => engine.send(webhooks.engine, room, ...texts),
    settle: () => settle(time),
    /** Advances the clock in steps, with the turns that follow. */
    async advance(ms: number, step = 1_000) {
      for (let passed = 0; passed < ms; passed += step) {
        time.advance(Math.min(step, ms - passed));
        await settle(time);
      }
    },
  };
  await hooks.settle();
  return hooks;
}

/** Runs turns, virtual ones and those of promises, until nothing is left to do. */
async function settle(time: VirtualTime): Promise<void> {
  for (let idle = 0; idle < 5; ) {
    await nextTurn();
    idle = time.turn() ? 0 : idle + 1;
  }
}
