import type { Outcome, Position } from '../hub/engine.ts';
import { FrameEncoder } from './frames.ts';
import type { LogLink } from './link.ts';
import type { LogMethods, WorkerMethods } from './log-methods.ts';

/** Commits that the worker is to read. */
interface LeftOut {
  /**
   * The `seq` of the last one, in the life of the log in which it was left out. When the worker is
   * told, the log may be in another life and shorter.
   */
  seq: number;
}

/** A worker's attachment of a room. */
export interface WorkerAttachment {
  readonly number: number;
  /** How often the worker was told that the log has moved. */
  moves: number;
  /** The commits since the last place that were left out, until the worker is told to read them. */
  leftOut: LeftOut | undefined;
  /** The worker's progress when it has done with the last commit. */
  lastCommit: number;
}

/** A frame that waits for room in the ring. */
type Waiting<Attachment> =
  | { readonly kind: 'frame'; readonly bytes: Buffer }
  | { readonly kind: 'behind'; readonly attachment: Attachment; readonly leftOut: LeftOut };

/** The log thread's side of one worker. */
export class ConnectedWorker<Attachment extends WorkerAttachment> {
  readonly number: number;
  readonly link: LogLink<WorkerMethods, LogMethods>;
  readonly attachments = new Map<number, Attachment>();
  readonly #encoder = new FrameEncoder();
  /** In order. Their number is bounded: commits do not wait, and a worker's drafts are bounded. */
  #waiting: Waiting<Attachment>[] = [];
  #dropped = 0;
  /** The commit that it has taken too long over, if it has not done with it yet. */
  #slowCommit: number | undefined;

  constructor(number: number, link: LogLink<WorkerMethods, LogMethods>) {
    this.number = number;
    this.link = link;
  }

  /** How many commits the worker had to read since its ring was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** @throws RangeError for a number that is not attached: the worker broke its contract. */
  attachment(number: number): Attachment {
    const attachment = this.attachments.get(number);
    if (attachment === undefined) throw new RangeError(`attachment ${number} does not exist`);
    return attachment;
  }

  /** @param seq of the last record. */
  writeCommit(attachment: Attachment, commit: FrameEncoder, seq: number): void {
    commit.readdress(attachment.number);
    const isWritten = this.#waiting.length === 0 && this.link.write(commit.buffer, commit.length);
    if (isWritten) attachment.lastCommit = this.link.progress.written;
    else this.#leaveOut(attachment, seq);
  }

  /** Leaves a record out that no ring can take. */
  drop(attachment: Attachment, seq: number): void {
    this.#leaveOut(attachment, seq);
    this.writeWaiting();
  }

  get deliveryMs(): number {
    return this.link.progress.deliveryMs;
  }

  get isSlow(): boolean {
    return this.#slowCommit !== undefined;
  }

  /** The worker has taken too long over a commit. Until it has done with it, it is not busy. */
  markSlow(commit: number): void {
    this.#slowCommit ??= commit;
  }

  /** Reports whether the worker has not done with a commit, unless it is too slow to wait for. */
  isBusy(commit: number): boolean {
    const { progress } = this.link;
    if (this.#slowCommit !== undefined) {
      if (!progress.isDone(this.#slowCommit)) return false;
      this.#slowCommit = undefined;
    }
    if (progress.isDone(commit)) return false;
    progress.await();
    // It may have done with it just before.
    return !progress.isDone(commit);
  }

  decided(attachment: number, outcomes: readonly Outcome[]): void {
    this.#encoder.decided(attachment, outcomes);
    this.#writeOrWait();
  }

  moved(attachment: Attachment, position: Position): void {
    attachment.moves++;
    this.#encoder.moved(attachment.number, position);
    this.#writePlace(attachment);
  }

  skipped(attachment: Attachment, position: Position): void {
    this.#encoder.skipped(attachment.number, position);
    this.#writePlace(attachment);
  }

  /** Writes what waits for room in the ring. */
  writeWaiting(): void {
    let written = 0;
    for (const waiting of this.#waiting) {
      if (!this.#writeOne(waiting)) break;
      written++;
    }
    this.#waiting.splice(0, written);
  }

  /** The worker is to read a commit, once its ring has room to tell it. */
  #leaveOut(attachment: Attachment, seq: number): void {
    this.#dropped++;
    if (attachment.leftOut) {
      attachment.leftOut.seq = seq;
      return;
    }
    const leftOut = { seq };
    attachment.leftOut = leftOut;
    this.#waiting.push({ kind: 'behind', attachment, leftOut });
  }

  #writeOne(waiting: Waiting<Attachment>): boolean {
    if (waiting.kind === 'frame') return this.link.write(waiting.bytes, waiting.bytes.length);
    const { attachment, leftOut } = waiting;
    // Released meanwhile: the worker does not know it any more.
    if (this.attachments.get(attachment.number) !== attachment) return true;
    this.#encoder.behind(attachment.number, leftOut.seq);
    if (!this.#write()) return false;
    if (attachment.leftOut === leftOut) attachment.leftOut = undefined;
    return true;
  }

  /** What is committed after the place is to be read after it, too. */
  #writePlace(attachment: Attachment): void {
    this.#writeOrWait();
    attachment.leftOut = undefined;
  }

  #writeOrWait(): void {
    if (this.#waiting.length === 0 && this.#write()) return;
    const { buffer, length } = this.#encoder;
    this.#waiting.push({ kind: 'frame', bytes: Buffer.from(buffer.subarray(0, length)) });
  }

  #write(): boolean {
    return this.link.write(this.#encoder.buffer, this.#encoder.length);
  }
}
