import { foldInto, foldIntoRun } from '../../src/hub/changes.ts';
import type { Draft, Engine, Outcome } from '../../src/hub/engine.ts';
import { Log, type LogRecord } from '../../src/hub/log.ts';
import type { ChangeOp } from '../../src/protocol/v1.ts';
import { Random } from './virtual.ts';

const ROOM = 'r';
const USERS = ['ada', 'bob', 'eve'];
const REACTIONS = ['👍', '👎', '🎉', '"', 'ok'];
const OPS: readonly ChangeOp[] = ['edit', 'edit', 'delete', 'react', 'react', 'react', 'unreact'];

/** A message as it should be. */
interface ModelMessage {
  readonly from: string;
  readonly sender: string;
  readonly reply: number | undefined;
  data: string;
  edited: number | undefined;
  changed: number | undefined;
  deleted: boolean;
  readonly reactions: Map<string, Set<string>>;
}

/** A change as it should be: only the last edit of a message has its text. */
interface ModelChange {
  readonly op: ChangeOp;
  readonly of: number;
  data: string;
}

/** The log as it should be: everything by `seq`, changed as it goes. */
class ChangesModel {
  readonly messages = new Map<number, ModelMessage>();
  readonly changes = new Map<number, ModelChange>();
  head = 0;

  /** @param first the oldest retained record. @returns the outcome of the draft. */
  add({ from, sender = '', data, extra }: Draft, first: number): Outcome {
    if (extra?.kind !== 'change') {
      const reply = extra?.reply;
      if (reply !== undefined && reply > this.head) return { kind: 'refused', code: 'not_found' };
      const message = { from, sender, reply, data, edited: undefined, changed: undefined, deleted: false };
      this.messages.set(++this.head, { ...message, reactions: new Map() });
      return { kind: 'stored', seq: this.head };
    }
    const { op, of, byUser } = extra;
    const message = of >= first ? this.messages.get(of) : undefined;
    if (!message || message.deleted) return { kind: 'refused', code: 'not_found' };
    const isOwn = message.sender === sender || (byUser && message.from === from);
    if ((op === 'edit' || op === 'delete') && !isOwn) return { kind: 'refused', code: 'forbidden' };
    const seq = ++this.head;
    this.changes.set(seq, { op, of, data });
    this.#apply(message, op, data, from, seq);
    message.changed = seq;
    return { kind: 'stored', seq };
  }

  #apply(message: ModelMessage, op: ChangeOp, data: string, from: string, seq: number): void {
    const { reactions, edited } = message;
    if (op === 'react') reactions.set(data, (reactions.get(data) ?? new Set()).add(from));
    else if (op === 'unreact') {
      reactions.get(data)?.delete(from);
      if (reactions.get(data)?.size === 0) reactions.delete(data);
    } else {
      const edit = this.changes.get(edited ?? 0);
      if (edit) edit.data = '';
      message.data = op === 'edit' ? data : '';
      message.edited = op === 'edit' ? seq : undefined;
      message.deleted = op === 'delete';
      if (message.deleted) reactions.clear();
    }
  }

  /** Forgets what is before a `seq`. */
  trim(first: number): void {
    for (const map of [this.messages, this.changes]) for (const seq of map.keys()) if (seq < first) map.delete(seq);
  }

  /** Returns a record as it should be, as a text to compare. */
  textOf(seq: number): string {
    const change = this.changes.get(seq);
    if (change) return JSON.stringify([seq, change.op, change.of, change.data]);
    const { data, reply, edited, changed, deleted, reactions } = this.messages.get(seq) as ModelMessage;
    const reacted = [...reactions].map(([reaction, users]) => [reaction, [...users]]);
    return JSON.stringify([seq, data, reply, edited, changed, deleted, reacted]);
  }
}

/** Returns a record as a text to compare. */
function textOf({ seq, data, extra }: LogRecord): string {
  if (extra?.kind === 'change') return JSON.stringify([seq, extra.op, extra.of, data]);
  const { reply, edited, changed, deleted = false, reactions = [] } = extra ?? {};
  return JSON.stringify([seq, data, reply, edited, changed, deleted, reactions]);
}

export interface ChangesOptions {
  readonly seed: number;
  readonly operations: number;
  /** Operations between two comparisons. @default 5,000 */
  readonly every?: number;
  /** Returns another engine on the same log, after a restart. @default no restarts */
  readonly restart?: (engine: Engine) => Promise<Engine>;
}

/**
 * Appends random messages and changes to a log, and compares it with the model: as the engine has
 * it, as the window of a Hub has it, and as a reader has it that came at some place.
 *
 * @returns what differs; undefined if nothing does.
 */
export async function simulateChanges(engine: Engine, options: ChangesOptions): Promise<string | undefined> {
  const run = new ChangesRun(engine, options);
  try {
    await run.run();
    return undefined;
  } catch (error) {
    if (error instanceof Difference) return error.message;
    throw error;
  } finally {
    await run.engine.close();
  }
}

class Difference extends Error {}

class ChangesRun {
  engine: Engine;
  readonly #random: Random;
  readonly #options: ChangesOptions;
  readonly #model = new ChangesModel();
  #window = new Log(0, { records: 64, bytes: 1e6 });
  #outcomes: Outcome[] = [];
  #expected: Outcome[] = [];
  #reader = new Reader();
  #texts = 0;
  #wake = () => {};

  constructor(engine: Engine, options: ChangesOptions) {
    this.engine = engine;
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  async run(): Promise<void> {
    const { operations, every = 5_000, restart } = this.#options;
    await this.#open();
    let next = every;
    for (let done = 0; done < operations; ) {
      done += await this.#append(Math.min(operations - done, this.#random.int(1, 40)));
      if (done < next && done < operations) continue;
      next += every;
      await this.#compare();
      if (!restart || this.#random.chance(0.5)) continue;
      await this.engine.close();
      this.engine = await restart(this.engine);
      this.#window = new Log(this.#model.head, { records: 64, bytes: 1e6 });
      await this.#open();
      await this.#compare();
    }
  }

  async #open(): Promise<void> {
    await this.engine.open({
      committed: ({ records, own }) => {
        for (const record of records) this.#commit(record);
        if (own) for (const { seq } of records) this.#outcomes.push({ kind: 'stored', seq });
        this.#wake();
      },
      decided: ({ outcomes }) => {
        this.#outcomes.push(...outcomes);
        this.#wake();
      },
      moved() {},
      skipped() {},
      changed() {},
    });
    await this.engine.attach(ROOM);
  }

  #commit(record: LogRecord): void {
    this.#window.append(record);
    foldIntoRun(this.#window, record);
    this.#window.trim();
    this.#reader.receive(record);
  }

  async #append(count: number): Promise<number> {
    const { first } = this.engine.position(ROOM);
    const drafts = Array.from({ length: count }, () => this.#draft());
    this.#expected = drafts.map((draft) => this.#model.add(draft, first));
    this.#outcomes = [];
    this.engine.append(ROOM, drafts);
    while (this.#outcomes.length < count) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (JSON.stringify(this.#outcomes) !== JSON.stringify(this.#expected)) {
      const index = drafts.findIndex((_, i) => JSON.stringify(this.#outcomes[i]) !== JSON.stringify(this.#expected[i]));
      const [is, should] = [this.#outcomes[index], this.#expected[index]].map((outcome) => JSON.stringify(outcome));
      throw new Difference(`${JSON.stringify(drafts[index])} is ${is} instead of ${should}`);
    }
    return count;
  }

  #draft(): Draft {
    const random = this.#random;
    const from = random.pick(USERS);
    const draft = { room: ROOM, from, sender: `${from}-${random.int(0, 1)}`, id: '', json: true };
    const of = Math.max(1, this.#model.head + 2 - random.int(0, random.chance(0.2) ? 3_000 : 40));
    const text = JSON.stringify(`text-${++this.#texts}-${'x'.repeat(random.int(0, 30))}`);
    if (random.chance(0.4)) {
      const extra = random.chance(0.2) ? ({ kind: 'message', reply: of } as const) : undefined;
      return { ...draft, data: text, bytes: text.length, ...(extra && { extra }) };
    }
    const op = random.pick(OPS);
    const extra = { kind: 'change', op, of, byUser: random.chance(0.5) } as const;
    if (op === 'edit') return { ...draft, data: text, bytes: 2 * text.length, extra };
    const reaction = op === 'delete' ? '' : random.pick(REACTIONS);
    return { ...draft, json: false, data: reaction, bytes: reaction.length, extra };
  }

  async #compare(): Promise<void> {
    const { first, seq } = this.engine.position(ROOM);
    if (seq !== this.#model.head) throw new Difference(`the head is ${seq} instead of ${this.#model.head}`);
    const records: LogRecord[] = [];
    for (let after = first - 1; after < seq; after = records.at(-1)?.seq ?? seq) {
      records.push(...(await this.engine.read(ROOM, after, 1000)));
    }
    if (records[0]?.seq !== first || records.length !== seq - first + 1) throw new Difference('the log has a hole');
    this.#model.trim(first);
    for (const record of records) this.#expect('the engine', record);
    for (let at = this.#window.first; at <= this.#window.head; at++) this.#expect('the window', this.#window.at(at));
    for (const record of this.#reader.records()) {
      // A reader without an edit's message does not know what has replaced the edit.
      if (record.seq >= first && record.extra?.kind !== 'change') this.#expect('a reader', record);
    }
    this.#reader = new Reader(records.slice(this.#random.int(0, records.length)));
  }

  #expect(where: string, record: LogRecord): void {
    const [is, should] = [textOf(record), this.#model.textOf(record.seq)];
    if (is !== should) throw new Difference(`${where} has ${is} instead of ${should}`);
  }
}

/** A client that has read the log from some place on: folded records, and then changes. */
class Reader {
  readonly #records = new Map<number, LogRecord>();
  readonly #folded = {
    find: (seq: number) => this.#records.get(seq),
    replace: (record: LogRecord) => void this.#records.set(record.seq, record),
  };

  /** @param records what it is sent at its join: messages as they are by now, and the changes. */
  constructor(records: readonly LogRecord[] = []) {
    for (const record of records) this.receive(record);
  }

  receive(record: LogRecord): void {
    this.#records.set(record.seq, record);
    foldInto(this.#folded, record);
  }

  records(): Iterable<LogRecord> {
    return this.#records.values();
  }
}
