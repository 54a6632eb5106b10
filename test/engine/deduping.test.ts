import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { deduping } from '../../src/engine/deduping.ts';
import { lmdb } from '../../src/engine/lmdb.ts';
import { memory } from '../../src/engine/memory.ts';
import type { DedupeLimits } from '../../src/hub/dedupe.ts';
import type { Draft, LocalEngine, Outcome } from '../../src/hub/engine.ts';
import { DecidingEngine } from '../hub/deciding-engine.ts';
import { VirtualTime } from '../simulation/virtual.ts';

const ROOMS = ['x', 'y'];

const draft = (id: string, room = 'x', sender: string | undefined = 's'): Draft => {
  const named = sender === undefined ? {} : { sender };
  return { room, from: 'a', ...named, id, data: `${sender} ${id}`, bytes: 1 };
};
const stored = (seq: number): Outcome => ({ kind: 'stored', seq });
const duplicate = (seq: number): Outcome => ({ kind: 'duplicate', seq });
const failed: Outcome = { kind: 'failed' };

/** Opens a deduping engine over `inner`. Its listener checks the order of reports. */
function open(inner: LocalEngine, limits: DedupeLimits = { ms: 1000, messages: 1000 }) {
  const time = new VirtualTime();
  const engine = deduping(inner, { limits, clock: time });
  const heads = new Map<string, number>();
  const outcomes = new Map<string, Outcome[]>();
  const hooks = { committed: () => {} };
  const outcomesOf = (room = 'x') => outcomes.get(room) ?? [];
  void engine.open({
    committed({ room, records, own }) {
      expect(own).toBe(false);
      for (const { seq } of records) {
        expect(seq).toBe((heads.get(room) ?? 0) + 1);
        heads.set(room, seq);
      }
      hooks.committed();
    },
    decided({ room, outcomes: decided }) {
      expect(decided.length).toBeGreaterThan(0);
      for (const outcome of decided)
        if ('seq' in outcome) expect(outcome.seq).toBeLessThanOrEqual(heads.get(room) ?? 0);
      outcomes.set(room, [...outcomesOf(room), ...decided]);
    },
    moved() {},
    skipped() {},
    changed() {},
  });
  const attach = (room = 'x') => heads.set(room, engine.attach(room).seq);
  for (const room of ROOMS) attach(room);
  const send = (...ids: string[]) =>
    engine.append(
      'x',
      ids.map((id) => draft(id)),
    );
  return { engine, time, attach, send, outcomesOf, hooks };
}

describe('an engine that decides drafts later', () => {
  test('decides a retry with its message, and a retry of a failed message is new', () => {
    const inner = new DecidingEngine(false);
    const { send, outcomesOf } = open(inner);
    send('1', '1');
    send('2', '1');
    expect(inner.pending('x').map(({ id }) => id)).toEqual(['1', '2']);
    inner.decide('x', 1, false);
    expect(outcomesOf()).toEqual([failed, failed]);
    send('1', '2');
    inner.decide('x', 1, true);
    expect(outcomesOf()).toEqual([failed, failed, stored(1), failed]);
    inner.decide('x', 1, true);
    expect(outcomesOf()).toEqual([failed, failed, stored(1), failed, stored(2), duplicate(1)]);
  });

  test('holds back the outcome of a retry until those of the drafts before it', () => {
    const inner = new DecidingEngine(false);
    const { send, outcomesOf } = open(inner);
    send('1');
    inner.decide('x', 1, true);
    send('2');
    send('1');
    expect(outcomesOf()).toEqual([stored(1)]);
    inner.decide('x', 1, true);
    expect(outcomesOf()).toEqual([stored(1), stored(2), duplicate(1)]);
  });

  test('separates senders and ids that join to the same text', () => {
    const inner = new DecidingEngine(false);
    const { engine, outcomesOf } = open(inner);
    const [left, right] = [draft('bc', 'x', 'a'), draft('c', 'x', 'ab')];
    engine.append('x', [left, right, right, left]);
    inner.decide('x', 1, false);
    inner.decide('x', 1, true);
    expect(outcomesOf()).toEqual([failed, stored(1), duplicate(1), failed]);
  });
});

test('gives the engine no empty batch, and reports no outcomes of one', () => {
  const inner = new DecidingEngine(true);
  const { onAppend } = inner;
  const counts: number[] = [];
  inner.onAppend = (room, count) => {
    counts.push(count);
    onAppend(room, count);
  };
  const { engine, send, outcomesOf } = open(inner);
  engine.append('x', []);
  send('1');
  send('1', '1');
  expect(counts).toEqual([1]);
  expect(outcomesOf()).toEqual([stored(1), duplicate(1), duplicate(1)]);
});

test('decides drafts that the listener appends during a commit', () => {
  const { send, outcomesOf, hooks } = open(memory());
  hooks.committed = () => {
    hooks.committed = () => {};
    send('3', '1', '4');
  };
  send('1', '2');
  expect(outcomesOf()).toEqual([stored(1), stored(2), stored(3), duplicate(1), stored(4)]);
});

test('keeps the ids of a room that is attached again without a release', () => {
  const { attach, send, outcomesOf } = open(memory({ retention: { records: 1, bytes: 1 } }));
  send('1', '2', '3');
  attach();
  send('1');
  expect(outcomesOf().at(-1)).toEqual(duplicate(1));
});

test('remembers ids for 300,000 ms and 65,536 messages by default', () => {
  const outcomes: Outcome[] = [];
  const time = new VirtualTime();
  const engine = deduping(memory({ retention: { records: 1, bytes: 1 } }), { clock: time });
  const ignored = { committed() {}, moved() {}, skipped() {}, changed() {} };
  void engine.open({ ...ignored, decided: (decision) => outcomes.push(...decision.outcomes) });
  engine.attach('x');
  for (let i = 0; i < 65_536; i++) engine.append('x', [draft(`${i}`)]);
  engine.append('x', [draft('0')]);
  expect(outcomes.at(-1)).toEqual(duplicate(1));
  time.advance(299_999);
  engine.append('x', [draft('65535')]);
  expect(outcomes.at(-1)).toEqual(duplicate(65_536));
  time.advance(300_001);
  engine.append('x', [draft('new'), draft('65535')]);
  expect(outcomes.at(-1)).toEqual(stored(65_538));
});

describe('over lmdb', () => {
  let path: string;
  beforeEach(() => {
    path = mkdtempSync(join(tmpdir(), 'pumphouse-deduping-'));
  });
  afterEach(() => rmSync(path, { recursive: true, force: true }));

  test('recalls as many ids as the window has messages, and none older than the window', async () => {
    let now = 0;
    const inner = lmdb({ path, retention: { ms: 1e9, bytes: 1e9 }, date: () => now });
    const { engine, time, attach, send, outcomesOf } = open(inner, { ms: 1000, messages: 2000 });
    const ids = Array.from({ length: 3000 }, (_, i) => `${i + 1}`);
    send(...ids.slice(0, 500));
    now = 600;
    time.advance(600);
    send(...ids.slice(500));
    engine.release('x');
    attach();
    send('3000', '1500', '1001');
    expect(outcomesOf().slice(-3)).toEqual([duplicate(3000), duplicate(1500), duplicate(1001)]);
    now = 1500;
    time.advance(900);
    engine.release('x');
    attach();
    send('3000', '501', '500');
    expect(outcomesOf().slice(-3)).toEqual([duplicate(3000), stored(3001), stored(3002)]);
    await engine.close();
  });
});

/** A draft as the model has it: an outcome once it is decided, or the draft that decides it. */
interface Sent {
  outcome: Outcome | undefined;
  readonly first: Sent | undefined;
}

/** The outcomes and the log of one room, computed in the simplest way. */
class Model {
  readonly log: string[] = [];
  readonly #sent: Sent[] = [];
  readonly #pending: { readonly sent: Sent; readonly data: string }[] = [];
  readonly #byKey = new Map<string, Sent>();

  append({ sender, id, data }: Draft): void {
    const key = sender && id ? JSON.stringify([sender, id]) : undefined;
    const prior = key === undefined ? undefined : this.#byKey.get(key);
    const first = prior?.outcome?.kind === 'failed' ? undefined : prior;
    const sent: Sent = { outcome: undefined, first };
    this.#sent.push(sent);
    if (first) return;
    this.#pending.push({ sent, data });
    if (key !== undefined) this.#byKey.set(key, sent);
  }

  decide(count: number, isStored: boolean): void {
    for (const { sent, data } of this.#pending.splice(0, count)) {
      sent.outcome = isStored ? { kind: 'stored', seq: this.log.push(data) } : failed;
    }
  }

  get isIdle(): boolean {
    return this.#pending.length === 0;
  }

  /** Outcomes up to the first draft that has none. */
  get outcomes(): Outcome[] {
    const all = this.#sent.map(({ outcome, first }) => {
      if (!first?.outcome) return outcome;
      return 'seq' in first.outcome ? duplicate(first.outcome.seq) : first.outcome;
    });
    const end = all.indexOf(undefined);
    return (end < 0 ? all : all.slice(0, end)) as Outcome[];
  }
}

/** Decisions of a room's oldest pending drafts, all the same. */
interface Decisions {
  readonly count: number;
  readonly isStored: boolean;
}

const roomNames = fc.constantFrom(...ROOMS);
const decisions: fc.Arbitrary<Decisions[]> = fc.array(
  fc.record({ count: fc.integer({ min: 1, max: 4 }), isStored: fc.boolean() }),
  {
    maxLength: 3,
  },
);
const drafts = fc.array(
  fc.record({ sender: fc.constantFrom('s', 't', '', undefined), id: fc.constantFrom('1', '2', '3', '') }),
  { maxLength: 6 },
);
const steps = fc.array(
  fc.oneof(
    // The engine decides `during` the append, and what is left later.
    {
      arbitrary: fc.record({ kind: fc.constant('append' as const), room: roomNames, drafts, during: decisions }),
      weight: 4,
    },
    { arbitrary: fc.record({ kind: fc.constant('decide' as const), room: roomNames, decisions }), weight: 3 },
    { arbitrary: fc.record({ kind: fc.constant('reattach' as const), room: roomNames }), weight: 1 },
  ),
  { maxLength: 60, size: 'max' },
);

test('has the outcome of each draft in order, whatever the batches, failures and late commits', () => {
  fc.assert(
    fc.property(steps, (script) => {
      const inner = new DecidingEngine(false);
      const { engine, attach, outcomesOf } = open(inner);
      const models = new Map(ROOMS.map((room) => [room, new Model()]));
      for (const step of script) {
        const { room } = step;
        const model = models.get(room) as Model;
        const decide = (all: readonly Decisions[]) => {
          for (const { count, isStored } of all) model.decide(inner.decide(room, count, isStored), isStored);
        };
        if (step.kind === 'append') {
          const batch = step.drafts.map(({ sender, id }) => draft(id, room, sender));
          for (const each of batch) model.append(each);
          inner.onAppend = (_, count) => {
            expect(count).toBeGreaterThan(0);
            decide(step.during);
          };
          engine.append(room, batch);
        } else if (step.kind === 'decide') decide(step.decisions);
        else if (model.isIdle) {
          engine.release(room);
          attach(room);
        }
        for (const [name, { outcomes, log }] of models) {
          expect(outcomesOf(name)).toEqual(outcomes);
          expect(inner.records(name).map(({ data }) => data)).toEqual(log);
        }
      }
    }),
  );
});
