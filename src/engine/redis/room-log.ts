import type { EngineListener, Outcome, Position } from '../../hub/engine.ts';
import type { LogRecord } from '../../hub/log.ts';
import type { Place } from '../../protocol/v1.ts';
import { recordOf } from '../judged-batch.ts';
import type { Retention, RetentionOf } from '../retention.ts';
import { divergedEnd, earlierEpochs, epochOf, sharedEnd, type Term } from '../terms.ts';
import type { AppendReply } from './append-command.ts';
import { keysOf, type RoomKeys } from './keys.ts';
import { isAnotherPrimaryNeeded, type Link } from './link.ts';
import { type Budget, Outbox, type OutboxRoom } from './outbox.ts';
import type { LogState } from './position.ts';
import { PushBuffer } from './push-buffer.ts';
import { EMPTY_EXPIRY_MS, mendLog, readEntries, readState } from './read.ts';
import { decodeHeader, decodePayload, MalformedError, type PushHeader } from './record-codec.ts';

/** Shared by the rooms of an engine. */
export interface RoomContext extends Budget {
  readonly listener: EngineListener;
  readonly retentionOf: RetentionOf;
  /** Returns the number of the database that has a room. */
  databaseOf(room: string): number;
  /** A room is subscribed on a link. It follows its log once the promise has resolved. */
  subscribed(room: string, link: Link): Promise<void>;
  /** Receives a message of another kind than records. */
  message(room: string, kind: number, payload: Buffer): void;
  failed(error: Error): void;
  /** The room's recovery failed, with its link open: to be tried again later. */
  broken(room: RoomLog): void;
}

const RECORDS = 'r'.charCodeAt(0);
const NEWLINE = 10;

const RENEWAL_MS = 60 * 60_000;

// Keys outlive their records by the time between renewals, and a margin.
const EXPIRY_MARGIN_MS = 3 * RENEWAL_MS;

// Bound of what waits during a repair, and of what one repair reads.
const REPAIR_BYTES = 4 * 1024 * 1024;
const REPAIR_PAGE = 32;

/**
 * One attached room: follows its log by what Redis pushes. What does not follow the head without a
 * hole is read from the log, while later pushes wait.
 */
export class RoomLog implements OutboxRoom {
  readonly name: string;
  readonly keys: RoomKeys;
  readonly retention: Retention;
  readonly expiryMs: number;
  readonly outbox: Outbox;
  readonly #context: RoomContext;
  /** Log, terms and `first` as far as known; its `seq` is the head. Undefined until attached. */
  #state: LogState | undefined;
  #position: Position | undefined;
  #earlier: readonly Place[] = [];
  /** The link that the room is subscribed on. */
  #subscribed: Link | undefined;
  /** Pushes are committed as they come. */
  #isLive = false;
  /** The position that `attach` resolves with was reached. */
  #wasLive = false;
  #released = false;
  readonly #pushes = new PushBuffer(REPAIR_BYTES);
  /** The link to recover on, and the recovery that runs. */
  #next: Link | undefined;
  #recovery: Promise<void> | undefined;
  /** How often the log has moved: what was read before is of an earlier life. */
  #lives = 0;
  #renewAt = performance.now() + RENEWAL_MS;

  constructor(name: string, context: RoomContext) {
    this.name = name;
    this.keys = keysOf(name, context.databaseOf(name));
    this.retention = context.retentionOf(name);
    this.expiryMs = this.retention.ms + EXPIRY_MARGIN_MS;
    this.#context = context;
    this.outbox = new Outbox(this, context);
  }

  /** @throws Error before the room is attached. */
  get position(): Position {
    const state = this.#attached();
    this.#position ??= {
      epoch: epochOf(state),
      seq: state.seq,
      first: state.first,
      earlier: this.#earlier,
    };
    return this.#position;
  }

  /** See Engine. */
  divergedEnd(epoch: string): number | undefined {
    return divergedEnd(this.#attached(), epoch);
  }

  get isAttached(): boolean {
    return this.#state !== undefined;
  }

  get link(): Link | undefined {
    return this.#isLive ? this.#subscribed : undefined;
  }

  get lives(): number {
    return this.#lives;
  }

  /**
   * Follows the log on a link, from the head on. Resolves when the room is live, or when the link
   * has been lost before. Rejects when the log cannot be read.
   */
  recover(link: Link): Promise<void> {
    this.#isLive = false;
    this.#next = link;
    if (this.#released) return Promise.resolve();
    this.#recovery ??= this.#recoverAll();
    return this.#recovery;
  }

  lost(): void {
    this.#isLive = false;
    this.#subscribed = undefined;
    this.#pushes.clear();
  }

  release(): void {
    this.#released = true;
    this.#isLive = false;
    this.#subscribed?.unsubscribe(this.keys.channel, this.#onMessage).catch(() => {});
    this.#subscribed = undefined;
    this.#pushes.clear();
    this.outbox.abandon();
  }

  /** Compares the room with its log: the push that was lost may have been the last one. */
  async audit(link: Link): Promise<void> {
    if (performance.now() >= this.#renewAt) this.#renew(link);
    const state = await readState(link, this);
    if (this.link !== link || !this.#state) return;
    const isSame = state.log === this.#state.log && termOf(state) === termOf(this.#state);
    if (isSame && state.seq <= this.#state.seq) this.#setFirst(state.first);
    else this.#repair(link);
  }

  /** Records that the log begins at `first` by now. */
  trimmed(first: number): void {
    this.#setFirst(Math.min(first, this.#attached().seq + 1));
  }

  reach(reply: AppendReply, records: readonly LogRecord[]): boolean | Promise<boolean> {
    const state = this.#attached();
    const link = this.#subscribed;
    if (this.#isLive && reply.log === state.log && reply.term === termOf(state)) {
      if (reply.last <= state.seq) return true;
      if (reply.previous === state.seq) {
        this.#setFirst(reply.first);
        this.#commit(records);
        return true;
      }
    }
    if (!link) return false;
    return this.recover(link).then(
      () => this.link === link,
      (error: Error) => {
        this.#recoveryFailed(error);
        return false;
      },
    );
  }

  mend(): void {
    const link = this.#subscribed;
    if (!link) return; // sent again on the next link
    const mended = mendLog(link, this).then(() => this.recover(link));
    mended.catch((error: Error) => this.#recoveryFailed(error));
  }

  decided(outcomes: readonly Outcome[]): void {
    if (!this.#released) this.#context.listener.decided({ room: this.name, outcomes });
  }

  failed(error: Error): void {
    this.#context.failed(new Error(`room ${JSON.stringify(this.name)}: ${error.message}`, { cause: error }));
  }

  #attached(): LogState {
    if (!this.#state) throw new Error(`the room ${JSON.stringify(this.name)} is not attached`);
    return this.#state;
  }

  async #recoverAll(): Promise<void> {
    try {
      for (let link = this.#next; link && !this.#released; link = this.#next) {
        this.#next = undefined;
        try {
          await this.#recoverOn(link);
        } catch (error) {
          if (isAnotherPrimaryNeeded(error)) link.fail(error as Error);
          if (link.isOpen && !this.#next) throw error; // a lost link is replaced
        }
      }
    } finally {
      this.#recovery = undefined; // before anyone can see that the loop has ended
    }
  }

  async #recoverOn(link: Link): Promise<void> {
    if (this.#subscribed !== link) {
      this.#pushes.clear();
      await link.subscribe(this.keys.channel, this.#onMessage);
      if (this.#released) return void link.unsubscribe(this.keys.channel, this.#onMessage).catch(() => {});
      this.#subscribed = link;
      await this.#context.subscribed(this.name, link);
    }
    const isAttaching = !this.#wasLive;
    do {
      const state = await readState(link, this);
      if (!link.isOpen || this.#released) return;
      if (isAttaching) this.#state = undefined; // the listener has no records yet: begin anew
      this.#adopt(state);
      await this.#catchUp(link, state);
      if (!link.isOpen || this.#released) return;
    } while (!this.#takePushes(isAttaching));
    if (this.#next) return; // asked again meanwhile
    this.#isLive = true;
    this.#wasLive = true;
    this.outbox.resume();
  }

  /** Takes over log and terms. Tells the listener when records are lost or the term is new. */
  #adopt(state: LogState): void {
    const before = this.#state;
    if (!before) {
      this.#setState(state);
      return;
    }
    const shared = state.log === before.log ? sharedEnd(before, state) : 0;
    const isSame = state.log === before.log && termOf(state) === termOf(before);
    const head = Math.min(before.seq, shared);
    this.#setState({ ...state, seq: head });
    if (isSame && head === before.seq) return;
    this.#lives++;
    this.#context.listener.moved({ room: this.name, epoch: this.position.epoch, seq: head });
  }

  /** Reads from the head up to the end of `target`. */
  async #catchUp(link: Link, target: LogState): Promise<void> {
    let bytes = 0;
    for (let { seq } = this.#attached(); seq < target.seq; { seq } = this.#attached()) {
      if (seq + 1 < target.first || bytes > REPAIR_BYTES) {
        this.#skip(bytes > REPAIR_BYTES ? target.seq : target.first - 1);
        continue;
      }
      const next = await this.#readNext(link, target.seq);
      if (!link.isOpen || this.#released) return;
      if (typeof next === 'number') {
        this.#skip(next);
        continue;
      }
      this.#commit(next);
      for (const record of next) bytes += record.bytes + RECORD_OVERHEAD_BYTES;
    }
  }

  /** Returns the records that follow the head, or the `seq` of what cannot be read there. */
  async #readNext(link: Link, last: number): Promise<readonly LogRecord[] | number> {
    const { seq } = this.#attached();
    try {
      const records = await readEntries(link, this, seq, REPAIR_PAGE, last);
      const [first] = records;
      if (!first) return last;
      return first.seq === seq + 1 ? records : first.seq - 1;
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.failed(error);
      return error.seq !== undefined && error.seq > seq ? Math.min(error.seq, last) : last;
    }
  }

  readonly #onMessage = (message: Buffer): void => {
    if (this.#released) return;
    try {
      if (message[0] !== RECORDS) this.#context.message(this.name, message[0] ?? 0, message.subarray(1));
      else if (!this.#isLive) this.#pushes.keep(message);
      else if (!this.#take(message, false) && this.#subscribed) this.#repair(this.#subscribed);
    } catch (error) {
      this.failed(error as Error);
    }
  };

  /** Postpones the expiry of the room's keys: a room with members may be quiet for longer. */
  #renew(link: Link): void {
    this.#renewAt = performance.now() + RENEWAL_MS;
    const { meta, log, ids, moved, presence } = this.keys;
    const ms = String(this.#attached().seq === 0 ? EMPTY_EXPIRY_MS : this.expiryMs);
    for (const key of [meta, log, ...ids, moved, presence]) link.command(['PEXPIRE', key, ms]).catch(() => {}); // lost with the link
  }

  #repair(link: Link): void {
    this.recover(link).catch((error: Error) => this.#recoveryFailed(error));
  }

  #recoveryFailed(error: Error): void {
    this.failed(error);
    this.#context.broken(this);
  }

  /** Commits the pushes that waited. @returns false on a hole: what was pushed is to be read. */
  #takePushes(isAttaching: boolean): boolean {
    return this.#pushes.drain((push) => this.#take(push, isAttaching));
  }

  /**
   * Commits a pushed batch.
   *
   * @param isSilent the position that `attach` resolves with includes the batch.
   * @returns false when it does not follow the head.
   */
  #take(message: Buffer, isSilent: boolean): boolean {
    const end = message.indexOf(NEWLINE);
    const header = decodeHeader(message, end);
    const state = this.#attached();
    if (header.log !== state.log || header.term !== termOf(state)) return false;
    const last = header.previous + header.count;
    if (last > state.seq) {
      if (header.previous !== state.seq) return false;
      let records: readonly LogRecord[];
      try {
        records = this.#recordsOf(header, message, end + 1);
      } catch (error) {
        this.failed(error as Error);
        return false; // the entry in the log may be whole
      }
      if (isSilent) this.#setState({ ...state, seq: last });
      else this.#commit(records);
    }
    this.#setFirst(header.first);
    return true;
  }

  /** Uses the drafts of a batch of this node unless some were duplicates. Otherwise decodes. */
  #recordsOf({ run, number, count, previous, at }: PushHeader, message: Buffer, start: number): readonly LogRecord[] {
    const drafts = run === this.#context.run ? this.outbox.draftsOf(number) : undefined;
    if (drafts?.length === count) return drafts.map((draft, i) => recordOf(draft, previous + 1 + i, at));
    return decodePayload(message.toString('utf8', start), previous, count, at);
  }

  #commit(records: readonly LogRecord[]): void {
    const last = records.at(-1);
    if (!last) return;
    this.#setState({ ...this.#attached(), seq: last.seq });
    this.#context.listener.committed({ room: this.name, records, own: false });
  }

  #skip(seq: number): void {
    this.#setState({ ...this.#attached(), seq });
    this.#context.listener.skipped({ room: this.name, epoch: this.position.epoch, seq });
  }

  #setFirst(first: number): void {
    const state = this.#attached();
    if (first > state.first) this.#setState({ ...state, first });
  }

  #setState(state: LogState): void {
    if (state.terms !== this.#state?.terms) this.#earlier = earlierEpochs(state);
    this.#state = state;
    this.#position = undefined;
  }
}

const RECORD_OVERHEAD_BYTES = 128;

function termOf({ terms }: LogState): string {
  return (terms.at(-1) as Term).token;
}
