import { errors, type Place } from '../protocol/v1.ts';
import type { RefusalCode } from './changes.ts';
import { IN_FLIGHT } from './dedupe.ts';
import type { Commit, Decision, Draft, Engine, EngineListener, Move, Outcome } from './engine.ts';
import type { Events } from './events.ts';
import type { LogRecord } from './log.ts';
import type { Meter } from './meter.ts';
import type { Notices } from './notices.ts';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import type { HubSettings } from './settings.ts';
import type { Clock } from './time.ts';

/** A report of the engine on one room. */
type Report =
  | ({ readonly kind: 'committed' } & Commit)
  | ({ readonly kind: 'decided' } & Decision)
  | ({ readonly kind: 'moved' | 'skipped' } & Move);

/** Receives the rooms that changed. */
export interface CommitListener {
  /** A clean room has records to flush. */
  dirtied(room: Room): void;
  /**
   * The oldest `drafts` undecided drafts of the room are decided, and their records are in its log.
   */
  decided(room: Room, drafts: number): void;
  /** Records from `seq` on have changed: what was read or encoded of them is void. */
  changed(room: Room, seq: number): void;
  /** The room's log goes on after the place, in another life. */
  moved(room: Room, place: Place): void;
  /** The room's log goes on after the place: the records before it are not in memory. */
  skipped(room: Room, place: Place): void;
}

/**
 * Commits drafts: through the engine into the rooms' logs, one batch a room and turn. Acknowledges
 * each draft with one `sent` or one error. A retry gets the first message's `seq`, and is not
 * stored again.
 */
export class Commits {
  readonly #engine: Engine;
  readonly #rooms: Rooms;
  readonly #notices: Notices;
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #turn: HubSettings['turn'];
  readonly #meter: Meter;
  readonly #listener: CommitListener;
  /** Rooms with waiting drafts. */
  #waiting: Room[] = [];
  /** Retries waiting on an in-flight send, by key. */
  readonly #retries = new Map<string, Draft[]>();
  #reports: Report[] = [];
  /** Drafts that the engine has and has not decided, over all rooms. */
  #inFlight = 0;
  #onReport: (() => void) | undefined;
  #messages = 0;
  #batches = 0;
  /** Budget of this turn for appending records: that of a turn, plus its own drafts. */
  #recordsLeft = 0;
  #bytesLeft = 0;

  constructor(
    engine: Engine,
    rooms: Rooms,
    notices: Notices,
    events: Events,
    clock: Clock,
    turn: HubSettings['turn'],
    meter: Meter,
    listener: CommitListener,
  ) {
    this.#engine = engine;
    this.#rooms = rooms;
    this.#notices = notices;
    this.#events = events;
    this.#clock = clock;
    this.#turn = turn;
    this.#meter = meter;
    this.#listener = listener;
  }

  /** Opens the engine. @param wake is called whenever it has a report. */
  async open(wake: () => void, changed: EngineListener['changed']): Promise<void> {
    const receive = (report: Report) => {
      this.#reports.push(report);
      this.#onReport?.();
      wake();
    };
    await this.#engine.open({
      committed: ({ room, records, own }) => receive({ kind: 'committed', room, records, own }),
      decided: ({ room, outcomes }) => receive({ kind: 'decided', room, outcomes }),
      moved: (move) => receive({ kind: 'moved', ...move }),
      skipped: (move) => receive({ kind: 'skipped', ...move }),
      changed,
    });
  }

  /** How many reports no turn has processed. */
  get size(): number {
    return this.#reports.length;
  }

  /** Waits for the engine's next report. @returns false when it has nothing to decide. */
  async nextReport(): Promise<boolean> {
    if (this.#inFlight === 0) return false;
    if (this.#reports.length === 0) await new Promise<void>((resolve) => (this.#onReport = resolve));
    return true;
  }

  /** The room is released: an attachment of it that follows has what the engine reported. */
  forget({ name }: Room): void {
    this.#reports = this.#reports.filter(({ room }) => room !== name);
  }

  /** How many messages have been committed. */
  get messages(): number {
    return this.#messages;
  }

  /** How many batches of messages have been committed. */
  get batches(): number {
    return this.#batches;
  }

  /**
   * Starts a turn. A slow engine may decide many turns' drafts at once: appended in one turn, they
   * would leave every member far behind.
   */
  beginTurn(): void {
    this.#recordsLeft = this.#turn.commands;
    this.#bytesLeft = this.#turn.bytes;
  }

  /** Takes a draft, unless it is a retry. @returns how many bytes of the turn's budget it uses. */
  add(room: Room, draft: Draft): number {
    if (!this.#engine.dedupes && this.#isRetry(room, draft)) return 0;
    if (room.undecided.add(draft)) this.#waiting.push(room);
    // An engine that commits at once is not held up by the outcomes of a slow one.
    this.#recordsLeft++;
    this.#bytesLeft += draft.bytes;
    return draft.bytes;
  }

  /** Gives the engine the waiting drafts, and appends what it has committed to the rooms' logs. */
  commit(): void {
    const rooms = this.#waiting;
    if (rooms.length > 0) this.#waiting = [];
    for (const room of rooms) this.#append(room);
    while (this.#reports.length > 0 && this.#recordsLeft > 0 && this.#bytesLeft > 0) this.#processReport();
  }

  /** Tells the sender of a draft that it could not be stored. */
  reject(draft: Draft): void {
    const { by, room, id } = draft;
    this.#meter.dropped(draft);
    if (!by || by.closed) return;
    this.#notices.notify(by, { t: 'error', code: 'unavailable', ...errors.unavailable, id, room });
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** Acknowledges a retry, now or together with the first send. A new id is remembered. */
  #isRetry(room: Room, draft: Draft): boolean {
    const { sender, id } = draft;
    if (sender === undefined || id === '') return false;
    const seq = room.dedupe.admit(sender, id, this.#clock.now());
    if (seq === undefined) return false;
    if (seq === IN_FLIGHT) this.#addRetry(draft);
    else this.#acknowledge(draft, seq, true);
    this.#meter.dropped(draft);
    return true;
  }

  #append(room: Room): void {
    const drafts = room.undecided.takeWaiting();
    this.#inFlight += drafts.length;
    this.#engine.append(room.name, drafts);
  }

  /** Processes the oldest report, or as much of it as the turn may append. */
  #processReport(): void {
    const report = this.#reports[0] as Report;
    const room = this.#rooms.find(report.room);
    if (room !== undefined && report.kind === 'committed') {
      const records = this.#withinBudget(report.records);
      if (records === report.records) this.#reports.shift();
      else this.#reports[0] = { ...report, records: report.records.slice(records.length) };
      this.#commit(room, records);
      if (report.own) this.#decideOwn(room, records);
      return;
    }
    this.#reports.shift();
    if (room === undefined) return; // released: nothing of it is undecided
    if (report.kind === 'decided') this.#decideAll(room, report.outcomes);
    else if (report.kind === 'moved') this.#listener.moved(room, report);
    else if (report.kind === 'skipped') this.#listener.skipped(room, report);
  }

  #withinBudget(records: readonly LogRecord[]): readonly LogRecord[] {
    let count = 0;
    for (; count < records.length && this.#recordsLeft > 0 && this.#bytesLeft > 0; count++) {
      this.#recordsLeft--;
      this.#bytesLeft -= (records[count] as LogRecord).bytes;
    }
    return count === records.length ? records : records.slice(0, count);
  }

  #commit(room: Room, records: readonly LogRecord[]): void {
    if (room.append(records, this.#clock.now())) this.#listener.dirtied(room);
    const changed = room.takeChanged();
    if (changed !== undefined) this.#listener.changed(room, changed);
    this.#messages += records.length;
    this.#batches++;
    if (!this.#events.has('committed')) return;
    const to = room.log.head;
    this.#events.emit('committed', { room: room.name, from: to - records.length + 1, to, members: room.members });
  }

  /** The records are the room's oldest undecided drafts. */
  #decideOwn(room: Room, records: readonly LogRecord[]): void {
    const drafts = this.#decide(room, records.length);
    for (let i = 0; i < drafts.length; i++) this.#stored(room, drafts[i] as Draft, (records[i] as LogRecord).seq);
    this.#listener.decided(room, drafts.length);
  }

  #decideAll(room: Room, outcomes: readonly Outcome[]): void {
    for (const [i, draft] of this.#decide(room, outcomes.length).entries()) {
      const outcome = outcomes[i] as Outcome;
      if (outcome.kind === 'stored') this.#stored(room, draft, outcome.seq);
      else if (outcome.kind === 'duplicate') this.#duplicate(draft, outcome.seq);
      else if (outcome.kind === 'refused') this.#refuse(room, draft, outcome.code);
      else this.#fail(room, draft, outcome.kind === 'unknown');
      // A log that others write to may lose the record. Then the sender is to know.
      if (draft.by && 'seq' in outcome) this.#rooms.membership(draft.by, room)?.acknowledgeSend(outcome.seq);
    }
    this.#listener.decided(room, outcomes.length);
  }

  #decide(room: Room, count: number): readonly Draft[] {
    this.#inFlight -= count;
    return room.undecided.decide(count);
  }

  #duplicate(draft: Draft, seq: number): void {
    this.#meter.dropped(draft);
    this.#acknowledge(draft, seq, true);
  }

  #stored(room: Room, draft: Draft, seq: number): void {
    this.#meter.committed(draft);
    if (draft.id === '') return;
    this.#acknowledge(draft, seq, false);
    if (draft.sender === undefined || this.#engine.dedupes) return;
    room.dedupe.stored(draft.sender, draft.id, seq);
    for (const retry of this.#takeRetries(draft)) this.#acknowledge(retry, seq, true);
  }

  #fail(room: Room, draft: Draft, uncertain: boolean): void {
    if (draft.sender !== undefined) room.dedupe.failed(draft.sender, draft.id);
    for (const each of [draft, ...this.#takeRetries(draft)]) {
      if (uncertain) each.by?.uncertain?.();
      this.reject(each);
    }
  }

  /** A refusal is final: a retry that waits for the draft is refused with it. */
  #refuse(room: Room, draft: Draft, code: RefusalCode): void {
    if (draft.sender !== undefined) room.dedupe.failed(draft.sender, draft.id);
    for (const each of [draft, ...this.#takeRetries(draft)]) {
      const { by, id } = each;
      this.#meter.dropped(each);
      if (!by || by.closed) continue;
      const message = code === 'forbidden' ? OTHERS_MESSAGE : errors[code].message;
      this.#notices.notify(by, { t: 'error', code, ...errors[code], message, id, room: room.name });
    }
  }

  #acknowledge({ by, room, id }: Draft, seq: number, duplicate: boolean): void {
    if (!by || by.closed) return;
    this.#notices.notify(by, duplicate ? { t: 'sent', room, id, seq, duplicate } : { t: 'sent', room, id, seq });
  }

  #addRetry(draft: Draft): void {
    const retries = this.#retries.get(keyOf(draft));
    if (retries) retries.push(draft);
    else this.#retries.set(keyOf(draft), [draft]);
  }

  #takeRetries(draft: Draft): readonly Draft[] {
    if (this.#retries.size === 0) return [];
    const retries = this.#retries.get(keyOf(draft)) ?? [];
    this.#retries.delete(keyOf(draft));
    return retries;
  }
}

const OTHERS_MESSAGE = 'only its sender may edit or delete a message';

function keyOf({ room, sender, id }: Draft): string {
  return `${room}\n${sender}\n${id}`;
}
