import type { Engine, Position } from '../hub/engine.ts';
import type { LogRecord } from '../hub/log.ts';
import type { NowOrLater } from '../protocol/now-or-later.ts';
import type { Place } from '../protocol/v1.ts';
import { gapBody, messagesBody } from './body.ts';
import type { Cursor, CursorStore, StoredCursor } from './cursor.ts';
import { nextStep, type Step, withHead, withoutHead } from './next-step.ts';

/** The engine as a webhook reads it. */
interface RoomReader extends Pick<Engine, 'position' | 'read' | 'divergedEnd' | 'catchUp'> {
  /** Keeps a room attached until `unhold`. */
  hold(room: string): NowOrLater<Position>;
  unhold(room: string): void;
}

/** What the lanes of a webhook have in common. */
export interface LaneContext {
  readonly webhook: string;
  readonly reader: RoomReader;
  readonly store: CursorStore;
  /** Returns a new id, without a full stop. */
  readonly newId: () => string;
}

/** A batch that is stored and ready to be sent. */
export interface PreparedBatch {
  readonly id: string;
  readonly body: string;
  readonly kind: 'messages' | 'gap';
  /** How many messages it has, or names. */
  readonly count: number;
  /** Where the cursor moves when it is acknowledged. */
  readonly next: Place;
  /** When the oldest and the newest message were committed, in milliseconds since 1970. */
  readonly times?: { readonly oldest: number; readonly newest: number };
}

/** A batch has at most so many records, and so many bytes of data unless one record has more. */
const MAX_RECORDS = 256;
const MAX_BYTES = 256 * 1024;

// Records read at once, which bounds what a page of long ones takes.
const PAGE = 32;

// Each of a log's terms and each gap takes a step.
const MAX_STEPS = 100;

/**
 * A room that a webhook has not delivered to the end: its cursor, and the batch in flight. It has
 * one batch at a time, and its records stay in the engine until they are sent.
 */
export class Lane {
  readonly room: string;
  /** Failed attempts in a row. */
  failures = 0;
  /** Set while an attempt or its preparation runs. */
  isRunning = false;
  /** The room may have more than the attempt that runs has seen. */
  isMarked = false;
  /** The webhook has let go of the lane: an attempt that runs has no effect. */
  isDropped = false;
  /** Cancels the retry that waits. */
  cancelRetry: (() => void) | undefined;
  /** When the oldest message that is not delivered was committed, as far as known. */
  oldestAt: number | undefined;
  /** The newest record that the lane has learned of. */
  seen: Place | undefined;
  readonly #context: LaneContext;
  /** Undefined until it is loaded, and after a replay. */
  #cursor: StoredCursor | undefined;
  /** Heads of earlier epochs that are not in the cursor yet. */
  #heads: Place[] = [];
  #isUnsaved = false;
  #isHeld = false;
  /** The cursor to create if the store has lost it. */
  readonly #start: Place | undefined;

  /** A cursor that this process has saved. */
  readonly #saved: StoredCursor | undefined;

  /**
   * @param start the place before the room's oldest record that is not delivered, if known.
   * @param saved a cursor that this process has saved, in case the store has lost it.
   */
  constructor(room: string, context: LaneContext, start?: Place, saved?: StoredCursor) {
    this.room = room;
    this.#context = context;
    this.#start = start;
    this.#saved = saved;
  }

  /** Undefined until it is loaded. */
  get cursor(): StoredCursor | undefined {
    return this.#cursor;
  }

  /** How many records wait, as far as known. */
  get lag(): number {
    const from = this.#cursor ?? this.#start;
    return from && this.seen ? Math.max(0, this.seen.seq - from.seq) : 0;
  }

  /**
   * Returns the next batch, whose id and bounds are stored. Undefined when everything is delivered.
   * Rejects when the engine or the store cannot be reached.
   */
  async prepare(): Promise<PreparedBatch | undefined> {
    await this.hold();
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const cursor = await this.#load();
      if (cursor === undefined) return undefined;
      const { epoch, batch } = cursor;
      if (batch?.kind === 'gap') {
        const body = gapBody(this.#context.webhook, this.room, epoch, batch);
        return { id: batch.id, body, kind: 'gap', count: batch.to - batch.from + 1, next: batch.next };
      }
      const step = await this.#nextStep(cursor);
      if (step.kind === 'done') return undefined;
      const prepared = await this.#take(this.#cursor ?? cursor, step);
      if (prepared) return prepared;
    }
    throw new Error(`the log of room ${JSON.stringify(this.room)} changes while it is read`);
  }

  /** The receiver has acknowledged a batch. */
  acknowledge({ id, next }: PreparedBatch): void {
    const cursor = this.#cursor;
    if (cursor?.batch?.id !== id) return; // a replay has moved the cursor
    const { version, epoch, batch, heads = {} } = cursor;
    const isPassed = batch.kind === 'gap' ? batch.why === 'epoch' : (heads[epoch] ?? 0) <= next.seq;
    const rest = isPassed ? withoutHead(cursor.heads, epoch) : cursor.heads;
    this.#cursor = { version, epoch: next.epoch, seq: next.seq, ...(rest && { heads: rest }) };
    this.#isUnsaved = true;
  }

  /** Stores what has been acknowledged. @returns false when the cursor was moved by a replay. */
  async flush(): Promise<boolean> {
    const cursor = this.#cursor;
    if (!cursor || !this.#isUnsaved) return true;
    return this.#save(cursor, false);
  }

  /** The log is in another epoch. `head` is what the lane's epoch had. */
  noteHead(head: Place): void {
    if (this.#cursor) this.#setHeads([head]);
    else this.#heads.push(head);
  }

  /** A replay has moved the cursor. */
  reload(): void {
    this.#cursor = undefined;
    this.#isUnsaved = false;
    this.failures = 0;
  }

  /** Keeps the room attached. */
  hold(): NowOrLater<unknown> {
    if (this.#isHeld) return undefined;
    this.#isHeld = true;
    const held = this.#context.reader.hold(this.room);
    if (!(held instanceof Promise)) return undefined;
    return held.catch((error) => {
      this.#isHeld = false;
      throw error;
    });
  }

  /** Lets the engine release the room. */
  unhold(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#context.reader.unhold(this.room);
  }

  async #load(): Promise<StoredCursor | undefined> {
    if (this.#cursor) return this.#cursor;
    const { store, webhook } = this.#context;
    let cursor = await store.find(webhook, this.room);
    if (cursor === undefined && this.#start !== undefined) {
      await store.create(webhook, this.room, this.#start);
      cursor = await store.find(webhook, this.room);
    }
    const saved = this.#saved;
    const isLost = saved && cursor?.version === saved.version && cursor.epoch === saved.epoch && cursor.seq < saved.seq;
    if (isLost) this.#isUnsaved = true;
    this.#cursor = isLost ? saved : cursor;
    if (this.#heads.length > 0) this.#setHeads(this.#heads.splice(0));
    return this.#cursor;
  }

  async #nextStep(loaded: StoredCursor): Promise<Step> {
    const { reader } = this.#context;
    let position = reader.position(this.room);
    if (isAhead(loaded, position)) {
      // Another process may have seen more of the log than this one has.
      await reader.catchUp?.(this.room, [loaded.epoch]);
      position = reader.position(this.room);
    }
    if (this.seen && this.seen.epoch !== position.epoch) this.#setHeads([this.seen]);
    this.seen = { epoch: position.epoch, seq: position.seq };
    return nextStep(this.#cursor ?? loaded, position, (epoch) => reader.divergedEnd?.(this.room, epoch));
  }

  /** @returns undefined when the cursor has moved, or the log has changed: another step follows. */
  async #take(cursor: StoredCursor, step: Exclude<Step, { kind: 'done' }>): Promise<PreparedBatch | undefined> {
    if (step.kind === 'moved') {
      const { epoch, seq, heads } = step.cursor;
      this.#cursor = { version: cursor.version, epoch, seq, ...(heads && { heads }) };
      this.#isUnsaved = true;
      return undefined;
    }
    if (step.kind === 'messages') return this.#takeMessages(cursor, step.to);
    const gap = { kind: 'gap', id: this.#context.newId(), ...step.gap } as const;
    await this.#save({ ...cursor, batch: gap }, true);
    return undefined;
  }

  async #takeMessages(cursor: StoredCursor, last: number): Promise<PreparedBatch | undefined> {
    const { webhook, newId } = this.#context;
    const { epoch, seq, batch } = cursor;
    const inFlight = batch?.kind === 'messages' && batch.to <= last ? batch : undefined;
    const records = await this.#read(cursor, inFlight?.to ?? Math.min(last, seq + MAX_RECORDS), inFlight !== undefined);
    const [oldest, newest] = [records?.[0], records?.at(-1)];
    if (!records || !oldest || !newest) return undefined;
    const id = inFlight?.id ?? newId();
    if (!inFlight) {
      const heads = batch?.kind === 'messages' ? withHead(cursor.heads, { epoch, seq: batch.to }) : cursor.heads;
      const next = { ...cursor, batch: { kind: 'messages', id, to: newest.seq }, ...(heads && { heads }) } as const;
      if (!(await this.#save(next, true))) return undefined;
    }
    return {
      id,
      body: messagesBody(webhook, this.room, epoch, records),
      kind: 'messages',
      count: records.length,
      next: { epoch, seq: newest.seq },
      times: { oldest: oldest.at, newest: newest.at },
    };
  }

  /**
   * Returns the records after the cursor up to `to`, or as many as a batch takes. Undefined when
   * they cannot be had: the log has been trimmed, or is in another epoch.
   *
   * @param isWhole all of them are needed.
   */
  async #read({ seq }: Cursor, to: number, isWhole: boolean): Promise<readonly LogRecord[] | undefined> {
    const { reader } = this.#context;
    const { epoch } = reader.position(this.room);
    const records: LogRecord[] = [];
    let bytes = 0;
    for (let next = seq; next < to && (isWhole || bytes < MAX_BYTES); ) {
      const page = await reader.read(this.room, next, Math.min(PAGE, to - next));
      if (page[0]?.seq !== next + 1 || reader.position(this.room).epoch !== epoch) return undefined;
      for (const record of page) {
        if (!isWhole && records.length > 0 && bytes + record.bytes > MAX_BYTES) return records;
        records.push(record);
        bytes += record.bytes;
        next = record.seq;
      }
    }
    return records;
  }

  #setHeads(heads: readonly Place[]): void {
    const cursor = this.#cursor;
    if (!cursor) return;
    const merged = heads.reduce(withHead, cursor.heads);
    if (merged === cursor.heads) return;
    this.#cursor = { ...cursor, heads: merged };
    this.#isUnsaved = true;
  }

  /** @returns false when the store has another cursor, which is loaded next. */
  async #save(cursor: StoredCursor, durable: boolean): Promise<boolean> {
    const { store, webhook } = this.#context;
    const before = this.#cursor;
    const isSaved = await store.save(webhook, this.room, cursor, durable);
    if (this.#cursor !== before) return false; // a replay, or a head that was noted
    if (isSaved) this.#isUnsaved = false;
    this.#cursor = isSaved ? cursor : undefined;
    return isSaved;
  }
}

/** Whether the position does not have the cursor's place. */
function isAhead({ epoch, seq }: Cursor, position: Position): boolean {
  if (epoch === position.epoch) return seq > position.seq;
  return !position.earlier?.some((place) => place.epoch === epoch);
}
