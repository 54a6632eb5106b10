import type { Draft, Outcome } from '../../hub/engine.ts';
import type { LogRecord } from '../../hub/log.ts';
import {
  type AppendReply,
  type AppendTarget,
  appendCommand,
  isTorn,
  outcomesOf,
  recordsOf,
  replyOf,
} from './append-command.ts';
import { isErrorReply } from './driver.ts';
import { isAnotherPrimaryNeeded, type Link } from './link.ts';

/** The side of a room that its outbox needs. */
export interface OutboxRoom extends AppendTarget {
  /** Undefined while the room does not follow its log. */
  readonly link: Link | undefined;
  /**
   * Commits up to `reply.last`. @param records those of the batch, unless it was stored before.
   * @returns false, or a promise that rejects, when the link is lost before that.
   */
  reach(reply: AppendReply, records: readonly LogRecord[]): boolean | Promise<boolean>;
  /** Mends the log, and resumes the outbox. */
  mend(): void;
  decided(outcomes: readonly Outcome[]): void;
  failed(error: Error): void;
}

/** The appends of all rooms: numbers the batches and bounds what waits. */
export interface Budget {
  /** Identifies this node until it ends. */
  readonly run: string;
  readonly patienceMs: number;
  /** Numbers grow, so that Redis refuses a batch that is older than another. */
  nextNumber(): number;
  /** Takes bytes of drafts. @returns false when too many wait already. */
  take(bytes: number): boolean;
  giveBack(bytes: number): void;
}

interface Batch {
  readonly number: number;
  readonly drafts: readonly Draft[];
  readonly args: readonly string[];
  readonly until: number;
  readonly bytes: number;
  /** Redis may have received it. */
  sent: boolean;
  /** To be sent again without waiting for another link. */
  stalled: boolean;
  /** The log was mended for it. */
  mended: boolean;
}

/** Drafts of one append, or ones that found no space, which fail in their turn. */
type Waiting =
  | { readonly kind: 'drafts'; drafts: readonly Draft[]; readonly until: number }
  | { readonly kind: 'refused'; count: number };

const MAX_BATCH_DRAFTS = 1_000;
const MAX_BATCH_BYTES = 1024 * 1024;
const DRAFT_OVERHEAD_BYTES = 128;

const FAILED: Outcome = { kind: 'failed' };
const UNKNOWN: Outcome = { kind: 'unknown' };

/**
 * The drafts of one room on their way to Redis. One batch is in flight at a time; what arrives
 * meanwhile is the next one. A batch whose connection was lost is sent again with the same number,
 * so that it is stored once.
 */
export class Outbox {
  readonly #room: OutboxRoom;
  readonly #budget: Budget;
  readonly #waiting: Waiting[] = [];
  #inFlight: Batch | undefined;

  constructor(room: OutboxRoom, budget: Budget) {
    this.#room = room;
    this.#budget = budget;
  }

  get isEmpty(): boolean {
    return this.#inFlight === undefined && this.#waiting.length === 0;
  }

  add(drafts: readonly Draft[], now: number): void {
    if (this.#budget.take(costOf(drafts))) {
      this.#waiting.push({ kind: 'drafts', drafts, until: now + this.#budget.patienceMs });
    } else {
      const last = this.#waiting.at(-1);
      if (last?.kind === 'refused') last.count += drafts.length;
      else this.#waiting.push({ kind: 'refused', count: drafts.length });
    }
    this.flush();
  }

  /** Sends the next batch if none is in flight and the room follows its log. */
  flush(): void {
    while (!this.#inFlight && this.#waiting[0]?.kind === 'refused') {
      this.#room.decided(outcomes(FAILED, this.#waiting[0].count));
      this.#waiting.shift();
    }
    const { link } = this.#room;
    if (this.#inFlight || !link || this.#waiting.length === 0) return;
    this.#inFlight = this.#nextBatch();
    this.#send(this.#inFlight, link);
  }

  /** The room follows its log again: sends the batch in flight again, whose reply is lost. */
  resume(): void {
    const { link } = this.#room;
    if (this.#inFlight && link) this.#send(this.#inFlight, link);
    else this.flush();
  }

  /** Returns the drafts of a batch in flight that has this number. */
  draftsOf(number: number): readonly Draft[] | undefined {
    return this.#inFlight?.number === number ? this.#inFlight.drafts : undefined;
  }

  /** Decides what has waited for too long. */
  tick(now: number): void {
    const batch = this.#inFlight;
    if (batch && now >= batch.until) this.#settle(batch, outcomes(batch.sent ? UNKNOWN : FAILED, batch.drafts.length));
    else if (batch?.stalled) this.resume();
    while (!this.#inFlight) {
      const [next] = this.#waiting;
      if (next?.kind !== 'drafts' || now < next.until) break;
      this.#waiting.shift();
      this.#budget.giveBack(costOf(next.drafts));
      this.#room.decided(outcomes(FAILED, next.drafts.length));
    }
    this.flush();
  }

  /** Decides all drafts: those that Redis may have received are unknown, the rest failed. */
  abandon(): void {
    while (!this.isEmpty) this.tick(Number.POSITIVE_INFINITY);
  }

  #nextBatch(): Batch {
    const drafts: Draft[] = [];
    let bytes = 0;
    const until = (this.#waiting[0] as Waiting & { kind: 'drafts' }).until;
    for (;;) {
      const [next] = this.#waiting;
      if (next?.kind !== 'drafts') break;
      let taken = 0;
      for (const draft of next.drafts) {
        const isFull = drafts.length >= MAX_BATCH_DRAFTS || bytes + draft.bytes > MAX_BATCH_BYTES;
        if (isFull && drafts.length > 0) break;
        drafts.push(draft);
        bytes += draft.bytes;
        taken++;
      }
      if (taken < next.drafts.length) {
        next.drafts = next.drafts.slice(taken);
        break;
      }
      this.#waiting.shift();
    }
    const number = this.#budget.nextNumber();
    const args = appendCommand(this.#room, this.#budget.run, number, drafts);
    return { number, drafts, args, until, bytes: costOf(drafts), sent: false, stalled: false, mended: false };
  }

  #send(batch: Batch, link: Link): void {
    batch.sent = true;
    batch.stalled = false;
    link.command(batch.args).then(
      (reply) => this.#replied(batch, reply),
      (error: Error) => this.#rejected(batch, error, link),
    );
  }

  async #replied(batch: Batch, fields: unknown): Promise<void> {
    if (this.#inFlight !== batch) return;
    if (isTorn(fields)) {
      if (batch.mended) return this.#decide(batch, outcomes(FAILED, batch.drafts.length));
      batch.mended = true;
      return this.#room.mend();
    }
    const reply = replyOf(fields);
    if (!reply) return this.#decide(batch, outcomes(UNKNOWN, batch.drafts.length)); // fenced
    const records = recordsOf(batch.drafts, reply);
    const reached = this.#room.reach(reply, records);
    // Usually committed at once. Otherwise after the room's repair, unless the link is lost again:
    // then the batch is sent again on the next one.
    if (reached !== true && !(await reached)) return;
    if (this.#inFlight === batch) this.#decide(batch, outcomesOf(batch.drafts.length, reply));
  }

  #rejected(batch: Batch, error: Error, link: Link): void {
    if (this.#inFlight !== batch) return;
    if (!isErrorReply(error)) {
      batch.stalled = link.isOpen;
      return;
    }
    const [code] = error.message.split(' ', 1);
    if (code === 'NOSCRIPT') {
      link.loadScripts().then(
        () => link === this.#room.link && this.#inFlight === batch && this.#send(batch, link),
        (cause: Error) => link.fail(cause),
      );
    } else if (isAnotherPrimaryNeeded(error)) {
      link.fail(error);
    } else if (code === 'BUSY') {
      batch.stalled = true;
    } else {
      this.#room.failed(error);
      this.#decide(batch, outcomes(FAILED, batch.drafts.length));
    }
  }

  #decide(batch: Batch, decision: readonly Outcome[]): void {
    this.#settle(batch, decision);
    this.flush();
  }

  #settle(batch: Batch, decision: readonly Outcome[]): void {
    this.#inFlight = undefined;
    this.#budget.giveBack(batch.bytes);
    this.#room.decided(decision);
  }
}

function costOf(drafts: readonly Draft[]): number {
  let bytes = 0;
  for (const draft of drafts) bytes += draft.bytes + DRAFT_OVERHEAD_BYTES;
  return bytes;
}

function outcomes(outcome: Outcome, count: number): Outcome[] {
  return new Array<Outcome>(count).fill(outcome);
}
