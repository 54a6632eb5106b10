import { errors } from '../protocol/v1.ts';
import { IN_FLIGHT } from './dedupe.ts';
import type { Draft, Engine } from './engine.ts';
import type { Events } from './events.ts';
import type { LogRecord } from './log.ts';
import type { Notices } from './notices.ts';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import type { HubSettings } from './settings.ts';
import type { Clock } from './time.ts';

/** An engine's decision on the oldest undecided drafts of a room. */
type Outcome =
  | { readonly kind: 'committed'; readonly room: string; readonly records: readonly LogRecord[] }
  | { readonly kind: 'failed'; readonly room: string; readonly drafts: number };

/** Receives the rooms that changed. */
export interface CommitListener {
  /** A clean room has records to flush. */
  dirtied(room: Room): void;
  /**
   * The oldest `drafts` undecided drafts of the room are decided, and their records are in its log.
   */
  decided(room: Room, drafts: number): void;
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
  readonly #listener: CommitListener;
  /** Rooms with waiting drafts. */
  #waiting: Room[] = [];
  /** Retries waiting on an in-flight send, by key. */
  readonly #retries = new Map<string, Draft[]>();
  readonly #outcomes: Outcome[] = [];
  /** Drafts that the engine has and has not decided, over all rooms. */
  #inFlight = 0;
  #onOutcome: (() => void) | undefined;
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
    listener: CommitListener,
  ) {
    this.#engine = engine;
    this.#rooms = rooms;
    this.#notices = notices;
    this.#events = events;
    this.#clock = clock;
    this.#turn = turn;
    this.#listener = listener;
  }

  /** Opens the engine. @param wake is called whenever it has an outcome. */
  async open(wake: () => void): Promise<void> {
    const receive = (outcome: Outcome) => {
      this.#outcomes.push(outcome);
      this.#onOutcome?.();
      wake();
    };
    await this.#engine.open({
      committed: ({ room, records }) => receive({ kind: 'committed', room, records }),
      failed: (room, drafts) => receive({ kind: 'failed', room, drafts }),
    });
  }

  /** How many outcomes no turn has processed. */
  get size(): number {
    return this.#outcomes.length;
  }

  /** Waits for the engine's next outcome. @returns false when it has nothing to decide. */
  async nextOutcome(): Promise<boolean> {
    if (this.#inFlight === 0) return false;
    if (this.#outcomes.length === 0) await new Promise<void>((resolve) => (this.#onOutcome = resolve));
    return true;
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
  add(draft: Draft): number {
    const room = this.#rooms.get(draft.room);
    if (this.#isRetry(room, draft)) return 0;
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
    while (this.#outcomes.length > 0 && this.#recordsLeft > 0 && this.#bytesLeft > 0) this.#processOutcome();
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  /** Acknowledges a retry, now or together with the first send. A new id is remembered. */
  #isRetry(room: Room, draft: Draft): boolean {
    const { sender, id } = draft;
    if (sender === undefined || id === '') return false;
    const seq = room.dedupe.find(sender, id);
    if (seq === undefined) room.dedupe.remember(sender, id, IN_FLIGHT, this.#clock.now());
    else if (seq === IN_FLIGHT) this.#addRetry(draft);
    else this.#acknowledge(draft, seq, true);
    return seq !== undefined;
  }

  #append(room: Room): void {
    const drafts = room.undecided.takeWaiting();
    this.#inFlight += drafts.length;
    this.#engine.append(room.name, drafts);
  }

  /** Processes the oldest outcome, or as much of it as the turn may append. */
  #processOutcome(): void {
    const outcome = this.#outcomes[0] as Outcome;
    const room = this.#rooms.get(outcome.room);
    if (outcome.kind === 'failed') {
      this.#outcomes.shift();
      this.#fail(room, this.#decide(room, outcome.drafts));
      this.#listener.decided(room, outcome.drafts);
      return;
    }
    const records = this.#withinBudget(outcome.records);
    if (records === outcome.records) this.#outcomes.shift();
    else this.#outcomes[0] = { ...outcome, records: outcome.records.slice(records.length) };
    this.#commit(room, records, this.#decide(room, records.length));
    this.#listener.decided(room, records.length);
  }

  #withinBudget(records: readonly LogRecord[]): readonly LogRecord[] {
    let count = 0;
    for (; count < records.length && this.#recordsLeft > 0 && this.#bytesLeft > 0; count++) {
      this.#recordsLeft--;
      this.#bytesLeft -= (records[count] as LogRecord).bytes;
    }
    return count === records.length ? records : records.slice(0, count);
  }

  #decide(room: Room, count: number): readonly Draft[] {
    this.#inFlight -= count;
    return room.undecided.decide(count);
  }

  #commit(room: Room, records: readonly LogRecord[], drafts: readonly Draft[]): void {
    if (room.append(records, this.#clock.now())) this.#listener.dirtied(room);
    for (let i = 0; i < drafts.length; i++) this.#stored(room, drafts[i] as Draft, (records[i] as LogRecord).seq);
    this.#messages += records.length;
    this.#batches++;
    if (!this.#events.has('committed')) return;
    const to = room.log.head;
    this.#events.emit('committed', { room: room.name, from: to - records.length + 1, to, members: room.members });
  }

  #stored(room: Room, draft: Draft, seq: number): void {
    if (draft.id === '') return;
    this.#acknowledge(draft, seq, false);
    if (draft.sender === undefined) return;
    room.dedupe.stored(draft.sender, draft.id, seq);
    for (const retry of this.#takeRetries(draft)) this.#acknowledge(retry, seq, true);
  }

  #fail(room: Room, drafts: readonly Draft[]): void {
    for (const draft of drafts) {
      if (draft.sender !== undefined) room.dedupe.failed(draft.sender, draft.id);
      for (const each of [draft, ...this.#takeRetries(draft)]) this.#reject(each);
    }
  }

  #acknowledge({ by, room, id }: Draft, seq: number, duplicate: boolean): void {
    if (!by || by.closed) return;
    this.#notices.notify(by, duplicate ? { t: 'sent', room, id, seq, duplicate } : { t: 'sent', room, id, seq });
  }

  #reject({ by, room, id }: Draft): void {
    if (!by || by.closed) return;
    this.#notices.notify(by, { t: 'error', code: 'unavailable', ...errors.unavailable, id, room });
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

function keyOf({ room, sender, id }: Draft): string {
  return `${room}\n${sender}\n${id}`;
}
