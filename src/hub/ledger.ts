import type { Events } from './events.ts';
import type { Clock, Commit, Draft, Engine, LogRecord } from './ports.ts';
import type { Receipts } from './receipts.ts';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';

/** What an engine has told and a turn takes up. */
type Outcome = Commit | { readonly room: string; readonly failed: number };

/** How much a turn takes up. */
interface Budget {
  readonly commands: number;
  readonly bytes: number;
}

/** Takes what is said through the engine into the rooms' logs, a batch a room and turn. */
export class Ledger {
  readonly #engine: Engine;
  readonly #rooms: Rooms;
  readonly #receipts: Receipts;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #turn: Budget;
  /** What this turn may still take up: as much as a turn drafts, beside what it drafts itself. */
  #records = 0;
  #bytes = 0;
  /** Rooms with drafts for the engine, and what it told of those it had. */
  #drafted: Room[] = [];
  #outcomes: Outcome[] = [];
  #undecided = 0;
  #onOutcome: (() => void) | undefined;
  /** Rooms with records to flush. */
  dirty: Room[] = [];
  /** Is called when the engine has decided on so many drafts of a room, and the room has what is committed. */
  onDecided: (room: Room, drafts: number) => void = () => {};

  constructor(engine: Engine, rooms: Rooms, receipts: Receipts, events: Events, clock: Clock, turn: Budget) {
    this.#engine = engine;
    this.#rooms = rooms;
    this.#receipts = receipts;
    this.#events = events;
    this.#clock = clock;
    this.#turn = turn;
  }

  /** Opens the engine. @param wake is called whenever it has told something. */
  async open(wake: () => void): Promise<void> {
    const hear = (outcome: Outcome) => {
      this.#outcomes.push(outcome);
      this.#onOutcome?.();
      wake();
    };
    await this.#engine.open({ committed: hear, failed: (room, failed) => hear({ room, failed }) });
  }

  /** What the engine has told and no turn has taken up. */
  get size(): number {
    return this.#outcomes.length;
  }

  /** Waits for the engine's next word on what it was given. @returns false when it has nothing to decide. */
  async outcome(): Promise<boolean> {
    if (this.#undecided === 0) return false;
    if (this.#outcomes.length === 0) await new Promise<void>((resolve) => (this.#onOutcome = resolve));
    return true;
  }

  /** @returns how many bytes of a turn's budget it takes: none for what was said before. */
  draft(draft: Draft): number {
    const room = this.#rooms.get(draft.room);
    if (!this.#receipts.take(room, draft)) return 0;
    if (room.pending.length === 1) this.#drafted.push(room);
    // An engine that commits at once is taken up at once, whatever waits from a slow one.
    this.#records++;
    this.#bytes += draft.bytes;
    return draft.bytes;
  }

  /** The rooms with records to flush, which are no longer listed here. */
  takeDirty(): readonly Room[] {
    const { dirty } = this;
    if (dirty.length > 0) this.dirty = [];
    return dirty;
  }

  /** Gives the engine what is drafted, and the rooms what it has committed. */
  commit(): void {
    const drafted = this.#drafted;
    if (drafted.length > 0) this.#drafted = [];
    for (const room of drafted) {
      const drafts = room.pending;
      room.pending = [];
      if (room.appended.length === 0) room.appended = [...drafts];
      else for (const draft of drafts) room.appended.push(draft);
      this.#undecided += drafts.length;
      this.#engine.append(room.name, drafts);
    }
    while (this.#outcomes.length > 0 && this.#records > 0 && this.#bytes > 0) this.#takeUp();
  }

  /** A turn begins. An engine that was slow may tell of many turns' worth at once: taken up at once, it would leave every member far behind. */
  begin(): void {
    this.#records = this.#turn.commands;
    this.#bytes = this.#turn.bytes;
  }

  /** The oldest outcome, or as much of it as the turn may take up. */
  #takeUp(): void {
    const outcome = this.#outcomes[0] as Outcome;
    const room = this.#rooms.get(outcome.room);
    const part = 'failed' in outcome ? outcome : this.#part(outcome);
    const drafts = 'failed' in part ? part.failed : part.records.length;
    if ('failed' in part || part === outcome) this.#outcomes.shift();
    else this.#outcomes[0] = { room: outcome.room, records: (outcome as Commit).records.slice(drafts) };
    this.#undecided -= drafts;
    if ('failed' in part) this.#receipts.failed(room, drafts);
    else this.#committed(room, part.records);
    if (room.departing.length > 0) this.onDecided(room, drafts);
  }

  #part(commit: Commit): Commit {
    let records = 0;
    for (; records < commit.records.length && this.#records > 0 && this.#bytes > 0; records++) {
      this.#records--;
      this.#bytes -= (commit.records[records] as LogRecord).bytes;
    }
    return records === commit.records.length
      ? commit
      : { room: commit.room, records: commit.records.slice(0, records) };
  }

  #committed(room: Room, records: readonly LogRecord[]): void {
    for (const record of records) room.log.append(record);
    this.#receipts.committed(room, records);
    room.usedAt = this.#clock.now();
    if (room.dirtySince === undefined) this.dirty.push(room);
    room.dirtySince ??= room.usedAt;
    const to = room.log.head;
    this.#events.emit('committed', { room: room.name, from: to - records.length + 1, to, members: room.members });
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }
}
