import { Dedupe, type DedupeLimits, defaultDedupeLimits, IN_FLIGHT } from '../hub/dedupe.ts';
import type {
  Commit,
  Decision,
  Draft,
  EngineListener,
  EngineUsage,
  LocalEngine,
  Outcome,
  Position,
} from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import { recallIds } from '../hub/recall.ts';
import { type Clock, systemClock } from '../hub/time.ts';
import { andThen } from '../protocol/now-or-later.ts';

export interface DedupingOptions {
  /**
   * How long the ids of a room's messages are remembered.
   *
   * @default 300,000 ms or 65,536 messages
   */
  readonly limits?: DedupeLimits;
  /** @default the system's clock */
  readonly clock?: Clock;
}

/**
 * Returns an engine that recognizes retries, over one that does not, for several Hubs of one
 * process. Its commits are not `own`: `decided` has the outcome of every draft. A retry of a draft
 * in flight has that draft's outcome, and a retry of a failed one is new. The ids of a room are
 * forgotten when it is released, and recalled from its records when it is attached.
 */
export function deduping(
  engine: LocalEngine,
  { limits = defaultDedupeLimits, clock = systemClock }: DedupingOptions = {},
): LocalEngine {
  return new DedupingEngine(engine, limits, clock);
}

class DedupingEngine implements LocalEngine {
  readonly dedupes = true;
  readonly #engine: LocalEngine;
  readonly #limits: DedupeLimits;
  readonly #clock: Clock;
  readonly usage?: () => EngineUsage;
  /** The attached rooms. */
  readonly #rooms = new Map<string, DedupingRoom>();
  #listener!: EngineListener;

  constructor(engine: LocalEngine, limits: DedupeLimits, clock: Clock) {
    this.#engine = engine;
    this.#limits = limits;
    this.#clock = clock;
    if (engine.usage) this.usage = engine.usage.bind(engine);
  }

  open(listener: EngineListener): void | Promise<void> {
    this.#listener = listener;
    return this.#engine.open({
      committed: (commit) => this.#committed(commit),
      decided: (decision) => this.#decided(decision),
      moved: (move) => listener.moved(move),
      skipped: (move) => listener.skipped(move),
      changed: (state) => listener.changed(state),
    });
  }

  attach(name: string): Position {
    const position = this.#engine.attach(name);
    this.#room(name);
    return position;
  }

  position(name: string): Position {
    return this.#engine.position(name);
  }

  divergedEnd(name: string, epoch: string): number | undefined {
    return this.#engine.divergedEnd?.(name, epoch);
  }

  append(name: string, drafts: readonly Draft[]): void {
    const room = this.#room(name);
    const fresh = room.add(drafts, this.#clock.now());
    if (fresh.length > 0) this.#engine.append(name, fresh);
    this.#report(room);
  }

  read(name: string, after: number, limit: number): readonly LogRecord[] {
    return this.#engine.read(name, after, limit);
  }

  release(name: string): void {
    this.#rooms.delete(name);
    this.#engine.release(name);
  }

  close(): void | Promise<void> {
    return andThen(this.#engine.close(), () => this.#rooms.clear());
  }

  #room(name: string): DedupingRoom {
    const existing = this.#rooms.get(name);
    if (existing) return existing;
    const room = new DedupingRoom(name, new Dedupe(this.#limits, this.#clock.now()));
    // At once, since the engine's reads are.
    void recallIds(room, this.#engine.position(name).seq, this.#engine, this.#limits, this.#clock);
    this.#rooms.set(name, room);
    return room;
  }

  #committed({ room: name, records, own }: Commit): void {
    const room = this.#rooms.get(name);
    // Before the listener is called, which may append: the engine may commit that at once.
    if (own) for (const { seq } of records) room?.decide({ kind: 'stored', seq });
    this.#listener.committed({ room: name, records, own: false });
    if (room) this.#report(room);
  }

  #decided({ room: name, outcomes }: Decision): void {
    const room = this.#rooms.get(name);
    if (!room) return;
    for (const outcome of outcomes) room.decide(outcome);
    this.#report(room);
  }

  /** Passes on the outcomes of the room's oldest drafts, as far as they are decided. */
  #report(room: DedupingRoom): void {
    const outcomes = room.takeOutcomes();
    if (outcomes.length > 0) this.#listener.decided({ room: room.name, outcomes });
  }
}

const UNDECIDED = 'undecided';
const RETRY = 'retry';
/**
 * The outcome of a draft, `UNDECIDED` while the engine has the draft, or `RETRY` for a retry of an
 * undecided draft, which is decided with it.
 */
type Status = Outcome | typeof UNDECIDED | typeof RETRY;

const NO_OUTCOMES: readonly Outcome[] = [];

/** The ids of a room's messages, and the drafts whose outcomes have not been reported. */
class DedupingRoom {
  readonly name: string;
  readonly dedupe: Dedupe;
  /** The drafts whose outcomes have not been reported, oldest first. */
  #drafts: Draft[] = [];
  /** The drafts' statuses, at the same indexes. */
  #statuses: Status[] = [];
  /** No draft before this index is undecided. */
  #oldest = 0;
  /** How many outcomes have been reported: the number of the first draft. */
  #reported = 0;
  /** Numbers of the retries of each undecided draft, by key. */
  readonly #retries = new Map<string, number[]>();

  constructor(name: string, dedupe: Dedupe) {
    this.name = name;
    this.dedupe = dedupe;
  }

  /** Adds drafts. @returns those that are no retries, for the engine. */
  add(drafts: readonly Draft[], now: number): readonly Draft[] {
    let fresh: Draft[] | undefined;
    for (let i = 0; i < drafts.length; i++) {
      const draft = drafts[i] as Draft;
      const status = this.#statusOf(draft, now);
      this.#drafts.push(draft);
      this.#statuses.push(status);
      if (status !== UNDECIDED) fresh ??= drafts.slice(0, i);
      else fresh?.push(draft);
    }
    return fresh ?? drafts;
  }

  /** The engine has decided the oldest undecided draft, which decides its retries. */
  decide(outcome: Outcome): void {
    const index = this.#statuses.indexOf(UNDECIDED, this.#oldest);
    if (index < 0) return; // a draft from before the room's release
    const { sender, id } = this.#drafts[index] as Draft;
    this.#statuses[index] = outcome;
    this.#oldest = index + 1;
    if (!sender || id === '') return;
    if ('seq' in outcome) this.dedupe.stored(sender, id, outcome.seq);
    else this.dedupe.failed(sender, id);
    if (this.#retries.size > 0) this.#decideRetries(keyOf(sender, id), outcome);
  }

  /** Returns the outcomes of the oldest drafts, up to the first undecided one. */
  takeOutcomes(): readonly Outcome[] {
    const statuses = this.#statuses;
    let count = 0;
    while (typeof statuses[count] === 'object') count++;
    if (count === 0) return NO_OUTCOMES;
    this.#statuses = statuses.splice(count);
    this.#drafts.splice(0, count);
    this.#oldest = Math.max(0, this.#oldest - count);
    this.#reported += count;
    return statuses as Outcome[];
  }

  #statusOf({ sender, id }: Draft, now: number): Status {
    if (!sender || id === '') return UNDECIDED;
    const seq = this.dedupe.admit(sender, id, now);
    if (seq === undefined) return UNDECIDED;
    if (seq !== IN_FLIGHT) return { kind: 'duplicate', seq };
    const key = keyOf(sender, id);
    const number = this.#reported + this.#drafts.length;
    const retries = this.#retries.get(key);
    if (retries) retries.push(number);
    else this.#retries.set(key, [number]);
    return RETRY;
  }

  #decideRetries(key: string, outcome: Outcome): void {
    const status: Outcome = 'seq' in outcome ? { kind: 'duplicate', seq: outcome.seq } : outcome;
    for (const number of this.#retries.get(key) ?? []) this.#statuses[number - this.#reported] = status;
    this.#retries.delete(key);
  }
}

/** Returns a text that no other sender and id have. */
function keyOf(sender: string, id: string): string {
  return `${sender.length} ${sender}${id}`;
}
